//! The main flow by hand: a NAT network, two namespaces, endpoints with published ports, a load balancer, and away again.
//!
//! The random sequences of `model.rs` cover breadth; this file reads like the documentation of one ordinary day.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod world;

use hostcompute_engine::Reply;
use hostcompute_engine::plan::{Element, Fact, INNER_INDEX, PREPARED_INTERFACES, Step, undo};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use world::World;

fn nat() -> Value {
    json!({"Name": "web", "Ipams": [{"Subnets": [
        {"IpAddressPrefix": "172.20.0.0/24", "Routes": [{"NextHop": "172.20.0.1", "DestinationPrefix": "0.0.0.0/0"}]},
        {"IpAddressPrefix": "fd20::/64"},
    ]}]})
}

fn attach(endpoint: Guid) -> Value {
    json!({"ResourceType": "Endpoint", "RequestType": "Add", "Settings": {"EndpointId": endpoint.to_string()}})
}

#[test]
fn an_ordinary_day() {
    let mut world = World::new();
    let network = world.create(Operation::CreateNetwork, nat());
    let namespace = world.create(Operation::CreateNamespace, json!({}));
    let endpoint = world.create(
        Operation::CreateEndpoint,
        json!({"HostComputeNetwork": network.to_string(), "Policies": [
            {"Type": "PortMapping", "Settings": {"ExternalPort": 8080, "InternalPort": 80, "Protocol": 6}}]}),
    );
    let shown = world.show(Operation::QueryEndpointProperties, endpoint);
    assert_eq!(
        shown["IpConfigurations"][0],
        json!({"IpAddress": "172.20.0.2", "PrefixLength": 24})
    );
    assert_eq!(shown["IpConfigurations"][1], json!({"IpAddress": "fd20::4", "PrefixLength": 64}));
    assert_eq!(shown["Routes"][0]["NextHop"], "172.20.0.1");
    assert_eq!(shown["Routes"][1]["NextHop"], "fd20::1");
    assert_eq!(shown["State"], 1);

    let attached =
        world.call(Operation::ModifyNamespace, Some(namespace), attach(endpoint)).unwrap();
    assert!(attached.plan.iter().any(|step| matches!(step, Step::Add(Fact::Port(_)))));
    assert!(!attached.plan.iter().any(|step| matches!(step, Step::Add(Fact::Netns(_)))));
    assert_eq!(world.show(Operation::QueryEndpointProperties, endpoint)["State"], 2);
    let resources = &world.show(Operation::QueryNamespaceProperties, namespace)["Resources"];
    assert_eq!(resources[0]["Data"]["Id"], endpoint.to_upper());

    let balancer = world.create(
        Operation::CreateLoadBalancer,
        json!({"HostComputeEndpoints": [endpoint.to_string()], "FrontendVIPs": ["10.96.0.1"],
            "PortMappings": [{"Protocol": 6, "InternalPort": 80, "ExternalPort": 80}]}),
    );
    assert!(
        world
            .state
            .facts()
            .iter()
            .any(|fact| matches!(fact, Fact::Service(s) if s.slots.len() == 2))
    );

    let gone = world.call(Operation::DeleteNetwork, Some(network), json!({})).unwrap();
    assert!(matches!(gone.plan.last(), Some(Step::Remove(Fact::Table))));
    assert!(world.state.load_balancer(balancer).is_err());
    world.call(Operation::DeleteNamespace, Some(namespace), json!({})).unwrap();
    assert!(world.state.is_empty());
    assert_eq!(world.state.facts(), []);
}

#[test]
fn published_ports_are_exclusive_and_claimed() {
    let mut world = World::new();
    let network = world.create(Operation::CreateNetwork, nat());
    let document = json!({"HostComputeNetwork": network.to_string(), "Policies": [
        {"Type": "PortMapping", "Settings": {"ExternalPort": 8080, "InternalPort": 80}}]});
    let first = world.call(Operation::CreateEndpoint, None, document.clone()).unwrap();
    let claims = first.plan.iter().filter(|step| matches!(step, Step::Claim(_))).count();
    assert_eq!(claims, 2, "TCP and UDP");
    assert_eq!(
        world.refuse(Operation::CreateEndpoint, None, document),
        (HResult::HCN_E_PORT_ALREADY_EXISTS, "Policies[0].Settings.ExternalPort".into())
    );
}

