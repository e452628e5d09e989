//! Handing over the streams of a process: the connection is upgraded, and brings descriptors beside one byte.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use hostcompute_engine::compute::Stdio;
use hostcompute_schema::compute::{
    STDERR, STDIN, STDIO_UPGRADE, STDOUT, STREAM_UPGRADES, StreamUpgrade,
};
use hostcompute_schema::{Failure, HResult};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;

use crate::http::{Edge, Patient, answer, request};

/// What a client wants of a process's streams.
pub enum Wanted {
    /// Descriptors of all of them.
    Descriptors,
    /// That the connection becomes one of them.
    One(&'static StreamUpgrade),
}

impl Wanted {
    /// What the request says.
    ///
    /// # Errors
    /// E_INVALIDARG for what streams do not come by, and for descriptors where `takes_descriptors` is not.
    pub fn of(headers: &HeaderMap, takes_descriptors: bool) -> Result<Self, Failure> {
        let wanted = request::header(headers, "upgrade")?.unwrap_or_default();
        if takes_descriptors && wanted.eq_ignore_ascii_case(STDIO_UPGRADE) {
            return Ok(Self::Descriptors);
        }
        let stream = |row: &&StreamUpgrade| wanted.eq_ignore_ascii_case(row.name);
        if let Some(stream) = STREAM_UPGRADES.iter().find(stream) {
            return Ok(Self::One(stream));
        }
        let why = "streams are handed over on upgraded connections only";
        let mut known: Vec<&str> = STREAM_UPGRADES.iter().map(|row| row.name).collect();
        known.extend(takes_descriptors.then_some(STDIO_UPGRADE));
        let hint = format!("send `Connection: upgrade` and `Upgrade:` one of {}", known.join(", "));
        Err(Failure::new(HResult::E_INVALIDARG, why).hint(hint))
    }
}

/// The answer that says that a connection becomes something else.
pub fn switching(to: &'static str) -> Response {
    let mut response = answer::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(to));
    response
}

/// The answer, after which the descriptors follow.
pub fn hand_over(edge: &Edge, stdio: Stdio<OwnedFd>, upgrade: OnUpgrade) -> Response {
    // The connection's own thread ends with its HTTP.
    edge.background().spawn(async move {
        match upgrade.await {
            Ok(upgraded) => send(upgraded, &stdio),
            Err(error) => tracing::debug!(%error, "a client did not wait for its streams"),
        }
    });
    switching(STDIO_UPGRADE)
}

fn send(upgraded: Upgraded, stdio: &Stdio<OwnedFd>) {
    let Ok(parts) = upgraded.downcast::<TokioIo<Patient<UnixStream>>>() else {
        return tracing::error!("a connection is not what it was made as");
    };
    let there = [(&stdio.input, STDIN), (&stdio.output, STDOUT), (&stdio.error, STDERR)];
    let there = there.into_iter().filter_map(|(stream, bit)| Some((stream.as_ref()?.as_fd(), bit)));
    let (descriptors, bits): (Vec<BorrowedFd<'_>>, Vec<u8>) = there.unzip();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return tracing::error!("there is no room for three descriptors");
    }
    let byte = [bits.into_iter().sum()];
    // The head of the answer was taken by the kernel: one byte more has room, or the client does not read at all.
    let sent =
        sendmsg(parts.io.inner().inner(), &[IoSlice::new(&byte)], &mut beside, SendFlags::NOSIGNAL);
    if let Err(error) = sent {
        tracing::debug!(%error, "a client did not take its streams");
    }
}
