//! What can be said: the documents, operations and failures of the HCN and HCS APIs.
//!
//! Pure data, no I/O, no clock: texts come in, typed documents come out, and back. What a document
//! *means* is the engine's business; nothing here resolves a name or checks a range that the schema
//! does not state.
//!
//! ```
//! use hostcompute_schema::{HostComputeNetwork, NetworkMode, parse};
//!
//! let parsed = parse::<HostComputeNetwork>(r#"{"name": "web", "Type": "nat", "Flgs": 8}"#)?;
//! assert_eq!(parsed.document.base.name.as_deref(), Some("web"));
//! assert_eq!(parsed.document.kind, Some(NetworkMode::NAT));
//! assert_eq!(parsed.warnings[0].position.unwrap().to_string(), "1:32");
//! # Ok::<(), hostcompute_schema::Failure>(())
//! ```
#![no_std]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[macro_use]
mod enumeration;
#[macro_use]
mod document;
pub mod build;
mod cause;
mod class;
pub mod compute;
mod element;
mod failure;
mod guid;
pub mod hcn;
pub mod hcs;
pub mod host_document;
mod hresult;
mod map;
pub mod openapi;
pub mod operation;
mod parse;
mod position;
mod reader;
pub mod schema;
pub mod service;
mod strict;
mod unknown;
pub mod v1;
mod validate;

pub use cause::Cause;
pub use class::Class;
pub use compute::ComputeOperation;
pub use document::{Children, Document, Rare};
pub use element::{Base64, Element};
pub use failure::{Failure, Warning};
pub use guid::{Guid, InvalidGuid};
pub use hcn::*;
pub use host_document::HostDocument;
pub use hresult::HResult;
pub use operation::Operation;
pub use parse::{
    LONGEST_TEXT, Parsed, first_of, parse, parse_all, parse_endpoint, parse_load_balancer,
    parse_namespace, parse_network, parse_query, parse_route, parse_value, read_json,
};
pub use position::{Position, locate};
pub use reader::{Manner, Reader};
pub use schema::SchemaVersion;
pub use service::ServiceOperation;
pub use unknown::Unknown;
pub use v1::{Older, QueryShape};
pub use validate::{Validated, recognise, type_named, validate};
