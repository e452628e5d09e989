//! Queueing disciplines: a token bucket on an `ifb` device, and the redirection of what a port sends to it.
//!
//! Traffic from an endpoint arrives at the host end of its port; only outgoing traffic can be delayed. So the arriving packets
//! are redirected to an `ifb` device, queued there, and continue as if they had just arrived. The classifier is `u32`, which
//! every kernel has; `matchall` is missing from some.

use crate::error::Error;
use crate::netlink::attribute::{array_of, u32_of};
use crate::netlink::message::Note;
use crate::netlink::{Attributes, Datagram, Message, Socket, flag, messages};

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
/// Priority 1 and protocol ETH_P_ALL (0x0003 in network order), as `tcm_info` wants them.
const FILTER_INFO: u32 = 1 << 16 | (0x0003_u16.to_be() as u32);

/// Longest time a packet waits in the bucket before the queue is full.
const LATENCY_PER_SECOND: u64 = 20;

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

/// Redirects every packet that arrives at `index` to leave by `to`.
pub(crate) fn push_redirect(datagram: &mut Datagram, note: Note, index: u32, to: u32) {
    datagram.push(RTM_NEWTFILTER, flag::CREATE | flag::EXCLUSIVE, note, |body| {
        body.raw(&header(index, 0, INGRESS_HANDLE, FILTER_INFO)).put_text(TCA_KIND, "u32").nest(
            TCA_OPTIONS,
            |options| {
                // struct tc_u32_sel with one key that matches everything.
                let mut selector = [0; 32];
                selector[0] = TC_U32_TERMINAL;
                selector[2] = 1;
                options.put(TCA_U32_SEL, &selector);
                options.nest(TCA_U32_ACT, |actions| {
                    actions.nest(1, |action| {
                        action.put_text(TCA_ACT_KIND, "mirred").nest(TCA_ACT_OPTIONS, |mirred| {
                            mirred.put(TCA_MIRRED_PARMS, &redirection(to));
                        });
                    });
                });
            },
        );
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

/// The device to which arriving packets of `index` are redirected.
pub(crate) fn redirect_of(socket: &mut Socket, index: u32) -> Result<Option<u32>, Error> {
    let table = socket.dump(RTM_GETTFILTER, "list the packet classifiers", |body| {
        body.raw(&header(index, 0, INGRESS_HANDLE, 0));
    });
    let table = match table {
        Ok(table) => table,
        // No hook for arriving packets, hence no redirection.
        Err(Error::Refused(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(messages(&table).find_map(|message| read_redirect(&message)))
}

fn read_redirect(message: &Message<'_>) -> Option<u32> {
    if message.kind != RTM_NEWTFILTER {
        return None;
    }
    let options = Attributes::new(message.body.get(20..)?).get_nested(TCA_OPTIONS)?;
    let action = options.get_nested(TCA_U32_ACT)?.get_nested(1)?;
    if action.get_text(TCA_ACT_KIND) != Some("mirred") {
        return None;
    }
    u32_of(action.get_nested(TCA_ACT_OPTIONS)?.get(TCA_MIRRED_PARMS)?.get(24..28)?)
}
