//! A connection is a session: it owns handles, other connections may work in it, and all that it holds goes with it.

mod lab;

use std::process::{Command, Stdio};

use lab::{Connection, Daemon, Machine};
use serde_json::json;

const LAN: &str = r#"{"Name":"lan"}"#;

#[test]
fn handles_belong_to_their_session_and_go_stale_with_their_object() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let (mut mine, mut other) = (daemon.connect(), daemon.connect());
    let id = mine.ask("POST", "/networks", LAN).id();
    let wanted = json!({ "Kind": "Network", "Id": id }).to_string();
    let opened = mine.ask("POST", "/handles", &wanted);
    let place = opened.header("location").expect("a place").to_owned();
    let number = opened.ok()["Handle"].as_u64().expect("a number");
    assert_eq!(place, format!("/handles/{number}"));
    let all = mine.ask("GET", "/handles", "").ok();
    assert_eq!(all["Handles"], json!([{ "Handle": number, "Kind": "Network", "Id": id }]));
    assert_eq!(other.ask("GET", "/handles", "").ok()["Handles"], json!([]));
    other.ask("DELETE", &place, "").refused(404, "E_HANDLE");
    assert_eq!(mine.ask("DELETE", &place, "").status, 204);
    mine.ask("DELETE", &place, "").refused(404, "E_HANDLE");
    mine.ask("POST", "/handles", r#"{"Kind":"Network"}"#).refused(400, "E_INVALIDARG");
    let nobody = json!({ "Kind": "Endpoint", "Id": id }).to_string();
    mine.ask("POST", "/handles", &nobody).refused(404, "HCN_E_ENDPOINT_NOT_FOUND");
    daemon.stop();
}

#[test]
fn reserved_ports_are_nobody_elses_until_their_session_ends() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let (mut mine, mut other) = (daemon.connect(), daemon.connect());
    let bind = |port: u64| {
        let script = "import socket, sys; socket.socket().bind(('127.0.0.1', int(sys.argv[1])))";
        let mut python = machine.command("python3");
        python.args(["-c", script, &port.to_string()]).stderr(Stdio::null());
        python.status().expect("python3").success()
    };
    let one = mine.ask("POST", "/reservations", r#"{"Protocol":"Tcp","Port":8080}"#);
    let place = one.header("location").expect("a place").to_owned();
    let row = mine.ask("POST", "/reservations", r#"{"PortCount":4095}"#).ok();
    let first = row["StartingPort"].as_u64().expect("a port");
    assert_eq!(row["EndingPort"].as_u64(), Some(first + 4095));
    assert!(!bind(8080) && !bind(first) && !bind(first + 4095));
    let all = other.ask("GET", "/reservations", "").ok();
    assert_eq!(all["Reservations"].as_array().map(Vec::len), Some(2), "{all}");
    let taken = other.ask("POST", "/reservations", r#"{"Protocol":"Both","Port":8080}"#);
    taken.refused(409, "HCN_E_PORT_ALREADY_EXISTS");
    other.ask("DELETE", &place, "").refused(404, "E_HANDLE");
    assert_eq!(mine.ask("DELETE", &place, "").status, 204);
    assert!(bind(8080));
    for nonsense in [r#"{"Port":0,"Protocol":"Tcp"}"#, r#"{"Port":1}"#, "{}"] {
        mine.ask("POST", "/reservations", nonsense).refused(400, "E_INVALIDARG");
    }
    drop(mine);
    lab::wait_until(|| other.ask("GET", "/reservations", "").ok()["Reservations"] == json!([]));
    lab::wait_until(|| bind(first));
    daemon.stop();
}

#[test]
fn another_connection_may_work_in_a_session_until_it_ends() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let (mut mine, mut other) = (daemon.connect(), daemon.connect());
    let id = mine.ask("POST", "/networks", LAN).id();
    let session = mine.ask("GET", "/version", "").header("hostcompute-session").map(str::to_owned);
    let session = session.expect("a session");
    let headers = [("Hostcompute-Session", &*session)];
    let wanted = json!({ "Kind": "Network", "Id": id }).to_string();
    other.ask_with("POST", "/handles", &headers, &wanted).ok();
    assert_eq!(mine.ask("GET", "/handles", "").ok()["Handles"].as_array().map(Vec::len), Some(1));
    let sessions = other.ask("GET", "/host/inspect", "").ok()["Sessions"].clone();
    let of_mine = |sessions: &serde_json::Value| {
        sessions.as_array().into_iter().flatten().any(|shown| shown["Id"] == *session)
    };
    assert!(of_mine(&sessions), "{sessions}");
    drop(mine);
    // The kernel tells the daemon; what it does then it has done before it answers anything that comes later on that thread, and at
    // the latest shortly after.
    lab::wait_until(|| !of_mine(&other.ask("GET", "/host/inspect", "").ok()["Sessions"]));
    other.ask_with("GET", "/handles", &headers, "").refused(404, "ERROR_NOT_FOUND");
    daemon.stop();
}

#[test]
fn what_a_killed_client_held_is_run_down_and_what_it_made_stays() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mut watcher = daemon.connect();
    let id = watcher.ask("POST", "/networks", LAN).id();
    // A client of another process: it opens handles, listens, leaves a request half sent, and is killed.
    let script = r#"
import json, socket, sys
path, network = sys.argv[1:]
def connect():
    s = socket.socket(socket.AF_UNIX); s.connect(path); return s
def ask(s, method, route, body=b""):
    s.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (method, route, len(body), body))
    return s.recv(65536)
