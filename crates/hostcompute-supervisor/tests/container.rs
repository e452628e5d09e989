//! Real containers: what processes in them see and may do, and that nothing is left of them.

mod lab;

use std::fs;
use std::path::{Path, PathBuf};

use hostcompute_supervisor::launch::{
    Device, IdRange, Isolation, Limits, LookedAt, Mount, Network, OPEN_FILES, Quota, Root, Scratch,
    Users,
};
use hostcompute_supervisor::message::{Answer, Cause, Notice, RefusalKind, Request, State, Status};
use lab::{Lab, is_possible, process, read, shell};

/// Runs with a laboratory, where that is possible.
fn with_lab(test: impl FnOnce(&Lab)) {
    if is_possible() {
        test(&Lab::new());
    }
}

fn mount(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount { source: source.to_owned(), target: PathBuf::from(target), read_only, identity: None }
}

#[test]
fn a_process_runs_and_everything_goes() {
    with_lab(|lab| {
        let mut system = lab.create(lab.launch("one")).expect("created");
        let early = system.run(process(&["true"])).expect_err("not started");
        assert_eq!(early.kind, RefusalKind::State);
        system.ask(Request::Start).expect("started");
        assert_eq!(system.notices, [Notice::State(State::Running)]);
        let (output, error, status) = system.shell("echo out; echo err >&2; exit 3");
        assert_eq!((output.as_str(), error.as_str()), ("out\n", "err\n"));
        assert_eq!(status, Status::Exited(3));
        assert_eq!(system.prints("hostname"), "one\n");
        assert_eq!(system.ask(Request::Start).expect_err("runs").kind, RefusalKind::State);
        let exit = system.terminate();
        assert_eq!(exit.cause, Cause::Terminated);
    });
}

#[test]
fn one_that_never_started_goes_too() {
    with_lab(|lab| {
        let mut system = lab.create(lab.launch("one")).expect("created");
        assert!(system.group.exists());
        assert_eq!(system.terminate().cause, Cause::Terminated);
    });
}

#[test]
fn it_sees_its_own_namespaces() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        assert_eq!(system.prints("echo $$"), "2\n", "after the first process");
        assert_eq!(system.prints("ip -o link | cut -d: -f2"), " lo\n");
        assert!(system.prints("ip -o link").contains("LOWER_UP"));
        for kind in ["pid", "mnt", "ipc", "uts", "net", "cgroup"] {
            let theirs = system.prints(&format!("readlink /proc/self/ns/{kind}"));
            let ours = fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
            assert_ne!(theirs.trim(), ours.to_string_lossy(), "{kind}");
        }
        // As in every container, and no more.
        let devices = system.prints("ls /dev");
        let expected =
            "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
        assert_eq!(devices.split_whitespace().collect::<Vec<_>>().join(" "), expected);
        assert_eq!(system.prints("cat /proc/self/cgroup | grep -c hostcompute || true"), "0\n");
    });
}

#[test]
fn it_may_do_what_containers_may() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let status =
            system.prints("grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs)' /proc/self/status");
        // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT SETFCAP
        assert!(status.contains("CapEff:\t00000000800425fb"), "{status}");
        assert!(status.contains("CapBnd:\t00000000800425fb"), "{status}");
        assert!(status.contains("Seccomp:\t2"), "{status}");
        assert!(status.contains("NoNewPrivs:\t0"), "{status}");
        for line in [
            "mount -t tmpfs x /tmp",
            "unshare -U true",
            "mknod /tmp/disk b 254 0",
            "echo 1 > /proc/sys/kernel/sysrq",
            "echo b > /proc/sysrq-trigger",
            "touch /sys/kernel/x",
            "kill -9 1 && readlink /proc/1/exe",
            "readlink /proc/1/fd/3",
            "cat /proc/1/environ",
        ] {
            let (_, _, status) = system.shell(line);
            assert_ne!(status, Status::Exited(0), "{line}");
        }
        assert_eq!(system.prints("ls /sys/firmware | wc -l"), "0\n");
        assert_eq!(system.prints("cat /proc/interrupts | wc -c"), "0\n");
        let mut restricted = shell("grep -E '^(CapEff|CapPrm|NoNewPrivs)' /proc/self/status");
        restricted.restricted = true;
        let mut running = system.run(restricted).expect("a process");
        assert_eq!(
            read(running.output.take()),
            "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n"
        );
    });
}

