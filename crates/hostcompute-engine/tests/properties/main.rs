//! The engine against a reference model, on the simulated host, with faults between any two steps.
//!
//! A history of random commands runs through the engine and the simulator. After each command:
//! - the outcome is one that the published rules admit (`expect.rs`), and documents say what the model says (`learn.rs`);
//! - the state's own check is silent, the host has exactly the state's facts, and the plan led from the facts before to the
//!   facts after;
//! - the state read back from its records is the same state;
//! - the same plan with a fault anywhere in it is taken back without a trace, and a death anywhere in it is repaired in both
//!   directions (`hold.rs`);
//! - subscribers are told of what happened, and of nothing else (`tell.rs`);
//! - packets go where the documents promise, and nowhere else (`promise.rs`), and `trace` says the same of them (`agree.rs`).
//!
//! Deterministic: the seed is fixed, printed with every failure, and set by HOSTCOMPUTE_SEED; HOSTCOMPUTE_CASES sets how many
//! histories run.

mod agree;
mod command;
mod detours;
mod drive;
mod expect;
mod guests;
mod history;
mod hold;
mod learn;
mod model;
mod policies;
mod promise;
mod remotes;
mod render;
mod rules;
#[path = "../seeded/mod.rs"]
mod seeded;
mod sets;
mod sidecars;
mod tell;

use std::cell::RefCell;

use command::Command;
use drive::{Tally, World};

const CASES: u32 = 80;
const LONGEST: usize = 40;

/// Runs `test` on many histories, in which every command succeeds and is refused often enough.
fn for_histories(test: impl Fn(&mut World, &[Command]) -> Result<(), String>) {
    let total = RefCell::new(Tally::new());
    let cases = seeded::run(&history::history(LONGEST), CASES, |history| {
        let mut world = World::new();
        test(&mut world, &history)?;
        for (name, (succeeded, refused)) in world.tally {
            let mut total = total.borrow_mut();
            let sum = total.entry(name).or_default();
            *sum = (sum.0 + succeeded, sum.1 + refused);
        }
        Ok(())
    });
    let total = total.into_inner();
    println!("commands that succeeded and were refused: {total:#?}");
    if std::env::var_os("HOSTCOMPUTE_SEED").is_some() {
        // Whoever looks for failures elsewhere is not to be told of luck.
        return;
    }
    for (name, (succeeded, refused)) in total {
        let enough = |count: usize| count * 20 >= cases as usize;
        let idle = ["garbage", "modify route"].contains(&name) || enough(succeeded);
        assert!(
            idle && enough(refused),
            "too few '{name}': {succeeded} succeeded, {refused} did not"
        );
    }
}

/// Documents, errors, facts, packets: everything but faults.
#[test]
fn histories_end_as_the_rules_say() {
    for_histories(|world, history| {
        for (place, command) in history.iter().enumerate() {
            world.step(command).map_err(|why| format!("{why}\nafter {command:?}"))?;
            hold::together(world)?;
            promise_kept(world)?;
            // A trace works the facts out each time, so not after every command.
            if place % 5 == 4 || place + 1 == history.len() {
                traces_agree(world)?;
            }
        }
        Ok(())
    });
}

fn traces_agree(world: &World) -> Result<(), String> {
    let facts = world.state.facts();
    let surroundings = drive::surroundings();
    let reach = hostcompute_engine::sim::Reach::of(&facts, &surroundings);
    agree::check(&world.state, &reach, &surroundings)
}

fn promise_kept(world: &World) -> Result<(), String> {
    let facts = world.state.facts();
    let surroundings = drive::surroundings();
    let reach = hostcompute_engine::sim::Reach::of(&facts, &surroundings);
    promise::check(&world.model, &reach)
}

/// The same histories with a fault in each plan, a death in each plan, and someone editing the machine.
#[test]
fn faults_leave_no_trace_and_deaths_are_repaired() {
    for_histories(|world, history| {
        for command in history {
            let before = world.clone();
            world.step(command).map_err(|why| format!("{why}\nafter {command:?}"))?;
            let told = |why: String| format!("{why}\nafter {command:?}");
            hold::faults(&before, world).map_err(told)?;
        }
        hold::tampering(world)?;
        hold::reboot(world)
    });
}
