//! The narrow waist: everything a client can ask is one call, and nothing else crosses.

#[cfg(feature = "embedded")]
pub(crate) mod embedded;
#[cfg(feature = "embedded")]
mod whereabouts;

use std::fmt::Debug;

use hostcompute_schema::operation::{Kind, Operation};
use hostcompute_schema::{Failure, Guid, Warning};
use serde_json::Value;

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub operation: Operation,
    /// The object meant, or the id wished for a new one.
    pub id: Option<Guid>,
    /// The network of a new endpoint.
    pub network: Option<Guid>,
    /// Settings or query; empty for none.
    pub document: &'a str,
}

impl<'a> Call<'a> {
    /// A call about an object.
    pub fn on(operation: Operation, id: Guid, document: &'a str) -> Self {
        Self { operation, id: Some(id), network: None, document }
    }
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The document; of a creation the new id as a JSON text; empty where there is nothing to say.
    pub body: String,
    /// What was tolerated in the document.
    pub warnings: Vec<Warning>,
}

/// A notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The value in HCN_NOTIFICATIONS.
    pub code: u32,
    /// Its name, without prefix.
    pub name: &'static str,
    /// NotificationBase.
    pub data: Value,
}

/// The events since a call before, and where to go on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Events {
    pub events: Vec<Event>,
    pub next: u64,
    /// Events that were gone before they were asked for.
    pub missed: u64,
}

/// A way to reach a service.
pub trait Transport: Debug + Send + Sync {
    /// Carries out one operation.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn call(&self, call: &Call<'_>) -> Result<Answer, Failure>;

    /// The object that a person means: by GUID, by unique beginning of its GUID, or by Name.
    ///
    /// # Errors
    /// The kind's not-found code, or E_INVALIDARG when several objects answer.
    fn resolve(&self, kind: Kind, text: &str) -> Result<Guid, Failure>;

    /// What happened from event number `from` on.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    fn events(&self, from: u64) -> Result<Events, Failure>;
}
