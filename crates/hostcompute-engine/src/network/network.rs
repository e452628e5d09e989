//! Networks: HcnCreateNetwork, HcnModifyNetwork, HcnDeleteNetwork (hcn.md 2.3, 3.2, 3.3).
//!
//! Built here: NAT, Internal and Private. The other types are refused by name until what carries them exists.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::{
    Failure, Guid, HResult, HostComputeNetwork, ModifyNetworkSettingRequest, ModifyRequestType,
    NetworkFlags, NetworkMode, NetworkResourceType, Route, Version,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::decide::Draft;
use crate::network::policy;
use crate::network::subnet::{self, Subnet};
use crate::network::{dns, macs};
use crate::object::{Change, Kind, Object, Parts};
use crate::plan::{Anchor, Element, Fact, Family};
use crate::request::EventKind;
use crate::state::State;

/// How a network is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Endpoints reach the host, each other, and the outside under the host's address; ports can be published.
    Nat,
    /// Endpoints reach the host and each other.
    Internal,
    /// Endpoints reach each other.
    Private,
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
}

/// The flags that change nothing here or are carried out.
const KNOWN_FLAGS: u32 = NetworkFlags::ENABLE_NON_PERSISTENT.0
    | NetworkFlags::ENABLE_PERSISTENT.0
    | NetworkFlags::ISOLATE_V_SWITCH.0
    | NetworkFlags::DISABLE_SHARING.0;

impl Network {
    /// The network's flags word.
    pub fn flags(&self) -> u32 {
        self.document.flags.map_or(0, |flags| flags.0)
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

    /// The interface that holds the gateway addresses.
    pub fn anchor_name(&self) -> String {
        alloc::format!("hb{:x}", self.interface)
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
        chosen
    }

    pub(crate) fn revive(id: Guid, parts: Parts) -> Result<Network, Failure> {
        let document: HostComputeNetwork =
            hostcompute_schema::parse_value(&parts.document, "")?.document;
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
        Ok(Network {
            id,
            sequence: parts.chosen.number("Sequence").unwrap_or_default(),
            interface: parts.chosen.small("Interface").unwrap_or_default(),
            mtu: parts.chosen.small("Mtu"),
            document,
            mode,
            subnets,
            macs,
        })
    }

    /// What the host has because of this network.
    pub(crate) fn facts(&self, facts: &mut Vec<Fact>) {
        let prefixes = || self.subnets.iter().map(|subnet| subnet.prefix);
        let gateways = match self.mode {
            Mode::Private => Vec::new(),
            Mode::Nat | Mode::Internal => {
                self.subnets.iter().filter_map(Subnet::gateway_net).collect()
            }
        };
        facts.push(Fact::Anchor(Anchor {
            network: self.id,
            name: self.anchor_name(),
            index: self.interface,
            mac: anchor_mac(self.id),
            gateways,
            subnets: prefixes().collect(),
        }));
        for from in prefixes() {
            let same_family = |to: &IpNet| to.addr().is_ipv4() == from.addr().is_ipv4();
            for to in prefixes().filter(same_family) {
                facts.push(Fact::Element(Element::Intra { from, to }));
            }
            match self.mode {
                Mode::Nat => facts.push(Fact::Element(Element::Outbound { subnet: from })),
                Mode::Private => facts.push(Fact::Element(Element::Hidden { subnet: from })),
                Mode::Internal => {}
            }
        }
    }
}

/// A stable, locally administered address for the anchor.
fn anchor_mac(id: Guid) -> crate::mac::Mac {
    let bytes = id.as_bytes();
    crate::mac::Mac([0x02, bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]])
}

