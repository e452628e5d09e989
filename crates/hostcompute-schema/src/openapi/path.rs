//! The routes of the HTTP interface, from the table of operations.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use super::definition::{GUID_PATTERN, Selection, put};
use crate::operation::{Input, Kind, Operation, Output, Verb};

/// Every route that belongs in.
pub(super) fn paths(selection: &Selection) -> Map<String, Value> {
    let mut paths: Map<String, Value> = Map::new();
    for operation in Operation::ALL.iter().filter(|operation| selection.includes(operation.since()))
    {
        let Some((method, path)) = operation.route() else { continue };
        let item = paths.entry(path).or_insert_with(|| path_item(path));
        put(item, &method.name().to_ascii_lowercase(), describe(selection, *operation));
    }
    paths
}

/// One word of explanation for each group of routes.
pub(super) fn tags() -> Vec<Value> {
    let mut kinds: Vec<Kind> = Vec::new();
    for operation in Operation::ALL.iter().filter(|operation| operation.route().is_some()) {
        if !kinds.contains(&operation.subject()) {
            kinds.push(operation.subject());
        }
    }
    kinds.into_iter().map(|kind| json!({ "name": kind.name() })).collect()
}

/// Answers that many routes give.
pub(super) fn responses() -> Value {
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    json!({
        "Problem": {
            "description": "The request failed.",
            "content": { "application/problem+json": { "schema": problem } },
        },
    })
}

/// Types that only the HTTP interface has.
pub(super) fn add_schemas(schemas: &mut Map<String, Value>) {
    let text = |doc: &str| json!({ "type": "string", "description": doc });
    let number = |doc: &str| json!({ "type": "integer", "minimum": 1, "description": doc });
    let problem = json!({
        "type": "object",
        "description": "Why a request failed (RFC 9457).",
        "required": ["type", "title", "status", "detail", "hresult", "name"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference",
                      "description": "What kind of problem it is." },
            "title": text("What the code says by itself."),
            "status": { "type": "integer", "description": "The HTTP status." },
            "detail": text("What was wrong."),
            "hresult": { "type": "string", "pattern": "^0x[0-9a-f]{8}$",
                         "description": "The code that Windows returns." },
            "name": text("The name of that code."),
            "path": text("The member of the document at fault."),
            "line": number("The line of the document where it stands."),
            "column": number("The column of that line."),
            "hint": text("What could be done about it."),
            "causes": { "type": "array", "items": { "type": "string" },
                        "description": "What lies behind it, the nearest first." },
        },
    });
    let ids =
        json!({ "type": "array", "items": id_schema(), "description": "The ids of objects." });
    let mut made = id_schema();
    put(&mut made, "description", "The id of what was made.");
    for (name, schema) in [("Problem", problem), ("Ids", ids), ("Made", made)] {
        schemas.insert(name.into(), schema);
    }
    schemas.sort_keys();
}

/// The id of an object.
pub(super) fn id_schema() -> Value {
    json!({ "type": "string", "pattern": GUID_PATTERN })
}

pub(super) fn path_item(path: &str) -> Value {
    if !path.contains("{id}") {
        return json!({});
    }
    json!({
        "parameters": [{
            "name": "id",
            "in": "path",
            "required": true,
            "description": "The id of the object.",
            "schema": id_schema(),
        }],
    })
}

fn describe(selection: &Selection, operation: Operation) -> Value {
    let mut described = json!({
        "operationId": operation.name(),
        "summary": operation.doc(),
        "tags": [operation.subject().name()],
        "x-symbol": operation.symbol(),
        "x-right": if operation.is_read_only() { "read" } else { "manage" },
    });
    match operation.input() {
        Input::Query => {
            let query = selection.reference("HostComputeQuery");
            let parameter = json!({
                "name": "query",
                "in": "query",
                "required": false,
                "description": "Which objects, and in which form; everything when left out.",
                // A text for those who generate clients; what the text is, for those who look closer.
                "schema": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": query,
                },
            });
            put(&mut described, "parameters", [parameter].as_slice());
        }
        Input::Document(schema) => {
            let schema = selection.reference(schema.name);
            let body = json!({
                "required": true,
                "content": { "application/json": { "schema": schema } },
            });
            put(&mut described, "requestBody", body);
        }
        Input::None | Input::Arguments => {}
    }
    put(&mut described, "responses", answers(selection, operation));
    described
}

fn answers(selection: &Selection, operation: Operation) -> Value {
    let json_of = |schema: Value| json!({ "application/json": { "schema": schema } });
    let (status, content) = match operation.output() {
        Output::None | Output::Numbers => ("204", None),
        Output::Id => ("201", Some(json_of(selection.reference("Made")))),
        Output::Ids => ("200", Some(json_of(selection.reference("Ids")))),
        Output::Document(schema) => ("200", Some(json_of(selection.reference(schema.name)))),
        Output::Undescribed => ("200", Some(json_of(json!({})))),
        Output::Events(schema) => {
            let schema = selection.reference(schema.name);
            ("200", Some(json!({ "text/event-stream": { "schema": schema } })))
        }
    };
    let description = match operation.verb() {
        Verb::Create => "It was made.",
        Verb::Enumerate => "The ids of the objects that match.",
        Verb::Query => "The document.",
        Verb::Subscribe => "What happens, as it happens.",
        _ => "It was done.",
    };
    let mut answer = json!({ "description": description });
    if let Some(content) = content {
        put(&mut answer, "content", content);
    }
    json!({ status: answer, "default": { "$ref": "#/components/responses/Problem" } })
}
