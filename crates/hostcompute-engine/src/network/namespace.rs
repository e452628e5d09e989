//! Namespaces: HcnCreateNamespace, HcnModifyNamespace, HcnDeleteNamespace (hcn.md 2.15, 2.16, 3.6).
//!
//! Host namespaces are named network namespaces. HostDefault is the host's own: it always exists, and creating it returns
//! it. Guest and GuestDefault namespaces are inside of virtual machines: records, into which nothing can be plugged from here.

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::{
    Dns, Failure, Guid, HResult, HostComputeNamespace, ModifyNamespaceSettingRequest,
    ModifyRequestType, NamespaceContainerRequest, NamespaceEndpointRequest, NamespaceResource,
    NamespaceResourceType, NamespaceType, Version,
};
use serde_json::{Map, Value, json};

use crate::decide::Draft;
use crate::network::endpoint::{Endpoint, FIRST_RESOLVER};
use crate::network::network::unsupported_modification;
use crate::network::policy::proxy;
use crate::network::{attach, dns};
use crate::object::{Change, Kind, Object, Parts};
use crate::plan::{Fact, Resolver};
use crate::request::EventKind;
use crate::state::State;

/// The id of namespace HostDefault: our own constant, the same on every host.
pub const HOST_DEFAULT: Guid = Guid::from_bytes([
    0x68, 0x6f, 0x73, 0x74, 0x63, 0x6f, 0x4d, 0x70, 0x80, 0x00, 0x64, 0x65, 0x66, 0x61, 0x75, 0x6c,
]);

/// Windows' number for the host's default compartment.
const HOST_COMPARTMENT: u32 = 1;

/// A namespace.
#[derive(Debug, Clone)]
pub struct Namespace {
    pub id: Guid,
    /// As clients see it; the resources follow from the state.
    pub document: HostComputeNamespace,
    pub(crate) sequence: u64,
    /// Containers that use it; it cannot be deleted while there are any.
    pub containers: Vec<String>,
}

impl Namespace {
    /// Whether it is inside of a virtual machine, and nothing on this host.
    pub fn is_guests(&self) -> bool {
        matches!(self.document.kind, Some(NamespaceType::Guest | NamespaceType::GuestDefault))
    }

    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Sequence".into(), self.sequence.into());
        if !self.containers.is_empty() {
            chosen.insert("Containers".into(), self.containers.clone().into());
        }
        chosen
    }

    pub(crate) fn revive(id: Guid, parts: Parts) -> Result<Namespace, Failure> {
        let document = hostcompute_schema::parse_value(&parts.document, "")?.document;
        let containers = parts.chosen.0.get("Containers").and_then(Value::as_array);
        let names = containers.into_iter().flatten().filter_map(Value::as_str).map(String::from);
        let sequence = parts.chosen.number("Sequence").unwrap_or_default();
        Ok(Namespace { id, document, sequence, containers: names.collect() })
    }
}

/// The document of a namespace, HostDefault included, with its resources.
///
/// # Errors
/// ERROR_NOT_FOUND.
pub fn describe(state: &State, id: Guid) -> Result<HostComputeNamespace, Failure> {
    let (mut document, containers) = match state.namespaces.get(id) {
        Some(namespace) => (namespace.document.clone(), namespace.containers.as_slice()),
        None if id == HOST_DEFAULT => (host_default(), [].as_slice()),
        None => return Err(Kind::Namespace.missing(id)),
    };
    let resource = |kind, id: String| NamespaceResource {
        kind: Some(kind),
        data: Some(json!({ "Id": id })),
        ..NamespaceResource::default()
    };
    // Upper case inside, as Windows prints it and its consumers compare (hcn.md rule 34).
    let endpoints = state.attached(id).map(|endpoint| endpoint.id.to_upper());
    document.resources =
        endpoints.map(|id| resource(NamespaceResourceType::Endpoint, id)).collect();
    let containers = containers.iter().cloned();
    document.resources.extend(containers.map(|id| resource(NamespaceResourceType::Container, id)));
    Ok(document)
}

fn host_default() -> HostComputeNamespace {
    let mut document = HostComputeNamespace {
        kind: Some(NamespaceType::HostDefault),
        namespace_id: Some(HOST_COMPARTMENT),
        namespace_guid: Some(HOST_DEFAULT),
        ..HostComputeNamespace::default()
    };
    document.base.id = Some(HOST_DEFAULT);
    document.base.schema_version = Some(version());
    document
}

fn version() -> Version {
    Version::new(2, 0)
}

/// What the host has because of a namespace.
pub(crate) fn facts(state: &State, id: Guid, facts: &mut Vec<Fact>) {
    if state.namespaces.get(id).is_none_or(|namespace| namespace.is_guests()) {
        return;
    }
    facts.push(Fact::Netns(id));
    let residents = state.attached(id).map(|endpoint| &**endpoint);
    facts.extend(proxy::interception(state, id, residents).map(Fact::Interception));
    if let Some(content) = resolver(state.attached(id).map(|endpoint| &**endpoint)) {
        facts.push(Fact::Resolver(Resolver { netns: id, content }));
    }
}

/// resolv.conf(5) for a namespace with these endpoints; nothing when none of them says anything of names.
pub fn resolver<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> Option<String> {
    let mut endpoints: Vec<&Endpoint> = endpoints.collect();
    endpoints.sort_by_key(|endpoint| !endpoint.has_flag(FIRST_RESOLVER));
    let settings: Vec<&Dns> =
        endpoints.iter().filter_map(|endpoint| endpoint.document.dns.as_ref()).collect();
    dns::resolver(&settings)
}

