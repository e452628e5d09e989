//! Everything at once, for those who watch: what changed since they looked last, and what went through every port.

use axum::http::StatusCode;
use axum::response::Response;
use hostcompute_engine::query;
use hostcompute_schema::Failure;
use serde_json::{Value, json};

use super::service::{Asked, blocking};
use super::{answer, traffic};

/// The documents of everything that is newer than a revision.
pub async fn topology(asked: Asked) -> Result<Response, Failure> {
    let edge = asked.client.edge.clone();
    let newer = blocking(&edge, move || {
        let after = asked.parameters.get("after").unwrap_or_default();
        asked.client.edge.changes.since(&asked.session, after)
    });
    Ok(answer::document(StatusCode::OK, &newer.await?))
}

/// The statistics of every endpoint that has a port.
pub async fn statistics(asked: Asked) -> Result<Response, Failure> {
    let edge = asked.client.edge.clone();
    let read = blocking(&edge, move || {
        let edge = &asked.client.edge;
        let read = traffic::of_endpoints(edge, &asked.session)?;
        let milliseconds = edge.started.elapsed().as_secs_f64() * 1000.0;
        let statistics: Vec<Value> = read
            .iter()
            .map(|(endpoint, counters)| query::statistics(*endpoint, counters))
            .collect();
        let revision = edge.changes.revision(&asked.session);
        Ok::<_, Failure>(
            json!({ "Revision": revision, "Milliseconds": milliseconds, "Statistics": statistics }),
        )
    });
    Ok(answer::document(StatusCode::OK, &read.await??))
}
