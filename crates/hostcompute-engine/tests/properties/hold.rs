//! What must hold after every command, whatever it was.

use std::collections::BTreeSet;

use hostcompute_engine::host::Host;
use hostcompute_engine::plan::{Fact, Step, undo};
use hostcompute_engine::sim::{Fault, Moment, Simulator, Tamper};
use hostcompute_engine::{State, after_reboot, reconcile};

use crate::drive::World;
use crate::learn;

type Held = Result<(), String>;

fn ensure(condition: bool, what: impl FnOnce() -> String) -> Held {
    if condition { Ok(()) } else { Err(what()) }
}

/// State, host, records and documents agree.
pub fn together(world: &mut World) -> Held {
    let broken = world.state.check();
    ensure(broken.is_empty(), || format!("the state's check says {broken:?}"))?;
    let facts = world.state.facts();
    let answers: BTreeSet<Fact> = world.state.answers().into_iter().collect();
    let expected = facts.iter().filter(|fact| fact.is_answer()).cloned().collect();
    ensure(answers == expected, || format!("the host would answer {answers:?}, not {expected:?}"))?;
    let differences = world.host.compare(&facts).map_err(|fault| fault.to_string())?;
    ensure(differences.is_empty(), || format!("the host differs: {differences:?}"))?;
    reload(world, &facts)?;
    learn::compare_documents(world)
}

/// A state read back from its records is the same state.
fn reload(world: &mut World, facts: &[Fact]) -> Held {
    let records = world.records();
    let mut shuffled = records.clone();
    shuffled.reverse();
    for order in [records.clone(), shuffled] {
        let again =
            State::load(order).map_err(|failure| format!("records cannot be read: {failure}"))?;
        ensure(again.facts() == facts, || "the reloaded state has other facts".into())?;
        let broken = again.check();
        ensure(broken.is_empty(), || format!("the reloaded state's check says {broken:?}"))?;
        let known: Vec<_> = again.objects().map(|object| object.record()).collect();
        ensure(known == records, || format!("reloaded records differ:\n{known:?}\n{records:?}"))?;
    }
    Ok(())
}

/// The plan from `before` to `after` is right, is undone without a trace wherever it fails, and is repaired wherever the
/// process dies in it.
pub fn faults(before: &World, after: &World) -> Held {
    let plan = &after.plan;
    if plan.is_empty() {
        return ensure(before.state.facts() == after.state.facts(), || {
            "facts without a plan".into()
        });
    }
    follows(&before.state.facts(), plan, &after.state.facts())?;
    let mut taken_back = after.state.clone();
    taken_back.apply(&after.undo);
    let records = |state: &State| state.objects().map(|o| o.record()).collect::<Vec<_>>();
    ensure(records(&taken_back) == before.records(), || "undone changes leave a trace".into())?;
    ensure(taken_back.check().is_empty(), || "undone changes break the state".into())?;
    let mut random = after.random.clone();
    for _ in 0..3 {
        let at = random.below(plan.len());
        for moment in [Moment::Before, Moment::Halfway, Moment::After] {
            fails_and_is_undone(
                &before.host,
                plan,
                Fault { after: at, moment },
                random.next().is_multiple_of(4),
            )?;
        }
        let death = Fault { after: at, moment: Moment::Death };
        dies_and_is_repaired(&before.host, plan, death, [&before.state, &after.state])?;
    }
    Ok(())
}

/// Facts before, with the plan carried out on paper, are the facts after.
fn follows(before: &[Fact], plan: &[Step], after: &[Fact]) -> Held {
    let mut facts: BTreeSet<&Fact> = before.iter().collect();
    for step in plan {
        let right = match step {
            Step::Add(fact) => facts.insert(fact),
            Step::Remove(fact) => facts.remove(fact),
            Step::Change { from, to } => {
                from.same_thing(to) && facts.remove(from) && facts.insert(to)
            }
            Step::Claim(_) => true,
            Step::Sweep(_) => false,
        };
        ensure(right, || format!("the plan makes no sense at {step:?}"))?;
    }
    let left: Vec<&Fact> = after.iter().collect();
    ensure(facts.iter().copied().collect::<Vec<_>>() == left, || {
        format!("the plan leads elsewhere: {plan:?}")
    })
}

