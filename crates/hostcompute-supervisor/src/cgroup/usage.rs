//! What a group has used.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Group, number, numbers, value};

/// Times in units of 100 nanoseconds, sizes in bytes. What this machine does not count is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub processor_total: u64,
    pub processor_user: u64,
    pub processor_kernel: u64,
    pub memory: u64,
    pub memory_peak: u64,
    /// Memory that is no file's.
    pub memory_anonymous: u64,
    pub read_count: u64,
    pub read_bytes: u64,
    pub write_count: u64,
    pub write_bytes: u64,
}

impl Group {
    /// Reads what was used. A controller that is missing counts nothing.
    ///
    /// # Errors
    /// The group cannot be read.
    pub fn usage(&self) -> io::Result<Usage> {
        let mut usage = Usage::default();
        if self.is_unified() {
            if let Some((_, directory)) = self.directories.first() {
                read_unified(directory, &mut usage)?;
            }
            return Ok(usage);
        }
        if let Some(directory) = self.governing("cpuacct") {
            usage.processor_total = number(directory, "cpuacct.usage")? / 100;
            usage.processor_user = number(directory, "cpuacct.usage_user")? / 100;
            usage.processor_kernel = number(directory, "cpuacct.usage_sys")? / 100;
        }
        if let Some(directory) = self.governing("memory") {
            usage.memory = number(directory, "memory.usage_in_bytes")?;
            usage.memory_peak = number(directory, "memory.max_usage_in_bytes")?;
            usage.memory_anonymous = value(&numbers(directory, "memory.stat")?, "total_rss");
        }
        if let Some(directory) = self.governing("blkio") {
            let bytes = directory.join("blkio.throttle.io_service_bytes_recursive");
            (usage.read_bytes, usage.write_bytes) = read_split_io(&bytes)?;
            let count = directory.join("blkio.throttle.io_serviced_recursive");
            (usage.read_count, usage.write_count) = read_split_io(&count)?;
        }
        Ok(usage)
    }
}

fn read_unified(directory: &Path, usage: &mut Usage) -> io::Result<()> {
    let times = numbers(directory, "cpu.stat")?;
    usage.processor_total = value(&times, "usage_usec") * 10;
    usage.processor_user = value(&times, "user_usec") * 10;
    usage.processor_kernel = value(&times, "system_usec") * 10;
    if directory.join("memory.current").exists() {
        usage.memory = number(directory, "memory.current")?;
        usage.memory_anonymous = value(&numbers(directory, "memory.stat")?, "anon");
        // Linux 5.19.
        usage.memory_peak = number(directory, "memory.peak").unwrap_or(usage.memory);
    }
    if let Ok(text) = fs::read_to_string(directory.join("io.stat")) {
        add_unified_io(&text, usage);
    }
    Ok(())
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6` for each device.
fn add_unified_io(text: &str, usage: &mut Usage) {
    for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        let value: u64 = value.parse().unwrap_or(0);
        match name {
            "rbytes" => usage.read_bytes += value,
            "wbytes" => usage.write_bytes += value,
            "rios" => usage.read_count += value,
            "wios" => usage.write_count += value,
            _ => {}
        }
    }
}

fn read_split_io(file: &Path) -> io::Result<(u64, u64)> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((0, 0)),
        text => Ok(sum_split_io(&text?)),
    }
}

/// `8:0 Read 1`, `8:0 Write 2` for each device, other words, and a total.
fn sum_split_io(text: &str) -> (u64, u64) {
    let sum = |kind: &str| {
        text.lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                (words.nth(1) == Some(kind)).then(|| words.next()?.parse::<u64>().ok()).flatten()
            })
            .sum()
    };
    (sum("Read"), sum("Write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_added_up() {
        let split = "8:0 Read 1\n8:0 Write 2\n8:0 Sync 9\n8:16 Read 3\nTotal 15\n";
        assert_eq!(sum_split_io(split), (4, 2));
        let mut usage = Usage::default();
        let unified = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:16 rbytes=10\n";
        add_unified_io(unified, &mut usage);
        assert_eq!((usage.read_bytes, usage.write_bytes), (11, 2));
        assert_eq!((usage.read_count, usage.write_count), (3, 4));
    }
}
