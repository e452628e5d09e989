//! Which requests must fail, and with which HRESULTs (hcn.md 3 and 4).
//!
//! A request may be wrong in several ways at once and the rules do not say which is reported, so an expectation is a set.
//! `perhaps` holds what a service may refuse but need not: where the rules name no behaviour, success is followed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hostcompute_schema::{Guid, HResult};
use ipnet::IpNet;

use crate::command::{
    AddressWish, BalancerWish, Command, EndpointWish, Extra, Filter, Gateway, Kind, MacWish,
    NamespaceWish, Naming, NetworkWish, PREFIXES, Pool, SubnetWish, VIPS,
};
use crate::model::{Endpoint, Mode, Model, Network, Subnet};
use crate::policies::{change_policies, in_machine, network_rules, on_host, policy_list};
use crate::{detours, guests, remotes, render, sets};

/// How a request may end.
#[derive(Debug, Default)]
pub struct Expected {
    /// If not empty, the request fails with one of these, or of `perhaps`.
    pub wrong: BTreeSet<u32>,
    /// Codes with which the request may fail although nothing is wrong.
    pub perhaps: BTreeSet<u32>,
    /// Any code would do: the rules name none.
    pub unnamed: bool,
}

impl Expected {
    pub fn wrong(&mut self, codes: impl IntoIterator<Item = HResult>) {
        self.wrong.extend(codes.into_iter().map(|code| code.0));
    }

    pub fn perhaps(&mut self, codes: impl IntoIterator<Item = HResult>) {
        self.perhaps.extend(codes.into_iter().map(|code| code.0));
    }

    /// Whether this is a way for the request to end.
    pub fn admits(&self, outcome: Result<(), HResult>) -> bool {
        match outcome {
            Ok(()) => self.wrong.is_empty(),
            Err(code) => {
                let named = self.wrong.contains(&code.0) || self.perhaps.contains(&code.0);
                named || (self.unnamed && code != HResult::E_UNEXPECTED)
            }
        }
    }
}

pub fn not_found(kind: Kind) -> HResult {
    match kind {
        Kind::Network => HResult::HCN_E_NETWORK_NOT_FOUND,
        Kind::Endpoint => HResult::HCN_E_ENDPOINT_NOT_FOUND,
        _ => HResult::ERROR_NOT_FOUND,
    }
}

