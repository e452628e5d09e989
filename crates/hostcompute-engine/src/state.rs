//! The state: all objects, and the indexes that keep every operation's cost independent of their number.
//!
//! A state is changed only by [`State::apply`]; what is loaded from a store goes through the same door, so the indexes
//! cannot drift from the objects. [`crate::check`] recomputes them and compares.

mod index;
mod remote_subnets;
mod shelf;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, Guid, HResult};
use ipnet::IpNet;

use crate::host::Ports;
use crate::mac::Mac;
use crate::network::endpoint::Endpoint;
use crate::network::guest_service::GuestService;
use crate::network::load_balancer::LoadBalancer;
use crate::network::namespace::Namespace;
use crate::network::network::Network;
use crate::network::remote_subnet::RemoteSubnet;
use crate::network::sdn_route::SdnRoute;
use crate::network::set::AddressSet;
use crate::network::subnet::{Subnet, number};
use crate::object::{Change, Kind, Object, Record};
use crate::plan::{Family, PREPARED_INTERFACES};
pub(crate) use index::Index;
pub use shelf::Shelf;

/// A port of the host that traffic may be sent to: family, address (`None`: all), protocol, port.
pub type Frontend = (Family, Option<IpAddr>, u8, u16);

/// Everything the service remembers, by meaning.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) networks: Shelf<Network>,
    pub(crate) sets: Shelf<AddressSet>,
    pub(crate) remote_subnets: Shelf<RemoteSubnet>,
    pub(crate) namespaces: Shelf<Namespace>,
    pub(crate) endpoints: Shelf<Endpoint>,
    pub(crate) load_balancers: Shelf<LoadBalancer>,
    pub(crate) sdn_routes: Shelf<SdnRoute>,
    pub(crate) guest_services: Shelf<GuestService>,
    pub(crate) index: Index,
    pub(crate) next_sequence: u64,
    /// The next interface index to give out; 0 until the first is needed.
    pub(crate) next_interface: u32,
    /// By network and family: the endpoint created last and the number after its address.
    cursors: BTreeMap<(Guid, Family), (u64, u128)>,
}

impl State {
    /// A network by id.
    ///
    /// # Errors
    /// HCN_E_NETWORK_NOT_FOUND.
    pub fn network(&self, id: Guid) -> Result<&Arc<Network>, Failure> {
        self.networks.get(id).ok_or_else(|| Kind::Network.missing(id))
    }

    /// An endpoint by id.
    ///
    /// # Errors
    /// HCN_E_ENDPOINT_NOT_FOUND.
    pub fn endpoint(&self, id: Guid) -> Result<&Arc<Endpoint>, Failure> {
        self.endpoints.get(id).ok_or_else(|| Kind::Endpoint.missing(id))
    }

