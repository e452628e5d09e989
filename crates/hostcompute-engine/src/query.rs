//! Reading: enumeration with filters, properties in the shape a client asks for, statistics (hcn.md 2.19, 2.20, 3.7).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Document, Failure, Guid, HResult, HostComputeQuery, Older, QueryShape};
use serde_json::{Map, Value};

use crate::decide::Look;
use crate::host::Counters;
use crate::network::endpoint::Endpoint;
use crate::network::namespace::{self, HOST_DEFAULT};
use crate::object::Kind;
use crate::request::{Reply, Request, or_empty};
use crate::state::State;

/// A filter: members that an object must have with equal values. `None` when nothing is filtered.
type Filter = Option<Map<String, Value>>;

/// HcnEnumerate*: ids of the objects that match, oldest first.
pub(crate) fn enumerate(look: &mut Look<'_>, kind: Kind) -> Result<Reply, Failure> {
    let filter = read_filter(&look.query()?)?;
    Ok(Reply::Ids(matching(look.state, kind, &filter)))
}

/// HcnOpen*: whether the object exists.
pub(crate) fn open(look: &mut Look<'_>, kind: Kind) -> Result<Reply, Failure> {
    let id = look.target()?;
    if look.state.exists(kind, id) { Ok(Reply::Id(id)) } else { Err(kind.missing(id)) }
}

/// HcnQuery*Properties: the object's document. A filter in the query is read and ignored (hcn.md rule 4).
pub(crate) fn properties(look: &mut Look<'_>, kind: Kind) -> Result<Reply, Failure> {
    let id = look.target()?;
    let query = look.query()?;
    read_filter(&query)?;
    Ok(match QueryShape::of(&query) {
        QueryShape::V2 => Reply::Text(described(look.state, kind, id, &AsText)?),
        shape => Reply::Document(describe(look.state, kind, id, shape)?),
    })
}

/// An object as clients see it, in the shape they ask for (hcn.md 2.20).
///
/// # Errors
/// The kind's not-found code.
pub fn describe(state: &State, kind: Kind, id: Guid, shape: QueryShape) -> Result<Value, Failure> {
    let mut document = described(state, kind, id, &shape)?;
    if kind == Kind::Endpoint
        && shape != QueryShape::V2
        && let (Value::Object(members), endpoint) = (&mut document, state.endpoint(id)?)
        && let Ok(network) = state.network(endpoint.network)
    {
        members.insert("VirtualNetworkName".into(), network.name().into());
        // What hcsshim looks at to know whether a container has the endpoint.
        let containers = shared_containers(state, endpoint);
        if !containers.is_empty() {
            members.insert("SharedContainers".into(), containers.into());
        }
    }
    Ok(document)
}

/// What is made of a document.
trait Form {
    type Made;

    fn of(&self, document: &impl Older) -> Self::Made;

    /// Of one that had no older shape.
    fn of_new(&self, document: &impl Document) -> Self::Made;
}

impl Form for QueryShape {
    type Made = Value;

    fn of(&self, document: &impl Older) -> Value {
        document.in_shape(*self)
    }

    fn of_new(&self, document: &impl Document) -> Value {
        document.to_value()
    }
}

/// The shape of version 2, as it travels: what is asked for thousands of times a second.
struct AsText;

impl Form for AsText {
    type Made = String;

    fn of(&self, document: &impl Older) -> String {
        document.to_text()
    }

    fn of_new(&self, document: &impl Document) -> String {
        document.to_text()
    }
}

fn described<F: Form>(state: &State, kind: Kind, id: Guid, form: &F) -> Result<F::Made, Failure> {
    Ok(match kind {
        Kind::Network => {
            let mut document = state.network(id)?.describe(state);
            document.base.state = Some(1);
            form.of(&document)
        }
        Kind::Endpoint => form.of(&state.endpoint(id)?.describe(state)),
        // Part of its network's document.
        Kind::Set | Kind::RemoteSubnet => return Err(kind.missing(id)),
        Kind::Namespace => form.of(&namespace::describe(state, id)?),
        Kind::LoadBalancer => {
            let mut document = state.load_balancer(id)?.document.clone();
            document.base.state = Some(2);
            form.of(&document)
        }
        Kind::SdnRoute => {
            let mut document = state.sdn_route(id)?.document.clone();
            document.base.state = Some(2);
            form.of(&document)
        }
        Kind::GuestService => form.of_new(&state.guest_service(id)?.describe()),
    })
}

/// The containers that use the namespace which an endpoint is in.
fn shared_containers(state: &State, endpoint: &Endpoint) -> Vec<String> {
    let namespace = endpoint.attachment.as_ref().map(|attachment| attachment.namespace);
    let namespace = namespace.and_then(|id| state.namespaces.get(id));
    namespace.map(|namespace| namespace.containers.clone()).unwrap_or_default()
}

fn read_filter(query: &HostComputeQuery) -> Result<Filter, Failure> {
    let Some(text) = query.filter.as_deref().filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) if members.is_empty() => Ok(None),
        Ok(Value::Object(members)) => Ok(Some(members)),
        Ok(Value::Null) => Ok(None),
        Ok(_) => Err(bad_filter("a filter is an object")),
        Err(error) => Err(bad_filter(&error.to_string())),
    }
}

fn bad_filter(why: &str) -> Failure {
    Failure::new(HResult::HCN_E_INVALID_JSON, alloc::format!("the filter cannot be read: {why}"))
        .at("Filter")
}

