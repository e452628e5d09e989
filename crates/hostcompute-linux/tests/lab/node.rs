//! Hosts that share a network: each has a namespace of its own, an engine with its state, and the real kernel under it. Documents
//! go in, packets come out.

use std::path::PathBuf;

use hostcompute_engine::host::Host;
use hostcompute_engine::network::fence;
use hostcompute_engine::plan::{tap, undo};
use hostcompute_engine::{Context, Reply, Request, State, decide};
use hostcompute_linux::Linux;
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Failure, Guid};
use serde_json::{Value, json};

use super::{Netns, exec, open};

/// The network below: a switch that all nodes are plugged into.
#[derive(Debug)]
pub struct Wire {
    pub netns: Netns,
}

/// One host.
#[derive(Debug)]
pub struct Node {
    pub number: u8,
    pub host: Netns,
    pub linux: Linux,
    pub state: State,
    directory: PathBuf,
    random: u64,
}

impl Wire {
    pub fn new() -> Self {
        let netns = Netns::new();
        for line in ["ip link set lo up", "ip link add sw0 type bridge", "ip link set sw0 up"] {
            netns.exec(line);
        }
        Self { netns }
    }

    /// A host on the wire with address 192.0.2.`number`.
    pub fn node(&self, number: u8) -> Node {
        let host = Netns::new();
        host.exec("ip link set lo up");
        self.plug(&host, "up0", &format!("{}/24", address(number)), number);
        host.exec("ip route add default via 192.0.2.254");
        let directory = PathBuf::from(format!("/mnt/node{number}"));
        std::fs::create_dir_all(&directory).unwrap();
        let mut linux = open(&directory, Some(host.path()));
        linux.answer(&[]).unwrap();
        let random = u64::from(number) << 32;
        Node { number, host, linux, state: State::default(), directory, random }
    }
}

impl Wire {
    /// Connects a namespace by a link of this name.
    pub fn plug(&self, netns: &Netns, link: &str, address: &str, number: u8) {
        for line in [
            format!(
                "ip link add {link} type veth peer name p{number} netns {}",
                self.netns.path().display()
            ),
            format!("ip link set {link} addrgenmode none"),
            format!("ip addr add {address} dev {link}"),
            format!("ip link set {link} up"),
        ] {
            netns.exec(&line);
        }
        self.netns.exec(&format!("ip link set p{number} master sw0 addrgenmode none up"));
    }
}

/// The address of a node on the wire.
pub fn address(number: u8) -> String {
    format!("192.0.2.{number}")
}

impl Node {
    /// One call, carried out or taken back.
    pub fn call(
        &mut self,
        operation: Operation,
        id: Option<Guid>,
        document: &Value,
    ) -> Result<Reply, Failure> {
        let surroundings = self.linux.surroundings().unwrap();
        let text = document.to_string();
        let request = Request { operation, id, network: None, document: &text };
        let random = &mut self.random;
        let mut context = Context {
            random: &mut || {
                *random += 0x9E37_79B9_7F4A_7C15 % 0xffff_fffb;
                random.wrapping_mul(0xBF58_476D_1CE4_E5B9)
            },
            surroundings: &surroundings,
            prepared: &|_| None,
            strict: true,
        };
        let decision = decide(&mut self.state, &request, &mut context)?;
        if let Err(fault) = self.linux.perform(&decision.plan) {
            self.linux.perform(&undo(&decision.plan)).unwrap();
            self.state.apply(&decision.undo);
            return Err(fault.failure);
        }
        Ok(decision.reply)
    }

    #[track_caller]
    pub fn create(&mut self, operation: Operation, document: &Value) -> Guid {
        match self.call(operation, None, document) {
            Ok(Reply::Id(id)) => id,
            other => panic!("{operation:?} {document}: {other:?}"),
        }
    }

    #[track_caller]
    pub fn modify(&mut self, operation: Operation, id: Guid, document: &Value) {
        self.call(operation, Some(id), document)
            .unwrap_or_else(|failure| panic!("{operation:?} {document}: {failure}"));
    }

    #[track_caller]
    pub fn delete(&mut self, operation: Operation, id: Guid) {
        self.modify(operation, id, &json!({}));
    }

