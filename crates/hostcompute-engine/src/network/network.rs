//! Networks as they are, HcnModifyNetwork and HcnDeleteNetwork (hcn.md 2.3, 3.3); [`creation`](super::creation) makes them.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{
    Failure, Guid, HResult, HostComputeNetwork, ModifyNetworkSettingRequest, ModifyRequestType,
    NetworkFlags, NetworkMode, NetworkPolicy, NetworkResourceType, PolicyNetworkRequest,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use super::creation::{flags_of, mode};
use crate::decide::Draft;
use crate::network::answering::{self, Answering};
use crate::network::fence::Fence;
use crate::network::overlay::{self, Overlay};
use crate::network::policy::acl::Access;
use crate::network::policy::of_network;
use crate::network::policy::proxy::Proxy;
use crate::network::remote_subnet::{self, RemoteSubnet};
use crate::network::station::{self, Adapter};
use crate::network::subnet::{self, Subnet};
use crate::network::wire::{self, Wire};
use crate::network::{dns, macs, set, standing, vlan};
use crate::object::{Change, Kind, Object, Parts};
use crate::plan::{Anchor, Element, Fact, Family};
use crate::request::EventKind;
use crate::state::State;

/// How a network is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Endpoints reach the host, each other, and the outside under the host's address; ports can be published (NAT, ICS).
    Nat,
    /// Endpoints reach the host and each other.
    Internal,
    /// Endpoints reach each other.
    Private,
    /// Endpoints reach each other, on other hosts too.
    Overlay,
    /// Endpoints are on the adapter's network, by way of the host (L2Bridge, L2Tunnel).
    Bridged,
    /// Endpoints are on the adapter's network, past the host.
    Transparent,
}

impl Mode {
    /// Whether the network needs an adapter that leads to other machines.
    pub fn stands_on_uplink(self) -> bool {
        matches!(self, Self::Overlay | Self::Bridged | Self::Transparent)
    }

    /// Whether ports of the host can lead to endpoints.
    pub fn publishes(self) -> bool {
        matches!(self, Self::Nat | Self::Overlay | Self::Bridged)
    }

    /// Whether endpoints can get to the outside under the host's address.
    pub fn translates(self) -> bool {
        self.publishes() || matches!(self, Self::Internal | Self::Transparent)
    }

    /// Whether the gateway of a subnet is an address of the host, which chooses one where the document does not.
    pub fn owns_gateways(self) -> bool {
        matches!(self, Self::Nat | Self::Internal | Self::Overlay)
    }
}

/// A network.
#[derive(Debug, Clone)]
pub struct Network {
    pub id: Guid,
    /// As clients see it, filled in.
    pub document: HostComputeNetwork,
    pub(crate) sequence: u64,
    /// Index of the anchor device; its name follows from it.
    pub(crate) interface: u32,
    /// Largest packet of its ports, where the uplink has less than Ethernet's 1500.
    pub mtu: Option<u32>,
    pub mode: Mode,
    pub subnets: Vec<Subnet>,
    pub(crate) macs: macs::Ranges,
    /// Routes to subnets elsewhere that an earlier version has stored in the document.
    pub(crate) earlier_routes: Vec<NetworkPolicy>,
    /// What it shares with other hosts, if it is an Overlay network.
    pub overlay: Option<Overlay>,
    /// The adapter that it is bridged to, if it is.
    pub wire: Option<Wire>,
    /// The access rules for all its endpoints.
    pub access: Access,
    /// The adapter whose wire its endpoints are on, if it is a Transparent network.
    pub adapter: Option<Adapter>,
    /// What the host answers to its endpoints.
    pub answering: Answering,
    /// What its endpoints are kept from, if it is a ConstrainedICS network.
    pub fence: Option<Fence>,
    /// The proxies of all its endpoints.
    /// The VLAN that endpoints are in unless they say otherwise, on Transparent networks.
    pub vlan: Option<u16>,
    pub proxies: Vec<Proxy>,
}

impl Network {
    /// The network's flags word.
    pub fn flags(&self) -> u32 {
        flags_of(&self.document)
    }