#[test]
fn access_rules_become_chains_by_layer() {
    let mut world = World::new();
    let network = world.create(Operation::CreateNetwork, nat());
    let namespace = world.create(Operation::CreateNamespace, json!({}));
    let rule = |action: &str, kind: &str, priority: u16| {
        json!({"Type": "ACL", "Settings": {"Action": action, "Direction": "In", "RuleType": kind,
            "Priority": priority, "Protocols": "6", "LocalPorts": "80,8000-8080,8081"}})
    };
    let endpoint = world.create(
        Operation::CreateEndpoint,
        json!({"HostComputeNetwork": network.to_string(),
            "Policies": [rule("Allow", "Switch", 200), rule("Block", "Switch", 200), rule("Block", "Host", 0)]}),
    );
    world.call(Operation::ModifyNamespace, Some(namespace), attach(endpoint)).unwrap();
    let facts = world.state.facts();
    let chains: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::AclChain(chain) => Some(chain),
            _ => None,
        })
        .collect();
    assert_eq!(chains.len(), 2);
    let entries = facts.iter().filter(|fact| matches!(fact, Fact::Element(Element::AclIn { chain, .. }) if chain.starts_with("acl_in_switch")));
    assert_eq!(entries.count(), 2, "one for each address");
    let update = json!({"ResourceType": "Policy", "RequestType": "Update", "Settings": {"Policies": [rule("Allow", "Switch", 1)]}});
    let changed = world.call(Operation::ModifyEndpoint, Some(endpoint), update).unwrap();
    assert!(changed.plan.iter().any(|step| matches!(step, Step::Change { .. })));
    let undone = undo(&changed.plan);
    assert_eq!(undone.len(), changed.plan.len());
}

#[test]
fn endpoints_with_the_same_rules_share_chains_until_the_last_goes() {
    let mut world = World::new();
    let network = world.create(Operation::CreateNetwork, nat());
    let rule = |port: &str| json!({"Type": "ACL", "Settings": {"Action": "Allow", "Direction": "In", "RuleType": "Switch", "Priority": 1, "Protocols": "6", "LocalPorts": port}});
    let mut attached = |id: &str| {
        let namespace = world.create(Operation::CreateNamespace, json!({}));
        let document = json!({"HostComputeNetwork": network.to_string(), "Policies": [
            {"Type": "ACL", "Settings": {"Id": id, "Action": "Allow", "Direction": "In", "RuleType": "Switch", "Priority": 1, "Protocols": "6", "LocalPorts": "80"}}]});
        let endpoint = world.create(Operation::CreateEndpoint, document);
        let plan =
            world.call(Operation::ModifyNamespace, Some(namespace), attach(endpoint)).unwrap().plan;
        (endpoint, plan)
    };
    let concerns_chains = |plan: &[Step]| {
        plan.iter().any(|step| {
            matches!(
                step,
                Step::Add(Fact::AclChain(_))
                    | Step::Remove(Fact::AclChain(_))
                    | Step::Change { from: Fact::AclChain(_), .. }
            )
        })
    };
    let (first, plan) = attached("a");
    assert!(concerns_chains(&plan));
    // What a rule is called makes no difference.
    let (second, plan) = attached("b");
    assert!(!concerns_chains(&plan), "{plan:?}");

    let update = json!({"ResourceType": "Policy", "RequestType": "Update", "Settings": {"Policies": [rule("81")]}});
    let changed = world.call(Operation::ModifyEndpoint, Some(first), update.clone()).unwrap();
    assert!(concerns_chains(&changed.plan), "another chain is there, and the old one stays");
    let chains = |world: &World| {
        world.state.facts().iter().filter(|f| matches!(f, Fact::AclChain(_))).count()
    };
    assert_eq!(chains(&world), 2);
    world.call(Operation::ModifyEndpoint, Some(second), update).unwrap();
    assert_eq!(chains(&world), 1);
    let gone = world.call(Operation::DeleteEndpoint, Some(first), json!({})).unwrap();
    assert!(!concerns_chains(&gone.plan), "{gone:?}");
    let gone = world.call(Operation::DeleteEndpoint, Some(second), json!({})).unwrap();
    assert!(concerns_chains(&gone.plan));
}

