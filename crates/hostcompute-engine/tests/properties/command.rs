//! What a test asks of the engine: commands in terms of "the third endpoint, if there are three", so that any sequence makes
//! sense and shrinks well. Pools of names, prefixes and ports are small on purpose: collisions are the interesting part.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// One call.
#[derive(Debug, Clone)]
pub enum Command {
    CreateNetwork(NetworkWish),
    CreateNamespace(NamespaceWish),
    CreateEndpoint(EndpointWish),
    CreateBalancer(BalancerWish),
    ModifyBalancer(Pick, BalancerWish),
    Attach(Pick, Pick),
    /// From the namespace that it is in, if none is named.
    Detach(Option<Pick>, Pick),
    Container {
        namespace: Pick,
        number: u8,
        add: bool,
    },
    ChangePolicies {
        endpoint: Pick,
        how: How,
        policies: Vec<Policy>,
    },
    ChangeDns(Pick),
    /// Tells a network what is behind another host, or that it is not.
    Remote {
        network: Pick,
        add: bool,
        range: usize,
        vsid: u32,
        host: u8,
    },
    HostRoute {
        network: Pick,
        add: bool,
    },
    Delete(Kind, Pick),
    Open(Kind, Pick),
    Query(Kind, Pick),
    Stats(Pick),
    Enumerate(Kind, Filter),
    /// A document that no operation can take.
    Garbage {
        kind: Kind,
        text: usize,
    },
}

impl Command {
    pub fn name(&self) -> &'static str {
        match self {
            Command::CreateNetwork(_) => "create network",
            Command::CreateNamespace(_) => "create namespace",
            Command::CreateEndpoint(_) => "create endpoint",
            Command::CreateBalancer(_) => "create load balancer",
            Command::ModifyBalancer(..) => "modify load balancer",
            Command::Attach(..) => "attach",
            Command::Detach(..) => "detach",
            Command::Container { .. } => "container",
            Command::ChangePolicies { .. } => "change policies",
            Command::ChangeDns(_) => "change DNS",
            Command::Remote { .. } => "remote subnet",
            Command::HostRoute { .. } => "host route",
            Command::Delete(..) => "delete",
            Command::Open(..) => "open",
            Command::Query(..) => "query",
            Command::Stats(_) => "statistics",
            Command::Enumerate(..) => "enumerate",
            Command::Garbage { .. } => "garbage",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Network,
    Namespace,
    Endpoint,
    Balancer,
}

/// One of the objects there are, by creation order; now and then one that does not exist.
#[derive(Debug, Clone, Copy)]
pub struct Pick(pub u8);

/// Who says which id the new object has.
#[derive(Debug, Clone, Copy)]
pub enum IdWish {
    Service,
    Parameter(u8),
    Member(u8),
    /// The parameter wins over the member (hcn.md 3.1).
    Both(u8, u8),
}

#[derive(Debug, Clone)]
pub struct NetworkWish {
    pub id: IdWish,
    pub name: Option<u8>,
    pub kind: usize,
    pub subnets: Vec<SubnetWish>,
    pub flags: u32,
    pub pool: Pool,
    pub policy: bool,
    /// Of an L2Bridge network: the MAC that its endpoints have on the wire.
    pub source_mac: Option<u8>,
    pub spelling: Spelling,
}

#[derive(Debug, Clone, Copy)]
pub struct SubnetWish {
    pub prefix: usize,
    pub gateway: Gateway,
}

#[derive(Debug, Clone, Copy)]
pub enum Gateway {
    Absent,
    /// The address this far above the network address.
    Offset(u8),
    Elsewhere,
    Malformed,
}

#[derive(Debug, Clone, Copy)]
pub enum Pool {
    Absent,
    /// That many addresses.
    Small(u8),
    Backwards,
}

#[derive(Debug, Clone)]
pub struct NamespaceWish {
    pub id: IdWish,
    pub kind: usize,
    pub spelling: Spelling,
}

#[derive(Debug, Clone)]
pub struct EndpointWish {
    pub network: Pick,
    /// By handle, by member, or not at all.
    pub naming: Naming,
    pub id: IdWish,
    pub name: Option<u8>,
    pub addresses: Vec<AddressWish>,
    pub mac: MacWish,
    pub flags: u32,
    pub policies: Vec<Policy>,
    /// It lives on this host, if on another.
    pub remote: Option<u8>,
    pub spelling: Spelling,
}

#[derive(Debug, Clone, Copy)]
pub enum Naming {
    Handle,
    Member,
    Nothing,
}

#[derive(Debug, Clone, Copy)]
pub enum AddressWish {
    Any,
    AnyWithLength(u8),
    /// An address of the network's n-th subnet, this far above the network address.
    Offset(u8, u8),
    /// The seventh address of one of [`RANGES`].
    InRange(u8),
    Elsewhere,
    Malformed,
}

#[derive(Debug, Clone, Copy)]
pub enum MacWish {
    Service,
    Given(u8),
    Group,
    Malformed,
}

#[derive(Debug, Clone)]
pub enum Policy {
    Mapping {
        protocol: u8,
        external: u16,
        internal: u16,
    },
    Acl(Rule),
    /// Lacks its Action, or has something in it that is no address, port or protocol.
    BadAcl(usize),
    Qos(u64),
    Mtu(u16),
    PortName(u8),
    OutboundNat {
        /// MaxPortPoolUsage; 0 is no limit.
        most: u16,
        exceptions: Vec<usize>,
    },
    Unknown(usize),
}

/// An access rule.
#[derive(Debug, Clone)]
pub struct Rule {
    pub allow: bool,
    pub inbound: bool,
    pub priority: u16,
    pub protocols: usize,
    pub remote: Vec<usize>,
    pub local_ports: Option<usize>,
    pub remote_ports: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Add,
    Update,
    Remove,
    Refresh,
    Reset,
}

#[derive(Debug, Clone)]
pub struct BalancerWish {
    pub id: IdWish,
    pub endpoints: Vec<Pick>,
    pub vips: Vec<usize>,
    pub mappings: Vec<(u8, u16, u16)>,
    pub affinity: u8,
    pub extra: Extra,
    pub spelling: Spelling,
}

/// What a load balancer is asked beside spreading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    Nothing,
    /// Backends see this address.
    Source,
    /// For the inside only, or for the host's programs, too.
    Internal,
    InternalAndLocal,
    /// Backends get the virtual IP as destination.
    Preserve,
}

