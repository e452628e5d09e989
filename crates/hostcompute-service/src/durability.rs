//! How far a decision must get before the client hears of it: to the disk, or only out of this process.
//!
//! What a reboot takes away anyway (NAT networks, namespaces, attachments) need not wait for the disk, which is most of the cost of an
//! operation. What outlives a reboot must be on disk when it is promised, and its deletion, too.

use hostcompute_engine::restart::survives_reboot;
use hostcompute_engine::{Change, Decision, Kind, Object, State};
use hostcompute_schema::Guid;

use crate::store::Durability;

/// The durability that a decision needs; the state holds its result.
pub(crate) fn of(state: &State, decision: &Decision) -> Durability {
    let lasts = |change: &Change| match change {
        Change::Put(object) => {
            let (kind, id) = change.subject();
            survives_reboot(state, object)
                && !before(decision, kind, id).is_some_and(|old| only_moved(old, object))
        }
        Change::Delete(kind, id) => {
            before(decision, *kind, *id).is_some_and(|old| survives_reboot(state, old))
        }
    };
    if decision.changes.iter().any(lasts) { Durability::Disk } else { Durability::Process }
}

/// The object as it was: what the changes that take the decision back would restore.
fn before(decision: &Decision, kind: Kind, id: Guid) -> Option<&Object> {
    decision.undo.iter().find_map(|change| match change {
        Change::Put(object) if change.subject() == (kind, id) => Some(object),
        _ => None,
    })
}

/// Whether an endpoint is the same but for the namespace that it is in.
fn only_moved(old: &Object, new: &Object) -> bool {
    match (old, new) {
        (Object::Endpoint(old), Object::Endpoint(new)) => old.document == new.document,
        _ => false,
    }
}
