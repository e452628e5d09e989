//! The reference: what the published rules say about objects, in plain lists, with nothing taken from the engine.
//!
//! Where the rules leave a choice to the service (which free address, which MAC), the model reads the choice back from the
//! object's document and checks that it is a permitted one. `expect.rs` says which requests must fail, and how.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hostcompute_schema::Guid;
use ipnet::IpNet;
use serde_json::Value;

use crate::command::{Extra, Kind, MISSES, Pick, Policy, Rule};
use crate::detours::Route;
use crate::guests::GuestService;
use crate::sets::Set;

/// The id of namespace HostDefault is the service's choice; the model learns it from the first enumeration.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub host_default: Guid,
    pub networks: Vec<Network>,
    pub namespaces: Vec<Namespace>,
    pub endpoints: Vec<Endpoint>,
    pub balancers: Vec<Balancer>,
    pub routes: Vec<Route>,
    pub guest_services: Vec<GuestService>,
    /// What the HostDefault namespace holds, in order of attachment.
    pub on_host: Vec<Guid>,
    /// Ports of the host that a foreign program holds: protocol and number.
    pub foreign_ports: BTreeSet<(u8, u16)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Nat,
    Internal,
    Private,
    Overlay,
    Bridged,
    Transparent,
}

#[derive(Debug, Clone)]
pub struct Network {
    pub id: Guid,
    pub name: Option<String>,
    pub mode: Mode,
    pub flags: u32,
    pub subnets: Vec<Subnet>,
    /// Size of the pool that the document gives.
    pub pool: Option<u8>,
    /// What is behind other hosts: range, virtual subnet, host.
    pub remotes: Vec<(IpNet, u32, u8)>,
    pub host_route: bool,
    pub sets: Vec<Set>,
    /// For all its endpoints.
    pub rules: Vec<Rule>,
    /// Reaches neither the host nor what is near it.
    pub fenced: bool,
    /// Under which MAC its endpoints are on the wire, where that is not the adapter's.
    pub source_mac: Option<u8>,
}

#[derive(Debug, Clone)]
pub struct Subnet {
    pub prefix: IpNet,
    /// As the object's document shows it after creation.
    pub gateway: Option<IpAddr>,
    /// Whether the client named it.
    pub declared: bool,
}

#[derive(Debug, Clone)]
pub struct Namespace {
    pub id: Guid,
    pub containers: Vec<u8>,
    pub endpoints: Vec<Guid>,
    /// It is inside of a virtual machine: a record.
    pub guest: bool,
}

#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: Guid,
    pub name: String,
    pub network: Guid,
    pub addresses: Vec<IpNet>,
    pub mac: String,
    pub from_pool: bool,
    pub flags: u32,
    pub policies: Vec<Policy>,
    pub place: Option<Guid>,
    pub was_attached: bool,
    /// The host that it lives on, if that is another.
    pub remote: Option<u8>,
}

#[derive(Debug, Clone)]
pub struct Balancer {
    pub id: Guid,
    pub endpoints: Vec<Guid>,
    pub vips: Vec<IpAddr>,
    pub mappings: Vec<(u8, u16, u16)>,
    pub extra: Extra,
}

impl Model {
    /// Whether an endpoint is on the wire past the host: none of its policies wants the host in between.
    pub fn is_station(&self, endpoint: &Endpoint) -> bool {
        let guides = |policy: &Policy| {
            let of_host = matches!(policy, Policy::Acl(_) | Policy::Qos(_) | Policy::Route(_));
            let tier = matches!(policy, Policy::Tier(tier) if !tier.rules.is_empty());
            of_host || tier || matches!(policy, Policy::OutboundNat { .. })
        };
        let network = self.network(endpoint.network);
        !endpoint.place.is_some_and(|place| self.is_machine(place))
            && network.is_some_and(|it| it.mode == Mode::Transparent && it.rules.is_empty())
            && !endpoint.policies.iter().any(guides)
    }

