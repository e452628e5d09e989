//! `stats`: what went through an endpoint, or through the endpoints of a network, namespace or load balancer.

use hostcompute::schema::operation::Kind;
use hostcompute::schema::{EndpointStats, parse};
use hostcompute::{
    Endpoint, Failure, Guid, HResult, Host, LoadBalancer, Namespace, Network, SdnRoute,
};
use serde_json::Value;

use super::{Family, Session, parsed};
use crate::arguments::Form;
use crate::print;
use crate::problem::Done;
use crate::topology::words;

pub(super) fn print(session: Session<'_>, family: &Family, text: &str) -> Done {
    let host = session.host;
    let endpoints = concerned(host, family.kind, text)?;
    match session.form {
        Form::Id => print::text(
            &endpoints.iter().map(|endpoint| format!("{}\n", endpoint.id())).collect::<String>(),
        ),
        Form::Json | Form::Yaml => {
            let documents = endpoints.iter().map(|e| Ok(parsed(&e.statistics_json()?)));
            let mut documents = documents.collect::<Result<Vec<Value>, Failure>>()?;
            let document = match (family.kind, documents.len()) {
                (Kind::Endpoint, 1) => documents.remove(0),
                _ => Value::Array(documents),
            };
            if session.form == Form::Json { print::json(&document) } else { print::yaml(&document) }
        }
        Form::Table => {
            let rows = endpoints.iter().map(row).collect::<Result<Vec<_>, Failure>>()?;
            let heading = [
                "ENDPOINT",
                "BYTES IN",
                "BYTES OUT",
                "PACKETS IN",
                "PACKETS OUT",
                "DROPPED IN",
                "DROPPED OUT",
            ];
            print::text(&print::table(&heading, rows))
        }
    }
}

/// The endpoints that an object stands for.
fn concerned(host: &Host, kind: Kind, text: &str) -> Result<Vec<Endpoint>, Failure> {
    let ids: Vec<Guid> = match kind {
        Kind::Endpoint => return Ok(vec![Endpoint::find(host, text)?]),
        Kind::Network => {
            let id = Network::find(host, text)?.id();
            let filter = format!("{{\"HostComputeNetwork\":\"{id}\"}}");
            let query = serde_json::json!({ "SchemaVersion": { "Major": 2, "Minor": 0 }, "Filter": filter });
            return Endpoint::list_matching(host, &query.to_string());
        }
        Kind::Namespace => words::inside(&Namespace::find(host, text)?.query()?),
        Kind::SdnRoute => {
            let route = SdnRoute::find(host, text)?.query()?;
            route.host_compute_endpoints.iter().filter_map(|id| id.parse().ok()).collect()
        }
        Kind::GuestNetworkService => {
            host.resolve(kind, text)?;
            let why = "a guest network service has no endpoints whose packets could be counted";
            return Err(Failure::new(HResult::E_NOTIMPL, why)
                .hint("`hc guestservice ports` lists what services hold"));
        }
        _ => {
            let balancer = LoadBalancer::find(host, text)?.query()?;
            balancer.host_compute_endpoints.iter().filter_map(|id| id.parse().ok()).collect()
        }
    };
    ids.into_iter().map(|id| Endpoint::open(host, id)).collect()
}

fn row(endpoint: &Endpoint) -> Result<Vec<String>, Failure> {
    let stats: EndpointStats = parse(&endpoint.statistics_json()?)?.document;
    let numbers = [
        stats.bytes_received,
        stats.bytes_sent,
        stats.packets_received,
        stats.packets_sent,
        stats.dropped_packets_incoming,
        stats.dropped_packets_outgoing,
    ];
    let numbers = numbers.into_iter().map(|number| number.unwrap_or_default().to_string());
    Ok(std::iter::once(words::label(&endpoint.query()?.base)).chain(numbers).collect())
}
