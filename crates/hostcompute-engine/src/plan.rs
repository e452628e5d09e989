//! The plan: what the host must have, as facts, and the steps that bring it there.
//!
//! A [`Fact`] is one thing that exists in the kernel (a namespace, a port, an element of an nftables map) or beside it
//! (a resolver file). Facts leave no choice to the performer: names, interface indexes, addresses and MACs are in them.
//! Every object of the state implies a set of facts, so a plan is always a difference between two sets of facts:
//! ordinary operations, undoing, recovery after a crash and rebuilding after a reboot use the same planner.
//!
//! The order of the variants of [`Fact`] is the order of creation; removal goes backwards.
//!
//! Not here: netlink, bytes, paths. `hostcompute-linux` knows how a fact is made, `sim` models its effect.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use hostcompute_schema::Guid;
use ipnet::IpNet;

use crate::mac::Mac;

mod access;
mod answers;
mod shaping;
mod station;

pub use access::{
    AclChain, AclRule, AddressSet, Direction, End, Member, PortRange, SetMatch, Verdict,
};
pub use answers::{Lease, Name, Responder};
pub use shaping::{Diversion, Lane, Shaper};
pub use station::{Face, Guise, Meter, Station, Trunk};

/// The two families of IP; every list of addresses, map and chain exists once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// One thing the host has because of our state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// Our nftables table with its static chains, sets and maps. Exists while any network exists.
    Table,
    /// The host forwards packets of this family. What was found before is remembered by the host and put back on removal.
    Forwarding(Family),
    /// An adapter, by its name, answers solicitations for others (IPv6). What was found before is put back on removal.
    Solicited(String),
    /// The device of a network, which holds its gateway addresses.
    Anchor(Anchor),
    /// The way to the same virtual subnet on other hosts.
    Tunnel(Tunnel),
    /// Which other host a MAC is behind.
    Peer(Peer),
    /// Addresses that are behind a tunnel.
    RemoteRoute(RemoteRoute),
    /// By what guided endpoints leave the host, under their MACs.
    Guise(Guise),
    /// Where what a bridged network sends leaves the host.
    Wire(Wire),
    /// A way that packets take by their number.
    Detour(Detour),
    /// A named network namespace.
    Netns(Guid),
    /// The interface of an endpoint in its namespace, with both ends, addresses and routes.
    Port(Port),
    /// An endpoint's own link to an adapter's wire.
    Station(Station),
    /// An endpoint's presence on an adapter's wire, behind which the host is.
    Face(Face),
    /// An adapter answers for an endpoint's address.
    Proxy(Proxy),
    /// The address of an endpoint attached to the host's own namespace.
    HostAddress(HostAddress),
    /// What a namespace's own packet filter does for proxies inside.
    Interception(Interception),
    /// A cap on what an endpoint sends.
    Shaper(Shaper),
    /// What of a port's packets is capped, and by which cap.
    Diversion(Diversion),
    /// The host's own way to a virtual IP, so that its packets reach the translation.
    VipRoute(VipRoute),
    /// A set of addresses that access rules name.
    AddressSet(AddressSet),
    /// Whoever is behind a port has a virtual IP as its own.
    VipOwner(VipOwner),
    /// The access rules of one endpoint in one direction.
    AclChain(AclChain),
    /// One element of a set or map of the table.
    Element(Element),
    /// One load-balanced service.
    Service(Service),
    /// The resolver configuration of a namespace.
    Resolver(Resolver),
    /// The host answers the endpoints of a network.
    Responder(Responder),
    /// What a port is told of its address when it asks.
    Lease(Lease),
    /// A name that resolves on a network.
    Name(Name),
}

/// A bridge device without ports: the network's presence on the host (`dummy` is absent from many kernels).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Anchor {
    pub network: Guid,
    /// Interface name, at most 15 bytes, `hb…`.
    pub name: String,
    pub index: u32,
    pub mac: Mac,
    /// Gateway addresses with the subnet's prefix length; set without a prefix route. Empty for Private networks.
    pub gateways: Vec<IpNet>,
    /// The network's subnets, each with an `unreachable` route, so that an address nobody has is not sought elsewhere.
    pub subnets: Vec<IpNet>,
}

