//! The machine, as far as compute systems are concerned.

use std::fs;
use std::path::Path;

use hostcompute_engine::compute::facts::Enforceable;
use hostcompute_engine::compute::{Cpu, HostFacts};
use hostcompute_supervisor::cgroup::Group;

use super::place;

pub(super) fn read(runtime: &Path) -> HostFacts {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |names: &[&str]| {
        information.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            names.contains(&name.trim()).then(|| value.trim())
        })
    };
    let flags = field(&["flags", "Features"]).unwrap_or_default();
    let cache_line = field(&["clflush size"]).and_then(|text| text.parse().ok());
    // "46 bits physical, 48 bits virtual"
    let address = field(&["address sizes"]).and_then(|text| text.split(' ').next()?.parse().ok());
    HostFacts {
        cpus: cpus(),
        memory: memory(),
        cpu_flags: flags.split_whitespace().map(str::to_owned).collect(),
        cache_line: cache_line.unwrap_or(0),
        physical_address_bits: address.unwrap_or(0),
        pipe_directory: runtime.join(place::PIPES).to_string_lossy().into_owned(),
        limits: enforceable(),
    }
}

fn enforceable() -> Enforceable {
    let Ok(group) = Group::new("hostcompute") else { return Enforceable::default() };
    if !group.can_create() {
        return Enforceable::default();
    }
    Enforceable {
        memory: group.can("memory"),
        processor: group.can("cpu"),
        cpuset: group.can("cpuset"),
        storage: group.can("blkio"),
        freezer: group.can("freezer"),
    }
}

fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn cpus() -> Vec<Cpu> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    numbers(online.trim()).into_iter().map(cpu).collect()
}

fn cpu(index: u32) -> Cpu {
    let directory = Path::new("/sys/devices/system/cpu").join(format!("cpu{index}"));
    let number = |file: &str| -> Option<u32> {
        fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok()
    };
    let node = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse::<u8>().ok());
    Cpu {
        index,
        node: node.unwrap_or(0),
        package: number("topology/physical_package_id").unwrap_or(0),
        core: number("topology/core_id").unwrap_or(index),
        last_level_cache: (0..10).rev().find_map(|level| number(&format!("cache/index{level}/id"))),
    }
}

/// `0-3,6`.
fn numbers(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            found.extend(first..=last);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_processors_and_memory() {
        let facts = read(Path::new("/run/test"));
        assert!(!facts.cpus.is_empty());
        assert!(facts.memory > 0);
        assert_eq!(facts.pipe_directory, "/run/test/pipes");
    }

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(numbers("0-2,5"), [0, 1, 2, 5]);
        assert!(numbers("").is_empty());
    }
}
