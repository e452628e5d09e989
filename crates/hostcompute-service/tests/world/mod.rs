//! A service on a simulated machine, a day of ordinary work, and pictures of both taken at every point where a process could die.

// Each test program uses a part of it.
#![allow(dead_code, reason = "compiled into several test programs, none of which needs everything")]

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hostcompute_engine::host::{
    Counters, Difference, Fault, Flow, Hold, Host, Observer, Ports, Surroundings, Tell, Told,
};
use hostcompute_engine::plan::{Fact, Meter, Step};
use hostcompute_engine::sim::{self, Moment, Simulator, Tamper};
use hostcompute_engine::{Kind, Request, State};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid};
use hostcompute_service::{Answer, Body, Identity, Random, Reading, Service, Store};
use serde_json::{Value, json};

/// A directory of a test's own, removed with the value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("hostcompute-world-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A directory as it would be found if its process died now.
    pub fn copy_of(directory: &Path) -> Self {
        let copy = Self::new();
        for entry in std::fs::read_dir(directory).expect("readable") {
            let entry = entry.expect("readable");
            std::fs::copy(entry.path(), copy.0.join(entry.file_name())).expect("copied");
        }
        copy
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A simulated machine that outlives the services on it.
#[derive(Clone, Default)]
pub struct Machine(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    simulator: Simulator,
    /// When set: what a process dying in a plan leaves behind is collected here.
    watched: Option<Watched>,
    /// When set: happens before the next plan.
    interruption: Option<Box<dyn FnOnce() + Send>>,
    /// When set: is told of what others do.
    tell: Option<Tell>,
}

#[derive(Default)]
struct Watched {
    directory: PathBuf,
    deaths: Vec<Death>,
}

/// What a process leaves that dies in the middle of a plan.
pub struct Death {
    pub directory: Arc<Scratch>,
    pub machine: Simulator,
}

impl Machine {
    pub fn of(simulator: Simulator) -> Self {
        Self(Arc::new(Mutex::new(Inside { simulator, ..Inside::default() })))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("no test panics while it holds the machine")
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut Simulator) -> T) -> T {
        work(&mut self.inside().simulator)
    }

    /// Edits the machine by someone else's hand; whoever watches it is told.
    pub fn disturb(&self, edit: Tamper) {
        let mut inside = self.inside();
        inside.simulator.tamper(edit);
        drop(inside);
        self.tell(Told::Disturbed("something was taken away"));
    }

    /// Gives the machine other surroundings; whoever watches it is told.
    pub fn relocate(&self, surroundings: Surroundings) {
        self.with(|simulator| simulator.set_surroundings(surroundings));
        self.tell(Told::Moved);
    }

    fn tell(&self, told: Told<'_>) {
        // Whoever is told may look at the machine.
        let tell = self.inside().tell.take();
        if let Some(tell) = tell {
            tell(told);
            self.inside().tell = Some(tell);
        }
    }

    /// Before the next plan is performed, something else happens.
    pub fn interrupt(&self, with: impl FnOnce() + Send + 'static) {
        self.inside().interruption = Some(Box::new(with));
    }

    /// From now on, collects the deaths of processes that use the state directory.
    pub fn watch(&self, directory: &Path) {
        self.inside().watched =
            Some(Watched { directory: directory.to_owned(), deaths: Vec::new() });
    }

    /// Every death that could have happened in the plans since the last call.
    pub fn deaths(&self) -> Vec<Death> {
        self.inside()
            .watched
            .as_mut()
            .map(|watched| std::mem::take(&mut watched.deaths))
            .unwrap_or_default()
    }
}

impl Inside {
    fn picture_deaths(&mut self, plan: &[Step]) {
        let Some(watched) = &mut self.watched else { return };
        let directory = Arc::new(Scratch::copy_of(&watched.directory));
        let mut die =
            |machine| watched.deaths.push(Death { directory: directory.clone(), machine });
        die(self.simulator.clone());
        for after in 0..plan.len() {
            for moment in [Moment::Before, Moment::Halfway, Moment::After] {
                let mut machine = self.simulator.clone();
                machine.order(sim::Fault { after, moment });
                let _ = machine.perform(plan);
                machine.cancel_faults();
                die(machine);
            }
        }
    }
}

impl Host for Machine {
    fn perform(&mut self, plan: &[Step]) -> Result<(), Fault> {
        let interruption = self.inside().interruption.take();
        if let Some(interruption) = interruption {
            interruption();
        }
        let mut inside = self.inside();
        inside.picture_deaths(plan);
        inside.simulator.perform(plan)
    }

    fn compare(&mut self, wanted: &[Fact]) -> Result<Vec<Difference>, Fault> {
        self.with(|simulator| simulator.compare(wanted))
    }

    fn surroundings(&mut self) -> Result<Surroundings, Fault> {
        self.with(Host::surroundings)
    }

    fn counters(&mut self, meter: &Meter) -> Result<Counters, Fault> {
        self.with(|simulator| Host::counters(simulator, meter))
    }

    fn settle(&mut self) -> Result<(), Fault> {
        self.with(Host::settle)
    }

    fn hold(&mut self, ports: Ports) -> Result<Box<dyn Hold>, Fault> {
        self.with(|simulator| simulator.hold(ports))
    }

    fn observer(&mut self) -> Result<Box<dyn Observer + Send>, Fault> {
        Ok(Box::new(self.clone()))
    }

    fn watch(&mut self, tell: Tell) -> Result<(), Fault> {
        self.inside().tell = Some(tell);
        Ok(())
    }
}

