//! One request and its answer, as they come from clients.

use hostcompute_engine::host::{Counters, Fault};
use hostcompute_engine::plan::Meter;
use hostcompute_engine::request::id_list;
use hostcompute_engine::{Reply, Request, query};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid, HResult, Warning};
use serde_json::Value;

/// One request of a client.
#[derive(Debug, Clone)]
pub struct Call {
    pub operation: Operation,
    /// The object meant, or the id wished for a new one.
    pub id: Option<Guid>,
    /// The network of a new endpoint.
    pub network: Option<Guid>,
    /// Settings or query; empty for none.
    pub document: String,
    pub reading: Reading,
    /// Makes repeating a change safe: the same key and request bring the same answer, and the change is made once.
    pub key: Option<IdempotencyKey>,
}

impl Call {
    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            operation: self.operation,
            id: self.id,
            network: self.network,
            document: &self.document,
        }
    }
}

/// How strictly documents are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Unknown members are kept and reported as warnings.
    Lenient,
    /// Unknown members are refused.
    Strict,
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub body: Body,
    /// What was tolerated in the document.
    pub warnings: Vec<Warning>,
}

/// The reply to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    None,
    /// The object created or opened.
    Id(Guid),
    Document(Value),
    /// A document as it travels.
    Text(String),
}

impl Body {
    /// The text that a caller in this process gets: a document, an id as a JSON text, or nothing.
    pub fn into_text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Id(id) => format!("\"{id}\""),
            Self::Document(document) => document.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl Answer {
    /// What the client gets for a reply of the engine.
    pub(crate) fn of(
        reply: Reply,
        warnings: Vec<Warning>,
        counters: impl FnOnce(&Meter) -> Result<Counters, Fault>,
    ) -> Result<Self, Failure> {
        let body = match reply {
            Reply::None => Body::None,
            Reply::Id(id) => Body::Id(id),
            Reply::Ids(ids) => Body::Document(id_list(&ids)),
            Reply::Document(document) => Body::Document(document),
            Reply::Text(text) => Body::Text(text),
            Reply::Statistics { endpoint, meter } => {
                let counters = match meter {
                    Some(meter) => counters(&meter).map_err(|fault| fault.failure)?,
                    None => Counters::default(),
                };
                Body::Document(query::statistics(endpoint, &counters))
            }
        };
        Ok(Self { body, warnings })
    }
}

/// A client's name for one change, so that it can ask again when the answer was lost. Names of different users do not meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 255;

    /// A name: 1 to 255 printable ASCII characters.
    ///
    /// # Errors
    /// E_INVALIDARG for anything else.
    pub fn new(text: &str) -> Result<Self, Failure> {
        let fine = (1..=Self::LONGEST).contains(&text.len())
            && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if fine {
            return Ok(Self(text.to_owned()));
        }
        let why =
            format!("an idempotency key has 1 to {} printable ASCII characters", Self::LONGEST);
        Err(Failure::new(HResult::E_INVALIDARG, why).hint("a random UUID makes a good one"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
