//! The door for programs over TCP: who is let in, as whom, what becomes of sessions whose client is killed, and streams of processes.

mod lab;

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use lab::{Connection, Daemon, LONG, Machine, Reply, metric, wait_until};
use serde_json::json;

const ADDRESS: &str = "127.0.0.1:8643";

/// More connections than this of clients that say nothing get no answer.
const STRANGERS: usize = 128;

fn configuration(more: &str) -> String {
    format!("[tcp]\nlisten = \"{ADDRESS}\"\n{more}")
}

fn token(machine: &Machine) -> String {
    let text = std::fs::read_to_string(machine.path("run/tcp.token")).expect("the token's file");
    text.trim().to_owned()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn connect(machine: &Machine, daemon: &Daemon) -> Connection {
    Connection::over_tcp(daemon.dial(ADDRESS), &bearer(&token(machine)))
}

fn stranger(daemon: &Daemon, always: &str) -> Connection {
    Connection::over_tcp(daemon.dial(ADDRESS), always)
}

#[track_caller]
fn refused(reply: Reply, status: u16) {
    reply.refused(status, "E_ACCESSDENIED");
}

#[test]
fn only_who_knows_the_token_is_let_in_and_no_page_ever() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(&configuration(""));
    let seen = std::fs::metadata(machine.path("run/tcp.token")).expect("made");
    assert_eq!(seen.mode() & 0o777, 0o600);
    let right = token(&machine);
    assert!(!daemon.log().contains(&right), "the log does not tell the token");
    let mut client = connect(&machine, &daemon);
    let network = client.ask("POST", "/networks", r#"{"Name":"n","Type":"NAT"}"#).id();
    assert_eq!(client.ask("GET", &format!("/networks/{network}"), "").ok()["Name"], "n");
    let wrong = [String::new(), bearer(&right[1..]), bearer(&format!("{right}0")), bearer("")];
    for always in wrong {
        let mut client = stranger(&daemon, &always);
        let reply = client.ask("GET", "/networks", "");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        assert_eq!(reply.header("hostcompute-session"), None);
        refused(reply, 401);
        assert_eq!(client.rest(), b"", "the connection has ended");
    }
    let page = format!("{}Origin: http://{ADDRESS}\r\n", bearer(&right));
    refused(stranger(&daemon, &page).ask("GET", "/networks", ""), 403);
    let page = format!("{}Sec-Fetch-Site: same-origin\r\n", bearer(&right));
    refused(stranger(&daemon, &page).ask("GET", "/networks", ""), 403);
    // A name of somebody else's that leads here (DNS rebinding).
    let mut client = stranger(&daemon, "");
    let request = format!("GET /networks HTTP/1.1\r\nHost: evil.example\r\n{}\r\n", bearer(&right));
    client.write(request.as_bytes());
    refused(client.reply("GET"), 421);
    // Each request carries the token, also where the one before did.
    let mut client = stranger(&daemon, "");
    let once = bearer(&right);
    let value = once.trim_end().split_once(": ").expect("a header").1;
    assert_eq!(client.ask_with("GET", "/networks", &[("Authorization", value)], "").status, 200);
    refused(client.ask("GET", "/networks", ""), 401);
    daemon.stop();
}

#[test]
fn a_token_is_changed_while_clients_are_connected() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(&configuration(""));
    let before = token(&machine);
    let mut client = connect(&machine, &daemon);
    assert_eq!(client.ask("GET", "/version", "").status, 200);
    let after = "another-token-of-a-persons-choice";
    std::fs::write(machine.path("run/tcp.token"), after).expect("written");
    daemon.signal("HUP");
    wait_until(|| stranger(&daemon, &bearer(after)).ask("GET", "/version", "").status == 200);
    refused(client.ask("GET", "/version", ""), 401);
    refused(stranger(&daemon, &bearer(&before)).ask("GET", "/version", ""), 401);
    // A file that others may read is not taken, and the token stays.
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(machine.path("run/tcp.token"), open).expect("set");
    std::fs::write(machine.path("run/tcp.token"), "yet-another-token-that-all-see")
        .expect("written");
    daemon.signal("HUP");
    wait_until(|| daemon.log().contains("the token stays as it was"));
    assert_eq!(stranger(&daemon, &bearer(after)).ask("GET", "/version", "").status, 200);
    daemon.stop();
}

