//! Blocking calls beside the runtime's own threads, and what becomes of them when nobody waits any more.

use std::fmt::{self, Debug};
#[cfg(images)]
use std::ops::ControlFlow;
use std::ops::Deref;
use std::pin::Pin;
#[cfg(images)]
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hostcompute_schema::{Failure, HResult};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

#[cfg(images)]
use crate::layer::{Event, Watch};

/// Carries out a call on the pool.
///
/// # Errors
/// E_UNEXPECTED outside of a tokio runtime, when the runtime ends before the call does, or when the call panics.
pub(super) async fn run<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    make(call, drop).await
}

/// As [`run`]. `unclaimed` gets what the call brought when nobody waits for it any more.
///
/// # Errors
/// As [`run`].
pub(super) async fn make<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
    unclaimed: fn(T),
) -> Result<T, Failure> {
    let runtime = Handle::try_current().map_err(|error| {
        let why = "a call of the asynchronous API needs a tokio runtime";
        Failure::new(HResult::E_UNEXPECTED, why).because(&error)
    })?;
    let (sender, answer) = oneshot::channel();
    let task = runtime.spawn_blocking(move || {
        if let Err(brought) = sender.send(call()) {
            unclaimed(brought);
        }
    });
    Waiting { answer, task: task.abort_handle(), unclaimed }.await
}

/// As [`run`], for work that tells of itself: it is called off when nobody waits for it any more.
///
/// # Errors
/// As [`run`], and as the work.
#[cfg(images)]
pub(super) async fn watched<T: Send + 'static>(
    watch: impl Fn(Event<'_>) -> ControlFlow<()> + Send + Sync + 'static,
    work: impl FnOnce(Watch<'_>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let wanted = Arc::new(());
    let still = Arc::downgrade(&wanted);
    let watch = move |event: Event<'_>| match still.strong_count() {
        0 => ControlFlow::Break(()),
        _ => watch(event),
    };
    let made = run(move || work(&watch)).await;
    drop(wanted);
    made?
}

/// Waits for something that may take for ever, on a thread of its own: the pool is for calls that end. `wait` is asked again and again to
/// wait for a while, and answers with a timeout when nothing has come; it is not asked any more when nobody waits for it.
///
/// # Errors
/// As `wait`; its timeout when `patience` ends. E_OUTOFMEMORY when there is no thread to be had.
pub(super) async fn wait<T: Send + 'static>(
    patience: Option<Duration>,
    wait: impl Fn(Duration) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let until = patience.and_then(|patience| Instant::now().checked_add(patience));
    let (sender, answer) = oneshot::channel();
    let work = move || {
        let brought = loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let brought = wait(left.map_or(AT_ONCE, |left| left.min(AT_ONCE)));
            let timed_out = matches!(&brought, Err(failure) if failure.is_timeout());
            let is_late = left.is_some_and(|left| left <= AT_ONCE);
            if !timed_out || is_late || sender.is_closed() {
                break brought;
            }
        };
        // Who does not wait any more has no use for it.
        let _ = sender.send(brought);
    };
    aside(work).map_err(|error| {
        Failure::new(HResult::E_OUTOFMEMORY, "there is no thread to wait with").because(&error)
    })?;
    answer.await.unwrap_or_else(|_| Err(lost()))
}

/// How long a thread waits before it asks whether somebody still wants to know.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Does on a thread of its own what may block, and what nobody waits for.
pub(super) fn aside(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("hostcompute".to_owned()).spawn(work).map(drop)
}

/// A call under way, or one that waits for a thread.
struct Waiting<T: Send + 'static> {
    answer: oneshot::Receiver<T>,
    task: AbortHandle,
    unclaimed: fn(T),
}

impl<T: Send + 'static> Future for Waiting<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map_err(|_| lost())
    }
}

impl<T: Send + 'static> Drop for Waiting<T> {
    fn drop(&mut self) {
        // What has not begun will not; what has begun sees the closed channel at its end.
        self.task.abort();
        self.answer.close();
        if let Ok(brought) = self.answer.try_recv() {
            let unclaimed = self.unclaimed;
            // Without a thread it cannot be given back; what it is of outlives this process anyway.
            let _ = aside(move || unclaimed(brought));
        }
    }
}

fn lost() -> Failure {
    let why = "the call ended without an answer: it panicked, or the runtime has ended";
    Failure::new(HResult::E_UNEXPECTED, why)
}

/// A value whose end may take a call: a thread of its own drops it.
pub(super) struct Aside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Aside<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value, for somebody who may block.
    pub(super) fn into_inner(mut self) -> T {
        self.0.take().expect("only this and `drop` take it, and both have the value for themselves")
    }
}

impl<T: Send + 'static> Deref for Aside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken only when nobody has the value any more")
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            // Where there is no thread, the value went with the closure: dropped here after all.
            let _ = aside(move || drop(value));
        }
    }
}

impl<T: Send + Debug + 'static> Debug for Aside<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Methods of a blocking type, each on the pool. `self.inner` is a clone of it, or something that leads to it; arguments are borrowed
/// (`text: &str`) or taken (`count: = u16`).
macro_rules! on_the_pool {
    ($of:path: $(fn $name:ident($($argument:ident: $(&$by:ty)? $(= $as:ty)?),*) -> $answer:ty;)*) => {$(
        #[doc = concat!("[`", stringify!($of), "::", stringify!($name), "`], awaited.")]
        ///
        /// # Errors
        /// As that.
        pub async fn $name(
            &self,
            $($argument: $(&$by)? $($as)?),*
        ) -> Result<$answer, hostcompute_schema::Failure> {
            let inner = self.inner.clone();
            $($(let $argument = <$by as ToOwned>::to_owned($argument);)?)*
            super::pool::run(move || inner.$name($($(std::borrow::Borrow::<$by>::borrow(&$argument))? $(
                { let taken: $as = $argument; taken }
            )?),*)).await?
        }
    )*};
}

pub(super) use on_the_pool;
