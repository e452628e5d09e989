//! Queueing disciplines: a token bucket on an `ifb` device, and the redirection of what a port sends to it.
//!
//! Traffic from an endpoint arrives at the host end of its port; only outgoing traffic can be delayed. So the arriving packets
//! are redirected to an `ifb` device, queued there, and continue as if they had just arrived. The classifier is `u32`, which
//! every kernel has; `matchall` is missing from some.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use crate::error::Error;
use crate::netlink::attribute::{array_of, u32_of};
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Datagram, Message, Socket, flag, messages};
use crate::program::Program;

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;

const ROOT: u32 = 0xffff_ffff;
const INGRESS: u32 = 0xffff_fff1;
const INGRESS_HANDLE: u32 = 0xffff_0000;
const TC_U32_TERMINAL: u8 = 1;
const TC_ACT_STOLEN: u32 = 4;
const TCA_EGRESS_REDIR: u32 = 1;
const LINKLAYER_ETHERNET: u8 = 1;
const ETH_P_ALL: u16 = 0x0003;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// Where the source address stands in the header of each family.
const SOURCE4: usize = 12;
const SOURCE6: usize = 8;
/// Length of struct tc_u32_sel without keys, and of a key.
const SELECTOR: usize = 16;
const KEY: usize = 16;

/// Longest time a packet waits in the bucket before the queue is full.
const LATENCY_PER_SECOND: u64 = 20;

const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
/// The program itself says what becomes of a packet.
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;

/// Lets a program decide about the packets that arrive at `index`.
pub(crate) fn push_program(datagram: &mut Datagram, note: Note, index: u32, program: &Program) {
    let info = 1 << 16 | u32::from(ETH_P_ALL.to_be());
    datagram.push(RTM_NEWTFILTER, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        body.raw(&header(index, 0, INGRESS_HANDLE, info)).put_text(TCA_KIND, "bpf");
        body.nest(TCA_OPTIONS, |options| {
            options.put_u32(TCA_BPF_FD, program.fd.as_raw_fd() as u32);
            options.put_text(TCA_BPF_NAME, &program.name);
            options.put_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
        });
    });
}

/// What the kernel tells of the classifiers of packets that arrive at `index`.
fn classifiers_of(socket: &mut Socket, index: u32) -> Result<Vec<u8>, Error> {
    let table = socket.dump(RTM_GETTFILTER, "list the packet classifiers", |body| {
        body.raw(&header(index, 0, INGRESS_HANDLE, 0));
    });
    match table {
        // No hook for arriving packets, hence none.
        Err(Error::Refused(_)) => Ok(Vec::new()),
        table => table,
    }
}

/// The names of the programs that decide about the packets that arrive at `index`.
pub(crate) fn programs_of(socket: &mut Socket, index: u32) -> Result<Vec<String>, Error> {
    let table = classifiers_of(socket, index)?;
    let name = |message: Message<'_>| {
        let attributes = Attributes::new(message.body.get(20..)?);
        let options = attributes.get_nested(TCA_OPTIONS)?;
        options.get_text(TCA_BPF_NAME).map(str::to_owned)
    };
    Ok(messages(&table).filter(|it| it.kind == RTM_NEWTFILTER).filter_map(name).collect())
}

/// Sets the rate of the token bucket at the root of a device, whether or not there is one.
pub(crate) fn push_bucket(datagram: &mut Datagram, note: Note, index: u32, rate: u64) {
    datagram.push(RTM_NEWQDISC, flag::CREATE | flag::REPLACE, note, |body| {
        body.raw(&header(index, 0, ROOT, 0)).put_text(TCA_KIND, "tbf").nest(
            TCA_OPTIONS,
            |options| {
                options.put(TCA_TBF_PARMS, &bucket(rate)).put_u32(TCA_TBF_BURST, burst(rate));
                if u32::try_from(rate).is_err() {
                    options.put(TCA_TBF_RATE64, &rate.to_ne_bytes());
                }
            },
        );
    });
}

/// What may be sent at once: 10 ms worth, and never less than a few full frames.
fn burst(rate: u64) -> u32 {
    (rate / 100).clamp(16 << 10, 64 << 20) as u32
}

/// struct tc_tbf_qopt: rate, peak rate (none), limit, buffer, MTU of the peak rate. The buffer is given by TCA_TBF_BURST.
fn bucket(rate: u64) -> [u8; 36] {
    let mut bytes = [0; 36];
    bytes[1] = LINKLAYER_ETHERNET;
    bytes[8..12].copy_from_slice(&u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
    let limit = u64::from(burst(rate)) + rate / LATENCY_PER_SECOND;
    let limit = u32::try_from(limit.max(64 << 10)).unwrap_or(u32::MAX);
    bytes[24..28].copy_from_slice(&limit.to_ne_bytes());
    bytes
}

/// Gives a device the hook for arriving packets.
pub(crate) fn push_ingress(datagram: &mut Datagram, note: Note, index: u32) {
    datagram.push(RTM_NEWQDISC, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        body.raw(&header(index, INGRESS_HANDLE, INGRESS, 0)).put_text(TCA_KIND, "ingress");
    });
}

/// Takes the hook away, and with it the redirection.
pub(crate) fn push_remove_ingress(datagram: &mut Datagram, note: Note, index: u32) {
    datagram.push(RTM_DELQDISC, 0, note, |body| {
        body.raw(&header(index, INGRESS_HANDLE, INGRESS, 0));
    });
}

/// A classifier: packets from an address, or all, leave by another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Redirect {
    /// The lowest is asked first; those of one priority are of one family.
    pub priority: u16,
    pub source: Option<IpAddr>,
    /// Index of the device.
    pub to: u32,
}

