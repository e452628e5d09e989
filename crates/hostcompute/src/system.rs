//! Compute systems: containers and virtual machines.

use std::time::Duration;

use hostcompute_schema::hcs::{
    self, ComputeSystem, CrashOptions, ModificationRequest, ModifySettingRequest, PauseOptions,
    ProcessParameters, Properties, SaveOptions, ServiceProperties, ServicePropertyQuery,
    ShutdownOptions, StartOptions, SystemExitStatus, SystemPropertyQuery, SystemQuery,
};
use hostcompute_schema::{ComputeOperation, Document, Failure, HResult, Warning};

use crate::transport::{ComputeAnswer, ComputeCall, ComputeEvents, Log};
use crate::{Host, Process};

/// A handle of a compute system: a container or a virtual machine.
///
/// Systems live until they end, are shut down or are terminated; dropping the handle changes nothing, unless the document says
/// `ShouldTerminateOnLastHandleClosed` and it is the last one. Nothing of a system survives a reboot. Calls return when what they ask for
/// is done; `operation::Operation` does not wait for them.
///
/// ```no_run
/// use hostcompute::schema::hcs::{ComputeSystem, ProcessParameters};
/// use hostcompute::{Host, Options, System};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// let text = r#"{"SchemaVersion": {"Major": 2, "Minor": 1}, "ShouldTerminateOnLastHandleClosed": true,
///     "Container": {"Storage": {"Path": "/var/lib/images/base"}}}"#;
/// let (system, _) = System::create_json(&host, "example", text)?;
/// system.start()?;
/// let command = ["echo", "hello"].map(String::from).to_vec();
/// let process = system.run(&ProcessParameters {
///     command_args: Some(command),
///     ..ProcessParameters::default()
/// })?;
/// assert_eq!(process.wait(None)?.exit_code, Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct System {
    host: Host,
    id: String,
}

impl System {
    /// Makes a system under this id, which must be unique on the host whatever its case.
    ///
    /// # Errors
    /// What is wrong with the document, HCS_E_SYSTEM_ALREADY_EXISTS, what the host refuses.
    pub fn create(host: &Host, id: &str, document: &ComputeSystem) -> Result<Self, Failure> {
        Self::create_json(host, id, &document.to_value().to_string()).map(|(system, _)| system)
    }

    /// Makes a system from a JSON document; also tells what of it is without effect here.
    ///
    /// # Errors
    /// As [`Self::create`], with the place in the text.
    pub fn create_json(
        host: &Host,
        id: &str,
        document: &str,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        Self::create_on(host, id, document, &[])
    }

    /// As [`Self::create_json`], on terms that documents have no member for: parameters of the operation's table such as
    /// `("read-only", "true")`.
    ///
    /// # Errors
    /// As [`Self::create_json`]; E_ACCESSDENIED for terms that are root's to say.
    pub fn create_on(
        host: &Host,
        id: &str,
        document: &str,
        terms: &[(&str, &str)],
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let parameters: Vec<(&str, &str)> =
            std::iter::once(("id", id)).chain(terms.iter().copied()).collect();
        let call = ComputeCall::on(ComputeOperation::CreateComputeSystem, "", document);
        let answer = host.compute(&call.with(&parameters))?;
        Ok((Self { host: host.clone(), id: id.to_owned() }, answer.warnings))
    }

    /// Opens a system that exists.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND.
    pub fn open(host: &Host, id: &str) -> Result<Self, Failure> {
        host.compute(&ComputeCall::on(ComputeOperation::OpenComputeSystem, id, ""))?;
        Ok(Self { host: host.clone(), id: id.to_owned() })
    }

    /// The handle of a system that is being made.
    #[cfg(feature = "operations")]
    pub(crate) fn expected(host: &Host, id: &str) -> Self {
        Self { host: host.clone(), id: id.to_owned() }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The host that it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Starts it: its processes can be started then.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE, what the host refuses; the system has ended then.
    pub fn start(&self) -> Result<(), Failure> {
        self.call(ComputeOperation::StartComputeSystem, "").map(drop)
    }

    /// As [`Self::start`], in this way.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(&self, options: &StartOptions) -> Result<(), Failure> {
        self.ask(ComputeOperation::StartComputeSystem, options)
    }

