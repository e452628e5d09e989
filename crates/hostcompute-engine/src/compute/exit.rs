//! How the end of a system and of its processes is reported (hcs.md 2.2 and 2.3): one place for status, type and attribution.

use alloc::vec;
use alloc::vec::Vec;

use hostcompute_schema::HResult;
use hostcompute_schema::hcs::{
    AttributionRecord, ExitInitiator, NotificationType, OperationFailure, OperationFailureDetail,
    ProcessStatus, SystemExit, SystemExitDetail, SystemExitStatus, WorkerExit, WorkerExitDetail,
    WorkerExitType,
};

use super::worker::{self, Cause, End};

/// The document of event SystemExited and of HcsWaitForComputeSystemExit.
pub fn system_status(end: &End) -> SystemExitStatus {
    SystemExitStatus {
        status: Some(signed(hresult(end))),
        exit_type: Some(exit_type(&end.cause)),
        attribution: Some(attribution(&end.cause)),
        ..SystemExitStatus::default()
    }
}

/// GracefulExit, ForcedExit or UnexpectedExit.
pub fn exit_type(cause: &Cause) -> NotificationType {
    match cause {
        Cause::Terminated | Cause::LastHandleClosed | Cause::ServiceStopped => {
            NotificationType::ForcedExit
        }
        Cause::ShutDown | Cause::PoweredOff => NotificationType::GracefulExit,
        Cause::StartFailed(_) | Cause::WorkerDied | Cause::Crashed(_) => {
            NotificationType::UnexpectedExit
        }
    }
}

/// What a call is told that was under way when the system ended.
pub fn interrupted(end: &End) -> HResult {
    match exit_type(&end.cause) {
        NotificationType::ForcedExit => HResult::HCS_E_TERMINATED,
        NotificationType::GracefulExit => HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
        _ => HResult::HCS_E_UNEXPECTED_EXIT,
    }
}

fn hresult(end: &End) -> HResult {
    match &end.cause {
        Cause::StartFailed(fault) => fault.hresult,
        Cause::WorkerDied => HResult::HCS_E_UNEXPECTED_EXIT,
        Cause::Crashed(_) if end.out_of_memory => HResult::E_OUTOFMEMORY,
        Cause::Crashed(_) => HResult::HCS_E_UNEXPECTED_EXIT,
        _ => HResult::S_OK,
    }
}

fn attribution(cause: &Cause) -> Vec<AttributionRecord> {
    match cause {
        Cause::Terminated | Cause::LastHandleClosed => {
            vec![system_exit(SystemExitDetail::Terminate, ExitInitiator::Client)]
        }
        Cause::ShutDown => vec![system_exit(SystemExitDetail::Shutdown, ExitInitiator::Client)],
        Cause::PoweredOff => vec![
            system_exit(SystemExitDetail::Shutdown, ExitInitiator::GuestOS),
            worker_exit(
                WorkerExitType::Stopped,
                WorkerExitDetail::PowerOff,
                ExitInitiator::GuestOS,
            ),
        ],
        Cause::ServiceStopped => {
            vec![system_exit(SystemExitDetail::ServiceStop, ExitInitiator::Internal)]
        }
        Cause::StartFailed(_) => vec![operation_failure(OperationFailureDetail::Start)],
        Cause::WorkerDied => vec![worker_exit(
            WorkerExitType::UnexpectedStop,
            WorkerExitDetail::ProcessUnexpectedExit,
            ExitInitiator::Unknown,
        )],
        Cause::Crashed(_) => vec![
            system_exit(SystemExitDetail::UnexpectedExit, ExitInitiator::GuestOS),
            worker_exit(
                WorkerExitType::UnrecoverableError,
                WorkerExitDetail::GuestCrash,
                ExitInitiator::GuestOS,
            ),
        ],
    }
}

fn system_exit(detail: SystemExitDetail, initiator: ExitInitiator) -> AttributionRecord {
    let exit =
        SystemExit { detail: Some(detail), initiator: Some(initiator), ..SystemExit::default() };
    AttributionRecord { system_exit: Some(exit), ..AttributionRecord::default() }
}

fn worker_exit(
    kind: WorkerExitType,
    detail: WorkerExitDetail,
    initiator: ExitInitiator,
) -> AttributionRecord {
    let exit = WorkerExit {
        kind: Some(kind),
        detail: Some(detail),
        initiator: Some(initiator),
        ..WorkerExit::default()
    };
    AttributionRecord { worker_exit: Some(exit), ..AttributionRecord::default() }
}

/// An attribution that says which operation failed.
pub fn operation_failure(detail: OperationFailureDetail) -> AttributionRecord {
    let failure = OperationFailure { detail: Some(detail), ..OperationFailure::default() };
    AttributionRecord { operation_failure: Some(failure), ..AttributionRecord::default() }
}

/// A process that has ended by itself or was killed.
pub fn process_exited(pid: u32, status: worker::ProcessStatus) -> ProcessStatus {
    ProcessStatus {
        process_id: Some(pid),
        exited: Some(true),
        exit_code: Some(status.code()),
        last_wait_result: Some(0),
        ..ProcessStatus::default()
    }
}

/// A process that has ended with its system, nobody knows how.
pub fn process_lost(pid: u32) -> ProcessStatus {
    ProcessStatus {
        process_id: Some(pid),
        exited: Some(true),
        last_wait_result: Some(signed(HResult::HCS_E_SYSTEM_ALREADY_STOPPED)),
        ..ProcessStatus::default()
    }
}

/// A process that runs.
pub fn process_running(pid: u32) -> ProcessStatus {
    ProcessStatus { process_id: Some(pid), exited: Some(false), ..ProcessStatus::default() }
}

/// An HRESULT as the documents print it.
pub fn signed(hresult: HResult) -> i32 {
    hresult.0.cast_signed()
}
