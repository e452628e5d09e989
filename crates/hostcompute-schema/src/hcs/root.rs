//! What holds for a compute system's document as a whole (hcs.md 3.1 and appendix B), and the error
//! document of a failure.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{ComputeSystem, HostedSystem, ResultError, Version};
use crate::document::Document;
use crate::failure::Failure;
use crate::hresult::HResult;
use crate::parse::first_of;
use crate::reader::Reader;
use crate::schema::SchemaVersion;
use crate::strict;

/// The newest version whose members are described here. Whatever minor number a document names,
/// every member is known: which ones are understood depends on the build, not on the document.
pub const LATEST: SchemaVersion = SchemaVersion { major: MAJOR, minor: 11 };

/// The major number of the schema versions that are understood, whatever the minor one is.
const MAJOR: u32 = 2;

/// Reads what HcsCreateComputeSystem is given: every member, and the rules for the whole.
///
/// # Errors
/// `HCS_E_INVALID_JSON` with path and position; the first mistake, with the number of further ones.
pub fn parse_system(text: &str) -> Result<ComputeSystem, Failure> {
    parse_system_all(text).map_err(first_of)
}

/// As [`parse_system`], with every mistake.
///
/// # Errors
/// `HCS_E_INVALID_JSON` with path and position, for each mistake.
pub fn parse_system_all(text: &str) -> Result<ComputeSystem, Vec<Failure>> {
    let value = strict::read_json(text).map_err(|failure| vec![failure])?;
    let system: ComputeSystem = strict::document(&value, text, Reader::strict())?;
    let mut reader = Reader::strict();
    check_system(&system, &mut reader);
    let (failures, _) = reader.into_notes();
    if failures.is_empty() {
        Ok(system)
    } else {
        Err(failures.into_iter().map(|failure| failure.in_document(text)).collect())
    }
}

/// The rules for a compute system as a whole; the reader stands at its document.
pub fn check_system(system: &ComputeSystem, reader: &mut Reader) {
    let parts = [
        ("Container", system.container.is_some()),
        ("VirtualMachine", system.virtual_machine.is_some()),
        ("HostedSystem", system.hosted_system.is_some()),
    ];
    let given: Vec<&str> =
        parts.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    match given.as_slice() {
        [_] => {}
        [] => reader.fail_schema("one of Container, VirtualMachine and HostedSystem must be there"),
        [_, second, ..] => reader.in_member(second, |reader| {
            reader.fail_schema(format!("{} exclude each other", given.join(" and ")));
        }),
    }
    check_version(system.schema_version.as_ref(), reader);
    if let Some(value) = &system.hosted_system {
        if system.hosting_system_id.is_none() {
            reader.fail_schema("HostedSystem needs a HostingSystemId");
        }
        reader.in_member("HostedSystem", |reader| {
            let hosted = HostedSystem::read(value, reader);
            check_version(hosted.schema_version.as_ref(), reader);
        });
    }
}

fn check_version(version: Option<&Version>, reader: &mut Reader) {
    match version {
        None => {
            reader.fail_schema("SchemaVersion must be there, such as {\"Major\":2,\"Minor\":1}")
        }
        Some(version) if version.number().major != MAJOR => {
            reader.in_member("SchemaVersion", |reader| {
                reader.fail_schema(format!(
                    "version {} is not understood, only 2.0 and later",
                    version.number()
                ));
            });
        }
        Some(_) => {}
    }
}

impl ResultError {
    /// The error document of a failure.
    pub fn of(failure: &Failure) -> ResultError {
        ResultError {
            error: Some(failure.hresult.to_signed()),
            error_message: Some(message(failure)),
            ..ResultError::default()
        }
    }

    /// The code that it carries.
    pub fn hresult(&self) -> HResult {
        self.error.map_or(HResult::E_UNEXPECTED, HResult::from_signed)
    }
}

fn message(failure: &Failure) -> String {
    let mut text = failure.message.clone();
    match (&failure.path, failure.position) {
        (Some(path), Some(position)) => text.push_str(&format!(" (at {path}, {position})")),
        (Some(path), None) => text.push_str(&format!(" (at {path})")),
        (None, Some(position)) => text.push_str(&format!(" (at {position})")),
        (None, None) => {}
    }
    if let Some(hint) = &failure.hint {
        text.push_str("; ");
        text.push_str(hint);
    }
    text
}
