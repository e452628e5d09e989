//! The daemon's life: sockets that it is passed, stops that lose nothing, ends that nobody asked for, configuration.

mod lab;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lab::{Connection, Daemon, Machine};
use serde_json::{Value, json};

/// A network that outlives a reboot, so that its making waits for the disk.
const LAN: &str =
    r#"{"Name":"lan","Type":"Private","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.5.0.0/24"}]}]}"#;

#[test]
fn a_repeated_create_is_made_once_also_across_a_crash() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let key = [("Idempotency-Key", "the one")];
    let mut client = daemon.connect();
    let first = client.ask_with("POST", "/networks", &key, LAN).id();
    assert_eq!(client.ask_with("POST", "/networks", &key, LAN).id(), first);
    let other = r#"{"Name":"other"}"#;
    client.ask_with("POST", "/networks", &key, other).refused(400, "E_INVALIDARG");
    client
        .ask_with("POST", "/networks", &[("Idempotency-Key", "")], LAN)
        .refused(400, "E_INVALIDARG");
    daemon.kill();
    let daemon = machine.daemon();
    assert_eq!(daemon.connect().ask_with("POST", "/networks", &key, LAN).id(), first);
    assert_eq!(daemon.ask("GET", "/networks", "").ok(), json!([first]));
    daemon.ask("POST", "/networks", LAN).refused(409, "HCN_E_NETWORK_ALREADY_EXISTS");
    daemon.stop();
}

#[test]
fn a_stop_finishes_what_was_accepted_and_leaves_no_socket() {
    let Some(machine) = Machine::new() else { return };
    let mut daemon = machine.daemon();
    let mut clients: Vec<Connection> = (0..8).map(|_| daemon.connect()).collect();
    let mut listener = daemon.connect().listen("/events", &[]);
    for (number, client) in clients.iter_mut().enumerate() {
        client.send("POST", "/networks", &[], &json!({ "Name": format!("n{number}") }).to_string());
    }
    daemon.signal("TERM");
    daemon.expect("STOPPING=1");
    for client in &mut clients {
        client.reply("POST").id();
    }
    let last = std::iter::from_fn(|| listener.next()).last().expect("an event");
    assert_eq!(last.name, "ServiceDisconnect");
    let socket = daemon.socket.clone();
    daemon.ended();
    assert!(!socket.exists());
    // Nothing was left to repair.
    let daemon = machine.daemon();
    assert!(!daemon.log().contains("interrupted"), "{}", daemon.log());
    assert_eq!(daemon.ask("GET", "/networks", "").ok().as_array().map(Vec::len), Some(8));
    daemon.stop();
}

#[test]
fn what_a_killed_daemon_left_is_taken_over() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let id = daemon.ask("POST", "/networks", LAN).id();
    let socket = daemon.socket.clone();
    daemon.kill();
    assert!(socket.exists(), "a killed daemon removes nothing");
    let daemon = machine.daemon();
    assert_eq!(daemon.ask("GET", "/networks", "").ok(), json!([id]));
    assert_eq!(daemon.ask("GET", "/host/check", "").ok(), json!({ "Findings": [] }));
    // A second one finds the first at work.
    let mut second = machine.daemon_command("");
    second.arg("--foreground");
    let said = second.output().expect("started");
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("is kept by the service"), "{said:?}");
    daemon.stop();
}

/// As the service manager does it: the socket is number 3, and the environment says so to the process that has it.
fn activated(machine: &Machine, listener: &UnixListener) -> Daemon {
    let daemon = machine.daemon_command("");
    let mut command = Command::new("sh");
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(daemon.get_program()).args(daemon.get_args());
    for (name, value) in daemon.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let inherited: OwnedFd = listener.try_clone().expect("a descriptor").into();
    command.stdin(Stdio::from(inherited));
    let mut daemon = machine.start(command);
    daemon.socket = machine.path("passed.sock");
    daemon
}

