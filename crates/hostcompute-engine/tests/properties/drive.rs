//! One world: the state, the simulated host and the model, and how a command goes through all three.

use std::collections::BTreeMap;

use hostcompute_engine::host::{Host, Surroundings, Uplink};
use hostcompute_engine::plan::{Family, PREPARED_INTERFACES, Step, undo};
use hostcompute_engine::sim::{Listener, Simulator};
use hostcompute_engine::{Change, Context, Decision, Reply, Request, State, decide};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid, HResult};
use serde_json::{Value, json};

use crate::command::{Command, GARBAGE, How, Kind, Pick};
use crate::expect::expect;
use crate::model::Model;
use crate::{guests, learn, promise, render, sets, tell};

#[derive(Clone)]
pub struct World {
    pub state: State,
    pub host: Simulator,
    pub model: Model,
    /// The last plan, and the changes that take it back in the state; empty when the last command had none.
    pub plan: Vec<Step>,
    pub undo: Vec<Change>,
    pub random: Random,
    pub tally: Tally,
}

/// How often each command succeeded and was refused: a test whose commands all fail tests nothing.
pub type Tally = BTreeMap<&'static str, (usize, usize)>;

/// A small generator of random numbers (splitmix64), so that every run is the same.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// An adapter to the outside, and one that a document must name.
fn uplinks() -> Vec<Uplink> {
    let one = |name: &str, index: u32, address: &str| Uplink {
        name: name.into(),
        index,
        mtu: 1500,
        up: true,
        addresses: vec![address.parse().expect("the constant is a prefix")],
        default_route: index == 2,
        ..Uplink::default()
    };
    vec![one("up0", 2, "198.51.100.1/24"), one("up1", 3, "192.0.2.1/24")]
}

/// The machine around: an uplink with addresses, and a program that holds TCP port 8082.
pub fn surroundings() -> Surroundings {
    let parse = |text: &str| text.parse().expect("the constant is an address");
    Surroundings {
        prefixes: ["198.51.100.0/24", "172.18.0.0/16"]
            .map(|net| net.parse().expect("a prefix"))
            .into(),
        addresses: vec![parse(promise::HOST), parse(promise::HOST6)],
        uplink_mtu: Some(1500),
        answers: true,
        uplinks: uplinks(),
    }
}

const FOREIGN_PORT: (u8, u16) = (6, 8082);

/// A call as the engine takes it.
struct Call {
    operation: Operation,
    id: Option<Guid>,
    network: Option<Guid>,
    document: String,
}

impl World {
    pub fn new() -> Self {
        let mut host = Simulator::new(surroundings());
        host.add_foreign_link("up0", 2);
        host.add_foreign_link("up1", 3);
        let (protocol, port) = FOREIGN_PORT;
        host.listen(Listener { address: None, family: Family::V4, dual: false, protocol, port });
        let mut world = World {
            state: State::default(),
            host,
            model: Model::default(),
            plan: Vec::new(),
            undo: Vec::new(),
            random: Random(7),
            tally: Tally::new(),
        };
        world.model.foreign_ports.insert(FOREIGN_PORT);
        let call = Call::plain(Operation::EnumerateNamespaces, None, "");
        let ids = world.call(&call).map(|decision| decision.reply);
        let Ok(Reply::Ids(ids)) = ids else { panic!("namespaces cannot be listed: {ids:?}") };
        world.model.host_default = ids[0];
        world
    }

    /// Puts a command through the engine and the host, and holds the outcome against the model.
    pub fn step(&mut self, command: &Command) -> Result<(), String> {
        let call = self.prepare(command);
        let expected = expect(&self.model, command);
        let records = self.records();
        let outcome = self.carry_out(&call);
        let told = outcome.as_ref().map(|_| ()).map_err(|failure| failure.hresult);
        if !expected.admits(told) {
            return Err(format!(
                "{call}\nended with {told:?}, expected {expected:x?}: {outcome:?}"
            ));
        }
        let (succeeded, refused) = self.tally.entry(command.name()).or_default();
        *if told.is_ok() { succeeded } else { refused } += 1;
        match outcome {
            Err(failure) if failure.message.is_empty() => Err("a failure without a message".into()),
            Err(failure) if self.records() != records => {
                Err(format!("{call}\nfailed with {failure} and changed the state"))
            }
            Err(_) => {
                (self.plan, self.undo) = (Vec::new(), Vec::new());
                Ok(())
            }
            Ok(decision) => {
                let before = self.model.clone();
                let reply = decision.reply.clone();
                (self.plan, self.undo) = (decision.plan, decision.undo);
                learn::learn(self, command, reply).map_err(|why| format!("{call}\n{why}"))?;
                tell::check(&before, &self.model, &decision.events)
                    .map_err(|why| format!("{call}\n{why}"))
            }
        }
    }

