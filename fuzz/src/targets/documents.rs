//! Target `documents`: any text read as a document of any type.
//!
//! - Reading and validating end with a document or with failures that say what and where, never with a panic.
//! - What was read is printed, and the print read again is the same document; printing that gives the same text.
//! - The older shapes of a document can be printed, whatever is in it.

use hostcompute_schema::hcn;
use hostcompute_schema::hcn::listing::STRUCTS;
use hostcompute_schema::{
    Document, Failure, Older, Parsed, QueryShape, parse_all, parse_endpoint, parse_load_balancer,
    parse_namespace, parse_network, parse_query, parse_route, parse_value, validate,
};
use serde_json::Value;

use super::Seen;
use crate::machine::check_failure;
use crate::random::hash;

/// One document, accepted when it can be read as one type at least.
///
/// # Panics
/// Something that must hold does not.
pub fn run(data: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(data);
    let text = text.as_ref();
    let read = [
        older(parse_network(text), text),
        older(parse_endpoint(text), text),
        older(parse_namespace(text), text),
        older(parse_load_balancer(text), text),
        round(parse_route(text), text).is_some(),
        round(parse_query(text), text).is_some(),
    ];
    typed(text, hash(data));
    untyped(text, hash(data));
    Seen::one(read.contains(&true))
}

/// Reads the text as one of the types that nothing else reads on its own.
fn typed(text: &str, choice: u64) {
    macro_rules! one_of {
        ($($name:ident),* $(,)?) => {
            [$(|text| every::<hcn::$name>(text)),*]
        };
    }
    let readers: [fn(&str); 18] = one_of![
        AclPolicySetting,
        EncryptionPolicySetting,
        EndpointStats,
        GuestNetworkService,
        InterfaceParametersPolicySetting,
        L4ProxyPolicySetting,
        L4WfpProxyPolicySetting,
        ModifyEndpointSettingRequest,
        ModifyNamespaceSettingRequest,
        ModifyNetworkSettingRequest,
        OutboundNatPolicySetting,
        PolicyEndpointRequest,
        PolicyNetworkRequest,
        PortMappingPolicySetting,
        QosPolicySetting,
        SdnRoutePolicySetting,
        SetPolicySetting,
        TierAclPolicySetting,
    ];
    let place = (choice % readers.len() as u64) as usize;
    readers[place](text);
}

fn every<T: Document + PartialEq + std::fmt::Debug>(text: &str) {
    match parse_all::<T>(text) {
        Ok(parsed) => drop(printed_again(parsed.document)),
        Err(failures) => {
            assert!(!failures.is_empty(), "refused without a reason");
            failures.iter().for_each(|failure| check_failure(failure, text));
        }
    }
}

/// Validation by the tables agrees with itself on what the document is.
fn untyped(text: &str, choice: u64) {
    let schema = STRUCTS.get((choice % STRUCTS.len() as u64) as usize).copied();
    for schema in [None, schema] {
        if let Err(failures) = validate(text, schema) {
            assert!(!failures.is_empty(), "refused without a reason");
            failures.iter().for_each(|failure| check_failure(failure, text));
        }
    }
}

fn older<T: Older + PartialEq + std::fmt::Debug>(
    parsed: Result<Parsed<T>, Failure>,
    text: &str,
) -> bool {
    let document = round(parsed, text);
    for shape in [QueryShape::V1, QueryShape::V2, QueryShape::Superset] {
        drop(document.as_ref().map(|document| document.in_shape(shape)));
    }
    document.is_some()
}

fn round<T: Document + PartialEq + std::fmt::Debug>(
    parsed: Result<Parsed<T>, Failure>,
    text: &str,
) -> Option<T> {
    match parsed {
        Ok(parsed) => Some(printed_again(parsed.document)),
        Err(failure) => {
            check_failure(&failure, text);
            None
        }
    }
}

/// The document after printing and reading, which must be the same.
fn printed_again<T: Document + PartialEq + std::fmt::Debug>(document: T) -> T {
    let print = Value::Object(document.write());
    let again = match parse_value::<T>(&print, "") {
        Ok(parsed) => parsed.document,
        Err(failure) => panic!("our own print is refused: {failure}\n{print}"),
    };
    let second = Value::Object(again.write());
    assert_eq!(print, second, "printing twice gives two texts");
    again
}
