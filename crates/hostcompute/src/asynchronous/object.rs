//! Handles of networks, endpoints, namespaces, load balancers, routes and guest network services: one type, since they have the same verbs.

use std::net::IpAddr;

use hostcompute_schema::service::{PortAccess, PortProtocol};
use hostcompute_schema::{
    Document, EndpointPolicy, EndpointStats, Failure, GuestNetworkServiceState, Guid,
    HostComputeEndpoint, ModifyRequestType, Warning,
};

use super::pool::{make, on_the_pool, run};
use super::{Host, ReservedPorts, Subscription};
use crate::Topic;
use crate::handle::{Creation, Handle};

/// A handle of an object; dropping it changes nothing.
///
/// ```no_run
/// use hostcompute::Options;
/// use hostcompute::asynchronous::{Endpoint, Host, Namespace, Network};
/// use hostcompute::schema::HostComputeEndpoint;
///
/// # async fn example() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env()).await?;
/// let network = Network::find(&host, "web").await?;
/// let endpoint = Endpoint::create(&network, &HostComputeEndpoint::default()).await?;
/// let namespace = Namespace::create_host(&host).await?;
/// namespace.add(&endpoint).await?;
/// println!("{}", endpoint.primary_ip().await?);
/// # Ok(())
/// # }
/// ```
// The host comes last: what `inner` has of it is dropped first, so that the end of the last clone is never awaited here.
#[derive(Debug, Clone)]
pub struct Object<H: Handle> {
    inner: H,
    host: Host,
}

/// A network; see [`crate::Network`].
pub type Network = Object<crate::Network>;
/// An endpoint; see [`crate::Endpoint`].
pub type Endpoint = Object<crate::Endpoint>;
/// A namespace; see [`crate::Namespace`].
pub type Namespace = Object<crate::Namespace>;
/// A load balancer; see [`crate::LoadBalancer`].
pub type LoadBalancer = Object<crate::LoadBalancer>;
/// A route; see [`crate::SdnRoute`].
pub type SdnRoute = Object<crate::SdnRoute>;
/// A guest network service; see [`crate::GuestService`].
pub type GuestService = Object<crate::GuestService>;

impl<H: Handle> Object<H> {
    pub(super) fn new(inner: H, host: &Host) -> Self {
        Self { inner, host: host.clone() }
    }

    /// What a call that makes an object made; deleted when nobody waits for it.
    async fn made<T: Send + 'static>(
        host: &Host,
        call: impl FnOnce(&crate::Host) -> Result<T, Failure> + Send + 'static,
        unclaimed: fn(Result<T, Failure>),
    ) -> Result<T, Failure> {
        let on = host.clone();
        make(move || call(on.blocking()), unclaimed).await?
    }

    /// Opens an object that exists.
    ///
    /// # Errors
    /// The not-found code of this kind.
    pub async fn open(host: &Host, id: Guid) -> Result<Self, Failure> {
        Ok(Self::new(host.run(move |host| H::open(host, id)).await?, host))
    }

    /// Finds an object by GUID, unique beginning of its GUID, or Name.
    ///
    /// # Errors
    /// The not-found code of this kind, or E_INVALIDARG when several objects answer.
    pub async fn find(host: &Host, text: &str) -> Result<Self, Failure> {
        let text = text.to_owned();
        Ok(Self::new(host.run(move |host| H::find(host, &text)).await?, host))
    }

    /// All objects of this kind, oldest first.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    pub async fn list(host: &Host) -> Result<Vec<Self>, Failure> {
        Self::list_matching(host, "").await
    }

    /// The objects that a query (a HostComputeQuery document) selects.
    ///
    /// # Errors
    /// HCN_E_INVALID_JSON for a malformed query.
    pub async fn list_matching(host: &Host, query: &str) -> Result<Vec<Self>, Failure> {
        let query = query.to_owned();
        let found = host.run(move |host| H::list_matching(host, &query)).await?;
        Ok(found.into_iter().map(|inner| Self::new(inner, host)).collect())
    }

    /// The object's id.
    pub fn id(&self) -> Guid {
        self.inner.id()
    }

    /// The host that it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The blocking handle, for whom it does not block.
    pub fn blocking(&self) -> &H {
        &self.inner
    }

    /// The document as it is now.
    ///
    /// # Errors
    /// The not-found code when the object was deleted.
    pub async fn query(&self) -> Result<H::Document, Failure> {
        let inner = self.inner.clone();
        run(move || inner.query()).await?
    }

    /// The document as JSON text, in the form that the query asks for.
    ///
    /// # Errors
    /// As [`Self::query`]; HCN_E_INVALID_JSON for a malformed query.
    pub async fn query_json(&self, query: &str) -> Result<String, Failure> {
        let (inner, query) = (self.inner.clone(), query.to_owned());
        run(move || inner.query_json(&query)).await?
    }

    /// Changes the object.
    ///
    /// # Errors
    /// What is wrong with the request, or cannot be changed.
    pub async fn modify(&self, request: &H::Request) -> Result<(), Failure> {
        self.modify_json(&request.to_value().to_string()).await.map(drop)
    }

    /// As [`Self::modify`], from a JSON document; tells what was tolerated in it.
    ///
    /// # Errors
    /// As [`Self::modify`], with the place in the text.
    pub async fn modify_json(&self, request: &str) -> Result<Vec<Warning>, Failure> {
        let (inner, request) = (self.inner.clone(), request.to_owned());
        run(move || inner.modify_json(&request)).await?
    }

    /// Deletes the object.
    ///
    /// # Errors
    /// The not-found code, or why it cannot go now.
    pub async fn delete(&self) -> Result<(), Failure> {
        let inner = self.inner.clone();
        run(move || inner.delete()).await?
    }
}