fn matching(state: &State, kind: Kind, filter: &Filter) -> Vec<Guid> {
    if let Some(found) = shortcut(state, kind, filter) {
        return found.into_iter().filter(|id| passes(state, kind, *id, filter)).collect();
    }
    let all: Vec<Guid> = match kind {
        Kind::Network => state.networks().map(|object| object.id).collect(),
        Kind::Set | Kind::RemoteSubnet => Vec::new(),
        Kind::Endpoint => state.endpoints().map(|object| object.id).collect(),
        Kind::LoadBalancer => state.load_balancers().map(|object| object.id).collect(),
        Kind::SdnRoute => state.sdn_routes().map(|object| object.id).collect(),
        Kind::GuestService => state.guest_services().map(|object| object.id).collect(),
        Kind::Namespace => {
            let named = state.namespaces().map(|object| object.id);
            core::iter::once(HOST_DEFAULT).chain(named).collect()
        }
    };
    all.into_iter().filter(|id| passes(state, kind, *id, filter)).collect()
}

/// Whether a request would have to look into every object of a kind, which takes milliseconds where there are thousands.
pub fn examines_all(state: &State, request: &Request<'_>) -> bool {
    let kind = match request.operation {
        Operation::EnumerateNetworks => Kind::Network,
        Operation::EnumerateNamespaces => Kind::Namespace,
        Operation::EnumerateEndpoints => Kind::Endpoint,
        Operation::EnumerateLoadBalancers => Kind::LoadBalancer,
        Operation::EnumerateSdnRoutes => Kind::SdnRoute,
        Operation::EnumerateGuestNetworkServices => Kind::GuestService,
        _ => return false,
    };
    let Ok(parsed) = hostcompute_schema::parse_query(or_empty(request.document)) else {
        return false;
    };
    let filter = read_filter(&parsed.document);
    filter.is_ok_and(|filter| filter.is_some() && shortcut(state, kind, &filter).is_none())
}

/// Filters by id, name or an endpoint's network need not look into every object.
fn shortcut(state: &State, kind: Kind, filter: &Filter) -> Option<Vec<Guid>> {
    let filter = filter.as_ref()?;
    let text = |names: &[&str]| {
        let wanted = |(name, _): &(&String, &Value)| {
            names.iter().any(|other| name.eq_ignore_ascii_case(other))
        };
        filter.iter().find(wanted).map(|(_, value)| value.as_str().unwrap_or_default())
    };
    if let Some(id) = text(&["ID"]) {
        let id = id.parse().ok().filter(|id| state.exists(kind, *id));
        return Some(id.into_iter().collect());
    }
    if let Some(name) = text(&["Name"]) {
        return Some(state.named(kind, name));
    }
    if kind == Kind::Endpoint {
        let network = text(&["VirtualNetwork", "HostComputeNetwork"])?.parse().ok();
        let members = network.into_iter().flat_map(|network| state.members(network));
        return Some(members.map(|endpoint| endpoint.id).collect());
    }
    None
}

fn passes(state: &State, kind: Kind, id: Guid, filter: &Filter) -> bool {
    let Some(filter) = filter else { return true };
    let Ok(Value::Object(mut members)) = describe(state, kind, id, QueryShape::Superset) else {
        return false;
    };
    let mut also = |name: &str, value: Value| {
        members.entry(name).or_insert(value);
    };
    also("ID", id.to_string().into());
    // What documents leave out when it is the default can be asked for all the same.
    also("Flags", 0.into());
    match kind {
        Kind::Network => also("Type", "NAT".into()),
        Kind::Namespace => also("Type", "Host".into()),
        Kind::Endpoint => {
            let network =
                state.endpoint(id).ok().and_then(|endpoint| state.network(endpoint.network).ok());
            if let Some(network) = network {
                also("VirtualNetwork", network.id.to_string().into());
                also("VirtualNetworkName", network.name().into());
            }
        }
        Kind::LoadBalancer
        | Kind::Set
        | Kind::RemoteSubnet
        | Kind::SdnRoute
        | Kind::GuestService => {}
    }
    filter.iter().all(|(name, wanted)| {
        let has = members.iter().find(|(member, _)| member.eq_ignore_ascii_case(name));
        has.is_some_and(|(_, value)| equal(value, wanted))
    })
}

/// Numbers by value, GUIDs in any case and with or without braces, other text exactly, objects member by member.
fn equal(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::String(a), Value::String(b)) => {
            a == b || matches!((a.parse::<Guid>(), b.parse::<Guid>()), (Ok(a), Ok(b)) if a == b)
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => value == wanted,
    }
}

/// EndpointStats (hcn.md 2.19): directions as the endpoint sees them; an endpoint without a port has zeros.
pub fn statistics(endpoint: Guid, counters: &Counters) -> Value {
    let mut document = Map::new();
    let numbers = [
        ("BytesReceived", counters.bytes_received),
        ("BytesSent", counters.bytes_sent),
        ("DroppedPacketsIncoming", counters.dropped_incoming),
        ("DroppedPacketsOutgoing", counters.dropped_outgoing),
        ("PacketsReceived", counters.packets_received),
        ("PacketsSent", counters.packets_sent),
    ];
    for (name, number) in numbers {
        document.insert(name.into(), number.into());
    }
    for name in ["EndpointId", "InstanceId"] {
        document.insert(name.into(), endpoint.to_string().into());
    }
    Value::Object(document)
}