    /// The document of a network as clients read it.
    pub fn network(&mut self, id: Guid) -> Value {
        let reply = self.call(
            Operation::QueryNetworkProperties,
            Some(id),
            &json!({"SchemaVersion": {"Major": 2, "Minor": 0}}),
        );
        match reply {
            Ok(Reply::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }

    /// The settings of a network's policy of a kind.
    pub fn policy(&mut self, network: Guid, kind: &str) -> Value {
        let document = self.network(network);
        let policies = document["Policies"].as_array().cloned().unwrap_or_default();
        let found = policies.into_iter().find(|policy| policy["Type"] == kind);
        found.unwrap_or_else(|| panic!("no policy {kind}"))["Settings"].clone()
    }

    /// An endpoint in a namespace of its own, with these members beside its network and address.
    #[track_caller]
    pub fn container(&mut self, network: Guid, address: &str, more: &Value) -> Netns {
        self.container_and_endpoint(network, address, more).0
    }

    #[track_caller]
    pub fn container_and_endpoint(
        &mut self,
        network: Guid,
        address: &str,
        more: &Value,
    ) -> (Netns, Guid) {
        let mut document = json!({
            "HostComputeNetwork": network.to_string(),
            "IpConfigurations": [{"IpAddress": address}],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            document[name] = value.clone();
        }
        let endpoint = self.create(Operation::CreateEndpoint, &document);
        let namespace = self.create(Operation::CreateNamespace, &json!({}));
        self.attach(namespace, endpoint);
        (Netns::open(&self.linux.netns_path(namespace)), endpoint)
    }

    /// An endpoint that a virtual machine can be plugged into, by the tap of the name that is returned.
    #[track_caller]
    pub fn socket(&mut self, network: Guid, document: &Value) -> (Guid, Guid, String) {
        let mut document = document.clone();
        document["HostComputeNetwork"] = network.to_string().into();
        let endpoint = self.create(Operation::CreateEndpoint, &document);
        let namespace = self.create(Operation::CreateNamespace, &json!({"Type": "Guest"}));
        self.attach(namespace, endpoint);
        (namespace, endpoint, tap(endpoint))
    }

    #[track_caller]
    pub fn attach(&mut self, namespace: Guid, endpoint: Guid) {
        let request = json!({
            "ResourceType": "Endpoint",
            "RequestType": "Add",
            "Settings": {"EndpointId": endpoint.to_string()},
        });
        self.modify(Operation::ModifyNamespace, namespace, &request);
    }

    /// Adds or removes policies of a network.
    #[track_caller]
    pub fn change_policies(&mut self, network: Guid, how: &str, policies: &Value) {
        let settings = json!({"Policies": policies});
        let request = json!({"ResourceType": "Policy", "RequestType": how, "Settings": settings});
        self.modify(Operation::ModifyNetwork, network, &request);
    }

    /// Takes packets from an address only under this MAC.
    pub fn insist(&self, family: &str, address: &str, mac: &str) {
        let table = format!("insist{family}");
        for line in [
            format!("nft add table {family} {table}"),
            format!("nft add chain {family} {table} in {{ type filter hook input priority 0 ; }}"),
            format!(
                "nft add rule {family} {table} in {family} saddr {address} ether saddr != {mac} drop"
            ),
        ] {
            self.host.exec(&line);
        }
    }

    /// The host has what the state says, and nothing else with our mark.
    #[track_caller]
    pub fn check(&mut self) {
        assert_eq!(self.state.check(), []);
        let facts = self.state.facts();
        assert_eq!(self.linux.compare(&facts).unwrap(), []);
    }

    /// A new process takes over: everything it knows is what the old one stored.
    pub fn restart(&mut self) {
        let records: Vec<_> = self.state.objects().map(|object| object.record()).collect();
        self.state = State::load(records).unwrap();
        self.linux = open(&self.directory, Some(self.host.path()));
        self.linux.answer(&self.state.facts()).unwrap();
    }

    /// The host's own resolver is there.
    pub fn resolve_at(&self, server: &str) {
        std::fs::write(self.directory.join("resolv.conf"), format!("nameserver {server}\n"))
            .unwrap();
    }

    /// What a service does when it is told that the host has other addresses; whether there was anything to do.
    pub fn follow(&mut self) -> bool {
        let near = self.linux.surroundings().unwrap().prefixes;
        let Some(decision) = fence::follow(&mut self.state, &near) else { return false };
        self.linux.perform(&decision.plan).unwrap_or_else(|fault| panic!("{fault:?}"));
        true
    }

    /// Brings the host to agree with the state again.
    #[track_caller]
    pub fn repair(&mut self) {
        let facts = self.state.facts();
        let differences = self.linux.compare(&facts).unwrap();
        let plan = hostcompute_engine::restart::reconcile(&differences);
        self.linux.perform(&plan).unwrap_or_else(|fault| panic!("{fault:?}"));
    }

    /// The kernel makes the route to a new address of the adapter a moment later.
    pub fn await_route_to(&self, address: &str) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !self.uplink().contains(&format!("local {address} ")) {
            assert!(std::time::Instant::now() < deadline, "{address} does not come up");
            std::thread::yield_now();
        }
    }

    /// What a foreign eye sees of the uplink.
    pub fn uplink(&self) -> String {
        [
            "ip -o addr show up0",
            "ip route show table all dev up0",
            "ip -d link show up0",
            "ip rule",
            "ip neigh show proxy",
        ]
        .map(|line| self.host.exec(line))
        .concat()
    }
}

/// Moves the calling thread where nothing of the machine can be touched.
pub fn seclude() -> bool {
    if !super::privileged() {
        return false;
    }
    super::seclude();
    exec("ip link set lo up");
    true
}