/// Deletes what was made for nobody. Whoever would be told why it stays is gone.
fn take_back<H: Handle>(made: Result<H, Failure>) {
    if let Ok(made) = made {
        let _ = made.delete();
    }
}

fn take_back_warned<H: Handle>(made: Result<(H, Vec<Warning>), Failure>) {
    take_back(made.map(|(made, _)| made));
}

impl<H: Creation> Object<H> {
    /// Makes an object.
    ///
    /// # Errors
    /// What is wrong with the settings, or taken already.
    pub async fn create(host: &Host, settings: &H::Document) -> Result<Self, Failure> {
        let text = settings.to_value().to_string();
        Self::create_json(host, None, &text).await.map(|(object, _)| object)
    }

    /// Makes an object from a JSON document, under the given id if there is one; also tells what was tolerated.
    ///
    /// # Errors
    /// As [`Self::create`], with the place in the text.
    pub async fn create_json(
        host: &Host,
        id: Option<Guid>,
        settings: &str,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let settings = settings.to_owned();
        let create = move |host: &crate::Host| H::create_json(host, id, &settings);
        let (inner, warnings) = Self::made(host, create, take_back_warned).await?;
        Ok((Self::new(inner, host), warnings))
    }
}

/// Networks of one kind, by their few words.
macro_rules! short_ways {
    ($($name:ident($($argument:ident: $(&$by:ty)? $(= $as:ty)?),*);)*) => {$(
        #[doc = concat!("[`crate::Network::", stringify!($name), "`], awaited.")]
        ///
        /// # Errors
        /// As that.
        pub async fn $name(
            host: &Host,
            $($argument: $(&$by)? $($as)?),*
        ) -> Result<Self, Failure> {
            $($(let $argument = <$by as ToOwned>::to_owned($argument);)?)*
            let create = move |host: &crate::Host| {
                crate::Network::$name(host, $($(std::borrow::Borrow::<$by>::borrow(&$argument))? $(
                    { let taken: $as = $argument; taken }
                )?),*)
            };
            Ok(Self::new(Self::made(host, create, take_back).await?, host))
        }
    )*};
}

impl Network {
    short_ways! {
        create_nat(name: &str, prefix: &str);
        create_internal(name: &str, prefix: &str);
        create_transparent(name: &str, adapter: &str, prefix: &str, gateway: &str);
        create_overlay(name: &str, prefix: &str, vsid: = u32);
    }

    /// Listens to what happens to it: to itself, and to endpoints of it that come into namespaces and leave them.
    ///
    /// # Errors
    /// HCN_E_NETWORK_NOT_FOUND when it was deleted.
    pub async fn subscribe(&self) -> Result<Subscription, Failure> {
        self.host.subscribe(Topic::Network(self.id()), None).await
    }
}