/// The VXLAN device of one virtual subnet (VSID): a port of ours whose far end is other hosts.
///
/// In group [`PORT_GROUP`], so that the table asks it the same questions as every port; learns nothing and floods nothing: where
/// packets go is said by [`Peer`]s and [`RemoteRoute`]s alone. IPv4 forwarding on, no IPv6 address generation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tunnel {
    pub network: Guid,
    /// `hx…`.
    pub name: String,
    pub index: u32,
    /// The VXLAN network identifier.
    pub vsid: u32,
    /// The UDP port at both ends.
    pub port: u16,
    /// This host's address on the network below.
    pub local: IpAddr,
    /// The distributed router's: the destination of packets that other hosts send here.
    pub mac: Mac,
    pub mtu: u32,
}

/// Frames to this MAC go to that host: an entry of a tunnel's forwarding table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Name and index of the tunnel.
    pub device: String,
    pub index: u32,
    pub mac: Mac,
    pub provider: IpAddr,
}

/// A route through a tunnel to one MAC: a stand-in for the next hop (the first address of the range) is a permanent neighbour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteRoute {
    /// Name and index of the tunnel.
    pub device: String,
    pub index: u32,
    pub destination: IpNet,
    pub mac: Mac,
    /// The host's preferred source toward it: a gateway address of the network.
    pub prefer: Option<IpAddr>,
}

/// The way out of a bridged network: rules that send what its ports send (not what the host sends or passes on) to a routing
/// table of each subnet, where the subnet is on the adapter's link and all else is behind its gateway. Endpoints of this host are
/// found first. With `tunnel` everything goes to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wire {
    pub network: Guid,
    /// The adapter, by name: its index may be another after a reboot.
    pub uplink: String,
    /// The link by which packets leave: the adapter itself, or the [`Guise`].
    pub out: String,
    pub ways: Vec<Way>,
    pub tunnel: bool,
}

/// One subnet of a bridged network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    pub subnet: IpNet,
    /// The routing table for what comes from there.
    pub table: u32,
    /// `None`: nothing but the subnet can be reached.
    pub gateway: Option<IpAddr>,
    /// What is behind other machines on the wire.
    pub others: Vec<(IpNet, IpAddr)>,
}

/// Packets that carry this number ([`Element::Steer`]) are routed through a next hop, or by the host's own routes (`via` absent), before
/// any other way of ours is looked at. A next hop that cannot be reached takes the packets nowhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Detour {
    /// Of [`STEERED`] and those that follow; also the number of the routing table.
    pub number: u32,
    pub family: Family,
    pub via: Option<IpAddr>,
}

/// The number of packets that the host's own routes decide about; those of next hops follow.
pub const STEERED: u32 = 0x6863_0001;

/// How many such numbers there are. The bits above are left to other programs that mark packets.
pub const STEERED_NUMBERS: u32 = 0x3ffe;

/// The adapter answers address resolution for an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proxy {
    pub endpoint: Guid,
    /// The adapter by name, or the network's [`Guise`].
    pub uplink: String,
    pub address: IpAddr,
}

/// A routed port: a veth pair whose host end carries a route to each of the endpoint's addresses.
///
/// Host end: group [`PORT_GROUP`], MAC [`HOST_END_MAC`], no IPv6 address generation, IPv4 forwarding on, `route_localnet` on; a
/// permanent neighbour and a /32 or /128 route (scope link, `prefer` as source) for each address.
/// Inner end (where it is in a namespace): `mac`, `mtu`, no IPv6 address generation, up, the addresses without prefix route (v6 without DAD), for each of
/// `gateways` a permanent neighbour with [`HOST_END_MAC`], then `routes`. `lo` of the namespace is up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    pub endpoint: Guid,
    /// The namespace that holds the inner end.
    pub netns: Guid,
    /// Host end, `he…`.
    pub name: String,
    pub index: u32,
    /// Alias of the host end (policy PortName); empty for none.
    pub alias: String,
    /// What is behind the host end.
    pub far: FarEnd,
    /// Inner end, `eth0` and so on.
    pub inner_name: String,
    pub inner_index: u32,
    pub mac: Mac,
    /// Of both ends; `None` leaves the kernel's default (1500).
    pub mtu: Option<u32>,
    /// With the prefix length the document states.
    pub addresses: Vec<IpNet>,
    /// Next hops inside the namespace, reached on-link through the host end.
    pub gateways: Vec<IpAddr>,
    pub routes: Vec<PortRoute>,
    /// The host's preferred source toward this port, by family (the gateway addresses); none for Private networks.
    pub prefer: Vec<IpAddr>,
}

