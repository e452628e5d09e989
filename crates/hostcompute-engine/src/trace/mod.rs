//! Why does A not reach B: one packet walked through what the host has, each place named, and the document that stops it.
//!
//! - `question`: who is meant, and which packet.
//! - `walk`: the way of the packet, on facts alone, through `view`.
//! - `cause`: what stopped it, in the words of documents: the policy, the flag, the missing object, and what to do.
//!
//! It touches nothing, and knows what the service knows: a trace tells what the documents mean. Whether the kernel agrees is told
//! by `hc check`, and by a probe. The simulator has a walk of its own (`sim::Reach`), with which tests compare this one.

mod cause;
mod question;
mod view;
mod walk;
mod words;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hostcompute_schema::service::{
    Trace, TraceHop, TracePath, TracePlace, TraceReceiver, TraceRequest,
};
use hostcompute_schema::{Failure, Guid, ProtocolType};

use crate::host::Surroundings;
use crate::state::State;
use cause::Cause;
use question::Expected;
use view::View;
use walk::{Origin, Receiver, Stop, Walked};
use words::Words;

/// Of more backends than this only the first are walked to.
const MOST_PATHS: usize = 64;

/// The first packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packet {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    source_port: u16,
    /// 0 for protocols without ports.
    port: u16,
    /// It came in by a port or a tunnel.
    from_ours: bool,
    /// The virtual subnet out of whose tunnel it came.
    from_tunnel: Option<u32>,
    /// It is a program's of the host.
    from_host: bool,
    translated: bool,
    /// What a service shows in place of the source.
    shown: Option<IpAddr>,
}

impl Packet {
    /// The destination as people write it.
    fn sent_to(&self) -> String {
        match self.port {
            0 => self.destination.to_string(),
            port => SocketAddr::new(self.destination, port).to_string(),
        }
    }
}

/// What was asked, understood.
#[derive(Debug, Clone)]
struct Question {
    origin: Origin,
    to: IpAddr,
    protocol: u8,
    source_port: u16,
    port: u16,
    expected: Expected,
}

impl Question {
    fn packet(&self, source: IpAddr, from_ours: bool) -> Packet {
        Packet {
            source,
            destination: self.to,
            protocol: self.protocol,
            source_port: self.source_port,
            port: self.port,
            from_ours,
            from_tunnel: None,
            from_host: false,
            translated: false,
            shown: None,
        }
    }
}

/// What a probe must send, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The namespace that it is sent from; `None`: the host's own.
    pub netns: Option<Guid>,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// 0 for protocols without ports.
    pub port: u16,
}

/// What becomes of a packet.
///
/// # Errors
/// E_INVALIDARG for a request that names no packet, at its member; the not-found code of a kind for an end that does not exist.
pub fn trace(
    state: &State,
    surroundings: &Surroundings,
    request: &TraceRequest,
) -> Result<Trace, Failure> {
    let facts = state.facts();
    let view = View { facts: &facts, surroundings };
    let question = question::understand(state, view, request)?;
    Ok(answer(state, view, &question))
}

/// What becomes of a packet, and what must be sent for the kernel to show it.
///
/// # Errors
/// As [`trace`]; HCN_E_REQUEST_UNSUPPORTED for a sender that is not on this host.
pub fn probe(
    state: &State,
    surroundings: &Surroundings,
    request: &TraceRequest,
) -> Result<(Trace, Option<Probe>), Failure> {
    let facts = state.facts();
    let view = View { facts: &facts, surroundings };
    let question = question::understand(state, view, request)?;
    let netns = question::sender(state, &question)?;
    let answer = answer(state, view, &question);
    let source = answer.source.as_deref().and_then(|text| text.parse().ok());
    let Question { to, protocol, port, .. } = question;
    let probe = source.map(|source| Probe { netns, source, destination: to, protocol, port });
    Ok((answer, probe))
}

fn answer(state: &State, view: View<'_>, question: &Question) -> Trace {
    let words = Words { state, view };
    let first = walk::walk(view, words, question, 0);
    let others = first.backends.len().clamp(1, MOST_PATHS);
    let others = (1..others).map(|choice| walk::walk(view, words, question, choice));
    let source = first.hops.first().and_then(|hop| hop.source.clone());
    let walked = core::iter::once(first).chain(others);
    let paths: Vec<TracePath> = walked.map(|walked| path(words, question, walked)).collect();
    Trace {
        from: Some(question.sender_words(words)),
        to: Some(question.receiver_words(words)),
        source,
        destination: Some(question.packet(question.to, false).sent_to()),
        protocol: Some(ProtocolType(question.protocol.into())),
        reaches: Some(paths.iter().all(|path| path.reaches == Some(true))),
        paths,
        ..Trace::default()
    }
}

fn path(words: Words<'_>, question: &Question, walked: Walked) -> TracePath {
    let Walked { mut hops, backends: _, end } = walked;
    let mut path = TracePath::default();
    let end = match end {
        Ok((receiver, seen_as)) => {
            path.receiver = Some(match receiver {
                Receiver::Endpoint(_) => TraceReceiver::Endpoint,
                Receiver::Host => TraceReceiver::Host,
                Receiver::Outside => TraceReceiver::Outside,
                Receiver::OtherHost(_) => TraceReceiver::OtherHost,
            });
            match receiver {
                Receiver::Endpoint(id) => path.endpoint = Some(id),
                Receiver::OtherHost(host) => path.host = Some(host.to_string()),
                Receiver::Host | Receiver::Outside => {}
            }
            path.seen_as = Some(seen_as.to_string());
            let last = hops.last().cloned().unwrap_or_default();
            hops.push(TraceHop {
                place: Some(TracePlace::Arrival),
                what: Some(format!("{} gets it", words.receiver(receiver))),
                source: path.seen_as.clone(),
                ..last
            });
            question.expected.check(receiver)
        }
        Err(stop) => Err(stop),
    };
    path.reaches = Some(end.is_ok());
    path.obstacle = end.err().map(|stop| Cause { words, question }.of(&stop));
    path.hops = hops;
    path
}

/// Whoever is named is who must get the packet.
impl Expected {
    fn check(&self, receiver: Receiver) -> Result<(), Stop> {
        match (self, receiver) {
            (Self::Anybody, _) => Ok(()),
            (Self::Endpoint(wanted), Receiver::Endpoint(id)) if id == *wanted => Ok(()),
            (Self::Endpoint(wanted), _) => Err(Stop::SomebodyElse(receiver, *wanted)),
        }
    }
}
