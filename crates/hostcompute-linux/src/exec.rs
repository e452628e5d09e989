//! Running a program in a namespace, as `hc namespace exec` does.
//!
//! The calling process becomes the program: it moves into the namespace, takes a mount namespace of its own in which the
//! namespace's resolver file covers /etc/resolv.conf, and executes. There is no parent in between, so that signals, the
//! terminal, job control and the exit status are the program's own.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hostcompute_schema::Failure;
use rustix::mount::MountPropagationFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::error::Error;
use crate::{netns, sys};

/// The file that resolvers read.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where a program is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The network namespace's file.
    pub netns: PathBuf,
    /// What /etc/resolv.conf shall be; ignored when the file does not exist.
    pub resolver: PathBuf,
}

impl Place {
    /// Moves the calling thread there for good: into the network namespace, and into a mount namespace of its own where the
    /// resolver file covers /etc/resolv.conf.
    ///
    /// # Errors
    /// The namespace is gone, or the caller may not enter it.
    pub fn enter(&self) -> Result<(), Failure> {
        self.move_there().map_err(|error| error.into_failure(""))
    }

    /// Becomes the program. Returns only if that fails.
    pub fn execute(&self, program: &OsStr, arguments: &[OsString]) -> Failure {
        if let Err(failure) = self.enter() {
            return failure;
        }
        let source = Command::new(program).args(arguments).exec();
        Error::file("run", program, source).into_failure("")
    }

    fn move_there(&self) -> Result<(), Error> {
        if !netns::is_namespace(&self.netns) {
            return Err(Error::NamespaceGone { path: self.netns.clone() });
        }
        let entered = netns::open(&self.netns).and_then(|netns| {
            let kind = Some(LinkNameSpaceType::Network);
            Ok(rustix::thread::move_into_link_name_space(netns.as_fd(), kind)?)
        });
        entered.map_err(|source| Error::file("enter the namespace", &self.netns, source))?;
        if !self.resolver.exists() {
            return Ok(());
        }
        cover(&self.resolver, Path::new(RESOLV_CONF))
    }
}

/// Covers a file with another one, for this thread and what it starts.
fn cover(file: &Path, place: &Path) -> Result<(), Error> {
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    let covered = sys::unshare(UnshareFlags::NEWNS)
        .and_then(|()| Ok(rustix::mount::mount_change("/", slave)?))
        .and_then(|()| Ok(rustix::mount::mount_bind(file, place)?));
    covered.map_err(|source| Error::file("cover", place, source))
}
