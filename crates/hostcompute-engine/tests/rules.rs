//! Random histories of sets, network rules, tiers and proxies against a reference model, on the simulated host, with faults.
//!
//! One network, three endpoints in namespaces of their own. After each request: its outcome is the one that the model gives, every
//! packet between the endpoints goes where the model says, and the plan, failing or dying anywhere, is undone or repaired. (The
//! checks of `World` come on top: indexes, records, the way back.) Deterministic; HOSTCOMPUTE_SEED chooses another history.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hostcompute_engine::host::{Host, Surroundings};
use hostcompute_engine::plan::undo;
use hostcompute_engine::reconcile;
use hostcompute_engine::sim::{Connection, Fault, Moment, Origin, Reach, Receiver, Simulator};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use world::World;

const HISTORIES: u64 = 12;
const LENGTH: usize = 60;
const PODS: [&str; 3] = ["10.1.0.11", "10.1.0.12", "10.1.0.13"];
const NAMES: [&str; 4] = ["a", "b", "n", "m"];
/// What plain sets contain.
const VALUES: [&str; 6] = [
    "",
    "10.1.0.11",
    "10.1.0.12,10.1.0.13",
    "10.1.0.8/29",
    "10.1.0.11,tcp:80,10.1.0.13",
    "10.1.0.12,tcp:443",
];
const PORTS: [u16; 3] = [80, 443, 9999];
/// The port that proxies catch, and the one they send to.
const CAUGHT: u16 = 9999;

/// What the documents say.
#[derive(Debug, Clone, Default)]
struct Model {
    plain: BTreeMap<&'static str, usize>,
    nested: BTreeMap<&'static str, Vec<&'static str>>,
    network_rules: Vec<Rule>,
    rules: [Vec<Rule>; 3],
    tiers: [Vec<(u16, Vec<Rule>)>; 3],
    proxy: [Option<usize>; 3],
    network_proxy: Option<usize>,
}

/// An incoming rule: TCP of these sources and destinations to a port.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    action: &'static str,
    priority: u16,
    port: u16,
    sources: Vec<&'static str>,
    destinations: Vec<&'static str>,
}

struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % count
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

impl Model {
    fn exists(&self, name: &str) -> bool {
        self.plain.contains_key(name) || self.nested.contains_key(name)
    }

    fn contains(&self, name: &str, address: &str, port: u16) -> bool {
        if let Some(values) = self.plain.get(name) {
            let items: Vec<&str> = VALUES[*values].split(',').filter(|i| !i.is_empty()).collect();
            return items.iter().enumerate().any(|(place, item)| {
                let narrowed = items.get(place + 1).and_then(|next| next.strip_prefix("tcp:"));
                let net: Option<ipnet::IpNet> = item
                    .parse()
                    .ok()
                    .or_else(|| item.parse::<IpAddr>().ok().map(ipnet::IpNet::from));
                net.is_some_and(|net| net.contains(&address.parse::<IpAddr>().unwrap()))
                    && narrowed.is_none_or(|only| only == port.to_string())
            });
        }
        let parts = self.nested.get(name);
        parts.is_some_and(|parts| parts.iter().any(|part| self.contains(part, address, port)))
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let parts = self.nested.get(from);
        from == to || parts.is_some_and(|parts| parts.iter().any(|part| self.reaches(part, to)))
    }

    fn all_rules(&self) -> impl Iterator<Item = &Rule> {
        let tiers = self.tiers.iter().flatten().flat_map(|(_, rules)| rules);
        self.network_rules.iter().chain(self.rules.iter().flatten()).chain(tiers)
    }

    fn names(&self, rule: &Rule) -> bool {
        rule.sources.iter().chain(&rule.destinations).all(|name| self.exists(name))
    }

    fn is_named(&self, name: &str) -> bool {
        let by_rule =
            self.all_rules().any(|r| r.sources.iter().chain(&r.destinations).any(|n| *n == name));
        by_rule || self.nested.values().flatten().any(|part| *part == name)
    }

    fn hits(&self, rule: &Rule, from: usize, to: usize, port: u16) -> bool {
        // The source's port is none that a set names.
        rule.port == port
            && rule.sources.iter().all(|name| self.contains(name, PODS[from], 1))
            && rule.destinations.iter().all(|name| self.contains(name, PODS[to], port))
    }

