//! The services and the model side by side: one step on both, and whether they agree.

use std::fmt::Debug;
use std::time::Duration;

use hostcompute_engine::compute::sim::{Machine, Trouble};
use hostcompute_engine::compute::verb::Verb;
use hostcompute_engine::compute::{Cause, End, Fault, ProcessStatus};
use hostcompute_schema::{Document, HResult};
use hostcompute_service::compute::{Notice, Subscription};
use serde_json::{Value, json};

use super::command::{CLIENTS, Command, How, SERVICES};
use super::model::{Code, Mishap, Model, Outcome, REFUSED, State, Told, Why};
use crate::lab::{Asks, Client, Lab, Nets, container, mortal};

/// Keys of the ids, and how they are written by turns.
const IDS: [(&str, [&str; 2]); 2] = [("a", ["a", "A"]), ("web", ["Web", "wEB"])];

pub struct World {
    machine: Machine,
    nets: Nets,
    services: Vec<Lab>,
    clients: Vec<Visitor>,
    listening: Vec<Listener>,
    model: Model,
    steps: usize,
}

/// A client, and what the model says that it holds.
struct Visitor {
    session: Client,
    systems: Vec<(usize, &'static str)>,
    processes: Vec<(usize, u32)>,
}

/// Somebody who hears all events of a system from some time on.
struct Listener {
    subscription: Subscription,
    system: usize,
    service: usize,
    heard_before: usize,
}

fn service_of(client: usize) -> usize {
    usize::from(client + 1 == CLIENTS)
}

fn agree<T: PartialEq + Debug>(what: &str, is: &T, should: &T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what}: {is:?}, and should be {should:?}")) }
}

impl World {
    pub fn new() -> Self {
        let (machine, nets) = (Machine::default(), Nets::default());
        let services: Vec<Lab> = (0..SERVICES).map(|_| Lab::on(&machine, &nets)).collect();
        let clients = (0..CLIENTS).map(|client| visitor(&services, service_of(client))).collect();
        let (listening, model) = (Vec::new(), Model::default());
        Self { machine, nets, services, clients, listening, model, steps: 0 }
    }

    /// The system that a client means by an id.
    fn meant(&self, client: usize, key: &str) -> Option<usize> {
        let mut held = self.clients[client].systems.iter();
        let held = held.find(|(_, its)| *its == key).map(|(system, _)| *system);
        held.or_else(|| self.model.current(key))
    }

    fn id(&self, id: usize) -> (&'static str, &'static str) {
        let (key, spellings) = IDS[id];
        (key, spellings[self.steps % 2])
    }

    /// One step of a history.
    pub fn step(&mut self, command: &Command) -> Result<(), String> {
        self.steps += 1;
        match command {
            Command::Create { client, id, mortal } => self.create(*client, *id, *mortal),
            Command::Lead { client, id, verb } => {
                self.call(*client, *id, *verb, Value::Null, |model, system| match verb {
                    Verb::Start => model.start(system),
                    Verb::ShutDown => model.shut_down(system, false),
                    Verb::Terminate => model.terminate(system),
                    Verb::Pause => model.pause(system),
                    Verb::Resume => model.resume(system),
                    Verb::Save => model.unsupported(system, State::Paused),
                    _ => model.unsupported(system, State::Running),
                })
            }
            Command::ForceDown { client, id } => {
                let document = json!({ "Force": true });
                self.call(*client, *id, Verb::ShutDown, document, |model, system| {
                    model.shut_down(system, true)
                })
            }
            Command::Measure { client, id } => {
                let query = json!({ "PropertyTypes": ["Statistics"] });
                self.call(*client, *id, Verb::GetProperties, query, Model::measure)
            }
            Command::Limit { client, id } => {
                let path = "Container/Memory/SizeInMB";
                let request = json!({ "ResourcePath": path, "Settings": 64 });
                self.call(*client, *id, Verb::Modify, request, Model::limit)
            }
            Command::Exec { client, id, program } => {
                let (key, _) = self.id(*id);
                let meant = self.meant(*client, key);
                let document = crate::lab::process(&[program.name()]);
                let before = meant.map(|system| self.model.systems[system].last_pid());
                self.call(*client, *id, Verb::CreateProcess, document, |model, system| {
                    model.exec(system, *program)
                })?;
                // A process that was made, and answered, is held by who made it.
                if let (Some(system), Some(before)) = (meant, before)
                    && self.clients[*client].session.handles().1
                        > self.clients[*client].processes.len()
                {
                    let pid = self.model.systems[system].last_pid();
                    agree("pid", &pid, &(before + 1))?;
                    self.clients[*client].processes.push((system, pid));
                }
                Ok(())
            }
            Command::ToProcess { client, id, nth, how } => {
                self.do_to_process(*client, *id, *nth, *how)
            }
            Command::Open { client, id } => self.open(*client, *id),
            Command::Close { client, id } => self.close(*client, *id),
            other => {
                self.happen(other);
                Ok(())
            }
        }
    }

