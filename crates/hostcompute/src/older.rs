//! The older interface of HCN (HNSCall): a method and a path like those of HTTP, answered by `{Success, Error, Output}`
//! (hcn.md 2.20, 3.14; the paths are those that hcsshim's `internal/hns` sends).
//!
//! It is translated to the operations of the newer one; documents are in the shape of version 1 in both directions.

use hostcompute_schema::operation::Operation;
#[cfg(any(embedded, windows))]
use hostcompute_schema::service::OlderCall;
use hostcompute_schema::{
    Document, Failure, Guid, HResult, HostComputeEndpoint, ServiceOperation, parse_endpoint,
};
use serde_json::{Value, json};

use crate::Host;
use crate::transport::{Answer, Ask, Call};

/// The version that tells clients which features there are (hcn.md 3.14).
const VERSION: (u32, u32) = (15, 5);

/// Asks for documents in the older shape.
const OLDER: &str = r#"{"SchemaVersion":{"Major":1,"Minor":0}}"#;

/// The kinds of endpoint policies that an update of the whole document may take away.
const MODIFIABLE: [&str; 7] =
    ["ACL", "PROXY", "L4Proxy", "L4WFPPROXY", "TierAcl", "QOS", "OutBoundNAT"];

/// What a path's first word is about.
struct Collection {
    name: &'static str,
    list: Operation,
    query: Operation,
    create: Operation,
    delete: Operation,
}

const COLLECTIONS: [Collection; 5] = [
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
    Collection {
        name: "policylists",
        list: Operation::EnumerateSdnRoutes,
        query: Operation::QuerySdnRouteProperties,
        create: Operation::CreateSdnRoute,
        delete: Operation::DeleteSdnRoute,
    },
];

impl Host {
    /// Carries out a call of the older interface: `GET /networks/`, `POST /endpoints/{id}/attach`, ... `document` is empty for none.
    /// What is refused is part of the answer: `{"Success": false, "Error": text, "ErrorCode": HRESULT}`.
    ///
    /// Paths: `/globals/version`; `/networks`, `/endpoints`, `/namespaces`, `/policylists` with GET, POST, and GET and DELETE of one
    /// below; POST `/endpoints/{id}` (the whole document, of which the policies count), `/endpoints/{id}/attach`, `detach`, `refresh`;
    /// GET `/endpointstats/{id}`, `/endpointaddresses/{id}`; POST `/namespaces/{id}/addresource`, `removeresource`; `/accelnet` with GET, POST
    /// and DELETE.
    pub fn hns_call(&self, method: &str, path: &str, document: &str) -> Value {
        if let Some(told) = self.transport().older(method, path, document) {
            return own(told);
        }
        let own = |ask: &Ask<'_>| Ok(self.serve(ask)?);
        answer((&|call| self.call(call), &own), method, path, document)
    }
}

/// Who carries out the calls of the newer interface, and the service's own operations, that an older call is made of.
pub(crate) type Newer<'a> = (
    &'a dyn Fn(&Call<'_>) -> Result<Answer, Failure>,
    &'a dyn Fn(&Ask<'_>) -> Result<Value, Failure>,
);

/// What the older interface answers: see [`Host::hns_call`].
pub(crate) fn answer(newer: Newer<'_>, method: &str, path: &str, document: &str) -> Value {
    let (newer, own) = newer;
    match (Older { newer, own }).carry_out(method, path, document) {
        Ok(Value::Null) => json!({ "Success": true }),
        Ok(output) => json!({ "Success": true, "Output": output }),
        Err(failure) => {
            let mut record = failure.error_record();
            if method.eq_ignore_ascii_case("DELETE") && IS_GONE.contains(&failure.hresult) {
                record["Error"] = GONE.into();
            }
            record
        }
    }
}

/// What a service of the older interface's own answers.
pub(crate) fn own(told: Result<String, Failure>) -> Value {
    told.and_then(|text| read(&text)).unwrap_or_else(|failure| failure.error_record())
}

/// A call that travels as a document: method, path, and the text of its own document.
///
/// # Errors
/// E_INVALIDARG for one that lacks a method or a path, HCN_E_INVALID_JSON.
#[cfg(any(embedded, windows))]
pub(crate) fn written(call: &str) -> Result<[String; 3], Failure> {
    let call = hostcompute_schema::parse::<OlderCall>(call)?.document;
    let missing = |member: &str| {
        Failure::new(HResult::E_INVALIDARG, format!("{member} is missing")).at(member)
    };
    let document = match call.document {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    };
    let method = call.method.ok_or_else(|| missing("Method"))?;
    Ok([method, call.path.ok_or_else(|| missing("Path"))?, document])
}

