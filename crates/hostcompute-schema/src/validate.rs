//! Checking a document against the schema as far as the schema goes, settings of policies and of
//! requests included, without asking what it means.
//!
//! Reading stops at members that may hold anything, since what they hold depends on another member.
//! Validation goes on: it follows the tables instead of the Rust types, so it covers every type,
//! and tells of values that no schema lists, which reading keeps silently.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::document::Document;
use crate::element::{Base64, Element};
use crate::enumeration::{choices, find, read_coded, read_flags, read_kind};
use crate::failure::{Failure, Warning};
use crate::guid::Guid;
use crate::hcn::*;
use crate::hcs::{
    self, ComputeSystem, ContainerCredentialGuardAddInstanceRequest,
    ContainerCredentialGuardOperationRequest, ContainerCredentialGuardRemoveInstanceRequest,
    CreateGroupOperation, DateTime, DeleteGroupOperation, HostProcessorModificationRequest,
    HostedSystem, ProcessParameters, ProcessSignal, ResourcePath, SetPropertyOperation, Settings,
    Signal,
};
use crate::host_document::{HostDocument, LISTS, REFERENCES};
use crate::hresult::HResult;
use crate::map::{invalid_key, is_key};
use crate::parse::{locate_notes, read_json};
use crate::reader::{Manner, Reader};
use crate::schema::{EnumSchema, Family, Kind, MapKey, StructSchema, Wire};
use crate::v1;

/// What a document turned out to be.
#[derive(Debug)]
pub struct Validated {
    /// Its type.
    pub schema: &'static StructSchema,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
}

/// Checks a document; without a type, the one that its members suggest.
///
/// # Errors
/// Every mistake, with path and position; `E_INVALIDARG` when the members suggest no type.
pub fn validate(
    text: &str,
    schema: Option<&'static StructSchema>,
) -> Result<Validated, Vec<Failure>> {
    let value = read(text, schema)?;
    let Some(schema) = schema.or_else(|| recognise(&value)) else {
        let failure = Failure::new(HResult::E_INVALIDARG, "nothing tells what this document is")
            .hint("say its type, such as HostComputeNetwork");
        return Err(vec![failure]);
    };
    let value = current(schema, value);
    let mut reader = reader_for(schema);
    check_struct(schema, &value, &mut reader);
    if schema.name == ComputeSystem::SCHEMA.name && !reader.has_failed() {
        let system = ComputeSystem::read(&value, &mut Reader::tolerant());
        hcs::check_system(&system, &mut reader);
    }
    let warnings = locate_notes(reader, text)?;
    Ok(Validated { schema, warnings })
}

/// Reads the text as strictly as the service that it is for.
fn read(text: &str, schema: Option<&'static StructSchema>) -> Result<Value, Vec<Failure>> {
    let lenient = read_json(text);
    let schema = schema.or_else(|| recognise(lenient.as_ref().ok()?));
    let of_compute = schema.is_some_and(|schema| schema.family == Family::Compute);
    let read = if of_compute { hcs::read_json(text) } else { lenient };
    read.map_err(|failure| vec![failure])
}

fn reader_for(schema: &StructSchema) -> Reader {
    match schema.family {
        Family::Network => Reader::default(),
        Family::Compute => Reader::strict(),
    }
}

/// The type of this name; case is ignored. Where both services have one, `hcs.` or `hcn.` in front
/// tells which; the network service's comes first.
pub fn type_named(name: &str) -> Option<&'static StructSchema> {
    let of_family = |family: &str| {
        let prefix = name.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case(family));
        prefix.and_then(|_| name.get(4..))
    };
    let called = |name: &str, structs: &[&'static StructSchema]| {
        structs.iter().copied().find(|schema| schema.name.eq_ignore_ascii_case(name))
    };
    if let Some(name) = of_family("hcs.") {
        return called(name, hcs::listing::STRUCTS);
    }
    let name = of_family("hcn.").unwrap_or(name);
    called(name, listing::STRUCTS)
        .or_else(|| called(name, &[HostDocument::SCHEMA]))
        .or_else(|| called(name, hcs::listing::STRUCTS))
}

