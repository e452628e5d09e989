//! What can be asked of compute systems, and when: the table of hcs.md 2.1, once.

use hostcompute_schema::HResult;
use hostcompute_schema::hcs::{OperationFailureDetail, State};
use hostcompute_schema::operation::Right;

use super::operation::OperationType;

/// A call of the API that goes to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    Enumerate,
    Create,
    Open,
    Start,
    ShutDown,
    Terminate,
    Pause,
    Resume,
    Save,
    Crash,
    /// Properties that every system has, at any time.
    GetProperties,
    /// Properties that must be measured: Statistics, ProcessList, Memory, GuestConnection.
    Measure,
    Modify,
    /// Modifying what a system may have before it runs: its network.
    ModifyNetwork,
    CreateProcess,
    OpenProcess,
    GetProcessInfo,
    GetProcessProperties,
    ModifyProcess,
    SignalProcess,
    TerminateProcess,
    WaitForExit,
    GetServiceProperties,
    ModifyService,
}

/// What a state says to a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Legal,
    /// HCS_E_INVALID_STATE.
    Invalid,
    /// HCS_E_SYSTEM_ALREADY_STOPPED.
    Stopped,
}

use Cell::{Invalid as NO, Legal as OK, Stopped as GONE};

/// What is legal when. Where hcs.md 2.1 says "partly" or leaves a choice, the choice is here: measuring works on a paused system
/// (its processes are where they were), an OpenProcess or CreateProcess there is refused instead of blocking. Only Save of a system
/// that runs, and what is refused after the end, are documented by Microsoft; correct the cell when a real host says otherwise.
///
/// | | Created | Running | Paused | SavedAsTemplate | Stopped |
const LEGAL: &[(Verb, [Cell; 5])] = &[
    (Verb::Start, [OK, NO, NO, NO, GONE]),
    (Verb::ShutDown, [NO, OK, NO, NO, GONE]),
    (Verb::Terminate, [OK, OK, OK, OK, GONE]),
    (Verb::Pause, [NO, OK, NO, NO, GONE]),
    (Verb::Resume, [NO, NO, OK, NO, GONE]),
    (Verb::Save, [NO, NO, OK, NO, GONE]),
    (Verb::Crash, [NO, OK, NO, NO, GONE]),
    (Verb::GetProperties, [OK, OK, OK, OK, OK]),
    (Verb::Measure, [NO, OK, OK, NO, GONE]),
    (Verb::Modify, [NO, OK, NO, NO, GONE]),
    (Verb::ModifyNetwork, [OK, OK, NO, NO, GONE]),
    (Verb::CreateProcess, [NO, OK, NO, NO, GONE]),
    (Verb::OpenProcess, [NO, OK, NO, NO, GONE]),
    (Verb::WaitForExit, [OK, OK, OK, OK, OK]),
];

/// Whether `verb` is legal in `state`. What concerns no single system, or a process that is there, is always legal here.
///
/// # Errors
/// HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED.
pub fn legal(verb: Verb, state: &State) -> Result<(), HResult> {
    let Some((_, cells)) = LEGAL.iter().find(|(row, _)| *row == verb) else { return Ok(()) };
    let [created, running, paused, template, stopped] = cells;
    let cell = match state {
        State::Created => created,
        State::Running => running,
        State::Paused => paused,
        State::SavedAsTemplate => template,
        _ => stopped,
    };
    match cell {
        Cell::Legal => Ok(()),
        Cell::Invalid => Err(HResult::HCS_E_INVALID_STATE),
        Cell::Stopped => Err(HResult::HCS_E_SYSTEM_ALREADY_STOPPED),
    }
}

impl Verb {
    /// The right that a caller needs.
    pub fn right(self) -> Right {
        match self {
            Self::Enumerate
            | Self::Open
            | Self::GetProperties
            | Self::Measure
            | Self::OpenProcess
            | Self::GetProcessProperties
            | Self::WaitForExit
            | Self::GetServiceProperties => Right::Read,
            _ => Right::Manage,
        }
    }

