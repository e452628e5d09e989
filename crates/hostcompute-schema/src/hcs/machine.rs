//! Virtual machines (hcs.md 3.3 and 3.4): what boots, memory, what they are restored from, how the
//! guest's agent is reached.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{
    Devices, MigrationInitializeOptions, RegistryChanges, StateOverride, StorageQoS, Version,
    VirtualMachineProcessor,
};
use crate::element::Base64;
use crate::guid::Guid;

documents! { @compute
    /// A virtual machine.
    pub struct VirtualMachine("VirtualMachine") {
        /// The version of the machine's configuration; the newest when it is left out.
        version: Option<Version> = "Version" ["2.5"],
        /// Whether a reset ends the machine.
        stop_on_reset: Option<bool> = "StopOnReset" ["2.0"],
        /// What the machine boots with.
        chipset: Option<Chipset> = "Chipset" ["2.0"],
        /// Memory and processors.
        compute_topology: Option<Topology> = "ComputeTopology" ["2.0"],
        /// The devices.
        devices: Option<Devices> = "Devices" ["2.0"],
        /// The services that the hypervisor offers to the guest.
        services: Option<Services> = "Services" ["2.5"],
        /// The files that the machine's state is kept in.
        guest_state: Option<GuestState> = "GuestState" ["2.1"],
        /// What the machine is restored from.
        restore_state: Option<RestoreState> = "RestoreState" ["2.0"],
        /// Changes of the guest's registry before the start.
        registry_changes: Option<RegistryChanges> = "RegistryChanges" ["2.0"],
        /// Limits of the traffic of all disks together.
        storage_qos: Option<StorageQoS> = "StorageQoS" ["2.1"],
        /// The connection to the guest's agent; a start then waits for it.
        guest_connection: Option<GuestConnection> = "GuestConnection" ["2.1"],
        /// The machine's process runs in a silo of its own.
        run_in_silo: Option<RunInSilo> = "RunInSilo" [],
        /// How the machine's process is started.
        launch_options: Option<LaunchOptions> = "LaunchOptions" [],
        /// What is saved when the guest crashes.
        debug_options: Option<DebugOptions> = "DebugOptions" [],
        /// What protects the guest.
        security_settings: Option<SecuritySettings> = "SecuritySettings" [],
        /// The resource partition that the machine is in.
        resource_partition_id: Option<Guid> = "ResourcePartitionId" [],
        /// The machine comes from another host.
        migration_options: Option<MigrationInitializeOptions> = "MigrationOptions" [],
    }

    /// What a machine boots with.
    pub struct Chipset("Chipset") {
        /// Firmware.
        uefi: Option<Uefi> = "Uefi" ["2.0"],
        /// Whether the number pad begins with the arrows.
        is_num_lock_disabled: Option<bool> = "IsNumLockDisabled" ["2.0"],
        /// The serial number of the board.
        base_board_serial_number: Option<String> = "BaseBoardSerialNumber" ["2.0"],
        /// The serial number of the case.
        chassis_serial_number: Option<String> = "ChassisSerialNumber" ["2.0"],
        /// The owner's label on the case.
        chassis_asset_tag: Option<String> = "ChassisAssetTag" ["2.0"],
        /// Whether the guest may hibernate.
        enable_hibernation: Option<bool> = "EnableHibernation" ["2.5"],
        /// Whether the clock shows UTC.
        use_utc: Option<bool> = "UseUtc" ["2.1"],
        /// A Linux kernel, without firmware.
        linux_kernel_direct: Option<LinuxKernelDirect> = "LinuxKernelDirect" ["2.2"],
        /// What the machine says that it is.
        system_information: Option<SystemInformation> = "SystemInformation" [],
        /// Firmware of the caller's.
        firmware_file: Option<FirmwareFile> = "FirmwareFile" [],
    }

    /// Firmware.
    pub struct Uefi("Uefi") {
        /// Whether a debugger may attach.
        enable_debugger: Option<bool> = "EnableDebugger" ["2.0"],
        /// The template of the keys that may sign what is booted.
        secure_boot_template_id: Option<Guid> = "SecureBootTemplateId" ["2.0"],
        /// Whether the template is applied.
        apply_secure_boot_template: Option<ApplySecureBootTemplateType> =
            "ApplySecureBootTemplate" ["2.3"],
        /// What is booted; by the firmware's own order when it is left out.
        boot_this: Option<UefiBootEntry> = "BootThis" ["2.0"],
        /// Where the firmware speaks.
        console: Option<SerialConsole> = "Console" ["2.0"],
        /// Whether the machine ends when nothing boots.
        stop_on_boot_failure: Option<bool> = "StopOnBootFailure" ["2.2"],
    }

    /// What firmware boots.
    pub struct UefiBootEntry("UefiBootEntry", "2.0") {
        /// What sort of device it is on.
        device_type: Option<UefiBootDevice> = "DeviceType" ["2.1"],
        /// Where it is on the device; of a disk the name of its controller.
        device_path: Option<String> = "DevicePath" ["2.1"],
        /// The number of the disk on its controller.
        disk_number: Option<u16> = "DiskNumber" ["2.1"],
        /// What it is started with.
        optional_data: Option<String> = "OptionalData" ["2.1"],
        /// The host's directory that is booted from.
        vmb_fs_root_path: Option<String> = "VmbFsRootPath" ["2.1"],
    }

    /// A Linux kernel that is started without firmware.
    pub struct LinuxKernelDirect("LinuxKernelDirect") {
        /// The file of the kernel.
        kernel_file_path: Option<String> = "KernelFilePath" ["2.2"],
        /// The file of the first file system.
        init_rd_path: Option<String> = "InitRdPath" ["2.2"],
        /// The kernel's command line.
        kernel_cmd_line: Option<String> = "KernelCmdLine" ["2.2"],
    }

    /// What a machine says that it is.
    pub struct SystemInformation("SystemInformation") {
        /// Who made it.
        manufacturer: Option<String> = "Manufacturer" [],
        /// What it is called.
        product_name: Option<String> = "ProductName" [],
        /// Its version.
        version: Option<String> = "Version" [],
        /// Its serial number.
        serial_number: Option<String> = "SerialNumber" [],
        /// Its id.
        uuid: Option<String> = "UUID" [],
        /// The number that it is sold under.
        sku_number: Option<String> = "SKUNumber" [],
        /// The family that it belongs to.
        family: Option<String> = "Family" [],
    }

    /// Firmware of the caller's.
    pub struct FirmwareFile("FirmwareFile") {
        /// What it is started with.
        parameters: Option<Base64> = "Parameters" [],
    }

    /// Memory and processors of a machine.
    pub struct Topology("Topology") {
        /// The memory.
        memory: Option<VirtualMachineMemory> = "Memory" ["2.0"],
        /// The processors.
        processor: Option<VirtualMachineProcessor> = "Processor" ["2.0"],
        /// The nodes of memory that the guest sees.
        numa: Option<Numa> = "Numa" [],
        /// Older behaviour that is kept for the guest.
        compatibility: Option<Compatibility> = "Compatibility" [],
    }

    /// The memory of a machine.
    pub struct VirtualMachineMemory("VirtualMachine_Memory") {
        /// How much, in MiB; an even number.
        size_in_mb: Option<u64> = "SizeInMB" ["2.1"],
        /// What carries it.
        backing: Option<MemoryBackingType> = "Backing" [],
        /// Whether the host may page it out.
        allow_overcommit: Option<bool> = "AllowOvercommit" ["2.1"],
        /// How large the host's pages are.
        backing_page_size: Option<MemoryBackingPageSize> = "BackingPageSize" ["2.2"],
        /// How many pages are fetched at once, as a power of two.
        fault_cluster_size_shift: Option<u32> = "FaultClusterSizeShift" ["2.4"],
        /// The same for files that are mapped.
        direct_map_fault_cluster_size_shift: Option<u32> =
            "DirectMapFaultClusterSizeShift" ["2.4"],
        /// Whether the pages stay in memory.
        pin_backing_pages: Option<bool> = "PinBackingPages" ["2.2"],
        /// Whether small pages are never used in place of large ones.
        forbid_small_backing_pages: Option<bool> = "ForbidSmallBackingPages" ["2.2"],
        /// Whether the guest tells what it uses often.
        enable_hot_hint: Option<bool> = "EnableHotHint" ["2.0"],
        /// Whether the guest tells what it uses seldom.
        enable_cold_hint: Option<bool> = "EnableColdHint" ["2.0"],
        /// Whether the guest tells what it does not use.
        enable_cold_discard_hint: Option<bool> = "EnableColdDiscardHint" ["2.2"],
        /// Whether memory is counted when it is first used.
        enable_deferred_commit: Option<bool> = "EnableDeferredCommit" ["2.1"],
        /// Addresses below 4 GiB that are left for devices, in MiB.
        low_mmio_gap_in_mb: Option<u64> = "LowMmioGapInMB" ["2.3"],
        /// Where the addresses above 4 GiB that are left for devices begin, in MiB.
        high_mmio_base_in_mb: Option<u64> = "HighMmioBaseInMB" ["2.3"],
        /// Addresses above 4 GiB that are left for devices, in MiB.
        high_mmio_gap_in_mb: Option<u64> = "HighMmioGapInMB" ["2.3"],
        /// What the name of the process that carries the memory ends with.
        hosting_process_name_suffix: Option<String> = "HostingProcessNameSuffix" [],
        /// Whether what is compressed of it is kept apart.
        enable_private_compression_store: Option<bool> = "EnablePrivateCompressionStore" [],
        /// Memory that is shared with the host, in MiB.
        shared_memory_mb: Option<u64> = "SharedMemoryMB" [],
        /// Who may open the shared memory.
        shared_memory_access_sids: Option<Vec<String>> = "SharedMemoryAccessSids" [],
        /// Whether the guest handles more sorts of page fault.
        enable_epf: Option<bool> = "EnableEpf" [],
        /// Which table of locality the guest is given.
        slit_type: Option<SlitType> = "SlitType" [],
    }

    /// The nodes of memory that a guest sees.
    pub struct Numa("Numa") {
        /// How many there are.
        virtual_node_count: Option<u8> = "VirtualNodeCount" [],
        /// The host's nodes that should carry them.
        preferred_physical_nodes: Option<Vec<i64>> = "PreferredPhysicalNodes" [],
        /// The single nodes.
        settings: Option<Vec<NumaSetting>> = "Settings" [],
        /// How large a node may be.
        max_size_per_node: Option<u64> = "MaxSizePerNode" [],
    }

    /// One node of memory that a guest sees.
    pub struct NumaSetting("NumaSetting") {
        /// Its number.
        virtual_node_number: Option<u32> = "VirtualNodeNumber" [],
        /// The host's node that carries it; 255 for any.
        physical_node_number: Option<u32> = "PhysicalNodeNumber" [],
        /// The socket that it belongs to.
        virtual_socket_number: Option<u32> = "VirtualSocketNumber" [],
        /// How many processors it has.
        count_of_processors: Option<u32> = "CountOfProcessors" [],
        /// How much memory it has.
        count_of_memory_blocks: Option<u64> = "CountOfMemoryBlocks" [],
        /// What carries its memory.
        memory_backing_type: Option<MemoryBackingType> = "MemoryBackingType" [],
    }

    /// Older behaviour that is kept for a guest.
    pub struct Compatibility("Compatibility") {
        /// Which, as bits.
        guest_feature_set: Option<u32> = "GuestFeatureSet" [],
    }

    /// The files that a machine's state is kept in.
    pub struct GuestState("GuestState") {
        /// The file of what the firmware keeps; in memory when it is left out.
        guest_state_file_path: Option<String> = "GuestStateFilePath" ["2.1"],
        /// The file of what devices keep; in memory when it is left out.
        runtime_state_file_path: Option<String> = "RuntimeStateFilePath" ["2.1"],
        /// Whether the files are only read.
        force_transient_state: Option<bool> = "ForceTransientState" ["2.1"],
        /// What sort of file it is.
        guest_state_file_type: Option<GuestStateFileType> = "GuestStateFileType" [],
    }

    /// What a machine is restored from.
    pub struct RestoreState("RestoreState") {
        /// The file that it was saved in.
        save_state_file_path: Option<String> = "SaveStateFilePath" ["2.0"],
        /// The id of the template that it is a clone of.
        template_system_id: Option<String> = "TemplateSystemId" ["2.1"],
    }

    /// The connection to a guest's agent.
    pub struct GuestConnection("GuestConnection") {
        /// Whether the agent is reached by a socket address of Linux.
        use_vsock: Option<bool> = "UseVsock" ["2.1"],
        /// Whether the connection stays while the machine is paused.
        use_connected_suspend: Option<bool> = "UseConnectedSuspend" ["2.1"],
        /// Whether the guest takes on the host's time zone.
        use_host_time_zone: Option<bool> = "UseHostTimeZone" ["2.4"],
    }

    /// The services that the hypervisor offers to a guest.
    pub struct Services("Services") {
        /// Whether the guest is alive.
        heartbeat: Option<Heartbeat> = "Heartbeat" ["2.5"],
        /// Shutting the guest down.
        shutdown: Option<Shutdown> = "Shutdown" ["2.5"],
        /// The time of the host.
        timesync: Option<Timesync> = "Timesync" ["2.5"],
        /// Pairs that host and guest exchange.
        kvp_exchange: Option<KvpExchange> = "KvpExchange" ["2.5"],
    }

    /// Whether the guest is alive.
    pub struct Heartbeat("Heartbeat", "2.5") {}

    /// Shutting the guest down.
    pub struct Shutdown("Shutdown", "2.5") {}

    /// The time of the host.
    pub struct Timesync("Timesync", "2.5") {}

    /// Pairs that host and guest exchange.
    pub struct KvpExchange("KvpExchange") {
        /// Whether the guest is told about the host's operating system.
        enable_host_os_info_kvp_items: Option<StateOverride> =
            "EnableHostOSInfoKvpItems" ["2.5"],
        /// Pairs to be added.
        entries_to_be_added: Option<BTreeMap<String, String>> = "EntriesToBeAdded" ["2.5"],
        /// Names of pairs to be removed.
        entries_to_be_removed: Option<Vec<String>> = "EntriesToBeRemoved" ["2.5"],
    }

    /// A machine's process that runs in a silo of its own.
    pub struct RunInSilo("RunInSilo") {
        /// The base image of the silo.
        silo_base_os_path: Option<String> = "SiloBaseOsPath" [],
        /// Whether it is told when the silo's job has been made.
        notify_silo_job_created: Option<bool> = "NotifySiloJobCreated" [],
    }

    /// How a machine's process is started.
    pub struct LaunchOptions("LaunchOptions") {
        /// In which way.
        kind: Option<LaunchType> = "Type" [],
    }

    /// What is saved when a guest crashes; the files must exist.
    pub struct DebugOptions("DebugOptions") {
        /// The file for the state at a crash.
        bugcheck_saved_state_file_name: Option<String> = "BugcheckSavedStateFileName" [],
        /// The file for the state at a crash without a dump.
        bugcheck_no_crashdump_saved_state_file_name: Option<String> =
            "BugcheckNoCrashdumpSavedStateFileName" [],
        /// The file for the state when a processor gave up.
        triple_fault_saved_state_file_name: Option<String> =
            "TripleFaultSavedStateFileName" [],
        /// The file for the firmware's memory.
        firmware_dump_file_name: Option<String> = "FirmwareDumpFileName" [],
        /// The file for the state at a shutdown or reset.
        shutdown_or_reset_saved_state_file_name: Option<String> =
            "ShutdownOrResetSavedStateFileName" [],
    }

    /// What protects a guest.
    pub struct SecuritySettings("SecuritySettings") {
        /// Whether it has a TPM.
        enable_tpm: Option<bool> = "EnableTpm" [],
        /// How it is kept from the host.
        isolation: Option<IsolationSettings> = "Isolation" [],
    }

    /// How a guest is kept from the host.
    pub struct IsolationSettings("IsolationSettings") {
        /// By what.
        isolation_type: Option<IsolationType> = "IsolationType" [],
        /// Who may debug it.
        debug_host: Option<String> = "DebugHost" [],
        /// The port for debugging it.
        debug_port: Option<i64> = "DebugPort" [],
        /// What is measured at its start.
        launch_data: Option<Base64> = "LaunchData" [],
        /// Whether a layer of its own lies between guest and host.
        hcl_enabled: Option<bool> = "HclEnabled" [],
    }
}