/// The type that a document's members suggest.
pub fn recognise(document: &Value) -> Option<&'static StructSchema> {
    let object = document.as_object()?;
    let has = |names: &[&str]| names.iter().any(|name| get(object, name).is_some());
    let kind = get(object, "Type").and_then(Value::as_str).unwrap_or_default();
    let is = |known: &EnumSchema| known.values.iter().any(|value| value.is_called(kind));
    if has(&["Networks", "Namespaces", "Endpoints", "LoadBalancers", "ComputeSystems"]) {
        Some(HostDocument::SCHEMA)
    } else if let Some(schema) = recognise_compute(object) {
        Some(schema)
    } else if has(&["ResourceType", "RequestType"]) {
        Some(recognise_request(object))
    } else if has(&["HostComputeEndpoints", "FrontendVIPs", "PortMappings", "SourceVIP"]) {
        let route = has(&["Routes", "Setting"]);
        Some(if route { HostComputeRoute::SCHEMA } else { HostComputeLoadBalancer::SCHEMA })
    } else if has(&["NamespaceId", "NamespaceGuid", "Resources"]) || is(NamespaceType::SCHEMA) {
        Some(HostComputeNamespace::SCHEMA)
    } else if has(&["VirtualMachineId", "GnsRpcServerInformation"]) {
        Some(GuestNetworkService::SCHEMA)
    } else if has(&["HostComputeNetwork", "IpConfigurations", "MacAddress"])
        || v1::is_v1_endpoint(document) && has(&["VirtualNetwork"])
    {
        Some(HostComputeEndpoint::SCHEMA)
    } else if has(&["Ipams", "MacPool"]) || is(NetworkMode::SCHEMA) || v1::is_v1_network(document) {
        Some(HostComputeNetwork::SCHEMA)
    } else if has(&["Filter"]) {
        Some(HostComputeQuery::SCHEMA)
    } else {
        None
    }
}

/// Documents of the compute service, by members that no document of the network service has.
fn recognise_compute(object: &Map<String, Value>) -> Option<&'static StructSchema> {
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    if has(&["VirtualMachine", "HostedSystem", "HostingSystemId"])
        || has(&["Container"]) && has(&["SchemaVersion", "Owner"])
    {
        Some(ComputeSystem::SCHEMA)
    } else if has(&["CommandLine", "CommandArgs", "CreateStdOutPipe"]) {
        Some(ProcessParameters::SCHEMA)
    } else if has(&["ResourcePath"]) {
        Some(hcs::ModifySettingRequest::SCHEMA)
    } else {
        None
    }
}

fn recognise_request(request: &Map<String, Value>) -> &'static StructSchema {
    let resource = get(request, "ResourceType").and_then(Value::as_str).unwrap_or_default();
    let is = |known: &EnumSchema| known.values.iter().any(|value| value.is_called(resource));
    let policies = get(request, "Settings").and_then(|settings| settings.get("Policies"));
    let of_network = policies.and_then(Value::as_array).is_some_and(|policies| {
        let kinds = policies.iter().filter_map(|policy| policy.get("Type")?.as_str());
        let mut kinds = kinds.map(|kind| {
            NetworkPolicyType::from_name(kind).is_known()
                && !EndpointPolicyType::from_name(kind).is_known()
        });
        kinds.any(|network_only| network_only)
    });
    if is(NamespaceResourceType::SCHEMA) {
        ModifyNamespaceSettingRequest::SCHEMA
    } else if is(GuestNetworkServiceResourceType::SCHEMA) {
        ModifyGuestNetworkServiceSettingRequest::SCHEMA
    } else if is(EndpointResourceType::SCHEMA) && !of_network {
        ModifyEndpointSettingRequest::SCHEMA
    } else {
        ModifyNetworkSettingRequest::SCHEMA
    }
}

