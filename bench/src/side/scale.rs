//! A host with much of everything: a service with an overlay network, asked through its socket.
//!
//! What exists is numbered, so that a change is found again: `add`, `change` and `remove` are one request of a consumer each (an
//! endpoint's three: its namespace, itself, and its place there).

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::command;
use crate::daemon::{Daemon, End};

/// What there may be much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Matter {
    /// In a namespace of its own, with an access list.
    Endpoint,
    /// A cluster address with three backends.
    Service,
    /// A subnet behind another host.
    RemoteSubnet,
    /// A set of addresses for access lists.
    Set,
}

impl Matter {
    pub const ALL: [Self; 4] = [Self::Endpoint, Self::Service, Self::RemoteSubnet, Self::Set];

    /// What the table calls one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Service => "service of 3 backends",
            Self::RemoteSubnet => "remote subnet",
            Self::Set => "set of 4000 members",
        }
    }
}

/// What is done to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    Add,
    Change,
    Remove,
}

/// Endpoints that serve all services; their numbers are the first.
pub const BACKENDS: u32 = 30;

/// The service and what it was asked to make.
#[derive(Debug)]
pub struct Large {
    daemon: Daemon,
    client: Client,
    network: String,
    /// Namespace and endpoint.
    endpoints: HashMap<u32, (String, String)>,
    services: HashMap<u32, String>,
    /// Which of its two hosts each is behind.
    remotes: HashMap<u32, u8>,
}

impl Large {
    /// Starts the program on a host with an adapter; its state is below `directory`.
    pub fn open(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        for line in [
            "link add up0 type veth peer name far0",
            "address add 192.0.2.1/24 dev up0",
            "link set far0 up",
            "link set up0 up",
            "route add default via 192.0.2.254",
        ] {
            command::run("ip", line.split(' '), "")?;
        }
        let daemon = Daemon::start(program, &directory.join("state"))?;
        let mut client = daemon.connect()?;
        let network = client.create("/networks", NETWORK)?;
        let (endpoints, services, remotes) = Default::default();
        Ok(Self { daemon, client, network, endpoints, services, remotes })
    }

    /// Does something to the one with this number.
    pub fn perform(&mut self, matter: Matter, deed: Deed, number: u32) -> anyhow::Result<()> {
        match (matter, deed) {
            (Matter::Endpoint, Deed::Add) => self.attach(number),
            (Matter::Endpoint, Deed::Change) => self.change_endpoint(number),
            (Matter::Endpoint, Deed::Remove) => self.detach(number),
            (Matter::Service, Deed::Add) => self.add_service(number),
            (Matter::Service, Deed::Change) => self.change_service(number),
            (Matter::Service, Deed::Remove) => {
                let id = self.services.remove(&number).context("there is no such service")?;
                self.client.ask("DELETE", &format!("/loadbalancers/{id}"), "").map(drop)
            }
            (Matter::RemoteSubnet, Deed::Add) => self.add_remote(number, 0),
            (Matter::RemoteSubnet, Deed::Change) => {
                // Its host has another address now: a lease that ended, and came again.
                let host = self.remove_remote(number)?;
                self.add_remote(number, 1 - host)
            }
            (Matter::RemoteSubnet, Deed::Remove) => self.remove_remote(number).map(drop),
            (Matter::Set, Deed::Add) => self.change_network("Add", &set(number, MEMBERS)),
            // One member goes; the whole document is sent again, as consumers do.
            (Matter::Set, Deed::Change) => self.change_network("Update", &set(number, MEMBERS - 1)),
            (Matter::Set, Deed::Remove) => self.change_network("Remove", &set(number, 0)),
        }
    }

    /// Ends the service and starts it again.
    pub fn restart(&mut self, end: End) -> anyhow::Result<Duration> {
        super::service::restart(&mut self.daemon, &mut self.client, end)
    }