names! {
    /// Whether a template of keys is applied.
    pub enum ApplySecureBootTemplateType {
        /// It is not.
        Skip ["2.3"],
        /// It is.
        Apply ["2.3"],
    }

    /// Where firmware speaks.
    pub enum SerialConsole {
        /// On the screen.
        Default ["2.0"],
        /// Nowhere.
        Disabled ["2.0"],
        /// On the first serial port.
        ComPort1 ["2.0"],
        /// On the second serial port.
        ComPort2 ["2.0"],
    }

    /// What sort of device is booted.
    pub enum UefiBootDevice {
        /// A disk.
        ScsiDrive ["2.0"],
        /// A directory of the host.
        VmbFs ["2.0"],
        /// The network.
        Network ["2.0"],
        /// A file of the guest.
        File ["2.1"],
    }

    /// How large the host's pages are.
    pub enum MemoryBackingPageSize {
        /// 4 KiB.
        Small ["2.2"],
        /// 2 MiB.
        Large ["2.2"],
    }

    /// What carries a machine's memory; in no published schema, and in every sample.
    pub enum MemoryBackingType {
        /// Pages that stay in memory.
        Physical [],
        /// Pages that may be paged out.
        Virtual [],
        /// Both.
        Hybrid [],
    }

    /// Which table of locality a guest is given.
    pub enum SlitType {
        /// None.
        None [],
        /// The firmware's.
        Firmware [],
        /// What was measured.
        Measured [],
        /// The firmware's, or what was measured.
        FirmwareFallbackMeasured [],
    }

    /// What sort of file a machine's state is kept in.
    pub enum GuestStateFileType {
        /// A file.
        FileMode [],
        /// A disk.
        BlockStorage [],
    }

    /// In which way a machine's process is started.
    pub enum LaunchType {
        /// In no particular one.
        None [],
    }

    /// By what a guest is kept from the host.
    pub enum IsolationType {
        /// By encrypted memory.
        SecureNestedPaging [],
        /// By a layer of the hypervisor.
        VirtualizationBasedSecurity [],
        /// Only what its firmware keeps is protected.
        GuestStateOnly [],
    }
}