/// HcnCreateNetwork.
pub(crate) fn create(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let mut document: HostComputeNetwork = draft.settings(hostcompute_schema::parse_network)?;
    let id = draft.new_id(Kind::Network, document.base.id)?;
    let mode = mode(&document)?;
    refuse_unsupported(&document)?;
    dns::check(document.dns.as_ref(), HResult::HCN_E_INVALID_NETWORK)?;
    let name = document.base.name.get_or_insert_with(|| id.to_string()).clone();
    if let Some(other) = draft.state.index.network_names.get(&name) {
        let why = alloc::format!("network {other} has the name '{name}'");
        return Err(Failure::new(HResult::HCN_E_NETWORK_ALREADY_EXISTS, why).at("Name"));
    }
    document.base.id = Some(id);
    let mut subnets = subnet::read(&document.ipams, mode)?;
    if subnets.is_empty() && mode != Mode::Private {
        give_subnet(draft, &mut document)?;
        subnets = subnet::read(&document.ipams, mode)?;
    } else {
        refuse_overlaps(draft, &document, &subnets)?;
    }
    let mut macs = document.mac_pool.as_ref().map(macs::read).transpose()?.unwrap_or_default();
    if macs.is_empty() {
        macs = macs::default_pool(id, &subnets);
    }
    document.mac_pool = Some(macs::document(&macs));
    fill(draft, &mut document, &mut subnets);
    let mtu = match mode {
        Mode::Nat => draft.context.surroundings.uplink_mtu.filter(|mtu| (576..1500).contains(mtu)),
        Mode::Internal | Mode::Private => None,
    };
    let (sequence, interface) = (draft.next_sequence(), draft.next_interface());
    let network = Network { id, document, sequence, interface, mtu, mode, subnets, macs };
    let flags = network.flags();
    draft.put(Object::Network(network.into()));
    draft.network_event(EventKind::NetworkPreCreate, id, flags);
    draft.network_event(EventKind::NetworkCreate, id, flags);
    draft.created(id);
    Ok(())
}

fn mode(document: &HostComputeNetwork) -> Result<Mode, Failure> {
    let refuse = |why: String| {
        Err(Failure::new(HResult::HCN_E_INVALID_NETWORK_TYPE, why)
            .at("Type")
            .hint("use NAT, Internal or Private"))
    };
    match document.kind.as_ref() {
        None | Some(NetworkMode::NAT) => Ok(Mode::Nat),
        Some(NetworkMode::Internal) => Ok(Mode::Internal),
        Some(NetworkMode::Private) => Ok(Mode::Private),
        Some(NetworkMode::Unknown(name)) => {
            refuse(alloc::format!("'{name}' is not a network type"))
        }
        Some(other) => {
            refuse(alloc::format!("networks of type {} cannot be made on this host", other.name()))
        }
    }
}

fn refuse_unsupported(document: &HostComputeNetwork) -> Result<(), Failure> {
    let flags = document.flags.map_or(0, |flags| flags.0);
    if flags & !KNOWN_FLAGS != 0 {
        let which = NetworkFlags(flags & !KNOWN_FLAGS);
        let why = alloc::format!("network flags {which} are not supported on this network type");
        return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Flags"));
    }
    match document.policies.first() {
        None => Ok(()),
        Some(policy) => {
            let kind = policy.kind.as_ref().map_or("", |kind| kind.name());
            Err(policy::refuse_network_policy(kind).at("Policies[0].Type"))
        }
    }
}

/// NAT and Internal networks without a subnet get one that collides with nothing (V: TestCreateDeleteNetworks).
fn give_subnet(draft: &Draft<'_, '_>, document: &mut HostComputeNetwork) -> Result<(), Failure> {
    let free = |candidate: &ipnet::Ipv4Net| {
        let candidate = IpNet::V4(*candidate);
        !used_prefixes(draft).any(|(_, used)| subnet::overlap(&used, &candidate))
    };
    let Some(chosen) = subnet::candidates().find(free) else {
        let why = "no private address range is free for the network's subnet";
        return Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why).at("Ipams"));
    };
    // What the document says of the subnet besides its prefix stays.
    if let Some(ipam) = first_or_new(&mut document.ipams)
        && let Some(subnet) = first_or_new(&mut ipam.subnets)
    {
        subnet.ip_address_prefix = Some(chosen.to_string());
    }
    Ok(())
}

fn first_or_new<T: Default>(list: &mut Vec<T>) -> Option<&mut T> {
    if list.is_empty() {
        list.push(T::default());
    }
    list.first_mut()
}

fn used_prefixes<'a>(draft: &'a Draft<'_, '_>) -> impl Iterator<Item = (String, IpNet)> + 'a {
    let of = |network: &'a alloc::sync::Arc<Network>| {
        let name = network.name();
        network
            .subnets
            .iter()
            .map(move |subnet| (alloc::format!("network '{name}'"), subnet.prefix))
    };
    let ours = draft.state.networks().flat_map(of);
    let host = draft.context.surroundings.prefixes.iter().map(|net| ("the host".to_string(), *net));
    ours.chain(host)
}

