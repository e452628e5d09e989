//! A laboratory for supervisors: a runtime directory and a busybox root of one's own, and a blocking client.
//!
//! Nothing is left behind: dropping a [`System`] ends it, and looks whether its group, processes and mounts are gone.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hostcompute_supervisor::cgroup::Group;
use hostcompute_supervisor::directory;
use hostcompute_supervisor::launch::{
    Isolation, Launch, Life, Limits, LogBounds, Network, Root, Runtime, Scratch, Security,
};
use hostcompute_supervisor::message::{
    Answer, Call, Cause, Exit, Notice, ProcessLaunch, Refusal, Request, Said, Status, Streams,
};
use hostcompute_supervisor::wire;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether privileged tests can run; says why not, unless they must.
pub fn is_possible() -> bool {
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

/// A directory of one's own, with a root file system in `root`.
pub struct Lab {
    pub path: PathBuf,
}

impl Lab {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hcs-lab-{}-{number}", std::process::id()));
        let root = path.join("root");
        for name in ["bin", "etc", "proc", "dev", "sys", "tmp", "root"] {
            fs::create_dir_all(root.join(name)).expect("a directory");
        }
        fs::create_dir_all(path.join(directory::SYSTEMS)).expect("a directory");
        fs::copy(busybox().expect("busybox"), root.join("bin/busybox")).expect("copied");
        for name in [
            "sh", "cat", "echo", "true", "false", "sleep", "id", "pwd", "env", "mount", "hostname",
            "ls", "kill", "ps", "head", "seq", "stty", "touch", "mkdir", "wc", "grep", "test",
            "dd", "sort", "tail", "ip", "unshare", "mknod", "readlink", "setsid", "tr", "od",
            "cut",
        ] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("a link");
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home:/bin/sh\n",
        )
        .expect("written");
        fs::write(root.join("etc/group"), "root:x:0:\nann:x:1000:\nextra:x:77:ann\n")
            .expect("written");
        Self { path }
    }

    pub fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// A system over the root, its changes thrown away.
    pub fn launch(&self, id: &str) -> Launch {
        let unique = self.path.file_name().expect("a name").to_string_lossy();
        Launch {
            id: id.to_owned(),
            directory: self.path.join(directory::SYSTEMS).join(id),
            root: Root::Layers { layers: vec![self.root()], scratch: Scratch::Own },
            looked_at: Vec::new(),
            read_only: false,
            mounts: Vec::new(),
            host_name: Some(id.to_owned()),
            network: Network::Own,
            users: None,
            cgroup: Some(format!("hostcompute-tests.{unique}.{id}")),
            limits: Limits::default(),
            devices: Vec::new(),
            security: Security::default(),
            resolver: None,
            hosts: None,
            runtime: Runtime::Builtin,
            isolation: Isolation::Container,
            life: Life::UntilStopped,
            leashed: false,
            root_at: None,
            log: LogBounds::default(),
        }
    }

    /// A system that runs.
    pub fn start(&self, launch: Launch) -> System {
        let mut system = self.create(launch).expect("created");
        system.ask(Request::Start).expect("started");
        system
    }

    pub fn create(&self, launch: Launch) -> Result<System, Refusal> {
        fs::create_dir(&launch.directory).expect("a directory");
        let lock = directory::lock(&launch.directory).expect("locked");
        let (ours, theirs) = wire::pair().expect("a pair");
        let status = Command::new(supervisor())
            .stdin(Stdio::from(theirs))
            .status()
            .expect("the supervisor's program");
        assert!(status.success(), "it settles in");
        rustix::net::sockopt::set_socket_timeout(
            &ours,
            rustix::net::sockopt::Timeout::Recv,
            Some(PATIENCE),
        )
        .expect("set");
        let mut system = System {
            group: Group::new(launch.cgroup.as_deref().unwrap_or("none")).expect("groups"),
            directory: launch.directory.clone(),
            socket: ours,
            notices: Vec::new(),
            number: 0,
            over: false,
        };
        let lock = OwnedFd::from(lock);
        let answer = system.ask_with(Request::Launch(Box::new(launch)), &lock);
        drop(lock);
        match answer {
            Ok(_) => Ok(system),
            Err(refusal) => {
                system.over = true;
                wait_until(|| !directory::is_alive(&system.directory).unwrap_or(true));
                assert!(!system.group.exists(), "nothing is left");
                fs::remove_dir_all(&system.directory).expect("removed");
                Err(refusal)
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.path);
        if !std::thread::panicking() {
            removed.expect("removed");
        }
    }
}

/// The program that Cargo built beside the tests.
pub fn supervisor() -> PathBuf {
    let copy = std::env::var_os(SUPERVISOR);
    copy.map_or_else(|| env!("CARGO_BIN_EXE_hostcompute-supervisor").into(), PathBuf::from)
}

/// Where a copy of it is, for users who may not look where Cargo builds.
pub const SUPERVISOR: &str = "HOSTCOMPUTE_TEST_SUPERVISOR";

/// A connection to a supervisor.
#[derive(Debug)]
pub struct System {
    pub directory: PathBuf,
    pub group: Group,
    pub socket: OwnedFd,
    pub notices: Vec<Notice>,
    number: u64,
    over: bool,
}

/// A process and our ends of its streams.
#[derive(Debug)]
pub struct Running {
    pub pid: u32,
    pub input: Option<File>,
    pub output: Option<File>,
    pub error: Option<File>,
}

impl System {
    /// Connects once more.
    pub fn connect(&self) -> Self {
        let socket = directory::connect(&self.directory).expect("connected");
        Self {
            directory: self.directory.clone(),
            group: self.group.clone(),
            socket,
            notices: Vec::new(),
            number: 0,
            over: true,
        }
    }

