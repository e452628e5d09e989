//! Rootless: an ordinary user's own host.
//!
//! The first command splits off a *holder*: a process that does nothing but keep a user namespace (in which the user is root), a
//! mount namespace and a network namespace alive. Later commands join it and are root there. The network namespace is the host
//! of all that follows; it has no way to the outside, since making one takes privilege that an ordinary user has not.
//!
//! `<runtime_dir>/holder` names the holder by process id and start time, so that a process which got the same id later is not
//! mistaken for it. When nothing is left to hold, [`end_holder`] ends it.
//!
//! Joining changes the whole process and needs it to have a single thread: call it first.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hostcompute_schema::Failure;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Protocol, Socket};
use crate::route::link;
use crate::{netns, sys};

/// Namespaces of the holder, in the order in which they must be joined: the first gives the right to the others.
const JOINED: [(&str, LinkNameSpaceType); 3] = [
    ("user", LinkNameSpaceType::User),
    ("mnt", LinkNameSpaceType::Mount),
    ("net", LinkNameSpaceType::Network),
];

/// Makes the calling process root in this user's own host; starts the holder if there is none. Does nothing for root.
///
/// # Errors
/// The process has several threads, the directory is not usable, or this system does not let users make namespaces.
pub fn ensure_joined(runtime_dir: &Path) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    join_or_start(runtime_dir).map_err(|error| {
        let refused = matches!(
            error.errno(),
            Some(Errno::PERM | Errno::ACCESS | Errno::NOSPC | Errno::USERS)
        );
        let failure = error.into_failure("rootless mode");
        if refused {
            failure.hint("users may not make namespaces here: see `hc doctor`, or run as root")
        } else {
            failure
        }
    })
}

/// Ends the holder, if there is one: the user's host, with all that is left in it, goes with it.
///
/// # Errors
/// The holder cannot be told to end.
pub fn end_holder(runtime_dir: &Path) -> Result<(), Failure> {
    let end = || {
        let Some(holder) = find_holder(runtime_dir)? else { return Ok(()) };
        match rustix::process::kill_process(holder, Signal::TERM) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(Error::system("end the holder", error)),
        }
        let file = holder_file(runtime_dir);
        fs::remove_file(&file).map_err(|source| Error::file("remove", file, source))
    };
    end().map_err(|error| error.into_failure("rootless mode"))
}

fn join_or_start(runtime_dir: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(runtime_dir)
        .map_err(|source| Error::file("make the directory", runtime_dir, source))?;
    let lock = lock(runtime_dir)?;
    let holder = match find_holder(runtime_dir)? {
        Some(holder) => holder,
        None => start_holder(runtime_dir)?,
    };
    drop(lock);
    join(holder)
}

/// Keeps two first commands from starting a holder each.
fn lock(runtime_dir: &Path) -> Result<File, Error> {
    let path = runtime_dir.join("holder.lock");
    let locked = File::create(&path).and_then(|file| {
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    });
    locked.map_err(|source| Error::file("lock", path, source))
}

fn holder_file(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("holder")
}

/// The holder that the file names, if it lives.
fn find_holder(runtime_dir: &Path) -> Result<Option<Pid>, Error> {
    let path = holder_file(runtime_dir);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::file("read", path, source)),
    };
    let mut words = text.split_whitespace();
    let pid = words.next().and_then(|word| word.parse().ok()).and_then(Pid::from_raw);
    let Some((pid, started)) = pid.zip(words.next()) else { return Ok(None) };
    // A process that is ending has a start time still, and no namespaces any more.
    let keeps = || fs::read_link(format!("/proc/{}/ns/net", pid.as_raw_nonzero())).is_ok();
    Ok((start_time(pid).as_deref() == Some(started) && keeps()).then_some(pid))
}

/// Whether this user's host is kept. A command that waited for another one may have joined it before that one ended it.
pub fn is_held(runtime_dir: &Path) -> bool {
    // Seen from inside, process ids may be those of another namespace: the file alone tells.
    holder_file(runtime_dir).exists()
}

