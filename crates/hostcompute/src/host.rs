//! The host: the way to a service, and what concerns the service as a whole.

use std::sync::Arc;

use hostcompute_schema::operation::Kind;
use hostcompute_schema::{Failure, Guid};

use crate::transport::{Answer, Call, Events, Transport};

#[cfg(feature = "embedded")]
use crate::{Finding, Namespace, Options, Place, doctor, transport::embedded::Embedded};
#[cfg(feature = "embedded")]
use hostcompute_schema::{HResult, NamespaceType};
#[cfg(feature = "embedded")]
use serde_json::Value;
#[cfg(feature = "embedded")]
use std::path::PathBuf;

/// A host whose networks are managed here. Cheap to clone; clones are the same host.
///
/// ```no_run
/// use hostcompute::{Host, Options};
///
/// # fn main() -> Result<(), hostcompute::Failure> {
/// let host = Host::embedded(Options::from_env())?;
/// for finding in host.check()? {
///     println!("{finding}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Host {
    transport: Arc<dyn Transport>,
    #[cfg(feature = "embedded")]
    embedded: Option<Arc<Embedded>>,
}

impl Host {
    /// A host that is reached through a transport of the caller's.
    pub fn through(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            #[cfg(feature = "embedded")]
            embedded: None,
        }
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    pub fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        self.transport.call(call)
    }

    /// The object that a person means: by GUID, by unique beginning of its GUID, or by Name.
    ///
    /// # Errors
    /// The kind's not-found code, or E_INVALIDARG when several objects answer.
    pub fn resolve(&self, kind: Kind, text: &str) -> Result<Guid, Failure> {
        self.transport.resolve(kind, text)
    }

    /// What happened from event number `from` on.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    pub fn events(&self, from: u64) -> Result<Events, Failure> {
        self.transport.events(from)
    }
}

#[cfg(feature = "embedded")]
impl Host {
    /// The service inside this process, on its own state directory. One process at a time uses a state directory; others wait.
    ///
    /// What an earlier process left unfinished is finished or undone first: [`Self::repaired`] tells.
    ///
    /// # Errors
    /// E_ACCESSDENIED without the rights, RPC_S_SERVER_UNAVAILABLE while another process keeps the directory,
    /// HCN_E_REGKEY_FAILURE and ERROR_WRONG_DISK for a state that cannot be read.
    pub fn embedded(options: Options) -> Result<Self, Failure> {
        let embedded = Arc::new(Embedded::open(options)?);
        Ok(Self { transport: embedded.clone(), embedded: Some(embedded) })
    }

    pub(crate) fn inside(&self) -> Result<&Embedded, Failure> {
        self.embedded.as_deref().ok_or_else(|| {
            Failure::new(
                HResult::E_NOTIMPL,
                "this is possible only with a service inside the process",
            )
        })
    }

    /// What was repaired when the service was opened, in words; empty after a clean start.
    ///
    /// # Errors
    /// An earlier call panicked.
    pub fn repaired(&self) -> Result<Vec<String>, Failure> {
        Ok(self.inside()?.service()?.recovery().map(crate::finding::repaired).unwrap_or_default())
    }

    /// Compares documents, journal and kernel; empty when they agree.
    ///
    /// # Errors
    /// The store or the kernel cannot be read.
    pub fn check(&self) -> Result<Vec<Finding>, Failure> {
        Ok(crate::finding::findings(&self.inside()?.service()?.check()?))
    }

    /// Makes the kernel agree with the documents: what is missing is made, what no object explains is removed.
    ///
    /// # Errors
    /// What the kernel refused; the rest is done.
    pub fn repair(&self) -> Result<(), Vec<Failure>> {
        let inside = self.inside().map_err(|failure| vec![failure])?;
        let mut service = inside.service().map_err(|failure| vec![failure])?;
        service.repair()?;
        service.settle().map_err(|failure| vec![failure])
    }

    /// What this kernel and this host lack, and what that costs; the worst comes first.
    ///
    /// # Errors
    /// An earlier call panicked.
    pub fn doctor(&self) -> Result<Vec<doctor::Finding>, Failure> {
        Ok(doctor::examine(Some(self.inside()?.service()?.host())))
    }

    /// Waits until removals that the kernel finishes in the background are through.
    ///
    /// # Errors
    /// A removal failed for good.
    pub fn settle(&self) -> Result<(), Failure> {
        self.inside()?.service()?.settle()
    }

    /// The live tree, for people who look into a service.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn inspect(&self) -> Result<Value, Failure> {
        self.inside()?.service()?.inspect()
    }

    /// The whole state as one document.
    ///
    /// # Errors
    /// An earlier call panicked.
    pub fn export_state(&self) -> Result<Value, Failure> {
        Ok(self.inside()?.service()?.export())
    }

    /// Fills an empty state from an export and brings the host to it; tells how many objects there were.
    ///
    /// # Errors
    /// What is wrong with the document, or what the host refuses; nothing is imported then.
    pub fn import_state(&self, document: &str) -> Result<usize, Failure> {
        self.inside()?.service()?.import(document)
    }

    /// The file by which programs enter a Host namespace (`nsenter --net=FILE`).
    ///
    /// # Errors
    /// An earlier call panicked.
    pub fn netns_path(&self, namespace: Guid) -> Result<PathBuf, Failure> {
        Ok(self.inside()?.service()?.host().netns_path(namespace))
    }

    /// Where a program must be started to be inside a namespace. It can be started when the host is closed.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn place(&self, namespace: &Namespace) -> Result<Place, Failure> {
        let inside = self.inside()?;
        let kind = namespace.query()?.kind;
        if kind == Some(NamespaceType::HostDefault) {
            let own = || PathBuf::from("/proc/self/ns/net");
            let netns = inside.options().host_netns.clone().unwrap_or_else(own);
            return Ok(Place { netns, resolver: PathBuf::new() });
        }
        let mut service = inside.service()?;
        let linux = service.host();
        let id = namespace.id();
        Ok(Place { netns: linux.netns_path(id), resolver: linux.resolver_path(id) })
    }

    /// How the service inside this process runs.
    ///
    /// # Errors
    /// E_NOTIMPL for a service elsewhere.
    pub fn options(&self) -> Result<&Options, Failure> {
        Ok(self.inside()?.options())
    }
}