/// How a command may end.
pub fn expect(model: &Model, command: &Command) -> Expected {
    let mut expected = Expected::default();
    let e = &mut expected;
    match command {
        Command::CreateNetwork(wish) => network(e, model, wish),
        Command::CreateNamespace(wish) => namespace(e, model, wish),
        Command::CreateEndpoint(wish) => endpoint(e, model, wish),
        Command::CreateBalancer(wish) => {
            id_free(e, model, Kind::Balancer, render::ids(Kind::Balancer, wish.id));
            balancer(e, model, wish, None);
        }
        Command::ModifyBalancer(pick, wish) => {
            let id = model.pick(Kind::Balancer, *pick);
            must_exist(e, model, Kind::Balancer, id);
            balancer(e, model, wish, Some(id));
        }
        Command::Attach(namespace, endpoint) => {
            let namespace = model.pick(Kind::Namespace, *namespace);
            attach(e, model, namespace, model.pick(Kind::Endpoint, *endpoint));
        }
        Command::Detach(namespace, endpoint) => {
            let endpoint = model.pick(Kind::Endpoint, *endpoint);
            let namespace = model.place_of(*namespace, endpoint);
            must_exist(e, model, Kind::Namespace, namespace);
            if !model.residents(namespace).contains(&endpoint) {
                e.wrong([HResult::ERROR_NOT_FOUND]);
            }
        }
        Command::Container { namespace, number, add } => {
            let id = model.pick(Kind::Namespace, *namespace);
            must_exist(e, model, Kind::Namespace, id);
            let users = model.namespace(id).map_or(&[][..], |namespace| &namespace.containers);
            if !add && !users.contains(number) {
                e.wrong([HResult::ERROR_NOT_FOUND, HResult::E_INVALIDARG]);
            }
            // HCS refuses containers in HostDefault (hcn.md 2.15).
            if id == model.host_default {
                e.wrong([HResult::E_INVALIDARG]);
            }
        }
        Command::ChangePolicies { endpoint, how, policies } => {
            let id = model.pick(Kind::Endpoint, *endpoint);
            must_exist(e, model, Kind::Endpoint, id);
            change_policies(e, model, id, *how, policies);
        }
        Command::ChangeDns(pick) => {
            must_exist(e, model, Kind::Network, model.pick(Kind::Network, *pick));
        }
        Command::Delete(kind, pick) => {
            let id = model.pick(*kind, *pick);
            must_exist(e, model, *kind, id);
            if *kind == Kind::Namespace
                && model.namespace(id).is_some_and(|namespace| !namespace.containers.is_empty())
            {
                e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
            }
        }
        Command::Open(kind, pick) | Command::Query(kind, pick) => {
            must_exist(e, model, *kind, model.pick(*kind, *pick));
        }
        Command::Stats(pick) => {
            let id = model.pick(Kind::Endpoint, *pick);
            must_exist(e, model, Kind::Endpoint, id);
            if model.endpoint(id).is_some_and(|endpoint| endpoint.remote.is_some()) {
                e.wrong([HResult::HCN_E_ENDPOINT_NOT_LOCAL]);
            }
        }
        Command::CreateRoute(wish) => {
            id_free(e, model, Kind::Route, render::ids(Kind::Route, wish.id));
            detours::expect(e, model, wish);
        }
        Command::ModifyRoute(pick) => {
            must_exist(e, model, Kind::Route, model.pick(Kind::Route, *pick));
            e.wrong([HResult::E_NOTIMPL]);
        }
        Command::CreateGuestService(wish) => {
            id_free(e, model, Kind::GuestService, render::ids(Kind::GuestService, wish.id));
            guests::expect_creation(e, wish);
        }
        Command::MoveGuestService(pick, state) => {
            must_exist(e, model, Kind::GuestService, model.pick(Kind::GuestService, *pick));
            guests::expect_move(e, *state);
        }
        Command::Remotes { .. }
        | Command::Sets { .. }
        | Command::NetworkRules { .. }
        | Command::HostRoute { .. } => of_network(e, model, command),
        Command::Enumerate(_, Filter::Malformed) => e.wrong([HResult::HCN_E_INVALID_JSON]),
        Command::Enumerate(..) => {}
        Command::Garbage { .. } => {
            e.wrong([HResult::HCN_E_INVALID_JSON, HResult::HCN_E_GUID_CONVERSION_FAILURE]);
        }
    }
    expected
}

/// How a change of a network's policies may end.
fn of_network(e: &mut Expected, model: &Model, command: &Command) {
    match command {
        Command::Remotes { network, how, remotes } => {
            let id = model.pick(Kind::Network, *network);
            must_exist(e, model, Kind::Network, id);
            remotes::expect(e, model, id, *how, remotes);
        }
        Command::Sets { network, how, sets } => {
            let id = model.pick(Kind::Network, *network);
            must_exist(e, model, Kind::Network, id);
            sets::expect(e, model, id, *how, sets);
        }
        Command::NetworkRules { network, how, rules } => {
            let id = model.pick(Kind::Network, *network);
            must_exist(e, model, Kind::Network, id);
            network_rules(e, model, id, *how, rules);
        }
        Command::HostRoute { network, add } => {
            let id = model.pick(Kind::Network, *network);
            must_exist(e, model, Kind::Network, id);
            let network = model.network(id);
            let stands = |network: &Network| matches!(network.mode, Mode::Overlay | Mode::Bridged);
            if network.is_some_and(|network| !stands(network)) {
                e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
            } else if !add && network.is_some_and(|network| !network.host_route) {
                e.wrong([HResult::HCN_E_POLICY_NOT_FOUND]);
            }
        }
        _ => {}
    }
}

fn must_exist(e: &mut Expected, model: &Model, kind: Kind, id: Guid) {
    if !model.exists(kind, id) {
        e.wrong([not_found(kind)]);
    }
}

