//! The host: the way to a service, and what concerns the service as a whole.

use std::path::PathBuf;
use std::sync::Arc;

use hostcompute_schema::operation::Kind;
use hostcompute_schema::service::{
    Diagnosis, Finding, Findings, HostFile, Imported, Lack, NamespacePlace, ObjectKind, Obstacle,
    Progress, Step, Trace, TraceRequest,
};
use hostcompute_schema::{Document, Failure, Guid, HResult, ServiceOperation};
use serde_json::Value;

use crate::transport::{Answer, Ask, Call, Events, Subscription, Topic, Transport};
use crate::{Address, Options, Way};

#[cfg(socket)]
use crate::transport::socket::Socket;
#[cfg(windows)]
use crate::transport::windows::Windows;
#[cfg(embedded)]
use crate::{Namespace, Place, transport::embedded::Embedded};
#[cfg(socket)]
use std::path::Path;

/// A host whose networks are managed here. Cheap to clone; clones are the same host.
///
/// ```no_run
/// use hostcompute::{Host, Options};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// for finding in host.check()? {
///     println!("{finding}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Host {
    transport: Arc<dyn Transport>,
    #[cfg(embedded)]
    embedded: Option<Embedded>,
}

impl Host {
    /// A host that is reached through a transport of the caller's.
    pub fn through(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            #[cfg(embedded)]
            embedded: None,
        }
    }

    /// The service that runs on this machine when there is one, else a service inside this process; or what [`Options::way`] says.
    ///
    /// An ordinary user whom the machine's service refuses gets a service of their own, inside the process.
    ///
    /// # Errors
    /// As [`Self::connect`] and [`Self::embedded`].
    pub fn auto(options: Options) -> Result<Self, Failure> {
        match service_of(&options)? {
            Some(host) => Ok(host),
            None => Self::within(options),
        }
    }

    /// The service that runs on this machine: at the socket of [`Options::way`], else at the first of [`Options::sockets`] that answers. On
    /// Windows it is the system's own, unless [`Options::way`] says otherwise.
    ///
    /// # Errors
    /// RPC_S_SERVER_UNAVAILABLE when nothing listens, E_ACCESSDENIED.
    pub fn running(options: &Options) -> Result<Self, Failure> {
        #[cfg(windows)]
        if options.way == Way::Any {
            return Self::windows(options);
        }
        let places = match &options.way {
            Way::Socket(path) => vec![Address::Socket(path.clone())],
            Way::Address(text) => vec![Address::read(text, options.token_file.clone())?],
            Way::Any | Way::Embedded => {
                options.sockets().into_iter().map(Address::Socket).collect()
            }
        };
        let mut refusal = None;
        for place in places {
            match Self::at(place, options) {
                Err(failure) => refusal = Some(failure),
                reached => return reached,
            }
        }
        let nowhere =
            || Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, "there is no socket to try");
        Err(refusal.unwrap_or_else(nowhere))
    }

    /// The network and compute services of this Windows.
    ///
    /// # Errors
    /// RPC_S_SERVER_UNAVAILABLE where it has none. What a call needs and this Windows lacks is refused then, by E_NOTIMPL.
    #[cfg(windows)]
    pub fn windows(options: &Options) -> Result<Self, Failure> {
        Ok(Self::through(Arc::new(Windows::open(options.strict)?)))
    }

    /// The service that listens on a unix socket.
    ///
    /// # Errors
    /// RPC_S_SERVER_UNAVAILABLE when nothing listens there, E_ACCESSDENIED.
    #[cfg(socket)]
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Failure> {
        Self::at(Address::Socket(path.as_ref().to_owned()), &Options::from_env())
    }

    /// The service that listens at an address: `tcp://127.0.0.1:8643` (the token is that of [`Options::token_file`], as the environment
    /// says), or `unix:/run/hostcompute/hostcompute.sock`.
    ///
    /// # Errors
    /// RPC_S_SERVER_UNAVAILABLE when nothing listens there or there is no token; E_ACCESSDENIED; E_INVALIDARG for no address, and for one
    /// of another machine.
    pub fn connect_to(address: &str) -> Result<Self, Failure> {
        let options = Options::from_env();
        Self::at(Address::read(address, options.token_file.clone())?, &options)
    }

    #[cfg(socket)]
    fn at(address: Address, options: &Options) -> Result<Self, Failure> {
        Ok(Self::through(Arc::new(Socket::connect(address, options)?)))
    }

    #[cfg(not(socket))]
    fn at(address: Address, _: &Options) -> Result<Self, Failure> {
        let why = format!("this program cannot use the socket {address}");
        Err(Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why)
            .hint("it was built without the feature `socket` of the crate hostcompute"))
    }

    #[cfg(embedded)]
    fn within(options: Options) -> Result<Self, Failure> {
        Self::embedded(options)
    }

    #[cfg(not(embedded))]
    fn within(options: Options) -> Result<Self, Failure> {
        if options.way == Way::Embedded {
            let why = "this program does not carry the service inside itself";
            return Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why)
                .hint("that takes Linux, and the feature `embedded` of the crate hostcompute"));
        }
        let sockets = options.sockets();
        let sockets: Vec<String> = sockets.iter().map(|path| path.display().to_string()).collect();
        let why = format!("no service listens on {}", sockets.join(" or "));
        Err(Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why).hint("start hostcomputed"))
    }

    /// What was repaired when the service inside this process was opened, in words; empty after a clean start.
    ///
    /// # Errors
    /// An earlier call panicked.
    pub fn repaired(&self) -> Result<Vec<String>, Failure> {
        #[cfg(embedded)]
        if let Some(embedded) = &self.embedded {
            let recovered = embedded.service()?.recovery().map(crate::local::repaired);
            return Ok(recovered.unwrap_or_default());
        }
        Ok(Vec::new())
    }

    /// Lets other processes have the state directory until the next call of this one that needs it, which then waits for its turn.
    ///
    /// For a program with the service inside that is going to wait for long, such as for the end of a container: nobody else could do
    /// anything on this host meanwhile. Handles, streams and subscriptions stay as they are. Nothing to do where the service is elsewhere.
    ///
    /// # Errors
    /// An earlier call panicked.
    pub fn stand_back(&self) -> Result<(), Failure> {
        #[cfg(embedded)]
        if let Some(embedded) = &self.embedded {
            return embedded.stand_back();
        }
        Ok(())
    }

    /// The way to the service.
    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// The same way, for what is kept longer than a borrow.
    #[cfg(images)]
    pub(crate) fn shared_transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    pub fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        self.transport.call(call)
    }

    /// Carries out one of the service's own operations that is answered by a document; null where there is nothing to say.
    ///
    /// # Errors
    /// What the service refuses, or why it cannot be reached.
    pub fn serve(&self, ask: &Ask<'_>) -> Result<Value, Obstacle> {
        self.transport.serve(ask)
    }

    /// The object that a person means: by GUID, by unique beginning of its GUID, or by Name.
    ///
    /// # Errors
    /// The kind's not-found code, or E_INVALIDARG when several objects answer.
    pub fn resolve(&self, kind: Kind, text: &str) -> Result<Guid, Failure> {
        let kind = ObjectKind::try_from(kind).map_err(|kind| {
            Failure::new(HResult::E_NOTIMPL, format!("a {} has no name", kind.name()))
        })?;
        let parameters = [("kind", kind.name()), ("text", text)];
        let ask = Ask { parameters: &parameters, ..Ask::plain(ServiceOperation::Resolve) };
        let answer = self.ask(&ask)?;
        crate::handle::created(answer.as_str().unwrap_or_default())
    }

    /// Makes what the files ask for and is not there yet. On failure takes back what it made.
    ///
    /// # Errors
    /// What is wrong with a file, or what the host refuses.
    pub fn up(
        &self,
        files: &[HostFile],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        self.transport.carry_out(ServiceOperation::Up, files, tell)
    }

    /// What [`Self::up`] would do.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn diff(
        &self,
        files: &[HostFile],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        self.transport.carry_out(ServiceOperation::Diff, files, tell)
    }

    /// Deletes exactly what the files name, and waits until the host is clean.
    ///
    /// # Errors
    /// What is wrong with a file, an object that others use, or what could not be deleted (the rest is).
    pub fn down(
        &self,
        files: &[HostFile],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        self.transport.carry_out(ServiceOperation::Down, files, tell)
    }

    /// What happened from notification number `from` on, until now; `u64::MAX` asks only for the number of the next one.
    ///
    /// # Errors
    /// Why the service cannot be reached.
    pub fn events(&self, from: u64) -> Result<Events, Failure> {
        self.transport.events(from)
    }

    /// Listens to what happens: from now on, or from the notification after number `after` on.
    ///
    /// # Errors
    /// The not-found code of a network, or why the service cannot be reached.
    pub fn subscribe(&self, to: Topic, after: Option<u64>) -> Result<Subscription, Failure> {
        self.transport.subscribe(to, after)
    }

    /// Compares documents, journal and kernel; empty when they agree.
    ///
    /// # Errors
    /// The store or the kernel cannot be read.
    pub fn check(&self) -> Result<Vec<Finding>, Failure> {
        Ok(self.document::<Findings>(ServiceOperation::Check)?.findings)
    }

    /// Makes the kernel agree with the documents: what is missing is made, what no object explains is removed.
    ///
    /// # Errors
    /// What the kernel refused; the rest is done.
    pub fn repair(&self) -> Result<(), Vec<Failure>> {
        let repaired = self.serve(&Ask::plain(ServiceOperation::Repair));
        repaired.map(drop).map_err(Obstacle::into_failures)
    }

    /// What this kernel and this host lack, and what that costs; the worst comes first.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub fn doctor(&self) -> Result<Vec<Lack>, Failure> {
        Ok(self.document::<Diagnosis>(ServiceOperation::Doctor)?.findings)
    }

    /// Whether a packet gets from one end to another, by which way, and what stops it, from what the service knows.
    ///
    /// # Errors
    /// E_INVALIDARG for a request that names no packet, the not-found code of an end that does not exist.
    pub fn trace(&self, request: &TraceRequest) -> Result<Trace, Failure> {
        let document = request.to_value().to_string();
        read(&self.ask(&Ask { document: &document, ..Ask::plain(ServiceOperation::Trace) })?)
    }

    /// As [`Self::trace`]; also sends such a packet, by TCP, UDP or ICMP from this host, and tells what the kernel did with it
    /// ([`Trace::live`]).
    ///
    /// # Errors
    /// As [`Self::trace`]; HCN_E_REQUEST_UNSUPPORTED for what cannot be sent from here.
    pub fn probe(&self, request: &TraceRequest) -> Result<Trace, Failure> {
        let document = request.to_value().to_string();
        read(&self.ask(&Ask { document: &document, ..Ask::plain(ServiceOperation::Probe) })?)
    }

    /// Waits until removals that the kernel finishes in the background are through.
    ///
    /// # Errors
    /// A removal failed for good.
    pub fn settle(&self) -> Result<(), Failure> {
        self.ask(&Ask::plain(ServiceOperation::Settle)).map(drop)
    }

    /// The live tree, for people who look into a service: an [`Inspection`](hostcompute_schema::service::Inspection).
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn inspect(&self) -> Result<Value, Failure> {
        self.ask(&Ask::plain(ServiceOperation::Inspect))
    }

    /// The whole state as one document.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub fn export_state(&self) -> Result<Value, Failure> {
        self.ask(&Ask::plain(ServiceOperation::ExportState))
    }

    /// Fills an empty state from an export and brings the host to it; tells how many objects there were.
    ///
    /// # Errors
    /// What is wrong with the document, or what the host refuses; nothing is imported then.
    pub fn import_state(&self, document: &str) -> Result<usize, Failure> {
        let imported = self.ask(&Ask { document, ..Ask::plain(ServiceOperation::ImportState) })?;
        let objects = read::<Imported>(&imported)?.objects.unwrap_or_default();
        Ok(usize::try_from(objects).unwrap_or(usize::MAX))
    }

    /// The file by which programs enter a namespace (`nsenter --net=FILE`).
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn netns_path(&self, namespace: Guid) -> Result<PathBuf, Failure> {
        Ok(self.namespace_place(namespace)?.netns.unwrap_or_default().into())
    }

    fn namespace_place(&self, namespace: Guid) -> Result<NamespacePlace, Failure> {
        let ask = Ask { id: Some(namespace), ..Ask::plain(ServiceOperation::Place) };
        read(&self.ask(&ask)?)
    }

    fn document<T: Document>(&self, operation: ServiceOperation) -> Result<T, Failure> {
        read(&self.ask(&Ask::plain(operation))?)
    }

    fn ask(&self, ask: &Ask<'_>) -> Result<Value, Failure> {
        Ok(self.serve(ask)?)
    }
}

