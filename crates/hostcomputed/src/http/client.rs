//! Who is at the other end: the session of a connection, or why it has none.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use axum::http::{HeaderMap, HeaderValue};
use hostcompute_engine::compute::{OnBehalf, Stdio};
use hostcompute_linux::Linux;
use hostcompute_linux::peer::{self, Whereabouts};
use hostcompute_schema::compute::{STDERR, STDIN, STDOUT};
use hostcompute_schema::operation::Right;
use hostcompute_schema::{Failure, Guid, HResult};
use hostcompute_service::compute::Allowance;
use hostcompute_service::server::Caller;
use tokio::net::UnixStream;

use super::compute::Holdings;
use super::{Edge, request};

/// The header that names a session.
pub const SESSION: &str = "hostcompute-session";

/// The user that is nobody (the kernel's overflow id): no account has this number.
const NOBODY: u32 = 65534;

/// A session of the service: of the network service, and with the first such request of the compute service.
pub struct Session {
    network: hostcompute_service::server::Session<Linux>,
    edge: Weak<Edge>,
    compute: OnceLock<Holdings>,
    parked: Mutex<HashMap<(String, u32), Parked>>,
}

/// Streams of a new process that wait to be fetched.
struct Parked {
    stdio: Stdio<OwnedFd>,
    /// The kinds that have been fetched.
    taken: u8,
}

/// What there is of a stream that may have been kept.
pub enum Unparked {
    Stream(OwnedFd),
    /// The process was asked not to have it.
    None,
    /// It was fetched already, or the process is somebody else's: the process itself has to be asked.
    Unknown,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network.fmt(f)
    }
}

impl Deref for Session {
    type Target = hostcompute_service::server::Session<Linux>;

    fn deref(&self) -> &Self::Target {
        &self.network
    }
}

impl Session {
    fn new(edge: &Arc<Edge>, network: hostcompute_service::server::Session<Linux>) -> Self {
        let edge = Arc::downgrade(edge);
        Self { network, edge, compute: OnceLock::new(), parked: Mutex::default() }
    }

    /// The client's part of the compute service.
    ///
    /// # Errors
    /// HCS_E_SERVICE_DISCONNECT once the service stops.
    pub fn compute(&self) -> Result<&Holdings, Failure> {
        if let Some(compute) = self.compute.get() {
            return Ok(compute);
        }
        let stopping = || Failure::new(HResult::HCS_E_SERVICE_DISCONNECT, "the service stops");
        let edge = self.edge.upgrade().ok_or_else(stopping)?;
        let begun = edge.compute.session_of(self.network.right(), self.client())?;
        let begun = begun.within(self.allowance(&edge));
        // Of two that come at once one is dropped, and holds nothing.
        Ok(self.compute.get_or_init(|| begun))
    }

    /// Whose rights count where paths are named; root's are the service's own.
    pub fn client(&self) -> Option<OnBehalf> {
        let caller = self.network.caller();
        let user = || OnBehalf { uid: caller.uid, gid: caller.gid, groups: caller.groups.clone() };
        (caller.uid != 0 && !self.is_rootless()).then(user)
    }

    /// How much of it the client may have.
    pub fn allowance(&self, edge: &Edge) -> Allowance {
        Allowance::of(self.network.caller().uid, edge.settings.limits)
    }

    /// A rootless service and its client are the same user, by another name.
    fn is_rootless(&self) -> bool {
        self.edge.upgrade().is_some_and(|edge| edge.settings.options.rootless)
    }

    /// Keeps the streams of a new process until they are asked for.
    pub fn park(&self, system: &str, pid: u32, stdio: Stdio<OwnedFd>) {
        if stdio.input.is_some() || stdio.output.is_some() || stdio.error.is_some() {
            self.parked().insert((system.to_lowercase(), pid), Parked { stdio, taken: 0 });
        }
    }

    /// Takes streams that were kept.
    pub fn unpark(&self, system: &str, pid: u32) -> Option<Stdio<OwnedFd>> {
        self.parked().remove(&(system.to_lowercase(), pid)).map(|parked| parked.stdio)
    }

    /// Takes one of the streams that were kept; the others stay.
    pub fn unpark_one(&self, system: &str, pid: u32, kind: u8) -> Unparked {
        let mut parked = self.parked();
        let Some(parked) = parked.get_mut(&(system.to_lowercase(), pid)) else {
            return Unparked::Unknown;
        };
        match pick(&mut parked.stdio, kind) {
            Some(stream) => {
                parked.taken |= kind;
                Unparked::Stream(stream)
            }
            None if parked.taken & kind != 0 => Unparked::Unknown,
            None => Unparked::None,
        }
    }

    fn parked(&self) -> MutexGuard<'_, HashMap<(String, u32), Parked>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is over: what the session holds is given back, also while requests of others still work in it.
    fn end(&self) {
        self.network.end();
        if let Some(compute) = self.compute.get() {
            compute.end();
        }
        self.parked().clear();
    }
}

