//! A connection that waits for its reader, but not for ever.
//!
//! A client that does not read its answers fills the kernel's buffer, and then ours, which is bounded. After the configured
//! patience such a connection is cut: it holds memory and, by its session, objects of others' interest.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hostcompute::transport::eager::{self, Eager};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The stream of one client.
#[derive(Debug)]
pub struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Runs while the client does not read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Whether it is worth staying awake for what the client says next.
    eager: Eager,
    /// What others are at, when nobody else is served by this thread.
    others: Option<Arc<AtomicUsize>>,
}

impl<S> Patient<S> {
    /// Cuts the stream off after `patience` without any progress in writing.
    pub fn new(stream: S, patience: Duration) -> Self {
        let eager = Eager::for_at_most(eager::WAKE);
        Self { stream, patience, stalled: None, eager, others: None }
    }

    /// The stream has its thread for itself: it may keep it busy for a moment, waiting for the next request, while nothing of what
    /// `others` counts is under way.
    pub fn alone(self, others: Arc<AtomicUsize>) -> Self {
        Self { others: Some(others), ..self }
    }

    fn stays_awake(&self) -> bool {
        let idle = |others: &Arc<AtomicUsize>| others.load(Ordering::Relaxed) == 0;
        self.eager.is_worth_it() && self.others.as_ref().is_some_and(idle)
    }

    /// The stream itself.
    pub fn inner(&self) -> &S {
        &self.stream
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsFd + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() {
            this.eager.heard();
            return read;
        }
        if !this.stays_awake() {
            return read;
        }
        // The event loop is told of what is read here, too; it then finds nothing left.
        match this.eager.listen(&this.stream, buffer.initialize_unfilled()) {
            Some(read) => {
                buffer.advance(read);
                Poll::Ready(Ok(()))
            }
            None => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.eager.spoken();
        self.judge(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.eager.spoken();
        self.judge(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
