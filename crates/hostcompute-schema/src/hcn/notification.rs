//! What subscribers are told (hcn.md 1.8).

use alloc::vec::Vec;

use serde_json::Value;

use crate::guid::Guid;
use crate::hcn::{GuestNetworkServiceInterface, GuestNetworkServiceState};

documents! {
    /// The body of a notification.
    pub struct NotificationBase("NotificationBase") {
        /// The id of the object that changed.
        id: Option<Guid> = "ID" ["2.0"],
        /// The flags of the object that changed.
        flags: Option<u32> = "Flags" ["2.0"],
        /// More about the change.
        data: Option<Value> = "Data" ["2.2"],
    }

    /// What changed in a guest network service.
    pub struct GuestNetworkServiceNotificationData("GuestNetworkServiceNotificationData") {
        /// The state that was reached.
        state: Option<GuestNetworkServiceState> = "State" ["2.2", Given],
        /// The interfaces that changed.
        interfaces: Vec<GuestNetworkServiceInterface> = "Interfaces" ["2.2"],
    }
}
