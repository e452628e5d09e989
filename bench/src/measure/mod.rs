//! What is measured, in which turns.
//!
//! Every side gets the same batches and the same pauses, one after another within each round, and the round's first
//! side changes. A busy moment of the machine then spoils one sample of each side and no side's average.

mod attach;
mod balance;
mod connections;
pub mod containers;
mod listing;
mod scale;
mod service;

use std::path::PathBuf;
use std::time::Duration;

pub use attach::{AttachRow, Memory, attach};
pub use balance::{BalanceRow, balance};
pub use connections::Connections;
pub use listing::{ListRow, list};
pub use scale::{Deeds, Extent, MatterRow, ScaleRows, scale};
pub use service::{Amount, ChurnRow, RestartRow, ServiceRows, service};

use crate::side::Kind;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    pub sides: Vec<Kind>,
    /// Verbs of one kind in a row, between two pauses.
    pub batch: u32,
    pub rounds: u32,
    pub settle: Duration,
    /// Endpoints present while attach and detach are measured.
    pub levels: Vec<u32>,
    /// The same for the peers, whose endpoints take a tenth of a second and more each.
    pub peer_levels: Vec<u32>,
    /// Services present while connections are made and services added.
    pub services: Vec<u32>,
    /// Connections per round.
    pub connections: usize,
    /// State of the sides, on the disk.
    pub directory: PathBuf,
}

/// The order of `count` things in this round: each comes first in its turn.
fn turns(round: u32, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round as usize) % count.max(1))
}

/// One line about what goes on, for whoever waits at the terminal.
fn progress(message: &str) {
    eprintln!("· {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_first_once() {
        let firsts: Vec<_> = (0..3).filter_map(|round| turns(round, 3).next()).collect();
        assert_eq!(firsts, [0, 1, 2]);
        assert_eq!(turns(4, 3).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(turns(4, 0).count(), 0);
    }
}
