//! HcnCreateNetwork: what a document asks for, filled in where it says nothing (hcn.md 3.2).
//!
//! Built here: NAT, ICS and ConstrainedICS (NAT with what `answering` and `fence` add), Internal, Private, Overlay (see `overlay`), L2Bridge and
//! L2Tunnel (see `wire`), Transparent (see `station`). The other types are refused by name until what carries them
//! exists.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use hostcompute_schema::{
    Failure, Guid, HResult, HostComputeNetwork, ModifyRequestType, NetworkFlags, NetworkMode,
    Route, Version,
};
use ipnet::IpNet;

use super::network::{Mode, Network, check_sets};
use crate::decide::Draft;
use crate::network::answering::{self, Answering};
use crate::network::fence::Fence;
use crate::network::policy::of_network;
use crate::network::remote_subnet;
use crate::network::subnet::{self, Subnet};
use crate::network::wire;
use crate::network::{dns, macs, set, standing, station, vlan};
use crate::object::{Kind, Object};
use crate::request::EventKind;
use crate::state::State;

/// The flags that change nothing here or are carried out. A port never reports a lost medium; Linux takes packets for, and sends
/// packets from, any of its addresses on any link.
const KNOWN_FLAGS: u32 = NetworkFlags::ENABLE_NON_PERSISTENT.0
    | NetworkFlags::ENABLE_PERSISTENT.0
    | NetworkFlags::ISOLATE_V_SWITCH.0
    | NetworkFlags::DISABLE_SHARING.0
    | NetworkFlags::SUPPRESS_MEDIA_DISCONNECT.0
    | NetworkFlags::WEAK_HOST_RECEIVE_ADAPTER.0
    | NetworkFlags::WEAK_HOST_SEND_ADAPTER.0;

/// HcnCreateNetwork.
pub(crate) fn create(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let mut document: HostComputeNetwork = draft.settings(hostcompute_schema::parse_network)?;
    let id = draft.new_id(Kind::Network, document.base.id)?;
    let mode = mode(&document)?;
    refuse_flags(&document, mode)?;
    of_network::normalise(draft, &mut document.policies, "Policies")?;
    let policies = of_network::read(mode, &document.policies)?;
    let (access, proxies) = (policies.access.clone(), policies.proxies.clone());
    let (sets, routes) = of_network::take_objects(&mut document.policies);
    dns::check(document.dns.as_ref(), HResult::HCN_E_INVALID_NETWORK)?;
    claim_name(draft.state, &mut document, id)?;
    document.base.id = Some(id);
    let mut subnets = subnet::read(&document.ipams, mode)?;
    if mode.stands_on_uplink() && mode != Mode::Transparent && subnets.is_empty() {
        let why = "a network of this type needs a subnet: other machines must know its addresses";
        return Err(Failure::new(HResult::HCN_E_INVALID_NETWORK, why).at("Ipams"));
    }
    if subnets.is_empty() && !matches!(mode, Mode::Private | Mode::Transparent) {
        give_subnet(draft, &mut document)?;
        subnets = subnet::read(&document.ipams, mode)?;
    } else {
        refuse_overlaps(draft, &document, &subnets, mode)?;
    }
    let mut macs = document.mac_pool.as_ref().map(macs::read).transpose()?.unwrap_or_default();
    if macs.is_empty() {
        macs = macs::default_pool(id, &subnets);
    }
    document.mac_pool = Some(macs::document(&macs));
    fill(draft, &mut document, &mut subnets);
    if mode == Mode::Nat {
        policies.adapter.check_default(&draft.context.surroundings.uplinks)?;
    }
    let answering = Answering::read(flags_of(&document), policies.automatic_names);
    answering::check(draft, answering, &subnets)?;
    answering::name_servers(&mut document, answering, &subnets);
    let fence = (document.kind == Some(NetworkMode::ConstrainedICS))
        .then(|| Fence::around(&draft.context.surroundings.prefixes));
    let mtu = match mode {
        Mode::Nat => draft.context.surroundings.uplink_mtu.filter(|mtu| (576..1500).contains(mtu)),
        _ => None,
    };
    let (sequence, interface) = (draft.next_sequence(), draft.next_interface());
    if document.kind == Some(NetworkMode::L2Tunnel) {
        wire::check_gateways(&subnets)?;
    }
    let (mut mtu, mut overlay, mut wire, mut adapter) = (mtu, None, None, None);
    match mode {
        Mode::Overlay => {
            let tunnels = standing::tunnels(draft, &mut document, policies, &subnets)?;
            mtu = Some(tunnels.mtu);
            overlay = Some(tunnels);
        }
        Mode::Bridged => {
            let (stands, largest) = standing::wire(draft, &mut document, policies, &subnets)?;
            subnets.iter_mut().for_each(|subnet| subnet.taken.clone_from(&stands.taken));
            mtu = Some(largest).filter(|mtu| *mtu != 1500);
            wire = Some(stands);
        }
        Mode::Transparent => {
            let (stands, largest) = standing::station(draft, policies, &subnets)?;
            mtu = Some(largest).filter(|mtu| *mtu != 1500);
            subnets.iter_mut().for_each(|subnet| subnet.taken.clone_from(&stands.taken));
            adapter = Some(stands);
        }
        Mode::Nat | Mode::Internal | Mode::Private => {}
    }
    let network = Network {
        id,
        vlan: vlan::of_network(&document.ipams, mode)?,
        document,
        sequence,
        interface,
        mtu,
        mode,
        subnets,
        macs,
        earlier_routes: Vec::new(),
        overlay,
        wire,
        access,
        adapter,
        answering,
        fence,
        proxies,
    };
    station::check_network(draft.state, None, &network)?;
    let (flags, access) = (network.flags(), network.access.clone());
    draft.put(Object::Network(network.clone().into()));
    remote_subnet::change(draft, &network, &ModifyRequestType::Add, routes, "Policies")?;
    set::change(draft, id, &ModifyRequestType::Add, sets, ("Policies", &access))?;
    check_sets(draft, id, &access, "Policies")?;
    draft.network_event(EventKind::NetworkPreCreate, id, flags);
    draft.network_event(EventKind::NetworkCreate, id, flags);
    draft.created(id);
    Ok(())
}

