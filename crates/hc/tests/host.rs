//! The command line on a real kernel: what it prints, how it ends, and that nothing is left behind.

mod sandbox;

use sandbox::Sandbox;

#[test]
fn a_foreign_hand_is_noticed_and_named() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["up", "examples/internal.json"]).ok();
    let link = host.port();
    sandbox::Said::of(&mut host.inside("ip", &["link", "delete", &link])).ok();
    let said = host.hc(&["check"]);
    assert_eq!(said.status, Some(1));
    assert!(said.out.contains(&link), "{said:?}");
    host.hc(&["check", "--repair"]).ok();
    assert!(
        sandbox::Said::of(&mut host.inside("ip", &["link", "show", &link])).ok().contains(&link)
    );
    host.hc(&["down", "examples/internal.json"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn a_command_in_the_wrong_place_does_not_forget_what_is_alive() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["up", "examples/web.json"]).ok();
    let hc = env!("CARGO_BIN_EXE_hc");
    let said =
        sandbox::Said::of(&mut host.inside("unshare", &["--net", hc, "network", "ls"])).refused(1);
    assert!(said.contains("another network namespace") && said.contains("--state-dir"), "{said}");
    assert_eq!(host.hc(&["up", "examples/web.json"]).ok(), "nothing to do\n");
    host.hc(&["down", "examples/web.json"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn a_host_that_was_made_anew_is_built_anew() {
    let (Some(host), Some(next)) = (Sandbox::new(), Sandbox::new()) else { return };
    host.hc(&["up", "examples/web.json", "examples/internal.json"]).ok();
    // The namespaces of the first host end, its directories stay; the second one takes over.
    let directory = host.path("");
    let kept = next.path("kept");
    std::fs::create_dir_all(&kept).expect("made");
    for file in ["state.sqlite", "state.sqlite-wal"] {
        std::fs::copy(directory.join("state").join(file), kept.join(file)).expect("copied");
    }
    drop(host);
    let kept = kept.to_str().expect("text");
    let said = next.hc(&["--state-dir", kept, "network", "ls"]);
    assert!(said.err.contains("started anew"), "{said:?}");
    let table = said.ok();
    assert!(table.contains("lab") && !table.contains("web"), "{table}");
    next.hc(&["--state-dir", kept, "check"]).ok();
    next.hc(&["--state-dir", kept, "network", "delete", "lab"]).ok();
    assert_eq!(next.remains(), "");
}

#[test]
fn a_state_belongs_to_one_host_namespace_by_its_path() {
    let Some(host) = Sandbox::new() else { return };
    let place = |name: &str| {
        sandbox::Said::of(&mut host.inside("ip", &["netns", "add", name])).ok();
        format!("/run/netns/{name}")
    };
    // `ip netns` keeps its files below /run, of which the sandbox gets one of its own.
    let script = "mount -t tmpfs none /run && mkdir /run/netns";
    sandbox::Said::of(&mut host.inside("sh", &["-c", script])).ok();
    let (one, two) = (place("one"), place("two"));
    host.hc(&["--host-netns", &one, "up", "examples/internal.json"]).ok();
    assert_eq!(host.remains().matches("hb").count(), 0, "nothing of it is in the sandbox itself");
    // The path need not be repeated, and another one is refused.
    assert_eq!(host.hc(&["up", "examples/internal.json"]).ok(), "nothing to do\n");
    assert!(host.hc(&["--host-netns", &two, "network", "ls"]).refused(1).contains(&two));
    host.hc(&["check"]).ok();
    host.hc(&["down", "examples/internal.json"]).ok();
}

#[test]
fn the_doctor_finds_nothing_that_keeps_this_host_from_working() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["doctor"]).ok();
    assert!(host.json(&["doctor"]).is_array());
    for directory in ["state", "run"] {
        assert!(!host.path(directory).exists(), "looking makes no {directory} directory");
    }
    host.hc(&["network", "ls"]).ok();
    host.hc(&["doctor"]).ok();
}

#[test]
fn two_states_do_not_share_one_host() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["up", "examples/web.json"]).ok();
    let other = host.path("other");
    let other = other.to_str().expect("text");
    let elsewhere = |arguments: &[&str]| host.hc(&[&["--state-dir", other], arguments].concat());
    elsewhere(&["network", "ls"]).ok();
    let said = elsewhere(&["up", "examples/internal.json"]).refused(1);
    assert!(said.contains("--repair") && said.contains("not in the state directory"), "{said}");
    host.hc(&["check"]).ok();
    // A lost state: what it left is removed on request, and only then.
    assert!(elsewhere(&["check"]).status == Some(1));
    elsewhere(&["check", "--repair"]).ok();
    assert_eq!(host.remains(), "");
    elsewhere(&["up", "examples/internal.json"]).ok();
    elsewhere(&["down", "examples/internal.json"]).ok();
    assert_eq!(host.remains(), "");
}
