//! Calls of the network API. An object is opened for the call and closed behind it: in the crate a handle is an id.

use hostcompute_schema::operation::{Input, Verb};
use hostcompute_schema::schema::StructSchema;
use hostcompute_schema::{Failure, Guid, HResult, Operation, validate};
use serde_json::Value;

use super::boundary::hcn::{self, Handle};
use crate::handle::VERSION_2;
use crate::transport::{Answer, Call};

/// Carries out one operation of the API.
///
/// # Errors
/// E_NOTIMPL for what this Windows lacks, or what it refuses.
pub fn call(call: &Call<'_>, strict: bool) -> Result<Answer, Failure> {
    if let (true, Input::Document(schema)) = (strict, call.operation.input()) {
        refuse_unknown(call.document, schema)?;
    }
    let operation = call.operation;
    let id = || call.id.ok_or_else(|| missing(operation));
    let body = match operation.verb() {
        Verb::Enumerate => hcn::enumerate(operation, call.document)?,
        Verb::Create => create(call)?,
        Verb::Open => hcn::open(operation, id()?).map(|_| String::new())?,
        Verb::Modify => {
            hcn::modify(operation, &open_for(operation, id()?)?, call.document)?;
            String::new()
        }
        Verb::Query => hcn::query(operation, &open_for(operation, id()?)?, call.document)?,
        Verb::Delete => hcn::delete(operation, id()?).map(|()| String::new())?,
        _ => {
            let why = format!("{operation} is not asked this way");
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        }
    };
    Ok(Answer { body, warnings: Vec::new() })
}

/// Refuses a document with members that the schema does not know.
///
/// # Errors
/// The first of its mistakes, or of its oddities.
pub fn refuse_unknown(text: &str, schema: &'static StructSchema) -> Result<(), Failure> {
    let mistakes = |mut failures: Vec<Failure>| match failures.is_empty() {
        true => Failure::new(HResult::HCN_E_INVALID_JSON, "the document is none"),
        false => failures.swap_remove(0),
    };
    let found = validate(text, Some(schema)).map_err(mistakes)?;
    found.warnings.into_iter().next().map_or(Ok(()), |warning| Err(warning.into_failure()))
}

fn missing(operation: Operation) -> Failure {
    Failure::new(HResult::E_INVALIDARG, format!("{operation} needs the id of an object"))
}

/// The object that an operation is about, opened.
///
/// # Errors
/// There is none.
pub fn open_for(operation: Operation, id: Guid) -> Result<Handle, Failure> {
    hcn::open(beside(operation, Verb::Open)?, id)
}

/// The operation with this verb about the same kind of object; of several queries that of all properties, which comes first.
fn beside(operation: Operation, verb: Verb) -> Result<Operation, Failure> {
    let kind = operation.subject();
    let mut all = Operation::ALL.iter().copied();
    all.find(|one| one.verb() == verb && one.subject() == kind).ok_or_else(|| {
        let why = format!("a {} is not asked this way", kind.name());
        Failure::new(HResult::E_NOTIMPL, why)
    })
}

/// Makes an object; its id, as a JSON text.
fn create(call: &Call<'_>) -> Result<String, Failure> {
    let made = if call.operation == Operation::CreateEndpoint {
        let network = call.network.or_else(|| network_of(call.document)).ok_or_else(|| {
            let why = "neither the call nor the document names the network";
            Failure::new(HResult::E_INVALIDARG, why).at("HostComputeNetwork")
        })?;
        let network = open_for(Operation::OpenNetwork, network)?;
        hcn::create_endpoint(&network, call.id, call.document)?
    } else {
        hcn::create(call.operation, call.id, call.document)?
    };
    let id = match call.id {
        Some(id) => id,
        None => id_of(&hcn::query(beside(call.operation, Verb::Query)?, &made, VERSION_2)?)?,
    };
    Ok(format!("\"{id}\""))
}

/// The network that the document of an endpoint names, in either version of the schema.
fn network_of(document: &str) -> Option<Guid> {
    let document: Value = serde_json::from_str(document).ok()?;
    let named = ["HostComputeNetwork", "VirtualNetwork"];
    named.iter().find_map(|name| member(&document, name)?.as_str()?.parse().ok())
}

fn id_of(document: &str) -> Result<Guid, Failure> {
    let read: Option<Value> = serde_json::from_str(document).ok();
    let id = read.as_ref().and_then(|read| member(read, "ID")?.as_str()?.parse().ok());
    id.ok_or_else(|| Failure::new(HResult::E_UNEXPECTED, "Windows does not tell the new id"))
}

/// A member, whatever the case of its name.
fn member<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    let mut members = document.as_object()?.iter();
    members.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-3333-4444-555555555555";

    #[test]
    fn documents_name_their_network_and_their_id() {
        let id = ID.parse::<Guid>().ok();
        assert_eq!(network_of(&format!(r#"{{"HostComputeNetwork":"{ID}"}}"#)), id);
        assert_eq!(network_of(&format!(r#"{{"VirtualNetwork":"{ID}"}}"#)), id);
        assert_eq!(network_of("{}"), None);
        assert_eq!(network_of("[1"), None);
        assert_eq!(id_of(&format!(r#"{{"Id":"{ID}"}}"#)).ok(), id);
        for text in ["", "{}", r#"{"ID":"x"}"#, r#"{"ID":1}"#] {
            assert!(id_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_kind_of_object_is_opened_queried_and_closed() {
        for operation in Operation::ALL.iter().filter(|one| one.verb() == Verb::Create) {
            for verb in [Verb::Open, Verb::Close] {
                assert_eq!(beside(*operation, verb).map(|one| one.verb()), Ok(verb));
            }
            let query = beside(*operation, Verb::Query).expect("there is one");
            assert!(query.name().ends_with("Properties"), "{query}");
        }
    }

    #[test]
    fn members_that_nobody_knows_are_refused_before_windows_sees_them() {
        let Input::Document(schema) = Operation::CreateNetwork.input() else {
            panic!("a document goes in");
        };
        assert_eq!(refuse_unknown(r#"{"Name":"a"}"#, schema), Ok(()));
        assert!(refuse_unknown(r#"{"Nmae":"a"}"#, schema).is_err());
        assert!(refuse_unknown("{", schema).is_err());
    }
}
