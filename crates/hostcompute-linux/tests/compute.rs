//! Compute systems on this machine, through the trait by which the service asks for them.
//!
//! The supervisor's program is the one that Cargo built beside this test; it is built if nobody has.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use hostcompute_engine::compute::{
    Cause, Happening, Isolation, Launch, Leash, Limits, LogRequest, Mount, NetworkPlace, OnBehalf,
    Phase, ProcessLaunch, ProcessStatus, Root, Scratch, Sink, Terms, Worker, Workers,
};
use hostcompute_linux::compute::{Options, Supervised, Supervisors};
use hostcompute_schema::{Guid, HResult};
use hostcompute_supervisor::cgroup::Group;

const PATIENCE: Duration = Duration::from_secs(60);

fn is_possible() -> bool {
    let problem = if !rustix::process::geteuid().is_root() {
        "this takes root"
    } else if busybox().is_none() {
        "this takes Debian's busybox-static"
    } else {
        return true;
    };
    assert!(std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(), "{problem}");
    eprintln!("skipped: {problem}");
    false
}

fn busybox() -> Option<&'static Path> {
    [Path::new("/bin/busybox"), Path::new("/usr/bin/busybox")]
        .into_iter()
        .find(|path| path.exists())
}

fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let test = std::env::current_exe().expect("this program");
            let folder = test.ancestors().nth(2).expect("the target directory");
            let program = folder.join("hostcompute-supervisor");
            if !program.exists() {
                let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
                let built =
                    Command::new(cargo).args(["build", "-p", "hostcompute-supervisor"]).status();
                assert!(built.expect("cargo").success());
            }
            program
        })
        .clone()
}

/// A runtime directory and a root of one's own; nothing is left of them.
struct Lab {
    path: PathBuf,
    supervisors: Supervisors,
}

impl Lab {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hcs-linux-{}-{name}", std::process::id()));
        let bin = path.join("root/bin");
        fs::create_dir_all(&bin).expect("a directory");
        fs::copy(busybox().expect("busybox"), bin.join("busybox")).expect("copied");
        for name in ["sh", "cat", "echo", "sleep", "ls", "true"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).expect("a link");
        }
        let supervisors = Self::open(&path);
        Self { path, supervisors }
    }

    fn open(path: &Path) -> Supervisors {
        let options = Options { program: program(), ..Options::new(path.join("run")) };
        Supervisors::open(options).expect("opened")
    }

    fn launch(&self, id: &str) -> Launch {
        Launch {
            id: id.into(),
            runtime_id: Guid::default(),
            record: format!("the record of {id}"),
            owes: None,
            root: Root::Layers {
                layers: vec![self.path.join("root").to_string_lossy().into_owned()],
                scratch: Scratch::Ephemeral,
            },
            mounts: Vec::new(),
            pipes: Vec::new(),
            host_name: None,
            limits: Limits::default(),
            network: NetworkPlace::Own,
            resolv_conf: None,
            devices: Vec::new(),
            isolation: Isolation::Container,
            terms: Terms::default(),
            on_behalf: None,
        }
    }

    fn running(&self, id: &str) -> (Supervised, Heard) {
        let (sink, heard) = Heard::new();
        let worker = self.supervisors.create(&self.launch(id), sink).expect("created");
        worker.leash(Leash::Loose).expect("loose");
        worker.start().expect("started");
        (worker, heard)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for id in self.supervisors.list().unwrap_or_default() {
            let (sink, _) = Heard::new();
            if let Ok(adopted) = self.supervisors.adopt(&id, sink) {
                let _ = adopted.worker.terminate(Cause::Terminated);
            }
        }
        if !std::thread::panicking() {
            let systems = fs::read_dir(self.path.join("run/systems")).expect("a directory");
            assert_eq!(systems.count(), 0, "no system is left");
        }
        fs::remove_dir_all(&self.path).expect("removed");
    }
}

