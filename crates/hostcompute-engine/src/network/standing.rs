//! Where a network stands that leads to other machines: which adapter, and what follows from it for the document.

use alloc::sync::Arc;
use alloc::vec::Vec;

use hostcompute_schema::{Failure, HResult, HostComputeNetwork, NetworkMode, NetworkPolicyType};

use crate::decide::Draft;
use crate::host::Uplink;
use crate::mac::Mac;
use crate::network::network::Network;
use crate::network::overlay::{self, Overlay, Segment};
use crate::network::policy::of_network::{self, NetworkPolicies};
use crate::network::station::Adapter;
use crate::network::subnet::Subnet;
use crate::network::uplink;
use crate::network::wire::Wire;

/// Puts an Overlay network on an adapter, and says so in its document (hcn.md rule 24).
pub(crate) fn tunnels(
    draft: &mut Draft<'_, '_>,
    document: &mut HostComputeNetwork,
    mut policies: NetworkPolicies,
    subnets: &[Subnet],
) -> Result<Overlay, Failure> {
    let chosen = adapter(draft, &mut policies)?;
    let Some(provider) = policies.adapter.address.or_else(|| uplink::address(chosen)) else {
        let why =
            alloc::format!("adapter {} has no address that other hosts can send to", chosen.name);
        return Err(Failure::new(HResult::HCN_E_ADAPTER_NOT_FOUND, why).at("Policies"));
    };
    let overhead = overlay::overhead(provider);
    let mtu = chosen.mtu.saturating_sub(overhead).max(SMALLEST_TUNNEL);
    if policies.adapter.address.is_none() || !has(document, NetworkPolicyType::ProviderAddress) {
        let setting = of_network::provider_setting(provider);
        document.policies.push(of_network::chosen(NetworkPolicyType::ProviderAddress, setting));
    }
    policies.adapter.address = Some(provider);
    let router = policies.router_mac.unwrap_or_else(|| overlay::router_of(provider));
    if policies.router_mac.is_none() {
        let setting = of_network::router_setting(router);
        document.policies.push(of_network::chosen(NetworkPolicyType::DrMacAddress, setting));
        policies.router_mac = Some(router);
    }
    let mut vsids: Vec<u32> = subnets.iter().filter_map(|subnet| subnet.vsid).collect();
    vsids.sort_unstable();
    vsids.dedup();
    let segments = vsids.into_iter().map(|vsid| segment(draft, vsid)).collect::<Result<_, _>>()?;
    Ok(overlay_of(&policies, mtu, segments).expect("the provider address and the router are set"))
}

/// The least that a tunnel must carry: the smallest IPv6 packet.
const SMALLEST_TUNNEL: u32 = 1280;

fn has(document: &HostComputeNetwork, kind: NetworkPolicyType) -> bool {
    document.policies.iter().any(|policy| policy.kind.as_ref() == Some(&kind))
}

/// The adapter of which everything is true that the policies say.
fn adapter<'a>(
    draft: &Draft<'_, 'a>,
    policies: &mut NetworkPolicies,
) -> Result<&'a Uplink, Failure> {
    if let Some(layer) = policies.layer {
        let network = draft.state.networks.get(layer);
        let address = network.and_then(|network| network.overlay.as_ref()).map(|o| o.provider);
        let name = network.and_then(|network| {
            let wire = network.wire.as_ref().map(|wire| wire.uplink.clone());
            wire.or(network.adapter.as_ref().map(|adapter| adapter.name.clone()))
        });
        if address.is_none() && name.is_none() {
            let why = alloc::format!("there is no network {layer} that stands on an adapter");
            return Err(Failure::new(HResult::HCN_E_LAYER_NOT_FOUND, why).at("Policies"));
        }
        policies.adapter.address = policies.adapter.address.or(address);
        policies.adapter.name = policies.adapter.name.take().or(name);
    }
    policies.adapter.choose(&draft.context.surroundings.uplinks)
}

