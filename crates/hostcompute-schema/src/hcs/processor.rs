//! Processors of virtual machines (hcs.md 3.4) and what processors can do (3.11).

use alloc::vec::Vec;

use super::ProcessorFeature;
use crate::guid::Guid;

documents! { @compute
    /// The processors of a machine.
    pub struct VirtualMachineProcessor("VirtualMachine_Processor") {
        /// How many there are; one when it is left out.
        count: Option<u32> = "Count" ["2.0"],
        /// How much of each it may use, 1 to 100000.
        limit: Option<u64> = "Limit" ["2.1"],
        /// The weight against other machines, 0 to 10000; 100 is usual.
        weight: Option<u64> = "Weight" ["2.1"],
        /// How much of each is set aside for it, up to 100000.
        reservation: Option<u64> = "Reservation" ["2.4"],
        /// How fast they may run.
        maximum_frequency_mhz: Option<u32> = "MaximumFrequencyMHz" ["2.4"],
        /// Whether the guest may run machines of its own.
        expose_virtualization_extensions: Option<bool> =
            "ExposeVirtualizationExtensions" ["2.0"],
        /// Whether the guest sees the counters of events.
        enable_perfmon_pmu: Option<bool> = "EnablePerfmonPmu" ["2.2"],
        /// Whether the guest sees the counters that all such processors have.
        enable_perfmon_arch_pmu: Option<bool> = "EnablePerfmonArchPmu" ["2.5"],
        /// Whether the guest sees records of single events.
        enable_perfmon_pebs: Option<bool> = "EnablePerfmonPebs" ["2.2"],
        /// Whether the guest sees records of branches.
        enable_perfmon_lbr: Option<bool> = "EnablePerfmonLbr" ["2.2"],
        /// Whether the guest sees traces of instructions.
        enable_perfmon_ipt: Option<bool> = "EnablePerfmonIpt" ["2.2"],
        /// Whether large pages are broken up against attacks.
        enable_page_shattering: Option<bool> = "EnablePageShattering" ["2.5"],
        /// Whether guards against guessing attacks are off.
        disable_speculation_controls: Option<bool> = "DisableSpeculationControls" ["2.5"],
        /// What the processors can do.
        processor_feature_set: Option<ProcessorFeatureSet> = "ProcessorFeatureSet" ["2.5"],
        /// The processor group that the machine is in.
        cpu_group: Option<CpuGroup> = "CpuGroup" ["2.5"],
        /// How the processors are shared out to nodes of memory.
        numa_processors_settings: Option<NumaProcessorsSettings> = "NumaProcessorsSettings" [],
        /// Whether the guest sees exactly what the host's processors can do.
        synchronize_host_features: Option<bool> = "SynchronizeHostFeatures" [],
        /// Whether the guest helps the host's scheduler.
        enable_scheduler_assist: Option<bool> = "EnableSchedulerAssist" [],
        /// The priority of the threads that carry them.
        default_vp_cpu_priority: Option<u32> = "DefaultVpCpuPriority" [],
        /// Whether they may rest deeply.
        enable_processor_idling: Option<bool> = "EnableProcessorIdling" [],
    }

    /// How processors are shared out to nodes of memory.
    pub struct NumaProcessorsSettings("NumaProcessorsSettings") {
        /// How many belong to a node.
        count_per_node: Option<NumaCountPerNode> = "count_per_node" [],
        /// How many nodes belong to a socket.
        node_per_socket: Option<u32> = "node_per_socket" [],
    }

    /// How many processors belong to a node.
    pub struct NumaCountPerNode("NumaCountPerNode") {
        /// At most.
        max: Option<u32> = "max" [],
    }

    /// The processor group that a machine is in.
    pub struct CpuGroup("CpuGroup") {
        /// Its id; the zero id for none.
        id: Option<Guid> = "Id" ["2.1"],
    }

    /// What the processors of a machine can do.
    pub struct ProcessorFeatureSet("ProcessorFeatureSet") {
        /// The features.
        processor_features: Option<Vec<ProcessorFeature>> = "ProcessorFeatures" ["2.5"],
        /// The features of the extended state.
        xsave_processor_features: Option<Vec<XsaveProcessorFeature>> =
            "XsaveProcessorFeatures" ["2.5"],
        /// What is done when the host lacks one.
        processor_feature_set_mode: Option<ProcessorFeatureSetMode> =
            "ProcessorFeatureSetMode" ["2.5"],
    }

    /// What the host's processors can do.
    pub struct ProcessorCapabilitiesInfo("ProcessorCapabilitiesInfo") {
        /// The features.
        processor_features: Option<Vec<ProcessorFeature>> = "ProcessorFeatures" ["2.5"],
        /// The features of the extended state.
        xsave_processor_features: Option<Vec<XsaveProcessorFeature>> =
            "XsaveProcessorFeatures" ["2.5"],
        /// The size of a line of the cache.
        cache_line_flush_size: Option<u64> = "CacheLineFlushSize" ["2.5"],
        /// How many bits an address of memory has.
        implemented_physical_address_bits: Option<u64> =
            "ImplementedPhysicalAddressBits" ["2.5"],
        /// Whether two processors of a machine may share a core unknown to it.
        non_architectural_core_sharing: Option<NonArchitecturalCoreSharing> =
            "NonArchitecturalCoreSharing" ["2.5"],
    }

    /// What a saved machine needs of the processors.
    pub struct VmProcessorRequirements("VmProcessorRequirements") {
        /// The features.
        processor_features: Option<Vec<ProcessorFeature>> = "ProcessorFeatures" ["2.5"],
        /// The features of the extended state.
        xsave_processor_features: Option<Vec<XsaveProcessorFeature>> =
            "XsaveProcessorFeatures" ["2.5"],
        /// The size of a line of the cache.
        cache_line_flush_size: Option<u64> = "CacheLineFlushSize" ["2.5"],
        /// How many bits an address of memory has.
        implemented_physical_address_bits: Option<u64> =
            "ImplementedPhysicalAddressBits" ["2.5"],
        /// Whether two processors of a machine may share a core unknown to it.
        non_architectural_core_sharing: Option<NonArchitecturalCoreSharing> =
            "NonArchitecturalCoreSharing" ["2.5"],
    }

    /// Limits of a machine's processors that are changed while it runs.
    pub struct ProcessorLimits("ProcessorLimits") {
        /// How much of each it may use, 1 to 100000.
        limit: Option<u64> = "Limit" ["2.4"],
        /// The weight against other machines.
        weight: Option<u64> = "Weight" ["2.4"],
        /// How much of each is set aside for it.
        reservation: Option<u64> = "Reservation" ["2.4"],
        /// How fast they may run.
        maximum_frequency_mhz: Option<u32> = "MaximumFrequencyMHz" ["2.4"],
    }

    /// Processors of a machine that shall rest.
    pub struct IdleProcessorsRequest("IdleProcessorsRequest") {
        /// How many.
        idle_processor_count: Option<u32> = "IdleProcessorCount" ["2.3"],
    }

    /// Another processor group for a machine.
    pub struct SystemProcessorModificationRequest("SystemProcessorModificationRequest") {
        /// The id of the group.
        group_id: Option<Guid> = "GroupId" ["2.1"],
    }
}

