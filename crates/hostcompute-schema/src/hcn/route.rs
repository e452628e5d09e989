//! SDN routes as objects (hcn.md 2.18).

use alloc::string::String;
use alloc::vec::Vec;

use crate::hcn::{Base, SdnRoutePolicySetting};

documents! {
    /// Decides for a list of endpoints how traffic to some destinations leaves.
    pub struct HostComputeRoute("HostComputeRoute"): Base {
        /// The id of the network; normally that of the endpoints.
        host_compute_network: Option<String> = "HostComputeNetwork" ["2.5"],
        /// The ids of the endpoints that the routes apply to; at least one.
        host_compute_endpoints: Vec<String> = "HostComputeEndpoints" ["2.0"],
        /// The routes; printed under both published names.
        routes: Vec<SdnRoutePolicySetting> = "Routes" | "Setting" ["2.0", Twice],
    }
}