#[test]
fn who_knows_the_token_has_the_rights_of_the_configured_user() {
    let Some(machine) = Machine::new() else { return };
    // The user daemon and its group have the number 1 on every Debian.
    let reader = format!("read-group = \"1\"\n{}", configuration("user = \"daemon\"\n"));
    let daemon = machine.daemon_with(&reader);
    let mut client = connect(&machine, &daemon);
    assert_eq!(client.ask("GET", "/networks", "").status, 200);
    refused(client.ask("POST", "/networks", r#"{"Type":"NAT"}"#), 403);
    daemon.stop();
    let daemon = machine.daemon_with(&configuration("user = \"daemon\"\n"));
    let mut client = connect(&machine, &daemon);
    refused(client.ask("GET", "/networks", ""), 403);
    assert_eq!(client.rest(), b"", "the connection has ended");
    daemon.stop();
}

#[test]
fn other_machines_are_never_listened_to() {
    let Some(machine) = Machine::new() else { return };
    for address in ["0.0.0.0:8643", "[::]:8643", "192.0.2.1:8643"] {
        let mut command = machine.daemon_command(&format!("[tcp]\nlisten = \"{address}\"\n"));
        let output = command.arg("--foreground").output().expect("started");
        assert!(!output.status.success(), "{address}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("tcp.listen is") && said.contains("127.0.0.1"), "{said}");
    }
    let mut command = machine.daemon_command("");
    let shared = machine.file("token", "a-token-that-everybody-may-read");
    command.args(["--foreground", "--tcp", ADDRESS, "--tcp-token-file"]).arg(shared);
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("chmod 600"), "{said}");
}

#[test]
fn a_killed_client_leaves_no_session() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(&configuration(""));
    let number = |name: &str| metric(&daemon.ask("GET", "/metrics", "").body, name);
    let alone = number("sessions");
    // One that listens, one that has a handle, one in the middle of its request.
    let header = format!("Authorization: Bearer {}", token(&machine));
    let mut listener = machine.command("curl");
    listener.args(["--silent", "--no-buffer", "--header", &header]);
    listener.arg(format!("http://{ADDRESS}/events"));
    let mut listener = listener.spawn().expect("curl");
    let mut holder = connect(&machine, &daemon);
    let network = holder.ask("POST", "/networks", r#"{"Type":"NAT"}"#).id();
    let wanted = json!({ "Kind": "Network", "Id": network }).to_string();
    holder.ask("POST", "/handles", &wanted).ok();
    let mut talker = connect(&machine, &daemon);
    talker.ask("GET", "/version", "").ok();
    talker.write(b"POST /networks HTTP/1.1\r\nHost: localhost\r\n");
    wait_until(|| number("subscriptions") == 1 && number("sessions") == alone + 3);
    assert_eq!(number("handles"), 1);
    listener.kill().expect("killed");
    listener.wait().expect("ended");
    drop((holder, talker));
    wait_until(|| {
        ["subscriptions", "handles"].iter().all(|name| number(name) == 0)
            && number("sessions") == alone
    });
    daemon.stop();
}

#[test]
fn strangers_who_say_nothing_are_cut_off_and_keep_nobody_else_out_for_long() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(&configuration(""));
    let mut known = connect(&machine, &daemon);
    known.ask("GET", "/version", "").ok();
    let mut silent: Vec<_> = (0..STRANGERS).map(|_| daemon.dial(ADDRESS)).collect();
    let mut one_more = daemon.dial(ADDRESS);
    one_more.set_read_timeout(Some(LONG)).expect("set");
    assert_eq!(one_more.read(&mut [0]).expect("ended"), 0, "there is no room for it");
    known.ask("GET", "/version", "").ok();
    for stranger in &mut silent {
        stranger.set_read_timeout(Some(LONG)).expect("set");
        assert_eq!(stranger.read(&mut [0]).expect("ended"), 0, "it has had its time");
    }
    // One that is known is not cut, however long it says nothing.
    known.ask("GET", "/version", "").ok();
    connect(&machine, &daemon).ask("GET", "/version", "").ok();
    daemon.stop();
}

#[test]
fn streams_of_processes_come_on_connections_of_their_own() {
    let program = Path::new(env!("CARGO_BIN_EXE_hostcomputed"));
    if !program.with_file_name("hostcompute-supervisor").is_file() {
        eprintln!("skipped: hostcompute-supervisor was not built");
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(&configuration(""));
    let mut client = connect(&machine, &daemon);
    let document = json!({
        "Owner": "test", "SchemaVersion": { "Major": 2, "Minor": 1 },
        "ShouldTerminateOnLastHandleClosed": true,
        "Container": { "Storage": { "Layers": [{ "Path": "/" }] } },
    });
    assert_eq!(client.ask("POST", "/systems?id=s", &document.to_string()).status, 201);
    assert_eq!(client.ask("POST", "/systems/s/start", "").status, 204);
    let wanted = json!({
        "CommandArgs": ["sh", "-c", "echo bad >&2; while read line; do echo \"heard $line\"; done"],
        "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true,
    });
    let made = client.ask("POST", "/systems/s/processes", &wanted.to_string());
    let session = made.header("hostcompute-session").expect("a session").to_owned();
    let process = format!("/systems/s/processes/{}", made.ok()["ProcessId"]);
    let stream = |name: &str| {
        let mut connection = connect(&machine, &daemon);
        let headers =
            [("Connection", "upgrade"), ("Upgrade", name), ("Hostcompute-Session", &*session)];
        connection.send("POST", &format!("{process}/stdio"), &headers, "");
        connection
    };
    // Descriptors do not go over TCP.
    stream("hostcompute-stdio").reply("POST").refused(400, "E_INVALIDARG");
    let [mut input, mut output, mut error] =
        ["hostcompute-stdin", "hostcompute-stdout", "hostcompute-stderr"].map(|name| {
            let mut stream = stream(name);
            assert_eq!(stream.switched(), 101);
            stream
        });
    input.write(b"one\ntwo\n");
    let close = r#"{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdIn"}}"#;
    assert_eq!(client.ask("PATCH", &process, close).status, 204);
    assert_eq!(String::from_utf8(output.rest()).expect("text"), "heard one\nheard two\n");
    assert_eq!(String::from_utf8(error.rest()).expect("text"), "bad\n");
    let ended = client.ask("GET", &format!("{process}/exit"), "").ok();
    assert_eq!(ended["ExitCode"], 0);
    client.ask("POST", "/systems/s/terminate", "");
    daemon.stop();
}