    /// Decides and performs; what cannot be performed is taken back.
    fn carry_out(&mut self, call: &Call) -> Result<Decision, Failure> {
        let mut attempts = 0;
        loop {
            let decision = self.call(call)?;
            let Err(fault) = self.host.perform(&decision.plan) else { return Ok(decision) };
            self.host.perform(&undo(&decision.plan)).expect("nothing hinders the way back");
            self.state.apply(&decision.undo);
            attempts += 1;
            let taken = fault.failure.hresult == HResult::HCN_E_PORT_ALREADY_EXISTS;
            if !(decision.retry_on_conflict && taken && attempts < 3) {
                return Err(fault.failure);
            }
        }
    }

    fn call(&mut self, call: &Call) -> Result<Decision, Failure> {
        let surroundings = self.host.surroundings().expect("the simulator is alive");
        let random = &mut self.random;
        let mut next = || random.next();
        let mut context = Context {
            random: &mut next,
            surroundings: &surroundings,
            prepared: &prepared,
            strict: false,
        };
        let Call { operation, id, network, document } = call;
        let request = Request { operation: *operation, id: *id, network: *network, document };
        decide(&mut self.state, &request, &mut context)
    }

    /// An object's document, as a client with schema version 2 sees it.
    pub fn document(&mut self, kind: Kind, id: Guid) -> Result<Value, String> {
        let query = json!({"SchemaVersion": {"Major": 2, "Minor": 0}}).to_string();
        let decision = self.call(&Call::plain(query_of(kind), Some(id), &query));
        match decision.map(|decision| decision.reply) {
            Ok(Reply::Text(text)) => serde_json::from_str(&text).map_err(|error| error.to_string()),
            other => Err(format!("{kind:?} {id} cannot be read: {other:?}")),
        }
    }

    /// The objects of a kind, as enumeration lists them.
    pub fn list(&mut self, kind: Kind, query: &str) -> Result<Vec<Guid>, String> {
        let decision = self.call(&Call::plain(enumerate_of(kind), None, query));
        match decision.map(|decision| decision.reply) {
            Ok(Reply::Ids(ids)) => Ok(ids),
            other => Err(format!("{kind:?} cannot be listed: {other:?}")),
        }
    }

    /// What a store would hold.
    pub fn records(&self) -> Vec<hostcompute_engine::Record> {
        self.state.objects().map(|object| object.record()).collect()
    }

