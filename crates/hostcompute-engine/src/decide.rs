//! Deciding: one request against the state.
//!
//! Each operation works on a [`Draft`]: it reads the state, collects changes, and fails without having touched anything.
//! The plan is never written by hand: it is the difference between the facts of what the changes touch, before and after.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Document, Failure, Guid, HResult, HostComputeQuery, Parsed, Warning};
use serde_json::Value;

use crate::network::policy::acl::Ruled;
use crate::network::remote_subnet::RemoteSubnet;
use crate::network::sdn_route::Hop;
use crate::network::{
    creation, detour, endpoint, guest_service, load_balancer, namespace, network, overlay,
    sdn_route, set,
};
use crate::object::{Change, Kind, Object};
use crate::plan::{Claim, Fact, PREPARED_INTERFACES, Step, difference};
use crate::query;
use crate::request::{Context, Decision, Event, EventKind, Reply, Request, Seen, or_empty};
use crate::state::State;

/// Decides a request. On success the state holds the result and [`Decision::undo`] leads back.
///
/// # Errors
/// The failure the client gets; the state is as before.
pub fn decide(
    state: &mut State,
    request: &Request<'_>,
    context: &mut Context<'_>,
) -> Result<Decision, Failure> {
    use Operation as O;
    if request.operation.is_read_only() {
        let Seen { reply, warnings } = look(state, request, context.strict)?;
        return Ok(Decision { warnings, ..Decision::answer(reply) });
    }
    let mut draft = Draft::new(state, request, context);
    let outcome = match request.operation {
        O::CreateNetwork => creation::create(&mut draft),
        O::ModifyNetwork => network::modify(&mut draft),
        O::DeleteNetwork => network::delete(&mut draft),
        O::CreateEndpoint => endpoint::create(&mut draft),
        O::ModifyEndpoint => endpoint::modify(&mut draft),
        O::DeleteEndpoint => endpoint::delete(&mut draft),
        O::CreateNamespace => namespace::create(&mut draft),
        O::ModifyNamespace => namespace::modify(&mut draft),
        O::DeleteNamespace => namespace::delete(&mut draft),
        O::CreateLoadBalancer => load_balancer::create(&mut draft),
        O::ModifyLoadBalancer => load_balancer::modify(&mut draft),
        O::DeleteLoadBalancer => load_balancer::delete(&mut draft),
        O::CreateSdnRoute => sdn_route::create(&mut draft),
        O::ModifySdnRoute => sdn_route::modify(&draft),
        O::DeleteSdnRoute => sdn_route::delete(&mut draft),
        O::CreateGuestNetworkService => guest_service::create(&mut draft),
        O::ModifyGuestNetworkService => guest_service::modify(&mut draft),
        O::DeleteGuestNetworkService => guest_service::delete(&mut draft),
        other => Err(not_carried_out(other)),
    };
    outcome.map_err(|failure| placed(failure, request))?;
    Ok(draft.finish())
}

/// Answers a request that only reads; several may look at a state at once.
///
/// # Errors
/// The failure the client gets; E_NOTIMPL for operations that change something.
pub fn look(state: &State, request: &Request<'_>, strict: bool) -> Result<Seen, Failure> {
    use Operation as O;
    let mut look = Look { state, request, strict, warnings: Vec::new() };
    let reply = match request.operation {
        O::EnumerateNetworks => query::enumerate(&mut look, Kind::Network),
        O::EnumerateNamespaces => query::enumerate(&mut look, Kind::Namespace),
        O::EnumerateEndpoints => query::enumerate(&mut look, Kind::Endpoint),
        O::EnumerateLoadBalancers => query::enumerate(&mut look, Kind::LoadBalancer),
        O::EnumerateSdnRoutes => query::enumerate(&mut look, Kind::SdnRoute),
        O::EnumerateGuestNetworkServices => query::enumerate(&mut look, Kind::GuestService),
        O::OpenNetwork => query::open(&mut look, Kind::Network),
        O::OpenNamespace => query::open(&mut look, Kind::Namespace),
        O::OpenEndpoint => query::open(&mut look, Kind::Endpoint),
        O::OpenLoadBalancer => query::open(&mut look, Kind::LoadBalancer),
        O::OpenSdnRoute => query::open(&mut look, Kind::SdnRoute),
        O::OpenGuestNetworkService => query::open(&mut look, Kind::GuestService),
        O::QueryNetworkProperties => query::properties(&mut look, Kind::Network),
        O::QueryNamespaceProperties => query::properties(&mut look, Kind::Namespace),
        O::QueryEndpointProperties => query::properties(&mut look, Kind::Endpoint),
        O::QueryLoadBalancerProperties => query::properties(&mut look, Kind::LoadBalancer),
        O::QuerySdnRouteProperties => query::properties(&mut look, Kind::SdnRoute),
        O::QueryGuestNetworkServiceProperties => query::properties(&mut look, Kind::GuestService),
        O::QueryEndpointStats => endpoint::statistics(&look),
        O::QueryEndpointAddresses => endpoint::present_addresses(&mut look),
        other => Err(not_carried_out(other)),
    };
    let reply = reply.map_err(|failure| placed(failure, request))?;
    Ok(Seen { reply, warnings: look.warnings })
}

