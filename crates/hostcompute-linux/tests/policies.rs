//! Policies of networks and endpoints with packets: sets of addresses, rules of networks, tiers, on real namespaces.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::pods::Pods;
use lab::traffic::{tcp, tcp_refused, udp};

trait Reach {
    fn sets(&mut self, how: &str, policies: &Value);
    fn refused(&mut self, how: &str, policies: &Value) -> HResult;
    fn check_reach(&self, to: &str, who: &[usize]);
}

impl Reach for Pods {
    /// Changes the policies of the network.
    #[track_caller]
    fn sets(&mut self, how: &str, policies: &Value) {
        self.node.change_policies(self.network, how, policies);
    }

    fn refused(&mut self, how: &str, policies: &Value) -> HResult {
        let request = json!({"ResourceType": "Policy", "RequestType": how,
            "Settings": {"Policies": policies}});
        self.node.call(Operation::ModifyNetwork, Some(self.network), &request).unwrap_err().hresult
    }

    /// Exactly these of the other two pods reach a port of the first one.
    #[track_caller]
    fn check_reach(&self, to: &str, who: &[usize]) {
        for place in [1, 2] {
            match who.contains(&place) {
                true => assert!(tcp(self.pod(place), to).is_some(), "{place} does not reach {to}"),
                false => assert!(tcp_refused(self.pod(place), to), "{place} reaches {to}"),
            }
        }
    }
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

fn acl(id: &str, action: &str, direction: &str, priority: u16, more: &Value) -> Value {
    let mut settings = json!({
        "Id": id, "Action": action, "Direction": direction, "RuleType": "Switch",
        "Priority": priority, "Protocols": "",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    json!({"Type": "ACL", "Settings": settings})
}

/// What Azure's network policy manager does (hcn.md 5.6): plain sets, nested sets, rules; membership changes; away again in the
/// other order.
#[test]
fn azure_npm_programs_sets_and_rules() {
    let Some(mut pods) = Pods::new() else { return };
    pods.sets(
        "Add",
        &json!([
            set("azure-npm-app-web", "10.77.0.11,fd77::11"),
            set("azure-npm-app-client", "10.77.0.12,fd77::12"),
            set("azure-npm-ns-dev", "10.77.0.0/24,fd77::/64"),
        ]),
    );
    pods.sets("Add", &json!([nested("azure-npm-clients", "azure-npm-app-client")]));
    let open = json!({"Protocols": "256"});
    pods.rules(
        0,
        "Add",
        &json!([
            acl(
                "azure-acl-1",
                "Allow",
                "In",
                222,
                &json!({
                    "Protocols": "6", "LocalPorts": "80", "RemoteAddresses": "azure-npm-app-web",
                    "LocalAddresses": "azure-npm-ns-dev,azure-npm-clients",
                })
            ),
            acl("azure-acl-2", "Block", "In", 3000, &open),
            acl("azure-acl-3", "Allow", "Out", 3000, &open),
        ]),
    );
    pods.node.check();
    // Several sets in one list are an intersection; Local is the source also of what comes in.
    pods.check_reach("10.77.0.11:80", &[1]);
    pods.check_reach("[fd77::11]:80", &[1]);
    pods.check_reach("10.77.0.11:81", &[]);
    assert_eq!(tcp(pods.pod(0), "10.77.0.13:80").unwrap().server, "pod13");

    // A pod gets the label, another loses it: sets change, rules stay.
    pods.sets("Update", &json!([set("azure-npm-app-client", "10.77.0.13")]));
    pods.check_reach("10.77.0.11:80", &[2]);
    pods.check_reach("[fd77::11]:80", &[]);
    pods.sets("Update", &json!([set("azure-npm-ns-dev", "10.77.0.0/29")]));
    pods.check_reach("10.77.0.11:80", &[]);
    pods.sets("Update", &json!([set("azure-npm-ns-dev", "10.77.0.8/29")]));
    pods.node.check();
    pods.check_reach("10.77.0.11:80", &[2]);

    // Named ports: the destination's set says which port of which pod.
    pods.sets(
        "Update",
        &json!([
            set("azure-npm-app-web", "10.77.0.11,tcp:81,10.77.0.11,8080"),
            set("azure-npm-app-client", "10.77.0.12,10.77.0.13"),
        ]),
    );
    pods.node.check();
    pods.check_reach("10.77.0.11:80", &[]);
    pods.rules(
        0,
        "Update",
        &json!([
            acl(
                "azure-acl-1",
                "Allow",
                "In",
                222,
                &json!({
                    "RemoteAddresses": "azure-npm-app-web", "LocalAddresses": "azure-npm-clients",
                })
            ),
            acl("azure-acl-2", "Block", "In", 3000, &open),
        ]),
    );
    pods.check_reach("10.77.0.11:81", &[1, 2]);
    pods.check_reach("10.77.0.11:80", &[]);

    survive(&mut pods);
    take_away(&mut pods);
}

fn survive(pods: &mut Pods) {
    // A process that takes over knows it all; what was taken apart is made again.
    pods.node.restart();
    pods.node.check();
    let table = pods.node.host.exec("nft list sets table inet hostcompute");
    let name = table.lines().find_map(|line| line.trim().strip_prefix("set services_")).unwrap();
    let name = format!("services_{}", name.trim_end_matches(" {"));
    pods.node.host.exec(&format!("nft flush set inet hostcompute {name}"));
    pods.node.repair();
    pods.node.check();
    pods.check_reach("10.77.0.11:81", &[1, 2]);
}

/// Rules, nested sets, sets; nothing else is possible.
fn take_away(pods: &mut Pods) {
    let held = HResult::HCN_E_ENTITY_HAS_REFERENCES;
    assert_eq!(pods.refused("Remove", &json!([set("azure-npm-app-web", "")])), held);
    pods.rules(0, "Update", &json!([{}]));
    assert_eq!(pods.refused("Remove", &json!([set("azure-npm-app-client", "")])), held);
    pods.sets("Remove", &json!([nested("azure-npm-clients", "")]));
    pods.sets(
        "Remove",
        &json!([
            set("azure-npm-app-web", ""),
            set("azure-npm-app-client", ""),
            set("azure-npm-ns-dev", ""),
        ]),
    );
    pods.node.check();
    let left = pods.node.host.exec("nft list sets table inet hostcompute");
    assert!(!left.contains("addresses_") && !left.contains("services_"), "{left}");
    pods.check_reach("10.77.0.11:81", &[1, 2]);
}

#[test]
fn rules_of_a_network_are_those_of_all_its_endpoints() {
    let Some(mut pods) = Pods::new() else { return };
    pods.sets("Add", &json!([set("friends", "10.77.0.12")]));
    let of_network = |id: &str, action: &str, direction: &str, priority: u16, more: &Value| {
        let mut policy = acl(id, action, direction, priority, more);
        policy["Type"] = "NetworkACL".into();
        policy
    };
    let tcp_only = json!({"Protocols": "6"});
    pods.sets(
        "Add",
        &json!([
            of_network("n1", "Block", "In", 100, &json!({"Protocols": "6", "LocalPorts": "81"})),
            of_network("n2", "Allow", "In", 200, &tcp_only),
            of_network("n3", "Block", "Out", 100, &json!({"RemoteAddresses": "10.77.0.13"})),
            of_network("n4", "Allow", "Out", 200, &json!({})),
        ]),
    );
    pods.node.check();
    pods.check_reach("10.77.0.11:80", &[1, 2]);
    pods.check_reach("10.77.0.11:81", &[]);
    assert!(tcp_refused(pods.pod(1), "10.77.0.13:80"));
    assert_eq!(udp(pods.pod(1), "10.77.0.11:53"), None);
    // The endpoint's own rule of the same priority comes after; a smaller one before.
    pods.rules(
        0,
        "Add",
        &json!([
            acl("e1", "Allow", "In", 100, &json!({"Protocols": "6", "LocalPorts": "81"})),
            acl("e2", "Allow", "In", 99, &json!({"Protocols": "17", "LocalAddresses": "friends"})),
        ]),
    );
    pods.check_reach("10.77.0.11:81", &[]);
    assert!(udp(pods.pod(1), "10.77.0.11:53").is_some());
    assert_eq!(udp(pods.pod(2), "10.77.0.11:53"), None);
    pods.sets(
        "Remove",
        &json!([of_network(
            "n1",
            "Block",
            "In",
            100,
            &json!({"Protocols": "6", "LocalPorts": "81"})
        ),]),
    );
    pods.check_reach("10.77.0.11:81", &[1, 2]);
    pods.node.check();
}

#[test]
fn tiers_pass_packets_on() {
    let Some(mut pods) = Pods::new() else { return };
    let tier = |order: u16, direction: &str, rules: Value| {
        json!({"Type": "TierAcl", "Settings": {
            "Name": format!("tier {order}"), "Direction": direction, "Order": order,
            "TierAclRules": rules,
        }})
    };
    let rule = |action: &str, priority: u16, remote: &str, port: &str| {
        json!({"Protocols": "6", "RemoteAddresses": remote, "LocalPorts": port,
            "Priority": priority, "TierAclRuleAction": action})
    };
    // The first tier decides about 10.77.0.12 and passes 10.77.0.13 on, whom the second one blocks on port 81.
    pods.rules(
        0,
        "Update",
        &json!([
            tier(2, "In", json!([rule("Block", 1, "10.77.0.13", "81")])),
            tier(
                1,
                "In",
                json!([
                    rule("Allow", 2, "10.77.0.12", "80"),
                    rule("Block", 3, "10.77.0.12", ""),
                    rule("Pass", 1, "10.77.0.13", ""),
                    rule("Block", 4, "10.77.0.13", ""),
                ])
            ),
        ]),
    );
    pods.node.check();
    pods.check_reach("10.77.0.11:80", &[1, 2]);
    pods.check_reach("10.77.0.11:81", &[]);
    // Nothing but tiers: what none decides passes.
    assert!(udp(pods.pod(1), "10.77.0.11:53").is_some());
    // Switch rules come behind them, and concern only what the tiers did not allow.
    pods.rules(0, "Add", &json!([acl("s", "Block", "In", 10, &json!({}))]));
    pods.check_reach("10.77.0.11:80", &[1]);
    assert_eq!(udp(pods.pod(1), "10.77.0.11:53"), None);
    pods.node.check();
}
