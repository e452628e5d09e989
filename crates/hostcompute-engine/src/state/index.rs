//! What is looked up by something else than an id, derived from the objects: names, addresses, members, users.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::net::IpAddr;

use hostcompute_schema::Guid;

use super::Frontend;
use crate::network::endpoint::Endpoint;
use crate::network::network::{Mode, Network};
use crate::network::policy::acl::Ruled;
use crate::network::sdn_route::Hop;
use crate::object::{Kind, Object};
use crate::plan::Family;

/// Everything derivable from the objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub network_names: BTreeMap<String, Guid>,
    /// Sets of addresses, by network and the name that rules call them by.
    pub sets: BTreeMap<(Guid, String), Guid>,
    /// Endpoints whose rules name a set, and sets that are made of it.
    pub set_users: BTreeMap<(Guid, String), BTreeSet<(Kind, Guid)>>,
    /// Subnets elsewhere, by network and first address: those of one network are apart.
    pub remote_subnets: BTreeMap<(Guid, IpAddr), Guid>,
    /// Subnets elsewhere, by network and the MAC of the router that they are behind.
    pub routers: BTreeMap<(Guid, u64), BTreeSet<Guid>>,
    /// Endpoints of a network, by sequence.
    pub members: BTreeMap<Guid, BTreeMap<u64, Guid>>,
    /// Endpoints in a namespace, by order of attachment.
    pub attached: BTreeMap<Guid, BTreeMap<u64, Guid>>,
    /// Addresses in use on a network.
    pub addresses: BTreeMap<(Guid, IpAddr), Guid>,
    /// MAC addresses in use on a network, as numbers, with the count of their users.
    pub macs: BTreeMap<(Guid, u64), u32>,
    /// Endpoints on other hosts, by network and MAC.
    pub remotes: BTreeMap<(Guid, u64), BTreeSet<Guid>>,
    /// Published ports: who holds them.
    pub mappings: BTreeMap<Frontend, Guid>,
    /// Load-balanced frontends: who holds them.
    pub services: BTreeMap<Frontend, Guid>,
    /// Ports of the host that translated connections of single endpoints use, first and last.
    pub nat_ports: BTreeMap<u16, u16>,
    /// Virtual IPs and the load balancers that announce them.
    pub vips: BTreeMap<IpAddr, BTreeSet<Guid>>,
    /// Load balancers that an endpoint is a backend of.
    pub balanced: BTreeMap<Guid, BTreeSet<Guid>>,
    /// SDN routes that an endpoint is listed in.
    pub routed: BTreeMap<Guid, BTreeSet<Guid>>,
    /// Where detours lead, each with its number and the objects that name it.
    pub hops: BTreeMap<Hop, (u32, BTreeSet<(Kind, Guid)>)>,
    /// Attached endpoints of this host whose access rules are the same, with the even number of these rules.
    pub ruled: BTreeMap<Ruled, (u32, BTreeSet<Guid>)>,
    /// The numbers in use.
    pub rule_numbers: BTreeSet<u32>,
    /// How many endpoints of a Transparent network want the host between them and the wire.
    pub guided: BTreeMap<Guid, usize>,
    /// How many networks and endpoints have a way out by IPv4, and how many networks and guided endpoints have IPv6.
    pub forwarding4: usize,
    pub forwarding6: usize,
    /// How many networks have IPv6 addresses on the wire of an adapter.
    pub solicited: BTreeMap<String, usize>,
}

impl Index {
    pub(crate) fn insert(&mut self, object: &Object) {
        match object {
            Object::Network(network) => {
                if let Some(name) = &network.document.base.name {
                    self.network_names.insert(name.clone(), network.id);
                }
                let (v4, v6) = forwards(network);
                self.forwarding4 += usize::from(v4);
                self.forwarding6 += usize::from(v6);
                if let Some(uplink) = solicited(network) {
                    *self.solicited.entry(uplink).or_default() += 1;
                }
            }
            Object::Set(set) => {
                self.sets.insert((set.network, set.name.clone()), set.id);
                for name in set.parts() {
                    self.use_set(set.network, name, (Kind::Set, set.id));
                }
            }
            Object::Namespace(_) | Object::GuestService(_) => {}
            Object::SdnRoute(route) => {
                for endpoint in &route.endpoints {
                    self.routed.entry(*endpoint).or_default().insert(route.id);
                }
                self.insert_hops((Kind::SdnRoute, route.id), &route.hops);
            }
            Object::RemoteSubnet(route) => {
                let first = (route.network, route.way.prefix.network());
                self.remote_subnets.insert(first, route.id);
                let router = (route.network, route.way.mac.to_u64());
                self.routers.entry(router).or_default().insert(route.id);
            }
            Object::Endpoint(endpoint) => self.insert_endpoint(endpoint),
            Object::LoadBalancer(balancer) => {
                for service in &balancer.services {
                    self.services.insert(service.frontend, balancer.id);
                    if let Some(vip) = service.frontend.1 {
                        self.vips.entry(vip).or_default().insert(balancer.id);
                    }
                }
                for endpoint in &balancer.endpoints {
                    self.balanced.entry(*endpoint).or_default().insert(balancer.id);
                }
            }
        }
    }

