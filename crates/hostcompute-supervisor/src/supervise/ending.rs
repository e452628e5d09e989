//! The end of a system: everybody killed, everything that was written passed on, everything released, then told.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hostcompute_supervisor::directory;
use hostcompute_supervisor::kill::{Who, point};
use hostcompute_supervisor::launch::{Life, Runtime};
use hostcompute_supervisor::message::{Answer, Cause, Exit, Moment, Notice, Status};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitOptions};

use super::requests::OUTPUTS;
use super::{Ending, Supervisor};
use crate::builtin::{self, Made, Maker};
use crate::root::Holds;

/// How often it is looked whether anybody is left.
const LOOK: Duration = Duration::from_millis(10);

/// How long readers have, at the end, to take what is left.
const PATIENCE: Duration = Duration::from_secs(3);

impl Supervisor {
    /// Ends the system now; the first cause counts.
    pub(super) fn end(&mut self, cause: Cause) {
        let ending = self.ending.get_or_insert(Ending {
            cause,
            waiting: Vec::new(),
            force: None,
            forced: false,
            look: None,
        });
        ending.forced = true;
        ending.look = None;
        ending.force = None;
        self.kill_init();
        // Whoever is frozen cannot end; it is killed by now, so it runs no more.
        if let Some(group) = &self.group {
            let _ = group.thaw();
        }
    }

    /// Whether it is being ended, whatever its processes say.
    pub(super) fn is_forced(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.forced)
    }

    pub(super) fn kill_init(&self) {
        // Ended already, at worst.
        if let Some(made) = &self.made {
            let _ = rustix::process::pidfd_send_signal(&made.init_descriptor, Signal::KILL);
        }
    }

    /// The system was asked to end by itself.
    pub(super) fn shut_down_begins(&mut self, force: Option<Instant>) {
        let ending = self.ending.get_or_insert(Ending {
            cause: Cause::ShutDown,
            waiting: Vec::new(),
            force: None,
            forced: false,
            look: None,
        });
        ending.force = force.or(ending.force);
        if self.launch.runtime != Runtime::Builtin {
            ending.look = Some(Instant::now());
        }
    }

    pub(super) fn force_if_due(&mut self) {
        let due = |ending: &Ending| ending.force.is_some_and(|force| force <= Instant::now());
        if self.ending.as_ref().is_some_and(due) {
            self.end(Cause::ShutDown);
        }
    }

    /// No first process of another runtime tells that nobody is left: it is looked for.
    pub(super) fn end_if_empty(&mut self) {
        let Some(until) = self.ending.as_ref().and_then(|ending| ending.look) else { return };
        if until > Instant::now() {
            return;
        }
        let init = self.made.as_ref().map(|made| made.init.as_raw_nonzero().get());
        let others = |pids: BTreeSet<i32>| pids.into_iter().any(|pid| Some(pid) != init);
        let left = self.group.as_ref().map(|group| group.processes().map(others));
        if let Some(Ok(true)) = left {
            if let Some(ending) = &mut self.ending {
                ending.look = Some(Instant::now() + LOOK);
            }
        } else {
            self.end(Cause::ShutDown);
        }
    }

    pub(super) fn wait_for_the_end(&mut self, client: u64, number: u64) {
        if let Some(ending) = &mut self.ending {
            ending.waiting.push((client, number));
        }
    }

    /// The first process that was asked for has ended.
    pub(super) fn first_ended(&mut self) {
        if self.launch.life == Life::FirstProcess {
            self.end(Cause::PoweredOff);
        }
    }

    /// The agent has ended, and with it, in a container, everybody.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.hear_agent();
        self.collect();
        if let (Some(made), None) = (&self.made, self.init_status) {
            let id = WaitId::PidFd(made.init_descriptor.as_fd());
            let status = rustix::process::waitid(id, WaitIdOptions::EXITED)?;
            self.init_status = status.as_ref().map(crate::status::of_child);
        }
        self.hear_memory();
        if let Some(group) = &self.group {
            // Host processes, and whatever else somebody put into the group.
            let _ = group.kill();
        }
        point(Who::Supervisor);
        // Those that were left to us; who still runs elsewhere is waited for by nobody.
        while rustix::process::wait(WaitOptions::NOHANG).is_ok_and(|ended| ended.is_some()) {}
        for process in &mut self.processes {
            process.end(Status::Killed(9));
        }
        self.hand_out_the_rest();
        self.tell_ends();
        point(Who::Supervisor);
        let released = self.release();
        point(Who::Supervisor);
        let ending = self.ending.take();
        let (cause, waiting) = match ending {
            Some(ending) => (ending.cause, ending.waiting),
            None => {
                let how = match self.init_status {
                    Some(Status::Killed(signal)) => format!("was ended by signal {signal}"),
                    _ => "ended".to_owned(),
                };
                (Cause::Crashed(format!("its first process {how}")), Vec::new())
            }
        };
        let answer = match &cause {
            Cause::StartFailed(refusal) => Err(refusal.clone()),
            _ => Ok(Answer::Done),
        };
        let exit = Exit { cause, out_of_memory: self.out_of_memory, at: Moment::now() };
        let directory = &self.launch.directory;
        let written = directory::write(&directory.join(directory::EXIT), &exit);
        point(Who::Supervisor);
        let retired = directory::retire(directory);
        point(Who::Supervisor);
        self.notice(&Notice::Exited(exit));
        for (client, number) in waiting {
            self.answer(client, number, answer.clone());
        }
        released.and(written).and(retired.map(drop))
    }

    /// Passes on what is left in the pipes; readers have their time, but no more.
    fn hand_out_the_rest(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let pids: Vec<u32> = self.processes.iter().map(|process| process.pid).collect();
            for pid in pids {
                for stream in OUTPUTS {
                    self.pass_output(pid, stream);
                }
            }
            let mut wait = Vec::new();
            let mut more = false;
            for process in &self.processes {
                for output in [&process.output, &process.error] {
                    more |= output.is_open() && !output.drained;
                    let blocked = output.blocked();
                    wait.extend(blocked.map(|sink| PollFd::from_borrowed_fd(sink, PollFlags::OUT)));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if wait.is_empty() && !more || left.is_zero() {
                return;
            }
            if !more {
                let left = Timespec::try_from(left).ok();
                let _ = rustix::event::poll(&mut wait, left.as_ref());
            }
        }
    }

    /// Gives back what the system held; a container's mounts went with its last process.
    fn release(&mut self) -> io::Result<()> {
        self.memory = None;
        self.prepared = None;
        if let Some(Made { maker: Maker::External(external), .. }) = &self.made {
            external.delete();
        }
        let hidden = builtin::unmount(&self.launch);
        self.holds = Holds::default();
        let removed = self.group.as_ref().map_or(Ok(()), |group| group.remove());
        hidden.and(removed)
    }
}