/// Names are unique among networks; one that has none is called by its id.
fn claim_name(state: &State, document: &mut HostComputeNetwork, id: Guid) -> Result<(), Failure> {
    let name = document.base.name.get_or_insert_with(|| id.to_string());
    let Some(other) = state.index.network_names.get(name) else { return Ok(()) };
    let why = alloc::format!("network {other} has the name '{name}'");
    Err(Failure::new(HResult::HCN_E_NETWORK_ALREADY_EXISTS, why)
        .at("Name")
        .hint("choose another name, or change or delete that network"))
}

pub(super) fn mode(document: &HostComputeNetwork) -> Result<Mode, Failure> {
    let refuse = |why: String| {
        Err(Failure::new(HResult::HCN_E_INVALID_NETWORK_TYPE, why)
            .at("Type")
            .hint("use NAT, ICS, Internal, Private, Overlay, L2Bridge or Transparent"))
    };
    match document.kind.as_ref() {
        None | Some(NetworkMode::NAT | NetworkMode::ICS | NetworkMode::ConstrainedICS) => {
            Ok(Mode::Nat)
        }
        Some(NetworkMode::Internal) => Ok(Mode::Internal),
        Some(NetworkMode::Private) => Ok(Mode::Private),
        Some(NetworkMode::Overlay) => Ok(Mode::Overlay),
        Some(NetworkMode::L2Bridge | NetworkMode::L2Tunnel) => Ok(Mode::Bridged),
        Some(NetworkMode::Transparent) => Ok(Mode::Transparent),
        Some(NetworkMode::Unknown(name)) => {
            refuse(alloc::format!("'{name}' is not a network type"))
        }
        Some(other) => {
            refuse(alloc::format!("networks of type {} cannot be made on this host", other.name()))
        }
    }
}

pub(super) fn flags_of(document: &HostComputeNetwork) -> u32 {
    document.flags.map_or(0, |flags| flags.0)
}

fn refuse_flags(document: &HostComputeNetwork, mode: Mode) -> Result<(), Failure> {
    let known = match mode {
        mode if answering::is_by_flags(mode) => KNOWN_FLAGS | answering::FLAGS,
        // The host has no address there.
        Mode::Private | Mode::Transparent => KNOWN_FLAGS | NetworkFlags::DISABLE_HOST_PORT.0,
        _ => KNOWN_FLAGS,
    };
    let refused = flags_of(document) & !known;
    if refused == 0 {
        return Ok(());
    }
    let which = NetworkFlags(refused);
    let why = alloc::format!("network flags {which} are not supported on this network type");
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Flags"))
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
    let host = draft.context.surroundings.prefixes.iter().map(|net| ("the host".to_string(), *net));
    our_prefixes(draft).chain(host)
}

fn our_prefixes<'a>(draft: &'a Draft<'_, '_>) -> impl Iterator<Item = (String, IpNet)> + 'a {
    let of = |network: &'a Arc<Network>| {
        let name = network.name();
        let own = network.subnets.iter().map(|subnet| subnet.prefix);
        let elsewhere = draft.state.remote_subnets_of(network.id).map(|route| route.way.prefix);
        own.chain(elsewhere).map(move |prefix| (alloc::format!("network '{name}'"), prefix))
    };
    draft.state.networks().flat_map(of)
}

fn refuse_overlaps(
    draft: &Draft<'_, '_>,
    document: &HostComputeNetwork,
    subnets: &[Subnet],
    mode: Mode,
) -> Result<(), Failure> {
    for subnet in subnets {
        let overlaps = |(_, used): &(String, IpNet)| subnet::overlap(used, &subnet.prefix);
        // What is bridged shares the subnet with the host.
        let clash = match mode {
            Mode::Bridged | Mode::Transparent => our_prefixes(draft).find(overlaps),
            _ => used_prefixes(draft).find(overlaps),
        };
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
    let (leased, given): (Vec<_>, Vec<_>) =
        document.ipams.iter_mut().partition(|it| subnet::is_leased(it));
    for document in leased.into_iter().flat_map(|ipam| &mut ipam.subnets) {
        if document.base.id.is_none_or(|id| id.is_zero()) {
            document.base.id = Some(draft.context.guid());
        }
    }
    let mut meanings = subnets.iter_mut();
    for document in given.into_iter().flat_map(|ipam| &mut ipam.subnets) {
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
