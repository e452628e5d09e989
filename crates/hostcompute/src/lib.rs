//! Host networks, endpoints, namespaces and load balancers by the documents of the HCN API, compute systems and their processes by
//! those of the HCS API, on Linux.
//!
//! A [`Host`] is the way in. [`Host::connect`] reaches the service of this machine on its socket. [`Host::embedded`] carries the whole
//! service inside the calling process, on its own state directory; nothing need be installed or running. [`Host::auto`] takes the
//! first where something listens, else the second; they behave alike. The typed handles ([`Network`], [`Endpoint`], [`Namespace`], [`LoadBalancer`], [`SdnRoute`],
//! [`GuestService`], [`System`], [`Process`]) speak the
//! documents of [`schema`]; each has a way out to plain JSON for what the types do not say.
//!
//! ```no_run
//! use hostcompute::schema::{HostComputeEndpoint, HostComputeNamespace, HostComputeNetwork};
//! use hostcompute::{Endpoint, Host, Namespace, Network, Options};
//!
//! # fn main() -> Result<(), hostcompute::Error> {
//! let host = Host::auto(Options::from_env())?;
//! let network = Network::create(&host, &HostComputeNetwork::default())?; // NAT, subnet chosen by the service
//! let namespace = Namespace::create(&host, &HostComputeNamespace::default())?;
//! let endpoint = Endpoint::create(&network, &HostComputeEndpoint::default())?;
//! namespace.add(&endpoint)?;
//! println!("{:?}", endpoint.query()?.ip_configurations);
//! # Ok(())
//! # }
//! ```
//!
//! Networks and what belongs to them live until they are deleted: dropping a handle, or ending the process, changes nothing. A compute
//! system may be made to end with its last handle. Every error is an [`Error`]: an HRESULT of the API, one line of what was wrong, the place
//! in the document, and what lies behind; [`error`] has the table of what callers tell apart.
//!
//! Numbers in documents have the units of the published schema: addresses are text, ports numbers, sizes and counters bytes and packets unless
//! the member says otherwise. Where behaviour of Windows is followed, the document's description says from where it is known.
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `socket` | the service of this machine, over its unix socket or a loopback port | yes |
//! | `embedded` | the service inside the process, and what needs this machine's kernel: [`adapter`], [`Namespace::run`] | yes |
//! | `async` | `asynchronous`: the whole API once more, for tokio | no |
//! | `images`, `registry` | layers and images, from registries too | no |
//!
//! Elsewhere than on Linux they bring what does not need it ([`adapter`] is there on Windows, too), and everything builds.
//!
//! Everything a client can ask is one call through [`Transport`]; the socket and the service inside the process are two of them.

#[macro_use]
pub mod handle;

#[cfg(adapters)]
pub mod adapter;
mod address;
#[cfg(feature = "async")]
pub mod asynchronous;
pub mod attach;
pub mod endpoint;
pub mod error;
pub mod events;
pub mod guest_network_service;
mod host;
#[cfg(images)]
pub mod image;
#[cfg(any(images, windows))]
pub mod layer;
pub mod loadbalancer;
#[cfg(embedded)]
pub mod local;
pub mod namespace;
pub mod network;
mod older;
#[cfg(feature = "operations")]
pub mod operation;
mod options;
mod platform;
mod process;
pub mod route;
#[cfg(images)]
pub mod store;
mod system;
pub mod transport;

pub use address::Address;
pub use endpoint::Endpoint;
pub use error::Error;
pub use events::{Event, Notice, Stopper, Subscription, Topic};
pub use guest_network_service::{GuestService, ReservedPorts};
pub use host::Host;
#[cfg(embedded)]
pub use hostcompute_linux::exec::Place;
pub use hostcompute_schema as schema;
pub use hostcompute_schema::{Failure, Guid, HResult, Warning};
pub use loadbalancer::LoadBalancer;
pub use namespace::Namespace;
pub use network::Network;
pub use options::{Containers, Options, Way};
pub use process::Process;
pub use route::SdnRoute;
pub use system::System;
pub use transport::{ComputeEvents, ComputeNotice, Log, Streams, Transport};

/// An unpredictable number, from the keys that the standard library draws for its hash maps: good for ids that are no secrets, and no
/// further dependency.
#[cfg(any(embedded, socket))]
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Holds the Rust in the README to this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