#[derive(Debug, Clone, Copy)]
pub enum Filter {
    None,
    Name(u8),
    Id(Pick),
    /// By the name of version 1, and by that of version 2.
    Network(Pick, bool),
    State(u16),
    Flags(u32),
    UnknownMember,
    EmptyId,
    Malformed,
}

/// How a document is written: all spellings mean the same (hcn.md 0.3 rules 7, 8, 36).
#[derive(Debug, Clone, Copy)]
pub enum Spelling {
    Exact,
    LowerCase,
    WithNullsAndUnknowns,
    UpperCaseIds,
}

pub const TYPES: [&str; 12] = [
    "",
    "NAT",
    "nat",
    "Internal",
    "Private",
    "Overlay",
    "L2Bridge",
    "Infiniband",
    "Torus",
    "ICS",
    "ConstrainedICS",
    "Transparent",
];
/// What may be behind other hosts: two apart, one around them, one inside a subnet, one in a subnet of another network, and IPv6.
pub const RANGES: [&str; 6] = [
    "10.244.2.0/24",
    "10.244.3.0/24",
    "10.244.0.0/16",
    "10.1.0.128/25",
    "172.18.7.0/24",
    "fd00:244::/64",
];
pub const NAMESPACE_TYPES: [&str; 5] = ["", "Host", "HostDefault", "Guest", "Kitchen"];
/// The first two overlap; the rest are apart, down to two that no subnet can be.
pub const PREFIXES: [&str; 9] = [
    "10.1.0.0/24",
    "10.1.0.0/16",
    "10.2.0.0/28",
    "10.3.0.0/29",
    "10.4.0.0/30",
    "fd00:1::/64",
    "fd00:2::/120",
    "10.9.0.1/24",
    "10.9.0.0/33",
];
pub const VIPS: [&str; 4] = ["10.96.0.1", "10.96.0.2", "fd00:96::1", "not-an-address"];
pub const REMOTES: [&str; 5] =
    ["10.1.0.0/24", "10.2.0.0/28", "203.0.113.0/24", "fd00:1::/64", "0.0.0.0/0"];
