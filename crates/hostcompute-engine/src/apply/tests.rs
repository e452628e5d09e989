//! Host documents against a state: what is made, what a second run leaves alone, what is changed in place, what is refused.

extern crate std;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::HResult;
use serde_json::{Value, json};

use super::*;
use crate::decide;
use crate::host::{Surroundings, Uplink};
use crate::request::Context;
use crate::state::State;

/// A state, and numbers that look random.
#[derive(Default)]
struct World {
    state: State,
    seed: u64,
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

impl World {
    fn call(&mut self, call: &Call) -> Result<(), Failure> {
        let seed = &mut self.seed;
        let uplink = Uplink {
            name: "up0".into(),
            mtu: 1500,
            addresses: Vec::from(["192.0.2.1/24".parse().expect("a constant prefix")]),
            ..Uplink::default()
        };
        let surroundings = Surroundings { uplinks: Vec::from([uplink]), ..Surroundings::default() };
        let mut context = Context {
            random: &mut || next(seed),
            surroundings: &surroundings,
            prepared: &|_| None,
            strict: true,
        };
        decide(&mut self.state, &call.request(), &mut context).map(drop)
    }

    fn plan_up(&mut self, texts: &[&str]) -> Result<Vec<Task>, Refusal> {
        let sources = sources(texts);
        let wishes = read(&sources)?;
        let seed = &mut self.seed;
        let mut fresh = || Guid::from_random(u128::from(next(seed)) << 64 | u128::from(next(seed)));
        up(&wishes, &sources, &self.state, &[], &mut fresh).map(|plan| plan.tasks)
    }

    /// Plans, carries out, and says what was done.
    #[track_caller]
    fn up(&mut self, document: &Value) -> Vec<String> {
        let tasks = self.plan_up(&[&document.to_string()]).expect("a plan");
        tasks
            .iter()
            .map(|task| {
                self.call(&task.call).unwrap_or_else(|failure| panic!("{task:?}: {failure}"));
                format!("{:?} {} {} {}", task.action, task.kind, task.name, task.detail)
                    .trim()
                    .to_string()
            })
            .collect()
    }

    #[track_caller]
    fn down(&mut self, document: &Value) -> Vec<String> {
        let text = document.to_string();
        let sources = sources(&[&text]);
        let wishes = read(&sources).expect("wishes");
        let tasks = down(&wishes, &sources, &self.state).expect("a plan");
        tasks
            .iter()
            .map(|task| {
                self.call(&task.call).expect("deleted");
                format!("{} {}", task.kind, task.name)
            })
            .collect()
    }
}

fn sources<'a>(texts: &[&'a str]) -> Vec<Source<'a>> {
    texts.iter().map(|text| Source { name: "file", text }).collect()
}

fn web() -> Value {
    json!({
        "Networks": [{ "Name": "web", "Type": "NAT", "Ipams": [{ "Subnets": [
            { "IpAddressPrefix": "10.1.0.0/24", "Routes": [{ "NextHop": "10.1.0.1", "DestinationPrefix": "0.0.0.0/0" }] },
        ] }] }],
        "Namespaces": [{ "Name": "front" }],
        "Endpoints": [
            { "Name": "front", "HostComputeNetwork": "web", "HostComputeNamespace": "front", "Policies": [
                { "Type": "PortMapping", "Settings": { "Protocol": "TCP", "InternalPort": 80, "ExternalPort": 8080 } },
            ] },
            { "Name": "back", "HostComputeNetwork": "web", "macaddress": "00:15:5d:00:00:09" },
        ],
        "LoadBalancers": [{ "Name": "api", "HostComputeEndpoints": ["back"], "FrontendVIPs": ["10.96.0.1"],
            "PortMappings": [{ "Protocol": 6, "ExternalPort": 80, "InternalPort": 8080 }] }],
    })
}

/// The document with one value replaced.
fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    *document.pointer_mut(pointer).expect("a member to replace") = value;
    document
}

