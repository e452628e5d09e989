//! What a test asks of the engine: commands in terms of "the third endpoint, if there are three", so that any sequence makes
//! sense and shrinks well. Pools of names, prefixes and ports are small on purpose: collisions are the interesting part.

/// One call.
#[derive(Debug, Clone)]
pub enum Command {
    CreateNetwork(NetworkWish),
    CreateNamespace(NamespaceWish),
    CreateEndpoint(EndpointWish),
    CreateBalancer(BalancerWish),
    ModifyBalancer(Pick, BalancerWish),
    CreateRoute(RouteWish),
    /// Which nobody can (hcn.md 3.11).
    ModifyRoute(Pick),
    CreateGuestService(GuestServiceWish),
    /// To one of [`STATES`].
    MoveGuestService(Pick, usize),
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
    /// Tells a network what is behind other hosts, or that it is not.
    Remotes {
        network: Pick,
        how: How,
        remotes: Vec<RemoteWish>,
    },
    /// Sets of addresses of a network.
    Sets {
        network: Pick,
        how: How,
        sets: Vec<SetWish>,
    },
    /// Access rules for all endpoints of a network.
    NetworkRules {
        network: Pick,
        how: How,
        rules: Vec<Rule>,
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
            Command::CreateRoute(_) => "create route",
            Command::ModifyRoute(_) => "modify route",
            Command::CreateGuestService(_) => "create guest service",
            Command::MoveGuestService(..) => "move guest service",
            Command::Remotes { .. } => "remote subnets",
            Command::Sets { .. } => "sets",
            Command::NetworkRules { .. } => "network rules",
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
    Route,
    GuestService,
}

pub const KINDS: [Kind; 6] = [
    Kind::Network,
    Kind::Namespace,
    Kind::Endpoint,
    Kind::Balancer,
    Kind::Route,
    Kind::GuestService,
];

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
    Route(Entry),
    Sidecar(Sidecar),
    Tier(Tier),
    Unknown(usize),
}

/// An access rule of an endpoint or of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub action: Action,
    pub inbound: bool,
    /// RuleType Host.
    pub inner: bool,
    pub priority: u16,
    pub protocols: usize,
    pub remote: Vec<usize>,
    /// Sets that the source is in, all of them, and the destination; in place of addresses.
    pub from_sets: Vec<u8>,
    pub to_sets: Vec<u8>,
    pub local_ports: Option<usize>,
    pub remote_ports: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Block,
    Pass,
    Allow,
}

/// Rules that are asked before those of the port; what is said of direction and stage in them counts for nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    pub inbound: bool,
    pub order: u16,
    pub rules: Vec<Rule>,
}

/// A destination with a way of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    pub destination: usize,
    pub hop: usize,
    pub encapsulated: bool,
}

/// A proxy inside the namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Sidecar {
    pub inbound: Option<u16>,
    pub outbound: Option<u16>,
    pub protocols: usize,
    pub remote: Option<usize>,
    /// Peers and ports that it leaves alone.
    pub peer: Option<usize>,
    pub ports: Option<usize>,
    pub user: bool,
    pub priority: u16,
}

#[derive(Debug, Clone)]
pub struct RouteWish {
    pub id: IdWish,
    pub endpoints: Vec<Pick>,
    pub entries: Vec<Entry>,
    pub spelling: Spelling,
}

#[derive(Debug, Clone)]
pub struct GuestServiceWish {
    pub id: IdWish,
    pub flags: u32,
    pub spelling: Spelling,
}

#[derive(Debug, Clone)]
pub struct SetWish {
    pub name: u8,
    /// Values are members of [`MEMBERS`], or numbers of other sets.
    pub nested: bool,
    pub values: Vec<usize>,
}

/// What is behind another host: one of [`RANGES`], virtual subnet, host.
#[derive(Debug, Clone, Copy)]
pub struct RemoteWish {
    pub range: usize,
    pub vsid: u32,
    pub host: u8,
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
    /// Several members: what is listed has all of them.
    NameAndFlags(u8, u32),
    NetworkAndState(Pick, u16),
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
/// Members of sets: the first contains the second, the third is one service of an address.
pub const MEMBERS: [&str; 7] = [
    "10.1.0.0/24",
    "10.1.0.4",
    "10.2.0.2,tcp:80",
    "203.0.113.0/24",
    "203.0.113.9,udp:53",
    "fd00:1::/64",
    "10.2.0.999",
];
/// Of routes of their own; the second has host bits set, as hcsshim's tests say it.
pub const DESTINATIONS: [&str; 7] = [
    "0.0.0.0/0",
    "203.0.113.77/24",
    "203.0.113.9/32",
    "192.0.2.128/25",
    "10.2.0.0/28",
    "::/0",
    "ten",
];
/// Nowhere, this host, machines on its two adapters, the gateway of a network that often is, addresses inside and of no adapter.
pub const HOPS: [&str; 8] = [
    "",
    "127.10.0.34",
    "198.51.100.9",
    "192.0.2.9",
    "10.1.0.1",
    "10.2.0.5",
    "100.64.0.1",
    "next door",
];
/// What the owner can say of a guest network service, and what only the service itself can.
pub const STATES: [&str; 8] = [
    "Bootstrapping",
    "Synchronized",
    "Paused",
    "Desynchronized",
    "Degraded",
    "Created",
    "Destroyed",
    "Asleep",
];
pub const UNKNOWN_POLICIES: [&str; 3] = ["Teleport", "Firewall", "Encryption"];
pub const GARBAGE: [&str; 7] =
    ["{", "[]", "\"text\"", "5", "{\"Name\":5}", "{\"ID\":\"x\"}", "{\"Name\":\"a\"} {}"];

/// One pick in this many is of an object that does not exist.
pub const MISSES: u8 = 12;
