//! What a running service shows of itself: who is connected, what waits, which connections the host tracks, where packets go.

use axum::http::StatusCode;
use axum::response::Response;
use hostcompute::local;
use hostcompute_schema::service::{Obstacle, SessionInfo};
use hostcompute_schema::{Document, Failure};
use serde_json::Value;

use super::answer;
use super::service::{Asked, blocking};

/// Flows that are told when nobody says how many.
const FLOWS: usize = 10_000;

/// The live tree: the service's own, and who is connected to it.
pub async fn answer(asked: Asked) -> Result<Response, Obstacle> {
    let mut tree = asked.local().await?;
    let edge = &asked.client.edge;
    let sessions: Vec<Value> = edge
        .sessions
        .all()
        .into_iter()
        .map(|session| {
            let caller = session.caller();
            let info = SessionInfo {
                id: Some(session.id()),
                uid: Some(caller.uid),
                pid: caller.pid,
                right: Some(format!("{:?}", session.right())),
                handles: u64::try_from(session.handles().len()).ok(),
                ..SessionInfo::default()
            };
            info.to_value()
        })
        .collect();
    if let Value::Object(members) = &mut tree {
        members.insert("Queue".into(), edge.server.metrics().queue.into());
        members.insert("Sessions".into(), sessions.into());
    }
    Ok(answer::document(StatusCode::OK, &tree))
}

/// The connections that the host tracks.
pub async fn flows(asked: Asked) -> Result<Response, Failure> {
    let limit = asked.parameters.number("limit")?.map_or(FLOWS, |limit| limit as usize);
    let edge = &asked.client.edge;
    let server = edge.server.clone();
    let flows = blocking(edge, move || server.observe(|observer| observer.flows(limit))).await?;
    let flows = local::flows(&flows.map_err(|fault| fault.failure)?);
    Ok(answer::document(StatusCode::OK, &flows.to_value()))
}

/// What becomes of a packet. The service is held up for a look at the host only.
pub async fn trace(asked: Asked) -> Result<Response, Failure> {
    let around = asked.with_service(|service| local::tracing::surroundings(service.host()));
    let around = around.await??;
    let edge = asked.client.edge.clone();
    let trace = blocking(&edge, move || {
        local::tracing::trace(&asked.session.snapshot(), &around, &asked.document)
    });
    Ok(answer::document(StatusCode::OK, &trace.await??.to_value()))
}

/// The same, and what the kernel does with such a packet. The service is not held up by waiting for an answer.
pub async fn probe(asked: Asked) -> Result<Response, Failure> {
    let document = asked.document.clone();
    let ready = asked.with_service(move |service| local::tracing::prepare(service, &document));
    let ready = ready.await??;
    let trace = blocking(&asked.client.edge, move || local::tracing::send(ready));
    Ok(answer::document(StatusCode::OK, &trace.await??.to_value()))
}
