//! Makes one process: everything between `fork` and `execve`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use hostcompute_supervisor::message::{ProcessLaunch, Refusal, RefusalKind, Size, Streams};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::user::{self, User};
use crate::refusal::{Context, refuse};
use crate::sys::{self, Side};

/// Where programs are looked for when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process that runs.
#[derive(Debug)]
pub struct Spawned {
    pub pid: Pid,
    pub descriptor: OwnedFd,
    /// The supervisor's side of the terminal.
    pub terminal: Option<OwnedFd>,
}

/// Makes a process, with its ends of `streams` in this order.
pub fn spawn(
    launch: &ProcessLaunch,
    streams: Streams,
    descriptors: Vec<OwnedFd>,
) -> Result<Spawned, Refusal> {
    let user = user::find(&launch.user)?;
    let mut given = descriptors.into_iter();
    let mut take = |wanted: bool| if wanted { given.next() } else { None };
    let ends = [take(streams.input), take(streams.output), take(streams.error)];
    let terminal = launch.terminal.map(|size| open_terminal(size, &user)).transpose()?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .context(|| "open /dev/null inside")?;
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context(|| "make a pipe")?;
    match sys::split().context(|| "make a process")? {
        Side::Child => {
            let slave = terminal.as_ref().map(|terminal| terminal.slave.as_fd());
            let stdio = ends
                .each_ref()
                .map(|end| slave.or(end.as_ref().map(AsFd::as_fd)).unwrap_or_else(|| null.as_fd()));
            let Err(refusal) = become_program(launch, &user, stdio, slave);
            let text = serde_json::to_vec(&refusal).unwrap_or_default();
            let _ = rustix::io::write(&writer, &text);
            sys::leave(127)
        }
        Side::Parent(pid) => {
            drop(writer);
            let descriptor = rustix::process::pidfd_open(pid, PidfdFlags::empty());
            let mut text = Vec::new();
            // Closed by execution: nothing in it is success.
            let read = File::from(reader).take(64 << 10).read_to_end(&mut text);
            if text.is_empty() && read.is_ok() {
                let descriptor = descriptor.context(|| "watch the process")?;
                return Ok(Spawned {
                    pid,
                    descriptor,
                    terminal: terminal.map(|terminal| terminal.master),
                });
            }
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            Err(serde_json::from_slice(&text).unwrap_or_else(|_| {
                refuse(RefusalKind::Failed, "the process ended before its program began")
            }))
        }
    }
}

struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
}

fn open_terminal(size: Size, user: &User) -> Result<Terminal, Refusal> {
    let open = || {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::unlockpt(&master)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        set_size(&master, size)?;
        let owner = rustix::fs::Uid::from_raw(user.uid);
        // Rootless, there may be no other user than root, who it belongs to already.
        let _ = rustix::fs::fchown(&slave, Some(owner), None);
        Ok::<_, Errno>(Terminal { master, slave })
    };
    open().context(|| "open a terminal inside")
}

/// Sets the size of a terminal.
pub fn set_size(terminal: impl AsFd, size: Size) -> Result<(), Errno> {
    let Size { rows, columns } = size;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size)
}

/// What never was.
enum Never {}

/// Turns this process into the program.
fn become_program(
    launch: &ProcessLaunch,
    user: &User,
    stdio: [BorrowedFd<'_>; 3],
    terminal: Option<BorrowedFd<'_>>,
) -> Result<Never, Refusal> {
    rustix::process::setsid().context(|| "make a session")?;
    if let Some(terminal) = terminal {
        rustix::process::ioctl_tiocsctty(terminal).context(|| "take the terminal")?;
    }
    let [input, output, error] = stdio;
    rustix::stdio::dup2_stdin(input).context(|| "set the standard input")?;
    rustix::stdio::dup2_stdout(output).context(|| "set the standard output")?;
    rustix::stdio::dup2_stderr(error).context(|| "set the standard error")?;
    // Whoever started the supervisor may have been spared by the kernel when memory is short; processes are not.
    let _ = fs::write("/proc/self/oom_score_adj", "0");
    let directory = if launch.directory.is_empty() { "/" } else { &launch.directory };
    rustix::process::chdir(directory).context(|| format!("go to {directory}"))?;
    become_user(user)?;
    if launch.restricted {
        rustix::thread::set_no_new_privs(true).context(|| "give up new privileges")?;
        let empty = CapabilitySet::empty();
        let sets = CapabilitySets { effective: empty, permitted: empty, inheritable: empty };
        rustix::thread::set_capabilities(None, sets).context(|| "give up capabilities")?;
    }
    let Some((first, rest)) = launch.arguments.split_first() else {
        return Err(refuse(RefusalKind::Invalid, "there is no program to execute"));
    };
    let program = launch.program.as_ref().unwrap_or(first);
    let mut command = Command::new(program);
    command.arg0(first).args(rest).env_clear();
    let mut has = (false, false);
    for (name, value) in &launch.environment {
        command.env(name, value);
        has = (has.0 || name == "HOME", has.1 || name == "PATH");
    }
    if !has.0 {
        command.env("HOME", OsStr::new(&user.home));
    }
    if !has.1 {
        command.env("PATH", PATH);
    }
    Err(not_executed(program, &command.exec()))
}

fn become_user(user: &User) -> Result<(), Refusal> {
    let doing = || format!("become user {}", user.uid);
    if let Some(groups) = &user.groups {
        let groups: Vec<_> = groups.iter().map(|&group| rustix::fs::Gid::from_raw(group)).collect();
        match rustix::thread::set_thread_groups(&groups) {
            // An ordinary user's own namespace has but one group, which nobody can leave.
            Err(Errno::PERM) if user.uid == 0 && user.gid == 0 => {}
            set => set.context(doing)?,
        }
    }
    if user.gid != 0 {
        let gid = rustix::fs::Gid::from_raw(user.gid);
        rustix::thread::set_thread_res_gid(gid, gid, gid).context(doing)?;
    }
    if user.uid != 0 {
        let uid = rustix::fs::Uid::from_raw(user.uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid).context(doing)?;
    }
    Ok(())
}

fn not_executed(program: &str, error: &io::Error) -> Refusal {
    let kind = match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) => RefusalKind::NoProgram,
        Some(Errno::ACCESS | Errno::NOEXEC | Errno::ISDIR | Errno::PERM) => {
            RefusalKind::NotExecutable
        }
        Some(Errno::TOOBIG | Errno::INVAL) => RefusalKind::Invalid,
        // A text with an end in its middle.
        None if error.kind() == io::ErrorKind::InvalidInput => RefusalKind::Invalid,
        _ => RefusalKind::Failed,
    };
    let errno = error.raw_os_error();
    Refusal { kind, errno, message: format!("could not execute {program}: {error}") }
}