    /// Whether a load balancer or a route leads packets to it, or from it.
    pub fn is_led(&self, endpoint: Guid) -> bool {
        let balanced = self.balancers.iter().any(|it| it.endpoints.contains(&endpoint));
        balanced || self.routes.iter().any(|it| it.endpoints.contains(&endpoint))
    }

    /// Whether a namespace is inside of a virtual machine.
    pub fn is_machine(&self, namespace: Guid) -> bool {
        self.namespace(namespace).is_some_and(|namespace| namespace.guest)
    }

    /// The object that a pick means.
    pub fn pick(&self, kind: Kind, pick: Pick) -> Guid {
        let ids = self.ids(kind);
        let place = usize::from(pick.0) / usize::from(MISSES);
        match ids.len() {
            0 => Guid::from_bytes([0xEE; 16]),
            _ if pick.0.is_multiple_of(MISSES) => Guid::from_bytes([0xEE; 16]),
            count => ids[place % count],
        }
    }

    /// The objects of a kind, oldest first; HostDefault was there before all.
    pub fn ids(&self, kind: Kind) -> Vec<Guid> {
        match kind {
            Kind::Network => self.networks.iter().map(|network| network.id).collect(),
            Kind::Namespace => {
                let own = self.namespaces.iter().map(|namespace| namespace.id);
                std::iter::once(self.host_default).chain(own).collect()
            }
            Kind::Endpoint => self.endpoints.iter().map(|endpoint| endpoint.id).collect(),
            Kind::Balancer => self.balancers.iter().map(|balancer| balancer.id).collect(),
            Kind::Route => self.routes.iter().map(|route| route.id).collect(),
            Kind::GuestService => self.guest_services.iter().map(|service| service.id).collect(),
        }
    }

    pub fn exists(&self, kind: Kind, id: Guid) -> bool {
        self.ids(kind).contains(&id)
    }

    pub fn network(&self, id: Guid) -> Option<&Network> {
        self.networks.iter().find(|network| network.id == id)
    }

    pub fn network_mut(&mut self, id: Guid) -> Option<&mut Network> {
        self.networks.iter_mut().find(|network| network.id == id)
    }

