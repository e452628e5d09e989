//! Random histories of two systems, three clients and two services on one machine, against a reference model (`model.rs`): the code of
//! every call, what every client sees after every step, and every event, once and in order. Faults are ordered, workers die, clients and
//! services go and come.
//!
//! Deterministic: the seed is fixed, printed with every failure, and set by HOSTCOMPUTE_SEED; HOSTCOMPUTE_CASES sets how many
//! histories run.

mod command;
mod model;
mod world;

use world::World;

use crate::seeded;

const CASES: u32 = 400;
const LONGEST: usize = 50;

#[test]
fn histories_end_as_the_rules_say() {
    seeded::run(&command::history(LONGEST), CASES, |history| {
        let mut world = World::new();
        for command in &history {
            let step = world.step(command).and_then(|()| world.compare());
            step.map_err(|why| format!("{why}\nafter {command:?}"))?;
        }
        world.end()
    });
}
