//! How programs in Go speak: hcsshim's functions (hcn.md 5, notation), and the calls that it makes of each.
//!
//! They enumerate with a filter and then open and query each hit with the same text; they query what they have made; they send the
//! members that Go cannot leave out; and they never give an id but in the document.

use hostcompute::schema::operation::{Kind, Operation, Verb};
use hostcompute::transport::Call;
use hostcompute::{Failure, Guid, Host};
use serde_json::{Map, Value, json};

/// The query for documents of schema 2.
fn query(filter: Option<&Value>) -> String {
    let mut query = json!({"SchemaVersion": {"Major": 2, "Minor": 0}});
    if let Some(filter) = filter {
        query["Filter"] = filter.to_string().into();
    }
    query.to_string()
}

fn operation(verb: Verb, kind: Kind) -> Operation {
    let mut all = Operation::ALL.iter().copied();
    all.find(|operation| operation.verb() == verb && operation.subject() == kind).unwrap()
}

fn call(
    host: &Host,
    verb: Verb,
    kind: Kind,
    id: Option<Guid>,
    document: &str,
) -> Result<Value, Failure> {
    let call = Call { operation: operation(verb, kind), id, network: None, document };
    let body = host.call(&call)?.body;
    Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// The id of a document that a query brought.
#[track_caller]
pub fn id(document: &Value) -> Guid {
    document["ID"].as_str().expect("an id").parse().expect("a GUID")
}

/// All objects of a kind, as their documents.
#[track_caller]
pub fn list(host: &Host, kind: Kind) -> Vec<Value> {
    list_by(host, kind, &query(None))
}

/// The objects of which these members are true.
#[track_caller]
pub fn list_where(host: &Host, kind: Kind, filter: &Value) -> Vec<Value> {
    list_by(host, kind, &query(Some(filter)))
}

#[track_caller]
fn list_by(host: &Host, kind: Kind, query: &str) -> Vec<Value> {
    let ids = call(host, Verb::Enumerate, kind, None, query).unwrap();
    let ids = ids.as_array().expect("a list, also where nothing is found").iter();
    ids.map(|id| {
        let id = id.as_str().expect("text");
        assert_eq!(id.len(), 36, "Go's parser of GUIDs knows no braces");
        let id = Some(id.parse().unwrap());
        call(host, Verb::Open, kind, id, "").unwrap();
        call(host, Verb::Query, kind, id, query).unwrap()
    })
    .collect()
}

/// The first object with this name.
#[track_caller]
pub fn by_name(host: &Host, kind: Kind, name: &str) -> Option<Value> {
    list_where(host, kind, &json!({"Name": name})).into_iter().next()
}

/// The object with this id.
#[track_caller]
pub fn by_id(host: &Host, kind: Kind, id: Guid) -> Option<Value> {
    list_where(host, kind, &json!({"ID": id.to_string()})).into_iter().next()
}

/// The endpoints of a network, found by the name that version 1 had for it.
#[track_caller]
pub fn endpoints_of(host: &Host, network: Guid) -> Vec<Value> {
    list_where(host, Kind::Endpoint, &json!({"VirtualNetwork": network.to_string()}))
}

/// Makes an object, and tells what it became.
///
/// # Errors
/// What the service refuses.
pub fn try_create(host: &Host, kind: Kind, document: &Value) -> Result<Value, Failure> {
    let mut whole = unavoidable(kind);
    whole.extend(document.as_object().expect("a document").clone());
    if let (Kind::Endpoint, Some(network)) = (kind, whole.get("HostComputeNetwork")) {
        let network = network.as_str().expect("text").parse().unwrap();
        call(host, Verb::Open, Kind::Network, Some(network), "")?;
    }
    let made = call(host, Verb::Create, kind, None, &Value::from(whole).to_string())?;
    let id = Some(made.as_str().expect("an id").parse().unwrap());
    call(host, Verb::Query, kind, id, &query(None))
}

/// As [`try_create`], where nothing can be wrong.
#[track_caller]
pub fn create(host: &Host, kind: Kind, document: &Value) -> Value {
    match try_create(host, kind, document) {
        Ok(made) => made,
        Err(failure) => panic!("{document}: {failure}"),
    }
}

/// Changes an object, and tells what it became.
///
/// # Errors
/// What the service refuses.
pub fn try_modify(host: &Host, kind: Kind, id: Guid, request: &Value) -> Result<Value, Failure> {
    call(host, Verb::Open, kind, Some(id), "")?;
    call(host, Verb::Modify, kind, Some(id), &request.to_string())?;
    call(host, Verb::Query, kind, Some(id), &query(None))
}

/// As [`try_modify`], where nothing can be wrong.
#[track_caller]
pub fn modify(host: &Host, kind: Kind, id: Guid, request: &Value) -> Value {
    match try_modify(host, kind, id, request) {
        Ok(made) => made,
        Err(failure) => panic!("{request}: {failure}"),
    }
}

/// Adds, replaces or removes policies of a network or an endpoint.
#[track_caller]
pub fn change_policies(host: &Host, kind: Kind, id: Guid, how: &str, policies: &Value) -> Value {
    let settings = json!({"Policies": policies});
    let request = json!({"ResourceType": "Policy", "RequestType": how, "Settings": settings});
    modify(host, kind, id, &request)
}

/// Plugs an endpoint into a namespace, or unplugs it.
#[track_caller]
pub fn change_namespace(host: &Host, namespace: Guid, how: &str, endpoint: Guid) -> Value {
    let settings = json!({"EndpointId": endpoint.to_string()});
    let request = json!({"ResourceType": "Endpoint", "RequestType": how, "Settings": settings});
    modify(host, Kind::Namespace, namespace, &request)
}

/// Deletes an object.
///
/// # Errors
/// What the service refuses.
pub fn try_delete(host: &Host, kind: Kind, id: Guid) -> Result<(), Failure> {
    call(host, Verb::Delete, kind, Some(id), "").map(drop)
}

/// As [`try_delete`], where nothing can be wrong.
#[track_caller]
pub fn delete(host: &Host, kind: Kind, id: Guid) {
    try_delete(host, kind, id).unwrap_or_else(|failure| panic!("{} {id}: {failure}", kind.name()));
}

/// Deletes the object with this name.
#[track_caller]
pub fn delete_named(host: &Host, kind: Kind, name: &str) {
    delete(host, kind, id(&by_name(host, kind, name).expect("it is there")));
}

/// The settings of an object's policies of one type.
pub fn policies<'a>(document: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let policies = document["Policies"].as_array().into_iter().flatten();
    policies.filter(move |policy| policy["Type"] == kind).map(|policy| &policy["Settings"])
}

/// Members that Go writes whether they are set or not: it leaves out empty texts and lists, not empty structures.
fn unavoidable(kind: Kind) -> Map<String, Value> {
    let mut members = json!({"SchemaVersion": {"Major": 2, "Minor": 0}});
    match kind {
        Kind::Network => {
            members["MacPool"] = json!({});
            members["Dns"] = json!({});
            members["Health"] = json!({"Extra": {}});
        }
        Kind::Endpoint => {
            members["Dns"] = json!({});
            members["Health"] = json!({"Extra": {}});
        }
        _ => {}
    }
    members.as_object().cloned().unwrap_or_default()
}
