//! Memory, processor and storage limits, in the units of cgroups.

use hostcompute_schema::HResult;
use hostcompute_schema::hcs::{Container, ContainerMemory, ContainerProcessor, StorageQoS};

use super::Notes;
use crate::compute::facts::HostFacts;
use crate::compute::launch::{Limits, Quota};

/// Microseconds, as cgroups have it when nobody says otherwise.
const PERIOD: u64 = 100_000;

/// The shortest time that the kernel takes for a quota.
const SHORTEST: u64 = 1000;

/// What Maximum and Weight reach up to.
const WHOLE: i64 = 10_000;

/// All limits of a document.
pub fn read(container: &Container, facts: &HostFacts, notes: &mut Notes) -> Option<Limits> {
    let before = notes.mistakes.len();
    let mut limits = Limits::default();
    if let Some(memory) = &container.memory {
        limits.memory = self::memory(memory, facts, notes);
    }
    if let Some(wanted) = &container.processor {
        processor(wanted, "$.Container.Processor", facts, &mut limits, notes);
    }
    if let Some(qos) = container.storage.as_ref().and_then(|storage| storage.qos.as_ref()) {
        storage(qos, facts, &mut limits, notes);
    }
    (notes.mistakes.len() == before).then_some(limits)
}

fn memory(memory: &ContainerMemory, facts: &HostFacts, notes: &mut Notes) -> Option<u64> {
    memory_size(memory.size_in_mb?, "$.Container.Memory.SizeInMB", facts, notes)
}

/// SizeInMB as bytes.
pub fn memory_size(size: u64, at: &str, facts: &HostFacts, notes: &mut Notes) -> Option<u64> {
    let bytes = size.checked_mul(1 << 20).filter(|bytes| i64::try_from(*bytes).is_ok());
    match bytes {
        None | Some(0) => notes.invalid(at, "not a size of memory in megabytes"),
        Some(_) if !facts.limits.memory => {
            notes.unsupported(at, "the memory of a container cannot be limited here");
        }
        bytes => return bytes,
    }
    None
}

/// Replaces the processor's part of `limits` by what is wanted.
pub fn processor(
    wanted: &ContainerProcessor,
    at: &str,
    facts: &HostFacts,
    limits: &mut Limits,
    notes: &mut Notes,
) {
    let ContainerProcessor { count, weight, maximum, .. } = wanted;
    let given = [count.is_some(), weight.is_some(), maximum.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        return notes.invalid(at, "Count, Maximum and Weight exclude each other");
    }
    (limits.quota, limits.weight) = (None, None);
    let cpus = u64::try_from(facts.cpus.len()).unwrap_or(u64::MAX).max(1);
    if let Some(count) = *count {
        let at = alloc::format!("{at}.Count");
        if count == 0 || u64::from(count) > cpus {
            notes.invalid(at, alloc::format!("the host has 1 to {cpus} processors to give"));
        } else {
            limits.quota = Some(Quota { time: u64::from(count) * PERIOD, period: PERIOD });
        }
    }
    if let Some(maximum) = *maximum {
        let at = alloc::format!("{at}.Maximum");
        match u64::try_from(maximum) {
            Ok(part) if (1..=WHOLE).contains(&maximum) => {
                let time = (part * cpus * PERIOD / WHOLE.unsigned_abs()).max(SHORTEST);
                limits.quota = Some(Quota { time, period: PERIOD });
            }
            _ => notes.invalid(at, "1 to 10000, 10000 being all processors"),
        }
    }
    if let Some(weight) = *weight {
        match u32::try_from(weight) {
            Ok(share) if (0..=WHOLE).contains(&weight) => limits.weight = Some(share.max(1)),
            _ => notes.invalid(alloc::format!("{at}.Weight"), "0 to 10000, 100 being everybody's"),
        }
    }
    if !facts.limits.processor && (limits.quota.is_some() || limits.weight.is_some()) {
        let why = "the processors of a container cannot be limited here";
        notes.refuse(HResult::ERROR_NOT_SUPPORTED, at, why);
    }
}

fn storage(qos: &StorageQoS, facts: &HostFacts, limits: &mut Limits, notes: &mut Notes) {
    limits.iops = qos.iops_maximum.filter(|most| *most > 0);
    limits.bandwidth = qos.bandwidth_maximum.filter(|most| *most > 0);
    if !facts.limits.storage && (limits.iops.is_some() || limits.bandwidth.is_some()) {
        let why = "reads and writes of a container cannot be limited here";
        notes.unsupported("$.Container.Storage.QoS", why);
    }
}