fn not_carried_out(operation: Operation) -> Failure {
    let why = alloc::format!("this service does not carry out {}", operation.symbol());
    Failure::new(HResult::E_NOTIMPL, why)
}

fn placed(failure: Failure, request: &Request<'_>) -> Failure {
    match request.document {
        "" => failure,
        text => failure.in_document(text),
    }
}

/// A request that reads.
pub(crate) struct Look<'a> {
    pub state: &'a State,
    pub request: &'a Request<'a>,
    strict: bool,
    warnings: Vec<Warning>,
}

impl Look<'_> {
    /// The request's query, understood; its warnings are kept, or refused when strict.
    pub fn query(&mut self) -> Result<HostComputeQuery, Failure> {
        let parsed = hostcompute_schema::parse_query(or_empty(self.request.document))?;
        keep(parsed, self.strict, &mut self.warnings)
    }

    /// The object that the request is about.
    pub fn target(&self) -> Result<Guid, Failure> {
        target(self.request)
    }
}

fn target(request: &Request<'_>) -> Result<Guid, Failure> {
    request.id.ok_or_else(|| {
        Failure::new(HResult::E_INVALIDARG, "the request does not say which object it is about")
    })
}

/// What was parsed; the warnings go to `warnings`, or are refused when strict.
fn keep<T>(parsed: Parsed<T>, strict: bool, warnings: &mut Vec<Warning>) -> Result<T, Failure> {
    if strict && let Some(warning) = parsed.warnings.first() {
        let fact = warning.message.split("; it is ignored").next().unwrap_or_default();
        return Err(Failure::new(HResult::HCN_E_INVALID_JSON, fact)
            .at(warning.path.clone())
            .hint("without --strict, unknown members are ignored with a warning"));
    }
    warnings.extend(parsed.warnings);
    Ok(parsed.document)
}

/// A request being decided.
pub(crate) struct Draft<'a, 'c> {
    pub state: &'a mut State,
    pub request: &'a Request<'a>,
    pub context: &'a mut Context<'c>,
    pub changes: Vec<Change>,
    pub claims: Vec<Claim>,
    pub events: Vec<Event>,
    pub warnings: Vec<Warning>,
    pub reply: Reply,
    pub retry_on_conflict: bool,
}

impl<'a, 'c> Draft<'a, 'c> {
    fn new(state: &'a mut State, request: &'a Request<'a>, context: &'a mut Context<'c>) -> Self {
        Draft {
            state,
            request,
            context,
            changes: Vec::new(),
            claims: Vec::new(),
            events: Vec::new(),
            warnings: Vec::new(),
            reply: Reply::None,
            retry_on_conflict: false,
        }
    }

