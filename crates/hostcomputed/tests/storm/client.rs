//! One client: makes, connects, asks about and deletes objects of its own until it is told to end, or killed.

use std::path::PathBuf;
use std::process::Command;

use hostcompute::schema::operation::Operation;
use hostcompute::transport::{Answer, Call};
use hostcompute::{Failure, Guid, HResult, Host};

use crate::random::Random;
use crate::record::Pen;

/// What a client's process is told.
pub struct Task {
    pub number: u64,
    pub seed: u64,
    pub network: Guid,
    pub socket: PathBuf,
    pub record: PathBuf,
    /// When this file is there, it is time to end.
    pub end: PathBuf,
}

const TASK: &str = "HOSTCOMPUTE_STORM_CLIENT";

impl Task {
    pub fn to_env(&self, command: &mut Command) {
        let paths = [&self.socket, &self.record, &self.end].map(|path| path.display().to_string());
        let words = [self.number.to_string(), self.seed.to_string(), self.network.to_string()];
        command.env(TASK, [words, paths].concat().join("\n"));
    }

    pub fn from_env() -> Option<Self> {
        let text = std::env::var(TASK).ok()?;
        let words: Vec<&str> = text.lines().collect();
        let [number, seed, network, socket, record, end] = words[..] else { return None };
        Some(Self {
            number: number.parse().ok()?,
            seed: seed.parse().ok()?,
            network: network.parse().ok()?,
            socket: socket.into(),
            record: record.into(),
            end: end.into(),
        })
    }
}

/// A client keeps so many objects of a kind at most.
const MOST: usize = 3;

/// Until it is told to end.
pub fn run(task: &Task) {
    let seed = task.seed.wrapping_mul(1_000_003) ^ task.number;
    let mut client = Client {
        host: connect(task),
        pen: Pen::new(&task.record),
        random: Random::new(seed),
        number: task.number,
        network: task.network,
        namespaces: Vec::new(),
        endpoints: Vec::new(),
        balancers: Vec::new(),
    };
    while !task.end.exists() {
        client.act();
    }
}