/// Puts a bridged network on an adapter, and says in its document under which address other machines know the host there.
pub(crate) fn wire(
    draft: &mut Draft<'_, '_>,
    document: &mut HostComputeNetwork,
    mut policies: NetworkPolicies,
    subnets: &[Subnet],
) -> Result<(Wire, u32), Failure> {
    let chosen = adapter(draft, &mut policies)?.clone();
    let address = policies.adapter.address.or_else(|| uplink::address(&chosen));
    if let Some(address) = address.filter(|_| !has(document, NetworkPolicyType::ProviderAddress)) {
        let setting = of_network::provider_setting(address);
        document.policies.push(of_network::chosen(NetworkPolicyType::ProviderAddress, setting));
    }
    check_hops(subnets, &chosen)?;
    let taken = chosen.addresses.iter().map(ipnet::IpNet::addr).collect();
    let tunnel = document.kind == Some(NetworkMode::L2Tunnel);
    let tables = subnets.iter().map(|_| draft.next_interface()).collect();
    let mac = policies.source_mac.filter(|mac| *mac != chosen.mac);
    if let Some(mac) = mac {
        check_source_mac(draft, &chosen, mac)?;
    }
    Ok((Wire { uplink: chosen.name, taken, tunnel, tables, mac }, chosen.mtu))
}

/// Another MAC than its own an adapter can carry where its medium allows it, and each once.
fn check_source_mac(draft: &Draft<'_, '_>, uplink: &Uplink, mac: Mac) -> Result<(), Failure> {
    if uplink.wireless {
        let why = alloc::format!(
            "the wireless adapter {} carries frames of its own MAC alone",
            uplink.name
        );
        return Err(Failure::new(HResult::HCN_E_VFP_NOT_ALLOWED, why).at("Policies"));
    }
    let has = |network: &&Arc<Network>| {
        let bridged = network
            .wire
            .as_ref()
            .is_some_and(|wire| wire.uplink == uplink.name && wire.mac == Some(mac));
        let stations = network.adapter.as_ref().is_some_and(|adapter| {
            let one = (network.id, mac.to_u64());
            adapter.name == uplink.name
                && (network.anchor_mac() == mac || draft.state.index.macs.contains_key(&one))
        });
        bridged || stations
    };
    match draft.state.networks().find(has) {
        Some(other) => {
            let why =
                alloc::format!("{mac} is used on {} by network '{}'", uplink.name, other.name());
            Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at("Policies"))
        }
        None => Ok(()),
    }
}

/// Whoever routes for a subnet besides its gateway is on the adapter's wire.
fn check_hops(subnets: &[Subnet], uplink: &Uplink) -> Result<(), Failure> {
    for subnet in subnets {
        let near = |hop: &core::net::IpAddr| {
            subnet.prefix.contains(hop) || uplink.addresses.iter().any(|net| net.contains(hop))
        };
        let Some((range, hop)) = subnet.others.iter().find(|(_, hop)| !near(hop)) else { continue };
        let why =
            alloc::format!("the next hop {hop} to {range} is not on the wire of {}", uplink.name);
        return Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, why).at("Ipams"));
    }
    Ok(())
}

/// Puts a Transparent network on an adapter.
pub(crate) fn station(
    draft: &mut Draft<'_, '_>,
    mut policies: NetworkPolicies,
    subnets: &[Subnet],
) -> Result<(Adapter, u32), Failure> {
    let chosen = adapter(draft, &mut policies)?.clone();
    if chosen.wireless {
        let why = alloc::format!(
            "the wireless adapter {} carries frames of its own MAC alone, so no other machine can be on its wire",
            chosen.name
        );
        return Err(Failure::new(HResult::HCN_E_VFP_NOT_ALLOWED, why).at("Policies"));
    }
    let taken = chosen.addresses.iter().map(ipnet::IpNet::addr).collect();
    let tables = subnets.iter().map(|_| draft.next_interface()).collect();
    Ok((Adapter { name: chosen.name, taken, tables }, chosen.mtu))
}

/// The same VSID twice would be one virtual subnet with two owners.
fn segment(draft: &mut Draft<'_, '_>, vsid: u32) -> Result<Segment, Failure> {
    let has =
        |network: &&Arc<Network>| network.subnets.iter().any(|subnet| subnet.vsid == Some(vsid));
    if let Some(other) = draft.state.networks().find(has) {
        let why = alloc::format!("network '{}' has VSID {vsid} on this host", other.name());
        return Err(Failure::new(HResult::HCN_E_NETWORK_ALREADY_EXISTS, why).at("Ipams"));
    }
    Ok(Segment { vsid, interface: draft.next_interface() })
}

/// What the policies of an Overlay network mean, with what was chosen for it.
pub(crate) fn overlay_of(
    policies: &NetworkPolicies,
    mtu: u32,
    segments: Vec<Segment>,
) -> Option<Overlay> {
    Some(Overlay {
        provider: policies.adapter.address?,
        router: policies.router_mac?,
        port: policies.vxlan_port.unwrap_or(overlay::VXLAN_PORT),
        mtu,
        host_route: policies.host_route,
        segments,
    })
}
