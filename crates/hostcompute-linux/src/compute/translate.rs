//! The engine's words and the supervisor's.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hostcompute_engine::compute as engine;
use hostcompute_engine::compute::{End, Found, Happening, Phase, ProcessEntry, ProcessFound};
use hostcompute_schema::HResult;
use hostcompute_supervisor::launch::{Limits, Mount, Quota};
use hostcompute_supervisor::message::{
    Cause, Exit, Inspection, Moment, Notice, ProcessDetails, ProcessLaunch, Refusal, RefusalKind,
    Size, State, Statistics, Status, Streams,
};

use super::fault;

/// In 100 ns since 1970.
pub(super) fn moment(moment: Moment) -> u64 {
    moment.0 / 100
}

/// What is told of a notice; nothing of those that concern one reader alone.
pub(super) fn happening(notice: &Notice) -> Option<Happening> {
    Some(match notice {
        Notice::State(state) => Happening::Phase(phase(*state)),
        Notice::ProcessCreated { pid } => Happening::ProcessCreated { pid: *pid },
        Notice::ProcessExited { pid, status } => {
            Happening::ProcessExited { pid: *pid, status: self::status(*status) }
        }
        Notice::OutOfMemory => Happening::OutOfMemory,
        Notice::ReaderCut { .. } => return None,
        Notice::Exited(exit) => Happening::Exited(end(exit)),
    })
}

fn phase(state: State) -> Phase {
    match state {
        State::Created => Phase::Created,
        State::Running => Phase::Running,
        State::Paused => Phase::Paused,
    }
}

fn status(status: Status) -> engine::ProcessStatus {
    match status {
        Status::Exited(code) => engine::ProcessStatus::Exited(code.into()),
        Status::Killed(signal) => engine::ProcessStatus::Killed(engine::Signal(signal)),
    }
}

pub(super) fn end(exit: &Exit) -> End {
    let cause = match &exit.cause {
        Cause::Terminated => engine::Cause::Terminated,
        Cause::LastHandleClosed => engine::Cause::LastHandleClosed,
        Cause::ShutDown => engine::Cause::ShutDown,
        Cause::PoweredOff => engine::Cause::PoweredOff,
        Cause::ServiceStopped => engine::Cause::ServiceStopped,
        Cause::StartFailed(refusal) => engine::Cause::StartFailed(fault::of(refusal.clone())),
        Cause::WorkerDied => engine::Cause::WorkerDied,
        Cause::Crashed(words) => engine::Cause::Crashed(words.clone()),
    };
    End { cause, out_of_memory: exit.out_of_memory }
}

/// Why the engine wants a system to end.
pub(super) fn cause(cause: engine::Cause) -> Cause {
    match cause {
        engine::Cause::Terminated => Cause::Terminated,
        engine::Cause::LastHandleClosed => Cause::LastHandleClosed,
        engine::Cause::ShutDown => Cause::ShutDown,
        engine::Cause::PoweredOff => Cause::PoweredOff,
        engine::Cause::ServiceStopped => Cause::ServiceStopped,
        engine::Cause::StartFailed(fault) => {
            let message = fault.message;
            Cause::StartFailed(Refusal { kind: RefusalKind::Failed, errno: None, message })
        }
        engine::Cause::WorkerDied => Cause::WorkerDied,
        engine::Cause::Crashed(words) => Cause::Crashed(words),
    }
}

pub(super) fn found(inspection: &Inspection) -> Found {
    let processes = inspection.processes.iter().map(|process| ProcessFound {
        pid: process.pid,
        console: process.terminal,
        status: process.status.map(status),
    });
    Found {
        phase: phase(inspection.state),
        limits: engine_limits(&inspection.limits),
        processes: processes.collect(),
    }
}

/// The engine's limits, for disks with these numbers.
pub(super) fn limits(limits: &engine::Limits, disk: Option<(u32, u32)>) -> Limits {
    let bounds_disk = limits.iops.is_some() || limits.bandwidth.is_some();
    Limits {
        memory_bytes: limits.memory,
        cpu_quota: limits.quota.map(|quota| Quota { time: quota.time, period: quota.period }),
        cpu_weight: limits.weight.map(u64::from),
        cpu_set: limits.cpus.as_ref().map(|cpus| {
            let names: Vec<String> = cpus.iter().map(u32::to_string).collect();
            names.join(",")
        }),
        io_operations: limits.iops,
        io_bytes: limits.bandwidth,
        io_devices: disk.filter(|_| bounds_disk).into_iter().collect(),
        processes: None,
    }
}