impl Endpoint {
    /// Makes an endpoint on a network.
    ///
    /// # Errors
    /// What is wrong with the settings, or taken already.
    pub async fn create(
        network: &Network,
        settings: &HostComputeEndpoint,
    ) -> Result<Self, Failure> {
        let text = settings.to_value().to_string();
        let made = Self::create_json(&network.host, Some(network.id()), None, &text).await?;
        Ok(made.0)
    }

    /// [`crate::Endpoint::create_json`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn create_json(
        host: &Host,
        network: Option<Guid>,
        id: Option<Guid>,
        settings: &str,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let settings = settings.to_owned();
        let create =
            move |host: &crate::Host| crate::Endpoint::create_json(host, network, id, &settings);
        let (inner, warnings) = Self::made(host, create, take_back_warned).await?;
        Ok((Self::new(inner, host), warnings))
    }

    on_the_pool! {
        crate::Endpoint:
        fn primary_ip() -> IpAddr;
        fn change_policies(kind: = ModifyRequestType, policies: = Vec<EndpointPolicy>) -> ();
        fn statistics() -> EndpointStats;
        fn statistics_json() -> String;
    }
}

impl Namespace {
    /// [`crate::Namespace::create_host`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn create_host(host: &Host) -> Result<Self, Failure> {
        Ok(Self::new(Self::made(host, crate::Namespace::create_host, take_back).await?, host))
    }

    /// [`crate::Namespace::host_default`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn host_default(host: &Host) -> Result<Self, Failure> {
        Ok(Self::new(host.run(crate::Namespace::host_default).await?, host))
    }

    /// [`crate::Namespace::endpoints`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let inner = self.inner.clone();
        let found = run(move || inner.endpoints()).await??;
        Ok(found.into_iter().map(|inner| Object::new(inner, &self.host)).collect())
    }

    /// [`crate::Namespace::add`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn add(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        let (inner, endpoint) = (self.inner.clone(), endpoint.inner.clone());
        run(move || inner.add(&endpoint)).await?
    }

    /// [`crate::Namespace::remove`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn remove(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        let (inner, endpoint) = (self.inner.clone(), endpoint.inner.clone());
        run(move || inner.remove(&endpoint)).await?
    }
}

#[cfg(embedded)]
impl Namespace {
    /// [`crate::Namespace::run`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let inner = self.inner.clone();
        run(move || inner.run(work)).await?
    }

    /// [`crate::Namespace::spawn`], awaited. A program that was started for nobody is killed.
    ///
    /// # Errors
    /// As that.
    pub async fn spawn(
        &self,
        mut command: std::process::Command,
    ) -> Result<std::process::Child, Failure> {
        let inner = self.inner.clone();
        let kill = |made: Result<std::process::Child, Failure>| {
            if let Ok(mut child) = made {
                // It may have ended by itself; waited for it is gone.
                let _ = child.kill();
                let _ = child.wait();
            }
        };
        make(move || inner.spawn(&mut command), kill).await?
    }
}

impl GuestService {
    on_the_pool! {
        crate::GuestService:
        fn set_state(state: = GuestNetworkServiceState) -> ();
    }

    /// Listens to what happens to it from now on.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when it was deleted.
    pub async fn subscribe(&self) -> Result<Subscription, Failure> {
        self.host.subscribe(Topic::GuestService(self.id()), None).await
    }

    /// [`crate::GuestService::reserve_port`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn reserve_port(
        &self,
        protocol: PortProtocol,
        access: PortAccess,
        port: u16,
    ) -> Result<ReservedPorts, Failure> {
        let inner = self.inner.clone();
        run(move || inner.reserve_port(protocol, access, port)).await?.map(ReservedPorts::from)
    }

    /// [`crate::GuestService::reserve_range`], awaited.
    ///
    /// # Errors
    /// As that.
    pub async fn reserve_range(&self, count: u16) -> Result<ReservedPorts, Failure> {
        let inner = self.inner.clone();
        run(move || inner.reserve_range(count)).await?.map(ReservedPorts::from)
    }
}
