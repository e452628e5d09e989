//! What concerns the service, the host's files and virtual machines; all of it is done when it returns.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use hostcompute::schema::hcs::ResultError;
use hostcompute::schema::{ComputeOperation, Document};
use hostcompute::transport::ComputeCall;
use hostcompute::{Failure, HResult};

use crate::boundary::{Text, TextOut};
use crate::call::{Code, code};
use crate::service;

/// HcsGetServiceProperties and HcsModifyServiceSettings: the result, or a ResultError document.
pub fn ask(verb: ComputeOperation, document: Text, result: TextOut) -> Code {
    code(|| {
        result.clear();
        let asked = document
            .read_or_empty()
            .and_then(|document| service::host()?.compute(&ComputeCall::on(verb, "", &document)));
        match asked {
            Ok(answer) if answer.body.is_empty() => Ok(()),
            Ok(answer) => result.hand_out(&answer.body),
            Err(failure) => {
                result.hand_out(&ResultError::of(&failure).to_value().to_string())?;
                Err(failure)
            }
        }
    })
}

/// HcsCreateEmptyGuestStateFile and HcsCreateEmptyRuntimeStateFile.
pub fn make_file(path: Text) -> Result<(), Failure> {
    let path = PathBuf::from(path.read("path")?);
    File::create_new(&path).map(drop).map_err(|error| {
        let kind = match error.kind() {
            ErrorKind::AlreadyExists => HResult::ERROR_ALREADY_EXISTS,
            ErrorKind::NotFound | ErrorKind::NotADirectory => HResult::ERROR_PATH_NOT_FOUND,
            ErrorKind::PermissionDenied => HResult::E_ACCESSDENIED,
            ErrorKind::StorageFull => HResult::ERROR_DISK_FULL,
            _ => HResult::E_FAIL,
        };
        Failure::new(kind, format!("cannot make {}: {error}", path.display()))
    })
}

/// What Linux has nothing for.
pub fn impossible(what: &str) -> Result<(), Failure> {
    Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, format!("Linux has no {what}")))
}

/// What is documented, and not made here.
pub fn not_made(what: &str) -> Result<(), Failure> {
    Err(Failure::new(HResult::E_NOTIMPL, format!("there is no {what} here")))
}
