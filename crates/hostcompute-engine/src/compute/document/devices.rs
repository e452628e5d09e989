//! AssignedDevices and AdditionalDeviceNamespace: device interfaces of Windows, as nodes below /dev.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use hostcompute_schema::hcs::{
    Container, ContainersDefDevice, Device, DeviceExtension, DeviceType, InterfaceClassType,
};
use hostcompute_schema::{Document, Guid, HResult};

use super::Notes;
use crate::compute::launch::DeviceNodes;

/// Interface classes that are published for containers, and the nodes that Linux has for such devices.
const CLASSES: &[(&str, &[&str])] = &[
    // GUID_DISPLAY_DEVICE_ARRIVAL: graphics processors.
    ("5b45201d-f2f2-4f3b-85bb-30ff1f953599", GRAPHICS),
    // GUID_DEVINTERFACE_COMPORT.
    ("86e0d1e0-8089-11d0-9ce4-08003e301f73", &["/dev/ttyS*", "/dev/ttyUSB*", "/dev/ttyACM*"]),
    // I2C controllers.
    ("a11ee3c6-8421-4202-a3e7-b91ff90188e4", &["/dev/i2c-*"]),
    // GPIO controllers.
    ("916ef1cb-8426-468d-a6f7-9ae8076881b3", &["/dev/gpiochip*"]),
    // SPI controllers.
    ("dcde6af9-6610-4285-828f-caaf78c424cc", &["/dev/spidev*"]),
];

const GRAPHICS: &[&str] = &["/dev/dri/*", "/dev/nvidia*", "/dev/kfd"];

/// All devices of a document.
pub fn read(container: &Container, notes: &mut Notes) -> Option<Vec<DeviceNodes>> {
    let before = notes.mistakes.len();
    let assigned = container.assigned_devices.as_deref().unwrap_or_default();
    let mut nodes: Vec<DeviceNodes> = Vec::new();
    for (index, assigned) in assigned.iter().enumerate() {
        let at = alloc::format!("$.Container.AssignedDevices[{index}]");
        nodes.extend(device(assigned, &at, notes));
    }
    if let Some(additional) = &container.additional_device_namespace {
        extensions(additional, &mut nodes, notes);
    }
    (notes.mistakes.len() == before).then_some(nodes)
}

/// A Device that stands at `at`.
pub fn device(device: &Device, at: &str, notes: &mut Notes) -> Option<DeviceNodes> {
    match device.kind.clone().unwrap_or_default() {
        DeviceType::ClassGuid => {
            let at = alloc::format!("{at}.InterfaceClassGuid");
            match device.interface_class_guid {
                Some(class) => self::class(class, &at, notes),
                None => {
                    notes.invalid(at, "a device is named by the class of its interface");
                    None
                }
            }
        }
        DeviceType::DeviceInstance => {
            let path = device.location_path.as_deref().unwrap_or_default();
            instance(path, &alloc::format!("{at}.LocationPath"), notes)
        }
        DeviceType::GpuMirror => Some(nodes(GRAPHICS)),
        DeviceType::Other(name) => {
            let why = alloc::format!("{name:?} is not a type of device");
            notes.refuse(HResult::HCS_E_INVALID_JSON, alloc::format!("{at}.Type"), why);
            None
        }
    }
}

fn nodes(patterns: &[&str]) -> DeviceNodes {
    DeviceNodes { patterns: patterns.iter().map(ToString::to_string).collect() }
}

fn class(class: Guid, at: &str, notes: &mut Notes) -> Option<DeviceNodes> {
    let known = |(name, _): &&(&str, &[&str])| name.parse() == Ok(class);
    let found = CLASSES.iter().find(known).map(|(_, patterns)| nodes(patterns));
    if found.is_none() {
        let why = alloc::format!("Linux has no devices of the interface class {class}");
        notes.refuse(HResult::ERROR_NOT_FOUND, at, why);
    }
    found
}

fn instance(path: &str, at: &str, notes: &mut Notes) -> Option<DeviceNodes> {
    let below = path.strip_prefix("/dev/").unwrap_or_default();
    let parts: Vec<&str> = below.split('/').collect();
    let plain = |part: &&str| !matches!(*part, "" | "." | "..") && !part.contains(['*', '\0']);
    if parts.iter().all(plain) {
        let path = String::from(path);
        return Some(DeviceNodes { patterns: vec![path] });
    }
    let why = alloc::format!("{path:?} is no device of this host; they are named like /dev/ttyS0");
    notes.refuse(HResult::ERROR_NOT_FOUND, at, why);
    None
}

fn extensions(additional: &ContainersDefDevice, found: &mut Vec<DeviceNodes>, notes: &mut Notes) {
    let extensions = additional.device_extension.as_deref().unwrap_or_default();
    for (index, extension) in extensions.iter().enumerate() {
        let at = alloc::format!("$.Container.AdditionalDeviceNamespace.device_extension[{index}]");
        self::extension(extension, &at, found, notes);
    }
}

fn extension(
    extension: &DeviceExtension,
    at: &str,
    found: &mut Vec<DeviceNodes>,
    notes: &mut Notes,
) {
    let classes = extension.device_category.as_ref().and_then(|c| c.interface_class.as_deref());
    for (index, wanted) in classes.unwrap_or_default().iter().enumerate() {
        let at = alloc::format!("{at}.device_category.interface_class[{index}]");
        match (&wanted.kind, wanted.identifier) {
            (Some(InterfaceClassType::ClassGuid), Some(id)) => {
                found.extend(class(id, &alloc::format!("{at}.identifier"), notes));
            }
            _ => notes.unsupported(at, "only classes of devices mean something here (ClassGuid)"),
        }
    }
    let Some(namespace) = &extension.namespace else { return };
    let at = alloc::format!("{at}.namespace");
    let mut rest = namespace.clone();
    let device = rest.device.take().unwrap_or_default();
    if !rest.is_blank() {
        notes.unsupported(
            at.clone(),
            "of a device's namespaces only `device` has a counterpart on Linux",
        );
    }
    let instances = device.device_instance.unwrap_or_default();
    for (index, wanted) in instances.iter().enumerate() {
        let at = alloc::format!("{at}.device.device_instance[{index}].location_path");
        let path = wanted.location_path.as_deref().unwrap_or_default();
        found.extend(instance(path, &at, notes));
    }
    if device.device_category.is_some_and(|categories| !categories.is_empty()) {
        notes.unsupported(
            alloc::format!("{at}.device.device_category"),
            "name the devices or their class instead",
        );
    }
}
