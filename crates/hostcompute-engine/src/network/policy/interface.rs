//! Policies about the port itself: QOS, InterfaceParameters, EncapOverhead, PortName, Iov, InterfaceConstraint (hcn.md 2.10).

use core::net::IpAddr;

use hostcompute_schema::{
    EncapOverheadEndpointPolicySetting, Failure, HResult, InterfaceConstraintNetworkPolicySetting,
    InterfaceParametersPolicySetting, IovPolicySetting, PortnameEndpointPolicySetting,
    QosPolicySetting,
};
use ipnet::IpNet;

use super::{ETHERNET_MTU, Policies, SMALLEST_MTU};
use crate::host::Uplink;
use crate::network::network::{Mode, Network};
use crate::network::uplink::Wish;

/// The smallest packet size of IPv4 (RFC 791).
const SMALLEST_MTU4: u32 = 68;
/// The longest interface alias of the kernel (IFALIASZ less its terminator).
const LONGEST_ALIAS: usize = 255;

fn invalid(member: &str, why: &str) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_POLICY, why).at(member)
}

fn second(kind: &str) -> Failure {
    let why = alloc::format!("an endpoint has at most one policy {kind}");
    Failure::new(HResult::HCN_E_POLICY_ALREADY_EXISTS, why)
}

pub(super) fn qos(policies: &mut Policies, setting: &QosPolicySetting) -> Result<(), Failure> {
    if policies.bytes_per_second.is_some() {
        return Err(second("QOS"));
    }
    match setting.maximum_outgoing_bandwidth_in_bytes {
        None | Some(0) => {
            Err(invalid("MaximumOutgoingBandwidthInBytes", "a cap in bytes per second is needed"))
        }
        cap => {
            policies.bytes_per_second = cap;
            Ok(())
        }
    }
}

pub(super) fn parameters(
    policies: &mut Policies,
    setting: &InterfaceParametersPolicySetting,
) -> Result<(), Failure> {
    if policies.mtu.is_some() {
        let why = "an endpoint has at most one policy InterfaceParameters";
        return Err(Failure::new(HResult::HCN_INTERFACEPARAMETERS_ALREADY_APPLIED, why));
    }
    match setting.mtu {
        None | Some(0) => Err(invalid("Mtu", "an MTU in bytes is needed")),
        Some(mtu) => {
            policies.mtu = Some(u32::from(mtu));
            Ok(())
        }
    }
}

pub(super) fn encap_overhead(
    policies: &mut Policies,
    setting: &EncapOverheadEndpointPolicySetting,
) -> Result<(), Failure> {
    if policies.overhead != 0 {
        return Err(second("EncapOverhead"));
    }
    let overhead = u32::from(setting.overhead.unwrap_or_default());
    if overhead > ETHERNET_MTU - SMALLEST_MTU4 {
        return Err(invalid("Overhead", "the encapsulation leaves no room for packets"));
    }
    policies.overhead = overhead;
    Ok(())
}

pub(super) fn port_name(
    policies: &mut Policies,
    setting: &PortnameEndpointPolicySetting,
) -> Result<(), Failure> {
    if policies.port_name.is_some() {
        return Err(second("PortName"));
    }
    let name = setting.name.clone().unwrap_or_default();
    if name.len() > LONGEST_ALIAS || name.chars().any(char::is_control) {
        return Err(invalid(
            "Name",
            "a port name is at most 255 bytes long and has no control characters",
        ));
    }
    // An empty name leaves it to the service (WSL always sends that): the interface's own name will do.
    policies.port_name = Some(name).filter(|name| !name.is_empty());
    Ok(())
}

/// Offloading to virtual functions of an adapter: there are none, so that only switching it off can be kept.
pub(super) fn iov(setting: &IovPolicySetting) -> Result<(), Failure> {
    match setting.iov_offload_weight {
        None | Some(0) => Ok(()),
        Some(_) => {
            let why = "the ports of this host have no virtual functions of an adapter";
            Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("IovOffloadWeight"))
        }
    }
}

/// Whether the adapter that an endpoint's InterfaceConstraint describes is the one that its traffic takes.
///
/// # Errors
/// HCN_E_ADAPTER_NOT_FOUND; HCN_E_REQUEST_UNSUPPORTED for another adapter than the one of the host's default route.
pub(super) fn constraint(
    setting: InterfaceConstraintNetworkPolicySetting,
    network: &Network,
    uplinks: &[Uplink],
) -> Result<(), Failure> {
    let bridged = network.wire.as_ref().map(|wire| wire.uplink.clone());
    let wish = Wish {
        constraint: Some(setting),
        name: network.adapter.as_ref().map(|adapter| adapter.name.clone()).or(bridged),
        address: network.overlay.as_ref().map(|overlay| overlay.provider),
    };
    match network.mode {
        Mode::Overlay | Mode::Bridged | Mode::Transparent => wish.choose(uplinks).map(drop),
        Mode::Nat => wish.check_default(uplinks),
        // What leaves by no adapter can only say nothing of it.
        Mode::Internal | Mode::Private => wish.check_default(&[]),
    }
}

/// Checks what policies mean together: the MTU that remains.
pub(super) fn check(
    policies: &Policies,
    network: &Network,
    addresses: &[IpNet],
) -> Result<(), Failure> {
    let base = policies.mtu.or(network.mtu).unwrap_or(ETHERNET_MTU);
    let v6 = addresses.iter().map(IpNet::addr).any(|address| matches!(address, IpAddr::V6(_)));
    let least = if v6 { SMALLEST_MTU } else { SMALLEST_MTU4 };
    if base < least + policies.overhead {
        let why = alloc::format!(
            "an MTU of {base} less {} is below {least}, the least that works",
            policies.overhead
        );
        return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at("Policies"));
    }
    Ok(())
}
