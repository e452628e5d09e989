//! Trace and Probe over the socket: what becomes of a packet by the documents, and what the kernel says of one that is sent; who may ask,
//! and what is wrong with a question.

mod lab;

use lab::{Connection, Daemon, Machine};
use serde_json::{Value, json};

/// Two endpoints of a network in namespaces of their own, the second closed but for port 80, and one that is nowhere.
struct Place {
    machine: Machine,
    daemon: Daemon,
    network: String,
    /// Of endpoints `a` and `b`.
    ids: [String; 2],
}

impl Place {
    #[track_caller]
    fn new() -> Option<Self> {
        let machine = Machine::new()?;
        let daemon = machine.daemon_with("read-group = \"61235\"\n");
        let mut client = daemon.connect();
        let lan =
            json!({"Name": "lan", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.9.0.0/24"}]}]});
        let network = client.ask("POST", "/networks", &lan.to_string()).id();
        let mut endpoint = |name: &str, address: &str, policies: Value| {
            let document = json!({
                "Name": name,
                "IpConfigurations": [{"IpAddress": address}],
                "Policies": policies,
            });
            let path = format!("/networks/{network}/endpoints");
            client.ask("POST", &path, &document.to_string()).id()
        };
        let closed = json!([{"Type": "ACL", "Settings": {
            "Protocols": "6", "LocalPorts": "80", "Action": "Allow", "Direction": "In", "Priority": 100,
        }}]);
        let ids = [endpoint("a", "10.9.0.12", json!([])), endpoint("b", "10.9.0.13", closed)];
        endpoint("nowhere", "10.9.0.14", json!([]));
        for id in &ids {
            let namespace = client.ask("POST", "/namespaces", "{}").id();
            let add = json!({"ResourceType": "Endpoint", "RequestType": "Add",
                "Settings": {"EndpointId": id}});
            let path = format!("/namespaces/{namespace}");
            assert_eq!(client.ask("PATCH", &path, &add.to_string()).status, 204);
        }
        Some(Self { machine, daemon, network, ids })
    }

    #[track_caller]
    fn ask(&self, what: &str, question: &Value) -> Value {
        let body = question.to_string();
        self.daemon.ask("POST", &format!("/host/{what}"), &body).ok()
    }

    /// The end: nothing that was sent has left anything.
    #[track_caller]
    fn end(self) {
        let mut client: Connection = self.daemon.connect();
        let check = client.ask("GET", "/host/check", "").ok();
        assert_eq!(check, json!({"Findings": []}));
        client.ask("POST", "/host/down", "{}");
        drop(client);
        self.daemon.stop();
    }
}

#[test]
fn a_question_is_answered_by_the_documents() {
    let Some(place) = Place::new() else { return };
    let told = place.ask("trace", &json!({"From": "a", "To": "b", "Port": 80}));
    assert_eq!((&told["Reaches"], &told["Source"]), (&json!(true), &json!("10.9.0.12")));
    assert_eq!((&told["Destination"], &told["Protocol"]), (&json!("10.9.0.13:80"), &json!(6)));
    let path = &told["Paths"][0];
    assert_eq!((&path["Endpoint"], &path["SeenAs"]), (&json!(place.ids[1]), &json!("10.9.0.12")));
    assert!(path["Hops"].as_array().is_some_and(|hops| hops.len() > 1), "{path}");
    assert_eq!((&path["Obstacle"], &told["Live"]), (&Value::Null, &Value::Null));
    // By id, and by its beginning; the rule that is missing is named with its document.
    let begun = &place.ids[0][..8];
    for from in [place.ids[0].as_str(), begun, "10.9.0.12"] {
        let told = place.ask("trace", &json!({"From": from, "To": "10.9.0.13", "Port": 81}));
        assert_eq!(told["Reaches"], false, "{from}");
        let obstacle = &told["Paths"][0]["Obstacle"];
        assert_eq!(
            (&obstacle["Object"], &obstacle["ID"]),
            (&json!("endpoint"), &json!(place.ids[1]))
        );
        assert!(obstacle["Message"].as_str().is_some_and(|text| !text.is_empty()), "{obstacle}");
    }
    let told = place.ask("trace", &json!({"From": "a", "To": "nowhere", "Port": 80}));
    assert_eq!(told["Reaches"], false);
    assert!(told["Paths"][0]["Obstacle"].is_object(), "{told}");
    assert!(!place.network.is_empty());
    place.end();
}

#[test]
fn a_probe_tells_what_the_kernel_did() {
    let Some(place) = Place::new() else { return };
    for (port, arrives) in [(80, true), (81, false)] {
        let told = place.ask("probe", &json!({"From": "a", "To": "b", "Port": port}));
        assert_eq!(told["Reaches"], arrives, "by the documents: {told}");
        let live = &told["Live"];
        assert_eq!(live["Passed"], arrives, "by the kernel: {live}");
        // Nobody listens there: what arrives is refused, the rest is met with silence.
        assert_eq!(live["Answered"], arrives, "{live}");
        let steps = live["Steps"].as_array().expect("steps");
        let chains = steps.iter().filter_map(|step| step["Chain"].as_str());
        assert!(chains.clone().any(|chain| chain.starts_with("guard_raw")), "{live}");
        let dropped =
            steps.iter().any(|step| step["Verdict"].as_str().is_some_and(|v| v.contains("drop")));
        assert_eq!(dropped, !arrives, "{live}");
    }
    let rules = place.machine.output("nft", &["list", "tables"]);
    assert_eq!(rules.lines().count(), 1, "only the service's own table is left: {rules}");
    place.end();
}

#[test]
fn who_only_reads_may_ask_and_not_send() {
    let Some(place) = Place::new() else { return };
    let question = json!({"From": "a", "To": "b", "Port": 80}).to_string();
    let reader = ["setpriv", "--reuid=65534", "--regid=65534", "--groups=61235"];
    let ask = |what: &str| {
        let path = format!("http://localhost/host/{what}");
        place.machine.ask_as(&place.daemon, &reader, &["--json", &question, &path])
    };
    let (status, told) = ask("trace");
    assert_eq!((status, &told["Reaches"]), (200, &json!(true)));
    let (status, problem) = ask("probe");
    assert_eq!((status, &problem["hresult"]), (403, &json!("0x80070005")), "{problem}");
    place.end();
}

#[test]
fn bad_questions_are_refused_with_their_place() {
    let Some(place) = Place::new() else { return };
    let mut client = place.daemon.connect();
    for what in ["trace", "probe"] {
        let path = format!("/host/{what}");
        for (question, status, at) in [
            (json!({"To": "b", "Port": 80}), 400, "From"),
            (json!({"From": "a", "Port": 80}), 400, "To"),
            (json!({"From": "nobody", "To": "b", "Port": 80}), 404, "'nobody'"),
            (json!({"From": "a", "To": "nobody", "Port": 80}), 404, "'nobody'"),
            (json!({"From": "a", "To": "b", "Port": "many"}), 400, "Port"),
            (json!({"From": "a", "To": "b", "Port": 80, "Protocol": 4711}), 400, "Protocol"),
        ] {
            let answer = client.ask("POST", &path, &question.to_string());
            let problem = answer.json();
            assert_eq!(answer.status, status, "{what} {question}: {problem}");
            // The member, or the end that nobody is, as it was called.
            let told =
                [&problem["path"], &problem["detail"]].map(|told| told.as_str().unwrap_or(""));
            assert!(told[0] == at || told[1].starts_with(at), "{what} {question}: {problem}");
            assert!(problem["hresult"].is_string() && problem["detail"].is_string(), "{problem}");
        }
        assert_eq!(client.ask("POST", &path, "{").status, 400);
        assert_eq!(client.ask("GET", &path, "").status, 405);
    }
    drop(client);
    place.end();
}
