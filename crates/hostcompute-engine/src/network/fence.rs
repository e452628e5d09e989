//! The fence of ConstrainedICS networks: guests reach each other and the outside, neither the host nor what is near it.
//!
//! Near are the prefixes that the host's own links and routes name, and the ranges that are private everywhere. A service follows the
//! host when its addresses change ([`follow`]); until then, and where nobody watches, the private ranges are what a host that moves to
//! another network takes along.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ipnet::IpNet;
use serde_json::Value;

use crate::decide;
use crate::network::network::Network;
use crate::network::subnet::Subnet;
use crate::object::{Change, Chosen, Object};
use crate::plan::{Element, Fact};
use crate::request::Decision;
use crate::state::State;

/// Whether any network has a fence.
pub fn is_any(state: &State) -> bool {
    state.networks().any(|network| network.fence.is_some())
}

/// Draws the fences around what is near now; `None` where all are as they should be. The state is changed.
pub fn follow(state: &mut State, prefixes: &[IpNet]) -> Option<Decision> {
    let drawn = Fence::around(prefixes);
    let other = |network: &&Arc<Network>| network.fence.as_ref().is_some_and(|old| *old != drawn);
    let redrawn = |network: &Arc<Network>| {
        let fence = Some(drawn.clone());
        Change::Put(Object::Network(Network { fence, ..(**network).clone() }.into()))
    };
    let changes: Vec<Change> = state.networks().filter(other).map(redrawn).collect();
    if changes.is_empty() {
        return None;
    }
    let (undo, plan) = decide::transition(state, &changes);
    Some(Decision { changes, undo, plan, ..Decision::default() })
}

/// Private (RFC 1918, RFC 6598, RFC 4193) and of one link (RFC 3927, RFC 4291).
const PRIVATE: [&str; 7] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// What a constrained network does not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Of which none holds another.
    pub barred: Vec<IpNet>,
}

impl Fence {
    /// The fence on a host with these prefixes.
    pub(crate) fn around(prefixes: &[IpNet]) -> Self {
        let private = PRIVATE.iter().filter_map(|text| text.parse::<IpNet>().ok());
        let near = prefixes.iter().map(IpNet::trunc).filter(|net| net.prefix_len() > 0);
        let mut all: Vec<IpNet> = near.chain(private).collect();
        all.sort_by_key(IpNet::prefix_len);
        let mut barred: Vec<IpNet> = Vec::new();
        for net in all {
            if !barred.iter().any(|other| other.contains(&net)) {
                barred.push(net);
            }
        }
        barred.sort();
        Self { barred }
    }

    pub(crate) fn chosen(&self) -> Value {
        self.barred.iter().map(|net| Value::String(alloc::format!("{net}"))).collect()
    }

    pub(crate) fn revive(chosen: &Chosen) -> Option<Self> {
        let barred = chosen.0.get("Barred")?.as_array()?;
        let net = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        Some(Self { barred: barred.iter().filter_map(net).collect() })
    }

    pub(crate) fn facts(&self, subnets: &[Subnet], facts: &mut Vec<Fact>) {
        for from in subnets.iter().map(|subnet| subnet.prefix) {
            facts.push(Fact::Element(Element::Fenced { subnet: from }));
            let family = |to: &&IpNet| to.addr().is_ipv4() == from.addr().is_ipv4();
            for to in self.barred.iter().filter(family) {
                facts.push(Fact::Element(Element::Barred { from, to: *to }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_fence_holds_another() {
        let near = ["198.51.100.0/24", "198.51.100.7/32", "192.168.1.0/24", "2001:db8::/64"];
        let near: Vec<IpNet> = near.iter().map(|text| text.parse().unwrap()).collect();
        let fence = Fence::around(&near);
        let shown: Vec<_> = fence.barred.iter().map(|net| alloc::format!("{net}")).collect();
        assert!(
            shown.contains(&"198.51.100.0/24".into()) && shown.contains(&"2001:db8::/64".into())
        );
        assert_eq!(shown.len(), PRIVATE.len() + 2, "{shown:?}");
    }
}
