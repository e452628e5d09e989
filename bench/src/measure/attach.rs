//! Attach and detach, with more and more endpoints present.

use std::time::Instant;

use serde::Serialize;

use super::{Plan, progress, turns};
use crate::machine;
use crate::remote::Remote;
use crate::side::Kind;
use crate::statistics::{Cost, Samples};
use crate::worker::{Batch, Setup, Task};

/// What one side took with so many endpoints present.
#[derive(Debug)]
pub struct AttachRow {
    pub side: Kind,
    pub endpoints: u32,
    pub attach: Cost,
    pub detach: Cost,
    /// From the last detach of a batch until the kernel has taken the batch's links away.
    pub gone: Samples,
    pub memory: Option<Memory>,
}

/// What one endpoint holds, in KiB; from the growth between two levels.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    pub kernel: f64,
    pub process: f64,
}

/// A side that runs, and how far it has been filled.
struct Contestant {
    kind: Kind,
    remote: Remote,
    present: u32,
    next: u32,
    failed: bool,
}

/// Endpoints that come and go are numbered from here on; those that stay, from zero.
const FIRST_PASSER: u32 = 20_000;
const LAST_PASSER: u32 = 50_000;

/// Measures every side at every level it can hold, from the lowest up, and the lowest once more at the end: were the
/// machine to slow down meanwhile, growth would not be blamed for it.
///
/// # Errors
///
/// When one of our own sides fails. A peer that fails is left out from there on, with a message.
pub fn attach(plan: &Plan) -> anyhow::Result<Vec<AttachRow>> {
    let mut contestants = Vec::new();
    for kind in &plan.sides {
        match Contestant::start(kind, plan) {
            Ok(contestant) => contestants.push(contestant),
            Err(error) => forgive(kind, error)?,
        }
    }
    let mut rows: Vec<AttachRow> = Vec::new();
    for level in &plan.levels {
        measure_level(plan, &mut contestants, *level, &mut rows)?;
    }
    if let (Some(lowest), true) = (plan.levels.first(), plan.levels.len() > 1) {
        contestants.retain(|contestant| !contestant.kind.is_peer());
        for contestant in &mut contestants {
            contestant.shrink(*lowest)?;
        }
        measure_level(plan, &mut contestants, *lowest, &mut rows)?;
    }
    Ok(rows)
}

/// A peer that fails is left out; one of ours is an error.
fn forgive(kind: &Kind, error: anyhow::Error) -> anyhow::Result<()> {
    if !kind.is_peer() {
        return Err(error);
    }
    progress(&format!("left out from here on: {error:#}"));
    Ok(())
}

fn measure_level(
    plan: &Plan,
    contestants: &mut [Contestant],
    level: u32,
    rows: &mut Vec<AttachRow>,
) -> anyhow::Result<()> {
    let mut here = Vec::new();
    for (place, contestant) in contestants.iter_mut().enumerate() {
        let meant = !contestant.kind.is_peer() || plan.peer_levels.contains(&level);
        if !meant || contestant.failed || level + plan.batch > contestant.kind.limit() {
            continue;
        }
        match contestant.fill(level) {
            Ok(memory) => here.push((place, row_for(rows, &contestant.kind, level, memory))),
            Err(error) => contestant.forgive(error)?,
        }
    }
    let names: Vec<_> = here.iter().map(|(place, _)| contestants[*place].kind.name()).collect();
    progress(&format!("attach and detach with {level} endpoints present: {}", names.join("; ")));
    std::thread::sleep(plan.settle);
    // The round before the first is the warm-up; its samples are dropped.
    for round in 0..=plan.rounds {
        for turn in turns(round, here.len()) {
            let (place, row) = here[turn];
            let contestant = &mut contestants[place];
            if contestant.failed {
                continue;
            }
            match contestant.round(plan) {
                Ok((attach, detach, gone)) if round > 0 => {
                    rows[row].attach.append(attach);
                    rows[row].detach.append(detach);
                    rows[row].gone.append(gone);
                }
                Ok(_) => {}
                Err(error) => contestant.forgive(error)?,
            }
        }
    }
    Ok(())
}

/// The place of the row of this side and level, made when missing.
fn row_for(rows: &mut Vec<AttachRow>, side: &Kind, level: u32, memory: Option<Memory>) -> usize {
    if let Some(place) = rows.iter().position(|row| row.side == *side && row.endpoints == level) {
        return place;
    }
    rows.push(AttachRow {
        side: side.clone(),
        endpoints: level,
        attach: Cost::default(),
        detach: Cost::default(),
        gone: Samples::default(),
        memory,
    });
    rows.len() - 1
}

impl Contestant {
    fn start(kind: &Kind, plan: &Plan) -> anyhow::Result<Self> {
        let directory = plan.directory.join(format!("attach-{}", kind.slug()));
        let setup = Setup { name: kind.name(), task: Task::Attach(kind.clone()), directory };
        let remote = Remote::start(&setup)?;
        Ok(Self { kind: kind.clone(), remote, present: 0, next: FIRST_PASSER, failed: false })
    }

    fn forgive(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        self.failed = true;
        forgive(&self.kind, error)
    }

    /// Attaches endpoints that stay until there are `level` of them.
    fn fill(&mut self, level: u32) -> anyhow::Result<Option<Memory>> {
        let count = level.saturating_sub(self.present);
        if count == 0 {
            return Ok(None);
        }
        let before = (machine::kernel_memory()?, self.remote.resident()?);
        let start = Instant::now();
        self.remote.attach(Batch { first: self.present, count })?;
        let after = (machine::kernel_memory()?, self.remote.resident()?);
        if count >= 500 {
            let each = start.elapsed().as_micros() / u128::from(count);
            progress(&format!("{}: {} -> {level}, {each} us each", self.kind.name(), self.present));
        }
        self.present = level;
        let per_endpoint =
            |before: u64, after: u64| after.saturating_sub(before) as f64 / f64::from(count);
        // With few endpoints the difference is noise.
        Ok((count >= 500).then(|| Memory {
            kernel: per_endpoint(before.0, after.0),
            process: per_endpoint(before.1, after.1),
        }))
    }

    /// Detaches endpoints that stayed until there are `level` of them, and waits until the kernel has let go.
    fn shrink(&mut self, level: u32) -> anyhow::Result<()> {
        let count = self.present.saturating_sub(level);
        if count == 0 {
            return Ok(());
        }
        let links = self.remote.links()?.saturating_sub(count as usize);
        let start = Instant::now();
        self.remote.detach(Batch { first: level, count })?;
        let answered = start.elapsed();
        self.remote.gone(links)?;
        progress(&format!(
            "{}: {} -> {level}, answered after {} ms, gone after {} ms",
            self.kind.name(),
            self.present,
            answered.as_millis(),
            start.elapsed().as_millis()
        ));
        self.present = level;
        Ok(())
    }

    /// One batch attached, a pause, the batch detached, the clean-up awaited, a pause.
    fn round(&mut self, plan: &Plan) -> anyhow::Result<(Cost, Cost, Samples)> {
        if self.next + plan.batch > LAST_PASSER {
            self.next = FIRST_PASSER;
        }
        let batch = Batch { first: self.next, count: plan.batch };
        self.next += plan.batch;
        let links = self.remote.links()?;
        let attach = self.remote.attach(batch)?;
        std::thread::sleep(plan.settle);
        let detach = self.remote.detach(batch)?;
        let gone = self.remote.gone(links)?;
        std::thread::sleep(plan.settle);
        Ok((attach, detach, gone))
    }
}
