//! Types that only older editions of the schema list (hcs.md 3.14): saved variables of firmware,
//! saved states.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{DateTime, Version};
use crate::guid::Guid;

documents! { @compute
    /// The variables of a machine's firmware.
    pub struct Nvram("Nvram") {
        /// The variables, by the id of who defined them.
        vendors: Option<BTreeMap<Guid, NvramVendor>> = "Vendors" [],
        /// When one of them was last changed.
        last_update_time: Option<DateTime> = "LastUpdateTime" [],
    }

    /// The variables of one who defined some.
    pub struct NvramVendor("NvramVendor") {
        /// The variables, by name.
        variables: Option<BTreeMap<String, NvramVariable>> = "Variables" [],
    }

    /// A variable of a machine's firmware.
    pub struct NvramVariable("NvramVariable") {
        /// Its properties, as bits.
        attributes: Option<u32> = "Attributes" [],
        /// When it was set.
        timestamp: Option<DateTime> = "Timestamp" [],
        /// Its bytes.
        data: Option<Vec<u8>> = "Data" [],
    }

    /// The saved state of a machine.
    pub struct RuntimeState("RuntimeState") {
        /// The version of the machine.
        version: Option<Version> = "Version" [],
        /// The states of its devices, by name.
        devices: Option<BTreeMap<String, RuntimeStateDevice>> = "Devices" [],
    }

    /// The saved state of a device.
    pub struct RuntimeStateDevice("RuntimeStateDevice") {
        /// The version of the device.
        version: Option<Version> = "Version" [],
        /// What sort of device it is.
        kind: Option<Guid> = "Type" [],
        /// Its states.
        states: Option<Value> = "States" [],
    }
}
