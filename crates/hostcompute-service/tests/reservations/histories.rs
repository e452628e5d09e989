//! Random histories of sessions that reserve ports, guest network services that they are for, and foreign programs that have some of
//! their own, against a model: who may have what, what everybody sees, and what the host holds after each step.
//!
//! Deterministic: the seed is fixed, printed with every failure, and set by HOSTCOMPUTE_SEED; HOSTCOMPUTE_CASES sets how many
//! histories run.

use hostcompute_engine::host::{Host, Ports};
use hostcompute_engine::plan::Family;
use hostcompute_engine::sim::Listener;
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use hostcompute_service::server::{Access, Reservation, Session};
use hostcompute_service::{Call, Notice, Reading, Subscription, Topic};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::json;

use crate::world::{Machine, guid};
use crate::{Place, seeded};

const CASES: u32 = 60;
const LONGEST: usize = 30;
const SESSIONS: usize = 3;
/// The last ports that there are, which ranges are put together of, too.
const FIRST: u16 = u16::MAX - 5;
const GUESTS: u8 = 2;
/// The order of states is the service's affair; these are two that an owner can say.
const STATES: [&str; 2] = ["Bootstrapping", "Synchronized"];

#[derive(Debug, Clone)]
enum Command {
    Reserve {
        session: usize,
        tcp: bool,
        udp: bool,
        shared: bool,
        port: u16,
        guest: Option<u8>,
    },
    Range {
        session: usize,
        count: u16,
        guest: Option<u8>,
    },
    /// The n-th of all, by a session that may not be its owner.
    Release {
        session: usize,
        which: usize,
    },
    /// Its process is killed; another takes its place.
    End(usize),
    CreateGuest(u8),
    DeleteGuest(u8),
    MoveGuest(u8, usize),
    /// Hears of a guest network service, or of everything.
    Subscribe(Option<u8>),
    Unsubscribe(usize),
    Listen(u16),
    StopListening,
}

fn command() -> impl Strategy<Value = Command> {
    let port = || FIRST..=u16::MAX;
    let session = || 0..SESSIONS;
    let guest = || of(1..=GUESTS);
    let reserve = (session(), any::<[bool; 3]>(), port(), guest());
    prop_oneof![
        10 => reserve.prop_map(|(session, [tcp, udp, shared], port, guest)| {
            Command::Reserve { session, tcp, udp, shared, port, guest }
        }),
        3 => (session(), 0..4_u16, guest())
            .prop_map(|(session, count, guest)| Command::Range { session, count, guest }),
        6 => (session(), 0..8_usize).prop_map(|(session, which)| Command::Release { session, which }),
        2 => session().prop_map(Command::End),
        4 => (1..=GUESTS).prop_map(Command::CreateGuest),
        2 => (1..=GUESTS).prop_map(Command::DeleteGuest),
        4 => (1..=GUESTS, 0..STATES.len()).prop_map(|(guest, state)| Command::MoveGuest(guest, state)),
        3 => guest().prop_map(Command::Subscribe),
        2 => (0..4_usize).prop_map(Command::Unsubscribe),
        2 => port().prop_map(Command::Listen),
        1 => Just(Command::StopListening),
    ]
}

/// Who has which ports, in the words of the documents.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    number: u64,
    session: usize,
    guest: Option<u8>,
    tcp: bool,
    udp: bool,
    shared: bool,
    first: u16,
    last: u16,
}

/// A subscriber, and what it is still to hear: kind, object, state.
struct Ear {
    subscription: Subscription,
    about: Option<u8>,
    owed: Vec<Told>,
}

type Told = (u32, Guid, Option<String>);

