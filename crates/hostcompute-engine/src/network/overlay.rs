//! Overlay networks: virtual subnets that several hosts share, over VXLAN (hcn.md 2.3, 2.6, 5.3, 6.3).
//!
//! Ports are routed as on NAT networks. What is elsewhere is behind a tunnel, one for each VSID: documents say which range of
//! addresses is behind which host and which MAC that host's router has (RemoteSubnetRoute), or the same of one address (an
//! endpoint with Flags RemoteEndpoint). Nothing is learnt from packets, and what comes out of a tunnel must have a source that
//! was told of: one to which a route leads into the same tunnel. What is behind a tunnel is told from its routes alone, and has no element
//! in any set: hosts come and go by the hundred.
//!
//! ```text
//!   10.244.1.2 ── he… ─┐ host 192.0.2.1                   host 192.0.2.2 ┌─ he… ── 10.244.2.7
//!                      ├─ hx… (VSID, router's MAC) ═ VXLAN ═ hx… ────────┤
//!   10.244.2.0/24 via the router's MAC of 192.0.2.2 ─┘
//! ```
//!
//! A VSID isolates: subnets of different VSIDs do not see each other, also on one network.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Failure, Guid, HResult};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::mac::Mac;
use crate::network::endpoint::Endpoint;
use crate::network::network::Network;
use crate::network::remote_subnet::Way;
use crate::object::Chosen;
use crate::plan::{Element, Fact, Family, Peer, RemoteRoute, Tunnel};
use crate::state::State;

/// The port that IANA gave to VXLAN.
pub const VXLAN_PORT: u16 = 4789;

/// VSIDs that consumers may use; smaller ones are VLANs on Windows (hcn.md 2.4).
pub const VSIDS: core::ops::RangeInclusive<u32> = 4096..=0x00ff_ffff;

/// What makes a network an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// This host's address on the network below.
    pub provider: IpAddr,
    /// This host's router, the destination of what others send.
    pub router: Mac,
    pub port: u16,
    /// The largest packet that fits through the tunnel.
    pub mtu: u32,
    /// The host and the endpoints see each other.
    pub host_route: bool,
    pub segments: Vec<Segment>,
}

/// One virtual subnet on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub vsid: u32,
    /// Index of the tunnel.
    pub(crate) interface: u32,
}

impl Segment {
    /// The tunnel's interface.
    pub fn name(&self) -> String {
        alloc::format!("hx{:x}", self.interface)
    }
}

/// The bytes that VXLAN adds to a packet: outer headers and the inner Ethernet header.
pub fn overhead(provider: IpAddr) -> u32 {
    if provider.is_ipv4() { 50 } else { 70 }
}

/// The MAC of the router of the host with this address: the same for all networks of the host, and after every restart.
pub fn router_of(provider: IpAddr) -> Mac {
    let [a, b, c, d] = match provider {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let mix = |sum: u32, byte: u8| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            address.octets().into_iter().fold(0x811c_9dc5, mix).to_be_bytes()
        }
    };
    Mac([0x02, 0x68, a, b, c, d])
}

impl Overlay {
    pub(crate) fn segment(&self, vsid: u32) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.vsid == vsid)
    }

    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Mtu".into(), self.mtu.into());
        let tunnels = self.segments.iter().map(|segment| {
            let mut one = Map::new();
            one.insert("Vsid".into(), segment.vsid.into());
            one.insert("Interface".into(), segment.interface.into());
            Value::Object(one)
        });
        chosen.insert("Segments".into(), tunnels.collect());
        chosen
    }

    /// The tunnels and the MTU that were chosen, from the store.
    pub(crate) fn revive_choices(chosen: &Chosen) -> Option<(u32, Vec<Segment>)> {
        let overlay = chosen.0.get("Overlay")?;
        let number = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
        };
        let segment = |value: &Value| {
            Some(Segment { vsid: number(value, "Vsid")?, interface: number(value, "Interface")? })
        };
        let segments: Option<Vec<Segment>> =
            overlay.get("Segments")?.as_array()?.iter().map(segment).collect();
        Some((number(overlay, "Mtu")?, segments?))
    }
}

