//! What of a compute system can be changed: the paths of ModifySettingRequest (hcs.md 3.8), what each
//! takes and what may be done to it.

use alloc::string::String;
use alloc::vec::Vec;

use super::{
    Attachment, ComPort, ContainerProcessor, CpuGroup, Device, FlexibleIoDevice, GpuConfiguration,
    HvSocketServiceConfig, IdleProcessorsRequest, MappedDirectory, MappedPipe, ModifyRequestType,
    NetworkAdapter, Plan9Share, ProcessorLimits, RegistryFlushState, SharedMemoryRegion,
    VirtualPMemDevice, VirtualPMemMapping, VirtualPciDevice, VirtualSmbShare,
};
use crate::document::Document;
use crate::schema::{Kind, StructSchema};

/// What a path takes as `Settings`.
#[derive(Clone, Copy, Debug)]
pub enum Settings {
    /// Nothing.
    None,
    /// Something that no schema describes.
    Undescribed,
    /// A single value.
    Value(Kind),
    /// A document.
    Document(&'static StructSchema),
}

/// One path that can be changed.
#[derive(Debug)]
pub struct ResourcePath {
    /// Which.
    pub resource: Resource,
    /// How it is written; parts in braces are names of the caller's.
    pub pattern: &'static str,
    /// What it takes.
    pub settings: Settings,
    /// Whether something can be added there.
    pub add: bool,
    /// Whether something can be removed there.
    pub remove: bool,
    /// Whether what is there can be changed.
    pub update: bool,
}

macro_rules! resources {
    ($(
        $(#[doc = $doc:literal])*
        $resource:ident = $pattern:literal, $settings:expr, [$($request:ident)*];
    )*) => {
        /// What of a compute system can be changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Resource {
            $($(#[doc = $doc])* $resource,)*
        }

        /// Every path that can be changed.
        pub static RESOURCES: &[ResourcePath] = &[$(ResourcePath {
            resource: Resource::$resource,
            pattern: $pattern,
            settings: { use Settings::*; $settings },
            add: resources!(@has Add $($request)*),
            remove: resources!(@has Remove $($request)*),
            update: resources!(@has Update $($request)*),
        }),*];
    };
    (@has Add Add $($rest:ident)*) => { true };
    (@has Remove Remove $($rest:ident)*) => { true };
    (@has Update Update $($rest:ident)*) => { true };
    (@has $wanted:ident $other:ident $($rest:ident)*) => { resources!(@has $wanted $($rest)*) };
    (@has $wanted:ident) => { false };
}

resources! {
    /// Directories of the host that a container sees.
    MappedDirectories = "Container/MappedDirectories", Document(MappedDirectory::SCHEMA),
        [Add Remove];
    /// Named pipes of the host that a container sees.
    MappedPipes = "Container/MappedPipes", Document(MappedPipe::SCHEMA), [Add Remove];
    /// The limit of a container's memory, in MiB.
    ContainerMemory = "Container/Memory/SizeInMB", Value(Kind::Unsigned(64)), [Update];
    /// A container's share of the processors.
    ContainerProcessor = "Container/Processor", Document(ContainerProcessor::SCHEMA), [Update];
    /// Devices that a container is handed.
    ContainerDevices = "Container/Devices/Generic", Document(Device::SCHEMA), [Add Remove];
    /// Whether a container's changes of the registry reach the disk.
    RegistryFlushState = "Container/RegistryFlushState", Document(RegistryFlushState::SCHEMA),
        [Update];
    /// The endpoint of a hosted container.
    ContainerNetworks = "Container/Networks", Value(Kind::Guid), [Add Remove];
    /// The memory of a machine, in MiB.
    Memory = "VirtualMachine/ComputeTopology/Memory/SizeInMB", Value(Kind::Unsigned(64)),
        [Add Remove Update];
    /// The processor group that a machine is in.
    CpuGroup = "VirtualMachine/ComputeTopology/Processor/CpuGroup", Document(CpuGroup::SCHEMA),
        [Add Remove Update];
    /// Processors of a machine that rest.
    IdledProcessors = "VirtualMachine/ComputeTopology/Processor/IdledProcessors",
        Document(IdleProcessorsRequest::SCHEMA), [Update];
    /// How fast a machine's processors may run, in MHz.
    CpuFrequencyPowerCap = "VirtualMachine/ComputeTopology/Processor/CpuFrequencyPowerCap",
        Value(Kind::Unsigned(32)), [Add Remove Update];
    /// The limits of a machine's processors.
    ProcessorLimits = "VirtualMachine/ComputeTopology/Processor/Limits",
        Document(ProcessorLimits::SCHEMA), [Update];
    /// The graphics processors that a machine may use.
    Gpu = "VirtualMachine/ComputeTopology/Gpu", Document(GpuConfiguration::SCHEMA), [Update];
    /// A serial port.
    ComPort = "VirtualMachine/Devices/ComPorts/{port}", Document(ComPort::SCHEMA),
        [Add Remove Update];
    /// A device that another process emulates.
    FlexibleIov = "VirtualMachine/Devices/FlexibleIov/{id}", Document(FlexibleIoDevice::SCHEMA),
        [Add Remove];
    /// A named pipe of the host that a machine sees.
    MachinePipe = "VirtualMachine/Devices/MappedPipes/{pipe}", None, [Add Remove];
    /// A network adapter.
    NetworkAdapter = "VirtualMachine/Devices/NetworkAdapters/{id}",
        Document(NetworkAdapter::SCHEMA), [Add Remove Update];
    /// Directories that a Linux guest sees.
    Plan9Shares = "VirtualMachine/Devices/Plan9/Shares", Document(Plan9Share::SCHEMA),
        [Add Remove Update];
    /// A disk.
    Attachment = "VirtualMachine/Devices/Scsi/{controller}/Attachments/{lun}",
        Document(Attachment::SCHEMA), [Add Remove Update];
    /// Memory that is shared with the host.
    SharedMemoryRegions = "VirtualMachine/Devices/SharedMemory/Regions",
        Document(SharedMemoryRegion::SCHEMA), [Add Remove Update];
    /// A disk that looks like memory.
    VirtualPMemDevice = "VirtualMachine/Devices/VirtualPMem/Devices/{number}",
        Document(VirtualPMemDevice::SCHEMA), [Add Remove];
    /// A part of a disk that looks like memory.
    VirtualPMemMapping = "VirtualMachine/Devices/VirtualPMem/Devices/{number}/Mappings/{offset}",
        Document(VirtualPMemMapping::SCHEMA), [Add Remove];
    /// Directories that a Windows guest sees.
    VirtualSmbShares = "VirtualMachine/Devices/VirtualSmb/Shares",
        Document(VirtualSmbShare::SCHEMA), [Add Remove Update];
    /// A device of the host.
    VirtualPci = "VirtualMachine/Devices/VirtualPci/{id}", Document(VirtualPciDevice::SCHEMA),
        [Add Remove];
    /// Who may use a service on sockets of the hypervisor.
    HvSocketService = "VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/{service}",
        Document(HvSocketServiceConfig::SCHEMA), [Update];
    /// What lets programs of the store run.
    Licensing = "VirtualMachine/Devices/Licensing", Undescribed, [Add Remove Update];
}

impl ResourcePath {
    /// The row that a path fits, and the names of the caller's in it, braces around them taken off.
    pub fn of(path: &str) -> Option<(&'static ResourcePath, Vec<String>)> {
        RESOURCES.iter().find_map(|row| Some((row, row.names_in(path)?)))
    }

    fn names_in(&self, path: &str) -> Option<Vec<String>> {
        let mut names = Vec::new();
        let mut parts = path.split('/');
        for wanted in self.pattern.split('/') {
            let part = parts.next()?;
            if wanted.starts_with('{') {
                let bare = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
                let name = bare.unwrap_or(part);
                if name.is_empty() {
                    return None;
                }
                names.push(name.into());
            } else if part != wanted {
                return None;
            }
        }
        parts.next().is_none().then_some(names)
    }

    /// Whether this can be done there.
    pub fn allows(&self, request: &ModifyRequestType) -> bool {
        match request {
            ModifyRequestType::Add => self.add,
            ModifyRequestType::Remove => self.remove,
            ModifyRequestType::Update => self.update,
            ModifyRequestType::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_with_the_names_in_them() {
        let (row, names) =
            ResourcePath::of("VirtualMachine/Devices/Scsi/primary/Attachments/2").unwrap();
        assert_eq!(
            (row.resource, names.as_slice()),
            (Resource::Attachment, &["primary".into(), "2".into()][..])
        );
        let (row, names) =
            ResourcePath::of("VirtualMachine/Devices/NetworkAdapters/{a-b}").unwrap();
        assert_eq!(
            (row.resource, names.as_slice()),
            (Resource::NetworkAdapter, &["a-b".into()][..])
        );
        let (row, _) = ResourcePath::of("Container/Memory/SizeInMB").unwrap();
        assert!(row.allows(&ModifyRequestType::Update) && !row.allows(&ModifyRequestType::Add));
        for wrong in [
            "",
            "/",
            "Container",
            "Container/Memory",
            "container/Memory/SizeInMB",
            "Container/Memory/SizeInMB/",
            "VirtualMachine/Devices/ComPorts/",
            "VirtualMachine/Devices/VirtualSmb/Shares/0",
        ] {
            assert!(ResourcePath::of(wrong).is_none(), "{wrong}");
        }
    }
}
