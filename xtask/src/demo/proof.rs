//! Proofs by traffic: servers in the namespaces, questions from everywhere, one line for each thing proved.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Hc;
use super::site::{Endpoint, Service, Site};
use crate::lab::{self, Outside};
use crate::process;

/// Questions to a virtual IP. Each backend of two stays unasked once in four thousand million runs.
const QUESTIONS: usize = 32;

/// The port on which the simulated outside answers.
const OUTSIDE_PORT: u16 = 7000;

/// What was proved so far.
#[derive(Default)]
pub struct Proofs {
    passed: usize,
    failed: Vec<String>,
}

impl Proofs {
    /// One proof: what it shows, and how.
    pub fn check(&mut self, what: &str, prove: impl FnOnce() -> Result<String>) {
        match prove() {
            Ok(evidence) => {
                self.passed += 1;
                println!("  ok      {what}: {evidence}");
            }
            Err(error) => {
                println!("  FAILED  {what}: {error:#}");
                self.failed.push(what.to_owned());
            }
        }
    }

    /// The end of the demo.
    ///
    /// # Errors
    /// A proof failed.
    pub fn close(self) -> Result<()> {
        println!();
        match self.failed.as_slice() {
            [] => println!("All {} proofs hold.", self.passed),
            failed => bail!("{} of {} proofs failed", failed.len(), failed.len() + self.passed),
        }
        Ok(())
    }
}

/// Servers that end with this value.
struct Servers(Vec<Child>);

