//! The messages of the yardstick: one function per rtnetlink or nftables message.
//!
//! Numbers are from `include/uapi/linux/{rtnetlink,if_link,neighbour}.h` and `linux/netfilter/nf_tables.h`.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};

use super::Endpoint;
use crate::namespace::Namespace;
use crate::netlink::{Body, Datagram, flag};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWNEIGH: u16 = 28;
const NFT_NEWSETELEM: u16 = 0x0a0c;
const NFT_DELSETELEM: u16 = 0x0a0e;
const NFNL_BATCH_BEGIN: u16 = 0x10;
const NFNL_BATCH_END: u16 = 0x11;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;

const AF_INET: u8 = 2;
const AF_INET6: u16 = 10;
const IFF_UP: u32 = 1;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTNH_F_ONLINK: u32 = 4;
const NUD_PERMANENT: u16 = 0x80;

/// The loopback interface of every namespace.
pub const LOOPBACK: u32 = 1;
/// The interface of an endpoint inside its namespace.
pub const INNER: u32 = 2;

fn interface(body: &mut Body<'_>, index: u32, flags: u32, change: u32) {
    body.header(&[0; 4])
        .header(&index.to_ne_bytes())
        .header(&flags.to_ne_bytes())
        .header(&change.to_ne_bytes());
}

/// What a veth pair is made with besides names and addresses.
#[derive(Debug, Clone, Copy, Default)]
pub struct VethOptions {
    /// Bridge that the host end joins.
    pub bridge: Option<u32>,
    /// One queue instead of one per CPU; no IPv6 link-local address and its multicast traffic on the host end.
    pub lean: bool,
}

/// A whole veth pair: both ends in their namespaces, names, indexes, the inner MAC, the host end up and in its bridge.
///
/// The inner end cannot be up yet: `veth_open` runs before the pair is linked and answers ENOTCONN.
pub fn veth(
    datagram: &mut Datagram,
    endpoint: &Endpoint,
    namespace: &Namespace,
    options: VethOptions,
) {
    let queues = |body: &mut Body<'_>| {
        if options.lean {
            body.number(IFLA_NUM_TX_QUEUES, 1).number(IFLA_NUM_RX_QUEUES, 1);
        }
    };
    let up = if options.lean { 0 } else { IFF_UP };
    datagram.message(RTM_NEWLINK, flag::ACK | flag::CREATE | flag::EXCLUSIVE, |body| {
        interface(body, endpoint.host_index, up, up);
        body.text(IFLA_IFNAME, &endpoint.host_name);
        if let (Some(bridge), false) = (options.bridge, options.lean) {
            body.number(IFLA_MASTER, bridge);
        }
        queues(body);
        body.nest(IFLA_LINKINFO, |info| {
            info.attribute(IFLA_INFO_KIND, b"veth").nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    interface(peer, INNER, 0, 0);
                    peer.text(IFLA_IFNAME, "eth0")
                        .attribute(IFLA_ADDRESS, &endpoint.mac)
                        .number(IFLA_NET_NS_FD, namespace.as_fd().as_raw_fd() as u32);
                    queues(peer);
                });
            });
        });
    });
    if options.lean {
        no_address_generation(datagram, endpoint.host_index);
        datagram.message(RTM_NEWLINK, flag::ACK, |body| {
            interface(body, endpoint.host_index, IFF_UP, IFF_UP);
            if let Some(bridge) = options.bridge {
                body.number(IFLA_MASTER, bridge);
            }
        });
    }
}

