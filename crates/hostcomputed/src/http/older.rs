//! The older interface (HNSCall), for who has no library for it: each call that it is made of is made by the caller's own session, with the
//! caller's rights, and is in the audit like any other.

use axum::http::StatusCode;
use axum::response::Response;
use hostcompute::{local, transport};
use hostcompute_schema::Failure;
use hostcompute_service::{Call, Reading};

use super::answer;
use super::call::Changing;
use super::client::Session;
use super::service::{Asked, blocking};

/// Carries out one call; what it refuses is part of the answer.
pub async fn answer(asked: Asked) -> Result<Response, Failure> {
    let edge = asked.client.edge.clone();
    let told = blocking(&edge, move || {
        let _changing = Changing::begin(&asked.client.edge.changing);
        let options = asked.client.edge.settings.options.clone();
        let own = |ask: &transport::Ask<'_>| {
            let (operation, document) = (ask.operation, ask.document.to_owned());
            let options = options.clone();
            asked.session.with_service(operation.right(), operation.name(), move |service| {
                let plain = transport::Ask::plain(operation);
                let ask = transport::Ask { document: &document, ..plain };
                local::serve(service, &options, &ask).map_err(Failure::from)
            })?
        };
        local::older_by(&|call| carry_out(&asked.session, call), &own, &asked.document)
    });
    Ok(answer::document(StatusCode::OK, &told.await??))
}

fn carry_out(session: &Session, call: &transport::Call<'_>) -> Result<transport::Answer, Failure> {
    let answer = session.call(Call {
        operation: call.operation,
        id: call.id,
        network: call.network,
        document: call.document.to_owned(),
        reading: Reading::Lenient,
        key: None,
    })?;
    Ok(transport::Answer { body: answer.body.into_text(), warnings: answer.warnings })
}
