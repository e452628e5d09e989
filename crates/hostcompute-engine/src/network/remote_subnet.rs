//! Subnets behind other hosts: policy RemoteSubnetRoute of Overlay networks (hcn.md 2.6, 5.3).
//!
//! To clients such a route is a policy of its network. Here it is an object of its own, as sets are: a cluster tells of hundreds of
//! them one by one, and each costs what the first did.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{
    Failure, Guid, HResult, ModifyRequestType, NetworkPolicy, NetworkPolicyType,
    RemoteSubnetRoutePolicySetting,
};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::decide::Draft;
use crate::mac::Mac;
use crate::network::network::Network;
use crate::network::overlay::{self, Overlay};
use crate::network::policy::of_network;
use crate::network::subnet;
use crate::object::{Change, Kind, Object, Parts};
use crate::plan::Fact;
use crate::state::State;

/// A route of a network to addresses that live behind another host.
#[derive(Debug, Clone)]
pub struct RemoteSubnet {
    pub id: Guid,
    /// As clients see it.
    pub document: RemoteSubnetRoutePolicySetting,
    pub(crate) sequence: u64,
    pub network: Guid,
    /// What it says.
    pub way: Way,
}

/// Addresses, and where they live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub prefix: IpNet,
    pub vsid: u32,
    pub provider: IpAddr,
    /// The other host's router.
    pub mac: Mac,
}

/// Room for the numbers of routes that were stored with their network.
const EARLIER: u32 = 20;

impl RemoteSubnet {
    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Network".into(), self.network.to_string().into());
        chosen.insert("Sequence".into(), self.sequence.into());
        chosen
    }

    pub(crate) fn revive(id: Guid, parts: Parts) -> Result<RemoteSubnet, Failure> {
        let document: RemoteSubnetRoutePolicySetting =
            hostcompute_schema::parse_value(&parts.document, "")?.document;
        Ok(RemoteSubnet {
            id,
            way: of_network::remote_way(&document)?,
            document,
            sequence: parts.chosen.number("Sequence").unwrap_or_default(),
            network: parts.chosen.guid("Network").unwrap_or_default(),
        })
    }

    /// The routes that stand in the document of a network that an earlier version has stored, in their order.
    pub(crate) fn in_document(network: &Network) -> Result<Vec<RemoteSubnet>, Failure> {
        let routes = network.earlier_routes.iter().zip(1_u128..);
        routes
            .map(|(policy, place)| {
                let settings = policy.settings.clone().unwrap_or_default();
                let document: RemoteSubnetRoutePolicySetting =
                    hostcompute_schema::parse_value(&settings, "")?.document;
                let id = u128::from_be_bytes(*network.id.as_bytes()) ^ place;
                Ok(RemoteSubnet {
                    id: Guid::from_bytes(id.to_be_bytes()),
                    way: of_network::remote_way(&document)?,
                    document,
                    sequence: (network.sequence << EARLIER) + u64::try_from(place).unwrap_or(0),
                    network: network.id,
                })
            })
            .collect()
    }

    /// The route as a policy of its network.
    pub(crate) fn policy(&self) -> NetworkPolicy {
        NetworkPolicy::new(NetworkPolicyType::RemoteSubnetRoute, &self.document)
    }

    /// What the host has because of it.
    pub(crate) fn facts(&self, state: &State, facts: &mut Vec<Fact>) {
        let Some(network) = state.networks.get(self.network) else { return };
        let Some(overlay) = &network.overlay else { return };
        overlay::subnet_facts(network, overlay, &self.way, facts);
    }
}