fn id_free(e: &mut Expected, model: &Model, kind: Kind, ids: (Option<Guid>, Option<Guid>)) {
    if ids.0.or(ids.1).is_some_and(|id| model.exists(kind, id)) {
        e.wrong([match kind {
            Kind::Network => HResult::HCN_E_NETWORK_ALREADY_EXISTS,
            _ => HResult::ERROR_ALREADY_EXISTS,
        }]);
    }
}

/// The kind of network that a type name asks for.
pub fn mode(kind: usize) -> Option<Mode> {
    match kind {
        0..=2 | 9 | 10 => Some(Mode::Nat),
        3 => Some(Mode::Internal),
        4 => Some(Mode::Private),
        5 => Some(Mode::Overlay),
        6 => Some(Mode::Bridged),
        11 => Some(Mode::Transparent),
        _ => None,
    }
}

/// Whether the host has an address there at which it can answer.
fn answers(wish: &NetworkWish) -> bool {
    matches!(mode(wish.kind), Some(Mode::Nat | Mode::Internal))
}

fn network(e: &mut Expected, model: &Model, wish: &NetworkWish) {
    id_free(e, model, Kind::Network, render::ids(Kind::Network, wish.id));
    if mode(wish.kind).is_none() {
        e.wrong([HResult::HCN_E_INVALID_NETWORK_TYPE, HResult::HCN_E_VFP_NOT_ALLOWED]);
    }
    let name = wish.name.map(render::name);
    if name.is_some() && model.networks.iter().any(|network| network.name == name) {
        e.wrong([HResult::HCN_E_NETWORK_ALREADY_EXISTS]);
    }
    if wish.flags & 4 != 0 || (wish.flags & 3 != 0 && !answers(wish)) {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    let v4 = |subnet: &SubnetWish| !PREFIXES[subnet.prefix].contains(':');
    if wish.flags & 2 != 0 && !wish.subnets.is_empty() && !wish.subnets.iter().any(v4) {
        // DHCP has no address to give.
        e.wrong([HResult::HCN_E_INVALID_SUBNET]);
    }
    if matches!(wish.pool, Pool::Backwards) {
        e.wrong([HResult::HCN_E_INVALID_NETWORK]);
    }
    if wish.policy {
        e.wrong([HResult::HCN_E_ADAPTER_NOT_FOUND]);
    }
    if mode(wish.kind) == Some(Mode::Bridged) && wish.subnets.is_empty() {
        e.wrong([HResult::HCN_E_INVALID_NETWORK]);
    }
    let same = |network: &Network| network.source_mac == render::source_mac(wish);
    if render::source_mac(wish).is_some() && model.networks.iter().any(same) {
        // An adapter carries a MAC once.
        e.wrong([HResult::HCN_E_INVALID_POLICY]);
    }
    if mode(wish.kind) == Some(Mode::Overlay) {
        if wish.subnets.is_empty() {
            e.wrong([HResult::HCN_E_INVALID_NETWORK]);
        }
        let taken: Vec<u32> = model.networks.iter().flat_map(Network::vsids).collect();
        let asked = wish.subnets.iter().filter_map(|s| PREFIXES[s.prefix].parse().ok());
        if asked.into_iter().any(|prefix| taken.contains(&crate::model::vsid(&prefix))) {
            e.wrong([HResult::HCN_E_NETWORK_ALREADY_EXISTS]);
        }
    }
    let mut earlier: Vec<IpNet> = Vec::new();
    for subnet in &wish.subnets {
        earlier.extend(subnet_wish(e, model, subnet, &earlier));
    }
}

fn subnet_wish(
    e: &mut Expected,
    model: &Model,
    wish: &SubnetWish,
    earlier: &[IpNet],
) -> Option<IpNet> {
    let prefix = PREFIXES[wish.prefix].parse::<IpNet>().ok().filter(|net| net.trunc() == *net);
    let Some(prefix) = prefix else {
        e.wrong([HResult::HCN_E_INVALID_PREFIX, HResult::HCN_E_INVALID_SUBNET]);
        return None;
    };
    match wish.gateway {
        Gateway::Absent | Gateway::Offset(_) => {}
        Gateway::Elsewhere => e.wrong([HResult::HCN_E_INVALID_SUBNET, HResult::HCN_E_INVALID_IP]),
        Gateway::Malformed => e.wrong([HResult::HCN_E_INVALID_SUBNET, HResult::HCN_E_INVALID_IP]),
    }
    let others = model.networks.iter().flat_map(Network::taken).chain(earlier.iter().copied());
    if others.into_iter().any(|other| other.contains(&prefix) || prefix.contains(&other)) {
        e.wrong([HResult::HCN_E_INVALID_SUBNET, HResult::ERROR_ALREADY_EXISTS]);
    }
    Some(prefix)
}

fn namespace(e: &mut Expected, model: &Model, wish: &NamespaceWish) {
    match wish.kind {
        // The singleton comes back, whatever id is asked for (hcn.md 2.15).
        2 => {}
        0 | 1 | 3 => id_free(e, model, Kind::Namespace, render::ids(Kind::Namespace, wish.id)),
        _ => {
            e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED, HResult::ERROR_NOT_SUPPORTED]);
            e.perhaps([HResult::E_INVALIDARG, HResult::HCN_E_INVALID_JSON]);
        }
    }
}

