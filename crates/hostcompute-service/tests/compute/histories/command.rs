//! What a history consists of.

use hostcompute_engine::compute::sim::Doing;
use hostcompute_engine::compute::verb::Verb;
use proptest::prelude::*;

use super::model::{Mishap, Program};

/// How many clients there are; the last is one of another service than the others.
pub const CLIENTS: usize = 3;
pub const SERVICES: usize = 2;

/// One step. Ids and processes are chosen among those that there are, by number.
#[derive(Debug, Clone)]
pub enum Command {
    Create { client: usize, id: usize, mortal: bool },
    Lead { client: usize, id: usize, verb: Verb },
    ForceDown { client: usize, id: usize },
    Measure { client: usize, id: usize },
    Limit { client: usize, id: usize },
    Exec { client: usize, id: usize, program: Program },
    ToProcess { client: usize, id: usize, nth: usize, how: How },
    Open { client: usize, id: usize },
    Close { client: usize, id: usize },
    Leave { client: usize },
    Exit { id: usize, nth: usize, code: u32 },
    KillWorker { id: usize },
    PowerOff { id: usize },
    Crash { id: usize, out_of_memory: bool },
    TimePasses { id: usize },
    Order { doing: Doing, mishap: Mishap },
    KillService { service: usize },
    ReplaceService { service: usize },
}

#[derive(Debug, Clone, Copy)]
pub enum How {
    Kill,
    Ask,
    CloseInput,
    Status,
    Attach,
}

/// Histories of at most `longest` steps.
pub fn history(longest: usize) -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(command(), 1..=longest)
}

fn command() -> impl Strategy<Value = Command> {
    let client = 0..CLIENTS;
    let id = 0..2usize;
    let who = (client.clone(), id.clone());
    let verb = prop::sample::select(vec![
        Verb::Start,
        Verb::Start,
        Verb::Start,
        Verb::ShutDown,
        Verb::Terminate,
        Verb::Pause,
        Verb::Resume,
        Verb::Save,
        Verb::Crash,
    ]);
    let program = prop::sample::select(vec![
        Program::Sleep,
        Program::Sleep,
        Program::True,
        Program::Stubborn,
        Program::Cat,
        Program::Missing,
    ]);
    let how =
        prop::sample::select(vec![How::Kill, How::Ask, How::CloseInput, How::Status, How::Attach]);
    let doing = prop::sample::select(vec![
        Doing::Create,
        Doing::Start,
        Doing::CreateProcess,
        Doing::Pause,
        Doing::Resume,
        Doing::Update,
        Doing::Statistics,
        Doing::ShutDown,
        Doing::Terminate,
    ]);
    let mishap = prop::sample::select(vec![Mishap::Refused, Mishap::DiesBefore, Mishap::DiesAfter]);
    let some = 0..4usize;
    prop_oneof![
        6 => (who.clone(), any::<bool>())
            .prop_map(|((client, id), mortal)| Command::Create { client, id, mortal }),
        8 => (who.clone(), verb).prop_map(|((client, id), verb)| Command::Lead { client, id, verb }),
        1 => who.clone().prop_map(|(client, id)| Command::ForceDown { client, id }),
        1 => who.clone().prop_map(|(client, id)| Command::Measure { client, id }),
        1 => who.clone().prop_map(|(client, id)| Command::Limit { client, id }),
        6 => (who.clone(), program)
            .prop_map(|((client, id), program)| Command::Exec { client, id, program }),
        4 => (who.clone(), some.clone(), how)
            .prop_map(|((client, id), nth, how)| Command::ToProcess { client, id, nth, how }),
        3 => who.clone().prop_map(|(client, id)| Command::Open { client, id }),
        3 => who.prop_map(|(client, id)| Command::Close { client, id }),
        1 => client.prop_map(|client| Command::Leave { client }),
        3 => (id.clone(), some, 0..256u32).prop_map(|(id, nth, code)| Command::Exit { id, nth, code }),
        1 => id.clone().prop_map(|id| Command::KillWorker { id }),
        1 => id.clone().prop_map(|id| Command::PowerOff { id }),
        1 => (id.clone(), any::<bool>())
            .prop_map(|(id, out_of_memory)| Command::Crash { id, out_of_memory }),
        1 => id.prop_map(|id| Command::TimePasses { id }),
        2 => (doing, mishap).prop_map(|(doing, mishap)| Command::Order { doing, mishap }),
        1 => (0..SERVICES).prop_map(|service| Command::KillService { service }),
        1 => (0..SERVICES).prop_map(|service| Command::ReplaceService { service }),
    ]
}
