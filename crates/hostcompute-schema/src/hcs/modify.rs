//! Changes of a compute system (hcs.md 3.8).

use alloc::string::String;

use serde_json::Value;

documents! { @compute
    /// A change of a compute system.
    pub struct ModifySettingRequest("ModifySettingRequest") {
        /// What is changed: the path of a member in the system's document.
        resource_path: Option<String> = "ResourcePath" ["2.1"],
        /// What is done to it; an update when it is left out.
        request_type: Option<ModifyRequestType> = "RequestType" ["2.0"],
        /// With what; its type depends on the path.
        settings: Option<Value> = "Settings" ["2.0"],
        /// What the guest's agent is told.
        guest_request: Option<Value> = "GuestRequest" ["2.1"],
    }
}

names! {
    /// What is done to a part of a compute system.
    pub enum ModifyRequestType {
        /// It is added.
        Add ["2.0"],
        /// It is removed.
        Remove ["2.0"],
        /// It is changed.
        Update ["2.0"],
    }
}
