//! What Windows says when it refuses: an HRESULT, and a document where there is one. The network service's has `Error` and `ErrorCode`, the
//! compute service's `Error` (a number) and `ErrorMessage`.

use hostcompute_schema::{Failure, HResult};
use serde_json::Value;

/// Nothing for a code of success, else the failure that code and document tell of.
///
/// # Errors
/// The failure.
pub fn unless(code: i32, document: impl FnOnce() -> String) -> Result<(), Failure> {
    let code = HResult::from_signed(code);
    if code.is_success() {
        return Ok(());
    }
    Err(failure(code, &document()))
}

fn failure(code: HResult, document: &str) -> Failure {
    let told: Value = serde_json::from_str(document).unwrap_or_default();
    let text = |name: &str| told.get(name).and_then(Value::as_str);
    let said = text("ErrorMessage").or_else(|| text("Error")).unwrap_or_default();
    // Whoever prints a failure names its code anyway.
    let said = said.strip_prefix(code.message()).unwrap_or(said).trim();
    let said = match (said, document.trim()) {
        ("", "") => "Windows refused without a reason",
        ("", document) if told.is_null() => document,
        ("", _) => code.message(),
        (said, _) => said,
    };
    Failure::new(code, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_FOUND: i32 = HResult::HCN_E_NETWORK_NOT_FOUND.to_signed();

    fn said(code: i32, document: &str) -> (HResult, String) {
        let failure = unless(code, || document.to_owned()).expect_err("a refusal");
        (failure.hresult, failure.message)
    }

    #[test]
    fn success_is_no_refusal_whatever_the_document() {
        assert_eq!(unless(0, || panic!("not read")), Ok(()));
        assert_eq!(unless(1, || panic!("not read")), Ok(()));
    }

    #[test]
    fn records_of_both_services_are_read() {
        let network = r#"{"Success":false,"Error":"The network is gone.","ErrorCode":2151350273}"#;
        let told = (HResult::HCN_E_NETWORK_NOT_FOUND, "The network is gone.".to_owned());
        assert_eq!(said(NOT_FOUND, network), told);
        let compute = r#"{"Error":-2143878885,"ErrorMessage":"no such system"}"#;
        assert_eq!(said(NOT_FOUND, compute).1, "no such system");
        let ours = Failure::new(HResult::HCN_E_NETWORK_NOT_FOUND, "there is no network 1");
        assert_eq!(said(NOT_FOUND, &ours.error_record().to_string()).1, ours.message);
    }

    #[test]
    fn whatever_comes_is_told() {
        assert_eq!(said(NOT_FOUND, "").1, "Windows refused without a reason");
        assert_eq!(said(NOT_FOUND, "plain text").1, "plain text");
        assert_eq!(said(NOT_FOUND, "{}").1, HResult::HCN_E_NETWORK_NOT_FOUND.message());
        assert_eq!(said(i32::MIN + 0x7_1234, "[1]").0, HResult(0x8007_1234));
    }
}
