//! The document that the service itself serves: the API's routes as they are on its socket, and its
//! own operations.
//!
//! The routes of the API are those of the plain document, with what belongs to HTTP alone: headers,
//! the id that is wished for, answers to requests that are not waited for.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use super::definition::{Selection, put};
use super::path::{self, id_schema};
use crate::document::Document;
use crate::hcs::WorkLine;
use crate::operation::{self, Operation, Right, Verb};
use crate::schema::StructSchema;
use crate::service::{
    ENUMS, Input, LongOperation, MissedNotifications, Notification, Output, Parameter,
    ProgressLine, STRUCTS, ServiceOperation,
};

/// The group of routes that concern the service and its host as a whole.
const TAG: &str = "host";

const NDJSON: &str = "application/x-ndjson";

pub(super) const DESCRIPTION: &str = "The service of one host, on its unix socket. Rights come from \
    the credentials of the connection. Where the service also listens on a loopback address, each \
    request carries its token, and rights are those of one configured user. A connection is a session: handles, reservations and \
    subscriptions end with it; objects stay. Every answer carries the session's id in the header \
    Hostcompute-Session; a request that carries it works in that session instead of its own \
    connection's. Bodies are the documents themselves; what was tolerated in them is told in the \
    header Hostcompute-Warnings. A failure is a problem document with the code that Windows returns.";

/// The name of the security scheme: programs without unix sockets come over TCP, with a token.
pub(super) const TOKEN: &str = "Token";

/// Types, routes and what they refer to.
pub(super) fn extend(selection: &Selection, paths: &mut Map<String, Value>) {
    for operation in Operation::ALL {
        let Some((method, path)) = operation.route() else { continue };
        let method = method.name().to_ascii_lowercase();
        if let Some(described) = paths.get_mut(path).and_then(|item| item.get_mut(method)) {
            amend(selection, *operation, described);
        }
    }
    for operation in ServiceOperation::ALL {
        let (method, path) = operation.route();
        let item = paths.entry(path).or_insert_with(|| path_item(path));
        put(item, &method.name().to_ascii_lowercase(), describe(selection, *operation));
    }
}

pub(super) fn add_schemas(selection: &Selection, schemas: &mut Map<String, Value>) {
    selection.describe(STRUCTS, ENUMS, schemas);
    let warning = json!({
        "type": "object",
        "description": "Something that was tolerated in a document.",
        "required": ["path", "detail"],
        "properties": {
            "path": { "type": "string", "description": "The member that it is about." },
            "detail": { "type": "string", "description": "What is odd." },
            "line": { "type": "integer", "minimum": 1, "description": "The line of that member." },
            "column": { "type": "integer", "minimum": 1, "description": "The column of that line." },
        },
    });
    schemas.insert("Warning".into(), warning);
    if let Some(problem) = schemas.get_mut("Problem").and_then(|p| p.get_mut("properties")) {
        put(problem, "file", json!({ "type": "string", "description": "The file at fault." }));
        let further = json!({
            "type": "array",
            "items": { "$ref": "#/components/schemas/Problem" },
            "description": "What failed beside.",
        });
        put(problem, "further", further);
    }
    // What a request is answered with may be a document, an id or nothing.
    let result =
        schemas.get_mut(LongOperation::SCHEMA.name).and_then(|long| long.get_mut("properties"));
    if let Some(Value::Object(result)) = result.and_then(|members| members.get_mut("Result")) {
        result.remove("type");
    }
    schemas.sort_keys();
}

pub(super) fn tag() -> Value {
    json!({ "name": TAG })
}

/// Answers, parameters and headers that many routes share.
pub(super) fn add_components(selection: &Selection, components: &mut Value) {
    let accepted = json!({
        "description": "It is being carried out; Location tells where to ask how far it has got.",
        "headers": { "Location": header("Location"), "Hostcompute-Session": header("Hostcompute-Session") },
        "content": { "application/json": { "schema": selection.reference(LongOperation::SCHEMA.name) } },
    });
    if let Some(responses) = components.get_mut("responses") {
        put(responses, "Accepted", accepted);
    }
    put(components, "parameters", parameters());
    put(components, "headers", headers(selection));
    let token = json!({
        "type": "http", "scheme": "bearer",
        "description": "The token of the service's TCP door, from its file; not on the unix socket.",
    });
    put(components, "securitySchemes", json!({ TOKEN: token }));
}