/// The document in the shape of version 2.
fn current(schema: &StructSchema, value: Value) -> Value {
    match schema.name {
        "HostComputeNetwork" if v1::is_v1_network(&value) => v1::network_from_v1(value),
        "HostComputeEndpoint" if v1::is_v1_endpoint(&value) => v1::endpoint_from_v1(value),
        _ => value,
    }
}

fn check_struct(schema: &StructSchema, value: &Value, reader: &mut Reader) {
    let Value::Object(object) = value else {
        return reader.fail_type("an object", value);
    };
    let strict = reader.manner() == Manner::Strict;
    for (name, value) in object.iter().filter(|(_, value)| strict || !value.is_null()) {
        let known = reader.index_of(name, schema).and_then(|index| schema.all_members().nth(index));
        let Some(member) = known else {
            reader.unknown_member(name, schema);
            continue;
        };
        if value.is_null() {
            continue;
        }
        reader.in_member(name, |reader| {
            check_value(&member.kind, value, reader);
            if schema.name == HostDocument::SCHEMA.name {
                check_list(member.name, value, reader);
            } else if matches!(member.kind, Kind::Any) {
                check_any(schema, member.name, value, object, reader);
            }
        });
    }
}

/// A member that may hold anything, as far as the members beside it tell what it holds.
fn check_any(
    schema: &StructSchema,
    member: &str,
    value: &Value,
    object: &Map<String, Value>,
    reader: &mut Reader,
) {
    let inner = match schema.family {
        Family::Network => settings_of(schema, member, object).map(Settings::Document),
        Family::Compute => compute_settings(schema, member, object),
    };
    match inner {
        Some(Settings::Document(inner)) => check_struct(inner, value, reader),
        Some(Settings::Value(kind)) => check_value(&kind, value, reader),
        Some(Settings::None | Settings::Undescribed) | None => {}
    }
}

/// What a member of the compute service's documents holds that may hold anything.
fn compute_settings(
    schema: &StructSchema,
    member: &str,
    object: &Map<String, Value>,
) -> Option<Settings> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    match (schema.name, member) {
        ("ComputeSystem", "HostedSystem") => Some(Settings::Document(HostedSystem::SCHEMA)),
        ("ModifySettingRequest", "Settings") => {
            ResourcePath::of(text("ResourcePath")).map(|(row, _)| row.settings)
        }
        ("ModificationRequest", "Settings") => match text("PropertyType") {
            "CpuGroup" => Some(HostProcessorModificationRequest::SCHEMA),
            "ContainerCredentialGuard" => Some(ContainerCredentialGuardOperationRequest::SCHEMA),
            _ => None,
        }
        .map(Settings::Document),
        (_, "OperationDetails") => match text("Operation") {
            "CreateGroup" => Some(CreateGroupOperation::SCHEMA),
            "DeleteGroup" => Some(DeleteGroupOperation::SCHEMA),
            "SetProperty" => Some(SetPropertyOperation::SCHEMA),
            "AddInstance" => Some(ContainerCredentialGuardAddInstanceRequest::SCHEMA),
            "RemoveInstance" => Some(ContainerCredentialGuardRemoveInstanceRequest::SCHEMA),
            _ => None,
        }
        .map(Settings::Document),
        _ => None,
    }
}

/// The documents in one list of a host document.
fn check_list(list: &str, value: &Value, reader: &mut Reader) {
    if list == "ComputeSystems" {
        for (index, document) in value.as_array().into_iter().flatten().enumerate() {
            reader.in_element(index, |reader| check_system(document, reader));
        }
    }
    let Some((_, schema)) = LISTS.iter().find(|(name, _)| *name == list) else { return };
    for (index, document) in value.as_array().into_iter().flatten().enumerate() {
        let mut document = current(schema, document.clone());
        // Names in place of ids are for the engine to resolve.
        if let Some(members) = document.as_object_mut() {
            members.retain(|name, value| {
                !(value.is_string()
                    && REFERENCES.iter().any(|member| member.eq_ignore_ascii_case(name)))
            });
        }
        reader.in_element(index, |reader| check_struct(schema, &document, reader));
    }
}

