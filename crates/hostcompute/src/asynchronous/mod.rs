//! The same API for programs on tokio: calls are futures, subscriptions are streams (feature `async`).
//!
//! Every type here stands for the blocking one of the same name, and asks it: a call runs on the runtime's pool for blocking work, so that
//! there is one implementation, and one behaviour, whatever the way to the service. A way that waits without a thread would save a few
//! microseconds of a call that takes the kernel hundreds, and would be a second implementation of everything that makes calls safe to
//! repeat.
//!
//! ```no_run
//! use hostcompute::Options;
//! use hostcompute::asynchronous::{Host, Namespace, Network};
//!
//! # async fn example() -> Result<(), hostcompute::Error> {
//! let host = Host::auto(Options::from_env()).await?;
//! let network = Network::create_nat(&host, "web", "10.1.0.0/24").await?;
//! let namespace = Namespace::create_host(&host).await?;
//! println!("{:?} {}", network.query().await?.ipams, namespace.id());
//! # Ok(())
//! # }
//! ```
//!
//! # Cancellation
//!
//! A future that is dropped before it was polled has asked for nothing. One that is dropped while its call waits for a thread takes it back.
//! A call that has begun is carried out to its end, several steps included ([`EndpointAttachment::create_overlay`]), so nothing is ever left
//! half done. What it made for nobody is then taken back: the object of a creation is deleted, a system is terminated, a port reservation
//! released, a handle closed. What it changed stays changed, as when an answer is lost on its way. Work on images and layers that tells of
//! itself is called off, and leaves nothing.
//!
//! [`Subscription::next`](Heard::next) loses nothing when it is dropped.
//!
//! # What drops do
//!
//! Giving back what a handle holds may take a call; a thread of its own makes it, so that dropping never blocks the runtime. Before a program
//! ends, [`Host::close`] waits for the service inside the process.
//!
//! # What there is
//!
//! Every call of the blocking API that may wait; the list of the crate's interface is held to that. Not here are
//! [`operation`](crate::operation), which is another way not to wait, and the sides of services and transports ([`crate::transport`],
//! [`crate::local`]).

#[cfg(adapters)]
pub mod adapter;
mod attach;
mod heard;
mod host;
#[cfg(images)]
pub mod image;
#[cfg(any(images, windows))]
pub mod layer;
mod object;
mod pool;
mod reservation;
mod system;
mod waist;

pub use attach::EndpointAttachment;
pub use heard::Heard;
pub use host::Host;
pub use object::{Endpoint, GuestService, LoadBalancer, Namespace, Network, Object, SdnRoute};
pub use reservation::ReservedPorts;
pub use system::{Process, System};

/// What happens on a host; see [`crate::events`].
pub type Subscription = Heard<crate::Notice>;

/// What happens to one compute system.
pub type ComputeEvents = Heard<crate::ComputeNotice>;

/// What processes wrote, in pieces of any size; see [`crate::Log`].
pub type Log = Heard<Vec<u8>>;