#[test]
fn everything_is_made_in_order_and_a_second_run_does_nothing() {
    let mut world = World::default();
    assert_eq!(
        world.up(&web()),
        [
            "Create network web",
            "Create namespace front",
            "Create endpoint front",
            "Attach endpoint front namespace front",
            "Create endpoint back",
            "Create load balancer api",
        ]
    );
    assert_eq!(world.state.check(), []);
    assert_eq!(world.up(&web()), Vec::<String>::new());
}

#[test]
fn down_removes_exactly_what_was_named() {
    let mut world = World::default();
    world.up(&web());
    world.up(&json!({ "Networks": [{ "Name": "other", "Type": "Private" }] }));
    let done = world.down(&web());
    assert_eq!(
        done,
        ["load balancer api", "endpoint back", "endpoint front", "namespace front", "network web"]
    );
    assert_eq!(world.state.networks().count(), 1);
    assert_eq!(world.down(&web()), Vec::<String>::new());
}

#[test]
fn bystanders_keep_their_network_namespace_and_backends() {
    let mut world = World::default();
    world.up(&web());
    world.up(&json!({ "Endpoints": [{ "Name": "extra", "HostComputeNetwork": "web" }] }));
    let blamed = |document: Value, world: &World| {
        let text = document.to_string();
        let sources = sources(&[&text]);
        let refusal =
            down(&read(&sources).expect("wishes"), &sources, &world.state).expect_err("refused");
        assert_eq!(refusal.failure.hresult, HResult::HCN_E_ENTITY_HAS_REFERENCES);
        refusal.failure.path.unwrap_or_default()
    };
    assert_eq!(blamed(web(), &world), "Networks[0]");
    assert_eq!(blamed(json!({ "Namespaces": [{ "Name": "front" }] }), &world), "Namespaces[0]");
    let back = json!({ "Endpoints": [{ "Name": "back", "HostComputeNetwork": "web" }] });
    assert_eq!(blamed(back, &world), "Endpoints[0]");
}

#[test]
fn policies_and_backends_are_changed_in_place() {
    let mut world = World::default();
    world.up(&web());
    let port = "/Endpoints/0/Policies/0/Settings/ExternalPort";
    assert_eq!(
        world.up(&with(web(), port, json!(9090))),
        ["Modify endpoint front Policies (PortMapping)"]
    );
    let none = with(web(), "/Endpoints/0/Policies", json!([]));
    assert_eq!(world.up(&none), ["Modify endpoint front Policies (PortMapping)"]);
    let front = &world.state.endpoints().next().expect("front").document;
    assert!(front.policies.is_empty());
    let both =
        with(none.clone(), "/LoadBalancers/0/HostComputeEndpoints", json!(["back", "front"]));
    assert_eq!(world.up(&both), ["Modify load balancer api HostComputeEndpoints"]);
    assert_eq!(world.up(&both), Vec::<String>::new());
}

#[test]
fn an_endpoint_moves_to_the_namespace_that_the_file_names() {
    let mut world = World::default();
    world.up(&web());
    let mut moved = with(web(), "/Endpoints/0/HostComputeNamespace", json!("second"));
    moved["Namespaces"].as_array_mut().expect("a list").push(json!({ "Name": "second" }));
    assert_eq!(
        world.up(&moved),
        [
            "Create namespace second",
            "Detach endpoint front namespace front",
            "Attach endpoint front namespace second",
        ]
    );
    let host = with(web(), "/Endpoints/0/HostComputeNamespace", json!("HostDefault"));
    world.up(&with(host.clone(), "/Endpoints/0/Policies", json!([])));
    assert_eq!(world.state.attached(crate::network::namespace::HOST_DEFAULT).count(), 1);
}

