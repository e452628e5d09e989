//! Target `compute`: any text read as a document of the compute service, strictly and as an answer.
//!
//! - Reading and validating end with a document or with failures that say what and where, never with a panic.
//! - What was read strictly is printed, and the print read again, strictly and as an answer, is the same document.
//! - What it means for a container is said, or refused with a reason; what is kept as a text is the same when it is read again.
//! - Reading and validation by the tables agree on what is a document; validation only knows more of what may be anything.

use hostcompute_engine::compute::cpu_group::CpuGroups;
use hostcompute_engine::compute::record::Record;
use hostcompute_engine::compute::{HostFacts, Limits, properties, service_properties};
use hostcompute_schema::hcs::listing::STRUCTS;
use hostcompute_schema::hcs::{self, ResultError};
use hostcompute_schema::schema::StructSchema;
use hostcompute_schema::{Document, Failure, Guid, validate};
use serde_json::Value;

use super::Seen;
use crate::machine::check_failure;
use crate::random::hash;

macro_rules! types {
    ($($name:ident),* $(,)?) => {
        /// The types that stand at the top of a document; the others are parts of them.
        pub static TYPES: &[&StructSchema] = &[$(hcs::$name::SCHEMA),*];

        static READERS: &[fn(&str) -> bool] = &[$(read::<hcs::$name>),*];
    };
}

types! {
    ComputeSystem, Container, VirtualMachine, Devices, ProcessParameters, ProcessModifyRequest,
    SignalProcessOptions, SystemPropertyQuery, SystemQuery, Properties, ModifySettingRequest,
    StartOptions, ShutdownOptions, PauseOptions, SaveOptions, CrashOptions, SystemExitStatus,
    ProcessStatus, CrashReport, ResultError, ServicePropertyQuery, ServiceProperties,
    ModificationRequest, LayerData, OsLayerOptions, ExportLayerOptions,
}

/// One document, accepted when it can be read as one type at least.
///
/// # Panics
/// Something that must hold does not.
pub fn run(data: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(data);
    let text = text.as_ref();
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let first = value.as_object().and_then(|object| object.keys().next());
    let choice = (hash(data) % TYPES.len() as u64) as usize;
    let mut accepted = false;
    for (place, (schema, read)) in TYPES.iter().zip(READERS).enumerate() {
        // The types that have the document's first member, and one that probably has not.
        let near = first.is_some_and(|name| schema.index_of_exactly(name).is_some());
        if near || place == choice {
            accepted |= read(text);
        }
    }
    if let Err(failure) = hcs::parse_system(text) {
        told(&failure, text);
    }
    untyped(text, hash(data));
    means(text);
    Seen::one(accepted)
}

/// What the text means for a container, whatever document it may be. What is refused is refused with its reason.
fn means(text: &str) {
    use hostcompute_engine::compute::document as read;
    let facts = HostFacts::default();
    let (limits, groups) = (Limits::default(), CpuGroups::from_text(text));
    let fresh = Guid::from_random(1);
    let refused = [
        read::read_system("c", text, &facts, read::Policy::Refuse, fresh).err(),
        read::read_process(text).err(),
        read::read_process_modify(text).err(),
        read::read_signal(text).err(),
        read::read_shutdown(text).err(),
        read::check_start(text).err(),
        read::check_pause(text).err(),
        read::read_modify(text, &limits, &facts).err(),
        properties::read_query(text).err(),
        properties::read_filter(text).err(),
        service_properties::answer(text, &facts, &groups).err(),
        service_properties::read_modification(text, &facts).err(),
    ];
    refused.iter().flatten().for_each(|failure| told(failure, text));
    let kept = groups.to_text();
    assert_eq!(CpuGroups::from_text(&kept).to_text(), kept, "groups that are kept are others");
    if let Ok(record) = Record::from_text(text) {
        assert_eq!(
            Record::from_text(&record.to_text()),
            Ok(record),
            "a record that is kept is another"
        );
    }
}

/// Whether the text is a document of this type.
fn read<T: Document + PartialEq + std::fmt::Debug>(text: &str) -> bool {
    // An answer may be anything that is strictly one, and more.
    let answer = hcs::parse_answer::<T>(text);
    match hcs::parse_all::<T>(text) {
        Ok(document) => {
            assert_eq!(answer.as_ref(), Ok(&document), "as an answer it is another document");
            let print = document.to_value().to_string();
            assert_eq!(hcs::parse::<T>(&print), Ok(document), "our own print is another document");
            true
        }
        Err(failures) => {
            assert!(!failures.is_empty(), "refused without a reason");
            failures.iter().for_each(|failure| told(failure, text));
            if validate(text, Some(T::SCHEMA)).is_ok() {
                panic!("valid, and refused: {}", failures[0]);
            }
            false
        }
    }
}

fn untyped(text: &str, choice: u64) {
    let schema: Option<&'static StructSchema> =
        STRUCTS.get((choice % STRUCTS.len() as u64) as usize).copied();
    if let Err(failures) = validate(text, schema) {
        assert!(!failures.is_empty(), "refused without a reason");
        failures.iter().for_each(|failure| check_failure(failure, text));
    }
}

fn told(failure: &Failure, text: &str) {
    check_failure(failure, text);
    assert_eq!(ResultError::of(failure).hresult(), failure.hresult, "another code in the document");
}