    fn call(
        &mut self,
        client: usize,
        id: usize,
        verb: Verb,
        document: Value,
        expect: impl FnOnce(&mut Model, usize) -> Code,
    ) -> Result<(), String> {
        let (key, spelling) = self.id(id);
        let should = match self.meant(client, key) {
            Some(system) => expect(&mut self.model, system),
            None => Err(HResult::HCS_E_SYSTEM_NOT_FOUND),
        };
        let answer = self.clients[client].session.ask(verb, spelling, document);
        let is = answer.map(drop).map_err(|failure| failure.hresult);
        agree(&format!("{verb:?} {spelling}"), &is, &should)
    }

    fn create(&mut self, client: usize, id: usize, is_mortal: bool) -> Result<(), String> {
        let (key, spelling) = self.id(id);
        let by = (service_of(client), client);
        let should = self.model.create(key, is_mortal, by);
        let document = if is_mortal { mortal() } else { container() };
        let answer = self.clients[client].session.ask(Verb::Create, spelling, document);
        let is = answer.map(drop).map_err(|failure| failure.hresult);
        agree(&format!("Create {spelling}"), &is, &should)?;
        if should.is_ok() {
            let system = self.model.systems.len() - 1;
            let holder = &mut self.clients[client];
            holder.systems.retain(|(_, its)| *its != key);
            holder.systems.push((system, key));
            for service in 0..SERVICES {
                self.listen(system, service);
            }
        }
        Ok(())
    }

    /// From now on the events of a system are heard through a service.
    fn listen(&mut self, system: usize, service: usize) {
        let key = self.model.systems[system].key;
        let subscription = self.services[service].client().subscribe(key).expect("it lives");
        let heard_before = self.model.systems[system].log.len();
        self.listening.push(Listener { subscription, system, service, heard_before });
    }

    fn open(&mut self, client: usize, id: usize) -> Result<(), String> {
        let (key, spelling) = self.id(id);
        let found = self.model.current(key);
        let is = self.clients[client].session.open(spelling).map_err(|failure| failure.hresult);
        let should = found.map(drop).ok_or(HResult::HCS_E_SYSTEM_NOT_FOUND);
        agree(&format!("Open {spelling}"), &is, &should)?;
        let Some(system) = found else { return Ok(()) };
        let holder = &mut self.clients[client];
        holder.systems.retain(|(other, its)| *its != key || *other == system);
        if !holder.systems.iter().any(|(_, its)| *its == key) {
            holder.systems.push((system, key));
        }
        let service = service_of(client);
        let its = &mut self.model.systems[system];
        *its.handles.entry((service, client)).or_default() += 1;
        if its.mortal && !its.leashes.contains(&service) {
            its.leashes.push(service);
        }
        Ok(())
    }

    fn close(&mut self, client: usize, id: usize) -> Result<(), String> {
        let (key, spelling) = self.id(id);
        let mut held = self.clients[client].systems.iter();
        let held = held.find(|(_, its)| *its == key).map(|(system, _)| *system);
        let is = self.clients[client].session.close(spelling).map_err(|failure| failure.hresult);
        agree(&format!("Close {spelling}"), &is, &held.map(drop).ok_or(HResult::E_HANDLE))?;
        let Some(system) = held else { return Ok(()) };
        let service = service_of(client);
        let count = self.model.systems[system].handles.entry((service, client)).or_default();
        *count -= 1;
        if *count == 0 {
            self.clients[client].systems.retain(|(_, its)| *its != key);
        }
        self.model.closed(system, service);
        Ok(())
    }

