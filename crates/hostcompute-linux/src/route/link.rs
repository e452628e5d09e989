//! Links: making veth pairs, bridges, VXLAN and ifb devices, changing and deleting links, reading them.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use hostcompute_engine::host::Counters;
use hostcompute_engine::mac::Mac;

use super::{AF_INET, AF_INET6};
use crate::error::Error;
use crate::netlink::attribute::{array_of, text_of};
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Body, Datagram, Message, Socket, flag, messages};

const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWSTATS: u16 = 92;
const RTM_GETSTATS: u16 = 94;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_STATS64: u16 = 23;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_STATS_LINK_64: u16 = 1;
const STATS_LINK_MASK: u32 = 1 << (IFLA_STATS_LINK_64 - 1);
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_LOCAL6: u16 = 17;
const IFLA_MACVLAN_MODE: u16 = 1;
const MACVLAN_PRIVATE: u32 = 1;
const MACVLAN_BRIDGE: u32 = 4;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_CONF: u16 = 2;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// Answer without statistics, which are long and change all the time.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

const IFF_UP: u32 = 1;
const IFF_PROMISC: u32 = 0x100;
/// IPv6 addresses come from us alone: no link-local address, no traffic for it.
const ADDR_GEN_NONE: u8 = 1;

/// Per-device IPv4 settings that can be set by netlink (linux/ip.h, IPV4_DEVCONF_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inet4Setting {
    Forwarding = 1,
    ProxyArp = 3,
    ReversePath = 8,
    ArpIgnore = 19,
    RouteLocalnet = 26,
}

/// A link to be made, apart from its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewLink<'a> {
    pub name: &'a str,
    pub index: u32,
    pub mac: Option<Mac>,
    pub group: u32,
    pub mtu: Option<u32>,
}

/// The inner end of a veth pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub name: &'a str,
    pub index: u32,
    /// `None`: any.
    pub mac: Option<Mac>,
    pub mtu: Option<u32>,
    pub netns: BorrowedFd<'a>,
}

/// One message that makes both ends where they belong, with their final names: moving a link or renaming it later costs tens of
/// milliseconds. Both ends are left down: a veth cannot come up before its pair is complete.
pub(crate) fn push_veth(datagram: &mut Datagram, note: Note, host: NewLink<'_>, peer: Peer<'_>) {
    datagram.push(RTM_NEWLINK, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        write_new(body, host);
        body.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |end| {
                    end.raw(&header(peer.index, 0, 0))
                        .put_text(IFLA_IFNAME, peer.name)
                        .put_u32(IFLA_NET_NS_FD, peer.netns.as_raw_fd() as u32);
                    if let Some(mac) = peer.mac {
                        end.put(IFLA_ADDRESS, &mac.0);
                    }
                    write_queues_and_mtu(end, peer.mtu);
                });
            });
        });
    });
}

/// A link of an adapter to its wire; index 0 leaves the choice to the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Macvlan<'a> {
    pub name: &'a str,
    pub index: u32,
    pub mac: Mac,
    pub mtu: Option<u32>,
    /// The adapter.
    pub uplink: u32,
    /// Other links of the same adapter are out of its reach.
    pub isolated: bool,
    pub place: Place<'a>,
}

/// Where a link of an adapter is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Inside(BorrowedFd<'a>),
    /// Beside the adapter, in a group of ours.
    Group(u32),
}

/// Makes a macvlan link, whose frames the adapter takes for its own.
pub(crate) fn push_macvlan(datagram: &mut Datagram, note: Note, link: Macvlan<'_>) {
    let mode = if link.isolated { MACVLAN_PRIVATE } else { MACVLAN_BRIDGE };
    datagram.push(RTM_NEWLINK, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        body.raw(&header(link.index, 0, 0))
            .put_text(IFLA_IFNAME, link.name)
            .put(IFLA_ADDRESS, &link.mac.0)
            .put_u32(IFLA_LINK, link.uplink);
        match link.place {
            Place::Inside(netns) => body.put_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32),
            Place::Group(group) => body.put_u32(IFLA_GROUP, group),
        };
        if let Some(mtu) = link.mtu {
            body.put_u32(IFLA_MTU, mtu);
        }
        body.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, "macvlan").nest(IFLA_INFO_DATA, |data| {
                data.put_u32(IFLA_MACVLAN_MODE, mode);
            });
        });
    });
}

