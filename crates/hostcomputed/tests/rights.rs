//! Who may do what: by user, by group, by user namespace, as the kernel vouches for it. The callers are processes of real users.

mod lab;

use lab::Machine;
use serde_json::{Value, json};

/// Groups that no system gives to anybody.
const MANAGE: &str = "61234";
const READ: &str = "61235";

const CONFIGURATION: &str = "manage-group = \"61234\"\nread-group = \"61235\"\n";

const NETWORKS: &[&str] = &["http://localhost/networks"];
const CREATE: &[&str] = &["--json", "{}", "http://localhost/networks"];

/// `setpriv` of util-linux.
fn user(groups: &str) -> Vec<&str> {
    vec!["setpriv", "--reuid=65534", "--regid=65534", groups]
}

#[test]
fn rights_follow_users_and_groups() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(CONFIGURATION);
    let groups = |group: &str| format!("--groups={group}");
    let (managers, readers) = (groups(MANAGE), groups(READ));

    for words in [
        vec!["env"],
        user(&managers),
        vec!["setpriv", "--reuid=65534", "--regid=61234", "--clear-groups"],
    ] {
        assert_eq!(machine.ask_as(&daemon, &words, NETWORKS).0, 200, "{words:?}");
        let (status, id) = machine.ask_as(&daemon, &words, CREATE);
        assert_eq!(status, 201, "{words:?}");
        let place = format!("http://localhost/networks/{}", id.as_str().expect("an id"));
        let deleted = machine.ask_as(&daemon, &words, &["-X", "DELETE", &place]);
        assert_eq!(deleted, (204, Value::Null), "{words:?}");
    }

    let reader = user(&readers);
    assert_eq!(machine.ask_as(&daemon, &reader, NETWORKS), (200, json!([])));
    assert_eq!(machine.ask_as(&daemon, &reader, &["http://localhost/metrics"]).0, 200);
    for request in [
        CREATE,
        &["--json", "{}", "http://localhost/host/up"],
        &["--json", "{}", "http://localhost/host/down"],
        &["-X", "POST", "http://localhost/host/repair"],
        &["-X", "PUT", "--data", "{}", "http://localhost/host/state"],
    ] {
        let (status, problem) = machine.ask_as(&daemon, &reader, request);
        assert_eq!((status, &problem["hresult"]), (403, &json!("0x80070005")), "{request:?}");
    }

    let stranger = user("--clear-groups");
    for request in [NETWORKS, CREATE, &["http://localhost/metrics"], &["http://localhost/nothing"]]
    {
        let (status, problem) = machine.ask_as(&daemon, &stranger, request);
        assert_eq!((status, &problem["hresult"]), (403, &json!("0x80070005")), "{request:?}");
        assert_eq!(problem["name"], "E_ACCESSDENIED");
        assert!(problem["hint"].is_string(), "{problem}");
    }

    let refused = daemon.log();
    let audit: Vec<&str> = refused.lines().filter(|line| line.contains("audit")).collect();
    let of = |uid: &str, code: &str| {
        audit.iter().any(|line| line.contains(&format!("uid={uid} ")) && line.contains(code))
    };
    assert!(
        of("0", "0x00000000") && of("65534", "0x00000000") && of("65534", "0x80070005"),
        "{audit:?}"
    );
    daemon.stop();
}

#[test]
fn who_lives_in_another_user_namespace_is_refused_whoever_it_claims_to_be() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(CONFIGURATION);
    // Root there, and to the kernel root here as well: the ids alone would let it in.
    let words = ["unshare", "--user", "--map-root-user"];
    let (status, problem) = machine.ask_as(&daemon, &words, NETWORKS);
    assert_eq!((status, &problem["hresult"]), (403, &json!("0x80070005")));
    assert!(
        problem["detail"].as_str().is_some_and(|text| text.contains("user namespace")),
        "{problem}"
    );
    daemon.stop();
}

#[test]
fn the_session_of_another_user_is_closed_to_one() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(CONFIGURATION);
    let mut mine = daemon.connect();
    let session = mine.ask("GET", "/version", "").header("hostcompute-session").map(str::to_owned);
    let header = format!("Hostcompute-Session: {}", session.expect("a session"));
    let managers = format!("--groups={MANAGE}");
    let request = ["--header", &header, "http://localhost/handles"];
    let (status, problem) = machine.ask_as(&daemon, &user(&managers), &request);
    assert_eq!((status, &problem["name"]), (403, &json!("E_ACCESSDENIED")));
    daemon.stop();
}

#[test]
fn an_ordinary_users_service_is_that_users_alone() {
    let Some(machine) = Machine::new() else { return };
    let home = machine.path("home");
    std::fs::create_dir(&home).expect("a folder");
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).expect("given away");
    // Where cargo builds another user may not be able to look.
    let program = machine.path("hostcomputed");
    std::fs::copy(env!("CARGO_BIN_EXE_hostcomputed"), &program).expect("copied");
    let mut command = machine.command("setpriv");
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("XDG_STATE_HOME", home.join("state"))
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .arg("--foreground");
    let mut daemon = machine.start(command);
    daemon.socket = home.join("run/hostcompute/hostcompute.sock");
    let own = user("--clear-groups");
    let (status, id) = machine.ask_as(&daemon, &own, CREATE);
    assert_eq!(status, 201, "{id}");
    let place = format!("http://localhost/networks/{}", id.as_str().expect("an id"));
    for words in [&["env"][..], &["setpriv", "--reuid=61236", "--regid=61236", "--clear-groups"]] {
        // The directory keeps others out; root gets in and may do nothing either.
        let output = machine
            .command(words[0])
            .args(&words[1..])
            .args(["curl", "--silent", "--unix-socket"])
            .arg(&daemon.socket)
            .arg("http://localhost/networks")
            .output()
            .expect("started");
        let told = String::from_utf8(output.stdout).expect("text");
        assert!(!output.status.success() || told.contains("0x80070005"), "{words:?}: {told}");
    }
    assert_eq!(machine.ask_as(&daemon, &own, &["-X", "DELETE", &place]).0, 204);
    daemon.stop();
    assert!(!home.join("run/hostcompute/holder").exists(), "the host goes with its last object");
}
