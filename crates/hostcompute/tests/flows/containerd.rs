//! containerd (hcn.md 5.9): the network side of a pod's sandbox, which it makes before any plugin runs.

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Kind;
use serde_json::json;

use crate::shim::{self, by_id, create};
use crate::world::Machine;

/// A sandbox: a namespace of which nothing is said, not even the version of the schema.
#[track_caller]
pub fn sandbox(node: &Machine) -> Guid {
    let nothing = json!({"SchemaVersion": {"Major": 0, "Minor": 0}});
    let namespace = create(&node.host, Kind::Namespace, &nothing);
    assert!(matches!(namespace["Type"].as_str(), None | Some("Host")), "{namespace}");
    shim::id(&namespace)
}

/// The end of a sandbox; one that is not there any more has ended.
#[track_caller]
pub fn remove(node: &Machine, sandbox: Guid) {
    if by_id(&node.host, Kind::Namespace, sandbox).is_some() {
        shim::delete(&node.host, Kind::Namespace, sandbox);
    }
}
