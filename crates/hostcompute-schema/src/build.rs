//! Documents said member by member: every type has a method for each of its members, which takes what the member can be made of.
//!
//! ```
//! use hostcompute_schema::{HostComputeNetwork, Ipam, NetworkMode, Subnet};
//!
//! let subnet = Subnet::default().ip_address_prefix("10.1.0.0/24");
//! let network = HostComputeNetwork::default()
//!     .name("web")
//!     .kind(NetworkMode::NAT)
//!     .ipams([Ipam::default().subnets([subnet])]);
//! assert_eq!(network.base.name.as_deref(), Some("web"));
//! ```

use alloc::vec::Vec;

/// What a member can be made of: a value for one that may be left out, several for a list.
pub trait IntoMember<M> {
    /// The member.
    fn into_member(self) -> M;
}

impl<T, V: Into<T>> IntoMember<Option<T>> for V {
    fn into_member(self) -> Option<T> {
        Some(self.into())
    }
}

impl<T, I> IntoMember<Vec<T>> for I
where
    I: IntoIterator,
    I::Item: Into<T>,
{
    fn into_member(self) -> Vec<T> {
        self.into_iter().map(Into::into).collect()
    }
}