/// What is behind the host end of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FarEnd {
    /// The inner end, in the port's namespace.
    Namespace,
    /// Whoever opens it: the host end is a tap device, which carries the frames of a virtual machine. What is inside is the machine's
    /// own; the host end answers address resolution for all that the machine can reach.
    Machine,
}

/// The name of the tap of an endpoint: clients work it out from the endpoint's id.
pub fn tap(endpoint: Guid) -> String {
    let text = alloc::format!("{endpoint}");
    let digits = text.chars().filter(char::is_ascii_hexdigit).take(12);
    core::iter::once("ht").map(String::from).chain(digits.map(String::from)).collect()
}

/// The interface group of every host end; the table recognises our ports by it and drops what it does not know.
pub const PORT_GROUP: u32 = 0x6863_0000;

/// The interface group of host ends that wait for removal.
pub const DYING_GROUP: u32 = 0x6863_0001;

/// The even interface indexes of this range are chosen by hosts for what they make ready in advance; the engine chooses its own
/// below. Inside its namespace such an interface is the first one: `eth0`, [`INNER_INDEX`].
pub const PREPARED_INTERFACES: RangeInclusive<u32> = 0x4000_0000..=0x7fff_0000;

/// The name of the host end of a port with this index.
pub fn host_end(index: u32) -> String {
    alloc::format!("he{index:x}")
}

/// Interface indexes inside namespaces count from here on, above those of devices that kernel modules put into every namespace.
pub const INNER_INDEX: u32 = 1000;

/// The MAC of every host end. Each veth pair is a link of its own, so one address serves all.
pub const HOST_END_MAC: Mac = Mac([0x02, 0x68, 0x63, 0x00, 0x00, 0x01]);

/// A route inside an endpoint's namespace, through its interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRoute {
    pub destination: IpNet,
    /// `None`: on-link.
    pub next_hop: Option<IpAddr>,
    /// 0 leaves the kernel's default.
    pub metric: u32,
}

/// An endpoint in namespace HostDefault: its address on the network's anchor, without prefix route, host scope length.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostAddress {
    pub endpoint: Guid,
    /// Name and index of the anchor.
    pub device: String,
    pub index: u32,
    pub address: IpAddr,
}

/// Connections of a namespace that go to proxies inside it: a table of the namespace's own packet filter, made anew as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interception {
    pub netns: Guid,
    /// Each is asked in turn, until one redirects.
    pub redirections: Vec<Redirection>,
}

/// Connections by one interface of a namespace that go to a port inside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redirection {
    /// The inner end of a port.
    pub device: String,
    pub direction: Direction,
    /// Whose outgoing connections are left alone.
    pub user: Option<u32>,
    /// `Allow` leaves a connection to the next redirection, as does the end.
    pub rules: Vec<AclRule>,
}

/// A route to a virtual IP through a network's anchor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VipRoute {
    pub address: IpAddr,
    pub device: String,
    pub index: u32,
}

/// A permanent neighbour on a port: packets for a virtual IP that come there need not ask who has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VipOwner {
    /// Host end of the port.
    pub port: String,
    pub index: u32,
    pub address: IpAddr,
    pub mac: Mac,
}

