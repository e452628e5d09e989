//! The operations of the API: one way for all of them, by what the table says of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use hostcompute_schema::operation::{Input, Kind, Operation, Verb};
use hostcompute_schema::{Failure, Guid, HResult};
use hostcompute_service::{Answer, Body, Call, IdempotencyKey, Reading, Topic};
use tokio::sync::oneshot;

use super::client::{Client, Session};
use super::request::Parameters;
use super::{answer, events, long, request};

/// Carries out an operation.
pub async fn answer(
    client: Arc<Client>,
    operation: Operation,
    request: Request,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let session = client.session(&head.headers)?;
    if operation.verb() == Verb::Subscribe {
        return subscribe(&session, operation, &head.headers, &head.uri);
    }
    let document = match operation.input() {
        Input::Document(_) => {
            let limits = client.edge.settings.limits.of_user(session.caller().uid);
            request::text(&head.headers, body, limits.request_bytes).await?
        }
        Input::Query | Input::None | Input::Arguments => String::new(),
    };
    let call = call(operation, &head.headers, &head.uri, document)?;
    if request::wants_no_wait(&head.headers) && !operation.is_read_only() {
        return long::begin_call(&client, &session, call);
    }
    let answer = if operation.is_read_only() {
        submitted(&session, call).await?
    } else {
        let _changing = Changing::begin(&client.edge.changing);
        submitted(&session, call).await?
    };
    respond(operation, answer)
}

/// What the request says, as a call.
fn call(
    operation: Operation,
    headers: &HeaderMap,
    uri: &Uri,
    document: String,
) -> Result<Call, Failure> {
    let creates = operation.verb() == Verb::Create;
    let known: &[&str] = match operation.input() {
        Input::Query => &["query", "strict"],
        Input::Document(_) if creates => &["id", "strict"],
        Input::Document(_) => &["strict"],
        Input::None | Input::Arguments => &[],
    };
    let parameters = Parameters::of(uri, known)?;
    // An id of zeros is none: the document of an endpoint says which network is meant.
    let named = named(operation, uri)?.filter(|id| !(creates && id.is_zero()));
    let reading = if parameters.switch("strict") { Reading::Strict } else { Reading::Lenient };
    let key = request::header(headers, "idempotency-key")?.map(IdempotencyKey::new).transpose()?;
    let (id, network) = if creates { (parameters.guid("id")?, named) } else { (named, None) };
    let document = match parameters.get("query") {
        Some(query) => query.to_owned(),
        None => document,
    };
    Ok(Call { operation, id, network, document, reading, key })
}

/// The object in the path.
fn named(operation: Operation, uri: &Uri) -> Result<Option<Guid>, Failure> {
    let route = operation.route().map_or("", |(_, path)| path);
    if !route.contains('{') {
        return Ok(None);
    }
    request::guid(request::place(uri.path(), route)).map(Some)
}

/// A change that is under way, as long as this lives.
pub struct Changing<'a>(&'a AtomicUsize);

impl<'a> Changing<'a> {
    /// Counted from now on.
    pub fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands a call to the service and waits for what it brings. Reading is done when this returns from handing over.
async fn submitted(session: &Session, call: Call) -> Result<Answer, Failure> {
    let (sender, receiver) = oneshot::channel();
    session.submit(call, move |outcome| {
        // The client may have gone meanwhile.
        let _ = sender.send(outcome);
    });
    receiver.await.unwrap_or_else(|_| {
        let why = "the service ended before it came to this";
        Err(Failure::new(HResult::HCN_E_MANAGER_STOPPED, why))
    })
}

fn respond(operation: Operation, given: Answer) -> Result<Response, Failure> {
    let mut response = match given.body {
        Body::None => answer::empty(StatusCode::NO_CONTENT),
        Body::Id(_) if operation.verb() != Verb::Create => answer::empty(StatusCode::NO_CONTENT),
        Body::Id(id) => {
            let mut response = answer::document(StatusCode::CREATED, &id.to_string().into());
            if let Some(place) = location(operation.subject(), id) {
                response.headers_mut().insert(LOCATION, place);
            }
            response
        }
        Body::Document(document) => answer::document(StatusCode::OK, &document),
        Body::Text(text) => answer::typed(StatusCode::OK, answer::JSON, text),
    };
    answer::warn(&mut response, &given.warnings);
    Ok(response)
}

/// Where an object of this kind is found.
fn location(kind: Kind, id: Guid) -> Option<HeaderValue> {
    let opens =
        |operation: &&Operation| operation.verb() == Verb::Open && operation.subject() == kind;
    let (_, route) = Operation::ALL.iter().find(opens)?.route()?;
    HeaderValue::from_str(&route.replace("{id}", &id.to_string())).ok()
}

fn subscribe(
    session: &Session,
    operation: Operation,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Response, Failure> {
    Parameters::of(uri, &[])?;
    let topic = match (operation.subject(), named(operation, uri)?) {
        (Kind::Service, _) => Topic::All,
        (Kind::Network, Some(network)) => Topic::Network(network),
        (Kind::GuestNetworkService, Some(service)) => Topic::GuestService(service),
        (kind, _) => {
            let why = format!("this service tells nothing about a {}", kind.name());
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        }
    };
    let subscription = session.subscribe(topic, events::last_event(headers)?)?;
    Ok(events::stream(subscription))
}
