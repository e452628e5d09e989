//! What a person calls the things on the way.

use alloc::format;
use alloc::string::{String, ToString};
use core::net::IpAddr;

use hostcompute_schema::Guid;
use ipnet::IpNet;

use super::Packet;
use super::view::{View, Way};
use super::walk::Receiver;
use crate::network::network::Network;
use crate::object::Kind;
use crate::plan::Family;
use crate::state::{Frontend, State};

/// The documents behind the facts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    pub state: &'a State,
    pub view: View<'a>,
}

impl Words<'_> {
    /// An endpoint: its name, with the beginning of its id where others have the name, too.
    pub fn endpoint(self, id: Guid) -> String {
        let found = self.state.endpoints.get(id);
        let name = found.and_then(|endpoint| endpoint.document.base.name.clone());
        let id = id.to_string();
        match name {
            Some(name) if self.state.named(Kind::Endpoint, &name).len() == 1 => {
                format!("endpoint '{name}'")
            }
            Some(name) => format!("endpoint '{name}' ({})", id.get(..8).unwrap_or(&id)),
            None => format!("endpoint {id}"),
        }
    }

    pub fn network(self, id: Guid) -> String {
        let found = self.state.networks.get(id);
        found.map_or_else(|| format!("network {id}"), |found| format!("network '{}'", found.name()))
    }

    pub fn attached(self, id: Guid) -> bool {
        self.state.endpoints.get(id).is_some_and(|endpoint| endpoint.attachment.is_some())
    }

    /// Whoever has an address of ours.
    pub fn owner(self, address: IpAddr) -> String {
        self.view.owner(address).map_or_else(|| address.to_string(), |id| self.endpoint(id))
    }

    /// The load balancer with a frontend.
    pub fn balancer(self, frontend: ServiceFrontend) -> String {
        let (vip, family, protocol, port) = frontend;
        let owner = self.state.index.services.get(&(family, vip, protocol, port));
        owner.map_or_else(|| "a load balancer".into(), |id| self.balancer_by_id(*id))
    }

    pub fn balancer_by_id(self, id: Guid) -> String {
        let found = self.state.load_balancers.get(id);
        match found.and_then(|balancer| balancer.document.base.name.clone()) {
            Some(name) => format!("load balancer '{name}'"),
            None => format!("load balancer {id}"),
        }
    }

    /// Who publishes the port that a packet is sent to.
    pub fn publisher(self, vip: Option<IpAddr>, packet: &Packet) -> String {
        let owner = self.publisher_id(vip, packet);
        owner.map_or_else(|| "an endpoint".into(), |id| self.endpoint(id))
    }

    pub fn publisher_id(self, vip: Option<IpAddr>, packet: &Packet) -> Option<Guid> {
        let frontend: Frontend =
            (Family::of(&packet.destination), vip, packet.protocol, packet.port);
        self.state.index.mappings.get(&frontend).copied()
    }

    /// The host's routing decision.
    pub fn way(self, way: Way<'_>, to: IpAddr) -> String {
        match way {
            Way::Local => "the address is this host's".into(),
            Way::Port(port) => {
                format!("{to} is behind {}, {}", port.name, self.endpoint(port.endpoint))
            }
            Way::OtherHost(host) => format!("{to} is behind the tunnel to {host}"),
            Way::Outside => "the host's routes lead outside".into(),
            Way::Detour(via) => format!("an SDN route leads outside by {via}"),
            Way::Nowhere => "nobody has the address".into(),
        }
    }

    pub fn receiver(self, receiver: Receiver) -> String {
        match receiver {
            Receiver::Endpoint(id) => self.endpoint(id),
            Receiver::Host => "this host".into(),
            Receiver::Outside => "whoever has the address outside".into(),
            Receiver::OtherHost(host) => format!("the host {host}"),
        }
    }
}

/// The network whose range holds an address.
pub(super) fn network_of(state: &State, address: IpAddr) -> Option<&Network> {
    let mut networks = state.networks();
    let alone = IpNet::from(address);
    networks.find(|network| network.overlapping(state, &alone).is_some()).map(AsRef::as_ref)
}

/// A frontend as facts name it.
type ServiceFrontend = (Option<IpAddr>, Family, u8, u16);
