//! What can be typed about how much a container may use, and the members of its document that say so.

use clap::{Args, ValueEnum};
use hostcompute::schema::hcs::{
    Container, ContainerMemory, ContainerProcessor, Storage, StorageQoS,
};

/// Limits.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// The limit of memory: MiB, or with k, m, g behind
    #[arg(short, long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,
    /// How many processors' time it may use, such as 1.5
    #[arg(long, value_name = "COUNT", value_parser = cpus)]
    pub cpus: Option<f64>,
    /// Its share of the processors when they are scarce, 1 to 10000; everybody has 100
    #[arg(long, value_name = "SHARE", conflicts_with = "cpus", value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub weight: Option<i64>,
    /// How often it may read, and write, the disk in a second
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub iops: Option<u64>,
    /// How much it may read, and write, in a second: MiB, or with k, m, g behind
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub bandwidth: Option<u64>,
}

impl Limits {
    /// Says so in a document; `host_cpus` is how many processors the host has.
    pub fn write(&self, container: &mut Container, host_cpus: u32) {
        container.memory = self
            .memory
            .map(|size| ContainerMemory { size_in_mb: Some(size), ..ContainerMemory::default() });
        if self.cpus.is_some() || self.weight.is_some() {
            container.processor = Some(ContainerProcessor {
                maximum: self.cpus.map(|count| share(count, host_cpus)),
                weight: self.weight,
                ..ContainerProcessor::default()
            });
        }
        if self.iops.is_some() || self.bandwidth.is_some() {
            container.storage.get_or_insert_with(Storage::default).qos = Some(StorageQoS {
                iops_maximum: self.iops,
                bandwidth_maximum: self.bandwidth,
                ..StorageQoS::default()
            });
        }
    }
}

/// So many processors, in ten-thousandths of all of them.
fn share(count: f64, host_cpus: u32) -> i64 {
    let share = count / f64::from(host_cpus.max(1)) * 10_000.0;
    (share.round() as i64).clamp(1, 10_000)
}

/// The units of sizes.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unit {
    K,
    M,
    G,
}

/// A size in bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().trim_end_matches(['b', 'B']);
    let unit = match unit {
        "" => Unit::M,
        unit => Unit::from_str(unit, true).map_err(|_| "sizes end with k, m or g".to_owned())?,
    };
    let number: u64 = digits.parse().map_err(|_| "not a size such as 256m".to_owned())?;
    let size = number.saturating_mul(match unit {
        Unit::K => 1 << 10,
        Unit::M => 1 << 20,
        Unit::G => 1 << 30,
    });
    if size == 0 { Err("more than nothing".to_owned()) } else { Ok(size) }
}

/// A size in MiB.
fn memory(text: &str) -> Result<u64, String> {
    match bytes(text)? >> 20 {
        0 => Err("at least one MiB".to_owned()),
        size => Ok(size),
    }
}

fn cpus(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(count) if count.is_finite() && count > 0.0 => Ok(count),
        _ => Err("not a number of processors such as 1.5".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_mebibytes() {
        for (text, size) in [("256", 256), ("256m", 256), ("2048k", 2), ("1g", 1024), ("1GB", 1024)]
        {
            assert_eq!(memory(text), Ok(size), "{text}");
        }
        for text in ["", "m", "-1", "1t", "1k", "0", "999999999999999999999"] {
            assert!(memory(text).is_err(), "{text}");
        }
        assert_eq!((bytes("1k"), bytes("2")), (Ok(1024), Ok(2 << 20)));
    }

    #[test]
    fn processors_are_counted_in_parts() {
        assert_eq!(cpus("1.5"), Ok(1.5));
        for text in ["", "0", "-1", "inf", "nan", "two"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors_become_a_share_of_the_host() {
        assert_eq!(share(1.0, 4), 2_500);
        assert_eq!(share(0.0001, 64), 1);
        assert_eq!(share(100.0, 4), 10_000);
    }

    #[test]
    fn what_is_not_limited_is_not_mentioned() {
        let mut container = Container::default();
        Limits::default().write(&mut container, 4);
        assert_eq!(container, Container::default());
        let limits = Limits { weight: Some(7), iops: Some(9), ..Limits::default() };
        limits.write(&mut container, 4);
        assert_eq!(container.processor.and_then(|processor| processor.weight), Some(7));
        assert_eq!(container.storage.and_then(|storage| storage.qos?.iops_maximum), Some(9));
    }
}
