//! The sockets that clients connect to: passed by the service manager, or made here.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hostcompute_linux::activation::{self, Passed};

/// Sockets to listen on. What was made here is removed with the value.
#[derive(Debug)]
pub struct Sockets {
    listeners: Vec<UnixListener>,
    made: Option<Made>,
}

/// A socket file of ours.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Sockets {
    /// What the service manager passes; `None` when it passes nothing.
    ///
    /// # Errors
    /// It passes something else than listening unix sockets.
    pub fn passed() -> Result<Option<Self>> {
        let variable = |name: &str| std::env::var(name).ok();
        let (pid, count) = (variable("LISTEN_PID"), variable("LISTEN_FDS"));
        let passed = activation::passed(Passed { pid: pid.as_deref(), count: count.as_deref() })
            .context("the service manager's sockets cannot be taken over")?;
        let listeners: Vec<UnixListener> = passed.into_iter().map(UnixListener::from).collect();
        for (index, listener) in listeners.iter().enumerate() {
            let listens = rustix::net::sockopt::socket_acceptconn(listener).unwrap_or(false);
            if listener.local_addr().is_err() || !listens {
                bail!(
                    "descriptor {} that the service manager passes is no listening unix socket",
                    index + 3
                );
            }
        }
        Ok((!listeners.is_empty()).then_some(Self { listeners, made: None }))
    }

    /// Makes a socket that everybody may connect to: who may do what is decided by the credentials of each connection.
    ///
    /// # Errors
    /// Another service listens there, or the file cannot be made.
    pub fn make(path: &Path) -> Result<Self> {
        let make = || {
            if let Some(directory) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
            }
            remove_stale(path)?;
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
            let seen = fs::symlink_metadata(path)?;
            let made = Made { path: path.to_owned(), device: seen.dev(), inode: seen.ino() };
            io::Result::Ok(Self { listeners: vec![listener], made: Some(made) })
        };
        make().with_context(|| format!("cannot listen on {}", path.display()))
    }

    /// The sockets, ready for an event loop.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn listeners(&self) -> io::Result<Vec<UnixListener>> {
        self.listeners
            .iter()
            .map(|listener| {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Ok(listener)
            })
            .collect()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Not one that another service has put in its place meanwhile.
        if let Some(made) = &self.made
            && fs::symlink_metadata(&made.path)
                .is_ok_and(|seen| (seen.dev(), seen.ino()) == (made.device, made.inode))
        {
            // A file that stays is found stale by the next service.
            let _ = fs::remove_file(&made.path);
        }
    }
}

/// Removes what a killed service left; one that answers is left alone.
fn remove_stale(path: &Path) -> io::Result<()> {
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another service listens there")),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