/// Whatever the supervisor's own are.
#[test]
fn open_files_have_the_usual_bounds() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let hard = own.map_or(OPEN_FILES.1, |own| own.min(OPEN_FILES.1));
        assert_eq!(system.prints("ulimit -Sn; ulimit -Hn"), format!("{}\n{hard}\n", OPEN_FILES.0));
    });
}

#[test]
fn layers_lie_above_each_other_and_the_scratch_stays() {
    with_lab(|lab| {
        let (top, scratch) = (lab.path.join("top"), lab.path.join("scratch"));
        for directory in [&top.join("etc"), &scratch] {
            fs::create_dir_all(directory).expect("a directory");
        }
        fs::write(top.join("etc/passwd"), "of the top").expect("written");
        let mut launch = lab.launch("one");
        launch.root = Root::Layers {
            layers: vec![top.clone(), lab.root()],
            scratch: Scratch::Directory(scratch.clone()),
        };
        let mut system = lab.start(launch.clone());
        assert_eq!(system.prints("cat /etc/passwd"), "of the top");
        system.prints("echo changed > /etc/passwd; echo new > /new");
        system.terminate();
        assert_eq!(fs::read_to_string(top.join("etc/passwd")).expect("read"), "of the top");
        assert_eq!(fs::read_to_string(scratch.join("upper/new")).expect("read"), "new\n");
        let mut again = lab.start(launch);
        assert_eq!(again.prints("cat /etc/passwd /new"), "changed\nnew\n");
    });
}

#[test]
fn a_directory_is_a_root_as_it_is() {
    with_lab(|lab| {
        let mut launch = lab.launch("one");
        launch.root = Root::Directory { path: lab.root() };
        let mut system = lab.start(launch.clone());
        system.prints("echo kept > /tmp/kept");
        system.terminate();
        assert_eq!(fs::read_to_string(lab.root().join("tmp/kept")).expect("read"), "kept\n");
        launch.read_only = true;
        let mut system = lab.start(launch);
        let (_, _, status) = system.shell("touch /tmp/more");
        assert_ne!(status, Status::Exited(0));
    });
}

#[test]
fn a_root_that_is_closed_still_has_what_is_mounted_on_it() {
    with_lab(|lab| {
        let shared = lab.path.join("shared");
        fs::create_dir(&shared).expect("a directory");
        let mut launch = lab.launch("one");
        launch.read_only = true;
        launch.mounts = vec![mount(&shared, "/where/nothing/is", false)];
        launch.resolver = Some("nameserver 192.0.2.1\n".into());
        let mut system = lab.start(launch);
        system.prints("echo x > /where/nothing/is/file; echo x > /dev/shm/file; test -c /dev/null");
        assert_eq!(fs::read_to_string(shared.join("file")).expect("read"), "x\n");
        assert_eq!(system.prints("cat /etc/resolv.conf"), "nameserver 192.0.2.1\n");
        for place in ["/file", "/etc/file", "/where/file", "/tmp/file"] {
            let (_, _, status) = system.shell(&format!("touch {place}"));
            assert_ne!(status, Status::Exited(0), "{place}");
        }
    });
}

#[test]
fn the_hosts_root_is_not_changed() {
    with_lab(|lab| {
        let mut launch = lab.launch("one");
        launch.root = Root::Host { scratch: Scratch::Own };
        let mut system = lab.start(launch);
        let name = format!("/etc/hostcompute-test-{}", std::process::id());
        assert_eq!(system.prints(&format!("echo new > {name}; cat {name}")), "new\n");
        assert!(!Path::new(&name).exists());
    });
}