#[test]
fn refusals_name_the_member() {
    let mut world = World::new();
    let network = world.create(Operation::CreateNetwork, nat());
    let endpoint = |extra: Value| {
        let mut document = json!({"HostComputeNetwork": network.to_string()});
        document.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        document
    };
    let policy = |kind: &str, settings: Value| {
        endpoint(json!({"Policies": [{"Type": kind, "Settings": settings}]}))
    };
    let cases = [
        (
            Operation::CreateNetwork,
            json!({"Type": "Mirrored"}),
            HResult::HCN_E_INVALID_NETWORK_TYPE,
            "Type",
        ),
        (Operation::CreateNetwork, nat(), HResult::HCN_E_NETWORK_ALREADY_EXISTS, "Name"),
        (
            Operation::CreateNetwork,
            json!({"Ipams": [{"Subnets": [{"IpAddressPrefix": "172.20.0.0/16"}]}]}),
            HResult::HCN_E_INVALID_SUBNET,
            "Ipams[0].Subnets[0].IpAddressPrefix",
        ),
        (
            Operation::CreateEndpoint,
            endpoint(json!({"IpConfigurations": [{"IpAddress": "10.0.0.9"}]})),
            HResult::HCN_E_INVALID_IP,
            "IpConfigurations[0].IpAddress",
        ),
        (
            Operation::CreateEndpoint,
            endpoint(json!({"IpConfigurations": [{"IpAddress": "172.20.0.1"}]})),
            HResult::HCN_E_ADDR_INVALID_OR_RESERVED,
            "IpConfigurations[0].IpAddress",
        ),
        (
            Operation::CreateEndpoint,
            endpoint(
                json!({"Routes": [{"NextHop": "172.20.0.9", "DestinationPrefix": "10.0.0.0/8"}]}),
            ),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "Routes[0].NextHop",
        ),
        (
            Operation::CreateEndpoint,
            policy("ACL", json!({"Action": "Allow", "Direction": "In"})),
            HResult::HCN_E_INVALID_POLICY,
            "Policies[0].Settings.Priority",
        ),
        (
            Operation::CreateEndpoint,
            policy("PortMapping", json!({"ExternalPort": 1})),
            HResult::HCN_E_INVALID_INTERNAL_PORT,
            "Policies[0].Settings.InternalPort",
        ),
        (
            Operation::CreateEndpoint,
            policy("Encryption", json!({})),
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "Policies[0].Type",
        ),
        (
            Operation::CreateEndpoint,
            policy("Nonsense", json!({})),
            HResult::HCN_E_INVALID_POLICY_TYPE,
            "Policies[0].Type",
        ),
        (
            Operation::CreateLoadBalancer,
            json!({"HostComputeEndpoints": []}),
            HResult::HCN_E_INVALID_JSON_REFERENCE,
            "HostComputeEndpoints",
        ),
    ];
    for (operation, document, code, path) in cases {
        assert_eq!(
            world.refuse(operation, None, document.clone()),
            (code, path.into()),
            "{document}"
        );
    }
    let missing =
        world.refuse(Operation::OpenNamespace, Some(Guid::from_bytes([7; 16])), json!({}));
    assert_eq!(missing.0, HResult::ERROR_NOT_FOUND);
}

#[test]
fn a_modification_says_what_is_to_be_done_in_words_that_exist() {
    let mut world = World::new();
    let network = world.create(Operation::CreateNetwork, nat());
    let document = json!({"HostComputeNetwork": network.to_string()});
    let endpoint = world.create(Operation::CreateEndpoint, document);
    for (operation, id) in
        [(Operation::ModifyNetwork, network), (Operation::ModifyEndpoint, endpoint)]
    {
        for request in [
            json!({"ResourceType": "Policy", "RequestType": "Dance"}),
            json!({"ResourceType": "Policy"}),
            json!({"RequestType": "Add"}),
            json!({"ResourceType": "Nonsense", "RequestType": "Add"}),
        ] {
            let (code, path) = world.refuse(operation, Some(id), request.clone());
            assert_eq!(code, HResult::HCN_E_REQUEST_UNSUPPORTED, "{request}");
            assert!(["RequestType", "ResourceType"].contains(&path.as_str()), "{request}: {path}");
        }
    }
}

