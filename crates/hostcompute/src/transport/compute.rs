//! Calls about compute systems: what crosses to the compute service, and what comes back.

use std::fmt::{self, Debug};
use std::io::Read;

use hostcompute_schema::hcs::ComputeEvent;
use hostcompute_schema::{ComputeOperation, Failure, Warning};

use crate::events::Stopper;
pub use crate::platform::StreamEnd;

/// One call about compute systems.
///
/// ```no_run
/// use hostcompute::schema::ComputeOperation;
/// use hostcompute::transport::ComputeCall;
/// use hostcompute::{Host, Options};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// let query = r#"{"PropertyTypes": ["Statistics"]}"#;
/// let call = ComputeCall::on(ComputeOperation::GetComputeSystemProperties, "example", query);
/// println!("{}", host.compute(&call)?.body);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ComputeCall<'a> {
    pub operation: ComputeOperation,
    /// The id of the system, or the path of the layer; empty for calls about all of them or about the service.
    pub system: &'a str,
    /// The process, for calls about one.
    pub pid: Option<u32>,
    /// By the names of the operation's table.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Settings, options or query; empty for none.
    pub document: &'a str,
}

impl<'a> ComputeCall<'a> {
    /// A call about a system.
    pub fn on(operation: ComputeOperation, system: &'a str, document: &'a str) -> Self {
        Self { operation, system, pid: None, parameters: &[], document }
    }

    /// The same, about one of its processes.
    #[must_use]
    pub fn process(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }

    /// The same, with parameters.
    #[must_use]
    pub fn with(mut self, parameters: &'a [(&'a str, &'a str)]) -> Self {
        self.parameters = parameters;
        self
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// What a call about compute systems brought.
#[derive(Debug, Default)]
pub struct ComputeAnswer {
    /// The document; empty where there is nothing to say.
    pub body: String,
    /// What was tolerated in the document.
    pub warnings: Vec<Warning>,
    /// The process's streams, where it was asked for.
    pub streams: Streams,
}

/// The other ends of a process's streams, as far as it has them.
#[derive(Debug, Default)]
pub struct Streams {
    /// Writes what the process reads.
    pub input: Option<StreamEnd>,
    /// Reads what the process writes; of a process with a console also what it complains of.
    pub output: Option<StreamEnd>,
    /// Reads what the process complains of.
    pub error: Option<StreamEnd>,
}

/// Something that happened to a system. See [`ComputeEvents`].
#[derive(Debug, Clone, PartialEq)]
pub enum ComputeNotice {
    Event(ComputeEvent),
    /// Nothing more is told, and the system may go on: the service stops, or this reader was too slow.
    Disconnected,
}

/// What happens to one system from now on. Dropping it unsubscribes.
///
/// As an iterator it blocks until something happens; it ends after the end of the system, after [`ComputeNotice::Disconnected`],
/// after an error, and when it is stopped ([`ComputeEvents::stopper`]).
///
/// ```no_run
/// use hostcompute::{ComputeNotice, Host, Options};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// for notice in host.compute_events("example")? {
///     if let ComputeNotice::Event(event) = notice? {
///         println!("{:?} {:?}", event.kind, event.data);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct ComputeEvents {
    source: Box<dyn ComputeSource>,
    stopper: Stopper,
    over: bool,
}

/// Where events of a system come from.
pub trait ComputeSource: Send {
    /// The next one, waiting for it; `None` at the end.
    ///
    /// # Errors
    /// Why there will be no more.
    fn wait(&mut self) -> Result<Option<ComputeNotice>, Failure>;

    /// What makes [`Self::wait`] return with an error or with nothing, now and from now on, called by another thread.
    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync>;
}

impl ComputeEvents {
    /// The events that a transport hears.
    pub fn new(source: Box<dyn ComputeSource>) -> Self {
        let stopper = Stopper::new(source.interrupter());
        Self { source, stopper, over: false }
    }

    /// What ends them from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

impl Debug for ComputeEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComputeEvents").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Iterator for ComputeEvents {
    type Item = Result<ComputeNotice, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.source.wait().transpose();
        let stopped = self.stopper.has_stopped();
        self.over = stopped || !matches!(next, Some(Ok(ComputeNotice::Event(_))));
        next.filter(|_| !stopped)
    }
}

/// What processes wrote. Reading waits for more where that was asked for; its end is the end of the system, or of whoever tells of it, or
/// that it was stopped ([`Log::stopper`]).
///
/// ```no_run
/// use hostcompute::{Host, Options, System};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::auto(Options::from_env())?;
/// let mut log = System::open(&host, "example")?.log(true)?; // follows until the system ends
/// std::io::copy(&mut log, &mut std::io::stdout())?;
/// # Ok(())
/// # }
/// ```
pub struct Log {
    source: Box<dyn Read + Send>,
    stopper: Stopper,
}

impl Log {
    /// A log that a transport reads, and whose reading ends by itself.
    pub fn new(source: Box<dyn Read + Send>) -> Self {
        Self::stoppable(source, Box::new(|| ()))
    }

    /// A log whose reading may wait: `interrupt`, called by another thread, makes it return, now and from now on.
    pub fn stoppable(source: Box<dyn Read + Send>, interrupt: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { source, stopper: Stopper::new(interrupt) }
    }

    /// What ends it from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

impl Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("stopper", &self.stopper).finish_non_exhaustive()
    }
}

impl Read for Log {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.stopper.has_stopped() {
            return Ok(0);
        }
        let read = self.source.read(buffer);
        // What comes after it was stopped, that it was interrupted included, is for nobody.
        if self.stopper.has_stopped() { Ok(0) } else { read }
    }
}
