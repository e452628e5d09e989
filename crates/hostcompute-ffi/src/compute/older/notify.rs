//! HcsRegisterComputeSystemCallback and HcsRegisterProcessCallback: a function that is told of everything, the ends of calls included.
//!
//! What is told before anybody has registered is lost, but for two things that programs cannot register for in time: that a system was
//! made, and that a process has ended. Those are told to the first who registers, or to whoever does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hostcompute::schema::ComputeOperation;
use hostcompute::schema::hcs::{NotificationType, ProcessStatus, SystemExitStatus, parse_answer};
use hostcompute::transport::ComputeCall;
use hostcompute::{Failure, HResult};

use crate::boundary::{Context, Notification, Notify, Out};
use crate::compute::events::{PROCESS_EXITED, Registered, SERVICE_DISCONNECT};
use crate::compute::{process, system};
use crate::handle::{self, Handle, Object};

/// The end of a call, by the number of its notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Completed {
    Create = 2,
    Start = 3,
    Pause = 4,
    Resume = 5,
    Save = 8,
}

/// HcsEventSystemExited: the one number that both generations of functions share, with that of processes.
const SYSTEM_EXITED: u32 = 1;

/// Who has registered with a handle of a system.
#[derive(Debug, Default)]
pub struct Callbacks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    registered: Vec<(Weak<Registered>, Notify)>,
    /// That it was made is still to be told.
    is_new: bool,
}

impl Callbacks {
    /// The system was made by this handle.
    pub fn made(&self) {
        self.state().is_new = true;
    }

    /// Tells of the end of a call.
    pub fn tell(&self, completed: Completed) {
        // Taken out first: a callback may register others.
        let registered = self.state().registered.clone();
        for (registered, notify) in registered {
            if let Some(registered) = registered.upgrade() {
                registered.pass(|| notify.call(completed as u32, HResult::S_OK, None));
            }
        }
    }

    /// The handle is closed: nothing is told any more.
    pub fn end(&self) {
        let registered = std::mem::take(&mut self.state().registered);
        for registered in registered.iter().filter_map(|(registered, _)| registered.upgrade()) {
            registered.end();
        }
    }

    /// Adds one; whether it is to be told that the system was made.
    fn add(&self, registered: &Arc<Registered>, notify: Notify) -> bool {
        let mut state = self.state();
        state.registered.retain(|(registered, _)| registered.strong_count() > 0);
        state.registered.push((Arc::downgrade(registered), notify));
        std::mem::take(&mut state.is_new)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// HcsRegisterComputeSystemCallback.
pub fn register_system(
    system: Handle,
    callback: Option<Notification>,
    context: Context,
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("registration")?;
    let (notify, system) = (Notify::new(callback, context)?, system::find(system)?);
    let registered = Registered::with(move |kind, data, _| {
        notify.call(number(kind), status(kind, data), data);
    });
    registered.listen(&system.host, &system.id, None)?;
    let handle =
        handle::add(Object::Registered(registered.clone())).inspect_err(|_| registered.end())?;
    if system.older.add(&registered, notify) {
        system.clone().party.tell(move |_| system.older.tell(Completed::Create))?;
    }
    out.put(handle);
    Ok(())
}

/// HcsRegisterProcessCallback: of a process that has ended already that is told, too.
pub fn register_process(
    process: Handle,
    callback: Option<Notification>,
    context: Context,
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("registration")?;
    let (notify, process) = (Notify::new(callback, context)?, process::find(process)?);
    let pid = process.birth.wait(None)?;
    let has_ended = AtomicBool::new(false);
    let registered = Registered::with(move |kind, data, _| {
        // Once, whoever noticed it first.
        if kind != PROCESS_EXITED || !has_ended.swap(true, Ordering::Relaxed) {
            notify.call(number(kind), status(kind, data), data);
        }
    });
    registered.listen(&process.host, &process.system, Some(pid))?;
    let handle =
        handle::add(Object::Registered(registered.clone())).inspect_err(|_| registered.end())?;
    let verb = ComputeOperation::GetProcessProperties;
    let call = ComputeCall::on(verb, &process.system, "").process(pid);
    // One that nobody knows any more is told of by the end of its system.
    let known = process.host.compute(&call).ok();
    let ended = known.filter(|answer| {
        parse_answer::<ProcessStatus>(&answer.body).is_ok_and(|told| told.exited == Some(true))
    });
    if let Some(answer) = ended {
        process.party.tell(move |_| {
            registered.tell(PROCESS_EXITED, Some(&answer.body), Handle::NULL);
        })?;
    }
    out.put(handle);
    Ok(())
}

/// HcsUnregisterComputeSystemCallback and HcsUnregisterProcessCallback: no callback runs any more when it returns.
pub fn unregister(registration: Handle) -> Result<(), Failure> {
    let pick = |object: &Object| match object {
        Object::Registered(registered) => Some(registered.clone()),
        _ => None,
    };
    handle::remove(registration, pick)?.end();
    Ok(())
}

/// The number of a notification, of that of an event of computecore.dll (hcs.md 1.7).
fn number(kind: u32) -> u32 {
    match kind {
        // Crash initiated, crash report, console's mode changed, job made, guest's connection closed.
        2 => 13,
        3 => 6,
        4 => 9,
        5 => 7,
        6 => 14,
        SERVICE_DISCONNECT => 0x0100_0000,
        same => same,
    }
}

/// What a notification says besides its number: a failure for what ended badly.
fn status(kind: u32, data: Option<&str>) -> HResult {
    match kind {
        SERVICE_DISCONNECT => HResult::HCS_E_SERVICE_DISCONNECT,
        SYSTEM_EXITED => {
            let told: SystemExitStatus =
                data.and_then(|data| parse_answer(data).ok()).unwrap_or_default();
            match (told.status.unwrap_or_default(), told.exit_type) {
                (0, Some(NotificationType::UnexpectedExit)) => HResult::VMCOMPUTE_UNEXPECTED_EXIT,
                (status, _) => HResult::from_signed(status).older_form(),
            }
        }
        _ => HResult::S_OK,
    }
}