fn connect(task: &Task) -> Host {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        match Host::connect(&task.socket) {
            Ok(host) => return host,
            Err(failure) => assert!(std::time::Instant::now() < deadline, "{failure}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

struct Client {
    host: Host,
    pen: Pen,
    random: Random,
    number: u64,
    network: Guid,
    namespaces: Vec<Guid>,
    /// With the namespace that it was put into.
    endpoints: Vec<(Guid, Option<Guid>)>,
    /// With its endpoint.
    balancers: Vec<(Guid, Guid)>,
}

impl Client {
    fn act(&mut self) {
        match self.random.below(12) {
            0 if self.namespaces.len() < MOST => self.create_namespace(),
            1 | 2 if self.endpoints.len() < MOST => self.create_endpoint(),
            3 | 4 => self.move_endpoint(),
            5 => self.delete_endpoint(),
            6 if self.random.below(3) == 0 => self.delete_namespace(),
            7 if self.balancers.is_empty() => self.create_balancer(),
            8 => self.delete_balancer(),
            9 => self.look(Operation::EnumerateEndpoints, None),
            10 => {
                let some = self.endpoints.first().map(|(id, _)| *id);
                self.look(Operation::QueryEndpointProperties, some);
            }
            _ => {
                let some = self.namespaces.first().copied();
                self.look(Operation::QueryNamespaceProperties, some);
            }
        }
    }

    fn create_namespace(&mut self) {
        let id = Guid::from_random(self.random.wide());
        if self.create("namespace", Operation::CreateNamespace, id, "{}") {
            self.namespaces.push(id);
        }
    }

    fn create_endpoint(&mut self) {
        let id = Guid::from_random(self.random.wide());
        let (operation, network) = (Operation::CreateEndpoint, Some(self.network));
        let call = Call { operation, id: Some(id), network, document: "{}" };
        if self.record("create", "endpoint", id, &call) {
            self.endpoints.push((id, None));
        }
    }

    fn move_endpoint(&mut self) {
        let Some(namespace) = self.namespaces.last().copied() else { return };
        let Some((endpoint, place)) = self.endpoints.pop() else { return };
        let (request, there, now) = match place {
            Some(place) => ("Remove", place, None),
            None => ("Add", namespace, Some(namespace)),
        };
        let document = format!(
            r#"{{"ResourceType":"Endpoint","RequestType":"{request}","Settings":{{"EndpointId":"{endpoint}"}}}}"#
        );
        let call = Call::on(Operation::ModifyNamespace, there, &document);
        let done = self.record("move", "endpoint", endpoint, &call);
        self.endpoints.insert(0, (endpoint, if done { now } else { place }));
    }

    /// A load balancer goes with its last endpoint.
    fn delete_endpoint(&mut self) {
        let Some((id, _)) = self.endpoints.pop() else { return };
        let with_it =
            self.balancers.pop_if(|(_, endpoint)| *endpoint == id).map(|(id, _)| id.to_string());
        if let Some(balancer) = &with_it {
            self.pen.write("try", "delete", "loadbalancer", balancer);
        }
        let done =
            self.record("delete", "endpoint", id, &Call::on(Operation::DeleteEndpoint, id, ""));
        if let Some(balancer) = with_it.filter(|_| done) {
            self.pen.write("yes", "delete", "loadbalancer", &balancer);
        }
    }

    fn delete_namespace(&mut self) {
        let Some(id) = self.namespaces.pop() else { return };
        self.record("delete", "namespace", id, &Call::on(Operation::DeleteNamespace, id, ""));
        for (_, place) in &mut self.endpoints {
            if *place == Some(id) {
                *place = None;
            }
        }
    }

    fn create_balancer(&mut self) {
        let Some((endpoint, _)) = self.endpoints.first().copied() else { return };
        let id = Guid::from_random(self.random.wide());
        // An address of this client's alone.
        let vip = format!(
            "10.{}.{}.{}",
            200 + (self.number >> 16) % 50,
            (self.number >> 8) % 256,
            self.number % 256
        );
        let document = format!(
            r#"{{"HostComputeEndpoints":["{endpoint}"],"FrontendVIPs":["{vip}"],"PortMappings":[{{"Protocol":6,"InternalPort":80,"ExternalPort":80}}]}}"#
        );
        if self.create("loadbalancer", Operation::CreateLoadBalancer, id, &document) {
            self.balancers.push((id, endpoint));
        }
    }

    fn delete_balancer(&mut self) {
        if let Some((id, _)) = self.balancers.pop() {
            let call = Call::on(Operation::DeleteLoadBalancer, id, "");
            self.record("delete", "loadbalancer", id, &call);
        }
    }

    fn look(&self, operation: Operation, id: Option<Guid>) {
        if id.is_none() && operation != Operation::EnumerateEndpoints {
            return;
        }
        let call = Call { operation, id, network: None, document: "" };
        if let Err(failure) = self.ask(&call) {
            assert!(is_away(&failure), "{operation}: {failure}");
        }
    }

    fn create(&mut self, kind: &str, operation: Operation, id: Guid, document: &str) -> bool {
        let call = Call { operation, id: Some(id), network: None, document };
        self.record("create", kind, id, &call)
    }

    /// Asks, with a line before and one after; without the second where nobody knows what became of it.
    fn record(&mut self, verb: &str, kind: &str, id: Guid, call: &Call<'_>) -> bool {
        let id = id.to_string();
        self.pen.write("try", verb, kind, &id);
        match self.ask(call) {
            Ok(_) => {
                self.pen.write("yes", verb, kind, &id);
                true
            }
            Err(failure) if is_away(&failure) => false,
            // Somebody deletes what a balancer or an attachment needs only if it is this client itself.
            Err(failure) => {
                self.pen.write("no", verb, kind, &id);
                assert!(is_expected(&failure), "{verb} {kind} {id}: {failure}");
                false
            }
        }
    }

    fn ask(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        self.host.call(call)
    }
}

/// The daemon was killed under the call, or is not back yet.
fn is_away(failure: &Failure) -> bool {
    failure.hresult == HResult::RPC_S_SERVER_UNAVAILABLE
}

/// Refusals that follow from not knowing what became of an earlier call.
fn is_expected(failure: &Failure) -> bool {
    [
        HResult::ERROR_NOT_FOUND,
        HResult::ERROR_ALREADY_EXISTS,
        HResult::HCN_E_ENDPOINT_NOT_FOUND,
        HResult::HCN_E_ENDPOINT_ALREADY_ATTACHED,
        HResult::HCN_E_ENTITY_HAS_REFERENCES,
    ]
    .contains(&failure.hresult)
}
