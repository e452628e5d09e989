//! Endpoints that live on other hosts (Flags RemoteEndpoint): an address, a MAC, and on Overlay networks the host that it is
//! behind (hcn.md 2.8, rule 25).
//!
//! They can be backends of load balancers; nothing can be attached, measured or limited. Their addresses may be outside of every
//! subnet, and their MACs need not differ.

use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{
    EndpointPolicy, EndpointPolicyType, Failure, HResult, IpConfig,
    ProviderAddressEndpointPolicySetting,
};
use ipnet::IpNet;

use super::policy::{Policies, of_network};
use crate::decide::Draft;
use crate::mac::Mac;
use crate::network::ipam::explicit;
use crate::network::network::{Mode, Network};
use crate::network::overlay;
use crate::state::State;

/// What makes an endpoint remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The host that it is behind, on Overlay networks.
    pub provider: Option<IpAddr>,
}

/// The ProviderAddress policy of an endpoint. That of a local one can only be this host's.
pub(crate) fn provider(
    policies: &mut Policies,
    setting: &ProviderAddressEndpointPolicySetting,
    network: &Network,
) -> Result<(), Failure> {
    if network.mode != Mode::Overlay {
        let why = "ProviderAddress belongs to Overlay networks";
        return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why));
    }
    if policies.provider.is_some() {
        let why = "an endpoint has at most one policy ProviderAddress";
        return Err(Failure::new(HResult::HCN_E_POLICY_ALREADY_EXISTS, why));
    }
    let text = setting.provider_address.as_deref().unwrap_or_default();
    policies.provider = Some(of_network::address(text, "ProviderAddress")?);
    Ok(())
}

/// Whether the provider address fits an endpoint that lives here.
///
/// # Errors
/// HCN_E_INVALID_POLICY.
pub(crate) fn check_local(policies: &Policies, network: &Network) -> Result<(), Failure> {
    let Some(overlay) = &network.overlay else { return Ok(()) };
    match policies.provider {
        Some(provider) if provider != overlay.provider => {
            let why = alloc::format!(
                "{provider} is not this host's provider address, which is {}",
                overlay.provider
            );
            Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why)
                .at("Policies")
                .hint("endpoints on other hosts have Flags RemoteEndpoint (1)"))
        }
        _ => Ok(()),
    }
}

/// What an endpoint's document says of another host.
///
/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED for what needs a port here; HCN_E_POLICY_NOT_FOUND without a ProviderAddress on Overlay networks.
pub(crate) fn read(
    documents: &[EndpointPolicy],
    policies: &Policies,
    network: &Network,
) -> Result<Remote, Failure> {
    let of_port =
        |policy: &EndpointPolicy| policy.kind != Some(EndpointPolicyType::ProviderAddress);
    if let Some(place) = documents.iter().position(of_port) {
        let why = "an endpoint on another host has no port here that could carry out the policy";
        return Err(Failure::new(HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION, why)
            .at(alloc::format!("Policies[{place}].Type")));
    }
    if network.mode == Mode::Overlay && policies.provider.is_none() {
        let why = "an endpoint on another host needs a policy ProviderAddress that says which";
        return Err(Failure::new(HResult::HCN_E_POLICY_NOT_FOUND, why).at("Policies"));
    }
    Ok(Remote { provider: policies.provider })
}

/// Whether networks of this mode can have endpoints on other hosts.
pub(crate) fn is_possible(network: &Network) -> bool {
    network.mode.stands_on_uplink() && network.mode != Mode::Transparent
}

/// The addresses, which the client must give: this host does not know which are free elsewhere.
///
/// # Errors
/// HCN_E_INVALID_IP, HCN_E_INVALID_PREFIX, HCN_E_ADDR_INVALID_OR_RESERVED.
pub(crate) fn addresses(
    state: &State,
    network: &Network,
    wishes: &[IpConfig],
) -> Result<Vec<IpNet>, Failure> {
    let mut found: Vec<IpNet> = Vec::new();
    for (i, wish) in wishes.iter().enumerate() {
        let path = alloc::format!("IpConfigurations[{i}].IpAddress");
        let address = explicit(wish.ip_address.as_deref().unwrap_or_default(), &path)?;
        let taken = state.index.addresses.get(&(network.id, address));
        if taken.is_some() || found.iter().any(|other| other.addr() == address) {
            let why = alloc::format!("{address} is in use by an endpoint of the network");
            return Err(Failure::new(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, why).at(path));
        }
        let home = network.subnets.iter().find(|subnet| subnet.prefix.contains(&address));
        let full = IpNet::from(address).max_prefix_len();
        let asked = wish.prefix_length.filter(|length| *length != 0);
        let length = asked.or(home.map(|subnet| subnet.prefix.prefix_len())).unwrap_or(full);
        let net = IpNet::new(address, length).map_err(|_| {
            let why =
                alloc::format!("a prefix length of this family is at most {full}, not {length}");
            Failure::new(HResult::HCN_E_INVALID_PREFIX, why)
                .at(alloc::format!("IpConfigurations[{i}].PrefixLength"))
        })?;
        found.push(net);
    }
    if found.is_empty() {
        let why = "an endpoint on another host needs its address";
        return Err(Failure::new(HResult::HCN_E_INVALID_IP, why).at("IpConfigurations"));
    }
    Ok(found)
}

/// Whether the tunnel can lead to the endpoint.
///
/// # Errors
/// HCN_E_INVALID_ENDPOINT for a MAC that is behind another host, HCN_E_INVALID_IP for an address of another network, HCN_E_INVALID_POLICY for
/// a provider of another family.
pub(crate) fn check(
    draft: &Draft<'_, '_>,
    network: &Network,
    remote: &Remote,
    addresses: &[IpNet],
    mac: Mac,
) -> Result<(), Failure> {
    let (Some(overlay), Some(provider)) = (&network.overlay, remote.provider) else {
        return Ok(());
    };
    if provider == overlay.provider {
        return Ok(());
    }
    if provider.is_ipv4() != overlay.provider.is_ipv4() {
        let why = alloc::format!("{provider} is of another family than {}", overlay.provider);
        return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at("Policies"));
    }
    overlay::agree(draft.state, network, overlay, mac, provider)
        .map_err(|failure| failure.at("MacAddress"))?;
    for address in addresses.iter().map(IpNet::addr) {
        let elsewhere = draft.state.networks().find(|other| {
            other.id != network.id
                && (other.overlapping(draft.state, &IpNet::from(address)).is_some()
                    || draft.state.index.addresses.contains_key(&(other.id, address)))
        });
        if let Some(other) = elsewhere {
            let why = alloc::format!("{address} belongs to network '{}'", other.name());
            return Err(Failure::new(HResult::HCN_E_INVALID_IP, why).at("IpConfigurations"));
        }
        let gateway = network.subnets.iter().any(|subnet| subnet.gateway == Some(address));
        if draft.state.index.vips.contains_key(&address) {
            let why = alloc::format!("{address} is the virtual IP of a load balancer");
            return Err(
                Failure::new(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, why).at("IpConfigurations")
            );
        }
        if gateway || address == provider || address == overlay.provider {
            let why = alloc::format!("{address} is an address of the hosts themselves");
            return Err(
                Failure::new(HResult::HCN_E_ADDR_INVALID_OR_RESERVED, why).at("IpConfigurations")
            );
        }
    }
    Ok(())
}
