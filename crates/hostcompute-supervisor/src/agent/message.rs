//! What the supervisor and a system's first process say to each other.
//!
//! The latter is the supervisor's own code, but lives among those that it makes: what it says is read with care.

use hostcompute_supervisor::message::{ProcessLaunch, Refusal, Status, Streams};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub enum ToAgent {
    /// Makes a process; its ends of `streams` follow as descriptors, and without a terminal, what is missing is `/dev/null`.
    Spawn { number: u64, launch: Box<ProcessLaunch>, streams: Streams },
    /// Sends a signal to all, and ends when nobody is left.
    End { signal: i32 },
}

#[derive(Debug, Serialize, Deserialize)]
pub enum FromAgent {
    /// Ready to make processes.
    Ready,
    /// It could not become ready; it has ended.
    Failed(Refusal),
    /// With a descriptor of the process, and with a terminal its other side.
    Spawned {
        number: u64,
        pid: u32,
    },
    Refused {
        number: u64,
        refusal: Refusal,
    },
    Exited {
        pid: u32,
        status: Status,
    },
}