#[test]
fn a_reboot_takes_what_does_not_persist() {
    let mut world = World::new();
    world.create(Operation::CreateNetwork, nat());
    let internal =
        json!({"Type": "Internal", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.7.0.0/24"}]}]});
    let internal = world.create(Operation::CreateNetwork, internal);
    let namespace = world.create(Operation::CreateNamespace, json!({}));
    let endpoint = world
        .create(Operation::CreateEndpoint, json!({"HostComputeNetwork": internal.to_string()}));
    world.call(Operation::ModifyNamespace, Some(namespace), attach(endpoint)).unwrap();
    let changes = hostcompute_engine::after_reboot(&world.state);
    world.state.apply(&changes);
    assert_eq!(world.state.check(), []);
    assert_eq!(world.state.networks().map(|network| network.id).collect::<Vec<_>>(), [internal]);
    assert_eq!(world.show(Operation::QueryEndpointProperties, endpoint)["State"], 4);
    assert_eq!(world.state.namespaces().count(), 0);
}

#[test]
fn queries_filter_by_either_vocabulary_and_answer_in_the_shape_asked_for() {
    let mut world = World::new();
    let network = world.create(Operation::CreateNetwork, nat());
    let namespace = world.create(Operation::CreateNamespace, json!({}));
    let endpoint = json!({"Name": "a", "HostComputeNetwork": network.to_string()});
    let [first, second] = [0, 1].map(|_| world.create(Operation::CreateEndpoint, endpoint.clone()));
    world.call(Operation::ModifyNamespace, Some(namespace), attach(second)).unwrap();
    let mut ids = |operation, filter: Value| {
        let query = json!({"SchemaVersion": {"Major": 2}, "Filter": filter.to_string()});
        match world.call(operation, None, query).unwrap().reply {
            Reply::Ids(ids) => ids,
            other => panic!("{other:?}"),
        }
    };
    let endpoints = Operation::EnumerateEndpoints;
    assert_eq!(ids(endpoints, json!({})), [first, second]);
    assert_eq!(ids(endpoints, json!({"VirtualNetwork": network.to_upper()})), [first, second]);
    assert_eq!(ids(endpoints, json!({"HostComputeNetwork": network.to_string()})), [first, second]);
    assert_eq!(ids(endpoints, json!({"virtualNetworkName": "web", "State": 2})), [second]);
    assert_eq!(ids(endpoints, json!({"State": 3})), []);
    assert_eq!(ids(endpoints, json!({"ID": first.to_upper(), "Name": "a"})), [first]);
    assert_eq!(ids(endpoints, json!({"ID": ""})), []);
    assert_eq!(ids(endpoints, json!({"Colour": "red"})), []);
    assert_eq!(ids(Operation::EnumerateNetworks, json!({"Type": "NAT", "Flags": 0})), [network]);
    assert_eq!(ids(Operation::EnumerateNamespaces, json!({"Type": "Host"})), [namespace]);

    let mut ask = |query: Value| {
        let reply =
            world.call(Operation::QueryEndpointProperties, Some(first), query).unwrap().reply;
        match reply {
            Reply::Document(document) => document,
            Reply::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let version = |major: u32| json!({"SchemaVersion": {"Major": major, "Minor": 0}});
    let (old, new, both) = (ask(version(1)), ask(version(2)), ask(json!({})));
    assert_eq!(old["IPAddress"], "172.20.0.2");
    assert!(old.get("IpConfigurations").is_none() && new.get("IPAddress").is_none());
    assert!(both.get("IpConfigurations").is_some() && both.get("IPAddress").is_some());
    let bad = json!({"Filter": "{"});
    assert_eq!(world.refuse(endpoints, None, bad), (HResult::HCN_E_INVALID_JSON, "Filter".into()));
}

#[test]
fn the_first_endpoint_of_a_namespace_takes_the_interface_that_the_host_has_ready() {
    let mut world = World::new();
    let network = world.create(Operation::CreateNetwork, nat()).to_string();
    let namespace = world.create(Operation::CreateNamespace, json!({}));
    let ready = PREPARED_INTERFACES.start() + 4;
    world.prepared.insert(namespace, ready);
    let mut join = || {
        let settings = json!({ "HostComputeNetwork": network });
        let endpoint = world.create(Operation::CreateEndpoint, settings);
        let request = attach(endpoint);
        let decision = world.call(Operation::ModifyNamespace, Some(namespace), request).unwrap();
        let of_it = |step| match step {
            Step::Add(Fact::Port(port)) if port.endpoint == endpoint => Some(port),
            _ => None,
        };
        decision.plan.into_iter().find_map(of_it).unwrap()
    };
    let first = join();
    assert_eq!((first.index, first.inner_index), (ready, INNER_INDEX));
    assert_eq!((first.name.as_str(), first.inner_name.as_str()), ("he40000004", "eth0"));
    let second = join();
    assert!(second.index < *PREPARED_INTERFACES.start(), "only one was ready: {}", second.index);
    assert_eq!(join().index, second.index + 2, "what hosts had ready does not change our counting");
}
