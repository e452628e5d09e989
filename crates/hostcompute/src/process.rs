//! Processes inside compute systems.

use std::fs::File;
use std::time::Duration;

use hostcompute_schema::hcs::{
    self, CloseHandle, ConsoleSize, ModifyOperation, ProcessModifyRequest, ProcessStatus, Signal,
    SignalProcessOptions, StdHandle,
};
use hostcompute_schema::{ComputeOperation, Document, Failure, HResult, Warning};

use crate::Host;
use crate::transport::{ComputeAnswer, ComputeCall, Streams};

/// A handle of a process in a compute system. Dropping it changes nothing for the process.
///
/// What was asked for of its streams is in [`Self::stdin`], [`Self::stdout`] and [`Self::stderr`]; take them out to use them. Output is
/// not lost: a process whose output nobody reads waits.
///
/// ```no_run
/// use std::io::{Read, Write};
///
/// use hostcompute::schema::hcs::ProcessParameters;
/// use hostcompute::{Host, Options, System};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::auto(Options::from_env())?;
/// let system = System::open(&host, "example")?;
/// let mut process = system.run(&ProcessParameters {
///     command_args: Some(vec!["cat".into()]),
///     create_std_in_pipe: Some(true),
///     create_std_out_pipe: Some(true),
///     ..ProcessParameters::default()
/// })?;
/// let (mut input, mut output) = (process.stdin.take().expect("asked for"), process.stdout.take());
/// input.write_all(b"hello")?;
/// drop(input); // whose end is the end of what cat reads
/// let mut echoed = String::new();
/// output.as_mut().expect("asked for").read_to_string(&mut echoed)?;
/// assert_eq!(process.wait(None)?.exit_code, Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Process {
    host: Host,
    system: String,
    pid: u32,
    /// Writes what the process reads.
    pub stdin: Option<File>,
    /// Reads what the process writes; of a process with a console also what it complains of.
    pub stdout: Option<File>,
    /// Reads what the process complains of.
    pub stderr: Option<File>,
}

impl Process {
    /// The process that an answer tells of.
    pub(crate) fn new(
        host: &Host,
        system: &str,
        answer: ComputeAnswer,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let status: ProcessStatus = hcs::parse_answer(&answer.body)?;
        let Some(pid) = status.process_id else {
            let why = "the service does not tell the number of the process";
            return Err(Failure::new(HResult::E_UNEXPECTED, why));
        };
        Ok((Self::with(host, system, pid, answer.streams), answer.warnings))
    }

    pub(crate) fn open(host: &Host, system: &str, pid: u32) -> Result<Self, Failure> {
        let call = ComputeCall::on(ComputeOperation::OpenProcess, system, "").process(pid);
        host.compute(&call)?;
        Ok(Self::with(host, system, pid, Streams::default()))
    }

    fn with(host: &Host, system: &str, pid: u32, streams: Streams) -> Self {
        Self {
            host: host.clone(),
            system: system.to_owned(),
            pid,
            stdin: streams.input.map(File::from),
            stdout: streams.output.map(File::from),
            stderr: streams.error.map(File::from),
        }
    }

    /// Its number, as the processes of its system see it.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// The id of its system.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// Its streams once more: output from now on, input shared with whoever has it.
    ///
    /// # Errors
    /// HCS_E_PROCESS_ALREADY_STOPPED.
    pub fn streams(&self) -> Result<Streams, Failure> {
        self.call(ComputeOperation::GetProcessInfo, "").map(|answer| answer.streams)
    }

    /// How it is now.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    pub fn status(&self) -> Result<ProcessStatus, Failure> {
        hcs::parse_answer(&self.call(ComputeOperation::GetProcessProperties, "")?.body)
    }

    /// Waits until it has ended; how it ended.
    ///
    /// # Errors
    /// WAIT_TIMEOUT when it has not ended in time.
    pub fn wait(&self, patience: Option<Duration>) -> Result<ProcessStatus, Failure> {
        let operation = ComputeOperation::WaitForProcessExit;
        let call = ComputeCall::on(operation, &self.system, "").process(self.pid);
        hcs::parse_answer(&crate::system::wait(&self.host, call, patience)?.body)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// HCS_E_PROCESS_ALREADY_STOPPED.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let options =
            SignalProcessOptions { signal: Some(signal), ..SignalProcessOptions::default() };
        let document = options.to_value().to_string();
        self.call(ComputeOperation::SignalProcess, &document).map(drop)
    }

    /// Kills it.
    ///
    /// # Errors
    /// HCS_E_PROCESS_ALREADY_STOPPED.
    pub fn terminate(&self) -> Result<(), Failure> {
        self.call(ComputeOperation::TerminateProcess, "").map(drop)
    }

    /// Sets the size of its console.
    ///
    /// # Errors
    /// ERROR_NOT_SUPPORTED for a process without a console.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), Failure> {
        let size =
            ConsoleSize { height: Some(rows), width: Some(columns), ..ConsoleSize::default() };
        self.modify(&ProcessModifyRequest {
            operation: Some(ModifyOperation::ConsoleSize),
            console_size: Some(size),
            ..ProcessModifyRequest::default()
        })
    }

    /// Closes one of its streams: of input, what was written is read, and then the end is seen.
    ///
    /// # Errors
    /// HCS_E_PROCESS_ALREADY_STOPPED.
    pub fn close(&self, stream: StdHandle) -> Result<(), Failure> {
        let handle = CloseHandle { handle: Some(stream), ..CloseHandle::default() };
        self.modify(&ProcessModifyRequest {
            operation: Some(ModifyOperation::CloseHandle),
            close_handle: Some(handle),
            ..ProcessModifyRequest::default()
        })
    }

    /// Changes it.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn modify(&self, request: &ProcessModifyRequest) -> Result<(), Failure> {
        let document = request.to_value().to_string();
        self.call(ComputeOperation::ModifyProcess, &document).map(drop)
    }

    /// Carries out any operation on this process with a JSON document: what the types do not say.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    pub fn call(
        &self,
        operation: ComputeOperation,
        document: &str,
    ) -> Result<ComputeAnswer, Failure> {
        let call = ComputeCall::on(operation, &self.system, document).process(self.pid);
        self.host.compute(&call)
    }
}

impl Drop for Process {
    /// Gives the handle back. A system that is gone has none.
    fn drop(&mut self) {
        let _ = self.call(ComputeOperation::CloseProcess, "");
    }
}