    fn prepare(&self, command: &Command) -> Call {
        let model = &self.model;
        let pick = |kind, which| Some(model.pick(kind, which));
        match command {
            Command::CreateNetwork(wish) => {
                let id = render::ids(Kind::Network, wish.id).0;
                Call::plain(Operation::CreateNetwork, id, &render::network(wish))
            }
            Command::CreateNamespace(wish) => {
                let id = render::ids(Kind::Namespace, wish.id).0;
                Call::plain(Operation::CreateNamespace, id, &render::namespace(wish))
            }
            Command::CreateEndpoint(wish) => self.prepare_endpoint(wish),
            Command::CreateBalancer(wish) => {
                let id = render::ids(Kind::Balancer, wish.id).0;
                Call::plain(Operation::CreateLoadBalancer, id, &self.balancer(wish, true))
            }
            Command::ModifyBalancer(which, wish) => {
                let id = pick(Kind::Balancer, *which);
                Call::plain(Operation::ModifyLoadBalancer, id, &self.balancer(wish, false))
            }
            Command::Attach(namespace, endpoint) => {
                self.move_endpoint(Some(*namespace), *endpoint, "Add")
            }
            Command::Detach(namespace, endpoint) => {
                self.move_endpoint(*namespace, *endpoint, "Remove")
            }
            Command::Container { namespace, number, add } => {
                let how = if *add { "Add" } else { "Remove" };
                let settings = json!({"ContainerId": format!("c{number}")});
                let document = render::modify("Container", how, settings);
                Call::plain(
                    Operation::ModifyNamespace,
                    pick(Kind::Namespace, *namespace),
                    &document,
                )
            }
            Command::ChangePolicies { endpoint, how, policies } => {
                let settings = json!({"Policies": render::policies(policies)});
                let document = render::modify("Policy", render::how(*how), settings);
                Call::plain(Operation::ModifyEndpoint, pick(Kind::Endpoint, *endpoint), &document)
            }
            Command::ChangeDns(network) => {
                let settings = json!({"ServerList": ["9.9.9.9"]});
                let document = render::modify("DNS", "Update", settings);
                Call::plain(Operation::ModifyNetwork, pick(Kind::Network, *network), &document)
            }
            Command::CreateRoute(wish) => {
                let id = render::ids(Kind::Route, wish.id).0;
                let endpoints = self.endpoints(&wish.endpoints);
                Call::plain(Operation::CreateSdnRoute, id, &render::route(wish, &endpoints))
            }
            Command::ModifyRoute(which) => {
                Call::plain(Operation::ModifySdnRoute, pick(Kind::Route, *which), "{}")
            }
            Command::CreateGuestService(wish) => {
                let id = render::ids(Kind::GuestService, wish.id).0;
                let document = render::guest_service(wish);
                Call::plain(Operation::CreateGuestNetworkService, id, &document)
            }
            Command::MoveGuestService(which, state) => {
                let id = pick(Kind::GuestService, *which);
                Call::plain(Operation::ModifyGuestNetworkService, id, &guests::move_to(*state))
            }
            Command::Remotes { network, how, remotes } => {
                let policies = remotes.iter().map(render::remote_subnet).collect();
                self.change_network(*network, *how, policies)
            }
            Command::Sets { network, how, sets } => {
                self.change_network(*network, *how, sets.iter().map(sets::policy).collect())
            }
            Command::NetworkRules { network, how, rules } => {
                let policies = rules.iter().map(render::network_rule).collect();
                self.change_network(*network, *how, policies)
            }
            Command::HostRoute { network, add } => {
                let how = if *add { How::Add } else { How::Remove };
                self.change_network(*network, how, json!([{"Type": "HostRoute", "Settings": {}}]))
            }
            Command::Delete(kind, which) => Call::plain(delete_of(*kind), pick(*kind, *which), ""),
            Command::Open(kind, which) => Call::plain(open_of(*kind), pick(*kind, *which), ""),
            Command::Query(kind, which) => Call::plain(query_of(*kind), pick(*kind, *which), "{}"),
            Command::Stats(which) => {
                Call::plain(Operation::QueryEndpointStats, pick(Kind::Endpoint, *which), "")
            }
            Command::Enumerate(kind, filter) => {
                let about = learn::subject(model, *kind, *filter);
                Call::plain(enumerate_of(*kind), None, &render::query(*filter, about))
            }
            Command::Garbage { kind, text } => {
                let network =
                    (*kind == Kind::Endpoint).then(|| model.networks.first().map(|n| n.id));
                let document = GARBAGE[*text].to_string();
                Call { operation: create_of(*kind), id: None, network: network.flatten(), document }
            }
        }
    }

    fn change_network(&self, network: Pick, how: How, policies: Value) -> Call {
        let settings = json!({"Policies": policies});
        let document = render::modify("Policy", render::how(how), settings);
        let id = self.model.pick(Kind::Network, network);
        Call::plain(Operation::ModifyNetwork, Some(id), &document)
    }