fn refuse_overlaps(
    draft: &Draft<'_, '_>,
    document: &HostComputeNetwork,
    subnets: &[Subnet],
) -> Result<(), Failure> {
    for subnet in subnets {
        let clash = used_prefixes(draft).find(|(_, used)| subnet::overlap(used, &subnet.prefix));
        let Some((owner, used)) = clash else { continue };
        let why = alloc::format!("{} overlaps {used} of {owner}", subnet.prefix);
        let path = path_of(document, subnet);
        return Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why)
            .at(path)
            .hint("choose another range, or leave Ipams out to get a free one"));
    }
    Ok(())
}

fn path_of(document: &HostComputeNetwork, wanted: &Subnet) -> String {
    for (i, ipam) in document.ipams.iter().enumerate() {
        for (j, subnet) in ipam.subnets.iter().enumerate() {
            let prefix =
                subnet.ip_address_prefix.as_deref().and_then(|text| text.parse::<IpNet>().ok());
            if prefix == Some(wanted.prefix) {
                return alloc::format!("Ipams[{i}].Subnets[{j}].IpAddressPrefix");
            }
        }
    }
    "Ipams".into()
}

/// Fills in what the service chose: ids of subnets and the routes of chosen gateways.
fn fill(draft: &mut Draft<'_, '_>, document: &mut HostComputeNetwork, subnets: &mut [Subnet]) {
    document.base.schema_version.get_or_insert(Version::new(2, 0));
    let mut meanings = subnets.iter_mut();
    for document in document.ipams.iter_mut().flat_map(|ipam| &mut ipam.subnets) {
        if document.ip_address_prefix.as_deref().is_none_or(str::is_empty) {
            continue;
        }
        let Some(subnet) = meanings.next() else { return };
        subnet.id = match document.base.id.filter(|id| !id.is_zero()) {
            Some(id) => id,
            None => draft.context.guid(),
        };
        document.base.id = Some(subnet.id);
        if !subnet.declared
            && let Some(gateway) = subnet.gateway
        {
            let everything = if gateway.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            document.routes.insert(
                0,
                Route {
                    next_hop: Some(gateway.to_string()),
                    destination_prefix: Some(everything.into()),
                    ..Route::default()
                },
            );
        }
    }
}

/// HcnModifyNetwork: DNS can be updated; policies exist on no type that is built.
pub(crate) fn modify(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    let network = draft.state.network(id)?.clone();
    let request: ModifyNetworkSettingRequest = draft.settings(hostcompute_schema::parse)?;
    let settings = request.settings.clone().unwrap_or(Value::Object(Map::new()));
    use ModifyRequestType as Request;
    match (&request.resource_type, &request.request_type) {
        (Some(NetworkResourceType::DNS), Some(Request::Update)) => {
            let mut changed = (*network).clone();
            changed.document.dns = Some(draft.part(&settings, "Settings")?);
            dns::check(changed.document.dns.as_ref(), HResult::HCN_E_INVALID_NETWORK)?;
            draft.put(Object::Network(changed.into()));
            Ok(())
        }
        (
            Some(NetworkResourceType::Policy),
            Some(Request::Add | Request::Update | Request::Remove | Request::Refresh),
        ) => {
            let request: hostcompute_schema::PolicyNetworkRequest =
                draft.part(&settings, "Settings")?;
            match request.policies.first() {
                None => Ok(()),
                Some(policy) => {
                    let kind = policy.kind.as_ref().map_or("", |kind| kind.name());
                    Err(policy::refuse_network_policy(kind).at("Settings.Policies[0].Type"))
                }
            }
        }
        (resource, kind) => Err(unsupported_modification(
            "network",
            resource.as_ref().map(|r| r.name()),
            kind.as_ref().map(|k| k.name()),
        )),
    }
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
    draft.changes.push(Change::Delete(Kind::Network, id));
    draft.network_event(EventKind::NetworkDelete, id, network.flags());
    Ok(())
}

/// Facts that several networks share.
pub(crate) fn shared_facts(state: &State, facts: &mut Vec<Fact>) {
    if !state.networks.is_empty() {
        facts.push(Fact::Table);
    }
    if state.index.forwarding4 > 0 {
        facts.push(Fact::Forwarding(Family::V4));
    }
    if state.index.forwarding6 > 0 {
        facts.push(Fact::Forwarding(Family::V6));
    }
}