    pub fn endpoint(&self, id: Guid) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.id == id)
    }

    pub fn endpoint_mut(&mut self, id: Guid) -> Option<&mut Endpoint> {
        self.endpoints.iter_mut().find(|endpoint| endpoint.id == id)
    }

    pub fn namespace(&self, id: Guid) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.id == id)
    }

    /// What a namespace holds, in order of attachment.
    pub fn residents(&self, namespace: Guid) -> &[Guid] {
        if namespace == self.host_default {
            return &self.on_host;
        }
        self.namespace(namespace).map_or(&[], |namespace| &namespace.endpoints)
    }

    fn residents_mut(&mut self, namespace: Guid) -> Option<&mut Vec<Guid>> {
        if namespace == self.host_default {
            return Some(&mut self.on_host);
        }
        let found = self.namespaces.iter_mut().find(|other| other.id == namespace);
        found.map(|namespace| &mut namespace.endpoints)
    }

    /// The namespace that a pick names, else the one that the endpoint is in.
    pub fn place_of(&self, namespace: Option<Pick>, endpoint: Guid) -> Guid {
        let place = self.endpoint(endpoint).and_then(|endpoint| endpoint.place);
        match namespace {
            Some(pick) => self.pick(Kind::Namespace, pick),
            None => place.unwrap_or(self.host_default),
        }
    }

    /// The state number that an endpoint's document shows (hcn.md 2.9).
    pub fn state_of(&self, endpoint: &Endpoint) -> u16 {
        match endpoint.place {
            Some(place) if self.residents(place).len() > 1 => 3,
            Some(_) => 2,
            None if endpoint.was_attached => 4,
            None => 1,
        }
    }

    pub fn attach(&mut self, namespace: Guid, endpoint: Guid) {
        if let Some(residents) = self.residents_mut(namespace) {
            residents.push(endpoint);
        }
        if let Some(endpoint) = self.endpoint_mut(endpoint) {
            endpoint.place = Some(namespace);
            endpoint.was_attached = true;
        }
    }

    pub fn detach(&mut self, endpoint: Guid) {
        let place = self.endpoint_mut(endpoint).and_then(|endpoint| endpoint.place.take());
        if let Some(residents) = place.and_then(|place| self.residents_mut(place)) {
            residents.retain(|other| *other != endpoint);
        }
    }

    /// Deletes with everything that goes along (hcn.md 3.3, 3.5, 3.6).
    pub fn delete(&mut self, kind: Kind, id: Guid) {
        match kind {
            Kind::Network => {
                let members = self.endpoints.iter().filter(|endpoint| endpoint.network == id);
                let members: Vec<Guid> = members.map(|endpoint| endpoint.id).collect();
                members.into_iter().for_each(|endpoint| self.delete(Kind::Endpoint, endpoint));
                self.networks.retain(|network| network.id != id);
            }
            Kind::Namespace => {
                for endpoint in self.residents(id).to_vec() {
                    self.detach(endpoint);
                }
                self.namespaces.retain(|namespace| namespace.id != id);
            }
            Kind::Endpoint => {
                self.detach(id);
                self.endpoints.retain(|endpoint| endpoint.id != id);
                for balancer in &mut self.balancers {
                    balancer.endpoints.retain(|endpoint| *endpoint != id);
                }
                self.balancers.retain(|balancer| !balancer.endpoints.is_empty());
                for route in &mut self.routes {
                    route.endpoints.retain(|endpoint| *endpoint != id);
                }
                self.routes.retain(|route| !route.endpoints.is_empty());
            }
            Kind::Balancer => self.balancers.retain(|balancer| balancer.id != id),
            Kind::Route => self.routes.retain(|route| route.id != id),
            Kind::GuestService => self.guest_services.retain(|service| service.id != id),
        }
    }

    /// What a restart of the machine leaves (hcn.md 3.13).
    pub fn reboot(&mut self) {
        let lasting = |network: &Network| match network.mode {
            Mode::Nat => network.flags & 16 != 0 && network.flags & 8 == 0,
            _ => network.flags & 8 == 0,
        };
        let gone = self.networks.iter().filter(|network| !lasting(network));
        let gone: Vec<Guid> = gone.map(|network| network.id).collect();
        self.guest_services.clear();
        let namespaces = self.ids(Kind::Namespace);
        namespaces.into_iter().for_each(|namespace| self.delete(Kind::Namespace, namespace));
        gone.into_iter().for_each(|network| self.delete(Kind::Network, network));
    }

    /// Whether an endpoint of this network may have the address (hcn.md 3.4, "reserved addresses").
    pub fn may_have(&self, network: &Network, address: IpAddr) -> bool {
        let Some(subnet) = network.subnets.iter().find(|s| s.prefix.contains(&address)) else {
            return false;
        };
        let taken = self.endpoints.iter().filter(|endpoint| endpoint.network == network.id);
        let mut taken = taken.flat_map(|endpoint| &endpoint.addresses);
        !subnet.reserves(address) && !taken.any(|other| other.addr() == address)
    }

    /// How many addresses are left in a subnet.
    pub fn room(&self, network: &Network, subnet: &Subnet) -> u128 {
        let bits = subnet.prefix.max_prefix_len() - subnet.prefix.prefix_len();
        if bits > 10 {
            return u128::MAX;
        }
        let free = |offset: &u32| self.may_have(network, nth(&subnet.prefix, *offset));
        (0..1_u32 << bits).filter(free).count() as u128
    }
}

fn nth(prefix: &IpNet, offset: u32) -> IpAddr {
    match prefix {
        IpNet::V4(net) => std::net::Ipv4Addr::from_bits(net.network().to_bits() + offset).into(),
        IpNet::V6(net) => {
            std::net::Ipv6Addr::from_bits(net.network().to_bits() + u128::from(offset)).into()
        }
    }
}