one, two, three = connect(), connect(), connect()
for _ in range(200):
    ask(one, b"POST", b"/handles", json.dumps({"Kind": "Network", "Id": network}).encode())
ask(two, b"GET", b"/events")
# Sent ahead of its turn: the end of this connection stands behind it.
two.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
three.sendall(b"POST /networks HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
print("ready", flush=True)
sys.stdin.read()
"#;
    let mut client = Command::new("python3")
        .args(["-c", script])
        .arg(&daemon.socket)
        .arg(&id)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    lab::wait_for_line(&mut client, "ready");
    let held = |watcher: &mut Connection| {
        let metrics = watcher.ask("GET", "/metrics", "").body;
        ["sessions", "handles", "subscriptions"].map(|name| lab::metric(&metrics, name))
    };
    assert_eq!(held(&mut watcher), [4, 200, 1]);
    client.kill().expect("killed");
    client.wait().expect("ended");
    lab::wait_until(|| held(&mut watcher) == [1, 0, 0]);
    assert_eq!(watcher.ask("HEAD", &format!("/networks/{id}"), "").status, 204);
    daemon.stop();
}

/// A process that holds three reservations, one of them for a guest network service, until it is killed.
const HOLDER: &str = r#"
import json, socket, sys
path, guest = sys.argv[1:]
s = socket.socket(socket.AF_UNIX); s.connect(path)
def ask(document):
    body = json.dumps(document).encode()
    s.sendall(b"POST /reservations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    status = s.recv(65536).split()[1]
    assert status == b"201", status
ask({"Protocol": "Tcp", "Port": 8080, "GuestNetworkService": guest})
ask({"Protocol": "Both", "Port": 5353, "Access": "Shared"})
ask({"PortCount": 9})
print("ready", flush=True)
sys.stdin.read()
"#;

#[test]
fn what_a_dead_owner_reserved_is_free_and_so_is_what_a_dead_daemon_held() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let bind = |port: u64| {
        let script = "import socket, sys; socket.socket().bind(('127.0.0.1', int(sys.argv[1])))";
        let mut python = machine.command("python3");
        python.args(["-c", script, &port.to_string()]).stderr(Stdio::null());
        python.status().expect("python3").success()
    };
    let guest = daemon.ask("POST", "/guestnetworkservices", "{}").id();
    let hold = |daemon: &Daemon| {
        let mut holder = Command::new("python3")
            .args(["-c", HOLDER])
            .args([daemon.socket.as_os_str(), guest.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        lab::wait_for_line(&mut holder, "ready");
        holder
    };
    let listed = |daemon: &Daemon| {
        let all = daemon.ask("GET", "/reservations", "").ok();
        let all = all["Reservations"].as_array().cloned().unwrap_or_default();
        all.iter().filter_map(|one| one["StartingPort"].as_u64()).collect::<Vec<_>>()
    };
    let mut holder = hold(&daemon);
    let held = listed(&daemon);
    assert!(held.len() == 3 && held.iter().all(|port| !bind(*port)), "{held:?}");
    holder.kill().expect("killed");
    holder.wait().expect("ended");
    lab::wait_until(|| listed(&daemon).is_empty());
    lab::wait_until(|| held.iter().all(|port| bind(*port)));
    // The daemon is killed and comes again: the guest is still known, its ports are not held, and who had them can ask anew.
    let mut holder = hold(&daemon);
    assert_eq!(listed(&daemon), held);
    daemon.kill();
    let daemon = machine.daemon();
    assert_eq!(daemon.ask("GET", "/guestnetworkservices", "").ok(), json!([guest]));
    assert_eq!(listed(&daemon), [0_u64; 0]);
    lab::wait_until(|| held.iter().all(|port| bind(*port)));
    holder.kill().expect("killed");
    holder.wait().expect("ended");
    let mut again = hold(&daemon);
    assert_eq!(listed(&daemon), held);
    // It goes while its owner lives: what is for it goes along, and nothing else.
    daemon.ask("DELETE", &format!("/guestnetworkservices/{guest}"), "");
    assert_eq!(listed(&daemon), held[1..]);
    assert!(bind(held[0]) && !bind(held[1]));
    again.kill().expect("killed");
    again.wait().expect("ended");
    lab::wait_until(|| listed(&daemon).is_empty());
    daemon.stop();
}

#[test]
fn a_client_that_closes_its_side_still_gets_its_answer() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mut client = daemon.connect();
    client.send("POST", "/networks", &[], LAN);
    client.finish();
    client.reply("POST").id();
    assert_eq!(client.rest(), b"");
    daemon.stop();
}