    /// Asks it to end by itself. Returns when it was asked; [`Self::wait`] waits for the end.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED.
    pub fn shut_down(&self, options: &ShutdownOptions) -> Result<(), Failure> {
        self.ask(ComputeOperation::ShutDownComputeSystem, options)
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_ALREADY_STOPPED.
    pub fn terminate(&self) -> Result<(), Failure> {
        self.call(ComputeOperation::TerminateComputeSystem, "").map(drop)
    }

    /// Stops all its processes where they are.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE.
    pub fn pause(&self, options: &PauseOptions) -> Result<(), Failure> {
        self.ask(ComputeOperation::PauseComputeSystem, options)
    }

    /// Lets its processes go on.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE.
    pub fn resume(&self) -> Result<(), Failure> {
        self.call(ComputeOperation::ResumeComputeSystem, "").map(drop)
    }

    /// Saves it, paused as it is. Virtual machines only.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE, ERROR_NOT_SUPPORTED for a container.
    pub fn save(&self, options: &SaveOptions) -> Result<(), Failure> {
        self.ask(ComputeOperation::SaveComputeSystem, options)
    }

    /// Makes its guest crash. Virtual machines only.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE, ERROR_NOT_SUPPORTED for a container.
    pub fn crash(&self, options: &CrashOptions) -> Result<(), Failure> {
        self.ask(ComputeOperation::CrashComputeSystem, options)
    }

    /// What it is like now; the basic properties for an empty query.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE for what only a system that runs can tell.
    pub fn properties(&self, query: &SystemPropertyQuery) -> Result<Properties, Failure> {
        let told =
            self.call(ComputeOperation::GetComputeSystemProperties, &query.to_value().to_string())?;
        hcs::parse_answer(&told.body)
    }

    /// Changes it.
    ///
    /// # Errors
    /// What is wrong with the request, or cannot be changed.
    pub fn modify(&self, request: &ModifySettingRequest) -> Result<(), Failure> {
        self.ask(ComputeOperation::ModifyComputeSystem, request)
    }

    /// Waits until it has ended; how it ended.
    ///
    /// # Errors
    /// WAIT_TIMEOUT when it has not ended in time.
    pub fn wait(&self, patience: Option<Duration>) -> Result<SystemExitStatus, Failure> {
        let operation = ComputeOperation::WaitForComputeSystemExit;
        let call = ComputeCall::on(operation, &self.id, "");
        let told = wait(&self.host, call, patience)?;
        hcs::parse_answer(&told.body)
    }

    /// Listens to what happens to it from now on.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    pub fn events(&self) -> Result<ComputeEvents, Failure> {
        self.host.compute_events(&self.id)
    }

    /// What its processes wrote so far; with `follow` also what they write from now on, until it ends.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    pub fn log(&self, follow: bool) -> Result<Log, Failure> {
        let parameters = [("follow", if follow { "true" } else { "false" })];
        let call = ComputeCall::on(ComputeOperation::GetComputeSystemLog, &self.id, "");
        self.host.compute_log(&call.with(&parameters))
    }

    /// Starts a process in it.
    ///
    /// # Errors
    /// HCS_E_INVALID_STATE, ERROR_FILE_NOT_FOUND for a program that is not there, what the host refuses.
    pub fn run(&self, parameters: &ProcessParameters) -> Result<Process, Failure> {
        self.run_json(&parameters.to_value().to_string()).map(|(process, _)| process)
    }

    /// Starts a process from a JSON document; also tells what of it is without effect here.
    ///
    /// # Errors
    /// As [`Self::run`], with the place in the text.
    pub fn run_json(&self, parameters: &str) -> Result<(Process, Vec<Warning>), Failure> {
        let answer = self.call(ComputeOperation::CreateProcess, parameters)?;
        Process::new(&self.host, &self.id, answer)
    }

    /// Opens a process that was started before.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn process(&self, pid: u32) -> Result<Process, Failure> {
        Process::open(&self.host, &self.id, pid)
    }

    /// Carries out any operation on this system with a JSON document: what the types do not say.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    pub fn call(
        &self,
        operation: ComputeOperation,
        document: &str,
    ) -> Result<ComputeAnswer, Failure> {
        self.host.compute(&ComputeCall::on(operation, &self.id, document))
    }

    fn ask<T: Document>(&self, operation: ComputeOperation, document: &T) -> Result<(), Failure> {
        // Options that say nothing are none: verbs that take none refuse some.
        let text = match document.is_blank() {
            true => String::new(),
            false => document.to_value().to_string(),
        };
        self.call(operation, &text).map(drop)
    }
}

