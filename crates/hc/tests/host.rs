//! The command line on a real kernel: what it prints, how it ends, and that nothing is left behind.

mod sandbox;

use sandbox::{Sandbox, repository};
use serde_json::json;

#[test]
fn the_main_job_comes_repeats_and_goes() {
    let Some(host) = Sandbox::new() else { return };
    let made = host.hc(&["up", "examples/web.json"]).ok();
    assert_eq!(made.lines().count(), 12, "{made}");
    assert_eq!(made.lines().next(), Some("created network web"));
    assert!(made.contains("attached endpoint front to namespace front\n"));
    assert_eq!(host.hc(&["up", "examples/web.json"]).ok(), "nothing to do\n");
    assert_eq!(host.hc(&["diff", "examples/web.json"]).ok(), "everything is there already\n");
    host.hc(&["check"]).ok();
    let tree = host.hc(&["topology"]).ok();
    assert!(
        tree.contains(
            "endpoint front  172.28.0.10 fd28:17::10  in namespace front  [tcp 8080 → 80]"
        ),
        "{tree}"
    );
    let gone = host.hc(&["down", "examples/web.json"]).ok();
    assert_eq!(gone.lines().count(), 9, "{gone}");
    host.hc(&["check"]).ok();
    assert_eq!(host.remains(), "");
    assert_eq!(host.hc(&["down", "examples/web.json"]).ok(), "nothing to do\n");
}

