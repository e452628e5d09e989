//! Limits: what is written where. All of them are replaced at once; those that were in force come back when one is refused.

use std::fs;
use std::io;
use std::path::Path;

use super::Group;
use crate::launch::{Limits, Quota};

/// What the kernel gives when nobody asks, in microseconds.
const PERIOD: u64 = 100_000;

impl Group {
    /// Puts `wanted` in force in the place of `before`.
    ///
    /// # Errors
    /// A limit cannot be held here (`Unsupported`), or not now; those of `before` are in force then.
    pub fn set_limits(&self, before: &Limits, wanted: &Limits) -> io::Result<()> {
        let set = self.write_limits(before, wanted);
        if set.is_err() {
            // Those were possible once; what cannot be put back now is told by nobody but the first error.
            let _ = self.write_limits(wanted, before);
        }
        set
    }

    fn write_limits(&self, before: &Limits, wanted: &Limits) -> io::Result<()> {
        let unified = self.is_unified();
        if before.memory_bytes != wanted.memory_bytes {
            let directory = self.need("memory")?;
            if unified {
                write(directory, "memory.max", &or_max(wanted.memory_bytes))?;
                let swap = if wanted.memory_bytes.is_some() { "0" } else { "max" };
                write_if_there(directory, "memory.swap.max", swap)?;
            } else {
                set_memory(directory, wanted.memory_bytes)?;
            }
        }
        if before.cpu_quota != wanted.cpu_quota {
            let directory = self.need("cpu")?;
            if unified {
                write(directory, "cpu.max", &quota_text(wanted.cpu_quota))?;
            } else {
                set_quota(directory, wanted.cpu_quota)?;
            }
        }
        if before.cpu_weight != wanted.cpu_weight {
            let directory = self.need("cpu")?;
            let weight = wanted.cpu_weight.unwrap_or(100).clamp(1, 10_000);
            if unified {
                write(directory, "cpu.weight", &weight.to_string())?;
            } else {
                write(directory, "cpu.shares", &shares(weight).to_string())?;
            }
        }
        if before.cpu_set != wanted.cpu_set {
            self.set_processors(unified, wanted.cpu_set.as_deref())?;
        }
        if before.processes != wanted.processes {
            write(self.need("pids")?, "pids.max", &or_max(wanted.processes))?;
        }
        self.set_io(unified, before, wanted)
    }

    fn need(&self, controller: &str) -> io::Result<&Path> {
        let name = if self.is_unified() { super::unified_name(controller) } else { controller };
        self.governing(name).ok_or_else(|| {
            let message = format!("this machine has no {name} controller for us");
            io::Error::new(io::ErrorKind::Unsupported, message)
        })
    }

    fn set_processors(&self, unified: bool, wanted: Option<&str>) -> io::Result<()> {
        let directory = self.need("cpuset")?;
        let text = match wanted {
            Some(text) => text.to_owned(),
            // The parent's: where somebody is in the group, the kernel refuses the empty text, also where that would mean the same.
            None => {
                let parent = directory.parent().unwrap_or(directory);
                let file = if unified { "cpuset.cpus.effective" } else { "cpuset.cpus" };
                fs::read_to_string(parent.join(file))?.trim().to_owned()
            }
        };
        write(directory, "cpuset.cpus", &text)
    }

    fn set_io(&self, unified: bool, before: &Limits, wanted: &Limits) -> io::Result<()> {
        let same = (before.io_operations, before.io_bytes, &before.io_devices)
            == (wanted.io_operations, wanted.io_bytes, &wanted.io_devices);
        if same {
            return Ok(());
        }
        let directory = self.need("blkio")?;
        let devices = before.io_devices.iter().filter(|old| !wanted.io_devices.contains(old));
        let none = Limits::default();
        let old = devices.map(|device| (device, &none));
        for ((major, minor), limits) in
            old.chain(wanted.io_devices.iter().map(|device| (device, wanted)))
        {
            let (operations, bytes) = (limits.io_operations, limits.io_bytes);
            if unified {
                let (operations, bytes) = (or_max(operations), or_max(bytes));
                let text = format!(
                    "{major}:{minor} rbps={bytes} wbps={bytes} riops={operations} wiops={operations}"
                );
                write(directory, "io.max", &text)?;
                continue;
            }
            for (file, value) in [
                ("blkio.throttle.read_iops_device", operations),
                ("blkio.throttle.write_iops_device", operations),
                ("blkio.throttle.read_bps_device", bytes),
                ("blkio.throttle.write_bps_device", bytes),
            ] {
                write(directory, file, &format!("{major}:{minor} {}", value.unwrap_or(0)))?;
            }
        }
        Ok(())
    }
}

/// Version 1 bounds memory, and memory with swap, which must not be less: the order depends on the direction.
fn set_memory(directory: &Path, wanted: Option<u64>) -> io::Result<()> {
    let text = wanted.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    let (alone, with_swap) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
    let grows = super::number(directory, alone)? < wanted.unwrap_or(u64::MAX);
    if grows {
        write_if_there(directory, with_swap, &text)?;
    }
    write(directory, alone, &text)?;
    if grows { Ok(()) } else { write_if_there(directory, with_swap, &text) }
}

/// The period may be changed only where the quota fits it, so the quota goes first to where it fits any.
fn set_quota(directory: &Path, wanted: Option<Quota>) -> io::Result<()> {
    write(directory, "cpu.cfs_quota_us", "-1")?;
    let period = wanted.map_or(PERIOD, |quota| quota.period);
    write(directory, "cpu.cfs_period_us", &period.to_string())?;
    match wanted {
        Some(quota) => write(directory, "cpu.cfs_quota_us", &quota.time.to_string()),
        None => Ok(()),
    }
}

fn quota_text(quota: Option<Quota>) -> String {
    match quota {
        Some(Quota { time, period }) => format!("{time} {period}"),
        None => format!("max {PERIOD}"),
    }
}

/// Version 1's shares: 1024 where version 2 says 100.
fn shares(weight: u64) -> u64 {
    (weight * 1024 / 100).clamp(2, 262_144)
}

fn or_max(value: Option<u64>) -> String {
    value.map_or_else(|| "max".to_owned(), |value| value.to_string())
}

fn write(directory: &Path, file: &str, text: &str) -> io::Result<()> {
    fs::write(directory.join(file), text)
        .map_err(|error| io::Error::new(error.kind(), format!("{file} {}: {error}", text.trim())))
}

fn write_if_there(directory: &Path, file: &str, text: &str) -> io::Result<()> {
    if directory.join(file).exists() { write(directory, file, text) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_the_kernel_reads_them() {
        assert_eq!(quota_text(None), "max 100000");
        assert_eq!(quota_text(Some(Quota { time: 5, period: 10 })), "5 10");
        assert_eq!((shares(1), shares(100), shares(10_000)), (10, 1024, 102_400));
        assert_eq!((or_max(None), or_max(Some(7))), ("max".into(), "7".into()));
    }
}