/// Carries out what a request says about routes of a network; all or nothing.
///
/// # Errors
/// HCN_E_POLICY_NOT_FOUND (Remove), HCN_E_INVALID_POLICY for a route that contradicts another, or the network.
pub(crate) fn change(
    draft: &mut Draft<'_, '_>,
    network: &Network,
    kind: &ModifyRequestType,
    asked: Vec<(usize, NetworkPolicy)>,
    path: &str,
) -> Result<(), Failure> {
    let mut gone: Vec<Guid> = Vec::new();
    let mut new: Vec<RemoteSubnet> = Vec::new();
    if *kind == ModifyRequestType::Update && !asked.is_empty() {
        gone.extend(draft.state.remote_subnets_of(network.id).map(|route| route.id));
    }
    for (place, policy) in asked {
        let path = alloc::format!("{path}[{place}]");
        let settings = policy.settings.unwrap_or_default();
        let document: RemoteSubnetRoutePolicySetting =
            draft.part(&settings, &alloc::format!("{path}.Settings"))?;
        let way = of_network::remote_way(&document)?;
        let present = draft.state.remote_subnet(network.id, way.prefix.network());
        let present = present.filter(|route| route.way == way).map(|route| route.id);
        match (kind, present) {
            (ModifyRequestType::Remove, Some(id)) if !gone.contains(&id) => gone.push(id),
            (ModifyRequestType::Remove, _) => {
                let why = "the network has no such policy";
                return Err(Failure::new(HResult::HCN_E_POLICY_NOT_FOUND, why).at(path));
            }
            // Told again: it stays.
            (_, Some(id)) => gone.retain(|other| *other != id),
            (_, None) if new.iter().any(|route| route.way == way) => {}
            (_, None) => new.push(RemoteSubnet {
                id: draft.context.guid(),
                document,
                sequence: draft.next_sequence(),
                network: network.id,
                way,
            }),
        }
    }
    let (member, _) = path.rsplit_once('.').unwrap_or(("", path));
    let member = if member.is_empty() { path } else { &[member, ".Policies"].concat() };
    for (place, route) in new.iter().enumerate() {
        let earlier = new.get(..place).unwrap_or_default();
        check(draft.state, network, &route.way, &gone, earlier)
            .map_err(|failure| failure.at(member))?;
    }
    draft.changes.extend(gone.into_iter().map(|id| Change::Delete(Kind::RemoteSubnet, id)));
    new.into_iter().for_each(|route| draft.put(Object::RemoteSubnet(route.into())));
    Ok(())
}

fn refuse(why: String) -> Result<(), Failure> {
    Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why)
        .hint("the policy at fault is a RemoteSubnetRoute"))
}

/// Whether a route fits its network, the routes that stay, those before it in the request, and the other networks.
fn check(
    state: &State,
    network: &Network,
    way: &Way,
    gone: &[Guid],
    earlier: &[RemoteSubnet],
) -> Result<(), Failure> {
    let Some(overlay) = &network.overlay else { return Ok(()) };
    check_place(network, overlay, way)?;
    let stays = |route: &&RemoteSubnet| !gone.contains(&route.id);
    let present = state.remote_subnets_overlapping(network.id, &way.prefix).find(stays);
    let among = || earlier.iter().find(|other| subnet::overlap(&other.way.prefix, &way.prefix));
    if let Some(other) = present.or_else(among) {
        return refuse(alloc::format!(
            "{} overlaps {} behind {}",
            way.prefix,
            other.way.prefix,
            other.way.provider
        ));
    }
    let behind = state.remote_subnets_behind(network.id, way.mac).filter(stays);
    let same_mac = |other: &&RemoteSubnet| other.way.mac == way.mac;
    let rivals = behind.chain(earlier.iter().filter(same_mac));
    if let Some(rival) = rivals.map(|other| other.way.provider).find(|p| *p != way.provider) {
        return refuse(overlay::contradiction(way.mac, way.provider, rival));
    }
    let rival = overlay::rival_endpoint(state, network, overlay, way.mac, way.provider);
    if let Some(rival) = rival {
        return refuse(overlay::contradiction(way.mac, way.provider, rival));
    }
    for other in state.networks().filter(|other| other.id != network.id) {
        if let Some(used) = other.overlapping(state, &way.prefix) {
            let why =
                alloc::format!("{} overlaps {used} of network '{}'", way.prefix, other.name());
            return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why));
        }
    }
    Ok(())
}

/// Whether a route makes sense beside the network's own subnets and addresses.
fn check_place(network: &Network, overlay: &Overlay, way: &Way) -> Result<(), Failure> {
    let Way { prefix, vsid, provider, .. } = way;
    if overlay.segment(*vsid).is_none() {
        return refuse(alloc::format!("no subnet of the network has VSID {vsid}"));
    }
    if provider.is_ipv4() != overlay.provider.is_ipv4() {
        return refuse(alloc::format!(
            "{provider} is of another family than {}, this host's provider address",
            overlay.provider
        ));
    }
    if *provider == overlay.provider {
        return refuse(alloc::format!("{provider} is this host: {prefix} is not remote"));
    }
    if prefix.contains(provider) || prefix.contains(&overlay.provider) {
        return refuse(alloc::format!("the tunnel itself would lead through {prefix}"));
    }
    if let Some(own) = network.subnets.iter().find(|own| prefix.contains(&own.prefix)) {
        let own = own.prefix;
        return refuse(alloc::format!("{prefix} would take all of this network's {own}"));
    }
    let inside = network.subnets.iter().filter(|own| subnet::overlap(&own.prefix, prefix));
    if let Some(own) = inside.into_iter().find(|own| own.vsid != Some(*vsid)) {
        let own = own.prefix;
        return refuse(alloc::format!("{prefix} is in {own}, which has another VSID"));
    }
    Ok(())
}
