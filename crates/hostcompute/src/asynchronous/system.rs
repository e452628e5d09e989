//! Compute systems and their processes.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use hostcompute_schema::hcs::{
    ComputeSystem, CrashOptions, ModifySettingRequest, PauseOptions, ProcessModifyRequest,
    ProcessParameters, ProcessStatus, Properties, SaveOptions, ShutdownOptions, Signal,
    StartOptions, StdHandle, SystemExitStatus, SystemPropertyQuery,
};
use hostcompute_schema::{ComputeOperation, Document, Failure, Warning};

use super::pool::{Aside, make, on_the_pool, run, wait};
use super::waist::{kept, lent};
use super::{ComputeEvents, Host, Log};
use crate::transport::{ComputeAnswer, Streams};

/// A handle of a compute system: [`crate::System`] for programs on tokio.
///
/// ```no_run
/// use hostcompute::asynchronous::{Host, System};
/// use hostcompute::schema::hcs::ProcessParameters;
///
/// # async fn example(host: Host, document: &str) -> Result<(), hostcompute::Error> {
/// let (system, _) = System::create_json(&host, "example", document).await?;
/// system.start().await?;
/// let command = ["echo", "hello"].map(String::from).to_vec();
/// let parameters = ProcessParameters { command_args: Some(command), ..Default::default() };
/// let process = system.run(&parameters).await?;
/// assert_eq!(process.wait(None).await?.exit_code, Some(0));
/// system.terminate().await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct System {
    inner: Arc<Aside<crate::System>>,
    host: Host,
}

impl System {
    /// [`crate::System::create`], awaited. A system that was made for nobody is terminated.
    ///
    /// # Errors
    /// As that.
    pub async fn create(host: &Host, id: &str, document: &ComputeSystem) -> Result<Self, Failure> {
        let text = document.to_value().to_string();
        Self::create_json(host, id, &text).await.map(|(system, _)| system)
    }

    /// [`crate::System::create_json`], awaited. A system that was made for nobody is terminated.
    ///
    /// # Errors
    /// As that.
    pub async fn create_json(
        host: &Host,
        id: &str,
        document: &str,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        Self::create_on(host, id, document, &[]).await
    }

    /// [`crate::System::create_on`], awaited. A system that was made for nobody is terminated.
    ///
    /// # Errors
    /// As that.
    pub async fn create_on(
        host: &Host,
        id: &str,
        document: &str,
        terms: &[(&str, &str)],
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let (on, id, document, terms) =
            (host.clone(), id.to_owned(), document.to_owned(), kept(terms));
        let call = move || crate::System::create_on(on.blocking(), &id, &document, &lent(&terms));
        let terminate = |made: Result<(crate::System, Vec<Warning>), Failure>| {
            if let Ok((made, _)) = made {
                // Whoever would be told why it stays is gone.
                let _ = made.terminate();
            }
        };
        let (system, warnings) = make(call, terminate).await??;
        Ok((Self::new(system, host), warnings))
    }

