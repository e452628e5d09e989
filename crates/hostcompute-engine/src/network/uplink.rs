//! Which link of the host a network stands on (hcn.md 2.6, 3.2): by name, by another identity, by address, by another network,
//! or the most suitable one.
//!
//! Whatever a document says of the adapter must be true of the one that is chosen. Names are those of the host; what only Windows
//! has (LUIDs, media types, descriptions, ids of interfaces) is true of none.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, HResult, InterfaceConstraintNetworkPolicySetting};
use ipnet::IpNet;

use crate::host::Uplink;

/// What a document says of the adapter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// NetAdapterName, or the adapter of the network that LayerConstraint names.
    pub name: Option<String>,
    pub constraint: Option<InterfaceConstraintNetworkPolicySetting>,
    /// ProviderAddress: the adapter has this address.
    pub address: Option<IpAddr>,
}

impl Wish {
    /// Networks that leave by the host's own routes may name only the adapter by which these leave.
    ///
    /// # Errors
    /// HCN_E_ADAPTER_NOT_FOUND; HCN_E_REQUEST_UNSUPPORTED for an adapter without a default route.
    pub fn check_default(&self, uplinks: &[Uplink]) -> Result<(), Failure> {
        let anything = Uplink::default();
        if self.constraint.as_ref().is_none_or(|constraint| meets(&anything, constraint)) {
            return Ok(());
        }
        let chosen = self.choose(uplinks)?;
        if chosen.default_route {
            return Ok(());
        }
        let why = alloc::format!("the host's default route does not leave by {}", chosen.name);
        Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Policies"))
    }

    /// The first adapter of which everything is true.
    ///
    /// # Errors
    /// HCN_E_ADAPTER_NOT_FOUND.
    pub fn choose<'a>(&self, uplinks: &'a [Uplink]) -> Result<&'a Uplink, Failure> {
        let fits = |uplink: &&Uplink| {
            self.name.as_deref().is_none_or(|name| is_called(uplink, name))
                && self.constraint.as_ref().is_none_or(|constraint| meets(uplink, constraint))
                && self
                    .address
                    .is_none_or(|address| uplink.addresses.iter().any(|own| own.addr() == address))
        };
        uplinks.iter().find(fits).ok_or_else(|| {
            let names: Vec<&str> = uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
            let why = match names.as_slice() {
                [] => "the host has no adapter that a network could stand on".to_string(),
                names => alloc::format!(
                    "no adapter of the host is as the document says (there are {})",
                    names.join(", ")
                ),
            };
            Failure::new(HResult::HCN_E_ADAPTER_NOT_FOUND, why).at("Policies")
        })
    }
}

fn is_called(uplink: &Uplink, name: &str) -> bool {
    uplink.name == name || uplink.other_names.iter().any(|other| other == name)
}

/// Members that are absent, zero or empty say nothing (WSL sends all of them so).
fn meets(uplink: &Uplink, constraint: &InterfaceConstraintNetworkPolicySetting) -> bool {
    let alias = constraint.interface_alias.as_deref().filter(|alias| !alias.is_empty());
    let index = constraint.interface_index.filter(|index| *index != 0);
    let elsewhere = constraint.interface_guid.is_some_and(|id| !id.is_zero())
        || constraint.interface_luid.is_some_and(|luid| luid != 0)
        || constraint.interface_media_type.is_some_and(|medium| medium != 0)
        || constraint.interface_description.as_deref().is_some_and(|text| !text.is_empty());
    !elsewhere
        && alias.is_none_or(|alias| is_called(uplink, alias))
        && index.is_none_or(|index| uplink.index == index)
}

/// The address by which other machines know the host on this link: the first of IPv4, else of IPv6.
pub fn address(uplink: &Uplink) -> Option<IpAddr> {
    let mut addresses = uplink.addresses.iter().map(IpNet::addr);
    addresses.clone().find(IpAddr::is_ipv4).or_else(|| addresses.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uplinks() -> [Uplink; 2] {
        let one = |name: &str, index, address: &str| Uplink {
            name: name.into(),
            other_names: alloc::vec![[name, "-other"].concat()],
            index,
            addresses: alloc::vec![address.parse().expect("a constant prefix")],
            ..Uplink::default()
        };
        [one("eth0", 2, "192.0.2.1/24"), one("eth1", 3, "198.51.100.1/24")]
    }

    #[track_caller]
    fn check(wish: &Wish, chosen: Option<&str>) {
        let uplinks = uplinks();
        let found = wish.choose(&uplinks).ok().map(|uplink| uplink.name.as_str());
        assert_eq!(found, chosen, "{wish:?}");
    }

    #[test]
    fn everything_that_is_said_must_be_true() {
        check(&Wish::default(), Some("eth0"));
        let named = |name: &str| Wish { name: Some(name.into()), ..Wish::default() };
        check(&named("eth1"), Some("eth1"));
        check(&named("eth1-other"), Some("eth1"));
        check(&named("eth0,eth1"), None);
        let address = "198.51.100.1".parse().ok();
        check(&Wish { address, ..Wish::default() }, Some("eth1"));
        check(&Wish { address, ..named("eth0") }, None);
    }

    #[test]
    fn constraints_that_say_nothing_choose_freely() {
        let constrained = |constraint| Wish { constraint: Some(constraint), ..Wish::default() };
        let empty = InterfaceConstraintNetworkPolicySetting {
            interface_index: Some(0),
            interface_alias: Some(String::new()),
            ..InterfaceConstraintNetworkPolicySetting::default()
        };
        check(&constrained(empty.clone()), Some("eth0"));
        let by_index =
            InterfaceConstraintNetworkPolicySetting { interface_index: Some(3), ..empty.clone() };
        check(&constrained(by_index), Some("eth1"));
        let luid = InterfaceConstraintNetworkPolicySetting { interface_luid: Some(7), ..empty };
        check(&constrained(luid), None);
    }
}
