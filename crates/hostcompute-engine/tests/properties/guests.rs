//! Guest network services (hcn.md 1.9, 2.21): documents, and how calls about them may end.

use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use crate::command::{GuestServiceWish, STATES};
use crate::expect::Expected;
use crate::model::Model;

/// A guest network service as the model holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestService {
    pub id: Guid,
    pub flags: u32,
    pub state: &'static str,
}

/// IsFlowsteered and IsFlowsteeredSelfManaged.
const FLAGS: u32 = 3;
/// States that an owner can say stand first in the list.
const SETTABLE: usize = 5;
/// All of them, as numbers (hcn.md 2.21).
const NUMBERS: [&str; 9] = [
    "None",
    "Created",
    "Bootstrapping",
    "Synchronized",
    "Paused",
    "Desynchronized",
    "Rehydrating",
    "Degraded",
    "Destroyed",
];

pub fn move_to(state: usize) -> String {
    json!({"ResourceType": "State", "RequestType": "Update", "Settings": {"State": STATES[state]}})
        .to_string()
}

pub fn expect_creation(e: &mut Expected, wish: &GuestServiceWish) {
    if wish.flags & !FLAGS != 0 {
        e.wrong([HResult::HCN_E_REQUEST_UNSUPPORTED]);
    }
}

pub fn expect_move(e: &mut Expected, state: usize) {
    if state >= SETTABLE {
        e.wrong([HResult::E_INVALIDARG]);
    }
}

pub fn compare(model: &Model, id: Guid, document: &Value) -> Result<(), String> {
    let service = model.guest_services.iter().find(|service| service.id == id);
    let service = service.ok_or("no such guest network service")?;
    let number = NUMBERS.iter().position(|name| *name == service.state);
    let state = document["State"].as_u64();
    let flags = document["Flags"].as_u64().unwrap_or_default();
    if state != number.map(|number| number as u64) || flags != u64::from(service.flags) {
        return Err(format!("{service:?} reads {document}"));
    }
    Ok(())
}
