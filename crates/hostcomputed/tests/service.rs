//! The service's own operations over the socket: host documents, long operations, what a running service shows of itself.

mod lab;

use lab::{Machine, Reply};
use serde_json::{Value, json};

#[test]
fn host_documents_are_carried_out_at_once_or_line_by_line() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let web = std::fs::read_to_string(lab::repository().join("examples/web.json")).expect("read");
    let planned = daemon.ask("POST", "/host/diff", &web).ok();
    let made = daemon.ask("POST", "/host/up", &web).ok();
    assert_eq!(made["Steps"].as_array().map(Vec::len), Some(12), "{made}");
    assert_eq!(made["Steps"][0]["Action"], "create");
    assert_eq!(planned["Steps"].as_array().map(Vec::len), Some(12));
    assert_eq!(daemon.ask("POST", "/host/up", &web).ok()["Steps"], json!([]));
    assert_eq!(daemon.ask("GET", "/host/check", "").ok(), json!({ "Findings": [] }));
    let resolved = daemon.ask("GET", "/host/resolve?kind=Endpoint&text=front", "").ok();
    daemon.ask("HEAD", &format!("/endpoints/{}", resolved.as_str().expect("an id")), "").ok();

    // What goes through a port is counted.
    let front = resolved.as_str().expect("an id");
    let place = daemon.ask("GET", "/host/resolve?kind=Namespace&text=front", "").ok();
    let place = format!("/namespaces/{}/place", place.as_str().expect("an id"));
    let netns = daemon.ask("GET", &place, "").ok()["Netns"].as_str().expect("a path").to_owned();
    let inside = format!("--net={netns}");
    machine.output("nsenter", &[&inside, "ping", "-c", "1", "172.28.0.1"]);
    let page = daemon.ask("GET", "/metrics", "").body;
    for way in ["received", "sent"] {
        let name = format!("endpoint_bytes_total{{endpoint=\"{front}\",direction=\"{way}\"}}");
        assert!(lab::metric(&page, &name) > 0, "{page}");
    }

    let files = json!({ "Files": [{ "Name": "web.json", "Text": web }] }).to_string();
    let lines = [("Accept", "application/x-ndjson")];
    let gone = daemon.connect().ask_with("POST", "/host/down", &lines, &files);
    assert_eq!(gone.header("content-type"), Some("application/x-ndjson"));
    let told: Vec<Value> =
        gone.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(told[0], json!({ "Planned": 9 }));
    assert!(told[1..10].iter().all(|line| line["Done"]["Action"] == "delete"), "{told:?}");
    assert_eq!(told[10]["Result"]["Steps"].as_array().map(Vec::len), Some(9));

    let wrong =
        json!({ "Files": [{ "Name": "odd.json", "Text": "{\"Networks\":[{\"Type\":7}]}" }] });
    let problem = daemon.ask("POST", "/host/up", &wrong.to_string());
    assert_eq!((problem.status, &problem.json()["file"]), (400, &json!("odd.json")), "{problem:?}");
    let told = daemon.connect().ask_with("POST", "/host/up", &lines, &wrong.to_string());
    let last: Value =
        serde_json::from_str(told.body.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["Problem"]["file"], "odd.json");
    daemon.stop();
    machine.is_clean();
}

#[track_caller]
fn begun(answer: Reply) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    let place = answer.header("location").expect("a place").to_owned();
    assert!(
        ["Running", "Succeeded"].contains(&answer.json()["State"].as_str().unwrap_or_default())
    );
    place
}