#[test]
fn directories_are_mapped_and_read_only_all_the_way_down() {
    with_lab(|lab| {
        let (one, two) = (lab.path.join("one"), lab.path.join("two"));
        for directory in [&one, &two] {
            fs::create_dir(directory).expect("a directory");
            fs::write(directory.join("file"), "of the host\n").expect("written");
        }
        let mut launch = lab.launch("one");
        launch.mounts = vec![
            mount(&one, "/deep/in/there", true),
            mount(&two, "/deep/in/there/no", false),
            mount(Path::new("/proc"), "/foreign", true),
        ];
        launch.mounts.remove(1);
        let mut system = lab.start(launch);
        assert_eq!(system.prints("cat /deep/in/there/file"), "of the host\n");
        let (_, _, status) = system.shell("echo x > /deep/in/there/file");
        assert_ne!(status, Status::Exited(0));
        let (_, _, status) = system.shell("echo x > /foreign/sys/kernel/printk");
        assert_ne!(status, Status::Exited(0), "also what is mounted below");
        // While it runs.
        system.ask(Request::AddMount(mount(&two, "/later", false))).expect("mapped");
        assert_eq!(system.prints("cat /later/file; echo back > /later/file"), "of the host\n");
        assert_eq!(fs::read_to_string(two.join("file")).expect("read"), "back\n");
        let again = system.ask(Request::AddMount(mount(&one, "/later", false)));
        assert_eq!(again.expect_err("taken").kind, RefusalKind::Exists);
        system.ask(Request::RemoveMount { target: "/later".into() }).expect("unmapped");
        assert_eq!(system.prints("ls /later"), "");
        let gone = system.ask(Request::RemoveMount { target: "/later".into() });
        assert_eq!(gone.expect_err("gone").kind, RefusalKind::NotFound);
        let missing = system.ask(Request::AddMount(mount(Path::new("/nowhere"), "/x", true)));
        assert_eq!(missing.expect_err("missing").kind, RefusalKind::NoPath);
    });
}

#[test]
fn links_of_the_root_lead_nowhere_else() {
    with_lab(|lab| {
        let secret = lab.path.join("secret");
        fs::create_dir(&secret).expect("a directory");
        std::os::unix::fs::symlink(&secret, lab.root().join("trap")).expect("a link");
        fs::remove_dir(lab.root().join("dev")).expect("removed");
        std::os::unix::fs::symlink(&secret, lab.root().join("dev")).expect("a link");
        let source = lab.path.join("source");
        fs::create_dir(&source).expect("a directory");
        let mut launch = lab.launch("one");
        launch.mounts = vec![mount(&source, "/trap/below", false)];
        // Whether it can be made or not, the host's directory is not touched.
        let mut system = lab.create(launch).expect("created");
        if system.ask(Request::Start).is_ok() {
            system.terminate();
        } else {
            system.exit();
            system.assert_gone();
        }
        assert_eq!(fs::read_dir(&secret).expect("a directory").count(), 0);
    });
}

#[test]
fn sockets_are_mapped_as_pipes() {
    with_lab(|lab| {
        let path = lab.path.join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let mut launch = lab.launch("one");
        launch.mounts = vec![mount(&path, "/run/pipes/mine", false)];
        let mut system = lab.start(launch);
        assert_eq!(system.prints("test -S /run/pipes/mine && echo there"), "there\n");
    });
}

#[test]
fn names_and_resolvers_are_its_own() {
    with_lab(|lab| {
        let mut launch = lab.launch("one");
        launch.resolver = Some("nameserver 10.0.0.1\n".into());
        launch.hosts = Some("127.0.0.1 localhost\n".into());
        let mut system = lab.start(launch);
        assert_eq!(
            system.prints("cat /etc/hostname /etc/hosts /etc/resolv.conf"),
            "one\n127.0.0.1 localhost\nnameserver 10.0.0.1\n"
        );
    });
}

#[test]
fn limits_hold_and_change() {
    with_lab(|lab| {
        let mut launch = lab.launch("one");
        launch.limits = Limits {
            memory_bytes: Some(64 << 20),
            cpu_quota: Some(Quota { time: 50_000, period: 100_000 }),
            cpu_weight: Some(200),
            cpu_set: Some("0".into()),
            processes: Some(100),
            ..Limits::default()
        };
        let mut system = lab.start(launch);
        assert_eq!(
            system.prints("grep Cpus_allowed_list /proc/self/status"),
            "Cpus_allowed_list:\t0\n"
        );
        let limits = Limits { memory_bytes: Some(32 << 20), ..Limits::default() };
        system.ask(Request::Update(limits.clone())).expect("changed");
        let (Answer::Inspection(inspection), _) = system.ask(Request::Inspect).expect("inspected")
        else {
            panic!("an inspection")
        };
        assert_eq!(inspection.limits, limits);
        assert_ne!(
            system.prints("grep Cpus_allowed_list /proc/self/status"),
            "Cpus_allowed_list:\t0\n"
        );
        // More than there is kills, and is told.
        let (_, _, status) = system.shell("dd if=/dev/zero of=/dev/null bs=128M count=1");
        assert_eq!(status, Status::Killed(9));
        system.wait_for(|notice| matches!(notice, Notice::OutOfMemory).then_some(()));
        assert!(system.terminate().out_of_memory);
    });
}

