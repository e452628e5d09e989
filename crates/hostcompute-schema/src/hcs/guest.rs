//! What an agent inside a virtual machine is told (hcs.md 3.11).

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{Layer, ModifyRequestType};
use crate::guid::Guid;

documents! { @compute
    /// A change that the guest's agent carries out.
    pub struct GuestModifySettingRequest("GuestModifySettingRequest") {
        /// What is changed.
        resource_type: Option<ModifyResourceType> = "ResourceType" ["2.1"],
        /// What is done to it.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.1"],
        /// With what; its type depends on what is changed.
        settings: Option<Value> = "Settings" ["2.1"],
    }

    /// A disk of the machine that is seen inside.
    pub struct MappedVirtualDisk("MappedVirtualDisk") {
        /// Where it is seen.
        container_path: Option<String> = "ContainerPath" ["2.1"],
        /// Its number on the controller.
        lun: Option<u8> = "Lun" ["2.1"],
    }

    /// Layers that become the file system of a container in the machine.
    pub struct CombinedLayers("CombinedLayers") {
        /// The layers, the topmost first.
        layers: Option<Vec<Layer>> = "Layers" ["2.0"],
        /// Where what is written goes.
        scratch_path: Option<String> = "ScratchPath" ["2.0"],
        /// Where the file system is seen.
        container_root_path: Option<String> = "ContainerRootPath" ["2.0"],
    }

    /// The addresses of a socket of the hypervisor.
    pub struct HvSocketAddress("HvSocketAddress") {
        /// Its own.
        local_address: Option<Guid> = "LocalAddress" ["2.1"],
        /// The host's.
        parent_address: Option<Guid> = "ParentAddress" ["2.1"],
    }

    /// The time zone of the host.
    pub struct TimeZoneInformation("TimeZoneInformation") {
        /// Minutes that local time is behind UTC.
        bias: Option<i32> = "Bias" ["2.1"],
        /// The name of standard time.
        standard_name: Option<String> = "StandardName" ["2.1"],
        /// When standard time begins.
        standard_date: Option<SystemTime> = "StandardDate" ["2.1"],
        /// Minutes beside the bias in standard time.
        standard_bias: Option<i32> = "StandardBias" ["2.1"],
        /// The name of summer time.
        daylight_name: Option<String> = "DaylightName" ["2.1"],
        /// When summer time begins.
        daylight_date: Option<SystemTime> = "DaylightDate" ["2.1"],
        /// Minutes beside the bias in summer time.
        daylight_bias: Option<i32> = "DaylightBias" ["2.1"],
    }

    /// A point in time, or a rule for one in each year.
    pub struct SystemTime("SystemTime") {
        /// The year; 0 for a rule.
        year: Option<u16> = "Year" ["2.1"],
        /// The month, from 1.
        month: Option<u16> = "Month" ["2.1"],
        /// The day of the week, 0 for Sunday.
        day_of_week: Option<u16> = "DayOfWeek" ["2.1"],
        /// The day of the month; of a rule which such day of the week, 5 for the last.
        day: Option<u16> = "Day" ["2.1"],
        /// The hour.
        hour: Option<u16> = "Hour" ["2.1"],
        /// The minute.
        minute: Option<u16> = "Minute" ["2.1"],
        /// The second.
        second: Option<u16> = "Second" ["2.1"],
        /// The thousandths of a second.
        milliseconds: Option<u16> = "Milliseconds" ["2.1"],
    }
}

names! {
    /// What the guest's agent can change.
    pub enum ModifyResourceType {
        /// The memory.
        Memory ["2.0"],
        /// A directory of the host.
        MappedDirectory ["2.0"],
        /// A named pipe of the host.
        MappedPipe ["2.0"],
        /// A disk of the machine.
        MappedVirtualDisk ["2.0"],
        /// The layers of a container.
        CombinedLayers ["2.0"],
        /// A network namespace.
        NetworkNamespace ["2.1"],
        /// An image of files.
        CimMount ["2.3"],
    }
}
