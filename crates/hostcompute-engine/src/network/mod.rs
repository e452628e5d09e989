//! Network objects: what their documents mean, which requests are refused and why.
//!
//! One file per object; `policy/` has one file per family of endpoint policies; `ipam` and `macs` choose addresses.

pub mod answering;
pub mod attach;
pub mod creation;
pub mod detour;
pub mod dns;
pub mod endpoint;
pub mod fence;
pub mod guest_service;
pub mod ipam;
pub mod load_balancer;
pub mod macs;
pub mod namespace;
#[expect(clippy::module_inception, reason = "networks are one kind of network objects")]
pub mod network;
pub mod overlay;
pub mod policy;
pub mod remote;
pub mod remote_subnet;
pub mod sdn_route;
pub mod set;
pub mod slots;
pub mod standing;
pub mod station;
pub mod subnet;
pub mod uplink;
pub(crate) mod vlan;
pub mod wire;
