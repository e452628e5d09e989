//! CPU groups (hcs.md 3.11): named sets of the host's processors, and which systems run on them. What there is is kept as a text for all
//! processes that serve the host.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::hcs::{
    self, CpuGroupAffinity, CpuGroupConfig, CpuGroupConfigurations, CreateGroupOperation,
    DeleteGroupOperation, HostProcessorModificationRequest, ModifyServiceOperation,
    SetPropertyOperation,
};
use hostcompute_schema::{Document, Failure, Guid, HResult};
use serde_json::{Map, Value};

use super::facts::HostFacts;

/// The groups, and who is in them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CpuGroups {
    groups: Vec<CpuGroupConfig>,
    /// By the runtime id of the system: no later system has it.
    members: BTreeMap<String, Guid>,
}

/// What a modification asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupChange {
    Create { id: Guid, processors: Vec<u32> },
    Delete { id: Guid },
}

/// The share of time that a group may have, of 65536: the one property that is published.
const CAP: u32 = 0x1_0000;

/// Reads the Settings of a ModificationRequest for CpuGroup, which stand at `$.Settings`.
///
/// # Errors
/// HCS_E_INVALID_JSON; E_INVALIDARG for processors that the host has not; ERROR_NOT_SUPPORTED for properties.
pub fn read_change(settings: &Value, facts: &HostFacts) -> Result<Option<GroupChange>, Failure> {
    const AT: &str = "$.Settings.OperationDetails";
    let request: HostProcessorModificationRequest = hcs::parse_value(settings, "$.Settings")?;
    let details = request.operation_details.unwrap_or_default();
    let id = |id: Option<Guid>| {
        let named = id.filter(|id| !id.is_zero());
        named.ok_or_else(|| {
            let why = "a group is named by a GUID that is not null";
            Failure::new(HResult::E_INVALIDARG, why).at(alloc::format!("{AT}.GroupId"))
        })
    };
    Ok(Some(match request.operation.unwrap_or_default() {
        ModifyServiceOperation::CreateGroup => {
            let details: CreateGroupOperation = hcs::parse_value(&details, AT)?;
            let processors = processors(&details, facts)?;
            GroupChange::Create { id: id(details.group_id)?, processors }
        }
        ModifyServiceOperation::DeleteGroup => {
            let details: DeleteGroupOperation = hcs::parse_value(&details, AT)?;
            GroupChange::Delete { id: id(details.group_id)? }
        }
        _ => {
            let details: SetPropertyOperation = hcs::parse_value(&details, AT)?;
            id(details.group_id)?;
            // All the time there is: that needs nothing.
            if (details.property_code, details.property_value) == (Some(CAP), Some(CAP.into())) {
                return Ok(None);
            }
            let why = "the time of a group as a whole cannot be limited here; limit its systems";
            return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why)
                .at(alloc::format!("{AT}.PropertyCode")));
        }
    }))
}

fn processors(details: &CreateGroupOperation, facts: &HostFacts) -> Result<Vec<u32>, Failure> {
    let refuse = |member: &str, why: String| {
        let at = alloc::format!("$.Settings.OperationDetails.{member}");
        Err(Failure::new(HResult::E_INVALIDARG, why).at(at))
    };
    let mut wanted = details.logical_processors.clone().unwrap_or_default();
    wanted.sort_unstable();
    wanted.dedup();
    let counted = details.logical_processor_count.map(|count| count as usize);
    if wanted.is_empty() {
        return refuse("LogicalProcessors", "a group has at least one processor".into());
    }
    if counted.is_some_and(|count| count != wanted.len()) {
        let why = alloc::format!("{} different processors are listed", wanted.len());
        return refuse("LogicalProcessorCount", why);
    }
    let absent = wanted.iter().find(|index| facts.cpus.iter().all(|cpu| cpu.index != **index));
    if let Some(absent) = absent {
        return refuse("LogicalProcessors", alloc::format!("the host has no processor {absent}"));
    }
    Ok(wanted)
}

