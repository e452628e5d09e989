//! The same commands as an ordinary user: a host of the user's own that comes with the first object and goes with the last.

mod sandbox;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandbox::{Said, Sandbox, repository};

/// Somebody without rights, with directories of their own.
struct User {
    home: PathBuf,
}

/// The user and group that own nothing.
const NOBODY: &str = "65534";

impl User {
    /// `None`, with a message, where one cannot become somebody else, or users may not make namespaces.
    fn new(name: &str) -> Option<Self> {
        let home = std::env::temp_dir().join(format!("hc-user-{name}-{}", std::process::id()));
        std::fs::create_dir_all(home.join("run")).expect("a directory for the test");
        // The build directory may be closed to others.
        let hc = Path::new(env!("CARGO_BIN_EXE_hc"));
        for program in ["hc", "hostcompute-supervisor"] {
            match std::fs::copy(hc.with_file_name(program), home.join(program)) {
                // The tests that need it say so.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.expect("copied")),
            }
        }
        for example in ["web.json", "internal.json"] {
            std::fs::copy(repository().join("examples").join(example), home.join(example))
                .expect("copied");
        }
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).expect("changed");
        let user = Self { home };
        let owned = Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(&user.home)
            .stderr(Stdio::null())
            .status();
        if !owned.is_ok_and(|status| status.success()) {
            eprintln!("skipped: only root can become an ordinary user");
            return None;
        }
        let probe = user
            .command(Path::new("unshare"), &["--user", "--net", "true"])
            .output()
            .expect("unshare");
        if !probe.status.success() {
            eprintln!(
                "skipped: users may not make namespaces here: {}",
                String::from_utf8_lossy(&probe.stderr)
            );
            return None;
        }
        Some(user)
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
            .arg(program)
            .args(arguments);
        for variable in [
            "HOSTCOMPUTE_STATE_DIR",
            "HOSTCOMPUTE_RUNTIME_DIR",
            "HOSTCOMPUTE_HOST_NETNS",
            "HOSTCOMPUTE_SOCKET",
        ] {
            command.env_remove(variable);
        }
        command
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .env("HOME", &self.home)
            .env("XDG_STATE_HOME", self.home.join("state"))
            .env("XDG_RUNTIME_DIR", self.home.join("run"));
        command
    }

    fn hc(&self, arguments: &[&str]) -> Said {
        Said::of(&mut self.command(&self.home.join("hc"), arguments))
    }

    fn has_host(&self) -> bool {
        self.home.join("run/hostcompute/holder").exists()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // Whatever a failed test left is in the user's host, which ends with the process that keeps it.
        if let Ok(holder) = std::fs::read_to_string(self.home.join("run/hostcompute/holder"))
            && let Some(process) = holder.split_whitespace().next()
        {
            let _ = Command::new("kill").arg(process).status();
        }
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

#[test]
fn the_main_job_needs_no_root() {
    let Some(user) = User::new("main") else { return };
    user.hc(&["--embedded", "doctor"]).ok();
    assert!(!user.has_host() && !user.home.join("state").exists(), "looking makes nothing");
    user.hc(&["up", "web.json"]).ok();
    assert!(user.has_host());
    assert_eq!(user.hc(&["up", "web.json"]).ok(), "nothing to do\n");
    user.hc(&["check"]).ok();
    let said = user.hc(&["namespace", "exec", "front", "--", "ip", "-brief", "address"]).ok();
    assert!(said.contains("172.28.0.10/24"), "{said}");
    let port = r#"exec 3<>/dev/tcp/10.96.0.10/80"#;
    let refused = user.hc(&["namespace", "exec", "front", "--", "bash", "-c", port]);
    assert!(
        refused.err.contains("refused"),
        "the balancer leads to a backend that listens to nothing: {refused:?}"
    );
    user.hc(&["down", "web.json"]).ok();
    assert!(!user.has_host(), "the user's host goes with the last object");
    let said = user.hc(&["check"]);
    assert_eq!(
        (said.status, said.err.as_str()),
        (Some(0), "documents, journal and kernel agree\n")
    );
}

#[test]
fn what_lasts_is_built_again_when_the_users_host_ended() {
    let Some(user) = User::new("again") else { return };
    user.hc(&["up", "web.json", "internal.json"]).ok();
    let holder =
        std::fs::read_to_string(user.home.join("run/hostcompute/holder")).expect("a holder");
    let process = holder.split_whitespace().next().expect("a process");
    assert!(Command::new("kill").arg(process).status().expect("kill").success());
    // The holder is gone when its namespaces are no longer to be seen.
    let gone = || std::fs::read_link(format!("/proc/{process}/ns/net")).is_err();
    while !gone() {
        std::thread::yield_now();
    }
    let said = user.hc(&["network", "ls"]);
    assert!(said.err.contains("started anew"), "{said:?}");
    assert!(said.out.contains("lab") && !said.out.contains("web"), "{said:?}");
    user.hc(&["check"]).ok();
    user.hc(&["network", "delete", "lab"]).ok();
    assert!(!user.has_host());
}

/// The kernel lets nobody but root lay a union over the whole of a root: such a container's is put together from pieces.
#[test]
fn a_container_of_the_hosts_root_needs_no_root() {
    if !sandbox::supervisor_was_built() {
        return;
    }
    let Some(user) = User::new("run") else { return };
    let run = |options: &[&str], script: &str| {
        let words = [&["run", "--host-root"], options, &["--", "sh", "-c", script]].concat();
        user.hc(&words)
    };
    assert_eq!(run(&[], "id -u; exit 7").out, "0\n");
    assert_eq!(run(&[], "exit 7").status, Some(7));
    let name = format!("hc-test-{}", std::process::id());
    for place in ["/", "/etc/", "/tmp/", "/var/tmp/"] {
        let file = format!("{place}{name}");
        let said = run(&[], &format!("echo written > {file} && cat {file}"));
        assert_eq!(said.ok(), "written\n");
        assert!(!Path::new(&file).exists(), "{file} is gone with the container");
    }
    // What the user owns can be changed, and is as it was.
    let own = user.home.join("web.json");
    let before = std::fs::read(&own).expect("read");
    assert_eq!(run(&[], &format!("echo x > {0} && cat {0}", own.display())).ok(), "x\n");
    assert_eq!(std::fs::read(&own).expect("read"), before);
    assert_eq!(
        run(&["--hostname", "inside"], "hostname; cat /proc/1/comm").out,
        "inside\nhc-init\n"
    );
    let lan =
        r#"{"Name":"lan","Type":"NAT","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}]}"#;
    std::fs::write(user.home.join("lan.json"), lan).expect("written");
    user.hc(&["network", "create", "lan.json"]).ok();
    let said = run(&["--network", "lan"], "ip -o -4 addr show eth0").ok();
    assert!(said.contains("10.9.0."), "{said}");
    user.hc(&["network", "delete", "lan"]).ok();
    assert!(!user.has_host());
    let systems = user.home.join("run/hostcompute/systems");
    assert_eq!(std::fs::read_dir(systems).expect("kept").count(), 0);
}

/// The machine's service refuses an ordinary user; that user's commands then carry their own, as on a machine without a service.
#[test]
fn a_service_that_is_not_for_this_user_does_not_stand_in_the_way() {
    let Some(user) = User::new("refused") else { return };
    let Some(host) = Sandbox::served() else { return };
    let run = user.home.join("run/hostcompute");
    user.hc(&["--embedded", "network", "ls"]).ok();
    std::os::unix::fs::symlink(host.socket(), run.join("hostcompute.sock")).expect("linked");
    user.hc(&["up", "web.json"]).ok();
    assert!(user.has_host());
    user.hc(&["down", "web.json"]).ok();
    // Who names the socket means it.
    let socket = host.socket();
    let socket = socket.to_str().expect("text");
    assert!(user.hc(&["--socket", socket, "network", "ls"]).refused(4).contains("E_ACCESSDENIED"));
}
