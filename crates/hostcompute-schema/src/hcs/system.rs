//! The root: what HcsCreateComputeSystem is given, and the words that describe a compute system
//! wherever it is described (hcs.md 3.1).

use alloc::string::String;

use serde_json::Value;

use super::{Container, Version, VirtualMachine};

documents! { @compute
    /// A compute system: a container or a virtual machine.
    pub struct ComputeSystem("ComputeSystem") {
        /// A tag of whoever manages the system; enumerations can be filtered by it.
        owner: Option<String> = "Owner" ["2.0"],
        /// The schema version that the document is written in; the major number must be 2.
        schema_version: Option<Version> = "SchemaVersion" ["2.0"],
        /// The id of the virtual machine that shall host the system.
        hosting_system_id: Option<String> = "HostingSystemId" ["2.0"],
        /// The system to be hosted, in the guest's schema version: a HostedSystem.
        hosted_system: Option<Value> = "HostedSystem" ["2.0"],
        /// A container on the host itself.
        container: Option<Container> = "Container" ["2.0"],
        /// A virtual machine.
        virtual_machine: Option<VirtualMachine> = "VirtualMachine" ["2.0"],
        /// Whether the system is terminated when its last handle is closed.
        should_terminate_on_last_handle_closed: Option<bool> =
            "ShouldTerminateOnLastHandleClosed" ["2.0"],
    }

    /// A container that lives inside a virtual machine.
    pub struct HostedSystem("HostedSystem") {
        /// The schema version that the guest is told.
        schema_version: Option<Version> = "SchemaVersion" ["2.0"],
        /// The container.
        container: Option<Container> = "Container" ["2.0"],
    }
}

names! {
    /// What sort of compute system it is.
    pub enum SystemType {
        /// A container.
        Container ["2.1"],
        /// A virtual machine.
        VirtualMachine ["2.1"],
        /// The host itself; known from older editions of the schema.
        Host [],
    }

    /// How far a compute system has got.
    pub enum State {
        /// It exists and has not been started.
        Created ["2.1"],
        /// It runs.
        Running ["2.1"],
        /// It is paused.
        Paused ["2.1"],
        /// It has ended.
        Stopped ["2.1"],
        /// It is frozen as the parent of clones.
        SavedAsTemplate ["2.1"],
        /// Nobody knows.
        Unknown ["2.1"],
    }

    /// The operating system inside; an empty text while it is not known.
    pub enum OsType or blank {
        /// Not known.
        Unknown ["2.1"],
        /// Windows.
        Windows ["2.1"],
        /// Linux.
        Linux ["2.1"],
    }

    /// How a compute system ended.
    pub enum NotificationType {
        /// It has not ended.
        None ["2.1"],
        /// It shut down, by itself or because it was asked to.
        GracefulExit ["2.1"],
        /// It was terminated.
        ForcedExit ["2.1"],
        /// It crashed, or what carried it died.
        UnexpectedExit ["2.1"],
        /// Nobody knows.
        Unknown ["2.1"],
    }
}
