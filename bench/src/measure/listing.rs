//! How long the command line takes to list the networks: the whole life of the process.

use std::path::Path;

use super::{Plan, progress};
use crate::remote::Remote;
use crate::statistics::Samples;
use crate::worker::{Setup, Task};

/// What one command took.
#[derive(Debug)]
pub struct ListRow {
    pub command: String,
    pub wall: Samples,
}

const NETWORK: &str = r#"{
    "Name": "bench", "Type": "NAT", "SchemaVersion": { "Major": 2, "Minor": 0 },
    "Ipams": [{ "Type": "Static", "Subnets": [{ "IpAddressPrefix": "10.94.0.0/16" }] }]
}"#;

/// Runs `hc network ls` beside `true`, which shows what starting any process costs.
///
/// # Errors
///
/// When a command fails.
pub fn list(plan: &Plan, program: &Path, count: u32) -> anyhow::Result<Vec<ListRow>> {
    progress(&format!("{} network ls, {count} times", program.display()));
    let directory = plan.directory.join("list");
    let mut remote = Remote::start(&Setup {
        name: "hc".to_owned(),
        task: Task::Run,
        directory: directory.clone(),
    })?;
    let hc = |verb: &[&str]| {
        let mut words = vec![program.display().to_string()];
        words.extend(["--state-dir".to_owned(), directory.join("state").display().to_string()]);
        words.extend(["--runtime-dir".to_owned(), "/run/hostcompute".to_owned()]);
        words.extend(verb.iter().map(|word| (*word).to_owned()));
        words
    };
    remote.run(&hc(&["network", "create", "-"]), NETWORK)?;
    let (listing, nothing) = (hc(&["network", "ls"]), vec!["true".to_owned()]);
    let mut rows = [("hc network ls", listing), ("true (starting a process)", nothing)].map(
        |(name, words)| (words, ListRow { command: name.to_owned(), wall: Samples::default() }),
    );
    for round in 0..=count {
        for (words, row) in &mut rows {
            let wall = remote.run(words, "")?;
            if round > 0 {
                row.wall.append(wall.wall);
            }
        }
    }
    Ok(rows.map(|(_, row)| row).into())
}