    fn do_to_process(
        &mut self,
        client: usize,
        id: usize,
        nth: usize,
        how: How,
    ) -> Result<(), String> {
        let (key, spelling) = self.id(id);
        let visitor = &self.clients[client];
        let handle = visitor.systems.iter().find(|(_, its)| *its == key).map(|(system, _)| *system);
        let meant = handle.or_else(|| self.model.current(key));
        let pid = 2 + u32::try_from(nth).unwrap_or_default();
        let held = visitor
            .processes
            .iter()
            .rev()
            .find(|(system, its)| self.model.systems[*system].key == key && *its == pid);
        let held = held.map(|(system, _)| *system);
        // The newest handle with this id and pid; but a handle of a system means that system.
        let system = held.filter(|system| handle.is_none_or(|handle| handle == *system));
        let (verb, document) = match how {
            How::Kill => (Verb::TerminateProcess, Value::Null),
            How::Ask => (Verb::SignalProcess, json!({ "Signal": "CtrlShutdown" })),
            How::CloseInput => {
                let close = json!({ "Handle": "StdIn" });
                let request = json!({ "Operation": "CloseHandle", "CloseHandle": close });
                (Verb::ModifyProcess, request)
            }
            How::Status => (Verb::GetProcessProperties, Value::Null),
            How::Attach => (Verb::GetProcessInfo, Value::Null),
        };
        let mut should = Ok(Value::Null);
        match system.or(meant) {
            None => should = Err(HResult::HCS_E_SYSTEM_NOT_FOUND),
            Some(system) => {
                let system = &mut self.model.systems[system];
                match (system.processes.get(&pid).copied(), how) {
                    (None, _) => should = Err(HResult::ERROR_NOT_FOUND),
                    (Some((_, outcome)), How::Status) => should = Ok(status(pid, outcome)),
                    (Some((_, Outcome::Runs)), How::Kill) => system.signal(pid, 9),
                    (Some((_, Outcome::Runs)), How::Ask) => system.signal(pid, 15),
                    (Some((_, Outcome::Runs)), How::CloseInput) => system.close_input(pid),
                    (Some((_, Outcome::Runs)), How::Attach) => {}
                    (Some(_), _) => should = Err(HResult::HCS_E_PROCESS_ALREADY_STOPPED),
                }
            }
        }
        let is = self.clients[client].session.about(verb, spelling, pid, document);
        let is = is.map_err(|failure| failure.hresult);
        agree(&format!("{verb:?} {spelling} {pid}"), &is, &should)
    }

    /// What is no call.
    fn happen(&mut self, command: &Command) {
        let id = |id: &usize| IDS[*id].0;
        let end = |cause, out_of_memory| End { cause, out_of_memory };
        match command {
            Command::Leave { client } => self.leave(*client),
            Command::Exit { id: which, nth, code } => {
                let pid = 2 + u32::try_from(*nth).unwrap_or_default();
                self.machine.exit(id(which), pid, ProcessStatus::Exited(*code));
                if let Some(system) = self.model.current(id(which)) {
                    self.model.systems[system].exit(pid, Outcome::Code(*code));
                }
            }
            Command::KillWorker { id: which } => {
                self.machine.kill_worker(id(which));
                if let Some(system) = self.model.current(id(which)) {
                    self.model.systems[system].lose(Why::Lost);
                }
            }
            Command::PowerOff { id: which } => {
                self.machine.end(id(which), end(Cause::PoweredOff, false));
                self.end_current(id(which), Why::PoweredOff);
            }
            Command::Crash { id: which, out_of_memory } => {
                let cause = Cause::Crashed("the first process died".into());
                self.machine.end(id(which), end(cause, *out_of_memory));
                self.end_current(id(which), Why::Crashed { out_of_memory: *out_of_memory });
            }
            Command::TimePasses { id: which } => {
                self.machine.time_passes(id(which));
                if let Some(system) = self.model.current(id(which)) {
                    self.model.systems[system].time_passes();
                }
            }
            Command::Order { doing, mishap } => {
                let trouble = match mishap {
                    Mishap::Refused => Trouble::Refused(Fault::new(REFUSED, "not today")),
                    Mishap::DiesBefore => Trouble::DiesBefore,
                    Mishap::DiesAfter => Trouble::DiesAfter,
                };
                self.machine.order(*doing, trouble);
                self.model.mishaps.push((*doing, *mishap));
            }
            Command::KillService { service } => self.lose_service(*service, true),
            Command::ReplaceService { service } => self.lose_service(*service, false),
            other => unreachable!("{other:?} is a call"),
        }
    }

    fn end_current(&mut self, key: &str, why: Why) {
        if let Some(system) = self.model.current(key) {
            self.model.systems[system].end(why);
        }
    }

    /// A client goes; another comes in its place.
    fn leave(&mut self, client: usize) {
        let service = service_of(client);
        self.clients[client] = visitor(&self.services, service);
        self.services[service].compute.settle();
        for system in 0..self.model.systems.len() {
            self.model.systems[system].handles.remove(&(service, client));
            self.model.closed(system, service);
        }
    }

