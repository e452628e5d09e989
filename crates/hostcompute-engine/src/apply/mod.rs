//! Host documents (`hc up`, `down`, `diff`): a wish of many objects, turned into ordinary requests.
//!
//! ```text
//!   files ──read──► wishes ──match with the state──► tasks: create, modify, attach, delete, in order; then compute systems
//! ```
//!
//! Pure planning: nothing here changes a state. A task carries the request that does it, the requests that take it back (for a run
//! that fails half-way) and words for people. An object is recognised by its `ID`, else by its `Name` (endpoints: by name within
//! their network); one that is there already and says the same needs no task, which makes applying idempotent.
//!
//! What a file leaves out is not compared: the service may have filled it in. A member that differs and cannot be changed in place
//! is refused, because deleting and making anew would cut connections that nobody asked to cut.

mod cover;
mod down;
mod policies;
mod read;
mod refer;
mod system;
#[cfg(test)]
mod tests;
mod up;

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid, Warning};
use serde_json::Value;

use crate::object::Kind;
use crate::request::Request;

pub use down::down;
pub use read::read;
pub use system::{PresentSystem, SystemTask, systems_down};
pub use up::up;

/// A file with a host document.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What a person calls it: a path, or `-`.
    pub name: &'a str,
    pub text: &'a str,
}

/// Everything that some host documents ask for.
#[derive(Debug, Default)]
pub struct Wishes {
    pub(crate) objects: Vec<Wish>,
    pub(crate) systems: Vec<system::SystemWish>,
    /// What was tolerated, with the file it stands in.
    pub warnings: Vec<(usize, Warning)>,
}

impl Wishes {
    /// Whether compute systems are asked for.
    pub fn has_systems(&self) -> bool {
        !self.systems.is_empty()
    }

    /// How many objects are asked for.
    pub fn len(&self) -> usize {
        self.objects.len() + self.systems.len()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One object of a host document.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub kind: Kind,
    pub id: Option<Guid>,
    pub name: Option<String>,
    pub value: Value,
    pub origin: Origin,
}

impl Wish {
    /// What a person calls it.
    fn label(&self) -> String {
        match (&self.name, self.id) {
            (Some(name), _) => name.clone(),
            (None, Some(id)) => alloc::format!("{id}"),
            (None, None) => self.origin.path.clone(),
        }
    }
}

/// Where something was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Place among the files.
    pub source: usize,
    /// Path inside the file, such as `Endpoints[2]`.
    pub path: String,
}

/// A failure and the file that is to blame.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub source: usize,
    pub failure: Failure,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub struct Task {
    pub action: Action,
    pub kind: Kind,
    pub id: Guid,
    /// What a person calls the object.
    pub name: String,
    pub origin: Origin,
    pub call: Call,
    /// Takes the task back, in order.
    pub back: Vec<Call>,
    /// For people: what differs, or where to; empty when the action says it all.
    pub detail: String,
}

/// Everything that is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// First this, in order.
    pub tasks: Vec<Task>,
    /// Then this.
    pub systems: Vec<SystemTask>,
}

/// What a task does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Modify,
    Attach,
    Detach,
    Delete,
}

/// A request that owns its document.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub operation: Operation,
    pub id: Guid,
    pub network: Option<Guid>,
    pub document: String,
}

impl Call {
    fn new(operation: Operation, id: Guid, document: &Value) -> Self {
        Self { operation, id, network: None, document: alloc::format!("{document}") }
    }

    fn bare(operation: Operation, id: Guid) -> Self {
        Self { operation, id, network: None, document: String::new() }
    }

    /// The request for the engine.
    pub fn request(&self) -> Request<'_> {
        Request {
            operation: self.operation,
            id: Some(self.id),
            network: self.network,
            document: &self.document,
        }
    }
}

impl Task {
    /// Changes what is there.
    fn modify(wish: &Wish, call: Call, back: Vec<Call>, detail: String) -> Self {
        Self {
            action: Action::Modify,
            kind: wish.kind,
            id: call.id,
            name: wish.label(),
            origin: wish.origin.clone(),
            call,
            back,
            detail,
        }
    }

    /// A failure of this task's request, told in terms of the file: its path below the object's, its position in the text.
    pub fn blame(&self, failure: Failure, text: &str) -> Refusal {
        let below = match failure.path.as_deref() {
            Some(inner) if !inner.is_empty() => alloc::format!("{}.{inner}", self.origin.path),
            _ => self.origin.path.clone(),
        };
        // The position was found in the request's own text, which is not the file's.
        let failure = Failure { position: None, ..failure }.at(below).in_document(text);
        Refusal { source: self.origin.source, failure }
    }
}

fn delete_operation(kind: Kind) -> Operation {
    match kind {
        // Sets are policies of their network, never wishes of their own.
        Kind::Network | Kind::Set | Kind::RemoteSubnet => Operation::DeleteNetwork,
        Kind::Namespace => Operation::DeleteNamespace,
        Kind::Endpoint => Operation::DeleteEndpoint,
        Kind::LoadBalancer => Operation::DeleteLoadBalancer,
        Kind::SdnRoute => Operation::DeleteSdnRoute,
        Kind::GuestService => Operation::DeleteGuestNetworkService,
    }
}

fn create_operation(kind: Kind) -> Operation {
    match kind {
        Kind::Network | Kind::Set | Kind::RemoteSubnet => Operation::CreateNetwork,
        Kind::Namespace => Operation::CreateNamespace,
        Kind::Endpoint => Operation::CreateEndpoint,
        Kind::LoadBalancer => Operation::CreateLoadBalancer,
        Kind::SdnRoute => Operation::CreateSdnRoute,
        Kind::GuestService => Operation::CreateGuestNetworkService,
    }
}

/// The request that puts an endpoint into a namespace, or takes it out.
fn membership(action: &str, namespace: Guid, endpoint: Guid) -> Call {
    let document = serde_json::json!({
        "ResourceType": "Endpoint",
        "RequestType": action,
        "Settings": { "EndpointId": alloc::format!("{endpoint}") },
    });
    Call::new(Operation::ModifyNamespace, namespace, &document)
}
