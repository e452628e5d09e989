//! Target `decide`: a history of calls on the engine and the simulated host.
//!
//! A line is a call: operation, id, network, document. An operation is a name or a number; an id is `-`, a GUID or a number
//! that stands for the n-th object. After each call state and host agree, whatever was asked; at the end the state survives
//! being stored, and everything can be deleted, which leaves the host as it was.

use hostcompute_engine::{Kind, Request};
use hostcompute_schema::{Guid, Operation};

use super::Seen;
use crate::machine::Machine;
use crate::random::hash;

/// Longer histories only take longer.
const MOST_CALLS: usize = 24;

/// As many documents as there are calls.
///
/// # Panics
/// Something that must hold does not.
pub fn run(data: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(data);
    let mut machine = Machine::new(hash(data));
    let empty = machine.host.picture();
    let mut seen = Seen::default();
    for line in text.lines().take(MOST_CALLS) {
        seen.documents += 1;
        seen.accepted += usize::from(call(&mut machine, line));
    }
    machine.check_records();
    delete_everything(&mut machine);
    assert_eq!(machine.host.picture(), empty, "something is left on the host");
    seen
}

/// Whether the call was carried out.
fn call(machine: &mut Machine, line: &str) -> bool {
    let mut words = line.splitn(4, ' ');
    let Some(operation) = words.next().and_then(operation) else { return false };
    let id = words.next().and_then(|word| object(machine, word));
    let network = words.next().and_then(|word| object(machine, word));
    let document = words.next().unwrap_or_default();
    machine.call(&Request { operation, id, network, document }).is_ok()
}

fn operation(word: &str) -> Option<Operation> {
    let named = Operation::ALL.iter().find(|operation| format!("{operation:?}") == word);
    let numbered = || Operation::ALL.get(word.parse::<usize>().ok()?);
    named.or_else(numbered).copied()
}

fn object(machine: &Machine, word: &str) -> Option<Guid> {
    let numbered = |number: usize| machine.state.objects().nth(number).map(|object| object.id());
    match word.parse::<usize>() {
        Ok(number) => numbered(number),
        Err(_) => word.parse().ok(),
    }
}

fn delete_everything(machine: &mut Machine) {
    // Sets and remote subnets go with their networks.
    for kind in [
        Kind::GuestService,
        Kind::SdnRoute,
        Kind::LoadBalancer,
        Kind::Endpoint,
        Kind::Network,
        Kind::Namespace,
    ] {
        let objects = machine.state.objects().filter(|object| object.kind() == kind);
        let ids: Vec<Guid> = objects.map(|object| object.id()).collect();
        for id in ids {
            delete(machine, kind, id);
        }
    }
    assert!(machine.state.is_empty(), "something cannot be deleted");
}

fn delete(machine: &mut Machine, kind: Kind, id: Guid) {
    let operation = match kind {
        Kind::Network => Operation::DeleteNetwork,
        Kind::Namespace => Operation::DeleteNamespace,
        Kind::Endpoint => Operation::DeleteEndpoint,
        Kind::LoadBalancer => Operation::DeleteLoadBalancer,
        Kind::SdnRoute => Operation::DeleteSdnRoute,
        Kind::GuestService => Operation::DeleteGuestNetworkService,
        Kind::Set | Kind::RemoteSubnet => unreachable!("nobody deletes {kind:?}s by themselves"),
    };
    // A namespace may be held by containers; they leave first.
    if kind == Kind::Namespace {
        let users = machine.state.namespaces().find(|namespace| namespace.id == id);
        for user in users.map(|namespace| namespace.containers.clone()).unwrap_or_default() {
            let document = serde_json::json!({
                "ResourceType": "Container",
                "RequestType": "Remove",
                "Settings": {"ContainerId": user},
            });
            let document = document.to_string();
            let operation = Operation::ModifyNamespace;
            let request = Request { operation, id: Some(id), network: None, document: &document };
            machine.call(&request).expect("a container can leave");
        }
    }
    let request = Request { operation, id: Some(id), network: None, document: "" };
    if let Err(failure) = machine.call(&request) {
        panic!("{kind} {id} cannot be deleted: {failure}");
    }
}
