//! `hc guestservice ports` and `hold`: ports of the host that are kept for guests.

use std::io::Read;

use hostcompute::schema::Document;
use hostcompute::schema::service::{PortAccess, PortProtocol, PortReservation};
use hostcompute::{GuestService, guest_network_service};
use serde_json::Value;

use super::Session;
use crate::arguments::{Form, HeldPorts, PortKind};
use crate::print;
use crate::problem::Done;
use crate::topology::words;

/// The reserved ports of the whole host.
pub(super) fn print(session: Session<'_>) -> Done {
    let all = guest_network_service::reservations(session.host)?;
    match session.form {
        Form::Table => print::text(&table(&all)),
        Form::Id => {
            let numbers = all.iter().filter_map(|one| one.reservation);
            print::text(&numbers.map(|number| format!("{number}\n")).collect::<String>())
        }
        Form::Json => print::json(&documents(&all)),
        Form::Yaml => print::yaml(&documents(&all)),
    }
}

/// Keeps ports until the standard input ends, or this program does.
pub(super) fn hold(
    session: Session<'_>,
    id: &str,
    ports: HeldPorts,
    protocol: PortKind,
    shared: bool,
) -> Done {
    let service = GuestService::find(session.host, id)?;
    let access = if shared { PortAccess::Shared } else { PortAccess::Exclusive };
    let protocol = match protocol {
        PortKind::Tcp => PortProtocol::Tcp,
        PortKind::Udp => PortProtocol::Udp,
        PortKind::Both => PortProtocol::Both,
    };
    let held = match ports {
        HeldPorts::One(port) => service.reserve_port(protocol, access, port)?,
        HeldPorts::Row(count) => service.reserve_range(count.saturating_sub(1))?,
    };
    print::line(&shown(held.reservation()))?;
    // What it says is of no interest; an input that cannot be read has ended.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(held.release()?)
}

fn documents(all: &[PortReservation]) -> Value {
    all.iter().map(Document::to_value).collect()
}

fn table(all: &[PortReservation]) -> String {
    let row = |one: &PortReservation| {
        vec![
            one.reservation.unwrap_or_default().to_string(),
            shown(one),
            one.protocol.as_ref().map_or(String::new(), |kind| kind.name().to_lowercase()),
            one.access.as_ref().map_or(String::new(), |kind| kind.name().to_lowercase()),
            one.guest_network_service.map_or(String::new(), words::short),
        ]
    };
    let heading = ["RESERVATION", "PORTS", "PROTOCOL", "ACCESS", "SERVICE"];
    print::table(&heading, all.iter().map(row).collect())
}

fn shown(one: &PortReservation) -> String {
    let (first, last) =
        (one.starting_port.unwrap_or_default(), one.ending_port.unwrap_or_default());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