fn endpoint(e: &mut Expected, model: &Model, wish: &EndpointWish) {
    id_free(e, model, Kind::Endpoint, render::ids(Kind::Endpoint, wish.id));
    if matches!(wish.naming, Naming::Nothing) {
        e.wrong([HResult::E_INVALIDARG]);
    }
    if wish.flags & !3 != 0 {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    if matches!(wish.mac, MacWish::Group | MacWish::Malformed) {
        e.wrong([HResult::HCN_E_INVALID_ENDPOINT]);
    }
    let id = model.pick(Kind::Network, wish.network);
    let Some(network) = model.network(id) else {
        e.wrong([HResult::HCN_E_NETWORK_NOT_FOUND]);
        return policy_list(e, model, &wish.policies, None, None);
    };
    if wish.remote.is_some() {
        return remote_endpoint(e, model, network, wish);
    }
    if matches!(wish.mac, MacWish::Service) && pool_exhausted(model, network) {
        e.wrong([HResult::E_OUTOFMEMORY, HResult::HCN_E_INVALID_ENDPOINT]);
    }
    addresses(e, model, network, wish);
    policy_list(e, model, &wish.policies, Some(network), None);
}

/// An endpoint on another host: its address is the client's to know, its MAC and its host must agree with what is known.
fn remote_endpoint(e: &mut Expected, model: &Model, network: &Network, wish: &EndpointWish) {
    if network.mode != Mode::Overlay {
        // On a bridged network a remote endpoint is possible, and its provider address is not.
        e.unnamed = network.mode == Mode::Bridged;
        return e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    if !wish.policies.is_empty() {
        e.wrong([HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION]);
    }
    e.unnamed = true;
    let taken = model.endpoints.iter().filter(|endpoint| endpoint.network == network.id);
    let mut taken = taken.flat_map(|endpoint| &endpoint.addresses);
    for address in &wish.addresses {
        if matches!(address, AddressWish::Any) {
            e.wrong([HResult::HCN_E_INVALID_IP]);
            continue;
        }
        let asked = render::explicit(*address, &network.prefixes());
        if taken.any(|other| other.addr() == asked) {
            e.wrong([HResult::HCN_E_ADDR_INVALID_OR_RESERVED]);
        }
    }
    let rival = model.endpoints.iter().any(|other| {
        let same =
            other.network == network.id && Some(&other.mac) == render::mac(wish.mac).as_ref();
        let elsewhere = |host: u8| host != 1 && wish.remote != Some(1) && wish.remote != Some(host);
        same && other.remote.is_some_and(elsewhere)
    });
    if rival {
        e.wrong([HResult::HCN_E_INVALID_ENDPOINT]);
    }
}

/// Whether every address of a small pool is in use. Addresses that clients gave may lie in the pool: then it is unsure.
fn pool_exhausted(model: &Model, network: &Network) -> bool {
    let from_pool = |endpoint: &&Endpoint| endpoint.network == network.id && endpoint.from_pool;
    let used = model.endpoints.iter().filter(from_pool).count();
    network.pool.is_some_and(|size| used >= usize::from(size))
}

fn addresses(e: &mut Expected, model: &Model, network: &Network, wish: &EndpointWish) {
    if network.subnets.is_empty() {
        if network.mode == Mode::Transparent && wish.addresses.is_empty() {
            // It finds its own on the wire.
            return;
        }
        return e.wrong([HResult::HCN_E_SUBNET_NOT_FOUND]);
    }
    let full = [
        HResult::HCN_E_SUBNET_NOT_FOUND,
        HResult::HCN_E_ADDR_INVALID_OR_RESERVED,
        HResult::E_OUTOFMEMORY,
    ];
    let rooms: Vec<u128> = network.subnets.iter().map(|s| model.room(network, s)).collect();
    let any =
        |wish: &&AddressWish| matches!(wish, AddressWish::Any | AddressWish::AnyWithLength(_));
    let left: u128 = rooms.iter().fold(0, |sum, room| sum.saturating_add(*room));
    if wish.addresses.is_empty() {
        // One address of each family that the network has.
        let families = [true, false].map(|v4| family_room(model, network, v4));
        match families {
            [Some(0) | None, Some(0) | None] => e.wrong(full),
            [Some(0), _] | [_, Some(0)] => e.perhaps(full),
            _ => {}
        }
    }
    let wanted = wish.addresses.iter().filter(any).count() as u128;
    if wanted > left {
        e.wrong(full);
    }
    let mut given: Vec<IpAddr> = Vec::new();
    for address in &wish.addresses {
        match address {
            AddressWish::Any => {}
            // A length that is too long for the family that is chosen.
            AddressWish::AnyWithLength(length) => {
                if *length > 32 {
                    e.perhaps([HResult::HCN_E_INVALID_PREFIX]);
                }
            }
            AddressWish::Elsewhere | AddressWish::Malformed | AddressWish::InRange(_) => {
                e.wrong([HResult::HCN_E_INVALID_IP])
            }
            AddressWish::Offset(..) => {
                let asked = render::explicit(*address, &network.prefixes());
                if !network.prefixes().iter().any(|prefix| prefix.contains(&asked)) {
                    e.wrong([HResult::HCN_E_INVALID_IP]);
                } else if !model.may_have(network, asked) || given.contains(&asked) {
                    e.wrong([HResult::HCN_E_ADDR_INVALID_OR_RESERVED]);
                } else if wanted > 0 {
                    // The address that the service chose for another entry may be this one.
                    e.perhaps(full);
                }
                given.push(asked);
            }
        }
    }
}

/// The room in the subnets of a family, if the network has any.
fn family_room(model: &Model, network: &Network, v4: bool) -> Option<u128> {
    let of_family = |subnet: &&Subnet| subnet.prefix.addr().is_ipv4() == v4;
    let subnets = network.subnets.iter().filter(of_family);
    subnets.map(|subnet| model.room(network, subnet)).reduce(u128::saturating_add)
}

fn attach(e: &mut Expected, model: &Model, namespace: Guid, endpoint: Guid) {
    must_exist(e, model, Kind::Namespace, namespace);
    must_exist(e, model, Kind::Endpoint, endpoint);
    let Some(endpoint) = model.endpoint(endpoint) else { return };
    if endpoint.remote.is_some() {
        e.wrong([HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION]);
    }
    if endpoint.place.is_some() {
        e.wrong([HResult::HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS]);
    }
    // What is on the wire past the host has no place in a machine, unless it has an address by which the host can lead to it.
    let machine = model.is_machine(namespace);
    if machine {
        in_machine(e, &endpoint.policies);
    }
    if machine && model.is_station(endpoint) && endpoint.addresses.is_empty() {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
    if namespace == model.host_default {
        on_host(e, &endpoint.policies);
        if model.routes.iter().any(|route| route.endpoints.contains(&endpoint.id)) {
            e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
        }
        if model.network(endpoint.network).is_some_and(|it| it.mode == Mode::Transparent) {
            e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
        }
        if model.network(endpoint.network).is_some_and(|network| network.mode == Mode::Private) {
            e.perhaps([HResult::HCN_E_REQUEST_UNSUPPORTED]);
        }
    }
}

fn balancer(e: &mut Expected, model: &Model, wish: &BalancerWish, own: Option<Guid>) {
    let endpoints: Vec<Guid> =
        wish.endpoints.iter().map(|pick| model.pick(Kind::Endpoint, *pick)).collect();
    if endpoints.is_empty() {
        e.wrong([HResult::HCN_E_INVALID_JSON_REFERENCE]);
    }
    if endpoints.iter().any(|id| !model.exists(Kind::Endpoint, *id)) {
        e.wrong([HResult::HCN_E_INVALID_JSON_REFERENCE, HResult::HCN_E_ENDPOINT_NOT_FOUND]);
    }
    let vips: Vec<IpAddr> =
        wish.vips.iter().filter_map(|which| VIPS[*which].parse().ok()).collect();
    if vips.len() < wish.vips.len() {
        e.wrong([HResult::HCN_E_INVALID_IP]);
        e.unnamed = true;
    }
    for (protocol, external, internal) in &wish.mappings {
        if *internal == 0 {
            e.wrong([HResult::HCN_E_INVALID_INTERNAL_PORT]);
        }
        if *external == 0 {
            e.wrong([HResult::HCN_E_INVALID_POLICY]);
            e.unnamed = true;
        }
        // A node port is not taken from a program that has it.
        let has = |other: &crate::model::Balancer| {
            other.vips.is_empty()
                && other.mappings.iter().any(|(p, x, _)| (p, x) == (protocol, external))
        };
        let holds = model.balancers.iter().any(|other| Some(other.id) == own && has(other));
        if vips.is_empty() && !holds && model.foreign_ports.contains(&(*protocol, *external)) {
            e.wrong([HResult::HCN_E_PORT_ALREADY_EXISTS]);
        }
        let others = model.balancers.iter().filter(|other| Some(other.id) != own);
        let same_port = |(p, x, _): &(u8, u16, u16)| (p, x) == (protocol, external);
        let mut rivals = others.filter(|other| other.mappings.iter().any(same_port));
        let same_vip = |other: &crate::model::Balancer| {
            let both_nodes = other.vips.is_empty() && vips.is_empty();
            both_nodes || other.vips.iter().any(|vip| vips.contains(vip))
        };
        if rivals.any(same_vip) {
            e.wrong([HResult::ERROR_ALREADY_EXISTS]);
        }
    }
    let elsewhere = |id: &Guid| model.endpoint(*id).is_some_and(|e| e.remote.is_some());
    match wish.extra {
        Extra::Preserve if vips.is_empty() || endpoints.iter().any(elsewhere) => {
            e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
        }
        Extra::Source if vips.iter().any(IpAddr::is_ipv6) => e.wrong([HResult::HCN_E_INVALID_IP]),
        _ => {}
    }
    balancer_open_questions(e, model, wish, &endpoints, &vips);
}

/// What the rules do not decide: doubled entries, families without backends, networks that do not publish.
fn balancer_open_questions(
    e: &mut Expected,
    model: &Model,
    wish: &BalancerWish,
    endpoints: &[Guid],
    vips: &[IpAddr],
) {
    let doubled = |i: usize| {
        wish.mappings[..i].iter().any(|m| (m.0, m.1) == (wish.mappings[i].0, wish.mappings[i].1))
    };
    let mut networks: Vec<Option<Mode>> = Vec::new();
    let mut one_family = true;
    for endpoint in endpoints.iter().filter_map(|id| model.endpoint(*id)) {
        let network = model.network(endpoint.network);
        networks.push(network.map(|network| network.mode));
        let v4 = endpoint.addresses.iter().any(|net| net.addr().is_ipv4());
        one_family &= v4;
    }
    if endpoints.iter().filter_map(|id| model.endpoint(*id)).any(|it| model.is_station(it)) {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
        e.unnamed = true;
    }
    let published = networks.iter().all(|mode| *mode != Some(Mode::Private));
    let distinct_vips = vips.iter().collect::<BTreeSet<_>>().len() == vips.len();
    let plain = published
        && one_family
        && distinct_vips
        && vips.iter().all(IpAddr::is_ipv4)
        && !(1..wish.mappings.len()).any(doubled);
    e.unnamed |= !plain;
}
