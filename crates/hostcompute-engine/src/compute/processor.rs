//! What the host's processors can do, in the words of the documents: the flags that Linux prints, translated.

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::hcs::{ProcessorFeature, XsaveProcessorFeature};

use super::facts::HostFacts;

/// Flag of /proc/cpuinfo, name of the ProcessorFeature.
const X86: &[(&str, &str)] = &[
    ("pni", "Sse3"),
    ("lahf_lm", "LahfSahf"),
    ("ssse3", "Ssse3"),
    ("sse4_1", "Sse4_1"),
    ("sse4_2", "Sse4_2"),
    ("sse4a", "Sse4A"),
    ("xop", "Xop"),
    ("popcnt", "Popcnt"),
    ("cx16", "Cmpxchg16B"),
    ("cr8_legacy", "Altmovcr8"),
    ("abm", "Lzcnt"),
    ("misalignsse", "Misalignsse"),
    ("mmxext", "MmxExt"),
    ("3dnow", "Amd3Dnow"),
    ("3dnowext", "ExtAmd3Dnow"),
    ("pdpe1gb", "Page1Gb"),
    ("aes", "AmdAes"),
    ("pclmulqdq", "Pclmulqdq"),
    ("pcid", "Pcid"),
    ("fma4", "Fma4"),
    ("f16c", "F16C"),
    ("rdrand", "Rdrand"),
    ("fsgsbase", "Rdwrfsgs"),
    ("smep", "Smep"),
    ("erms", "EnhancedFastString"),
    ("bmi1", "Bmi1"),
    ("bmi2", "Bmi2"),
    ("movbe", "Movbe"),
    ("rdseed", "Rdseed"),
    ("adx", "Adx"),
    ("3dnowprefetch", "IntelPrefetch"),
    ("smap", "Smap"),
    ("hle", "Hle"),
    ("rtm", "Rtm"),
    ("rdtscp", "Rdtscp"),
    ("clflushopt", "Clflushopt"),
    ("clwb", "Clwb"),
    ("sha_ni", "Sha"),
    ("invpcid", "Invpcid"),
    ("ibrs", "Ibrs"),
    ("stibp", "Stibp"),
    ("ibpb", "Ibpb"),
    ("fsrm", "FastShortRepMov"),
    ("flush_l1d", "L1DCacheFlush"),
    ("virt_ssbd", "VirtSpecCtrl"),
    ("rdpid", "Rdpid"),
    ("umip", "Umip"),
    ("md_clear", "MbClear"),
    ("nonstop_tsc", "TscInvariant"),
    ("clzero", "Clzero"),
    ("rdpru", "Rdpru"),
    ("la57", "La57"),
    ("vmx", "NestedVirt"),
    ("svm", "NestedVirt"),
    ("psfd", "Psfd"),
    ("user_shstk", "CetSs"),
    ("ibt", "CetIbt"),
    ("waitpkg", "UmwaitTpause"),
    ("movdiri", "Movdiri"),
    ("movdir64b", "Movdir64b"),
    ("cldemote", "Cldemote"),
    ("serialize", "Serialize"),
    ("tsc_deadline_timer", "TscDeadlineTmr"),
    ("tsc_adjust", "TscAdjust"),
    ("fzrm", "FZLRepMovsb"),
    ("fsrs", "FSRepStosb"),
    ("fsrc", "FSRepCmpsb"),
];

const ARM: &[(&str, &str)] = &[
    ("fp", "Fp"),
    ("fphp", "FpHp"),
    ("asimd", "AdvSimd"),
    ("asimdhp", "AdvSimdHp"),
    ("aes", "ArmAes"),
    ("pmull", "PolyMul"),
    ("sha1", "Sha1"),
    ("sha2", "Sha256"),
    ("sha512", "Sha512"),
    ("crc32", "Crc32"),
    ("atomics", "Atomic"),
    ("asimdrdm", "Rdm"),
    ("sha3", "Sha3"),
    ("sm3", "Sm3"),
    ("sm4", "Sm4"),
    ("asimddp", "Dp"),
    ("asimdfhm", "Fhm"),
    ("dcpop", "DcCvap"),
    ("dcpodp", "DcCvadp"),
    ("paca", "ApaBase"),
    ("jscvt", "Jscvt"),
    ("fcma", "Fcma"),
    ("lrcpc", "RcpcV83"),
    ("ilrcpc", "RcpcV84"),
];

