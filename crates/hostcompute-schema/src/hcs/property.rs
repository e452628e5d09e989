//! What can be asked of a compute system, and what it answers (hcs.md 3.7).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{
    DateTime, NotificationType, OsType, ProcessDetails, ResultError, State, SystemType, Version,
};
use crate::element::Base64;
use crate::guid::Guid;

documents! { @compute
    /// Which properties of a compute system are asked for; the basic ones when it is left out.
    pub struct SystemPropertyQuery("System_PropertyQuery") {
        /// Groups of properties.
        property_types: Option<Vec<SystemPropertyType>> = "PropertyTypes" ["2.1"],
        /// Questions with a document of their own, by name.
        queries: Option<BTreeMap<String, Value>> = "Queries" ["2.5"],
        /// Questions of an older edition of the schema.
        filtered_queries: Option<Vec<FilteredPropertyQuery>> = "FilteredQueries" [],
    }

    /// A question of an older edition of the schema.
    pub struct FilteredPropertyQuery("FilteredPropertyQuery") {
        /// The group of properties.
        property_type: Option<SystemPropertyType> = "PropertyType" [],
        /// What of it is wanted.
        filter: Option<Value> = "Filter" [],
    }

    /// Which compute systems are listed: one of each list, all of them when it is left out.
    pub struct SystemQuery("SystemQuery") {
        /// Ids.
        ids: Option<Vec<String>> = "Ids" ["2.1"],
        /// Names.
        names: Option<Vec<String>> = "Names" ["2.1"],
        /// Sorts of system.
        types: Option<Vec<SystemType>> = "Types" ["2.1"],
        /// Owners.
        owners: Option<Vec<String>> = "Owners" ["2.1"],
    }

    /// What is told of a compute system.
    pub struct Properties("Properties") {
        /// Its id.
        id: Option<String> = "Id" ["2.1"],
        /// What sort it is.
        system_type: Option<SystemType> = "SystemType" ["2.1"],
        /// The operating system inside.
        runtime_os_type: Option<OsType> = "RuntimeOsType" ["2.1"],
        /// Its name.
        name: Option<String> = "Name" ["2.1"],
        /// Who manages it.
        owner: Option<String> = "Owner" ["2.1"],
        /// The id that the hypervisor and its sockets know it by.
        runtime_id: Option<Guid> = "RuntimeId" ["2.1"],
        /// The id of the template that it was cloned from.
        runtime_template_id: Option<String> = "RuntimeTemplateId" ["2.1"],
        /// How far it has got.
        state: Option<State> = "State" ["2.1"],
        /// Whether it has ended.
        stopped: Option<bool> = "Stopped" ["2.1"],
        /// How it ended.
        exit_type: Option<NotificationType> = "ExitType" ["2.1"],
        /// Its memory, when asked for.
        memory: Option<MemoryInformationForVm> = "Memory" ["2.1"],
        /// What it has used, when asked for.
        statistics: Option<Statistics> = "Statistics" ["2.1"],
        /// Its processes, when asked for.
        process_list: Option<Vec<ProcessDetails>> = "ProcessList" ["2.1"],
        /// Whether it is terminated with its last handle, when asked for.
        terminate_on_last_handle_closed: Option<bool> = "TerminateOnLastHandleClosed" ["2.1"],
        /// The id of the virtual machine that hosts it.
        hosting_system_id: Option<String> = "HostingSystemId" ["2.1"],
        /// The memory that it shares with the host, when asked for.
        shared_memory_region_info: Option<Vec<SharedMemoryRegionInfo>> =
            "SharedMemoryRegionInfo" ["2.1"],
        /// The connection to the guest's agent, when asked for.
        guest_connection_info: Option<GuestConnectionInfo> = "GuestConnectionInfo" ["2.1"],
        /// Answers to questions with a document of their own, by name.
        property_responses: Option<BTreeMap<String, PropertyResponse>> =
            "PropertyResponses" ["2.5"],
        /// How the guest's integration services fare.
        ic_heartbeat_status: Option<Value> = "ICHeartbeatStatus" [],
        /// The id of the system in the older interface.
        system_guid: Option<String> = "SystemGUID" [],
        /// Control group metrics of a Linux guest.
        lcow_metrics: Option<Value> = "LCOWMetrics" [],
    }

    /// The basic properties, as a document of their own.
    pub struct ComputeSystemProperties("ComputeSystemProperties") {
        /// Its id.
        id: Option<String> = "Id" ["2.5"],
        /// Its name.
        name: Option<String> = "Name" ["2.5"],
        /// What sort it is.
        system_type: Option<SystemType> = "SystemType" ["2.5"],
        /// How far it has got.
        state: Option<State> = "State" ["2.5"],
        /// Who manages it.
        owner: Option<String> = "Owner" ["2.5"],
        /// The id that the hypervisor and its sockets know it by.
        runtime_id: Option<Guid> = "RuntimeId" ["2.5"],
        /// The operating system inside.
        runtime_os_type: Option<OsType> = "RuntimeOsType" ["2.5"],
        /// The id of the virtual machine that hosts it.
        hosting_system_id: Option<String> = "HostingSystemId" ["2.5"],
        /// Whether it stands for nothing.
        is_dummy: Option<bool> = "IsDummy" ["2.5"],
        /// Where its objects are in the host's object namespace.
        ob_root: Option<String> = "ObRoot" ["2.5"],
        /// The id of the template that it was cloned from.
        runtime_template_id: Option<String> = "RuntimeTemplateId" ["2.5"],
    }

    /// The answer to one question.
    pub struct PropertyResponse("PropertyResponse") {
        /// Why there is no answer.
        error: Option<ResultError> = "Error" ["2.5"],
        /// The answer; its type depends on the question.
        response: Option<Value> = "Response" ["2.5"],
    }

    /// What a compute system has used.
    pub struct Statistics("Statistics") {
        /// When this was measured.
        timestamp: Option<DateTime> = "Timestamp" ["2.1"],
        /// When the system was started.
        container_start_time: Option<DateTime> = "ContainerStartTime" ["2.1"],
        /// How long it has run, in units of 100 ns.
        uptime_100ns: Option<u64> = "Uptime100ns" ["2.1"],
        /// The processors.
        processor: Option<ProcessorStats> = "Processor" ["2.1"],
        /// The memory.
        memory: Option<MemoryStats> = "Memory" ["2.1"],
        /// The storage.
        storage: Option<StorageStats> = "Storage" ["2.1"],
    }

    /// What was computed, in units of 100 ns.
    pub struct ProcessorStats("ProcessorStats") {
        /// In all.
        total_runtime_100ns: Option<u64> = "TotalRuntime100ns" ["2.1"],
        /// By programs.
        runtime_user_100ns: Option<u64> = "RuntimeUser100ns" ["2.1"],
        /// By the kernel.
        runtime_kernel_100ns: Option<u64> = "RuntimeKernel100ns" ["2.1"],
    }

    /// The memory in use.
    pub struct MemoryStats("MemoryStats") {
        /// Asked for now.
        memory_usage_commit_bytes: Option<u64> = "MemoryUsageCommitBytes" ["2.1"],
        /// Asked for at most.
        memory_usage_commit_peak_bytes: Option<u64> = "MemoryUsageCommitPeakBytes" ["2.1"],
        /// In memory, and nobody else's.
        memory_usage_private_working_set_bytes: Option<u64> =
            "MemoryUsagePrivateWorkingSetBytes" ["2.1"],
    }

    /// What went to and from the storage.
    pub struct StorageStats("StorageStats") {
        /// Reads, counted in units of 8 KiB.
        read_count_normalized: Option<u64> = "ReadCountNormalized" ["2.1"],
        /// Bytes read.
        read_size_bytes: Option<u64> = "ReadSizeBytes" ["2.1"],
        /// Writes, counted in units of 8 KiB.
        write_count_normalized: Option<u64> = "WriteCountNormalized" ["2.1"],
        /// Bytes written.
        write_size_bytes: Option<u64> = "WriteSizeBytes" ["2.1"],
    }

    /// The memory of a virtual machine.
    pub struct MemoryInformationForVm("MemoryInformationForVm") {
        /// How many nodes the machine's memory has.
        virtual_node_count: Option<u8> = "VirtualNodeCount" ["2.1"],
        /// The memory as a whole.
        virtual_machine_memory: Option<VmMemory> = "VirtualMachineMemory" ["2.1"],
        /// The single nodes.
        virtual_nodes: Option<Vec<VirtualNodeInfo>> = "VirtualNodes" ["2.1"],
    }

    /// The memory of a virtual machine as a whole.
    pub struct VmMemory("VmMemory") {
        /// How much of it the guest has left, in per cent.
        available_memory: Option<i32> = "AvailableMemory" ["2.1"],
        /// How much more than it needs it has, in per cent.
        available_memory_buffer: Option<i32> = "AvailableMemoryBuffer" ["2.1"],
        /// Pages that are set aside for it.
        reserved_memory: Option<u64> = "ReservedMemory" ["2.1"],
        /// Pages of 4 KiB that it has.
        assigned_memory: Option<u64> = "AssignedMemory" ["2.1"],
        /// Whether some of it is paged out.
        slp_active: Option<bool> = "SlpActive" ["2.1"],
        /// Whether it is balanced against other machines.
        balancing_enabled: Option<bool> = "BalancingEnabled" ["2.1"],
        /// Whether its size is being changed.
        dm_operation_in_progress: Option<bool> = "DmOperationInProgress" ["2.1"],
    }

    /// One node of a virtual machine's memory.
    pub struct VirtualNodeInfo("VirtualNodeInfo") {
        /// The number of the node in the machine.
        virtual_node_index: Option<u8> = "VirtualNodeIndex" ["2.1"],
        /// The number of the host's node that carries it.
        physical_node_number: Option<u8> = "PhysicalNodeNumber" ["2.1"],
        /// How many of the machine's processors it has.
        virtual_processor_count: Option<u32> = "VirtualProcessorCount" ["2.1"],
        /// How many pages of it are used.
        memory_usage_in_pages: Option<u64> = "MemoryUsageInPages" ["2.1"],
    }

    /// Memory that a virtual machine shares with the host.
    pub struct SharedMemoryRegionInfo("SharedMemoryRegionInfo") {
        /// The name of the section on the host.
        section_name: Option<String> = "SectionName" ["2.1"],
        /// Where the guest sees it.
        guest_physical_address: Option<u64> = "GuestPhysicalAddress" ["2.1"],
    }

    /// The connection to a guest's agent.
    pub struct GuestConnectionInfo("GuestConnectionInfo") {
        /// The schema versions that the guest knows.
        supported_schema_versions: Option<Vec<Version>> = "SupportedSchemaVersions" ["2.1"],
        /// The version of the protocol.
        protocol_version: Option<u32> = "ProtocolVersion" ["2.1"],
        /// What the guest says that it can do.
        guest_defined_capabilities: Option<Value> = "GuestDefinedCapabilities" ["2.1"],
    }

    /// A question for a picture of a machine's screen.
    pub struct ConsoleImageQuery("ConsoleImageQuery") {
        /// The width in pixels.
        width: Option<u16> = "Width" ["2.5"],
        /// The height in pixels.
        height: Option<u16> = "Height" ["2.5"],
        /// 1 for a length in front of the picture.
        flags: Option<u32> = "Flags" ["2.5"],
    }

    /// A picture of a machine's screen.
    pub struct ConsoleImage("ConsoleImage") {
        /// The pixels.
        image: Option<Base64> = "Image" ["2.5"],
    }

    /// A question for pairs that host and guest exchange.
    pub struct KvpQuery("KvpQuery") {
        /// Whose pairs.
        source: Option<KvpSource> = "Source" ["2.5"],
        /// Which of them.
        keys: Option<Vec<String>> = "Keys" ["2.5"],
    }

    /// How an integration service of a guest fares.
    pub struct IntegrationComponentStatus("IntegrationComponentStatus") {
        /// Whether it is on.
        is_enabled: Option<bool> = "IsEnabled" ["2.5"],
        /// How it fares.
        state: Option<IntegrationComponentOperationalState> = "State" ["2.5"],
        /// Why.
        reason: Option<IntegrationComponentOperatingStateReason> = "Reason" ["2.5"],
    }
}

