//! Ports of the host that clients keep from everybody else (hcn.md 1.9): held by the host until they are released, or their session
//! ends.
//!
//! What is exclusive meets nothing else on the same protocol and port; what is shared may be had by several. No program of the host
//! can bind to a reserved port, and no endpoint can publish it.

use std::collections::BTreeMap;

use hostcompute_engine::host::{Fault, Hold, Host, Ports};
use hostcompute_schema::operation::Right;
use hostcompute_schema::{Failure, Guid, HResult};

use super::limits::{Limits, exceeded};
use super::session::Session;
use crate::Service;
use crate::sync::{Arc, Mutex, lock};

/// Who else may have a reserved port (HCN_PORT_ACCESS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    Exclusive,
    /// Whoever asks for it shared, too.
    Shared,
}

/// A reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// What it is released by.
    pub number: u64,
    /// Whose it is.
    pub session: Guid,
    /// The guest network service that it is for, with which it goes.
    pub service: Option<Guid>,
    pub ports: Ports,
    pub access: Access,
}

#[derive(Debug, Default)]
pub(super) struct Reservations {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<u64, Entry>,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    reservation: Reservation,
    pieces: Vec<Piece>,
}

/// Ports that are held in one go: several when a range was put together, one for each protocol where they are shared, so that others
/// can share one protocol without the other.
#[derive(Debug, Clone)]
struct Piece {
    ports: Ports,
    _hold: Arc<dyn Hold>,
}

/// Who shall have ports.
#[derive(Debug, Clone, Copy)]
struct Holder {
    session: Guid,
    service: Option<Guid>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Wish {
    These(Ports),
    /// So many, next to each other, wherever they are.
    Somewhere(u16),
}

/// The lowest port that a range may begin with: below are those that programs are known by.
const LOWEST: u16 = 1024;

impl Reservations {
    pub fn all(&self) -> Vec<Reservation> {
        lock(&self.table).entries.values().map(|entry| entry.reservation).collect()
    }

    /// Gives back everything that a session has.
    pub fn run_down(&self, session: Guid) {
        self.end(|reservation| reservation.session == session);
    }

    /// Gives back everything that is for a guest network service, which has been deleted.
    pub fn end_service(&self, service: Guid) {
        self.end(|reservation| reservation.service == Some(service));
    }

    fn end(&self, which: impl Fn(&Reservation) -> bool) {
        let mut table = lock(&self.table);
        let entries = std::mem::take(&mut table.entries);
        let (gone, left) = entries
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, entry)| which(&entry.reservation));
        table.entries = left;
        drop(table);
        // Closing thousands of sockets takes its time; nobody need wait for it.
        drop(gone);
    }

    fn release(&self, session: Guid, number: u64) -> Result<(), Failure> {
        let mut table = lock(&self.table);
        let own =
            table.entries.get(&number).is_some_and(|entry| entry.reservation.session == session);
        if !own {
            let why = format!("this session has no reservation {number}");
            return Err(Failure::new(HResult::E_HANDLE, why));
        }
        table.entries.remove(&number);
        Ok(())
    }

    /// On the thread that changes the host. `alive` tells whether the session is still there when all is held.
    fn reserve<H: Host>(
        &self,
        service: &mut Service<H>,
        (wish, access): (Wish, Access),
        holder: Holder,
        limits: &Limits,
        alive: impl FnOnce() -> bool,
    ) -> Result<Reservation, Failure> {
        let Holder { session, service: guest } = holder;
        if let Some(guest) = guest {
            service.state().guest_service(guest)?;
        }
        let count = match wish {
            Wish::These(_) => 1,
            Wish::Somewhere(count) => usize::from(count) + 1,
        };
        self.within_limit(session, count, limits)?;
        let (ports, pieces) = match wish {
            Wish::These(ports) => (ports, self.hold(service, ports, access)?),
            Wish::Somewhere(count) => find(service, count)?,
        };
        let mut table = lock(&self.table);
        if !alive() {
            return Err(Failure::new(HResult::E_HANDLE, "the session has ended"));
        }
        table.last += 1;
        let (number, service) = (table.last, guest);
        let reservation = Reservation { number, session, service, ports, access };
        table.entries.insert(number, Entry { reservation, pieces });
        Ok(reservation)
    }

    fn within_limit(&self, session: Guid, more: usize, limits: &Limits) -> Result<(), Failure> {
        let table = lock(&self.table);
        let own = table.entries.values().filter(|entry| entry.reservation.session == session);
        let ports = |ports: Ports| usize::from(ports.last - ports.first) + 1;
        let held: usize = own.map(|entry| ports(entry.reservation.ports)).sum();
        if held + more > limits.ports {
            let what = format!("this session has {held} reserved ports and asks for {more}");
            return Err(exceeded(&what, limits.ports, "ports", "release some"));
        }
        Ok(())
    }

    fn hold<H: Host>(
        &self,
        service: &mut Service<H>,
        ports: Ports,
        access: Access,
    ) -> Result<Vec<Piece>, Failure> {
        if access == Access::Exclusive {
            return hold(service, ports).map(|piece| vec![piece]);
        }
        let [tcp, udp] = [true, false].map(|tcp| Ports { tcp, udp: !tcp, ..ports });
        let protocols = [(ports.tcp, tcp), (ports.udp, udp)];
        let asked = protocols.into_iter().filter_map(|(asked, ports)| asked.then_some(ports));
        asked.map(|ports| self.shared(ports).map_or_else(|| hold(service, ports), Ok)).collect()
    }

    /// What holds the same ports for somebody who shares them.
    fn shared(&self, ports: Ports) -> Option<Piece> {
        let table = lock(&self.table);
        let shares = |entry: &&Entry| entry.reservation.access == Access::Shared;
        let mut pieces = table.entries.values().filter(shares).flat_map(|entry| &entry.pieces);
        pieces.find(|piece| piece.ports == ports).cloned()
    }
}