/// Makes a bridge that joins no multicast group: with snooping it does as soon as it is up, and tells so from the gateway's address,
/// which leaves a connection in every table that we look through.
pub(crate) fn push_bridge(datagram: &mut Datagram, note: Note, link: NewLink<'_>) {
    datagram.push(RTM_NEWLINK, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        write_new(body, link);
        body.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, |data| {
                data.put(IFLA_BR_MCAST_SNOOPING, &[0]);
            });
        });
    });
}

/// A VXLAN device to be made, beside what every link has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vxlan {
    pub id: u32,
    pub port: u16,
    pub local: IpAddr,
}

/// Makes a VXLAN device that learns nothing and has no default destination: what is not in its table goes nowhere.
pub(crate) fn push_vxlan(datagram: &mut Datagram, note: Note, link: NewLink<'_>, vxlan: Vxlan) {
    datagram.push(RTM_NEWLINK, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        write_new(body, link);
        body.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, "vxlan").nest(IFLA_INFO_DATA, |data| {
                data.put_u32(IFLA_VXLAN_ID, vxlan.id).put_u8(IFLA_VXLAN_LEARNING, 0);
                data.put(IFLA_VXLAN_PORT, &vxlan.port.to_be_bytes());
                let local = match vxlan.local {
                    IpAddr::V4(_) => IFLA_VXLAN_LOCAL,
                    IpAddr::V6(_) => IFLA_VXLAN_LOCAL6,
                };
                super::with_octets(vxlan.local, |octets| {
                    data.put(local, octets);
                });
            });
        });
    });
}

/// Makes a link of a kind without settings, such as "ifb".
pub(crate) fn push_new(datagram: &mut Datagram, note: Note, link: NewLink<'_>, kind: &str) {
    datagram.push(RTM_NEWLINK, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        write_new(body, link);
        body.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, kind);
        });
    });
}

fn write_new(body: &mut Body<'_>, link: NewLink<'_>) {
    body.raw(&header(link.index, 0, 0)).put_text(IFLA_IFNAME, link.name);
    body.put_u32(IFLA_GROUP, link.group);
    if let Some(mac) = link.mac {
        body.put(IFLA_ADDRESS, &mac.0);
    }
    write_queues_and_mtu(body, link.mtu);
}

/// One queue each way: the kernel would make one per processor, which costs memory and time and gains nothing on a veth.
fn write_queues_and_mtu(body: &mut Body<'_>, mtu: Option<u32>) {
    body.put_u32(IFLA_NUM_TX_QUEUES, 1).put_u32(IFLA_NUM_RX_QUEUES, 1);
    if let Some(mtu) = mtu {
        body.put_u32(IFLA_MTU, mtu);
    }
}

/// Settings that the kernel refuses together with creation: no IPv6 address generation, IPv4 settings, alias.
pub(crate) fn push_settings(
    datagram: &mut Datagram,
    note: Note,
    index: u32,
    inet4: &[Inet4Setting],
    alias: &str,
) {
    datagram.push(RTM_NEWLINK, 0, note, |body| {
        body.raw(&header(index, 0, 0));
        if !alias.is_empty() {
            body.put(IFLA_IFALIAS, alias.as_bytes());
        }
        body.nest(IFLA_AF_SPEC, |families| {
            families.nest(u16::from(AF_INET6), |inet6| {
                inet6.put_u8(IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_NONE);
            });
            if !inet4.is_empty() {
                families.nest(u16::from(AF_INET), |family| {
                    family.nest(IFLA_INET_CONF, |conf| {
                        for setting in inet4 {
                            conf.put_u32(*setting as u16, 1);
                        }
                    });
                });
            }
        });
    });
}

/// Switches one IPv4 setting of a link on.
pub(crate) fn push_inet4(datagram: &mut Datagram, note: Note, index: u32, setting: Inet4Setting) {
    push_inet4_value(datagram, note, index, (setting, 1));
}