    fn admits(&self, from: usize, to: usize, port: u16) -> bool {
        let mut orders: Vec<u16> = self.tiers[to].iter().map(|(order, _)| *order).collect();
        orders.sort_unstable();
        orders.dedup();
        for order in orders {
            let tiers = self.tiers[to].iter().filter(|(other, _)| *other == order);
            let mut rules: Vec<&Rule> = tiers.flat_map(|(_, rules)| rules).collect();
            rules.sort_by_key(|rule| (rule.priority, rank(rule.action)));
            match rules.iter().find(|rule| self.hits(rule, from, to, port)).map(|rule| rule.action)
            {
                Some("Allow") => return true,
                Some("Block") => return false,
                _ => {}
            }
        }
        let own = self.rules[to].iter().map(|rule| (1, rule));
        let mut rules: Vec<_> =
            self.network_rules.iter().map(|rule| (0, rule)).chain(own).collect();
        if rules.is_empty() {
            return true;
        }
        rules.sort_by_key(|(whose, rule)| (rule.priority, *whose, rank(rule.action)));
        let mut decided = rules.iter().filter(|(_, rule)| rule.action != "Pass");
        let hit = decided.find(|(_, rule)| self.hits(rule, from, to, port));
        hit.is_some_and(|(_, rule)| rule.action == "Allow")
    }

    /// Who gets a packet, after proxies.
    fn receiver(&self, from: usize, to: usize, port: u16) -> Option<usize> {
        let of_network = self.network_proxy.filter(|proxy| *proxy != from);
        let proxy = self.proxy[from].or(of_network).filter(|_| port == CAUGHT);
        let to = proxy.unwrap_or(to);
        // To itself the packet would come back by the port; that is not walked here.
        (from != to && self.admits(from, to, if proxy.is_some() { 80 } else { port })).then_some(to)
    }
}

fn rank(action: &str) -> usize {
    ["Block", "Pass", "Allow"].iter().position(|other| *other == action).unwrap()
}

fn rule(random: &mut Random) -> Rule {
    let names = |random: &mut Random| -> Vec<&'static str> {
        let mut names: Vec<_> = (0..random.below(3)).map(|_| random.of(&NAMES)).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    Rule {
        action: random.of(&["Allow", "Allow", "Block", "Pass"]),
        priority: random.of(&[100, 200, 300]),
        port: random.of(&[80, 80, 443]),
        sources: names(random),
        destinations: names(random),
    }
}

fn document(rule: &Rule, action: &str) -> Value {
    json!({
        action: rule.action, "Priority": rule.priority, "Protocols": "6",
        "LocalPorts": rule.port.to_string(),
        "LocalAddresses": rule.sources.join(","), "RemoteAddresses": rule.destinations.join(","),
    })
}

fn acl(kind: &str, rule: &Rule) -> Value {
    let mut settings = document(rule, "Action");
    settings["Direction"] = "In".into();
    json!({"Type": kind, "Settings": settings})
}

fn set(model: &Model, name: &str) -> Value {
    let (kind, values) = match (model.plain.get(name), model.nested.get(name)) {
        (Some(values), _) => ("IPSET", VALUES[*values].to_owned()),
        (_, Some(parts)) => ("NESTEDIPSET", parts.join(",")),
        _ => ("IPSET", String::new()),
    };
    json!({"Type": "SetPolicy", "Settings": {"Id": name, "PolicyType": kind, "Values": values}})
}

fn proxy(to: usize) -> Value {
    json!({"Type": "L4Proxy", "Settings": {
        "Port": CAUGHT.to_string(), "Protocol": 6, "Destination": format!("{}:80", PODS[to]),
    }})
}

/// The engine, the host and the model, side by side.
struct Three {
    world: World,
    host: Simulator,
    model: Model,
    network: Guid,
    pods: Vec<Guid>,
    tally: BTreeMap<&'static str, (usize, usize)>,
}

impl Three {
    fn new() -> Self {
        let mut three = Self {
            world: World::new(),
            host: Simulator::new(Surroundings::default()),
            model: Model::default(),
            network: Guid::default(),
            pods: Vec::new(),
            tally: BTreeMap::new(),
        };
        let network = json!({"Ipams": [{"Subnets": [{"IpAddressPrefix": "10.1.0.0/24"}]}]});
        three.call(Operation::CreateNetwork, None, network).unwrap();
        three.network = three.world.state.networks().next().unwrap().id;
        for address in PODS {
            let endpoint = json!({"HostComputeNetwork": three.network.to_string(),
                "IpConfigurations": [{"IpAddress": address}]});
            three.call(Operation::CreateEndpoint, None, endpoint).unwrap();
            three.call(Operation::CreateNamespace, None, json!({})).unwrap();
            let endpoint = three.world.state.endpoints().last().unwrap().id;
            let namespace = three.world.state.namespaces().last().unwrap().id;
            let request = json!({"ResourceType": "Endpoint", "RequestType": "Add",
                "Settings": {"EndpointId": endpoint.to_string()}});
            three.call(Operation::ModifyNamespace, Some(namespace), request).unwrap();
            three.pods.push(endpoint);
        }
        three
    }