/// One element of a set or map; the variants name the sets (a suffix `4` or `6` by family).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// `source`: what a port may send as (anti-spoofing). Key: host end name . MAC . address.
    Source { port: String, mac: Mac, address: IpAddr },
    /// `loop`: a translated packet from this address back to itself is masqueraded. Key: address . address.
    Loop { address: IpAddr },
    /// `intra`: forwarding from one prefix to the other stays inside one network and is allowed.
    Intra { from: IpNet, to: IpNet },
    /// `outbound`: the subnet may talk to the outside and is masqueraded there.
    Outbound { subnet: IpNet },
    /// `hidden`: the subnet and the host do not see each other (Private).
    Hidden { subnet: IpNet },
    /// `apart`: the host and these addresses see each other only through what is published (Overlay without HostRoute).
    Apart { subnet: IpNet },
    /// `published`: translated traffic may come here from anywhere, though the subnet has no way out of its own.
    Published { subnet: IpNet },
    /// `bridged`: may talk to the outside as it is, both ways.
    Bridged { subnet: IpNet },
    /// `fenced`: reaches neither the host nor other networks of it (ConstrainedICS).
    Fenced { subnet: IpNet },
    /// `barred`: forwarding from one prefix to the other is refused (ConstrainedICS and what is near the host).
    Barred { from: IpNet, to: IpNet },
    /// `answered`: what the host serves its endpoints, whatever else keeps them from it. Key: address . protocol . port.
    Answered { address: IpAddr, protocol: u8, port: u16 },
    /// `joined`: this host's part of a virtual subnet, which what is behind its tunnel belongs to. Key: name of the tunnel . address. What
    /// that is, routes say: there may be many, and nothing here depends on how many.
    Joined { device: String, subnet: IpNet },
    /// `aloof`: the host and what is behind this tunnel see each other only through what is published (Overlay without HostRoute). Key: name
    /// of the tunnel.
    Aloof { family: Family, device: String },
    /// `seen_as`: the address of this host under which strangers to a virtual subnet get through its tunnel, with what was translated on its
    /// way. Key: name of the tunnel.
    SeenAs { device: String, address: IpAddr },
    /// `isolated`: no untranslated traffic with other endpoints (DisableInterComputeCommunication).
    Isolated { address: IpAddr },
    /// `portmap` (any local address) or `portmap_vip`: protocol . port -> address . port.
    PortMapping { vip: Option<IpAddr>, protocol: u8, port: u16, to: SocketAddr },
    /// `nat_exempt`: source . destination prefix that is not translated (OutBoundNAT Exceptions).
    NatExempt { source: IpAddr, destination: IpNet },
    /// `nat_limited`: this source is translated only toward `nat_limit` (OutBoundNAT Destinations).
    NatLimited { source: IpAddr },
    /// `nat_limit`: source . destination prefix.
    NatLimit { source: IpAddr, destination: IpNet },
    /// `nat_as`: source -> address it appears as outside (OutBoundNAT VirtualIP).
    NatAs { source: IpAddr, address: IpAddr },
    /// `nat_ports`: source -> the first and the last of the host's ports that its translated connections use (OutBoundNAT MaxPortPoolUsage).
    NatPorts { source: IpAddr, first: u16, last: u16 },
    /// `admit`: what comes from outside, from a prefix to this address, is let in (an SDN route of an Internal network leads there).
    Admit { to: IpAddr, from: IpNet },
    /// `steer`: source . destination prefix -> number of the way ([`Detour`]).
    Steer { source: IpAddr, destination: IpNet, number: u32 },
    /// `proxied`: source address -> chain of redirections.
    Proxied { address: IpAddr, chain: String },
    /// `masked`: what was redirected to here from this source appears as the host. Key: source . destination . protocol . port.
    Masked { source: IpAddr, to: SocketAddr, protocol: u8 },
    /// `lists`: number at the end of a chain's name -> chain. Addresses lead to the number, since the kernel walks through all that a map
    /// of chains leads to whenever one more is led there.
    Listed { family: Family, chain: String },
    /// `acl_out`: source address -> name of a chain.
    AclOut { address: IpAddr, chain: String },
    /// `acl_in`: destination address -> name of a chain.
    AclIn { address: IpAddr, chain: String },
}

/// One load-balanced service in flat maps: frontend . port . slot -> backend. No chain per service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// `None`: every address of the host (node port).
    pub vip: Option<IpAddr>,
    pub family: Family,
    pub protocol: u8,
    pub port: u16,
    pub affinity: Affinity,
    /// Backend of each slot; the length is one of [`SLOT_CLASSES`].
    pub slots: Vec<SocketAddr>,
    pub audience: Audience,
    /// Under which address backends see clients, where it is not their own.
    pub shown: Option<Shown>,
    /// Backends that get packets with the virtual IP as destination, and answer from it.
    pub kept: Vec<Kept>,
}