fn parameters() -> Value {
    let parameter = |name: &str, place: &str, schema: Value, doc: &str| {
        json!({
            "name": name, "in": place, "required": false, "description": doc, "schema": schema,
        })
    };
    let text = || json!({ "type": "string" });
    let key = "A text of the caller's choice: the same request under the same key is carried out \
        once, and answered as the first time.";
    let prefer = "`respond-async`: answer at once, and carry the request out in the background.";
    let last = "The number of the last notification that was received: go on after it.";
    json!({
        "Idempotency-Key": parameter("Idempotency-Key", "header", text(), key),
        "Prefer": parameter("Prefer", "header", text(), prefer),
        "Last-Event-ID": parameter("Last-Event-ID", "header", text(), last),
        "Hostcompute-Session": parameter(
            "Hostcompute-Session", "header", id_schema(), "The session to work in, of the same user.",
        ),
        "WishedId": parameter("id", "query", id_schema(), "The id that the new object shall have."),
        "Strict": parameter(
            "strict", "query", json!({ "type": "boolean" }),
            "Refuse members that the schema does not know, instead of warning.",
        ),
    })
}

fn headers(selection: &Selection) -> Value {
    let warnings = json!({ "type": "array", "items": selection.reference("Warning") });
    json!({
        "Location": {
            "description": "Where it is.",
            "schema": { "type": "string", "format": "uri-reference" },
        },
        "Hostcompute-Session": { "description": "The session's id.", "schema": id_schema() },
        "Hostcompute-Warnings": {
            "description": "What was tolerated in the document, as JSON in ASCII.",
            "content": { "application/json": { "schema": warnings } },
        },
    })
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

fn parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

/// Adds to a route of the API what belongs to HTTP alone.
fn amend(selection: &Selection, operation: Operation, described: &mut Value) {
    let mut parameters: Vec<Value> = Vec::new();
    let takes_document = matches!(operation.input(), operation::Input::Document(_));
    if operation.verb() == Verb::Create {
        parameters.push(parameter("WishedId"));
    }
    if takes_document {
        parameters.push(parameter("Strict"));
    }
    if let operation::Output::Events(_) = operation.output() {
        parameters.push(parameter("Last-Event-ID"));
        put(described, "responses", events(selection, Notification::SCHEMA));
    }
    if let Some(responses) = described.get_mut("responses").and_then(Value::as_object_mut) {
        for (status, answer) in responses.iter_mut().filter(|(status, _)| status.starts_with('2')) {
            let mut told = Map::new();
            if status == "201" {
                told.insert("Location".into(), header("Location"));
            }
            if takes_document {
                told.insert("Hostcompute-Warnings".into(), header("Hostcompute-Warnings"));
            }
            told.insert("Hostcompute-Session".into(), header("Hostcompute-Session"));
            put(answer, "headers", Value::Object(told));
        }
    }
    if operation.right() == Right::Manage {
        parameters.extend([parameter("Idempotency-Key"), unhurried(described)]);
    }
    add_parameters(described, parameters);
}

/// What every change can be asked for: not to wait for it.
fn unhurried(described: &mut Value) -> Value {
    if let Some(responses) = described.get_mut("responses") {
        put(responses, "202", json!({ "$ref": "#/components/responses/Accepted" }));
    }
    parameter("Prefer")
}

fn add_parameters(described: &mut Value, parameters: Vec<Value>) {
    if parameters.is_empty() {
        return;
    }
    match described.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(there) => there.extend(parameters),
        None => put(described, "parameters", parameters),
    }
}

fn path_item(path: &str) -> Value {
    if !path.contains("{handle}") {
        return path::path_item(path);
    }
    json!({
        "parameters": [{
            "name": "handle",
            "in": "path",
            "required": true,
            "description": "The number of the handle.",
            "schema": { "type": "integer", "minimum": 0 },
        }],
    })
}