#[test]
fn taking_back_in_reverse_leaves_the_state_as_it_was() {
    let mut world = World::default();
    world.up(&web());
    let before: Vec<_> = world.state.facts();
    let changed = with(
        web(),
        "/Endpoints/0/Policies",
        json!([
            { "Type": "QOS", "Settings": { "MaximumOutgoingBandwidthInBytes": 1000 } },
        ]),
    );
    let changed = with(changed, "/LoadBalancers/0/PortMappings/0/InternalPort", json!(9999));
    let tasks = world.plan_up(&[&changed.to_string()]).expect("a plan");
    assert_eq!(tasks.len(), 3);
    tasks.iter().for_each(|task| world.call(&task.call).expect("done"));
    assert_ne!(world.state.facts(), before);
    for call in tasks.iter().rev().flat_map(|task| &task.back) {
        world.call(call).expect("taken back");
    }
    assert_eq!(world.state.facts(), before);
}

#[test]
fn files_may_refer_to_each_other_in_any_order() {
    let endpoint = r#"{"Endpoints":[{"Name":"e","HostComputeNetwork":"n"}]}"#;
    let network = r#"{"Networks":[{"Name":"n"}]}"#;
    let tasks = World::default().plan_up(&[endpoint, network]).expect("a plan");
    assert_eq!(tasks.iter().map(|task| task.origin.source).collect::<Vec<_>>(), [1, 0]);
}

#[track_caller]
fn refuse(world: &mut World, document: &str, code: HResult, path: &str) {
    let refusal = world.plan_up(&[document]).expect_err("refused");
    assert_eq!(
        (refusal.failure.hresult, refusal.failure.path.as_deref()),
        (code, Some(path)),
        "{refusal:?}"
    );
    assert!(refusal.failure.position.is_some(), "{refusal:?}");
}

