//! HNSCall: the older interface, a method and a path like those of HTTP, answered by `{Success, Error, Output}` (hcn.md 2.20).
//!
//! It is translated to the operations of the newer one; documents are in the shape of version 1 in both directions.

use std::sync::Arc;

use hostcompute::schema::operation::Operation;
use hostcompute::transport::Call;
use hostcompute::{Failure, Guid, HResult, Host};
use serde_json::{Value, json};

use crate::boundary::{Text, TextOut};
use crate::service;

/// The version that tells clients of the older interface which features there are (hcn.md 3.14).
const VERSION: (u32, u32) = (15, 5);

/// Asks for documents in the older shape.
const OLDER: &str = r#"{"SchemaVersion":{"Major":1,"Minor":0}}"#;

/// What a path's first word is about.
struct Collection {
    name: &'static str,
    list: Operation,
    query: Operation,
    create: Operation,
    delete: Operation,
}

const COLLECTIONS: &[Collection] = &[
    Collection {
        name: "networks",
        list: Operation::EnumerateNetworks,
        query: Operation::QueryNetworkProperties,
        create: Operation::CreateNetwork,
        delete: Operation::DeleteNetwork,
    },
    Collection {
        name: "endpoints",
        list: Operation::EnumerateEndpoints,
        query: Operation::QueryEndpointProperties,
        create: Operation::CreateEndpoint,
        delete: Operation::DeleteEndpoint,
    },
    Collection {
        name: "namespaces",
        list: Operation::EnumerateNamespaces,
        query: Operation::QueryNamespaceProperties,
        create: Operation::CreateNamespace,
        delete: Operation::DeleteNamespace,
    },
    Collection {
        name: "policylists",
        list: Operation::EnumerateLoadBalancers,
        query: Operation::QueryLoadBalancerProperties,
        create: Operation::CreateLoadBalancer,
        delete: Operation::DeleteLoadBalancer,
    },
];

/// HNSCall. What the service refuses is part of the response; the call fails only when it cannot be made.
///
/// # Errors
/// E_POINTER for a missing argument, E_INVALIDARG for what is no UTF-16, E_OUTOFMEMORY.
pub fn call(method: Text, path: Text, object: Text, response: TextOut) -> Result<(), Failure> {
    response.clear();
    response.demand("response")?;
    let (method, path) = (method.read("method")?, path.read("path")?);
    let object = object.read_or_empty()?;
    let answered = match carry_out(&method, &path, &object) {
        Ok(Value::Null) => json!({ "Success": true }),
        Ok(output) => json!({ "Success": true, "Output": output }),
        Err(failure) => failure.error_record(),
    };
    response.hand_out(&answered.to_string())
}

fn carry_out(method: &str, path: &str, object: &str) -> Result<Value, Failure> {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let method = method.to_ascii_uppercase();
    let unknown = || {
        let why = format!("there is no {method} {path} in the older interface here");
        Failure::new(HResult::E_NOTIMPL, why)
    };
    let (first, rest) = words.split_first().ok_or_else(unknown)?;
    let (first, rest) = (first.to_ascii_lowercase(), rest.to_vec());
    match (&*method, &*first, &*rest) {
        ("GET", "globals", ["version"]) => {
            return Ok(json!({ "Major": VERSION.0, "Minor": VERSION.1 }));
        }
        ("GET", "endpointstats", [id]) => {
            return ask(&*service::host()?, Operation::QueryEndpointStats, id, "");
        }
        ("POST", "namespaces", [id, change]) => return resource(id, change, object),
        _ => {}
    }
    let collection = COLLECTIONS.iter().find(|known| known.name == first).ok_or_else(unknown)?;
    let host = service::host()?;
    match (&*method, &*rest) {
        ("GET", []) => list(&host, collection),
        ("GET", [id]) => ask(&host, collection.query, id, OLDER),
        ("POST", []) => create(&host, collection, object),
        ("DELETE", [id]) => ask(&host, collection.delete, id, ""),
        _ => Err(unknown()),
    }
}

fn list(host: &Arc<Host>, collection: &Collection) -> Result<Value, Failure> {
    let call = Call { operation: collection.list, id: None, network: None, document: "" };
    let ids = read(&host.call(&call)?.body)?;
    let mut documents = Vec::new();
    for id in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
        match ask(host, collection.query, id, OLDER) {
            // Somebody else has deleted it meanwhile.
            Err(failure) if failure.is_not_found() => {}
            document => documents.push(document?),
        }
    }
    Ok(documents.into())
}

fn create(host: &Arc<Host>, collection: &Collection, object: &str) -> Result<Value, Failure> {
    let call = Call { operation: collection.create, id: None, network: None, document: object };
    let made = host.call(&call)?.body;
    ask(host, collection.query, made.trim_matches('"'), OLDER)
}

fn ask(host: &Host, operation: Operation, id: &str, document: &str) -> Result<Value, Failure> {
    let id: Guid = id.parse().map_err(|_| {
        Failure::new(HResult::HCN_E_GUID_CONVERSION_FAILURE, format!("{id:?} is no GUID"))
    })?;
    read(&host.call(&Call::on(operation, id, document))?.body)
}

/// `/namespaces/{id}/addresource` and `removeresource`, with `{"Type": "Endpoint", "Data": {"Id": ...}}`.
fn resource(id: &str, change: &str, object: &str) -> Result<Value, Failure> {
    let kind = match &*change.to_ascii_lowercase() {
        "addresource" => "Add",
        "removeresource" => "Remove",
        _ => {
            let why = format!("a namespace cannot be asked to {change}");
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        }
    };
    let object = read(object)?;
    let mut data = object.get("Data").cloned().unwrap_or_default();
    if let Some(endpoint) = data.as_object_mut().and_then(|data| data.remove("Id")) {
        data = json!({ "EndpointId": endpoint });
    }
    let request = json!({
        "ResourceType": object.get("Type"),
        "RequestType": kind,
        "Settings": data,
    });
    ask(&*service::host()?, Operation::ModifyNamespace, id, &request.to_string())
}

/// The document that an answer is; null where there is nothing to say.
fn read(text: &str) -> Result<Value, Failure> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|error| {
        Failure::new(HResult::HCN_E_INVALID_JSON, format!("the document is no JSON: {error}"))
    })
}
