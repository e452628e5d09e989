//! What only a running service has: rights, notifications that others caused, a life of its own.

mod sandbox;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sandbox::{Said, Sandbox};

/// Somebody without rights.
const NOBODY: &str = "65534";

#[test]
fn who_has_no_right_is_told_so() {
    let Some(host) = Sandbox::served() else { return };
    // The build directory may be closed to others.
    let copy = host.path("hc");
    std::fs::copy(env!("CARGO_BIN_EXE_hc"), &copy).expect("copied");
    for arguments in [&["network", "ls"][..], &["up", "examples/web.json"], &["inspect"]] {
        let nobody = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"];
        let program = copy.to_str().expect("text");
        let words = [&nobody[..], &[program], arguments].concat();
        let said = Said::of(&mut host.inside("setpriv", &words)).refused(4);
        assert!(said.contains("0x80070005 E_ACCESSDENIED"), "{said}");
    }
}

#[test]
fn a_command_with_a_service_of_its_own_learns_who_keeps_the_state() {
    let Some(host) = Sandbox::served() else { return };
    let hc = env!("CARGO_BIN_EXE_hc");
    let mut command = host.inside(hc, &["--embedded", "network", "ls"]);
    let said = Said::of(host.own_directories(&mut command)).refused(1);
    let socket = host.socket();
    let socket = socket.to_str().expect("text");
    assert!(said.contains("hostcomputed") && said.contains(socket), "{said}");
    assert!(said.contains(&format!("hc --socket {socket}")), "{said}");
    // The last thing said counts.
    let said = Said::of(&mut host.inside(hc, &["--embedded", "events"])).refused(1);
    assert!(said.contains("hears only itself"), "{said}");
}

#[test]
fn a_service_is_found_where_it_listens() {
    let Some(host) = Sandbox::served() else { return };
    let made = host.hc(&["namespace", "create"]).ok();
    // A runtime directory with a socket in it is as good as a path.
    let run = host.path("elsewhere");
    std::fs::create_dir(&run).expect("made");
    std::os::unix::fs::symlink(host.socket(), run.join("hostcompute.sock")).expect("linked");
    let mut command = host.inside(env!("CARGO_BIN_EXE_hc"), &["namespace", "ls", "-o", "id"]);
    command.env_remove("HOSTCOMPUTE_SOCKET").env("HOSTCOMPUTE_RUNTIME_DIR", &run);
    let listed = Said::of(&mut command).ok();
    assert!(listed.lines().any(|id| id == made.trim()), "{listed}");
}

#[test]
fn the_inside_of_a_service_shows_who_is_connected() {
    let Some(host) = Sandbox::served() else { return };
    let inside = host.json(&["inspect"]);
    let sessions = inside["Sessions"].as_array().expect("a list");
    assert_eq!(sessions.len(), 1, "{inside}");
    assert_eq!(sessions[0]["Uid"], 0);
    assert_eq!(inside["Queue"], 0);
    assert!(host.hc(&["inspect"]).ok().contains("Sessions:\n"));
    host.hc(&["doctor"]).ok();
}