    /// A service dies, or is stopped to be replaced. Its clients come again.
    fn lose_service(&mut self, service: usize, dies: bool) {
        if dies {
            self.services[service].machine.die();
        } else {
            self.services[service].compute.stop();
        }
        self.listening.retain(|listener| listener.service != service);
        let next = Lab::on(&self.machine, &self.nets);
        self.services[service] = next;
        for client in (0..CLIENTS).filter(|client| service_of(*client) == service) {
            self.clients[client] = visitor(&self.services, service);
        }
        for system in 0..self.model.systems.len() {
            let its = &mut self.model.systems[system];
            its.handles.retain(|(other, _), _| *other != service);
            if dies {
                self.model.closed(system, service);
            } else {
                its.leashes.retain(|other| *other != service);
            }
            if self.model.systems[system].why().is_none() {
                self.listen(system, service);
            }
        }
    }

    /// What every client sees of every id is what the model says.
    pub fn compare(&self) -> Result<(), String> {
        for (index, client) in self.clients.iter().enumerate() {
            for (key, _) in IDS {
                let is = client.session.properties(key).map_err(|failure| failure.hresult);
                let is = is.map(|document| {
                    let text = |name: &str| document[name].as_str().map(str::to_string);
                    (text("State"), text("ExitType"))
                });
                let meant = self.meant(index, key).map(|system| &self.model.systems[system]);
                let should = match meant.map(|system| system.state) {
                    None => Err(HResult::HCS_E_SYSTEM_NOT_FOUND),
                    Some(State::Ended(why)) => Ok((None, Some(why.told().0.to_string()))),
                    Some(state) => Ok((Some(format!("{state:?}")), None)),
                };
                agree(&format!("what client {index} sees of {key}"), &is, &should)?;
                self.compare_end(client, key, meant.map(|system| system.why()))?;
            }
        }
        Ok(())
    }

    fn compare_end(
        &self,
        client: &Visitor,
        key: &str,
        meant: Option<Option<Why>>,
    ) -> Result<(), String> {
        let is = client.session.wait_for_exit(key, Duration::ZERO);
        let is = is.map_err(|failure| failure.hresult).map(|exit| exit.and_then(|e| e.status));
        let status = |why: Why| Some(why.told().1.to_signed());
        let should = match (meant, self.model.last_ended(key)) {
            (Some(None), _) => Ok(None),
            (Some(Some(why)), _) | (None, Some(why)) => Ok(status(why)),
            (None, None) => Err(HResult::HCS_E_SYSTEM_NOT_FOUND),
        };
        agree(&format!("the end of {key}"), &is, &should)
    }

    /// Everything ends: every event was heard once and in order, and nothing is left.
    pub fn end(mut self) -> Result<(), String> {
        self.machine.cancel_orders();
        self.model.mishaps.clear();
        for (key, _) in IDS {
            if let Some(system) = self.model.current(key) {
                let ended = self.services[0].client().act(Verb::Terminate, key);
                agree("ended", &ended.map_err(|failure| failure.hresult), &Ok(()))?;
                self.model.systems[system].end(Why::Asked);
            }
        }
        for listener in &self.listening {
            let log = &self.model.systems[listener.system].log;
            let should: Vec<Value> = log[listener.heard_before..].iter().map(told).collect();
            let mut is = Vec::new();
            while let Some(Notice::Event(event)) = listener.subscription.take() {
                is.push(told_by(&event));
            }
            agree("what was told", &is, &should)?;
            agree("the end of it", &listener.subscription.is_over(), &true)?;
        }
        self.clients.clear();
        self.services.iter().for_each(|service| service.compute.settle());
        agree("nothing is left", &self.machine.is_empty(), &true)
    }
}

fn visitor(services: &[Lab], service: usize) -> Visitor {
    let session = services[service].client();
    Visitor { session, systems: Vec::new(), processes: Vec::new() }
}

fn status(pid: u32, outcome: Outcome) -> Value {
    match outcome {
        Outcome::Runs => json!({ "ProcessId": pid, "Exited": false }),
        Outcome::Code(code) => {
            json!({ "ProcessId": pid, "Exited": true, "ExitCode": code, "LastWaitResult": 0 })
        }
        Outcome::Lost => {
            let lost = HResult::HCS_E_SYSTEM_ALREADY_STOPPED.to_signed();
            json!({ "ProcessId": pid, "Exited": true, "LastWaitResult": lost })
        }
    }
}

/// An event, but for the attribution.
fn told(told: &Told) -> Value {
    match told {
        Told::Process(pid, outcome) => status(*pid, *outcome),
        Told::System(why) => {
            let (kind, status) = why.told();
            json!({ "ExitType": kind, "Status": status.to_signed() })
        }
    }
}

fn told_by(event: &hostcompute_engine::compute::event::Event) -> Value {
    use hostcompute_engine::compute::event::Event;
    match event {
        Event::ProcessExited(status) => status.to_value(),
        Event::SystemExited(status) => {
            let data = status.to_value();
            json!({ "ExitType": data["ExitType"], "Status": data["Status"] })
        }
    }
}
