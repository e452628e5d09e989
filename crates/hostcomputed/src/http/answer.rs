//! Answers: documents, problems, warnings, as they travel.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hostcompute_schema::{Failure, HResult, Warning};
use hyper::body::Frame;
use serde_json::{Value, json};

/// The header that carries what was tolerated in a document.
const WARNINGS: &str = "hostcompute-warnings";

/// More warnings than this are counted, not told: headers have limits.
const WARNINGS_BYTES: usize = 4096;

/// The media type of documents.
pub const JSON: &str = "application/json";

/// A JSON document.
pub fn document(status: StatusCode, document: &Value) -> Response {
    typed(status, JSON, serde_json::to_vec(document).unwrap_or_default())
}

/// Something with a media type.
pub fn typed(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An answer that is sent piece by piece, as something else makes them.
pub fn as_they_come<N>(kind: &'static str, next: N) -> Response
where
    N: FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + Send + Unpin + 'static,
{
    typed(StatusCode::OK, kind, Body::new(Pieces(next)))
}

struct Pieces<N>(N);

impl<N> fmt::Debug for Pieces<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pieces")
    }
}

impl<N> hyper::body::Body for Pieces<N>
where
    N: FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        (self.0)(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Success that has nothing to say.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A failure as a problem document.
pub fn problem(failure: &Failure) -> Response {
    written_problem(&failure.problem())
}

/// A failure that HTTP has a status of its own for.
pub fn problem_with(status: StatusCode, failure: &Failure) -> Response {
    let mut problem = failure.problem();
    if let Value::Object(members) = &mut problem {
        members.insert("status".into(), status.as_u16().into());
    }
    written_problem(&problem)
}

/// A problem document as it travels; its own member tells the status.
pub fn written_problem(problem: &Value) -> Response {
    let status = problem.get("status").and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    let status = status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = typed(status, "application/problem+json", body);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// What the caller asks for does not exist here.
pub fn no_such_route(path: &str) -> Response {
    let why = format!("there is nothing at {path}; GET /openapi.json tells what there is");
    problem_with(StatusCode::NOT_FOUND, &Failure::new(HResult::ERROR_NOT_FOUND, why))
}

/// Adds what was tolerated.
pub fn warn(response: &mut Response, warnings: &[Warning]) {
    if warnings.is_empty() {
        return;
    }
    let list: Vec<Value> = warnings.iter().map(Warning::to_value).collect();
    let mut text = ascii(&Value::Array(list));
    if text.len() > WARNINGS_BYTES {
        let message = format!("{} members were tolerated; ?strict names the first", warnings.len());
        text = ascii(&json!([{ "path": "", "detail": message }]));
    }
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(WARNINGS, value);
    }
}

/// JSON in ASCII, as headers need it.
fn ascii(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_travel_in_ascii_and_read_back() {
        let warning =
            Warning { path: "N\u{e4}me".into(), message: "o\u{1f600}d\td".into(), position: None };
        let mut response = empty(StatusCode::NO_CONTENT);
        warn(&mut response, std::slice::from_ref(&warning));
        let header = response.headers()[WARNINGS].to_str().expect("ASCII").to_owned();
        let read: Value = serde_json::from_str(&header).expect("JSON");
        assert_eq!(Warning::from_value(&read[0]), warning);
        warn(&mut response, &vec![warning; 1000]);
        assert!(response.headers()[WARNINGS].len() < WARNINGS_BYTES);
    }

    #[test]
    fn statuses_of_http_go_before_those_of_the_code() {
        let failure = Failure::new(HResult::ERROR_NOT_ENOUGH_QUOTA, "too many");
        assert_eq!(problem(&failure).status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(problem(&failure).headers().contains_key(RETRY_AFTER));
        assert_eq!(problem_with(StatusCode::GONE, &failure).status(), StatusCode::GONE);
    }
}
