//! No input makes anything panic, and every refusal says where.

use hostcompute_schema::{
    Document, Failure, Older, locate, parse_endpoint, parse_load_balancer, parse_namespace,
    parse_network, parse_query, parse_route, read_json, recognise, v1, validate,
};
use proptest::prelude::*;

use crate::cases;
use crate::strategy::raw;

/// Reads a text as everything it could be and prints what came out in every shape.
fn try_everything(text: &str) {
    if let Ok(parsed) = told(text, parse_network(text)) {
        parsed.document.to_superset();
    }
    if let Ok(parsed) = told(text, parse_endpoint(text)) {
        parsed.document.to_superset();
    }
    if let Ok(parsed) = told(text, parse_namespace(text)) {
        parsed.document.to_superset();
    }
    if let Ok(parsed) = told(text, parse_load_balancer(text)) {
        parsed.document.to_superset();
    }
    if let Ok(parsed) = told(text, parse_route(text)) {
        parsed.document.to_value();
    }
    let _ = told(text, parse_query(text));
    let _ = validate(text, None);
    if let Ok(value) = read_json(text) {
        recognise(&value);
        v1::network_from_v1(value.clone());
        v1::endpoint_from_v1(value);
    }
}

/// A refusal names a position inside the text, and its forms for machines can be made.
fn told<T>(text: &str, result: Result<T, Failure>) -> Result<T, Failure> {
    if let Err(failure) = &result {
        failure.error_record();
        assert_eq!(&Failure::from_problem(&failure.problem()), failure);
        if let Some(position) = failure.position {
            assert!(position.line <= text.split('\n').count(), "{failure} in {text}");
        }
    }
    result
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn any_json_is_read_or_refused(value in raw(5)) {
        try_everything(&value.to_string());
        try_everything(&format!("{value:#}"));
    }

    #[test]
    fn any_text_is_refused(text in "[\\[\\]{}:,\"\\\\ \na-zA-Z0-9é]{0,60}", path in "[a.\\[\\]\"0-9]{0,12}") {
        try_everything(&text);
        locate(&text, &path);
    }

    #[test]
    fn damaged_documents_are_refused(value in raw(4), cut in 0..400_usize, byte in any::<u8>()) {
        let mut bytes = value.to_string().into_bytes();
        let cut = cut.min(bytes.len());
        bytes.insert(cut, byte);
        try_everything(&String::from_utf8_lossy(&bytes));
        bytes.truncate(cut);
        try_everything(&String::from_utf8_lossy(&bytes));
    }
}
