//! Extensions of a container's namespaces (hcs.md 3.13). They come from another definition, whose
//! members are written in small letters.

use alloc::string::String;
use alloc::vec::Vec;

use crate::document::Children;
use crate::element::Base64;
use crate::guid::Guid;

documents! { @compute
    /// Extensions of a container's devices.
    pub struct ContainersDefDevice("ContainersDef_Device") {
        /// The single extensions.
        device_extension: Option<Vec<DeviceExtension>> = "device_extension" ["2.3"],
    }

    /// A container as that other definition describes it.
    pub struct ContainersDefContainer("ContainersDef_Container") {
        /// Its namespaces.
        namespace: Option<Namespace> = "namespace" ["2.3"],
    }

    /// A sort of device and what it needs to be seen.
    pub struct DeviceExtension("DeviceExtension") {
        /// The sort of device.
        device_category: Option<DeviceCategory> = "device_category" ["2.3"],
        /// The namespaces that are extended for it.
        namespace: Option<Namespace> = "namespace" ["2.3"],
    }

    /// A sort of device.
    pub struct DeviceCategory("DeviceCategory") {
        /// Its name.
        name: Option<String> = "name" ["2.3"],
        /// The interfaces of such devices.
        interface_class: Option<Vec<InterfaceClass>> = "interface_class" ["2.3"],
    }

    /// The interface of a device.
    pub struct InterfaceClass("InterfaceClass") {
        /// How it is found.
        kind: Option<InterfaceClassType> = "type" ["2.3"],
        /// Its id.
        identifier: Option<Guid> = "identifier" ["2.3"],
        /// Whether devices below it belong to it.
        recurse: Option<bool> = "recurse" ["2.3"],
    }

    /// The namespaces of a container.
    pub struct Namespace("Namespace") {
        /// The job: processes and their limits.
        job: Option<JobNamespace> = "job" ["2.3"],
        /// The file system.
        filesystem: Option<FilesystemNamespace> = "filesystem" ["2.3"],
        /// Where volumes are mounted.
        mountmgr: Option<MountManagerNamespace> = "mountmgr" ["2.3"],
        /// Named pipes.
        namedpipe: Option<NamedPipeNamespace> = "namedpipe" ["2.3"],
        /// Objects of the kernel.
        ob: Option<ObjectNamespace> = "ob" ["2.3"],
        /// The registry.
        registry: Option<RegistryNamespace> = "registry" ["2.3"],
        /// The network.
        network: Option<NetworkNamespace> = "network" ["2.3"],
        /// Devices.
        device: Option<DeviceNamespace> = "device" ["2.3"],
        /// Files of the host.
        hostfiles: Option<HostFiles> = "hostfiles" ["2.3"],
    }

    /// The processes of a container and their limits.
    pub struct JobNamespace("JobNamespace") {
        /// The share of the processors.
        cpu: Option<JobCpu> = "cpu" ["2.3"],
        /// The limit of memory.
        memory: Option<JobMemory> = "memory" ["2.3"],
        /// Where the system's directory is.
        systemroot: Option<JobSystemRoot> = "systemroot" ["2.3"],
        /// What becomes of the processes when the job is let go.
        terminationpolicy: Option<JobTerminationPolicy> = "terminationpolicy" ["2.3"],
        /// Whether threads of the host may act in it.
        threadimpersonation: Option<bool> = "threadimpersonation" ["2.3"],
    }

    /// The share of the processors.
    pub struct JobCpu("JobCpu") {
        /// The limit.
        rate: Option<u32> = "rate" ["2.3"],
        /// The weight against others.
        weight: Option<u32> = "weight" ["2.3"],
    }

    /// The limit of memory.
    pub struct JobMemory("JobMemory") {
        /// The limit in bytes.
        limit: Option<u64> = "limit" ["2.3"],
    }

    /// Where a container's system directory is.
    pub struct JobSystemRoot("JobSystemRoot") {
        /// The path.
        path: Option<String> = "path" ["2.3"],
    }

    /// The file system of a container.
    pub struct FilesystemNamespace("FilesystemNamespace") {
        /// Its root.
        path: Option<String> = "path" ["2.3"],
        /// How firmly it is separated.
        isolation: Option<FilesystemIsolationMode> = "isolation" ["2.3"],
        /// Where it stands towards another one.
        nesting: Option<FilesystemNestingMode> = "nesting" ["2.3"],
        /// The layers.
        layer: Option<Vec<FilesystemLayer>> = "layer" ["2.3"],
        /// Paths that lead elsewhere.
        bindings: Option<Vec<ContainersDefBatchedBinding>> = "bindings" ["2.3"],
    }

    /// A layer of a container's file system.
    pub struct FilesystemLayer("FilesystemLayer") {
        /// Its id.
        identifier: Option<Guid> = "identifier" ["2.3"],
        /// Where it is.
        path: Option<String> = "path" ["2.3"],
    }

    /// A path that is bound at several places.
    pub struct ContainersDefBatchedBinding("ContainersDef_BatchedBinding") {
        /// The path.
        filepath: Option<String> = "filepath" ["2.3"],
        /// The places.
        bindingroots: Option<Vec<String>> = "bindingroots" ["2.3"],
    }

    /// Where volumes are mounted.
    pub struct MountManagerNamespace("MountManagerNamespace") {
        /// The single places.
        mount_point: Option<Vec<MountManagerMountPoint>> = "mount_point" ["2.3"],
    }

    /// Where a volume is mounted.
    pub struct MountManagerMountPoint("MountManagerMountPoint") {
        /// The name of the place.
        name: Option<String> = "name" ["2.3"],
        /// What is mounted.
        path: Option<String> = "path" ["2.3"],
    }

    /// The named pipes of a container.
    pub struct NamedPipeNamespace("NamedPipeNamespace") {
        /// Names that lead elsewhere.
        symlink: Option<Vec<NamedPipeSymlink>> = "symlink" ["2.3"],
    }

    /// A name of a pipe that leads elsewhere.
    pub struct NamedPipeSymlink("NamedPipeSymlink") {
        /// The name.
        name: Option<String> = "name" ["2.3"],
        /// Where it leads.
        path: Option<String> = "path" ["2.3"],
    }

    /// The kernel's objects that a container sees.
    pub struct ObjectNamespace("ObjectNamespace") {
        /// Whether the host's are seen below.
        shadow: Option<ObjectDirectoryShadow> = "shadow" ["2.3"],
        /// Names that lead elsewhere.
        symlink: Option<Vec<ObjectSymlink>> = "symlink" ["2.3"],
        /// Directories of objects.
        objdir: Option<Vec<ObjectDirectory>> = "objdir" ["2.3"],
    }

    /// A name of an object that leads elsewhere.
    pub struct ObjectSymlink("ObjectSymlink") {
        /// The name.
        name: Option<String> = "name" ["2.3"],
        /// Where it leads.
        path: Option<String> = "path" ["2.3"],
        /// Who sees it.
        scope: Option<ObjectSymlinkScope> = "scope" ["2.3"],
        /// Whose rights it has.
        pathtoclone: Option<String> = "pathtoclone" ["2.3"],
        /// The rights that may be asked for, as bits.
        access_mask: Option<u32> = "access_mask" ["2.3"],
    }

    /// A directory of objects.
    pub struct ObjectDirectory("ObjectDirectory") {
        /// Its name.
        name: Option<String> = "name" ["2.3"],
        /// Whose rights it has.
        clonesd: Option<String> = "clonesd" ["2.3"],
        /// Whether the host's is seen below.
        shadow: Option<ObjectDirectoryShadow> = "shadow" ["2.3"],
        /// Names in it that lead elsewhere.
        symlink: Option<Vec<ObjectSymlink>> = "symlink" ["2.3"],
        /// Directories in it.
        objdir: Option<Children<ObjectDirectory>> = "objdir" ["2.3"],
    }

    /// The registry of a container.
    pub struct RegistryNamespace("RegistryNamespace") {
        /// Keys that lead elsewhere.
        symlink: Option<Vec<RegistrySymlink>> = "symlink" ["2.3"],
        /// Keys that are taken from the host.
        redirectionnode: Option<Vec<RegistryRedirectionNode>> = "redirectionnode" ["2.3"],
        /// Hives and what is changed in them.
        hivestack: Option<Vec<RegistryHiveStack>> = "hivestack" ["2.3"],
    }

    /// A key that leads elsewhere.
    pub struct RegistrySymlink("RegistrySymlink") {
        /// The key.
        key: Option<String> = "key" ["2.3"],
        /// Where it leads.
        target: Option<String> = "target" ["2.3"],
    }

    /// A key that is taken from the host.
    pub struct RegistryRedirectionNode("RegistryRedirectionNode") {
        /// The key inside.
        containerpath: Option<String> = "containerpath" ["2.3"],
        /// The key of the host.
        hostpath: Option<String> = "hostpath" ["2.3"],
        /// The hives that it comes from.
        hivestack: Option<String> = "hivestack" ["2.3"],
        /// The rights that may be asked for, as bits.
        access_mask: Option<u32> = "access_mask" ["2.3"],
        /// Whether the hive is trusted.
        trustedhive: Option<bool> = "trustedhive" ["2.3"],
        /// Whether it leads out of the container.
        exitnode: Option<bool> = "exitnode" ["2.3"],
    }

    /// A hive of several layers and what is changed in it.
    pub struct RegistryHiveStack("RegistryHiveStack") {
        /// The hive.
        hive: Option<String> = "hive" ["2.3"],
        /// The layers.
        layer: Option<Vec<RegistryLayer>> = "layer" ["2.3"],
        /// Keys to be made.
        mkkey: Option<Vec<RegistryMakeKey>> = "mkkey" ["2.3"],
        /// Keys to be deleted.
        delkey: Option<Vec<RegistryDeleteKey>> = "delkey" ["2.3"],
    }

    /// A layer of a hive.
    pub struct RegistryLayer("RegistryLayer") {
        /// The hive of the host.
        hosthive: Option<String> = "hosthive" ["2.3"],
        /// The file that it is in.
        filepath: Option<String> = "filepath" ["2.3"],
        /// Its id.
        identifier: Option<Guid> = "identifier" ["2.3"],
        /// Whether it can only be read.
        readonly: Option<bool> = "readonly" ["2.3"],
        /// Whether it never changes.
        immutable: Option<bool> = "immutable" ["2.3"],
        /// Whether it is trusted as the one below.
        inherittrustclass: Option<bool> = "inherittrustclass" ["2.3"],
        /// Whether it is trusted.
        trustedhive: Option<bool> = "trustedhive" ["2.0"],
        /// Whether changes reach the file at once.
        writethrough: Option<bool> = "writethrough" ["2.3"],
        /// The token that the file is opened with.
        fileaccesstoken: Option<u64> = "fileaccesstoken" ["2.3"],
    }

    /// A key that is to be made.
    pub struct RegistryMakeKey("RegistryMakeKey") {
        /// Its name.
        name: Option<String> = "name" ["2.3"],
        /// Whose rights it has.
        clonesd: Option<String> = "clonesd" ["2.3"],
        /// Keys in it.
        mkkey: Option<Children<RegistryMakeKey>> = "mkkey" ["2.3"],
        /// Values in it.
        mkvalue: Option<Vec<RegistryMakeValue>> = "mkvalue" ["2.3"],
        /// Whether it is forgotten at the end.
        volatile: Option<bool> = "volatile" ["2.3"],
    }

    /// A value that is to be made; one of the data members holds it.
    pub struct RegistryMakeValue("RegistryMakeValue") {
        /// Its name.
        name: Option<String> = "name" ["2.3"],
        /// Several texts.
        data_multistring: Option<String> = "data_multistring" ["2.3"],
        /// A number of 32 bits.
        data_dword: Option<u32> = "data_dword" ["2.3"],
        /// A text.
        data_string: Option<String> = "data_string" ["2.3"],
        /// Bytes.
        data_binary: Option<Base64> = "data_binary" ["2.3"],
    }

    /// A key that is to be deleted.
    pub struct RegistryDeleteKey("RegistryDeleteKey") {
        /// Its name.
        name: Option<String> = "name" ["2.3"],
    }

    /// The network of a container.
    pub struct NetworkNamespace("NetworkNamespace") {
        /// The compartment that it is in.
        compartment: Option<String> = "compartment" ["2.3"],
    }

    /// The devices of a container.
    pub struct DeviceNamespace("DeviceNamespace") {
        /// Whether the host's drivers must be seen.
        requires_driverstore: Option<bool> = "requires_driverstore" ["2.3"],
        /// Sorts of device.
        device_category: Option<Vec<DeviceCategory>> = "device_category" ["2.3"],
        /// Single devices.
        device_instance: Option<Vec<DeviceInstance>> = "device_instance" ["2.3"],
    }

    /// A single device.
    pub struct DeviceInstance("DeviceInstance") {
        /// Its id.
        id: Option<String> = "id" ["2.3"],
        /// Where it is.
        location_path: Option<String> = "location_path" ["2.3"],
        /// The name of its port.
        port_name: Option<String> = "port_name" ["2.3"],
        /// Its interfaces.
        interface_class: Option<Vec<InterfaceClass>> = "interface_class" ["2.3"],
    }

    /// Files of the host that a container sees.
    pub struct HostFiles("HostFiles") {
        /// Where the base image is.
        base_image_path: Option<String> = "base_image_path" ["2.3"],
        /// Where what is written goes.
        sandbox_path: Option<String> = "sandbox_path" ["2.3"],
        /// The files.
        file: Option<Vec<String>> = "file" ["2.3"],
    }
}