#[test]
fn what_is_used_is_counted() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let sleeper = system.run(process(&["sleep", "1000"])).expect("a process");
        let (Answer::Statistics(statistics), _) = system.ask(Request::Statistics).expect("counted")
        else {
            panic!("statistics")
        };
        assert!(statistics.group.processor_total > 0);
        assert!(statistics.group.memory > 0);
        assert!(statistics.group.memory_peak >= statistics.group.memory);
        assert!(statistics.at > statistics.started);
        let (Answer::Processes(processes), _) = system.ask(Request::Processes).expect("listed")
        else {
            panic!("processes")
        };
        let found: Vec<_> = processes.iter().map(|one| (one.pid, one.name.as_str())).collect();
        assert_eq!(found, [(sleeper.pid, "sleep")]);
    });
}

#[test]
fn it_stands_still_while_it_is_paused() {
    with_lab(|lab| {
        let mut system = lab.start(lab.launch("one"));
        let mut cat = system.run(process(&["cat"])).expect("a process");
        system.ask(Request::Pause).expect("paused");
        let refused = system.run(process(&["true"])).expect_err("paused");
        assert_eq!(refused.kind, RefusalKind::State);
        lab::write(&mut cat.input, "line\n");
        let (Answer::Processes(processes), _) = system.ask(Request::Processes).expect("listed")
        else {
            panic!("processes")
        };
        assert_eq!(processes.len(), 1);
        system.ask(Request::Resume).expect("resumed");
        lab::read_until(cat.output.as_mut().expect("output"), "line\n");
        system.ask(Request::Pause).expect("paused");
        assert_eq!(system.terminate().cause, Cause::Terminated);
    });
}

#[test]
fn devices_are_given_and_taken() {
    with_lab(|lab| {
        let fuse = |target: &str| Device {
            source: "/dev/fuse".into(),
            target: target.into(),
            access: "rwm".into(),
        };
        let mut launch = lab.launch("one");
        launch.devices = vec![fuse("/dev/fuse")];
        let mut system = lab.start(launch);
        assert_eq!(system.prints("test -c /dev/fuse && echo yes"), "yes\n");
        system.ask(Request::AddDevices(vec![fuse("/dev/deep/log")])).expect("given");
        assert_eq!(system.prints("test -c /dev/deep/log && echo yes"), "yes\n");
        let again = system.ask(Request::AddDevices(vec![fuse("/dev/deep/log")]));
        assert_eq!(again.expect_err("given").kind, RefusalKind::Exists);
        let targets = vec![PathBuf::from("/dev/deep/log")];
        system.ask(Request::RemoveDevices { targets: targets.clone() }).expect("taken");
        let (_, _, status) = system.shell("test -e /dev/deep/log");
        assert_eq!(status, Status::Exited(1));
        let gone = system.ask(Request::RemoveDevices { targets });
        assert_eq!(gone.expect_err("gone").kind, RefusalKind::NotFound);
    });
}

#[test]
fn a_network_is_shared_or_joined() {
    with_lab(|lab| {
        let mut first = lab.start(lab.launch("one"));
        first.prints("ip link show lo");
        let mut launch = lab.launch("two");
        launch.network = Network::System(first.directory.clone());
        let mut second = lab.start(launch);
        let namespace = "readlink /proc/self/ns/net";
        assert_eq!(first.prints(namespace), second.prints(namespace));
        let mut launch = lab.launch("three");
        launch.network = Network::Host;
        let mut third = lab.start(launch);
        let ours = fs::read_link("/proc/self/ns/net").expect("a namespace");
        assert_eq!(third.prints(namespace).trim(), ours.to_string_lossy());
        let mut launch = lab.launch("four");
        launch.network = Network::Path("/proc/self/ns/net".into());
        let mut fourth = lab.start(launch);
        assert_eq!(fourth.prints(namespace).trim(), ours.to_string_lossy());
    });
}

/// As NetworkAdapters have it: the namespace is made, and gets its name, when the system has been made. Where the host keeps its mounts
/// to itself the supervisor's own mounts do not show it.
#[test]
fn a_network_that_is_named_later_is_joined() {
    with_lab(|lab| {
        let name = lab.root().with_file_name("later");
        fs::write(&name, "").expect("room");
        let mut launch = lab.launch("one");
        launch.network = Network::Path(name.clone());
        let mut system = lab.create(launch).expect("created");
        let run = |program: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            assert!(command.args(arguments).arg(&name).status().expect(program).success());
        };
        run("mount", &["--bind", "/proc/self/ns/net"]);
        let started = system.ask(Request::Start);
        let ours = fs::read_link("/proc/self/ns/net").expect("a namespace");
        let theirs = started.as_ref().map(|_| system.prints("readlink /proc/self/ns/net"));
        run("umount", &[]);
        assert_eq!(theirs.expect("started").trim(), ours.to_string_lossy());
    });
}

