//! Containers (hcs.md 3.2): storage, mapped directories, limits, networking, devices.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{ContainersDefDevice, RegistryChanges};
use crate::element::Base64;
use crate::guid::Guid;

documents! { @compute
    /// A container: processes of their own that share the kernel of the host.
    pub struct Container("Container") {
        /// The operating system inside.
        guest_os: Option<GuestOs> = "GuestOs" ["2.0"],
        /// The file system: layers and what is written on top of them.
        storage: Option<Storage> = "Storage" ["2.0"],
        /// Directories of the host that are seen inside.
        mapped_directories: Option<Vec<MappedDirectory>> = "MappedDirectories" ["2.0"],
        /// Named pipes of the host that are seen inside.
        mapped_pipes: Option<Vec<MappedPipe>> = "MappedPipes" ["2.0"],
        /// The limit of memory.
        memory: Option<ContainerMemory> = "Memory" ["2.0"],
        /// The share of the processors.
        processor: Option<ContainerProcessor> = "Processor" ["2.0"],
        /// The network.
        networking: Option<Networking> = "Networking" ["2.0"],
        /// Sockets of the hypervisor between host and container.
        hv_socket: Option<ContainerHvSocket> = "HvSocket" ["2.0"],
        /// The credentials of a managed service account.
        container_credential_guard: Option<ContainerCredentialGuardState> =
            "ContainerCredentialGuard" ["2.1"],
        /// Changes of the registry before the start.
        registry_changes: Option<RegistryChanges> = "RegistryChanges" ["2.0"],
        /// Devices of the host that are handed through.
        assigned_devices: Option<Vec<Device>> = "AssignedDevices" ["2.1"],
        /// Extensions of the device namespace.
        additional_device_namespace: Option<ContainersDefDevice> =
            "AdditionalDeviceNamespace" ["2.3"],
        /// `HostProcess` for a container without isolation.
        isolation_type: Option<String> = "IsolationType" [],
    }

    /// The operating system inside a container.
    pub struct GuestOs("GuestOs") {
        /// The name that it has for itself.
        host_name: Option<String> = "HostName" ["2.0"],
    }

    /// The file system of a container.
    pub struct Storage("Storage") {
        /// What can only be read, the topmost first, the base last.
        layers: Option<Vec<Layer>> = "Layers" ["2.0"],
        /// Where what is written goes.
        path: Option<String> = "Path" ["2.0"],
        /// Limits of the traffic.
        qos: Option<StorageQoS> = "QoS" ["2.0"],
        /// Where a container without isolation sees its file system.
        privileged_container_root_path: Option<String> = "PrivilegedContainerRootPath" [],
    }

    /// One layer of a file system, which is never written.
    pub struct Layer("Layer") {
        /// The id of the layer, made from the name of its directory.
        id: Option<Guid> = "Id" ["2.0"],
        /// Where it is.
        path: Option<String> = "Path" ["2.0"],
        /// What the path is.
        path_type: Option<PathType> = "PathType" ["2.1"],
        /// How its content is cached.
        cache: Option<CacheMode> = "Cache" ["2.0"],
    }

    /// Limits of the traffic of a storage.
    pub struct StorageQoS("StorageQoS") {
        /// Operations in a second; 0 is no limit.
        iops_maximum: Option<u64> = "IopsMaximum" ["2.0"],
        /// Bytes in a second; 0 is no limit.
        bandwidth_maximum: Option<u64> = "BandwidthMaximum" ["2.0"],
    }

    /// A directory of the host that is seen inside a container.
    pub struct MappedDirectory("MappedDirectory") {
        /// Where it is on the host.
        host_path: Option<String> = "HostPath" ["2.0"],
        /// What that path is.
        host_path_type: Option<PathType> = "HostPathType" ["2.1"],
        /// Where it is seen inside.
        container_path: Option<String> = "ContainerPath" ["2.0"],
        /// Whether it can only be read.
        read_only: Option<bool> = "ReadOnly" ["2.0"],
        /// Whether files that are still in the cloud are fetched on access.
        support_cloud_files: Option<bool> = "SupportCloudFiles" ["2.3"],
    }

    /// A named pipe of the host that is seen inside a container.
    pub struct MappedPipe("MappedPipe") {
        /// Its name inside, without a directory.
        container_pipe_name: Option<String> = "ContainerPipeName" ["2.0"],
        /// Where it is on the host.
        host_path: Option<String> = "HostPath" ["2.0"],
        /// What that path is.
        host_path_type: Option<MappedPipePathType> = "HostPathType" ["2.1"],
    }

    /// The limit of a container's memory.
    pub struct ContainerMemory("Container_Memory", "2.0") {
        /// The limit in MiB.
        size_in_mb: Option<u64> = "SizeInMB" ["2.1"],
    }

    /// The share of the processors; at most one of the three.
    pub struct ContainerProcessor("Container_Processor") {
        /// How many processors the container may use.
        count: Option<u32> = "Count" ["2.0"],
        /// The weight against other containers, 0 to 10000; 100 is usual.
        weight: Option<i64> = "Weight" ["2.0"],
        /// The limit in ten-thousandths of the host's processors, 1 to 10000.
        maximum: Option<i64> = "Maximum" ["2.0"],
    }

    /// The network of a container.
    pub struct Networking("Networking") {
        /// Whether names without a dot are asked as they are, too.
        allow_unqualified_dns_query: Option<bool> = "AllowUnqualifiedDnsQuery" ["2.0"],
        /// Domains to search, separated by commas.
        dns_search_list: Option<String> = "DnsSearchList" ["2.0"],
        /// The id of a container whose network is shared.
        network_shared_container_name: Option<String> = "NetworkSharedContainerName" ["2.0"],
        /// The id of the network namespace that the container is in.
        namespace: Option<String> = "Namespace" ["2.0"],
        /// The ids of endpoints, in place of a namespace.
        network_adapters: Option<Vec<Guid>> = "NetworkAdapters" ["2.0"],
    }

    /// Sockets of the hypervisor between host and container.
    pub struct ContainerHvSocket("Container_HvSocket") {
        /// Who may use them.
        config: Option<HvSocketSystemConfig> = "Config" ["2.0"],
        /// Whether PowerShell Direct is let in.
        enable_power_shell_direct: Option<bool> = "EnablePowerShellDirect" ["2.0"],
    }

    /// Who may use sockets of the hypervisor.
    pub struct HvSocketSystemConfig("HvSocketSystemConfig") {
        /// Who may listen, as a security descriptor, unless the service says otherwise.
        default_bind_security_descriptor: Option<String> =
            "DefaultBindSecurityDescriptor" ["2.0"],
        /// Who may connect, as a security descriptor, unless the service says otherwise.
        default_connect_security_descriptor: Option<String> =
            "DefaultConnectSecurityDescriptor" ["2.0"],
        /// Settings of single services, by the service's id.
        service_table: Option<BTreeMap<Guid, HvSocketServiceConfig>> = "ServiceTable" ["2.0"],
    }

    /// Who may use one service on sockets of the hypervisor.
    pub struct HvSocketServiceConfig("HvSocketServiceConfig") {
        /// Who may listen, as a security descriptor.
        bind_security_descriptor: Option<String> = "BindSecurityDescriptor" ["2.0"],
        /// Who may connect, as a security descriptor.
        connect_security_descriptor: Option<String> = "ConnectSecurityDescriptor" ["2.0"],
        /// Whether one may listen for every virtual machine at once.
        allow_wildcard_binds: Option<bool> = "AllowWildcardBinds" ["2.0"],
        /// Whether the service is off.
        disabled: Option<bool> = "Disabled" [],
    }

    /// The state of a managed service account's credentials.
    pub struct ContainerCredentialGuardState("ContainerCredentialGuardState") {
        /// What the container proves itself with.
        cookie: Option<Base64> = "Cookie" ["2.1"],
        /// The endpoint for remote procedure calls.
        rpc_endpoint: Option<String> = "RpcEndpoint" ["2.1"],
        /// How the endpoint is reached.
        transport: Option<ContainerCredentialGuardTransport> = "Transport" ["2.1"],
        /// The specification of the account, as JSON text.
        credential_spec: Option<String> = "CredentialSpec" ["2.1"],
    }

    /// A device of the host that is handed through.
    pub struct Device("Device") {
        /// How the device is named.
        kind: Option<DeviceType> = "Type" ["2.2"],
        /// The class of its interface, where it is named by class.
        interface_class_guid: Option<Guid> = "InterfaceClassGuid" ["2.1"],
        /// Where it is, where it is named by instance.
        location_path: Option<String> = "LocationPath" ["2.2"],
    }
}

