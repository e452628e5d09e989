//! The older interface (HNSCall) over HTTP: what it answers is what the crate's own door answers, and rights are those of the calls that it
//! is made of.

mod lab;

use hostcompute::schema::ServiceOperation;
use hostcompute::transport::Ask;
use hostcompute::{HResult, Host};
use lab::Machine;
use serde_json::{Value, json};

/// A group that no system gives to anybody.
const READERS: &str = "61235";

const CONFIGURATION: &str = "read-group = \"61235\"\n";

fn call(method: &str, path: &str, document: &Value) -> String {
    json!({"Method": method, "Path": path, "Document": document}).to_string()
}

#[test]
fn it_answers_as_the_door_of_the_libraries_does() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mut client = daemon.connect();
    let mut ask = |method, path: &str, document: &Value| {
        client.ask("POST", "/hns", &call(method, path, document)).ok()
    };
    let version = ask("GET", "/globals/version", &Value::Null);
    assert_eq!((&version["Success"], &version["Output"]["Major"]), (&json!(true), &json!(15)));

    let subnets = json!([{"AddressPrefix": "10.66.0.0/24", "GatewayAddress": "10.66.0.1"}]);
    let settings = json!({"Name": "older", "Type": "nat", "Subnets": subnets});
    let made = ask("POST", "/networks/", &settings);
    let id = made["Output"]["ID"].as_str().expect("an id").to_owned();
    // The same words as a text, as HNSCall has them.
    let again = ask("POST", "/networks/", &settings.to_string().into());
    assert_eq!(again["ErrorCode"], HResult::HCN_E_NETWORK_ALREADY_EXISTS.0, "{again}");

    let host = Host::connect(machine.path("run/hostcompute.sock")).expect("connected");
    for (method, path, document) in [
        ("GET", "/networks/", String::new()),
        ("GET", &*format!("/networks/{id}"), String::new()),
        ("POST", "/networks/", "{".to_owned()),
        ("GET", "/nothing", String::new()),
        ("GET", "/networks/no-guid", String::new()),
    ] {
        let told = ask(method, path, &document.clone().into());
        assert_eq!(told, host.hns_call(method, path, &document), "{method} {path}");
        let document = call(method, path, &document.into());
        let asked = Ask { document: &document, ..Ask::plain(ServiceOperation::CallOlder) };
        assert_eq!(host.serve(&asked).expect("told"), told);
    }
    assert_eq!(ask("DELETE", &format!("/networks/{id}"), &Value::Null), json!({"Success": true}));
    let gone = ask("DELETE", &format!("/networks/{id}"), &Value::Null);
    assert_eq!(gone["Success"], false, "{gone}");

    client.ask("POST", "/hns", r#"{"Path": "/networks"}"#).refused(400, "E_INVALIDARG");
    client.ask("POST", "/hns", "{").refused(400, "HCN_E_INVALID_JSON");
    drop((client, host));
    daemon.stop();
    machine.is_clean();
}

#[test]
fn management_addresses_are_kept_over_a_restart() {
    let Some(machine) = Machine::new() else { return };
    let list = r#"{"MacAddressList":[{"MacAddress":"00-15-5D-0A-B7-C6"}]}"#;
    let connected = || Host::connect(machine.path("run/hostcompute.sock")).expect("connected");
    let daemon = machine.daemon();
    let told = connected().hns_call("POST", "/accelnet/", list);
    assert_eq!(told["Output"], serde_json::from_str::<Value>(list).expect("JSON"), "{told}");
    daemon.stop();
    let daemon = machine.daemon();
    assert_eq!(connected().hns_call("GET", "/accelnet/", ""), told);
    daemon.stop();
}

#[test]
fn who_may_only_look_looks() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(CONFIGURATION);
    let groups = format!("--groups={READERS}");
    let reader = ["setpriv", "--reuid=65534", "--regid=65534", &groups];
    let stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let ask = |words: &[&str], method, path| {
        let body = call(method, path, &json!({"Name": "a"}));
        machine.ask_as(&daemon, words, &["--json", &body, "http://localhost/hns"])
    };
    assert_eq!(ask(&reader, "GET", "/networks/"), (200, json!({"Success": true, "Output": []})));
    let (status, refused) = ask(&reader, "POST", "/networks/");
    assert_eq!((status, &refused["Success"]), (200, &json!(false)));
    assert_eq!(refused["ErrorCode"], HResult::E_ACCESSDENIED.0, "{refused}");
    let (status, problem) = ask(&stranger, "GET", "/networks/");
    assert_eq!((status, &problem["name"]), (403, &json!("E_ACCESSDENIED")));
    assert_eq!(ask(&reader, "DELETE", "/accelnet/").1["ErrorCode"], HResult::E_ACCESSDENIED.0);
    assert_eq!(ask(&reader, "GET", "/accelnet/"), (200, json!({"Success": true, "Output": {}})));
    // Nothing came of it.
    assert_eq!(machine.ask_as(&daemon, &["env"], &["http://localhost/networks"]).1, json!([]));
    daemon.stop();
}
