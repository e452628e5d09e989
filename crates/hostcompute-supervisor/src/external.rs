//! Containers made by another OCI runtime (`crun`, `runc`, ...): the supervisor describes them and runs the program's commands.
//!
//! Their first process is [`crate::pause`]'s; each process is an `exec`. What the runtime leaves behind when it exits is the supervisor's
//! child, since that collects orphans, and its end is told by its descriptor.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hostcompute_supervisor::directory;
use hostcompute_supervisor::launch::{Launch, Mount};
use hostcompute_supervisor::message::{ProcessLaunch, Refusal, RefusalKind, Streams};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::UnmountFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, PidfdFlags};

use crate::agent::user::{self, User};
use crate::refusal::{Context, refuse};
use crate::root::Holds;
use crate::supervise::Newcomer;
use crate::{agent, files, mounts, pause, root, spec};

/// Where the first process's program is seen.
const FIRST: &str = "/.hostcompute-init";

/// A container that another runtime makes.
#[derive(Debug)]
pub struct External {
    program: PathBuf,
    bundle: PathBuf,
    state: PathBuf,
    root: PathBuf,
    mounts: Vec<Mount>,
    number: u64,
}

impl External {
    /// Puts everything in its place, in the supervisor's own mount namespace.
    pub fn prepare(launch: &Launch, program: &Path, holds: &mut Holds) -> Result<Self, Refusal> {
        if launch.users.is_some() {
            let message = "users are mapped by the builtin runtime only";
            return Err(refuse(RefusalKind::Unsupported, message));
        }
        if launch.read_only && root::is_in_pieces(&launch.root) {
            let message = "a root in pieces is made read-only by the builtin runtime only";
            return Err(refuse(RefusalKind::Unsupported, message));
        }
        leave_hybrid();
        let bundle = launch.directory.join(directory::BUNDLE);
        let state = launch.directory.join(directory::RUNTIME);
        let files = files::write(launch, &bundle)?;
        root::make(&state, 0o700).context(|| "make the runtime's directory")?;
        root::show(&launch.root, &launch.directory, None, holds)?;
        let first = bundle.join("init");
        fs::write(&first, pause::program())
            .and_then(|()| fs::set_permissions(&first, fs::Permissions::from_mode(0o755)))
            .context(|| "write the first process's program")?;
        let own = Mount { source: first, target: FIRST.into(), read_only: true, identity: None };
        let wanted = files.iter().map(files::EtcFile::as_mount).chain([own]);
        let mut mapped = Vec::new();
        for (number, mount) in wanted.chain(launch.mounts.iter().cloned()).enumerate() {
            mapped.push(mounts::stage(&mount, &bundle.join(format!("mount-{number}")))?);
        }
        let root = launch.directory.join(directory::ROOT);
        let program = program.to_owned();
        Ok(Self { program, bundle, state, root, mounts: mapped, number: 0 })
    }

    /// Makes the first process.
    pub fn start(&self, launch: &Launch, network: Option<&Path>) -> Result<Pid, Refusal> {
        let first = ProcessLaunch {
            program: None,
            arguments: vec![FIRST.into()],
            environment: Vec::new(),
            directory: String::new(),
            user: String::new(),
            terminal: None,
            streams: Streams::default(),
            restricted: false,
        };
        let (root, mounts, first) = (&self.root, &self.mounts, &first);
        spec::write(&spec::Bundle { launch, root, mounts, first, network }, &self.bundle)?;
        let pid_file = self.bundle.join("pid");
        let bundle = self.bundle.as_os_str();
        let create = ["create".as_ref(), "--bundle".as_ref(), bundle, "--pid-file".as_ref()];
        self.run(&[&create[..], &[pid_file.as_os_str(), ID.as_ref()]].concat(), None)?;
        self.run(&["start".as_ref(), ID.as_ref()], None)?;
        read_pid(&pid_file)
    }