/// Gives one IPv4 setting of a link a value.
pub(crate) fn push_inet4_value(
    datagram: &mut Datagram,
    note: Note,
    index: u32,
    (setting, value): (Inet4Setting, u32),
) {
    datagram.push(RTM_NEWLINK, 0, note, |body| {
        body.raw(&header(index, 0, 0));
        body.nest(IFLA_AF_SPEC, |families| {
            families.nest(u16::from(AF_INET), |family| {
                family.nest(IFLA_INET_CONF, |conf| {
                    conf.put_u32(setting as u16, value);
                });
            });
        });
    });
}

pub(crate) fn push_up(datagram: &mut Datagram, note: Note, index: u32) {
    datagram.push(RTM_NEWLINK, 0, note, |body| {
        body.raw(&header(index, IFF_UP, IFF_UP));
    });
}

/// Up, and its adapter hears whatever the wire has: adapters leave out VLANs that nobody has told them of.
pub(crate) fn push_up_hearing_all(datagram: &mut Datagram, note: Note, index: u32) {
    datagram.push(RTM_NEWLINK, 0, note, |body| {
        body.raw(&header(index, IFF_UP | IFF_PROMISC, IFF_UP | IFF_PROMISC));
    });
}

/// What a link that was made in advance gets when it is taken into use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Finish<'a> {
    /// A name that it has already, unless somebody changed it.
    pub name: Option<&'a str>,
    pub mac: Option<Mac>,
    pub group: Option<u32>,
    pub mtu: Option<u32>,
    pub alias: &'a str,
}

/// Brings a link up with all that can be said in the same message; the kernel brings it up last.
pub(crate) fn push_finish(datagram: &mut Datagram, note: Note, index: u32, finish: Finish<'_>) {
    datagram.push(RTM_NEWLINK, 0, note, |body| {
        body.raw(&header(index, IFF_UP, IFF_UP));
        if let Some(name) = finish.name {
            body.put_text(IFLA_IFNAME, name);
        }
        if let Some(mac) = finish.mac {
            body.put(IFLA_ADDRESS, &mac.0);
        }
        if let Some(mtu) = finish.mtu {
            body.put_u32(IFLA_MTU, mtu);
        }
        if let Some(group) = finish.group {
            body.put_u32(IFLA_GROUP, group);
        }
        if !finish.alias.is_empty() {
            body.put(IFLA_IFALIAS, finish.alias.as_bytes());
        }
    });
}

pub(crate) fn push_mtu(datagram: &mut Datagram, note: Note, index: u32, mtu: u32) {
    datagram.push(RTM_NEWLINK, 0, note, |body| {
        body.raw(&header(index, 0, 0)).put_u32(IFLA_MTU, mtu);
    });
}

/// Sets the alias; an empty one removes it.
pub(crate) fn push_alias(datagram: &mut Datagram, note: Note, index: u32, alias: &str) {
    datagram.push(RTM_NEWLINK, 0, note, |body| {
        body.raw(&header(index, 0, 0)).put(IFLA_IFALIAS, alias.as_bytes());
    });
}

pub(crate) fn push_group(datagram: &mut Datagram, note: Note, index: u32, group: u32) {
    datagram.push(RTM_NEWLINK, 0, note, |body| {
        body.raw(&header(index, 0, 0)).put_u32(IFLA_GROUP, group);
    });
}

pub(crate) fn push_delete(datagram: &mut Datagram, note: Note, index: u32) {
    datagram.push(RTM_DELLINK, 0, note, |body| {
        body.raw(&header(index, 0, 0));
    });
}

/// Deletes every link of a group in one go, which costs little more than deleting one.
pub(crate) fn push_delete_group(datagram: &mut Datagram, note: Note, group: u32) {
    datagram.push(RTM_DELLINK, 0, note, |body| {
        body.raw(&header(0, 0, 0)).put_u32(IFLA_GROUP, group);
    });
}

/// struct ifinfomsg.
fn header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

