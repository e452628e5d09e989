//! How a plan is carried out: which steps travel together, and what is left of them when one fails.
//!
//! All nftables steps of a plan are one transaction, done where its first removal stands, else where its last step stands
//! (what is removed stops working first, what is added starts working last). Neighbouring link steps share a datagram, of
//! which the kernel carries out the rest after a message that failed. Everything else goes one by one.

use alloc::vec::Vec;

use hostcompute_schema::{Failure, HResult};

use super::Simulator;
use super::fault::Moment;
use super::thing::{Medium, Thing};
use crate::host::Fault as HostFault;
use crate::plan::{Fact, Step};

/// Steps that travel together, as indexes into the plan.
struct Batch {
    medium: Medium,
    steps: Vec<usize>,
}

pub(super) fn perform(host: &mut Simulator, plan: &[Step]) -> Result<(), HostFault> {
    for batch in split(plan) {
        match batch.medium {
            Medium::Nftables => transaction(host, plan, &batch.steps)?,
            Medium::Links | Medium::Files => datagram(host, plan, &batch.steps)?,
        }
        host.performed += batch.steps.len();
    }
    Ok(())
}

fn medium(step: &Step) -> Medium {
    match step {
        Step::Add(fact) | Step::Remove(fact) | Step::Change { to: fact, .. } => Medium::of(fact),
        Step::Claim(_) | Step::Sweep(_) => Medium::Files,
    }
}

fn split(plan: &[Step]) -> Vec<Batch> {
    let of_nftables = |(_, step): &(usize, &Step)| medium(step) == Medium::Nftables;
    let nftables: Vec<usize> =
        plan.iter().enumerate().filter(of_nftables).map(|(i, _)| i).collect();
    let removal = nftables.iter().find(|index| matches!(plan.get(**index), Some(Step::Remove(_))));
    let place = removal.or(nftables.last()).copied();

    let mut batches: Vec<Batch> = Vec::new();
    for (index, step) in plan.iter().enumerate() {
        match (medium(step), batches.last_mut()) {
            (Medium::Nftables, _) if Some(index) == place => {
                batches.push(Batch { medium: Medium::Nftables, steps: nftables.clone() });
            }
            (Medium::Nftables, _) => {}
            (Medium::Links, Some(last)) if last.medium == Medium::Links => last.steps.push(index),
            (medium, _) => batches.push(Batch { medium, steps: alloc::vec![index] }),
        }
    }
    batches
}

fn fault(step: usize, failure: Failure) -> HostFault {
    HostFault { step, failure }
}

fn ordered(host: &mut Simulator, moment: Moment) -> Failure {
    host.dead |= moment == Moment::Death;
    Failure::new(HResult::E_OUTOFMEMORY, "a fault was ordered here")
}

/// All or nothing.
fn transaction(host: &mut Simulator, plan: &[Step], steps: &[usize]) -> Result<(), HostFault> {
    let struck = host.faults.strike(steps.len());
    let struck = struck.and_then(|(nth, moment)| Some((*steps.get(nth)?, moment)));
    if let Some((step, moment)) = struck
        && moment != Moment::After
    {
        return Err(fault(step, ordered(host, moment)));
    }
    let mut before = Vec::new();
    let mut result = Ok(());
    for index in steps {
        let Some(step) = plan.get(*index) else { continue };
        before.extend(images(host, step));
        result = host.carry_out(step).map_err(|failure| fault(*index, failure));
        if result.is_err() {
            break;
        }
    }
    if let (Ok(()), Some(thing)) = (&result, host.kernel.dangling(&before)) {
        let text = alloc::format!("{thing} is jumped to or looked into and not there");
        let last = steps.last().copied().unwrap_or(0);
        result = Err(fault(last, Failure::new(HResult::ERROR_NOT_FOUND, text)));
    }
    if result.is_err() {
        host.kernel.roll_back(before);
        return result;
    }
    match struck {
        Some((step, moment)) => Err(fault(step, ordered(host, moment))),
        None => Ok(()),
    }
}

/// What a step of a transaction may overwrite, as it is now.
fn images(host: &Simulator, step: &Step) -> super::kernel::Before {
    let fact = match step {
        Step::Add(fact) | Step::Remove(fact) | Step::Change { to: fact, .. } => fact,
        Step::Claim(_) | Step::Sweep(_) => return Vec::new(),
    };
    let image = |thing: Thing| {
        let held = host.kernel.things.get(&thing).cloned();
        (thing, held)
    };
    let mut images = alloc::vec![image(Thing::of(fact))];
    if matches!((step, fact), (Step::Remove(_), Fact::Table)) {
        let inside = host.kernel.things.keys().filter(|thing| thing.is_in_table()).cloned();
        images.extend(inside.map(image));
    }
    images
}

/// One by one; a failure is reported after the rest has been tried.
fn datagram(host: &mut Simulator, plan: &[Step], steps: &[usize]) -> Result<(), HostFault> {
    let struck = host.faults.strike(steps.len());
    let mut first = Ok(());
    for (nth, index) in steps.iter().enumerate() {
        let Some(step) = plan.get(*index) else { continue };
        let result = match struck {
            Some((at, moment)) if at == nth => strike(host, step, moment),
            Some((at, Moment::Before)) if at > nth => Ok(()),
            _ => host.carry_out(step),
        };
        let result = result.map_err(|failure| fault(*index, failure));
        let stop = host.dead || matches!(struck, Some((at, Moment::Before)) if at == nth);
        first = first.and(result);
        if stop {
            break;
        }
    }
    first
}

/// A step that is to fail: undone, half done or done, by the moment of the fault.
fn strike(host: &mut Simulator, step: &Step, moment: Moment) -> Result<(), Failure> {
    match (moment, step) {
        (Moment::After, _) => host.carry_out(step)?,
        (Moment::Halfway, Step::Add(fact @ Fact::Port(_))) => {
            let thing = Thing::of(fact);
            let held = host.kernel.things.contains_key(&thing);
            host.carry_out(step)?;
            if !held {
                host.kernel.damage(&thing, "its host routes were never made");
            }
        }
        _ => {}
    }
    Err(ordered(host, moment))
}
