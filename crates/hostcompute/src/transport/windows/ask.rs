//! What of the operations of the project's own service Windows can do, too: finding what a person means, reserved ports, a diagnosis.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hostcompute_schema::operation::{Kind, Verb};
use hostcompute_schema::service::{
    ObjectKind, PortAccess, PortProtocol, PortRequest, PortReservation, PortReservations,
};
use hostcompute_schema::{Document, Failure, Guid, HResult, Operation, ServiceOperation};
use serde_json::{Value, json};

use super::boundary::{hcn, hns};
use super::{examine, network, nowhere};
use crate::transport::Ask;

/// The ports that are kept for this program, by numbers of ours.
#[derive(Debug, Default)]
pub struct Ports(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    last: u64,
    ports: BTreeMap<u64, hcn::Ports>,
}

impl Ports {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, document: &str) -> Result<Value, Failure> {
        let wanted = hostcompute_schema::parse::<PortRequest>(document)?.document;
        let guest = wanted.guest_network_service.ok_or_else(|| {
            let why = "Windows keeps ports for guest network services only";
            Failure::new(HResult::E_INVALIDARG, why).at("GuestNetworkService")
        })?;
        let guest_service = network::open_for(Operation::OpenGuestNetworkService, guest)?;
        let protocol = wanted.protocol.clone().unwrap_or(PortProtocol::Both);
        let access = wanted.access.clone().unwrap_or(PortAccess::Exclusive);
        let (ports, first, last) = match (wanted.port, wanted.port_count) {
            (Some(port), None) => {
                let (protocol, access) = (protocol_code(&protocol)?, access_code(&access)?);
                (hcn::reserve_port(&guest_service, protocol, access, port)?, port, port)
            }
            (None, Some(count)) => hcn::reserve_range(&guest_service, count)?,
            _ => {
                let why = "either one port or a number of ports is reserved";
                return Err(Failure::new(HResult::E_INVALIDARG, why).at("Port"));
            }
        };
        let mut held = self.held();
        held.last += 1;
        let number = held.last;
        held.ports.insert(number, ports);
        let made = PortReservation {
            reservation: Some(number),
            guest_network_service: Some(guest),
            protocol: Some(protocol),
            access: Some(access),
            starting_port: Some(first),
            ending_port: Some(last),
            ..PortReservation::default()
        };
        Ok(made.to_value())
    }

    fn release(&self, ask: &Ask<'_>) -> Result<Value, Failure> {
        let number = ask.parameter("handle").and_then(|text| text.parse().ok());
        let ports = number.and_then(|number: u64| self.held().ports.remove(&number));
        let gone = || Failure::new(HResult::E_HANDLE, "nothing is reserved under this number");
        ports.ok_or_else(gone)?.release()?;
        Ok(Value::Null)
    }
}

/// A value of HCN_PORT_PROTOCOL.
fn protocol_code(protocol: &PortProtocol) -> Result<i32, Failure> {
    match protocol {
        PortProtocol::Tcp => Ok(1),
        PortProtocol::Udp => Ok(2),
        PortProtocol::Both => Ok(3),
        other => Err(unknown(other).at("Protocol")),
    }
}

/// A value of HCN_PORT_ACCESS.
fn access_code(access: &PortAccess) -> Result<i32, Failure> {
    match access {
        PortAccess::Exclusive => Ok(1),
        PortAccess::Shared => Ok(2),
        other => Err(unknown(other).at("Access")),
    }
}

fn unknown(value: &dyn std::fmt::Display) -> Failure {
    Failure::new(HResult::E_INVALIDARG, format!("{value} is unknown"))
}

/// Carries out one of the service's own operations.
///
/// # Errors
/// E_NOTIMPL for what Windows does not do, or what it refuses.
pub fn serve(ports: &Ports, ask: &Ask<'_>) -> Result<Value, Failure> {
    match ask.operation {
        ServiceOperation::Resolve => resolve(ask),
        ServiceOperation::CallOlder => {
            let [method, path, document] = crate::older::written(ask.document)?;
            Ok(crate::older::own(hns::call(&method, &path, &document)))
        }
        ServiceOperation::ReservePorts => ports.reserve(ask.document),
        ServiceOperation::ReleasePorts => ports.release(ask),
        ServiceOperation::ListReservations => reservations(),
        ServiceOperation::Doctor => Ok(examine::diagnosis().to_value()),
        // What Windows removes is removed when it answers.
        ServiceOperation::Settle => Ok(Value::Null),
        other => Err(nowhere(other)),
    }
}