    /// Makes a process, with its ends of `streams` in this order.
    pub fn spawn(
        &mut self,
        launch: &Launch,
        process: &ProcessLaunch,
        streams: Streams,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Newcomer, Refusal> {
        if process.arguments.is_empty() {
            return Err(refuse(RefusalKind::Invalid, "there is no program to execute"));
        }
        self.number += 1;
        let user = self.find_user(&process.user)?;
        let description = self.bundle.join(format!("process-{}.json", self.number));
        let pid_file = self.bundle.join(format!("process-{}.pid", self.number));
        let doing = || "describe the process";
        fs::write(&description, spec::process(process, launch, &user).to_string())
            .context(doing)?;
        let console = process.terminal.is_some().then(|| Console::new(&self.bundle)).transpose();
        let console = console.context(|| "listen for the terminal")?;
        let mut arguments: Vec<&OsStr> = vec!["exec".as_ref(), "--detach".as_ref()];
        arguments.extend(["--process".as_ref(), description.as_os_str()]);
        arguments.extend(["--pid-file".as_ref(), pid_file.as_os_str()]);
        if let Some(console) = &console {
            arguments.extend(["--console-socket".as_ref(), console.path.as_os_str()]);
        }
        arguments.push(ID.as_ref());
        let mut given = descriptors.into_iter();
        let mut take = |wanted: bool| {
            let given = if wanted { given.next() } else { None };
            given.map_or_else(Stdio::null, Stdio::from)
        };
        let stdio = [take(streams.input), take(streams.output), take(streams.error)];
        let ran = self.run(&arguments, Some(stdio));
        let _ = fs::remove_file(&description);
        ran?;
        let pid = read_pid(&pid_file)?;
        let _ = fs::remove_file(&pid_file);
        let descriptor = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .context(|| "watch the process")?;
        let terminal = console.map(|console| console.take()).transpose();
        let terminal = terminal.context(|| "take the terminal")?;
        if let (Some(terminal), Some(size)) = (&terminal, process.terminal) {
            // Not every runtime does what the description says.
            agent::set_size(terminal, size).context(|| "set the terminal's size")?;
        }
        Ok(Newcomer { pid: inside(pid), child: Some(pid), descriptor, terminal })
    }

    /// Makes the runtime forget the container, which has ended.
    pub fn delete(&self) {
        let _ = self.run(&["delete".as_ref(), "--force".as_ref(), ID.as_ref()], None);
    }

    /// Runs a command of the runtime's; what it says is the refusal's text.
    fn run(&self, arguments: &[&OsStr], stdio: Option<[Stdio; 3]>) -> Result<(), Refusal> {
        let doing = || format!("run {}", self.program.display());
        // Its own words go to a file: a pipe would be held by those that it leaves behind.
        let log = self.bundle.join("runtime.log");
        let _ = fs::remove_file(&log);
        let mut command = Command::new(&self.program);
        command.arg("--log").arg(&log).arg("--root").arg(&self.state).args(arguments);
        // What a service manager says to a service is not the container's: runtimes would pass it on.
        for variable in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            command.env_remove(variable);
        }
        let [input, output, error] = stdio.unwrap_or_else(|| [(); 3].map(|()| Stdio::null()));
        command.stdin(input).stdout(output).stderr(error);
        let status = command.status().context(doing)?;
        if status.success() {
            return Ok(());
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        let said = said.lines().last().unwrap_or_default();
        let kind = kind(said);
        Err(refuse(kind, format!("could not {}: {status}: {said}", doing())))
    }

    fn find_user(&self, text: &str) -> Result<User, Refusal> {
        let read = |path: &str| -> io::Result<String> {
            let root = File::open(&self.root)?;
            let (flags, how) = (OFlags::RDONLY | OFlags::CLOEXEC, ResolveFlags::IN_ROOT);
            match rustix::fs::openat2(&root, path, flags, Mode::empty(), how) {
                Ok(file) => io::read_to_string(File::from(file)),
                Err(rustix::io::Errno::NOENT) => Ok(String::new()),
                Err(error) => Err(error.into()),
            }
        };
        let doing = || "look for the user";
        let (passwd, group) =
            (read("etc/passwd").context(doing)?, read("etc/group").context(doing)?);
        user::look_up(text, &passwd, &group)
    }
}

/// The container's name for the runtime, whose state is the system's alone.
const ID: &str = "container";

/// What a runtime's words mean.
fn kind(said: &str) -> RefusalKind {
    let said = said.to_lowercase();
    if said.contains("permission denied")
        || said.contains("exec format")
        || said.contains("is a directory")
    {
        RefusalKind::NotExecutable
    } else if said.contains("chdir") || said.contains("cwd") {
        RefusalKind::NoPath
    } else if said.contains("no such file") || said.contains("not found") {
        RefusalKind::NoProgram
    } else {
        RefusalKind::Failed
    }
}

fn read_pid(file: &Path) -> Result<Pid, Refusal> {
    let text = fs::read_to_string(file).context(|| "read what the runtime made")?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| refuse(RefusalKind::Failed, "the runtime names no process"))
}

/// What a process's number is in its own namespace; one that has ended already keeps the host's.
fn inside(pid: Pid) -> u32 {
    let number = pid.as_raw_nonzero().get();
    let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let last = line.and_then(|line| line.split_whitespace().last()?.parse().ok());
    last.unwrap_or(number.unsigned_abs())
}

/// Not every runtime takes a machine with both versions of control groups: here, in our own namespace, there is one.
fn leave_hybrid() {
    if Path::new("/sys/fs/cgroup/unified").exists() {
        let _ = rustix::mount::unmount("/sys/fs/cgroup/unified", UnmountFlags::DETACH);
    }
}

/// Where a runtime hands over a terminal.
struct Console {
    listener: UnixListener,
    path: PathBuf,
    _directory: File,
}

impl Console {
    fn new(bundle: &Path) -> io::Result<Self> {
        let directory = File::open(bundle)?;
        // Short, however long the directory's path is.
        let pid = std::process::id();
        let path = PathBuf::from(format!("/proc/{pid}/fd/{}", directory.as_raw_fd()));
        let path = path.join("console");
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        Ok(Self { listener, path, _directory: directory })
    }

    /// The other side of the terminal; the runtime has sent it.
    fn take(self) -> io::Result<OwnedFd> {
        self.listener.set_nonblocking(true)?;
        let (stream, _) = self.listener.accept()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut block = [0; 4096];
        let mut parts = [io::IoSliceMut::new(&mut block)];
        rustix::net::recvmsg(&stream, &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
        let rights = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
            _ => None,
        });
        rights.ok_or_else(|| io::Error::other("the runtime sent no terminal"))
    }
}
