//! Clients of a server on a simulated machine, and the calls that they make.

// Each test program uses a part of it.
#![allow(dead_code, reason = "compiled into several test programs, none of which needs everything")]

use std::path::Path;
use std::sync::mpsc;

use hostcompute_schema::operation::{Operation, Right};
use hostcompute_schema::{Failure, HResult};
use hostcompute_service::server::{Caller, Server, Session, Settings};
use hostcompute_service::{Answer, Call, Reading};
use serde_json::{Value, json};

use crate::world::{Act, Machine, act, boot, day, guid, open};

pub fn serve(directory: &Path, machine: &Machine, settings: Settings) -> Server<Machine> {
    let service = open(directory, machine, &boot(1)).expect("opened");
    Server::start(service, settings).expect("observable")
}

pub fn root() -> Caller {
    Caller::default()
}

pub fn call(operation: Operation, id: u8, document: Value) -> Call {
    of(act(operation, id, document))
}

fn of(act: Act) -> Call {
    let (operation, id, document) = (act.operation, act.id, act.document.to_string());
    Call { operation, id, network: None, document, reading: Reading::Strict, key: None }
}

/// The calls of the first part of the day: two networks, two namespaces, three endpoints, attached.
pub fn morning() -> Vec<Call> {
    day().into_iter().take(10).map(of).collect()
}

pub fn attach(namespace: u8, endpoint: u8) -> Call {
    let settings = json!({ "EndpointId": guid(endpoint).to_string() });
    let document =
        json!({ "ResourceType": "Endpoint", "RequestType": "Add", "Settings": settings });
    call(Operation::ModifyNamespace, namespace, document)
}

/// Endpoints 40.. on network 1, and a namespace 60.. for each.
pub fn prepare(session: &Session<Machine>, count: u8) {
    session.call(morning().remove(0)).expect("made");
    for number in 0..count {
        let endpoint = json!({ "HostComputeNetwork": guid(1).to_string() });
        session.call(call(Operation::CreateEndpoint, 40 + number, endpoint)).expect("made");
        session.call(call(Operation::CreateNamespace, 60 + number, json!({}))).expect("made");
    }
}

pub fn play(session: &Session<Machine>) {
    for call in morning() {
        session.call(call).expect("done");
    }
}

pub fn code<T: std::fmt::Debug>(result: Result<T, Failure>) -> HResult {
    result.expect_err("refused").hresult
}

/// Waits inside the decider until the returned value is dropped, so that everything asked meanwhile waits together.
pub fn hold(server: &Server<Machine>) -> impl Drop + use<> {
    struct Held(Option<(mpsc::Sender<()>, std::thread::JoinHandle<()>)>);
    impl Drop for Held {
        fn drop(&mut self) {
            if let Some((sender, thread)) = self.0.take() {
                drop(sender);
                thread.join().expect("no panic");
            }
        }
    }
    let (sender, waiting) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    let session = server.connect(root()).expect("root");
    let thread = std::thread::spawn(move || {
        let work = move |_: &mut _| {
            begun.send(()).expect("the test waits");
            let _ = waiting.recv();
        };
        session.with_service(Right::Manage, "wait", work).expect("served");
    });
    begins.recv().expect("it begins");
    Held(Some((sender, thread)))
}

pub fn submit_all(
    session: &Session<Machine>,
    calls: &[Call],
) -> mpsc::Receiver<(usize, Result<Answer, Failure>)> {
    let (sender, answers) = mpsc::channel();
    for (place, call) in calls.iter().enumerate() {
        let sender = sender.clone();
        session.submit(call.clone(), move |result| {
            sender.send((place, result)).expect("the test listens")
        });
    }
    answers
}
