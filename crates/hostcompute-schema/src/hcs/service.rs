//! The service itself: what it can do, what it tells of the host, processor groups, credentials
//! (hcs.md 3.11).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{
    ContainerCredentialGuardState, ContainerCredentialGuardTransport, HvSocketServiceConfig,
    PropertyResponse, Version,
};
use crate::guid::Guid;

documents! { @compute
    /// Which properties of the service are asked for.
    pub struct ServicePropertyQuery("Service_PropertyQuery") {
        /// Groups of properties; they are answered in this order.
        property_types: Option<Vec<GetPropertyType>> = "PropertyTypes" ["2.1"],
        /// Questions with a document of their own, by name.
        property_queries: Option<BTreeMap<String, Value>> = "PropertyQueries" ["2.5"],
    }

    /// What is told of the service.
    pub struct ServiceProperties("ServiceProperties") {
        /// One document for each group that was asked for.
        properties: Option<Vec<Value>> = "Properties" ["2.1"],
        /// Answers to questions with a document of their own, by name.
        property_responses: Option<BTreeMap<String, PropertyResponse>> =
            "PropertyResponses" ["2.5"],
    }

    /// What the service can do.
    pub struct BasicInformation("BasicInformation") {
        /// The newest schema version of each major number; older minor ones are understood.
        supported_schema_versions: Option<Vec<Version>> = "SupportedSchemaVersions" ["2.1"],
    }

    /// What limits of service the host can promise.
    pub struct QoSCapabilities("QoSCapabilities") {
        /// Whether the processors' time can be shared out.
        processor_qos_supported: Option<bool> = "ProcessorQoSSupported" ["2.1"],
    }

    /// The processors of the host.
    pub struct ProcessorTopology("ProcessorTopology") {
        /// How many there are.
        logical_processor_count: Option<u32> = "LogicalProcessorCount" ["2.1"],
        /// The single ones.
        logical_processors: Option<Vec<LogicalProcessor>> = "LogicalProcessors" ["2.1"],
    }

    /// One processor of the host.
    pub struct LogicalProcessor("LogicalProcessor") {
        /// Its number.
        lp_index: Option<u32> = "LpIndex" ["2.1"],
        /// The node of memory that is nearest.
        node_number: Option<u8> = "NodeNumber" ["2.1"],
        /// The package that it is in.
        package_id: Option<u32> = "PackageId" ["2.1"],
        /// The core that it is part of.
        core_id: Option<u32> = "CoreId" ["2.1"],
        /// The number of the host's virtual processor on it; negative when there is none.
        root_vp_index: Option<i32> = "RootVpIndex" ["2.1"],
        /// Where it stands inside its package.
        subnodes: Option<Vec<Subnode>> = "Subnodes" ["2.4"],
    }

    /// A part of a package.
    pub struct Subnode("Subnode") {
        /// What sort of part.
        kind: Option<SubnodeType> = "Type" ["2.4"],
        /// Its number.
        id: Option<u64> = "Id" ["2.4"],
    }

    /// The processor groups of the host.
    pub struct CpuGroupConfigurations("CpuGroupConfigurations") {
        /// The groups.
        cpu_groups: Option<Vec<CpuGroupConfig>> = "CpuGroups" ["2.1"],
    }

    /// A processor group.
    pub struct CpuGroupConfig("CpuGroupConfig") {
        /// Its id.
        group_id: Option<Guid> = "GroupId" ["2.1"],
        /// Its processors.
        affinity: Option<CpuGroupAffinity> = "Affinity" ["2.1"],
        /// Its properties.
        group_properties: Option<Vec<CpuGroupProperty>> = "GroupProperties" ["2.1"],
        /// The number that the hypervisor knows it by.
        hypervisor_group_id: Option<u64> = "HypervisorGroupId" ["2.5"],
    }

    /// The processors of a group.
    pub struct CpuGroupAffinity("CpuGroupAffinity") {
        /// How many there are.
        logical_processor_count: Option<u32> = "LogicalProcessorCount" ["2.1"],
        /// Their numbers.
        logical_processors: Option<Vec<u32>> = "LogicalProcessors" ["2.1"],
    }

    /// A property of a processor group.
    pub struct CpuGroupProperty("CpuGroupProperty") {
        /// Which.
        property_code: Option<u32> = "PropertyCode" ["2.1"],
        /// Its value.
        property_value: Option<u64> = "PropertyValue" ["2.1"],
    }

    /// The accounts whose credentials the host keeps for containers.
    pub struct ContainerCredentialGuardSystemInfo("ContainerCredentialGuardSystemInfo") {
        /// The single ones.
        instances: Option<Vec<ContainerCredentialGuardInstance>> = "Instances" ["2.1"],
    }

    /// One account whose credentials the host keeps.
    pub struct ContainerCredentialGuardInstance("ContainerCredentialGuardInstance") {
        /// Its id.
        id: Option<String> = "Id" ["2.1"],
        /// What a container needs to use it.
        credential_guard: Option<ContainerCredentialGuardState> = "CredentialGuard" ["2.1"],
        /// The socket of the hypervisor that it is reached by.
        hv_socket_config: Option<ContainerCredentialGuardHvSocketServiceConfig> =
            "HvSocketConfig" ["2.1"],
    }

    /// The socket of the hypervisor by which credentials are reached.
    pub struct ContainerCredentialGuardHvSocketServiceConfig(
        "ContainerCredentialGuardHvSocketServiceConfig"
    ) {
        /// The id of the service on it.
        service_id: Option<Guid> = "ServiceId" ["2.1"],
        /// Who may use it.
        service_config: Option<HvSocketServiceConfig> = "ServiceConfig" ["2.1"],
    }

    /// A change of the service's settings.
    pub struct ModificationRequest("ModificationRequest") {
        /// What is changed.
        property_type: Option<ModifyPropertyType> = "PropertyType" ["2.1"],
        /// How; its type depends on what is changed.
        settings: Option<Value> = "Settings" ["2.1"],
    }

    /// A change of the processor groups.
    pub struct HostProcessorModificationRequest("HostProcessorModificationRequest") {
        /// What is done.
        operation: Option<ModifyServiceOperation> = "Operation" ["2.1"],
        /// With what; its type depends on what is done.
        operation_details: Option<Value> = "OperationDetails" ["2.1"],
    }

    /// A processor group that is to be made.
    pub struct CreateGroupOperation("CreateGroupOperation") {
        /// Its id.
        group_id: Option<Guid> = "GroupId" ["2.1"],
        /// How many processors it has.
        logical_processor_count: Option<u32> = "LogicalProcessorCount" ["2.1"],
        /// Their numbers.
        logical_processors: Option<Vec<u32>> = "LogicalProcessors" ["2.1"],
    }

    /// A processor group that is to be deleted.
    pub struct DeleteGroupOperation("DeleteGroupOperation") {
        /// Its id.
        group_id: Option<Guid> = "GroupId" ["2.1"],
    }

    /// A property of a processor group that is to be set.
    pub struct SetPropertyOperation("SetPropertyOperation") {
        /// The id of the group.
        group_id: Option<Guid> = "GroupId" ["2.1"],
        /// Which property.
        property_code: Option<u32> = "PropertyCode" ["2.1"],
        /// Its value.
        property_value: Option<u64> = "PropertyValue" ["2.1"],
    }

    /// A change of the accounts whose credentials the host keeps.
    pub struct ContainerCredentialGuardOperationRequest(
        "ContainerCredentialGuardOperationRequest"
    ) {
        /// What is done.
        operation: Option<ContainerCredentialGuardModifyOperation> = "Operation" ["2.1"],
        /// With what; its type depends on what is done.
        operation_details: Option<Value> = "OperationDetails" ["2.1"],
    }

    /// An account that is to be added.
    pub struct ContainerCredentialGuardAddInstanceRequest(
        "ContainerCredentialGuardAddInstanceRequest"
    ) {
        /// Its id.
        id: Option<String> = "Id" ["2.1"],
        /// The specification of the account, as JSON text.
        credential_spec: Option<String> = "CredentialSpec" ["2.1"],
        /// How the credentials are asked for.
        transport: Option<ContainerCredentialGuardTransport> = "Transport" ["2.1"],
    }

    /// An account that is to be removed.
    pub struct ContainerCredentialGuardRemoveInstanceRequest(
        "ContainerCredentialGuardRemoveInstanceRequest"
    ) {
        /// Its id.
        id: Option<String> = "Id" ["2.1"],
    }
}

