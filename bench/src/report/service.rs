//! The service's part of the result: each number beside what it is compared with.

use serde::Serialize;

use super::budget::{Bound, Budget};
use crate::crowd::Crowd;
use crate::measure::{ChurnRow, RestartRow, ServiceRows};
use crate::side::Kind;
use crate::statistics::Samples;

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceLine {
    pub what: String,
    pub unit: &'static str,
    pub measured: f64,
    /// What it is compared with, if anything.
    pub beside: Option<Beside>,
}

/// The other side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    pub what: String,
    pub measured: f64,
}

impl ServiceLine {
    /// The measured number over the other one.
    pub fn ratio(&self) -> Option<f64> {
        self.beside.as_ref().map(|beside| self.measured / beside.measured)
    }
}

/// The lines and the promises about them.
pub(super) fn lines(rows: &ServiceRows) -> (Vec<ServiceLine>, Vec<Budget>) {
    let (mut lines, mut budgets) = (Vec::new(), Vec::new());
    query(rows, &mut lines, &mut budgets);
    churn(&rows.churn, &mut lines, &mut budgets);
    if let Some(row) = &rows.restart {
        restart(row, &mut lines, &mut budgets);
    }
    (lines, budgets)
}

/// Many containers at once.
pub(super) fn crowd(crowd: &Crowd) -> [ServiceLine; 4] {
    let many = crowd.containers;
    let line = |what: &str, unit, measured| ServiceLine {
        what: format!("{many} containers: {what}"),
        unit,
        measured,
        beside: None,
    };
    [
        line("started, each with an endpoint", "/s", crowd.rate),
        line("private memory of a supervisor, p50", "KiB", crowd.supervisor as f64),
        line("private memory of a first process, p50", "KiB", crowd.first as f64),
        line("the service while they idle", "% of a processor", crowd.load),
    ]
}

fn p50(samples: &Samples) -> Option<f64> {
    Some(samples.summary()?.p50)
}

fn query(rows: &ServiceRows, lines: &mut Vec<ServiceLine>, budgets: &mut Vec<Budget>) {
    let (Some(query), Some(echo)) = (p50(&rows.query), p50(&rows.echo)) else { return };
    lines.push(ServiceLine {
        what: "query, one client, p50".to_owned(),
        unit: "us",
        measured: query,
        beside: Some(Beside { what: "bare echo of as many bytes".to_owned(), measured: echo }),
    });
    budgets.push(Budget::new("query p50 over a bare echo", query / echo, Bound::AtMost(2.5)));
}

fn churn(rows: &[ChurnRow], lines: &mut Vec<ServiceLine>, budgets: &mut Vec<Budget>) {
    let rate = |row: &ChurnRow| Some(f64::from(row.cycles) / (p50(&row.wall)? / 1e6));
    let ours = rows.iter().find(|row| matches!(row.side, Kind::Service(_)));
    let Some((ours, measured)) = ours.and_then(|row| Some((row, rate(row)?))) else { return };
    for floor in rows.iter().filter(|row| matches!(row.side, Kind::Floor(_))) {
        let Some(of_floor) = rate(floor) else { continue };
        lines.push(ServiceLine {
            what: format!("attached, detached and gone, {} clients", ours.threads),
            unit: "/s",
            measured,
            beside: Some(Beside {
                what: format!("{}, {} threads", floor.side.name(), floor.threads),
                measured: of_floor,
            }),
        });
        if floor.side == Kind::Floor(crate::floor::Sequence::Fused) {
            let promise =
                format!("churn of {} clients over \"{}\"", ours.threads, floor.side.name());
            budgets.push(Budget::new(promise, measured / of_floor, Bound::AtLeast(0.75)));
        }
    }
}

fn restart(row: &RestartRow, lines: &mut Vec<ServiceLine>, budgets: &mut Vec<Budget>) {
    let endpoints = row.endpoints;
    let milliseconds = |samples: &Samples| Some(p50(samples)? / 1e3);
    let (Some(stopped), Some(killed), Some(check)) =
        (milliseconds(&row.stopped), milliseconds(&row.killed), milliseconds(&row.check))
    else {
        return;
    };
    let line = |what: String, measured, beside: Option<(&str, f64)>| ServiceLine {
        what,
        unit: "ms",
        measured,
        beside: beside.map(|(what, measured)| Beside { what: what.to_owned(), measured }),
    };
    lines.push(line(format!("start after a stop, {endpoints} endpoints"), stopped, None));
    let comparison = Some(("comparing with the kernel", check));
    lines.push(line(format!("start after a kill, {endpoints} endpoints"), killed, comparison));
    let resident = row.resident as f64 / 1024.0;
    lines.push(ServiceLine {
        unit: "MiB",
        ..line(format!("resident memory, {endpoints} endpoints"), resident, None)
    });
    let limit = Bound::AtMost(1000.0);
    budgets.push(Budget::new("start after a stop, in ms", stopped, limit));
    let promise = "start after a kill less the comparison, in ms";
    budgets.push(Budget::new(promise, killed - check, limit));
    budgets.push(Budget::new("resident memory in MiB", resident, Bound::AtMost(57.0)));
}
