//! Containers that stay from the beginning to the end: nobody strikes them, and no death of the daemon takes anything from them.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use hostcompute::schema::hcs::{State, SystemPropertyQuery};
use hostcompute::{Guid, Host, System};
use serde_json::json;

use crate::site::Site;

/// So many.
const COUNT: usize = 4;

/// Longer than anything takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// All of them, and what they were told last.
pub struct Residents {
    all: Vec<Resident>,
    told: usize,
}

/// One, with a process that says again what it is told.
struct Resident {
    id: String,
    pid: u32,
    input: File,
    output: BufReader<File>,
}

impl Residents {
    pub fn settle(site: &Site, network: Guid) -> Self {
        let host = Host::connect(site.socket()).expect("the daemon answers");
        let all = (0..COUNT).map(|number| Resident::settle(site, &host, network, number)).collect();
        Self { all, told: 0 }
    }

    /// Told something whose answer waits in the pipe while the daemon dies.
    pub fn tell(&mut self) {
        self.told += 1;
        for resident in &mut self.all {
            writeln!(resident.input, "{}", self.told).expect("its input is there");
        }
    }

    /// Every one has said what it was told, runs, and takes new processes; how many those are.
    pub fn are_well(&mut self, host: &Host) -> usize {
        for resident in &mut self.all {
            let id = &resident.id;
            let mut line = String::new();
            resident.output.read_line(&mut line).expect("its output is there");
            assert_eq!(line.trim_end(), self.told.to_string(), "{id}: said and lost");
            let system = System::open(host, id).expect("it is known");
            let told = system.properties(&SystemPropertyQuery::default()).expect("it answers");
            assert_eq!(told.state, Some(State::Running), "{id}");
            let status = system.process(resident.pid).and_then(|process| process.status());
            assert_eq!(status.expect("its process is known").exited, Some(false), "{id}");
            let command = json!({ "CommandArgs": ["true"] }).to_string();
            let (process, _) = system.run_json(&command).expect("another process");
            let ended = process.wait(Some(LONG)).expect("it ends");
            assert_eq!(ended.exit_code, Some(0), "{id}");
        }
        self.all.len()
    }

    pub fn leave(self, host: &Host) {
        for resident in self.all {
            let system = System::open(host, &resident.id).expect("it is known");
            system.terminate().and_then(|()| system.wait(Some(LONG))).expect("it ends");
        }
    }
}

impl Resident {
    fn settle(site: &Site, host: &Host, network: Guid, number: usize) -> Self {
        let id = format!("{}-{number}", site.residents);
        let document = site.container(json!({ "NetworkAdapters": [network.to_string()] }));
        let (system, _) = System::create_json(host, &id, &document.to_string()).expect("a system");
        system.start().expect("started");
        let command = json!({
            "CommandArgs": ["cat"], "CreateStdInPipe": true, "CreateStdOutPipe": true,
        });
        let (mut process, _) = system.run_json(&command.to_string()).expect("a process");
        let pid = process.id();
        let input = process.stdin.take().expect("asked for");
        let output = BufReader::new(process.stdout.take().expect("asked for"));
        Self { id, pid, input, output }
    }
}
