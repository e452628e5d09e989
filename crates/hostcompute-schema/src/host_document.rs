//! Host documents: everything that one host should have, in one document of lists.
//!
//! The lists hold standard documents, kept raw here: inside a host document an endpoint may call
//! its network and its namespace by name, and a load balancer its endpoints, which the typed
//! documents have no place for. Names are resolved where the state is known, in the engine.

use alloc::vec::Vec;

use serde_json::Value;

use crate::document::Document;
use crate::hcn::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork,
    HostComputeRoute,
};
use crate::schema::StructSchema;

documents! {
    /// Everything that one host should have.
    pub struct HostDocument("HostDocument") {
        /// The networks.
        networks: Vec<Value> = "Networks" ["2.0"],
        /// The namespaces.
        namespaces: Vec<Value> = "Namespaces" ["2.0"],
        /// The endpoints; each may call its network and its namespace by id or by name.
        endpoints: Vec<Value> = "Endpoints" ["2.0"],
        /// The load balancers; each may call its endpoints by id or by name.
        load_balancers: Vec<Value> = "LoadBalancers" ["2.0"],
        /// The SDN routes; each may call its endpoints by id or by name.
        routes: Vec<Value> = "Routes" ["2.0"],
        /// The compute systems.
        compute_systems: Vec<Value> = "ComputeSystems" ["2.0"],
        /// The schema that an editor should check against.
        schema: Option<Value> = "$schema" [],
    }
}

/// The type of document that each list holds.
pub static LISTS: &[(&str, &StructSchema)] = &[
    ("Networks", HostComputeNetwork::SCHEMA),
    ("Namespaces", HostComputeNamespace::SCHEMA),
    ("Endpoints", HostComputeEndpoint::SCHEMA),
    ("LoadBalancers", HostComputeLoadBalancer::SCHEMA),
    ("Routes", HostComputeRoute::SCHEMA),
];

/// Members that may hold a name where the standard document has an id.
pub(crate) const REFERENCES: &[&str] = &["HostComputeNetwork", "HostComputeNamespace"];