/// What a compute system of a host document runs.
const PROCESSES: Kind = Kind::List(&Kind::Struct(ProcessParameters::SCHEMA));

/// A compute system of a host document: the compute service's document, read as strictly as that reads it, and two members more.
fn check_system(value: &Value, reader: &mut Reader) {
    let Value::Object(object) = value else {
        return reader.fail_type("an object", value);
    };
    let mut strict = Reader::strict().at(reader.path());
    let mut document = object.clone();
    document
        .retain(|name, _| !["Id", "Processes"].iter().any(|own| own.eq_ignore_ascii_case(name)));
    // Names in place of ids are for the engine to resolve.
    if let Some(Value::Object(networking)) = document
        .get_mut("Container")
        .and_then(Value::as_object_mut)
        .and_then(|container| container.get_mut("Networking"))
    {
        networking.remove("NetworkAdapters");
    }
    let document = Value::Object(document);
    check_struct(ComputeSystem::SCHEMA, &document, &mut strict);
    if !strict.has_failed() {
        let system = ComputeSystem::read(&document, &mut Reader::tolerant());
        hcs::check_system(&system, &mut strict);
    }
    if let Some(processes) = get(object, "Processes") {
        strict.in_member("Processes", |strict| check_value(&PROCESSES, processes, strict));
    }
    reader.absorb(strict);
}

/// What a member that may hold anything holds, as the members beside it tell.
fn settings_of(
    schema: &StructSchema,
    member: &str,
    object: &Map<String, Value>,
) -> Option<&'static StructSchema> {
    if !matches!(member, "Settings" | "Data") {
        return None;
    }
    let text = |name: &str| get(object, name).and_then(Value::as_str).unwrap_or_default();
    match schema.name {
        "NetworkPolicy" => NetworkPolicyType::from_name(text("Type")).settings(),
        "EndpointPolicy" => EndpointPolicyType::from_name(text("Type")).settings(),
        "SubnetPolicy" => match SubnetPolicyType::from_name(text("Type")) {
            SubnetPolicyType::VLAN => Some(VlanPolicySetting::SCHEMA),
            SubnetPolicyType::VSID => Some(VsidPolicySetting::SCHEMA),
            SubnetPolicyType::Unknown(_) => None,
        },
        "PrioritizedAuthenticationMethod" => match AuthenticationType::from_name(text("Type")) {
            AuthenticationType::PresharedKey => Some(AuthenticationPresharedKey::SCHEMA),
            AuthenticationType::Certificate => Some(AuthenticationCertificate::SCHEMA),
            AuthenticationType::Unknown(_) => None,
        },
        "NamespaceResource" => match NamespaceResourceType::from_name(text("Type")) {
            NamespaceResourceType::Container => Some(NamespaceResourceContainer::SCHEMA),
            NamespaceResourceType::Endpoint => Some(NamespaceResourceEndpoint::SCHEMA),
            NamespaceResourceType::Unknown(_) => None,
        },
        _ => request_settings(schema, text("ResourceType")),
    }
}