    /// The request's document, understood by `parse`; its warnings are kept, or refused when strict.
    pub fn settings<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Result<Parsed<T>, Failure>,
    ) -> Result<T, Failure> {
        keep(parse(or_empty(self.request.document))?, self.context.strict, &mut self.warnings)
    }

    /// A part of the request's document (policy settings, modification settings) at a path.
    pub fn part<T: Document>(&mut self, value: &Value, path: &str) -> Result<T, Failure> {
        let parsed = hostcompute_schema::parse_value(value, path)?;
        keep(parsed, self.context.strict, &mut self.warnings)
    }

    /// The object that the request is about.
    pub fn target(&self) -> Result<Guid, Failure> {
        target(self.request)
    }

    /// The id of a new object: the parameter, else the document's, else a fresh one (hcn.md rule 2).
    pub fn new_id(&mut self, kind: Kind, in_document: Option<Guid>) -> Result<Guid, Failure> {
        let given = |id: Option<Guid>| id.filter(|id| !id.is_zero());
        match given(self.request.id).or(given(in_document)) {
            Some(id) if self.state.exists(kind, id) => Err(kind.taken(id)),
            Some(id) => Ok(id),
            None => Ok(self.context.guid()),
        }
    }

    /// A number that orders this object after all others.
    pub fn next_sequence(&mut self) -> u64 {
        self.state.next_sequence += 1;
        self.state.next_sequence
    }

    /// An even interface index that nothing of ours uses; the odd one after it belongs to the same object.
    pub fn next_interface(&mut self) -> u32 {
        if self.state.next_interface < FIRST_INTERFACE || self.state.next_interface > LAST_INTERFACE
        {
            // From a random place, so that a name that the kernel is still taking down is not used again at once.
            let room = u64::from(LAST_INTERFACE - FIRST_INTERFACE) / 4;
            let offset = (self.context.random)() % room;
            self.state.next_interface = FIRST_INTERFACE + 2 * u32::try_from(offset).unwrap_or(0);
        }
        let index = self.state.next_interface;
        self.state.next_interface += 2;
        index
    }

    /// The index for the first interface of a namespace: of what the host has ready there, else any.
    pub fn first_interface(&mut self, namespace: Guid) -> u32 {
        let prepared = (self.context.prepared)(namespace);
        prepared
            .filter(|index| PREPARED_INTERFACES.contains(index))
            .unwrap_or_else(|| self.next_interface())
    }

    pub fn put(&mut self, object: Object) {
        self.changes.push(Change::Put(object));
    }

    /// Something happened to a network.
    pub fn network_event(&mut self, kind: EventKind, id: Guid, flags: u32) {
        self.events.push(Event { flags, network: Some(id), ..Event::about(kind, id) });
    }

    /// Something happened to a namespace.
    pub fn namespace_event(&mut self, kind: EventKind, id: Guid) {
        self.events.push(Event::about(kind, id));
    }

    /// An endpoint of the network came into a namespace or left it.
    pub fn port_event(&mut self, kind: EventKind, endpoint: &endpoint::Endpoint) {
        let network = Some(endpoint.network);
        self.events.push(Event { network, ..Event::about(kind, endpoint.id) });
    }

    pub fn created(&mut self, id: Guid) {
        self.reply = Reply::Id(id);
    }

    fn finish(self) -> Decision {
        let (undo, mut plan) = transition(self.state, &self.changes);
        plan.splice(0..0, self.claims.into_iter().map(Step::Claim));
        Decision {
            changes: self.changes,
            undo,
            plan,
            events: self.events,
            reply: self.reply,
            warnings: self.warnings,
            retry_on_conflict: self.retry_on_conflict,
        }
    }
}

/// Interface indexes are ours above this; the kernel counts from 1.
const FIRST_INTERFACE: u32 = 0x0100_0000;
const LAST_INTERFACE: u32 = *PREPARED_INTERFACES.start() - 2;

/// Applies changes and returns how to take them back and what the host must do.
pub(crate) fn transition(state: &mut State, changes: &[Change]) -> (Vec<Change>, Vec<Step>) {
    if changes.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let undo = state.inverse(changes);
    let mut touched = Touched::default();
    touched.collect(state, changes);
    let mut before = Vec::new();
    touched.facts(state, &mut before);
    state.apply(changes);
    let mut after = Vec::new();
    touched.facts(state, &mut after);
    (undo, difference(&before, &after))
}

/// The objects whose facts a change may alter: those changed, and those whose facts are made of them. Collected before the
/// change from the old objects and the new ones, so that both sides of the difference speak of the same objects.
#[derive(Default)]
struct Touched {
    networks: BTreeSet<Guid>,
    sets: BTreeSet<Guid>,
    remote_subnets: BTreeSet<Guid>,
    namespaces: BTreeSet<Guid>,
    endpoints: BTreeSet<Guid>,
    load_balancers: BTreeSet<Guid>,
    hops: BTreeSet<Hop>,
    ruled: BTreeSet<Ruled>,
}

