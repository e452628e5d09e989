//! What can go wrong here, and which documented failure a client gets for it.
//!
//! An [`Error`] keeps what the kernel said (errno, extended acknowledgement) and what was tried. [`Error::into_failure`] is
//! the one place that turns it into an HRESULT; the table of reasons is hcn.md section 4 of the reference.

use std::io;
use std::path::PathBuf;

use hostcompute_schema::{Failure, HResult};
use rustix::io::Errno;

use crate::netlink::Lenient;

/// The step of messages that belong to no step: questions.
pub(crate) const NO_STEP: usize = usize::MAX;

/// A refusal by the kernel of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Place of the message in its datagram.
    pub place: usize,
    /// Step of the plan that the message belongs to.
    pub step: usize,
    /// What the message was to do.
    pub aim: &'static str,
    pub lenient: Lenient,
    pub errno: Errno,
    /// The kernel's explanation, when it gives one.
    pub text: Option<String>,
}

/// An operation on this machine that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {}: {}", .0.aim, explain(.0.errno, .0.text.as_deref()))]
    Refused(Refusal),
    #[error("talking to the kernel failed")]
    Netlink(#[source] io::Error),
    #[error("the kernel did not answer a netlink request")]
    Silent,
    #[error("cannot {aim}: it changed too often while it was read")]
    Unsteady { aim: &'static str },
    #[error("cannot {aim} {}: {}", path.display(), source)]
    File { aim: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {aim}: {source}")]
    System { aim: &'static str, source: io::Error },
    #[error("the namespace {} does not exist", path.display())]
    NamespaceGone { path: PathBuf },
    #[error("{what} is used by something else on this host")]
    Taken { what: String },
    #[error("port {port}/{protocol} of the host is in use by another program")]
    PortTaken { protocol: &'static str, port: u16 },
    #[error("{what} cannot be done with nftables: {why}")]
    Unfit { what: &'static str, why: String },
    /// Another error, with the step of the plan it belongs to.
    #[error("{error}")]
    AtStep { step: usize, error: Box<Error> },
}

fn explain(errno: Errno, text: Option<&str>) -> String {
    let system = io::Error::from(errno);
    match text {
        Some(text) => format!("{text} ({system})"),
        None => system.to_string(),
    }
}

impl Error {
    pub(crate) fn file(aim: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File { aim, path: path.into(), source }
    }

    pub(crate) fn system(aim: &'static str, source: impl Into<io::Error>) -> Self {
        Self::System { aim, source: source.into() }
    }

    /// Says which step of the plan failed, if the error does not know by itself.
    pub(crate) fn at(self, step: usize) -> Self {
        match self {
            Self::Refused(refusal) if refusal.step == NO_STEP => {
                Self::Refused(Refusal { step, ..refusal })
            }
            Self::AtStep { .. } | Self::Refused(_) => self,
            other => Self::AtStep { step, error: Box::new(other) },
        }
    }

    /// The step of the plan that failed; 0 outside plans.
    pub(crate) fn step(&self) -> usize {
        match self {
            Self::Refused(refusal) if refusal.step != NO_STEP => refusal.step,
            Self::AtStep { step, .. } => *step,
            _ => 0,
        }
    }

    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(refusal) => Some(refusal.errno),
            Self::Netlink(source) | Self::File { source, .. } | Self::System { source, .. } => {
                Errno::from_io_error(source)
            }
            Self::AtStep { error, .. } => error.errno(),
            _ => None,
        }
    }

    /// What the client is told; `subject` names the thing the step was about.
    pub(crate) fn into_failure(self, subject: &str) -> Failure {
        if let Self::AtStep { error, .. } = self {
            return error.into_failure(subject);
        }
        let (text, source) = match &self {
            Self::Netlink(source) => (self.to_string(), Some(source)),
            Self::File { aim, path, source } => {
                (format!("cannot {aim} {}", path.display()), Some(source))
            }
            Self::System { aim, source } => (format!("cannot {aim}"), Some(source)),
            _ => (self.to_string(), None),
        };
        let message = if subject.is_empty() { text } else { format!("{subject}: {text}") };
        let mut failure = Failure::new(self.hresult(), message);
        if let Some(source) = source {
            failure = failure.because(source);
        }
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    fn hresult(&self) -> HResult {
        match self {
            Self::AtStep { error, .. } => return error.hresult(),
            Self::NamespaceGone { .. } => return HResult::HCN_E_NAMESPACE_ATTACH_FAILED,
            Self::PortTaken { .. } => return HResult::HCN_E_PORT_ALREADY_EXISTS,
            Self::Taken { .. } => return HResult::ERROR_ALREADY_EXISTS,
            Self::Unfit { .. } => return HResult::HCN_E_INVALID_POLICY,
            _ => {}
        }
        match self.errno() {
            Some(Errno::PERM | Errno::ACCESS) => HResult::E_ACCESSDENIED,
            Some(Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::NOSYS) => {
                HResult::ERROR_NOT_SUPPORTED
            }
            Some(Errno::NOMEM | Errno::NOBUFS | Errno::NOSPC | Errno::MFILE | Errno::NFILE) => {
                HResult::E_OUTOFMEMORY
            }
            Some(Errno::EXIST) => HResult::ERROR_ALREADY_EXISTS,
            // nftables answers "no such file" for an expression that the kernel lacks.
            Some(Errno::NOENT) if self.is_packet_filter() => HResult::ERROR_NOT_SUPPORTED,
            _ => HResult::E_UNEXPECTED,
        }
    }

    fn is_packet_filter(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.aim.contains("packet filter"))
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::AtStep { error, .. } => error.hint(),
            Self::PortTaken { .. } => Some("`ss -lntup` shows the programs that listen"),
            Self::NamespaceGone { .. } => Some("`hc check` names what is missing"),
            _ => match self.errno()? {
                Errno::PERM | Errno::ACCESS => {
                    Some("run as root, or as an ordinary user in rootless mode (see `hc doctor`)")
                }
                Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::NOSYS => {
                    Some("`hc doctor` says which facility this kernel lacks")
                }
                Errno::MFILE => Some("raise the limit of open files (`ulimit -n`)"),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(aim: &'static str, errno: Errno, text: Option<&str>) -> Error {
        Error::Refused(Refusal {
            place: 0,
            step: 3,
            aim,
            lenient: Lenient::Not,
            errno,
            text: text.map(str::to_owned),
        })
    }

    #[track_caller]
    fn check(error: Error, hresult: HResult, parts: &[&str]) {
        let failure = error.into_failure("interface he1");
        assert_eq!(failure.hresult, hresult, "{failure}");
        let text = format!("{failure:#}");
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
    }

    #[test]
    fn refusals_become_documented_failures_and_lose_nothing() {
        let make = "make the interface";
        check(refused(make, Errno::PERM, None), HResult::E_ACCESSDENIED, &["he1", make, "root"]);
        check(
            refused(make, Errno::OPNOTSUPP, Some("Unknown device type")),
            HResult::ERROR_NOT_SUPPORTED,
            &["Unknown device type", "os error 95", "hc doctor"],
        );
        check(
            refused("add a rule to the packet filter", Errno::NOENT, None),
            HResult::ERROR_NOT_SUPPORTED,
            &["packet filter"],
        );
        check(refused(make, Errno::NOENT, None), HResult::E_UNEXPECTED, &[make]);
        check(refused(make, Errno::NOMEM, None), HResult::E_OUTOFMEMORY, &[]);
        check(refused(make, Errno::EXIST, None), HResult::ERROR_ALREADY_EXISTS, &[]);
    }

    #[test]
    fn other_failures_have_their_own_codes() {
        let gone = || Error::NamespaceGone { path: "/run/x".into() };
        check(gone(), HResult::HCN_E_NAMESPACE_ATTACH_FAILED, &["/run/x"]);
        check(gone().at(7), HResult::HCN_E_NAMESPACE_ATTACH_FAILED, &["/run/x", "hc check"]);
        let taken = Error::PortTaken { protocol: "tcp", port: 80 };
        check(taken, HResult::HCN_E_PORT_ALREADY_EXISTS, &["80/tcp", "ss -lntup"]);
        let files = Error::file("read", "/x", io::Error::from(Errno::MFILE));
        check(files, HResult::E_OUTOFMEMORY, &["ulimit"]);
    }

    #[test]
    fn the_step_that_failed_is_known_from_the_inside_or_the_outside() {
        assert_eq!(refused("x", Errno::PERM, None).at(9).step(), 3);
        assert_eq!(Error::Silent.at(9).step(), 9);
        assert_eq!(Error::Silent.at(9).at(1).step(), 9);
        assert_eq!(Error::Silent.step(), 0);
    }
}
