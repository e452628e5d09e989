//! `hc route` and `hc guestservice`: their verbs, what they print in every form, what they say of bad input, and ports that are held as long
//! as the command lasts.

#[macro_use]
mod sandbox;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use sandbox::{Said, Sandbox, hc};
use serde_json::{Value, json};

scenarios! {
    crate::Sandbox::new, crate::Sandbox::served;
    routes_come_are_shown_and_go,
    bad_routes_are_refused_with_their_place,
    guest_services_come_change_and_go,
}

/// A network with an endpoint `port`.
#[track_caller]
fn network(host: &Sandbox) {
    let lan = r#"{"Name":"lan","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}]}"#;
    host.hc_reading(&["network", "create", "-"], lan).ok();
    let port = r#"{"Name":"port"}"#;
    host.hc_reading(&["endpoint", "create", "-", "--network", "lan"], port).ok();
}

#[track_caller]
fn endpoint(host: &Sandbox) -> String {
    host.hc(&["endpoint", "show", "port", "-o", "id"]).ok().trim().to_owned()
}

fn route(endpoint: &str, ways: &Value) -> String {
    json!({"Name": "away", "HostComputeEndpoints": [endpoint], "Routes": ways}).to_string()
}

/// The words of a table's lines, without its first column.
fn words(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().skip(1).collect()).collect()
}

