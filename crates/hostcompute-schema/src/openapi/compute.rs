//! The routes of the compute service, from the table of its operations.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use super::definition::{Selection, put};
use crate::compute::{
    ComputeOperation, Done, Input, Output, STDIO_UPGRADE, STREAM_UPGRADES, Subject,
};
use crate::document::Document;
use crate::hcs::{self, ResultError, WorkLine};
use crate::service::Parameter;

/// Bytes that mean nothing to HTTP.
const OCTETS: &str = "application/octet-stream";

/// Every route that belongs in.
pub(super) fn paths(selection: &Selection, paths: &mut Map<String, Value>) {
    let included = |operation: &&ComputeOperation| {
        // Their own types belong to no version.
        let is_own = matches!(operation.subject(), Subject::Image | Subject::Layer);
        let newest = if is_own { return selection.is_whole() } else { hcs::LATEST };
        selection
            .includes(operation.since().or_else(|| operation.symbol().is_none().then_some(newest)))
    };
    for operation in ComputeOperation::ALL.iter().filter(included) {
        let Some((method, path)) = operation.route() else { continue };
        let item = paths.entry(path).or_insert_with(|| path_item(path));
        put(item, &method.name().to_ascii_lowercase(), describe(selection, *operation));
    }
}

/// The types of the service's own.
pub(super) fn add_own(selection: &Selection, schemas: &mut Map<String, Value>) {
    if selection.is_whole() {
        selection.describe(hcs::listing::OWN, &[], schemas);
        schemas.sort_keys();
    }
}

/// One word of explanation for each group of routes.
pub(super) fn tags() -> Vec<Value> {
    let groups =
        [Subject::System, Subject::Process, Subject::Service, Subject::Image, Subject::Layer];
    groups.iter().map(|subject| json!({ "name": subject.name() })).collect()
}

fn path_item(path: &str) -> Value {
    let mut parameters = Vec::new();
    if path.contains("{id}") {
        parameters.push(json!({
            "name": "id", "in": "path", "required": true,
            "description": "The id of the compute system.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        }));
    }
    if path.contains("{pid}") {
        parameters.push(json!({
            "name": "pid", "in": "path", "required": true,
            "description": "The number of the process.",
            "schema": { "type": "integer", "format": "uint32", "minimum": 0 },
        }));
    }
    let places = [
        ("image", "A name of the image, its digest, or the beginning of its id."),
        ("layer", "The absolute path of the layer's directory."),
    ];
    for (name, doc) in places.iter().filter(|(name, _)| path.contains(&format!("{{{name}}}"))) {
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": doc,
            "schema": { "type": "string", "minLength": 1 },
        }));
    }
    let mut item = json!({});
    if !parameters.is_empty() {
        put(&mut item, "parameters", parameters);
    }
    item
}

fn describe(selection: &Selection, operation: ComputeOperation) -> Value {
    let mut described = json!({
        "operationId": operation.name(),
        "summary": operation.doc(),
        "tags": [operation.subject().name()],
        "x-right": if operation.is_read_only() { "read" } else { "manage" },
    });
    if let Some(symbol) = operation.symbol() {
        put(&mut described, "x-symbol", symbol);
    }
    let mut parameters: Vec<Value> =
        operation.parameters().iter().map(|row| in_query(selection, row)).collect();
    let body = |schema: Value, required: bool| json!({ "required": required, "content": { "application/json": { "schema": schema } } });
    match operation.input() {
        Input::Query(schema) => parameters.insert(
            0,
            json!({
                "name": "query", "in": "query", "required": false,
                "description": "What is asked for; the usual when left out.",
                "schema": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": selection.reference(schema.name),
                },
            }),
        ),
        Input::Document(schema) => {
            put(&mut described, "requestBody", body(selection.reference(schema.name), true));
        }
        Input::Options(schema) if selection.includes(schema.since()) => {
            put(&mut described, "requestBody", body(selection.reference(schema.name), false));
        }
        Input::Archive => {
            let content = json!({ OCTETS: { "schema": { "type": "string", "format": "binary" } } });
            put(&mut described, "requestBody", json!({ "required": false, "content": content }));
        }
        Input::None | Input::Options(_) | Input::Arguments => {}
    }
    let is_long = matches!(operation.output(), Output::Work(_)) && selection.is_of_service();
    if is_long {
        parameters.push(json!({ "$ref": "#/components/parameters/Prefer" }));
    }
    if let Output::Streams = operation.output() {
        let mut upgrades = vec![STDIO_UPGRADE];
        upgrades.extend(STREAM_UPGRADES.iter().map(|stream| stream.name));
        parameters.push(json!({
            "name": "Upgrade", "in": "header", "required": true,
            "description": "What the connection is upgraded to: something that brings descriptors, on a unix socket, or one of the streams itself.",
            "schema": { "type": "string", "enum": upgrades, "example": STDIO_UPGRADE },
        }));
    }
    if !parameters.is_empty() {
        put(&mut described, "parameters", parameters);
    }
    let mut answers = answers(selection, operation.output());
    if is_long {
        put(&mut answers, "202", json!({ "$ref": "#/components/responses/Accepted" }));
    }
    put(&mut described, "responses", answers);
    described
}

