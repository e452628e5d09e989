//! Containers that another OCI runtime makes: the same as the builtin one's, as far as they are looked at here.

mod lab;

use std::path::{Path, PathBuf};

use hostcompute_supervisor::launch::{Mount, Network, Runtime};
use hostcompute_supervisor::message::{Cause, RefusalKind, Request, Size, Status, Streams};
use lab::{Lab, is_possible, process, read, read_until, shell, write};

/// Debian's runtimes; one must be there.
fn runtimes() -> Vec<PathBuf> {
    let known = ["/usr/bin/crun", "/usr/bin/runc", "/usr/sbin/runc"];
    let found: Vec<_> = known.map(PathBuf::from).into_iter().filter(|path| path.exists()).collect();
    assert!(!found.is_empty(), "this takes Debian's crun");
    found
}

/// Runs with each runtime.
fn with_each(test: impl Fn(&Lab, Runtime)) {
    if is_possible() {
        for path in runtimes() {
            println!("{}", path.display());
            test(&Lab::new(), Runtime::External(path));
        }
    }
}

#[test]
fn processes_run_and_everything_goes() {
    with_each(|lab, runtime| {
        let mut launch = lab.launch("one");
        launch.runtime = runtime;
        launch.resolver = Some("nameserver 10.0.0.1\n".into());
        let source = lab.path.join("source");
        std::fs::create_dir(&source).expect("a directory");
        launch.mounts =
            vec![Mount { source, target: "/mapped".into(), read_only: true, identity: None }];
        let mut system = lab.start(launch);
        let (output, error, status) = system.shell("echo out; echo err >&2; exit 3");
        assert_eq!((output.as_str(), error.as_str()), ("out\n", "err\n"));
        assert_eq!(status, Status::Exited(3));
        assert_eq!(system.prints("hostname; cat /etc/resolv.conf"), "one\nnameserver 10.0.0.1\n");
        let (_, _, status) = system.shell("touch /mapped/x");
        assert_ne!(status, Status::Exited(0));
        let state = system.prints("grep -E '^(CapEff|Seccomp):' /proc/self/status");
        assert_eq!(state, "CapEff:\t00000000800425fb\nSeccomp:\t2\n");
        let mut launch = shell("id -u; echo $HOME; pwd");
        launch.user = "ann".into();
        launch.directory = "/tmp".into();
        let mut running = system.run(launch).expect("a process");
        assert_eq!(read(running.output.take()), "1000\n/home\n/tmp\n");
        let missing = system.run(process(&["nothing"])).expect_err("refused");
        assert_eq!(missing.kind, RefusalKind::NoProgram, "{missing:?}");
        system.terminate();
    });
}

#[test]
fn a_root_may_be_closed() {
    with_each(|lab, runtime| {
        let mut launch = lab.launch("one");
        launch.runtime = runtime;
        launch.read_only = true;
        let mut system = lab.start(launch);
        assert_eq!(system.prints("touch /file 2>/dev/null || echo kept"), "kept\n");
        system.prints("echo x > /dev/shm/file");
    });
}

#[test]
fn streams_terminals_and_signals() {
    with_each(|lab, runtime| {
        let mut launch = lab.launch("one");
        launch.runtime = runtime;
        let mut system = lab.start(launch);
        let mut cat = system.run(process(&["cat"])).expect("a process");
        write(&mut cat.input, "line\n");
        read_until(cat.output.as_mut().expect("output"), "line\n");
        system.ask(Request::CloseInput { pid: cat.pid }).expect("closed");
        assert_eq!(system.status(cat.pid), Status::Exited(0));
        let sleeper = system.run(process(&["sleep", "1000"])).expect("a process");
        system.ask(Request::Signal { pid: sleeper.pid, signal: 15 }).expect("sent");
        assert_eq!(system.status(sleeper.pid), Status::Killed(15));
        let mut launch = shell("read x; stty size");
        launch.terminal = Some(Size { rows: 30, columns: 100 });
        launch.streams = Streams { input: true, output: true, error: false };
        let mut running = system.run(launch).expect("a process");
        let mut output = running.output.take().expect("output");
        let size = Size { rows: 50, columns: 132 };
        system.ask(Request::Resize { pid: running.pid, size }).expect("resized");
        write(&mut running.input, "\n");
        read_until(&mut output, "50 132\r\n");
        assert_eq!(system.status(running.pid), Status::Exited(0));
        system.ask(Request::Pause).expect("paused");
        system.ask(Request::Resume).expect("resumed");
        system.terminate();
    });
}

#[test]
fn it_is_shut_down_and_joins_networks() {
    with_each(|lab, runtime| {
        let mut launch = lab.launch("one");
        launch.runtime = runtime;
        launch.network = Network::Path("/proc/self/ns/net".into());
        let mut system = lab.start(launch.clone());
        let ours = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        assert_eq!(Path::new(system.prints("readlink /proc/self/ns/net").trim()), ours);
        let sleeper = system.run(process(&["sleep", "1000"])).expect("a process");
        system.ask(Request::Shutdown { signal: 15, force_after: None }).expect("asked");
        assert_eq!(system.status(sleeper.pid), Status::Killed(15));
        assert_eq!(system.exit().cause, Cause::ShutDown);
        system.assert_gone();
        // What cannot be started is undone.
        launch.network = Network::Path("/nowhere".into());
        let mut system = lab.create(launch).expect("created");
        system.ask(Request::Start).expect_err("refused");
        assert!(matches!(system.exit().cause, Cause::StartFailed(_)));
        system.assert_gone();
    });
}