struct World {
    place: Place,
    sessions: Vec<Session<Machine>>,
    /// Subscriptions go with their session, so they have one that stays.
    listener: Session<Machine>,
    held: Vec<Held>,
    /// TCP ports of foreign programs.
    foreign: Vec<u16>,
    /// Guest network services and their states.
    guests: Vec<(u8, Option<usize>)>,
    ears: Vec<Ear>,
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        let sessions = (0..SESSIONS).map(|_| place.user()).collect();
        let listener = place.user();
        let (held, foreign, guests, ears) = Default::default();
        Self { place, sessions, listener, held, foreign, guests, ears }
    }

    fn step(&mut self, command: &Command) -> Result<(), String> {
        match *command {
            Command::Reserve { session, tcp, udp, shared, port, guest } => {
                let wish =
                    Held { number: 0, session, guest, tcp, udp, shared, first: port, last: port };
                let wanted = self.admits(&wish);
                let access = if shared { Access::Shared } else { Access::Exclusive };
                let asked = &self.sessions[session];
                let got = asked.reserve_port(tcp, udp, access, port, guest.map(guid));
                self.reserved(got.map_err(|failure| failure.hresult), wanted, wish)
            }
            Command::Range { session, count, guest } => self.range(session, count, guest),
            Command::Release { session, which } => {
                let held = self.held.get(which % self.held.len().max(1)).copied();
                let number = held.map_or(999, |held| held.number);
                let own = held.is_some_and(|held| held.session == session);
                let wanted = if own { Ok(()) } else { Err(HResult::E_HANDLE) };
                let got = self.sessions[session].release(number).map_err(|f| f.hresult);
                self.held.retain(|held| !(own && held.number == number));
                agree("the release", &got, &wanted)
            }
            Command::End(session) => {
                self.sessions[session] = self.place.user();
                self.held.retain(|held| held.session != session);
                Ok(())
            }
            Command::CreateGuest(_) | Command::DeleteGuest(_) | Command::MoveGuest(..) => {
                self.guest(command)
            }
            Command::Subscribe(about) => self.subscribe(about),
            Command::Unsubscribe(which) => {
                if which < self.ears.len() {
                    self.hear()?;
                    drop(self.ears.remove(which));
                }
                Ok(())
            }
            Command::Listen(port) => {
                // A program gets what nobody else has.
                if !self.is_taken(port, 6) && !self.foreign.contains(&port) {
                    let family = Family::V4;
                    let listener =
                        Listener { address: None, family, dual: false, protocol: 6, port };
                    self.place.machine.with(|simulator| simulator.listen(listener));
                    self.foreign.push(port);
                }
                Ok(())
            }
            Command::StopListening => {
                self.place.machine.with(|simulator| simulator.stop_listening());
                self.foreign.clear();
                Ok(())
            }
        }
    }

    /// What is shared meets only what is shared, on each protocol for itself.
    fn admits(&self, wish: &Held) -> Result<(), HResult> {
        if !(wish.tcp || wish.udp) {
            return Err(HResult::E_INVALIDARG);
        }
        if wish.guest.is_some_and(|guest| !self.guests.iter().any(|(own, _)| *own == guest)) {
            return Err(HResult::ERROR_NOT_FOUND);
        }
        let meets = |held: &&Held| {
            let same = (held.tcp && wish.tcp) || (held.udp && wish.udp);
            same && held.first <= wish.last && wish.first <= held.last
        };
        let foreign = |port: &u16| wish.tcp && (wish.first..=wish.last).contains(port);
        let mut others = self.held.iter().filter(meets);
        if others.any(|held| !(held.shared && wish.shared)) || self.foreign.iter().any(foreign) {
            return Err(HResult::HCN_E_PORT_ALREADY_EXISTS);
        }
        Ok(())
    }

    fn reserved(
        &mut self,
        got: Result<Reservation, HResult>,
        wanted: Result<(), HResult>,
        wish: Held,
    ) -> Result<(), String> {
        agree("the reservation", &got.map(drop), &wanted)?;
        if let Ok(Reservation { number, service, ports, .. }) = got {
            let expected =
                Ports { tcp: wish.tcp, udp: wish.udp, first: wish.first, last: wish.last };
            agree("its ports", &(ports, service), &(expected, wish.guest.map(guid)))?;
            self.held.push(Held { number, ..wish });
        }
        Ok(())
    }

    /// The highest row of free ports.
    fn range(&mut self, session: usize, count: u16, guest: Option<u8>) -> Result<(), String> {
        let row = |last: u16| {
            let (tcp, udp, shared) = (true, true, false);
            Held { number: 0, session, guest, tcp, udp, shared, first: last - count, last }
        };
        let last = (FIRST - 8..=u16::MAX)
            .rev()
            .find(|last| self.admits(&row(*last)) != Err(HResult::HCN_E_PORT_ALREADY_EXISTS));
        let wish = row(last.ok_or("no range is free")?);
        let got = self.sessions[session].reserve_range(count, guest.map(guid));
        let wanted = self.admits(&wish);
        self.reserved(got.map_err(|failure| failure.hresult), wanted, wish)
    }

    fn guest(&mut self, command: &Command) -> Result<(), String> {
        let there = |guest: u8| self.guests.iter().position(|(own, _)| *own == guest);
        let settings = |state: usize| json!({"RequestType": "Update", "ResourceType": "State", "Settings": {"State": STATES[state]}});
        let (operation, number, document, wanted) = match *command {
            Command::CreateGuest(guest) => {
                let taken = there(guest).map_or(Ok(()), |_| Err(HResult::ERROR_ALREADY_EXISTS));
                (Operation::CreateGuestNetworkService, guest, json!({}), taken)
            }
            Command::DeleteGuest(guest) => {
                let gone = there(guest).map(drop).ok_or(HResult::ERROR_NOT_FOUND);
                (Operation::DeleteGuestNetworkService, guest, json!({}), gone)
            }
            Command::MoveGuest(guest, state) => {
                let gone = there(guest).map(drop).ok_or(HResult::ERROR_NOT_FOUND);
                (Operation::ModifyGuestNetworkService, guest, settings(state), gone)
            }
            _ => return Ok(()),
        };
        let call = Call {
            operation,
            id: Some(guid(number)),
            network: None,
            document: document.to_string(),
            reading: Reading::Strict,
            key: None,
        };
        let got = self.listener.call(call).map(drop).map_err(|failure| failure.hresult);
        agree("the call", &got, &wanted)?;
        if wanted.is_err() {
            return Ok(());
        }
        match *command {
            Command::CreateGuest(guest) => {
                self.guests.push((guest, None));
                self.tell(guest, 0x07, None);
            }
            Command::DeleteGuest(guest) => {
                self.guests.retain(|(own, _)| *own != guest);
                self.held.retain(|held| held.guest != Some(guest));
                self.tell(guest, 0x11, Some("Destroyed"));
                self.tell(guest, 0x08, None);
            }
            Command::MoveGuest(guest, state) => {
                let own = self.guests.iter_mut().find(|(own, _)| *own == guest);
                let known = own.map(|(_, known)| known.replace(state)).unwrap_or_default();
                if known != Some(state) {
                    self.tell(guest, 0x11, Some(STATES[state]));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Everybody hears of everything; who listens to one service hears its states, and nothing of the next one with its id.
    fn tell(&mut self, guest: u8, kind: u32, state: Option<&str>) {
        for ear in &mut self.ears {
            if ear.about.is_none() || (ear.about == Some(guest) && kind == 0x11) {
                ear.owed.push((kind, guid(guest), state.map(Into::into)));
            }
        }
    }

    fn subscribe(&mut self, about: Option<u8>) -> Result<(), String> {
        let topic = about.map_or(Topic::All, |guest| Topic::GuestService(guid(guest)));
        let there = about.is_none_or(|guest| self.guests.iter().any(|(own, _)| *own == guest));
        match (self.listener.subscribe(topic, None), there) {
            (Ok(subscription), true) => {
                self.ears.push(Ear { subscription, about, owed: Vec::new() });
                Ok(())
            }
            (Err(_), false) => Ok(()),
            (got, _) => Err(format!("subscribing to {about:?} ended with {got:?}")),
        }
    }

    /// What every subscriber is owed has come, in order, and nothing else.
    fn hear(&mut self) -> Result<(), String> {
        for ear in &mut self.ears {
            let notices = std::iter::from_fn(|| ear.subscription.try_next());
            let heard: Vec<Told> = notices
                .filter_map(|notice| match notice {
                    Notice::Event { event, .. } => {
                        let state = event.data()["Data"]["State"].as_str().map(String::from);
                        Some((event.kind as u32, event.id, state))
                    }
                    _ => None,
                })
                .collect();
            let owed = std::mem::take(&mut ear.owed);
            agree("what was heard", &heard, &owed)?;
        }
        Ok(())
    }

    fn is_taken(&self, port: u16, protocol: u8) -> bool {
        let has = |held: &Held| match protocol {
            6 => held.tcp,
            _ => held.udp,
        };
        self.held.iter().any(|held| has(held) && (held.first..=held.last).contains(&port))
    }

    fn compare(&mut self) -> Result<(), String> {
        for session in &self.sessions {
            let found: Vec<u64> = session.reservations().iter().map(|one| one.number).collect();
            let mut wanted: Vec<u64> = self.held.iter().map(|held| held.number).collect();
            wanted.sort_unstable();
            agree("the list", &found, &wanted)?;
        }
        for port in FIRST..=u16::MAX {
            for protocol in [6, 17] {
                let ports =
                    Ports { tcp: protocol == 6, udp: protocol == 17, first: port, last: port };
                let free = self.place.machine.clone().hold(ports).is_ok();
                let foreign = protocol == 6 && self.foreign.contains(&port);
                let wanted = !(self.is_taken(port, protocol) || foreign);
                agree(&format!("whether {port} of {protocol} is free"), &free, &wanted)?;
            }
        }
        self.hear()
    }
}

fn agree<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, should: &T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what} is {is:?}, and should be {should:?}")) }
}

#[test]
fn histories_end_as_the_rules_say() {
    seeded::run(&vec(command(), 1..LONGEST), CASES, |history| {
        let mut world = World::new();
        for command in &history {
            let step = world.step(command).and_then(|()| world.compare());
            step.map_err(|why| format!("{why}\nafter {command:?}"))?;
        }
        Ok(())
    });
}
