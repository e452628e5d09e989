//! Names that programs for Windows import and that are not carried out there: a program that finds one of them missing does not start.
//!
//! Those of vmcompute.dll beside HNSCall are the compute service's older functions, and those of layers of Windows. Some are named like
//! functions of computecore.dll with other arguments, so here all begin with `Vm`; the library that programs load has them under their
//! own names. Those of computestorage.dll work on directories of the caller's own machine, which for a Windows program is not this one.
#![expect(unsafe_code, reason = "exports names of C")]

use hostcompute::{Failure, HResult};

use crate::boundary::{Out, TextOut};
use crate::call::{Code, code};
use crate::handle::Handle;

/// A word that is not looked at.
type Word = usize;

/// What a function says that is not here.
fn absent(name: &str) -> Result<(), Failure> {
    let name = name.trim_start_matches("Vm");
    Err(Failure::new(HResult::E_NOTIMPL, format!("{name} is not here")))
}

/// Functions that clear what they would have answered with, and say that they are not here.
macro_rules! absent {
    ($($name:ident($($word:ident),*; $($out:ident: $kind:ty => $nothing:expr),*);)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($word: Word,)* $($out: $kind),*) -> Code {
            let _ = ($($word,)*);
            $($out.put($nothing);)*
            code(|| absent(stringify!($name)))
        }
    )*};
}

absent! {
    VmGetBaseImages(; answer: TextOut => std::ptr::null_mut());
    VmHcsCloseComputeSystem(a; );
    VmHcsCloseProcess(a; );
    VmHcsUnregisterComputeSystemCallback(a; );
    VmHcsUnregisterProcessCallback(a; );
    VmProcessBaseImage(a; );
    VmProcessUtilityImage(a; );
    VmHcsOpenComputeSystem(a; first: Out<Handle> => Handle::NULL, second: TextOut => std::ptr::null_mut());
    VmHcsModifyServiceSettings(a; answer: TextOut => std::ptr::null_mut());
    VmHcsTerminateProcess(a; answer: TextOut => std::ptr::null_mut());
    VmHcsEnumerateComputeSystems(a; first: TextOut => std::ptr::null_mut(), second: TextOut => std::ptr::null_mut());
    VmHcsGetProcessProperties(a; first: TextOut => std::ptr::null_mut(), second: TextOut => std::ptr::null_mut());
    VmHcsGetServiceProperties(a; first: TextOut => std::ptr::null_mut(), second: TextOut => std::ptr::null_mut());
    VmActivateLayer(a, b; );
    VmDeactivateLayer(a, b; );
    VmDestroyLayer(a, b; );
    VmGrantVmAccess(a, b; );
    VmNameToGuid(a, b; );
    VmUnprepareLayer(a, b; );
    VmHcsOpenProcess(a, b; first: Out<Handle> => Handle::NULL, second: TextOut => std::ptr::null_mut());
    VmHcsGetProcessInfo(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsModifyComputeSystem(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsModifyProcess(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsPauseComputeSystem(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsResumeComputeSystem(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsSaveComputeSystem(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsShutdownComputeSystem(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsSignalProcess(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsStartComputeSystem(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsTerminateComputeSystem(a, b; answer: TextOut => std::ptr::null_mut());
    VmHcsGetComputeSystemProperties(a, b; first: TextOut => std::ptr::null_mut(), second: TextOut => std::ptr::null_mut());
    VmCreateLayer(a, b, c; );
    VmExpandSandboxSize(a, b, c; );
    VmLayerExists(a, b, c; );
    VmHcsRegisterComputeSystemCallback(a, b, c; answer: Out<Handle> => Handle::NULL);
    VmHcsRegisterProcessCallback(a, b, c; answer: Out<Handle> => Handle::NULL);
    VmHcsCreateComputeSystem(a, b, c; first: Out<Handle> => Handle::NULL, second: TextOut => std::ptr::null_mut());
    VmHcsCreateProcess(a, b, c; first: Out<Handle> => Handle::NULL, second: TextOut => std::ptr::null_mut());
    VmGetLayerMountPath(a, b, c, d; );
    VmPrepareLayer(a, b, c, d; );
    VmCopyLayer(a, b, c, d, e; );
    VmCreateSandboxLayer(a, b, c, d, e; );
    VmExportLayer(a, b, c, d, e; );
    VmImportLayer(a, b, c, d, e; );
}

absent! {
    HcsDestroyLayer(a;);
    HcsDetachLayerStorageFilter(a;);
    HcsFormatWritableLayerVhd(a;);
    HcsGetLayerVhdMountPath(a; answer: TextOut => std::ptr::null_mut());
    HcsAttachLayerStorageFilter(a, b;);
    HcsAttachOverlayFilter(a, b;);
    HcsDetachOverlayFilter(a, b;);
    HcsImportLayer(a, b, c;);
    HcsInitializeWritableLayer(a, b, c;);
    HcsSetupBaseOSLayer(a, b, c;);
    HcsSetupBaseOSVolume(a, b, c;);
    HcsExportLayer(a, b, c, d;);
    HcsExportLegacyWritableLayer(a, b, c, d;);
    HcsInitializeLegacyWritableLayer(a, b, c, d;);
}
