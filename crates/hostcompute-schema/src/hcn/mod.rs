//! The documents of the network service, one file per subject.
//!
//! The Rust names are the published ones in Rust's spelling (`DNS` is [`Dns`], `DNS_2` is
//! [`Dns2`]); a member called `Type` is the field `kind`. What a member means is said in one
//! line of documentation here, which the OpenAPI documents repeat; what the service does with it
//! is said in the engine.

mod endpoint;
mod guest_message;
mod guest_object;
mod guest_service;
pub mod listing;
mod load_balancer;
mod namespace;
mod network;
mod notification;
mod object;
mod policy;
mod protocol;
mod query;
mod request;
mod route;
mod statistics;
mod subnet;

pub use endpoint::*;
pub use guest_message::*;
pub use guest_object::*;
pub use guest_service::*;
pub use load_balancer::*;
pub use namespace::*;
pub use network::*;
pub use notification::*;
pub use object::*;
pub use policy::*;
pub use protocol::*;
pub use query::*;
pub use request::*;
pub use route::*;
pub use statistics::*;
pub use subnet::*;
