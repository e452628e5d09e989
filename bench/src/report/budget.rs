//! What the project promises about its speed, and whether this run bears it out.

use serde::Serialize;

use super::{AttachLine, BalanceLine, CommandLine};
use crate::floor::Sequence;
use crate::measure::containers;
use crate::side::{OURS, SERVICE};

/// A promise about a number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    pub promise: String,
    pub measured: f64,
    pub bound: Bound,
    pub kept: bool,
}

/// On which side of which number the measured one has to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Budget {
    pub(super) fn new(promise: impl Into<String>, measured: f64, bound: Bound) -> Self {
        let kept = match bound {
            Bound::AtMost(limit) => measured <= limit,
            Bound::AtLeast(limit) => measured >= limit,
        };
        Self { promise: promise.into(), measured, bound, kept }
    }
}

/// Every promise that this run has the numbers for.
pub(super) fn all(
    attach: &[AttachLine],
    balance: &[BalanceLine],
    commands: &[CommandLine],
) -> Vec<Budget> {
    let mut budgets = attaching(attach);
    budgets.extend(serving(attach));
    budgets.extend(growing(attach));
    budgets.extend(balancing(balance));
    budgets.extend(containing(attach, commands));
    if let Some(list) = commands.first().filter(|first| first.command.starts_with("hc network")) {
        let wall = list.wall.p50 / 1e3;
        let promise = format!("{}, p50 in ms", list.command);
        budgets.push(Budget::new(promise, wall, Bound::AtMost(10.0)));
    }
    budgets
}

/// At the lowest level: against the floor, against the peers, and the answer to a detach.
fn attaching(lines: &[AttachLine]) -> Vec<Budget> {
    let Some(lowest) = lines.iter().map(|line| line.endpoints).min() else { return Vec::new() };
    let here = || lines.iter().filter(|line| line.endpoints == lowest);
    let Some(ours) = here().find(|line| line.side == OURS) else { return Vec::new() };
    let mut budgets = Vec::new();
    let floor = Sequence::Fused.name();
    if let Some(line) = here().find(|line| line.side == floor) {
        let ratio = ours.attach.p50 / line.attach.p50;
        let promise = format!("attach p50 over \"{floor}\"");
        budgets.push(Budget::new(promise, ratio, Bound::AtMost(1.3)));
    }
    let faster = |a: &&AttachLine, b: &&AttachLine| a.attach.p50.total_cmp(&b.attach.p50);
    if let Some(peer) = here().filter(|line| line.peer).min_by(faster) {
        let ratio = peer.attach.p50 / ours.attach.p50;
        let promise = format!("attach: times faster than \"{}\"", peer.side);
        budgets.push(Budget::new(promise, ratio, Bound::AtLeast(20.0)));
    }
    let answered = ours.detach.p50 / 1e3;
    budgets.push(Budget::new("detach answered, p50 in ms", answered, Bound::AtMost(0.2)));
    budgets
}

/// A container that does nothing, beside a runtime's and an attach of the floor.
fn containing(attach: &[AttachLine], commands: &[CommandLine]) -> Vec<Budget> {
    let of = |name: &str| commands.iter().find(|line| line.command == name);
    let floor = attach.iter().find(|line| line.side == Sequence::Fused.name());
    let (Some(ours), Some(crun), Some(floor)) = (of(containers::OURS), of(containers::CRUN), floor)
    else {
        return Vec::new();
    };
    let ratio = ours.wall.p50 / (crun.wall.p50 + floor.attach.p50);
    let promise = format!("hc run over crun run and \"{}\"", floor.side);
    let mut budgets = vec![Budget::new(promise, ratio, Bound::AtMost(1.5))];
    if let Some(podman) = of(containers::PODMAN) {
        let promise = "hc run: times faster than podman run with its default network";
        let ratio = podman.wall.p50 / ours.wall.p50;
        budgets.push(Budget::new(promise, ratio, Bound::AtLeast(20.0)));
    }
    budgets
}

/// At the lowest level, through the socket: against the floor.
fn serving(lines: &[AttachLine]) -> Vec<Budget> {
    let Some(lowest) = lines.iter().map(|line| line.endpoints).min() else { return Vec::new() };
    let of = |side: &str| lines.iter().find(|l| l.endpoints == lowest && l.side == side);
    let floor = Sequence::Fused.name();
    let (Some(ours), Some(line)) = (of(SERVICE), of(floor)) else { return Vec::new() };
    let ratio = ours.attach.p50 / line.attach.p50;
    let promise = format!("attach p50 through the service over \"{floor}\"");
    vec![Budget::new(promise, ratio, Bound::AtMost(0.5))]
}

/// At the highest level against the lowest.
fn growing(lines: &[AttachLine]) -> Vec<Budget> {
    let ours = || lines.iter().filter(|line| line.side == OURS);
    let (Some(lowest), Some(highest)) =
        (ours().min_by_key(|line| line.endpoints), ours().max_by_key(|line| line.endpoints))
    else {
        return Vec::new();
    };
    let Some((attach, detach)) = highest.growth else { return Vec::new() };
    if lowest.endpoints == highest.endpoints {
        return Vec::new();
    }
    [("attach", attach), ("detach", detach)]
        .map(|(verb, ratio)| {
            let (many, few) = (highest.endpoints, lowest.endpoints);
            let promise = format!("{verb} p50 at {many} endpoints over {few}");
            Budget::new(promise, ratio, Bound::AtMost(1.3))
        })
        .into()
}

/// Services at the highest number against the lowest.
fn balancing(lines: &[BalanceLine]) -> Vec<Budget> {
    let ours = || lines.iter().filter(|line| line.side == OURS);
    let (Some(few), Some(many)) =
        (ours().min_by_key(|line| line.services), ours().max_by_key(|line| line.services))
    else {
        return Vec::new();
    };
    if few.services == many.services {
        return Vec::new();
    }
    let levels = format!("at {} services over {}", many.services, few.services);
    // A service costs at 5000 "what it costs at 2": a quarter is what this machine's noise comes to.
    vec![
        Budget::new(
            format!("connection and answer p50 {levels}"),
            many.whole.p50 / few.whole.p50,
            Bound::AtMost(1.1),
        ),
        Budget::new(
            format!("adding a service, p50 {levels}"),
            many.add.p50 / few.add.p50,
            Bound::AtMost(1.25),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_itself_is_within_the_budget() {
        assert!(Budget::new("", 1.3, Bound::AtMost(1.3)).kept);
        assert!(!Budget::new("", 1.31, Bound::AtMost(1.3)).kept);
        assert!(Budget::new("", 20.0, Bound::AtLeast(20.0)).kept);
        assert!(!Budget::new("", f64::NAN, Bound::AtLeast(20.0)).kept);
    }

    #[test]
    fn nothing_measured_promises_nothing() {
        assert_eq!(all(&[], &[], &[]), []);
    }
}