#[test]
fn users_are_others_on_the_host() {
    with_lab(|lab| {
        let range = |host| vec![IdRange { inside: 0, host, count: 65_536 }];
        let mut launch = lab.launch("one");
        launch.users = Some(Users { uids: range(100_000), gids: range(200_000) });
        let mut system = lab.start(launch);
        assert_eq!(
            system.prints("id -u; cat /proc/self/uid_map").split_whitespace().collect::<Vec<_>>(),
            ["0", "0", "100000", "65536"]
        );
        let mut sleeper = system.run(shell("echo on; sleep 1000; true")).expect("a process");
        lab::read_until(sleeper.output.as_mut().expect("output"), "on");
        let owners: Vec<u32> = system
            .group
            .processes()
            .expect("processes")
            .into_iter()
            .filter_map(|pid| {
                use std::os::unix::fs::MetadataExt;
                let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                let uid = text.lines().find_map(|line| line.strip_prefix("Uid:\t"))?;
                let _ = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
                uid.split('\t').next()?.parse().ok()
            })
            .collect();
        assert!(owners.len() >= 2 && owners.iter().all(|uid| *uid == 100_000), "{owners:?}");
        assert_eq!(system.prints("echo x > /dev/null && test -c /dev/null && echo yes"), "yes\n");
    });
}

#[test]
fn host_processes_are_the_hosts() {
    with_lab(|lab| {
        let mut launch = lab.launch("one");
        launch.isolation = Isolation::HostProcess;
        launch.root = Root::Shared;
        launch.host_name = None;
        launch.network = Network::Host;
        let mut system = lab.start(launch.clone());
        let mut running = system
            .run(process(&[
                "/bin/busybox",
                "sh",
                "-c",
                "readlink /proc/self/ns/mnt; readlink /proc/self/ns/pid; sleep 1000",
            ]))
            .expect("a process");
        let text = lab::read_until(running.output.as_mut().expect("output"), "pid:[");
        let ours = fs::read_link("/proc/self/ns/mnt").expect("a namespace");
        assert!(text.starts_with(&*ours.to_string_lossy()), "{text}");
        assert!(Path::new(&format!("/proc/{}", running.pid)).exists(), "the host's number");
        system.terminate();
        assert!(!Path::new(&format!("/proc/{}", running.pid)).exists(), "it is gone");
        // With a root of its own, beside the host's.
        launch.root = Root::Layers { layers: vec![lab.root()], scratch: Scratch::Own };
        let mut system = lab.start(launch);
        let place = system.directory.join("rootfs/etc/passwd");
        let mut running = system
            .run(process(&["/bin/busybox", "cat", &place.to_string_lossy()]))
            .expect("a process");
        assert!(read(running.output.take()).contains("ann"));
        assert!(!place.exists(), "the host does not see it");
    });
}

#[test]
fn what_cannot_be_made_is_undone() {
    with_lab(|lab| {
        for (number, kind) in [
            (0, RefusalKind::NoPath),
            (1, RefusalKind::NoPath),
            (2, RefusalKind::NotFound),
            (3, RefusalKind::NoPath),
            (4, RefusalKind::Failed),
        ] {
            let mut launch = lab.launch("one");
            match number {
                0 => {
                    launch.root =
                        Root::Layers { layers: vec!["/nowhere".into()], scratch: Scratch::Own }
                }
                1 => launch.mounts = vec![mount(Path::new("/nowhere"), "/x", false)],
                2 => {
                    launch.devices = vec![Device {
                        source: "/etc".into(),
                        target: "/dev/x".into(),
                        access: "r".into(),
                    }]
                }
                3 => launch.root = Root::Directory { path: "/nowhere".into() },
                _ => launch.limits.cpu_set = Some("9999".into()),
            }
            let refusal = lab.create(launch).expect_err("refused");
            assert_eq!(refusal.kind, kind, "{number}: {refusal:?}");
        }
    });
}

/// Set in the copy of this test that is an ordinary user's.
const ORDINARY: &str = "HOSTCOMPUTE_TEST_ORDINARY";