/// `hc events --follow`, and what it prints.
struct Follower {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Follower {
    fn new(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let out = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// Does something until the follower has heard of it.
    fn hears(&self, work: impl Fn()) -> String {
        loop {
            work();
            if let Ok(line) = self.lines.try_recv() {
                return line;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn notifications_are_followed_over_a_restart() {
    let Some(host) = Sandbox::served() else { return };
    let made = host.hc_reading(&["network", "create", "-"], r#"{"Name":"other"}"#).ok();
    let follow = host.inside(env!("CARGO_BIN_EXE_hc"), &["events", "--follow", "--json"]);
    let follower = Follower::new(follow);
    let work = || {
        let id = host.hc(&["namespace", "create"]).ok();
        host.hc(&["namespace", "delete", id.trim()]).ok();
    };
    let heard: serde_json::Value =
        serde_json::from_str(&follower.hears(work)).expect("a line of JSON");
    // Which of the two depends on when it began to listen.
    assert!(heard["Name"].as_str().is_some_and(|name| name.starts_with("Namespace")), "{heard}");
    host.kill_daemon();
    host.start_daemon();
    while follower.lines.try_recv().is_ok() {}
    assert!(follower.hears(work).contains("Namespace"));
    let of_network = ["events", "--follow", "--network", made.trim()];
    let of_network = Follower::new(host.inside(env!("CARGO_BIN_EXE_hc"), &of_network));
    let endpoint = r#"{"HostComputeNetwork":"%"}"#.replace('%', made.trim());
    let heard = of_network.hears(|| {
        work();
        let endpoint = host.hc_reading(&["endpoint", "create", "-"], &endpoint).ok();
        let namespace = host.hc(&["namespace", "create"]).ok();
        host.hc(&["namespace", "add", namespace.trim(), endpoint.trim()]).ok();
        host.hc(&["endpoint", "delete", endpoint.trim()]).ok();
        host.hc(&["namespace", "delete", namespace.trim()]).ok();
    });
    assert!(heard.contains("NetworkEndpoint"), "{heard}");
    // What has happened is remembered, too.
    assert!(host.hc(&["events"]).ok().contains("NamespaceDelete"));
}

/// A service hears of it, and does not wait to be told to put it right.
#[test]
fn what_a_foreign_hand_takes_away_comes_back() {
    let Some(host) = Sandbox::served() else { return };
    host.hc(&["up", "examples/internal.json"]).ok();
    let link = host.port();
    Said::of(&mut host.inside("ip", &["link", "delete", &link])).ok();
    let deadline = Instant::now() + Duration::from_secs(60);
    while Said::of(&mut host.inside("ip", &["link", "show", &link])).status != Some(0) {
        assert!(Instant::now() < deadline, "{link} does not come back");
    }
    // What looks waits until the repair is done.
    host.hc(&["check"]).ok();
}

/// Objects outlive the service; nothing that was there is made again.
#[test]
fn a_service_goes_and_comes_back_and_what_it_made_stays() {
    let Some(host) = Sandbox::served() else { return };
    host.hc(&["up", "examples/web.json"]).ok();
    let before = host.json(&["state", "export"]);
    for end in [Sandbox::stop_daemon, Sandbox::kill_daemon] {
        end(&host);
        // Without a service, commands carry their own, on the same state.
        assert_eq!(host.hc(&["up", "examples/web.json"]).ok(), "nothing to do\n");
        host.start_daemon();
        assert_eq!(host.json(&["state", "export"]), before);
        host.hc(&["check"]).ok();
    }
    host.hc(&["down", "examples/web.json"]).ok();
    assert_eq!(host.remains(), "");
}

/// The service is killed again and again while commands make things. A command that had begun to ask goes on asking under the same
/// key; so there is exactly one object for each command that ended well, and none for the others.
#[test]
fn nothing_is_made_twice_or_lost_when_the_service_is_killed() {
    let Some(host) = Sandbox::served() else { return };
    let before = host.json(&["namespace", "ls"]).as_array().map_or(0, Vec::len);
    let hc = || {
        let mut command = host.inside(env!("CARGO_BIN_EXE_hc"), &["namespace", "create"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
    };
    let mut made = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let commands: Vec<Child> = (0..4).map(|_| hc()).collect();
        host.kill_daemon();
        host.start_daemon();
        for command in commands {
            let said = Said::from(command.wait_with_output().expect("ended"));
            if said.status == Some(0) {
                assert!(made.insert(said.out.trim().to_owned()), "{} twice", said.out);
            } else {
                // Nothing listened when it came: it has asked for nothing.
                assert!(said.refused(1).contains("no service answers"));
            }
        }
    }
    let there = host.hc(&["namespace", "ls", "-o", "id"]).ok();
    assert_eq!(there.lines().count(), before + made.len(), "{there}");
    assert!(made.iter().all(|id| there.contains(id.as_str())), "{made:?} {there}");
    host.hc(&["check"]).ok();
}

/// What a question for a name gets at the gateway, seen from a namespace.
fn look_up(host: &Sandbox, namespace: &str, name: &str) -> String {
    let asked = ["namespace", "exec", namespace, "--", "busybox", "nslookup", "-type=a", name];
    let output = host.inside(env!("CARGO_BIN_EXE_hc"), &asked).output().expect("run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_network_is_answered_by_the_service_and_by_the_next_one() {
    let Some(host) = Sandbox::served() else { return };
    let network = r#"{"Name": "answered", "Type": "ICS", "Flags": 3,
        "Policies": [{"Type": "AutomaticDNS", "Settings": {"Enable": true}}],
        "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.66.0.0/24"}]}]}"#;
    let made = host.hc_reading(&["network", "create", "-"], network).ok();
    let endpoint = r#"{"Name": "web", "HostComputeNetwork": "%"}"#.replace('%', made.trim());
    let endpoint = host.hc_reading(&["endpoint", "create", "-"], &endpoint).ok();
    let namespace = host.hc(&["namespace", "create"]).ok();
    host.hc(&["namespace", "add", namespace.trim(), endpoint.trim()]).ok();
    // The resolver file of the namespace names the gateway.
    assert!(look_up(&host, namespace.trim(), "web").contains("Address: 10.66.0."));
    host.kill_daemon();
    host.start_daemon();
    assert!(look_up(&host, namespace.trim(), "web").contains("Address: 10.66.0."));
    host.hc(&["check"]).ok();
    host.hc(&["network", "delete", made.trim()]).ok();
    host.hc(&["check"]).ok();
}

#[test]
fn a_command_by_itself_refuses_what_it_could_not_answer() {
    let Some(host) = Sandbox::new() else { return };
    let network = r#"{"Name": "answered", "Type": "ICS", "Flags": 1}"#;
    let said = host.hc_reading(&["network", "create", "-"], network).refused(1);
    assert!(said.contains("HCN_E_ICS_DISABLED") && said.contains("hostcomputed"), "{said}");
    let silent = r#"{"Name": "silent", "Type": "ICS"}"#;
    host.hc_reading(&["network", "create", "-"], silent).ok();
}