impl Touched {
    fn collect(&mut self, state: &State, changes: &[Change]) {
        for change in changes {
            let (kind, id) = change.subject();
            match kind {
                Kind::Network => {
                    self.networks.insert(id);
                    let old = state.networks.get(id).map(AsRef::as_ref);
                    let new = match change {
                        Change::Put(Object::Network(network)) => Some(network.as_ref()),
                        _ => None,
                    };
                    let (endpoints, routes) = overlay::concerned(state, old, new);
                    self.endpoints.extend(endpoints);
                    self.remote_subnets.extend(routes);
                    // The rules of all endpoints contain those of the network.
                    let rules = |network: &network::Network| {
                        (network.access.clone(), network.proxies.clone())
                    };
                    if old.is_some_and(|old| new.is_some_and(|new| rules(new) != rules(old))) {
                        self.ruled.extend(state.ruled_in(id));
                        self.endpoints.extend(state.members(id).map(|endpoint| endpoint.id));
                    }
                }
                Kind::Set => {
                    let new = match change {
                        Change::Put(Object::Set(set)) => Some(set.as_ref()),
                        _ => None,
                    };
                    self.set(state, id, new);
                }
                Kind::RemoteSubnet => {
                    self.remote_subnets.insert(id);
                    let old = state.remote_subnets.get(id).map(AsRef::as_ref);
                    let new = match change {
                        Change::Put(Object::RemoteSubnet(route)) => Some(route.as_ref()),
                        _ => None,
                    };
                    old.into_iter().chain(new).for_each(|route| self.remote_subnet(state, route));
                }
                Kind::Namespace => drop(self.namespaces.insert(id)),
                Kind::Endpoint => {
                    self.endpoint(state, id);
                    if let Change::Put(Object::Endpoint(endpoint)) = change {
                        self.guided(state, endpoint);
                        self.hops.extend(endpoint.hops.keys());
                        self.ruled.extend(endpoint.ruled());
                        self.residents(state, endpoint);
                        self.behind_the_same_mac(state, endpoint);
                    }
                }
                Kind::LoadBalancer => {
                    self.load_balancers.insert(id);
                    self.companions(state, id);
                    if let Change::Put(Object::LoadBalancer(balancer)) = change {
                        self.sharing_vips(state, balancer);
                    }
                }
                Kind::SdnRoute => {
                    let old = state.sdn_routes.get(id).map(AsRef::as_ref);
                    let new = match change {
                        Change::Put(Object::SdnRoute(route)) => Some(route.as_ref()),
                        _ => None,
                    };
                    for route in old.into_iter().chain(new) {
                        self.endpoints.extend(&route.endpoints);
                        self.hops.extend(route.hops.keys());
                    }
                }
                // A record, of which the host has nothing.
                Kind::GuestService => {}
            }
        }
    }

    /// A set, those that contain it, and, where rules must compare ports that did not or the other way round, who names them.
    fn set(&mut self, state: &State, id: Guid, new: Option<&set::AddressSet>) {
        self.sets.insert(id);
        let Some(old) = state.sets.get(id) else { return };
        let reshaped = new.is_some_and(|new| !old.same_shape(new));
        let mut next = alloc::vec![(old.network, old.name.clone())];
        while let Some((network, name)) = next.pop() {
            for (kind, user) in state.set_users(network, &name) {
                match kind {
                    Kind::Set if self.sets.insert(user) || reshaped => {
                        let user = state.sets.get(user);
                        next.extend(user.map(|user| (user.network, user.name.clone())));
                    }
                    Kind::Endpoint if reshaped => {
                        self.endpoints.insert(user);
                        let user = state.endpoints.get(user);
                        self.ruled.extend(user.and_then(|user| user.ruled()));
                    }
                    _ => {}
                }
            }
            let network = state.networks.get(network).filter(|_| reshaped);
            if let Some(network) = network
                && network.access.set_names().any(|other| other == name)
            {
                self.endpoints.extend(state.members(network.id).map(|endpoint| endpoint.id));
                self.ruled.extend(state.ruled_in(network.id));
            }
        }
    }

    fn endpoint(&mut self, state: &State, id: Guid) {
        self.endpoints.insert(id);
        if let Some(endpoint) = state.endpoints.get(id) {
            self.guided(state, endpoint);
            self.hops.extend(endpoint.hops.keys());
            self.ruled.extend(endpoint.ruled());
            self.residents(state, endpoint);
            self.behind_the_same_mac(state, endpoint);
        }
        for balancer in state.balancers_of(id) {
            self.load_balancers.insert(balancer);
            self.companions(state, balancer);
        }
    }

