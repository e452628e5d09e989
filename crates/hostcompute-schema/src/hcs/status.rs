//! What is told of ends, failures and crashes (hcs.md 3.10).

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{DateTime, NotificationType};
use crate::guid::Guid;

documents! { @compute
    /// Why an operation failed.
    pub struct ResultError("ResultError") {
        /// The code, as a signed number.
        error: Option<i32> = "Error" ["2.1"],
        /// What was wrong.
        error_message: Option<String> = "ErrorMessage" ["2.1"],
        /// What led to it.
        error_events: Option<Vec<ErrorEvent>> = "ErrorEvents" ["2.4"],
        /// What it is owed to.
        attribution: Option<Vec<AttributionRecord>> = "Attribution" ["2.4"],
    }

    /// One event that led to a failure.
    pub struct ErrorEvent("ErrorEvent") {
        /// What happened.
        message: Option<String> = "Message" ["2.1"],
        /// Where in the program.
        stack_trace: Option<String> = "StackTrace" ["2.1"],
        /// Who tells it.
        provider: Option<Guid> = "Provider" ["2.1"],
        /// The number of the event.
        event_id: Option<u16> = "EventId" ["2.1"],
        /// Properties of the event.
        flags: Option<u32> = "Flags" ["2.1"],
        /// The part of the program that tells it.
        source: Option<String> = "Source" ["2.1"],
        /// Its data.
        data: Option<Vec<EventData>> = "Data" ["2.1"],
    }

    /// One datum of an event.
    pub struct EventData("EventData") {
        /// What it is.
        kind: Option<EventDataType> = "Type" ["2.1"],
        /// The datum as text.
        value: Option<String> = "Value" ["2.1"],
    }

    /// What a failure or an end is owed to; exactly one member.
    pub struct AttributionRecord("AttributionRecord") {
        /// The process that carried the system ended.
        worker_exit: Option<WorkerExit> = "WorkerExit" ["2.4"],
        /// The guest crashed.
        guest_crash: Option<GuestCrash> = "GuestCrash" ["2.4"],
        /// A processor of the guest gave up.
        triple_fault: Option<TripleFault> = "TripleFault" ["2.4"],
        /// The guest was made to crash.
        inject_non_maskable_interrupt: Option<InjectNonMaskableInterrupt> =
            "InjectNonMaskableInterrupt" ["2.4"],
        /// An operation failed.
        operation_failure: Option<OperationFailure> = "OperationFailure" ["2.4"],
        /// The system ended.
        system_exit: Option<SystemExit> = "SystemExit" ["2.4"],
        /// A device failed.
        virtual_device_failure: Option<VirtualDeviceFailure> = "VirtualDeviceFailure" ["2.4"],
    }

    /// The process that carried a system ended.
    pub struct WorkerExit("WorkerExit") {
        /// What it ended with.
        exit_code: Option<u32> = "ExitCode" ["2.4"],
        /// What sort of end it was.
        kind: Option<WorkerExitType> = "Type" ["2.4"],
        /// What led to it.
        detail: Option<WorkerExitDetail> = "Detail" ["2.4"],
        /// Who wanted it.
        initiator: Option<ExitInitiator> = "Initiator" ["2.4"],
    }

    /// A guest crashed.
    pub struct GuestCrash("GuestCrash") {
        /// The code and the four numbers that the guest left.
        crash_parameters: Option<Vec<u64>> = "CrashParameters" ["2.4"],
    }

    /// A processor of a guest gave up.
    pub struct TripleFault("TripleFault") {
        /// What sort of fault it was.
        error_type: Option<u64> = "ErrorType" ["2.4"],
    }

    /// A guest was made to crash.
    pub struct InjectNonMaskableInterrupt("InjectNonMaskableInterrupt", "2.4") {}

    /// An operation failed.
    pub struct OperationFailure("OperationFailure") {
        /// Which.
        detail: Option<OperationFailureDetail> = "Detail" ["2.4"],
    }

    /// A system ended.
    pub struct SystemExit("SystemExit") {
        /// How.
        detail: Option<SystemExitDetail> = "Detail" ["2.4"],
        /// Who wanted it.
        initiator: Option<ExitInitiator> = "Initiator" ["2.4"],
    }

    /// A device of a virtual machine failed.
    pub struct VirtualDeviceFailure("VirtualDeviceFailure") {
        /// What it was doing.
        detail: Option<VirtualDeviceFailureDetail> = "Detail" ["2.4"],
        /// Its name.
        name: Option<String> = "Name" ["2.4"],
        /// The sort of device.
        device_id: Option<Guid> = "DeviceId" ["2.4"],
        /// The device.
        instance_id: Option<Guid> = "InstanceId" ["2.4"],
    }

    /// How a compute system ended.
    pub struct SystemExitStatus("SystemExitStatus") {
        /// The code, as a signed number; 0 when all was well.
        status: Option<i32> = "Status" ["2.1"],
        /// What sort of end it was.
        exit_type: Option<NotificationType> = "ExitType" ["2.2"],
        /// What it is owed to.
        attribution: Option<Vec<AttributionRecord>> = "Attribution" ["2.4"],
    }

    /// The crash of a guest.
    pub struct CrashReport("CrashReport") {
        /// The id of the system.
        system_id: Option<String> = "SystemId" ["2.1"],
        /// The id under which this crash is logged.
        activity_id: Option<Guid> = "ActivityId" ["2.1"],
        /// What Windows left.
        windows_crash_info: Option<WindowsCrashReport> = "WindowsCrashInfo" ["2.1"],
        /// The code and the four numbers that the guest left.
        crash_parameters: Option<Vec<u64>> = "CrashParameters" ["2.3"],
        /// The text that the guest left.
        crash_log: Option<String> = "CrashLog" ["2.3"],
        /// How handling the crash ended.
        status: Option<i32> = "Status" ["2.4"],
        /// Which program ran before the operating system.
        pre_os_id: Option<u32> = "PreOSId" ["2.4"],
        /// Whether the guest could not save its stack.
        crash_stack_unavailable: Option<bool> = "CrashStackUnavailable" ["2.4"],
        /// The state that was saved at the crash.
        guest_crash_save_info: Option<GuestCrashSaveInfo> = "GuestCrashSaveInfo" [],
    }

    /// The state that was saved when a guest crashed.
    pub struct GuestCrashSaveInfo("GuestCrashSaveInfo") {
        /// The file.
        save_state_file: Option<String> = "SaveStateFile" [],
        /// How saving ended.
        status: Option<i32> = "Status" [],
    }

    /// What Windows left when it crashed.
    pub struct WindowsCrashReport("WindowsCrashReport") {
        /// The file with its memory; valid when it is complete.
        dump_file: Option<String> = "DumpFile" ["2.1"],
        /// The version's first number.
        os_major_version: Option<u32> = "OsMajorVersion" ["2.1"],
        /// The version's second number.
        os_minor_version: Option<u32> = "OsMinorVersion" ["2.1"],
        /// The number of the build.
        os_build_number: Option<u32> = "OsBuildNumber" ["2.1"],
        /// The service pack's first number.
        os_service_pack_major_version: Option<u32> = "OsServicePackMajorVersion" ["2.1"],
        /// The service pack's second number.
        os_service_pack_minor_version: Option<u32> = "OsServicePackMinorVersion" ["2.1"],
        /// The editions, as bits.
        os_suite_mask: Option<u32> = "OsSuiteMask" ["2.1"],
        /// Workstation or server, as a number.
        os_product_type: Option<u32> = "OsProductType" ["2.1"],
        /// How writing the memory ended.
        status: Option<i32> = "Status" ["2.1"],
        /// How far writing the memory got.
        final_phase: Option<WindowsCrashPhase> = "FinalPhase" ["2.1"],
    }

    /// Something that happened to a compute system, as HCS_EVENT tells it.
    pub struct ComputeEvent("ComputeEvent", "2.1") {
        /// The value in HCS_EVENT_TYPE.
        kind: Option<u32> = "Type" [],
        /// The process that it is about, where it is about one.
        process_id: Option<u32> = "ProcessId" [],
        /// EventData: a document, or nothing.
        data: Option<Value> = "Data" [],
    }

    /// What is known of one operation.
    pub struct OperationInfo("OperationInfo") {
        /// What it did.
        operation: Option<OperationType> = "Operation" ["2.6"],
        /// When it began.
        start_timestamp: Option<DateTime> = "StartTimestamp" ["2.6"],
        /// When it ended.
        end_timestamp: Option<DateTime> = "EndTimestamp" ["2.6"],
        /// Why it failed; absent when it did not.
        failure_info: Option<OperationFailureInfo> = "FailureInfo" ["2.6"],
    }

    /// Why an operation failed.
    pub struct OperationFailureInfo("OperationFailureInfo") {
        /// The code, as a signed number.
        result: Option<i32> = "Result" ["2.6"],
    }

    /// What is told while an operation is carried out.
    pub struct OperationNotificationInfo("OperationNotificationInfo", "2.6") {}

    /// How far an operation has got.
    pub struct OperationProgress("OperationProgress", "2.6") {}
}