impl Redirect {
    /// Priority and protocol, as `tcm_info` wants them.
    fn info(&self) -> u32 {
        let protocol = match self.source {
            None => ETH_P_ALL,
            Some(IpAddr::V4(_)) => ETH_P_IP,
            Some(IpAddr::V6(_)) => ETH_P_IPV6,
        };
        u32::from(self.priority) << 16 | u32::from(protocol.to_be())
    }

    /// struct tc_u32_sel with keys of four bytes each; one that compares nothing matches everything.
    fn selector(&self) -> Vec<u8> {
        let (place, octets) = match self.source {
            None => (0, Vec::new()),
            Some(IpAddr::V4(address)) => (SOURCE4, address.octets().to_vec()),
            Some(IpAddr::V6(address)) => (SOURCE6, address.octets().to_vec()),
        };
        let mut keys = Vec::new();
        for (number, value) in octets.chunks(4).enumerate() {
            keys.extend([0xff; 4]);
            keys.extend(value);
            keys.extend(((place + 4 * number) as u32).to_ne_bytes());
            keys.extend([0; 4]);
        }
        if keys.is_empty() {
            keys.resize(KEY, 0);
        }
        let mut selector = vec![0; SELECTOR];
        selector[0] = TC_U32_TERMINAL;
        selector[2] = (keys.len() / KEY) as u8;
        selector.extend(keys);
        selector
    }
}

/// Redirects packets that arrive at `index`.
pub(crate) fn push_redirect(datagram: &mut Datagram, note: Note, index: u32, redirect: Redirect) {
    // Several classifiers of one priority are told apart by numbers that the kernel gives.
    datagram.push(RTM_NEWTFILTER, flag::CREATE, note, |body| {
        body.raw(&header(index, 0, INGRESS_HANDLE, redirect.info())).put_text(TCA_KIND, "u32");
        body.nest(TCA_OPTIONS, |options| {
            options.put(TCA_U32_SEL, &redirect.selector());
            options.nest(TCA_U32_ACT, |actions| {
                actions.nest(1, |action| {
                    action.put_text(TCA_ACT_KIND, "mirred").nest(TCA_ACT_OPTIONS, |mirred| {
                        mirred.put(TCA_MIRRED_PARMS, &redirection(redirect.to));
                    });
                });
            });
        });
    });
}

/// struct tc_mirred.
fn redirection(to: u32) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[8..12].copy_from_slice(&TC_ACT_STOLEN.to_ne_bytes());
    bytes[20..24].copy_from_slice(&TCA_EGRESS_REDIR.to_ne_bytes());
    bytes[24..28].copy_from_slice(&to.to_ne_bytes());
    bytes
}

/// struct tcmsg.
fn header(index: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&handle.to_ne_bytes());
    bytes[12..16].copy_from_slice(&parent.to_ne_bytes());
    bytes[16..20].copy_from_slice(&info.to_ne_bytes());
    bytes
}

/// The rate of each device's token bucket: (index, bytes per second).
pub(crate) fn dump_buckets(socket: &mut Socket) -> Result<Vec<(u32, u64)>, Error> {
    let table = socket.dump(RTM_GETQDISC, "list the queueing disciplines", |body| {
        body.raw(&[0; 20]);
    })?;
    Ok(messages(&table).filter_map(|message| read_bucket(&message)).collect())
}

fn read_bucket(message: &Message<'_>) -> Option<(u32, u64)> {
    let attributes = Attributes::new(message.body.get(20..)?);
    if message.kind != RTM_NEWQDISC || attributes.get_text(TCA_KIND) != Some("tbf") {
        return None;
    }
    let options = attributes.get_nested(TCA_OPTIONS)?;
    let short = u32::from_ne_bytes(array_of(options.get(TCA_TBF_PARMS)?, 8)?);
    let rate = match options.get(TCA_TBF_RATE64).and_then(|rate| array_of(rate, 0)) {
        Some(rate) => u64::from_ne_bytes(rate),
        None => u64::from(short),
    };
    Some((u32::from_ne_bytes(array_of(message.body, 4)?), rate))
}

/// Where packets that arrive at `index` are redirected, in order.
pub(crate) fn redirects_of(socket: &mut Socket, index: u32) -> Result<Vec<Redirect>, Error> {
    let table = classifiers_of(socket, index)?;
    let mut redirects: Vec<_> = messages(&table).filter_map(|it| read_redirect(&it)).collect();
    redirects.sort();
    Ok(redirects)
}

fn read_redirect(message: &Message<'_>) -> Option<Redirect> {
    if message.kind != RTM_NEWTFILTER {
        return None;
    }
    let info = u32::from_ne_bytes(array_of(message.body, 16)?);
    let options = Attributes::new(message.body.get(20..)?).get_nested(TCA_OPTIONS)?;
    let action = options.get_nested(TCA_U32_ACT)?.get_nested(1)?;
    if action.get_text(TCA_ACT_KIND) != Some("mirred") {
        return None;
    }
    let to = u32_of(action.get_nested(TCA_ACT_OPTIONS)?.get(TCA_MIRRED_PARMS)?.get(24..28)?)?;
    let keys = options.get(TCA_U32_SEL)?.get(SELECTOR..)?;
    let value = |key: &[u8]| key.get(4..8).map(<[u8]>::to_vec);
    let octets: Vec<u8> = keys.chunks(KEY).filter_map(value).flatten().collect();
    let source = match u16::from_be(info as u16) {
        ETH_P_IP => Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?)),
        ETH_P_IPV6 => Some(IpAddr::from(<[u8; 16]>::try_from(octets).ok()?)),
        _ => None,
    };
    Some(Redirect { priority: (info >> 16) as u16, source, to })
}