pub const PORT_LISTS: [&str; 4] = ["80", "80-90", "22,80", "443"];
pub const PROTOCOL_LISTS: [&str; 5] = ["", "6", "17", "6,17", "256"];
pub const BAD_ACLS: [&str; 5] = [
    r#"{"Direction":"In","RuleType":"Switch","Priority":200}"#,
    r#"{"Action":"Allow","RuleType":"Switch","Priority":200}"#,
    r#"{"Action":"Allow","Direction":"In","RemoteAddresses":"Any","RuleType":"Switch","Priority":200}"#,
    r#"{"Action":"Allow","Direction":"In","Protocols":"6","LocalPorts":"90-80","RuleType":"Switch","Priority":200}"#,
    r#"{"Action":"Allow","Direction":"In","Protocols":"six","RuleType":"Switch","Priority":200}"#,
];
pub const UNKNOWN_POLICIES: [&str; 3] = ["Teleport", "VLAN", "Encryption"];
pub const GARBAGE: [&str; 7] =
    ["{", "[]", "\"text\"", "5", "{\"Name\":5}", "{\"ID\":\"x\"}", "{\"Name\":\"a\"} {}"];

fn id_wish() -> impl Strategy<Value = IdWish> {
    prop_oneof![
        20 => Just(IdWish::Service),
        1 => (0..4_u8).prop_map(IdWish::Parameter),
        1 => (0..4_u8).prop_map(IdWish::Member),
        1 => (0..4_u8, 0..4_u8).prop_map(|(a, b)| IdWish::Both(a, b)),
    ]
}

fn pick() -> impl Strategy<Value = Pick> {
    any::<u8>().prop_map(Pick)
}

/// Mostly the first object: the overlay that many histories begin with.
fn first_or_any() -> impl Strategy<Value = Pick> {
    prop_oneof![4 => Just(nth(0)), 1 => pick()]
}

fn spelling() -> impl Strategy<Value = Spelling> {
    prop_oneof![
        3 => Just(Spelling::Exact),
        1 => Just(Spelling::LowerCase),
        1 => Just(Spelling::WithNullsAndUnknowns),
        1 => Just(Spelling::UpperCaseIds),
    ]
}

fn network() -> impl Strategy<Value = NetworkWish> {
    let gateway = prop_oneof![
        8 => Just(Gateway::Absent),
        20 => Just(Gateway::Offset(1)),
        4 => Just(Gateway::Offset(2)),
        1 => Just(Gateway::Elsewhere),
        1 => Just(Gateway::Malformed),
    ];
    let prefix = prop_oneof![30 => 0..7_usize, 1 => 7..PREFIXES.len()];
    let subnet = (prefix, gateway).prop_map(|(prefix, gateway)| SubnetWish { prefix, gateway });
    let kind = prop_oneof![10 => 0..3_usize, 4 => 3..5_usize, 9 => 5..7_usize, 1 => 7..9_usize, 6 => 9..TYPES.len()];
    let flags =
        prop_oneof![20 => Just(0_u32), 4 => Just(8), 4 => Just(16), 3 => 1..4_u32, 1 => Just(4)];
    let pool = prop_oneof![
        20 => Just(Pool::Absent),
        3 => (1..4_u8).prop_map(Pool::Small),
        1 => Just(Pool::Backwards),
    ];
    let policy = prop::bool::weighted(0.02);
    let source_mac = of(0..2_u8);
    let about = (id_wish(), of(0..4_u8), kind, flags, pool, (policy, source_mac), spelling());
    (about, vec(subnet, 0..3)).prop_map(
        |((id, name, kind, flags, pool, (policy, source_mac), spelling), subnets)| NetworkWish {
            id,
            name,
            kind,
            subnets,
            flags,
            pool,
            policy,
            source_mac,
            spelling,
        },
    )
}

