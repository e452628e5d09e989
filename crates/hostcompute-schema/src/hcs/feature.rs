//! The names of what processors can do, of x86 and of Arm (hcs.md 3.11).

names! {
    /// Features of processors: those of x86 first, then those of Arm.
    pub enum ProcessorFeature {
        /// SSE3 instructions.
        Sse3 ["2.5"],
        /// LAHF and SAHF in 64-bit mode.
        LahfSahf ["2.5"],
        /// SSSE3 instructions.
        Ssse3 ["2.5"],
        /// SSE4.1 instructions.
        Sse4_1 ["2.5"],
        /// SSE4.2 instructions.
        Sse4_2 ["2.5"],
        /// AMD's SSE4a instructions.
        Sse4A ["2.5"],
        /// AMD's XOP instructions.
        Xop ["2.5"],
        /// Counting bits (POPCNT).
        Popcnt ["2.5"],
        /// Comparing and exchanging 16 bytes.
        Cmpxchg16B ["2.5"],
        /// Reaching CR8 in 32-bit mode.
        Altmovcr8 ["2.5"],
        /// Counting leading zeros (LZCNT).
        Lzcnt ["2.5"],
        /// SSE on unaligned memory.
        Misalignsse ["2.5"],
        /// AMD's extensions of MMX.
        MmxExt ["2.5"],
        /// 3DNow! instructions.
        Amd3Dnow ["2.5"],
        /// Extended 3DNow! instructions.
        ExtAmd3Dnow ["2.5"],
        /// Pages of 1 GiB.
        Page1Gb ["2.5"],
        /// AES instructions.
        AmdAes ["2.5"],
        /// Multiplying without carry.
        Pclmulqdq ["2.5"],
        /// Process-context identifiers.
        Pcid ["2.5"],
        /// AMD's FMA4 instructions.
        Fma4 ["2.5"],
        /// Converting half-precision numbers.
        F16C ["2.5"],
        /// Random numbers (RDRAND).
        Rdrand ["2.5"],
        /// Reading and writing the FS and GS bases.
        Rdwrfsgs ["2.5"],
        /// No execution of user pages by the kernel (SMEP).
        Smep ["2.5"],
        /// Fast REP MOVSB and STOSB.
        EnhancedFastString ["2.5"],
        /// The first set of bit manipulation.
        Bmi1 ["2.5"],
        /// The second set of bit manipulation.
        Bmi2 ["2.5"],
        /// Moving with swapped bytes.
        Movbe ["2.5"],
        /// Hiding descriptor tables from user programs.
        Npiep1 ["2.5"],
        /// X87 pointers saved on exceptions only.
        DepX87FpuSave ["2.5"],
        /// Random seeds (RDSEED).
        Rdseed ["2.5"],
        /// Adding with two carries.
        Adx ["2.5"],
        /// Prefetching for writing (PREFETCHW).
        IntelPrefetch ["2.5"],
        /// No access to user pages by the kernel (SMAP).
        Smap ["2.5"],
        /// Eliding of locks.
        Hle ["2.5"],
        /// Restricted transactional memory.
        Rtm ["2.5"],
        /// Reading clock and processor at once.
        Rdtscp ["2.5"],
        /// Optimised flushing of cache lines.
        Clflushopt ["2.5"],
        /// Writing back of cache lines.
        Clwb ["2.5"],
        /// SHA instructions.
        Sha ["2.5"],
        /// AMD's saving of x87 pointers.
        X87PointersSaved ["2.5"],
        /// Invalidating by process context.
        Invpcid ["2.5"],
        /// Restricted speculation of indirect branches.
        Ibrs ["2.5"],
        /// Indirect branches apart on sibling threads.
        Stibp ["2.5"],
        /// A barrier for indirect branches.
        Ibpb ["2.5"],
        /// Guests in real mode.
        UnrestrictedGuest ["2.5"],
        /// A barrier against sampling of buffers.
        Mdd ["2.5"],
        /// Fast short REP MOVSB.
        FastShortRepMov ["2.5"],
        /// Flushing the first data cache.
        L1DCacheFlush ["2.5"],
        /// Not affected by rogue data cache loads.
        RdclNo ["2.5"],
        /// Restricted speculation that is always on.
        IbrsAll ["2.5"],
        /// No need to flush the first data cache.
        SkipL1Df ["2.5"],
        /// Not affected by speculative store bypass.
        SsbNo ["2.5"],
        /// Not affected by the alternate of the return stack.
        RsbaNo ["2.5"],
        /// Virtual control of speculation.
        VirtSpecCtrl ["2.5"],
        /// Reading the processor number.
        Rdpid ["2.5"],
        /// No descriptor tables for user programs (UMIP).
        Umip ["2.5"],
        /// Not affected by sampling of buffers.
        MbsNo ["2.5"],
        /// Clearing of buffers.
        MbClear ["2.5"],
        /// Not affected by asynchronous aborts of transactions.
        TaaNo ["2.5"],
        /// Control of transactional memory.
        TsxCtrl ["2.5"],
        /// Counting actual and maximum cycles.
        AcountMcount ["2.5"],
        /// A clock that runs evenly.
        TscInvariant ["2.5"],
        /// Clearing a cache line.
        Clzero ["2.5"],
        /// Reading processor registers as a user.
        Rdpru ["2.5"],
        /// Addresses of 57 bits.
        La57 ["2.5"],
        /// Execution control by mode.
        Mbec ["2.5"],
        /// Machines inside the machine.
        NestedVirt ["2.5"],
        /// No predictive forwarding of stores.
        Psfd ["2.5"],
        /// Shadow stacks.
        CetSs ["2.5"],
        /// Tracking of indirect branches.
        CetIbt ["2.5"],
        /// Injecting exceptions into nested guests.
        VmxExceptionInject ["2.5"],
        /// Waiting as a user (UMWAIT, TPAUSE).
        UmwaitTpause ["2.5"],
        /// Direct stores.
        Movdiri ["2.5"],
        /// Direct stores of 64 bytes.
        Movdir64b ["2.5"],
        /// Demoting cache lines.
        Cldemote ["2.5"],
        /// The SERIALIZE instruction.
        Serialize ["2.5"],
        /// A timer with deadlines.
        TscDeadlineTmr ["2.5"],
        /// Adjusting the clock.
        TscAdjust ["2.5"],
        /// Fast REP MOVSB of no length.
        FZLRepMovsb ["2.5"],
        /// Fast short REP STOSB.
        FSRepStosb ["2.5"],
        /// Fast short REP CMPSB and SCASB.
        FSRepCmpsb ["2.5"],
        /// No feature: the end of the x86 list.
        SentinelAmd ["2.5"],
        /// Address space ids of 16 bits.
        Asid16 ["2.5"],
        /// Pages of 16 KiB.
        TGran16 ["2.5"],
        /// Pages of 64 KiB.
        TGran64 ["2.5"],
        /// The access flag kept by hardware.
        Haf ["2.5"],
        /// The dirty state kept by hardware.
        Hdbs ["2.5"],
        /// No access to user pages by the kernel (PAN).
        Pan ["2.5"],
        /// Address translation that heeds PAN.
        AtS1E1 ["2.5"],
        /// Overriding user access.
        Uao ["2.5"],
        /// 32-bit programs.
        El0Aarch32 ["2.5"],
        /// Floating point.
        Fp ["2.5"],
        /// Floating point of half precision.
        FpHp ["2.5"],
        /// Advanced SIMD.
        AdvSimd ["2.5"],
        /// Advanced SIMD of half precision.
        AdvSimdHp ["2.5"],
        /// Registers of the interrupt controller 3 and 4.
        GicV3V4 ["2.5"],
        /// Event counters, version 3.
        PmuV3 ["2.5"],
        /// Event counters of Armv8.1.
        PmuV3ArmV81 ["2.5"],
        /// Event counters of Armv8.4.
        PmuV3ArmV84 ["2.5"],
        /// AES instructions of Arm.
        ArmAes ["2.5"],
        /// Multiplying polynomials.
        PolyMul ["2.5"],
        /// SHA-1 instructions.
        Sha1 ["2.5"],
        /// SHA-256 instructions.
        Sha256 ["2.5"],
        /// SHA-512 instructions.
        Sha512 ["2.5"],
        /// CRC-32 instructions.
        Crc32 ["2.5"],
        /// Atomic instructions.
        Atomic ["2.5"],
        /// Rounding double multiply.
        Rdm ["2.5"],
        /// SHA-3 instructions.
        Sha3 ["2.5"],
        /// SM3 instructions.
        Sm3 ["2.5"],
        /// SM4 instructions.
        Sm4 ["2.5"],
        /// Dot products.
        Dp ["2.5"],
        /// Multiplying half precision into single.
        Fhm ["2.5"],
        /// Cleaning the cache to the point of persistence.
        DcCvap ["2.5"],
        /// Cleaning the cache to the point of deep persistence.
        DcCvadp ["2.5"],
        /// Pointer authentication.
        ApaBase ["2.5"],
        /// Enhanced pointer authentication.
        ApaEp ["2.5"],
        /// Second enhanced pointer authentication.
        ApaEp2 ["2.5"],
        /// Second enhanced pointer authentication with faults.
        ApaEp2Fp ["2.5"],
        /// Second enhanced pointer authentication with combined faults.
        ApaEp2Fpc ["2.5"],
        /// Converting numbers as JavaScript does.
        Jscvt ["2.5"],
        /// Multiplying complex numbers.
        Fcma ["2.5"],
        /// Weaker ordered loads of Armv8.3.
        RcpcV83 ["2.5"],
        /// Weaker ordered loads of Armv8.4.
        RcpcV84 ["2.5"],
        /// Generic authentication.
        Gpa ["2.5"],
        /// A first instruction cache by physical address.
        L1ipPipt ["2.5"],
        /// Clearing cache lines as a user.
        DzPermitted ["2.5"],
        /// No feature: the end of the Arm list.
        SentinelArm ["2.5"],
    }
}