impl Servers {
    fn start(&mut self, mut command: Command) -> Result<()> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a server")?;
        let ready = lab::wait_for_ready(&mut child);
        self.0.push(child);
        ready
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // A server ends when its input does; waiting for it keeps the namespace free for `hc down`.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Where a question is asked from.
enum From<'a> {
    Namespace(&'a Endpoint),
    Host,
    Outside(&'a Outside),
}

/// All proofs that need packets.
///
/// # Errors
/// A server could not be started.
pub fn traffic(hc: &Hc, site: &Site, outside: Option<&Outside>, proofs: &mut Proofs) -> Result<()> {
    let asker = Asker { hc, program: std::env::current_exe().context("finding our own program")? };
    let mut servers = Servers(Vec::new());
    for endpoint in &site.endpoints {
        for port in site.ports(endpoint) {
            let port = port.to_string();
            servers.start(
                asker.command(&From::Namespace(endpoint), &["serve", &endpoint.name, &port]),
            )?;
        }
    }
    if let Some(outside) = outside {
        let port = OUTSIDE_PORT.to_string();
        servers.start(asker.command(&From::Outside(outside), &["serve", "outside", &port]))?;
    }
    neighbours(&asker, site, proofs);
    for service in &site.services {
        balanced(&asker, site, service, proofs);
    }
    published(&asker, site, outside, proofs)?;
    if let Some(outside) = outside {
        beyond(&asker, site, outside, proofs)?;
        blocked(&asker, site, outside, proofs)?;
    }
    Ok(())
}

/// From one namespace straight to the next.
fn neighbours(asker: &Asker, site: &Site, proofs: &mut Proofs) {
    let round = site.endpoints.iter().cycle().skip(1);
    for (from, to) in site.endpoints.iter().zip(round) {
        let Some(port) = site.ports(to).first().copied() else { continue };
        for address in families(&to.addresses) {
            let what = format!("{} reaches {} at {address}", from.name, to.name);
            proofs.check(&what, || {
                asker.expect(&From::Namespace(from), "tcp", *address, port, &to.name)
            });
        }
    }
}

/// Every backend of a service answers at its virtual IP, asked from a namespace and from the host.
fn balanced(asker: &Asker, site: &Site, service: &Service, proofs: &mut Proofs) {
    let backends: Vec<&str> =
        service.backends.iter().filter_map(|id| Some(site.endpoint(id)?.name.as_str())).collect();
    let client = site.endpoints.iter().find(|endpoint| !backends.contains(&endpoint.name.as_str()));
    let client = client.or_else(|| site.endpoints.first());
    let places = client.map(|client| (client.name.as_str(), From::Namespace(client)));
    for (place, from) in places.into_iter().chain([("the host", From::Host)]) {
        for vip in &service.vips {
            let to = lab::with_port(*vip, service.external);
            let what = format!("{place} reaches every backend at {to} ({})", service.protocol);
            proofs.check(&what, || {
                let mut tally = BTreeMap::new();
                for _ in 0..QUESTIONS {
                    let answer = asker.ask(&from, service.protocol, *vip, service.external)?;
                    let name = answer.split(' ').next().unwrap_or_default().to_owned();
                    *tally.entry(name).or_insert(0_usize) += 1;
                }
                let counts: Vec<String> =
                    tally.iter().map(|(name, count)| format!("{name} {count}")).collect();
                match backends.iter().find(|name| !tally.contains_key(**name)) {
                    None => Ok(format!("{} of {QUESTIONS} answers", counts.join(", "))),
                    Some(silent) => bail!("{silent} never answered; {}", counts.join(", ")),
                }
            });
        }
    }
}

/// Published ports, from outside and from the host itself.
fn published(
    asker: &Asker,
    site: &Site,
    outside: Option<&Outside>,
    proofs: &mut Proofs,
) -> Result<()> {
    for endpoint in &site.endpoints {
        for published in &endpoint.published {
            let (protocol, port) = (published.protocol, published.external);
            let name = &endpoint.name;
            let family = usize::from(published.ipv6);
            let (host, client) = (lab::HOST[family].parse()?, lab::OUTSIDE[family]);
            if let Some(outside) = outside {
                let at = lab::with_port(host, port);
                proofs.check(&format!("outside reaches {name} at {at} ({protocol})"), || {
                    let from = From::Outside(outside);
                    let answer = asker.expect(&from, protocol, host, port, name)?;
                    match answer.ends_with(client) {
                        true => Ok(answer),
                        false => bail!("{answer}, and not the client's own address {client}"),
                    }
                });
            }
            // The kernel has no way to route [::1] out of the loopback interface.
            let near = if published.ipv6 { host } else { IpAddr::from([127, 0, 0, 1]) };
            if outside.is_some() || !published.ipv6 {
                let at = lab::with_port(near, port);
                proofs.check(&format!("the host reaches {name} at {at} ({protocol})"), || {
                    asker.expect(&From::Host, protocol, near, port, name)
                });
            }
        }
    }
    Ok(())
}

/// To the outside and back; and from there only by what is published.
fn beyond(asker: &Asker, site: &Site, outside: &Outside, proofs: &mut Proofs) -> Result<()> {
    for endpoint in &site.endpoints {
        for (there, seen) in lab::OUTSIDE.iter().zip(lab::HOST) {
            let there: IpAddr = there.parse().context("our own constant")?;
            if !families(&endpoint.addresses).any(|address| address.is_ipv4() == there.is_ipv4()) {
                continue;
            }
            let what = format!("{} reaches the outside at {there}", endpoint.name);
            proofs.check(&what, || {
                let from = From::Namespace(endpoint);
                let answer = asker.expect(&from, "tcp", there, OUTSIDE_PORT, "outside")?;
                match answer.ends_with(seen) {
                    true => Ok(answer),
                    false => bail!("{answer}, and not the host's address {seen}"),
                }
            });
        }
    }
    let Some(endpoint) = site.endpoints.first() else { return Ok(()) };
    let Some(port) = site.ports(endpoint).first().copied() else { return Ok(()) };
    for (address, host) in families(&endpoint.addresses).zip(lab::HOST) {
        let mut route = outside.command("ip");
        route.args(["route", "replace", &address.to_string(), "via", host]);
        process::output(&mut route)?;
        let what = format!("outside does not reach {address} past what is published");
        proofs.check(&what, || asker.silence(&From::Outside(outside), *address, port));
    }
    Ok(())
}

/// An address outside that access rules of one endpoint block is out of its reach, and within that of another.
fn blocked(asker: &Asker, site: &Site, outside: &Outside, proofs: &mut Proofs) -> Result<()> {
    for endpoint in &site.endpoints {
        for address in &endpoint.blocked {
            let mut give = outside.command("ip");
            process::output(give.args([
                "address",
                "replace",
                &address.to_string(),
                "dev",
                "eth0",
            ]))?;
            if let Some(free) = site.endpoints.iter().find(|other| !other.blocked.contains(address))
            {
                let from = From::Namespace(free);
                proofs.check(&format!("{} reaches {address} outside", free.name), || {
                    asker.expect(&from, "tcp", *address, OUTSIDE_PORT, "outside")
                });
            }
            let what = format!("{} does not: its access rules block {address}", endpoint.name);
            proofs
                .check(&what, || asker.silence(&From::Namespace(endpoint), *address, OUTSIDE_PORT));
        }
    }
    Ok(())
}

/// The first address of each family, IPv4 first.
fn families(addresses: &[IpAddr]) -> impl Iterator<Item = &IpAddr> {
    let first = |four: bool| addresses.iter().find(move |address| address.is_ipv4() == four);
    first(true).into_iter().chain(first(false))
}

/// Asks from anywhere, by starting this program there.
struct Asker<'a> {
    hc: &'a Hc<'a>,
    program: PathBuf,
}

impl Asker<'_> {
    fn command(&self, from: &From, words: &[&str]) -> Command {
        let mut command = match from {
            From::Namespace(endpoint) => {
                let mut command =
                    self.hc.command(&["namespace", "exec", &endpoint.namespace, "--"]);
                command.arg(&self.program);
                command
            }
            From::Host => Command::new(&self.program),
            From::Outside(outside) => outside.command(&self.program),
        };
        command.arg("traffic").args(words);
        command
    }

    fn ask(&self, from: &From, protocol: &str, to: IpAddr, port: u16) -> Result<String> {
        let to = lab::with_port(to, port);
        let answer = process::output(&mut self.command(from, &["ask", protocol, &to]))?;
        Ok(answer.trim().to_owned())
    }

    /// Asks, and the answer must come from the server of this name.
    fn expect(
        &self,
        from: &From,
        protocol: &str,
        to: IpAddr,
        port: u16,
        name: &str,
    ) -> Result<String> {
        let answer = self.ask(from, protocol, to, port)?;
        match answer.split_once(' ') {
            Some((who, seen)) if who == name => Ok(format!("{who} answers, and sees {seen}")),
            _ => bail!("{answer:?} answered instead of {name}"),
        }
    }

    /// Asks, and nobody must answer.
    fn silence(&self, from: &From, to: IpAddr, port: u16) -> Result<String> {
        match self.ask(from, "tcp", to, port) {
            Ok(answer) => bail!("{answer:?} answered"),
            Err(_) => Ok("no answer".to_owned()),
        }
    }
}