#[test]
fn what_is_not_waited_for_can_be_asked_waited_for_and_followed() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let later = [("Prefer", "respond-async")];
    let web = std::fs::read_to_string(lab::repository().join("examples/web.json")).expect("read");
    let place = begun(daemon.connect().ask_with("POST", "/host/up", &later, &web));
    let mut follower = daemon.connect().listen(&format!("{place}/events"), &[]);
    let heard: Vec<_> = std::iter::from_fn(|| follower.next()).collect();
    assert_eq!(heard.len(), 14, "{heard:?}");
    assert_eq!((&*heard[0].name, &heard[0].data), ("Progress", &json!({ "Planned": 12 })));
    assert_eq!(heard[13].name, "Succeeded");
    let told = daemon.ask("GET", &place, "").ok();
    assert_eq!((&told["State"], &told["Operation"]), (&json!("Succeeded"), &json!("Up")));
    assert_eq!(told["Result"]["Steps"].as_array().map(Vec::len), Some(12));

    // The client that began it need not stay.
    let mut client = daemon.connect();
    let place = begun(client.ask_with("POST", "/networks", &later, r#"{"Name":"lan","Odd":1}"#));
    drop(client);
    let told = daemon.ask("GET", &format!("{place}?wait=60"), "").ok();
    let id = told["Result"].as_str().expect("an id").to_owned();
    assert_eq!(told["Progress"][0]["Tolerated"]["Path"], "Odd");
    daemon.ask("HEAD", &format!("/networks/{id}"), "").ok();
    let place = begun(daemon.connect().ask_with("POST", "/networks", &later, r#"{"Name":"lan"}"#));
    let told = daemon.ask("GET", &format!("{place}?wait=60"), "").ok();
    assert_eq!(
        (&told["State"], &told["Problem"]["name"]),
        (&json!("Failed"), &json!("HCN_E_NETWORK_ALREADY_EXISTS"))
    );
    daemon
        .ask("GET", "/operations/11111111-2222-3333-4444-555555555555", "")
        .refused(404, "ERROR_NOT_FOUND");
    // Reading has nothing to wait for.
    let answer = daemon.connect().ask_with("GET", "/networks", &later, "");
    assert_eq!(answer.status, 200);
    daemon.stop();
}

#[test]
fn a_running_service_shows_itself() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let namespace = daemon.ask("POST", "/namespaces", "{}").id();
    let place = daemon.ask("GET", &format!("/namespaces/{namespace}/place"), "").ok();
    let netns = place["Netns"].as_str().expect("a path");
    assert!(netns.ends_with(&namespace), "{place}");
    let tree = daemon.ask("GET", "/host/inspect", "").ok();
    assert_eq!((&tree["Objects"]["Namespaces"], &tree["Queue"]), (&json!(1), &json!(0)));
    assert_eq!(tree["Sessions"][0]["Right"], "Manage");
    assert_eq!(daemon.ask("GET", "/host/flows?limit=5", "").ok(), json!({ "Flows": [] }));
    assert!(daemon.ask("GET", "/host/doctor", "").ok()["Findings"].is_array());
    let version = daemon.ask("GET", "/version", "").ok();
    assert_eq!(version["Name"], "hostcomputed");
    let metrics = daemon.ask("GET", "/metrics", "");
    assert!(
        metrics.body.contains("hostcompute_objects{kind=\"namespace\"} 1\n"),
        "{}",
        metrics.body
    );
    assert!(
        metrics.body.contains("hostcompute_operations_total{operation=\"CreateNamespace\"} 1\n")
    );
    assert_eq!(daemon.ask("GET", "/healthz", "").body, "ok\n");

    let state = daemon.ask("GET", "/host/state", "").ok();
    assert_eq!(state["Objects"].as_array().map(Vec::len), Some(1));
    daemon.ask("PUT", "/host/state", &state.to_string()).refused(400, "E_INVALIDARG");
    daemon.ask("DELETE", &format!("/namespaces/{namespace}"), "").ok();
    let imported = daemon.ask("PUT", "/host/state", &state.to_string()).ok();
    assert_eq!(imported, json!({ "Objects": 1 }));
    daemon.ask("POST", "/host/repair", "").ok();
    daemon.ask("POST", "/host/settle", "").ok();
    daemon.ask("HEAD", &format!("/namespaces/{namespace}"), "").ok();
    daemon.stop();
}

#[test]
fn who_watches_gets_what_is_newer() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let first = daemon.ask("GET", "/host/topology", "").ok();
    assert_eq!(
        (&first["Complete"], &first["Namespaces"][0]["Type"]),
        (&json!(true), &json!("HostDefault"))
    );
    let namespace = daemon.ask("POST", "/namespaces", "{}").id();
    let revision = |answer: &Value| answer["Revision"].as_str().expect("one").to_owned();
    let after = |known: &str| daemon.ask("GET", &format!("/host/topology?after={known}"), "").ok();
    let second = after(&revision(&first));
    assert_eq!(second["Complete"], json!(false));
    assert_eq!(second["Namespaces"].as_array().map(Vec::len), Some(1), "{second}");
    assert_eq!(after(&revision(&second))["Namespaces"], json!([]));
    daemon.ask("DELETE", &format!("/namespaces/{namespace}"), "").ok();
    assert_eq!(after(&revision(&second))["Removed"], json!([namespace]));
    assert_eq!(after("unknown")["Complete"], json!(true));
    let statistics = daemon.ask("GET", "/host/statistics", "").ok();
    assert!(statistics["Milliseconds"].is_f64() && statistics["Statistics"] == json!([]));
    daemon.stop();
}

#[test]
fn who_watches_sees_a_network_whose_sets_or_remote_subnets_change() {
    let Some(machine) = Machine::new() else { return };
    for line in [
        "link add up0 type veth peer name far0",
        "addr add 192.0.2.1/24 dev up0",
        "link set up0 up",
    ] {
        machine.output("ip", &line.split(' ').collect::<Vec<_>>());
    }
    let daemon = machine.daemon();
    let subnet = json!({ "IpAddressPrefix": "10.77.0.0/24",
        "Policies": [{ "Type": "VSID", "Settings": { "IsolationId": 4096 } }] });
    let overlay = json!({ "Name": "o", "Type": "Overlay", "Ipams": [{ "Subnets": [subnet] }] });
    let network = daemon.ask("POST", "/networks", &overlay.to_string()).id();
    daemon.ask("POST", "/networks", r#"{"Name":"other"}"#).id();
    let known = |after: &str| {
        let answer = daemon.ask("GET", &format!("/host/topology?after={after}"), "").ok();
        let networks = answer["Networks"].as_array().cloned().unwrap_or_default();
        let names: Vec<String> = networks.iter().map(|it| it["Name"].to_string()).collect();
        (answer["Revision"].as_str().expect("one").to_owned(), names)
    };
    let (mut revision, all) = known("");
    assert_eq!(all.len(), 2);
    let set = |values: &str| {
        json!({ "Type": "SetPolicy", "Settings": {
        "Id": "s", "Name": "s", "PolicyType": "IPSET", "Values": values } })
    };
    let route = json!({ "Type": "RemoteSubnetRoute", "Settings": {
        "DestinationPrefix": "10.78.0.0/24", "IsolationId": 4096, "ProviderAddress": "192.0.2.200",
        "DistributedRouterMacAddress": "02-00-00-00-00-07" } });
    let changes = [
        ("Add", set("10.77.0.2")),
        ("Update", set("10.77.0.3")),
        ("Add", route.clone()),
        ("Remove", route),
        ("Remove", set("")),
    ];
    for (how, policy) in changes {
        let request = json!({ "ResourceType": "Policy", "RequestType": how,
            "Settings": { "Policies": [policy] } });
        daemon.ask("PATCH", &format!("/networks/{network}"), &request.to_string()).ok();
        let (now, changed) = known(&revision);
        assert_eq!(changed, ["\"o\""], "{how} {policy}");
        assert_ne!(now, revision);
        revision = now;
    }
    assert_eq!(known(&revision), (revision.clone(), Vec::new()));
    daemon.stop();
}

#[test]
fn the_description_that_is_served_is_the_committed_one() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let served = daemon.ask("GET", "/openapi.json", "").body;
    let committed =
        std::fs::read_to_string(lab::repository().join("docs/api/service.openapi.json"));
    assert!(served == committed.expect("committed"), "docs/api/service.openapi.json differs");
    daemon.stop();
}
