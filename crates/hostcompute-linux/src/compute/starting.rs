//! Starting a supervisor: a program that makes a process of nobody's and ends; and one that is started before it is needed.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use hostcompute_engine::compute::Fault;
use hostcompute_schema::HResult;
use hostcompute_supervisor::wire;

use super::fault::Context;

/// The process that was started. It makes another one, and ends.
#[derive(Debug)]
pub(super) struct Starter {
    process: Child,
    program: PathBuf,
}

impl Starter {
    /// Whether there is a supervisor.
    pub fn wait(mut self) -> Result<(), Fault> {
        let status = self.process.wait().context(|| starting(&self.program))?;
        if !status.success() {
            let message = format!("could not {}: {status}", starting(&self.program));
            return Err(Fault::new(HResult::E_FAIL, message));
        }
        Ok(())
    }
}

/// The socket to a supervisor, and who has started it.
type Started = (OwnedFd, Starter);

/// Starts a supervisor, and says by which socket it is spoken to.
fn start(program: &Path) -> Result<Started, Fault> {
    let (ours, theirs) = wire::pair().context(|| starting(program))?;
    let process = Command::new(program)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    match process {
        Err(error) if missing(&error) => {
            let message = format!("there is no supervisor {}", program.display());
            let hint = "HOSTCOMPUTE_SUPERVISOR says where it is";
            Err(Fault::new(HResult::ERROR_FILE_NOT_FOUND, message).hint(hint))
        }
        process => {
            let process = process.context(|| starting(program))?;
            Ok((ours, Starter { process, program: program.to_owned() }))
        }
    }
}

fn starting(program: &Path) -> String {
    format!("start the supervisor {}", program.display())
}

/// A supervisor that starts while its system is still being thought about, for the first who needs one. Where nobody does, it ends
/// with this.
#[derive(Debug, Clone, Default)]
pub struct Spare(Arc<Place>);

#[derive(Debug, Default)]
struct Place(Mutex<Option<JoinHandle<Result<Started, Fault>>>>);

impl Spare {
    /// Begins to start one, unless the service manager starts them.
    pub fn begin(options: &super::Options) -> Self {
        let spare = Self::default();
        if !options.launcher.exists() {
            let program = options.program.clone();
            let thread = std::thread::Builder::new().name("spare".into());
            // Without a thread it is started when it is needed.
            *spare.0.lock() = thread.spawn(move || start(&program)).ok();
        }
        spare
    }

    /// The one that was started, or another one.
    pub(super) fn take_or_start(&self, program: &Path) -> Result<Started, Fault> {
        let begun = self.0.lock().take();
        match begun.and_then(|thread| thread.join().ok()) {
            Some(Ok(started)) => Ok(started),
            // Why is said by the next attempt, if it is still so.
            _ => start(program),
        }
    }
}

impl Place {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<Result<Started, Fault>>>> {
        // Taken or not, whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(Ok(Ok((socket, starter)))) = self.lock().take().map(JoinHandle::join) {
            drop(socket);
            // What it has started ends, since nobody speaks to it.
            let _ = starter.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(program: &str) -> Spare {
        let options = super::super::Options::new("/nonexistent".into());
        Spare::begin(&super::super::Options { program: program.into(), ..options })
    }

    #[test]
    fn one_that_nobody_needs_ends() {
        // Reads until nobody is left to write.
        drop(spare("/bin/cat"));
    }

    #[test]
    fn one_that_was_started_is_taken_once() {
        let spare = spare("/bin/cat");
        let missing = Path::new("/nonexistent/supervisor");
        let (socket, starter) = spare.take_or_start(missing).expect("it was started");
        drop(socket);
        starter.wait().expect("it ends by itself");
        let refused = spare.take_or_start(missing).expect_err("there is no other");
        assert_eq!(refused.hresult, HResult::ERROR_FILE_NOT_FOUND);
    }

    #[test]
    fn one_that_could_not_be_started_is_no_hindrance() {
        let spare = spare("/nonexistent/supervisor");
        let (socket, starter) = spare.take_or_start(Path::new("/bin/cat")).expect("another one");
        drop(socket);
        starter.wait().expect("it ends by itself");
    }
}