impl CpuGroups {
    /// Reads what [`Self::to_text`] wrote; anything else is no groups.
    pub fn from_text(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let groups = value.get("CpuGroups").and_then(Value::as_array);
        let groups = groups.into_iter().flatten();
        let groups = groups.filter_map(|group| hcs::parse_value(group, "$").ok());
        let members = value.get("Members").and_then(Value::as_object);
        let members = members
            .into_iter()
            .flatten()
            .filter_map(|(system, group)| Some((system.clone(), group.as_str()?.parse().ok()?)));
        Self { groups: groups.collect(), members: members.collect() }
    }

    /// As a text.
    pub fn to_text(&self) -> String {
        let mut object = self.configurations().write();
        let members = self.members.iter();
        let members = members.map(|(system, group)| (system.clone(), group.to_string().into()));
        object.insert("Members".into(), Value::Object(members.collect::<Map<_, _>>()));
        Value::Object(object).to_string()
    }

    /// The document that lists them.
    pub fn configurations(&self) -> CpuGroupConfigurations {
        CpuGroupConfigurations {
            cpu_groups: Some(self.groups.clone()),
            ..CpuGroupConfigurations::default()
        }
    }

    /// Does what was asked. `alive` says whether the system of a runtime id has not ended.
    ///
    /// # Errors
    /// ERROR_ALREADY_EXISTS, ERROR_NOT_FOUND; ERROR_INVALID_STATE for deleting a group that systems are in.
    pub fn change(
        &mut self,
        change: &GroupChange,
        alive: &dyn Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        self.members.retain(|system, _| alive(system));
        match change {
            GroupChange::Create { id, processors } => {
                if self.position(*id).is_ok() {
                    let why = alloc::format!("there is a group {id} already");
                    return Err(Failure::new(HResult::ERROR_ALREADY_EXISTS, why));
                }
                let hypervisor_id =
                    self.groups.iter().filter_map(|group| group.hypervisor_group_id).max();
                self.groups.push(group(*id, processors, hypervisor_id.unwrap_or_default() + 1));
            }
            GroupChange::Delete { id } => {
                let position = self.position(*id)?;
                if let Some((member, _)) = self.members.iter().find(|(_, group)| *group == id) {
                    let why = alloc::format!("system {member} is in the group {id}");
                    return Err(Failure::new(HResult::ERROR_INVALID_STATE, why));
                }
                self.groups.remove(position);
            }
        }
        Ok(())
    }

    /// Puts a system into a group, or out of the one it is in; the processors that it may run on now, all being `None`.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND for a group that is not there.
    pub fn assign(
        &mut self,
        system: &str,
        group: Option<Guid>,
    ) -> Result<Option<Vec<u32>>, Failure> {
        let Some(group) = group else {
            self.members.remove(system);
            return Ok(None);
        };
        let position = self.position(group)?;
        self.members.insert(system.into(), group);
        let affinity = self.groups.get(position).and_then(|group| group.affinity.as_ref());
        Ok(affinity.and_then(|affinity| affinity.logical_processors.clone()))
    }

    /// The group that a system is in.
    pub fn of(&self, system: &str) -> Option<Guid> {
        self.members.get(system).copied()
    }

    fn position(&self, id: Guid) -> Result<usize, Failure> {
        let position = self.groups.iter().position(|group| group.group_id == Some(id));
        position.ok_or_else(|| {
            Failure::new(HResult::ERROR_NOT_FOUND, alloc::format!("there is no CPU group {id}"))
        })
    }
}

fn group(id: Guid, processors: &[u32], hypervisor_id: u64) -> CpuGroupConfig {
    CpuGroupConfig {
        group_id: Some(id),
        affinity: Some(CpuGroupAffinity {
            logical_processor_count: u32::try_from(processors.len()).ok(),
            logical_processors: Some(processors.to_vec()),
            ..CpuGroupAffinity::default()
        }),
        group_properties: Some(Vec::new()),
        hypervisor_group_id: Some(hypervisor_id),
        ..CpuGroupConfig::default()
    }
}
