//! Devices of virtual machines (hcs.md 3.5): disks, adapters, consoles, screens, sockets, functions
//! of the host's own devices.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{HvSocketSystemConfig, MacAddress, Plan9, VirtualSmb};
use crate::guid::Guid;

documents! { @compute
    /// The devices of a machine.
    pub struct Devices("Devices") {
        /// Serial ports, by number: 0 and 1.
        com_ports: Option<BTreeMap<u32, ComPort>> = "ComPorts" ["2.1"],
        /// Consoles of a Linux guest.
        virtio_serial: Option<VirtioSerial> = "VirtioSerial" ["2.2"],
        /// Controllers of disks, by name.
        scsi: Option<BTreeMap<String, Scsi>> = "Scsi" ["2.0"],
        /// Disks that look like memory.
        virtual_pmem: Option<VirtualPMemController> = "VirtualPMem" ["2.0"],
        /// Network adapters, by name.
        network_adapters: Option<BTreeMap<String, NetworkAdapter>> = "NetworkAdapters" ["2.0"],
        /// A screen.
        video_monitor: Option<VideoMonitor> = "VideoMonitor" ["2.0"],
        /// A keyboard.
        keyboard: Option<Keyboard> = "Keyboard" ["2.0"],
        /// A mouse.
        mouse: Option<Mouse> = "Mouse" ["2.0"],
        /// Sockets between host and guest.
        hv_socket: Option<VirtualMachineHvSocket> = "HvSocket" ["2.1"],
        /// Remote desktop into the guest.
        enhanced_mode_video: Option<EnhancedModeVideo> = "EnhancedModeVideo" ["2.1"],
        /// What is kept of a guest's crash.
        guest_crash_reporting: Option<GuestCrashReporting> = "GuestCrashReporting" ["2.0"],
        /// Directories that a Windows guest sees.
        virtual_smb: Option<VirtualSmb> = "VirtualSmb" ["2.0"],
        /// Directories that a Linux guest sees.
        plan9: Option<Plan9> = "Plan9" ["2.0"],
        /// The host's battery.
        battery: Option<Battery> = "Battery" ["2.0"],
        /// Devices that other processes emulate, by name.
        flexible_iov: Option<BTreeMap<String, FlexibleIoDevice>> = "FlexibleIov" ["2.1"],
        /// Memory that is shared with the host.
        shared_memory: Option<SharedMemoryConfiguration> = "SharedMemory" ["2.1"],
        /// Devices of the host, by name.
        virtual_pci: Option<BTreeMap<String, VirtualPciDevice>> = "VirtualPci" ["2.3"],
        /// What lets programs of the store run.
        licensing: Option<Licensing> = "Licensing" [],
        /// Hints between the kernels of host and guest.
        kernel_integration: Option<KernelIntegration> = "KernelIntegration" [],
    }

    /// A serial port.
    pub struct ComPort("ComPort") {
        /// The pipe that it leads to; nowhere when it is empty.
        named_pipe: Option<String> = "NamedPipe" ["2.1"],
        /// Whether it is for a debugger.
        optimize_for_debugger: Option<bool> = "OptimizeForDebugger" ["2.1"],
    }

    /// Consoles of a Linux guest.
    pub struct VirtioSerial("VirtioSerial") {
        /// The consoles, by number.
        ports: Option<BTreeMap<u32, VirtioSerialPort>> = "Ports" ["2.2"],
    }

    /// A console of a Linux guest.
    pub struct VirtioSerialPort("VirtioSerialPort") {
        /// The pipe that it leads to.
        named_pipe: Option<String> = "NamedPipe" ["2.2"],
        /// What the guest calls it.
        name: Option<String> = "Name" ["2.2"],
        /// Whether the guest may use it as a console.
        console_support: Option<bool> = "ConsoleSupport" [],
    }

    /// A controller of disks.
    pub struct Scsi("Scsi") {
        /// The disks, by number.
        attachments: Option<BTreeMap<u32, Attachment>> = "Attachments" ["2.0"],
        /// Whether each interrupt is delivered at once.
        disable_interrupt_batching: Option<bool> = "DisableInterruptBatching" ["2.4"],
    }

    /// A disk.
    pub struct Attachment("Attachment") {
        /// What it is on the host.
        kind: Option<AttachmentType> = "Type" ["2.0"],
        /// Where it is; an empty drive when it is empty.
        path: Option<String> = "Path" ["2.0"],
        /// Whether the host caches it.
        caching_mode: Option<CachingMode> = "CachingMode" ["2.1"],
        /// Whether it can only be read.
        read_only: Option<bool> = "ReadOnly" ["2.0"],
        /// Whether its file may be compressed.
        support_compressed_volumes: Option<bool> = "SupportCompressedVolumes" ["2.3"],
        /// Whether its file may be sparse.
        always_allow_sparse_files: Option<bool> = "AlwaysAllowSparseFiles" ["2.6"],
        /// Whether its file may be encrypted.
        support_encrypted_files: Option<bool> = "SupportEncryptedFiles" ["2.6"],
        /// Whether writes need not reach the disk at once.
        no_write_hardening: Option<bool> = "NoWriteHardening" [],
        /// Whether its file grows in small steps.
        disable_expansion_optimization: Option<bool> = "DisableExpansionOptimization" [],
        /// Whether its parents are found by whole paths only.
        ignore_relative_locator: Option<bool> = "IgnoreRelativeLocator" [],
        /// Whether it is noted who caused its traffic.
        capture_io_attribution_context: Option<bool> = "CaptureIoAttributionContext" [],
        /// Whether the guest's wish to have writes on the disk is ignored.
        ignore_flushes: Option<bool> = "IgnoreFlushes" [],
        /// Which provider of disks it comes from.
        extensible_virtual_disk_type: Option<String> = "ExtensibleVirtualDiskType" [],
    }

    /// Disks that look like memory.
    pub struct VirtualPMemController("VirtualPMemController") {
        /// The disks, by number.
        devices: Option<BTreeMap<u8, VirtualPMemDevice>> = "Devices" ["2.0"],
        /// How many there can be.
        maximum_count: Option<u8> = "MaximumCount" ["2.0"],
        /// How large each can be.
        maximum_size_bytes: Option<u64> = "MaximumSizeBytes" ["2.0"],
        /// What carries them.
        backing: Option<VirtualPMemBackingType> = "Backing" ["2.1"],
    }

    /// A disk that looks like memory.
    pub struct VirtualPMemDevice("VirtualPMemDevice") {
        /// Its file.
        host_path: Option<String> = "HostPath" ["2.0"],
        /// Whether it can only be read.
        read_only: Option<bool> = "ReadOnly" ["2.0"],
        /// The form of its file.
        image_format: Option<VirtualPMemImageFormat> = "ImageFormat" ["2.0"],
        /// How large it is.
        size_bytes: Option<u64> = "SizeBytes" ["2.2"],
        /// Files that it is put together of, by where they begin.
        mappings: Option<BTreeMap<u64, VirtualPMemMapping>> = "Mappings" ["2.2"],
    }

    /// A file that is part of a disk that looks like memory.
    pub struct VirtualPMemMapping("VirtualPMemMapping") {
        /// The file.
        host_path: Option<String> = "HostPath" ["2.2"],
        /// Its form.
        image_format: Option<VirtualPMemImageFormat> = "ImageFormat" ["2.2"],
    }

    /// A network adapter.
    pub struct NetworkAdapter("NetworkAdapter") {
        /// The id of the endpoint that it is plugged into.
        endpoint_id: Option<Guid> = "EndpointId" ["2.0"],
        /// Its hardware address.
        mac_address: Option<MacAddress> = "MacAddress" ["2.0"],
        /// The id that the guest sees.
        instance_id: Option<Guid> = "InstanceId" ["2.4"],
        /// Whether each interrupt is delivered at once.
        disable_interrupt_batching: Option<bool> = "DisableInterruptBatching" ["2.4"],
        /// The use of the network card's own functions.
        iov_settings: Option<IovSettings> = "IovSettings" ["2.4"],
        /// Whether the cable is plugged in.
        connection_state: Option<StateOverride> = "ConnectionState" ["2.4"],
        /// Whether the cable is plugged in, for the subsystem for Linux.
        is_connected: Option<bool> = "IsConnected" [],
        /// The id of the switch, for the subsystem for Linux.
        switch_id: Option<Guid> = "SwitchId" [],
        /// The id of the switch's port, for the subsystem for Linux.
        port_id: Option<Guid> = "PortId" [],
    }

    /// The use of a network card's own functions.
    pub struct IovSettings("IovSettings") {
        /// The weight against other adapters; 0 for none.
        offload_weight: Option<u32> = "OffloadWeight" ["2.4"],
        /// How many pairs of queues are wanted.
        queue_pairs_requested: Option<u32> = "QueuePairsRequested" ["2.4"],
        /// How interrupts are gathered.
        interrupt_moderation: Option<InterruptModerationMode> = "InterruptModeration" ["2.4"],
    }

    /// A screen.
    pub struct VideoMonitor("VideoMonitor", "2.0") {
        /// Its width in pixels.
        horizontal_resolution: Option<u16> = "HorizontalResolution" ["2.1"],
        /// Its height in pixels.
        vertical_resolution: Option<u16> = "VerticalResolution" ["2.1"],
        /// Where it is seen.
        connection_options: Option<RdpConnectionOptions> = "ConnectionOptions" ["2.1"],
        /// What the size means: 2 the largest, 3 the only one, 4 the first one.
        resolution_type: Option<i32> = "ResolutionType" [],
    }

    /// Where a screen is seen.
    pub struct RdpConnectionOptions("RdpConnectionOptions") {
        /// Who may see it.
        access_sids: Option<Vec<String>> = "AccessSids" ["2.1"],
        /// The pipe that it leads to.
        named_pipe: Option<String> = "NamedPipe" ["2.1"],
    }

    /// A keyboard.
    pub struct Keyboard("Keyboard", "2.0") {}

    /// A mouse.
    pub struct Mouse("Mouse", "2.0") {}

    /// The host's battery.
    pub struct Battery("Battery", "2.0") {}

    /// Hints between the kernels of host and guest.
    pub struct KernelIntegration("KernelIntegration") {}

    /// Sockets between host and guest.
    pub struct VirtualMachineHvSocket("VirtualMachine_HvSocket") {
        /// Who may use them.
        hv_socket_config: Option<HvSocketSystemConfig> = "HvSocketConfig" ["2.1"],
    }

    /// Remote desktop into a guest.
    pub struct EnhancedModeVideo("EnhancedModeVideo") {
        /// Where it is seen.
        connection_options: Option<RdpConnectionOptions> = "ConnectionOptions" ["2.1"],
    }

    /// What is kept of a guest's crash.
    pub struct GuestCrashReporting("GuestCrashReporting") {
        /// Of Windows.
        windows_crash_settings: Option<WindowsCrashReporting> = "WindowsCrashSettings" ["2.0"],
    }

    /// What is kept of a crash of Windows.
    pub struct WindowsCrashReporting("WindowsCrashReporting") {
        /// The file for its memory.
        dump_file_name: Option<String> = "DumpFileName" ["2.0"],
        /// How large that file may be.
        max_dump_size: Option<i64> = "MaxDumpSize" ["2.0"],
        /// How much of the memory.
        dump_type: Option<DumpType> = "DumpType" [],
    }

    /// A device that another process emulates.
    pub struct FlexibleIoDevice("FlexibleIoDevice") {
        /// What sort of device it is.
        emulator_id: Option<Guid> = "EmulatorId" ["2.1"],
        /// Where the emulation runs.
        hosting_model: Option<FlexibleIoDeviceHostingModel> = "HostingModel" ["2.1"],
        /// What the emulation is told.
        configuration: Option<Vec<String>> = "Configuration" ["2.1"],
    }

    /// Memory that is shared with the host.
    pub struct SharedMemoryConfiguration("SharedMemoryConfiguration") {
        /// The single regions.
        regions: Option<Vec<SharedMemoryRegion>> = "Regions" ["2.1"],
    }

    /// A region of memory that is shared with the host.
    pub struct SharedMemoryRegion("SharedMemoryRegion") {
        /// The name of the section on the host.
        section_name: Option<String> = "SectionName" ["2.0"],
        /// Where in the section it begins.
        start_offset: Option<u64> = "StartOffset" ["2.0"],
        /// How long it is.
        length: Option<u64> = "Length" ["2.0"],
        /// Whether the guest may write.
        allow_guest_write: Option<bool> = "AllowGuestWrite" ["2.0"],
        /// Whether the guest is not told of it.
        hidden_from_guest: Option<bool> = "HiddenFromGuest" ["2.0"],
    }

    /// A device of the host.
    pub struct VirtualPciDevice("VirtualPciDevice") {
        /// Its functions.
        functions: Option<Vec<VirtualPciFunction>> = "Functions" ["2.3"],
        /// Whether the guest sees which node of memory is nearest.
        propagate_numa_affinity: Option<bool> = "PropagateNumaAffinity" ["2.11"],
    }

    /// A function of a device of the host.
    pub struct VirtualPciFunction("VirtualPciFunction") {
        /// The device.
        device_instance_path: Option<String> = "DeviceInstancePath" ["2.3"],
        /// The number of the virtual function.
        virtual_function: Option<u16> = "VirtualFunction" ["2.3"],
        /// Whether devices may reach each other directly.
        allow_direct_translated_p2p: Option<bool> = "AllowDirectTranslatedP2P" ["2.4"],
    }

    /// What lets programs of the store run.
    pub struct Licensing("Licensing") {
        /// The id of the container.
        container_id: Option<Guid> = "ContainerID" [],
        /// The programs.
        package_family_names: Option<Vec<String>> = "PackageFamilyNames" [],
    }

    /// Graphics processors of the host that a machine may use; a change only.
    pub struct GpuConfiguration("GpuConfiguration") {
        /// Which.
        assignment_mode: Option<GpuAssignmentMode> = "AssignmentMode" ["2.0"],
        /// The single ones and their partitions; 65535 for any.
        assignment_request: Option<BTreeMap<String, u16>> = "AssignmentRequest" ["2.0"],
        /// Whether functions of their makers are handed through.
        allow_vendor_extension: Option<bool> = "AllowVendorExtension" ["2.0"],
        /// Whether windows are drawn without them.
        disable_gdi_acceleration: Option<bool> = "DisableGdiAcceleration" ["2.7"],
        /// Whether nothing is shown with them.
        disable_presentation: Option<bool> = "DisablePresentation" ["2.7"],
    }
}