fn endpoint() -> impl Strategy<Value = EndpointWish> {
    let naming = prop_oneof![
        30 => Just(Naming::Handle),
        10 => Just(Naming::Member),
        1 => Just(Naming::Nothing),
    ];
    let address = prop_oneof![
        12 => Just(AddressWish::Any),
        4 => (20..33_u8).prop_map(AddressWish::AnyWithLength),
        8 => (0..2_u8, 4..9_u8).prop_map(|(subnet, offset)| AddressWish::Offset(subnet, offset)),
        4 => (0..2_u8, 0..9_u8).prop_map(|(subnet, offset)| AddressWish::Offset(subnet, offset)),
        1 => Just(AddressWish::Elsewhere),
        1 => Just(AddressWish::Malformed),
    ];
    let addresses = prop_oneof![4 => Just(0..1_usize), 2 => Just(1..2), 1 => Just(2..3)]
        .prop_flat_map(move |size| vec(address.clone(), size));
    let mac = prop_oneof![
        40 => Just(MacWish::Service),
        10 => (0..3_u8).prop_map(MacWish::Given),
        1 => Just(MacWish::Group),
        1 => Just(MacWish::Malformed),
    ];
    let flags = prop_oneof![30 => Just(0_u32), 6 => Just(2), 1 => Just(4)];
    let about = (pick(), naming, id_wish(), of(0..4_u8), mac, flags, spelling());
    (about, addresses, vec(policy(), 0..3)).prop_map(
        |((network, naming, id, name, mac, flags, spelling), addresses, policies)| EndpointWish {
            network,
            naming,
            id,
            name,
            addresses,
            mac,
            flags,
            policies,
            remote: None,
            spelling,
        },
    )
}