impl Drop for System {
    /// Gives the handle back. A system that is gone has none.
    fn drop(&mut self) {
        let close = ComputeCall::on(ComputeOperation::CloseComputeSystem, &self.id, "");
        let _ = self.host.compute(&close);
    }
}

/// Waits in pieces, so that a service that is started anew does not end the wait.
pub(crate) fn wait(
    host: &Host,
    call: ComputeCall<'_>,
    patience: Option<Duration>,
) -> Result<ComputeAnswer, Failure> {
    let Some(patience) = patience else { return host.compute(&call) };
    let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX - 1).to_string();
    host.compute(&call.with(&[("timeout", &milliseconds)]))
}

impl Host {
    /// Carries out one operation of the compute service.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    pub fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        self.transport().compute(call)
    }

    /// Listens to what happens to a compute system from now on, without a handle of it.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    pub fn compute_events(&self, system: &str) -> Result<ComputeEvents, Failure> {
        self.transport().compute_events(system)
    }

    /// Reads what processes of a compute system wrote, also of one that has ended, without a handle of it.
    ///
    /// # Errors
    /// HCS_E_SYSTEM_NOT_FOUND, or why the service cannot be reached.
    pub fn compute_log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure> {
        self.transport().compute_log(call)
    }

    /// The compute systems that match, or all of them: their basic properties.
    ///
    /// # Errors
    /// What is wrong with the query, or why the service cannot be reached.
    pub fn systems(&self, query: &SystemQuery) -> Result<Vec<Properties>, Failure> {
        self.list_systems(query, &[])
    }

    /// The compute systems that have ended, as far as they are remembered, the newest first.
    ///
    /// # Errors
    /// As [`Self::systems`].
    pub fn ended_systems(&self, query: &SystemQuery) -> Result<Vec<Properties>, Failure> {
        self.list_systems(query, &[("ended", "true")])
    }

    fn list_systems(
        &self,
        query: &SystemQuery,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<Properties>, Failure> {
        let text = query.to_value().to_string();
        let call = ComputeCall::on(ComputeOperation::EnumerateComputeSystems, "", &text);
        let told = self.compute(&call.with(parameters))?;
        serde_json::from_str(&told.body).map_err(|error| {
            let why = "the service's answer cannot be read";
            Failure::new(HResult::E_UNEXPECTED, why).because(&error)
        })
    }

    /// What the compute service and the host are like.
    ///
    /// # Errors
    /// What is wrong with the query, or why the service cannot be reached.
    pub fn service_properties(
        &self,
        query: &ServicePropertyQuery,
    ) -> Result<ServiceProperties, Failure> {
        let text = query.to_value().to_string();
        let call = ComputeCall::on(ComputeOperation::GetServiceProperties, "", &text);
        hcs::parse_answer(&self.compute(&call)?.body)
    }

    /// Changes settings of the compute service.
    ///
    /// # Errors
    /// What is wrong with the request, or why the service cannot be reached.
    pub fn modify_service(&self, request: &ModificationRequest) -> Result<(), Failure> {
        let text = request.to_value().to_string();
        let call = ComputeCall::on(ComputeOperation::ModifyServiceSettings, "", &text);
        self.compute(&call).map(drop)
    }
}