    /// The name that people gave it, or its id.
    pub fn name(&self) -> String {
        self.document.base.name.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// Whether the network comes back after a reboot (hcn.md rule 40).
    pub fn persistent(&self) -> bool {
        let flag = |flag: NetworkFlags| self.flags() & flag.0 != 0;
        let by_type = self.mode != Mode::Nat || flag(NetworkFlags::ENABLE_PERSISTENT);
        by_type && !flag(NetworkFlags::ENABLE_NON_PERSISTENT)
    }

    /// The document with what is stored apart from it.
    pub fn describe(&self, state: &State) -> HostComputeNetwork {
        let mut document = self.document.clone();
        let mut routes: Vec<&RemoteSubnet> = state.remote_subnets_of(self.id).collect();
        routes.sort_by_key(|route| route.sequence);
        document.policies.extend(routes.into_iter().map(RemoteSubnet::policy));
        document.policies.extend(state.sets_of(self.id).into_iter().map(|set| set.policy()));
        if self.wire.is_some() || self.adapter.is_some() || self.overlay.is_some() {
            // By which others say that they want to stand on the same adapter.
            let extra = document.base.health.get_or_insert_default().extra.get_or_insert_default();
            extra.layered_on = Some(self.id);
        }
        document
    }

    /// Whether an address is that of a gateway, or of another machine that routes for a subnet.
    pub(crate) fn routes_through(&self, hop: &IpAddr) -> bool {
        let other = |subnet: &Subnet| subnet.others.iter().any(|(_, other)| other == hop);
        self.subnets.iter().any(|subnet| subnet.gateway == Some(*hop) || other(subnet))
    }

    /// The families of its subnets.
    pub(crate) fn families(&self) -> impl Iterator<Item = Family> + '_ {
        let has = |family: &Family| self.subnets.iter().any(|subnet| subnet.family() == *family);
        [Family::V4, Family::V6].into_iter().filter(has)
    }

    /// The interface that holds the gateway addresses.
    pub fn anchor_name(&self) -> String {
        alloc::format!("hb{:x}", self.interface)
    }

    /// A stable, locally administered address for the network's own links.
    pub(crate) fn anchor_mac(&self) -> crate::mac::Mac {
        let bytes = self.id.as_bytes();
        crate::mac::Mac([0x02, bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]])
    }

    /// A range of addresses that it takes on this host, its own or one behind another host, and that has some of these.
    pub(crate) fn overlapping(&self, state: &State, net: &IpNet) -> Option<IpNet> {
        let mut own = self.subnets.iter().map(|subnet| subnet.prefix);
        own.find(|prefix| subnet::overlap(prefix, net)).or_else(|| {
            let mut elsewhere = state.remote_subnets_overlapping(self.id, net);
            elsewhere.next().map(|route| route.way.prefix)
        })
    }

    /// Indexes of its interfaces.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = u32> {
        let segments = self.overlay.iter().flat_map(|overlay| &overlay.segments);
        let tables = self.wire.iter().flat_map(|wire| wire.tables.iter().copied());
        let guided = self.adapter.iter().flat_map(|adapter| adapter.tables.iter().copied());
        let tables = tables.chain(guided);
        [self.interface].into_iter().chain(segments.map(|segment| segment.interface)).chain(tables)
    }

    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Sequence".into(), self.sequence.into());
        chosen.insert("Interface".into(), self.interface.into());
        if let Some(mtu) = self.mtu {
            chosen.insert("Mtu".into(), mtu.into());
        }
        let undeclared: Vec<Value> = self
            .subnets
            .iter()
            .filter(|subnet| !subnet.declared && subnet.gateway.is_some())
            .map(|subnet| Value::String(subnet.id.to_string()))
            .collect();
        if !undeclared.is_empty() {
            chosen.insert("ChosenGateways".into(), Value::Array(undeclared));
        }
        if let Some(overlay) = &self.overlay {
            chosen.insert("Overlay".into(), Value::Object(overlay.chosen()));
        }
        if let Some(wire) = &self.wire {
            chosen.insert("Wire".into(), Value::Object(wire.chosen()));
        }
        if let Some(adapter) = &self.adapter {
            chosen.insert("Adapter".into(), Value::Object(adapter.chosen()));
        }
        if let Some(fence) = &self.fence {
            chosen.insert("Barred".into(), fence.chosen());
        }
        chosen
    }

    pub(crate) fn revive(id: Guid, parts: Parts) -> Result<Network, Failure> {
        let mut document: HostComputeNetwork =
            hostcompute_schema::parse_value(&parts.document, "")?.document;
        let (_, routes) = of_network::take_objects(&mut document.policies);
        let earlier_routes = routes.into_iter().map(|(_, policy)| policy).collect();
        let mode = mode(&document)?;
        let mut subnets = subnet::read(&document.ipams, mode)?;
        let ours = parts.chosen.0.get("ChosenGateways").and_then(Value::as_array);
        for subnet in &mut subnets {
            let id = subnet.id.to_string();
            let chosen =
                ours.is_some_and(|ids| ids.iter().any(|other| other.as_str() == Some(&id)));
            subnet.declared &= !chosen;
        }
        let macs = document.mac_pool.as_ref().map(macs::read).transpose()?.unwrap_or_default();
        let policies = of_network::read(mode, &document.policies)?;
        let (access, proxies) = (policies.access.clone(), policies.proxies.clone());
        let overlay = Overlay::revive_choices(&parts.chosen)
            .and_then(|(mtu, segments)| standing::overlay_of(&policies, mtu, segments));
        let tunnel = document.kind == Some(NetworkMode::L2Tunnel);
        let wire = Wire::revive(&parts.chosen, tunnel);
        let adapter = Adapter::revive(&parts.chosen);
        for subnet in &mut subnets {
            let taken = wire.as_ref().map(|wire| &wire.taken);
            let taken = taken.or(adapter.as_ref().map(|adapter| &adapter.taken));
            subnet.taken = taken.cloned().unwrap_or_default();
        }
        let answering = Answering::read(flags_of(&document), policies.automatic_names);
        let vlan = vlan::of_network(&document.ipams, mode)?;
        Ok(Network {
            id,
            vlan,
            answering,
            fence: Fence::revive(&parts.chosen),
            adapter,
            sequence: parts.chosen.number("Sequence").unwrap_or_default(),
            interface: parts.chosen.small("Interface").unwrap_or_default(),
            mtu: parts.chosen.small("Mtu"),
            document,
            mode,
            subnets,
            macs,
            earlier_routes,
            overlay,
            wire,
            access,
            proxies,
        })
    }

    /// What the host has because of this network.
    pub(crate) fn facts(&self, state: &State, facts: &mut Vec<Fact>) {
        let prefixes = || self.subnets.iter().map(|subnet| subnet.prefix);
        let gateways = match self.mode.owns_gateways() {
            true => self.subnets.iter().filter_map(Subnet::gateway_net).collect(),
            false => Vec::new(),
        };
        let subnets = match self.mode {
            // Their other addresses are out there.
            Mode::Bridged | Mode::Transparent => Vec::new(),
            _ => prefixes().collect(),
        };
        facts.push(Fact::Anchor(Anchor {
            network: self.id,
            name: self.anchor_name(),
            index: self.interface,
            mac: self.anchor_mac(),
            gateways,
            subnets,
        }));
        self.answering_facts(facts);
        if let Some(fence) = &self.fence {
            fence.facts(&self.subnets, facts);
        }
        if let Some(wire) = &self.wire {
            return wire::facts(self, wire, facts);
        }
        if let Some(overlay) = &self.overlay {
            return overlay::facts(self, overlay, facts);
        }
        if self.mode == Mode::Transparent {
            return station::guidance_facts(state, self, facts);
        }
        for from in prefixes() {
            let same_family = |to: &IpNet| to.addr().is_ipv4() == from.addr().is_ipv4();
            for to in prefixes().filter(same_family) {
                facts.push(Fact::Element(Element::Intra { from, to }));
            }
            match self.mode {
                Mode::Nat => facts.push(Fact::Element(Element::Outbound { subnet: from })),
                Mode::Private => facts.push(Fact::Element(Element::Hidden { subnet: from })),
                Mode::Internal | Mode::Overlay | Mode::Bridged | Mode::Transparent => {}
            }
        }
    }
}

