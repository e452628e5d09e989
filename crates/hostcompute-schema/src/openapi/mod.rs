//! OpenAPI documents, assembled from the tables beside the types.
//!
//! Two forms: Swagger 2.0, in which Microsoft publishes its schema, with the definitions alone,
//! and OpenAPI 3.1, with the routes of the HTTP interface as well. Both can be had as of an older
//! schema version; what is newer is then left out. A generator from the Rust types could not do
//! that, since types do not carry the version that brought each member.

mod definition;
mod path;

use alloc::format;
use alloc::string::ToString;

use serde_json::{Value, json};

use crate::schema::SchemaVersion;
use definition::{Dialect, Selection};

/// Which API a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Api {
    /// The network service.
    Hcn,
}

impl Api {
    fn title(self) -> &'static str {
        match self {
            Api::Hcn => "HCN API",
        }
    }
}

/// The schema in Swagger 2.0: every type under `definitions`, no routes.
pub fn swagger2(api: Api, version: Option<SchemaVersion>) -> Value {
    let selection = Selection::new(Dialect::Swagger2, version);
    json!({
        "swagger": "2.0",
        "info": { "title": api.title(), "version": number(version) },
        "paths": {},
        "definitions": selection.definitions(),
    })
}

/// The schema and the HTTP interface in OpenAPI 3.1.
pub fn openapi3(api: Api, version: Option<SchemaVersion>) -> Value {
    let selection = Selection::new(Dialect::OpenApi3, version);
    let mut schemas = selection.definitions();
    path::add_schemas(&mut schemas);
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": api.title(),
            "version": number(version),
            "description": "Networks, endpoints, namespaces and load balancers of one host. \
                Member names are read in any case, unknown members are kept and reported.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/", "description": "The service's socket." }],
        "tags": path::tags(),
        "paths": path::paths(&selection),
        "components": { "schemas": schemas, "responses": path::responses() },
    })
}

/// The document as text, as it is printed and committed.
pub fn to_text(document: &Value) -> alloc::string::String {
    format!("{document:#}\n")
}

fn number(version: Option<SchemaVersion>) -> alloc::string::String {
    version.unwrap_or(SchemaVersion::LATEST).to_string()
}
