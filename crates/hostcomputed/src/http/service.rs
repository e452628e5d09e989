//! The service's own operations: what concerns the service and its host as a whole, by their table.
//!
//! What an embedded service answers in the same way is answered by the same code ([`hostcompute::local::serve`]); here stands what
//! only a running service has: sessions, handles, numbers, its description.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hostcompute::local;
use hostcompute::transport::Ask;
use hostcompute_linux::Linux;
use hostcompute_schema::service::{Input, Obstacle, Output, ServiceVersion};
use hostcompute_schema::{Document, Failure, HResult, SchemaVersion, ServiceOperation};
use hostcompute_service::Service;
use serde_json::Value;

use super::client::{Client, Session};
use super::request::{self, Parameters};
use super::{Edge, answer, files, held, inspection, long, look, metrics, older};

/// A request for an operation of the service.
#[derive(Debug)]
pub struct Asked {
    pub client: Arc<Client>,
    pub session: Arc<Session>,
    pub operation: ServiceOperation,
    pub parameters: Parameters,
    /// Accepts lines of progress.
    pub in_lines: bool,
    /// What stands in the path where the route has a name.
    pub place: String,
    /// Empty where none is taken.
    pub document: String,
}

/// Carries out an operation.
pub async fn answer(
    client: Arc<Client>,
    operation: ServiceOperation,
    request: Request,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let session = client.session(&head.headers)?;
    let mut known: Vec<&str> =
        operation.parameters().iter().map(|parameter| parameter.name).collect();
    if matches!(operation.output(), Output::Steps) {
        known.push("strict");
    }
    let parameters = Parameters::of(&head.uri, &known)?;
    let document = match operation.input() {
        Input::None => String::new(),
        Input::Document(_) => {
            let limits = client.edge.settings.limits.of_user(session.caller().uid);
            request::text(&head.headers, body, limits.request_bytes).await?
        }
    };
    let in_lines = request::header(&head.headers, "accept")?
        .is_some_and(|kinds| kinds.contains("application/x-ndjson"));
    let place = request::place(head.uri.path(), operation.route().1).to_owned();
    let asked = Asked { client, session, operation, parameters, in_lines, place, document };
    if request::wants_no_wait(&head.headers) && !operation.is_read_only() {
        return long::begin_service(asked);
    }
    asked.carry_out().await.or_else(|obstacle| Ok(answer::written_problem(&obstacle.problem())))
}

impl Asked {
    async fn carry_out(self) -> Result<Response, Obstacle> {
        use ServiceOperation as O;
        Ok(match self.operation {
            O::Up | O::Down | O::Diff => files::answer(self).await?,
            O::Inspect => inspection::answer(self).await?,
            O::Flows => inspection::flows(self).await?,
            O::Trace => inspection::trace(self).await?,
            O::Probe => inspection::probe(self).await?,
            O::Topology => look::topology(self).await?,
            O::Statistics => look::statistics(self).await?,
            O::Resolve => self.resolve()?,
            O::OpenHandle | O::ListHandles | O::CloseHandle => held::handles(&self)?,
            O::ReservePorts | O::ListReservations | O::ReleasePorts => {
                let edge = self.client.edge.clone();
                blocking(&edge, move || held::ports(&self)).await??
            }
            O::CallOlder => older::answer(self).await?,
            O::GetOperation => long::tell(self).await?,
            O::CancelOperation => long::cancel(&self)?,
            O::FollowOperation => long::follow(&self)?,
            O::Metrics => metrics::answer(self).await?,
            O::Version => version(),
            O::Describe => answer::typed(
                StatusCode::OK,
                "application/json",
                self.client.edge.description.clone(),
            ),
            O::Health => answer::typed(StatusCode::OK, "text/plain", "ok\n"),
            _ => answered(&self.local().await?),
        })
    }

    /// Answers with the whole service, on the thread that changes the host.
    pub async fn local(&self) -> Result<Value, Obstacle> {
        let options = self.client.edge.settings.options.clone();
        let (operation, document) = (self.operation, self.document.clone());
        let parameters = self.parameters.clone();
        let id = match self.place.as_str() {
            "" => None,
            place => Some(request::guid(place)?),
        };
        self.with_service(move |service| {
            let parameters = parameters.pairs();
            let ask = Ask { operation, id, parameters: &parameters, document: &document };
            local::serve(service, &options, &ask)
        })
        .await?
    }

    /// Does something with the whole service, on the thread that changes the host.
    pub async fn with_service<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Service<Linux>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (session, operation) = (self.session.clone(), self.operation);
        let edge = &self.client.edge;
        blocking(edge, move || session.with_service(operation.right(), operation.name(), work))
            .await?
    }

    fn resolve(&self) -> Result<Response, Failure> {
        let parameters = self.parameters.pairs();
        let ask = Ask { parameters: &parameters, ..Ask::plain(self.operation) };
        let id = local::resolve(&self.session.view(), &ask)?;
        Ok(answer::document(StatusCode::OK, &id.to_string().into()))
    }
}

fn answered(document: &Value) -> Response {
    match document {
        Value::Null => answer::empty(StatusCode::NO_CONTENT),
        document => answer::document(StatusCode::OK, document),
    }
}

fn version() -> Response {
    let version = ServiceVersion {
        name: Some(env!("CARGO_PKG_NAME").to_owned()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        schema: Some(SchemaVersion::LATEST.to_string()),
        ..ServiceVersion::default()
    };
    answer::document(StatusCode::OK, &version.to_value())
}

/// Runs what blocks where it delays no connection, nor the end of its own.
pub async fn blocking<T: Send + 'static>(
    edge: &Edge,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    edge.background().spawn_blocking(work).await.map_err(|_| {
        Failure::new(HResult::E_UNEXPECTED, "the request failed inside the service")
            .hint("this is a bug; the log of the service says where")
    })
}