    /// One request, carried out on the host after it failed and died at some step.
    fn call(
        &mut self,
        operation: Operation,
        id: Option<Guid>,
        document: Value,
    ) -> Result<(), HResult> {
        let before = self.world.state.clone();
        let decision = self.world.call(operation, id, document).map_err(|f| f.hresult)?;
        let (plan, picture) = (decision.plan, self.host.picture());
        if !plan.is_empty() {
            let at = plan.len() / 2;
            for moment in [Moment::Before, Moment::Halfway, Moment::After, Moment::Death] {
                let mut host = self.host.clone();
                host.order(Fault { after: at, moment });
                assert!(host.perform(&plan).is_err());
                if moment == Moment::Death {
                    host.revive();
                    for wanted in [before.facts(), self.world.state.facts()] {
                        let differences = host.compare(&wanted).unwrap();
                        host.perform(&reconcile(&differences)).unwrap();
                        assert_eq!(host.facts(), wanted);
                    }
                } else {
                    host.perform(&undo(&plan)).unwrap();
                    assert!(host.picture() == picture, "{moment:?} leaves a trace of {plan:?}");
                }
            }
            self.host.perform(&plan).unwrap();
        }
        assert_eq!(self.host.facts(), self.world.state.facts());
        Ok(())
    }

    fn policies(&mut self, id: Guid, how: &str, policies: Value) -> Result<(), HResult> {
        let of_network = id == self.network;
        let operation =
            if of_network { Operation::ModifyNetwork } else { Operation::ModifyEndpoint };
        let request = json!({"ResourceType": "Policy", "RequestType": how,
            "Settings": {"Policies": policies}});
        self.call(operation, Some(id), request)
    }

    /// Compares the outcome with the model's, and takes the model's next state over if it succeeded.
    #[track_caller]
    fn settle(
        &mut self,
        what: &'static str,
        got: Result<(), HResult>,
        wanted: Result<Model, HResult>,
    ) {
        let tally = self.tally.entry(what).or_default();
        match (&got, wanted) {
            (Ok(()), Ok(model)) => {
                self.model = model;
                tally.0 += 1;
            }
            (Err(got), Err(wanted)) if *got == wanted => tally.1 += 1,
            (_, wanted) => {
                panic!("{what}: got {got:?}, wanted {:?} in {:?}", wanted.err(), self.model)
            }
        }
    }

    fn change_set(&mut self, random: &mut Random) {
        let how = random.of(&["Add", "Add", "Update", "Update", "Remove"]);
        let name = random.of(&NAMES);
        let mut next = self.model.clone();
        let there = self.model.exists(name);
        next.plain.remove(name);
        next.nested.remove(name);
        if how != "Remove" {
            if name < "m" {
                next.plain.insert(name, random.below(VALUES.len()));
            } else {
                let parts: BTreeSet<_> = (0..random.below(3)).map(|_| random.of(&NAMES)).collect();
                next.nested.insert(name, parts.into_iter().collect());
            }
        }
        let same = (next.plain.get(name), next.nested.get(name))
            == (self.model.plain.get(name), self.model.nested.get(name));
        let parts = next.nested.get(name).cloned().unwrap_or_default();
        let wanted = match how {
            "Remove" if !there => Err(HResult::HCN_E_POLICY_NOT_FOUND),
            "Remove" if self.model.is_named(name) => Err(HResult::HCN_E_ENTITY_HAS_REFERENCES),
            "Update" if !there => Err(HResult::HCN_E_POLICY_NOT_FOUND),
            // The kernel's contents decide; these few values differ in them.
            "Add" if there && !same => Err(HResult::HCN_E_POLICY_ALREADY_EXISTS),
            _ if parts.iter().any(|part| !next.exists(part)) => {
                Err(HResult::HCN_E_INVALID_JSON_REFERENCE)
            }
            _ if parts.iter().any(|part| next.reaches(part, name)) => {
                Err(HResult::HCN_E_INVALID_POLICY)
            }
            _ => Ok(next.clone()),
        };
        let got = self.policies(self.network, how, json!([set(&next, name)]));
        self.settle("set", got, wanted);
    }

