//! What a request says beside its route: parameters, headers, the body.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Uri};
use hostcompute_schema::{Failure, Guid, HResult};

/// The query string, decoded.
#[derive(Debug, Clone, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query string.
    ///
    /// # Errors
    /// E_INVALIDARG for a parameter that is none of `known`.
    pub fn of(uri: &Uri, known: &[&str]) -> Result<Self, Failure> {
        let query = uri.query().unwrap_or_default();
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (name, _) in &pairs {
            if !known.contains(&name.as_str()) {
                let hint = if known.is_empty() {
                    "there are none here".to_owned()
                } else {
                    format!("there are: {}", known.join(", "))
                };
                return Err(invalid(format!("there is no parameter {name:?}")).hint(hint));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter; the last one counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All of them.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// A parameter that is there or not; `false` and `0` count as not.
    pub fn switch(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, "false" | "0"))
    }

    /// A GUID.
    ///
    /// # Errors
    /// HCN_E_GUID_CONVERSION_FAILURE.
    pub fn guid(&self, name: &str) -> Result<Option<Guid>, Failure> {
        self.get(name).map(guid).transpose()
    }

    /// A number.
    ///
    /// # Errors
    /// E_INVALIDARG.
    pub fn number(&self, name: &str) -> Result<Option<u32>, Failure> {
        let read = |text: &str| {
            text.parse().map_err(|_| invalid(format!("{name}={text} is not a number")))
        };
        self.get(name).map(read).transpose()
    }
}

/// Reads a GUID.
///
/// # Errors
/// HCN_E_GUID_CONVERSION_FAILURE.
pub fn guid(text: &str) -> Result<Guid, Failure> {
    text.parse().map_err(|_| {
        Failure::new(HResult::HCN_E_GUID_CONVERSION_FAILURE, format!("{text:?} is not a GUID"))
    })
}

/// The part of a path that stands where its route has a name in braces.
pub fn place<'a>(path: &'a str, route: &str) -> &'a str {
    let named = route.split('/').position(|part| part.starts_with('{'));
    named.and_then(|index| path.split('/').nth(index)).unwrap_or_default()
}

/// Whether the caller does not want to wait: `Prefer: respond-async`.
pub fn wants_no_wait(headers: &HeaderMap) -> bool {
    headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split([',', ';']).any(|word| word.trim().eq_ignore_ascii_case("respond-async"))
    })
}

/// A header's text.
///
/// # Errors
/// E_INVALIDARG for bytes that are no ASCII text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    let text = headers.get(name).map(|value| value.to_str().map(str::trim));
    text.transpose().map_err(|_| invalid(format!("the header {name} is no ASCII text")))
}

/// The body as text.
///
/// # Errors
/// ERROR_MESSAGE_EXCEEDS_MAX_SIZE past `limit` bytes, HCN_E_INVALID_JSON for bytes that are no UTF-8, E_INVALIDARG for a body that
/// does not arrive whole.
pub async fn text(headers: &HeaderMap, body: Body, limit: usize) -> Result<String, Failure> {
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large(limit));
    }
    let mut body = body;
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame =
            frame.map_err(|error| invalid(format!("the body did not arrive whole: {error}")))?;
        let Ok(piece) = frame.into_data() else { continue };
        if bytes.len() + piece.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|error| {
        let why = format!("the document is not UTF-8 (byte {})", error.utf8_error().valid_up_to());
        Failure::new(HResult::HCN_E_INVALID_JSON, why)
    })
}

fn too_large(limit: usize) -> Failure {
    let why = format!("the body is larger than {limit} bytes");
    Failure::new(HResult::ERROR_MESSAGE_EXCEEDS_MAX_SIZE, why)
        .hint("`request-bytes` in section [limits] of the service's configuration sets the limit")
}

fn invalid(why: String) -> Failure {
    Failure::new(HResult::E_INVALIDARG, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Result<Parameters, Failure> {
        let uri: Uri = text.parse().expect("a URI");
        Parameters::of(&uri, &["query", "strict", "wait", "id"])
    }

    #[test]
    fn parameters_are_decoded_and_unknown_ones_refused() {
        let read = parameters("/networks?query=%7B%22a%22%3A%20%22b+c%22%7D&strict").expect("fine");
        assert_eq!(read.get("query"), Some("{\"a\": \"b c\"}"));
        assert!(read.switch("strict") && !read.switch("wait"));
        assert!(!parameters("/x?strict=false").expect("fine").switch("strict"));
        assert!(parameters("/networks?qurey=1").expect_err("unknown").hint.is_some());
        assert_eq!(
            parameters("/x?wait=7").expect("fine").number("wait").expect("a number"),
            Some(7)
        );
        assert!(parameters("/x?wait=soon").expect("fine").number("wait").is_err());
        assert!(parameters("/x?id=soon").expect("fine").guid("id").is_err());
    }

    #[test]
    fn places_in_paths_are_those_of_the_route() {
        assert_eq!(place("/networks/7/endpoints", "/networks/{id}/endpoints"), "7");
        assert_eq!(place("/networks", "/networks/{id}"), "");
        assert_eq!(place("/handles/12", "/handles/{handle}"), "12");
    }

    #[test]
    fn a_preference_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert!(!wants_no_wait(&headers));
        headers.insert("prefer", "wait=5, Respond-Async".parse().expect("a header"));
        assert!(wants_no_wait(&headers));
    }
}
