//! The result: one table with ratios for people, the same as JSON for programs, and whether the budgets were kept.

mod budget;
mod scale;
mod service;
mod table;

use serde::Serialize;

use crate::crowd::Crowd;
use crate::floor::Sequence;
use crate::machine::Machine;
use crate::measure::{AttachRow, BalanceRow, ListRow, Memory, ScaleRows, ServiceRows};
use crate::side::Kind;
use crate::statistics::Summary;

pub use budget::Budget;
pub use scale::ScaleLine;
pub use service::ServiceLine;

/// Everything that one run found out.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    /// Percent of the processors' time that was idle just before and just after.
    pub idle: (f64, f64),
    /// What was left out, and why.
    pub notes: Vec<String>,
    pub attach: Vec<AttachLine>,
    pub service: Vec<ServiceLine>,
    pub balance: Vec<BalanceLine>,
    pub scale: Vec<ScaleLine>,
    pub commands: Vec<CommandLine>,
    pub budgets: Vec<Budget>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Measured {
    pub attach: Vec<AttachRow>,
    pub balance: Vec<BalanceRow>,
    pub list: Vec<ListRow>,
    pub service: ServiceRows,
    pub crowd: Option<Crowd>,
    pub scale: ScaleRows,
}

#[derive(Debug, Clone, Serialize)]
pub struct AttachLine {
    pub side: String,
    pub peer: bool,
    pub endpoints: u32,
    pub attach: Summary,
    /// Processor time of the thread that attaches; for peers, which are processes of their own, it says nothing.
    pub attach_processor: Option<Summary>,
    pub detach: Summary,
    pub gone: Summary,
    /// Attach p50 over that of the floor's fused and of its routed sequence with as many endpoints.
    pub of_floor: (Option<f64>, Option<f64>),
    /// Attach and detach p50 over those at the lowest level.
    pub growth: Option<(f64, f64)>,
    pub memory: Option<Memory>,
}

#[derive(Debug, Clone, Serialize)]
pub struct BalanceLine {
    pub side: String,
    pub services: u32,
    pub connect: Summary,
    pub whole: Summary,
    pub add: Summary,
    pub remove: Summary,
    /// Connect and add p50 over those at the lowest level.
    pub growth: Option<(f64, f64)>,
}

#[derive(Debug, Clone, Serialize)]
pub struct CommandLine {
    pub command: String,
    pub wall: Summary,
}

impl Report {
    pub fn new(
        machine: Machine,
        idle: (f64, f64),
        notes: Vec<String>,
        measured: &Measured,
    ) -> Self {
        let attach = attach_lines(&measured.attach);
        let balance = balance_lines(&measured.balance);
        let commands = command_lines(&measured.list);
        let mut budgets = budget::all(&attach, &balance, &commands);
        let (mut service, promises) = service::lines(&measured.service);
        service.extend(measured.crowd.iter().flat_map(service::crowd));
        budgets.extend(promises);
        let (scale, restarts, promises) = scale::lines(&measured.scale);
        service.extend(restarts);
        budgets.extend(promises);
        Self { machine, idle, notes, attach, service, balance, scale, commands, budgets }
    }
}

fn attach_lines(rows: &[AttachRow]) -> Vec<AttachLine> {
    let p50 = |side: &Kind, endpoints| {
        rows.iter()
            .find(|row| row.side == *side && row.endpoints == endpoints)
            .and_then(|row| Some((row.attach.wall.summary()?.p50, row.detach.wall.summary()?.p50)))
    };
    let line = |row: &AttachRow| {
        let (attach, detach) = (row.attach.wall.summary()?, row.detach.wall.summary()?);
        let of =
            |sequence| p50(&Kind::Floor(sequence), row.endpoints).map(|floor| attach.p50 / floor.0);
        let lowest = rows.iter().filter(|other| other.side == row.side);
        let first = p50(&row.side, lowest.map(|other| other.endpoints).min()?);
        Some(AttachLine {
            side: row.side.name(),
            peer: row.side.is_peer(),
            endpoints: row.endpoints,
            attach,
            attach_processor: row.attach.processor.summary().filter(|_| !row.side.is_peer()),
            detach,
            gone: row.gone.summary()?,
            of_floor: (of(Sequence::Fused), of(Sequence::Routed)),
            growth: first.map(|first| (attach.p50 / first.0, detach.p50 / first.1)),
            memory: row.memory,
        })
    };
    rows.iter().filter_map(line).collect()
}

fn balance_lines(rows: &[BalanceRow]) -> Vec<BalanceLine> {
    let p50 = |row: &BalanceRow| {
        Some((row.connections.connect.summary()?.p50, row.add.wall.summary()?.p50))
    };
    let line = |row: &BalanceRow| {
        let first = rows
            .iter()
            .filter(|other| other.side == row.side)
            .min_by_key(|other| other.services)
            .and_then(p50);
        let (connect, add) = (row.connections.connect.summary()?, row.add.wall.summary()?);
        Some(BalanceLine {
            side: row.side.name(),
            services: row.services,
            connect,
            whole: row.connections.whole.summary()?,
            add,
            remove: row.remove.wall.summary()?,
            growth: first.map(|first| (connect.p50 / first.0, add.p50 / first.1)),
        })
    };
    rows.iter().filter_map(line).collect()
}

fn command_lines(rows: &[ListRow]) -> Vec<CommandLine> {
    rows.iter()
        .filter_map(|row| {
            Some(CommandLine { command: row.command.clone(), wall: row.wall.summary()? })
        })
        .collect()
}