fn describe(selection: &Selection, operation: ServiceOperation) -> Value {
    let mut described = json!({
        "operationId": operation.name(),
        "summary": operation.doc(),
        "tags": [TAG],
        "x-right": if operation.is_read_only() { "read" } else { "manage" },
    });
    if let Input::Document(schemas) = operation.input() {
        let body = json!({
            "required": true,
            "content": { "application/json": { "schema": one_of(selection, schemas) } },
        });
        put(&mut described, "requestBody", body);
    }
    put(&mut described, "responses", answers(selection, operation.output()));
    let of_table = operation.parameters().iter().map(|row| in_query(selection, row));
    let mut parameters: Vec<Value> = of_table.collect();
    match operation {
        ServiceOperation::OpenHandle
        | ServiceOperation::ListHandles
        | ServiceOperation::CloseHandle => {
            parameters.push(parameter("Hostcompute-Session"));
        }
        ServiceOperation::Up | ServiceOperation::Down | ServiceOperation::Diff => {
            parameters.push(parameter("Strict"));
        }
        _ => {}
    }
    if operation.right() == Right::Manage {
        parameters.push(unhurried(&mut described));
    }
    add_parameters(&mut described, parameters);
    described
}

fn one_of(selection: &Selection, schemas: &[&StructSchema]) -> Value {
    match schemas {
        [schema] => selection.reference(schema.name),
        several => {
            let several = several.iter().map(|schema| selection.reference(schema.name));
            json!({ "anyOf": several.collect::<Vec<Value>>() })
        }
    }
}

fn in_query(selection: &Selection, row: &Parameter) -> Value {
    json!({
        "name": row.name,
        "in": "query",
        "required": row.required,
        "description": row.doc,
        "schema": selection.kind(&row.kind, None),
    })
}

fn answers(selection: &Selection, output: Output) -> Value {
    let json_of = |schema: &StructSchema| json!({ "application/json": { "schema": selection.reference(schema.name) } });
    let (status, description, content) = match output {
        Output::None => ("204", "It was done.", None),
        Output::Id => {
            let content = json!({ "application/json": { "schema": id_schema() } });
            ("200", "The id of the object.", Some(content))
        }
        Output::Document(schema) => ("200", "The document.", Some(json_of(schema))),
        Output::Made(schema) => ("201", "It was made.", Some(json_of(schema))),
        Output::Steps => return steps(selection),
        Output::Events(schema) => return events(selection, schema),
        Output::Json => {
            ("200", "The document.", Some(json!({ "application/json": { "schema": {} } })))
        }
        Output::Text(media) => {
            let content = json!({ media: { "schema": { "type": "string" } } });
            ("200", "The text.", Some(content))
        }
    };
    let mut answer = json!({
        "description": description,
        "headers": { "Hostcompute-Session": header("Hostcompute-Session") },
    });
    if let Some(content) = content {
        put(&mut answer, "content", content);
    }
    json!({ status: answer, "default": { "$ref": "#/components/responses/Problem" } })
}

/// The steps at the end, or one by one as they are done.
fn steps(selection: &Selection) -> Value {
    json!({
        "200": {
            "description": "What was done, or would be: at the end, or line by line as it is done.",
            "headers": { "Hostcompute-Session": header("Hostcompute-Session") },
            "content": {
                "application/json": { "schema": selection.reference("Steps") },
                NDJSON: { "schema": selection.reference(ProgressLine::SCHEMA.name) },
            },
        },
        "default": { "$ref": "#/components/responses/Problem" },
    })
}

fn events(selection: &Selection, schema: &StructSchema) -> Value {
    let missed = MissedNotifications::SCHEMA.name;
    let description = if schema.name == Notification::SCHEMA.name {
        format!(
            "What happens, as it happens. Each event carries its number and its name; where some are \
             missing, an event `Missed` ({missed}) says how many, and `ServiceDisconnect` is the last."
        )
    } else {
        "What is told, as it is told.".into()
    };
    // What is worked on is a host document, or images and layers.
    let told = if schema.name == ProgressLine::SCHEMA.name {
        one_of(selection, &[schema, WorkLine::SCHEMA])
    } else {
        selection.reference(schema.name)
    };
    json!({
        "200": {
            "description": description,
            "headers": { "Hostcompute-Session": header("Hostcompute-Session") },
            "content": { "text/event-stream": { "schema": told } },
        },
        "default": { "$ref": "#/components/responses/Problem" },
    })
}