names! {
    /// Groups of properties of a compute system.
    pub enum SystemPropertyType("System_PropertyType") {
        /// The memory of a virtual machine.
        Memory ["2.1"],
        /// What the system has used.
        Statistics ["2.1"],
        /// The processes.
        ProcessList ["2.1"],
        /// Whether the system is terminated with its last handle.
        TerminateOnLastHandleClosed ["2.1"],
        /// Memory that is shared with the host.
        SharedMemoryRegion ["2.1"],
        /// The connection to the guest's agent.
        GuestConnection ["2.1"],
        /// The memory as the guest sees it; of an older edition.
        GuestMemory [],
        /// How the guest's integration services fare; of an older edition.
        ICHeartbeatStatus [],
        /// The status of a process; clients ask so for the properties of one.
        ProcessStatus [],
        /// The id in the older interface.
        SystemGUID [],
    }

    /// Whose pairs are asked for.
    pub enum KvpSource {
        /// Those that the host has set.
        KvpSetByHost ["2.5"],
        /// Those that the guest has set.
        KvpSetByGuest ["2.5"],
        /// Those that describe the guest's operating system.
        GuestOSInfo ["2.5"],
    }

    /// How an integration service fares.
    pub enum IntegrationComponentOperationalState {
        /// Nobody knows.
        Unknown ["2.5"],
        /// It works in part.
        Degraded ["2.5"],
        /// It sleeps.
        Dormant ["2.5"],
        /// It failed.
        Error ["2.5"],
        /// It was lost.
        LostCommunication ["2.5"],
        /// It failed for good.
        NonRecoverableError ["2.5"],
        /// It has not been heard of.
        NoContact ["2.5"],
        /// It works.
        Ok ["2.5"],
    }

    /// Why an integration service fares as it does.
    pub enum IntegrationComponentOperatingStateReason {
        /// Nobody knows.
        Unknown ["2.5"],
        /// Programs are in distress.
        AppsInCriticalState ["2.5"],
        /// It did not answer in time.
        CommunicationTimedOut ["2.5"],
        /// It could not be reached.
        FailedCommunication ["2.5"],
        /// All is well.
        HealthyApps ["2.5"],
        /// It speaks another version.
        ProtocolMismatch ["2.5"],
    }
}
