//! From text to document: the one way in for everything a client wrote.
//!
//! Input is lenient, as the real service is (hcn.md 0.3 and 2.1): names in any case and any
//! published spelling, numbers or names for flags, unknown members kept and reported. What is
//! refused is refused with the path and the place in the text, and all mistakes are found at once.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use serde_json::Value;

use crate::document::Document;
use crate::failure::{Failure, Warning};
use crate::hcn::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork,
    HostComputeQuery, HostComputeRoute,
};
use crate::hresult::HResult;
use crate::position::{locate, position_of_bytes};
use crate::reader::Reader;
use crate::v1;

/// A document and what was odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T> {
    /// The document.
    pub document: T,
    /// What was tolerated.
    pub warnings: Vec<Warning>,
}

/// Longer texts are refused before they are read.
pub const LONGEST_TEXT: usize = 16 * 1024 * 1024;

/// How many bytes may be walked to tell the positions of warnings: without a bound, many warnings
/// in a long text would cost their product.
const LOCATE_BUDGET: usize = 64 * 1024 * 1024;

/// Reads a document. On failure the first mistake is told, with the number of further ones.
pub fn parse<T: Document>(text: &str) -> Result<Parsed<T>, Failure> {
    parse_all(text).map_err(first_of)
}

/// Reads a document. On failure every mistake is told.
pub fn parse_all<T: Document>(text: &str) -> Result<Parsed<T>, Vec<Failure>> {
    let value = read_json(text).map_err(|failure| vec![failure])?;
    parse_read(&value, text)
}

/// Reads a document out of a value that stands at path `at` of a larger one, such as the `Settings`
/// of a policy. Failures have the whole path and no position.
pub fn parse_value<T: Document>(value: &Value, at: &str) -> Result<Parsed<T>, Failure> {
    let mut reader = Reader::new(at);
    let document = T::read(value, &mut reader);
    let (failures, warnings) = reader.into_notes();
    if failures.is_empty() { Ok(Parsed { document, warnings }) } else { Err(first_of(failures)) }
}

/// Reads what HcnCreateNetwork is given.
///
/// A document of version 1 is translated first; its failures name the members of version 2.
pub fn parse_network(text: &str) -> Result<Parsed<HostComputeNetwork>, Failure> {
    let value = read_json(text)?;
    let value = if v1::is_v1_network(&value) { v1::network_from_v1(value) } else { value };
    parse_read(&value, text).map_err(first_of)
}

/// Reads what HcnCreateEndpoint is given.
///
/// A document of version 1 is translated first; its failures name the members of version 2.
pub fn parse_endpoint(text: &str) -> Result<Parsed<HostComputeEndpoint>, Failure> {
    let value = read_json(text)?;
    let value = if v1::is_v1_endpoint(&value) { v1::endpoint_from_v1(value) } else { value };
    parse_read(&value, text).map_err(first_of)
}

/// Reads what HcnCreateNamespace is given.
pub fn parse_namespace(text: &str) -> Result<Parsed<HostComputeNamespace>, Failure> {
    parse(text)
}

/// Reads what HcnCreateLoadBalancer and HcnModifyLoadBalancer are given, also as a policy list of version 1.
pub fn parse_load_balancer(text: &str) -> Result<Parsed<HostComputeLoadBalancer>, Failure> {
    let value = read_json(text)?;
    let older = v1::is_policy_list(&value, "ELB");
    let value = if older { v1::load_balancer_from_v1(value) } else { value };
    parse_read(&value, text).map_err(first_of)
}

/// Reads what HcnCreateSdnRoute is given, also as a policy list of version 1.
pub fn parse_route(text: &str) -> Result<Parsed<HostComputeRoute>, Failure> {
    let value = read_json(text)?;
    let older = v1::is_policy_list(&value, "ROUTE");
    let value = if older { v1::route_from_v1(value) } else { value };
    parse_read(&value, text).map_err(first_of)
}

/// Reads what enumerations and queries are given; no text at all asks for everything.
pub fn parse_query(text: &str) -> Result<Parsed<HostComputeQuery>, Failure> {
    if matches!(text.trim_ascii(), "" | "null") {
        return Ok(Parsed { document: HostComputeQuery::default(), warnings: Vec::new() });
    }
    parse(text)
}

/// Reads JSON text: any value, with the place of a syntax error.
pub fn read_json(text: &str) -> Result<Value, Failure> {
    if text.len() > LONGEST_TEXT {
        let message = format!("the document is longer than {LONGEST_TEXT} bytes");
        return Err(Failure::new(HResult::HCN_E_INVALID_JSON, message));
    }
    // Editors on Windows put a byte order mark in front.
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    if bare.trim_ascii().is_empty() {
        return Err(Failure::new(HResult::HCN_E_INVALID_JSON, "the document is empty"));
    }
    serde_json::from_str(bare).map_err(|error| syntax_failure(bare, &error))
}

/// Reads a document out of a value that was made from `text`, which tells positions.
pub(crate) fn parse_read<T: Document>(
    value: &Value,
    text: &str,
) -> Result<Parsed<T>, Vec<Failure>> {
    let mut reader = Reader::default();
    if value.is_null() {
        reader.fail_type("an object", value);
    }
    let document = T::read(value, &mut reader);
    let warnings = locate_notes(reader, text)?;
    Ok(Parsed { document, warnings })
}

/// What a reader noted, with the places in the text: the mistakes, or without any the oddities.
pub(crate) fn locate_notes(reader: Reader, text: &str) -> Result<Vec<Warning>, Vec<Failure>> {
    let (failures, mut warnings) = reader.into_notes();
    let affordable = (LOCATE_BUDGET / text.len().max(1)).max(1);
    if failures.is_empty() {
        for warning in warnings.iter_mut().take(affordable) {
            warning.position = locate(text, &warning.path);
        }
        return Ok(warnings);
    }
    let located = failures.into_iter().enumerate().map(|(index, failure)| {
        if index < affordable { failure.in_document(text) } else { failure }
    });
    Err(located.collect())
}

/// The first of several mistakes; its hint tells that there are more.
pub fn first_of(failures: Vec<Failure>) -> Failure {
    let further = failures.len().saturating_sub(1);
    let mut failures = failures.into_iter();
    let Some(mut first) = failures.next() else {
        return Failure::new(HResult::E_UNEXPECTED, "a refusal without a reason");
    };
    if further > 0 {
        let more = match further {
            1 => "one more mistake follows".to_string(),
            more => format!("{more} more mistakes follow"),
        };
        first.hint = Some(match first.hint {
            Some(hint) => format!("{hint}; {more}"),
            None => more,
        });
    }
    first
}

pub(crate) fn syntax_failure(text: &str, error: &serde_json::Error) -> Failure {
    let described = error.to_string();
    let message: String = match described.split_once(" at line ") {
        Some((message, _)) => message.into(),
        None => described,
    };
    let mut failure = Failure::new(HResult::HCN_E_INVALID_JSON, message);
    if error.line() > 0 {
        failure.position = Some(position_of_bytes(text, error.line(), error.column()));
    }
    failure
}