fn routes_come_are_shown_and_go(host: &Sandbox) {
    network(host);
    assert_eq!(host.json(&["route", "ls"]), json!([]));
    assert_eq!(words(&host.hc(&["route", "ls"]).ok()), [["NAME", "DESTINATIONS", "ENDPOINTS"]]);
    let ways = json!([{"DestinationPrefix": "203.0.113.0/24", "NeedEncap": true}]);
    let file = host.file("route.json", &route(&endpoint(host), &ways));
    let id = host.hc(&["route", "create", &file]).ok();
    let id = id.trim();
    assert_eq!(
        words(&host.hc(&["route", "ls"]).ok()),
        [["NAME", "DESTINATIONS", "ENDPOINTS"], ["away", "203.0.113.0/24", "port"]]
    );
    assert_eq!(host.hc(&["route", "ls", "-o", "id"]).ok().trim(), id);
    for name in ["away", id, &id[..8], &id.to_uppercase()] {
        let shown = host.json(&["route", "show", name]);
        assert_eq!(shown["ID"].as_str().map(str::to_lowercase).as_deref(), Some(id), "{name}");
        assert_eq!(shown["Routes"], ways);
    }
    let shown = host.hc(&["route", "show", "away"]).ok();
    assert!(shown.contains("Name: away\n") && shown.contains("203.0.113.0/24"), "{shown}");
    assert_eq!(
        host.json(&["route", "ls", "--filter", r#"{"Name":"away"}"#]).as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(host.json(&["route", "ls", "--filter", r#"{"Name":"other"}"#]), json!([]));
    // Nobody changes a route: it is deleted and made anew.
    let said = host.hc(&["route", "modify", "away", &file]).refused(1);
    assert!(said.contains("E_NOTIMPL") && said.lines().count() == 1, "{said}");
    host.hc(&["check"]).ok();
    host.hc(&["route", "delete", "away"]).ok();
    let said = host.hc(&["route", "delete", "away"]).refused(3);
    assert!(said.contains("0x") && said.lines().count() == 1, "{said}");
    host.hc(&["endpoint", "delete", "port"]).ok();
    host.hc(&["network", "delete", "lan"]).ok();
    assert_eq!(host.remains(), "");
}

fn bad_routes_are_refused_with_their_place(host: &Sandbox) {
    network(host);
    let id = endpoint(host);
    let way = |prefix: &str, hop: &str| json!([{"DestinationPrefix": prefix, "NextHop": hop}]);
    for (document, place) in [
        (route(&id, &way("nonsense", "")), "Routes[0].DestinationPrefix"),
        (route(&id, &way("203.0.113.0/24", "nobody")), "Routes[0].NextHop"),
        (route(&id, &way("203.0.113.0/24", "10.9.0.77")), "Routes[0].NextHop"),
        (route("no-guid", &way("203.0.113.0/24", "")), "HostComputeEndpoints[0]"),
        (
            route("8c5bd2b5-5f7b-4d4e-9b47-7b1f0d1f3a11", &way("203.0.113.0/24", "")),
            "HostComputeEndpoints[0]",
        ),
        (r#"{"HostComputeEndpoints": 7}"#.to_owned(), "HostComputeEndpoints"),
    ] {
        let said = host.hc_reading(&["route", "create", "-"], &document);
        let said = said.refused(1);
        assert!(said.contains(place) && said.contains("0x"), "{document}: {said}");
    }
    host.hc_reading(&["route", "create", "-"], "{").refused(1);
    host.hc(&["route", "create", "/nowhere/route.json"]).refused(1);
    host.hc(&["route", "show", "nobody"]).refused(3);
    assert_eq!(host.json(&["route", "ls"]), json!([]), "nothing of it was kept");
    host.hc(&["endpoint", "delete", "port"]).ok();
    host.hc(&["network", "delete", "lan"]).ok();
    assert_eq!(host.remains(), "");
}

const MACHINE: &str = "0f1f9aa5-9f6f-4b8e-8b60-0e5b5c1e9d01";

fn guest_services_come_change_and_go(host: &Sandbox) {
    assert_eq!(host.json(&["guestservice", "ls"]), json!([]));
    let guest = json!({"Name": "guest", "VirtualMachineId": MACHINE}).to_string();
    let id = host.hc_reading(&["guestservice", "create", "-"], &guest).ok();
    let id = id.trim();
    let heading = ["NAME", "MACHINE", "STATE"];
    let state = |state: &str| {
        let listed = host.hc(&["guestservice", "ls"]).ok();
        assert_eq!(words(&listed), [heading, ["guest", &MACHINE[..8], state]]);
    };
    state("Created");
    let shown = host.json(&["guestservice", "show", "guest"]);
    assert_eq!((&shown["VirtualMachineId"], &shown["State"]), (&json!(MACHINE), &json!(1)));
    let change = |to: &str| {
        json!({"ResourceType": "State", "RequestType": "Update", "Settings": {"State": to}})
            .to_string()
    };
    host.hc_reading(&["guestservice", "modify", "guest", "-"], &change("Synchronized")).ok();
    state("Synchronized");
    for to in ["Created", "Destroyed", "Perhaps"] {
        let said = host.hc_reading(&["guestservice", "modify", "guest", "-"], &change(to));
        assert!(said.refused(1).contains("0x80070057"), "{to}");
    }
    let said = host.hc_reading(&["guestservice", "create", "-"], r#"{"Flags": 64}"#).refused(1);
    assert!(said.contains("Flags") && said.contains("0x803b0015"), "{said}");
    let said = host.hc(&["guestservice", "stats", "guest"]).refused(1);
    assert!(said.contains("0x80004001"), "{said}");
    host.hc(&["guestservice", "stats", "nobody"]).refused(3);
    host.hc(&["guestservice", "delete", &id[..8]]).ok();
    host.hc(&["guestservice", "hold", "guest", "80"]).refused(3);
    host.hc(&["guestservice", "show", "guest"]).refused(3);
    assert_eq!(host.remains(), "");
}

#[test]
fn ports_are_held_as_long_as_the_command_lasts() {
    let Some(host) = Sandbox::served() else { return };
    let guest = json!({"Name": "guest", "VirtualMachineId": MACHINE}).to_string();
    let id = host.hc_reading(&["guestservice", "create", "-"], &guest).ok();
    assert_eq!(host.json(&["guestservice", "ports"]), json!([]));
    let table = host.hc(&["guestservice", "ports"]).ok();
    assert_eq!(words(&table), [["PORTS", "PROTOCOL", "ACCESS", "SERVICE"]]);
    let mut command =
        host.inside(env!("CARGO_BIN_EXE_hc"), &["guestservice", "hold", "guest", "8080"]);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let mut line = String::new();
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("it speaks");
    assert_eq!(line, "8080\n");
    let listed = host.hc(&["guestservice", "ports"]).ok();
    assert_eq!(words(&listed)[1], ["8080", "tcp", "exclusive", &id[..8]]);
    let told = &host.json(&["guestservice", "ports"])[0];
    assert_eq!((&told["StartingPort"], &told["EndingPort"]), (&json!(8080), &json!(8080)));
    // Nobody else gets it: neither another guest's program, nor who publishes it.
    let said = host.hc(&["guestservice", "hold", "guest", "8080", "--shared"]).refused(1);
    assert!(said.contains("0x803b0013"), "{said}");
    network(&host);
    let published = r#"{"Policies":[{"Type":"PortMapping","Settings":{"Protocol":6,"InternalPort":80,"ExternalPort":8080}}]}"#;
    let publish = ["endpoint", "create", "-", "--network", "lan"];
    assert!(host.hc_reading(&publish, published).refused(1).contains("0x803b0013"));
    // Its input ends, and so does it; as it lets go, others get the port.
    drop(holder.stdin.take());
    assert!(holder.wait().expect("ended").success());
    assert_eq!(host.json(&["guestservice", "ports"]), json!([]));
    host.hc_reading(&publish, published).ok();
    // A row of ports of both protocols, and one that several have.
    let row = host.hc(&["guestservice", "hold", "guest", "+10"]).ok();
    let (first, last) = row.trim().split_once('-').expect("a row");
    let number = |text: &str| text.parse::<u16>().expect("a port");
    assert_eq!(number(last) - number(first), 9);
    let shared = ["guestservice", "hold", "guest", "5353", "--protocol", "udp", "--shared"];
    assert_eq!(host.hc(&shared).ok(), "5353\n");
    host.hc(&["network", "delete", "lan"]).ok();
    host.hc(&["guestservice", "delete", "guest"]).ok();
    assert_eq!(host.remains(), "");
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [
        &["route"][..],
        &["route", "create"],
        &["route", "create", "--id", "not-a-guid", "x"],
        &["guestservice"],
        &["guestservice", "hold", "guest"],
        &["guestservice", "hold", "guest", "0"],
        &["guestservice", "hold", "guest", "65536"],
        &["guestservice", "hold", "guest", "+"],
        &["guestservice", "hold", "guest", "80", "--protocol", "sctp"],
    ] {
        Said::of(&mut hc(arguments)).refused(2);
    }
    for arguments in [&["route", "--help"][..], &["guestservice", "hold", "--help"]] {
        assert!(Said::of(&mut hc(arguments)).ok().contains("Usage:"), "{arguments:?}");
    }
}
