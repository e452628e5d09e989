//! Random histories: which commands come how often, and the busy worlds that most of them begin with.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::command::{
    Action, AddressWish, BAD_ACLS, BalancerWish, Command, DESTINATIONS, EndpointWish, Entry, Extra,
    Filter, GARBAGE, Gateway, GuestServiceWish, HOPS, How, IdWish, Kind, MEMBERS, MISSES, MacWish,
    NamespaceWish, Naming, NetworkWish, PORT_LISTS, PREFIXES, PROTOCOL_LISTS, Pick, Policy, Pool,
    RANGES, REMOTES, RemoteWish, RouteWish, Rule, STATES, SetWish, Sidecar, Spelling, SubnetWish,
    TYPES, Tier, UNKNOWN_POLICIES, VIPS,
};

/// How many names of sets there are.
const SETS: u8 = 4;

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
        16 => rule().prop_map(Policy::Acl),
        4 => tier().prop_map(Policy::Tier),
        6 => entry().prop_map(Policy::Route),
        6 => sidecar().prop_map(Policy::Sidecar),
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
    let action =
        prop_oneof![10 => Just(Action::Allow), 10 => Just(Action::Block), 1 => Just(Action::Pass)];
    let stage = (any::<bool>(), prop::bool::weighted(0.1));
    let ends = (action, stage, 100..103_u16, 0..PROTOCOL_LISTS.len());
    let ports = (of(0..PORT_LISTS.len()), of(0..PORT_LISTS.len()));
    let names = || prop_oneof![6 => Just(Vec::new()), 1 => vec(0..SETS, 1..3)];
    (ends, vec(0..REMOTES.len(), 0..3), (names(), names()), ports).prop_map(
        |(ends, mut remote, (from_sets, to_sets), (local_ports, remote_ports))| {
            let (action, (inbound, inner), priority, protocols) = ends;
            // Ports go with TCP and UDP only.
            let ported = matches!(protocols, 1..=3);
            if !(from_sets.is_empty() && to_sets.is_empty()) {
                remote.clear();
            }
            Rule {
                action,
                inbound,
                inner,
                priority,
                protocols,
                remote,
                from_sets,
                to_sets,
                local_ports: local_ports.filter(|_| ported),
                remote_ports: remote_ports.filter(|_| ported && !inbound),
            }
        },
    )
}

fn tier() -> impl Strategy<Value = Tier> {
    let action = prop_oneof![Just(Action::Allow), Just(Action::Block), Just(Action::Pass)];
    let rule = (rule(), action).prop_map(|(rule, action)| Rule { action, ..rule });
    (any::<bool>(), 0..2_u16, vec(rule, 0..3)).prop_map(|(inbound, order, rules)| Tier {
        inbound,
        order,
        rules,
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let bad = DESTINATIONS.len() - 1;
    let destination = prop_oneof![30 => 0..bad, 1 => Just(bad)];
    let hop = prop_oneof![30 => 0..4_usize, 4 => 4..6_usize, 1 => 6..HOPS.len()];
    (destination, hop, any::<bool>()).prop_map(|(destination, hop, encapsulated)| Entry {
        destination,
        hop,
        encapsulated,
    })
}

fn route() -> impl Strategy<Value = RouteWish> {
    let entries = prop_oneof![30 => vec(entry(), 1..4), 1 => Just(Vec::new())];
    (id_wish(), vec(pick(), 0..4), entries, spelling()).prop_map(
        |(id, endpoints, entries, spelling)| RouteWish { id, endpoints, entries, spelling },
    )
}

fn sidecar() -> impl Strategy<Value = Sidecar> {
    let port = || of(prop_oneof![20 => 15000..15003_u16, 1 => Just(0_u16)]);
    let protocols = prop_oneof![20 => 0..4_usize, 1 => Just(PROTOCOL_LISTS.len() - 1)];
    let meant = (protocols, of(0..REMOTES.len()));
    let spared = (of(0..REMOTES.len()), of(0..PORT_LISTS.len()));
    ((port(), port()), meant, spared, any::<bool>(), 0..3_u16).prop_map(
        |((inbound, outbound), (protocols, remote), (peer, ports), user, priority)| Sidecar {
            inbound,
            outbound,
            protocols,
            remote,
            peer,
            ports,
            user,
            priority,
        },
    )
}

fn set() -> impl Strategy<Value = SetWish> {
    let bad = MEMBERS.len() - 1;
    let addresses = vec(prop_oneof![40 => 0..bad, 1 => Just(bad)], 0..4);
    let names = vec(0..usize::from(SETS), 0..3);
    let values = prop_oneof![
        3 => addresses.prop_map(|values| (false, values)),
        1 => names.prop_map(|values| (true, values)),
    ];
    (0..SETS, values).prop_map(|(name, (nested, values))| SetWish { name, nested, values })
}

fn remote() -> impl Strategy<Value = RemoteWish> {
    // Mostly the virtual subnet of the overlay that many histories begin with.
    let vsid = (0..5_u32).prop_map(|vsid| 4096 + vsid.saturating_sub(2));
    (0..RANGES.len(), vsid, 2..4_u8).prop_map(|(range, vsid, host)| RemoteWish {
        range,
        vsid,
        host,
    })
}

/// How lists of a network's policies change: mostly by one.
fn few<T: std::fmt::Debug + 'static>(
    one: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = (How, Vec<T>)> {
    let one = one.boxed();
    let size = prop_oneof![12 => Just(1..2_usize), 4 => Just(2..4), 1 => Just(0..1)];
    (how(), size.prop_flat_map(move |size| vec(one.clone(), size)))
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
        Just(Kind::Balancer),
        Just(Kind::Route),
        Just(Kind::GuestService)
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
        2 => (0..4_u8, prop_oneof![3 => Just(0_u32), 1 => Just(8), 1 => Just(16)])
            .prop_map(|(name, flags)| Filter::NameAndFlags(name, flags)),
        2 => (pick(), 1..5_u16)
            .prop_map(|(network, state)| Filter::NetworkAndState(network, state)),
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
        8 => (first_or_any(), few(remote()))
            .prop_map(|(network, (how, remotes))| Command::Remotes { network, how, remotes }),
        8 => (first_or_any(), few(set()))
            .prop_map(|(network, (how, sets))| Command::Sets { network, how, sets }),
        4 => (first_or_any(), few(rule()))
            .prop_map(|(network, (how, rules))| Command::NetworkRules { network, how, rules }),
        6 => route().prop_map(Command::CreateRoute),
        2 => pick().prop_map(Command::ModifyRoute),
        3 => (id_wish(), 0..5_u32, spelling()).prop_map(|(id, flags, spelling)| {
            Command::CreateGuestService(GuestServiceWish { id, flags, spelling })
        }),
        5 => (pick(), prop_oneof![8 => 0..5_usize, 1 => 5..STATES.len()])
            .prop_map(|(service, state)| Command::MoveGuestService(service, state)),
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

/// Three networks, five endpoints, three namespaces, a load balancer, a guest network service: all valid. The first network is NAT or an overlay.
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
    let (id, spelling) = (IdWish::Service, Spelling::Exact);
    commands.push(Command::CreateGuestService(GuestServiceWish { id, flags: 3, spelling }));
    commands
}

/// A pick of the n-th object, if there are that many; namespace 0 is HostDefault.
fn nth(place: u8) -> Pick {
    Pick(place * MISSES + 1)
}
