//! The exclusive lock on a state directory: one process decides at a time, others queue.
//!
//! The lock is the kernel's (`flock` on a file that is never deleted), so it ends with its holder however that dies. The file's
//! content is the holder's process id, only for the message that tells somebody who waited in vain whom to look for.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hostcompute_schema::{Failure, HResult};

/// Held as long as the value lives.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
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
                    return Err(busy(directory, &mut file, patience));
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
        let _ = sign(&mut file);
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn busy(directory: &Path, file: &mut File, patience: Duration) -> Failure {
    let mut holder = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut holder));
    let holder = match (read, holder.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    let message = format!(
        "{holder} has been using the state directory {} for more than {} s",
        directory.display(),
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