fn hold<H: Host>(service: &mut Service<H>, ports: Ports) -> Result<Piece, Failure> {
    if let Some(port) = service.state().published(ports) {
        return Err(published(port));
    }
    let hold = service.host().hold(ports).map_err(|Fault { failure, .. }| failure)?;
    Ok(Piece { ports, _hold: Arc::from(hold) })
}

fn published(port: u16) -> Failure {
    let why = format!("port {port} of the host is published by an endpoint or a load balancer");
    Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, why)
}

/// Holds `count + 1` ports of both protocols next to each other (as the range of HcnReserveGuestNetworkServicePortRange counts),
/// from the top down: what the kernel gives to programs that do not care lies below.
fn find<H: Host>(service: &mut Service<H>, count: u16) -> Result<(Ports, Vec<Piece>), Failure> {
    let mut pieces: Vec<Piece> = Vec::new();
    for port in (LOWEST..=u16::MAX).rev() {
        let one = Ports { tcp: true, udp: true, first: port, last: port };
        match hold(service, one) {
            Ok(held) => pieces.push(held),
            Err(failure) if failure.hresult == HResult::HCN_E_PORT_ALREADY_EXISTS => pieces.clear(),
            Err(failure) => return Err(failure),
        }
        if pieces.len() > usize::from(count) {
            return Ok((Ports { last: port + count, ..one }, pieces));
        }
        if usize::from(port - LOWEST) + pieces.len() <= usize::from(count) {
            break;
        }
    }
    let why = format!("this host has no {} free ports next to each other", usize::from(count) + 1);
    Err(Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, why))
}

impl<H: Host + Send + 'static> Session<H> {
    /// Keeps one port from everybody else until it is released or this session ends
    /// (HcnReserveGuestNetworkServicePort); the ports' first and last are the same. With a guest network service it also ends
    /// with that.
    ///
    /// # Errors
    /// HCN_E_PORT_ALREADY_EXISTS when a program, an endpoint or another reservation has it; E_INVALIDARG for port 0 or no protocol;
    /// ERROR_NOT_FOUND for a guest network service that is not there; E_ACCESSDENIED; ERROR_NOT_ENOUGH_QUOTA.
    pub fn reserve_port(
        &self,
        tcp: bool,
        udp: bool,
        access: Access,
        port: u16,
        service: Option<Guid>,
    ) -> Result<Reservation, Failure> {
        if port == 0 || !(tcp || udp) {
            let why = "a reservation needs a port and a protocol";
            return Err(Failure::new(HResult::E_INVALIDARG, why)
                .hint("reserve a range to have the service choose ports"));
        }
        let ports = Ports { tcp, udp, first: port, last: port };
        self.reserve(Wish::These(ports), access, service)
    }

    /// Keeps `count + 1` ports next to each other, of both protocols, for itself (HcnReserveGuestNetworkServicePortRange).
    ///
    /// # Errors
    /// HCN_E_PORT_ALREADY_EXISTS when the host has no such row of free ports; E_ACCESSDENIED; ERROR_NOT_ENOUGH_QUOTA.
    pub fn reserve_range(&self, count: u16, service: Option<Guid>) -> Result<Reservation, Failure> {
        self.reserve(Wish::Somewhere(count), Access::Exclusive, service)
    }

    /// Gives a reservation back.
    ///
    /// # Errors
    /// E_HANDLE for a number that is not one of this session's.
    pub fn release(&self, number: u64) -> Result<(), Failure> {
        self.shared().reservations.release(self.id(), number)
    }

    /// All reservations, of all sessions.
    pub fn reservations(&self) -> Vec<Reservation> {
        self.shared().reservations.all()
    }

    fn reserve(
        &self,
        wish: Wish,
        access: Access,
        service: Option<Guid>,
    ) -> Result<Reservation, Failure> {
        let (shared, session, limits) = (self.shared().clone(), self.id(), *self.limits());
        let holder = Holder { session, service };
        self.with_service(Right::Manage, "ReservePorts", move |service| {
            let alive = || shared.has_session(session);
            shared.reservations.reserve(service, (wish, access), holder, &limits, alive)
        })?
    }
}
