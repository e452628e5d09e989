//! The table: sections under one set of columns each, numbers to the right.

use std::fmt;

use super::budget::Bound;
use super::{AttachLine, BalanceLine, CommandLine, Report, ScaleLine, ServiceLine};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "{} · Linux {} · {} × {} · {} MiB · idle {:.0} % before, {:.0} % after",
            machine.date,
            machine.kernel,
            machine.processors,
            machine.processor,
            machine.memory_mib,
            self.idle.0,
            self.idle.1,
        )?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        attach(f, &self.attach)?;
        service(f, &self.service)?;
        balance(f, &self.balance)?;
        scale(f, &self.scale)?;
        commands(f, &self.commands)?;
        self.budgets(f)
    }
}

impl Report {
    fn budgets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.budgets.is_empty() {
            return Ok(());
        }
        let rows = self.budgets.iter().map(|budget| {
            let (word, limit) = match budget.bound {
                Bound::AtMost(limit) => ("at most", limit),
                Bound::AtLeast(limit) => ("at least", limit),
            };
            vec![
                budget.promise.clone(),
                format!("{:.2}", budget.measured),
                format!("{word} {limit}"),
                if budget.kept { "kept" } else { "MISSED" }.to_owned(),
            ]
        });
        section(f, &["promise", "measured", "budget", ""], rows)
    }
}

fn attach(f: &mut fmt::Formatter<'_>, lines: &[AttachLine]) -> fmt::Result {
    let head = [
        "attach, detach",
        "endpoints",
        "attach p50",
        "p99",
        "cpu p50",
        "/ fused",
        "/ routed",
        "growth",
        "detach p50",
        "p99",
        "growth",
        "links gone",
        "kernel/process each",
    ];
    let rows = lines.iter().map(|line| {
        vec![
            line.side.clone(),
            line.endpoints.to_string(),
            time(line.attach.p50),
            time(line.attach.p99),
            line.attach_processor.map_or_else(String::new, |cpu| time(cpu.p50)),
            ratio(line.of_floor.0),
            ratio(line.of_floor.1),
            ratio(line.growth.map(|growth| growth.0)),
            time(line.detach.p50),
            time(line.detach.p99),
            ratio(line.growth.map(|growth| growth.1)),
            time(line.gone.p50),
            line.memory.map_or_else(String::new, |memory| {
                format!("{:.0} + {:.1} KiB", memory.kernel, memory.process)
            }),
        ]
    });
    section(f, &head, rows)
}

fn service(f: &mut fmt::Formatter<'_>, lines: &[ServiceLine]) -> fmt::Result {
    let number = |value: f64, unit| match value {
        value if value < 100.0 => format!("{value:.1} {unit}"),
        value => format!("{value:.0} {unit}"),
    };
    let rows = lines.iter().map(|line| {
        let beside = line.beside.as_ref();
        vec![
            line.what.clone(),
            number(line.measured, line.unit),
            beside.map_or_else(String::new, |beside| beside.what.clone()),
            beside.map_or_else(String::new, |beside| number(beside.measured, line.unit)),
            ratio(line.ratio()),
        ]
    });
    section(f, &["service", "measured", "beside", "measured", "ratio"], rows)
}

fn balance(f: &mut fmt::Formatter<'_>, lines: &[BalanceLine]) -> fmt::Result {
    let head = [
        "load balancing",
        "services",
        "connect p50",
        "p99",
        "growth",
        "with answer p50",
        "p99",
        "add p50",
        "p99",
        "growth",
        "remove p50",
    ];
    let rows = lines.iter().map(|line| {
        vec![
            line.side.clone(),
            line.services.to_string(),
            time(line.connect.p50),
            time(line.connect.p99),
            ratio(line.growth.map(|growth| growth.0)),
            time(line.whole.p50),
            time(line.whole.p99),
            time(line.add.p50),
            time(line.add.p99),
            ratio(line.growth.map(|growth| growth.1)),
            time(line.remove.p50),
        ]
    });
    section(f, &head, rows)
}

fn scale(f: &mut fmt::Formatter<'_>, lines: &[ScaleLine]) -> fmt::Result {
    let head = [
        "large host",
        "count",
        "built in",
        "",
        "with few p50",
        "p99",
        "with all p50",
        "p99",
        "growth",
    ];
    let rows = lines.iter().map(|line| {
        vec![
            line.matter.to_owned(),
            line.count.to_string(),
            format!("{:.1} s", line.build),
            line.deed.to_owned(),
            time(line.few.p50),
            time(line.few.p99),
            time(line.many.p50),
            time(line.many.p99),
            ratio(Some(line.growth())),
        ]
    });
    section(f, &head, rows)
}

fn commands(f: &mut fmt::Formatter<'_>, lines: &[CommandLine]) -> fmt::Result {
    let rows = lines.iter().map(|line| {
        let wall = line.wall;
        vec![line.command.clone(), time(wall.least), time(wall.p50), time(wall.p99)]
    });
    section(f, &["command", "least", "p50", "p99"], rows)
}

/// A head and its rows, the first column to the left; nothing at all without rows.
fn section(
    f: &mut fmt::Formatter<'_>,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> fmt::Result {
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    let table: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    if table.len() == 1 {
        return Ok(());
    }
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    writeln!(f)?;
    for row in &table {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => line += &format!("{cell:<width$}"),
                _ => line += &format!("  {cell:>width$}"),
            }
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Microseconds as people read them.
fn time(micros: f64) -> String {
    if micros >= 10_000.0 {
        format!("{:.1} ms", micros / 1e3)
    } else if micros >= 1_000.0 {
        format!("{:.2} ms", micros / 1e3)
    } else {
        format!("{micros:.0} us")
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(time(37.4), "37 us");
        assert_eq!(time(1_164.0), "1.16 ms");
        assert_eq!(time(70_000.0), "70.0 ms");
    }
}
