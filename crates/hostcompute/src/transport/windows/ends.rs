//! Waiting for the end of a system or a process on a Windows that has no function for it (Windows 10 version 1809 and Windows Server 2019
//! lack both): it tells callbacks, so what waits is a mailbox. Each wait has a handle of its own, for a handle has one callback.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hostcompute_schema::hcs::{self, ProcessStatus, Properties, SystemExitStatus};
use hostcompute_schema::{Document, Failure, HResult};

use super::boundary::callback::Address;
use super::boundary::hcs::{FOR_EVER, OfProcess, OfSystem, Process, System, open};
use super::events::{COMPUTE_DISCONNECT, PROCESS_EXITED, SYSTEM_EXITED};
use super::mailbox::Mailbox;

/// Waits for the end of a system; how it ended.
///
/// # Errors
/// WAIT_TIMEOUT, or what Windows refuses.
pub fn of_system(system: &System, id: &str, patience: u32) -> Result<String, Failure> {
    let ended = || -> Result<_, Failure> {
        let told = system.ask(OfSystem::Properties, "")?;
        let properties = hcs::parse_answer::<Properties>(&told)?;
        let status = SystemExitStatus { exit_type: properties.exit_type, ..Default::default() };
        Ok((properties.stopped == Some(true)).then(|| status.to_value().to_string()))
    };
    let until = end(patience);
    let mailbox = Arc::new(Mailbox::default());
    let listening = match open(id).and_then(|own| own.listen(Address::of(&mailbox))) {
        Ok(listening) => listening,
        // One that has ended is found by nobody any more.
        Err(failure) => return ended().ok().flatten().ok_or(failure),
    };
    // What happened before is not told.
    if let Some(status) = ended()? {
        return Ok(status);
    }
    let told = heard(&mailbox, SYSTEM_EXITED, until);
    drop(listening);
    told
}

/// Waits for the end of a process; how it ended. `again` opens it once more.
///
/// # Errors
/// As [`of_system`].
pub fn of_process(
    process: &Process,
    again: impl FnOnce() -> Result<Process, Failure>,
    patience: u32,
) -> Result<String, Failure> {
    let ended = || -> Result<_, Failure> {
        let told = process.ask(OfProcess::Properties, "")?;
        let status = hcs::parse_answer::<ProcessStatus>(&told)?;
        Ok((status.exited == Some(true)).then_some(told))
    };
    let until = end(patience);
    let mailbox = Arc::new(Mailbox::default());
    let listening = match again().and_then(|own| own.listen(Address::of(&mailbox))) {
        Ok(listening) => listening,
        Err(failure) => return ended().ok().flatten().ok_or(failure),
    };
    if let Some(status) = ended()? {
        return Ok(status);
    }
    let told = heard(&mailbox, PROCESS_EXITED, until)?;
    drop(listening);
    // The event's document may be older than the exit code: asked again, it is there.
    Ok(ended()?.unwrap_or(told))
}

/// When so many milliseconds are over.
fn end(patience: u32) -> Option<Instant> {
    let patience = Duration::from_millis(patience.into());
    (patience != Duration::from_millis(FOR_EVER.into())).then(|| Instant::now() + patience)
}

/// The document of the event that is waited for.
fn heard(mailbox: &Mailbox, kind: u32, until: Option<Instant>) -> Result<String, Failure> {
    loop {
        let letter = mailbox.take_until(until).ok_or_else(|| {
            Failure::new(HResult::WAIT_TIMEOUT, "it had not ended when the time was over")
        })?;
        if letter.kind == kind {
            return Ok(letter.data);
        }
        if letter.kind == COMPUTE_DISCONNECT {
            let why = "the compute service has stopped, and tells of no end";
            return Err(Failure::new(HResult::HCS_E_SERVICE_DISCONNECT, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::Letter;
    use super::*;

    #[test]
    fn the_event_is_waited_for_among_others() {
        let mailbox = Mailbox::default();
        let put = |kind, data: &str| mailbox.put(Letter { kind, data: data.to_owned() });
        put(2, "crash");
        put(SYSTEM_EXITED, "exit");
        assert_eq!(heard(&mailbox, SYSTEM_EXITED, None).as_deref(), Ok("exit"));
        let refused = |until| heard(&mailbox, SYSTEM_EXITED, until).map_err(|error| error.hresult);
        assert_eq!(refused(end(0)), Err(HResult::WAIT_TIMEOUT));
        put(COMPUTE_DISCONNECT, "");
        assert_eq!(refused(end(FOR_EVER)), Err(HResult::HCS_E_SERVICE_DISCONNECT));
    }
}
