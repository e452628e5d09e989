//! The topology as a tree of lines for a terminal.

use std::fmt::Write;

use super::model::{Balancer, Endpoint, Network, Topology};

/// The tree, ending in a line feed.
pub fn draw(topology: &Topology) -> String {
    let mut branches: Vec<Vec<String>> = topology
        .networks
        .iter()
        .map(network)
        .chain(topology.balancers.iter().map(balancer))
        .collect();
    if !topology.idle.is_empty() {
        branches.push(vec![format!("namespaces without endpoints: {}", topology.idle.join(", "))]);
    }
    if branches.is_empty() {
        return "host (nothing made yet)\n".to_owned();
    }
    let mut out = "host\n".to_owned();
    hang(&mut out, &branches);
    out
}

/// Writes branches below a stem; the lines of a branch after the first are indented already.
fn hang(out: &mut String, branches: &[Vec<String>]) {
    for (place, branch) in branches.iter().enumerate() {
        let last = place + 1 == branches.len();
        let (first, rest) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        for (line, text) in branch.iter().enumerate() {
            let stem = if line == 0 { first } else { rest };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{stem}{text}");
        }
    }
}

fn network(network: &Network) -> Vec<String> {
    let mut head = format!("network {} [{}]", network.name, network.kind);
    for subnet in &network.subnets {
        let _ = write!(head, "  {subnet}");
    }
    if !network.gateways.is_empty() {
        let _ = write!(head, "  gateway {}", network.gateways.join(" "));
    }
    let mut lines = vec![head];
    let branches: Vec<Vec<String>> = network.endpoints.iter().map(|e| vec![endpoint(e)]).collect();
    let mut below = String::new();
    hang(&mut below, &branches);
    lines.extend(below.lines().map(str::to_owned));
    lines
}

fn endpoint(endpoint: &Endpoint) -> String {
    let mut line = format!("endpoint {}  {}", endpoint.name, endpoint.addresses.join(" "));
    match &endpoint.namespace {
        Some(namespace) => {
            let _ = write!(line, "  in namespace {namespace}");
        }
        None => line.push_str("  not attached"),
    }
    for port in &endpoint.ports {
        let _ = write!(line, "  [{port}]");
    }
    for policy in &endpoint.policies {
        let _ = write!(line, "  ({policy})");
    }
    line
}

fn balancer(balancer: &Balancer) -> Vec<String> {
    let mut lines =
        vec![format!("load balancer {}  {}", balancer.name, balancer.frontends.join(", "))];
    let branches: Vec<Vec<String>> =
        balancer.backends.iter().map(|backend| vec![format!("endpoint {backend}")]).collect();
    let mut below = String::new();
    hang(&mut below, &branches);
    lines.extend(below.lines().map(str::to_owned));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_reads_like_a_directory_listing() {
        let front = Endpoint {
            name: "front".into(),
            addresses: vec!["10.0.0.2".into()],
            namespace: Some("web".into()),
            ports: vec!["tcp 8080 → 80".into()],
            ..Endpoint::default()
        };
        let spare = Endpoint {
            name: "spare".into(),
            addresses: vec!["10.0.0.3".into()],
            ..Endpoint::default()
        };
        let network = Network {
            name: "lan".into(),
            kind: "NAT".into(),
            subnets: vec!["10.0.0.0/24".into()],
            gateways: vec!["10.0.0.1".into()],
            endpoints: vec![front, spare],
        };
        let balancer = Balancer {
            name: "api".into(),
            frontends: vec!["10.96.0.1 tcp 80 → 8080".into()],
            backends: vec!["front".into()],
        };
        let topology =
            Topology { networks: vec![network], balancers: vec![balancer], idle: vec!["x".into()] };
        let expected = "\
host
├─ network lan [NAT]  10.0.0.0/24  gateway 10.0.0.1
│  ├─ endpoint front  10.0.0.2  in namespace web  [tcp 8080 → 80]
│  └─ endpoint spare  10.0.0.3  not attached
├─ load balancer api  10.96.0.1 tcp 80 → 8080
│  └─ endpoint front
└─ namespaces without endpoints: x
";
        assert_eq!(draw(&topology), expected);
        assert_eq!(draw(&Topology::default()), "host (nothing made yet)\n");
    }
}