/// The host's source address toward a virtual subnet.
fn prefer(network: &Network, overlay: &Overlay, vsid: u32, like: IpAddr) -> Option<IpAddr> {
    gateway(network, vsid, Family::of(&like)).filter(|_| overlay.host_route)
}

/// The host's own address in a virtual subnet, which other hosts know to be behind this one.
fn gateway(network: &Network, vsid: u32, family: Family) -> Option<IpAddr> {
    let subnets = network.subnets.iter().filter(|subnet| subnet.vsid == Some(vsid));
    subnets.filter_map(|subnet| subnet.gateway).find(|address| Family::of(address) == family)
}

/// What the host has because a network is an overlay, beside its device.
pub(crate) fn facts(network: &Network, overlay: &Overlay, facts: &mut Vec<Fact>) {
    for segment in &overlay.segments {
        facts.push(Fact::Tunnel(Tunnel {
            network: network.id,
            name: segment.name(),
            index: segment.interface,
            vsid: segment.vsid,
            port: overlay.port,
            local: overlay.provider,
            mac: overlay.router,
            mtu: overlay.mtu,
        }));
        for family in [Family::V4, Family::V6] {
            let own = gateway(network, segment.vsid, family);
            let seen = own.map(|address| Element::SeenAs { device: segment.name(), address });
            facts.extend(seen.map(Fact::Element));
        }
        if !overlay.host_route {
            let aloof = |family| Element::Aloof { family, device: segment.name() };
            facts.extend([Family::V4, Family::V6].map(|family| Fact::Element(aloof(family))));
        }
    }
    for subnet in &network.subnets {
        open(overlay, subnet.prefix, facts);
        if let Some(segment) = subnet.vsid.and_then(|vsid| overlay.segment(vsid)) {
            let device = segment.name();
            facts.push(Fact::Element(Element::Joined { device, subnet: subnet.prefix }));
        }
        let near = network.subnets.iter().filter(|other| other.vsid == subnet.vsid);
        for to in near.map(|other| other.prefix).filter(|to| same_family(to, &subnet.prefix)) {
            facts.push(Fact::Element(Element::Intra { from: subnet.prefix, to }));
        }
    }
}

/// What the host has because a subnet lives behind another host.
pub(crate) fn subnet_facts(
    network: &Network,
    overlay: &Overlay,
    remote: &Way,
    facts: &mut Vec<Fact>,
) {
    let Some(segment) = overlay.segment(remote.vsid) else { return };
    way(network, overlay, segment, (remote.prefix, remote.mac, remote.provider), facts);
}

fn same_family(a: &IpNet, b: &IpNet) -> bool {
    a.addr().is_ipv4() == b.addr().is_ipv4()
}

/// Services and published ports lead in from anywhere; the host itself sees the addresses with HostRoute only.
fn open(overlay: &Overlay, subnet: IpNet, facts: &mut Vec<Fact>) {
    facts.push(Fact::Element(Element::Published { subnet }));
    if !overlay.host_route {
        facts.push(Fact::Element(Element::Apart { subnet }));
    }
}

/// How packets get to a range behind another host, and that they may come from there.
fn way(
    network: &Network,
    overlay: &Overlay,
    segment: &Segment,
    (destination, mac, provider): (IpNet, Mac, IpAddr),
    facts: &mut Vec<Fact>,
) {
    let (device, index) = (segment.name(), segment.interface);
    let prefer = prefer(network, overlay, segment.vsid, destination.addr());
    let route = RemoteRoute { device: device.clone(), index, destination, mac, prefer };
    facts.push(Fact::RemoteRoute(route));
    facts.push(Fact::Peer(Peer { device, index, mac, provider }));
}

