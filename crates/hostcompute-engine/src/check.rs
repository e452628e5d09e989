//! The invariant checker: every broken rule of a state, for tests after each step and for `hc check`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::Guid;

use crate::network::namespace::HOST_DEFAULT;
use crate::network::sdn_route::Hop;
use crate::network::subnet;
use crate::object::{Kind, Object};
use crate::plan::Family;
use crate::state::{Index, State};

/// A rule that the state breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub kind: Kind,
    pub id: Guid,
    pub what: String,
}

impl State {
    /// Every broken rule; empty for every state that deciding can reach.
    pub fn check(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        self.check_networks(&mut broken);
        self.check_sets(&mut broken);
        self.check_endpoints(&mut broken);
        self.check_load_balancers(&mut broken);
        self.check_routes(&mut broken);
        self.check_index(&mut broken);
        broken
    }

    fn check_networks(&self, broken: &mut Vec<Broken>) {
        let mut seen: Vec<(Guid, ipnet::IpNet)> = Vec::new();
        for network in self.networks() {
            for subnet in &network.subnets {
                let clash = seen.iter().find(|(_, other)| subnet::overlap(other, &subnet.prefix));
                if let Some((other, prefix)) = clash {
                    let what =
                        alloc::format!("{} overlaps {prefix} of network {other}", subnet.prefix);
                    broken.push(Broken { kind: Kind::Network, id: network.id, what });
                }
                seen.push((network.id, subnet.prefix));
            }
        }
    }

    /// Every set has its network, and every name in sets and rules is that of a set.
    fn check_sets(&self, broken: &mut Vec<Broken>) {
        let mut wants = |kind, id, network, name: &str| {
            if self.set(network, name).is_none() {
                let what = alloc::format!("the set '{name}' that it names is gone");
                broken.push(Broken { kind, id, what });
            }
        };
        for set in self.sets.iter() {
            set.parts().for_each(|name| wants(Kind::Set, set.id, set.network, name));
        }
        for network in self.networks() {
            let names = network.access.set_names();
            names.for_each(|name| wants(Kind::Network, network.id, network.id, name));
        }
        for endpoint in self.endpoints() {
            let names = endpoint.policies.set_names();
            names.for_each(|name| wants(Kind::Endpoint, endpoint.id, endpoint.network, name));
        }
        for route in self.remote_subnets.iter() {
            if self.networks.get(route.network).is_none() {
                let what = alloc::format!("its network {} is gone", route.network);
                broken.push(Broken { kind: Kind::RemoteSubnet, id: route.id, what });
            }
        }
        for set in self.sets.iter().filter(|set| self.networks.get(set.network).is_none()) {
            let what = alloc::format!("its network {} is gone", set.network);
            broken.push(Broken { kind: Kind::Set, id: set.id, what });
        }
    }

    fn check_endpoints(&self, broken: &mut Vec<Broken>) {
        let mut interfaces: BTreeMap<u32, Guid> =
            self.networks().flat_map(|n| n.interfaces().map(|index| (index, n.id))).collect();
        let mut owners: BTreeMap<(Guid, IpAddr), Guid> = BTreeMap::new();
        for endpoint in self.endpoints() {
            let mut report =
                |what: String| broken.push(Broken { kind: Kind::Endpoint, id: endpoint.id, what });
            let Some(network) = self.networks.get(endpoint.network) else {
                report(alloc::format!("its network {} is gone", endpoint.network));
                continue;
            };
            for address in &endpoint.addresses {
                let address = address.addr();
                let home = network.subnets.iter().find(|subnet| subnet.prefix.contains(&address));
                // Those on other hosts may have any.
                let here = endpoint.remote.is_none();
                if here && home.is_none_or(|subnet| subnet.reserves(address)) {
                    report(alloc::format!(
                        "{address} is not an address for endpoints of its network"
                    ));
                }
                if let Some(other) = owners.insert((network.id, address), endpoint.id) {
                    report(alloc::format!("{address} belongs to endpoint {other}, too"));
                }
            }
            if let Some(attachment) = &endpoint.attachment {
                let namespace = attachment.namespace;
                if namespace != HOST_DEFAULT && self.namespaces.get(namespace).is_none() {
                    report(alloc::format!("its namespace {namespace} is gone"));
                }
                if let Some(other) = interfaces.insert(attachment.interface, endpoint.id) {
                    report(alloc::format!("its interface belongs to {other}, too"));
                }
            }
        }
    }

    fn check_load_balancers(&self, broken: &mut Vec<Broken>) {
        for balancer in self.load_balancers() {
            let mut report = |what: String| {
                broken.push(Broken { kind: Kind::LoadBalancer, id: balancer.id, what })
            };
            if balancer.endpoints.is_empty() {
                report("it has no backends".into());
            }
            for endpoint in
                balancer.endpoints.iter().filter(|id| self.endpoints.get(**id).is_none())
            {
                report(alloc::format!("its backend {endpoint} is gone"));
            }
        }
    }

    fn check_routes(&self, broken: &mut Vec<Broken>) {
        for route in self.sdn_routes() {
            let mut report =
                |what: String| broken.push(Broken { kind: Kind::SdnRoute, id: route.id, what });
            if route.endpoints.is_empty() {
                report("it has no endpoints".into());
            }
            for endpoint in route.endpoints.iter().filter(|id| self.endpoints.get(**id).is_none()) {
                report(alloc::format!("its endpoint {endpoint} is gone"));
            }
            for entry in &route.entries {
                let number = self.index.hops.get(&entry.hop()).map(|(number, _)| *number);
                if number.is_none() || number != route.hops.get(&entry.hop()).copied() {
                    report(alloc::format!("the way to {} has no number", entry.destination));
                }
            }
        }
        let mut numbers: BTreeMap<(Family, u32), Hop> = BTreeMap::new();
        for (hop, (number, users)) in &self.index.hops {
            if let Some(other) = numbers.insert((hop.0, *number), *hop) {
                let what = alloc::format!("{other:?} and {hop:?} have one number");
                let (kind, id) =
                    users.first().copied().unwrap_or((Kind::SdnRoute, Guid::default()));
                broken.push(Broken { kind, id, what });
            }
        }
    }

    /// The indexes must be what the objects give.
    fn check_index(&self, broken: &mut Vec<Broken>) {
        let mut index = Index::default();
        self.objects().for_each(|object: Object| index.insert(&object));
        if index != self.index {
            let what = "the indexes do not agree with the objects".into();
            broken.push(Broken { kind: Kind::Network, id: Guid::default(), what });
        }
    }
}
