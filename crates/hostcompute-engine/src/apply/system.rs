//! The compute systems of host documents: which must be made, which are there, which go.
//!
//! An element of `ComputeSystems` is the standard document with two members beside it that it has no place for: `Id`, by which the
//! system is known on the host, and `Processes`, the parameters of what runs in it. The namespace and the endpoints that its network
//! is made of may be called by name. A system that is there with the same document is left alone, whatever became of its processes.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::{Failure, HResult};
use serde_json::{Map, Value};

use super::cover::first_difference;
use super::refer::Directory;
use super::{Action, Origin, Refusal, Source, Wishes};
use crate::object::Kind;

/// A compute system that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct SystemWish {
    pub id: String,
    /// The standard document.
    pub document: Map<String, Value>,
    pub processes: Vec<Value>,
    pub origin: Origin,
}

/// A compute system that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentSystem {
    pub id: String,
    /// What it was made of.
    pub document: Value,
}

/// Something to do about a compute system.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemTask {
    /// [`Action::Create`] (and start, and start its processes) or [`Action::Delete`] (terminate).
    pub action: Action,
    pub id: String,
    pub origin: Origin,
    /// The standard document; empty for what goes.
    pub document: String,
    /// The parameters of each process, in order.
    pub processes: Vec<String>,
}

impl SystemTask {
    /// A failure of this task, told in terms of the file. `process` says which of the processes it was.
    pub fn blame(&self, failure: Failure, process: Option<usize>, text: &str) -> Refusal {
        let mut path = self.origin.path.clone();
        if let Some(index) = process {
            path.push_str(&alloc::format!(".Processes[{index}]"));
        }
        if let Some(inner) = failure.path.as_deref().filter(|inner| !inner.is_empty()) {
            path.push('.');
            path.push_str(inner.trim_start_matches("$."));
        }
        let failure = Failure { position: None, ..failure }.at(path).in_document(text);
        Refusal { source: self.origin.source, failure }
    }
}

/// Reads one element of the list.
pub(super) fn read(value: Value, origin: Origin) -> Result<SystemWish, Failure> {
    let Value::Object(mut document) = value else {
        let why = alloc::format!("a compute system is a document, not {value}");
        return Err(Failure::new(HResult::HCS_E_INVALID_JSON, why).at(origin.path));
    };
    let id = take(&mut document, "Id").and_then(|id| id.as_str().map(ToOwned::to_owned));
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        let why = "the compute system has no Id, so it could not be found again";
        return Err(Failure::new(HResult::E_INVALIDARG, why)
            .at(origin.path)
            .hint("give it an Id: a text that no other system of this host has"));
    };
    let processes = match take(&mut document, "Processes") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(processes)) => processes,
        Some(other) => {
            let why = alloc::format!("Processes is a list of parameters, not {other}");
            let path = alloc::format!("{}.Processes", origin.path);
            return Err(Failure::new(HResult::HCS_E_INVALID_JSON, why).at(path));
        }
    };
    Ok(SystemWish { id, document, processes, origin })
}

fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = object.keys().rev().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    object.shift_remove(&key)
}

/// Two systems with one id would be one.
pub(super) fn refuse_twins(wishes: &Wishes, sources: &[Source<'_>]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for wish in &wishes.systems {
        if !seen.insert(wish.id.to_lowercase()) {
            let why = alloc::format!("the compute system '{}' is asked for twice", wish.id);
            let failure = Failure::new(HResult::HCS_E_SYSTEM_ALREADY_EXISTS, why)
                .at(wish.origin.path.clone());
            return Err(locate(wish, failure, sources));
        }
    }
    Ok(())
}

/// The systems that must be made.
///
/// # Errors
/// A reference that leads nowhere; a system that is there with another document.
pub(super) fn up(
    wishes: &Wishes,
    sources: &[Source<'_>],
    directory: &Directory<'_>,
    present: &[PresentSystem],
) -> Result<Vec<SystemTask>, Refusal> {
    let mut tasks = Vec::new();
    for wish in &wishes.systems {
        let document =
            resolved(wish, directory).map_err(|failure| locate(wish, failure, sources))?;
        match find(present, &wish.id) {
            None => tasks.push(SystemTask {
                action: Action::Create,
                id: wish.id.clone(),
                origin: wish.origin.clone(),
                document: Value::Object(document).to_string(),
                processes: wish.processes.iter().map(ToString::to_string).collect(),
            }),
            Some(there) => {
                refuse_difference(wish, there, &document)
                    .map_err(|failure| locate(wish, failure, sources))?;
            }
        }
    }
    Ok(tasks)
}

/// The systems that go, the last one first.
pub fn systems_down(wishes: &Wishes, present: &[PresentSystem]) -> Vec<SystemTask> {
    let doomed =
        wishes.systems.iter().rev().filter_map(|wish| Some((wish, find(present, &wish.id)?)));
    let task = |(wish, there): (&SystemWish, &PresentSystem)| SystemTask {
        action: Action::Delete,
        id: there.id.clone(),
        origin: wish.origin.clone(),
        document: String::new(),
        processes: Vec::new(),
    };
    doomed.map(task).collect()
}

fn find<'a>(present: &'a [PresentSystem], id: &str) -> Option<&'a PresentSystem> {
    let id = id.to_lowercase();
    present.iter().find(|there| there.id.to_lowercase() == id)
}

fn refuse_difference(
    wish: &SystemWish,
    there: &PresentSystem,
    wanted: &Map<String, Value>,
) -> Result<(), Failure> {
    let empty = Map::new();
    let there = there.document.as_object().unwrap_or(&empty);
    // Members that the file no longer names would stay in force: that is a difference, too.
    let difference =
        first_difference(there, wanted, &[]).or_else(|| first_difference(wanted, there, &[]));
    let Some(member) = difference else { return Ok(()) };
    let why = alloc::format!(
        "the compute system '{}' exists with another {member}, and is not made anew while it runs",
        wish.id
    );
    Err(Failure::new(HResult::HCS_E_SYSTEM_ALREADY_EXISTS, why)
        .at(alloc::format!("{}.{member}", wish.origin.path))
        .hint("take it down first (hc down), or give the new one another Id"))
}

/// The document with ids in place of names.
fn resolved(wish: &SystemWish, directory: &Directory<'_>) -> Result<Map<String, Value>, Failure> {
    let mut document = wish.document.clone();
    let networking = document
        .get_mut("Container")
        .and_then(|container| container.get_mut("Networking"))
        .and_then(Value::as_object_mut);
    let Some(networking) = networking else { return Ok(document) };
    let path = alloc::format!("{}.Container.Networking", wish.origin.path);
    if let Some(namespace) = networking.get_mut("Namespace").filter(|value| !value.is_null()) {
        let path = alloc::format!("{path}.Namespace");
        *namespace = directory.resolve(Kind::Namespace, namespace, &path)?.to_string().into();
    }
    if let Some(Value::Array(adapters)) = networking.get_mut("NetworkAdapters") {
        for (index, adapter) in adapters.iter_mut().enumerate() {
            let path = alloc::format!("{path}.NetworkAdapters[{index}]");
            *adapter = directory.resolve(Kind::Endpoint, adapter, &path)?.to_string().into();
        }
    }
    Ok(document)
}

fn locate(wish: &SystemWish, failure: Failure, sources: &[Source<'_>]) -> Refusal {
    let text = sources.get(wish.origin.source).map_or("", |source| source.text);
    Refusal { source: wish.origin.source, failure: failure.in_document(text) }
}