names! {
    /// What a path to a directory is.
    pub enum PathType {
        /// A path of the host.
        AbsolutePath ["2.1"],
        /// The name of a share of the virtual machine.
        VirtualSmbShareName ["2.1"],
    }

    /// What a path to a pipe is.
    pub enum MappedPipePathType {
        /// A path of the host.
        AbsolutePath ["2.1"],
        /// The name of a pipe on a share of the virtual machine.
        VirtualSmbPipeName ["2.1"],
    }

    /// How the content of a layer is cached; an empty text leaves it to the host.
    pub enum CacheMode or blank {
        /// As the host likes.
        Unspecified ["2.0"],
        /// Not at all.
        Disabled ["2.0"],
        /// For all who use the layer.
        Enabled ["2.0"],
        /// For this container alone.
        Private ["2.0"],
        /// For this container, and others may share it.
        PrivateAllowSharing ["2.0"],
    }

    /// How credentials are asked for.
    pub enum ContainerCredentialGuardTransport {
        /// Local remote procedure calls.
        Lrpc = "LRPC" ["2.1"],
        /// A socket of the hypervisor.
        HvSocket ["2.1"],
    }

    /// How a device is named.
    pub enum DeviceType {
        /// By the class of its interface.
        ClassGuid ["2.2"],
        /// By where it is.
        DeviceInstance ["2.2"],
        /// All graphics processors of the host.
        GpuMirror ["2.2"],
    }
}