/// A link as the kernel shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub name: String,
    pub index: u32,
    pub kind: String,
    pub mac: Option<Mac>,
    pub group: u32,
    pub mtu: u32,
    pub alias: String,
    pub up: bool,
    /// Index of the other end of a veth pair.
    pub peer: Option<u32>,
    /// What a VXLAN device is.
    pub vxlan: Option<Vxlan>,
    /// Other names by which it answers.
    pub other_names: Vec<String>,
    /// Kind of link-layer header (ARPHRD_...).
    pub header: u16,
    /// IPv6 address generation is off.
    pub silent: bool,
    /// IPv4 settings by their numbers, starting at 1.
    inet4: Vec<u8>,
    /// IPv6 settings by their numbers, starting at 0.
    inet6: Vec<u8>,
}

impl Link {
    pub(crate) fn inet4(&self, setting: Inet4Setting) -> Option<u32> {
        array_of(&self.inet4, (setting as usize - 1) * 4).map(u32::from_ne_bytes)
    }

    /// All settings of IPv4 and IPv6, for comparing.
    pub(crate) fn family_settings(&self) -> impl Iterator<Item = u8> + '_ {
        self.inet4.iter().chain(&self.inet6).copied()
    }

    /// Whether IPv6 is compiled in and enabled for this link.
    pub(crate) fn has_inet6(&self) -> bool {
        !self.inet6.is_empty()
    }

    fn read(message: &Message<'_>) -> Option<Self> {
        if message.kind == RTM_NEWLINK { Self::read_any(message) } else { None }
    }

    /// The link of a message that tells of one, of its being there or of its going.
    pub(crate) fn read_any(message: &Message<'_>) -> Option<Self> {
        let mut link = Self {
            index: u32::from_ne_bytes(array_of(message.body, 4)?),
            up: u32::from_ne_bytes(array_of(message.body, 8)?) & IFF_UP != 0,
            header: u16::from_ne_bytes(array_of(message.body, 2)?),
            ..Self::default()
        };
        let attributes = Attributes::new(message.body.get(16..)?);
        link.name = attributes.get_text(IFLA_IFNAME).unwrap_or_default().to_owned();
        link.alias = attributes.get_text(IFLA_IFALIAS).unwrap_or_default().to_owned();
        link.mac = attributes.get(IFLA_ADDRESS).and_then(|mac| array_of(mac, 0)).map(Mac);
        link.group = attributes.get_u32(IFLA_GROUP).unwrap_or_default();
        link.mtu = attributes.get_u32(IFLA_MTU).unwrap_or_default();
        link.peer = attributes.get_u32(IFLA_LINK);
        link.other_names = attributes
            .get_nested(IFLA_PROP_LIST)
            .into_iter()
            .flatten()
            .filter(|(kind, _)| *kind == IFLA_ALT_IFNAME)
            .filter_map(|(_, name)| text_of(name).map(str::to_owned))
            .collect();
        if let Some(info) = attributes.get_nested(IFLA_LINKINFO) {
            link.kind = info.get_text(IFLA_INFO_KIND).unwrap_or_default().to_owned();
            if link.kind == "vxlan" {
                link.vxlan = info.get_nested(IFLA_INFO_DATA).and_then(|data| read_vxlan(&data));
            }
        }
        if let Some(families) = attributes.get_nested(IFLA_AF_SPEC) {
            if let Some(inet6) = families.get_nested(u16::from(AF_INET6)) {
                link.silent = inet6.get(IFLA_INET6_ADDR_GEN_MODE) == Some(&[ADDR_GEN_NONE]);
                link.inet6 = inet6.get(IFLA_INET6_CONF).unwrap_or_default().to_vec();
            }
            if let Some(inet4) = families.get_nested(u16::from(AF_INET)) {
                link.inet4 = inet4.get(IFLA_INET_CONF).unwrap_or_default().to_vec();
            }
        }
        Some(link)
    }
}

fn read_vxlan(data: &Attributes<'_>) -> Option<Vxlan> {
    let local = data.get(IFLA_VXLAN_LOCAL).or_else(|| data.get(IFLA_VXLAN_LOCAL6));
    Some(Vxlan {
        id: data.get_u32(IFLA_VXLAN_ID)?,
        port: data
            .get(IFLA_VXLAN_PORT)
            .and_then(|port| array_of(port, 0))
            .map(u16::from_be_bytes)?,
        local: local.and_then(super::address_of).unwrap_or(IpAddr::from([0; 4])),
    })
}