/// For whom a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    Everybody,
    /// Who is behind a port or a tunnel of ours.
    Inside,
    /// These, and programs of the host.
    InsideAndHost,
}

/// A source address in place of the client's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shown {
    pub address: IpAddr,
    /// The backends that see it.
    pub toward: Vec<IpAddr>,
}

/// A backend that owns the virtual IP itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kept {
    /// The host end of its port, and its own MAC.
    pub port: String,
    pub mac: Mac,
    pub backend: SocketAddr,
}

/// The sizes a service's slot table may have. Each is a map with one rule, whatever the number of services.
pub const SLOT_CLASSES: [usize; 4] = [2, 12, 60, 840];

/// How a new connection chooses its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Affinity {
    /// At random, per connection.
    None,
    /// By hash of the client's address.
    Client,
}

/// The resolver configuration that processes in a namespace see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resolver {
    pub netns: Guid,
    /// Content in resolv.conf(5) syntax.
    pub content: String,
}

/// A host port that must be free before a mapping may take it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// `None`: every address of `family`.
    pub address: Option<IpAddr>,
    pub family: Family,
    pub protocol: u8,
    pub port: u16,
}

/// One step of a plan. Adding what is there and removing what is gone succeed: steps are idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "plans are short and short-lived")]
pub enum Step {
    Add(Fact),
    Remove(Fact),
    /// Same thing ([`Fact::same_thing`]), other content; in one atomic move where the kernel can.
    Change {
        from: Fact,
        to: Fact,
    },
    /// Fail with HCN_E_PORT_ALREADY_EXISTS when a socket of the host holds the port.
    Claim(Claim),
    /// Remove something that looks like ours and belongs to no object.
    Sweep(Stray),
}

/// Something with our mark that the state does not explain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// What a person calls it: "interface he12ab34cd56", "element of portmap4".
    pub what: String,
    /// The host's own name for it, opaque to the engine.
    pub handle: String,
}

impl Step {
    /// The step that takes this one back, if it changes anything.
    pub fn inverse(&self) -> Option<Step> {
        match self {
            Step::Add(fact) => Some(Step::Remove(fact.clone())),
            Step::Remove(fact) => Some(Step::Add(fact.clone())),
            Step::Change { from, to } => Some(Step::Change { from: to.clone(), to: from.clone() }),
            Step::Claim(_) | Step::Sweep(_) => None,
        }
    }
}

/// The plan that takes back `plan`: the inverses in reverse order.
pub fn undo(plan: &[Step]) -> Vec<Step> {
    plan.iter().rev().filter_map(Step::inverse).collect()
}

impl Fact {
    /// Whether two facts speak of the same kernel object, so that one can be changed into the other in place.
    ///
    /// Elements of sets have no content beside their key; elements of maps, chains, sets of addresses, services, shapers, resolvers and the
    /// changeable properties of a port (MTU, alias) do.
    pub fn same_thing(&self, other: &Fact) -> bool {
        match (self, other) {
            (Fact::Port(a), Fact::Port(b)) => {
                let fixed = |port: &Port| Port { mtu: None, alias: String::new(), ..port.clone() };
                fixed(a) == fixed(b)
            }
            (Fact::Station(a), Fact::Station(b)) => {
                let fixed =
                    |it: &Station| Station { mtu: None, alias: String::new(), ..it.clone() };
                fixed(a) == fixed(b)
            }
            (Fact::Shaper(a), Fact::Shaper(b)) => {
                Shaper { bytes_per_second: 0, ..a.clone() }
                    == Shaper { bytes_per_second: 0, ..b.clone() }
            }
            (Fact::AclChain(a), Fact::AclChain(b)) => {
                a.name == b.name && a.direction == b.direction
            }
            (Fact::AddressSet(a), Fact::AddressSet(b)) => {
                (a.number, a.family, a.ports) == (b.number, b.family, b.ports)
            }
            (Fact::Service(a), Fact::Service(b)) => a.frontend() == b.frontend(),
            (Fact::Interception(a), Fact::Interception(b)) => a.netns == b.netns,
            (Fact::Resolver(a), Fact::Resolver(b)) => a.netns == b.netns,
            (Fact::Lease(a), Fact::Lease(b)) => (&a.port, a.index) == (&b.port, b.index),
            (Fact::Element(a), Fact::Element(b)) => a.same_key(b),
            _ => self == other,
        }
    }
}

