//! What every object has in common: identity, ownership, health, version (hcn.md 2.2).

use alloc::string::String;

use serde_json::Value;

use crate::document::Rare;
use crate::guid::Guid;
use crate::schema::SchemaVersion;

documents! { @part
    /// What every top-level object, subnet and IP subnet has.
    pub struct Base("Base") {
        /// The object's id; the service chooses one when it is absent or zero.
        id: Option<Guid> = "ID" ["2.0"],
        /// A free label of whoever made the object; stored and echoed.
        owner: Option<String> = "Owner" ["2.0"],
        /// A label; unique among networks, free among everything else.
        name: Option<String> = "Name" ["2.0"],
        /// The service's version of the object; output only.
        version: Option<u64> = "Version" ["2.0"],
        /// Parameters that depend on the kind of object.
        additional_params: Option<Value> = "AdditionalParams" ["2.0"],
        /// How the object fares; output only.
        health: Option<Rare<Health>> = "Health" ["2.0"],
        /// The schema version that the document is written in.
        schema_version: Option<Version> = "SchemaVersion" ["2.0"],
        /// Measurements of the service about the object; output only.
        telemetry: Option<Rare<Telemetry>> = "Telemetry" ["2.0"],
        /// The object's state as a number; output only.
        state: Option<u16> = "State" ["2.0"],
    }
}

documents! {
    /// A version number of the schema.
    pub struct Version("Version") {
        /// The part that changes when documents stop being compatible.
        major: Option<u32> = "Major" ["2.0", Given],
        /// The part that changes when members are added.
        minor: Option<u32> = "Minor" ["2.0", Given],
    }

    /// How an object fares.
    pub struct Health("Health") {
        /// The last error and when it happened.
        data: Option<Value> = "Data" ["2.0"],
        /// What the object rests on.
        extra: Option<ExtraParams> = "Extra" ["2.0"],
    }

    /// What an object rests on: the switch below it, the machines and containers around it.
    pub struct ExtraParams("ExtraParams") {
        /// Resources that the service holds for the object.
        resources: Option<Value> = "Resources" ["2.0"],
        /// The ids of the containers that share the object.
        shared_containers: Option<Value> = "SharedContainers" ["2.0"],
        /// The id of the switch that the object stands on.
        layered_on: Option<Guid> = "LayeredOn" ["2.0"],
        /// The id of the network that owns the switch.
        switch_guid: Option<Guid> = "SwitchGuid" ["2.0"],
        /// The id of the utility machine that uses the object.
        utility_vm: Option<Guid> = "UtilityVM" ["2.0"],
        /// The id of the virtual machine that uses the object.
        virtual_machine: Option<Guid> = "VirtualMachine" ["2.0"],
    }

    /// Measurements of the service about an object.
    pub struct Telemetry("Telemetry") {
        /// The measurements.
        data: Option<Value> = "Data" ["2.0"],
    }

    /// A capability of the service that can be switched.
    pub struct Feature("Feature"): Base {
        /// Whether it is on.
        enabled: Option<bool> = "Enabled" ["2.0"],
        /// Parameters of the capability.
        data: Option<Value> = "Data" ["2.0"],
    }

    /// A policy as an object of its own.
    pub struct BasePolicy("BasePolicy"): Base {
        /// The kind of policy as a number.
        kind: Option<u16> = "Type" ["2.0"],
        /// The body of the policy.
        data: Option<Value> = "Data" ["2.0"],
    }
}

kinds! {
    /// The kinds of object that the service keeps.
    pub enum HostResourceType {
        /// A network.
        Network ["2.0"],
        /// An endpoint.
        Endpoint ["2.0"],
        /// A container.
        Container ["2.0"],
        /// A namespace.
        Namespace ["2.0"],
        /// A list of policies: the older form of load balancers and routes.
        PolicyList ["2.0"],
    }
}

flags! {
    /// How long an object lives.
    pub struct EntityFlags {
        /// Nothing special.
        NONE = 0 "None" ["2.0"],
        /// The object is gone after a reboot.
        ENABLE_NON_PERSISTENT = 8 "EnableNonPersistent" ["2.0"],
    }
}

impl Version {
    /// A version of these two numbers.
    pub fn new(major: u32, minor: u32) -> Version {
        Version { major: Some(major), minor: Some(minor), ..Version::default() }
    }

    /// The two numbers; a missing one counts as zero.
    pub fn number(&self) -> SchemaVersion {
        SchemaVersion {
            major: self.major.unwrap_or_default(),
            minor: self.minor.unwrap_or_default(),
        }
    }
}

impl From<SchemaVersion> for Version {
    fn from(version: SchemaVersion) -> Version {
        Version::new(version.major, version.minor)
    }
}