fn fails_and_is_undone(host: &Simulator, plan: &[Step], fault: Fault, twice: bool) -> Held {
    let mut host = host.clone();
    let picture = host.picture();
    host.order(fault);
    ensure(host.perform(plan).is_err(), || format!("{fault:?} did not strike"))?;
    let back = undo(plan);
    if twice && !back.is_empty() {
        host.order(Fault { after: fault.after % back.len(), moment: Moment::Halfway });
        ensure(host.perform(&back).is_err(), || "the second fault did not strike".into())?;
    }
    host.perform(&back)
        .map_err(|why| format!("undoing after {fault:?} failed: {why}\n{plan:?}"))?;
    ensure(host.picture() == picture, || {
        format!("undoing after {fault:?} left a trace of {plan:?}")
    })
}

fn dies_and_is_repaired(
    host: &Simulator,
    plan: &[Step],
    death: Fault,
    states: [&State; 2],
) -> Held {
    for state in states {
        let mut host = host.clone();
        host.order(death);
        ensure(host.perform(plan).is_err(), || format!("{death:?} did not strike"))?;
        host.revive();
        repair(&mut host, state).map_err(|why| format!("after {death:?} in {plan:?}: {why}"))?;
    }
    Ok(())
}

/// How often comparing and repairing may be needed: a repair may take along what depends on the repaired thing.
const ROUNDS: usize = 3;

fn repair(host: &mut Simulator, state: &State) -> Held {
    let facts = state.facts();
    let mut differences = host.compare(&facts).map_err(|fault| fault.to_string())?;
    for _ in 0..ROUNDS {
        if differences.is_empty() {
            return Ok(());
        }
        let steps = reconcile(&differences);
        host.perform(&steps)
            .map_err(|fault| format!("repairing failed at {:?}: {fault}", steps.get(fault.step)))?;
        differences = host.compare(&facts).map_err(|fault| fault.to_string())?;
    }
    ensure(differences.is_empty(), || format!("not repaired in {ROUNDS} rounds: {differences:?}"))
}

/// Someone edits the machine: things are lost, changed, broken and added. It is noticed and repaired.
pub fn tampering(world: &mut World) -> Held {
    let facts = world.state.facts();
    for round in 0..8 {
        let mut host = world.host.clone();
        let mut edits = Vec::new();
        for _ in 0..=world.random.below(3) {
            if facts.is_empty() {
                break;
            }
            let fact = facts[world.random.below(facts.len())].clone();
            let edit = match world.random.below(3) {
                0 => Tamper::Lose(fact),
                1 => Tamper::Break(fact),
                _ => Tamper::Put(edited(fact)),
            };
            host.tamper(edit.clone());
            edits.push(edit);
        }
        repair(&mut host, &world.state)
            .map_err(|why| format!("round {round}, {edits:?}: {why}"))?;
    }
    Ok(())
}

/// The fact with other content, or another fact of its kind: a stray.
fn edited(mut fact: Fact) -> Fact {
    match &mut fact {
        Fact::Port(port) => port.mtu = Some(1300),
        Fact::Service(service) => service.slots.reverse(),
        Fact::AclChain(chain) => chain.rules.clear(),
        Fact::Resolver(resolver) => resolver.content.push_str("# edited\n"),
        Fact::Shaper(shaper) => shaper.bytes_per_second += 1,
        Fact::Diversion(diversion) => diversion.lanes.iter_mut().for_each(|lane| lane.place += 7),
        Fact::VipRoute(route) => route.address = "10.111.0.1".parse().expect("an address"),
        _ => {}
    }
    fact
}

/// The machine starts anew: what lasts is rebuilt, what does not is gone from the documents, too.
pub fn reboot(world: &mut World) -> Held {
    let changes = after_reboot(&world.state);
    world.state.apply(&changes);
    world.host.reboot();
    world.model.reboot();
    repair(&mut world.host, &world.state)?;
    together(world)
}
