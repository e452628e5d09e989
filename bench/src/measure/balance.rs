//! Load balancing, with more and more services present.
//!
//! Each number of services has a worker of its own, and all are asked in turns: the difference between two numbers is
//! then not the difference between two moments.

use super::{Connections, Plan, progress, turns};
use crate::remote::Remote;
use crate::side::Kind;
use crate::statistics::Cost;
use crate::worker::{Batch, Setup, Task};

/// What one side took with so many services present.
#[derive(Debug)]
pub struct BalanceRow {
    pub side: Kind,
    pub services: u32,
    /// To the service that was added last.
    pub connections: Connections,
    pub add: Cost,
    pub remove: Cost,
}

/// Connections before the first sample: neighbours are resolved and pages are touched.
const WARM_UP: usize = 50;

/// A turn adds and removes so many times the plan's batch. The first few after other workers have run find cold caches, and pay for
/// the turn, not for the services present: they must not be the median.
const BATCHES: u32 = 10;

/// Measures those sides that balance load.
///
/// # Errors
///
/// When a side fails.
pub fn balance(plan: &Plan) -> anyhow::Result<Vec<BalanceRow>> {
    let mut rows = Vec::new();
    let mut remotes = Vec::new();
    for side in plan.sides.iter().filter(|side| side.balances()) {
        for services in &plan.services {
            let name = format!("balance-{}-{services}", side.slug());
            let setup = Setup {
                name: side.name(),
                task: Task::Balance(side.clone()),
                directory: plan.directory.join(name),
            };
            let mut remote = Remote::start(&setup)?;
            progress(&format!("{}: {services} services", side.name()));
            remote.add_services(Batch { first: 0, count: *services })?;
            remote.connect(services.saturating_sub(1), WARM_UP)?;
            remotes.push(remote);
            rows.push(BalanceRow {
                side: side.clone(),
                services: *services,
                connections: Connections::default(),
                add: Cost::default(),
                remove: Cost::default(),
            });
        }
    }
    progress("connections through the load balancers, services added and removed");
    for round in 0..plan.rounds {
        for turn in turns(round, rows.len()) {
            let (row, remote) = (&mut rows[turn], &mut remotes[turn]);
            row.connections.append(remote.connect(row.services - 1, plan.connections)?);
            let passing = Batch { first: row.services, count: plan.batch * BATCHES };
            row.add.append(remote.add_services(passing)?);
            row.remove.append(remote.remove_services(passing)?);
        }
    }
    Ok(rows)
}
