//! The console's door: who is let in, by which name, to do what. Foreign hands: curl.

mod lab;

use lab::{Daemon, Machine};
use serde_json::{Value, json};

const ADDRESS: &str = "127.0.0.1:8643";

/// Documents as schema 2 has them.
const IN_TWO: &str = "?query=%7B%22SchemaVersion%22%3A%7B%22Major%22%3A2%7D%7D";

/// What curl says of an answer.
struct Told {
    status: String,
    head: String,
    body: String,
}

struct Console {
    machine: Machine,
    daemon: Daemon,
    token: String,
}

impl Console {
    fn new() -> Option<Self> {
        let machine = Machine::new()?;
        let daemon = machine.daemon_with(&format!("[console]\nlisten = \"{ADDRESS}\"\n"));
        let log = daemon.log();
        let (_, rest) =
            log.split_once(&format!("http://{ADDRESS}/#token=")).expect("the address is told");
        let token: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
        Some(Self { machine, daemon, token })
    }

    fn curl(&self, path: &str, more: &[&str]) -> Told {
        let url = format!("http://{ADDRESS}{path}");
        let mut arguments = vec!["--silent", "--max-time", "30", "--include", &url];
        arguments.extend(more);
        let out = self.machine.output("curl", &arguments);
        let (head, body) = out.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").to_owned();
        Told { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    fn ask(&self, path: &str, more: &[&str]) -> Told {
        let bearer = format!("Authorization: Bearer {}", self.token);
        self.curl(path, &[&["--header", &*bearer], more].concat())
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let told = self.ask(path, &[]);
        assert_eq!(told.status, "200", "{}", told.body);
        serde_json::from_str(&told.body).expect("JSON")
    }
}

#[test]
fn without_the_token_there_is_the_empty_page_and_nothing_else() {
    let Some(console) = Console::new() else { return };
    assert_eq!(console.token.len(), 48);
    let page = console.curl("/", &[]);
    assert_eq!(page.status, "200");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(page.head.contains(header), "{}", page.head);
    }
    for path in
        ["/networks", "/events", "/host/topology", "/host/statistics", "/metrics", "/nothing"]
    {
        let refused = console.curl(path, &[]);
        assert_eq!(refused.status, "401", "{path}");
        assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
        assert!(refused.body.contains("0x80070005"), "{}", refused.body);
        assert_eq!(console.curl(path, &["--header", "Authorization: Bearer x"]).status, "401");
    }
    // Neither in the address nor as a cookie.
    assert_eq!(console.curl(&format!("/networks?token={}", console.token), &[]).status, "401");
    console.daemon.stop();
}

#[test]
fn foreign_names_and_foreign_pages_are_refused() {
    let Some(console) = Console::new() else { return };
    for path in ["/", "/networks"] {
        assert_eq!(console.ask(path, &["--header", "Host: evil.example"]).status, "421", "{path}");
        assert_eq!(console.ask(path, &["--header", "Host:"]).status, "421", "{path}");
    }
    assert_eq!(console.ask("/networks", &["--header", "Host: localhost:1"]).status, "200");
    for header in ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        let refused = console.ask("/networks", &["--header", header]);
        assert_eq!(refused.status, "403", "{header}");
        assert!(!refused.head.contains("access-control-allow"));
    }
    console.daemon.stop();
}

#[test]
fn nothing_can_be_changed() {
    let Some(console) = Console::new() else { return };
    assert_eq!(console.ask("/networks", &["--data", "{\"Name\":\"lan\"}"]).status, "405");
    for method in ["DELETE", "PATCH", "PUT"] {
        let path = "/networks/8c5bd2b5-5f7b-4d4e-9b47-7b1f0d1f3a11";
        assert_eq!(console.ask(path, &["--request", method]).status, "405", "{method}");
    }
    for path in ["/host/up", "/host/down", "/host/repair", "/host/settle", "/handles"] {
        let status = console.ask(path, &["--data", "{}"]).status;
        assert!(status == "404" || status == "405", "{path}: {status}");
    }
    assert_eq!(console.json("/networks"), json!([]));
    assert_eq!(console.json("/version")["Name"], "hostcomputed");
    console.daemon.stop();
}

#[test]
fn one_question_tells_what_is_new() {
    let Some(console) = Console::new() else { return };
    let all = console.json("/host/topology");
    assert_eq!((&all["Complete"], &all["Networks"]), (&json!(true), &json!([])));
    let text = |document: &Value| document["Revision"].as_str().expect("a revision").to_owned();
    let lan = json!({ "Name": "lan", "Type": "NAT", "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/24" }] }] });
    let network = console.daemon.ask("POST", "/networks", &lan.to_string()).id();
    let new = console.json(&format!("/host/topology?after={}", text(&all)));
    assert_eq!(new["Complete"], false);
    assert_eq!(new["Networks"], json!([console.json(&format!("/networks/{network}{IN_TWO}"))]));
    assert_eq!(new["Namespaces"], json!([]));
    let nothing = console.json(&format!("/host/topology?after={}", text(&new)));
    assert_eq!((&nothing["Networks"], &nothing["Revision"]), (&json!([]), &new["Revision"]));
    assert_eq!(console.json("/host/statistics")["Revision"], new["Revision"]);

    let port = console
        .daemon
        .ask("POST", &format!("/networks/{network}/endpoints"), "{\"Name\":\"port\"}")
        .id();
    let namespace = console.daemon.ask("POST", "/namespaces", "{}").id();
    let attach = json!({ "ResourceType": "Endpoint", "RequestType": "Add", "Settings": { "EndpointId": port } });
    console.daemon.ask("PATCH", &format!("/namespaces/{namespace}"), &attach.to_string()).ok();
    let statistics = console.json("/host/statistics");
    let own = console.json(&format!("/endpoints/{port}/statistics"));
    assert_eq!(statistics["Statistics"], json!([own]));
    console.daemon.ask("DELETE", &format!("/endpoints/{port}"), "").ok();
    let gone = console.json(&format!("/host/topology?after={}", text(&statistics)));
    assert_eq!(gone["Removed"], json!([port]));
    // The namespace has lost what it held.
    assert_eq!(
        gone["Namespaces"],
        json!([console.json(&format!("/namespaces/{namespace}{IN_TWO}"))])
    );
    // Another run's revisions, or none, bring everything.
    assert_eq!(console.json("/host/topology?after=ffffffff-1")["Complete"], true);
    console.daemon.stop();
}

#[test]
fn a_console_for_other_machines_must_be_wanted() {
    let Some(machine) = Machine::new() else { return };
    let mut command = machine.daemon_command("");
    let refused =
        command.args(["--foreground", "--console", "0.0.0.0:8644"]).output().expect("started");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("console.remote = true"), "{said}");
    let daemon = machine.daemon_with("[console]\nlisten = \"0.0.0.0:8644\"\nremote = true\n");
    assert!(daemon.log().contains("console: http://0.0.0.0:8644/#token="), "{}", daemon.log());
    daemon.stop();
}
