//! Ports of the host that are kept for guests (hcn.md 1.9).

use std::sync::Arc;

use hostcompute::schema::operation::Kind;
use hostcompute::schema::service::{
    PortAccess, PortProtocol, PortRequest, PortReservation, PortReservations,
};
use hostcompute::schema::{Document, ServiceOperation, parse_value};
use hostcompute::transport::Ask;
use hostcompute::{Failure, Guid, HResult, Host};

use super::entity;
use crate::boundary::{Out, allocate};
use crate::handle::{self, Handle, Object};
use crate::service;

/// HCN_PORT_RANGE_RESERVATION; both ports are part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

/// HCN_PORT_RANGE_ENTRY.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct PortEntry {
    /// The session that has the ports, as a GUID in memory order.
    pub owner: [u32; 4],
    /// The guest network service that they are for, likewise.
    pub target: [u32; 4],
    pub protocol: i32,
    pub priority: u64,
    pub kind: u32,
    /// HCN_PORT_ACCESS.
    pub sharing: u32,
    pub delivery: u32,
    pub first: u16,
    pub last: u16,
}

/// Reserved ports.
#[derive(Debug)]
pub struct Reserved {
    host: Arc<Host>,
    number: u64,
}

/// HcnReserveGuestNetworkServicePort.
pub fn reserve_port(
    service: Handle,
    (protocol, access): (i32, i32),
    port: u16,
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("reservation")?;
    let service = entity::find(service, Kind::GuestNetworkService)?;
    let unknown = |what: &str, value: i32| {
        Failure::new(HResult::E_INVALIDARG, format!("there is no {what} {value}"))
    };
    let protocol = match protocol {
        1 => PortProtocol::Tcp,
        2 => PortProtocol::Udp,
        3 => PortProtocol::Both,
        other => return Err(unknown("protocol", other)),
    };
    let access = match access {
        1 => PortAccess::Exclusive,
        2 => PortAccess::Shared,
        other => return Err(unknown("access", other)),
    };
    let request = PortRequest {
        protocol: Some(protocol),
        access: Some(access),
        port: Some(port),
        guest_network_service: Some(service.id),
        ..PortRequest::default()
    };
    reserve(&service.host, &request, out).map(drop)
}

/// HcnReserveGuestNetworkServicePortRange.
pub fn reserve_range(
    service: Handle,
    count: u16,
    range: Out<PortRange>,
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    range.put(PortRange::default());
    out.demand("reservation")?;
    range.demand("range")?;
    let service = entity::find(service, Kind::GuestNetworkService)?;
    let request = PortRequest {
        port_count: Some(count),
        guest_network_service: Some(service.id),
        ..PortRequest::default()
    };
    range.put(reserve(&service.host, &request, out)?);
    Ok(())
}

fn reserve(
    host: &Arc<Host>,
    request: &PortRequest,
    out: Out<Handle>,
) -> Result<PortRange, Failure> {
    let document = request.to_value().to_string();
    let ask = Ask { document: &document, ..Ask::plain(ServiceOperation::ReservePorts) };
    let reserved = parse_value::<PortReservation>(&host.serve(&ask)?, "")?.document;
    let number = reserved.reservation.unwrap_or_default();
    let held = Arc::new(Reserved { host: host.clone(), number });
    match handle::add(Object::Reserved(held.clone())) {
        Ok(handle) => out.put(handle),
        Err(failure) => {
            held.release()?;
            return Err(failure);
        }
    }
    Ok(PortRange {
        first: reserved.starting_port.unwrap_or_default(),
        last: reserved.ending_port.unwrap_or_default(),
    })
}

/// HcnReleaseGuestNetworkServicePortReservationHandle.
pub fn release(reservation: Handle) -> Result<(), Failure> {
    let reserved = handle::remove(reservation, |object| match object {
        Object::Reserved(reserved) => Some(reserved.clone()),
        _ => None,
    })?;
    reserved.release()
}

impl Reserved {
    fn release(&self) -> Result<(), Failure> {
        let number = self.number.to_string();
        let parameters = [("handle", &*number)];
        let ask = Ask { parameters: &parameters, ..Ask::plain(ServiceOperation::ReleasePorts) };
        Ok(self.host.serve(&ask).map(drop)?)
    }
}

/// HcnEnumerateGuestNetworkPortReservations: those of all sessions.
pub fn enumerate(count: Out<u32>, entries: Out<*mut PortEntry>) -> Result<(), Failure> {
    count.put(0);
    entries.put(std::ptr::null_mut());
    count.demand("count")?;
    entries.demand("list")?;
    let answer = service::host()?.serve(&Ask::plain(ServiceOperation::ListReservations))?;
    let listed = parse_value::<PortReservations>(&answer, "")?.document.reservations;
    let listed: Vec<PortEntry> = listed.iter().map(entry).collect();
    let number = u32::try_from(listed.len()).unwrap_or(u32::MAX);
    let Some(list) = allocate(&listed) else {
        return Err(Failure::new(HResult::E_OUTOFMEMORY, "there is no memory for the list"));
    };
    count.put(number);
    entries.put(list.as_ptr());
    Ok(())
}

fn entry(reservation: &PortReservation) -> PortEntry {
    PortEntry {
        owner: words(reservation.session.unwrap_or_default()),
        target: words(reservation.guest_network_service.unwrap_or_default()),
        protocol: match reservation.protocol {
            Some(PortProtocol::Tcp) => 1,
            Some(PortProtocol::Udp) => 2,
            _ => 3,
        },
        sharing: if reservation.access == Some(PortAccess::Shared) { 2 } else { 1 },
        first: reservation.starting_port.unwrap_or_default(),
        last: reservation.ending_port.unwrap_or_default(),
        ..PortEntry::default()
    }
}

/// A GUID as words in the order of the machine's memory.
fn words(id: Guid) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, four) in words.iter_mut().zip(id.to_windows_bytes().chunks_exact(4)) {
        *word =
            u32::from_le(four.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn entries_have_the_layout_that_is_documented() {
        assert_eq!(size_of::<PortEntry>(), 64);
        assert_eq!(offset_of!(PortEntry, protocol), 32);
        assert_eq!(offset_of!(PortEntry, priority), 40);
        assert_eq!(offset_of!(PortEntry, first), 60);
    }
}