/// What a sink was told.
struct Heard {
    told: Receiver<Happening>,
}

impl Heard {
    fn new() -> (Sink, Self) {
        let (sender, told) = channel();
        let sender = Mutex::new(sender);
        let sink: Sink = Arc::new(move |happening| {
            let _ = sender.lock().expect("nobody panics").send(happening);
        });
        (sink, Self { told })
    }

    fn next(&self) -> Happening {
        self.told.recv_timeout(PATIENCE).expect("something is told")
    }

    fn wait_for(&self, wanted: impl Fn(&Happening) -> bool) -> Happening {
        loop {
            let happening = self.next();
            if wanted(&happening) {
                return happening;
            }
        }
    }
}

fn shell(line: &str) -> ProcessLaunch {
    ProcessLaunch {
        arguments: ["sh", "-c", line].map(str::to_owned).into(),
        environment: vec![("PATH".into(), "/bin".into())],
        stdin: true,
        stdout: true,
        stderr: true,
        ..ProcessLaunch::default()
    }
}

fn read(stream: Option<OwnedFd>) -> String {
    let mut text = String::new();
    File::from(stream.expect("a stream")).read_to_string(&mut text).expect("read");
    text
}

#[test]
fn what_happens_is_told_in_order() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new("order");
    let (worker, heard) = lab.running("One");
    assert_eq!(
        heard.told.try_recv(),
        Ok(Happening::Phase(Phase::Running)),
        "told before it returns"
    );
    let created = worker.create_process(&shell("echo hello; exit 3")).expect("a process");
    let pid = created.pid;
    assert_eq!(heard.next(), Happening::ProcessCreated { pid });
    assert_eq!(heard.next(), Happening::ProcessExited { pid, status: ProcessStatus::Exited(3) });
    assert_eq!(read(created.stdio.output), "hello\n");
    let gone = worker.signal(pid, hostcompute_engine::compute::Signal::KILL).expect_err("it ended");
    assert_eq!(gone.hresult, HResult::HCS_E_PROCESS_ALREADY_STOPPED);
    worker.terminate(Cause::Terminated).expect("ended");
    let Ok(Happening::Exited(end)) = heard.told.try_recv() else {
        panic!("told before it returns")
    };
    assert_eq!(end.cause, Cause::Terminated);
    let ended = worker.start().expect_err("it has ended");
    assert_eq!(ended.hresult, HResult::HCS_E_SYSTEM_ALREADY_STOPPED);
    let remains = lab.supervisors.remains().expect("remains");
    assert_eq!(remains.len(), 1);
    assert_eq!((remains[0].id.as_str(), remains[0].record.as_str()), ("One", "the record of One"));
}

#[test]
fn ids_are_taken_once_whatever_their_case() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new("ids");
    let (_worker, _heard) = lab.running("Web");
    let (sink, _) = Heard::new();
    let taken = lab.supervisors.create(&lab.launch("wEB"), sink).expect_err("it is taken");
    assert_eq!(taken.hresult, HResult::HCS_E_SYSTEM_ALREADY_EXISTS);
    assert_eq!(lab.supervisors.list().expect("a list"), ["Web"]);
    let (sink, _) = Heard::new();
    let missing = lab.supervisors.adopt("db", sink).expect_err("there is none");
    assert_eq!(missing.hresult, HResult::HCS_E_SYSTEM_NOT_FOUND);
}

