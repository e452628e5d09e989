//! OpenAPI documents, assembled from the tables beside the types.
//!
//! Two forms: Swagger 2.0, in which Microsoft publishes its schema, with the definitions alone,
//! and OpenAPI 3.1, with the routes of the HTTP interface as well. Both can be had as of an older
//! schema version; what is newer is then left out. A third document ([`service()`]) is what the
//! service serves: the API with the service's own operations. A generator from the Rust types could not do
//! that, since types do not carry the version that brought each member.

mod compute;
mod definition;
mod path;
mod service;

use alloc::format;
use alloc::string::ToString;

use serde_json::{Map, Value, json};

use crate::schema::SchemaVersion;
use crate::{hcn, hcs};
use definition::{Dialect, Selection, put};

/// Which API a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Api {
    /// The network service.
    Hcn,
    /// The compute service.
    Hcs,
}

impl Api {
    fn title(self) -> &'static str {
        match self {
            Api::Hcn => "HCN API",
            Api::Hcs => "HCS API",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Api::Hcn => {
                "Networks, endpoints, namespaces and load balancers of one host. \
                 Member names are read in any case, unknown members are kept and reported."
            }
            Api::Hcs => {
                "Containers and virtual machines of one host. Member names are read as they are \
                 written here, unknown members and values are refused; null is as good as absent."
            }
        }
    }

    /// The newest version whose members are described.
    fn latest(self) -> SchemaVersion {
        match self {
            Api::Hcn => SchemaVersion::LATEST,
            Api::Hcs => hcs::LATEST,
        }
    }
}

/// The schema in Swagger 2.0: every type under `definitions`, no routes.
pub fn swagger2(api: Api, version: Option<SchemaVersion>) -> Value {
    let selection = Selection::new(Dialect::Swagger2, version);
    json!({
        "swagger": "2.0",
        "info": { "title": api.title(), "version": number(api, version) },
        "paths": {},
        "definitions": selection.definitions(api),
    })
}

/// The schema and the HTTP interface in OpenAPI 3.1.
pub fn openapi3(api: Api, version: Option<SchemaVersion>) -> Value {
    let selection = Selection::new(Dialect::OpenApi3, version);
    let mut schemas = selection.definitions(api);
    path::add_schemas(&mut schemas);
    let mut responses = path::responses();
    let (tags, paths) = match api {
        Api::Hcn => (path::tags(), path::paths(&selection)),
        Api::Hcs => {
            compute::add_schema(&selection, &mut schemas);
            compute::add_own(&selection, &mut schemas);
            compute::add_response(&selection, &mut responses);
            let mut paths = Map::new();
            compute::paths(&selection, &mut paths);
            (compute::tags(), paths)
        }
    };
    json!({
        "openapi": VERSION,
        "info": info(api.title(), &number(api, version), api.about()),
        "servers": servers(),
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas, "responses": responses },
    })
}

/// What the service serves, in OpenAPI 3.1: both APIs, the service's own operations, and what belongs
/// to HTTP alone.
pub fn service() -> Value {
    let selection = Selection::new(Dialect::OpenApi3, None);
    let mut schemas = selection.definitions(Api::Hcn);
    path::add_schemas(&mut schemas);
    service::add_schemas(&selection, &mut schemas);
    let mut tags = path::tags();
    let mut paths = path::paths(&selection);
    service::extend(&selection, &mut paths);
    let mut components = json!({ "responses": path::responses() });
    service::add_components(&selection, &mut components);
    let structs = [hcn::listing::STRUCTS, crate::service::STRUCTS].concat();
    let enums = [hcn::listing::ENUMS, crate::service::ENUMS].concat();
    let beside = selection.beside(&structs, &enums);
    schemas.extend(beside.definitions(Api::Hcs));
    compute::add_schema(&beside, &mut schemas);
    compute::add_own(&beside, &mut schemas);
    compute::paths(&beside, &mut paths);
    if let Some(responses) = components.get_mut("responses") {
        compute::add_response(&beside, responses);
    }
    tags.extend(compute::tags());
    tags.push(service::tag());
    put(&mut components, "schemas", Value::Object(schemas));
    json!({
        "openapi": VERSION,
        "info": info("hostcompute", &number(Api::Hcn, None), service::DESCRIPTION),
        "servers": servers(),
        "security": [{}, { service::TOKEN: [] }],
        "tags": tags,
        "paths": paths,
        "components": components,
    })
}

/// The version of OpenAPI.
const VERSION: &str = "3.1.1";

fn info(title: &str, version: &str, about: &str) -> Value {
    json!({
        "title": title,
        "version": version,
        "description": about,
        "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
    })
}

fn servers() -> Value {
    json!([{ "url": "/", "description": "The service's socket." }])
}

/// The document as text, as it is printed and committed.
pub fn to_text(document: &Value) -> alloc::string::String {
    format!("{document:#}\n")
}

fn number(api: Api, version: Option<SchemaVersion>) -> alloc::string::String {
    version.unwrap_or(api.latest()).to_string()
}