names! {
    /// What a disk is on the host.
    pub enum AttachmentType {
        /// A file of a disk.
        VirtualDisk ["2.0"],
        /// A file of an optical disc.
        Iso ["2.0"],
        /// A disk of the host.
        PassThru ["2.0"],
        /// A disk of another provider.
        ExtensibleVirtualDisk [],
    }

    /// Whether the host caches a disk.
    pub enum CachingMode {
        /// It does not.
        Uncached ["2.1"],
        /// It does.
        Cached ["2.1"],
        /// It does what was read.
        ReadOnlyCached ["2.1"],
    }

    /// What carries disks that look like memory.
    pub enum VirtualPMemBackingType {
        /// Memory that may be paged out.
        Virtual ["2.1"],
        /// Memory that stays.
        Physical ["2.1"],
    }

    /// The form of a disk's file.
    pub enum VirtualPMemImageFormat {
        /// VHDX.
        Vhdx ["2.0"],
        /// VHD.
        Vhd1 ["2.0"],
    }

    /// How interrupts are gathered.
    pub enum InterruptModerationMode {
        /// As the network card likes.
        Default ["2.4"],
        /// By the traffic.
        Adaptive ["2.4"],
        /// Not at all.
        Off ["2.4"],
        /// A little.
        Low ["2.4"],
        /// Some.
        Medium ["2.4"],
        /// Much.
        High ["2.4"],
    }

    /// Whether something is on against its default.
    pub enum StateOverride {
        /// As it is by default.
        Default ["2.4"],
        /// Off.
        Disabled ["2.4"],
        /// On.
        Enabled ["2.4"],
    }

    /// How much of the memory is kept of a crash.
    pub enum DumpType {
        /// All of it.
        Full [],
        /// A little.
        Mini [],
        /// What matters.
        Summary [],
    }

    /// Where a device's emulation runs.
    pub enum FlexibleIoDeviceHostingModel {
        /// In the machine's process.
        Internal ["2.1"],
        /// In a process of the caller's.
        External ["2.1"],
        /// In a process of the caller's that has few rights.
        ExternalRestricted [],
    }

    /// Which graphics processors a machine may use.
    pub enum GpuAssignmentMode {
        /// None.
        Disabled ["2.0"],
        /// The host's first.
        Default ["2.0"],
        /// Those that are listed.
        List ["2.0"],
        /// All of the host's.
        Mirror ["2.0"],
    }
}
