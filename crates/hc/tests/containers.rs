//! Commands in containers, whether `hc` carries the service or asks a running one: what goes in and out, how they end, what is told of
//! them, and that nothing is left behind.

#[macro_use]
mod sandbox;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use sandbox::Sandbox;
use sandbox::holders::holders;
use serde_json::{Value, json};

/// Streams that cannot be handed over as descriptors.
#[test]
fn a_command_reads_and_writes_over_tcp() {
    if !sandbox::supervisor_was_built() {
        return;
    }
    let Some(host) = Sandbox::over_tcp() else { return };
    a_command_reads_writes_and_ends_with_its_own_status(&Containers { host });
}

scenarios! {
    crate::Containers::carried, crate::Containers::served;
    a_command_reads_writes_and_ends_with_its_own_status,
    what_cannot_be_run_is_told_as_shells_do,
    a_container_is_as_it_was_asked_for,
    a_container_is_kept_apart_as_it_was_asked_for,
    a_container_may_be_made_by_another_runtime,
    what_cannot_be_kept_is_refused,
    processes_of_the_host_are_kept_together,
    a_container_stays_or_goes_with_its_command,
    a_container_that_was_left_running_is_looked_at_and_ended,
    systems_by_document_are_refused_with_their_place,
    a_system_that_is_not_left_running_ends_with_its_command,
    who_waits_for_a_container_stands_in_nobodys_way,
    a_container_on_a_network_has_an_endpoint_for_its_life,
    the_endpoint_of_a_container_is_as_it_was_asked_for,
}

/// A host whose containers end with the test, however that ends.
struct Containers {
    host: Sandbox,
}

impl Containers {
    fn carried() -> Option<Self> {
        Some(Self { host: Sandbox::for_containers()? })
    }

    fn served() -> Option<Self> {
        Some(Self { host: Sandbox::served_for_containers()? })
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let running = self.host.hc(&["ps", "-o", "id"]).out;
        for id in running.lines() {
            self.host.hc(&["system", "terminate", id]);
        }
    }
}

/// A container of the host's own files, with this command.
fn run<'a>(options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [&["run", "--host-root"], options, &["--"], command].concat()
}

fn a_command_reads_writes_and_ends_with_its_own_status(containers: &Containers) {
    let host = &containers.host;
    let said = host.hc(&run(&[], &["sh", "-c", "echo out; echo err >&2; exit 42"]));
    assert_eq!((said.out.as_str(), said.err.as_str(), said.status), ("out\n", "err\n", Some(42)));
    assert_eq!(host.hc_reading(&run(&["-i"], &["cat"]), "in and out").ok(), "in and out");
    assert_eq!(host.hc_reading(&run(&["-i"], &["wc", "-c"]), "").ok().trim(), "0");
    // More than any pipe holds.
    let many = "x".repeat(3_000_000);
    assert_eq!(host.hc_reading(&run(&["-i"], &["wc", "-c"]), &many).ok().trim(), "3000000");
    let zeros = host.hc(&run(&[], &["head", "-c", "3000000", "/dev/zero"]));
    assert_eq!(zeros.out.len(), 3_000_000);
    // Killed by a signal, as shells tell it.
    host.hc(&run(&[], &["sh", "-c", "kill -TERM $$"])).refused(128 + 15);
    assert_eq!(host.hc(&["ps", "-o", "id"]).ok(), "");
}

fn what_cannot_be_run_is_told_as_shells_do(containers: &Containers) {
    let host = &containers.host;
    assert!(host.hc(&run(&[], &["/nowhere/at/all"])).refused(127).contains("/nowhere/at/all"));
    host.hc(&run(&[], &["/etc/passwd"])).refused(126);
    host.hc(&run(&["-v", "nonsense"], &["true"])).refused(125);
    host.hc(&run(&["--network", "nowhere"], &["true"])).refused(125);
    host.hc(&["exec", "nowhere", "true"]).refused(125);
    // Neither a file system, nor two.
    host.hc(&["run", "--", "true"]).refused(2);
    host.hc(&run(&["--rootfs", "/"], &["true"])).refused(2);
    assert_eq!(host.hc(&["ps", "-o", "id"]).ok(), "");
}

