//! Asking systems (hcs.md 3.7): property queries of both forms, and enumeration.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::hcs::{
    self, ComputeSystemProperties, DateTime, MemoryStats, OsType, ProcessDetails, ProcessorStats,
    Properties, PropertyResponse, ResultError, State, StorageStats, SystemPropertyQuery,
    SystemPropertyType, SystemQuery,
};
use hostcompute_schema::{Document, Failure, HResult};
use serde_json::Value;

use super::exit;
use super::record;
use super::system::System;
use super::verb::Verb;
use super::worker::{ProcessEntry, Statistics};

/// What is asked of one system.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    properties: Vec<Property>,
    /// By name, each answered or refused by itself.
    named: Vec<(String, Result<Property, Failure>)>,
}

/// Something that can be told of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    Statistics,
    ProcessList,
    TerminateOnLastHandleClosed,
    SystemGuid,
    /// The basic properties, as the newer queries name them.
    ComputeSystemProperties,
}

/// What must be measured for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    pub statistics: bool,
    pub processes: bool,
}

/// What was measured; absent when it was not needed.
#[derive(Debug, Default)]
pub struct Measured {
    pub statistics: Option<Result<Statistics, Failure>>,
    pub processes: Option<Result<Vec<ProcessEntry>, Failure>>,
}

/// Reads what HcsGetComputeSystemProperties is given.
///
/// # Errors
/// HCS_E_INVALID_JSON; ERROR_NOT_SUPPORTED for properties that only virtual machines have. Queries by name are not refused as a whole.
pub fn read_query(text: &str) -> Result<Query, Failure> {
    let query: SystemPropertyQuery = hcs::parse_optional(text)?;
    let mut read = Query::default();
    for (index, kind) in query.property_types.iter().flatten().enumerate() {
        let at = alloc::format!("$.PropertyTypes[{index}]");
        let property = property(kind).map_err(|failure| failure.at(at).in_document(text))?;
        read.properties.push(property);
    }
    if query.filtered_queries.is_some_and(|queries| !queries.is_empty()) {
        let why = "filtered queries are of an older schema; ask with Queries";
        let failure = Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at("$.FilteredQueries");
        return Err(failure.in_document(text));
    }
    for name in query.queries.iter().flatten().map(|(name, _)| name) {
        let property = match name.as_str() {
            "ComputeSystemProperties" => Ok(Property::ComputeSystemProperties),
            name => property(&SystemPropertyType::from_name(name)),
        };
        read.named.push((name.clone(), property));
    }
    Ok(read)
}

fn property(kind: &SystemPropertyType) -> Result<Property, Failure> {
    Ok(match kind {
        SystemPropertyType::Statistics => Property::Statistics,
        SystemPropertyType::ProcessList => Property::ProcessList,
        SystemPropertyType::TerminateOnLastHandleClosed => Property::TerminateOnLastHandleClosed,
        SystemPropertyType::SystemGUID => Property::SystemGuid,
        kind => {
            let why = alloc::format!("containers have no property {kind}");
            return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why));
        }
    })
}

impl Query {
    /// As what it is judged by the table of legal calls. Queries by name are judged each by itself, when they are answered.
    pub fn verb(&self) -> Verb {
        if self.properties.iter().any(|property| property.is_measured()) {
            Verb::Measure
        } else {
            Verb::GetProperties
        }
    }

    /// What must be measured for an answer about this system as it is now.
    pub fn needs(&self, system: &System) -> Needs {
        if system.legal(Verb::Measure).is_err() {
            return Needs::default();
        }
        let named = self.named.iter().filter_map(|(_, property)| property.as_ref().ok());
        let all: Vec<&Property> = self.properties.iter().chain(named).collect();
        Needs {
            statistics: all.contains(&&Property::Statistics),
            processes: all.contains(&&Property::ProcessList),
        }
    }

    /// The Properties document.
    ///
    /// # Errors
    /// What could not be measured.
    pub fn answer(&self, system: &System, measured: &Measured) -> Result<Properties, Failure> {
        let mut answer = basic(system);
        for property in &self.properties {
            match property {
                Property::Statistics => answer.statistics = Some(measured.statistics(system)?),
                Property::ProcessList => answer.process_list = Some(measured.processes(system)?),
                Property::TerminateOnLastHandleClosed => {
                    let flag = system.record().ends_with_last_handle;
                    answer.terminate_on_last_handle_closed = Some(flag);
                }
                Property::SystemGuid => {
                    answer.system_guid = Some(system.record().runtime_id.to_string());
                }
                Property::ComputeSystemProperties => {}
            }
        }
        if !self.named.is_empty() {
            let responses = self.named.iter().map(|(name, property)| {
                let told = property.clone().and_then(|property| one(property, system, measured));
                (name.clone(), response(told))
            });
            answer.property_responses = Some(responses.collect::<BTreeMap<_, _>>());
        }
        Ok(answer)
    }
}

impl Property {
    fn is_measured(self) -> bool {
        matches!(self, Self::Statistics | Self::ProcessList)
    }
}

impl Measured {
    fn statistics(&self, system: &System) -> Result<hcs::Statistics, Failure> {
        let read = self.statistics.clone().unwrap_or_else(|| not_now(system))?;
        Ok(statistics(&read))
    }