/// Takes one of a process's streams.
pub fn pick<S>(stdio: &mut Stdio<S>, kind: u8) -> Option<S> {
    match kind {
        STDIN => stdio.input.take(),
        STDOUT => stdio.output.take(),
        STDERR => stdio.error.take(),
        _ => None,
    }
}

/// The client of one connection.
pub struct Client {
    pub edge: Arc<Edge>,
    session: Result<Arc<Session>, Failure>,
    /// The session's id, as it stands in every answer.
    name: Option<HeaderValue>,
    /// Whether descriptors can be handed to it.
    pub takes_descriptors: bool,
}

/// Every session, for requests of one connection that belong to the session of another.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<Guid, Weak<Session>>>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// Looks at who has connected, and begins its session.
    pub fn of(edge: &Arc<Edge>, stream: &UnixStream) -> Self {
        let session = caller(edge, stream).and_then(|caller| edge.server.connect(caller));
        Self::with(edge, session, true)
    }

    /// A program that came over TCP and knows the token of this caller.
    pub fn guest(edge: &Arc<Edge>, caller: Caller) -> Self {
        Self::with(edge, edge.server.connect(caller), false)
    }

    /// Somebody who came in another way than through the socket, and may look: with the limits of nobody in particular.
    pub fn reader(edge: &Arc<Edge>) -> Self {
        let caller = Caller { uid: NOBODY, gid: NOBODY, ..Caller::default() };
        Self::with(edge, edge.server.connect_as(caller, Right::Read), false)
    }

    fn with(
        edge: &Arc<Edge>,
        session: Result<hostcompute_service::server::Session<Linux>, Failure>,
        takes_descriptors: bool,
    ) -> Self {
        let session = session.map(|network| Arc::new(Session::new(edge, network)));
        let mut name = None;
        match &session {
            Ok(session) => {
                edge.sessions.open().insert(session.id(), Arc::downgrade(session));
                name = HeaderValue::from_str(&session.id().to_string()).ok();
            }
            Err(failure) => edge.refusals.note(failure),
        }
        Self { edge: edge.clone(), session, name, takes_descriptors }
    }

    /// Whether this client gets nothing but the reason why.
    pub fn is_refused(&self) -> bool {
        self.session.is_err()
    }

    /// The id of the connection's session.
    pub fn name(&self) -> Option<&HeaderValue> {
        self.name.as_ref()
    }

    /// The session that a request belongs to: the one that it names, else the connection's own.
    ///
    /// # Errors
    /// Why the client is refused; ERROR_NOT_FOUND for a session that is over, E_ACCESSDENIED for another user's.
    pub fn session(&self, headers: &HeaderMap) -> Result<Arc<Session>, Failure> {
        let own = self.session.as_ref().map_err(Failure::clone)?;
        let Some(named) = request::header(headers, SESSION)? else { return Ok(own.clone()) };
        let id = request::guid(named)?;
        if id == own.id() {
            return Ok(own.clone());
        }
        let found = self.edge.sessions.open().get(&id).and_then(Weak::upgrade);
        let session = found.ok_or_else(|| {
            Failure::new(HResult::ERROR_NOT_FOUND, format!("there is no session {id}"))
                .hint("a session ends with the connection that began it")
        })?;
        if session.caller().uid != own.caller().uid {
            let why = format!("the session {id} is another user's");
            return Err(Failure::new(HResult::E_ACCESSDENIED, why));
        }
        Ok(session)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Ok(session) = &self.session {
            self.edge.sessions.open().remove(&session.id());
            // A request of another connection may still work in it: it is over all the same.
            session.end();
        }
    }
}

impl Sessions {
    /// All that live.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.open().values().filter_map(Weak::upgrade).collect()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Guid, Weak<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn caller(edge: &Edge, stream: &UnixStream) -> Result<Caller, Failure> {
    let peer = peer::peer(stream, edge.ours).map_err(|error| {
        let why = format!("the kernel does not say who connects: {error}");
        Failure::new(HResult::E_ACCESSDENIED, why)
    })?;
    // An ordinary user's service has joined a user namespace of its own, from where those outside cannot be looked at. Its directory is
    // closed to others, and of those who come none but the user has a right.
    let rootless = edge.settings.options.rootless;
    if peer.user_namespace == Whereabouts::Unknown && !rootless {
        let why = "the process that connected cannot be seen any more, nor in which user namespace it was";
        return Err(Failure::new(HResult::E_ACCESSDENIED, why)
            .hint("the process that connects must live as long as the connection"));
    }
    Ok(Caller {
        uid: peer.uid,
        gid: peer.gid,
        groups: peer.groups,
        pid: peer.pid,
        foreign_user_namespace: peer.user_namespace == Whereabouts::Foreign,
    })
}