    pub fn ask(&mut self, request: Request) -> Result<(Answer, Vec<OwnedFd>), Refusal> {
        self.ask_and_send(request, &[])
    }

    fn ask_with(
        &mut self,
        request: Request,
        descriptor: &OwnedFd,
    ) -> Result<(Answer, Vec<OwnedFd>), Refusal> {
        self.ask_and_send(request, &[descriptor.as_fd()])
    }

    fn ask_and_send(
        &mut self,
        request: Request,
        descriptors: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<(Answer, Vec<OwnedFd>), Refusal> {
        self.number += 1;
        let number = self.number;
        wire::send(&self.socket, &Call { number, request }, descriptors).expect("sent");
        loop {
            let received =
                wire::receive::<Said>(&self.socket).expect("in time").expect("an answer");
            match received.message {
                Said::Answer { number: answered, answer } if answered == number => {
                    return answer.map(|answer| (answer, received.descriptors));
                }
                Said::Answer { .. } => panic!("an answer to nothing"),
                Said::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    /// The first notice that is wanted; those before it stay.
    pub fn wait_for<T>(&mut self, wanted: impl Fn(&Notice) -> Option<T>) -> T {
        let mut place = 0;
        loop {
            while let Some(notice) = self.notices.get(place) {
                if let Some(found) = wanted(notice) {
                    return found;
                }
                place += 1;
            }
            let received = wire::receive::<Said>(&self.socket).expect("in time").expect("a notice");
            let Said::Notice(notice) = received.message else { panic!("an answer to nothing") };
            self.notices.push(notice);
        }
    }

    pub fn run(&mut self, process: ProcessLaunch) -> Result<Running, Refusal> {
        let (answer, descriptors) = self.ask(Request::Process(Box::new(process)))?;
        let Answer::Process { pid, streams } = answer else { panic!("an answer to this") };
        Ok(running(pid, streams, descriptors))
    }

    pub fn attach(&mut self, pid: u32) -> Result<Running, Refusal> {
        let streams = Streams { input: true, output: true, error: true };
        let (answer, descriptors) = self.ask(Request::Attach { pid, streams })?;
        let Answer::Process { pid, streams } = answer else { panic!("an answer to this") };
        Ok(running(pid, streams, descriptors))
    }

    pub fn status(&mut self, pid: u32) -> Status {
        self.wait_for(|notice| match notice {
            Notice::ProcessExited { pid: ended, status } if *ended == pid => Some(*status),
            _ => None,
        })
    }

    /// Runs a shell's line; its outputs and its status.
    pub fn shell(&mut self, line: &str) -> (String, String, Status) {
        let mut running = self.run(shell(line)).expect("a process");
        let status = self.status(running.pid);
        (read(running.output.take()), read(running.error.take()), status)
    }

    /// What a shell's line prints; it must succeed.
    pub fn prints(&mut self, line: &str) -> String {
        let (output, error, status) = self.shell(line);
        assert_eq!((error.as_str(), status), ("", Status::Exited(0)), "{line}");
        output
    }

    pub fn exit(&mut self) -> Exit {
        self.wait_for(|notice| match notice {
            Notice::Exited(exit) => Some(exit.clone()),
            _ => None,
        })
    }

    /// Ends the system and looks at what is left.
    pub fn terminate(&mut self) -> Exit {
        self.ask(Request::Terminate(Cause::Terminated)).expect("ended");
        let exit = self.exit();
        self.assert_gone();
        exit
    }

    /// Nothing of the system is left but its remains.
    pub fn assert_gone(&mut self) {
        self.over = true;
        assert!(!self.group.exists(), "its group is gone");
        assert!(!self.directory.exists(), "its directory is gone");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let place = self.directory.to_string_lossy().into_owned();
        assert!(!mounts.contains(&place), "its mounts are gone");
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if !self.over && !std::thread::panicking() {
            self.terminate();
        } else if !self.over {
            let _ = self.group.kill();
        }
    }
}

fn running(pid: u32, streams: Streams, descriptors: Vec<OwnedFd>) -> Running {
    let mut descriptors = descriptors.into_iter().map(File::from);
    let mut next = |wanted| if wanted { descriptors.next() } else { None };
    let input = next(streams.input);
    let output = next(streams.output);
    let error = next(streams.error);
    Running { pid, input, output, error }
}

/// A process with all streams.
pub fn process(arguments: &[&str]) -> ProcessLaunch {
    ProcessLaunch {
        program: None,
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        environment: vec![("PATH".into(), "/bin".into())],
        directory: String::new(),
        user: String::new(),
        terminal: None,
        streams: Streams { input: true, output: true, error: true },
        restricted: false,
    }
}

pub fn shell(line: &str) -> ProcessLaunch {
    process(&["sh", "-c", line])
}

pub fn read(file: Option<File>) -> String {
    let mut text = String::new();
    file.expect("a stream").read_to_string(&mut text).expect("read");
    text
}

/// Reads until a line that holds `text`; returns all that was read.
pub fn read_until(file: &mut File, text: &str) -> String {
    let mut all = String::new();
    let mut block = [0; 4096];
    while !all.contains(text) {
        let read = file.read(&mut block).expect("read");
        assert_ne!(read, 0, "no {text:?} in {all:?}");
        all.push_str(&String::from_utf8_lossy(&block[..read]));
    }
    all
}

pub fn write(file: &mut Option<File>, text: &str) {
    file.as_mut().expect("a stream").write_all(text.as_bytes()).expect("written");
}

/// Waits for something that nobody tells.
pub fn wait_until(mut is_so: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < until, "in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}
