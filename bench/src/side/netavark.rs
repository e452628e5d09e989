//! Peer: netavark, the network program of podman, as podman calls it: the document on standard input, one process
//! per verb. Podman allocates the addresses itself, so they are stated here.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Side;
use crate::command;
use crate::namespace::Namespace;

/// The firewall driver; the better one that the version has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Firewall {
    Iptables,
    Nftables,
}

impl Firewall {
    pub fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
        }
    }

    /// The nftables driver came with 1.10 (its release notes).
    fn of(version: &str) -> Self {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if version >= (1, 10) { Self::Nftables } else { Self::Iptables }
    }
}

/// The program and the namespaces it has been given.
#[derive(Debug)]
pub struct Netavark {
    program: PathBuf,
    firewall: Firewall,
    home: Namespace,
    attached: HashMap<u32, Namespace>,
}

impl Netavark {
    pub fn open(program: &Path, firewall: Firewall) -> anyhow::Result<Self> {
        command::run("ip", ["link", "set", "lo", "up"], "")?;
        Ok(Self {
            program: program.to_owned(),
            firewall,
            home: Namespace::current()?,
            attached: HashMap::new(),
        })
    }

    /// Asks the program for its version.
    pub fn identify(program: &Path) -> anyhow::Result<(String, Firewall)> {
        let text = command::run(program, ["--version"], "")?;
        let version = text.split_whitespace().nth(1).context("the answer of --version")?;
        Ok((version.to_owned(), Firewall::of(version)))
    }

    fn call(&self, verb: &str, number: u32) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command
            .env("NETAVARK_FW", self.firewall.name())
            .args(["--config", "/run/netavark", "--rootless", "false"])
            // No container asks for names here, so the DNS server is never started.
            .args(["--aardvark-binary", "/usr/lib/podman/aardvark-dns"])
            .arg(verb)
            .arg(path(number));
        command::finish(&mut command, &document(number).to_string())
    }
}

fn path(number: u32) -> PathBuf {
    format!("/run/netns/nav{number}").into()
}

fn document(number: u32) -> Value {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 93, 0, 10)) + number);
    json!({
        "container_id": format!("{:064x}", 0xabc_0000_u64 + u64::from(number)),
        "container_name": format!("bench{number}"),
        "port_mappings": [{
            "container_port": crate::INNER_PORT, "host_ip": "",
            "host_port": crate::host_port(number), "protocol": "tcp", "range": 1,
        }],
        "networks": { "bench": { "interface_name": "eth0", "static_ips": [address] } },
        "network_info": { "bench": {
            "name": "bench", "id": format!("{:064x}", 0xdead), "driver": "bridge",
            "network_interface": "navbr0", "dns_enabled": false, "internal": false,
            "ipv6_enabled": false,
            "subnets": [{ "gateway": "10.93.0.1", "subnet": "10.93.0.0/16" }],
            "ipam_options": { "driver": "host-local" },
        }},
    })
}

impl Side for Netavark {
    fn attach(&mut self, number: u32) -> anyhow::Result<()> {
        let (namespace, ()) = Namespace::create(&self.home, Some(&path(number)), || Ok(()))?;
        self.call("setup", number)?;
        self.attached.insert(number, namespace);
        Ok(())
    }

    fn detach(&mut self, number: u32) -> anyhow::Result<()> {
        let namespace = self.attached.remove(&number).context("the endpoint is not attached")?;
        self.call("teardown", number)?;
        Ok(namespace.release()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_follows_from_the_version() {
        assert_eq!(Firewall::of("1.4.0"), Firewall::Iptables);
        assert_eq!(Firewall::of("1.10.0"), Firewall::Nftables);
        assert_eq!(Firewall::of("2.1.0-dev"), Firewall::Nftables);
        assert_eq!(Firewall::of(""), Firewall::Iptables);
    }
}