fn a_container_is_as_it_was_asked_for(containers: &Containers) {
    let host = &containers.host;
    let shared = host.path("shared");
    std::fs::create_dir(&shared).expect("made");
    std::fs::write(shared.join("file"), "content").expect("written");
    let volume = format!("{}:/mnt:ro", shared.display());
    let options = ["--hostname", "inside", "-e", "A=b", "-w", "/tmp", "-v", &volume];
    let script = "hostname; echo $A; pwd; cat /mnt/file; echo; echo x > /mnt/file || echo kept";
    let told = host.hc(&run(&options, &["sh", "-c", script]));
    assert_eq!(told.out, "inside\nb\n/tmp\ncontent\nkept\n", "{}", told.err);
    // The host's root is seen, and what is written is gone.
    let script = "echo x > /written-by-a-test && cat /written-by-a-test";
    assert_eq!(host.hc(&run(&[], &["sh", "-c", script])).ok(), "x\n");
    assert!(!std::path::Path::new("/written-by-a-test").exists());
    // Without a network there is only the loopback interface.
    let links = host.hc(&run(&[], &["cat", "/proc/net/dev"])).ok();
    let links: Vec<&str> = links
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    assert_eq!(links, ["lo"]);
}

fn a_container_is_kept_apart_as_it_was_asked_for(containers: &Containers) {
    let host = &containers.host;
    let capabilities = |options: &[&str]| {
        let told = host.hc(&run(options, &["grep", "CapBnd", "/proc/self/status"])).ok();
        u64::from_str_radix(told.split_whitespace().last().expect("a number"), 16).expect("hex")
    };
    let usual = capabilities(&[]);
    // Numbers of the kernel: CHOWN is 0, KILL 5, NET_ADMIN 12.
    assert_eq!(capabilities(&["--cap-drop", "CHOWN"]), usual & !1);
    assert_eq!(capabilities(&["--cap-add", "cap_net_admin"]), usual | 1 << 12);
    assert_eq!(capabilities(&["--cap-drop", "ALL", "--cap-add", "KILL"]), 1 << 5);
    let own = run(&["--restricted"], &["grep", "-E", "CapEff|NoNewPrivs", "/proc/self/status"]);
    assert_eq!(host.hc(&own).ok(), "CapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
    let filtered =
        |options: &[&str]| host.hc(&run(options, &["grep", "^Seccomp:", "/proc/self/status"])).ok();
    assert_eq!(
        (filtered(&[]).as_str(), filtered(&["--seccomp", "none"]).as_str()),
        ("Seccomp:\t2\n", "Seccomp:\t0\n")
    );
    let script = "touch /etc/x 2>/dev/null || echo kept; touch /dev/shm/x && echo x > /mnt/y";
    let shared = host.path("writable");
    std::fs::create_dir(&shared).expect("made");
    let volume = format!("{}:/mnt", shared.display());
    let said = host.hc(&run(&["--read-only", "-v", &volume], &["sh", "-c", script]));
    assert_eq!(said.ok(), "kept\n");
    assert!(shared.join("y").exists());
    let users = ["--users", "0:100000:65536"];
    let map = host.hc(&run(&users, &["cat", "/proc/self/uid_map", "/proc/self/gid_map"])).ok();
    let map: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(map, ["0", "100000", "65536", "0", "100000", "65536"]);
    let groups = [&users[..], &["--groups", "0:200000:10,10:300000:1"]].concat();
    let map = host.hc(&run(&groups, &["cat", "/proc/self/gid_map"])).ok();
    let map: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(map, ["0", "200000", "10", "10", "300000", "1"]);
    let written = host.hc(&run(&users, &["sh", "-c", "echo x > /x && stat -c %u:%g /x"])).ok();
    assert_eq!(written, "0:0\n");
}

fn a_container_may_be_made_by_another_runtime(containers: &Containers) {
    let host = &containers.host;
    // What stands first among the processes is the runtime's, not ours.
    let first = |options: &[&str]| host.hc(&run(options, &["cat", "/proc/1/comm"])).ok();
    assert_eq!(first(&["--runtime", "builtin"]), "hc-init\n");
    for runtime in ["crun", "/usr/bin/crun"] {
        assert_ne!(first(&["--runtime", runtime]), "hc-init\n", "{runtime}");
    }
    let said = host.hc(&run(&["--runtime", "no-such-runtime"], &["true"])).refused(125);
    assert!(said.contains("ERROR_FILE_NOT_FOUND"), "{said}");
}

fn what_cannot_be_kept_is_refused(containers: &Containers) {
    let host = &containers.host;
    for (options, told) in [
        (&["--cap-add", "MKNOD"][..], "ERROR_NOT_SUPPORTED"),
        (&["--cap-add", "ALL"], "E_INVALIDARG"),
        (&["--cap-drop", "NOTHING"], "E_INVALIDARG"),
        (&["--users", "1:1:1"], "E_INVALIDARG"),
        (&["--runtime", "crun", "--users", "0:100000:65536"], "ERROR_NOT_SUPPORTED"),
        (&["--isolation", "host-process", "--read-only"], "$.Container"),
        (&["--root-at", "/mnt"], "$.Container.Storage.PrivilegedContainerRootPath"),
        (&["--device", "/dev/no-such-device"], "$.Container.AssignedDevices[0]"),
        (
            &["--device-class", "00000000-0000-0000-0000-000000000001"],
            "$.Container.AssignedDevices[0]",
        ),
        (&["--pipe", "/nowhere:name"], "$.Container.MappedPipes[0]"),
        (&["--memory", "99999999999g"], "$.Container.Memory"),
    ] {
        let said = host.hc(&run(options, &["true"]));
        assert!(said.status == Some(125) && said.err.contains(told), "{options:?}: {said:?}");
    }
    for options in [
        &["--weight", "0"][..],
        &["--weight", "7", "--cpus", "1"],
        &["--scratch", "/x"],
        &["--rm", "--keep"],
    ] {
        host.hc(&run(options, &["true"])).refused(2);
    }
    assert_eq!(host.hc(&["ps", "-o", "id"]).ok(), "");
}

fn processes_of_the_host_are_kept_together(containers: &Containers) {
    let host = &containers.host;
    let own = std::fs::read_link("/proc/self/ns/pid").expect("a namespace");
    let words = ["run", "--isolation", "host-process", "--", "readlink", "/proc/self/ns/pid"];
    assert_eq!(host.hc(&words).ok().trim(), own.to_string_lossy());
    for options in
        [&["--read-only"][..], &["--users", "host"], &["--cap-drop", "ALL"], &["--runtime", "crun"]]
    {
        let words = [&["run", "--isolation", "host-process"], options, &["--", "true"]].concat();
        let said = host.hc(&words).refused(125);
        assert!(said.contains("ERROR_NOT_SUPPORTED"), "{options:?}: {said}");
    }
}

fn a_container_stays_or_goes_with_its_command(containers: &Containers) {
    let host = &containers.host;
    assert_eq!(host.hc(&run(&["--keep", "--name", "kept"], &["echo", "hello"])).ok(), "hello\n");
    assert_eq!(host.hc(&["exec", "kept", "echo", "again"]).ok(), "again\n");
    host.hc(&["system", "terminate", "kept"]).ok();
    let shared = host.path("gate");
    std::fs::create_dir(&shared).expect("made");
    let volume = format!("{}:/mnt", shared.display());
    let script = "while ! [ -e /mnt/go ]; do sleep 0.01; done";
    let options = ["-d", "--rm", "--name", "short", "-v", &volume];
    host.hc(&run(&options, &["sh", "-c", script])).ok();
    host.hc(&["exec", "short", "true"]).ok();
    std::fs::write(shared.join("go"), "").expect("written");
    // It may have ended already.
    let said = host.hc(&["system", "wait", "short", "--timeout", "60"]);
    assert!(said.status == Some(0) && said.out.contains("GracefulExit"), "{said:?}");
    // A directory that is kept.
    let scratch = host.path("scratch");
    std::fs::create_dir(&scratch).expect("made");
    let scratch = scratch.to_str().expect("text");
    let root = host.path("root");
    std::fs::create_dir_all(root.join("bin")).expect("made");
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("copied");
    let root = root.to_str().expect("text");
    let kept = |script: &str| {
        let words = [
            "run",
            "--rootfs",
            root,
            "--scratch",
            scratch,
            "--",
            "/bin/busybox",
            "sh",
            "-c",
            script,
        ];
        host.hc(&words).ok()
    };
    kept("echo kept > /file");
    assert_eq!(kept("/bin/busybox cat /file"), "kept\n");
}

fn a_container_that_was_left_running_is_looked_at_and_ended(containers: &Containers) {
    let host = &containers.host;
    let command = ["sh", "-c", "echo begun; exec sleep 1000"];
    assert_eq!(host.hc(&run(&["-d", "--name", "web"], &command)).ok(), "web\n");
    let again = host.hc(&run(&["-d", "--name", "WEB"], &command)).refused(125);
    assert!(again.contains("HCS_E_SYSTEM_ALREADY_EXISTS"), "{again}");
    let listed = host.json(&["ps"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!((&listed[0]["Id"], &listed[0]["State"]), (&json!("web"), &json!("Running")));
    assert_eq!(listed[0]["Owner"], "hc");
    assert_eq!(host.json(&["ps", "--owner", "nobody"]), json!([]));
    host.hc(&["exec", "web", "--", "sh", "-c", "exit 3"]).refused(3);
    let told = host.json(&["system", "properties", "web", "Statistics", "ProcessList"]);
    assert!(told["Statistics"]["Uptime100ns"].as_u64().is_some_and(|uptime| uptime > 0));
    let names: Vec<&Value> =
        told["ProcessList"].as_array().expect("a list").iter().map(|p| &p["ImageName"]).collect();
    assert!(names.contains(&&json!("sleep")), "{names:?}");
    host.hc(&["system", "pause", "web"]).ok();
    assert_eq!(host.json(&["system", "show", "web"])["State"], "Paused");
    assert!(host.hc(&["system", "pause", "web"]).refused(1).contains("HCS_E_INVALID_STATE"));
    host.hc(&["system", "resume", "web"]).ok();
    let wait = host.hc(&["system", "wait", "web", "--timeout", "0"]).refused(1);
    assert!(wait.contains("WAIT_TIMEOUT"), "{wait}");
    assert!(host.hc(&["logs", "web"]).ok().starts_with("begun\n"));
    host.hc(&["system", "terminate", "web"]).ok();
    assert_eq!(host.json(&["ps"]), json!([]));
    let ended = host.json(&["ps", "--all"]);
    assert_eq!((&ended[0]["Id"], &ended[0]["ExitType"]), (&json!("web"), &json!("ForcedExit")));
    assert!(host.hc(&["logs", "-n", "1", "web"]).ok().lines().count() == 1);
    let gone = host.hc(&["system", "show", "web"]).refused(3);
    assert!(gone.contains("HCS_E_SYSTEM_NOT_FOUND"), "{gone}");
}

fn systems_by_document_are_refused_with_their_place(containers: &Containers) {
    let host = &containers.host;
    let create = ["system", "create", "--id", "x", "-"];
    for (text, told) in [
        ("{", "1:1"),
        (r#"{"SchemaVersion":{"Major":2},"Container":{"Foo":1}}"#, "(at $.Container.Foo, 1:"),
        (r#"{"SchemaVersion":{"Major":1},"Container":{}}"#, "$.SchemaVersion"),
        (r#"{"SchemaVersion":{"Major":2}}"#, "one of Container, VirtualMachine and HostedSystem"),
        (
            r#"{"SchemaVersion":{"Major":2},"Container":{"Storage":{"Layers":[{"Path":"/nowhere"}]}}}"#,
            "$.Container.Storage.Layers[0].Path",
        ),
    ] {
        let said = host.hc_reading(&create, text).refused(1);
        assert!(said.contains(told), "{said}\ninstead of {told}");
    }
    let text = r#"{"SchemaVersion":{"Major":2,"Minor":1},"Owner":"test","Container":{"Storage":{"Layers":[{"Path":"/"}]}}}"#;
    assert_eq!(host.hc_reading(&create, text).ok(), "x\n");
    assert_eq!(host.json(&["system", "show", "x"])["State"], "Created");
    assert!(host.hc(&["exec", "x", "true"]).refused(125).contains("HCS_E_INVALID_STATE"));
    host.hc(&["system", "start", "x"]).ok();
    assert_eq!(host.hc(&["exec", "x", "echo", "hello"]).ok(), "hello\n");
    let modify =
        r#"{"ResourcePath":"Container/Memory/SizeMB","RequestType":"Update","Settings":1}"#;
    host.hc_reading(&["system", "modify", "x", "-"], modify).refused(1);
    host.hc(&["system", "terminate", "x"]).ok();
}

/// Also when the command that waits for it is killed: its handle is the last one.
fn a_system_that_is_not_left_running_ends_with_its_command(containers: &Containers) {
    let host = &containers.host;
    let script = "echo begun; exec sleep 1000";
    let mut child = begun(host, &run(&["--name", "short", "-i"], &["sh", "-c", script]));
    child.kill().expect("killed");
    child.wait().expect("ended");
    // It may take a moment; whoever waits is told.
    let status = host.hc(&["system", "wait", "short", "--timeout", "60"]);
    match status.status {
        Some(0) => assert!(status.out.contains("ForcedExit"), "{}", status.out),
        _ => assert!(status.err.contains("HCS_E_SYSTEM_NOT_FOUND"), "{}", status.err),
    }
    let ended = host.json(&["ps", "--all"]);
    assert_eq!((&ended[0]["Id"], &ended[0]["ExitType"]), (&json!("short"), &json!("ForcedExit")));
}

/// A command that stays and has begun, which it says itself.
fn begun(host: &Sandbox, words: &[&str]) -> Child {
    let mut command = host.inside(env!("CARGO_BIN_EXE_hc"), words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    reader.read_line(&mut line).expect("text");
    assert_eq!(line, "begun\n");
    child
}

/// A container in one terminal does not keep the commands in others waiting, whatever it needs of the network at its end.
fn who_waits_for_a_container_stands_in_nobodys_way(containers: &Containers) {
    let host = &containers.host;
    host.hc_reading(&["network", "create", "-"], r#"{"Name":"lan","Type":"NAT"}"#).ok();
    let options = ["--name", "busy", "--network", "lan", "-i"];
    let mut waiting = begun(host, &run(&options, &["sh", "-c", "echo begun; exec cat"]));
    assert_eq!(host.hc(&["ps", "-o", "id"]).ok(), "busy\n");
    let mut inside = begun(host, &["exec", "-i", "busy", "sh", "-c", "echo begun; exec cat"]);
    assert_eq!(host.json(&["endpoint", "ls"])[0]["Name"], "busy");
    host.hc(&["system", "wait", "busy", "--timeout", "0"]).refused(1);
    for child in [&mut inside, &mut waiting] {
        drop(child.stdin.take());
        assert!(child.wait().expect("ended").success());
    }
    assert_eq!(host.json(&["endpoint", "ls"]), json!([]));
    host.hc(&["check"]).ok();
    host.hc(&["network", "delete", "lan"]).ok();
}

/// Kills the process that holds this lock, and waits until it is gone.
fn kill_carrier(lock: &std::path::Path) {
    for pid in holders(lock) {
        let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.expect("kill of procps").success());
        while std::path::Path::new("/proc").join(&pid).exists() {
            std::thread::yield_now();
        }
    }
}

fn a_container_on_a_network_has_an_endpoint_for_its_life(containers: &Containers) {
    let host = &containers.host;
    let lan =
        r#"{"Name":"lan","Type":"NAT","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}]}"#;
    host.hc_reading(&["network", "create", "-"], lan).ok();
    let told =
        host.hc(&run(&["--network", "lan"], &["ip", "-o", "-4", "addr", "show", "eth0"])).ok();
    assert!(told.contains("10.9.0."), "{told}");
    assert_eq!(host.json(&["endpoint", "ls"]), json!([]));
    // Left running, and ended while nobody looked: the next command takes it back, whatever it is.
    host.hc(&run(&["-d", "--name", "left", "--network", "lan"], &["sleep", "1000"])).ok();
    assert_eq!(host.json(&["endpoint", "ls"])[0]["Name"], "left");
    kill_carrier(&host.path("run/systems/left/lock"));
    host.hc(&["system", "wait", "left", "--timeout", "60"]);
    assert_eq!(host.json(&["endpoint", "ls"]), json!([]));
    assert_eq!(host.json(&["namespace", "ls"]).as_array().map(Vec::len), Some(1));
    host.hc(&["check"]).ok();
    host.hc(&["network", "delete", "lan"]).ok();
}

fn the_endpoint_of_a_container_is_as_it_was_asked_for(containers: &Containers) {
    let host = &containers.host;
    let lan =
        r#"{"Name":"lan","Type":"NAT","Ipams":[{"Subnets":[{"IpAddressPrefix":"10.9.0.0/24"}]}]}"#;
    host.hc_reading(&["network", "create", "-"], lan).ok();
    let port =
        "-p 8081:80 --ip 10.9.0.77 --mac 00-15-5D-00-00-77 --dns 192.0.2.53 --dns-search a.example";
    let port: Vec<&str> = port.split(' ').chain(["--network", "lan"]).collect();
    let options = [&["-d", "--name", "web"], &*port].concat();
    // What it serves tells of itself.
    host.hc(&run(&options, &["busybox", "httpd", "-f", "-p", "80", "-h", "/etc"])).ok();
    let served = host
        .inside("curl", &["--silent", "--show-error", "--retry", "60", "--retry-delay", "1"])
        .args(["--retry-connrefused", "http://127.0.0.1:8081/resolv.conf"])
        .output()
        .expect("started");
    let served = String::from_utf8_lossy(&served.stdout).into_owned()
        + &String::from_utf8_lossy(&served.stderr);
    assert!(served.contains("nameserver 192.0.2.53\nsearch a.example\n"), "{served}");
    let endpoint = &host.json(&["endpoint", "ls"])[0];
    assert_eq!(endpoint["MacAddress"], "00-15-5D-00-00-77");
    assert_eq!(endpoint["IpConfigurations"][0]["IpAddress"], "10.9.0.77");
    // What the network refuses leaves nothing.
    let refused = host.hc(&run(&["--network", "lan", "-p", "8081:80"], &["true"])).refused(125);
    assert!(refused.contains("0x803b0013"), "{refused}");
    assert_eq!(host.hc(&["ps", "-o", "id"]).ok(), "web\n");
    host.hc(&["system", "terminate", "web"]).ok();
    assert_eq!(host.json(&["endpoint", "ls"]), json!([]));
    // Nothing can be said of an endpoint that is not made.
    for network in ["none", "host"] {
        let options = ["--network", network, "-p", "8081:80"];
        let refused = host.hc(&run(&options, &["true"])).refused(125);
        assert!(refused.contains("NetworkAdapters"), "{refused}");
    }
    host.hc(&run(&["--network", "lan", "-p", "80"], &["true"])).refused(125);
    host.hc(&["network", "delete", "lan"]).ok();
}
