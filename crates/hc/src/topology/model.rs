//! What a picture of the topology shows. Both pictures (the text tree and the SVG) are drawn from this, so they cannot disagree.

/// Everything that is drawn.
#[derive(Debug, Default)]
pub struct Topology {
    pub networks: Vec<Network>,
    pub balancers: Vec<Balancer>,
    /// Namespaces that no endpoint is in.
    pub idle: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Network {
    pub name: String,
    pub kind: String,
    pub subnets: Vec<String>,
    pub gateways: Vec<String>,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Debug, Default)]
pub struct Endpoint {
    pub name: String,
    pub addresses: Vec<String>,
    pub namespace: Option<String>,
    /// Published ports: "tcp 8080 → 80".
    pub ports: Vec<String>,
    /// Other policies, a word or two each: "3 ACL", "QOS 1 MB/s".
    pub policies: Vec<String>,
    /// Places in [`Topology::balancers`].
    pub balancers: Vec<usize>,
}

#[derive(Debug, Default)]
pub struct Balancer {
    pub name: String,
    /// "10.96.0.10 tcp 80 → 8080".
    pub frontends: Vec<String>,
    /// Names of the backends, in order.
    pub backends: Vec<String>,
}