impl Service {
    /// What a packet must match to belong to the service.
    pub fn frontend(&self) -> (Option<IpAddr>, Family, u8, u16) {
        (self.vip, self.family, self.protocol, self.port)
    }
}

impl Element {
    fn same_key(&self, other: &Element) -> bool {
        use Element::{AclIn, AclOut, NatAs, NatPorts, PortMapping, Proxied, Steer};
        match (self, other) {
            (
                PortMapping { vip, protocol, port, to },
                PortMapping {
                    vip: other_vip,
                    protocol: other_protocol,
                    port: other_port,
                    to: other_to,
                },
            ) => {
                (vip, protocol, port, to.is_ipv4())
                    == (other_vip, other_protocol, other_port, other_to.is_ipv4())
            }
            (
                Steer { source: a, destination: to_a, .. },
                Steer { source: b, destination: to_b, .. },
            ) => (a, to_a) == (b, to_b),
            (NatAs { source: a, .. }, NatAs { source: b, .. })
            | (NatPorts { source: a, .. }, NatPorts { source: b, .. })
            | (Proxied { address: a, .. }, Proxied { address: b, .. })
            | (AclOut { address: a, .. }, AclOut { address: b, .. })
            | (AclIn { address: a, .. }, AclIn { address: b, .. }) => a == b,
            _ => self == other,
        }
    }
}

/// The steps from one set of facts to another: changes where the thing stays, else removals (backwards), then additions.
///
/// Both lists may be in any order and hold duplicates.
pub fn difference(from: &[Fact], to: &[Fact]) -> Vec<Step> {
    use alloc::collections::BTreeSet;
    let old: BTreeSet<&Fact> = from.iter().collect();
    let new: BTreeSet<&Fact> = to.iter().collect();
    let mut gone: Vec<&Fact> = old.difference(&new).copied().collect();
    let mut plan = Vec::new();
    let mut added = Vec::new();
    for fact in new.difference(&old) {
        match gone.iter().position(|other| other.same_thing(fact)) {
            Some(place) => {
                let from = gone.remove(place).clone();
                added.push(Step::Change { from, to: (*fact).clone() });
            }
            None => added.push(Step::Add((*fact).clone())),
        }
    }
    plan.extend(gone.into_iter().rev().map(|fact| Step::Remove(fact.clone())));
    plan.append(&mut added);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn mapping(port: u16, to: &str) -> Fact {
        let to = to.parse().expect("a socket address");
        Fact::Element(Element::PortMapping { vip: None, protocol: 6, port, to })
    }

    #[test]
    fn the_difference_removes_backwards_then_adds_in_order() {
        let old = [Fact::Table, Fact::Netns(Guid::default()), mapping(80, "10.0.0.2:80")];
        assert_eq!(
            difference(&old, &[]),
            old.iter().rev().cloned().map(Step::Remove).collect::<Vec<_>>()
        );
        assert_eq!(difference(&[], &old), old.iter().cloned().map(Step::Add).collect::<Vec<_>>());
        assert_eq!(difference(&old, &old), vec![]);
    }

    #[test]
    fn other_content_under_the_same_key_is_a_change() {
        let (a, b) = (mapping(80, "10.0.0.2:80"), mapping(80, "10.0.0.3:80"));
        let plan = difference(core::slice::from_ref(&a), core::slice::from_ref(&b));
        assert_eq!(plan, [Step::Change { from: a, to: b }]);
        assert_eq!(difference(&undo_target(&plan), &[]).len(), 1);
    }

    fn undo_target(plan: &[Step]) -> Vec<Fact> {
        undo(plan)
            .into_iter()
            .filter_map(|step| match step {
                Step::Change { to, .. } | Step::Add(to) => Some(to),
                _ => None,
            })
            .collect()
    }
}
