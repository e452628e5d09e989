//! What the live documents say that there is: where servers belong, and by which ways they can be reached.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Hc;

/// The flag of a port mapping that makes it one of IPv6.
const IPV6: u64 = 2;

/// The part of the topology that traffic is sent through.
pub struct Site {
    pub endpoints: Vec<Endpoint>,
    pub services: Vec<Service>,
}

/// An endpoint in a namespace of its own.
pub struct Endpoint {
    pub id: String,
    pub name: String,
    pub namespace: String,
    pub addresses: Vec<IpAddr>,
    pub published: Vec<Published>,
    /// Single addresses that its access rules block on the way out.
    pub blocked: Vec<IpAddr>,
}

/// A port mapping of one family.
pub struct Published {
    pub ipv6: bool,
    pub protocol: &'static str,
    pub external: u16,
    pub internal: u16,
}

/// A load-balanced port.
pub struct Service {
    pub vips: Vec<IpAddr>,
    pub protocol: &'static str,
    pub external: u16,
    pub internal: u16,
    /// Ids of the endpoints behind it.
    pub backends: Vec<String>,
}

impl Site {
    /// Asks `hc`.
    ///
    /// # Errors
    /// It does not answer with documents.
    pub fn read(hc: &Hc) -> Result<Site> {
        let endpoints = documents(hc, "endpoint")?.iter().filter_map(endpoint).collect();
        let services = documents(hc, "loadbalancer")?.iter().flat_map(services).collect();
        Ok(Site { endpoints, services })
    }

    /// Every port on which a server of this endpoint must listen.
    pub fn ports(&self, endpoint: &Endpoint) -> Vec<u16> {
        let behind = |service: &&Service| service.backends.iter().any(|id| same(id, &endpoint.id));
        let mut ports: Vec<u16> =
            self.services.iter().filter(behind).map(|service| service.internal).collect();
        ports.extend(endpoint.published.iter().map(|published| published.internal));
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// An endpoint by its id.
    pub fn endpoint(&self, id: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| same(&endpoint.id, id))
    }
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn documents(hc: &Hc, kind: &str) -> Result<Vec<Value>> {
    let text = hc.output(&[kind, "ls", "-o", "json"])?;
    serde_json::from_str(&text).with_context(|| format!("reading the {kind} documents"))
}

fn endpoint(document: &Value) -> Option<Endpoint> {
    let policies = |kind: &'static str| {
        let of_kind = move |policy: &&Value| text(policy, "Type").as_deref() == Some(kind);
        list(document, "Policies").filter(of_kind).filter_map(|policy| policy.get("Settings"))
    };
    Some(Endpoint {
        id: text(document, "ID")?,
        name: text(document, "Name")?,
        namespace: text(document, "HostComputeNamespace")?,
        addresses: list(document, "IpConfigurations")
            .filter_map(|configuration| text(configuration, "IpAddress")?.parse().ok())
            .collect(),
        published: policies("PortMapping").filter_map(published).collect(),
        blocked: policies("ACL").filter_map(blocked).collect(),
    })
}

fn published(settings: &Value) -> Option<Published> {
    let flags = settings.get("Flags").and_then(Value::as_u64).unwrap_or_default();
    Some(Published {
        ipv6: flags & IPV6 != 0,
        protocol: protocol(settings)?,
        external: port(settings, "ExternalPort")?,
        internal: port(settings, "InternalPort")?,
    })
}

/// The address of a rule that blocks one single IPv4 address on the way out.
fn blocked(settings: &Value) -> Option<IpAddr> {
    let is = |member: &str, value: &str| text(settings, member).as_deref() == Some(value);
    if !is("Action", "Block") || !is("Direction", "Out") {
        return None;
    }
    text(settings, "RemoteAddresses")?.strip_suffix("/32")?.parse().ok()
}

fn services(document: &Value) -> Vec<Service> {
    let vips: Vec<IpAddr> =
        list(document, "FrontendVIPs").filter_map(|vip| vip.as_str()?.parse().ok()).collect();
    let backends: Vec<String> = list(document, "HostComputeEndpoints")
        .filter_map(|id| Some(id.as_str()?.to_owned()))
        .collect();
    list(document, "PortMappings")
        .filter_map(|mapping| {
            Some(Service {
                vips: vips.clone(),
                protocol: protocol(mapping)?,
                external: port(mapping, "ExternalPort")?,
                internal: port(mapping, "InternalPort")?,
                backends: backends.clone(),
            })
        })
        .collect()
}

fn list<'a>(document: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    document.get(member).and_then(Value::as_array).into_iter().flatten()
}

fn text(document: &Value, member: &str) -> Option<String> {
    document.get(member).and_then(Value::as_str).map(str::to_owned)
}

fn port(document: &Value, member: &str) -> Option<u16> {
    document.get(member).and_then(Value::as_u64)?.try_into().ok()
}

fn protocol(document: &Value) -> Option<&'static str> {
    match document.get("Protocol").and_then(Value::as_u64)? {
        6 => Some("tcp"),
        17 => Some("udp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_become_places_and_ways() {
        let policy = json!({"Type": "PortMapping",
            "Settings": {"Protocol": 6, "InternalPort": 80, "ExternalPort": 8080, "Flags": 2}});
        let document = json!({"ID": "A", "Name": "web-1", "HostComputeNamespace": "n",
            "IpConfigurations": [{"IpAddress": "10.0.0.2", "PrefixLength": 24}], "Policies": [policy]});
        let balancer = json!({"HostComputeEndpoints": ["a"], "FrontendVIPs": ["10.0.0.9"],
            "PortMappings": [{"Protocol": 17, "InternalPort": 53, "ExternalPort": 5353}]});
        let site = Site {
            endpoints: endpoint(&document).into_iter().collect(),
            services: services(&balancer),
        };
        let web = site.endpoint("a").unwrap();
        assert_eq!((web.published[0].protocol, web.published[0].external), ("tcp", 8080));
        assert!(web.published[0].ipv6);
        assert_eq!(site.ports(web), [53, 80]);
    }
}
