//! `hc state export` and `import`: the whole state as one JSON document, for backups and for changes of format.
//!
//! The document is `{"Format": "hostcompute-state", "Version": 1, "Objects": [{"Kind", "Id", "Body"}]}`; bodies are those of the
//! store. It is a format of its own with its own version, so that a newer program can read an older export.

use hostcompute_engine::host::Host;
use hostcompute_engine::{Change, Record, State};
use hostcompute_schema::{Failure, HResult};
use serde_json::{Value, json};

use crate::Service;
use crate::store::{Durability, Entry};

const FORMAT: &str = "hostcompute-state";
const VERSION: u64 = 1;

impl<H: Host> Service<H> {
    /// The state as one document.
    pub fn export(&self) -> Value {
        let objects: Vec<Value> =
            self.state.objects().map(|object| exported(&object.record())).collect();
        json!({ "Format": FORMAT, "Version": VERSION, "Objects": objects })
    }

    /// Fills an empty state from an exported document and brings the host to it.
    ///
    /// # Errors
    /// E_INVALIDARG when the state is not empty, ERROR_WRONG_DISK or HCN_E_INVALID_JSON for a document that is no export, or what
    /// the host refuses; nothing is imported then.
    pub fn import(&mut self, text: &str) -> Result<usize, Failure> {
        if !self.state.is_empty() {
            let message = "the state is not empty, and an import does not merge";
            return Err(Failure::new(HResult::E_INVALIDARG, message)
                .hint("delete the objects first, or import with an empty --state-dir"));
        }
        let imported = State::load(records(text)?)?;
        let changes: Vec<Change> = imported.objects().map(Change::Put).collect();
        let undo = self.state.inverse(&changes);
        self.store.begin(&Entry::of("import", Durability::Disk), &changes)?;
        self.state = imported;
        let Err(fault) = self.realise() else {
            self.store.done();
            self.show_all();
            return Ok(changes.len());
        };
        self.state.apply(&undo);
        self.store.revert(Durability::Disk)?;
        let settled = self.realise().is_ok();
        self.store.settled(settled);
        self.store.done();
        Err(fault.failure)
    }
}

fn exported(record: &Record) -> Value {
    // The engine wrote the body, so it is JSON; a text that is not stays visible as text.
    let body =
        serde_json::from_str(&record.body).unwrap_or_else(|_| Value::from(record.body.as_str()));
    json!({ "Kind": record.kind.as_str(), "Id": record.id.to_string(), "Body": body })
}

fn records(text: &str) -> Result<Vec<Record>, Failure> {
    let invalid = |message: String| Failure::new(HResult::HCN_E_INVALID_JSON, message);
    let document: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    if document.get("Format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(invalid(format!("not a state export: Format is not \"{FORMAT}\"")).at("Format"));
    }
    if document.get("Version").and_then(Value::as_u64) != Some(VERSION) {
        let message = format!("the export has another version than {VERSION}");
        return Err(Failure::new(HResult::ERROR_WRONG_DISK, message)
            .at("Version")
            .in_document(text));
    }
    let objects = document
        .get("Objects")
        .and_then(Value::as_array)
        .ok_or_else(|| invalid("Objects is not a list".to_owned()).at("Objects"))?;
    objects
        .iter()
        .enumerate()
        .map(|(index, object)| {
            record(object).ok_or_else(|| {
                invalid("an object needs a known Kind, an Id and a Body".to_owned())
                    .at(format!("Objects[{index}]"))
                    .in_document(text)
            })
        })
        .collect()
}

fn record(object: &Value) -> Option<Record> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let body = object.get("Body").filter(|body| body.is_object())?;
    Some(Record {
        kind: text("Kind")?.parse().ok()?,
        id: text("Id")?.parse().ok()?,
        body: body.to_string(),
    })
}
