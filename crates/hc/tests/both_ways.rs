//! The same commands, whether `hc` carries the service or asks a running one: what they print, how they end, and that nothing is left
//! behind.

#[macro_use]
mod sandbox;

use sandbox::{Sandbox, examples};
use serde_json::json;

scenarios! {
    crate::Sandbox::new, crate::Sandbox::served;
    the_main_job_comes_repeats_and_goes,
    every_example_comes_together_with_the_others_and_goes,
    objects_by_hand_under_every_name_in_every_form,
    statuses_tell_what_kind_of_failure_it_was,
    a_run_that_fails_half_way_takes_back_what_it_made,
    down_refuses_to_take_bystanders_along,
    a_state_goes_out_and_comes_back,
    pictures_and_events_and_the_inside,
    programs_run_inside_with_their_own_status_and_resolver,
}

fn the_main_job_comes_repeats_and_goes(host: &Sandbox) {
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

fn every_example_comes_together_with_the_others_and_goes(host: &Sandbox) {
    let examples = examples();
    let files: Vec<&str> = examples.iter().map(String::as_str).collect();
    host.hc(&[&["up"], files.as_slice()].concat()).ok();
    host.hc(&["check"]).ok();
    host.hc(&[&["down"], files.as_slice()].concat()).ok();
    host.hc(&["check"]).ok();
    assert_eq!(host.remains(), "");
}

fn objects_by_hand_under_every_name_in_every_form(host: &Sandbox) {
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

fn statuses_tell_what_kind_of_failure_it_was(host: &Sandbox) {
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

fn a_run_that_fails_half_way_takes_back_what_it_made(host: &Sandbox) {
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

fn down_refuses_to_take_bystanders_along(host: &Sandbox) {
    host.hc(&["up", "examples/internal.json"]).ok();
    host.hc_reading(&["endpoint", "create", "-", "--network", "lab"], r#"{"Name":"guest"}"#).ok();
    let said = host.hc(&["down", "examples/internal.json"]).refused(1);
    assert!(said.contains("guest") && said.contains("HCN_E_ENTITY_HAS_REFERENCES"), "{said}");
    host.hc(&["endpoint", "delete", "guest"]).ok();
    host.hc(&["down", "examples/internal.json"]).ok();
    assert_eq!(host.remains(), "");
}

fn a_state_goes_out_and_comes_back(host: &Sandbox) {
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

fn pictures_and_events_and_the_inside(host: &Sandbox) {
    let said = host.hc(&["up", "--events", "examples/internal.json"]).ok();
    assert!(said.contains("NetworkCreate") && said.contains("NetworkEndpointAttached"), "{said}");
    let picture = host.path("picture.svg");
    host.hc(&["topology", "--svg", picture.to_str().expect("text")]).ok();
    assert!(std::fs::read_to_string(&picture).expect("drawn").contains("lab-a"));
    assert_eq!(host.json(&["inspect"])["Objects"]["Endpoints"], 2);
    host.hc(&["down", "examples/internal.json"]).ok();
}

fn programs_run_inside_with_their_own_status_and_resolver(host: &Sandbox) {
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
        // Three: the kernel may still be turning a new link on when the first one leaves.
        inside(&["ping", family, "-c", "3", "-i", "0.2", "-W", "5", address]).ok();
    }
    host.hc(&["down", "examples/web.json"]).ok();
    assert_eq!(host.remains(), "");
}