fn engine_limits(limits: &Limits) -> engine::Limits {
    engine::Limits {
        memory: limits.memory_bytes,
        quota: limits
            .cpu_quota
            .map(|quota| engine::Quota { time: quota.time, period: quota.period }),
        weight: limits.cpu_weight.and_then(|weight| u32::try_from(weight).ok()),
        cpus: limits
            .cpu_set
            .as_ref()
            .map(|text| text.split(',').filter_map(|name| name.parse().ok()).collect()),
        iops: limits.io_operations,
        bandwidth: limits.io_bytes,
    }
}

pub(super) fn mount(mount: &engine::Mount) -> Mount {
    Mount {
        source: PathBuf::from(&mount.host_path),
        target: PathBuf::from(&mount.container_path),
        read_only: mount.read_only,
        identity: None,
    }
}

pub(super) fn pipe(pipe: &engine::Pipe) -> Mount {
    Mount {
        source: PathBuf::from(&pipe.host_path),
        target: pipe_target(&pipe.name),
        read_only: false,
        identity: None,
    }
}

/// Where a pipe is seen.
pub(super) fn pipe_target(name: &str) -> PathBuf {
    PathBuf::from("/run/pipes").join(name)
}

pub(super) fn process(process: &engine::ProcessLaunch) -> ProcessLaunch {
    ProcessLaunch {
        program: process.application.clone(),
        arguments: process.arguments.clone(),
        environment: process.environment.clone(),
        directory: process.directory.clone().unwrap_or_default(),
        user: process.user.clone().unwrap_or_default(),
        terminal: process.console.map(size),
        streams: Streams { input: process.stdin, output: process.stdout, error: process.stderr },
        restricted: process.restricted,
    }
}

pub(super) fn size(size: engine::ConsoleSize) -> Size {
    Size { rows: size.rows, columns: size.columns }
}

pub(super) fn statistics(statistics: &Statistics) -> engine::Statistics {
    let usage = &statistics.group;
    engine::Statistics {
        timestamp: moment(statistics.at),
        started: moment(statistics.started),
        processor_total: usage.processor_total,
        processor_user: usage.processor_user,
        processor_kernel: usage.processor_kernel,
        memory_commit: usage.memory,
        memory_commit_peak: usage.memory_peak,
        memory_private: usage.memory_anonymous,
        read_count: usage.read_count,
        read_bytes: usage.read_bytes,
        write_count: usage.write_count,
        write_bytes: usage.write_bytes,
    }
}

pub(super) fn entry(details: ProcessDetails) -> ProcessEntry {
    ProcessEntry {
        pid: details.pid,
        image_name: details.name,
        created: moment(details.created),
        user_time: details.user_time,
        kernel_time: details.kernel_time,
        memory_commit: details.memory_commit,
        working_set_private: details.memory_private,
        working_set_shared: details.memory_shared,
    }
}

/// The device nodes that patterns name; sorted, no one twice.
pub(super) fn device_paths(devices: &engine::DeviceNodes) -> Result<Vec<PathBuf>, engine::Fault> {
    let mut found = BTreeSet::new();
    for pattern in devices.patterns.iter().map(PathBuf::from) {
        let (Some(parent), Some(name)) = (pattern.parent(), pattern.file_name()) else { continue };
        let name = name.to_string_lossy();
        let Some(begin) = name.strip_suffix('*') else {
            if pattern.exists() {
                found.insert(pattern.clone());
            }
            continue;
        };
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let fitting = entries.filter(|entry| {
            entry.file_name().to_string_lossy().starts_with(begin)
                && entry.file_type().is_ok_and(|kind| !kind.is_dir())
        });
        found.extend(fitting.map(|entry| entry.path()));
    }
    if found.is_empty() {
        let message = format!("the host has no device {}", devices.patterns.join(", "));
        return Err(engine::Fault::new(HResult::ERROR_NOT_FOUND, message));
    }
    Ok(found.into_iter().collect())
}
