//! The ResultError document of a call that failed (hcs.md 1.8).

use alloc::vec;

use hostcompute_schema::hcs::{ErrorEvent, ResultError};
use hostcompute_schema::{Failure, Warning};

use super::exit;
use super::verb::Verb;

/// What HcsGetOperationResult gives with a failure: code, message with the place in the document, and which call it was.
pub fn result_error(verb: Verb, failure: &Failure) -> ResultError {
    let attribution = verb.failure_detail().map(|detail| vec![exit::operation_failure(detail)]);
    ResultError { attribution, ..ResultError::of(failure) }
}

/// Settings that were left out, as records that a result document carries.
pub fn warning_events(warnings: &[Warning]) -> vec::Vec<ErrorEvent> {
    let event = |warning: &Warning| ErrorEvent {
        message: Some(alloc::string::ToString::to_string(warning)),
        source: Some("hostcompute".into()),
        ..ErrorEvent::default()
    };
    warnings.iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostcompute_schema::{Document, HResult};
    use serde_json::json;

    #[test]
    fn the_document_says_what_failed_where_and_when() {
        let failure = Failure::new(HResult::HCS_E_INVALID_JSON, "no member \"Foo\"")
            .at("$.VirtualMachine.Foo");
        assert_eq!(
            result_error(Verb::Create, &failure).to_value(),
            json!({ "Error": -2_143_878_899, "ErrorMessage": "no member \"Foo\" (at $.VirtualMachine.Foo)",
                "Attribution": [{ "OperationFailure": { "Detail": "Construct" } }] })
        );
    }
}
