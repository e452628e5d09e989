//! What the engine must know of a host to judge documents and to answer questions about the service.

use alloc::string::String;
use alloc::vec::Vec;

/// The host of the compute systems.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    /// The processors that are online, by their number.
    pub cpus: Vec<Cpu>,
    /// Bytes.
    pub memory: u64,
    /// The `flags` (x86) or `Features` (Arm) of the processors, as the kernel prints them.
    pub cpu_flags: Vec<String>,
    /// Of the processor's caches, in bytes; 0 when the kernel does not tell.
    pub cache_line: u32,
    /// Bits of a physical address; 0 when the kernel does not tell.
    pub physical_address_bits: u32,
    /// Where a pipe `\\.\pipe\NAME` is on this host: a directory, without a slash at the end.
    pub pipe_directory: String,
    /// Which of the limits the cgroups here can hold, and which not.
    pub limits: Enforceable,
}

/// One logical processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cpu {
    pub index: u32,
    pub node: u8,
    pub package: u32,
    /// Unique within its package.
    pub core: u32,
    /// The cache of the last level that it shares; absent when the kernel does not tell.
    pub last_level_cache: Option<u32>,
}

/// What cgroups can hold here: a controller may be missing, or not given to an ordinary user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enforceable {
    pub memory: bool,
    /// Quota and weight.
    pub processor: bool,
    /// Choosing processors.
    pub cpuset: bool,
    pub storage: bool,
    /// Pause and resume.
    pub freezer: bool,
}
