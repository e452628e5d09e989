//! A simulated machine, a network service that only remembers, and short words for calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hostcompute_engine::compute::NetworkPlace;
use hostcompute_engine::compute::sim::{Machine, SimStream};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_schema::operation::Right;
use hostcompute_schema::{Failure, Guid, HResult};
use hostcompute_service::compute::{
    Adapter, Answer, Body, Call, Compute, Networks, Notice, OwnNetwork, Placed, Session, Settings,
    Subscription,
};
use serde_json::{Value, json};

/// Namespaces and endpoints that are only remembered. A clone is the same.
#[derive(Debug, Clone, Default)]
pub struct Nets(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
pub struct Inside {
    /// Namespaces, with their endpoints.
    pub namespaces: BTreeMap<Guid, BTreeSet<Guid>>,
    pub networks: BTreeSet<Guid>,
    /// The endpoints that there are.
    pub endpoints: BTreeSet<Guid>,
    /// The next namespace cannot be made.
    pub broken: bool,
    /// Lets other threads go on while a namespace is removed.
    pub pause: Option<fn()>,
}

impl Nets {
    pub fn with<T>(&self, work: impl FnOnce(&mut Inside) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn absent(what: Guid) -> Failure {
    Failure::new(HResult::ERROR_NOT_FOUND, format!("there is no {what}"))
}

fn placed(id: Guid) -> Placed {
    let place = NetworkPlace::Named { path: format!("/run/netns/{id}") };
    Placed { place, resolv_conf: Some("nameserver 10.0.0.1\n".into()) }
}

impl Networks for Nets {
    fn namespace(&self, id: Guid) -> Result<Placed, Failure> {
        let there = self.with(|nets| nets.namespaces.contains_key(&id));
        if there { Ok(placed(id)) } else { Err(absent(id)) }
    }

    fn is_network(&self, id: Guid) -> bool {
        self.with(|nets| nets.networks.contains(&id))
    }

    fn plan(&self, id: Guid, adapters: &[Adapter]) -> Result<Placed, Failure> {
        self.with(|nets| {
            let missing = adapters.iter().find_map(|adapter| match adapter {
                Adapter::Given(endpoint) => {
                    Some(endpoint).filter(|id| !nets.endpoints.contains(id))
                }
                Adapter::Made { .. } => None,
            });
            match missing {
                Some(endpoint) => Err(absent(*endpoint)),
                None => Ok(placed(id)),
            }
        })
    }

    fn make(&self, id: Guid, adapters: &[Adapter]) -> Result<(), Failure> {
        self.with(|nets| {
            if std::mem::take(&mut nets.broken) {
                return Err(Failure::new(HResult::HCN_E_NAMESPACE_ATTACH_FAILED, "not today"));
            }
            let inside = adapters.iter().map(|adapter| match adapter {
                Adapter::Given(endpoint) => *endpoint,
                Adapter::Made { endpoint, .. } => {
                    nets.endpoints.insert(*endpoint);
                    *endpoint
                }
            });
            let inside = inside.collect();
            nets.namespaces.insert(id, inside);
            Ok(())
        })
    }

    fn release(&self, own: &OwnNetwork) -> Result<(), Failure> {
        if let Some(pause) = self.with(|nets| nets.pause) {
            pause();
        }
        self.with(|nets| {
            nets.namespaces.remove(&own.namespace);
            nets.endpoints.retain(|id| !own.endpoints.contains(id));
        });
        Ok(())
    }

    fn add(&self, namespace: Guid, endpoint: Guid) -> Result<(), Failure> {
        self.with(|nets| {
            let known = nets.namespaces.get_mut(&namespace).ok_or_else(|| absent(namespace))?;
            known.insert(endpoint);
            Ok(())
        })
    }

    fn remove(&self, namespace: Guid, endpoint: Guid) -> Result<(), Failure> {
        self.with(|nets| {
            let known = nets.namespaces.get_mut(&namespace).ok_or_else(|| absent(namespace))?;
            if known.remove(&endpoint) { Ok(()) } else { Err(absent(endpoint)) }
        })
    }
}

pub type Client = Session<Machine, Nets>;

/// A host with one service.
pub struct Lab {
    pub machine: Machine,
    pub nets: Nets,
    pub compute: Compute<Machine, Nets>,
}

impl Default for Lab {
    fn default() -> Self {
        Self::on(&Machine::default(), &Nets::default())
    }
}

impl Lab {
    /// Another service, on a host that others may serve as well.
    pub fn on(machine: &Machine, nets: &Nets) -> Self {
        Self::with(machine, nets, Settings { threads: 4, ..Settings::default() })
    }

    /// The same, with other settings.
    pub fn with(machine: &Machine, nets: &Nets, settings: Settings) -> Self {
        let (machine, nets) = (machine.process(), nets.clone());
        // Each service draws other numbers: ids of systems and namespaces come from them.
        static SERVICES: AtomicU64 = AtomicU64::new(1);
        let mut state = SERVICES.fetch_add(1, Ordering::Relaxed) << 32;
        let random = Box::new(move || {
            state += 1;
            state.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let compute = Compute::open(machine.clone(), nets.clone(), settings, random);
        Self { machine, nets, compute: compute.expect("readable") }
    }

    pub fn client(&self) -> Client {
        self.compute.session(Right::Manage).expect("running")
    }
}

pub fn guid(number: u8) -> Guid {
    format!("00000000-0000-4000-8000-0000000000{number:02x}").parse().expect("a GUID")
}

/// A container of two layers that outlives its handles.
pub fn container() -> Value {
    json!({
        "Owner": "tests",
        "SchemaVersion": { "Major": 2, "Minor": 1 },
        "Container": {
            "GuestOs": { "HostName": "c1" },
            "Storage": {
                "Layers": [{ "Path": "/layers/top" }, { "Path": "/layers/base" }],
                "Path": "/scratch/c1",
            },
        },
    })
}

/// The same, with another member of Container.
pub fn container_with(member: &str, value: Value) -> Value {
    let mut document = container();
    document["Container"][member] = value;
    document
}

/// The same, ending with its last handle.
pub fn mortal() -> Value {
    let mut document = container();
    document["ShouldTerminateOnLastHandleClosed"] = json!(true);
    document
}

pub fn process(arguments: &[&str]) -> Value {
    json!({ "CommandArgs": arguments, "CreateStdInPipe": true, "CreateStdOutPipe": true })
}

/// Short words for what a client does.
pub trait Asks {
    fn ask(&self, verb: Verb, id: &str, document: Value) -> Result<Answer<SimStream>, Failure>;
    fn act(&self, verb: Verb, id: &str) -> Result<(), Failure>;
    fn code(&self, verb: Verb, id: &str) -> HResult;
    fn running(&self, id: &str, document: &Value);
    fn exec(&self, id: &str, arguments: &[&str]) -> Result<u32, Failure>;
    fn about(&self, verb: Verb, id: &str, pid: u32, document: Value) -> Result<Value, Failure>;
    fn properties(&self, id: &str) -> Result<Value, Failure>;
}

impl Asks for Client {
    fn ask(&self, verb: Verb, id: &str, document: Value) -> Result<Answer<SimStream>, Failure> {
        let text = if document.is_null() { String::new() } else { document.to_string() };
        self.call(&Call::of(verb, id, &text))
    }

    fn act(&self, verb: Verb, id: &str) -> Result<(), Failure> {
        self.ask(verb, id, Value::Null).map(drop)
    }

    fn code(&self, verb: Verb, id: &str) -> HResult {
        self.act(verb, id).map_or_else(|failure| failure.hresult, |()| HResult::S_OK)
    }

    fn running(&self, id: &str, document: &Value) {
        self.ask(Verb::Create, id, document.clone()).expect("made");
        self.act(Verb::Start, id).expect("started");
    }

    fn exec(&self, id: &str, arguments: &[&str]) -> Result<u32, Failure> {
        match self.ask(Verb::CreateProcess, id, process(arguments))?.body {
            Body::Process(information) => Ok(information.pid),
            body => panic!("{body:?}"),
        }
    }

    fn about(&self, verb: Verb, id: &str, pid: u32, document: Value) -> Result<Value, Failure> {
        let text = if document.is_null() { String::new() } else { document.to_string() };
        Ok(match self.call(&Call::of(verb, id, &text).process(pid))?.body {
            Body::Document(document) => document,
            _ => Value::Null,
        })
    }

    fn properties(&self, id: &str) -> Result<Value, Failure> {
        match self.ask(Verb::GetProperties, id, Value::Null)?.body {
            Body::Document(document) => Ok(document),
            body => panic!("{body:?}"),
        }
    }
}

/// All that a subscription tells until it is over.
pub fn heard(subscription: &Subscription) -> Vec<Notice> {
    let mut notices = Vec::new();
    while !subscription.is_over() {
        notices.extend(subscription.next(Duration::from_secs(60)));
    }
    notices
}

/// The events among notices: number and data.
pub fn events(notices: &[Notice]) -> Vec<(u32, Value)> {
    let told = notices.iter().filter_map(|notice| match notice {
        Notice::Event(event) => Some((event.kind() as u32, event.data())),
        Notice::Disconnected(_) => None,
    });
    told.collect()
}
