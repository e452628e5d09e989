//! The older interface (HNSCall), as programs in Go use it: hcsshim's `internal/hns` sends paths, methods and bodies, and looks for objects
//! in the lists that come back.

use hostcompute::Host;
use serde_json::{Value, json};

/// One call, as `hnsCall` makes it: the output, or the text of the refusal.
pub fn call(host: &Host, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = host.hns_call(method, path, &body);
    match answer["Success"].as_bool() {
        Some(true) => Ok(answer["Output"].clone()),
        Some(false) => Err(answer["Error"].as_str().expect("a text").to_owned()),
        None => panic!("{answer}"),
    }
}

#[track_caller]
pub fn done(host: &Host, method: &str, path: &str, body: Value) -> Value {
    call(host, method, path, &body).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
}

#[track_caller]
pub fn id(document: &Value) -> String {
    document["ID"].as_str().expect("an id").to_owned()
}

/// The object of a collection that has this name.
#[track_caller]
pub fn by_name(host: &Host, collection: &str, name: &str) -> Option<Value> {
    let listed = done(host, "GET", &format!("/{collection}/"), Value::Null);
    let mut all = listed.as_array().expect("a list").iter();
    all.find(|one| one["Name"] == name).cloned()
}

/// Makes an object of a collection, and tells what it became.
#[track_caller]
pub fn create(host: &Host, collection: &str, document: Value) -> Value {
    done(host, "POST", &format!("/{collection}/"), document)
}

/// Deletes an object of a collection.
#[track_caller]
pub fn delete(host: &Host, collection: &str, object: &Value) {
    done(host, "DELETE", &format!("/{collection}/{}", id(object)), Value::Null);
}

/// What is said to an endpoint: attach, detach.
///
/// # Errors
/// The text of the refusal.
pub fn tell(host: &Host, endpoint: &Value, verb: &str, request: &Value) -> Result<Value, String> {
    call(host, "POST", &format!("/endpoints/{}/{verb}", id(endpoint)), request)
}

/// What attach and detach are told of a container.
pub fn container(name: &str) -> Value {
    json!({"ContainerId": name, "SystemType": "Container"})
}

/// Says that a container, or an endpoint, is in a namespace (addresource), or is no more (removeresource).
#[track_caller]
pub fn resource(host: &Host, namespace: &str, change: &str, (kind, id): (&str, &str)) {
    let resource = json!({"Type": kind, "Data": {"Id": id}});
    done(host, "POST", &format!("/namespaces/{namespace}/{change}"), resource);
}