    /// Waits until the kernel is through with removals.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        self.client.ask("POST", "/host/settle", "").map(drop)
    }

    /// Lets the service compare everything with the kernel; returns how long that took.
    pub fn check(&mut self) -> anyhow::Result<Duration> {
        super::service::compare(&mut self.client)
    }

    /// Resident memory of the service, in KiB.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.daemon.resident()
    }

    fn attach(&mut self, number: u32) -> anyhow::Result<()> {
        let namespace = self.client.create("/namespaces", "{}")?;
        let path = format!("/networks/{}/endpoints", self.network);
        let endpoint = self.client.create(&path, &access_list(443))?;
        let request = format!(
            r#"{{"ResourceType":"Endpoint","RequestType":"Add","Settings":{{"EndpointId":"{endpoint}"}}}}"#
        );
        self.client.ask("PATCH", &format!("/namespaces/{namespace}"), &request)?;
        self.endpoints.insert(number, (namespace, endpoint));
        Ok(())
    }

    fn change_endpoint(&mut self, number: u32) -> anyhow::Result<()> {
        let (_, endpoint) = self.endpoints.get(&number).context("there is no such endpoint")?;
        let request = format!(
            r#"{{"ResourceType":"Policy","RequestType":"Update","Settings":{}}}"#,
            access_list(8443)
        );
        self.client.ask("PATCH", &format!("/endpoints/{endpoint}"), &request).map(drop)
    }

    fn detach(&mut self, number: u32) -> anyhow::Result<()> {
        let (namespace, endpoint) =
            self.endpoints.remove(&number).context("there is no such endpoint")?;
        self.client.ask("DELETE", &format!("/endpoints/{endpoint}"), "")?;
        self.client.ask("DELETE", &format!("/namespaces/{namespace}"), "").map(drop)
    }

    fn add_service(&mut self, number: u32) -> anyhow::Result<()> {
        let document = self.service(number, 0)?;
        let id = self.client.create("/loadbalancers", &document)?;
        self.services.insert(number, id);
        Ok(())
    }

    fn change_service(&mut self, number: u32) -> anyhow::Result<()> {
        let document = self.service(number, 1)?;
        let id = self.services.get(&number).context("there is no such service")?;
        self.client.ask("PUT", &format!("/loadbalancers/{id}"), &document).map(drop)
    }

    /// The document of a service whose backends begin at its own number and so many further.
    fn service(&self, number: u32, further: u32) -> anyhow::Result<String> {
        let backend = |place: u32| {
            let (_, endpoint) = self
                .endpoints
                .get(&((number + further + place) % BACKENDS))
                .context("no backend")?;
            Ok(format!(r#""{endpoint}""#))
        };
        let backends = (0..3).map(backend).collect::<anyhow::Result<Vec<_>>>()?.join(",");
        let frontend = crate::vip(number);
        Ok(format!(
            r#"{{"HostComputeEndpoints":[{backends}],"FrontendVIPs":["{}"],"Flags":1,"PortMappings":[{{"Protocol":6,"InternalPort":8080,"ExternalPort":{}}}]}}"#,
            frontend.ip(),
            frontend.port(),
        ))
    }

    fn add_remote(&mut self, number: u32, host: u8) -> anyhow::Result<()> {
        self.remotes.insert(number, host);
        self.change_network("Add", &remote(number, host))
    }

    fn remove_remote(&mut self, number: u32) -> anyhow::Result<u8> {
        let host = self.remotes.remove(&number).context("there is no such subnet")?;
        self.change_network("Remove", &remote(number, host))?;
        Ok(host)
    }

    fn change_network(&mut self, how: &str, policies: &str) -> anyhow::Result<()> {
        let request =
            format!(r#"{{"ResourceType":"Policy","RequestType":"{how}","Settings":{policies}}}"#);
        self.client.ask("PATCH", &format!("/networks/{}", self.network), &request).map(drop)
    }
}

/// The network, on the only adapter.
const NETWORK: &str = r#"{
    "Name": "scale", "Type": "Overlay", "SchemaVersion": { "Major": 2, "Minor": 0 },
    "Ipams": [{ "Type": "Static", "Subnets": [{
        "IpAddressPrefix": "10.128.0.0/16",
        "Policies": [{ "Type": "VSID", "Settings": { "IsolationId": 4096 } }],
        "Routes": [{ "NextHop": "10.128.0.1", "DestinationPrefix": "0.0.0.0/0" }]
    }]}],
    "Policies": [{ "Type": "HostRoute", "Settings": {} }]
}"#;

/// What a pod with one open port has.
fn access_list(port: u16) -> String {
    format!(
        r#"{{"Policies":[{{"Type":"ACL","Settings":{{"Protocols":"6","LocalPorts":"{port}","Priority":200,"Action":"Allow","Direction":"In","RuleType":"Switch"}}}}]}}"#
    )
}

/// The subnet with this number, behind one of the two hosts that are for it alone.
fn remote(number: u32, host: u8) -> String {
    let [_, _, high, low] = number.to_be_bytes();
    let (second, adapter) = (64 + u32::from(high), 18 + u32::from(host));
    format!(
        r#"{{"Policies":[{{"Type":"RemoteSubnetRoute","Settings":{{"DestinationPrefix":"10.{second}.{low}.0/24","IsolationId":4096,"ProviderAddress":"198.{adapter}.{high}.{low}","DistributedRouterMacAddress":"02:11:00:{host:02x}:{high:02x}:{low:02x}"}}}}]}}"#
    )
}

/// Members of a set.
const MEMBERS: u32 = 4000;

/// The set with this number and so many members, none beside another.
fn set(number: u32, members: u32) -> String {
    let first = u32::from(Ipv4Addr::new(10, 192, 0, 0));
    let addresses: Vec<String> =
        (0..members).map(|place| Ipv4Addr::from(first + 2 * place).to_string()).collect();
    format!(
        r#"{{"Policies":[{{"Type":"SetPolicy","Settings":{{"Id":"set-{number}","Name":"set-{number}","PolicyType":"IPSET","Values":"{}"}}}}]}}"#,
        addresses.join(",")
    )
}