fn request_settings(schema: &StructSchema, resource: &str) -> Option<&'static StructSchema> {
    match schema.name {
        "ModifyNetworkSettingRequest" => match NetworkResourceType::from_name(resource) {
            NetworkResourceType::DNS => Some(Dns::SCHEMA),
            NetworkResourceType::Extension => Some(Extension::SCHEMA),
            NetworkResourceType::Policy => Some(PolicyNetworkRequest::SCHEMA),
            NetworkResourceType::Subnet => Some(SubnetNetworkRequest::SCHEMA),
            NetworkResourceType::IPSubnet => Some(IpSubnetNetworkRequest::SCHEMA),
            NetworkResourceType::Unknown(_) => None,
        },
        "ModifyEndpointSettingRequest" => match EndpointResourceType::from_name(resource) {
            EndpointResourceType::Port => Some(VmEndpointRequest::SCHEMA),
            EndpointResourceType::Policy => Some(PolicyEndpointRequest::SCHEMA),
            EndpointResourceType::Unknown(_) => None,
        },
        "ModifyNamespaceSettingRequest" => match NamespaceResourceType::from_name(resource) {
            NamespaceResourceType::Container => Some(NamespaceContainerRequest::SCHEMA),
            NamespaceResourceType::Endpoint => Some(NamespaceEndpointRequest::SCHEMA),
            NamespaceResourceType::Unknown(_) => None,
        },
        "ModifyGuestNetworkServiceSettingRequest" => Some(GuestNetworkServiceStateRequest::SCHEMA),
        _ => None,
    }
}

fn check_value(kind: &Kind, value: &Value, reader: &mut Reader) {
    match kind {
        Kind::Bool => drop(bool::from_json(value, reader)),
        Kind::Unsigned(8) => drop(u8::from_json(value, reader)),
        Kind::Unsigned(16) => drop(u16::from_json(value, reader)),
        Kind::Unsigned(32) => drop(u32::from_json(value, reader)),
        Kind::Unsigned(_) => drop(u64::from_json(value, reader)),
        Kind::Signed(32) => drop(i32::from_json(value, reader)),
        Kind::Signed(_) => drop(i64::from_json(value, reader)),
        Kind::Float => drop(f64::from_json(value, reader)),
        Kind::Text => drop(String::from_json(value, reader)),
        Kind::Guid => drop(Guid::from_json(value, reader)),
        Kind::Bytes => drop(Base64::from_json(value, reader)),
        Kind::Mac => drop(hcs::MacAddress::from_json(value, reader)),
        Kind::Time => drop(DateTime::from_json(value, reader)),
        Kind::Any => {}
        Kind::List(element) => match value {
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    reader.in_element(index, |reader| check_value(element, value, reader));
                }
            }
            other => reader.fail_type("a list", other),
        },
        Kind::Enum(schema) => check_enumeration(schema, value, reader),
        Kind::Pair(_) => drop(<[u16; 2]>::from_json(value, reader)),
        Kind::Map(key, element) => check_map(*key, element, value, reader),
        Kind::Struct(schema) => check_struct(schema, value, reader),
        Kind::Nested(schema) => check_struct(schema(), value, reader),
    }
}

fn check_map(key: MapKey, element: &Kind, value: &Value, reader: &mut Reader) {
    let Value::Object(entries) = value else {
        return reader.fail_type("an object", value);
    };
    for (name, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        reader.in_member(name, |reader| {
            if !is_key(key, name) {
                reader.fail_schema(invalid_key(key, name));
            }
            check_value(element, value, reader);
        });
    }
}

/// Also tells of values that no schema lists.
fn check_enumeration(schema: &'static EnumSchema, value: &Value, reader: &mut Reader) {
    let known = |name: &str| find(schema, name).is_some();
    if schema.name == ProcessSignal::SCHEMA.name {
        // A signal may be a number, too.
        return drop(Signal::from_json(value, reader));
    }
    match schema.wire {
        Wire::Name | Wire::NameOrBlank => {
            if read_kind(schema, value, reader, known) == Some(false) {
                reader.warn(format!(
                    "{value} is not a known {}; there are {}",
                    schema.name,
                    choices(schema)
                ));
            }
        }
        Wire::Number => drop(read_coded(schema, value, reader)),
        Wire::Flags => {
            let bits = read_flags(schema, value, reader).unwrap_or_default();
            let named = schema.values.iter().filter_map(|value| value.number);
            let unnamed = bits & !named.fold(0, |all, bit| all | bit);
            if unnamed != 0 {
                reader.warn(format!("{} has no flag {unnamed:#x}", schema.name));
            }
        }
    }
}

fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