    /// [`crate::System::open`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn open(host: &Host, id: &str) -> Result<Self, Failure> {
        let id = id.to_owned();
        Ok(Self::new(host.run(move |host| crate::System::open(host, &id)).await?, host))
    }

    fn new(system: crate::System, host: &Host) -> Self {
        Self { inner: Arc::new(Aside::new(system)), host: host.clone() }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.inner.id()
    }

    /// The host that it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The blocking handle, for whom it does not block.
    pub fn blocking(&self) -> &crate::System {
        &self.inner
    }

    on_the_pool! {
        crate::System:
        fn start() -> ();
        fn start_with(options: &StartOptions) -> ();
        fn shut_down(options: &ShutdownOptions) -> ();
        fn terminate() -> ();
        fn pause(options: &PauseOptions) -> ();
        fn resume() -> ();
        fn save(options: &SaveOptions) -> ();
        fn crash(options: &CrashOptions) -> ();
        fn properties(query: &SystemPropertyQuery) -> Properties;
        fn modify(request: &ModifySettingRequest) -> ();
        fn call(operation: = ComputeOperation, document: &str) -> ComputeAnswer;
    }

    /// Waits until it has ended; how it ended. A thread of its own waits, and ends at most a second after the future.
    ///
    /// # Errors
    /// WAIT_TIMEOUT when it has not ended in time.
    pub async fn wait(&self, patience: Option<Duration>) -> Result<SystemExitStatus, Failure> {
        let inner = self.inner.clone();
        wait(patience, move |a_while| inner.wait(Some(a_while))).await
    }

    /// Listens to what happens to it from now on.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    pub async fn events(&self) -> Result<ComputeEvents, Failure> {
        self.host.compute_events(self.id()).await
    }

    /// What its processes wrote so far; with `follow` also what they write from now on, until it ends or the stream is dropped.
    ///
    /// ```no_run
    /// # async fn example(system: hostcompute::asynchronous::System) -> Result<(), hostcompute::Error> {
    /// let mut log = system.log(true).await?;
    /// while let Some(piece) = log.next().await {
    ///     print!("{}", String::from_utf8_lossy(&piece?));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`crate::System::log`].
    pub async fn log(&self, follow: bool) -> Result<Log, Failure> {
        let inner = self.inner.clone();
        Log::of_reader(run(move || inner.log(follow)).await??)
    }

    /// [`crate::System::run`], awaited. A process that was started for nobody is killed.
    ///
    /// # Errors
    /// As that.
    pub async fn run(&self, parameters: &ProcessParameters) -> Result<Process, Failure> {
        let text = parameters.to_value().to_string();
        self.run_json(&text).await.map(|(process, _)| process)
    }

    /// [`crate::System::run_json`], awaited. A process that was started for nobody is killed.
    ///
    /// # Errors
    /// As that.
    pub async fn run_json(&self, parameters: &str) -> Result<(Process, Vec<Warning>), Failure> {
        let (inner, parameters) = (self.inner.clone(), parameters.to_owned());
        let kill = |made: Result<(crate::Process, Vec<Warning>), Failure>| {
            if let Ok((made, _)) = made {
                // It may have ended by itself.
                let _ = made.terminate();
            }
        };
        let (process, warnings) = make(move || inner.run_json(&parameters), kill).await??;
        Ok((process.into(), warnings))
    }

    /// [`crate::System::process`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn process(&self, pid: u32) -> Result<Process, Failure> {
        let inner = self.inner.clone();
        run(move || inner.process(pid)).await?.map(Process::from)
    }
}

/// A handle of a process in a compute system: [`crate::Process`] for programs on tokio. Dropping it changes nothing for the process.
///
/// Its streams are pipes: `tokio::net::unix::pipe` reads and writes them without threads.
#[derive(Debug)]
pub struct Process {
    inner: Arc<Aside<crate::Process>>,
    /// Writes what the process reads.
    pub stdin: Option<File>,
    /// Reads what the process writes; of a process with a console also what it complains of.
    pub stdout: Option<File>,
    /// Reads what the process complains of.
    pub stderr: Option<File>,
}

impl From<crate::Process> for Process {
    fn from(mut process: crate::Process) -> Self {
        let [stdin, stdout, stderr] =
            [&mut process.stdin, &mut process.stdout, &mut process.stderr].map(Option::take);
        Self { inner: Arc::new(Aside::new(process)), stdin, stdout, stderr }
    }
}

impl Process {
    /// Its number, as the processes of its system see it.
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// The id of its system.
    pub fn system(&self) -> &str {
        self.inner.system()
    }

    on_the_pool! {
        crate::Process:
        fn status() -> ProcessStatus;
        fn signal(signal: = Signal) -> ();
        fn terminate() -> ();
        fn resize(rows: = u16, columns: = u16) -> ();
        fn close(stream: = StdHandle) -> ();
        fn modify(request: &ProcessModifyRequest) -> ();
        fn streams() -> Streams;
        fn call(operation: = ComputeOperation, document: &str) -> ComputeAnswer;
    }

    /// Waits until it has ended; how it ended. A thread of its own waits, and ends at most a second after the future.
    ///
    /// # Errors
    /// WAIT_TIMEOUT when it has not ended in time.
    pub async fn wait(&self, patience: Option<Duration>) -> Result<ProcessStatus, Failure> {
        let inner = self.inner.clone();
        wait(patience, move |a_while| inner.wait(Some(a_while))).await
    }
}