#[test]
fn an_ordinary_user_has_containers_too() {
    if std::env::var_os(ORDINARY).is_some() {
        // Root of a namespace, and nobody outside: without control groups.
        let lab = Lab::new();
        let mut launch = lab.launch("one");
        launch.cgroup = None;
        let mut system = lab.start(launch);
        assert_eq!(system.prints("id -u; echo x > /tmp/x; hostname"), "0\none\n");
        let (_, _, status) = system.shell("mount -t tmpfs x /tmp");
        assert_ne!(status, Status::Exited(0));
        let paused = system.ask(Request::Pause).expect_err("no control group");
        assert_eq!(paused.kind, RefusalKind::Unsupported);
        assert!(matches!(system.ask(Request::Statistics), Ok((Answer::Statistics(_), _))));
        system.terminate();
    } else if is_possible() {
        // Copies: not everybody may look where Cargo builds.
        let lab = Lab::new();
        let (own, supervisor) = (lab.path.join("test"), lab.path.join("supervisor"));
        fs::copy(std::env::current_exe().expect("this program"), &own).expect("copied");
        fs::copy(lab::supervisor(), &supervisor).expect("copied");
        let status = std::process::Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "unshare"])
            .args(["--user", "--map-root-user", "--mount", "--net"])
            .arg(&own)
            .args(["--exact", "an_ordinary_user_has_containers_too", "--nocapture"])
            .env(ORDINARY, "1")
            .env(lab::SUPERVISOR, supervisor)
            .env("TMPDIR", "/tmp")
            .status()
            .expect("setpriv and unshare");
        assert!(status.success());
    }
}

/// Another directory takes the place of one that was looked at, before the supervisor comes to it.
fn swapped(lab: &Lab, root: impl Fn(PathBuf) -> Root) -> Option<i32> {
    let named = lab.path.join("named");
    fs::create_dir(&named).expect("made");
    let identity = {
        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(&named).expect("there");
        (found.dev(), found.ino())
    };
    let mut launch = lab.launch("one");
    launch.root = root(named.clone());
    launch.looked_at = vec![LookedAt { path: named.clone(), identity }];
    fs::rename(&named, lab.path.join("moved")).expect("moved");
    // What its client may not read, perhaps.
    std::os::unix::fs::symlink(lab.root(), &named).expect("room");
    let refusal = lab.create(launch).expect_err("another directory");
    fs::remove_file(&named).expect("ours");
    fs::remove_dir_all(lab.path.join("moved")).expect("ours");
    assert!(refusal.message.contains("taken its place"), "{refusal:?}");
    refusal.errno
}

#[test]
fn what_took_the_place_of_a_layer_a_scratch_or_a_root_is_refused() {
    with_lab(|lab| {
        let denied = Some(rustix::io::Errno::ACCESS.raw_os_error());
        let layer = |path| Root::Layers { layers: vec![path], scratch: Scratch::Own };
        assert_eq!(swapped(lab, layer), denied);
        let below = lab.root();
        let scratch =
            |path| Root::Layers { layers: vec![below.clone()], scratch: Scratch::Directory(path) };
        assert_eq!(swapped(lab, scratch), denied);
        assert_eq!(swapped(lab, |path| Root::Directory { path }), denied);
    });
}

#[test]
fn what_was_looked_at_is_used_whatever_its_name_leads_to() {
    use std::os::unix::fs::MetadataExt;
    with_lab(|lab| {
        let scratch = lab.path.join("scratch");
        fs::create_dir(&scratch).expect("made");
        let mut launch = lab.launch("one");
        let Root::Layers { layers, scratch: place } = &mut launch.root else { panic!("layers") };
        *place = Scratch::Directory(scratch.clone());
        for path in layers.iter().chain([&scratch]) {
            let found = fs::metadata(path).expect("there");
            let identity = (found.dev(), found.ino());
            launch.looked_at.push(LookedAt { path: path.clone(), identity });
        }
        let mut system = lab.start(launch.clone());
        assert_eq!(system.prints("echo written >/new; cat /new"), "written\n");
        system.terminate();
        assert_eq!(fs::read_to_string(scratch.join("upper/new")).expect("kept"), "written\n");
        // A scratch whose inside leads elsewhere is none.
        fs::remove_dir_all(scratch.join("upper")).expect("ours");
        let elsewhere = lab.path.join("elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        std::os::unix::fs::symlink(&elsewhere, scratch.join("upper")).expect("room");
        launch.id = "two".to_owned();
        launch.directory = launch.directory.with_file_name("two");
        assert!(lab.create(launch).is_err());
        assert_eq!(fs::read_dir(&elsewhere).expect("there").count(), 0);
    });
}