fn reservations() -> Result<Value, Failure> {
    let told = |entry: hcn::Entry| PortReservation {
        protocol: match entry.protocol {
            1 => Some(PortProtocol::Tcp),
            2 => Some(PortProtocol::Udp),
            3 => Some(PortProtocol::Both),
            _ => None,
        },
        access: Some(match entry.sharing_flags {
            0 => PortAccess::Exclusive,
            _ => PortAccess::Shared,
        }),
        starting_port: Some(entry.starting_port),
        ending_port: Some(entry.ending_port),
        ..PortReservation::default()
    };
    let reservations = hcn::reservations()?.into_iter().map(told).collect();
    Ok(PortReservations { reservations, ..PortReservations::default() }.to_value())
}

/// Fewer digits would be the beginning of many ids.
const SHORTEST: usize = 3;

/// The object that a person means: by GUID, by Name, or by the beginning of its GUID.
fn resolve(ask: &Ask<'_>) -> Result<Value, Failure> {
    let kind = ObjectKind::from_name(ask.parameter("kind").unwrap_or_default()).subject();
    let text = ask.parameter("text").unwrap_or_default();
    let of = |verb| {
        let mut all = Operation::ALL.iter().copied();
        all.find(|one| Some(one.subject()) == kind && one.verb() == verb)
    };
    let (Some(kind), Some(list), Some(open)) = (kind, of(Verb::Enumerate), of(Verb::Open)) else {
        let why = "there is no such kind of object";
        return Err(Failure::new(HResult::E_INVALIDARG, why));
    };
    if let Ok(id) = text.parse::<Guid>() {
        drop(hcn::open(open, id)?);
        return Ok(Value::from(id.to_string()));
    }
    let mut found = match kind {
        Kind::Network | Kind::Endpoint => ids(list, &by_name(text))?,
        _ => Vec::new(),
    };
    let prefix = text.to_ascii_lowercase();
    let looks_like_id = prefix.len() >= SHORTEST
        && prefix.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if found.is_empty() && looks_like_id {
        found = ids(list, "")?;
        found.retain(|id| id.to_string().starts_with(&prefix));
    }
    one_of(kind, text, &found)
}

fn one_of(kind: Kind, text: &str, found: &[Guid]) -> Result<Value, Failure> {
    match found {
        [id] => Ok(Value::from(id.to_string())),
        [] => {
            let code = match kind {
                Kind::Network => HResult::HCN_E_NETWORK_NOT_FOUND,
                Kind::Endpoint => HResult::HCN_E_ENDPOINT_NOT_FOUND,
                _ => HResult::ERROR_NOT_FOUND,
            };
            Err(Failure::new(code, format!("there is no {} '{text}'", kind.name())))
        }
        several => {
            let why = format!("'{text}' could be any of {} {}s", several.len(), kind.name());
            Err(Failure::new(HResult::E_INVALIDARG, why).hint("use the GUID or more digits of it"))
        }
    }
}

/// The query for objects of a name.
fn by_name(name: &str) -> String {
    let filter = json!({ "Name": name }).to_string();
    json!({ "SchemaVersion": { "Major": 2, "Minor": 0 }, "Flags": 0, "Filter": filter }).to_string()
}

fn ids(list: Operation, query: &str) -> Result<Vec<Guid>, Failure> {
    crate::handle::listed(&hcn::enumerate(list, query)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_by_a_filter_and_mistaken_ones_are_told() {
        let query: Value = serde_json::from_str(&by_name("a\"b")).expect("a document");
        assert_eq!(query["Filter"], r#"{"Name":"a\"b"}"#);
        let id = Guid::from_random(7);
        assert_eq!(one_of(Kind::Network, "a", &[id]), Ok(Value::from(id.to_string())));
        let none = one_of(Kind::Network, "a", &[]).expect_err("none");
        assert_eq!(none.hresult, HResult::HCN_E_NETWORK_NOT_FOUND);
        let two = one_of(Kind::Namespace, "a", &[id, id]).expect_err("two");
        assert_eq!(two.hresult, HResult::E_INVALIDARG);
    }
}
