//! The same for documents of the compute service: what is read strictly is printed as it was given,
//! and no input does harm.

use hostcompute_schema::hcs::*;
use hostcompute_schema::schema::{Kind, StructSchema};
use hostcompute_schema::{Document, Failure, HResult, validate};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::cases;
use crate::strategy::{Defaults, document, raw};

/// The printed form reads as the same document and prints as the same text; nothing that was given
/// is missing.
fn brings_back<T: Document + PartialEq + std::fmt::Debug>() {
    let strategy = document(T::SCHEMA, Defaults::Exact);
    let result = TestRunner::new(cases(48)).run(&strategy, |drawn| {
        let first = read::<T>(&drawn)?;
        let printed = first.to_value();
        prop_assert_eq!(drawn.as_object().map(|o| o.len()), printed.as_object().map(|o| o.len()));
        let second = read::<T>(&printed)?;
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(printed.to_string(), second.to_value().to_string());
        prop_assert_eq!(printed.to_string(), second.to_text());
        let answer = parse_answer::<T>(&printed.to_string());
        prop_assert_eq!(answer.ok(), Some(first));
        let validated = validate(&printed.to_string(), Some(T::SCHEMA));
        match validated {
            // What its settings may be depends on what it is about.
            Err(failures) if T::SCHEMA.name != "ModificationRequest" => {
                Err(TestCaseError::fail(format!("{} in {printed}", failures[0])))
            }
            _ => Ok(()),
        }
    });
    result.unwrap_or_else(|error| panic!("{}: {error}", T::SCHEMA.name));
}

fn read<T: Document>(value: &Value) -> Result<T, TestCaseError> {
    parse::<T>(&value.to_string())
        .map_err(|failure| TestCaseError::fail(format!("{failure} in {value}")))
}

macro_rules! round_trips {
    ($($type:ident),* $(,)?) => {
        #[test]
        fn printing_keeps_what_was_given() {
            $(brings_back::<$type>();)*
        }
    };
}

round_trips! {
    Container, Storage, MappedDirectory, Networking, ContainerHvSocket, Device, RegistryChanges,
    ProcessParameters, ProcessModifyRequest, SignalProcessOptions, ProcessStatus, ProcessDetails,
    SystemPropertyQuery, SystemQuery, Properties, Statistics, MemoryInformationForVm,
    GuestConnectionInfo, ShutdownOptions, PauseOptions, SaveOptions, CrashOptions, ResultError,
    SystemExitStatus, CrashReport, OperationInfo, ServicePropertyQuery, ServiceProperties,
    ProcessorTopology, CpuGroupConfigurations, ModificationRequest, LayerData, OsLayerOptions,
    GuestModifySettingRequest, TimeZoneInformation, DeviceExtension, RegistryHiveStack,
    ObjectNamespace, Chipset, Topology, VirtualMachineMemory, VirtualMachineProcessor, GuestState,
    Services, Scsi, VirtualPMemController, NetworkAdapter, VideoMonitor, GpuConfiguration, Plan9,
    VirtualSmb, MigrationInitializeOptions, Nvram, RuntimeState,
}

/// Reads a text as everything it could be.
fn try_everything(text: &str) {
    told(text, parse_system(text));
    told(text, parse_optional::<SystemPropertyQuery>(text));
    told(text, parse::<ProcessParameters>(text));
    told(text, parse::<ModifySettingRequest>(text));
    if let Ok(properties) = parse_answer::<Properties>(text) {
        let printed = properties.to_value().to_string();
        assert_eq!(parse_answer::<Properties>(&printed), Ok(properties));
    }
    let _ = validate(text, Some(ComputeSystem::SCHEMA));
    let _ = validate(text, Some(ModificationRequest::SCHEMA));
}

/// A refusal has the service's code, a position inside the text, and an error document.
fn told<T>(text: &str, result: Result<T, Failure>) {
    let Err(failure) = result else { return };
    assert_eq!(failure.hresult, HResult::HCS_E_INVALID_JSON);
    assert_eq!(ResultError::of(&failure).hresult(), failure.hresult);
    if let Some(position) = failure.position {
        assert!(position.line <= text.split('\n').count(), "{failure} in {text}");
    }
}

proptest! {
    #![proptest_config(cases(800))]

    #[test]
    fn any_json_is_read_or_refused_strictly(value in raw(5)) {
        try_everything(&value.to_string());
        try_everything(&format!("{value:#}"));
    }

    #[test]
    fn documents_with_a_hole_are_refused(
        value in document(ComputeSystem::SCHEMA, Defaults::Exact),
        cut in 0..800_usize,
        byte in any::<u8>(),
    ) {
        let mut bytes = value.to_string().into_bytes();
        let cut = cut.min(bytes.len());
        bytes.insert(cut, byte);
        try_everything(&String::from_utf8_lossy(&bytes));
        bytes.truncate(cut);
        try_everything(&String::from_utf8_lossy(&bytes));
    }

    /// A name that is not in the schema is found wherever it stands.
    #[test]
    fn nothing_unknown_slips_through(value in document(Container::SCHEMA, Defaults::Exact)) {
        for place in places(&value, String::new(), Container::SCHEMA) {
            let mut spoiled = value.clone();
            let object = spoiled.pointer_mut(&place).and_then(Value::as_object_mut);
            prop_assert!(object.is_some(), "{place} in {value}");
            object.into_iter().for_each(|object| drop(object.insert("Foreign".into(), Value::Null)));
            let failure = parse::<Container>(&spoiled.to_string());
            prop_assert!(failure.is_err(), "{spoiled}");
        }
    }
}

/// The JSON pointers of all objects that are documents.
fn places(value: &Value, at: String, schema: &StructSchema) -> Vec<String> {
    let mut found = Vec::new();
    for (name, inner) in value.as_object().into_iter().flatten() {
        let Some(member) = schema.member(name) else { continue };
        let at = format!("{at}/{name}");
        match (&member.kind, inner) {
            (Kind::Struct(schema), inner) => found.extend(places(inner, at, schema)),
            (Kind::List(Kind::Struct(schema)), Value::Array(list)) => {
                for (index, inner) in list.iter().enumerate() {
                    found.extend(places(inner, format!("{at}/{index}"), schema));
                }
            }
            _ => {}
        }
    }
    found.push(at);
    found
}
