//! The large host's part of the result: what each change costs with everything there, over what it costs with little.

use serde::Serialize;

use super::budget::{Bound, Budget};
use super::service::ServiceLine;
use crate::measure::{Deeds, MatterRow, ScaleRows};
use crate::statistics::{Samples, Summary};

/// One kind of thing, and one change of it.
#[derive(Debug, Clone, Serialize)]
pub struct ScaleLine {
    pub matter: &'static str,
    pub count: u32,
    /// Seconds until all of them were there.
    pub build: f64,
    pub deed: &'static str,
    pub few: Summary,
    pub many: Summary,
}

impl ScaleLine {
    /// What it costs with everything there over what it costs with little.
    pub fn growth(&self) -> f64 {
        self.many.p50 / self.few.p50
    }
}

/// What noise and fuller caches come to: the budget is for costs that grow with the number of things.
const FLAT: f64 = 1.3;

/// The lines, those of the restarts, and the promises about both.
pub(super) fn lines(rows: &ScaleRows) -> (Vec<ScaleLine>, Vec<ServiceLine>, Vec<Budget>) {
    let lines: Vec<ScaleLine> = rows.matters.iter().flat_map(of_matter).collect();
    let promise = |line: &ScaleLine| {
        let promise = format!("large host: {}, {} p50 over few", line.matter, line.deed);
        Budget::new(promise, line.growth(), Bound::AtMost(FLAT))
    };
    let budgets = lines.iter().map(promise).collect();
    (lines, restarts(rows), budgets)
}

fn of_matter(row: &MatterRow) -> Vec<ScaleLine> {
    let line = |deed, of: fn(&Deeds) -> &Samples| {
        Some(ScaleLine {
            matter: row.matter.name(),
            count: row.count,
            build: row.build.as_secs_f64(),
            deed,
            few: of(&row.few).summary()?,
            many: of(&row.many).summary()?,
        })
    };
    let deeds = [
        line("add", |deeds| &deeds.add),
        line("change", |deeds| &deeds.change),
        line("remove", |deeds| &deeds.remove),
    ];
    deeds.into_iter().flatten().collect()
}

fn restarts(rows: &ScaleRows) -> Vec<ServiceLine> {
    let line = |what: &str, unit, measured| ServiceLine {
        what: format!("large host: {what}"),
        unit,
        measured,
        beside: None,
    };
    let of = |what, samples: &Samples| Some(line(what, "ms", samples.summary()?.p50 / 1e3));
    let mut lines: Vec<ServiceLine> = [
        of("start after a stop", &rows.stopped),
        of("comparing with the kernel", &rows.check),
        of("start after a kill", &rows.killed),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !lines.is_empty() {
        let mebibytes = |kibibytes: usize| kibibytes as f64 / 1024.0;
        lines.push(line("resident memory when built", "MiB", mebibytes(rows.resident.0)));
        lines.push(line("resident memory after starts", "MiB", mebibytes(rows.resident.1)));
    }
    lines
}