#[test]
fn a_restart_under_socket_activation_loses_no_connection() {
    let Some(machine) = Machine::new() else { return };
    let path = machine.path("passed.sock");
    let listener = UnixListener::bind(&path).expect("bound");
    let first = activated(&machine, &listener);
    let id = first.ask("POST", "/networks", LAN).id();
    let busy = Arc::new(AtomicBool::new(true));
    // Clients come all the time, each with a connection of its own.
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (path, busy, id) = (path.clone(), busy.clone(), id.clone());
            std::thread::spawn(move || {
                let mut served = 0;
                while busy.load(Ordering::Relaxed) {
                    let answer = Connection::to(&path).ask("GET", "/networks", "");
                    assert_eq!(answer.ok(), json!([id]));
                    served += 1;
                }
                served
            })
        })
        .collect();
    let mut daemon = first;
    for _ in 0..5 {
        daemon.stop();
        daemon = activated(&machine, &listener);
    }
    busy.store(false, Ordering::Relaxed);
    let served: Vec<usize> = clients.into_iter().map(|it| it.join().expect("no loss")).collect();
    assert!(served.iter().all(|served| *served > 0), "{served:?}");
    daemon.stop();
    assert!(path.exists(), "the socket is the manager's");
}

#[test]
fn without_a_socket_the_daemon_says_what_it_needs() {
    let Some(machine) = Machine::new() else { return };
    let said = machine.daemon_command("").output().expect("started");
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("--foreground"), "{said}");
}

#[test]
fn the_manager_hears_that_the_daemon_lives_and_reloads() {
    let Some(machine) = Machine::new() else { return };
    let mut command = machine.daemon_command("[log]\nfilter = \"warn\"\n");
    command.arg("--foreground").env("WATCHDOG_USEC", "200000");
    let mut daemon = machine.start(command);
    daemon.expect("WATCHDOG=1");
    daemon.expect("WATCHDOG=1");
    daemon.ask("POST", "/networks", r#"{"Name":"quiet"}"#).id();
    assert!(!daemon.log().contains("audit"), "{}", daemon.log());
    machine.file("hostcomputed.toml", "[log]\nfilter = \"info\"\n");
    daemon.signal("HUP");
    daemon.expect("RELOADING=1");
    daemon.expect("READY=1");
    daemon.ask("POST", "/networks", r#"{"Name":"told"}"#).id();
    assert!(daemon.log().contains("audit"), "{}", daemon.log());
    // A mistake in the file changes nothing.
    machine.file("hostcomputed.toml", "[log]\nfilter = 7\n");
    daemon.signal("HUP");
    daemon.expect("RELOADING=1");
    daemon.expect("READY=1");
    assert!(daemon.log().contains("hostcomputed.toml:2: log.filter: must be a text"));
    daemon.stop();
}

#[test]
fn logs_can_be_json() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with("[log]\nform = \"json\"\n");
    daemon.ask("POST", "/networks", LAN).id();
    let log = daemon.log();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let audit = lines.iter().find(|line| line["target"] == "audit").expect("an audit line");
    assert_eq!((&audit["uid"], &audit["hresult"]), (&json!(0), &json!("0x00000000")));
    daemon.stop();
}

#[test]
fn the_configuration_that_would_be_used_is_printed() {
    let directory = std::env::temp_dir().join(format!("hostcomputed-print-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("some.toml");
    std::fs::write(&file, "read-group = \"adm\"\n").expect("written");
    let said = Command::new(env!("CARGO_BIN_EXE_hostcomputed"))
        .args(["--print-config", "--runtime-dir", "/some/run", "--config"])
        .arg(&file)
        .env_remove("HOSTCOMPUTE_SOCKET")
        .output()
        .expect("started");
    let said = String::from_utf8(said.stdout).expect("text");
    for line in ["read-group = \"adm\"", "socket = \"/some/run/hostcompute.sock\"", "burst = 4000"]
    {
        assert!(said.lines().any(|other| other == line), "{line} in {said}");
    }
    // What is printed is a configuration that prints the same.
    std::fs::write(&file, &said).expect("written");
    let again = Command::new(env!("CARGO_BIN_EXE_hostcomputed"))
        .args(["--print-config", "--config"])
        .arg(&file)
        .env_remove("HOSTCOMPUTE_SOCKET")
        .output()
        .expect("started");
    assert_eq!(String::from_utf8(again.stdout).expect("text"), said);
    let missing = Command::new(env!("CARGO_BIN_EXE_hostcomputed"))
        .args(["--print-config", "--config", "/nowhere/at/all.toml"])
        .output()
        .expect("started");
    assert_eq!(missing.status.code(), Some(1), "a file that was named must be there");
    std::fs::remove_dir_all(&directory).expect("removed");
}
