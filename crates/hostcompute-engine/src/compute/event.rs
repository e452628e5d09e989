//! What the holders of handles are told (hcs.md 1.7): numbers, names, data.

use hostcompute_schema::Document;
use hostcompute_schema::hcs::{ProcessStatus, SystemExitStatus};
use serde_json::Value;

/// HCS_EVENT_TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum EventType {
    Invalid = 0,
    SystemExited = 1,
    SystemCrashInitiated = 2,
    SystemCrashReport = 3,
    SystemRdpEnhancedModeStateChanged = 4,
    SystemSiloJobCreated = 5,
    SystemGuestConnectionClosed = 6,
    ProcessExited = 0x0001_0000,
    OperationCallback = 0x0100_0000,
    ServiceDisconnect = 0x0200_0000,
    GroupVmLifecycle = 0x8000_0002,
    GroupLiveMigration = 0x8000_0003,
    GroupOperationInfo = 0xc000_0001,
}

impl EventType {
    /// Every type.
    pub const ALL: &'static [EventType] = &[
        Self::Invalid,
        Self::SystemExited,
        Self::SystemCrashInitiated,
        Self::SystemCrashReport,
        Self::SystemRdpEnhancedModeStateChanged,
        Self::SystemSiloJobCreated,
        Self::SystemGuestConnectionClosed,
        Self::ProcessExited,
        Self::OperationCallback,
        Self::ServiceDisconnect,
        Self::GroupVmLifecycle,
        Self::GroupLiveMigration,
        Self::GroupOperationInfo,
    ];

    /// The name in HCS_EVENT_TYPE, without its prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::SystemExited => "SystemExited",
            Self::SystemCrashInitiated => "SystemCrashInitiated",
            Self::SystemCrashReport => "SystemCrashReport",
            Self::SystemRdpEnhancedModeStateChanged => "SystemRdpEnhancedModeStateChanged",
            Self::SystemSiloJobCreated => "SystemSiloJobCreated",
            Self::SystemGuestConnectionClosed => "SystemGuestConnectionClosed",
            Self::ProcessExited => "ProcessExited",
            Self::OperationCallback => "OperationCallback",
            Self::ServiceDisconnect => "ServiceDisconnect",
            Self::GroupVmLifecycle => "GroupVmLifecycle",
            Self::GroupLiveMigration => "GroupLiveMigration",
            Self::GroupOperationInfo => "GroupOperationInfo",
        }
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.name() == name)
    }
}

/// Something that the holders of a system's handles are told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The last event of the system.
    SystemExited(SystemExitStatus),
    /// Goes to who holds a handle of that process.
    ProcessExited(ProcessStatus),
}

impl Event {
    pub fn kind(&self) -> EventType {
        match self {
            Self::SystemExited(_) => EventType::SystemExited,
            Self::ProcessExited(_) => EventType::ProcessExited,
        }
    }

    /// EventData.
    pub fn data(&self) -> Value {
        match self {
            Self::SystemExited(status) => status.to_value(),
            Self::ProcessExited(status) => status.to_value(),
        }
    }

    /// The process that it is about.
    pub fn process(&self) -> Option<u32> {
        match self {
            Self::SystemExited(_) => None,
            Self::ProcessExited(status) => status.process_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_published_numbers_and_names() {
        for (number, name) in [
            (0, "Invalid"),
            (1, "SystemExited"),
            (2, "SystemCrashInitiated"),
            (3, "SystemCrashReport"),
            (4, "SystemRdpEnhancedModeStateChanged"),
            (5, "SystemSiloJobCreated"),
            (6, "SystemGuestConnectionClosed"),
            (0x0001_0000, "ProcessExited"),
            (0x0100_0000, "OperationCallback"),
            (0x0200_0000, "ServiceDisconnect"),
            (0x8000_0002, "GroupVmLifecycle"),
            (0x8000_0003, "GroupLiveMigration"),
            (0xc000_0001_u32, "GroupOperationInfo"),
        ] {
            let event = EventType::from_name(name).expect("published");
            assert_eq!((event as u32, event.name()), (number, name));
        }
        assert_eq!(EventType::ALL.len(), 13);
    }
}