names! {
    /// What a datum of an event is.
    pub enum EventDataType {
        /// Nothing.
        Empty ["2.1"],
        /// A text.
        String ["2.1"],
        /// A text in an older encoding.
        AnsiString ["2.1"],
        /// A signed number of 8 bits.
        SByte ["2.1"],
        /// A number of 8 bits.
        Byte ["2.1"],
        /// A signed number of 16 bits.
        Int16 ["2.1"],
        /// A number of 16 bits.
        UInt16 ["2.1"],
        /// A signed number of 32 bits.
        Int32 ["2.1"],
        /// A number of 32 bits.
        UInt32 ["2.1"],
        /// A signed number of 64 bits.
        Int64 ["2.1"],
        /// A number of 64 bits.
        UInt64 ["2.1"],
        /// A fraction of 32 bits.
        Single ["2.1"],
        /// A fraction of 64 bits.
        Double ["2.1"],
        /// True or false.
        Boolean ["2.1"],
        /// Bytes.
        Binary ["2.1"],
        /// A GUID.
        Guid ["2.1"],
    }

    /// Who wanted an end.
    pub enum ExitInitiator {
        /// Nobody.
        None ["2.4"],
        /// The guest.
        GuestOS ["2.4"],
        /// Whoever uses the API.
        Client ["2.4"],
        /// The service itself.
        Internal ["2.4"],
        /// Nobody knows.
        Unknown ["2.4"],
    }

    /// How the process that carried a system ended.
    pub enum WorkerExitType {
        /// It has not ended.
        None ["2.4"],
        /// It could not begin.
        InitializationFailed ["2.4"],
        /// It was stopped.
        Stopped ["2.4"],
        /// It was saved.
        Saved ["2.4"],
        /// The guest reset itself, which ends it.
        StoppedOnReset ["2.4"],
        /// It stopped without being asked to.
        UnexpectedStop ["2.4"],
        /// It could not begin anew after a reset.
        ResetFailed ["2.4"],
        /// It could not go on.
        UnrecoverableError ["2.4"],
    }

    /// What led to the end of the process that carried a system.
    pub enum WorkerExitDetail {
        /// Nothing that is known.
        Invalid ["2.4"],
        /// The machine was turned off.
        PowerOff ["2.4"],
        /// The machine was turned off at once.
        PowerOffCritical ["2.4"],
        /// The machine was reset.
        Reset ["2.4"],
        /// The guest crashed.
        GuestCrash ["2.4"],
        /// The guest's firmware crashed.
        GuestFirmwareCrash ["2.4"],
        /// A processor gave up.
        TripleFault ["2.4"],
        /// A device met a fatal request to the interrupt controller.
        DeviceFatalApicRequest ["2.4"],
        /// A device met a fatal access to a processor's register.
        DeviceFatalMsrRequest ["2.4"],
        /// A device met a fatal exception.
        DeviceFatalException ["2.4"],
        /// A device met a fatal error.
        DeviceFatalError ["2.4"],
        /// A device met a machine check.
        DeviceMachineCheck ["2.4"],
        /// An instruction could not be emulated.
        EmulatorError ["2.4"],
        /// The hypervisor's driver wanted it.
        VidTerminate ["2.4"],
        /// The process died.
        ProcessUnexpectedExit ["2.4"],
        /// It could not begin.
        InitializationFailure ["2.4"],
        /// It did not begin in time.
        InitializationStartTimeout ["2.4"],
        /// The machine could not be turned on.
        ColdStartFailure ["2.4"],
        /// The machine could not be turned on after a reset.
        ResetStartFailure ["2.4"],
        /// The machine could not come back from a fast save.
        FastRestoreStartFailure ["2.4"],
        /// The machine could not come back from a save.
        RestoreStartFailure ["2.4"],
        /// Saved fast, the partition kept.
        FastSavePreservePartition ["2.4"],
        /// Saved fast, the partition kept, handles handed over.
        FastSavePreservePartitionHandleTransfer ["2.4"],
        /// Saved fast.
        FastSave ["2.4"],
        /// It became the parent of clones.
        CloneTemplate ["2.4"],
        /// Saved.
        Save ["2.4"],
        /// It moved to another host.
        Migrate ["2.4"],
        /// It could not move to another host.
        MigrateFailure ["2.4"],
        /// The machine cannot be referred to.
        CannotReferenceVm ["2.4"],
        /// Its management object was unregistered.
        MgotUnregister ["2.4"],
        /// Saved fast, the partition kept, storage handed over; no longer used.
        FastSavePreservePartitionHandleTransferStorage ["2.5"],
        /// Saved fast, the partition kept, networking handed over; no longer used.
        FastSavePreservePartitionHandleTransferNetworking ["2.5"],
        /// Saved fast, the partition kept, storage and networking handed over; no longer used.
        FastSavePreservePartitionHandleTransferStorageAndNetworking ["2.5"],
        /// Saved fast, the partition kept for a restart of the hypervisor.
        FastSavePreservePartitionHsr ["2.5"],
        /// Saved fast, the partition kept, with handles handed over.
        FastSavePreservePartitionWithHandleTransfer ["2.5"],
        /// Saved fast, with handles handed over.
        FastSaveWithHandleTransfer ["2.5"],
    }

    /// Which operation failed.
    pub enum OperationFailureDetail {
        /// None that is known.
        Invalid ["2.4"],
        /// Creating, inside the service.
        CreateInternalError ["2.4"],
        /// Making the state of a system.
        ConstructStateError ["2.4"],
        /// The operating system inside is not the one that was expected.
        RuntimeOsTypeMismatch ["2.4"],
        /// Creating.
        Construct ["2.4"],
        /// Starting.
        Start ["2.4"],
        /// Pausing.
        Pause ["2.4"],
        /// Resuming.
        Resume ["2.4"],
        /// Shutting down.
        Shutdown ["2.4"],
        /// Terminating.
        Terminate ["2.4"],
        /// Saving.
        Save ["2.4"],
        /// Telling properties.
        GetProperties ["2.4"],
        /// Modifying.
        Modify ["2.4"],
        /// Making it crash.
        Crash ["2.4"],
        /// Handling the guest's crash.
        GuestCrash ["2.4"],
        /// Telling the guest of a change.
        LifecycleNotify ["2.4"],
        /// Starting a process.
        ExecuteProcess ["2.4"],
        /// Telling what is known of a process.
        GetProcessInfo ["2.4"],
        /// Waiting for a process.
        WaitForProcess ["2.4"],
        /// Sending a signal to a process.
        SignalProcess ["2.4"],
        /// Modifying a process.
        ModifyProcess ["2.4"],
        /// Preparing a machine to host systems.
        PrepareForHosting ["2.4"],
        /// Taking in a hosted system.
        RegisterHostedSystem ["2.4"],
        /// Letting go of a hosted system.
        UnregisterHostedSystem ["2.4"],
        /// Preparing a machine to be cloned.
        PrepareForClone ["2.4"],
        /// Finding the template of a clone.
        GetCloneTemplate ["2.4"],
    }

    /// How a system ended.
    pub enum SystemExitDetail {
        /// Nothing is known.
        Invalid ["2.4"],
        /// The service failed.
        HcsApiFatalError ["2.4"],
        /// The service stopped.
        ServiceStop ["2.4"],
        /// It was shut down.
        Shutdown ["2.4"],
        /// It was terminated.
        Terminate ["2.4"],
        /// It ended without being asked to.
        UnexpectedExit ["2.4"],
    }

    /// What a device that failed was doing.
    pub enum VirtualDeviceFailureDetail {
        /// Nothing.
        None ["2.4"],
        /// It was being made.
        Create ["2.4"],
        /// It was being set up.
        Initialize ["2.4"],
        /// It began to reserve what it needs.
        StartReservingResources ["2.4"],
        /// It ended to reserve what it needs.
        FinishReservingResources ["2.4"],
        /// It gave back what it had reserved.
        FreeReservedResources ["2.4"],
        /// It saved what it had reserved.
        SaveReservedResources ["2.4"],
        /// It was being turned on.
        PowerOnCold ["2.4"],
        /// It was being turned on with a saved state.
        PowerOnRestore ["2.4"],
        /// It was being turned off.
        PowerOff ["2.4"],
        /// It was being saved.
        Save ["2.4"],
        /// It was being resumed.
        Resume ["2.4"],
        /// It was being paused.
        Pause ["2.4"],
        /// It was being made faster.
        EnableOptimizations ["2.4"],
        /// It began to give up what made it faster.
        StartDisableOptimizations ["2.4"],
        /// It ended to give up what made it faster.
        FinishDisableOptimizations ["2.4"],
        /// It was being reset.
        Reset ["2.4"],
        /// It came out of a reset.
        PostReset ["2.4"],
        /// It was being removed.
        Teardown ["2.4"],
        /// It saved what it needs to run elsewhere.
        SaveCompatibilityInfo ["2.4"],
        /// Its measurements were being restored.
        MetricRestore ["2.4"],
        /// Its measurements were being listed.
        MetricEnumerate ["2.4"],
        /// Its measurements were being listed to be saved.
        MetricEnumerateForSave ["2.4"],
        /// Its measurements were being reset.
        MetricReset ["2.4"],
        /// Its measurements were being turned on.
        MetricEnable ["2.4"],
        /// Its measurements were being turned off.
        MetricDisable ["2.4"],
    }

    /// How far Windows got with writing its memory.
    pub enum WindowsCrashPhase {
        /// Not at all.
        Inactive ["2.1"],
        /// The numbers of the crash are known.
        CrashValues ["2.1"],
        /// Writing is about to begin.
        Starting ["2.1"],
        /// Writing has begun.
        Started ["2.1"],
        /// It is being written.
        Writing ["2.1"],
        /// All of it is written.
        Complete ["2.1"],
    }

    /// What an operation does.
    pub enum OperationType {
        /// Nothing.
        None ["2.6"],
        /// Create.
        Construct ["2.6"],
        /// Start.
        Start ["2.6"],
        /// Pause.
        Pause ["2.6"],
        /// Resume.
        Resume ["2.6"],
        /// Shut down.
        Shutdown ["2.6"],
        /// Terminate.
        Terminate ["2.6"],
        /// Save.
        Save ["2.6"],
        /// Tell properties.
        GetProperties ["2.6"],
        /// Modify.
        Modify ["2.6"],
        /// Make it crash.
        Crash ["2.6"],
        /// Start a process.
        ExecuteProcess ["2.6"],
        /// Tell what is known of a process.
        GetProcessInfo ["2.6"],
        /// Send a signal to a process.
        SignalProcess ["2.6"],
        /// Modify a process.
        ModifyProcess ["2.6"],
        /// Cancel another operation.
        CancelOperation ["2.6"],
    }
}
