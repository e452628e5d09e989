//! What the page asks in one request instead of one for each object.
//!
//! - `GET /host/topology?after=REVISION`: the documents of everything that is newer than the revision (everything, for one that is
//!   not known: `Complete`), the ids of what was `Removed`, and the present `Revision`.
//! - `GET /host/statistics`: the statistics of every endpoint that has a port, the time they were read at (`Milliseconds` of a clock
//!   of the service's own), and the present `Revision`.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use hostcompute_engine::query;
use hostcompute_schema::Failure;
use serde_json::{Value, json};

use super::Shared;
use crate::http::{Parameters, blocking, document, of_endpoints, problem};

/// The routes of the page's own questions.
pub fn routes(shared: Arc<Shared>) -> Router {
    let started = Instant::now();
    let for_topology = shared.clone();
    Router::new()
        .route(
            "/host/topology",
            get(move |request: Request| answered(topology(for_topology.clone(), request))),
        )
        .route("/host/statistics", get(move || answered(statistics(shared.clone(), started))))
}

async fn answered(work: impl Future<Output = Result<Value, Failure>>) -> Response {
    match work.await {
        Ok(answer) => document(StatusCode::OK, &answer),
        Err(failure) => problem(&failure),
    }
}

async fn topology(shared: Arc<Shared>, request: Request) -> Result<Value, Failure> {
    let parameters = Parameters::of(request.uri(), &["after"])?;
    let session = shared.client.session(request.headers())?;
    let after = parameters.get("after").unwrap_or_default().to_owned();
    let edge = shared.edge.clone();
    blocking(&edge, move || shared.changes.since(&session, &after)).await
}

async fn statistics(shared: Arc<Shared>, started: Instant) -> Result<Value, Failure> {
    let session = shared.client.session(&Default::default())?;
    let edge = shared.edge.clone();
    blocking(&edge, move || {
        let read = of_endpoints(&shared.edge, &session)?;
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        let statistics: Vec<Value> = read
            .iter()
            .map(|(endpoint, counters)| query::statistics(*endpoint, counters))
            .collect();
        let revision = shared.changes.revision(&session);
        Ok(json!({ "Revision": revision, "Milliseconds": milliseconds, "Statistics": statistics }))
    })
    .await?
}
