//! Reading host documents: which objects each file asks for, and by what name they are known.

use alloc::string::{String, ToString};

use hostcompute_schema::{Failure, Guid, HResult, HostDocument, parse};
use serde_json::{Map, Value};

use super::{Origin, Refusal, Source, Wish, Wishes, system};
use crate::object::Kind;

/// Reads files into wishes.
///
/// # Errors
/// The first file that is not a host document, with path and position; two objects of one kind with the same id or name.
pub fn read(sources: &[Source<'_>]) -> Result<Wishes, Refusal> {
    let mut wishes = Wishes::default();
    for (source, file) in sources.iter().enumerate() {
        let refuse = |failure: Failure| Refusal { source, failure: failure.in_document(file.text) };
        let parsed = parse::<HostDocument>(file.text).map_err(refuse)?;
        wishes.warnings.extend(parsed.warnings.into_iter().map(|warning| (source, warning)));
        read_lists(&mut wishes, source, parsed.document).map_err(refuse)?;
    }
    refuse_twins(&wishes, sources)?;
    system::refuse_twins(&wishes, sources)?;
    // What is referred to comes first, whatever the order of files and lists.
    wishes.objects.sort_by_key(|wish| wish.kind);
    Ok(wishes)
}

fn read_lists(wishes: &mut Wishes, source: usize, document: HostDocument) -> Result<(), Failure> {
    let lists = [
        ("Networks", Kind::Network, document.networks),
        ("Namespaces", Kind::Namespace, document.namespaces),
        ("Endpoints", Kind::Endpoint, document.endpoints),
        ("LoadBalancers", Kind::LoadBalancer, document.load_balancers),
        ("Routes", Kind::SdnRoute, document.routes),
    ];
    for (list, kind, objects) in lists {
        for (index, value) in objects.into_iter().enumerate() {
            let origin = Origin { source, path: alloc::format!("{list}[{index}]") };
            wishes.objects.push(read_object(kind, value, origin)?);
        }
    }
    for (index, value) in document.compute_systems.into_iter().enumerate() {
        let origin = Origin { source, path: alloc::format!("ComputeSystems[{index}]") };
        wishes.systems.push(system::read(value, origin)?);
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

/// A member by its name in any case; of several, the last, as the schema reads it.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
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