/// When a process started, in ticks since the boot; `None` when there is none, or only its exit status is left.
fn start_time(pid: Pid) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The second field is the name in parentheses, which may hold anything; the 22nd is the start time.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

fn start_holder(runtime_dir: &Path) -> Result<Pid, Error> {
    let failed = |source| Error::system("start the holder of this user's host", source);
    let (mut reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map(|(reader, writer)| (File::from(reader), writer))
        .map_err(|error| failed(error.into()))?;
    match sys::split().map_err(failed)? {
        sys::Side::Child => hold(writer),
        sys::Side::Parent => {}
    }
    drop(writer);
    let mut report = String::new();
    reader.read_to_string(&mut report).map_err(failed)?;
    let pid = match report.split_once(' ') {
        Some(("ready", pid)) => pid.trim().parse().ok().and_then(Pid::from_raw),
        Some(("errno", number)) => {
            let number = number.trim().parse().unwrap_or(0);
            return Err(failed(io::Error::from_raw_os_error(number)));
        }
        _ => None,
    };
    let started = pid.and_then(|pid| Some((pid, start_time(pid)?)));
    let Some((pid, started)) = started else {
        return Err(failed(io::Error::other("it ended at once")));
    };
    let path = holder_file(runtime_dir);
    fs::write(&path, format!("{} {started}\n", pid.as_raw_nonzero()))
        .map_err(|source| Error::file("write", path, source))?;
    Ok(pid)
}

/// The life of the holder.
fn hold(writer: OwnedFd) -> ! {
    // Not the lock of the command, nor anything else that somebody waits for.
    let closed = sys::close_others(&writer);
    let mut writer = File::from(writer);
    match closed.and_then(|()| settle_in()) {
        Ok(()) => {
            let _ = write!(writer, "ready {}", rustix::process::getpid().as_raw_nonzero());
        }
        Err(error) => {
            let _ = write!(writer, "errno {}", error.raw_os_error().unwrap_or(0));
            sys::leave(1);
        }
    }
    drop(writer);
    let _ = let_go();
    loop {
        // Until a signal ends the process: its defaults are in force, there is no handler to run.
        std::thread::park();
    }
}

/// Makes the namespaces, from within.
fn settle_in() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    rustix::process::setsid()?;
    sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWNET)?;
    // One's own id may be mapped without help, once groups can no longer be dropped to gain rights.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {} 1", user.as_raw()))?;
    fs::write("/proc/self/gid_map", format!("0 {} 1", group.as_raw()))?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )?;
    let mut socket = Socket::open(Protocol::Route)?;
    let mut datagram = Datagram::default();
    let note = Note { step: 0, aim: "bring the loopback interface up", lenient: Lenient::Not };
    link::push_up(&mut datagram, note, 1);
    socket.exchange(&mut datagram).map_err(|error| io::Error::other(error.to_string()))
}

/// Keeps nothing of the command that started the holder: not its terminal, directory or name.
fn let_go() -> io::Result<()> {
    rustix::thread::set_name(c"hc-holder")?;
    std::env::set_current_dir("/")?;
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

/// Moves this process into the holder's namespaces.
fn join(holder: Pid) -> Result<(), Error> {
    let failed = |source: io::Error| Error::system("join this user's host", source);
    // Entering a mount namespace moves to its root.
    let directory = std::env::current_dir();
    let mut namespaces = Vec::new();
    for (name, kind) in JOINED {
        let path = format!("/proc/{}/ns/{name}", holder.as_raw_nonzero());
        namespaces.push((netns::open(Path::new(&path)).map_err(failed)?, kind));
    }
    for (namespace, kind) in namespaces {
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind))
            .map_err(|error| failed(error.into()))?;
    }
    if let Ok(directory) = directory {
        std::env::set_current_dir(&directory)
            .map_err(|source| Error::file("go back to", directory, source))?;
    }
    Ok(())
}
