//! Registered callbacks of systems and processes: each has a thread that listens, from the registration on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use hostcompute::schema::hcs::ComputeEvent;
use hostcompute::transport::{ComputeEvents, ComputeNotice};
use hostcompute::{Failure, HResult, Host, Stopper};

use crate::boundary::Listener;
use crate::gate::{Closed, Gate};
use crate::handle::Handle;

/// HcsEventProcessExited.
pub const PROCESS_EXITED: u32 = 0x0001_0000;

/// HcsEventServiceDisconnect.
pub const SERVICE_DISCONNECT: u32 = 0x0200_0000;

/// Calls somebody: with the kind of event, its data, and the operation that it is about.
type Teller = Box<dyn Fn(u32, Option<&str>, Handle) + Send + Sync>;

/// A registered callback.
pub struct Registered {
    teller: Teller,
    gate: Gate,
    stage: Mutex<Stage>,
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Stage {
    /// Its turn has not come.
    Waiting,
    Listening(Stopper, Option<JoinHandle<()>>),
    Ended,
}

impl Registered {
    /// A callback that hears nothing yet.
    pub fn new(listener: Listener) -> Arc<Self> {
        Self::with(move |kind, data, operation| listener.call(kind, data, operation))
    }

    /// The same for whoever is called in a way of their own.
    pub fn with(teller: impl Fn(u32, Option<&str>, Handle) + Send + Sync + 'static) -> Arc<Self> {
        let teller = Box::new(teller);
        Arc::new(Self { teller, gate: Gate::default(), stage: Mutex::new(Stage::Waiting) })
    }

    /// Listens from now on: to what happens to a system, or to the exit of one of its processes.
    ///
    /// # Errors
    /// Why the service cannot be heard.
    pub fn listen(
        self: &Arc<Self>,
        host: &Host,
        system: &str,
        pid: Option<u32>,
    ) -> Result<(), Failure> {
        let mut stage = self.stage();
        if !matches!(*stage, Stage::Waiting) {
            return Ok(());
        }
        let events = host.compute_events(system)?;
        let stopper = events.stopper();
        let registered = self.clone();
        let started = thread::Builder::new()
            .name("hostcompute-tell".to_owned())
            .spawn(move || registered.hear(events, pid));
        let thread = started.map_err(|error| {
            Failure::new(HResult::E_OUTOFMEMORY, format!("no thread for the callback: {error}"))
        })?;
        *stage = Stage::Listening(stopper, Some(thread));
        Ok(())
    }

    fn hear(&self, events: ComputeEvents, pid: Option<u32>) {
        for notice in events {
            let open = match notice {
                Ok(ComputeNotice::Event(event)) => {
                    !concerns(&event, pid) || {
                        let data = event.data.as_ref().map(ToString::to_string);
                        self.tell(event.kind.unwrap_or_default(), data.as_deref(), Handle::NULL)
                    }
                }
                Ok(ComputeNotice::Disconnected) | Err(_) => {
                    self.tell(SERVICE_DISCONNECT, None, Handle::NULL)
                }
            };
            if !open {
                return;
            }
        }
    }

    /// Calls, unless the registration has ended; whether it has not.
    pub fn tell(&self, kind: u32, data: Option<&str>, operation: Handle) -> bool {
        self.pass(|| (self.teller)(kind, data, operation))
    }

    /// Does what a call does, in its turn with others, unless the registration has ended; whether it has not.
    pub fn pass(&self, call: impl FnOnce()) -> bool {
        self.gate.pass(call)
    }

    /// Ends the registration: nothing is called afterwards. Waits for a callback that runs, unless it is the one that asks.
    pub fn end(&self) {
        let closed = self.gate.close();
        let stage = std::mem::replace(&mut *self.stage(), Stage::Ended);
        let Stage::Listening(stopper, thread) = stage else { return };
        stopper.stop();
        // From inside the callback there is nothing to wait for: its thread ends when it returns.
        if let (Closed::Quiet, Some(thread)) = (closed, thread) {
            // A thread that panicked has ended, too.
            let _ = thread.join();
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Exits of processes are told to who has registered with the process, all else to who has registered with the system.
fn concerns(event: &ComputeEvent, pid: Option<u32>) -> bool {
    match pid {
        Some(_) => event.kind == Some(PROCESS_EXITED) && event.process_id == pid,
        None => event.kind != Some(PROCESS_EXITED),
    }
}