#[test]
fn another_process_finds_everything() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new("adopt");
    let (first, _heard) = lab.running("one");
    let sleeper = first.create_process(&shell("read line; echo got $line")).expect("a process");
    let ended = first.create_process(&shell("exit 7")).expect("a process");
    assert_eq!(read(ended.stdio.output), "");
    drop(first);
    let other = Lab::open(&lab.path);
    let (sink, heard) = Heard::new();
    let adopted = other.adopt("ONE", sink).expect("adopted");
    assert_eq!(adopted.record, "the record of one");
    assert_eq!(adopted.found.phase, Phase::Running);
    let pids: Vec<_> = adopted.found.processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, [sleeper.pid, ended.pid]);
    let stdio = adopted.worker.attach(sleeper.pid).expect("attached");
    File::from(stdio.input.expect("input")).write_all(b"it\n").expect("written");
    let told = heard.wait_for(|happening| matches!(happening, Happening::ProcessExited { pid, .. } if *pid == sleeper.pid));
    let status = ProcessStatus::Exited(0);
    assert_eq!(told, Happening::ProcessExited { pid: sleeper.pid, status });
    assert_eq!(read(stdio.output), "got it\n");
    assert_eq!(read(sleeper.stdio.output), "got it\n");
    let log = other.log("one", LogRequest::default()).expect("a log");
    assert_eq!(read(Some(log)), "got it\n");
}

#[test]
fn a_supervisor_that_is_killed_leaves_nothing() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new("killed");
    let (worker, heard) = lab.running("one");
    let sleeper = worker.create_process(&shell("echo on; sleep 1000")).expect("a process");
    let mut output = File::from(sleeper.stdio.output.expect("output"));
    let mut line = [0; 3];
    output.read_exact(&mut line).expect("a line");
    let text = fs::read_to_string(lab.path.join("run/systems/one/system.json")).expect("a record");
    let group =
        text.split('"').find(|word| word.starts_with("hostcompute.")).expect("a group").to_owned();
    let group = Group::new(&group).expect("groups");
    let members = group.processes().expect("members");
    assert!(members.len() >= 2, "the first process and the sleeper");
    let parents: Vec<i32> = members.iter().filter_map(|pid| parent(*pid)).collect();
    let supervisor = parents.into_iter().find(|pid| !members.contains(pid)).expect("a supervisor");
    let supervisor = rustix::process::Pid::from_raw(supervisor).expect("a process");
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("killed");
    let end = heard.wait_for(|happening| matches!(happening, Happening::Exited(_)));
    let Happening::Exited(end) = end else { panic!("an end") };
    assert_eq!(end.cause, Cause::WorkerDied);
    assert!(!group.exists(), "its group is gone");
    assert!(lab.supervisors.list().expect("a list").is_empty());
    assert_eq!(lab.supervisors.remains().expect("remains")[0].end.cause, Cause::WorkerDied);
    assert_eq!(output.read(&mut line).expect("the end"), 0);
    let (_again, _heard) = lab.running("one");
}

fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_leash_ends_the_system_with_its_last_holder() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new("leash");
    let (worker, _heard) = lab.running("one");
    let (sink, heard) = Heard::new();
    let other = Lab::open(&lab.path).adopt("one", sink).expect("adopted").worker;
    worker.leash(Leash::Held).expect("held");
    other.leash(Leash::Held).expect("held");
    drop(worker);
    other.inspect().expect("it lives");
    other.leash(Leash::Released).expect("released");
    let end = heard.wait_for(|happening| matches!(happening, Happening::Exited(_)));
    let Happening::Exited(end) = end else { panic!("an end") };
    assert_eq!(end.cause, Cause::LastHandleClosed);
}