/// What the host has because an endpoint lives on another host. One on this host (consumers make such for virtual IPs) needs
/// nothing, and one that its host's subnet covers no more than the difference.
pub(crate) fn remote_facts(state: &State, endpoint: &Endpoint, facts: &mut Vec<Fact>) {
    let Some(network) = state.networks.get(endpoint.network) else { return };
    let Some(overlay) = &network.overlay else { return };
    let provider = endpoint.remote.as_ref().and_then(|remote| remote.provider);
    let Some(provider) = provider.filter(|provider| *provider != overlay.provider) else { return };
    endpoint.name_facts(network, facts);
    for address in endpoint.addresses.iter().map(IpNet::addr) {
        let Some(segment) = segment_of(state, network, overlay, address) else { continue };
        let covering = state.remote_subnet_covering(network.id, address).map(|route| &route.way);
        let covering = covering.filter(|way| way.vsid == segment.vsid);
        if covering.is_none_or(|remote| remote.provider != provider) {
            let target = (IpNet::from(address), endpoint.mac, provider);
            way(network, overlay, segment, target, facts);
        }
    }
}

/// The virtual subnet of an address: its subnet's or its remote subnet's, else the network's first.
fn segment_of<'a>(
    state: &State,
    network: &Network,
    overlay: &'a Overlay,
    address: IpAddr,
) -> Option<&'a Segment> {
    let home = network.subnets.iter().find(|subnet| subnet.prefix.contains(&address));
    let far = state.remote_subnet_covering(network.id, address);
    match home.and_then(|subnet| subnet.vsid).or(far.map(|route| route.way.vsid)) {
        Some(vsid) => overlay.segment(vsid),
        None => overlay.segments.first(),
    }
}

/// Whether a MAC is behind another host already: a tunnel sends each MAC to one host.
///
/// # Errors
/// HCN_E_INVALID_ENDPOINT, where the network's remote subnets or remote endpoints say otherwise.
pub(crate) fn agree(
    state: &State,
    network: &Network,
    overlay: &Overlay,
    mac: Mac,
    provider: IpAddr,
) -> Result<(), Failure> {
    let mut routers = state.remote_subnets_behind(network.id, mac).map(|route| route.way.provider);
    if let Some(rival) = routers.find(|other| *other != provider) {
        return Err(Failure::new(
            HResult::HCN_E_INVALID_ENDPOINT,
            contradiction(mac, provider, rival),
        ));
    }
    let rival = rival_endpoint(state, network, overlay, mac, provider);
    rival.map_or(Ok(()), |rival| {
        Err(Failure::new(HResult::HCN_E_INVALID_ENDPOINT, contradiction(mac, provider, rival)))
    })
}

/// The host behind which remote endpoints of the network have a MAC, where that is another one.
pub(crate) fn rival_endpoint(
    state: &State,
    network: &Network,
    overlay: &Overlay,
    mac: Mac,
    provider: IpAddr,
) -> Option<IpAddr> {
    let endpoints = state.remote_endpoints(network.id, mac);
    let providers = endpoints.filter_map(|endpoint| endpoint.remote.as_ref()?.provider);
    // Those with this host's own address lead nowhere.
    let mut elsewhere = providers.filter(|other| *other != overlay.provider);
    elsewhere.find(|other| *other != provider)
}

pub(crate) fn contradiction(mac: Mac, provider: IpAddr, rival: IpAddr) -> String {
    alloc::format!("{mac} is behind {rival} already, and cannot be behind {provider}")
}

/// The remote endpoints and remote subnets whose facts depend on what differs between two versions of a network.
pub(crate) fn concerned(
    state: &State,
    old: Option<&Network>,
    new: Option<&Network>,
) -> (Vec<Guid>, Vec<Guid>) {
    let Some(id) = new.or(old).map(|network| network.id) else { return Default::default() };
    let host_route = |network: Option<&Network>| {
        network.and_then(|network| network.overlay.as_ref()).map(|overlay| overlay.host_route)
    };
    if host_route(old) == host_route(new) {
        return Default::default();
    }
    let endpoints = state.all_remote_endpoints(id).map(|endpoint| endpoint.id).collect();
    (endpoints, state.remote_subnets_of(id).map(|route| route.id).collect())
}
