//! What a service must find again of a system that it did not make itself, or made in an earlier life: who it is, and what its document
//! said. The worker keeps it as a text that only this file reads.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::hcs::SystemType;
use hostcompute_schema::{Failure, Guid, HResult};
use serde_json::{Map, Value};

use super::launch::{Place, Signal};
use super::worker::Fault;

/// Who a system is.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// As its maker wrote it.
    pub id: String,
    pub kind: SystemType,
    pub owner: String,
    /// The user who asked for it, where users are counted.
    pub user: Option<u32>,
    /// The same as the id where that is a GUID.
    pub runtime_id: Guid,
    /// ShouldTerminateOnLastHandleClosed.
    pub ends_with_last_handle: bool,
    /// The network namespace that was made for this system alone and goes with it.
    pub own_namespace: Option<Guid>,
    /// Endpoints in it that were made for this system alone and go with it.
    pub own_endpoints: Vec<Guid>,
    /// In which the system is.
    pub namespace: Option<Guid>,
    /// The group of processors that it was put into.
    pub cpu_group: Option<Guid>,
    /// What its processes get when it is shut down; absent: TERM.
    pub stop_signal: Option<Signal>,
    /// The document that it was made of.
    pub document: Value,
}

/// What two ids are compared by: case does not count.
pub fn key(id: &str) -> String {
    id.to_lowercase()
}

impl Record {
    /// See [`key`].
    pub fn key(&self) -> String {
        key(&self.id)
    }

    /// As a text.
    pub fn to_text(&self) -> String {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.into(), value);
        put("Id", Value::from(self.id.as_str()));
        put("SystemType", Value::from(self.kind.name()));
        put("Owner", Value::from(self.owner.as_str()));
        if let Some(user) = self.user {
            put("User", Value::from(user));
        }
        put("RuntimeId", Value::from(self.runtime_id.to_string()));
        put("ShouldTerminateOnLastHandleClosed", Value::from(self.ends_with_last_handle));
        let guids = [
            ("OwnNamespace", self.own_namespace),
            ("Namespace", self.namespace),
            ("CpuGroup", self.cpu_group),
        ];
        for (name, guid) in guids {
            if let Some(guid) = guid {
                put(name, Value::from(guid.to_string()));
            }
        }
        if !self.own_endpoints.is_empty() {
            let ids = self.own_endpoints.iter().map(|id| Value::from(id.to_string()));
            put("OwnEndpoints", ids.collect());
        }
        if let Some(Signal(number)) = self.stop_signal {
            put("StopSignal", Value::from(number));
        }
        put("Document", self.document.clone());
        Value::Object(object).to_string()
    }

    /// The inverse of [`Self::to_text`].
    ///
    /// # Errors
    /// E_UNEXPECTED for a text that is no record.
    pub fn from_text(text: &str) -> Result<Self, Failure> {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let string = |name: &str| value.get(name).and_then(Value::as_str);
        let guid = |name: &str| string(name).and_then(|text| text.parse::<Guid>().ok());
        let flag = value.get("ShouldTerminateOnLastHandleClosed").and_then(Value::as_bool);
        let (Some(id), Some(kind), Some(runtime_id)) =
            (string("Id"), string("SystemType"), guid("RuntimeId"))
        else {
            let why = "what is kept about the system is not readable";
            return Err(Failure::new(HResult::E_UNEXPECTED, why));
        };
        Ok(Self {
            id: id.into(),
            kind: SystemType::from_name(kind),
            owner: string("Owner").unwrap_or_default().into(),
            user: value.get("User").and_then(Value::as_u64).and_then(|user| user.try_into().ok()),
            runtime_id,
            ends_with_last_handle: flag.unwrap_or_default(),
            own_namespace: guid("OwnNamespace"),
            own_endpoints: value
                .get("OwnEndpoints")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|id| id.as_str()?.parse().ok())
                .collect(),
            namespace: guid("Namespace"),
            cpu_group: guid("CpuGroup"),
            stop_signal: value
                .get("StopSignal")
                .and_then(Value::as_u64)
                .and_then(|number| u8::try_from(number).ok())
                .map(Signal),
            document: value.get("Document").cloned().unwrap_or_default(),
        })
    }

    /// What a worker refused, with the place in the document that it is about.
    pub fn failure(&self, fault: Fault) -> Failure {
        let path = fault.place.and_then(path);
        let failure = Failure::from(fault);
        match path {
            Some(path) => failure.at(path),
            None => failure,
        }
    }
}

/// Where a part of a launch stands in the document that it was made of.
pub fn path(place: Place) -> Option<String> {
    let container = |rest: &str| alloc::format!("$.Container.{rest}");
    Some(match place {
        Place::Layer(index) => container(&alloc::format!("Storage.Layers[{index}].Path")),
        Place::Scratch => container("Storage.Path"),
        Place::Mount(index) => container(&alloc::format!("MappedDirectories[{index}].HostPath")),
        Place::Pipe(index) => container(&alloc::format!("MappedPipes[{index}].HostPath")),
        Place::Device(index) => container(&alloc::format!("AssignedDevices[{index}]")),
        Place::HostName => container("GuestOs.HostName"),
        Place::Network => container("Networking"),
        Place::Memory => container("Memory.SizeInMB"),
        Place::Processor => container("Processor"),
        Place::Storage => container("Storage.QoS"),
        Place::Isolation => container("IsolationType"),
        Place::Arguments => "$.CommandArgs".into(),
        Place::User => "$.User".into(),
        Place::Directory => "$.WorkingDirectory".into(),
    })
}