/// Flag, name of the XsaveProcessorFeature.
const XSAVE: &[(&str, &str)] = &[
    ("xsave", "Xsave"),
    ("xsaveopt", "Xsave_Opt"),
    ("avx", "Avx"),
    ("avx2", "Avx2"),
    ("fma", "Fma"),
    ("mpx", "Mpx"),
    ("avx512f", "Avx512"),
    ("avx512dq", "Avx512Dq"),
    ("avx512cd", "Avx512Cd"),
    ("avx512bw", "Avx512Bw"),
    ("avx512vl", "Avx512Vl"),
    ("xsavec", "Xsave_Comp"),
    ("xsaves", "Xsave_Supervisor"),
    ("xgetbv1", "Xcr1"),
    ("avx512_bitalg", "Avx512_Bitalg"),
    ("avx512ifma", "AVX512_Ifma"),
    ("avx512vbmi", "Avx512_Vbmi"),
    ("avx512_vbmi2", "Avx512_Vbmi2"),
    ("avx512_vnni", "Avx512_Vnni"),
    ("gfni", "Gfni"),
    ("vaes", "Vaes"),
    ("avx512_vpopcntdq", "Avx512_Vpopcntdq"),
    ("vpclmulqdq", "Vpclmulqdq"),
    ("avx512_bf16", "Avx512_Bf16"),
    ("avx512_vp2intersect", "Avx512_Vp2Intersect"),
    ("avx512_fp16", "Avx512Fp16"),
    ("amx_tile", "AmxTile"),
    ("amx_bf16", "AmxBf16"),
    ("amx_int8", "AmxInt8"),
    ("avx_vnni", "AvxVnni"),
];

/// The ProcessorFeatures that the host has.
pub fn features(facts: &HostFacts) -> Vec<ProcessorFeature> {
    // Both families have a flag `aes`; `asimd` only Arm has.
    let arm = facts.cpu_flags.iter().any(|flag| flag == "asimd");
    let names = names(if arm { ARM } else { X86 }, &facts.cpu_flags);
    names.into_iter().map(ProcessorFeature::from_name).collect()
}

/// The XsaveProcessorFeatures that the host has.
pub fn xsave_features(facts: &HostFacts) -> Vec<XsaveProcessorFeature> {
    let names = names(XSAVE, &facts.cpu_flags);
    names.into_iter().map(XsaveProcessorFeature::from_name).collect()
}

fn names(table: &[(&str, &'static str)], flags: &[String]) -> Vec<&'static str> {
    let has = |flag: &str| flags.iter().any(|other| other == flag);
    let mut names: Vec<_> =
        table.iter().filter(|(flag, _)| has(flag)).map(|(_, name)| *name).collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_name_is_published() {
        for (flag, name) in X86.iter().chain(ARM) {
            assert!(ProcessorFeature::from_name(name).is_known(), "{flag}: {name}");
        }
        for (flag, name) in XSAVE {
            assert!(XsaveProcessorFeature::from_name(name).is_known(), "{flag}: {name}");
        }
    }

    #[test]
    fn a_flag_means_what_its_family_means_by_it() {
        let facts = |flags: &[&str]| HostFacts {
            cpu_flags: flags.iter().map(ToString::to_string).collect(),
            ..HostFacts::default()
        };
        let intel = facts(&["aes", "vmx", "svm", "avx2"]);
        assert_eq!(features(&intel), [ProcessorFeature::AmdAes, ProcessorFeature::NestedVirt]);
        assert_eq!(xsave_features(&intel), [XsaveProcessorFeature::Avx2]);
        let arm = facts(&["asimd", "aes"]);
        assert_eq!(features(&arm), [ProcessorFeature::AdvSimd, ProcessorFeature::ArmAes]);
    }
}