names! {
    /// How a device's interface is found; of two that are merged the later one wins.
    pub enum InterfaceClassType {
        /// As for what is above.
        Inherit ["2.3"],
        /// By the device.
        DeviceInstance ["2.3"],
        /// By the class.
        ClassGuid ["2.3"],
    }

    /// What becomes of processes when a job is let go.
    pub enum JobTerminationPolicy {
        /// They stand still for good.
        PermanentQuiescent ["2.3"],
        /// They are killed.
        KillOnHandleClose ["2.3"],
    }

    /// How firmly a file system is separated.
    pub enum FilesystemIsolationMode {
        /// Nothing of the host is seen.
        Hard = "hard" ["2.3"],
        /// The host is seen below.
        Soft = "soft" ["2.3"],
    }

    /// Where a file system stands towards another one.
    pub enum FilesystemNestingMode {
        /// Inside.
        Inner = "inner" ["2.3"],
        /// Outside.
        Outer = "outer" ["2.3"],
    }

    /// Whether the host's objects are seen below a container's.
    pub enum ObjectDirectoryShadow {
        /// No.
        False = "false" ["2.3"],
        /// Yes.
        True = "true" ["2.3"],
        /// If there are some.
        IfExists = "ifexists" ["2.3"],
    }

    /// Who sees a name that leads elsewhere.
    pub enum ObjectSymlinkScope {
        /// The container.
        Local ["2.3"],
        /// Everybody.
        Global ["2.3"],
        /// Everybody, outside the container.
        GlobalDropSilo ["2.3"],
    }
}