/// Every link of the socket's namespace.
pub(crate) fn dump(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    let table = socket.dump(RTM_GETLINK, "list the interfaces", |body| {
        body.raw(&header(0, 0, 0)).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    })?;
    Ok(messages(&table).filter_map(|message| Link::read(&message)).collect())
}

/// Looks at a link, for the sake of looking: the kernel lets the end of a pair that came up first send only some time after the other
/// one has come up, unless somebody looks (`linkwatch_sync_dev` in `rtnl_getlink`). What was sent to the port until then is lost.
pub(crate) fn push_look(datagram: &mut Datagram, note: Note, index: u32) {
    datagram.push(RTM_GETLINK, 0, note, |body| {
        body.raw(&header(index, 0, 0)).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    });
}

/// The link with this index.
pub(crate) fn get(socket: &mut Socket, index: u32) -> Result<Option<Link>, Error> {
    let answer = socket.ask(RTM_GETLINK, "look at the interface", |body| {
        body.raw(&header(index, 0, 0)).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    });
    match answer {
        Ok(bytes) => Ok(messages(&bytes).find_map(|message| Link::read(&message))),
        Err(Error::Refused(refusal)) if refusal.errno == rustix::io::Errno::NODEV => Ok(None),
        Err(error) => Err(error),
    }
}

/// The index of the link with this name.
pub(crate) fn index_of(socket: &mut Socket, name: &str) -> Result<Option<u32>, Error> {
    let answer = socket.ask(RTM_GETLINK, "find the interface", |body| {
        body.raw(&header(0, 0, 0)).put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        body.put_text(IFLA_IFNAME, name);
    });
    match answer {
        Ok(bytes) => {
            Ok(messages(&bytes).find_map(|message| Link::read(&message)).map(|link| link.index))
        }
        Err(Error::Refused(refusal)) if refusal.errno == rustix::io::Errno::NODEV => Ok(None),
        Err(error) => Err(error),
    }
}

/// The traffic counters of a host end, turned round to the endpoint's point of view.
pub(crate) fn counters(socket: &mut Socket, index: u32) -> Result<Counters, Error> {
    let bytes = socket.ask(RTM_GETLINK, "read the counters of the interface", |body| {
        body.raw(&header(index, 0, 0));
    })?;
    messages(&bytes)
        .find(|message| message.kind == RTM_NEWLINK)
        .and_then(|message| Attributes::new(message.body.get(16..)?).get(IFLA_STATS64))
        .map(turned_round)
        .ok_or(Error::Silent)
}

/// The same of every link of the socket's namespace, by its index: only the numbers, without all else there is to say of a link.
pub(crate) fn all_counters(socket: &mut Socket) -> Result<Vec<(u32, Counters)>, Error> {
    let table = socket.dump(RTM_GETSTATS, "read the counters of the interfaces", |body| {
        // struct if_stats_msg: family, index, mask of what is asked for.
        body.raw(&[0; 8]).raw(&STATS_LINK_MASK.to_ne_bytes());
    })?;
    let read = |message: Message<'_>| {
        let index = u32::from_ne_bytes(array_of(message.body, 4)?);
        let stats = Attributes::new(message.body.get(12..)?).get(IFLA_STATS_LINK_64)?;
        Some((index, turned_round(stats)))
    };
    Ok(messages(&table).filter(|message| message.kind == RTM_NEWSTATS).filter_map(read).collect())
}

/// struct rtnl_link_stats64 (packets, bytes, errors, dropped; of each first received, then sent), from the other end.
fn turned_round(stats: &[u8]) -> Counters {
    let counter = |place: usize| array_of(stats, place * 8).map_or(0, u64::from_ne_bytes);
    Counters {
        packets_sent: counter(0),
        packets_received: counter(1),
        bytes_sent: counter(2),
        bytes_received: counter(3),
        dropped_outgoing: counter(6),
        dropped_incoming: counter(7),
    }
}