/// What docker compares the whole text with, to know that the network or endpoint that it deletes is gone (hcn.md 5.10).
const GONE: &str = "The object identifier does not represent a valid object. ";
const IS_GONE: [HResult; 2] = [HResult::HCN_E_NETWORK_NOT_FOUND, HResult::HCN_E_ENDPOINT_NOT_FOUND];

/// The host, as the older interface has it.
struct Older<'a> {
    newer: &'a dyn Fn(&Call<'_>) -> Result<Answer, Failure>,
    own: &'a dyn Fn(&Ask<'_>) -> Result<Value, Failure>,
}

impl Older<'_> {
    fn carry_out(&self, method: &str, path: &str, object: &str) -> Result<Value, Failure> {
        let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
        let method = method.to_ascii_uppercase();
        let (first, rest) = words.split_first().ok_or_else(|| unknown(&method, path))?;
        let first = first.to_ascii_lowercase();
        match (&*method, &*first, rest) {
            ("GET", "globals", ["version"]) => {
                return Ok(json!({ "Major": VERSION.0, "Minor": VERSION.1 }));
            }
            ("GET", "endpointstats", [id]) => {
                return self.ask(Operation::QueryEndpointStats, id, "");
            }
            ("GET", "endpointaddresses", [id]) => {
                return self.ask(Operation::QueryEndpointAddresses, id, "");
            }
            ("POST", "endpoints", [id]) => return self.update(id, object),
            ("POST", "endpoints", [id, verb]) => return self.of_endpoint(id, verb, object),
            ("POST", "namespaces", [id, change]) => return self.resource(id, change, object),
            ("GET", "accelnet", []) => {
                return (self.own)(&Ask::plain(ServiceOperation::GetManagementAddresses));
            }
            ("POST", "accelnet", []) => return self.except(object),
            ("DELETE", "accelnet", []) => return self.except("{}"),
            _ => {}
        }
        let named = |known: &&Collection| known.name == first;
        let mut all = COLLECTIONS.iter().filter(named);
        let collection = all.next().ok_or_else(|| unknown(&method, path))?;
        // Policy lists are load balancers, or else routes.
        let other = all.next();
        match (&*method, rest) {
            ("GET", []) => {
                let mut documents = self.list(collection)?;
                documents.extend(other.map_or(Ok(Vec::new()), |other| self.list(other))?);
                Ok(documents.into())
            }
            ("GET", [id]) => self.either(collection, other, id, |one| (one.query, OLDER)),
            ("DELETE", [id]) => self.either(collection, other, id, |one| (one.delete, "")),
            ("POST", []) => match other.filter(|_| is_route(object)) {
                Some(routes) => self.create(routes, object),
                None => self.create(collection, object),
            },
            _ => Err(unknown(&method, path)),
        }
    }

    /// POST and DELETE `/accelnet/`: the MAC addresses that accelerated networking shall leave alone.
    fn except(&self, document: &str) -> Result<Value, Failure> {
        let set = Ask::plain(ServiceOperation::SetManagementAddresses);
        (self.own)(&Ask { document, ..set })
    }

    /// Asks about an object of a collection; if there is none, about one of the other.
    fn either(
        &self,
        collection: &Collection,
        other: Option<&Collection>,
        id: &str,
        what: impl Fn(&Collection) -> (Operation, &'static str),
    ) -> Result<Value, Failure> {
        let (operation, document) = what(collection);
        match (self.ask(operation, id, document), other) {
            (Err(failure), Some(other)) if failure.is_not_found() => {
                let (operation, document) = what(other);
                self.ask(operation, id, document)
            }
            (answer, _) => answer,
        }
    }

    fn list(&self, collection: &Collection) -> Result<Vec<Value>, Failure> {
        let call = Call { operation: collection.list, id: None, network: None, document: "" };
        let ids = read(&(self.newer)(&call)?.body)?;
        let mut documents = Vec::new();
        for id in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
            match self.ask(collection.query, id, OLDER) {
                // Somebody else has deleted it meanwhile.
                Err(failure) if failure.is_not_found() => {}
                document => documents.push(document?),
            }
        }
        Ok(documents)
    }

    fn create(&self, collection: &Collection, object: &str) -> Result<Value, Failure> {
        let call = Call { operation: collection.create, id: None, network: None, document: object };
        let made = (self.newer)(&call)?.body;
        self.ask(collection.query, made.trim_matches('"'), OLDER)
    }

    fn ask(&self, operation: Operation, id: &str, document: &str) -> Result<Value, Failure> {
        let mut told = read(&(self.newer)(&Call::on(operation, guid(id)?, document))?.body)?;
        // The newer interface leaves out what is 0, as NAT is; docker asks the older one which of its drivers a network is for.
        let members =
            told.as_object_mut().filter(|_| operation == Operation::QueryNetworkProperties);
        members.map(|members| members.entry("Type").or_insert_with(|| "nat".into()));
        Ok(told)
    }

    /// POST `/endpoints/{id}`: the endpoint's whole document. What can be changed of an endpoint is its policies: those of the
    /// document take the place of the present ones, kind by kind.
    fn update(&self, id: &str, object: &str) -> Result<Value, Failure> {
        let wanted = parse_endpoint(object)?.document;
        let present = self.endpoint(id)?;
        let kind = |policy: &Value| policy["Type"].as_str().unwrap_or_default().to_owned();
        let policies = |document: &HostComputeEndpoint| -> Vec<Value> {
            document.policies.iter().map(Document::to_value).collect()
        };
        let (wanted, present) = (policies(&wanted), policies(&present));
        let new: Vec<&Value> = wanted.iter().filter(|policy| !present.contains(policy)).collect();
        let touched: Vec<String> = new.iter().map(|policy| kind(policy)).collect();
        // Those that can be modified are said again: a request without any would clear them.
        let said = |policy: &&Value| {
            let kind = kind(policy);
            touched.contains(&kind) || !touched.is_empty() && MODIFIABLE.contains(&&*kind)
        };
        let replaced: Vec<&Value> = wanted.iter().filter(said).collect();
        if !replaced.is_empty() {
            self.modify(
                Operation::ModifyEndpoint,
                id,
                "Policy",
                "Update",
                json!({ "Policies": replaced }),
            )?;
        }
        let gone = |policy: &Value| {
            !wanted.contains(policy)
                && !touched.contains(&kind(policy))
                && MODIFIABLE.contains(&&*kind(policy))
        };
        let mut left = policies(&self.endpoint(id)?);
        left.retain(gone);
        if !left.is_empty() {
            self.modify(
                Operation::ModifyEndpoint,
                id,
                "Policy",
                "Remove",
                json!({ "Policies": left }),
            )?;
        }
        self.ask(Operation::QueryEndpointProperties, id, OLDER)
    }

    /// The endpoint's document in the newer shape.
    fn endpoint(&self, id: &str) -> Result<HostComputeEndpoint, Failure> {
        let newer = r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#;
        let document = self.ask(Operation::QueryEndpointProperties, id, newer)?;
        hostcompute_schema::parse_value(&document, "").map(|parsed| parsed.document)
    }

    fn modify(
        &self,
        operation: Operation,
        id: &str,
        resource: &str,
        request: &str,
        settings: Value,
    ) -> Result<Value, Failure> {
        let request = json!({
            "ResourceType": resource, "RequestType": request, "Settings": settings,
        });
        self.ask(operation, id, &request.to_string())
    }

    /// POST `/endpoints/{id}/attach`, `detach` (`{ContainerID, SystemType, CompartmentId, VirtualNICName}`) and `refresh`.
    fn of_endpoint(&self, id: &str, verb: &str, object: &str) -> Result<Value, Failure> {
        match &*verb.to_ascii_lowercase() {
            "attach" => self.attach(id, &read(object)?),
            "detach" => self.detach(id),
            "refresh" => self.modify(Operation::ModifyEndpoint, id, "Port", "Refresh", json!({})),
            _ => {
                let why = format!("an endpoint cannot be asked to {verb}");
                Err(Failure::new(HResult::E_NOTIMPL, why))
            }
        }
    }

    fn attach(&self, id: &str, request: &Value) -> Result<Value, Failure> {
        if self.endpoint(id)?.host_compute_namespace.is_some() {
            let why = format!("endpoint {id} is attached already");
            return Err(Failure::new(HResult::HCN_E_ENDPOINT_ALREADY_ATTACHED, why));
        }
        let text = |name: &str| {
            let members = request.as_object().into_iter().flatten();
            let mut found = members.filter(|(member, _)| member.eq_ignore_ascii_case(name));
            found.find_map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let namespace = match text("SystemType") {
            "Host" => {
                self.namespace_where(|document| document["Type"].as_str() == Some("HostDefault"))?
            }
            "Container" | "" => {
                let container = text("ContainerID");
                self.namespace_where(|document| has_container(document, container))?
            }
            other => {
                let why = format!("a system of type '{other}' cannot be given an endpoint here");
                return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("SystemType"));
            }
        };
        let Some(namespace) = namespace else {
            let why = format!("no namespace has a container '{}'", text("ContainerID"));
            return Err(Failure::new(HResult::ERROR_NOT_FOUND, why)
                .at("ContainerID")
                .hint("add the container to a namespace first (HcnModifyNamespace, Container)"));
        };
        self.modify(
            Operation::ModifyNamespace,
            &namespace,
            "Endpoint",
            "Add",
            json!({ "EndpointId": id }),
        )
    }

    fn detach(&self, id: &str) -> Result<Value, Failure> {
        let Some(namespace) = self.endpoint(id)?.host_compute_namespace else {
            let why = format!("endpoint {id} is in no namespace");
            return Err(Failure::new(HResult::HCN_E_ENDPOINT_NOT_ATTACHED, why));
        };
        let settings = json!({ "EndpointId": id });
        self.modify(
            Operation::ModifyNamespace,
            &namespace.to_string(),
            "Endpoint",
            "Remove",
            settings,
        )
    }

    /// The first namespace of which something is true, by its newer document.
    fn namespace_where(&self, is: impl Fn(&Value) -> bool) -> Result<Option<String>, Failure> {
        let operation = Operation::EnumerateNamespaces;
        let call = Call { operation, id: None, network: None, document: "" };
        let ids = read(&(self.newer)(&call)?.body)?;
        let newer = r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#;
        for id in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
            match self.ask(Operation::QueryNamespaceProperties, id, newer) {
                Err(failure) if failure.is_not_found() => {}
                document if is(&document.as_ref().cloned().unwrap_or_default()) => {
                    return document.map(|_| Some(id.to_owned()));
                }
                document => drop(document?),
            }
        }
        Ok(None)
    }

    /// `/namespaces/{id}/addresource` and `removeresource`, with `{"Type": "Endpoint", "Data": {"Id": ...}}`.
    fn resource(&self, id: &str, change: &str, object: &str) -> Result<Value, Failure> {
        let request = match &*change.to_ascii_lowercase() {
            "addresource" => "Add",
            "removeresource" => "Remove",
            _ => {
                let why = format!("a namespace cannot be asked to {change}");
                return Err(Failure::new(HResult::E_NOTIMPL, why));
            }
        };
        let object = read(object)?;
        let kind = object["Type"].as_str().unwrap_or_default();
        let data = object["Data"].as_object();
        let named = data.into_iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case("Id"));
        let settings = match (named, kind) {
            (Some((_, id)), "Container") => json!({ "ContainerId": id }),
            (Some((_, id)), _) => json!({ "EndpointId": id }),
            (None, _) => object["Data"].clone(),
        };
        self.modify(Operation::ModifyNamespace, id, kind, request, settings).map_err(absent)
    }
}