#[test]
fn every_example_comes_together_with_the_others_and_goes() {
    let Some(host) = Sandbox::new() else { return };
    let mut examples: Vec<String> = std::fs::read_dir(repository().join("examples"))
        .expect("examples")
        .map(|entry| entry.expect("readable").path().to_str().expect("text").to_owned())
        .collect();
    examples.sort();
    let files: Vec<&str> = examples.iter().map(String::as_str).collect();
    host.hc(&[&["up"], files.as_slice()].concat()).ok();
    host.hc(&["check"]).ok();
    host.hc(&[&["down"], files.as_slice()].concat()).ok();
    host.hc(&["check"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn objects_by_hand_under_every_name_in_every_form() {
    let Some(host) = Sandbox::new() else { return };
    let id =
        host.hc_reading(&["network", "create", "-"], r#"{"Name":"lan","Type":"Private","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.5.0.0/24"}]}]}"#).ok();
    let id = id.trim();
    for name in ["lan", id, &id[..8], &id.to_uppercase()] {
        assert_eq!(host.hc(&["net", "show", name, "-o", "id"]).ok().trim(), id, "{name}");
    }
    assert_eq!(host.json(&["network", "show", "lan"])["Type"], "Private");
    assert!(host.hc(&["network", "show", "lan"]).ok().contains("Type: Private\n"));
    let table = host.hc(&["network", "ls"]).ok();
    assert_eq!(table.lines().next().map(|line| line.split_whitespace().next()), Some(Some("ID")));
    let namespace = host.hc(&["namespace", "create", "-o", "id"]).ok();
    let endpoint = host.file(
        "endpoint.json",
        r#"{"Name":"port","HostComputeNetwork":"%"}"#.replace('%', id).as_str(),
    );
    host.hc(&["endpoint", "create", &endpoint]).ok();
    host.hc(&["namespace", "add", namespace.trim(), "port"]).ok();
    assert!(
        host.hc(&["namespace", "add", namespace.trim(), "port"]).refused(1).contains("0x803b002b")
    );
    assert_eq!(
        host.json(&["endpoint", "ls", "--filter", r#"{"Name":"port"}"#]).as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(host.json(&["endpoint", "ls", "--filter", r#"{"Name":"other"}"#]), json!([]));
    assert_eq!(
        host.json(&["endpoint", "stats", "port"])["EndpointId"].as_str().map(str::len),
        Some(36)
    );
    host.hc(&["network", "stats", "lan"]).ok();
    host.hc(&["namespace", "remove", namespace.trim(), "port"]).ok();
    host.hc(&["endpoint", "delete", "port"]).ok();
    host.hc(&["namespace", "delete", namespace.trim()]).ok();
    host.hc(&["network", "delete", "lan"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn statuses_tell_what_kind_of_failure_it_was() {
    let Some(host) = Sandbox::new() else { return };
    for arguments in [
        &["network", "show", "nobody"][..],
        &["endpoint", "delete", "nobody"],
        &["namespace", "stats", "nobody"],
        &["loadbalancer", "modify", "nobody", "examples/web.json"],
    ] {
        let said = host.hc(arguments).refused(3);
        assert!(said.contains("0x") && said.lines().count() == 1, "{said}");
    }
    let lan = r#"{"Name":"lan"}"#;
    host.hc_reading(&["network", "create", "-"], lan).ok();
    let said = host.hc_reading(&["network", "create", "-"], lan).refused(1);
    assert!(said.contains("0x803b0010 HCN_E_NETWORK_ALREADY_EXISTS"), "{said}");
    let said = host
        .hc_reading(&["network", "create", "-"], "{ \"Name\": \"x\",\n  \"Ipams\": 7 }")
        .refused(1);
    assert!(said.starts_with("hc: standard input: ") && said.contains("Ipams, 2:3"), "{said}");
    let said =
        host.hc_reading(&["network", "create", "-", "--strict"], r#"{"Nmae":"x"}"#).refused(1);
    assert!(said.contains("Nmae, 1:2") && said.contains("HCN_E_INVALID_JSON"), "{said}");
    let warned = host.hc_reading(&["network", "create", "-"], r#"{"Nmae":"x"}"#);
    assert!(warned.status == Some(0) && warned.err.contains("warning"), "{warned:?}");
}

#[test]
fn a_run_that_fails_half_way_takes_back_what_it_made() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["up", "examples/internal.json"]).ok();
    let before = host.json(&["state", "export"]);
    let clash = r#"{
  "Networks": [{ "Name": "n", "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/24" }] }] }],
  "Namespaces": [{ "Name": "s" }],
  "Endpoints": [
    { "Name": "a", "HostComputeNetwork": "n", "HostComputeNamespace": "s" },
    { "Name": "b", "HostComputeNetwork": "n",
      "IpConfigurations": [{ "IpAddress": "10.99.0.5" }] }
  ]
}"#;
    let said = host.hc(&["up", &host.file("clash.json", clash)]);
    assert!(said.out.contains("created endpoint a"), "{said:?}");
    let err = said.refused(1);
    assert!(err.contains("taking back") && err.contains("clash.json: "), "{err}");
    assert!(
        err.contains("Endpoints[1].IpConfigurations[0]")
            && err.contains("7:")
            && err.contains("0x803b001e"),
        "{err}"
    );
    assert_eq!(host.json(&["state", "export"]), before);
    host.hc(&["check"]).ok();
    host.hc(&["down", "examples/internal.json"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn down_refuses_to_take_bystanders_along() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["up", "examples/internal.json"]).ok();
    host.hc_reading(&["endpoint", "create", "-", "--network", "lab"], r#"{"Name":"guest"}"#).ok();
    let said = host.hc(&["down", "examples/internal.json"]).refused(1);
    assert!(said.contains("guest") && said.contains("HCN_E_ENTITY_HAS_REFERENCES"), "{said}");
    host.hc(&["endpoint", "delete", "guest"]).ok();
    host.hc(&["down", "examples/internal.json"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn a_foreign_hand_is_noticed_and_named() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["up", "examples/internal.json"]).ok();
    let links: serde_json::Value = serde_json::from_str(
        &sandbox::Said::of(&mut host.inside("ip", &["-j", "link", "show", "type", "veth"])).ok(),
    )
    .expect("JSON");
    let link = links[0]["ifname"].as_str().expect("a port");
    sandbox::Said::of(&mut host.inside("ip", &["link", "delete", link])).ok();
    let said = host.hc(&["check"]);
    assert_eq!(said.status, Some(1));
    assert!(said.out.contains(link), "{said:?}");
    host.hc(&["check", "--repair"]).ok();
    assert!(sandbox::Said::of(&mut host.inside("ip", &["link", "show", link])).ok().contains(link));
    host.hc(&["down", "examples/internal.json"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn a_state_goes_out_and_comes_back() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["up", "examples/web.json"]).ok();
    let export = host.hc(&["state", "export"]).ok();
    let said = host.hc_reading(&["state", "import", "-"], &export).refused(1);
    assert!(said.contains("not empty"), "{said}");
    host.hc(&["down", "examples/web.json"]).ok();
    host.hc_reading(&["state", "import", "-"], &export).ok();
    assert_eq!(host.hc(&["up", "examples/web.json"]).ok(), "nothing to do\n");
    host.hc(&["check"]).ok();
    host.hc(&["down", "examples/web.json"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn pictures_and_events_and_the_inside() {
    let Some(host) = Sandbox::new() else { return };
    let said = host.hc(&["up", "--events", "examples/internal.json"]).ok();
    assert!(said.contains("NetworkCreate") && said.contains("NetworkEndpointAttached"), "{said}");
    let picture = host.path("picture.svg");
    host.hc(&["topology", "--svg", picture.to_str().expect("text")]).ok();
    assert!(std::fs::read_to_string(&picture).expect("drawn").contains("lab-a"));
    assert_eq!(host.json(&["inspect"])["Objects"]["Endpoints"], 2);
    host.hc(&["down", "examples/internal.json"]).ok();
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
fn programs_run_inside_with_their_own_status_and_resolver() {
    let Some(host) = Sandbox::new() else { return };
    host.hc(&["up", "examples/web.json"]).ok();
    let inside =
        |command: &[&str]| host.hc(&[&["namespace", "exec", "front", "--"], command].concat());
    assert!(inside(&["ip", "-brief", "address"]).ok().contains("172.28.0.10/24 fd28:17::10/64"));
    assert!(inside(&["cat", "/etc/resolv.conf"]).ok().contains("search web.internal\n"));
    assert_eq!(inside(&["sh", "-c", "exit 7"]).status, Some(7));
    for (program, status) in [("/no/such/program", 127), ("no-such-program", 127), ("/etc", 126)] {
        let said = inside(&[program]).refused(status);
        assert!(said.contains(program) && said.lines().count() == 1, "{said}");
    }
    host.hc(&["namespace", "exec", "nobody", "--", "true"]).refused(3);
    host.hc(&["namespace", "exec", "front"]).refused(2);
    for (address, family) in [("172.28.0.11", "-4"), ("fd28:17::12", "-6"), ("172.28.0.1", "-4")] {
        inside(&["ping", family, "-c", "1", "-W", "5", address]).ok();
    }
    host.hc(&["down", "examples/web.json"]).ok();
    assert_eq!(host.remains(), "");
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