fn in_query(selection: &Selection, row: &Parameter) -> Value {
    json!({
        "name": row.name, "in": "query", "required": row.required,
        "description": row.doc, "schema": selection.kind(&row.kind, None),
    })
}

fn answers(selection: &Selection, output: Output) -> Value {
    let json_of = |schema: Value| json!({ "application/json": { "schema": schema } });
    let list = |name: &str| json!({ "type": "array", "items": selection.reference(name) });
    let binary = || json!({ OCTETS: { "schema": { "type": "string", "format": "binary" } } });
    let (status, description, content) = match output {
        Output::None | Output::Local => ("204", "It was done.", None),
        Output::Place => ("201", "It was made.", None),
        Output::Made(schema) => {
            ("201", "It was made.", Some(json_of(selection.reference(schema.name))))
        }
        Output::Document(schema) => {
            ("200", "The document.", Some(json_of(selection.reference(schema.name))))
        }
        Output::Documents(schema) => ("200", "The documents.", Some(json_of(list(schema.name)))),
        Output::Events(schema) => {
            let events =
                json!({ "text/event-stream": { "schema": selection.reference(schema.name) } });
            ("200", "What happens, as it happens.", Some(events))
        }
        Output::Log => ("200", "What was written.", Some(binary())),
        Output::Archive => ("200", "The archive.", Some(binary())),
        Output::Work(done) => {
            let mut content = match done {
                Done::Nothing => json!({}),
                Done::Document(schema) => json_of(selection.reference(schema.name)),
                Done::Documents(schema) => json_of(list(schema.name)),
            };
            let lines = json!({ "schema": selection.reference(WorkLine::SCHEMA.name) });
            put(&mut content, "application/x-ndjson", lines);
            ("200", "What came of it: at the end, or line by line as it is done.", Some(content))
        }
        Output::Streams => (
            "101",
            "Of descriptors one byte follows that tells which streams there are; else the connection is the stream. 204 where the process has no such stream.",
            None,
        ),
    };
    let mut answer = json!({ "description": description });
    if let Some(content) = content {
        put(&mut answer, "content", content);
    }
    if matches!(output, Output::Place | Output::Made(_)) {
        let location = json!({
            "description": "Where it is.",
            "schema": { "type": "string", "format": "uri-reference" },
        });
        put(&mut answer, "headers", json!({ "Location": location }));
    }
    json!({ status: answer, "default": { "$ref": "#/components/responses/ComputeProblem" } })
}

/// The answer of what failed: a problem document with the error document of Windows in it.
pub(super) fn add_response(selection: &Selection, responses: &mut Value) {
    if !selection.includes(ResultError::SCHEMA.since()) {
        return;
    }
    let problem = json!({
        "description": "The request failed.",
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/ComputeProblem" },
        } },
    });
    put(responses, "ComputeProblem", problem);
}

/// The type of that answer.
pub(super) fn add_schema(selection: &Selection, schemas: &mut Map<String, Value>) {
    if !selection.includes(ResultError::SCHEMA.since()) {
        return;
    }
    let about = format!("The {} of the failure.", ResultError::SCHEMA.name);
    let error = selection.kind(&crate::schema::Kind::Struct(ResultError::SCHEMA), Some(&about));
    let problem = json!({
        "description": "Why a request to the compute service failed.",
        "allOf": [
            { "$ref": "#/components/schemas/Problem" },
            { "type": "object", "properties": { "error": error } },
        ],
    });
    schemas.insert("ComputeProblem".into(), problem);
    schemas.sort_keys();
}