/// HcnModifyNetwork: DNS can be updated, and those policies that a network can change while it exists.
pub(crate) fn modify(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    let network = draft.state.network(id)?.clone();
    let network = keep_earlier_routes(draft, network);
    let request: ModifyNetworkSettingRequest = draft.settings(hostcompute_schema::parse)?;
    let settings = request.settings.clone().unwrap_or(Value::Object(Map::new()));
    use ModifyRequestType as Request;
    match (&request.resource_type, &request.request_type) {
        (Some(NetworkResourceType::DNS), Some(Request::Update)) => {
            let mut changed = (*network).clone();
            changed.document.dns = Some(draft.part(&settings, "Settings")?);
            dns::check(changed.document.dns.as_ref(), HResult::HCN_E_INVALID_NETWORK)?;
            answering::name_servers(&mut changed.document, changed.answering, &changed.subnets);
            draft.put(Object::Network(changed.into()));
            Ok(())
        }
        (
            Some(NetworkResourceType::Policy),
            Some(Request::Add | Request::Update | Request::Remove | Request::Refresh),
        ) => {
            let asked: PolicyNetworkRequest = draft.part(&settings, "Settings")?;
            let kind = request.request_type.as_ref().unwrap_or(&Request::Refresh);
            change_policies(draft, &network, kind, asked)
        }
        (resource, kind) => Err(unsupported_modification(
            "network",
            resource.as_ref().map(|r| r.name()),
            kind.as_ref().map(|k| k.name()),
        )),
    }
}