    fn use_set(&mut self, network: Guid, name: &str, user: (Kind, Guid)) {
        self.set_users.entry((network, name.into())).or_default().insert(user);
    }

    fn unuse_set(&mut self, network: Guid, name: &str, user: (Kind, Guid)) {
        let take = |users: &mut BTreeSet<(Kind, Guid)>| users.remove(&user);
        remove_from(&mut self.set_users, (network, name.into()), take, BTreeSet::is_empty);
    }

    fn insert_hops(&mut self, user: (Kind, Guid), hops: &BTreeMap<Hop, u32>) {
        for (hop, number) in hops {
            let (_, users) = self.hops.entry(*hop).or_insert((*number, BTreeSet::new()));
            users.insert(user);
        }
    }

    fn remove_hops(&mut self, user: (Kind, Guid), hops: &BTreeMap<Hop, u32>) {
        for hop in hops.keys() {
            let drop_one = |(_, users): &mut (u32, BTreeSet<_>)| users.remove(&user);
            remove_from(&mut self.hops, *hop, drop_one, |(_, users)| users.is_empty());
        }
    }

    fn insert_endpoint(&mut self, endpoint: &Endpoint) {
        self.insert_hops((Kind::Endpoint, endpoint.id), &endpoint.hops);
        if let Some(ruled) = endpoint.ruled() {
            let numbers = &mut self.rule_numbers;
            let (_, users) = self.ruled.entry(ruled).or_insert_with(|| {
                // From the digest, so that the next start finds the same; of two that meet, one may find another.
                let mut number = ruled.1 as u32 & !1;
                while !numbers.insert(number) {
                    number = number.wrapping_add(2);
                }
                (number, BTreeSet::new())
            });
            users.insert(endpoint.id);
        }
        self.forwarding4 += usize::from(endpoint.leaves());
        self.forwarding6 += usize::from(endpoint.leaves6());
        if endpoint.guided {
            *self.guided.entry(endpoint.network).or_default() += 1;
        }
        let members = self.members.entry(endpoint.network).or_default();
        members.insert(endpoint.sequence, endpoint.id);
        for address in &endpoint.addresses {
            self.addresses.insert((endpoint.network, address.addr()), endpoint.id);
        }
        for name in endpoint.policies.set_names() {
            self.use_set(endpoint.network, name, (Kind::Endpoint, endpoint.id));
        }
        let mac = (endpoint.network, endpoint.mac.to_u64());
        *self.macs.entry(mac).or_default() += 1;
        if endpoint.remote.is_some() {
            self.remotes.entry(mac).or_default().insert(endpoint.id);
        }
        self.nat_ports.extend(endpoint.nat_ports);
        for mapping in &endpoint.policies.port_mappings {
            self.mappings.insert(mapping.frontend(), endpoint.id);
        }
        if let Some(attachment) = &endpoint.attachment {
            let attached = self.attached.entry(attachment.namespace).or_default();
            attached.insert(attachment.sequence, endpoint.id);
        }
    }

