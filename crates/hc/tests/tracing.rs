//! `hc trace --live` that is killed in the middle: what it laid out to see packets is gone with it.

mod sandbox;

use std::process::Stdio;

use sandbox::{Said, Sandbox};
use serde_json::json;

/// Two endpoints, the second of which answers nobody, so that a probe waits.
#[track_caller]
fn silent_pair(host: &Sandbox) {
    let lan = json!({"Name": "lan", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.9.0.0/24"}]}]});
    host.hc_reading(&["network", "create", "-"], &lan.to_string()).ok();
    let silent = json!([{"Type": "ACL", "Settings":
        {"Action": "Block", "Direction": "In", "Priority": 100}}]);
    for (name, policies) in [("a", json!([])), ("b", silent)] {
        let document = json!({"Name": name, "Policies": policies}).to_string();
        host.hc_reading(&["endpoint", "create", "-", "--network", "lan"], &document).ok();
        let namespace = host.hc(&["namespace", "create"]).ok();
        host.hc(&["namespace", "add", namespace.trim(), name]).ok();
    }
}

fn rules(host: &Sandbox) -> String {
    Said::of(&mut host.inside("nft", &["list", "tables"])).ok()
}

/// Kills what `victim` names as soon as the table of a live trace is seen; tried anew where the trace was faster.
#[track_caller]
fn caught(host: &Sandbox, before: &str) {
    for _ in 0..100 {
        let arguments = ["trace", "a", "b", "80/tcp", "--live"];
        let mut command = host.inside(env!("CARGO_BIN_EXE_hc"), &arguments);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut tracer = command.spawn().expect("started");
        while tracer.try_wait().expect("asked").is_none() {
            if rules(host) != before {
                tracer.kill().expect("killed");
                tracer.wait().expect("ended");
                return;
            }
        }
    }
    panic!("no live trace was seen at work");
}

#[test]
fn a_killed_live_trace_leaves_nothing() {
    let Some(host) = Sandbox::new() else { return };
    silent_pair(&host);
    let before = rules(&host);
    let said = Said::of(&mut host.inside("nft", &["list", "ruleset"])).ok();
    caught(&host, &before);
    // The kernel takes the table away with its socket.
    let ruleset = || Said::of(&mut host.inside("nft", &["list", "ruleset"])).ok();
    let mut left = ruleset();
    for _ in 0..1000 {
        if left == said {
            break;
        }
        left = ruleset();
    }
    assert_eq!(left, said);
    assert_eq!(host.hc(&["check"]).status, Some(0));
    host.hc(&["network", "delete", "lan"]).ok();
    for namespace in host.json(&["namespace", "ls"]).as_array().into_iter().flatten() {
        if namespace["Type"] != "HostDefault" {
            host.hc(&["namespace", "delete", namespace["ID"].as_str().unwrap_or_default()]).ok();
        }
    }
    assert_eq!(host.remains(), "");
}
