//! What changed since somebody looked last.
//!
//! Notifications do not tell everything (a changed policy or a new load balancer has none), so who watches asks with the revision
//! that it has, and gets what is newer. Objects are shared values that are replaced when they change: whether anything happened
//! is a comparison of addresses, and documents are written anew only when something did.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use hostcompute_engine::network::namespace::HOST_DEFAULT;
use hostcompute_engine::{Kind, Object, State, query};
use hostcompute_schema::{Guid, QueryShape};
use serde_json::{Map, Value};

use super::client::Session;

/// Removals that are remembered; who has an older revision gets everything.
const REMOVALS: usize = 4096;

/// The documents of everything, each with the revision that brought it.
pub struct Changes {
    /// Tells the revisions of this process from those of another.
    run: String,
    inside: Mutex<Inside>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("run", &self.run).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inside {
    revision: u64,
    /// As they were at that revision; held, so that no other object gets an address of theirs.
    seen: Vec<Object>,
    documents: Vec<Described>,
    removed: VecDeque<(u64, Guid)>,
    /// Removals up to this revision are forgotten.
    forgotten: u64,
}

struct Described {
    kind: Kind,
    id: Guid,
    since: u64,
    document: Value,
}

impl Changes {
    /// Nothing seen yet; `run` is unlike that of any other process.
    pub fn new(run: u32) -> Self {
        Self { run: format!("{run:08x}"), inside: Mutex::default() }
    }

    /// The present revision.
    pub fn revision(&self, session: &Session) -> String {
        let inside = self.now(session);
        self.written(inside.revision)
    }

    /// Everything that is newer than a revision; all there is for one that is not known.
    pub fn since(&self, session: &Session, revision: &str) -> Value {
        let inside = self.now(session);
        let known = revision
            .strip_prefix(&self.run)
            .and_then(|rest| rest.strip_prefix('-')?.parse::<u64>().ok())
            .filter(|known| (inside.forgotten..=inside.revision).contains(known));
        let mut lists: [Vec<Value>; 6] = Default::default();
        for described in
            inside.documents.iter().filter(|d| known.is_none_or(|known| d.since > known))
        {
            lists[place(described.kind)].push(described.document.clone());
        }
        let removed =
            inside.removed.iter().filter(|(since, _)| known.is_some_and(|known| *since > known));
        let removed: Vec<Value> = removed.map(|(_, id)| id.to_string().into()).collect();
        let mut answer = Map::new();
        answer.insert("Revision".into(), self.written(inside.revision).into());
        answer.insert("Complete".into(), known.is_none().into());
        for (name, list) in LISTS.into_iter().zip(lists) {
            answer.insert(name.into(), list.into());
        }
        answer.insert("Removed".into(), removed.into());
        answer.into()
    }

    fn written(&self, revision: u64) -> String {
        format!("{}-{revision}", self.run)
    }

    /// Brings everything up to date.
    fn now(&self, session: &Session) -> std::sync::MutexGuard<'_, Inside> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let state = {
            let view = session.view();
            if inside.revision > 0 && inside.is_of(&view) {
                return inside;
            }
            // Cheap, and nobody who changes something waits for the rest.
            view.clone()
        };
        inside.take(&state);
        inside
    }
}

impl Inside {
    fn is_of(&self, state: &State) -> bool {
        let mut objects = state.objects();
        self.seen.iter().all(|seen| objects.next().is_some_and(|object| same(seen, &object)))
            && objects.next().is_none()
    }

    fn take(&mut self, state: &State) {
        self.revision += 1;
        let before: HashMap<(Kind, Guid), Described> = self
            .documents
            .drain(..)
            .map(|described| ((described.kind, described.id), described))
            .collect();
        self.seen = state.objects().collect();
        let host = std::iter::once((Kind::Namespace, HOST_DEFAULT));
        let all = host.chain(self.seen.iter().map(|object| (object.kind(), object.id())));
        for (kind, id) in all {
            let Ok(document) = query::describe(state, kind, id, QueryShape::V2) else { continue };
            let unchanged =
                before.get(&(kind, id)).filter(|described| described.document == document);
            let since = unchanged.map_or(self.revision, |described| described.since);
            self.documents.push(Described { kind, id, since, document });
        }
        let present: HashSet<(Kind, Guid)> =
            self.documents.iter().map(|described| (described.kind, described.id)).collect();
        let gone = before.into_keys().filter(|object| !present.contains(object));
        self.removed.extend(gone.map(|(_, id)| (self.revision, id)));
        while self.removed.len() > REMOVALS {
            if let Some((revision, _)) = self.removed.pop_front() {
                self.forgotten = revision;
            }
        }
    }
}

/// Whether both are the same value, not only equal ones.
fn same(one: &Object, other: &Object) -> bool {
    match (one, other) {
        (Object::Network(one), Object::Network(other)) => Arc::ptr_eq(one, other),
        (Object::Set(one), Object::Set(other)) => Arc::ptr_eq(one, other),
        (Object::RemoteSubnet(one), Object::RemoteSubnet(other)) => Arc::ptr_eq(one, other),
        (Object::Namespace(one), Object::Namespace(other)) => Arc::ptr_eq(one, other),
        (Object::Endpoint(one), Object::Endpoint(other)) => Arc::ptr_eq(one, other),
        (Object::LoadBalancer(one), Object::LoadBalancer(other)) => Arc::ptr_eq(one, other),
        (Object::SdnRoute(one), Object::SdnRoute(other)) => Arc::ptr_eq(one, other),
        (Object::GuestService(one), Object::GuestService(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// The lists of the answer.
const LISTS: [&str; 6] =
    ["Networks", "Namespaces", "Endpoints", "LoadBalancers", "Routes", "GuestNetworkServices"];

/// Which list of the answer holds a kind.
fn place(kind: Kind) -> usize {
    match kind {
        // Parts of networks are never listed.
        Kind::Network | Kind::Set | Kind::RemoteSubnet => 0,
        Kind::Namespace => 1,
        Kind::Endpoint => 2,
        Kind::LoadBalancer => 3,
        Kind::SdnRoute => 4,
        Kind::GuestService => 5,
    }
}