    pub(super) fn remove(&mut self, object: &Object) {
        match object {
            Object::Network(network) => {
                if let Some(name) = &network.document.base.name {
                    self.network_names.remove(name);
                }
                let (v4, v6) = forwards(network);
                self.forwarding4 -= usize::from(v4);
                self.forwarding6 -= usize::from(v6);
                if let Some(uplink) = solicited(network) {
                    remove_from(&mut self.solicited, uplink, count_down, |count| *count == 0);
                }
            }
            Object::Set(set) => {
                self.sets.remove(&(set.network, set.name.clone()));
                for name in set.parts() {
                    self.unuse_set(set.network, name, (Kind::Set, set.id));
                }
            }
            Object::Namespace(_) | Object::GuestService(_) => {}
            Object::SdnRoute(route) => {
                for endpoint in &route.endpoints {
                    let drop_one = |set: &mut BTreeSet<Guid>| set.remove(&route.id);
                    remove_from(&mut self.routed, *endpoint, drop_one, BTreeSet::is_empty);
                }
                self.remove_hops((Kind::SdnRoute, route.id), &route.hops);
            }
            Object::RemoteSubnet(route) => {
                self.remote_subnets.remove(&(route.network, route.way.prefix.network()));
                let router = (route.network, route.way.mac.to_u64());
                let take = |ids: &mut BTreeSet<Guid>| ids.remove(&route.id);
                remove_from(&mut self.routers, router, take, BTreeSet::is_empty);
            }
            Object::Endpoint(endpoint) => self.remove_endpoint(endpoint),
            Object::LoadBalancer(balancer) => {
                for service in &balancer.services {
                    self.services.remove(&service.frontend);
                    if let Some(vip) = service.frontend.1 {
                        remove_from(
                            &mut self.vips,
                            vip,
                            |set| set.remove(&balancer.id),
                            BTreeSet::is_empty,
                        );
                    }
                }
                for endpoint in &balancer.endpoints {
                    let drop_one = |set: &mut BTreeSet<Guid>| set.remove(&balancer.id);
                    remove_from(&mut self.balanced, *endpoint, drop_one, BTreeSet::is_empty);
                }
            }
        }
    }

    fn remove_endpoint(&mut self, endpoint: &Endpoint) {
        self.remove_hops((Kind::Endpoint, endpoint.id), &endpoint.hops);
        if let Some(ruled) = endpoint.ruled()
            && let Some((number, users)) = self.ruled.get_mut(&ruled)
        {
            users.remove(&endpoint.id);
            if users.is_empty() {
                self.rule_numbers.remove(number);
                self.ruled.remove(&ruled);
            }
        }
        self.forwarding4 -= usize::from(endpoint.leaves());
        self.forwarding6 -= usize::from(endpoint.leaves6());
        if endpoint.guided {
            remove_from(&mut self.guided, endpoint.network, count_down, |count| *count == 0);
        }
        let by_order =
            |order: u64| move |map: &mut BTreeMap<u64, Guid>| map.remove(&order).is_some();
        remove_from(
            &mut self.members,
            endpoint.network,
            by_order(endpoint.sequence),
            BTreeMap::is_empty,
        );
        for address in &endpoint.addresses {
            self.addresses.remove(&(endpoint.network, address.addr()));
        }
        for name in endpoint.policies.set_names() {
            self.unuse_set(endpoint.network, name, (Kind::Endpoint, endpoint.id));
        }
        let release = |users: &mut u32| {
            *users -= 1;
            true
        };
        let mac = (endpoint.network, endpoint.mac.to_u64());
        remove_from(&mut self.macs, mac, release, |users| *users == 0);
        let take = |ids: &mut BTreeSet<Guid>| ids.remove(&endpoint.id);
        remove_from(&mut self.remotes, mac, take, BTreeSet::is_empty);
        if let Some((first, _)) = endpoint.nat_ports {
            self.nat_ports.remove(&first);
        }
        for mapping in &endpoint.policies.port_mappings {
            self.mappings.remove(&mapping.frontend());
        }
        if let Some(attachment) = &endpoint.attachment {
            let order = by_order(attachment.sequence);
            remove_from(&mut self.attached, attachment.namespace, order, BTreeMap::is_empty);
        }
    }
}

fn count_down(count: &mut usize) -> bool {
    *count -= 1;
    true
}

/// The adapter that must answer solicitations for a network's endpoints.
fn solicited(network: &Network) -> Option<String> {
    let wire = network.wire.as_ref().filter(|wire| wire.is_solicited(network))?;
    Some(wire.uplink.clone())
}

/// Whether a network needs the host to forward IPv4 and IPv6. IPv4 ports forward by themselves; only replies from
/// outside need the uplink to. IPv6 forwards by the host's global switch alone.
fn forwards(network: &Network) -> (bool, bool) {
    let has = |family| network.subnets.iter().any(|subnet| subnet.family() == family);
    let through_us = network.mode != Mode::Transparent || network.guides();
    let out = network.mode.publishes() || network.guides();
    (out && has(Family::V4), through_us && has(Family::V6))
}

/// Takes something out of the collection at `key` and drops the entry when that leaves it empty.
fn remove_from<K: Ord, C>(
    map: &mut BTreeMap<K, C>,
    key: K,
    take: impl FnOnce(&mut C) -> bool,
    empty: impl FnOnce(&C) -> bool,
) {
    if let Some(collection) = map.get_mut(&key) {
        take(collection);
        if empty(collection) {
            map.remove(&key);
        }
    }
}
