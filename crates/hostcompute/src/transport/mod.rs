//! The narrow waist: everything a client can ask is one call, and nothing else crosses.

mod compute;
#[cfg(socket)]
#[doc(hidden)]
pub mod eager;
#[cfg(embedded)]
pub(crate) mod embedded;
#[cfg(socket)]
pub(crate) mod socket;
#[cfg(windows)]
pub(crate) mod windows;

use std::fmt::Debug;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::service::{HostFile, Obstacle, Progress, Step};
use hostcompute_schema::{Failure, Guid, ServiceOperation, Warning};
use serde_json::Value;

pub use crate::events::{Event, Events, Notice, Source, Stopper, Subscription, Topic};
pub use compute::{
    ComputeAnswer, ComputeCall, ComputeEvents, ComputeNotice, ComputeSource, Log, StreamEnd,
    Streams,
};

/// One call of the API.
///
/// ```no_run
/// use hostcompute::schema::Operation;
/// use hostcompute::transport::Call;
/// use hostcompute::{Host, Network, Options};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// let id = Network::find(&host, "web")?.id();
/// let query = r#"{"Flags": 1}"#; // with what the service tells beyond the document
/// let answer = host.call(&Call::on(Operation::QueryNetworkProperties, id, query))?;
/// println!("{}", answer.body);
/// # Ok(())
/// # }
/// ```
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

/// One of the service's own operations.
///
/// ```no_run
/// use hostcompute::schema::ServiceOperation;
/// use hostcompute::transport::Ask;
/// use hostcompute::{Host, Options};
///
/// # fn main() -> Result<(), hostcompute::error::Obstacle> {
/// let host = Host::auto(Options::from_env())?;
/// let parameters = [("limit", "100")];
/// let flows = host.serve(&Ask { parameters: &parameters, ..Ask::plain(ServiceOperation::Flows) })?;
/// println!("{flows}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub operation: ServiceOperation,
    /// The object that it is about, where it is about one.
    pub id: Option<Guid>,
    /// By the names of the operation's table.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Empty for none.
    pub document: &'a str,
}

impl<'a> Ask<'a> {
    /// An operation that needs nothing more.
    pub fn plain(operation: ServiceOperation) -> Self {
        Self { operation, id: None, parameters: &[], document: "" }
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// A way to reach a service. A program may have its own, to look at what is asked, for instance, or to answer in tests:
///
/// ```
/// use std::sync::Arc;
///
/// use hostcompute::error::Obstacle;
/// use hostcompute::schema::service::{HostFile, Progress, Step};
/// use hostcompute::schema::{HResult, Operation, ServiceOperation};
/// use hostcompute::transport::{Answer, Ask, Call, ComputeAnswer, ComputeCall, Events};
/// use hostcompute::{
///     ComputeEvents, Failure, Guid, Host, Log, Network, Subscription, Topic, Transport,
/// };
///
/// /// Has one network, whatever it is asked.
/// #[derive(Debug)]
/// struct Canned;
///
/// fn no<T>() -> Result<T, Failure> {
///     Err(Failure::new(HResult::E_NOTIMPL, "canned"))
/// }
///
/// impl Transport for Canned {
///     fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
///         match call.operation {
///             Operation::EnumerateNetworks => {
///                 let body = r#"["0f8fad5b-d9cb-469f-a165-70867728950e"]"#.to_owned();
///                 Ok(Answer { body, ..Answer::default() })
///             }
///             _ => no(),
///         }
///     }
///     // ... and the same for all else.
/// #   fn serve(&self, _: &Ask<'_>) -> Result<serde_json::Value, Obstacle> { Ok(no()?) }
/// #   fn carry_out(
/// #       &self, _: ServiceOperation, _: &[HostFile], _: &mut dyn FnMut(Progress),
/// #   ) -> Result<Vec<Step>, Obstacle> { Ok(no()?) }
/// #   fn events(&self, _: u64) -> Result<Events, Failure> { no() }
/// #   fn subscribe(&self, _: Topic, _: Option<u64>) -> Result<Subscription, Failure> { no() }
/// #   fn compute(&self, _: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> { no() }
/// #   fn compute_events(&self, _: &str) -> Result<ComputeEvents, Failure> { no() }
/// #   fn compute_log(&self, _: &ComputeCall<'_>) -> Result<Log, Failure> { no() }
/// }
///
/// let host = Host::through(Arc::new(Canned));
/// assert_eq!(Network::list(&host)?.len(), 1);
/// assert_eq!(host.check().unwrap_err().hresult, HResult::E_NOTIMPL);
/// # Ok::<(), Failure>(())
/// ```
pub trait Transport: Debug + Send + Sync {
    /// Carries out one operation of the API.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn call(&self, call: &Call<'_>) -> Result<Answer, Failure>;

    /// Carries out one of the service's own operations that is answered by one document, or by nothing (null).
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn serve(&self, ask: &Ask<'_>) -> Result<Value, Obstacle>;

    /// Carries out files: `Up`, `Down` or `Diff`; tells of each step as it is done.
    ///
    /// # Errors
    /// What is wrong with a file, what the service refuses, or why it cannot be reached.
    fn carry_out(
        &self,
        work: ServiceOperation,
        files: &[HostFile],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle>;

    /// What happened from notification number `from` on, until now; `u64::MAX` asks only for the number of the next one.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    fn events(&self, from: u64) -> Result<Events, Failure>;

    /// Listens to what happens: from now on, or from the notification after number `after` on.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn subscribe(&self, to: Topic, after: Option<u64>) -> Result<Subscription, Failure>;

    /// Carries out one operation of the compute service that is answered by a document, by streams or by nothing. What waits for
    /// something waits in here.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure>;

    /// Listens to what happens to a compute system from now on.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    fn compute_events(&self, system: &str) -> Result<ComputeEvents, Failure>;

    /// Reads what processes of a compute system wrote.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    fn compute_log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure>;

    /// Carries out a call of the older interface, where the service has one of its own; the text of its answer. `None` where such calls
    /// are made of those of the newer one.
    fn older(
        &self,
        _method: &str,
        _path: &str,
        _document: &str,
    ) -> Option<Result<String, Failure>> {
        None
    }

    /// Carries out a call about images or layers; null where there is nothing to say.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached; E_ABORT when the watcher does not want to go on; E_NOTIMPL for a
    /// transport that leads to no store.
    #[cfg(images)]
    fn store(
        &self,
        call: crate::store::StoreCall<'_>,
        _watch: hostcompute_storage::Watch<'_>,
    ) -> Result<Value, Failure> {
        let why = format!("{} is not asked this way", call.operation);
        Err(Failure::new(hostcompute_schema::HResult::E_NOTIMPL, why))
    }
}