    fn processes(&self, system: &System) -> Result<Vec<ProcessDetails>, Failure> {
        let read = self.processes.clone().unwrap_or_else(|| not_now(system))?;
        Ok(read.iter().map(process_details).collect())
    }
}

fn not_now<T>(system: &System) -> Result<T, Failure> {
    system.legal(Verb::Measure)?;
    Err(Failure::new(HResult::E_UNEXPECTED, "the property was not measured"))
}

fn one(property: Property, system: &System, measured: &Measured) -> Result<Value, Failure> {
    Ok(match property {
        Property::Statistics => measured.statistics(system)?.to_value(),
        Property::ProcessList => {
            let list = measured.processes(system)?;
            Value::Array(list.iter().map(Document::to_value).collect())
        }
        Property::TerminateOnLastHandleClosed => system.record().ends_with_last_handle.into(),
        Property::SystemGuid => system.record().runtime_id.to_string().into(),
        Property::ComputeSystemProperties => named_basics(system).to_value(),
    })
}

/// An answer, or why there is none, among the PropertyResponses.
pub(super) fn response(told: Result<Value, Failure>) -> PropertyResponse {
    match told {
        Ok(value) => PropertyResponse { response: Some(value), ..PropertyResponse::default() },
        Err(failure) => {
            let error = Some(ResultError::of(&failure));
            PropertyResponse { error, ..PropertyResponse::default() }
        }
    }
}

/// What is told of every system, asked or not. One that has ended has no State, but Stopped and ExitType.
pub fn basic(system: &System) -> Properties {
    let record = system.record();
    let end = system.end();
    Properties {
        id: Some(record.id.clone()),
        system_type: Some(record.kind.clone()),
        runtime_os_type: Some(OsType::Linux),
        owner: Some(record.owner.clone()).filter(|owner| !owner.is_empty()),
        runtime_id: Some(record.runtime_id),
        state: end.is_none().then(|| system.state()),
        stopped: end.map(|_| true),
        exit_type: end.map(|end| exit::exit_type(&end.cause)),
        ..Properties::default()
    }
}

fn named_basics(system: &System) -> ComputeSystemProperties {
    let Properties { id, system_type, runtime_os_type, owner, runtime_id, .. } = basic(system);
    ComputeSystemProperties {
        id,
        system_type,
        state: Some(system.state()).filter(|state| *state != State::Unknown),
        owner,
        runtime_id,
        runtime_os_type,
        is_dummy: Some(false),
        ..ComputeSystemProperties::default()
    }
}

/// Reads what HcsEnumerateComputeSystems is given.
///
/// # Errors
/// HCS_E_INVALID_JSON.
pub fn read_filter(text: &str) -> Result<SystemQuery, Failure> {
    hcs::parse_optional(text)
}

/// Whether a system is among those that are asked for: each list that is there must have it. Systems have no name but their id.
pub fn matches(filter: &SystemQuery, system: &System) -> bool {
    let record = system.record();
    let among = |list: &Option<Vec<String>>, id: &str| match list {
        Some(list) if !list.is_empty() => list.iter().any(|item| record::key(item) == id),
        _ => true,
    };
    let owners = filter.owners.as_deref().unwrap_or_default();
    let types = filter.types.as_deref().unwrap_or_default();
    let key = record.key();
    among(&filter.ids, &key)
        && among(&filter.names, &key)
        && (owners.is_empty() || owners.contains(&record.owner))
        && (types.is_empty() || types.contains(&record.kind))
}

/// 100 ns since 1970, as documents print it.
fn time(ticks: u64) -> DateTime {
    let nanoseconds = u32::try_from(ticks % 10_000_000 * 100).unwrap_or_default();
    DateTime::from_unix(ticks / 10_000_000, nanoseconds)
}

fn statistics(read: &Statistics) -> hcs::Statistics {
    hcs::Statistics {
        timestamp: Some(time(read.timestamp)),
        container_start_time: Some(time(read.started)),
        uptime_100ns: Some(read.timestamp.saturating_sub(read.started)),
        processor: Some(ProcessorStats {
            total_runtime_100ns: Some(read.processor_total),
            runtime_user_100ns: Some(read.processor_user),
            runtime_kernel_100ns: Some(read.processor_kernel),
            ..ProcessorStats::default()
        }),
        memory: Some(MemoryStats {
            memory_usage_commit_bytes: Some(read.memory_commit),
            memory_usage_commit_peak_bytes: Some(read.memory_commit_peak),
            memory_usage_private_working_set_bytes: Some(read.memory_private),
            ..MemoryStats::default()
        }),
        storage: Some(StorageStats {
            read_count_normalized: Some(read.read_count),
            read_size_bytes: Some(read.read_bytes),
            write_count_normalized: Some(read.write_count),
            write_size_bytes: Some(read.write_bytes),
            ..StorageStats::default()
        }),
        ..hcs::Statistics::default()
    }
}

fn process_details(entry: &ProcessEntry) -> ProcessDetails {
    ProcessDetails {
        process_id: Some(entry.pid),
        image_name: Some(entry.image_name.clone()),
        create_timestamp: Some(time(entry.created)),
        user_time_100ns: Some(entry.user_time),
        kernel_time_100ns: Some(entry.kernel_time),
        memory_commit_bytes: Some(entry.memory_commit),
        memory_working_set_private_bytes: Some(entry.working_set_private),
        memory_working_set_shared_bytes: Some(entry.working_set_shared),
        ..ProcessDetails::default()
    }
}