    /// A load balancer by id.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn load_balancer(&self, id: Guid) -> Result<&Arc<LoadBalancer>, Failure> {
        self.load_balancers.get(id).ok_or_else(|| Kind::LoadBalancer.missing(id))
    }

    /// An SDN route by id.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn sdn_route(&self, id: Guid) -> Result<&Arc<SdnRoute>, Failure> {
        self.sdn_routes.get(id).ok_or_else(|| Kind::SdnRoute.missing(id))
    }

    /// A guest network service by id.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn guest_service(&self, id: Guid) -> Result<&Arc<GuestService>, Failure> {
        self.guest_services.get(id).ok_or_else(|| Kind::GuestService.missing(id))
    }

    /// All networks, oldest first.
    pub fn networks(&self) -> impl Iterator<Item = &Arc<Network>> {
        self.networks.iter()
    }

    /// All namespaces except HostDefault, oldest first.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.iter()
    }

    /// All endpoints, oldest first.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter()
    }

    /// All load balancers, oldest first.
    pub fn load_balancers(&self) -> impl Iterator<Item = &Arc<LoadBalancer>> {
        self.load_balancers.iter()
    }

    /// All SDN routes, oldest first.
    pub fn sdn_routes(&self) -> impl Iterator<Item = &Arc<SdnRoute>> {
        self.sdn_routes.iter()
    }

    /// All guest network services, oldest first.
    pub fn guest_services(&self) -> impl Iterator<Item = &Arc<GuestService>> {
        self.guest_services.iter()
    }

    /// How many objects of a kind there are; HostDefault is not counted.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Network => self.networks.len(),
            Kind::Set => self.sets.len(),
            Kind::RemoteSubnet => self.remote_subnets.len(),
            Kind::Namespace => self.namespaces.len(),
            Kind::Endpoint => self.endpoints.len(),
            Kind::LoadBalancer => self.load_balancers.len(),
            Kind::SdnRoute => self.sdn_routes.len(),
            Kind::GuestService => self.guest_services.len(),
        }
    }

    /// Whether nothing has been made.
    pub fn is_empty(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.count(kind) == 0)
    }

    /// The endpoints of a network, oldest first.
    pub fn members(&self, network: Guid) -> impl Iterator<Item = &Arc<Endpoint>> {
        let ids = self.index.members.get(&network).into_iter().flat_map(BTreeMap::values);
        ids.filter_map(|id| self.endpoints.get(*id))
    }

    /// The endpoints of a network that live on other hosts.
    pub(crate) fn all_remote_endpoints(
        &self,
        network: Guid,
    ) -> impl Iterator<Item = &Arc<Endpoint>> {
        let ids = self.index.remotes.range((network, 0)..=(network, u64::MAX));
        ids.flat_map(|(_, ids)| ids).filter_map(|id| self.endpoints.get(*id))
    }

    /// Those of them that have a MAC.
    pub(crate) fn remote_endpoints(
        &self,
        network: Guid,
        mac: Mac,
    ) -> impl Iterator<Item = &Arc<Endpoint>> {
        let ids = self.index.remotes.get(&(network, mac.to_u64())).into_iter().flatten();
        ids.filter_map(|id| self.endpoints.get(*id))
    }

    /// Those of them that have an address in a range.
    pub(crate) fn remote_endpoints_in(
        &self,
        network: Guid,
        range: IpNet,
    ) -> impl Iterator<Item = &Arc<Endpoint>> {
        let range = (network, range.network())..=(network, range.broadcast());
        let found = self.index.addresses.range(range).filter_map(|(_, id)| self.endpoints.get(*id));
        found.filter(|endpoint| endpoint.remote.is_some())
    }

    /// A set of a network by the name that rules call it by.
    pub fn set(&self, network: Guid, name: &str) -> Option<&Arc<AddressSet>> {
        self.sets.get(*self.index.sets.get(&(network, name.into()))?)
    }

    /// The sets of a network, oldest first.
    pub fn sets_of(&self, network: Guid) -> Vec<&Arc<AddressSet>> {
        let from = (network, String::new());
        let ids = self.index.sets.range(from..).take_while(|((owner, _), _)| *owner == network);
        let mut sets: Vec<_> = ids.filter_map(|(_, id)| self.sets.get(*id)).collect();
        sets.sort_by_key(|set| set.sequence);
        sets
    }

    /// Who names a set: endpoints whose rules do, and sets that it is a part of.
    pub(crate) fn set_users(
        &self,
        network: Guid,
        name: &str,
    ) -> impl Iterator<Item = (Kind, Guid)> {
        self.index.set_users.get(&(network, name.into())).into_iter().flatten().copied()
    }

    /// The endpoints in a namespace, in order of attachment.
    pub fn attached(&self, namespace: Guid) -> impl Iterator<Item = &Arc<Endpoint>> {
        let ids = self.index.attached.get(&namespace).into_iter().flat_map(BTreeMap::values);
        ids.filter_map(|id| self.endpoints.get(*id))
    }

    /// The first port, of those, that an endpoint or a load balancer has on every address of the host.
    pub fn published(&self, ports: Ports) -> Option<u16> {
        let families = [Family::V4, Family::V6];
        let asked =
            ports.protocols().flat_map(|protocol| families.map(|family| (family, protocol)));
        asked
            .filter_map(|(family, protocol)| {
                let range =
                    (family, None, protocol, ports.first)..=(family, None, protocol, ports.last);
                let mapping = self.index.mappings.range(range.clone()).next();
                let service = self.index.services.range(range).next();
                let port = |(frontend, _): (&Frontend, &Guid)| frontend.3;
                mapping.map(port).into_iter().chain(service.map(port)).min()
            })
            .min()
    }

    /// Where the search for a free address of a subnet begins.
    pub(crate) fn cursor(&self, network: Guid, subnet: &Subnet) -> u128 {
        self.cursors.get(&(network, subnet.family())).map_or(0, |(_, next)| *next)
    }

    fn advance_cursors(&mut self, endpoint: &Endpoint) {
        if endpoint.remote.is_some() {
            return;
        }
        for address in endpoint.addresses.iter().map(IpNet::addr) {
            let cursor = self.cursors.entry((endpoint.network, Family::of(&address))).or_default();
            if endpoint.sequence > cursor.0 {
                *cursor = (endpoint.sequence, number(address) + 1);
            }
        }
    }

    /// The load balancers that an endpoint is a backend of.
    pub(crate) fn balancers_of(&self, endpoint: Guid) -> impl Iterator<Item = Guid> {
        self.index.balanced.get(&endpoint).into_iter().flatten().copied()
    }

    /// The SDN routes that an endpoint is listed in, oldest first.
    pub(crate) fn routes_of(&self, endpoint: Guid) -> impl Iterator<Item = &Arc<SdnRoute>> {
        let ids = self.index.routed.get(&endpoint).into_iter().flatten();
        let mut routes: Vec<_> = ids.filter_map(|id| self.sdn_routes.get(*id)).collect();
        routes.sort_unstable_by_key(|route| route.sequence);
        routes.into_iter()
    }

    /// The object that a person means: by GUID, by unique beginning of its GUID, or by name.
    ///
    /// # Errors
    /// The kind's not-found code, or E_INVALIDARG when several objects answer.
    pub fn resolve(&self, kind: Kind, text: &str) -> Result<Guid, Failure> {
        if let Ok(id) = text.parse::<Guid>() {
            return if self.exists(kind, id) { Ok(id) } else { Err(kind.missing(id)) };
        }
        let prefix = text.to_ascii_lowercase();
        let looks_like_id =
            prefix.len() >= 3 && prefix.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let mut found = self.named(kind, text);
        if found.is_empty() && looks_like_id {
            found = match kind {
                Kind::Network => self.networks.with_prefix(&prefix),
                Kind::Set | Kind::RemoteSubnet => Vec::new(),
                Kind::Namespace => self.namespaces.with_prefix(&prefix),
                Kind::Endpoint => self.endpoints.with_prefix(&prefix),
                Kind::LoadBalancer => self.load_balancers.with_prefix(&prefix),
                Kind::SdnRoute => self.sdn_routes.with_prefix(&prefix),
                Kind::GuestService => self.guest_services.with_prefix(&prefix),
            };
        }
        match found.as_slice() {
            [id] => Ok(*id),
            [] => {
                Err(Failure::new(kind.not_found(), alloc::format!("there is no {kind} '{text}'"))
                    .hint(alloc::format!("list them with: hc {} ls", kind.as_str())))
            }
            several => Err(Failure::new(
                HResult::E_INVALIDARG,
                alloc::format!("'{text}' could be any of {} {kind}s", several.len()),
            )
            .hint("use the GUID or more digits of it")),
        }
    }

    /// Whether an object exists; namespace HostDefault always does.
    pub fn exists(&self, kind: Kind, id: Guid) -> bool {
        match kind {
            Kind::Network => self.networks.get(id).is_some(),
            Kind::Set => self.sets.get(id).is_some(),
            Kind::RemoteSubnet => self.remote_subnets.get(id).is_some(),
            Kind::Namespace => {
                id == crate::network::namespace::HOST_DEFAULT || self.namespaces.get(id).is_some()
            }
            Kind::Endpoint => self.endpoints.get(id).is_some(),
            Kind::LoadBalancer => self.load_balancers.get(id).is_some(),
            Kind::SdnRoute => self.sdn_routes.get(id).is_some(),
            Kind::GuestService => self.guest_services.get(id).is_some(),
        }
    }

    /// What tells an object from another that had its id before: the number of its creation. HostDefault has 0.
    pub fn incarnation(&self, kind: Kind, id: Guid) -> Option<u64> {
        match self.object(kind, id) {
            Some(object) => Some(sequence(&object)),
            None => self.exists(kind, id).then_some(0),
        }
    }

    /// Makes sure that nothing here is ever numbered as something in `earlier`, of which this state is a restoration.
    pub fn continue_from(&mut self, earlier: &State) {
        self.next_sequence = self.next_sequence.max(earlier.next_sequence);
        self.next_interface = self.next_interface.max(earlier.next_interface);
    }

    /// The objects of a kind with a name; HostDefault is named so where nothing else is.
    pub(crate) fn named(&self, kind: Kind, name: &str) -> Vec<Guid> {
        let is = |wanted: &Option<String>| wanted.as_deref() == Some(name);
        match kind {
            Kind::Network => self.index.network_names.get(name).copied().into_iter().collect(),
            Kind::Set | Kind::RemoteSubnet => Vec::new(),
            Kind::Namespace => {
                let mut found = self.namespaces.find(|n| is(&n.document.base.name));
                if found.is_empty() && name.eq_ignore_ascii_case("HostDefault") {
                    found.push(crate::network::namespace::HOST_DEFAULT);
                }
                found
            }
            Kind::Endpoint => self.endpoints.find(|e| is(&e.document.base.name)),
            Kind::LoadBalancer => self.load_balancers.find(|l| is(&l.document.base.name)),
            Kind::SdnRoute => self.sdn_routes.find(|r| is(&r.document.base.name)),
            Kind::GuestService => self.guest_services.find(|s| is(&s.document.base.name)),
        }
    }

    /// An object of any kind.
    pub fn object(&self, kind: Kind, id: Guid) -> Option<Object> {
        match kind {
            Kind::Network => self.networks.get(id).cloned().map(Object::Network),
            Kind::Set => self.sets.get(id).cloned().map(Object::Set),
            Kind::RemoteSubnet => self.remote_subnets.get(id).cloned().map(Object::RemoteSubnet),
            Kind::Namespace => self.namespaces.get(id).cloned().map(Object::Namespace),
            Kind::Endpoint => self.endpoints.get(id).cloned().map(Object::Endpoint),
            Kind::LoadBalancer => self.load_balancers.get(id).cloned().map(Object::LoadBalancer),
            Kind::SdnRoute => self.sdn_routes.get(id).cloned().map(Object::SdnRoute),
            Kind::GuestService => self.guest_services.get(id).cloned().map(Object::GuestService),
        }
    }

    /// Every object, in an order in which they can be put back.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        let networks = self.networks().cloned().map(Object::Network);
        let sets = self.sets.iter().cloned().map(Object::Set);
        let routes = self.remote_subnets.iter().cloned().map(Object::RemoteSubnet);
        let namespaces = self.namespaces().cloned().map(Object::Namespace);
        let endpoints = self.endpoints().cloned().map(Object::Endpoint);
        let load_balancers = self.load_balancers().cloned().map(Object::LoadBalancer);
        let sdn_routes = self.sdn_routes().cloned().map(Object::SdnRoute);
        let guest_services = self.guest_services().cloned().map(Object::GuestService);
        let lower = networks.chain(sets).chain(routes).chain(namespaces).chain(endpoints);
        lower.chain(load_balancers).chain(sdn_routes).chain(guest_services)
    }

    /// The state that a store remembers. Records may come in any order.
    ///
    /// # Errors
    /// HCN_E_REGKEY_FAILURE when a record cannot be read or refers to nothing.
    pub fn load(records: impl IntoIterator<Item = Record>) -> Result<State, Failure> {
        let mut records: Vec<Record> = records.into_iter().collect();
        records.sort_by_key(|record| record.kind);
        let mut state = State::default();
        for record in &records {
            let object = state.revive(record)?;
            if let Object::Network(network) = &object {
                let routes = RemoteSubnet::in_document(network);
                for route in routes.map_err(|failure| record.damaged(&failure))? {
                    state.apply_one(Change::Put(Object::RemoteSubnet(route.into())));
                }
            }
            state.apply_one(Change::Put(object));
        }
        Ok(state)
    }

    /// The object of a record, understood with the objects that are there.
    ///
    /// # Errors
    /// HCN_E_REGKEY_FAILURE as for [`State::load`].
    pub fn revive(&self, record: &Record) -> Result<Object, Failure> {
        let parts = record.parts()?;
        let revived = match record.kind {
            Kind::Network => Network::revive(record.id, parts).map(|n| Object::Network(n.into())),
            Kind::Set => AddressSet::revive(record.id, parts).map(|s| Object::Set(s.into())),
            Kind::RemoteSubnet => {
                RemoteSubnet::revive(record.id, parts).map(|r| Object::RemoteSubnet(r.into()))
            }
            Kind::Namespace => {
                Namespace::revive(record.id, parts).map(|n| Object::Namespace(n.into()))
            }
            Kind::Endpoint => {
                Endpoint::revive(self, record.id, parts).map(|e| Object::Endpoint(e.into()))
            }
            Kind::LoadBalancer => {
                LoadBalancer::revive(self, record.id, parts).map(|l| Object::LoadBalancer(l.into()))
            }
            Kind::SdnRoute => {
                SdnRoute::revive(self, record.id, parts).map(|r| Object::SdnRoute(r.into()))
            }
            Kind::GuestService => {
                GuestService::revive(record.id, parts).map(|s| Object::GuestService(s.into()))
            }
        };
        revived.map_err(|failure| record.damaged(&failure))
    }

    /// Applies changes in order.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.apply_one(change.clone());
        }
    }

    /// The changes that would take `changes` back, applied in the order returned.
    pub fn inverse(&self, changes: &[Change]) -> Vec<Change> {
        let inverse = |(kind, id): (Kind, Guid)| {
            self.object(kind, id).map_or(Change::Delete(kind, id), Change::Put)
        };
        // An object changed twice must end as it was at first, so each subject appears once. Restored in dependency
        // order: deletions of dependents before what they depend on, then the rest the other way round.
        let subjects: BTreeSet<(Kind, Guid)> = changes.iter().map(Change::subject).collect();
        let (mut gone, mut back): (Vec<_>, Vec<_>) =
            subjects.into_iter().map(inverse).partition(|c| matches!(c, Change::Delete(..)));
        gone.sort_by_key(|change| core::cmp::Reverse(change.subject().0));
        back.sort_by_key(|change| change.subject().0);
        gone.append(&mut back);
        gone
    }

    fn apply_one(&mut self, change: Change) {
        match change {
            Change::Put(object) => {
                if let Some(old) = self.object(object.kind(), object.id()) {
                    self.index.remove(&old);
                }
                self.index.insert(&object);
                self.next_sequence = self.next_sequence.max(sequence_end(&object));
                self.next_interface = self.next_interface.max(interface_end(&object));
                let (id, order) = (object.id(), sequence(&object));
                match object {
                    Object::Network(o) => drop(self.networks.put(id, order, o)),
                    Object::Set(o) => drop(self.sets.put(id, order, o)),
                    Object::RemoteSubnet(o) => drop(self.remote_subnets.put(id, order, o)),
                    Object::Namespace(o) => drop(self.namespaces.put(id, order, o)),
                    Object::Endpoint(o) => {
                        self.advance_cursors(&o);
                        drop(self.endpoints.put(id, order, o));
                    }
                    Object::LoadBalancer(o) => drop(self.load_balancers.put(id, order, o)),
                    Object::SdnRoute(o) => drop(self.sdn_routes.put(id, order, o)),
                    Object::GuestService(o) => drop(self.guest_services.put(id, order, o)),
                }
            }
            Change::Delete(kind, id) => {
                if let Some(old) = self.object(kind, id) {
                    self.index.remove(&old);
                }
                match kind {
                    Kind::Network => {
                        self.cursors.retain(|(network, _), _| *network != id);
                        drop(self.networks.remove(id));
                    }
                    Kind::Set => drop(self.sets.remove(id)),
                    Kind::RemoteSubnet => drop(self.remote_subnets.remove(id)),
                    Kind::Namespace => drop(self.namespaces.remove(id)),
                    Kind::Endpoint => drop(self.endpoints.remove(id)),
                    Kind::LoadBalancer => drop(self.load_balancers.remove(id)),
                    Kind::SdnRoute => drop(self.sdn_routes.remove(id)),
                    Kind::GuestService => drop(self.guest_services.remove(id)),
                }
            }
        }
    }
}

