//! `ls` for people: one line per object, with names in place of ids.

use std::collections::BTreeMap;

use hostcompute::schema::operation::Kind;
use hostcompute::schema::{
    Document, GuestNetworkService, GuestNetworkServiceState, HostComputeEndpoint,
    HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork, HostComputeRoute,
    parse_value,
};
use hostcompute::{Endpoint, Failure, Guid, Host, Namespace, Network};
use serde_json::Value;

use super::Family;
use crate::print;
use crate::topology::words;

/// The table of some objects of one kind.
///
/// # Errors
/// What the service refuses.
pub fn print(host: &Host, family: &Family, documents: &[Value]) -> Result<String, Failure> {
    Ok(match family.kind {
        Kind::Network => networks(host, &read(documents)?)?,
        Kind::Endpoint => endpoints(host, &read(documents)?)?,
        Kind::Namespace => namespaces(host, &read(documents)?)?,
        Kind::SdnRoute => routes(host, &read(documents)?)?,
        Kind::GuestNetworkService => guest_services(&read(documents)?),
        _ => load_balancers(host, &read(documents)?)?,
    })
}

fn read<T: Document>(documents: &[Value]) -> Result<Vec<T>, Failure> {
    documents
        .iter()
        .map(|document| parse_value::<T>(document, "").map(|parsed| parsed.document))
        .collect()
}

/// What people call objects, by id.
type Names = BTreeMap<Guid, String>;

fn network_names(host: &Host) -> Result<Names, Failure> {
    Network::list(host)?
        .iter()
        .map(|network| Ok((network.id(), words::label(&network.query()?.base))))
        .collect()
}

fn namespace_names(host: &Host) -> Result<Names, Failure> {
    Namespace::list(host)?
        .iter()
        .map(|namespace| Ok((namespace.id(), words::namespace_label(&namespace.query()?))))
        .collect()
}

fn endpoint_names(host: &Host) -> Result<Names, Failure> {
    Endpoint::list(host)?
        .iter()
        .map(|endpoint| Ok((endpoint.id(), words::label(&endpoint.query()?.base))))
        .collect()
}

fn name(names: &Names, id: Option<Guid>) -> String {
    match id.filter(|id| !id.is_zero()) {
        Some(id) => names.get(&id).cloned().unwrap_or_else(|| words::short(id)),
        None => String::new(),
    }
}

fn networks(host: &Host, networks: &[HostComputeNetwork]) -> Result<String, Failure> {
    let mut counts: BTreeMap<Guid, usize> = BTreeMap::new();
    if !networks.is_empty() {
        for endpoint in Endpoint::list(host)? {
            *counts
                .entry(endpoint.query()?.host_compute_network.unwrap_or_default())
                .or_default() += 1;
        }
    }
    let rows = networks
        .iter()
        .map(|network| {
            let id = network.base.id.unwrap_or_default();
            vec![
                words::short(id),
                network.base.name.clone().unwrap_or_default(),
                words::network_kind(network),
                words::subnets(network).join(" "),
                words::gateways(network).join(" "),
                counts.get(&id).copied().unwrap_or(0).to_string(),
            ]
        })
        .collect();
    Ok(print::table(&["ID", "NAME", "TYPE", "SUBNETS", "GATEWAYS", "ENDPOINTS"], rows))
}

fn endpoints(host: &Host, endpoints: &[HostComputeEndpoint]) -> Result<String, Failure> {
    let (networks, namespaces) = match endpoints {
        [] => (Names::new(), Names::new()),
        _ => (network_names(host)?, namespace_names(host)?),
    };
    let rows = endpoints
        .iter()
        .map(|endpoint| {
            vec![
                words::short(endpoint.base.id.unwrap_or_default()),
                endpoint.base.name.clone().unwrap_or_default(),
                name(&networks, endpoint.host_compute_network),
                name(&namespaces, endpoint.host_compute_namespace),
                words::addresses(endpoint).join(" "),
                endpoint.mac_address.clone().unwrap_or_default(),
                words::ports(endpoint).join(", "),
                words::policies(endpoint).join(", "),
            ]
        })
        .collect();
    let heading = ["ID", "NAME", "NETWORK", "NAMESPACE", "ADDRESSES", "MAC", "PORTS", "POLICIES"];
    Ok(print::table(&heading, rows))
}

fn namespaces(host: &Host, namespaces: &[HostComputeNamespace]) -> Result<String, Failure> {
    let names = endpoint_names(host)?;
    let rows = namespaces
        .iter()
        .map(|namespace| {
            let inside = words::inside(namespace).into_iter().map(|id| name(&names, Some(id)));
            vec![
                words::short(namespace.base.id.unwrap_or_default()),
                namespace.base.name.clone().unwrap_or_default(),
                words::namespace_kind(namespace),
                inside.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    Ok(print::table(&["ID", "NAME", "TYPE", "ENDPOINTS"], rows))
}

fn load_balancers(host: &Host, balancers: &[HostComputeLoadBalancer]) -> Result<String, Failure> {
    let names = if balancers.is_empty() { Names::new() } else { endpoint_names(host)? };
    let rows = balancers
        .iter()
        .map(|balancer| {
            let backends =
                balancer.host_compute_endpoints.iter().map(|id| name(&names, id.parse().ok()));
            vec![
                words::short(balancer.base.id.unwrap_or_default()),
                balancer.base.name.clone().unwrap_or_default(),
                words::frontends(balancer).join(", "),
                backends.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    Ok(print::table(&["ID", "NAME", "FRONTENDS", "BACKENDS"], rows))
}

fn routes(host: &Host, routes: &[HostComputeRoute]) -> Result<String, Failure> {
    let names = if routes.is_empty() { Names::new() } else { endpoint_names(host)? };
    let rows = routes
        .iter()
        .map(|route| {
            let ways = route.routes.iter().map(|way| {
                let to = way.destination_prefix.as_deref().unwrap_or_default();
                match way.next_hop.as_deref().filter(|hop| !hop.is_empty()) {
                    Some(hop) => format!("{to} via {hop}"),
                    None => to.to_owned(),
                }
            });
            let endpoints =
                route.host_compute_endpoints.iter().map(|id| name(&names, id.parse().ok()));
            vec![
                words::short(route.base.id.unwrap_or_default()),
                route.base.name.clone().unwrap_or_default(),
                ways.collect::<Vec<_>>().join(", "),
                endpoints.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    Ok(print::table(&["ID", "NAME", "DESTINATIONS", "ENDPOINTS"], rows))
}

fn guest_services(services: &[GuestNetworkService]) -> String {
    let rows = services
        .iter()
        .map(|service| {
            let state = usize::from(service.base.state.unwrap_or_default());
            let state = GuestNetworkServiceState::KNOWN.get(state);
            vec![
                words::short(service.base.id.unwrap_or_default()),
                service.base.name.clone().unwrap_or_default(),
                service.virtual_machine_id.map_or(String::new(), words::short),
                state.map_or(String::new(), |state| state.name().to_owned()),
            ]
        })
        .collect();
    print::table(&["ID", "NAME", "MACHINE", "STATE"], rows)
}
