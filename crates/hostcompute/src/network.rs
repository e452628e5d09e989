//! Handles of networks.

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Document, HostComputeNetwork, ModifyNetworkSettingRequest};

use crate::handle::created;
use crate::transport::Call;
use crate::{Failure, Guid, Host, Warning};

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
    open OpenNetwork, enumerate EnumerateNetworks, query QueryNetworkProperties, delete DeleteNetwork
}

impl Network {
    /// Makes a network.
    ///
    /// # Errors
    /// HCN_E_NETWORK_ALREADY_EXISTS, or what is wrong with the settings.
    pub fn create(host: &Host, settings: &HostComputeNetwork) -> Result<Self, Failure> {
        Self::create_json(host, None, &settings.to_value().to_string()).map(|(network, _)| network)
    }

    /// Makes a network from a JSON document, under the given id if there is one; also tells what was tolerated.
    ///
    /// # Errors
    /// As [`Self::create`], with the place in the text.
    pub fn create_json(
        host: &Host,
        id: Option<Guid>,
        settings: &str,
    ) -> Result<(Self, Vec<Warning>), Failure> {
        let call =
            Call { operation: Operation::CreateNetwork, id, network: None, document: settings };
        let answer = host.call(&call)?;
        Ok((Self { host: host.clone(), id: created(&answer.body)? }, answer.warnings))
    }

    /// Changes a part of the network.
    ///
    /// # Errors
    /// What is wrong with the request, or cannot be changed.
    pub fn modify(&self, request: &ModifyNetworkSettingRequest) -> Result<(), Failure> {
        self.modify_json(&request.to_value().to_string()).map(drop)
    }

    /// As [`Self::modify`], from a JSON document.
    ///
    /// # Errors
    /// As [`Self::modify`].
    pub fn modify_json(&self, request: &str) -> Result<Vec<Warning>, Failure> {
        let call = Call::on(Operation::ModifyNetwork, self.id, request);
        self.host.call(&call).map(|answer| answer.warnings)
    }
}