/// Whoever may make systems and is not root names paths with the rights of its own.
#[test]
fn a_clients_paths_are_opened_with_the_clients_rights() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new("rights");
    let closed = lab.path.join("closed");
    fs::create_dir(&closed).expect("room");
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("ours");
    let open = lab.path.join("open");
    fs::create_dir(&open).expect("room");
    fs::write(open.join("word"), "hello").expect("room");
    let user = OnBehalf { uid: 65_534, gid: 65_534, groups: Vec::new() };
    let mount = |path: &Path, read_only| Mount {
        host_path: path.to_string_lossy().into_owned(),
        container_path: "/mnt".into(),
        read_only,
    };
    let launch =
        |mount| Launch { mounts: vec![mount], on_behalf: Some(user.clone()), ..lab.launch("one") };
    for refused in [mount(&closed, true), mount(&open, false)] {
        let (sink, _) = Heard::new();
        let fault = lab.supervisors.create(&launch(refused), sink).expect_err("not the user's");
        let place = Some(hostcompute_engine::compute::Place::Mount(0));
        assert_eq!((fault.hresult, fault.place), (HResult::E_ACCESSDENIED, place));
    }
    let root = Launch { root: Root::Host, ..launch(mount(&open, true)) };
    let (sink, _) = Heard::new();
    let fault = lab.supervisors.create(&root, sink).expect_err("the host's root");
    assert_eq!(fault.hresult, HResult::E_ACCESSDENIED);
    let (sink, _) = Heard::new();
    let worker = lab.supervisors.create(&launch(mount(&open, true)), sink).expect("the user's");
    worker.start().expect("started");
    let created = worker.create_process(&shell("cat /mnt/word")).expect("a process");
    let mut said = String::new();
    let output = created.stdio.output.expect("asked for");
    File::from(output).read_to_string(&mut said).expect("text");
    assert_eq!(said, "hello");
    let later = Mount { container_path: "/later".into(), ..mount(&closed, true) };
    let fault = worker.add_mount(&later, Some(&user)).expect_err("not the user's");
    assert_eq!(fault.hresult, HResult::E_ACCESSDENIED);
    let later = Mount { container_path: "/later".into(), ..mount(&open, true) };
    worker.add_mount(&later, Some(&user)).expect("the user's");
    worker.terminate(Cause::Terminated).expect("ended");
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new("refused");
    let refused = |change: fn(&mut Launch)| {
        let mut launch = lab.launch("one");
        change(&mut launch);
        let (sink, _) = Heard::new();
        lab.supervisors.create(&launch, sink).expect_err("refused").hresult
    };
    assert_eq!(
        refused(|launch| launch.root =
            Root::Layers { layers: vec!["/nowhere".into()], scratch: Scratch::Ephemeral }),
        HResult::ERROR_PATH_NOT_FOUND
    );
    let mount = |host_path: &str| Mount {
        host_path: host_path.into(),
        container_path: "/mnt".into(),
        read_only: true,
    };
    assert_eq!(
        refused(|launch| launch.network = NetworkPlace::SharedWith { system: "none".into() }),
        HResult::ERROR_NOT_FOUND
    );
    let mut launch = lab.launch("one");
    launch.mounts = vec![mount("/nowhere")];
    let (sink, _) = Heard::new();
    let fault = lab.supervisors.create(&launch, sink).expect_err("refused");
    assert_eq!(fault.hresult, HResult::ERROR_PATH_NOT_FOUND);
    assert_eq!(fault.place, Some(hostcompute_engine::compute::Place::Mount(0)));
    // A network is entered at the start.
    let mut launch = lab.launch("one");
    launch.network = NetworkPlace::Named { path: "/nowhere/netns".into() };
    let (sink, heard) = Heard::new();
    let worker = lab.supervisors.create(&launch, sink).expect("created");
    assert_eq!(worker.start().expect_err("refused").hresult, HResult::ERROR_PATH_NOT_FOUND);
    let Ok(Happening::Exited(end)) = heard.told.try_recv() else {
        panic!("told before it returns")
    };
    assert!(matches!(end.cause, Cause::StartFailed(_)));
    assert!(lab.supervisors.list().expect("a list").is_empty());
}

#[test]
fn a_text_is_kept() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new("keep");
    let keep = |text: Option<&str>| {
        lab.supervisors.keep(&mut |old| Ok(text.map(|text| format!("{old}{text}")))).expect("kept")
    };
    assert_eq!(keep(None), "");
    assert_eq!(keep(Some("a")), "a");
    assert_eq!(keep(Some("b")), "ab");
    assert_eq!(keep(None), "ab");
}