fn sequence(object: &Object) -> u64 {
    match object {
        Object::Network(o) => o.sequence,
        Object::Set(o) => o.sequence,
        Object::RemoteSubnet(o) => o.sequence,
        Object::Namespace(o) => o.sequence,
        Object::Endpoint(o) => o.sequence,
        Object::LoadBalancer(o) => o.sequence,
        Object::SdnRoute(o) => o.sequence,
        Object::GuestService(o) => o.sequence,
    }
}

/// One past the last sequence number that the object uses.
fn sequence_end(object: &Object) -> u64 {
    let attachment = match object {
        Object::Endpoint(o) => o.attachment.as_ref().map_or(0, |a| a.sequence),
        _ => 0,
    };
    sequence(object).max(attachment) + 1
}

/// One past the last interface index that the object uses, of those that the engine chooses.
fn interface_end(object: &Object) -> u32 {
    match object {
        Object::Network(o) => o.interfaces().max().map_or(0, |index| index + 2),
        Object::Set(o) => o.number + 2,
        Object::Endpoint(o) => {
            let chosen = o.attachment.as_ref().map(|attachment| attachment.interface);
            chosen.filter(|index| !PREPARED_INTERFACES.contains(index)).map_or(0, |index| index + 2)
        }
        Object::RemoteSubnet(_)
        | Object::Namespace(_)
        | Object::LoadBalancer(_)
        | Object::SdnRoute(_)
        | Object::GuestService(_) => 0,
    }
}
