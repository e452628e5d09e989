//! What the machine is, how busy it is, and how much memory its kernel holds: read from `/proc`.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

/// Under what conditions the numbers came about.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub date: String,
    pub kernel: String,
    pub processor: String,
    pub processors: usize,
    pub memory_mib: u64,
}

impl Machine {
    pub fn describe() -> anyhow::Result<Self> {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
        let processor = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown", |(_, name)| name)
            .to_owned();
        Ok(Self {
            date: today()?,
            kernel,
            processor,
            processors: std::thread::available_parallelism()?.get(),
            memory_mib: memory(&["MemTotal"])? / 1024,
        })
    }
}

/// Kernel memory that does not come back by itself: slabs in use and per-CPU data, in KiB.
pub fn kernel_memory() -> anyhow::Result<u64> {
    memory(&["SUnreclaim", "Percpu"])
}

fn memory(names: &[&str]) -> anyhow::Result<u64> {
    sum(&std::fs::read_to_string("/proc/meminfo")?, names)
}

/// Resident memory of a process, in KiB.
pub fn resident(process: u32) -> anyhow::Result<u64> {
    sum(&std::fs::read_to_string(format!("/proc/{process}/status"))?, &["VmRSS"])
}

/// The sum of lines of the form `Name:   123 kB`.
fn sum(text: &str, names: &[&str]) -> anyhow::Result<u64> {
    names
        .iter()
        .map(|name| {
            text.lines()
                .find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'))
                .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
                .with_context(|| format!("no {name} in /proc"))
        })
        .sum()
}

/// Which part of the processors' time nobody uses right now, in percent, looked at for `span`.
pub fn idle(span: Duration) -> anyhow::Result<f64> {
    let before = ticks()?;
    std::thread::sleep(span);
    let after = ticks()?;
    let all = after.1.saturating_sub(before.1).max(1);
    Ok(100.0 * after.0.saturating_sub(before.0) as f64 / all as f64)
}

/// Idle and all ticks since boot.
fn ticks() -> anyhow::Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .context("/proc/stat is empty")?
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already
    let idle = ticks.iter().skip(3).take(2).sum();
    Ok((idle, ticks.iter().take(8).sum()))
}

/// Today's date in UTC, as year-month-day.
fn today() -> anyhow::Result<String> {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    Ok(date(seconds / 86_400))
}

/// The date so many days after 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> String {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(20_513), "2026-03-01");
        assert_eq!(date(19_782), "2024-02-29");
    }

    #[test]
    fn memory_lines_are_added_and_missed() {
        let text = "MemTotal:       24  kB\nPercpu:          8 kB\n";
        assert_eq!(sum(text, &["MemTotal", "Percpu"]).expect("both are there"), 32);
        assert!(sum(text, &["Slab"]).is_err());
    }
}
