//! VLANs of Transparent networks and their endpoints (hcn.md 2.4, 2.10): which one an endpoint's frames are in, and what cannot be had there.
//!
//! Endpoints in a VLAN are stations, whose frames never meet the host's own protocols. Where the host would be in between (guided endpoints,
//! bridged networks) its routing would lead from one VLAN to another, and isolation is not promised unkept.

use alloc::string::ToString;

use hostcompute_schema::{Failure, HResult, Ipam, SubnetPolicyType, VlanPolicySetting};

use crate::network::endpoint::Endpoint;
use crate::network::network::{Mode, Network};
use crate::network::policy::{Policies, parse};

/// The largest number of a VLAN.
const LAST: u32 = 4094;

/// The number that a policy names; `None` is untagged.
///
/// # Errors
/// HCN_E_INVALID_POLICY.
pub(crate) fn read(setting: &VlanPolicySetting) -> Result<Option<u16>, Failure> {
    match setting.isolation_id.unwrap_or_default() {
        0 => Ok(None),
        number if number <= LAST => Ok(u16::try_from(number).ok()),
        number => {
            let why = alloc::format!("a VLAN is 1 to {LAST}, or 0 for none, not {number}");
            Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at("IsolationId"))
        }
    }
}

/// An endpoint's own policy.
///
/// # Errors
/// HCN_E_INVALID_POLICY; HCN_E_POLICY_ALREADY_EXISTS for a second one.
pub(crate) fn of_policy(
    policies: &mut Policies,
    setting: &VlanPolicySetting,
) -> Result<(), Failure> {
    if policies.vlan.is_some() {
        let why = "an endpoint is in one VLAN";
        return Err(Failure::new(HResult::HCN_E_POLICY_ALREADY_EXISTS, why));
    }
    policies.vlan = Some(read(setting)?);
    Ok(())
}

/// The VLAN that all subnets of a Transparent network name, whoever gives their addresses.
///
/// # Errors
/// HCN_E_INVALID_POLICY; HCN_E_REQUEST_UNSUPPORTED where they differ.
pub(crate) fn of_network(ipams: &[Ipam], mode: Mode) -> Result<Option<u16>, Failure> {
    let mut found: Option<Option<u16>> = None;
    for (i, ipam) in ipams.iter().enumerate().filter(|_| mode == Mode::Transparent) {
        for (j, subnet) in ipam.subnets.iter().enumerate() {
            let path = alloc::format!("Ipams[{i}].Subnets[{j}].Policies");
            let mut own = None;
            for (k, policy) in subnet.policies.iter().enumerate() {
                if policy.kind != Some(SubnetPolicyType::VLAN) {
                    continue;
                }
                let at = |failure: Failure| {
                    let member = failure.path.clone().unwrap_or_default();
                    failure.at(alloc::format!("{path}[{k}].Settings.{member}"))
                };
                let setting = parse(policy.settings.as_ref()).and_then(|it| read(&it));
                own = setting.map_err(at)?;
            }
            if found.is_some_and(|other| other != own) {
                let why = "the subnets of a network are in one VLAN, or in none".to_string();
                return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
                    .at(path)
                    .hint("make a network for each VLAN"));
            }
            found = Some(own);
        }
    }
    Ok(found.flatten())
}

/// The VLAN that an endpoint's frames are in: its own policy's, else its network's.
pub(crate) fn of_endpoint(network: &Network, policies: &Policies) -> Option<u16> {
    policies.vlan.unwrap_or(network.vlan)
}

/// Refuses to have the host in between where VLANs are to be kept apart.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn check_guided(network: &Network, policies: &Policies) -> Result<(), Failure> {
    if of_endpoint(network, policies).is_none() {
        return Ok(());
    }
    let why =
        "the host would be between the endpoint and the wire, and route from its VLAN to others";
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
        .at("Policies")
        .hint("leave out policies on packets (ACL, OutBoundNAT, QOS, ...) of endpoints in a VLAN"))
}

/// The same, for an endpoint as it is.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED.
pub(crate) fn check_endpoint(network: &Network, endpoint: &Endpoint) -> Result<(), Failure> {
    check_guided(network, &endpoint.policies)
}
