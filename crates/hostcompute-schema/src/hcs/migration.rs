//! Moving a running machine to another host (hcs.md 3.12). The documents are hcsshim's; no published
//! schema lists them.

use serde_json::Value;

use crate::element::Base64;

documents! { @compute
    /// How one side of a migration is set up.
    pub struct MigrationInitializeOptions("MigrationInitializeOptions") {
        /// Which side this is.
        origin: Option<MigrationOrigin> = "Origin" [],
        /// How memory travels.
        memory_transport: Option<MigrationMemoryTransport> = "MemoryTransport" [],
        /// How the machine is slowed down so that its memory can be caught up with.
        memory_transfer_throttle_params: Option<MemoryMigrationTransferThrottleParams> =
            "MemoryTransferThrottleParams" [],
        /// How memory is made smaller on its way.
        compression_settings: Option<MigrationCompressionSettings> = "CompressionSettings" [],
        /// Whether memory is checked after its way.
        checksum_verification: Option<bool> = "ChecksumVerification" [],
        /// Whether times are recorded.
        perf_tracing_enabled: Option<bool> = "PerfTracingEnabled" [],
        /// Whether to give up when the pause would be too long.
        cancel_if_blackout_threshold_exceeds: Option<bool> =
            "CancelIfBlackoutThresholdExceeds" [],
        /// Whether memory is prepared before it travels.
        prepare_memory_transfer_mode: Option<bool> = "PrepareMemoryTransferMode" [],
        /// What the other side needs to be able to do.
        compatibility_data: Option<MigrationCompatibilityData> = "CompatibilityData" [],
    }

    /// How a machine is slowed down so that its memory can be caught up with.
    pub struct MemoryMigrationTransferThrottleParams("MemoryMigrationTransferThrottleParams") {
        /// Whether it is not slowed down at all.
        skip_throttling: Option<bool> = "SkipThrottling" [],
        /// How fast the slowing down grows.
        throttling_scale: Option<f64> = "ThrottlingScale" [],
        /// How much it is slowed down at least, in per cent.
        minimum_throttle_percentage: Option<u8> = "MinimumThrottlePercentage" [],
        /// In how many passes it should be done.
        target_number_of_brownout_transfer_passes: Option<u32> =
            "TargetNumberOfBrownoutTransferPasses" [],
        /// After how many passes the slowing down begins.
        starting_brownout_pass_number_for_throttling: Option<u32> =
            "StartingBrownoutPassNumberForThrottling" [],
        /// In how many passes it must be done.
        maximum_number_of_brownout_transfer_passes: Option<u32> =
            "MaximumNumberOfBrownoutTransferPasses" [],
        /// How long the pause should be.
        target_blackout_transfer_time: Option<u32> = "TargetBlackoutTransferTime" [],
        /// How long the pause may be.
        blackout_time_threshold_for_cancelling_migration: Option<u32> =
            "BlackoutTimeThresholdForCancellingMigration" [],
    }

    /// How memory is made smaller on its way.
    pub struct MigrationCompressionSettings("MigrationCompressionSettings") {
        /// How many threads do it at most.
        throttle_worker_count: Option<u32> = "ThrottleWorkerCount" [],
    }

    /// What the receiving side needs to be able to do.
    pub struct MigrationCompatibilityData("MigrationCompatibilityData") {
        /// The description, in a form of the hypervisor's own.
        data: Option<Base64> = "Data" [],
    }

    /// The connection to the other side of a migration.
    pub struct MigrationNetworkSettings("MigrationNetworkSettings") {
        /// The number that both sides know it by.
        session_id: Option<u32> = "SessionId" [],
    }

    /// How the memory of a migration is sent off.
    pub struct MigrationTransferOptions("MigrationTransferOptions") {
        /// Which side this is.
        origin: Option<MigrationOrigin> = "Origin" [],
    }

    /// How a migration is given up.
    pub struct MigrationCancelOptions("MigrationCancelOptions") {
        /// Which side this is.
        origin: Option<MigrationOrigin> = "Origin" [],
    }

    /// How a migration ends.
    pub struct MigrationFinalizedOptions("MigrationFinalizedOptions") {
        /// Which side this is.
        origin: Option<MigrationOrigin> = "Origin" [],
        /// What becomes of this side's machine.
        finalized_operation: Option<MigrationFinalOperation> = "FinalizedOperation" [],
    }

    /// What is told while a machine migrates.
    pub struct OperationSystemMigrationNotificationInfo(
        "OperationSystemMigrationNotificationInfo"
    ) {
        /// Which side tells it.
        origin: Option<MigrationOrigin> = "Origin" [],
        /// What happened.
        event: Option<MigrationEvent> = "Event" [],
        /// How it ended.
        result: Option<MigrationResult> = "Result" [],
        /// More about it; after the pause its length and its end.
        additional_details: Option<Value> = "AdditionalDetails" [],
    }

    /// What is told of the pause of a migration.
    pub struct BlackoutExitedEventDetails("BlackoutExitedEventDetails") {
        /// How long it was, in milliseconds.
        blackout_duration_milliseconds: Option<u64> = "BlackoutDurationMilliseconds" [],
        /// When it ended.
        blackout_stop_timestamp: Option<super::DateTime> = "BlackoutStopTimestamp" [],
    }
}

names! {
    /// The sides of a migration.
    pub enum MigrationOrigin {
        /// Where the machine is.
        Source [],
        /// Where it goes.
        Destination [],
    }

    /// How memory travels.
    pub enum MigrationMemoryTransport {
        /// Over a connection.
        Tcp = "TCP" [],
    }

    /// What becomes of one side's machine at the end of a migration.
    pub enum MigrationFinalOperation {
        /// It goes on.
        Resume [],
        /// It ends.
        Stop [],
    }

    /// What happens in a migration.
    pub enum MigrationEvent {
        /// Nothing that is known.
        Unknown [],
        /// It is done.
        MigrationDone [],
        /// The pause begins.
        BlackoutStarted [],
        /// All that was left has travelled.
        OfflineDone [],
        /// The pause ends.
        BlackoutExited [],
        /// Both sides are set up.
        SetupDone [],
        /// Memory travels.
        TransferInProgress [],
        /// The machine is as it was before.
        MigrationRecoveryDone [],
        /// It failed.
        MigrationFailed [],
    }

    /// How a migration ended.
    pub enum MigrationResult {
        /// It has not.
        Invalid [],
        /// Well.
        Success [],
        /// It was given up.
        MigrationCancelled [],
        /// The guest gave it up.
        GuestInitiatedCancellation [],
        /// The side where the machine was failed.
        SourceMigrationFailed [],
        /// The side where it went failed.
        DestinationMigrationFailed [],
        /// The machine could not be brought back.
        MigrationRecoveryFailed [],
    }
}
