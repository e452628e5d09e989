//! Policies by data: what each means for the packet filter, what is refused and with which code, and that a request with one bad
//! element changes nothing (the checks of `World`).

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod world;

use hostcompute_engine::plan::{
    AclChain, AddressSet, Direction, Element, End, Fact, Family, Verdict,
};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use world::World;

fn policy(request: &str, policies: Value) -> Value {
    json!({"ResourceType": "Policy", "RequestType": request, "Settings": {"Policies": policies}})
}

fn set(id: &str, values: &str) -> Value {
    json!({"Type": "SetPolicy", "Settings": {
        "Id": id, "Name": id, "PolicyType": "IPSET", "Values": values,
    }})
}

fn nested(id: &str, values: &str) -> Value {
    json!({"Type": "SetPolicy", "Settings": {
        "Id": id, "Name": id, "PolicyType": "NESTEDIPSET", "Values": values,
    }})
}

fn acl(more: Value) -> Value {
    let mut settings = json!({
        "Protocols": "6", "Action": "Allow", "Direction": "In", "RuleType": "Switch", "Priority": 222,
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    json!({"Type": "ACL", "Settings": settings})
}

/// A dual-stack network with one attached endpoint.
struct Attached {
    world: World,
    network: Guid,
    endpoint: Guid,
}

impl Attached {
    fn new() -> Self {
        let mut world = World::new();
        let network = world.create(
            Operation::CreateNetwork,
            json!({"Name": "azure", "Ipams": [{"Subnets": [
                {"IpAddressPrefix": "172.20.0.0/24"}, {"IpAddressPrefix": "fd20::/64"},
            ]}]}),
        );
        let document = json!({"HostComputeNetwork": network.to_string()});
        let endpoint = world.create(Operation::CreateEndpoint, document);
        let namespace = world.create(Operation::CreateNamespace, json!({}));
        let request = json!({"ResourceType": "Endpoint", "RequestType": "Add",
            "Settings": {"EndpointId": endpoint.to_string()}});
        world.call(Operation::ModifyNamespace, Some(namespace), request).unwrap();
        Self { world, network, endpoint }
    }

    fn network(&mut self, request: &str, policies: Value) {
        let document = policy(request, policies);
        self.world.call(Operation::ModifyNetwork, Some(self.network), document).unwrap();
    }

    #[track_caller]
    fn refuse_network(&mut self, request: &str, policies: Value, code: HResult, path: &str) {
        let document = policy(request, policies);
        let refusal = self.world.refuse(Operation::ModifyNetwork, Some(self.network), document);
        assert_eq!(refusal, (code, path.to_owned()));
    }

    fn endpoint(&mut self, request: &str, policies: Value) {
        let document = policy(request, policies);
        self.world.call(Operation::ModifyEndpoint, Some(self.endpoint), document).unwrap();
    }

    #[track_caller]
    fn refuse_endpoint(&mut self, request: &str, policies: Value, code: HResult, path: &str) {
        let document = policy(request, policies);
        let refusal = self.world.refuse(Operation::ModifyEndpoint, Some(self.endpoint), document);
        assert_eq!(refusal, (code, path.to_owned()));
    }

    /// The kernel's sets of one family, oldest first.
    fn sets(&self, family: Family) -> Vec<AddressSet> {
        let of = |fact: Fact| match fact {
            Fact::AddressSet(set) if set.family == family => Some(set),
            _ => None,
        };
        self.world.state.facts().into_iter().filter_map(of).collect()
    }

    fn members(&self, place: usize) -> Vec<String> {
        let sets = self.sets(Family::V4);
        let text = |member: &hostcompute_engine::plan::Member| match member.service {
            None => member.net.to_string(),
            Some((protocol, port)) => format!("{},{protocol}:{port}", member.net),
        };
        sets[place].members.iter().map(text).collect()
    }

    fn chains(&self, direction: Direction) -> Vec<AclChain> {
        let of = |fact: Fact| match fact {
            Fact::AclChain(chain) if chain.direction == direction => Some(chain),
            _ => None,
        };
        self.world.state.facts().into_iter().filter_map(of).collect()
    }

    fn network_policies(&mut self) -> Vec<Value> {
        let document = self.world.show(Operation::QueryNetworkProperties, self.network);
        document["Policies"].as_array().cloned().unwrap_or_default()
    }
}

#[test]
fn a_set_is_its_addresses_without_overlap() {
    let mut a = Attached::new();
    a.network(
        "Add",
        json!([set("one", "172.20.0.5, 172.20.0.5/32,172.20.0.0/30,172.20.0.1,fd20::7")]),
    );
    assert_eq!(a.members(0), ["172.20.0.0/30", "172.20.0.5/32"]);
    assert_eq!(a.sets(Family::V6)[0].members.len(), 1);
    // Said again, it is there already; with other values it is another set.
    a.network("Add", json!([set("one", "172.20.0.0/30,172.20.0.5,fd20::7")]));
    a.refuse_network(
        "Add",
        json!([set("two", "10.0.0.1"), set("one", "10.0.0.1")]),
        HResult::HCN_E_POLICY_ALREADY_EXISTS,
        "Settings.Policies[1].Settings.Id",
    );
    a.network("Update", json!([set("one", "")]));
    assert_eq!(a.members(0), Vec::<String>::new());
    assert_eq!(a.network_policies().len(), 1);
    a.network("Refresh", json!([]));
    a.network("Remove", json!([{"Type": "SetPolicy", "Settings": {"Id": "one"}}]));
    assert_eq!((a.sets(Family::V4), a.network_policies()), (vec![], vec![]));
}

#[test]
fn named_ports_narrow_members() {
    let mut a = Attached::new();
    let values = "10.0.0.1,tcp:80,10.0.0.2,8080,10.0.0.3,UDP:53,10.0.0.0/31,10.0.0.9";
    a.network("Add", json!([set("ports", values)]));
    assert!(a.sets(Family::V4)[0].ports);
    // The whole of 10.0.0.0/31 contains 10.0.0.1 with its port.
    assert_eq!(
        a.members(0),
        ["10.0.0.0/31", "10.0.0.2/32,6:8080", "10.0.0.3/32,17:53", "10.0.0.9/32"]
    );
    for bad in ["80", "10.0.0.1,tcp:0", "10.0.0.1,icmp:8", "10.0.0.1,80,81", "any", "10.0.0.256"] {
        a.refuse_network(
            "Update",
            json!([set("ports", bad)]),
            HResult::HCN_E_INVALID_POLICY,
            "Settings.Policies[0].Settings.Values",
        );
    }
}

#[test]
fn nested_sets_follow_their_parts() {
    let mut a = Attached::new();
    let unknown = HResult::HCN_E_INVALID_JSON_REFERENCE;
    let path = "Settings.Policies[0].Settings";
    a.refuse_network("Add", json!([nested("all", "one,two")]), unknown, path);
    // Within one request the order does not matter.
    a.network(
        "Add",
        json!([nested("all", "one,two"), set("one", "10.0.0.1"), set("two", "10.0.0.2")]),
    );
    assert_eq!(a.members(0), ["10.0.0.1/32", "10.0.0.2/32"]);
    a.network("Update", json!([set("two", "10.0.0.3,10.0.0.4")]));
    assert_eq!(a.members(0), ["10.0.0.1/32", "10.0.0.3/32", "10.0.0.4/32"]);
    a.network("Add", json!([nested("more", "all"), set("three", "10.0.0.5,tcp:80")]));
    a.network("Update", json!([nested("all", "one,three")]));
    assert!(a.sets(Family::V4)[3].ports);
    assert_eq!(a.members(3), ["10.0.0.1/32", "10.0.0.5/32,6:80"]);
    a.refuse_network(
        "Update",
        json!([nested("all", "more")]),
        HResult::HCN_E_INVALID_POLICY,
        &format!("{path}.Values"),
    );
    let held = HResult::HCN_E_ENTITY_HAS_REFERENCES;
    a.refuse_network("Remove", json!([set("one", "")]), held, path);
    a.refuse_network(
        "Remove",
        json!([set("two", ""), set("three", "")]),
        held,
        "Settings.Policies[1].Settings",
    );
    a.network(
        "Remove",
        json!([set("one", ""), set("three", ""), nested("all", ""), nested("more", "")]),
    );
    assert_eq!(a.members(0), ["10.0.0.3/32", "10.0.0.4/32"]);
    assert_eq!(a.network_policies().len(), 1);
    let missing = HResult::HCN_E_POLICY_NOT_FOUND;
    for request in ["Remove", "Update"] {
        a.refuse_network(request, json!([set("one", "")]), missing, &format!("{path}.Id"));
    }
}

#[test]
fn rules_name_sets_by_source_and_destination() {
    let mut a = Attached::new();
    let unknown = json!([acl(json!({"LocalAddresses": "src"}))]);
    let invalid = HResult::HCN_E_INVALID_POLICY;
    a.refuse_endpoint("Add", unknown, invalid, "Settings.Policies[0].Settings");
    a.network(
        "Add",
        json!([set("src", "10.0.0.1"), set("role", "10.0.0.0/24"), set("dst", "172.20.0.0/24")]),
    );
    let mixed = json!([acl(json!({"LocalAddresses": "src,10.0.0.1"}))]);
    a.refuse_endpoint("Add", mixed, invalid, "Settings.Policies[0].Settings.LocalAddresses");
    a.endpoint(
        "Add",
        json!([acl(
            json!({"LocalAddresses": "src,role", "RemoteAddresses": "dst", "LocalPorts": "80"})
        )]),
    );
    let chains = a.chains(Direction::In);
    let rules = &chains[0].rules;
    // Once for each family of the network.
    assert_eq!(
        rules.iter().map(|r| r.family).collect::<Vec<_>>(),
        [Some(Family::V4), Some(Family::V6)]
    );
    let ends: Vec<End> = rules[0].sets.iter().map(|set| set.end).collect();
    assert_eq!(ends, [End::Source, End::Source, End::Destination]);
    assert_eq!((rules[0].local_ports.len(), chains[0].otherwise.clone()), (1, Verdict::Block));
    // What the set contains does not concern the rules, unless members get ports.
    let update = policy("Update", json!([set("src", "10.0.0.1,10.0.0.2")]));
    let decision = a.world.call(Operation::ModifyNetwork, Some(a.network), update).unwrap();
    assert_eq!(decision.plan.len(), 1);
    a.network("Update", json!([set("src", "10.0.0.1,tcp:4000")]));
    assert!(a.chains(Direction::In)[0].rules[0].sets[0].ports);
    let held = HResult::HCN_E_ENTITY_HAS_REFERENCES;
    a.refuse_network("Remove", json!([set("src", "")]), held, "Settings.Policies[0].Settings");
    a.endpoint("Update", json!([{}]));
    a.network("Remove", json!([set("src", ""), set("role", ""), set("dst", "")]));
}

#[test]
fn sets_go_with_their_network() {
    let mut a = Attached::new();
    a.network("Add", json!([set("one", "10.0.0.1")]));
    a.endpoint("Add", json!([acl(json!({"RemoteAddresses": "one"}))]));
    a.world.call(Operation::DeleteNetwork, Some(a.network), json!({})).unwrap();
    assert_eq!(a.sets(Family::V4), []);
    // A network may bring sets, and rules of its own that name them.
    let policies = json!([
        {"Type": "NetworkACL", "Settings": acl(json!({"LocalAddresses": "one"}))["Settings"]},
        set("one", "10.0.0.1"),
    ]);
    let document = json!({"Name": "b", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.9.0.0/24"}]}],
        "Policies": policies});
    let network = a.world.create(Operation::CreateNetwork, document.clone());
    let shown = a.world.show(Operation::QueryNetworkProperties, network);
    assert_eq!(shown["Policies"].as_array().unwrap().len(), 2);
    let mut other = document;
    other["Name"] = "c".into();
    other["Policies"] = json!([policies[0]]);
    other["Ipams"] = json!([]);
    assert_eq!(
        a.world.refuse(Operation::CreateNetwork, None, other),
        (HResult::HCN_E_INVALID_POLICY, "Policies[0].Settings".into())
    );
}

#[test]
fn rules_of_the_network_come_first() {
    let mut a = Attached::new();
    let rule = |id: &str, priority: u16, action: &str| {
        acl(json!({"Id": id, "Priority": priority, "Action": action}))["Settings"].clone()
    };
    a.endpoint("Add", json!([{"Type": "ACL", "Settings": rule("b", 200, "Block")}]));
    a.network(
        "Add",
        json!([
            {"Type": "NetworkACL", "Settings": rule("n", 200, "Allow")},
            {"Type": "NetworkACL", "Settings": rule("last", 300, "Block")},
        ]),
    );
    let verdicts = |a: &Attached| -> Vec<Verdict> {
        a.chains(Direction::In)[0].rules.iter().map(|rule| rule.verdict.clone()).collect()
    };
    assert_eq!(verdicts(&a), [Verdict::Allow, Verdict::Block, Verdict::Block]);
    a.network("Remove", json!([{"Type": "NetworkACL", "Settings": rule("last", 300, "Block")}]));
    assert_eq!(verdicts(&a), [Verdict::Allow, Verdict::Block]);
    a.endpoint("Update", json!([{}]));
    a.network("Update", json!([{"Type": "NetworkACL", "Settings": rule("n", 200, "Block")}]));
    assert_eq!(verdicts(&a), [Verdict::Block]);
    let twice = json!([{"Type": "NetworkACL", "Settings": rule("n", 1, "Allow")}]);
    a.refuse_network("Add", twice, HResult::HCN_E_INVALID_POLICY, "Policies[1].Settings.Id");
}

#[test]
fn tiers_are_asked_in_turn() {
    let mut a = Attached::new();
    let tier = |order: u16, rules: Value| {
        json!({"Type": "TierAcl", "Settings": {
            "Name": "t", "Direction": "In", "Order": order, "TierAclRules": rules,
        }})
    };
    let rule = |action: &str, port: &str| json!({"Protocols": "6", "LocalPorts": port, "Priority": 1, "TierAclRuleAction": action});
    a.endpoint(
        "Add",
        json!([
            tier(20, json!([rule("Block", "81"), rule("Allow", "82")])),
            tier(10, json!([rule("Pass", "80"), rule("Allow", "81")])),
        ]),
    );
    let chains = a.chains(Direction::In);
    let [first, second] = chains.as_slice() else { panic!("{chains:?}") };
    assert_eq!(second.otherwise, Verdict::Allow);
    let verdicts: Vec<_> = first.rules.iter().map(|rule| rule.verdict.clone()).collect();
    let on = Verdict::Goto(second.name.clone());
    assert_eq!((verdicts, &first.otherwise), (vec![on.clone(), Verdict::Allow], &on));
    // Switch rules stand behind all tiers, Host rules behind those: what a tier allows meets the latter only.
    a.endpoint(
        "Add",
        json!([
            acl(json!({"Protocols": ""})),
            acl(json!({"RuleType": "Host", "Action": "Block", "LocalPorts": "82", "Id": "h"})),
            acl(json!({"Action": "Pass", "Priority": 1, "Id": "p"})),
        ]),
    );
    let chains = a.chains(Direction::In);
    let named = |part: &str| chains.iter().find(|chain| chain.name.contains(part)).unwrap();
    let (host, switch) = (named("_host_"), named("_switch_"));
    assert_eq!(named("_tier0_").rules[1].verdict, Verdict::Goto(host.name.clone()));
    assert_eq!(named("_tier1_").otherwise, Verdict::Goto(switch.name.clone()));
    // Pass decides nothing among Switch rules.
    assert_eq!(switch.rules.len(), 1);
    assert_eq!(switch.otherwise, Verdict::Block);
    for (bad, member) in [
        (json!([tier(1, json!([{"Priority": 1}]))]), "TierAclRules[0].TierAclRuleAction"),
        (json!([tier(1, json!([rule("Allow", "x")]))]), "TierAclRules[0].LocalPorts"),
        (json!([{"Type": "TierAcl", "Settings": {"Order": 1}}]), "Direction"),
    ] {
        let path = format!("Settings.Policies[3].Settings.{member}");
        a.refuse_endpoint("Update", bad, HResult::HCN_E_INVALID_POLICY, &path);
    }
}

#[test]
fn proxies_redirect_what_an_endpoint_opens() {
    let mut a = Attached::new();
    let proxy = |port: &str, to: &str| {
        json!({"Type": "L4Proxy", "Settings": {
            "IP": "10.96.0.0/16", "Port": port, "Protocol": 6, "ExceptionList": ["10.96.9.0/24"],
            "Destination": to, "OutboundNat": true,
        }})
    };
    let chain = |a: &Attached| a.chains(Direction::Out).into_iter().next();
    a.network("Add", json!([proxy("443", "172.20.0.99:8443")]));
    a.endpoint("Add", json!([proxy("80", "172.20.0.99:8080")]));
    let rules = chain(&a).unwrap().rules;
    let verdicts: Vec<_> = rules.iter().map(|rule| rule.verdict.clone()).collect();
    let redirect = |to: &str| Verdict::Redirect(to.parse().unwrap());
    // The endpoint's own come first.
    assert_eq!(
        verdicts,
        [
            Verdict::Allow,
            redirect("172.20.0.99:8080"),
            Verdict::Allow,
            redirect("172.20.0.99:8443")
        ]
    );
    a.endpoint("Update", json!([{}]));
    assert_eq!(chain(&a).unwrap().rules.len(), 2);
    a.network("Update", json!([proxy("1", "172.20.0.99:1")]));
    assert_eq!(chain(&a).unwrap().rules[1].verdict, redirect("172.20.0.99:1"));
    a.network("Remove", json!([proxy("1", "172.20.0.99:1")]));
    assert_eq!(chain(&a), None);
    let path = "Settings.Policies[0].Settings.Destination";
    let own = a.world.show(Operation::QueryEndpointProperties, a.endpoint);
    let own = format!("{}:80", own["IpConfigurations"][0]["IpAddress"].as_str().unwrap());
    for to in ["", "172.20.0.99", "127.0.0.1:80", "172.20.0.99:0", &own] {
        let asked = json!([proxy("80", to)]);
        a.refuse_endpoint("Add", asked, HResult::HCN_E_INVALID_POLICY, path);
    }
}

#[test]
fn sidecars_are_rules_of_their_namespace() {
    let mut a = Attached::new();
    let sidecar = json!({"Type": "L4WFPPROXY", "Settings": {
        "InboundProxyPort": "15006", "OutboundProxyPort": "15001", "UserSID": "S-1-22-1-1337",
        "FilterTuple": {"RemotePorts": "80"}, "OutboundExceptions": {"PortExceptions": ["443"]},
    }});
    a.endpoint("Add", json!([sidecar]));
    let found = |a: &Attached| {
        a.world.state.facts().into_iter().find_map(|fact| match fact {
            Fact::Interception(inside) => Some(inside.redirections),
            _ => None,
        })
    };
    let redirections = found(&a).unwrap();
    let users: Vec<_> = redirections.iter().map(|one| (one.direction, one.user)).collect();
    assert_eq!(users, [(Direction::In, None), (Direction::Out, Some(1337))]);
    assert_eq!(redirections[0].device, "eth0");
    let last = |place: usize| redirections[place].rules.last().map(|rule| rule.verdict.clone());
    assert_eq!(last(0), Some(Verdict::Intercept(15006)));
    assert_eq!((last(1), redirections[1].rules.len()), (Some(Verdict::Intercept(15001)), 2));
    // As consumers echo it back.
    a.endpoint("Remove", json!([sidecar]));
    assert_eq!(found(&a), None);
    // In the host's own namespace there is none to put rules into.
    let document = json!({"HostComputeNetwork": a.network.to_string(), "Policies": [sidecar]});
    let other = a.world.create(Operation::CreateEndpoint, document);
    let host = hostcompute_engine::network::namespace::HOST_DEFAULT;
    let request = json!({"ResourceType": "Endpoint", "RequestType": "Add",
        "Settings": {"EndpointId": other.to_string()}});
    let refusal = a.world.refuse(Operation::ModifyNamespace, Some(host), request);
    assert_eq!(refusal.0, HResult::HCN_E_REQUEST_UNSUPPORTED);
}

#[test]
fn policies_that_hold_by_themselves_are_told_from_those_that_do_not() {
    let mut a = Attached::new();
    let one = |kind: &str, settings: Value| json!([{"Type": kind, "Settings": settings}]);
    let unsupported = HResult::HCN_E_REQUEST_UNSUPPORTED;
    let path = "Settings.Policies[0].Settings";
    a.endpoint("Add", one("Iov", json!({"IovOffloadWeight": 0, "QueuePairsRequested": 1})));
    a.endpoint("Remove", one("Iov", json!({"QueuePairsRequested": 1})));
    let iov = one("Iov", json!({"IovOffloadWeight": 100}));
    a.refuse_endpoint("Add", iov, unsupported, &format!("{path}.IovOffloadWeight"));
    // Rewriting of addresses belongs to the wire.
    let driver = one("L2Driver", json!({}));
    a.refuse_endpoint("Add", driver.clone(), unsupported, "Settings.Policies[0].Type");
    a.world.surroundings.uplinks = vec![hostcompute_engine::host::Uplink {
        name: "eth0".into(),
        index: 2,
        mtu: 1500,
        up: true,
        addresses: vec!["192.0.2.1/24".parse().unwrap()],
        default_route: true,
        ..Default::default()
    }];
    a.endpoint("Add", one("InterfaceConstraint", json!({"InterfaceAlias": "eth0"})));
    a.endpoint("Update", one("InterfaceConstraint", json!({"InterfaceIndex": 0})));
    let other = one("InterfaceConstraint", json!({"InterfaceAlias": "eth1"}));
    a.refuse_endpoint("Update", other, HResult::HCN_E_ADAPTER_NOT_FOUND, path);
    let bridge = json!({"Type": "L2Bridge", "Ipams": [{"Subnets": [{"IpAddressPrefix": "192.0.2.0/24",
        "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}]}]}]});
    let network = a.world.create(Operation::CreateNetwork, bridge);
    let document = json!({"HostComputeNetwork": network.to_string(), "Policies": [
        {"Type": "L2Driver", "Settings": {}},
        {"Type": "InterfaceConstraint", "Settings": {"InterfaceAlias": "eth0"}},
    ]});
    a.world.create(Operation::CreateEndpoint, document);
}

#[test]
fn flags_of_endpoints_order_metrics_and_resolvers() {
    let mut a = Attached::new();
    let network = a.network.to_string();
    let mut endpoint = |flags: u32, server: &str| {
        let document = json!({"HostComputeNetwork": network, "Flags": flags,
            "Dns": {"ServerList": [server]}});
        a.world.create(Operation::CreateEndpoint, document)
    };
    let (low, plain) = (endpoint(8, "192.0.2.1"), endpoint(0, "192.0.2.2"));
    let first = endpoint(16, "192.0.2.3");
    let namespace = a.world.create(Operation::CreateNamespace, json!({}));
    let attach = |endpoint: Guid| {
        json!({"ResourceType": "Endpoint", "RequestType": "Add",
            "Settings": {"EndpointId": endpoint.to_string()}})
    };
    for one in [low, plain, first] {
        a.world.call(Operation::ModifyNamespace, Some(namespace), attach(one)).unwrap();
    }
    let facts = a.world.state.facts();
    let resolver = facts.iter().find_map(|fact| match fact {
        Fact::Resolver(resolver) => Some(resolver.content.clone()),
        _ => None,
    });
    let servers = "nameserver 192.0.2.3\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n";
    assert_eq!(resolver.as_deref(), Some(servers));
    let metric = |endpoint: Guid| {
        facts.iter().find_map(|fact| match fact {
            Fact::Port(port) if port.endpoint == endpoint => {
                port.routes.iter().map(|route| route.metric).min()
            }
            _ => None,
        })
    };
    assert!(metric(low) < metric(plain) && metric(low) < metric(first));
    // Nobody can come before the one that is there.
    let document = json!({"HostComputeNetwork": network, "Flags": 8});
    let late = a.world.create(Operation::CreateEndpoint, document);
    let refusal = a.world.refuse(Operation::ModifyNamespace, Some(namespace), attach(late));
    assert_eq!(refusal.0, HResult::HCN_E_REQUEST_UNSUPPORTED);
}

#[test]
fn dns_of_a_network_can_be_changed_and_goes_to_its_next_endpoints() {
    let mut a = Attached::new();
    let request = json!({"ResourceType": "DNS", "RequestType": "Update",
        "Settings": {"ServerList": ["192.0.2.53"], "Search": ["example.org"]}});
    a.world.call(Operation::ModifyNetwork, Some(a.network), request).unwrap();
    let document = json!({"HostComputeNetwork": a.network.to_string()});
    let next = a.world.create(Operation::CreateEndpoint, document);
    let servers = |a: &mut Attached, endpoint: Guid| {
        let document = a.world.show(Operation::QueryEndpointProperties, endpoint);
        document["Dns"]["ServerList"].clone()
    };
    assert_eq!(servers(&mut a, next), json!(["192.0.2.53"]));
    let first = a.endpoint;
    assert_eq!(servers(&mut a, first), Value::Null);
}

#[test]
fn an_address_is_of_the_subnet_that_is_named() {
    let mut world = World::new();
    let id = |n: u8| format!("{n:08}-0000-0000-0000-000000000000");
    let network = world.create(
        Operation::CreateNetwork,
        json!({"Name": "two", "Ipams": [{"Subnets": [
            {"ID": id(1), "IpAddressPrefix": "10.8.1.0/24"},
            {"ID": id(2), "IpAddressPrefix": "10.8.2.0/24"},
        ]}]}),
    );
    let wish = |configuration: Value| json!({"HostComputeNetwork": network.to_string(), "IpConfigurations": [configuration]});
    let endpoint = world.create(Operation::CreateEndpoint, wish(json!({"IpSubnetId": id(2)})));
    let address = world.state.endpoints().find(|one| one.id == endpoint).unwrap().addresses[0];
    assert!(address.to_string().starts_with("10.8.2."), "{address}");
    for (subnet, code) in
        [(id(3), HResult::HCN_E_SUBNET_NOT_FOUND), (id(2), HResult::HCN_E_INVALID_IP)]
    {
        let wish = wish(json!({"IpAddress": "10.8.1.9", "IpSubnetId": subnet}));
        assert_eq!(world.refuse(Operation::CreateEndpoint, None, wish).0, code);
    }
}

/// Each endpoint has its ports to itself, keeps them over changes of other policies, and gives them back.
#[test]
fn translated_connections_have_ports_of_their_own() {
    let mut a = Attached::new();
    let pool = |most: u16| json!([{"Type": "OutBoundNAT", "Settings": {"MaxPortPoolUsage": most}}]);
    let ports =
        |a: &Attached, endpoint: Guid| a.world.state.endpoint(endpoint).unwrap().nat_ports();
    let mut others = Vec::new();
    for most in [8, 16, 4] {
        let document = json!({"HostComputeNetwork": a.network.to_string(), "Policies": pool(most)});
        others.push(a.world.create(Operation::CreateEndpoint, document));
    }
    a.endpoint("Add", pool(8));
    let found = |a: &Attached| others.iter().map(|id| ports(a, *id)).collect::<Vec<_>>();
    assert_eq!(found(&a), [Some((1024, 1031)), Some((1032, 1047)), Some((1048, 1051))]);
    assert_eq!(ports(&a, a.endpoint), Some((1052, 1059)));
    let facts = a.world.state.facts();
    let elements = facts.iter().filter_map(|fact| match fact {
        Fact::Element(Element::NatPorts { source, first, last }) => {
            Some((source.is_ipv4(), *first, *last))
        }
        _ => None,
    });
    assert_eq!(elements.collect::<Vec<_>>(), [(true, 1052, 1059), (false, 1052, 1059)]);
    a.world.call(Operation::DeleteEndpoint, Some(others[1]), json!({})).unwrap();
    a.endpoint("Update", pool(12));
    assert_eq!(ports(&a, a.endpoint), Some((1032, 1043)), "the gap");
    a.endpoint("Add", json!([{"Type": "OutBoundNAT", "Settings": {"MaxPortPoolUsage": 12, "Exceptions": ["192.0.2.0/24"]}}]));
    assert_eq!(ports(&a, a.endpoint), Some((1032, 1043)), "the same");
    let path = "Settings.Policies";
    a.refuse_endpoint("Update", pool(u16::MAX), HResult::E_OUTOFMEMORY, path);
    a.endpoint("Update", pool(0));
    assert_eq!(ports(&a, a.endpoint), None);
    a.endpoint("Update", pool(u16::MAX - 1051));
    assert_eq!(ports(&a, a.endpoint), Some((1052, u16::MAX)), "all that are left");
    a.refuse_endpoint("Update", pool(u16::MAX - 1050), HResult::E_OUTOFMEMORY, path);
}