/// The service that runs on this machine; none where one inside the process is what the options want.
///
/// # Errors
/// Why the service cannot be reached, where only that one is wanted.
pub(crate) fn service_of(options: &Options) -> Result<Option<Host>, Failure> {
    if options.way == Way::Embedded {
        return Ok(None);
    }
    match Host::running(options) {
        Err(failure) if options.way == Way::Any && may_be_embedded(options, &failure) => Ok(None),
        reached => reached.map(Some),
    }
}

/// Whether a service inside the process is what a caller wants whom no running one serves: nothing listens, or the machine's own
/// service is not for this user.
fn may_be_embedded(options: &Options, failure: &Failure) -> bool {
    failure.hresult == HResult::RPC_S_SERVER_UNAVAILABLE
        || options.rootless && failure.is_access_denied()
}

fn read<T: Document>(answer: &Value) -> Result<T, Failure> {
    Ok(hostcompute_schema::parse_value::<T>(answer, "")?.document)
}

#[cfg(embedded)]
impl Host {
    /// The service inside this process, on its own state directory. One process at a time uses a state directory; others wait.
    ///
    /// What an earlier process left unfinished is finished or undone first: [`Self::repaired`] tells.
    ///
    /// # Errors
    /// E_ACCESSDENIED without the rights, RPC_S_SERVER_UNAVAILABLE while another process keeps the directory,
    /// HCN_E_REGKEY_FAILURE and ERROR_WRONG_DISK for a state that cannot be read.
    pub fn embedded(options: Options) -> Result<Self, Failure> {
        let embedded = Embedded::open(options)?;
        Ok(Self { transport: Arc::new(embedded.clone()), embedded: Some(embedded) })
    }

    /// Where a program must be started to be inside a namespace. It can be started when the host is closed.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND.
    pub fn place(&self, namespace: &Namespace) -> Result<Place, Failure> {
        let place = self.namespace_place(namespace.id())?;
        let path = |text: Option<String>| PathBuf::from(text.unwrap_or_default());
        Ok(Place { netns: path(place.netns), resolver: path(place.resolver) })
    }

    /// How the service inside this process runs; `None` for a service elsewhere.
    pub fn options(&self) -> Option<&Options> {
        self.embedded.as_ref().map(Embedded::options)
    }
}