/// An endpoint on another host, or one that says it is on this (1).
fn remote_endpoint() -> impl Strategy<Value = EndpointWish> {
    let address = prop_oneof![
        8 => (0..2_u8, 4..9_u8).prop_map(|(subnet, offset)| AddressWish::Offset(subnet, offset)),
        8 => (0..3_u8).prop_map(AddressWish::InRange),
        1 => Just(AddressWish::Any),
    ];
    let host = prop_oneof![1 => Just(1_u8), 12 => 2..4_u8];
    let policies = prop_oneof![12 => Just(Vec::new()), 1 => vec(policy(), 1..2)];
    (first_or_any(), address, 0..3_u8, host, policies, spelling()).prop_map(
        |(network, address, mac, host, policies, spelling)| EndpointWish {
            network,
            naming: Naming::Handle,
            id: IdWish::Service,
            name: None,
            addresses: std::vec![address],
            mac: MacWish::Given(mac),
            flags: 1,
            policies,
            remote: Some(host),
            spelling,
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let port = prop_oneof![3 => Just(0_u16), 10 => 8080..8090_u16];
    let internal = prop_oneof![1 => Just(0_u16), 30 => Just(80_u16)];
    let protocol = prop_oneof![Just(6_u8), Just(17), Just(132)];
    let rate = prop_oneof![Just(125_000_u64), Just(1_000_000)];
    prop_oneof![
        10 => (protocol, port, internal).prop_map(|(protocol, external, internal)| {
            Policy::Mapping { protocol, external, internal }
        }),
        20 => rule().prop_map(Policy::Acl),
        1 => (0..BAD_ACLS.len()).prop_map(Policy::BadAcl),
        4 => rate.prop_map(Policy::Qos),
        4 => prop_oneof![Just(1400_u16), Just(9000)].prop_map(Policy::Mtu),
        4 => (0..3_u8).prop_map(Policy::PortName),
        4 => (0..4_u16, vec(0..REMOTES.len(), 0..3))
            .prop_map(|(most, exceptions)| Policy::OutboundNat { most, exceptions }),
        1 => (0..UNKNOWN_POLICIES.len()).prop_map(Policy::Unknown),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let ends = (any::<bool>(), any::<bool>(), 100..103_u16, 0..PROTOCOL_LISTS.len());
    let ports = (of(0..PORT_LISTS.len()), of(0..PORT_LISTS.len()));
    (ends, vec(0..REMOTES.len(), 0..3), ports).prop_map(
        |((allow, inbound, priority, protocols), remote, (local_ports, remote_ports))| {
            // Ports go with TCP and UDP only.
            let ported = matches!(protocols, 1..=3);
            Rule {
                allow,
                inbound,
                priority,
                protocols,
                remote,
                local_ports: local_ports.filter(|_| ported),
                remote_ports: remote_ports.filter(|_| ported && !inbound),
            }
        },
    )
}

fn balancer() -> impl Strategy<Value = BalancerWish> {
    let vip = prop_oneof![20 => 0..2_usize, 1 => 2..VIPS.len()];
    let port = prop_oneof![30 => 8000..8006_u16, 1 => Just(0_u16)];
    let internal = prop_oneof![30 => Just(80_u16), 1 => Just(0_u16)];
    let protocol = prop_oneof![4 => Just(6_u8), 2 => Just(17)];
    let mappings = vec((protocol, port, internal), 1..3);
    let extra = prop_oneof![
        4 => Just(Extra::Nothing),
        1 => Just(Extra::Source),
        1 => Just(Extra::Internal),
        1 => Just(Extra::InternalAndLocal),
        1 => Just(Extra::Preserve),
    ];
    let how = (0..3_u8, extra);
    (id_wish(), vec(pick(), 0..4), vec(vip, 0..3), mappings, how, spelling()).prop_map(
        |(id, endpoints, vips, mappings, (affinity, extra), spelling)| BalancerWish {
            id,
            endpoints,
            vips,
            mappings,
            affinity,
            extra,
            spelling,
        },
    )
}

fn namespace() -> impl Strategy<Value = NamespaceWish> {
    let kind = prop_oneof![8 => 0..3_usize, 1 => Just(3), 2 => Just(4)];
    (id_wish(), kind, spelling()).prop_map(|(id, kind, spelling)| NamespaceWish {
        id,
        kind,
        spelling,
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Network),
        Just(Kind::Namespace),
        Just(Kind::Endpoint),
        Just(Kind::Balancer)
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        2 => Just(Filter::None),
        3 => (0..4_u8).prop_map(Filter::Name),
        2 => pick().prop_map(Filter::Id),
        3 => (pick(), any::<bool>()).prop_map(|(network, v2)| Filter::Network(network, v2)),
        2 => (1..5_u16).prop_map(Filter::State),
        1 => prop_oneof![Just(8_u32), Just(16)].prop_map(Filter::Flags),
        1 => Just(Filter::UnknownMember),
        1 => Just(Filter::EmptyId),
        3 => Just(Filter::Malformed),
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Add),
        3 => Just(How::Update),
        3 => Just(How::Remove),
        1 => Just(How::Refresh),
        1 => Just(How::Reset),
    ]
}

/// Any one command.
pub fn command() -> impl Strategy<Value = Command> {
    let policies = || vec(policy(), 0..3);
    prop_oneof![
        4 => network().prop_map(Command::CreateNetwork),
        5 => namespace().prop_map(Command::CreateNamespace),
        14 => endpoint().prop_map(Command::CreateEndpoint),
        5 => balancer().prop_map(Command::CreateBalancer),
        3 => (pick(), balancer()).prop_map(|(id, wish)| Command::ModifyBalancer(id, wish)),
        14 => (pick(), pick())
            .prop_map(|(namespace, endpoint)| Command::Attach(namespace, endpoint)),
        8 => (of(pick()), pick())
            .prop_map(|(namespace, endpoint)| Command::Detach(namespace, endpoint)),
        2 => (pick(), 0..2_u8, any::<bool>())
            .prop_map(|(namespace, number, add)| Command::Container { namespace, number, add }),
        8 => (pick(), how(), policies())
            .prop_map(|(endpoint, how, policies)| Command::ChangePolicies { endpoint, how, policies }),
        4 => remote_endpoint().prop_map(Command::CreateEndpoint),
        6 => (first_or_any(), prop::bool::weighted(0.7), 0..RANGES.len(), 0..5_u32, 2..4_u8).prop_map(
            |(network, add, range, vsid, host)| {
                // Mostly the virtual subnet of the overlay that many histories begin with.
                let vsid = 4096 + vsid.saturating_sub(2);
                Command::Remote { network, add, range, vsid, host }
            },
        ),
        6 => (first_or_any(), any::<bool>())
            .prop_map(|(network, add)| Command::HostRoute { network, add }),
        5 => pick().prop_map(Command::ChangeDns),
        6 => (kind(), pick()).prop_map(|(kind, id)| Command::Delete(kind, id)),
        4 => (kind(), pick()).prop_map(|(kind, id)| Command::Open(kind, id)),
        5 => (kind(), pick()).prop_map(|(kind, id)| Command::Query(kind, id)),
        4 => pick().prop_map(Command::Stats),
        5 => (kind(), filter()).prop_map(|(kind, filter)| Command::Enumerate(kind, filter)),
        2 => (kind(), 0..GARBAGE.len()).prop_map(|(kind, text)| Command::Garbage { kind, text }),
    ]
}

/// A history: enough commands to build something and to break it. Most begin with a world that is already busy.
pub fn history(most: usize) -> impl Strategy<Value = Vec<Command>> {
    let founded = prop_oneof![1 => Just(None), 2 => Just(Some(1_usize)), 2 => Just(Some(5_usize)), 1 => Just(Some(6_usize))];
    (founded, vec(command(), 1..most)).prop_map(|(founded, commands)| {
        let founding = founded.map(founding).unwrap_or_default();
        founding.into_iter().chain(commands).collect()
    })
}

/// Three networks, five endpoints, three namespaces, a load balancer: all valid. The first network is NAT or an overlay.
fn founding(first: usize) -> Vec<Command> {
    let network = |kind, subnets: &[usize]| {
        let subnet = |prefix: &usize| SubnetWish { prefix: *prefix, gateway: Gateway::Offset(1) };
        Command::CreateNetwork(NetworkWish {
            id: IdWish::Service,
            name: None,
            kind,
            subnets: subnets.iter().map(subnet).collect(),
            flags: 0,
            pool: Pool::Absent,
            policy: false,
            source_mac: None,
            spelling: Spelling::Exact,
        })
    };
    let endpoint = |place: u8| {
        Command::CreateEndpoint(EndpointWish {
            network: nth(place),
            naming: Naming::Handle,
            id: IdWish::Service,
            name: None,
            addresses: Vec::new(),
            mac: MacWish::Service,
            flags: 0,
            policies: Vec::new(),
            remote: None,
            spelling: Spelling::Exact,
        })
    };
    let namespace = NamespaceWish { id: IdWish::Service, kind: 0, spelling: Spelling::Exact };
    let balancer = BalancerWish {
        id: IdWish::Service,
        endpoints: vec![nth(0), nth(1)],
        vips: vec![0],
        mappings: vec![(6, 8000, 80)],
        affinity: 0,
        extra: Extra::Nothing,
        spelling: Spelling::Exact,
    };
    // Bridged networks have no IPv6.
    let mut commands = vec![
        network(first, if first == 6 { &[0] } else { &[0, 5] }),
        network(3, &[2]),
        network(4, &[3]),
    ];
    commands.extend([0, 0, 0, 1, 2].map(endpoint));
    commands.extend([(); 3].map(|()| Command::CreateNamespace(namespace.clone())));
    commands.extend([0, 1, 2].map(|place| Command::Attach(nth(place + 1), nth(place))));
    commands.push(Command::CreateBalancer(balancer));
    commands
}

/// A pick of the n-th object, if there are that many; namespace 0 is HostDefault.
fn nth(place: u8) -> Pick {
    Pick(place * MISSES + 1)
}

/// One pick in this many is of an object that does not exist.
pub const MISSES: u8 = 12;
