//! Handles of networks.

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{HostComputeNetwork, ModifyNetworkSettingRequest};

handle! {
    /// A network: address ranges, and who reaches whom.
    ///
    /// ```no_run
    /// use hostcompute::schema::{HostComputeNetwork, NetworkMode};
    /// use hostcompute::{Host, Network, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Failure> {
    /// let host = Host::embedded(Options::from_env())?;
    /// let mut settings = HostComputeNetwork { kind: Some(NetworkMode::Private), ..Default::default() };
    /// settings.base.name = Some("back".into());
    /// let network = Network::create(&host, &settings)?;
    /// println!("{}", network.query_json("")?);
    /// network.delete()?;
    /// # Ok(())
    /// # }
    /// ```
    Network, HostComputeNetwork, Network,
    open OpenNetwork, enumerate EnumerateNetworks, query QueryNetworkProperties, delete DeleteNetwork,
    modify ModifyNetwork by ModifyNetworkSettingRequest
}

creation! { Network, HostComputeNetwork, CreateNetwork }
