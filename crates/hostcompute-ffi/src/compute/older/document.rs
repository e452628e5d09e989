//! Documents of the first edition of the schema, as docker and `hcsshim.CreateContainer` write them: one flat object with a SystemType.
//! They become documents of the second; those of the second stay as they are.

use std::borrow::Cow;

use hostcompute::{Failure, HResult};
use serde_json::{Map, Value, json};

/// The document as the service reads it.
///
/// # Errors
/// HCS_E_INVALID_JSON for members that nobody knows, ERROR_NOT_SUPPORTED for wishes that cannot be granted here.
pub fn newer(text: &str) -> Result<Cow<'_, str>, Failure> {
    // What is no JSON is refused by whoever reads documents of the second edition, with the place.
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return Ok(text.into()) };
    let is_older = members.contains_key("SystemType") && !members.contains_key("SchemaVersion");
    if !is_older {
        return Ok(text.into());
    }
    let mut newer = json!({ "SchemaVersion": { "Major": 2, "Minor": 1 }, "Container": {} });
    for (name, value) in &members {
        // What is left out and what says nothing are the same in this edition.
        if !is_nothing(value) {
            take(&mut newer, name, value, &members)?;
        }
    }
    Ok(newer.to_string().into())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(said) => !said,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Where members go that only have another place.
const MOVED: &[(&str, &[&str])] = &[
    ("Owner", &["Owner"]),
    ("TerminateOnLastHandleClosed", &["ShouldTerminateOnLastHandleClosed"]),
    ("HostName", &["Container", "GuestOs", "HostName"]),
    ("VolumePath", &["Container", "Storage", "Path"]),
    ("StorageIOPSMaximum", &["Container", "Storage", "QoS", "IopsMaximum"]),
    ("StorageBandwidthMaximum", &["Container", "Storage", "QoS", "BandwidthMaximum"]),
    ("ProcessorCount", &["Container", "Processor", "Count"]),
    ("ProcessorWeight", &["Container", "Processor", "Weight"]),
    ("ProcessorMaximum", &["Container", "Processor", "Maximum"]),
    ("MemoryMaximumInMB", &["Container", "Memory", "SizeInMB"]),
    ("MappedPipes", &["Container", "MappedPipes"]),
    ("EndpointList", &["Container", "Networking", "NetworkAdapters"]),
    ("NetworkSharedContainerName", &["Container", "Networking", "NetworkSharedContainerName"]),
    ("AllowUnqualifiedDNSQuery", &["Container", "Networking", "AllowUnqualifiedDnsQuery"]),
    ("DNSSearchList", &["Container", "Networking", "DnsSearchList"]),
];

/// What has no meaning for a container that shares the kernel of a Linux.
const IMPOSSIBLE: &[&str] = &[
    "HvPartition",
    "HvRuntime",
    "Credentials",
    "StorageSandboxSize",
    "Servicing",
    "MappedVirtualDisks",
    "AssignedDevices",
];

/// What changes nothing: the id is the name, and hints may be left alone.
const WITHOUT_EFFECT: &[&str] = &["Name", "IsDummy", "IgnoreFlushesDuringBoot"];

fn take(
    newer: &mut Value,
    name: &str,
    value: &Value,
    all: &Map<String, Value>,
) -> Result<(), Failure> {
    if let Some((_, path)) = MOVED.iter().find(|(moved, _)| *moved == name) {
        put(newer, path, value.clone());
        return Ok(());
    }
    let refused = |why: String| Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at(name));
    match name {
        "SystemType" if *value == "Container" => {}
        "SystemType" => {
            return refused(format!("a system of type {value} is none of this edition"));
        }
        "ContainerType" if *value == "Linux" => {}
        "Layers" => put(newer, &["Container", "Storage", "Layers"], layers(value)),
        // Where what is written goes is its volume, once that is mounted.
        "LayerFolderPath" if all.get("VolumePath").is_some_and(|path| !is_nothing(path)) => {}
        "LayerFolderPath" => put(newer, &["Container", "Storage", "Path"], value.clone()),
        "MappedDirectories" => {
            put(newer, &["Container", "MappedDirectories"], directories(value)?);
        }
        name if WITHOUT_EFFECT.contains(&name) => {}
        name if IMPOSSIBLE.contains(&name) => {
            return refused(format!("a container that shares the kernel has no {name}"));
        }
        name => {
            let why = format!("{name} is no member of the first edition of the schema");
            return Err(Failure::new(HResult::HCS_E_INVALID_JSON, why).at(name));
        }
    }
    Ok(())
}

