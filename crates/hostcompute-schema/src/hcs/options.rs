//! How a verb is to be carried out (hcs.md 3.9). Every one of these documents may be left out.

use alloc::string::String;

use super::MigrationNetworkSettings;

documents! { @compute
    /// How a compute system is started.
    pub struct StartOptions("StartOptions") {
        /// The state of the machine comes from another host.
        destination_migration_options: Option<MigrationStartOptions> =
            "DestinationMigrationOptions" [],
    }

    /// How the receiving side of a migration starts.
    pub struct MigrationStartOptions("MigrationStartOptions") {
        /// The connection to the other host.
        network_settings: Option<MigrationNetworkSettings> = "NetworkSettings" [],
    }

    /// How a compute system is shut down.
    pub struct ShutdownOptions("ShutdownOptions") {
        /// Who tells the guest.
        mechanism: Option<ShutdownMechanism> = "Mechanism" ["2.5"],
        /// What the guest shall do.
        kind: Option<ShutdownType> = "Type" ["2.5"],
        /// Whether programs that object are not waited for.
        force: Option<bool> = "Force" ["2.5"],
        /// Why, for the guest's log.
        reason: Option<String> = "Reason" ["2.5"],
        /// How long to wait, in seconds; known from clients only.
        timeout_seconds: Option<u32> = "TimeoutSeconds" [],
    }

    /// How a compute system is paused.
    pub struct PauseOptions("PauseOptions") {
        /// How much memory a paused machine keeps.
        suspension_level: Option<PauseSuspensionLevel> = "SuspensionLevel" ["2.0"],
        /// What the guest is told.
        hosted_notification: Option<PauseNotification> = "HostedNotification" ["2.1"],
    }

    /// What a guest is told when it is paused.
    pub struct PauseNotification("PauseNotification") {
        /// Why it is paused.
        reason: Option<PauseReason> = "Reason" ["2.1"],
    }

    /// How a compute system is saved.
    pub struct SaveOptions("SaveOptions") {
        /// Whether it is saved to come back, or as the parent of clones.
        save_type: Option<SaveType> = "SaveType" ["2.1"],
        /// The file; it must not exist yet.
        save_state_file_path: Option<String> = "SaveStateFilePath" ["2.1"],
    }

    /// How a compute system is made to crash.
    pub struct CrashOptions("CrashOptions", "2.3") {
        /// What crashes.
        kind: Option<CrashType> = "Type" ["2.3"],
    }
}

names! {
    /// Who tells a guest to shut down.
    pub enum ShutdownMechanism {
        /// The connection to the guest's agent.
        GuestConnection ["2.5"],
        /// The integration service of the hypervisor.
        IntegrationService ["2.5"],
    }

    /// What a guest does when it shuts down.
    pub enum ShutdownType {
        /// It ends.
        Shutdown ["2.5"],
        /// It writes its memory to its disk and ends.
        Hibernate ["2.5"],
        /// It begins anew.
        Reboot ["2.5"],
    }

    /// How much memory a paused machine keeps.
    pub enum PauseSuspensionLevel {
        /// All of it.
        Suspend ["2.0"],
        /// A little less.
        MemoryLow ["2.0"],
        /// Less.
        MemoryMedium ["2.0"],
        /// As little as possible.
        MemoryHigh ["2.0"],
    }

    /// Why a guest is paused.
    pub enum PauseReason {
        /// For no reason that concerns it.
        None ["2.1"],
        /// To be saved.
        Save ["2.1"],
        /// To become the parent of clones.
        Template ["2.1"],
    }

    /// What a saved system is for.
    pub enum SaveType {
        /// To come back.
        ToFile ["2.1"],
        /// To be cloned.
        AsTemplate ["2.1"],
    }

    /// What is made to crash.
    pub enum CrashType {
        /// The guest's operating system.
        CrashGuest ["2.3"],
    }
}