    /// The type of an operation that tracks the call (hcs.md 1.2). TerminateProcess has none of its own.
    pub fn operation(self) -> OperationType {
        match self {
            Self::Enumerate => OperationType::Enumerate,
            Self::Create => OperationType::Create,
            Self::Start => OperationType::Start,
            Self::ShutDown => OperationType::Shutdown,
            Self::Terminate => OperationType::Terminate,
            Self::Pause => OperationType::Pause,
            Self::Resume => OperationType::Resume,
            Self::Save => OperationType::Save,
            Self::Crash => OperationType::Crash,
            Self::GetProperties | Self::Measure => OperationType::GetProperties,
            Self::Modify | Self::ModifyNetwork => OperationType::Modify,
            Self::CreateProcess => OperationType::CreateProcess,
            Self::GetProcessInfo => OperationType::GetProcessInfo,
            Self::GetProcessProperties => OperationType::GetProcessProperties,
            Self::ModifyProcess => OperationType::ModifyProcess,
            Self::SignalProcess | Self::TerminateProcess => OperationType::SignalProcess,
            Self::Open
            | Self::OpenProcess
            | Self::WaitForExit
            | Self::GetServiceProperties
            | Self::ModifyService => OperationType::None,
        }
    }

    /// What a failure of it is called in a ResultError document; none where the schema has no word.
    pub fn failure_detail(self) -> Option<OperationFailureDetail> {
        Some(match self {
            Self::Create => OperationFailureDetail::Construct,
            Self::Start => OperationFailureDetail::Start,
            Self::ShutDown => OperationFailureDetail::Shutdown,
            Self::Terminate => OperationFailureDetail::Terminate,
            Self::Pause => OperationFailureDetail::Pause,
            Self::Resume => OperationFailureDetail::Resume,
            Self::Save => OperationFailureDetail::Save,
            Self::Crash => OperationFailureDetail::Crash,
            Self::GetProperties | Self::Measure => OperationFailureDetail::GetProperties,
            Self::Modify | Self::ModifyNetwork => OperationFailureDetail::Modify,
            Self::CreateProcess => OperationFailureDetail::ExecuteProcess,
            Self::GetProcessInfo => OperationFailureDetail::GetProcessInfo,
            Self::ModifyProcess => OperationFailureDetail::ModifyProcess,
            Self::SignalProcess | Self::TerminateProcess => OperationFailureDetail::SignalProcess,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// hcs.md 2.1, as it is printed there.
    #[test]
    fn lc_the_table_is_the_published_one() {
        let states =
            [State::Created, State::Running, State::Paused, State::SavedAsTemplate, State::Stopped];
        let read = |cell: &str| match cell {
            "ok" => Ok(()),
            "no" => Err(HResult::HCS_E_INVALID_STATE),
            _ => Err(HResult::HCS_E_SYSTEM_ALREADY_STOPPED),
        };
        for (verb, cells) in [
            (Verb::Start, "ok no no no gone"),
            (Verb::ShutDown, "no ok no no gone"),
            (Verb::Terminate, "ok ok ok ok gone"),
            (Verb::Pause, "no ok no no gone"),
            (Verb::Resume, "no no ok no gone"),
            (Verb::Save, "no no ok no gone"),
            (Verb::Crash, "no ok no no gone"),
            (Verb::GetProperties, "ok ok ok ok ok"),
            (Verb::Measure, "no ok ok no gone"),
            (Verb::Modify, "no ok no no gone"),
            (Verb::ModifyNetwork, "ok ok no no gone"),
            (Verb::CreateProcess, "no ok no no gone"),
            (Verb::OpenProcess, "no ok no no gone"),
            (Verb::WaitForExit, "ok ok ok ok ok"),
        ] {
            for (state, cell) in states.iter().zip(cells.split(' ')) {
                assert_eq!(legal(verb, state), read(cell), "{verb:?} while {state}");
            }
        }
    }

    #[test]
    fn operations_have_the_published_numbers() {
        for (verb, number) in [
            (Verb::Open, -1),
            (Verb::Enumerate, 0),
            (Verb::Create, 1),
            (Verb::Start, 2),
            (Verb::ShutDown, 3),
            (Verb::Pause, 4),
            (Verb::Resume, 5),
            (Verb::Save, 6),
            (Verb::Terminate, 7),
            (Verb::Modify, 8),
            (Verb::GetProperties, 9),
            (Verb::CreateProcess, 10),
            (Verb::SignalProcess, 11),
            (Verb::GetProcessInfo, 12),
            (Verb::GetProcessProperties, 13),
            (Verb::ModifyProcess, 14),
            (Verb::Crash, 15),
        ] {
            assert_eq!(verb.operation() as i32, number, "{verb:?}");
        }
    }
}
