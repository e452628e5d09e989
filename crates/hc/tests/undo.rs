//! `hc run` on a network, somebody who makes or carries the container ended at each of its points: whatever the point, the next commands
//! leave nothing of it.

mod sandbox;

use std::time::{Duration, Instant};

use sandbox::holders::holders;
use sandbox::{Said, Sandbox};
use serde_json::json;

const LAN: &str =
    r#"{"Name":"lan","Type":"NAT","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}]}"#;

#[test]
fn who_wants_a_container_dies_anywhere() {
    at_each_point("HOSTCOMPUTE_KILL_MAKER", 7);
}

#[test]
fn who_makes_its_network_dies_anywhere() {
    at_each_point("HOSTCOMPUTE_KILL_AT", 20);
}

#[test]
fn its_supervisor_dies_anywhere() {
    at_each_point("HOSTCOMPUTE_KILL_SUPERVISOR", 18);
}

#[test]
fn its_first_process_dies_anywhere() {
    at_each_point("HOSTCOMPUTE_KILL_FIRST", 4);
}

/// Runs a container again and again, and lets the process that heeds this variable die at one point after the other, until it dies no
/// more.
#[track_caller]
fn at_each_point(variable: &str, least: usize) {
    if !sandbox::supervisor_was_built() {
        return;
    }
    let Some(host) = Sandbox::new() else { return };
    host.hc_reading(&["network", "create", "-"], LAN).ok();
    // Control groups are the whole machine's: a name that no other test has.
    let id = format!("undo-{}-{}", variable.to_lowercase(), std::process::id());
    let words = ["run", "--host-root", "--name", &id, "--network", "lan", "--", "true"];
    let mut point = 1;
    loop {
        let struck = host.path(&format!("struck-{point}"));
        let value = match variable {
            "HOSTCOMPUTE_KILL_AT" => point.to_string(),
            _ => format!("{point}:{}", struck.display()),
        };
        let mut command = host.inside(env!("CARGO_BIN_EXE_hc"), &words);
        let said = Said::of(command.env(variable, value));
        comes_to_nothing(&host, &id, point);
        // Also who dies when everything was said, or after it has another root, is told.
        if said.status == Some(0) && !struck.exists() {
            break;
        }
        point += 1;
    }
    assert!(point > least, "there are only {point} points: the kill switch does not work");
    host.hc(&["network", "delete", "lan"]).ok();
    assert_eq!(host.remains(), "");
}

/// Who dies takes others along, which takes them a moment.
#[track_caller]
fn comes_to_nothing(host: &Sandbox, id: &str, point: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let left = left(host, id);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "killed at point {point}, left: {}", left.join(", "));
    }
}

fn left(host: &Sandbox, id: &str) -> Vec<String> {
    let mut left = Vec::new();
    let checked = host.hc(&["check"]);
    if checked.status != Some(0) {
        left.push(format!("differences: {}", checked.out));
    }
    left.extend(host.hc(&["ps", "-o", "id"]).ok().lines().map(|id| format!("system {id}")));
    if host.json(&["endpoint", "ls"]) != json!([]) {
        left.push("an endpoint".to_owned());
    }
    if host.json(&["namespace", "ls"]).as_array().map(Vec::len) != Some(1) {
        left.push("a namespace".to_owned());
    }
    let entries = |path: &std::path::Path| -> Vec<std::path::PathBuf> {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let run = host.path("run");
    let made = ["systems", "making"].into_iter().flat_map(|name| entries(&run.join(name)));
    let owed = entries(&run.join("exited")).into_iter().map(|path| path.join("owes"));
    let groups = entries(std::path::Path::new("/sys/fs/cgroup"));
    let groups = groups
        .iter()
        .flat_map(|path| entries(path))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(id)));
    let found = made.chain(owed.filter(|path| path.exists())).chain(groups);
    left.extend(found.map(|path| path.display().to_string()));
    left.extend(holders(&run).into_iter().map(|pid| format!("process {pid}")));
    left
}