impl Subnet {
    pub fn reserves(&self, address: IpAddr) -> bool {
        let low = (0..4).any(|offset| nth(&self.prefix, offset) == address);
        let broadcast = address.is_ipv4() && address == self.prefix.broadcast();
        let gateway = Some(address) == self.gateway || address == self.prefix.network();
        broadcast || gateway || (!self.declared && low)
    }
}

impl Endpoint {
    pub fn has_v4(&self) -> bool {
        self.addresses.iter().any(|net| net.addr().is_ipv4())
    }
}

impl Network {
    pub fn prefixes(&self) -> Vec<IpNet> {
        self.subnets.iter().map(|subnet| subnet.prefix).collect()
    }

    /// The ranges that nobody else may have.
    pub fn taken(&self) -> Vec<IpNet> {
        let mut taken = self.prefixes();
        taken.extend(self.remotes.iter().map(|(range, ..)| *range));
        taken
    }

    /// The virtual subnets of an Overlay network.
    pub fn vsids(&self) -> Vec<u32> {
        let of_overlay = self.mode == Mode::Overlay;
        self.subnets.iter().filter(|_| of_overlay).map(|subnet| vsid(&subnet.prefix)).collect()
    }

    /// Whether its endpoints are machines on the adapter's network, to which the host leads.
    pub fn is_on_wire(&self) -> bool {
        matches!(self.mode, Mode::Bridged | Mode::Transparent)
    }

    /// A bridged network with a subnet whose endpoints know no way out.
    pub fn leads_nowhere(&self) -> bool {
        self.is_on_wire() && self.subnets.iter().any(|subnet| subnet.gateway.is_none())
    }

    /// Whether two addresses of this network may know each other.
    pub fn together(&self, a: IpAddr, b: IpAddr) -> bool {
        let home = |address| self.subnets.iter().find(|s| s.prefix.contains(&address));
        let vsid_of = |address| home(address).map(|subnet| vsid(&subnet.prefix));
        self.mode != Mode::Overlay || vsid_of(a) == vsid_of(b)
    }

    /// The gateway of the subnet that an address is in.
    pub fn gateway_of(&self, address: IpAddr) -> Option<IpAddr> {
        let home = self.subnets.iter().find(|subnet| subnet.prefix.contains(&address));
        home.and_then(|subnet| subnet.gateway)
    }
}

/// The virtual subnet that the tests' documents give a range: few, so that some are asked for twice.
pub fn vsid(prefix: &IpNet) -> u32 {
    let place = crate::command::PREFIXES.iter().position(|text| *text == prefix.to_string());
    4096 + place.unwrap_or(0) as u32 / 2
}

/// The subnets of a network's document: prefix and gateway.
pub fn subnets_of(document: &Value) -> Vec<(IpNet, Option<IpAddr>)> {
    let ipams = document["Ipams"].as_array().into_iter().flatten();
    let subnets = ipams.flat_map(|ipam| ipam["Subnets"].as_array().into_iter().flatten());
    let read = |subnet: &Value| {
        let prefix = subnet["IpAddressPrefix"].as_str()?.parse().ok()?;
        let routes = subnet["Routes"].as_array().into_iter().flatten();
        let mut hops = routes.filter_map(|route| route["NextHop"].as_str()?.parse().ok());
        Some((prefix, hops.next()))
    };
    subnets.filter_map(read).collect()
}

/// The addresses of an endpoint's document, with their lengths.
pub fn addresses_of(document: &Value) -> Option<Vec<IpNet>> {
    let configurations = document["IpConfigurations"].as_array()?;
    let read = |configuration: &Value| {
        let address = configuration["IpAddress"].as_str()?.parse().ok()?;
        let length = configuration["PrefixLength"].as_u64()?;
        IpNet::new(address, u8::try_from(length).ok()?).ok()
    };
    configurations.iter().map(read).collect()
}
