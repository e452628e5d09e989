//! The service itself, files of the host, and what there is of virtual machines.

use hostcompute::schema::ComputeOperation as Verb;

use crate::boundary::{Text, TextOut};
use crate::call::{Code, code};
use crate::compute::machine::{ask, impossible, make_file, not_made};

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetServiceProperties(query: Text, result: TextOut) -> Code {
    ask(Verb::GetServiceProperties, query, result)
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsModifyServiceSettings(settings: Text, result: TextOut) -> Code {
    ask(Verb::ModifyServiceSettings, settings, result)
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCreateEmptyGuestStateFile(path: Text) -> Code {
    code(|| make_file(path))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsCreateEmptyRuntimeStateFile(path: Text) -> Code {
    code(|| make_file(path))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGrantVmAccess(_machine: Text, _path: Text) -> Code {
    code(|| impossible(ACCOUNTS))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsRevokeVmAccess(_machine: Text, _path: Text) -> Code {
    code(|| impossible(ACCOUNTS))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsGrantVmGroupAccess(_path: Text) -> Code {
    code(|| impossible(ACCOUNTS))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsRevokeVmGroupAccess(_path: Text) -> Code {
    code(|| impossible(ACCOUNTS))
}

const ACCOUNTS: &str = "accounts of virtual machines whom access could be given to";

#[unsafe(no_mangle)]
pub extern "C" fn HcsGetProcessorCompatibilityFromSavedState(
    _path: Text,
    features: TextOut,
) -> Code {
    code(|| {
        features.clear();
        impossible("saved states of Hyper-V")
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn HcsSubmitWerReport(_settings: Text) -> Code {
    code(|| impossible("Windows Error Reporting"))
}

/// Functions that stand in Windows' import library and are documented nowhere.
macro_rules! unknown {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> Code {
            code(|| not_made("worker process of a virtual machine"))
        }
    )*};
}

unknown! {
    HcsEnumerateVmWorkerProcesses HcsFindVmWorkerProcesses HcsGetWorkerProcessJob
    HcsStartVmWorkerProcess
}
