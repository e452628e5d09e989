//! Names that programs for Windows import and that are not carried out there: a program that finds one of them missing does not start.
//!
//! Those of vmcompute.dll are for layers of Windows; here they begin with `Vm` (see `compute::older`). Those of computestorage.dll work on directories of the caller's own machine, which for a Windows program is not this one.
#![expect(unsafe_code, reason = "exports names of C")]

use hostcompute::{Failure, HResult};

use crate::boundary::TextOut;
use crate::call::{Code, code};

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
    VmProcessBaseImage(a; );
    VmProcessUtilityImage(a; );
    VmActivateLayer(a, b; );
    VmDeactivateLayer(a, b; );
    VmDestroyLayer(a, b; );
    VmGrantVmAccess(a, b; );
    VmNameToGuid(a, b; );
    VmUnprepareLayer(a, b; );
    VmCreateLayer(a, b, c; );
    VmExpandSandboxSize(a, b, c; );
    VmLayerExists(a, b, c; );
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
