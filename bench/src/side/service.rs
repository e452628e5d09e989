//! This project as people run it on a server: the service in a process of its own, asked through its socket.
//!
//! Attaching goes through the crate, as programs do it; queries, and many clients at once, by the least that speaks HTTP.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Side;
use super::ours::Ours;
use crate::client::Client;
use crate::crowd::{self, Crowd};
use crate::daemon::{Daemon, End};
use crate::statistics::Samples;

/// A service with one NAT network, and clients of it.
#[derive(Debug)]
pub struct Service {
    daemon: Daemon,
    ours: Ours,
    client: Client,
}

/// The ids of what one attach makes.
#[derive(Debug)]
struct Attached {
    namespace: String,
    endpoint: String,
}

impl Service {
    /// Starts the program; its state is below `directory`.
    pub fn open(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        let daemon = Daemon::start(program, &directory.join("state"))?;
        let ours = Ours::on(daemon.host()?)?;
        let client = daemon.connect()?;
        Ok(Self { daemon, ours, client })
    }

    /// Queries the properties of an endpoint so many times.
    pub fn query(&mut self, count: usize) -> anyhow::Result<Queries> {
        let endpoint = self.ours.any_endpoint().context("nothing is attached")?;
        // {"SchemaVersion":{"Major":2,"Minor":0}}, as programs ask that were made for today's documents.
        let query = "%7B%22SchemaVersion%22:%7B%22Major%22:2,%22Minor%22:0%7D%7D";
        let path = format!("/endpoints/{endpoint}?query={query}");
        let mut queries = Queries::default();
        for _ in 0..count {
            let start = Instant::now();
            self.client.ask("GET", &path, "")?;
            queries.wall.push(start.elapsed());
        }
        (queries.request, queries.answer) = self.client.sizes();
        Ok(queries)
    }

    /// Many containers at once.
    pub fn crowd(&self, root: &Path, containers: u32) -> anyhow::Result<Crowd> {
        crowd::gather(&self.daemon.host()?, self.daemon.process(), root, containers)
    }

    /// Ends the service and starts it again.
    pub fn restart(&mut self, end: End) -> anyhow::Result<Duration> {
        restart(&mut self.daemon, &mut self.client, end)
    }

    /// Lets the service compare everything with the kernel; returns how long that took.
    pub fn check(&mut self) -> anyhow::Result<Duration> {
        compare(&mut self.client)
    }

    /// Resident memory of the service, in KiB.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.daemon.resident()
    }
}

/// Ends a service and starts it again.
pub(super) fn restart(
    daemon: &mut Daemon,
    client: &mut Client,
    end: End,
) -> anyhow::Result<Duration> {
    if end == End::Killed {
        // Something whose end the journal does not know of.
        let namespace = client.create("/namespaces", "{}")?;
        client.ask("DELETE", &format!("/namespaces/{namespace}"), "")?;
    }
    let time = daemon.restart(end)?;
    *client = daemon.connect()?;
    Ok(time)
}

/// Lets a service compare everything with the kernel, which must agree.
pub(super) fn compare(client: &mut Client) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let findings = client.ask_json("GET", "/host/check", "")?;
    let time = start.elapsed();
    let none =
        findings.get("Findings").and_then(serde_json::Value::as_array).is_some_and(Vec::is_empty);
    anyhow::ensure!(none, "the check found {findings}");
    Ok(time)
}

/// What questions took, and how long they and their answers are in bytes.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Queries {
    pub wall: Samples,
    pub request: usize,
    pub answer: usize,
}

fn attach(client: &mut Client, network: &str, number: u32) -> anyhow::Result<Attached> {
    let namespace = client.create("/namespaces", "{}")?;
    let settings = format!(
        r#"{{"Policies":[{{"Type":"PortMapping","Settings":{{"Protocol":6,"InternalPort":{},"ExternalPort":{}}}}}]}}"#,
        crate::INNER_PORT,
        crate::host_port(number)
    );
    let endpoint = client.create(&format!("/networks/{network}/endpoints"), &settings)?;
    let request = format!(
        r#"{{"ResourceType":"Endpoint","RequestType":"Add","Settings":{{"EndpointId":"{endpoint}"}}}}"#
    );
    client.ask("PATCH", &format!("/namespaces/{namespace}"), &request)?;
    Ok(Attached { namespace, endpoint })
}

fn detach(client: &mut Client, attached: &Attached) -> anyhow::Result<()> {
    client.ask("DELETE", &format!("/endpoints/{}", attached.endpoint), "")?;
    client.ask("DELETE", &format!("/namespaces/{}", attached.namespace), "")?;
    Ok(())
}

impl Side for Service {
    fn attach(&mut self, number: u32) -> anyhow::Result<()> {
        self.ours.attach(number)
    }

    fn detach(&mut self, number: u32) -> anyhow::Result<()> {
        self.ours.detach(number)
    }

    fn spare(&self) -> usize {
        16
    }

    fn churn(&mut self, threads: u32, cycles: u32) -> anyhow::Result<()> {
        let clients = (0..threads).map(|_| self.daemon.connect()).collect::<Result<Vec<_>, _>>()?;
        let network = &self.ours.network();
        super::churn_with(clients, |thread, mut client| {
            for number in super::numbers_of(thread, cycles) {
                let attached = attach(&mut client, network, number)?;
                detach(&mut client, &attached)?;
            }
            Ok(())
        })
    }
}
