//! What the kernel does with one packet, chain by chain (nftables' trace).
//!
//! A table of our own, with another name than the one that is kept, marks the packet where it comes into the host; from there on the
//! kernel tells of every rule that it matches and of every chain's end, in all tables. The table belongs to the socket: it goes with it,
//! also when the process is killed.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use hostcompute_engine::plan::Family;
use ipnet::IpNet;
use rustix::io::Errno;

use super::batch;
use super::expression::Expression;
use super::kind;
use super::rule::{Load, Rule};
use crate::error::Error;
use crate::netlink::{Attributes, Protocol, Socket};
use crate::sys;

const NFNLGRP_NFTRACE: u32 = 9;
const TRACE: u16 = kind(17);
const GENERIC_HEADER: usize = 4;
/// NFTA_TRACE_*.
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const RULE: u16 = 3;
const KIND: u16 = 4;
const VERDICT: u16 = 5;
const NETWORK_HEADER: u16 = 8;
const TRANSPORT_HEADER: u16 = 9;
const POLICY: u16 = 16;
const KIND_POLICY: u32 = 1;

/// A chain's word about the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub table: String,
    pub chain: String,
    /// The number of the rule; `None` for the chain's own policy.
    pub rule: Option<u64>,
    /// `accept`, `drop`, `goto pass4` and so on.
    pub verdict: String,
    /// Source and destination of the packet then, where the kernel tells them.
    pub ends: Option<(SocketAddr, SocketAddr)>,
}

/// Listens to what becomes of packets between two ends.
#[derive(Debug)]
pub(crate) struct Sight {
    socket: Socket,
    name: String,
}

impl Sight {
    /// From now on, in the calling thread's namespace. `port` is 0 for protocols without ports.
    pub(crate) fn open(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        port: u16,
    ) -> Result<Self, Error> {
        let opened = Socket::open(Protocol::Netfilter).and_then(|mut socket| {
            socket.sign();
            sys::join(&socket, NFNLGRP_NFTRACE)?;
            socket.widen()?;
            Ok(socket)
        });
        let mut socket =
            opened.map_err(|error| Error::system("listen to the packet filter", error))?;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hostcompute_trace_{}_{number}", std::process::id());
        let family = Family::of(&destination);
        let mut rule = Rule::on("")
            .family(family)
            .address_in(family, Load::SourceAddress, IpNet::from(source))
            .address_in(family, Load::DestinationAddress, IpNet::from(destination))
            .protocol(protocol);
        if port != 0 {
            let value = port.to_be_bytes().to_vec();
            rule = rule.load(family, &[Load::DestinationPort]).0;
            rule = rule.with(Expression::Compare { from: 0, equal: true, value });
        }
        rule = rule
            .with(Expression::Load { to: 0, value: vec![1] })
            .with(Expression::SetTrace { from: 0 });
        batch::lend(&mut socket, &name, &rule.expressions)?;
        Ok(Self { socket, name })
    }

    /// What was told since; nothing of the table that marks.
    pub(crate) fn take(&mut self) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        loop {
            let own = &self.name;
            let heard = self.socket.overhear(|message| {
                if message.kind == TRACE {
                    let body = message.body.get(GENERIC_HEADER..).unwrap_or(&[]);
                    steps.extend(step(&Attributes::new(body)).filter(|step| step.table != *own));
                }
            });
            match heard {
                Ok(()) => {}
                Err(Errno::AGAIN) => return Ok(steps),
                Err(error) => return Err(Error::system("listen to the packet filter", error)),
            }
        }
    }
}

impl Drop for Sight {
    fn drop(&mut self) {
        // The kernel does it too, in its own time.
        let _ = batch::take_back(&mut self.socket, &self.name);
    }
}

fn step(told: &Attributes<'_>) -> Option<Step> {
    let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
    let policy = told.get_be32(KIND) == Some(KIND_POLICY);
    let verdict = match policy {
        true => word(told.get_be32(POLICY)?, None),
        false => {
            let verdict = told.get_nested(VERDICT)?;
            word(verdict.get_be32(1)?, verdict.get_text(2))
        }
    };
    Some(Step {
        table: told.get_text(TABLE)?.to_owned(),
        chain: told.get_text(CHAIN)?.to_owned(),
        rule: told.get(RULE).and_then(number),
        verdict,
        ends: ends(told),
    })
}

/// NF_DROP and so on.
fn word(code: u32, chain: Option<&str>) -> String {
    let chain = chain.unwrap_or_default();
    match code as i32 {
        0 => "drop".to_owned(),
        1 => "accept".to_owned(),
        -1 => "continue".to_owned(),
        -2 => "break".to_owned(),
        -3 => format!("jump {chain}"),
        -4 => format!("goto {chain}"),
        -5 => "return".to_owned(),
        other => format!("verdict {other}"),
    }
}

/// The addresses and ports of the headers that the kernel shows.
fn ends(told: &Attributes<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let network = told.get(NETWORK_HEADER)?;
    let (source, destination) = match network.first()? >> 4 {
        4 => {
            let at = |offset: usize| -> Option<IpAddr> {
                let bytes: [u8; 4] = network.get(offset..offset + 4)?.try_into().ok()?;
                Some(bytes.into())
            };
            (at(12)?, at(16)?)
        }
        6 => {
            let at = |offset: usize| -> Option<IpAddr> {
                let bytes: [u8; 16] = network.get(offset..offset + 16)?.try_into().ok()?;
                Some(bytes.into())
            };
            (at(8)?, at(24)?)
        }
        _ => return None,
    };
    let port = |offset: usize| -> Option<u16> {
        let bytes = told.get(TRANSPORT_HEADER)?.get(offset..offset + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let end = |address, offset| SocketAddr::new(address, port(offset).unwrap_or_default());
    Some((end(source, 0), end(destination, 2)))
}