fn put(document: &mut Value, path: &[&str], value: Value) {
    let place = path.iter().fold(document, |place, name| &mut place[*name]);
    *place = value;
}

/// `[{ID, Path}]`, where the second edition says `Id`.
fn layers(value: &Value) -> Value {
    let layer = |layer: &Value| match layer.get("ID") {
        Some(id) => json!({ "Id": id, "Path": layer["Path"] }),
        None => layer.clone(),
    };
    value.as_array().into_iter().flatten().map(layer).collect()
}

/// Directories of the host, of which the second edition has no limits of their own.
fn directories(value: &Value) -> Result<Value, Failure> {
    const SAME: [&str; 3] = ["HostPath", "ContainerPath", "ReadOnly"];
    let mut newer = Vec::new();
    for (index, directory) in value.as_array().into_iter().flatten().enumerate() {
        let mut kept = Map::new();
        for (name, value) in directory.as_object().into_iter().flatten() {
            if SAME.contains(&name.as_str()) {
                kept.insert(name.clone(), value.clone());
            } else if !is_nothing(value) && name != "LinuxMetadata" {
                let why = format!("a directory of the host has no {name} here");
                let place = format!("MappedDirectories[{index}].{name}");
                return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at(&place));
            }
        }
        newer.push(Value::Object(kept));
    }
    Ok(Value::Array(newer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(document: Value) -> Result<Value, Failure> {
        newer(&document.to_string()).map(|text| serde_json::from_str(&text).expect("JSON"))
    }

    #[test]
    fn what_docker_writes_becomes_a_document_of_the_second_edition() {
        let older = json!({
            "SystemType": "Container", "Name": "c", "Owner": "docker", "IsDummy": false, "VolumePath": "/scratch",
            "IgnoreFlushesDuringBoot": true, "LayerFolderPath": "/layers/c", "HvPartition": false,
            "Layers": [{ "ID": "0f8fad5b-d9cb-469f-a165-70867728950e", "Path": "/layers/base" }],
            "HostName": "box", "MemoryMaximumInMB": 64, "ProcessorWeight": 0, "TerminateOnLastHandleClosed": true,
            "MappedDirectories": [{ "HostPath": "/tmp", "ContainerPath": "/t", "ReadOnly": true, "IOPSMaximum": 0 }],
            "EndpointList": ["1f8fad5b-d9cb-469f-a165-70867728950e"],
        });
        let expected = json!({
            "SchemaVersion": { "Major": 2, "Minor": 1 }, "Owner": "docker", "ShouldTerminateOnLastHandleClosed": true,
            "Container": {
                "GuestOs": { "HostName": "box" }, "Memory": { "SizeInMB": 64 },
                "Storage": {
                    "Path": "/scratch", "Layers": [{ "Id": "0f8fad5b-d9cb-469f-a165-70867728950e", "Path": "/layers/base" }],
                },
                "MappedDirectories": [{ "HostPath": "/tmp", "ContainerPath": "/t", "ReadOnly": true }],
                "Networking": { "NetworkAdapters": ["1f8fad5b-d9cb-469f-a165-70867728950e"] },
            },
        });
        assert_eq!(translated(older).expect("translated"), expected);
    }

    #[test]
    fn documents_of_the_second_edition_and_nonsense_stay_as_they_are() {
        for same in [r#"{"SchemaVersion":{"Major":2},"SystemType":"x"}"#, "{", "null", "{}"] {
            assert_eq!(newer(same).expect("taken"), same);
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_says_where() {
        let not_supported = HResult::ERROR_NOT_SUPPORTED;
        let invalid = HResult::HCS_E_INVALID_JSON;
        for (name, value, code) in [
            ("HvPartition", json!(true), not_supported),
            ("SystemType", json!("VirtualMachine"), not_supported),
            ("StorageSandboxSize", json!(1), not_supported),
            ("MappedDirectories", json!([{ "BandwidthMaximum": 1 }]), not_supported),
            ("Nonsense", json!(1), invalid),
        ] {
            let mut older = json!({ "SystemType": "Container" });
            older[name] = value;
            let failure = translated(older).expect_err(name);
            assert_eq!(failure.hresult, code, "{failure:?}");
            assert!(failure.path.is_some_and(|path| path.starts_with(name)));
        }
    }
}
