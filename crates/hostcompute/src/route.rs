//! Handles of SDN routes.

use hostcompute_schema::HostComputeRoute;
use hostcompute_schema::operation::Operation;

handle! {
    /// Decides for a list of endpoints how traffic to some destinations leaves. It cannot be modified: delete it and make it anew
    /// under its id.
    ///
    /// ```no_run
    /// use hostcompute::schema::{HostComputeRoute, SdnRoutePolicySetting};
    /// use hostcompute::{Endpoint, Host, Options, SdnRoute};
    ///
    /// # fn main() -> Result<(), hostcompute::Error> {
    /// let host = Host::auto(Options::from_env())?;
    /// let destination = SdnRoutePolicySetting {
    ///     destination_prefix: Some("203.0.113.0/24".into()),
    ///     next_hop: Some("192.0.2.7".into()),
    ///     ..Default::default()
    /// };
    /// let route = SdnRoute::create(&host, &HostComputeRoute {
    ///     host_compute_endpoints: vec![Endpoint::find(&host, "front")?.id().to_string()],
    ///     routes: vec![destination],
    ///     ..Default::default()
    /// })?;
    /// route.delete()?;
    /// # Ok(())
    /// # }
    /// ```
    SdnRoute, HostComputeRoute, SdnRoute,
    open OpenSdnRoute, enumerate EnumerateSdnRoutes, query QuerySdnRouteProperties,
    delete DeleteSdnRoute,
    modify ModifySdnRoute by HostComputeRoute
}

creation! { SdnRoute, HostComputeRoute, CreateSdnRoute }