/// What an earlier version has stored in one piece is stored as it is today when the network is changed for the first time.
fn keep_earlier_routes(draft: &mut Draft<'_, '_>, network: Arc<Network>) -> Arc<Network> {
    if network.earlier_routes.is_empty() {
        return network;
    }
    let routes = draft.state.remote_subnets.iter().filter(|route| route.network == network.id);
    let routes: Vec<Object> = routes.cloned().map(Object::RemoteSubnet).collect();
    let network = Arc::new(Network { earlier_routes: Vec::new(), ..(*network).clone() });
    draft.put(Object::Network(network.clone()));
    routes.into_iter().for_each(|route| draft.put(route));
    network
}

fn change_policies(
    draft: &mut Draft<'_, '_>,
    network: &Network,
    kind: &ModifyRequestType,
    mut asked: PolicyNetworkRequest,
) -> Result<(), Failure> {
    let relocate = |failure: Failure| match failure.path.clone() {
        Some(path) => failure.at(["Settings.", &path].concat()),
        None => failure,
    };
    of_network::normalise(draft, &mut asked.policies, "Settings.Policies")?;
    of_network::read(network.mode, &asked.policies).map_err(relocate)?;
    if *kind == ModifyRequestType::Refresh {
        return Ok(());
    }
    let (sets, routes) = of_network::take_objects(&mut asked.policies);
    let mut changed = network.clone();
    changed.document.policies =
        of_network::combine(&network.document.policies, kind, asked.policies)?;
    let policies = of_network::read(network.mode, &changed.document.policies)?;
    changed.access = policies.access;
    changed.proxies = policies.proxies;
    set::change(draft, network.id, kind, sets, ("Settings.Policies", &changed.access))?;
    check_sets(draft, network.id, &changed.access, "Settings.Policies")?;
    remote_subnet::change(draft, network, kind, routes, "Settings.Policies")?;
    if changed.document.policies == network.document.policies {
        return Ok(());
    }
    if let Some(overlay) = &mut changed.overlay {
        overlay.host_route = policies.host_route;
    }
    station::check_network(draft.state, Some(network), &changed)?;
    draft.put(Object::Network(changed.into()));
    Ok(())
}

/// The network's own rules name sets that exist once the request is carried out.
pub(super) fn check_sets(
    draft: &Draft<'_, '_>,
    network: Guid,
    access: &Access,
    path: &str,
) -> Result<(), Failure> {
    access.check_sets(path, |name| {
        let of_request = draft.changes.iter().any(|change| match change {
            Change::Put(Object::Set(set)) => set.network == network && set.name == name,
            _ => false,
        });
        of_request || draft.state.set(network, name).is_some()
    })
}

/// The refusal of a combination of RequestType and ResourceType.
pub(crate) fn unsupported_modification(
    what: &str,
    resource: Option<&str>,
    request: Option<&str>,
) -> Failure {
    let (member, why) = match (resource, request) {
        (None, _) => {
            ("ResourceType", alloc::format!("a modification of a {what} needs a ResourceType"))
        }
        (_, None) => {
            ("RequestType", alloc::format!("a modification of a {what} needs a RequestType"))
        }
        (Some(resource), Some(request)) => {
            ("RequestType", alloc::format!("a {what} does not support {request} of {resource}"))
        }
    };
    Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at(member)
}

/// HcnDeleteNetwork: the endpoints go with it (V: TestEndpointStatsAll).
pub(crate) fn delete(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    let network = draft.state.network(id)?.clone();
    let members: Vec<Guid> = draft.state.members(id).map(|endpoint| endpoint.id).collect();
    draft.network_event(EventKind::NetworkPreDelete, id, network.flags());
    for endpoint in members {
        super::endpoint::remove(draft, endpoint)?;
    }
    let routes: Vec<Guid> = draft.state.remote_subnets_of(id).map(|route| route.id).collect();
    draft.changes.extend(routes.into_iter().map(|id| Change::Delete(Kind::RemoteSubnet, id)));
    let sets: Vec<Guid> = draft.state.sets_of(id).iter().map(|set| set.id).collect();
    draft.changes.extend(sets.into_iter().map(|set| Change::Delete(Kind::Set, set)));
    draft.changes.push(Change::Delete(Kind::Network, id));
    draft.network_event(EventKind::NetworkDelete, id, network.flags());
    Ok(())
}

/// Facts that several networks share.
pub(crate) fn shared_facts(state: &State, facts: &mut Vec<Fact>) {
    if !state.networks.is_empty() {
        facts.push(Fact::Table);
    }
    let steers = state.index.hops.keys().any(|(family, _)| *family == Family::V4);
    if state.index.forwarding4 > 0 || steers {
        facts.push(Fact::Forwarding(Family::V4));
    }
    if state.index.forwarding6 > 0 {
        facts.push(Fact::Forwarding(Family::V6));
    }
    facts.extend(state.index.solicited.keys().cloned().map(Fact::Solicited));
}
