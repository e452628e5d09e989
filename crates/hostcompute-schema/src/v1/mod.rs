//! The older shape of documents, which clients still send and still expect to read
//! (hcn.md 2.3, 2.20, 5.10).
//!
//! Version 1 documents are flat: a network has `Subnets` with a `GatewayAddress` each instead of
//! address managers with routes, an endpoint one `IPAddress`, a policy its settings beside its
//! type. They are translated on the way in, before they are read, and on the way out, after they
//! are written; nothing else in the project knows them.

mod member;
mod policy;
mod policy_list;
mod printing;
mod reading;

pub use policy_list::{is_policy_list, load_balancer_from_v1, route_from_v1};
pub use printing::{
    to_v1_endpoint, to_v1_load_balancer, to_v1_namespace, to_v1_network, to_v1_route,
};
pub use reading::{endpoint_from_v1, is_v1_endpoint, is_v1_network, network_from_v1};

use serde_json::Value;

use crate::document::Document;
use crate::element::Element;
use crate::hcn::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork,
    HostComputeQuery, HostComputeRoute,
};

/// The shape of document that a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryShape {
    /// The flat shape of version 1.
    V1,
    /// The shape of version 2.
    V2,
    /// Both at once, for clients that say nothing and expect one or the other.
    Superset,
}

impl QueryShape {
    /// The shape for this query: that of its version, both without one.
    pub fn of(query: &HostComputeQuery) -> QueryShape {
        let version = query.schema_version.as_ref().map(|version| version.number());
        match version.map(|version| version.major) {
            None | Some(0) => QueryShape::Superset,
            Some(1) => QueryShape::V1,
            Some(_) => QueryShape::V2,
        }
    }
}

/// A document that has an older shape.
pub trait Older: Document {
    /// The document in the shape of version 1.
    fn to_v1(&self) -> Value;

    /// The document with the members of both versions; where both have a member, version 2 wins.
    fn to_superset(&self) -> Value {
        let mut members = self.write();
        if let Value::Object(older) = self.to_v1() {
            for (name, value) in older {
                members.entry(name).or_insert(value);
            }
        }
        if let Some((name, value)) = self.alias() {
            members.insert(name.into(), value);
        }
        Value::Object(members)
    }

    /// A member under another spelling, which some program reads in the document of both versions.
    #[doc(hidden)]
    fn alias(&self) -> Option<(&'static str, Value)> {
        None
    }

    /// The document in that shape.
    fn in_shape(&self, shape: QueryShape) -> Value {
        match shape {
            QueryShape::V1 => self.to_v1(),
            QueryShape::V2 => self.to_value(),
            QueryShape::Superset => self.to_superset(),
        }
    }
}

impl Older for HostComputeNetwork {
    fn to_v1(&self) -> Value {
        to_v1_network(self)
    }
}

impl Older for HostComputeEndpoint {
    fn to_v1(&self) -> Value {
        to_v1_endpoint(self)
    }

    fn alias(&self) -> Option<(&'static str, Value)> {
        // zlayer-hns knows the addresses by this spelling alone (hcn.md 7, row 9).
        let addresses = &self.ip_configurations;
        (!addresses.is_empty()).then(|| ("IPConfigurations", addresses.to_json()))
    }
}

impl Older for HostComputeNamespace {
    fn to_v1(&self) -> Value {
        to_v1_namespace(self)
    }
}

impl Older for HostComputeRoute {
    fn to_v1(&self) -> Value {
        to_v1_route(self)
    }
}

impl Older for HostComputeLoadBalancer {
    fn to_v1(&self) -> Value {
        to_v1_load_balancer(self)
    }
}
