//! The exclusive lock on a state directory: one process decides at a time, others queue.
//!
//! The lock is the kernel's (`flock` on a file that is never deleted), so it ends with its holder however that dies. The file's
//! content is the holder's process id, and on a second line the socket on which it serves others, if it does. That is only for the
//! message that tells somebody who waited in vain whom to look for; and nobody waits for a service, which would be in vain. A service
//! that was killed while it started a program leaves the lock to its copy, which has it until it is that program: that is waited for.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hostcompute_schema::{Failure, HResult};

/// Held as long as the value lives.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

/// First pause between two tries; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_micros(200);

/// Keeps the queue moving: a lock that becomes free is noticed within this time.
const LONGEST_PAUSE: Duration = Duration::from_millis(8);

impl DirectoryLock {
    /// Takes the lock on `directory`, waiting at most `patience`.
    ///
    /// # Errors
    /// The lock file cannot be opened, or another process keeps the lock longer than `patience`.
    pub fn take(directory: &Path, patience: Duration) -> Result<Self, Failure> {
        let path = directory.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| super::io_failure("open the lock file", &path, &error))?;
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(busy(directory, &Holder::of(&mut file), patience));
                }
                Err(TryLockError::WouldBlock) if Holder::of(&mut file).socket.is_some() => {
                    return Err(busy(directory, &Holder::of(&mut file), patience));
                }
                // `flock` has no time-out, and a signal would be a process-wide side effect: ask again and again.
                Err(TryLockError::WouldBlock) => std::thread::sleep(pause),
                Err(TryLockError::Error(error)) => {
                    return Err(super::io_failure("lock", &path, &error));
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        // The holder's name is a courtesy: a full disk must not make it an error.
        let _ = sign(&mut file, None);
        Ok(Self { file })
    }

    /// Tells those who come for the lock on which socket they are served instead.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn serve_at(&mut self, socket: &Path) -> std::io::Result<()> {
        sign(&mut self.file, Some(socket))
    }
}

fn sign(file: &mut File, socket: Option<&Path>) -> std::io::Result<()> {
    let mut text = format!("{}\n", std::process::id()).into_bytes();
    text.extend_from_slice(socket.map_or(b"", |socket| socket.as_os_str().as_bytes()));
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)
}

/// Who has signed the lock's file.
#[derive(Debug, Default)]
struct Holder {
    process: Option<u32>,
    socket: Option<PathBuf>,
}

impl Holder {
    fn of(file: &mut File) -> Self {
        let mut text = Vec::new();
        if file.rewind().and_then(|()| file.take(LONGEST).read_to_end(&mut text)).is_err() {
            return Self::default();
        }
        let mut lines = text.splitn(2, |byte| *byte == b'\n');
        let first = lines.next().and_then(|line| std::str::from_utf8(line).ok());
        let process = first.and_then(|line| line.trim().parse().ok());
        let second = lines.next().filter(|line| !line.is_empty() && process.is_some_and(is_alive));
        Self { process, socket: second.map(|line| PathBuf::from(OsStr::from_bytes(line))) }
    }
}

/// Whether there is such a process that has not ended. One of another PID namespace is not seen.
fn is_alive(process: u32) -> bool {
    let told = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before it may have any character (proc_pid_stat(5)).
    let state = told.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !['Z', 'X'].contains(&state))
}

/// A process id and the longest path.
const LONGEST: u64 = 20 + 4096;

fn busy(directory: &Path, holder: &Holder, patience: Duration) -> Failure {
    let process = match holder.process {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    };
    let directory = directory.display();
    if let Some(socket) = &holder.socket {
        let socket = socket.display();
        let message = format!(
            "the state directory {directory} is kept by the service hostcomputed ({process}), which answers on {socket}"
        );
        return Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, message)
            .hint(format!("hc --socket {socket} asks that service"));
    }
    let message = format!(
        "{process} has been using the state directory {directory} for more than {} s",
        patience.as_secs_f32()
    );
    Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, message)
        .hint("wait for it to end, or give this command its own --state-dir and --runtime-dir")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    #[test]
    fn the_second_taker_learns_who_holds_the_lock() {
        let scratch = Scratch::new("lock");
        let first = DirectoryLock::take(scratch.path(), Duration::ZERO).expect("free");
        let refused = DirectoryLock::take(scratch.path(), Duration::ZERO).expect_err("held");
        assert_eq!(refused.hresult, HResult::RPC_S_SERVER_UNAVAILABLE);
        assert!(refused.message.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        DirectoryLock::take(scratch.path(), Duration::ZERO).expect("free again");
    }

    #[test]
    fn nobody_waits_for_a_service_and_its_socket_is_named() {
        let scratch = Scratch::new("lock-service");
        let mut first = DirectoryLock::take(scratch.path(), Duration::ZERO).expect("free");
        first.serve_at(Path::new("/run/it.sock")).expect("written");
        // Waiting would take longer than any test may.
        let refused = DirectoryLock::take(scratch.path(), Duration::from_secs(3600));
        let refused = refused.expect_err("held");
        assert_eq!(refused.hresult, HResult::RPC_S_SERVER_UNAVAILABLE);
        assert!(
            refused.message.contains("hostcomputed") && refused.message.contains("/run/it.sock")
        );
        assert_eq!(refused.hint.as_deref(), Some("hc --socket /run/it.sock asks that service"));
        drop(first);
        let next = DirectoryLock::take(scratch.path(), Duration::ZERO).expect("free again");
        let refused = DirectoryLock::take(scratch.path(), Duration::ZERO).expect_err("held");
        assert!(!refused.message.contains("/run/it.sock"), "{refused}");
        drop(next);
    }

    #[test]
    fn what_a_killed_service_has_left_is_no_service() {
        let scratch = Scratch::new("lock-left");
        let mut first = DirectoryLock::take(scratch.path(), Duration::ZERO).expect("free");
        // As the copy that it makes of itself to become another program: the lock is held, and who has signed is gone.
        let mut gone = std::process::Command::new("true").spawn().expect("started");
        gone.wait().expect("ended");
        let signed = format!("{}\n/run/it.sock", gone.id());
        first.file.rewind().expect("at the start");
        first.file.write_all(signed.as_bytes()).expect("written");
        let refused = DirectoryLock::take(scratch.path(), Duration::ZERO).expect_err("held");
        assert!(!refused.message.contains("service"), "{refused}");
        let path = scratch.path().to_owned();
        let second =
            std::thread::spawn(move || DirectoryLock::take(&path, Duration::from_secs(60)));
        drop(first);
        second.join().expect("no panic").expect("the lock in its turn");
    }

    #[test]
    fn a_waiting_taker_gets_the_lock_when_it_is_freed() {
        let scratch = Scratch::new("lock-wait");
        let first = DirectoryLock::take(scratch.path(), Duration::ZERO).expect("free");
        let path = scratch.path().to_owned();
        let second =
            std::thread::spawn(move || DirectoryLock::take(&path, Duration::from_secs(60)));
        drop(first);
        second.join().expect("no panic").expect("the lock in its turn");
    }
}
