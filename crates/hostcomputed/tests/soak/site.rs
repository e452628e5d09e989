//! Where it happens: a private machine, a root for containers, and the network that all share.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use hostcompute::{Guid, Host, Network};
use serde_json::{Value, json};

use crate::lab::{Daemon, Machine};

pub struct Site {
    pub machine: Machine,
    /// Beginning of the names of all systems: nobody else's begin so.
    pub prefix: String,
    /// The same of those that stay.
    pub residents: String,
}

const NETWORK: &str =
    r#"{"Name":"soak","Type":"NAT","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.65.0.0/16"}]}]}"#;

impl Site {
    /// A new machine; `None`, with a message, where it may not be made.
    pub fn new() -> Option<Self> {
        let machine = Machine::new()?;
        let site = Self {
            machine,
            prefix: format!("soak{}", std::process::id()),
            residents: format!("stay{}", std::process::id()),
        };
        let [base, top] = site.layers();
        for name in ["etc", "proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(base.join(name)).expect("a directory");
        }
        fs::create_dir_all(top.join("bin")).expect("a directory");
        let busybox = ["/bin/busybox", "/usr/bin/busybox"]
            .into_iter()
            .find(|path| fs::metadata(path).is_ok());
        let busybox = busybox.expect("Debian's busybox-static");
        fs::copy(busybox, top.join("bin/busybox")).expect("copied");
        for name in ["cat", "sh", "sleep", "ip", "true"] {
            symlink("busybox", top.join("bin").join(name)).expect("a link");
        }
        Some(site)
    }

    /// The layers of all containers.
    pub fn layers(&self) -> [PathBuf; 2] {
        ["base", "top"].map(|name| self.machine.path(name))
    }

    /// A container on these layers.
    pub fn container(&self, networking: Value) -> Value {
        let layers = self.layers().map(|path| {
            json!({ "Id": Guid::from_random(1).to_string(), "Path": path.display().to_string() })
        });
        json!({
            "Owner": "soak",
            "SchemaVersion": { "Major": 2, "Minor": 1 },
            "Container": { "Storage": { "Layers": layers }, "Networking": networking },
        })
    }

    /// Where the service keeps what lives as long as the machine.
    pub fn runtime(&self) -> PathBuf {
        self.machine.path("run")
    }

    pub fn socket(&self) -> PathBuf {
        self.runtime().join("hostcompute.sock")
    }

    pub fn daemon(&self) -> Daemon {
        self.machine.daemon()
    }

    pub fn make_network(&self) -> Guid {
        let host = Host::connect(self.socket()).expect("the daemon answers");
        Network::create_json(&host, None, NETWORK).expect("a network").0.id()
    }

    pub fn delete_network(&self, host: &Host) {
        Network::find(host, "soak").expect("found").delete().expect("deleted");
    }
}