/// hcsshim knows that what it removes from a namespace is gone by the text of this code (hcn.md 5.9).
fn absent(failure: Failure) -> Failure {
    match failure.is_not_found() {
        true => Failure { hresult: HResult::ERROR_NOT_FOUND, ..failure },
        false => failure,
    }
}

fn unknown(method: &str, path: &str) -> Failure {
    Failure::new(
        HResult::E_NOTIMPL,
        format!("there is no {method} {path} in the older interface here"),
    )
}

fn guid(text: &str) -> Result<Guid, Failure> {
    text.parse().map_err(|_| {
        Failure::new(HResult::HCN_E_GUID_CONVERSION_FAILURE, format!("{text:?} is no GUID"))
    })
}

/// Whether a policy list is one of routes.
fn is_route(object: &str) -> bool {
    let read: Value = serde_json::from_str(object).unwrap_or_default();
    let policies = read["Policies"].as_array().into_iter().flatten();
    policies.filter_map(|policy| policy["Type"].as_str()).any(|kind| kind == "ROUTE")
}

fn has_container(namespace: &Value, container: &str) -> bool {
    let resources = namespace["Resources"].as_array().into_iter().flatten();
    let mut containers = resources.filter(|resource| resource["Type"] == "Container");
    containers.any(|resource| {
        resource["Data"]["Id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(container))
    })
}

/// The document that an answer is; null where there is nothing to say.
fn read(text: &str) -> Result<Value, Failure> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|error| {
        Failure::new(HResult::HCN_E_INVALID_JSON, "the document is no JSON").because(&error)
    })
}
