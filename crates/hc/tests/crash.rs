//! `hc` dies at any point, another `hc` comes: everything is as if the first had got through, or had never been.

mod sandbox;

use std::process::Stdio;

use sandbox::{Said, Sandbox};

const DOCUMENT: &str = "examples/internal.json";

#[test]
fn making_survives_a_kill_at_every_point() {
    let Some(host) = Sandbox::new() else { return };
    let mut point = 1;
    while host.hc_killed(point, &["up", DOCUMENT]) {
        // The next command, whatever it is, puts things right first.
        host.hc(&["check"]).ok();
        host.hc(&["up", DOCUMENT]).ok();
        host.hc(&["check"]).ok();
        host.hc(&["down", DOCUMENT]).ok();
        assert_eq!(host.remains(), "", "killed at point {point}");
        point += 1;
    }
    assert!(point > 20, "the work has only {point} points: the kill switch does not work");
    host.hc(&["down", DOCUMENT]).ok();
}

#[test]
fn removing_survives_a_kill_at_every_point() {
    let Some(host) = Sandbox::new() else { return };
    let mut point = 1;
    loop {
        host.hc(&["up", DOCUMENT]).ok();
        let killed = host.hc_killed(point, &["down", DOCUMENT]);
        host.hc(&["check"]).ok();
        host.hc(&["down", DOCUMENT]).ok();
        host.hc(&["check"]).ok();
        assert_eq!(host.remains(), "", "killed at point {point}");
        if !killed {
            break;
        }
        point += 1;
    }
    assert!(point > 10, "the work has only {point} points: the kill switch does not work");
}

#[test]
fn commands_that_come_together_queue() {
    let Some(host) = Sandbox::new() else { return };
    let children: Vec<_> = (0..12)
        .map(|_| {
            let mut command = host.inside(env!("CARGO_BIN_EXE_hc"), &["namespace", "create"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
        })
        .collect();
    let ids: std::collections::BTreeSet<String> = children
        .into_iter()
        .map(|child| Said::from(child.wait_with_output().expect("ended")).ok())
        .collect();
    assert_eq!(ids.len(), 12);
    let ids: Vec<&str> = ids.iter().map(|id| id.trim()).collect();
    host.hc(&[&["namespace", "delete"], ids.as_slice()].concat()).ok();
    host.hc(&["check"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn a_directory_that_stays_in_use_is_told_after_the_wait() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["check"]).ok();
    let lock = std::fs::File::open(host.path("state/lock")).expect("made");
    lock.lock().expect("free");
    let said = host.hc(&["--wait", "0", "network", "ls"]).refused(1);
    assert!(said.contains("process ") && said.contains("RPC_S_SERVER_UNAVAILABLE"), "{said}");
}

#[test]
fn a_damaged_state_is_told_in_words() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["check"]).ok();
    // With the log alone the database could still be read.
    std::fs::remove_file(host.path("state/state.sqlite-wal")).expect("a log");
    std::fs::write(host.path("state/state.sqlite"), "garbage".repeat(1000)).expect("written");
    let said = host.hc(&["network", "ls"]).refused(1);
    assert!(said.contains("0x803b001a HCN_E_REGKEY_FAILURE") && said.contains("damaged"), "{said}");
}
