//! ModifySettingRequest (hcs.md 3.8), for containers: one table of resource paths.

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::hcs::{
    self, ContainerProcessor, CpuGroup, Device, MappedDirectory, MappedPipe, ModifyRequestType,
    ModifySettingRequest,
};
use hostcompute_schema::{Document, Element, Failure, Guid, HResult, Reader, first_of};
use serde_json::Value;

use super::{Notes, container, devices, limits};
use crate::compute::facts::HostFacts;
use crate::compute::launch::{DeviceNodes, Limits, Mount, Pipe};
use crate::compute::verb::Verb;

/// What is to become different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Limits(Limits),
    AddMount(Mount),
    /// By its path in the container.
    RemoveMount(String),
    AddPipe(Pipe),
    /// By its name in the container.
    RemovePipe(String),
    AddDevices(DeviceNodes),
    RemoveDevices(DeviceNodes),
    AddEndpoint(Guid),
    RemoveEndpoint(Guid),
    /// On the processors of this group, or of none.
    CpuGroup(Option<Guid>),
}

impl Change {
    /// As what it is judged by the table of legal calls.
    pub fn verb(&self) -> Verb {
        match self {
            Self::AddEndpoint(_) | Self::RemoveEndpoint(_) => Verb::ModifyNetwork,
            _ => Verb::Modify,
        }
    }
}

/// What can be modified, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    MappedDirectories,
    MappedPipes,
    MemorySize,
    Processor,
    /// Of ours: what VirtualMachine/ComputeTopology/Processor/CpuGroup is for virtual machines.
    CpuGroup,
    Devices,
    Networks,
}

use ModifyRequestType::{Add, Remove, Update};

const RESOURCES: &[(&str, Resource, &[ModifyRequestType])] = &[
    ("Container/MappedDirectories", Resource::MappedDirectories, &[Add, Remove]),
    ("Container/MappedPipes", Resource::MappedPipes, &[Add, Remove]),
    ("Container/Memory/SizeInMB", Resource::MemorySize, &[Update]),
    ("Container/Processor", Resource::Processor, &[Update]),
    ("Container/Processor/CpuGroup", Resource::CpuGroup, &[Update]),
    ("Container/Devices/Generic", Resource::Devices, &[Add, Remove]),
    ("Container/Networks", Resource::Networks, &[Add, Remove]),
];

/// Paths that are published and that Linux has nothing for.
const REFUSED: &[&str] = &["Container/RegistryFlushState"];

/// Reads what HcsModifyComputeSystem is given, for a container that has `limits`.
///
/// # Errors
/// HCS_E_INVALID_JSON for what is not the schema's; E_INVALIDARG for a resource path that no container has, and for values;
/// ERROR_NOT_SUPPORTED for a request type that the path does not have, for guest requests and for what Linux has not.
pub fn read_modify(text: &str, limits: &Limits, facts: &HostFacts) -> Result<Change, Failure> {
    let request: ModifySettingRequest = hcs::parse(text)?;
    let refuse =
        |code, at: &str, why: String| Err(Failure::new(code, why).at(at).in_document(text));
    if request.guest_request.is_some() {
        let why = "a container has no guest that could be asked".into();
        return refuse(HResult::ERROR_NOT_SUPPORTED, "$.GuestRequest", why);
    }
    let path = request.resource_path.as_deref().unwrap_or_default();
    let path = path.trim_end_matches('/');
    if REFUSED.contains(&path) {
        let why = alloc::format!("there is nothing like {path} on Linux");
        return refuse(HResult::ERROR_NOT_SUPPORTED, "$.ResourcePath", why);
    }
    let Some((_, resource, types)) = RESOURCES.iter().find(|(known, ..)| *known == path) else {
        let why = alloc::format!("a container has no resource {path:?}");
        return refuse(HResult::E_INVALIDARG, "$.ResourcePath", why);
    };
    // Clients leave the type out where a value can only be updated.
    let kind = match request.request_type {
        Some(kind) => kind,
        None => Update,
    };
    if !types.contains(&kind) {
        let names: Vec<&str> = types.iter().map(ModifyRequestType::name).collect();
        let why = alloc::format!("{path} has {}, not {kind}", names.join(" and "));
        return refuse(HResult::ERROR_NOT_SUPPORTED, "$.RequestType", why);
    }
    let settings = request.settings.unwrap_or_default();
    let mut notes = Notes::default();
    let change = match read_change(*resource, kind, &settings, limits, facts, &mut notes) {
        Ok(change) => change,
        Err(failure) => return Err(failure.in_document(text)),
    };
    notes.finish(change, text).map(|(change, _)| change)
}

const AT: &str = "$.Settings";

fn read_change(
    resource: Resource,
    kind: ModifyRequestType,
    settings: &Value,
    limits: &Limits,
    facts: &HostFacts,
    notes: &mut Notes,
) -> Result<Option<Change>, Failure> {
    let add = kind == Add;
    Ok(match resource {
        Resource::MappedDirectories => {
            let directory: MappedDirectory = object(settings)?;
            match add {
                true => container::mount(&directory, AT, notes).map(Change::AddMount),
                false => container::container_path(&directory, AT, notes).map(Change::RemoveMount),
            }
        }
        Resource::MappedPipes => {
            let mapped: MappedPipe = object(settings)?;
            match add {
                true => container::pipe(&mapped, AT, facts, notes).map(Change::AddPipe),
                false => container::pipe_name(&mapped, AT, notes).map(Change::RemovePipe),
            }
        }
        Resource::MemorySize => {
            let size: u64 = scalar(settings)?;
            let memory = limits::memory_size(size, AT, facts, notes);
            memory.map(|size| Change::Limits(Limits { memory: Some(size), ..limits.clone() }))
        }
        Resource::Processor => {
            let wanted: ContainerProcessor = object(settings)?;
            let mut changed = limits.clone();
            limits::processor(&wanted, AT, facts, &mut changed, notes);
            Some(Change::Limits(changed))
        }
        Resource::CpuGroup => {
            // The null GUID stands for none.
            let group: CpuGroup = object(settings)?;
            Some(Change::CpuGroup(group.id.filter(|id| !id.is_zero())))
        }
        Resource::Devices => {
            let wanted: Device = object(settings)?;
            let change = if add { Change::AddDevices } else { Change::RemoveDevices };
            devices::device(&wanted, AT, notes).map(change)
        }
        Resource::Networks => {
            let endpoint: Guid = scalar(settings)?;
            let change = if add { Change::AddEndpoint } else { Change::RemoveEndpoint };
            Some(change(endpoint))
        }
    })
}

fn object<T: Document>(settings: &Value) -> Result<T, Failure> {
    hcs::parse_value(settings, AT)
}

fn scalar<T: Element>(settings: &Value) -> Result<T, Failure> {
    let mut reader = Reader::strict().at(AT);
    let read = T::from_json(settings, &mut reader);
    let (failures, _) = reader.into_notes();
    match read {
        Some(read) if failures.is_empty() => Ok(read),
        _ => Err(first_of(failures)),
    }
}
