//! The kinds of objects and the operations on them.

use hostcompute::schema::operation::{Kind, Operation};

/// One kind of object.
#[derive(Debug)]
pub struct Family {
    pub kind: Kind,
    pub create: Operation,
    pub enumerate: Operation,
    pub query: Operation,
    pub modify: Operation,
    pub delete: Operation,
}

pub static NETWORK: Family = Family {
    kind: Kind::Network,
    create: Operation::CreateNetwork,
    enumerate: Operation::EnumerateNetworks,
    query: Operation::QueryNetworkProperties,
    modify: Operation::ModifyNetwork,
    delete: Operation::DeleteNetwork,
};

pub static ENDPOINT: Family = Family {
    kind: Kind::Endpoint,
    create: Operation::CreateEndpoint,
    enumerate: Operation::EnumerateEndpoints,
    query: Operation::QueryEndpointProperties,
    modify: Operation::ModifyEndpoint,
    delete: Operation::DeleteEndpoint,
};

pub static NAMESPACE: Family = Family {
    kind: Kind::Namespace,
    create: Operation::CreateNamespace,
    enumerate: Operation::EnumerateNamespaces,
    query: Operation::QueryNamespaceProperties,
    modify: Operation::ModifyNamespace,
    delete: Operation::DeleteNamespace,
};

pub static LOAD_BALANCER: Family = Family {
    kind: Kind::LoadBalancer,
    create: Operation::CreateLoadBalancer,
    enumerate: Operation::EnumerateLoadBalancers,
    query: Operation::QueryLoadBalancerProperties,
    modify: Operation::ModifyLoadBalancer,
    delete: Operation::DeleteLoadBalancer,
};

pub static ROUTE: Family = Family {
    kind: Kind::SdnRoute,
    create: Operation::CreateSdnRoute,
    enumerate: Operation::EnumerateSdnRoutes,
    query: Operation::QuerySdnRouteProperties,
    modify: Operation::ModifySdnRoute,
    delete: Operation::DeleteSdnRoute,
};

pub static GUEST_SERVICE: Family = Family {
    kind: Kind::GuestNetworkService,
    create: Operation::CreateGuestNetworkService,
    enumerate: Operation::EnumerateGuestNetworkServices,
    query: Operation::QueryGuestNetworkServiceProperties,
    modify: Operation::ModifyGuestNetworkService,
    delete: Operation::DeleteGuestNetworkService,
};