    fn change_rules(&mut self, random: &mut Random) {
        let rules: Vec<Rule> = (0..1 + random.below(3)).map(|_| rule(random)).collect();
        let pod = random.below(3);
        let mut next = self.model.clone();
        let known = rules.iter().all(|rule| self.model.names(rule));
        let (what, id, asked) = match random.below(3) {
            0 => {
                next.network_rules.clone_from(&rules);
                let asked = rules.iter().map(|rule| acl("NetworkACL", rule)).collect();
                ("network rules", self.network, asked)
            }
            1 => {
                next.rules[pod].clone_from(&rules);
                ("rules", self.pods[pod], rules.iter().map(|rule| acl("ACL", rule)).collect())
            }
            _ => {
                let order = random.of(&[1, 2]);
                next.tiers[pod] = vec![(order, rules[1..].to_vec()), (2, rules[..1].to_vec())];
                let tier = |(order, rules): &(u16, Vec<Rule>)| {
                    let rules: Vec<Value> =
                        rules.iter().map(|rule| document(rule, "TierAclRuleAction")).collect();
                    json!({"Type": "TierAcl", "Settings": {
                        "Direction": "In", "Order": order, "TierAclRules": rules,
                    }})
                };
                ("tiers", self.pods[pod], next.tiers[pod].iter().map(tier).collect::<Vec<Value>>())
            }
        };
        let wanted = if known { Ok(next) } else { Err(HResult::HCN_E_INVALID_POLICY) };
        let got = self.policies(id, "Update", asked.into());
        self.settle(what, got, wanted);
    }

    fn change_proxy(&mut self, random: &mut Random) {
        let (pod, to) = (random.below(3), random.below(3));
        let mut next = self.model.clone();
        if random.below(3) == 0 {
            next.network_proxy = Some(to);
            let got = self.policies(self.network, "Update", json!([proxy(to)]));
            return self.settle("network proxy", got, Ok(next));
        }
        next.proxy[pod] = Some(to);
        let wanted = if pod == to { Err(HResult::HCN_E_INVALID_POLICY) } else { Ok(next) };
        let got = self.policies(self.pods[pod], "Update", json!([proxy(to)]));
        self.settle("proxy", got, wanted);
    }

    /// A policy without a type takes all of an endpoint's away.
    fn clear(&mut self, random: &mut Random) {
        let pod = random.below(3);
        let mut next = self.model.clone();
        next.rules[pod].clear();
        next.tiers[pod].clear();
        next.proxy[pod] = None;
        let got = self.policies(self.pods[pod], "Update", json!([{}]));
        self.settle("clear", got, Ok(next));
    }

    fn check_packets(&self) {
        let facts = self.world.state.facts();
        let surroundings = Surroundings::default();
        let reach = Reach::of(&facts, &surroundings);
        for (from, to) in (0..3).flat_map(|from| (0..3).map(move |to| (from, to))) {
            if from == to {
                continue;
            }
            for port in PORTS {
                let connection = Connection {
                    origin: Origin::Endpoint(self.pods[from]),
                    to: PODS[to].parse().unwrap(),
                    protocol: 6,
                    source_port: 40_000,
                    port,
                    draw: 0,
                };
                let got = reach.connect(&connection).ok().map(|delivery| delivery.receiver);
                let wanted = self.model.receiver(from, to, port);
                let wanted = wanted.map(|pod| Receiver::Endpoint(self.pods[pod]));
                assert_eq!(got, wanted, "{from} -> {to}:{port} in {:?}", self.model);
            }
        }
    }
}

#[test]
fn sets_rules_tiers_and_proxies_do_what_the_model_says() {
    let seed = std::env::var("HOSTCOMPUTE_SEED").ok().and_then(|text| text.parse().ok());
    let mut total: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for history in 0..HISTORIES {
        let mut random = Random(seed.unwrap_or(1) * 1_000 + history);
        let mut three = Three::new();
        for _ in 0..LENGTH {
            match random.below(8) {
                0..=3 => three.change_set(&mut random),
                4..=5 => three.change_rules(&mut random),
                6 => three.change_proxy(&mut random),
                _ => three.clear(&mut random),
            }
            three.check_packets();
        }
        for (what, (done, refused)) in three.tally {
            let sum = total.entry(what).or_default();
            *sum = (sum.0 + done, sum.1 + refused);
        }
    }
    println!("done and refused: {total:?}");
    assert!(total.values().all(|(done, _)| *done > 5), "{total:?}");
}
