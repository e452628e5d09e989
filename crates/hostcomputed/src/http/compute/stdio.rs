//! Handing over the streams of a process: the connection is upgraded, and brings descriptors beside one byte.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use hostcompute_engine::compute::Stdio;
use hostcompute_schema::compute::{STDERR, STDIN, STDIO_UPGRADE, STDOUT};
use hostcompute_schema::{Failure, HResult};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;

use crate::http::{Edge, Patient, answer, request};

/// Fails unless the client can take descriptors.
///
/// # Errors
/// E_INVALIDARG.
pub fn demand_upgrade(headers: &HeaderMap) -> Result<(), Failure> {
    let wanted = request::header(headers, "upgrade")?;
    if wanted.is_some_and(|to| to.eq_ignore_ascii_case(STDIO_UPGRADE)) {
        return Ok(());
    }
    let why = "descriptors are handed over on an upgraded connection only";
    let hint = format!("send `Connection: upgrade` and `Upgrade: {STDIO_UPGRADE}`");
    Err(Failure::new(HResult::E_INVALIDARG, why).hint(hint))
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
    let mut response = answer::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(STDIO_UPGRADE));
    response
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