#[test]
fn mistakes_are_told_with_their_place() {
    let world = &mut World::default();
    let check = |world: &mut World, list: &str, code, path| {
        refuse(world, &format!("{{{list}}}"), code, path)
    };
    check(world, r#""Networks": 3"#, HResult::HCN_E_INVALID_JSON, "Networks");
    check(world, r#""Networks": [3]"#, HResult::HCN_E_INVALID_JSON, "Networks[0]");
    check(world, r#""Networks": [{}]"#, HResult::E_INVALIDARG, "Networks[0]");
    check(
        world,
        r#""Networks": [{"ID": "x"}]"#,
        HResult::HCN_E_GUID_CONVERSION_FAILURE,
        "Networks[0].ID",
    );
    check(
        world,
        r#""Networks": [{"Name": "a"}, {"Name": "a"}]"#,
        HResult::ERROR_ALREADY_EXISTS,
        "Networks[1]",
    );
    check(world, r#""Routes": [{}]"#, HResult::E_INVALIDARG, "Routes[0]");
    check(
        world,
        r#""Endpoints": [{"Name": "e", "HostComputeNetwork": "nowhere"}]"#,
        HResult::HCN_E_NETWORK_NOT_FOUND,
        "Endpoints[0].HostComputeNetwork",
    );
    check(
        world,
        r#""Endpoints": [{"Name": "e"}]"#,
        HResult::E_INVALIDARG,
        "Endpoints[0].HostComputeNetwork",
    );
    check(
        world,
        r#""LoadBalancers": [{"Name": "l", "HostComputeEndpoints": ["nobody"]}]"#,
        HResult::HCN_E_ENDPOINT_NOT_FOUND,
        "LoadBalancers[0].HostComputeEndpoints[0]",
    );
}

#[test]
fn what_cannot_be_changed_in_place_is_refused() {
    let world = &mut World::default();
    world.up(&web());
    let check = |world: &mut World, pointer: &str, value: Value, path: &str| {
        let text = with(web(), pointer, value).to_string();
        refuse(world, &text, HResult::HCN_E_REQUEST_UNSUPPORTED, path);
    };
    check(world, "/Networks/0/Type", json!("Private"), "Networks[0].Type");
    world.up(&json!({ "Networks": [{ "Name": "back", "Type": "Private" }] }));
    check(world, "/Networks/0", json!({ "Name": "back", "Type": "NAT" }), "Networks[0].Type");
    check(
        world,
        "/Networks/0/Ipams/0/Subnets/0/IpAddressPrefix",
        json!("10.2.0.0/24"),
        "Networks[0].Ipams[0].Subnets[0].IpAddressPrefix",
    );
    check(world, "/Endpoints/1/macaddress", json!("00:15:5d:00:00:0a"), "Endpoints[1].MacAddress");
}

#[test]
fn a_failure_of_a_request_is_told_in_terms_of_the_file() {
    let text = r#"{
  "Networks": [
    { "Name": "n", "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "nonsense" }] }] }
  ]
}"#;
    let mut world = World::default();
    let tasks = world.plan_up(&[text]).expect("a plan");
    let failure = world.call(&tasks[0].call).expect_err("refused");
    let refusal = tasks[0].blame(failure, text);
    assert_eq!(refusal.failure.hresult, HResult::HCN_E_INVALID_PREFIX);
    assert_eq!(
        refusal.failure.path.as_deref(),
        Some("Networks[0].Ipams[0].Subnets[0].IpAddressPrefix")
    );
    assert_eq!(refusal.failure.position.map(|position| position.line), Some(3));
}

#[track_caller]
fn systems_of(document: &Value, present: &[PresentSystem]) -> Result<Vec<SystemTask>, Refusal> {
    let text = document.to_string();
    let sources = sources(&[&text]);
    let wishes = read(&sources)?;
    let mut fresh = || Guid::from_random(7);
    up(&wishes, &sources, &State::default(), present, &mut fresh).map(|plan| plan.systems)
}

fn system(container: Value) -> Value {
    json!({ "ComputeSystems": [{ "Id": "Web", "Owner": "t", "Container": container, "Processes": null }] })
}

fn there(container: Value) -> Vec<PresentSystem> {
    let document = json!({ "Owner": "t", "Container": container });
    Vec::from([PresentSystem { id: "web".into(), document }])
}

#[test]
fn a_system_that_is_there_stays_when_it_is_the_same_and_is_not_replaced_when_it_is_not() {
    let memory = |size: u32| json!({ "Memory": { "SizeInMB": size } });
    let made = systems_of(&system(memory(64)), &[]).expect("a plan");
    assert_eq!((made.len(), &*made[0].id), (1, "Web"));
    assert_eq!(made[0].document, json!({ "Owner": "t", "Container": memory(64) }).to_string());
    assert_eq!(systems_of(&system(memory(64)), &there(memory(64))), Ok(Vec::new()));
    for (wanted, present) in
        [(memory(64), memory(32)), (json!({}), memory(32)), (memory(32), json!({}))]
    {
        let refused = systems_of(&system(wanted), &there(present)).expect_err("another");
        assert_eq!(refused.failure.hresult, HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
        let path = refused.failure.path.expect("a place");
        assert!(path.starts_with("ComputeSystems[0].Container"), "{path}");
    }
}

#[test]
fn systems_that_cannot_be_told_apart_or_refer_to_nothing_are_refused() {
    let twice = json!({ "ComputeSystems": [{ "Id": "a" }, { "Id": "A" }] });
    let code = |document: &Value| {
        let failure = systems_of(document, &[]).expect_err("refused").failure;
        (failure.hresult, failure.path.unwrap_or_default())
    };
    assert_eq!(code(&twice), (HResult::HCS_E_SYSTEM_ALREADY_EXISTS, "ComputeSystems[1]".into()));
    let nameless = json!({ "ComputeSystems": [{ "Id": "" }] });
    assert_eq!(code(&nameless), (HResult::E_INVALIDARG, "ComputeSystems[0]".into()));
    let lost = system(json!({ "Networking": { "Namespace": "nowhere" } }));
    assert_eq!(code(&lost).1, "ComputeSystems[0].Container.Networking.Namespace");
}

#[test]
fn an_overlay_learns_what_is_behind_other_hosts_and_keeps_what_others_told_it() {
    let mut world = World::default();
    let behind = |n: u8| {
        json!({"Type": "RemoteSubnetRoute", "Settings": {
            "DestinationPrefix": format!("10.244.{n}.0/24"), "IsolationId": 4096,
            "ProviderAddress": format!("192.0.2.{n}"),
            "DistributedRouterMacAddress": format!("02:68:c0:00:02:0{n}"),
        }})
    };
    let document = |policies: &[Value]| {
        json!({"Networks": [{
            "Name": "o", "Type": "Overlay", "Policies": policies,
            "Ipams": [{"Subnets": [{
                "IpAddressPrefix": "10.244.1.0/24",
                "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 4096}}],
            }]}],
        }]})
    };
    assert_eq!(world.up(&document(&[behind(2)])), ["Create network o"]);
    assert!(world.up(&document(&[behind(2)])).is_empty());
    let more = world.up(&document(&[behind(3), behind(2)]));
    assert_eq!(more, ["Modify network o Policies (1 more)"]);
    assert!(world.up(&document(&[])).is_empty());
    let port = json!({"Type": "VxlanPort", "Settings": {"Port": 8472}});
    let refused = world.plan_up(&[&document(&[port]).to_string()]).unwrap_err();
    assert_eq!(refused.failure.hresult, HResult::HCN_E_REQUEST_UNSUPPORTED);
}

#[test]
fn policies_of_a_network_become_what_the_file_says() {
    let set = |values: &str| {
        json!({"Type": "SetPolicy", "Settings": {
            "Id": "friends", "Name": "friends", "PolicyType": "IPSET", "Values": values,
        }})
    };
    let rule = |id: &str, action: &str| {
        json!({"Type": "NetworkACL", "Settings": {
            "Id": id, "Action": action, "Direction": "In", "RuleType": "Switch", "Priority": 100,
        }})
    };
    let route = |provider: &str| {
        json!({"Type": "RemoteSubnetRoute", "Settings": {
            "DestinationPrefix": "10.9.0.0/16", "IsolationId": 4096, "ProviderAddress": provider,
            "DistributedRouterMacAddress": "02-00-00-00-00-07",
        }})
    };
    let host = |policies: Value| {
        json!({"Networks": [{
            "Name": "o", "Type": "Overlay", "Policies": policies,
            "Ipams": [{"Subnets": [{
                "IpAddressPrefix": "10.1.0.0/24",
                "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 4096}}],
            }]}],
        }]})
    };
    let mut world = World::default();
    world.up(&host(json!([set("10.1.0.2"), rule("a", "Allow"), route("192.0.2.7")])));
    let others = host(json!([
        set("10.1.0.2,10.1.0.3"),
        rule("a", "Block"),
        rule("b", "Allow"),
        route("192.0.2.8"),
        {"Type": "HostRoute"},
    ]));
    let done = world.up(&others);
    assert_eq!(
        done,
        ["Modify network o Policies (1 more)", "Modify network o Policies (3 others)"]
    );
    assert_eq!(world.up(&others), Vec::<String>::new(), "it is as the file says");
    // What a file does not name stays, and a spelling is no difference.
    let spelled = json!([{"type": "SetPolicy", "settings": {
        "id": "friends", "name": "friends", "policytype": 0, "values": "10.1.0.2,10.1.0.3",
    }}]);
    assert_eq!(world.up(&host(spelled)), Vec::<String>::new());
    // Undone, everything is as before.
    let text = host(json!([set("10.1.0.4"), rule("b", "Block")])).to_string();
    for task in world.plan_up(&[&text]).expect("a plan") {
        world.call(&task.call).expect("it is done");
        task.back.iter().for_each(|call| world.call(call).expect("it is undone"));
    }
    assert_eq!(world.up(&others), Vec::<String>::new());
}