names! {
    /// What is done when the host lacks a feature that was asked for.
    pub enum ProcessorFeatureSetMode {
        /// The machine does not start.
        Strict ["2.5"],
        /// The guest does not see it.
        Permissive ["2.5"],
    }

    /// Whether two processors of a machine may share a core unknown to it.
    pub enum NonArchitecturalCoreSharing {
        /// It is not told.
        Unreported ["2.5"],
        /// They never do.
        Off ["2.5"],
        /// They may.
        On ["2.5"],
    }

    /// What a guest is told about its hypervisor.
    pub enum EnlightenmentModifications {
        /// Nothing.
        Unreported ["2.5"],
        /// It should let interrupts end by themselves.
        FavorAutoEoi ["2.5"],
        /// Reserved.
        RsvdZ1 ["2.5"],
    }

    /// Features of the extended state.
    pub enum XsaveProcessorFeature {
        /// Saving the extended state.
        Xsave ["2.5"],
        /// Saving of the extended state that leaves out what is unchanged.
        XsaveOpt = "Xsave_Opt" ["2.5"],
        /// AVX.
        Avx ["2.5"],
        /// AVX2.
        Avx2 ["2.5"],
        /// Fused multiply and add.
        Fma ["2.5"],
        /// Bounds of memory accesses.
        Mpx ["2.5"],
        /// AVX-512 foundation.
        Avx512 ["2.5"],
        /// AVX-512 for double and quad words.
        Avx512Dq ["2.5"],
        /// AVX-512 conflict detection.
        Avx512Cd ["2.5"],
        /// AVX-512 for bytes and words.
        Avx512Bw ["2.5"],
        /// AVX-512 on shorter vectors.
        Avx512Vl ["2.5"],
        /// Compact form of the extended state.
        XsaveComp = "Xsave_Comp" ["2.5"],
        /// The kernel's part of the extended state.
        XsaveSupervisor = "Xsave_Supervisor" ["2.5"],
        /// Which parts of the state are in use.
        Xcr1 ["2.5"],
        /// AVX-512 bit algorithms.
        Avx512Bitalg = "Avx512_Bitalg" ["2.5"],
        /// AVX-512 multiply and add of integers.
        Avx512Ifma = "AVX512_Ifma" ["2.5"],
        /// AVX-512 bit manipulation of bytes.
        Avx512Vbmi = "Avx512_Vbmi" ["2.5"],
        /// More AVX-512 bit manipulation of bytes.
        Avx512Vbmi2 = "Avx512_Vbmi2" ["2.5"],
        /// AVX-512 for neural networks.
        Avx512Vnni = "Avx512_Vnni" ["2.5"],
        /// Galois field instructions.
        Gfni ["2.5"],
        /// AES on vectors.
        Vaes ["2.5"],
        /// AVX-512 counting of bits.
        Avx512Vpopcntdq = "Avx512_Vpopcntdq" ["2.5"],
        /// Multiplying without carry on vectors.
        Vpclmulqdq ["2.5"],
        /// AVX-512 for bfloat16.
        Avx512Bf16 = "Avx512_Bf16" ["2.5"],
        /// AVX-512 intersections.
        Avx512Vp2Intersect = "Avx512_Vp2Intersect" ["2.5"],
        /// AVX-512 for half precision.
        Avx512Fp16 ["2.5"],
        /// Faults on use of extended features.
        Xfd ["2.5"],
        /// Tiles of matrices.
        AmxTile ["2.5"],
        /// Matrices of bfloat16.
        AmxBf16 ["2.5"],
        /// Matrices of bytes.
        AmxInt8 ["2.5"],
        /// AVX for neural networks.
        AvxVnni ["2.5"],
        /// No feature: the end of the list.
        SentinelAmdXsave ["2.5"],
    }
}