names! {
    /// Groups of properties of the service.
    pub enum GetPropertyType {
        /// What the service can do.
        Basic ["2.1"],
        /// The processor groups.
        CpuGroup ["2.1"],
        /// The processors of the host.
        ProcessorTopology ["2.1"],
        /// The accounts whose credentials the host keeps.
        ContainerCredentialGuard ["2.1"],
        /// What limits of service the host can promise.
        QoSCapabilities ["2.1"],
        /// The memory of the host; of an older edition.
        Memory [],
        /// How the processors' cache is shared out; of an older edition.
        CacheAllocation [],
        /// Who uses the processors' cache; of an older edition.
        CacheMonitoring [],
        /// How the memory's bandwidth is shared out; of an older edition.
        MemoryBwAllocation [],
        /// Nothing; of an older edition.
        Undefined [],
    }

    /// Parts of a package of processors.
    pub enum SubnodeType {
        /// Any part.
        Any ["2.4"],
        /// A socket.
        Socket ["2.4"],
        /// A cluster.
        Cluster ["2.4"],
        /// Whoever shares the third cache.
        L3 ["2.4"],
    }

    /// What of the service can be changed.
    pub enum ModifyPropertyType {
        /// The processor groups.
        CpuGroup ["2.1"],
        /// The accounts whose credentials the host keeps.
        ContainerCredentialGuard ["2.1"],
    }

    /// What can be done to processor groups.
    pub enum ModifyServiceOperation {
        /// Make one.
        CreateGroup ["2.1"],
        /// Delete one.
        DeleteGroup ["2.1"],
        /// Set a property of one.
        SetProperty ["2.1"],
    }

    /// What can be done to the accounts whose credentials the host keeps.
    pub enum ContainerCredentialGuardModifyOperation {
        /// Add one.
        AddInstance ["2.1"],
        /// Remove one.
        RemoveInstance ["2.1"],
    }
}