/// No IPv6 link-local address; refused (EAFNOSUPPORT) when sent along with the creation.
pub fn no_address_generation(datagram: &mut Datagram, index: u32) {
    datagram.message(RTM_NEWLINK, 0, |body| {
        interface(body, index, 0, 0);
        body.nest(IFLA_AF_SPEC, |families| {
            families.nest(AF_INET6, |inet6| {
                inet6.attribute(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
            });
        });
    });
}

pub fn up(datagram: &mut Datagram, index: u32) {
    datagram.message(RTM_NEWLINK, 0, |body| interface(body, index, IFF_UP, IFF_UP));
}

/// The endpoint's address on its inner interface.
pub fn address(datagram: &mut Datagram, endpoint: &Endpoint, prefix: u8) {
    let broadcast = u32::from(endpoint.address) | u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    datagram.message(RTM_NEWADDR, flag::CREATE | flag::EXCLUSIVE, |body| {
        body.header(&[AF_INET, prefix, 0, 0])
            .header(&INNER.to_ne_bytes())
            .attribute(2, &endpoint.address.octets())
            .attribute(1, &endpoint.address.octets())
            .attribute(4, &broadcast.to_be_bytes());
    });
}

/// The default route of the namespace; last of its datagram, so it answers for all.
pub fn default_route(datagram: &mut Datagram, gateway: Ipv4Addr) {
    route(datagram, 0, 0, &[(5, gateway.octets())], INNER, 0);
}

/// The default route through a gateway that no prefix covers.
pub fn default_route_onlink(datagram: &mut Datagram, gateway: Ipv4Addr) {
    route(datagram, 0, 0, &[(5, gateway.octets())], INNER, RTNH_F_ONLINK);
}

/// The host's way to one endpoint, through its own veth.
pub fn host_route(datagram: &mut Datagram, endpoint: &Endpoint) {
    let destination = [(1, endpoint.address.octets())];
    route(datagram, 32, RT_SCOPE_LINK, &destination, endpoint.host_index, 0);
}

fn route(
    datagram: &mut Datagram,
    prefix: u8,
    scope: u8,
    addresses: &[(u16, [u8; 4])],
    device: u32,
    flags: u32,
) {
    datagram.message(RTM_NEWROUTE, flag::ACK | flag::CREATE | flag::EXCLUSIVE, |body| {
        body.header(&[AF_INET, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST])
            .header(&flags.to_ne_bytes());
        for (kind, address) in addresses {
            body.attribute(*kind, address);
        }
        body.number(4, device);
    });
}

/// A neighbour that is never asked for.
pub fn neighbour(datagram: &mut Datagram, device: u32, address: Ipv4Addr, mac: [u8; 6]) {
    datagram.message(RTM_NEWNEIGH, flag::CREATE | flag::REPLACE, |body| {
        body.header(&[AF_INET, 0, 0, 0])
            .header(&device.to_ne_bytes())
            .header(&NUD_PERMANENT.to_ne_bytes())
            .header(&[0, 0])
            .attribute(1, &address.octets())
            .attribute(2, &mac);
    });
}

/// Asks for every link, without its statistics.
pub fn all_links(datagram: &mut Datagram) {
    const RTEXT_FILTER_SKIP_STATS: u32 = 8;
    datagram.message(RTM_GETLINK, flag::DUMP, |body| {
        interface(body, 0, 0, 0);
        body.number(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    });
}

/// What happens to the elements of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Add,
    Delete,
}

/// One element: key, and the value if it is in a map.
pub type Element = (Vec<u8>, Option<Vec<u8>>);

/// One atomic batch that changes elements of sets of the table `ip floor`.
pub fn elements(datagram: &mut Datagram, doing: Doing, sets: &[(&str, &[Element])]) {
    let batch = |body: &mut Body<'_>| {
        const NFNL_SUBSYS_NFTABLES: u16 = 10;
        body.header(&[0, 0]).header(&NFNL_SUBSYS_NFTABLES.to_be_bytes());
    };
    datagram.message(NFNL_BATCH_BEGIN, 0, batch);
    let (kind, flags) = match doing {
        Doing::Add => (NFT_NEWSETELEM, flag::ACK | flag::CREATE),
        Doing::Delete => (NFT_DELSETELEM, flag::ACK),
    };
    for (set, elements) in sets {
        datagram.message(kind, flags, |body| {
            body.header(&[AF_INET, 0, 0, 0]).text(1, "floor").text(2, set).nest(3, |list| {
                for (key, value) in *elements {
                    list.nest(1, |element| {
                        element.nest(1, |data| {
                            data.attribute(1, key);
                        });
                        if let (Some(value), Doing::Add) = (value, doing) {
                            element.nest(2, |data| {
                                data.attribute(1, value);
                            });
                        }
                    });
                }
            });
        });
    }
    datagram.message(NFNL_BATCH_END, 0, batch);
}

/// What an endpoint has in the table: source translation, and its mapped port.
pub fn endpoint_elements(datagram: &mut Datagram, doing: Doing, endpoint: &Endpoint) {
    let outbound = (endpoint.address.octets().to_vec(), None);
    let to = address_and_port(endpoint.address, crate::INNER_PORT);
    let mapping = (tcp_port(endpoint.host_port), Some(to));
    elements(datagram, doing, &[("outbound", &[outbound]), ("portmap", &[mapping])]);
}

/// `address . port` as the value of a map; each part padded to four bytes.
pub fn address_and_port(address: Ipv4Addr, port: u16) -> Vec<u8> {
    [&address.octets()[..], &port.to_be_bytes(), &[0, 0]].concat()
}

/// `tcp . port` as the key of a map.
pub fn tcp_port(port: u16) -> Vec<u8> {
    [&[6, 0, 0, 0][..], &port.to_be_bytes(), &[0, 0]].concat()
}
