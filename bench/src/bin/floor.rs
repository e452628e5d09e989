//! The yardstick by itself: what the kernel asks for, without any of the product.
//!
//! `floor attach` times attach and detach of one sequence; `floor elements` times elements of nftables sets with more
//! and more of them present.

use std::time::Duration;

use clap::{Parser, Subcommand};

use hostcompute_bench::floor::{Elements, Floor, Sequence};
use hostcompute_bench::namespace;
use hostcompute_bench::statistics::{Cost, Summary};

/// Makes the kernel objects of endpoints with bare netlink and says how long that takes.
#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attach and detach, in batches of ten.
    Attach {
        #[arg(value_enum, default_value = "fused")]
        sequence: Sequence,
        /// Batches.
        #[arg(long, default_value_t = 10)]
        rounds: u32,
        /// Endpoints that are there all the time.
        #[arg(long, default_value_t = 0)]
        present: u32,
    },
    /// Add and delete two elements in one batch, with so many present.
    Elements {
        #[arg(value_delimiter = ',', default_value = "0,100,1000,5000,20000")]
        present: Vec<u32>,
    },
}

fn main() -> anyhow::Result<()> {
    let program = Program::parse();
    namespace::seclude()?;
    match program.command {
        Command::Attach { sequence, rounds, present } => attach(sequence, rounds, present),
        Command::Elements { present } => elements(&present),
    }
}

const BATCH: u32 = 10;
const SETTLE: Duration = Duration::from_millis(300);

fn attach(sequence: Sequence, rounds: u32, present: u32) -> anyhow::Result<()> {
    let mut floor = Floor::open(sequence)?;
    floor.fill_stock(present)?;
    for number in 0..present {
        floor.attach(number)?;
    }
    let (mut attached, mut detached) = (Cost::default(), Cost::default());
    for round in 0..rounds {
        let first = present + round * BATCH;
        floor.fill_stock(BATCH)?;
        std::thread::sleep(SETTLE);
        for number in first..first + BATCH {
            attached.time(|| floor.attach(number))?;
        }
        std::thread::sleep(SETTLE);
        for number in first..first + BATCH {
            detached.time(|| floor.detach(number))?;
        }
    }
    show(sequence.name(), "attach", &attached);
    show(sequence.name(), "detach", &detached);
    Ok(())
}

fn elements(levels: &[u32]) -> anyhow::Result<()> {
    let mut table = Elements::open()?;
    for level in levels {
        table.fill(*level)?;
        let (mut added, mut deleted) = (Cost::default(), Cost::default());
        for number in *level..level + 100 {
            added.time(|| table.add(number))?;
            deleted.time(|| table.delete(number))?;
        }
        show(&format!("{level} present"), "add", &added);
        show(&format!("{level} present"), "delete", &deleted);
    }
    Ok(())
}

fn show(what: &str, verb: &str, cost: &Cost) {
    let Some(Summary { samples, least, p50, p99 }) = cost.wall.summary() else { return };
    let processor = cost.processor.summary().map_or(0.0, |summary| summary.p50);
    println!(
        "{what:<20} {verb:<7} {samples:>4} samples, us:  least {least:>8.1}  p50 {p50:>8.1}  p99 {p99:>8.1}  processor p50 {processor:>8.1}"
    );
}
