//! A container's place on an overlay in one call: a namespace, an endpoint in it, and the three policies that overlays are built of.
//!
//! What was attached is found again by the beginning of the endpoints' names, so that whoever crashed can clear up after itself.

use std::net::IpAddr;

use hostcompute_schema::{
    AclPolicySetting, ActionType, DirectionType, Dns, EndpointPolicy, EndpointPolicyType,
    HostComputeEndpoint, HostComputeNetwork, IpConfig, OutboundNatPolicySetting, Route, RuleType,
    SdnRoutePolicySetting,
};

use crate::{Endpoint, Failure, Guid, Host, Namespace, Network};

/// What the rule that lets the cluster in comes after.
const LAST: u16 = 65500;

/// What is to be attached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// Whose it is: the endpoint is called `OWNER-CONTAINER`.
    pub owner: String,
    /// Which one of the owner's.
    pub container: String,
    /// Its address; one of the network's where nothing is said.
    pub address: Option<IpAddr>,
    /// All addresses of the overlay, as prefixes: they see the container under its own address, and may reach it.
    pub cluster: Vec<String>,
    /// Where it asks for names; as its network says where nothing is said.
    pub dns: Option<Dns>,
}

/// A namespace with one endpoint on an overlay in it. Dropping it changes nothing: [`Self::teardown`] ends it.
///
/// ```no_run
/// use hostcompute::attach::{EndpointAttachment, Wish};
/// use hostcompute::{Host, Network, Options};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// let network = Network::find(&host, "overlay")?;
/// let wish = Wish {
///     owner: "agent".into(),
///     container: "c1".into(),
///     cluster: vec!["10.200.0.0/16".into()],
///     ..Wish::default()
/// };
/// let attachment = EndpointAttachment::create_overlay(&network, &wish)?;
/// println!("{} in {}", attachment.ip()?, attachment.namespace_id());
/// attachment.teardown()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EndpointAttachment {
    namespace: Namespace,
    endpoint: Endpoint,
}

impl EndpointAttachment {
    /// Makes a namespace and an endpoint in it, wholly or not at all. Traffic to the cluster keeps the container's address (OutBoundNAT
    /// with exceptions) and leaves as it is (SDNRoute without encapsulation), and only the cluster comes in (ACL).
    ///
    /// # Errors
    /// What the network refuses: HCN_E_ADDR_INVALID_OR_RESERVED for an address that is taken, HCN_E_INVALID_POLICY for a prefix that is
    /// none.
    pub fn create_overlay(network: &Network, wish: &Wish) -> Result<Self, Failure> {
        let settings = endpoint(&network.query()?, wish);
        let namespace = Namespace::create_host(network.host())?;
        let plugged = Endpoint::create(network, &settings).and_then(|endpoint| {
            let added = namespace.add(&endpoint);
            match added {
                Ok(()) => Ok(endpoint),
                Err(failure) => Err(after(failure, endpoint.delete())),
            }
        });
        match plugged {
            Ok(endpoint) => Ok(Self { namespace, endpoint }),
            Err(failure) => Err(after(failure, namespace.delete())),
        }
    }

    /// Deletes the endpoint and the namespace; what is gone already is passed over.
    ///
    /// # Errors
    /// Why one of them stays. The other one is gone then, if it could go.
    pub fn teardown(self) -> Result<(), Failure> {
        delete_endpoint_and_namespace(
            self.endpoint.host(),
            self.endpoint.id(),
            Some(self.namespace.id()),
        )
    }

    /// The id of the endpoint.
    pub fn endpoint_id(&self) -> Guid {
        self.endpoint.id()
    }

    /// The id of the namespace, for `Networking.Namespace` of a container.
    pub fn namespace_id(&self) -> Guid {
        self.namespace.id()
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The container's address.
    ///
    /// # Errors
    /// As [`Endpoint::primary_ip`].
    pub fn ip(&self) -> Result<IpAddr, Failure> {
        self.endpoint.primary_ip()
    }
}

/// What an owner has on a host, whoever attached it: each endpoint, and the namespace that it is in.
///
/// # Errors
/// Why the service cannot be reached.
pub fn list_owned(host: &Host, owner: &str) -> Result<Vec<(Endpoint, Option<Guid>)>, Failure> {
    let beginning = format!("{owner}-");
    let mut found = Vec::new();
    for endpoint in Endpoint::list(host)? {
        let document = match endpoint.query() {
            Err(failure) if failure.is_not_found() => continue,
            document => document?,
        };
        if document.base.name.is_some_and(|name| name.starts_with(&beginning)) {
            let inside = document.host_compute_namespace.filter(|namespace| !namespace.is_zero());
            found.push((endpoint, inside));
        }
    }
    Ok(found)
}

/// Deletes an endpoint and the namespace that was made for it; what is gone already is passed over.
///
/// # Errors
/// Why one of them stays. The other one is gone then, if it could go.
pub fn delete_endpoint_and_namespace(
    host: &Host,
    endpoint: Guid,
    namespace: Option<Guid>,
) -> Result<(), Failure> {
    let gone = |outcome: Result<(), Failure>| match outcome {
        Err(failure) if failure.is_not_found() => Ok(()),
        outcome => outcome,
    };
    let unplugged = gone(Endpoint::open(host, endpoint).and_then(|endpoint| endpoint.delete()));
    let namespace = namespace.map_or(Ok(()), |id| {
        gone(Namespace::open(host, id).and_then(|namespace| namespace.delete()))
    });
    unplugged.and(namespace)
}

/// The endpoint's document: with the network's own route, for one that is given takes the place of the default.
fn endpoint(network: &HostComputeNetwork, wish: &Wish) -> HostComputeEndpoint {
    let subnets = network.ipams.iter().flat_map(|ipam| &ipam.subnets);
    let routes = subnets.flat_map(|subnet| &subnet.routes);
    let address = |address: IpAddr| IpConfig::default().ip_address(address.to_string());
    let endpoint = HostComputeEndpoint::default()
        .name(format!("{}-{}", wish.owner, wish.container))
        .ip_configurations(wish.address.map(address))
        .routes(routes.map(|route| Route { metric: None, ..route.clone() }))
        .policies(policies(&wish.cluster));
    HostComputeEndpoint { dns: wish.dns.clone(), ..endpoint }
}

fn policies(cluster: &[String]) -> Vec<EndpointPolicy> {
    let translation = OutboundNatPolicySetting::default().exceptions(cluster.to_vec());
    let route = |prefix: &String| {
        let route = SdnRoutePolicySetting::default().destination_prefix(prefix).need_encap(false);
        EndpointPolicy::new(EndpointPolicyType::SDNRoute, &route)
    };
    let acl = AclPolicySetting::default()
        .action(ActionType::Allow)
        .direction(DirectionType::In)
        .remote_addresses(cluster.join(","))
        .rule_type(RuleType::Switch)
        .priority(LAST);
    let mut all = vec![EndpointPolicy::new(EndpointPolicyType::OutBoundNAT, &translation)];
    all.extend(cluster.iter().map(route));
    all.push(EndpointPolicy::new(EndpointPolicyType::ACL, &acl));
    all
}

/// The failure, and what could not be taken back after it.
fn after(failure: Failure, undone: Result<(), Failure>) -> Failure {
    match undone {
        Err(left) if !left.is_not_found() => {
            let hint = format!("what was begun is still there, found by its name: {left:#}");
            failure.hint(hint)
        }
        _ => failure,
    }
}