/// HcnCreateNamespace.
pub(crate) fn create(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let mut document: HostComputeNamespace = draft.settings(hostcompute_schema::parse_namespace)?;
    match document.kind.as_ref() {
        None | Some(NamespaceType::Host) => {}
        Some(NamespaceType::HostDefault) => {
            // A singleton: the id asked for is ignored (hcn.md 2.15).
            draft.created(HOST_DEFAULT);
            return Ok(());
        }
        // Records of what is inside of a machine.
        Some(NamespaceType::Guest | NamespaceType::GuestDefault) => {}
        Some(other) => {
            let why = alloc::format!("'{}' is not a type of namespace", other.name());
            return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
                .at("Type")
                .hint("use Host, HostDefault, Guest or GuestDefault"));
        }
    }
    let id = draft.new_id(Kind::Namespace, document.base.id)?;
    document.base.id = Some(id);
    document.base.schema_version = Some(version());
    document.namespace_guid = Some(id);
    let sequence = draft.next_sequence();
    // Numbers of compartments are unique while they exist; the host's own is 1.
    let number = u32::try_from(sequence & 0x3fff_ffff).unwrap_or(0) + HOST_COMPARTMENT + 1;
    document.namespace_id = Some(number);
    document.resources = Vec::new();
    let namespace = Namespace { id, document, sequence, containers: Vec::new() };
    draft.put(Object::Namespace(namespace.into()));
    draft.namespace_event(EventKind::NamespaceCreate, id);
    draft.created(id);
    Ok(())
}

/// HcnModifyNamespace: endpoints and containers come and go.
pub(crate) fn modify(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    if !draft.state.exists(Kind::Namespace, id) {
        return Err(Kind::Namespace.missing(id));
    }
    let request: ModifyNamespaceSettingRequest = draft.settings(hostcompute_schema::parse)?;
    let settings = request.settings.clone().unwrap_or(Value::Object(Map::new()));
    use {ModifyRequestType as Request, NamespaceResourceType as Resource};
    match (&request.resource_type, &request.request_type) {
        (Some(Resource::Endpoint), Some(kind @ (Request::Add | Request::Remove))) => {
            let asked: NamespaceEndpointRequest = draft.part(&settings, "Settings")?;
            let Some(endpoint) = asked.endpoint_id else {
                return Err(Failure::new(HResult::E_INVALIDARG, "the request names no endpoint")
                    .at("Settings.EndpointId"));
            };
            match kind {
                Request::Add => attach::attach(draft, endpoint, id),
                _ => remove_endpoint(draft, endpoint, id),
            }
        }
        (Some(Resource::Container), Some(kind @ (Request::Add | Request::Remove))) => {
            let asked: NamespaceContainerRequest = draft.part(&settings, "Settings")?;
            let container = asked.container_id.unwrap_or_default();
            change_container(draft, id, container, matches!(kind, Request::Add))
        }
        (resource, kind) => Err(unsupported_modification(
            "namespace",
            resource.as_ref().map(|resource| resource.name()),
            kind.as_ref().map(|kind| kind.name()),
        )),
    }
}

fn remove_endpoint(
    draft: &mut Draft<'_, '_>,
    endpoint: Guid,
    namespace: Guid,
) -> Result<(), Failure> {
    let missing = || {
        let why = alloc::format!("endpoint {endpoint} is not in namespace {namespace}");
        Failure::new(HResult::ERROR_NOT_FOUND, why).at("Settings.EndpointId")
    };
    let endpoint = draft.state.endpoints.get(endpoint).cloned().ok_or_else(missing)?;
    match &endpoint.attachment {
        Some(attachment) if attachment.namespace == namespace => {
            attach::detach(draft, &endpoint);
            Ok(())
        }
        _ => Err(missing()),
    }
}

fn change_container(
    draft: &mut Draft<'_, '_>,
    id: Guid,
    container: String,
    add: bool,
) -> Result<(), Failure> {
    let refuse = |code, why: String| Err(Failure::new(code, why).at("Settings.ContainerId"));
    let Some(namespace) = draft.state.namespaces.get(id) else {
        return refuse(HResult::E_INVALIDARG, "containers cannot use namespace HostDefault".into());
    };
    let mut changed = (**namespace).clone();
    let place = changed.containers.iter().position(|other| *other == container);
    match (add, place) {
        (true, None) if !container.is_empty() => changed.containers.push(container),
        (true, _) => return Ok(()),
        (false, Some(place)) => drop(changed.containers.remove(place)),
        (false, None) => {
            let why = alloc::format!("container '{container}' does not use the namespace");
            return refuse(HResult::ERROR_NOT_FOUND, why);
        }
    }
    draft.put(Object::Namespace(changed.into()));
    Ok(())
}

/// HcnDeleteNamespace: endpoints inside are detached; HostDefault only loses its endpoints (hcn.md 7, rows 3 and 25).
pub(crate) fn delete(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    if !draft.state.exists(Kind::Namespace, id) {
        return Err(Kind::Namespace.missing(id));
    }
    if let Some(user) = draft.state.namespaces.get(id).and_then(|n| n.containers.first()) {
        let why = alloc::format!("container {} uses namespace {id}", user);
        return Err(
            Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).hint("stop the container first")
        );
    }
    let endpoints: Vec<_> = draft.state.attached(id).cloned().collect();
    for endpoint in endpoints {
        attach::detach(draft, &endpoint);
    }
    if id != HOST_DEFAULT {
        draft.changes.push(Change::Delete(Kind::Namespace, id));
        draft.namespace_event(EventKind::NamespaceDelete, id);
    }
    Ok(())
}
