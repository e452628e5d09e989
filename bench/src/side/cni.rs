//! Peer: the CNI plugins `bridge` with `host-local`, then `portmap`, as a container runtime calls them.
//!
//! Protocol: <https://www.cni.dev/docs/spec/>: the environment says what to do, standard input holds the configuration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};

use super::Side;
use crate::command;
use crate::namespace::Namespace;

/// The plugins and what they answered for each endpoint.
#[derive(Debug)]
pub struct Cni {
    plugins: PathBuf,
    /// Where `host-local` remembers addresses: on the disk, as in an installation.
    leases: PathBuf,
    home: Namespace,
    attached: HashMap<u32, (Namespace, Value)>,
}

const VERSION: &str = "0.4.0";
const NETWORK: &str = "hostcompute-bench";

impl Cni {
    pub fn open(plugins: &Path, directory: &Path) -> anyhow::Result<Self> {
        command::run("ip", ["link", "set", "lo", "up"], "")?;
        Ok(Self {
            plugins: plugins.to_owned(),
            leases: directory.join("host-local"),
            home: Namespace::current()?,
            attached: HashMap::new(),
        })
    }

    /// Whether the plugins are there.
    pub fn found(plugins: &Path) -> bool {
        ["bridge", "host-local", "portmap"].iter().all(|name| plugins.join(name).is_file())
    }

    fn bridge(&self) -> Value {
        json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "bridge",
            "bridge": "cnibr0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": self.leases,
                "ranges": [[{ "subnet": "10.92.0.0/16" }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        })
    }

    fn portmap(number: u32, previous: &Value) -> Value {
        json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "portmap",
            "capabilities": { "portMappings": true },
            "runtimeConfig": { "portMappings": [{
                "hostPort": crate::host_port(number),
                "containerPort": crate::INNER_PORT,
                "protocol": "tcp",
            }]},
            "prevResult": previous,
        })
    }

    fn call(
        &self,
        plugin: &str,
        verb: &str,
        number: u32,
        document: &Value,
    ) -> anyhow::Result<String> {
        let mut command = Command::new(self.plugins.join(plugin));
        command
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", format!("bench{number:06}"))
            .env("CNI_NETNS", path(number))
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", &self.plugins);
        command::finish(&mut command, &document.to_string())
    }
}

fn path(number: u32) -> PathBuf {
    format!("/run/netns/cni{number}").into()
}

impl Side for Cni {
    fn attach(&mut self, number: u32) -> anyhow::Result<()> {
        let (namespace, ()) = Namespace::create(&self.home, Some(&path(number)), || Ok(()))?;
        let result = self.call("bridge", "ADD", number, &self.bridge())?;
        let result: Value = serde_json::from_str(&result).context("the answer of bridge")?;
        self.call("portmap", "ADD", number, &Self::portmap(number, &result))?;
        self.attached.insert(number, (namespace, result));
        Ok(())
    }

    fn detach(&mut self, number: u32) -> anyhow::Result<()> {
        let (namespace, result) =
            self.attached.remove(&number).context("the endpoint is not attached")?;
        self.call("portmap", "DEL", number, &Self::portmap(number, &result))?;
        self.call("bridge", "DEL", number, &self.bridge())?;
        Ok(namespace.release()?)
    }
}
