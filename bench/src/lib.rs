//! What attach, detach and load balancing cost, beside a yardstick and beside others.
//!
//! - [`floor`] makes the same kernel objects with bare netlink: the least that the kernel asks for.
//! - [`side`] drives each way of attaching an endpoint: the floor, this project, CNI plugins, netavark.
//! - [`daemon`] is the service as a process, [`client`] asks it; [`echo`] is what asking costs when nothing is answered.
//! - [`worker`] is a process that holds one side in network and mount namespaces of its own; [`remote`] talks to it.
//! - [`measure`] asks the workers in turns, so that a busy moment of the machine falls on all of them alike.
//! - [`report`] turns the samples into one table with ratios, and into JSON.
//!
//! Nothing here touches the machine's own network: every process that changes anything secludes itself first.

pub mod client;
pub mod command;
pub mod crowd;
pub mod daemon;
pub mod echo;
pub mod floor;
pub mod machine;
pub mod measure;
pub mod namespace;
pub mod netlink;
pub mod remote;
pub mod report;
pub mod side;
pub mod statistics;
pub mod worker;

use std::net::{Ipv4Addr, SocketAddrV4};

/// The port that every endpoint's mapping leads to.
pub const INNER_PORT: u16 = 80;

/// The port on which the backends of every service listen.
pub const BACKEND_PORT: u16 = 8080;

/// The host's port that is mapped to the endpoint with this number.
pub fn host_port(number: u32) -> u16 {
    10_000 + u16::try_from(number % 50_000).unwrap_or_default()
}

/// The frontend of the service with this number.
pub fn vip(number: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 97, 0, 1)) + number), 80)
}