    /// What a network needs as long as one of its endpoints is guided comes and goes with these.
    fn guided(&mut self, state: &State, endpoint: &endpoint::Endpoint) {
        let networks = state.networks.get(endpoint.network).into_iter();
        let transparent = networks.filter(|network| network.mode == network::Mode::Transparent);
        self.networks.extend(transparent.map(|network| network.id));
    }

    /// The namespace of an endpoint and the endpoints that share it: each may send as the others.
    fn residents(&mut self, state: &State, endpoint: &endpoint::Endpoint) {
        let Some(attachment) = &endpoint.attachment else { return };
        self.namespaces.insert(attachment.namespace);
        if attachment.namespace != namespace::HOST_DEFAULT {
            self.endpoints.extend(state.attached(attachment.namespace).map(|other| other.id));
        }
    }

    /// Remote endpoints of one MAC, and remote subnets behind it, have one entry in the tunnel's table.
    fn behind_the_same_mac(&mut self, state: &State, endpoint: &endpoint::Endpoint) {
        if endpoint.remote.is_none() {
            return;
        }
        let network = endpoint.network;
        self.endpoints.extend(state.remote_endpoints(network, endpoint.mac).map(|other| other.id));
        let routes = state.remote_subnets_behind(network, endpoint.mac);
        self.remote_subnets.extend(routes.map(|route| route.id));
    }

    /// Who is behind the same MAC as a remote subnet, and remote endpoints in it, which need less where it covers them.
    fn remote_subnet(&mut self, state: &State, route: &RemoteSubnet) {
        let (network, way) = (route.network, &route.way);
        let routes = state.remote_subnets_behind(network, way.mac);
        self.remote_subnets.extend(routes.map(|route| route.id));
        let behind = state.remote_endpoints(network, way.mac);
        let within = state.remote_endpoints_in(network, way.prefix);
        self.endpoints.extend(behind.chain(within).map(|endpoint| endpoint.id));
    }

    /// Balancers of the same virtual IP: one of them announces it for all.
    fn companions(&mut self, state: &State, id: Guid) {
        if let Some(balancer) = state.load_balancers.get(id) {
            self.sharing_vips(state, balancer);
        }
    }

    fn sharing_vips(&mut self, state: &State, balancer: &load_balancer::LoadBalancer) {
        for vip in balancer.services.iter().filter_map(|service| service.frontend.1) {
            let others = state.index.vips.get(&vip).into_iter().flatten();
            self.load_balancers.extend(others);
        }
    }

    fn facts(&self, state: &State, facts: &mut Vec<Fact>) {
        network::shared_facts(state, facts);
        detour::facts(state, self.hops.iter(), facts);
        self.ruled.iter().for_each(|ruled| state.ruled_facts(ruled, facts));
        for network in self.networks.iter().filter_map(|id| state.networks.get(*id)) {
            network.facts(state, facts);
        }
        for set in self.sets.iter().filter_map(|id| state.sets.get(*id)) {
            set.facts(state, facts);
        }
        let routes = self.remote_subnets.iter().filter_map(|id| state.remote_subnets.get(*id));
        routes.for_each(|route| route.facts(state, facts));
        for id in &self.namespaces {
            namespace::facts(state, *id, facts);
        }
        for endpoint in self.endpoints.iter().filter_map(|id| state.endpoints.get(*id)) {
            endpoint.facts(state, facts);
        }
        for balancer in self.load_balancers.iter().filter_map(|id| state.load_balancers.get(*id)) {
            balancer.facts(state, facts);
        }
    }
}

impl State {
    /// Everything the host must have because of this state.
    pub fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        network::shared_facts(self, &mut facts);
        detour::facts(self, self.index.hops.keys(), &mut facts);
        self.index.ruled.keys().for_each(|ruled| self.ruled_facts(ruled, &mut facts));
        self.networks().for_each(|network| network.facts(self, &mut facts));
        self.sets.iter().for_each(|set| set.facts(self, &mut facts));
        self.remote_subnets.iter().for_each(|route| route.facts(self, &mut facts));
        self.namespaces().for_each(|namespace| namespace::facts(self, namespace.id, &mut facts));
        self.endpoints().for_each(|endpoint| endpoint.facts(self, &mut facts));
        self.load_balancers().for_each(|balancer| balancer.facts(self, &mut facts));
        facts.sort();
        facts.dedup();
        facts
    }
}
