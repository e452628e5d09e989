//! One call about compute systems, and what comes back.

use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Stdio, Terms};
use hostcompute_schema::Warning;
use serde_json::Value;

/// A verb, what it is about, and a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub verb: Verb,
    /// The id of the system; empty for calls about all of them or the service.
    pub system: String,
    /// The process, for calls about one.
    pub pid: Option<u32>,
    /// Options, settings or query; empty counts as absent.
    pub document: String,
    /// What is said beside the document of a new system.
    pub terms: Terms,
}

impl Call {
    /// A call about a system.
    pub fn of(verb: Verb, system: &str, document: &str) -> Self {
        Self {
            verb,
            system: system.into(),
            pid: None,
            document: document.into(),
            terms: Terms::default(),
        }
    }

    /// The same, with what is said beside the document.
    #[must_use]
    pub fn on(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// The same, about one of its processes.
    #[must_use]
    pub fn process(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }
}

/// What comes back; `S` is one end of a pipe.
#[derive(Debug)]
pub struct Answer<S> {
    pub body: Body<S>,
    /// What of the document was left out.
    pub warnings: Vec<Warning>,
}

impl<S> From<Body<S>> for Answer<S> {
    fn from(body: Body<S>) -> Self {
        Self { body, warnings: Vec::new() }
    }
}

/// What was asked for.
#[derive(Debug)]
pub enum Body<S> {
    Nothing,
    Document(Value),
    /// HCS_PROCESS_INFORMATION. The streams are the caller's, who is the only one to have them.
    Process(ProcessInformation<S>),
}

/// A process and the other ends of its streams.
#[derive(Debug)]
pub struct ProcessInformation<S> {
    pub pid: u32,
    pub stdio: Stdio<S>,
}