impl Observer for Machine {
    fn counters(&mut self, meter: &Meter) -> Result<Counters, Fault> {
        self.with(|simulator| Observer::counters(simulator, meter))
    }

    fn all_counters(&mut self) -> Result<Vec<(u32, Counters)>, Fault> {
        self.with(Observer::all_counters)
    }

    fn flows(&mut self, limit: usize) -> Result<Vec<Flow>, Fault> {
        self.with(|simulator| simulator.flows(limit))
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

pub fn boot(number: u32) -> Identity {
    Identity { boot: format!("boot {number}"), host: "host".to_owned(), place: String::new() }
}

/// Numbers that look random and are the same in every run.
fn random() -> Random {
    let mut seed = 7_u64;
    Box::new(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed ^ (seed >> 29)
    })
}

pub fn open(
    directory: &Path,
    machine: &Machine,
    identity: &Identity,
) -> Result<Service<Machine>, Failure> {
    let store = Store::open(directory, Duration::from_secs(60))?;
    Service::open(store, machine.clone(), identity, random())
}

/// One request of the day.
#[derive(Debug, Clone)]
pub struct Act {
    pub operation: Operation,
    pub id: Option<Guid>,
    pub document: Value,
}

pub fn act(operation: Operation, id: u8, document: Value) -> Act {
    Act { operation, id: Some(guid(id)), document }
}

pub fn guid(number: u8) -> Guid {
    Guid::from_bytes([number; 16])
}

pub fn play(service: &mut Service<Machine>, act: &Act) -> Result<Answer, Failure> {
    let text = act.document.to_string();
    let request = Request { operation: act.operation, id: act.id, network: None, document: &text };
    service.call(&request, Reading::Strict)
}

fn membership(kind: &str, endpoint: u8) -> Value {
    json!({ "ResourceType": "Endpoint", "RequestType": kind, "Settings": { "EndpointId": guid(endpoint).to_string() } })
}

fn policies(kind: &str, policies: Value) -> Value {
    json!({ "ResourceType": "Policy", "RequestType": kind, "Settings": { "Policies": policies } })
}

/// Networks that last and networks that do not, everything that can be attached, changed and deleted.
pub fn day() -> Vec<Act> {
    use Operation as O;
    let subnets = |prefix: &str| json!([{ "Subnets": [{ "IpAddressPrefix": prefix }] }]);
    let on = |network: u8| guid(network).to_string();
    let mapping = json!([{ "Type": "PortMapping", "Settings": { "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080 } }]);
    let acl = json!([
        { "Type": "ACL", "Settings": { "Protocols": "6", "Action": "Allow", "Direction": "In", "Priority": 100 } },
    ]);
    let balancer = |backends: &[u8]| {
        let backends: Vec<String> = backends.iter().map(|id| on(*id)).collect();
        json!({ "Name": "api", "HostComputeEndpoints": backends, "FrontendVIPs": ["10.96.0.1"],
            "PortMappings": [{ "Protocol": 6, "ExternalPort": 80, "InternalPort": 8080 }] })
    };
    vec![
        act(O::CreateNetwork, 1, json!({ "Name": "nat", "Ipams": subnets("10.1.0.0/24") })),
        act(
            O::CreateNetwork,
            2,
            json!({ "Name": "lasting", "Type": "Internal", "Ipams": subnets("10.2.0.0/24") }),
        ),
        act(O::CreateNamespace, 11, json!({})),
        act(O::CreateNamespace, 12, json!({ "Name": "second" })),
        act(
            O::CreateEndpoint,
            21,
            json!({ "Name": "a", "HostComputeNetwork": on(1), "Policies": mapping }),
        ),
        act(O::CreateEndpoint, 22, json!({ "Name": "b", "HostComputeNetwork": on(1) })),
        act(O::CreateEndpoint, 23, json!({ "Name": "c", "HostComputeNetwork": on(2) })),
        act(O::ModifyNamespace, 11, membership("Add", 21)),
        act(O::ModifyNamespace, 12, membership("Add", 22)),
        act(O::ModifyNamespace, 12, membership("Add", 23)),
        act(O::CreateLoadBalancer, 31, balancer(&[21, 22])),
        act(O::ModifyEndpoint, 22, policies("Add", acl)),
        act(O::ModifyLoadBalancer, 31, balancer(&[22])),
        act(O::ModifyNamespace, 12, membership("Remove", 23)),
        act(O::ModifyNamespace, 11, membership("Add", 23)),
        act(O::DeleteEndpoint, 21, json!({})),
        act(O::DeleteNamespace, 11, json!({})),
        act(O::DeleteLoadBalancer, 31, json!({})),
        act(O::DeleteNetwork, 1, json!({})),
    ]
}

/// Everything that is remembered, in a form that compares.
pub fn memory(state: &State) -> Vec<(Kind, Guid, String)> {
    let mut memory: Vec<_> = state
        .objects()
        .map(|object| object.record())
        .map(|record| (record.kind, record.id, record.body))
        .collect();
    memory.sort();
    memory
}

/// Documents, journal and machine agree.
#[track_caller]
pub fn sound(service: &mut Service<Machine>) {
    let report = service.check().expect("readable");
    assert!(report.broken.is_empty() && report.differences.is_empty(), "{report:?}");
}

#[track_caller]
pub fn id(answer: &Answer) -> Guid {
    match answer.body {
        Body::Id(id) => id,
        ref other => panic!("{other:?}"),
    }
}
