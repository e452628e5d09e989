//! Asking and changing the service (hcs.md 3.11): what it understands, what processors the host has, CPU groups.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use hostcompute_schema::hcs::{
    self, BasicInformation, ContainerCredentialGuardSystemInfo, GetPropertyType, LogicalProcessor,
    ModificationRequest, ModifyPropertyType, NonArchitecturalCoreSharing,
    ProcessorCapabilitiesInfo, ProcessorTopology, QoSCapabilities, ServiceProperties,
    ServicePropertyQuery, Subnode, SubnodeType, Version,
};
use hostcompute_schema::{Document, Failure, HResult};
use serde_json::Value;

use super::cpu_group::{self, CpuGroups, GroupChange};
use super::facts::{Cpu, HostFacts};
use super::{processor, properties};

/// The newest published schema; members that are newer are understood all the same.
const SCHEMA: (u32, u32) = (2, 6);

/// Answers what HcsGetServiceProperties asks.
///
/// # Errors
/// HCS_E_INVALID_JSON; ERROR_NOT_SUPPORTED for a property type that Linux has nothing for. PropertyQueries are answered or refused each
/// by itself.
pub fn answer(
    text: &str,
    facts: &HostFacts,
    groups: &CpuGroups,
) -> Result<ServiceProperties, Failure> {
    let query: ServicePropertyQuery = hcs::parse_optional(text)?;
    let mut properties = Vec::new();
    for (index, kind) in query.property_types.iter().flatten().enumerate() {
        let at = alloc::format!("$.PropertyTypes[{index}]");
        let property = property(kind.name(), facts, groups);
        properties.push(property.map_err(|failure| failure.at(at).in_document(text))?);
    }
    let responses = query.property_queries.map(|queries| {
        let names = queries.into_keys();
        names
            .map(|name| {
                let response = properties::response(property(&name, facts, groups));
                (name, response)
            })
            .collect()
    });
    let asked = query.property_types.is_some() || responses.is_none();
    Ok(ServiceProperties {
        properties: asked.then_some(properties),
        property_responses: responses,
        ..ServiceProperties::default()
    })
}

fn property(name: &str, facts: &HostFacts, groups: &CpuGroups) -> Result<Value, Failure> {
    if name == "ProcessorCapabilities" {
        return Ok(capabilities(facts).to_value());
    }
    Ok(match GetPropertyType::from_name(name) {
        GetPropertyType::Basic => basic().to_value(),
        GetPropertyType::CpuGroup => groups.configurations().to_value(),
        GetPropertyType::ProcessorTopology => topology(facts).to_value(),
        GetPropertyType::QoSCapabilities => {
            let processor_qos_supported = Some(facts.limits.processor);
            QoSCapabilities { processor_qos_supported, ..QoSCapabilities::default() }.to_value()
        }
        GetPropertyType::ContainerCredentialGuard => {
            let instances = Some(Vec::new());
            let info = ContainerCredentialGuardSystemInfo::default();
            ContainerCredentialGuardSystemInfo { instances, ..info }.to_value()
        }
        _ => {
            let why = alloc::format!("this service has no property {name}");
            return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why));
        }
    })
}

fn basic() -> BasicInformation {
    let (major, minor) = SCHEMA;
    let version = Version { major: Some(major), minor: Some(minor), ..Version::default() };
    BasicInformation {
        supported_schema_versions: Some(vec![version]),
        ..BasicInformation::default()
    }
}

fn topology(facts: &HostFacts) -> ProcessorTopology {
    ProcessorTopology {
        logical_processor_count: u32::try_from(facts.cpus.len()).ok(),
        logical_processors: Some(facts.cpus.iter().map(logical_processor).collect()),
        ..ProcessorTopology::default()
    }
}

fn logical_processor(cpu: &Cpu) -> LogicalProcessor {
    let subnode =
        |kind, id: u32| Subnode { kind: Some(kind), id: Some(id.into()), ..Subnode::default() };
    let mut subnodes = vec![subnode(SubnodeType::Socket, cpu.package)];
    subnodes.extend(cpu.last_level_cache.map(|id| subnode(SubnodeType::L3, id)));
    LogicalProcessor {
        lp_index: Some(cpu.index),
        node_number: Some(cpu.node),
        package_id: Some(cpu.package),
        core_id: Some(cpu.core),
        root_vp_index: i32::try_from(cpu.index).ok(),
        subnodes: Some(subnodes),
        ..LogicalProcessor::default()
    }
}

fn capabilities(facts: &HostFacts) -> ProcessorCapabilitiesInfo {
    let known = |number: u32| (number > 0).then_some(u64::from(number));
    ProcessorCapabilitiesInfo {
        processor_features: Some(processor::features(facts)),
        xsave_processor_features: Some(processor::xsave_features(facts)),
        cache_line_flush_size: known(facts.cache_line),
        implemented_physical_address_bits: known(facts.physical_address_bits),
        non_architectural_core_sharing: Some(NonArchitecturalCoreSharing::Unreported),
        ..ProcessorCapabilitiesInfo::default()
    }
}

/// Reads what HcsModifyServiceSettings is given; nothing is to be done when it asks for what is so.
///
/// # Errors
/// HCS_E_INVALID_JSON, E_INVALIDARG; ERROR_NOT_SUPPORTED for ContainerCredentialGuard.
pub fn read_modification(text: &str, facts: &HostFacts) -> Result<Option<GroupChange>, Failure> {
    let request: ModificationRequest = hcs::parse(text)?;
    let settings = request.settings.unwrap_or_default();
    match request.property_type {
        Some(ModifyPropertyType::CpuGroup) => {
            cpu_group::read_change(&settings, facts).map_err(|failure| failure.in_document(text))
        }
        Some(kind) => {
            let why = alloc::format!("{kind} cannot be modified here");
            let failure = Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at("$.PropertyType");
            Err(failure.in_document(text))
        }
        None => {
            let why = String::from("what is to be modified must be named");
            let failure = Failure::new(HResult::HCS_E_INVALID_JSON, why).at("$.PropertyType");
            Err(failure.in_document(text))
        }
    }
}
