//! The host, and what concerns the service as a whole.

use std::path::PathBuf;
use std::sync::Arc;

use hostcompute_schema::hcs::{
    ModificationRequest, Properties, ServiceProperties, ServicePropertyQuery, SystemQuery,
};
use hostcompute_schema::operation::Kind;
use hostcompute_schema::service::{
    Finding, HostFile, Lack, Obstacle, PortReservation, Progress, Step, Trace, TraceRequest,
};
use hostcompute_schema::{Failure, Guid};
use serde_json::Value;

use super::pool::{Aside, on_the_pool, run};
use super::{ComputeEvents, Heard, Subscription};
use crate::transport::Events;
use crate::{Options, Topic};

/// A host whose networks are managed here: [`crate::Host`] for programs on tokio. Cheap to clone; clones are the same host.
///
/// ```no_run
/// use hostcompute::Options;
/// use hostcompute::asynchronous::Host;
///
/// # async fn example() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env()).await?;
/// for finding in host.check().await? {
///     println!("{finding}");
/// }
/// host.close().await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Aside<crate::Host>>,
}

impl From<crate::Host> for Host {
    fn from(host: crate::Host) -> Self {
        Self { inner: Arc::new(Aside::new(host)) }
    }
}

impl Host {
    /// [`crate::Host::auto`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn auto(options: Options) -> Result<Self, Failure> {
        Ok(run(move || crate::Host::auto(options)).await??.into())
    }

    /// [`crate::Host::running`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn running(options: Options) -> Result<Self, Failure> {
        Ok(run(move || crate::Host::running(&options)).await??.into())
    }

    /// [`crate::Host::connect`], awaited.
    ///
    /// # Errors
    /// As that.
    #[cfg(socket)]
    pub async fn connect(path: impl Into<PathBuf>) -> Result<Self, Failure> {
        let path = path.into();
        Ok(run(move || crate::Host::connect(path)).await??.into())
    }

    /// [`crate::Host::connect_to`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn connect_to(address: &str) -> Result<Self, Failure> {
        let address = address.to_owned();
        Ok(run(move || crate::Host::connect_to(&address)).await??.into())
    }

    /// [`crate::Host::windows`], awaited.
    ///
    /// # Errors
    /// As that.
    #[cfg(windows)]
    pub async fn windows(options: Options) -> Result<Self, Failure> {
        Ok(run(move || crate::Host::windows(&options)).await??.into())
    }

    /// [`crate::Host::embedded`], awaited.
    ///
    /// # Errors
    /// As that.
    #[cfg(embedded)]
    pub async fn embedded(options: Options) -> Result<Self, Failure> {
        Ok(run(move || crate::Host::embedded(options)).await??.into())
    }

    /// The blocking host, for whom it does not block.
    pub fn blocking(&self) -> &crate::Host {
        &self.inner
    }

    /// Does something with the blocking host, on the pool: what has no method here. What it brings is dropped when nobody waits for it.
    ///
    /// ```no_run
    /// # async fn example(host: hostcompute::asynchronous::Host) -> Result<(), hostcompute::Error> {
    /// let names = host.run(|host| hostcompute::Network::list(host)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As the closure; E_UNEXPECTED outside of a tokio runtime.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&crate::Host) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let inner = self.inner.clone();
        run(move || call(&inner)).await?
    }

    /// Waits for removals that the kernel finishes in the background, and, when no clone and no handle is left, for the end of the service
    /// inside this process.
    ///
    /// # Errors
    /// As [`crate::Host::settle`].
    pub async fn close(self) -> Result<(), Failure> {
        let inner = self.inner;
        let end = move || {
            let settled = inner.settle();
            drop(Arc::try_unwrap(inner).map(Aside::into_inner));
            settled
        };
        run(end).await?
    }

    on_the_pool! {
        crate::Host:
        fn resolve(kind: = Kind, text: &str) -> Guid;
        fn events(from: = u64) -> Events;
        fn check() -> Vec<Finding>;
        fn doctor() -> Vec<Lack>;
        fn trace(request: &TraceRequest) -> Trace;
        fn probe(request: &TraceRequest) -> Trace;
        fn settle() -> ();
        fn stand_back() -> ();
        fn inspect() -> Value;
        fn export_state() -> Value;
        fn import_state(document: &str) -> usize;
        fn netns_path(namespace: = Guid) -> PathBuf;
        fn repaired() -> Vec<String>;
        fn systems(query: &SystemQuery) -> Vec<Properties>;
        fn ended_systems(query: &SystemQuery) -> Vec<Properties>;
        fn service_properties(query: &ServicePropertyQuery) -> ServiceProperties;
        fn modify_service(request: &ModificationRequest) -> ();
    }

    /// [`crate::Host::place`], awaited.
    ///
    /// # Errors
    /// As that.
    #[cfg(embedded)]
    pub async fn place(&self, namespace: &super::Namespace) -> Result<crate::Place, Failure> {
        let namespace = namespace.blocking().clone();
        self.run(move |host| host.place(&namespace)).await
    }

    /// [`crate::Host::up`], awaited; `tell` is called on another thread.
    ///
    /// # Errors
    /// As that.
    pub async fn up(
        &self,
        files: Vec<HostFile>,
        mut tell: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Vec<Step>, Obstacle> {
        let inner = self.inner.clone();
        run(move || inner.up(&files, &mut tell)).await?
    }

    /// [`crate::Host::diff`], awaited; `tell` is called on another thread.
    ///
    /// # Errors
    /// As that.
    pub async fn diff(
        &self,
        files: Vec<HostFile>,
        mut tell: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Vec<Step>, Obstacle> {
        let inner = self.inner.clone();
        run(move || inner.diff(&files, &mut tell)).await?
    }

    /// [`crate::Host::down`], awaited; `tell` is called on another thread.
    ///
    /// # Errors
    /// As that.
    pub async fn down(
        &self,
        files: Vec<HostFile>,
        mut tell: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Vec<Step>, Obstacle> {
        let inner = self.inner.clone();
        run(move || inner.down(&files, &mut tell)).await?
    }

    /// [`crate::Host::repair`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn repair(&self) -> Result<(), Vec<Failure>> {
        let inner = self.inner.clone();
        run(move || inner.repair()).await.map_err(|lost| vec![lost])?
    }

    /// The reserved ports of the whole host: [`crate::guest_network_service::reservations`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn reservations(&self) -> Result<Vec<PortReservation>, Failure> {
        self.run(crate::guest_network_service::reservations).await
    }

    /// Listens to what happens: from now on, or from the notification after number `after` on.
    ///
    /// # Errors
    /// As [`crate::Host::subscribe`].
    pub async fn subscribe(&self, to: Topic, after: Option<u64>) -> Result<Subscription, Failure> {
        let heard = self.run(move |host| host.subscribe(to, after)).await?;
        let stopper = heard.stopper();
        Heard::begin(heard, stopper)
    }

    /// Listens to what happens to a compute system from now on.
    ///
    /// # Errors
    /// As [`crate::Host::compute_events`].
    pub async fn compute_events(&self, system: &str) -> Result<ComputeEvents, Failure> {
        let system = system.to_owned();
        let heard = self.run(move |host| host.compute_events(&system)).await?;
        let stopper = heard.stopper();
        Heard::begin(heard, stopper)
    }
}
