//! The service behind its socket: a query beside a bare echo, many clients at once beside many threads of the floor, starting
//! again with many endpoints, memory.

use std::path::Path;

use super::{Plan, progress, turns};
use crate::daemon::End;
use crate::floor::Sequence;
use crate::remote::Remote;
use crate::side::Kind;
use crate::statistics::Samples;
use crate::worker::{Batch, Setup, Task};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Queries in each round.
    pub queries: usize,
    /// Clients at once.
    pub clients: u32,
    /// What each attaches and detaches, in each round.
    pub cycles: u32,
    /// Endpoints that are there when the service starts again.
    pub endpoints: u32,
    /// How often it does.
    pub restarts: u32,
}

/// What was found out.
#[derive(Debug, Default)]
pub struct ServiceRows {
    pub query: Samples,
    pub echo: Samples,
    pub churn: Vec<ChurnRow>,
    pub restart: Option<RestartRow>,
}

/// Attaching and detaching from many threads.
#[derive(Debug)]
pub struct ChurnRow {
    pub side: Kind,
    pub threads: u32,
    /// Attached, detached and gone, in all threads together, in each round.
    pub cycles: u32,
    pub wall: Samples,
}

/// Starting with many endpoints.
#[derive(Debug)]
pub struct RestartRow {
    pub endpoints: u32,
    /// Until the service answered, after it was told to stop.
    pub stopped: Samples,
    /// The same after it was killed: everything is compared with the kernel first.
    pub killed: Samples,
    /// The comparison alone.
    pub check: Samples,
    /// In KiB, the most seen.
    pub resident: usize,
}

/// Endpoints that are there while queries are measured.
const PRESENT: u32 = 10;

/// Measures the service whose program this is.
///
/// # Errors
///
/// When a side fails.
pub fn service(plan: &Plan, program: &Path, amount: Amount) -> anyhow::Result<ServiceRows> {
    let mut rows = ServiceRows::default();
    let start = |name: &str| {
        Remote::start(&Setup {
            name: Kind::Service(program.to_owned()).name(),
            task: Task::Service(program.to_owned()),
            directory: plan.directory.join(name),
        })
    };
    let mut remote = start("service")?;
    remote.attach(Batch { first: 0, count: PRESENT })?;
    progress("queries over the socket, and bare echoes");
    for round in 0..=plan.rounds {
        let (query, echo) = (remote.query(amount.queries)?.wall, remote.echo(amount.queries)?);
        if round > 0 {
            rows.query.append(query);
            rows.echo.append(echo);
        }
    }
    rows.churn = churn(plan, &mut remote, program, amount)?;
    drop(remote);
    rows.restart = Some(restart(&mut start("restart")?, amount)?);
    Ok(rows)
}

fn churn(
    plan: &Plan,
    service: &mut Remote,
    program: &Path,
    amount: Amount,
) -> anyhow::Result<Vec<ChurnRow>> {
    let mut floors = Vec::new();
    for sequence in [Sequence::Fused, Sequence::Routed] {
        let kind = Kind::Floor(sequence);
        let directory = plan.directory.join(format!("churn-{}", kind.slug()));
        let setup = Setup { name: kind.name(), task: Task::Attach(kind.clone()), directory };
        floors.push((kind, Remote::start(&setup)?));
    }
    let ours = Kind::Service(program.to_owned());
    let mut sides: Vec<(Kind, &mut Remote)> = vec![(ours, service)];
    sides.extend(floors.iter_mut().map(|(kind, remote)| (kind.clone(), remote)));
    let Amount { clients, cycles, .. } = amount;
    let row = |side: &Kind| ChurnRow {
        side: side.clone(),
        threads: clients,
        cycles: clients * cycles,
        wall: Samples::default(),
    };
    let mut rows: Vec<ChurnRow> = sides.iter().map(|(kind, _)| row(kind)).collect();
    progress(&format!(
        "{clients} clients and {clients} threads of the floor, attaching and detaching"
    ));
    for round in 0..=plan.rounds {
        for turn in turns(round, sides.len()) {
            let (row, (_, remote)) = (&mut rows[turn], &mut sides[turn]);
            let wall = remote.churn(clients, cycles)?;
            if round > 0 {
                row.wall.append(wall);
            }
            std::thread::sleep(plan.settle);
        }
    }
    Ok(rows)
}

fn restart(remote: &mut Remote, amount: Amount) -> anyhow::Result<RestartRow> {
    let endpoints = amount.endpoints;
    progress(&format!("starting again with {endpoints} endpoints"));
    remote.attach(Batch { first: 0, count: endpoints })?;
    let mut row = RestartRow {
        endpoints,
        stopped: Samples::default(),
        killed: Samples::default(),
        check: Samples::default(),
        resident: remote.service_resident()?,
    };
    for _ in 0..amount.restarts {
        row.stopped.append(remote.restart(End::Stopped)?);
        row.resident = row.resident.max(remote.service_resident()?);
        row.check.append(remote.check()?);
        row.killed.append(remote.restart(End::Killed)?);
        row.resident = row.resident.max(remote.service_resident()?);
    }
    Ok(row)
}