    fn prepare_endpoint(&self, wish: &crate::command::EndpointWish) -> Call {
        let id = self.model.pick(Kind::Network, wish.network);
        let subnets = self.model.network(id).map(|network| network.prefixes()).unwrap_or_default();
        let handle = matches!(wish.naming, crate::command::Naming::Handle);
        Call {
            operation: Operation::CreateEndpoint,
            id: render::ids(Kind::Endpoint, wish.id).0,
            network: handle.then_some(id),
            document: render::endpoint(wish, id, &subnets),
        }
    }

    fn balancer(&self, wish: &crate::command::BalancerWish, new: bool) -> String {
        render::balancer(wish, &self.endpoints(&wish.endpoints), new)
    }

    fn endpoints(&self, picks: &[Pick]) -> Vec<Guid> {
        picks.iter().map(|which| self.model.pick(Kind::Endpoint, *which)).collect()
    }

    fn move_endpoint(&self, namespace: Option<Pick>, endpoint: Pick, how: &str) -> Call {
        let endpoint = self.model.pick(Kind::Endpoint, endpoint);
        let namespace = self.model.place_of(namespace, endpoint);
        let settings = json!({"EndpointId": endpoint.to_string()});
        let document = render::modify("Endpoint", how, settings);
        Call::plain(Operation::ModifyNamespace, Some(namespace), &document)
    }
}

impl Call {
    fn plain(operation: Operation, id: Option<Guid>, document: &str) -> Self {
        Self { operation, id, network: None, document: document.into() }
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Call { operation, id, network, document } = self;
        write!(f, "{operation:?}({id:?}, network {network:?}, {document})")
    }
}

fn create_of(kind: Kind) -> Operation {
    match kind {
        Kind::Network => Operation::CreateNetwork,
        Kind::Namespace => Operation::CreateNamespace,
        Kind::Endpoint => Operation::CreateEndpoint,
        Kind::Balancer => Operation::CreateLoadBalancer,
        Kind::Route => Operation::CreateSdnRoute,
        Kind::GuestService => Operation::CreateGuestNetworkService,
    }
}

fn delete_of(kind: Kind) -> Operation {
    match kind {
        Kind::Network => Operation::DeleteNetwork,
        Kind::Namespace => Operation::DeleteNamespace,
        Kind::Endpoint => Operation::DeleteEndpoint,
        Kind::Balancer => Operation::DeleteLoadBalancer,
        Kind::Route => Operation::DeleteSdnRoute,
        Kind::GuestService => Operation::DeleteGuestNetworkService,
    }
}

fn open_of(kind: Kind) -> Operation {
    match kind {
        Kind::Network => Operation::OpenNetwork,
        Kind::Namespace => Operation::OpenNamespace,
        Kind::Endpoint => Operation::OpenEndpoint,
        Kind::Balancer => Operation::OpenLoadBalancer,
        Kind::Route => Operation::OpenSdnRoute,
        Kind::GuestService => Operation::OpenGuestNetworkService,
    }
}

fn query_of(kind: Kind) -> Operation {
    match kind {
        Kind::Network => Operation::QueryNetworkProperties,
        Kind::Namespace => Operation::QueryNamespaceProperties,
        Kind::Endpoint => Operation::QueryEndpointProperties,
        Kind::Balancer => Operation::QueryLoadBalancerProperties,
        Kind::Route => Operation::QuerySdnRouteProperties,
        Kind::GuestService => Operation::QueryGuestNetworkServiceProperties,
    }
}

fn enumerate_of(kind: Kind) -> Operation {
    match kind {
        Kind::Network => Operation::EnumerateNetworks,
        Kind::Namespace => Operation::EnumerateNamespaces,
        Kind::Endpoint => Operation::EnumerateEndpoints,
        Kind::Balancer => Operation::EnumerateLoadBalancers,
        Kind::Route => Operation::EnumerateSdnRoutes,
        Kind::GuestService => Operation::EnumerateGuestNetworkServices,
    }
}

/// A host that has an interface ready in every other namespace.
fn prepared(namespace: Guid) -> Option<u32> {
    let bytes = namespace.to_string();
    let number =
        bytes.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let index = PREPARED_INTERFACES.start() + 2 * (number % (1 << 28));
    number.is_multiple_of(2).then_some(index)
}
