//! The protocol of supervisors: what can be said to the process that keeps one compute system running, and what it leaves behind.
//!
//! Every compute system has a *supervisor*, a small process of its own that outlives whoever started it: it holds the standard streams
//! of the system's processes, their exit statuses and the log. Its program is this package's binary (feature `containers`); the library
//! is what the other side needs, and knows no container.
//!
//! | | |
//! |---|---|
//! | [`launch`] | what a system is made of, everything decided |
//! | [`message`] | requests, answers, notices |
//! | [`wire`] | messages and descriptors on a socket |
//! | [`directory`] | the files of a system: which there are, who is alive, how it ended |
//! | [`log`] | what the processes wrote, bounded |
//! | [`cgroup`] | limits, statistics, freezing and killing, on both versions of control groups |

pub mod cgroup;
pub mod directory;
pub mod kill;
pub mod launch;
pub mod log;
pub mod message;
pub mod wire;
