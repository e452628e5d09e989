//! Reading host documents: which objects each file asks for, and by what name they are known.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::{Failure, Guid, HResult, Warning, locate, read_json};
use serde_json::{Map, Value};

use super::{Origin, Refusal, Source, Wish, Wishes};
use crate::object::Kind;

/// The lists of a host document that are carried out.
const LISTS: [(&str, Kind); 4] = [
    ("Networks", Kind::Network),
    ("Namespaces", Kind::Namespace),
    ("Endpoints", Kind::Endpoint),
    ("LoadBalancers", Kind::LoadBalancer),
];

/// Lists of the format that this service does not carry out yet: refused, not skipped.
const NOT_YET: [&str; 2] = ["Routes", "ComputeSystems"];

/// Reads files into wishes.
///
/// # Errors
/// The first file that is not a host document, with path and position; two objects of one kind with the same id or name.
pub fn read(sources: &[Source<'_>]) -> Result<Wishes, Refusal> {
    let mut wishes = Wishes::default();
    for (place, source) in sources.iter().enumerate() {
        let refuse = |failure: Failure| Refusal { source: place, failure };
        let value = read_json(source.text).map_err(refuse)?;
        let Value::Object(document) = value else {
            let why = "a host document is an object with the lists Networks, Namespaces, Endpoints, LoadBalancers";
            return Err(refuse(Failure::new(HResult::HCN_E_INVALID_JSON, why)));
        };
        read_one(&mut wishes, place, source, document)?;
    }
    refuse_twins(&wishes, sources)?;
    // What is referred to comes first, whatever the order of files and lists.
    wishes.objects.sort_by_key(|wish| wish.kind);
    Ok(wishes)
}

fn read_one(
    wishes: &mut Wishes,
    place: usize,
    source: &Source<'_>,
    document: Map<String, Value>,
) -> Result<(), Refusal> {
    let refuse =
        |failure: Failure| Refusal { source: place, failure: failure.in_document(source.text) };
    for (member, value) in document {
        if value.is_null() || member == "$schema" {
            continue;
        }
        if NOT_YET.iter().any(|name| name.eq_ignore_ascii_case(&member)) {
            if value.as_array().is_some_and(Vec::is_empty) {
                continue;
            }
            let why = alloc::format!("{member} are not carried out by this service");
            return Err(refuse(Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at(member)));
        }
        let Some((name, kind)) = LISTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&member))
        else {
            let message =
                alloc::format!("'{member}' is not a list of a host document; it is ignored");
            let position = locate(source.text, &member);
            wishes.warnings.push((place, Warning { path: member, message, position }));
            continue;
        };
        let Value::Array(objects) = value else {
            let why = alloc::format!("{name} must be a list of documents");
            return Err(refuse(Failure::new(HResult::HCN_E_INVALID_JSON, why).at(member)));
        };
        for (index, value) in objects.into_iter().enumerate() {
            let path = alloc::format!("{member}[{index}]");
            let origin = Origin { source: place, path };
            wishes.objects.push(read_object(*kind, value, origin).map_err(refuse)?);
        }
    }
    Ok(())
}

fn read_object(kind: Kind, value: Value, origin: Origin) -> Result<Wish, Failure> {
    let Some(object) = value.as_object() else {
        let why = alloc::format!("a {kind} is a document, not {value}");
        return Err(Failure::new(HResult::HCN_E_INVALID_JSON, why).at(origin.path));
    };
    let text =
        |name: &str| member(object, name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id = text("ID")
        .map(|id| {
            id.parse::<Guid>().map_err(|error| {
                let why = alloc::format!("'{id}': {error}");
                Failure::new(HResult::HCN_E_GUID_CONVERSION_FAILURE, why)
                    .at(alloc::format!("{}.ID", origin.path))
            })
        })
        .transpose()?
        .filter(|id| !id.is_zero());
    let name = text("Name").map(ToString::to_string);
    if id.is_none() && name.is_none() {
        let why =
            alloc::format!("the {kind} has neither ID nor Name, so it could not be found again");
        return Err(Failure::new(HResult::E_INVALIDARG, why)
            .at(origin.path)
            .hint("give it a Name"));
    }
    Ok(Wish { kind, id, name, value, origin })
}

/// A member by its name in any case.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Two wishes for one object would be carried out one over the other.
fn refuse_twins(wishes: &Wishes, sources: &[Source<'_>]) -> Result<(), Refusal> {
    let mut seen: alloc::collections::BTreeSet<(Kind, String)> =
        alloc::collections::BTreeSet::new();
    for wish in &wishes.objects {
        // Endpoint names need be unique within their network only.
        let scope = match wish.kind {
            Kind::Endpoint => {
                wish.value.as_object().and_then(|object| member(object, "HostComputeNetwork"))
            }
            _ => None,
        };
        let scope = scope.map(|value| value.to_string().to_ascii_lowercase()).unwrap_or_default();
        let keys = [
            wish.id.map(|id| id.to_string()),
            wish.name.as_ref().map(|name| [&scope, " ", name].concat()),
        ];
        for key in keys.into_iter().flatten() {
            if !seen.insert((wish.kind, key)) {
                let why = alloc::format!("the {} '{}' is asked for twice", wish.kind, wish.label());
                let failure =
                    Failure::new(HResult::ERROR_ALREADY_EXISTS, why).at(wish.origin.path.clone());
                let text = sources.get(wish.origin.source).map_or("", |source| source.text);
                return Err(Refusal {
                    source: wish.origin.source,
                    failure: failure.in_document(text),
                });
            }
        }
    }
    Ok(())
}
