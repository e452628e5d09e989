//! Starting, pausing, ending.

use hostcompute_engine::compute::document::{check_pause, check_start, read_shutdown};
use hostcompute_engine::compute::system::System;
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Cause, Fault, Signal, Worker, Workers};
use hostcompute_schema::hcs::{self, CrashOptions, SaveOptions};
use hostcompute_schema::{Failure, HResult};

use super::cell::Cell;
use super::{Networks, Shared, WorkerOf, refuse_options};
use crate::sync::Arc;

impl<W: Workers, N: Networks> Shared<W, N> {
    /// Carries out a verb that leads a system from one state to another.
    pub(super) fn lead(
        &self,
        cell: &Arc<Cell<WorkerOf<W>>>,
        verb: Verb,
        document: &str,
    ) -> Result<(), Failure> {
        let legal = |system: &System| Ok((system.legal(verb)?, system.record().stop_signal));
        let (worker, ((), stop_signal)) = cell.worker(legal)?;
        let answer: Result<(), Fault> = match verb {
            Verb::Start => {
                check_start(document)?;
                worker.start()
            }
            Verb::ShutDown => {
                let wanted = read_shutdown(document)?;
                let signal = stop_signal.unwrap_or(Signal::TERMINATE);
                worker.shut_down(signal, wanted.force_after)
            }
            Verb::Pause => {
                check_pause(document)?;
                worker.pause()
            }
            Verb::Resume => {
                refuse_options(document)?;
                worker.resume()
            }
            Verb::Save => {
                hcs::parse_optional::<SaveOptions>(document)?;
                return Err(machines_only("saved"));
            }
            Verb::Crash => {
                hcs::parse_optional::<CrashOptions>(document)?;
                return Err(machines_only("made to crash"));
            }
            _ => {
                return Err(Failure::new(HResult::E_UNEXPECTED, "no such step in a system's life"));
            }
        };
        cell.note(|system| system.outcome(verb, answer))
    }

    /// Ends a system. When this returns, it has ended and all that was its own is gone.
    pub(super) fn terminate(
        self: &Arc<Self>,
        cell: &Arc<Cell<WorkerOf<W>>>,
        document: &str,
    ) -> Result<(), Failure> {
        refuse_options(document)?;
        let (worker, ()) = cell.worker(|system| system.legal(Verb::Terminate))?;
        if cell.give_up_network() {
            // The kernel waits long for both, and for each without the other.
            let (shared, cell) = (self.clone(), cell.clone());
            self.pool.push(Box::new(move || shared.clean_up(&cell)));
        }
        let answer = worker.terminate(Cause::Terminated);
        cell.note(|system| system.outcome(Verb::Terminate, answer))?;
        // By this thread, or by the one that is at it.
        self.clean_up(cell);
        cell.wait_for_cleanup();
        Ok(())
    }
}

fn machines_only(what: &str) -> Failure {
    let why = format!("a container cannot be {what}; only virtual machines can");
    Failure::new(HResult::ERROR_NOT_SUPPORTED, why)
}
