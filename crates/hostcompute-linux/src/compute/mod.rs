//! Compute systems on Linux: each is carried by a supervisor, a process of its own that outlives this one.
//!
//! [`Supervisors`] starts them, finds those that are there, and buries those that died; [`Supervised`] is the handle to one. What happens
//! comes through one thread (`hub`), however many systems there are.
//!
//! | | |
//! |---|---|
//! | `create` | from the engine's launch to a supervisor that runs |
//! | `starting` | the program that makes a supervisor |
//! | `translate` | the engine's words and the supervisor's |
//! | `terms` | what is said beside a document |
//! | `link`, `hub` | connections: questions, answers, notices |
//! | `worker` | the handle |
//! | `rights` | paths, opened with the rights of whoever names them |
//! | `place` | directories: names, who is there, what is left |
//! | `output` | logs |
//! | `facts` | the machine |

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostcompute_engine::compute::terms::{Runtime, Users};
use hostcompute_engine::compute::{
    Adopted, Debt, Fault, HostFacts, Launch, LogRequest, Remains, Sink, Workers,
};
use hostcompute_schema::HResult;
use hostcompute_supervisor::directory;
use hostcompute_supervisor::launch::LogBounds;
use hostcompute_supervisor::message::{Answer, Request};
use rustix::fs::FlockOperation;

mod create;
mod facts;
mod fault;
mod hub;
mod link;
mod output;
mod place;
mod rights;
mod starting;
mod terms;
mod translate;
mod worker;

use fault::Context;
use hub::Hub;
use link::{Link, Listening};
use place::Place;
pub use rights::acting;
pub use starting::Spare;
pub use worker::Supervised;

/// Where supervisors are looked for when nobody says.
const INSTALLED: &str = "/usr/libexec/hostcompute/hostcompute-supervisor";

/// The service manager's socket, in the runtime directory.
const LAUNCHER: &str = "supervisor.sock";

/// How systems are carried.
#[derive(Debug, Clone)]
pub struct Options {
    /// Systems live in `systems` below it, what is left of them in `exited`.
    pub runtime_dir: PathBuf,
    /// The supervisor's program; see [`find_supervisor`].
    pub program: PathBuf,
    /// A socket behind which the service manager starts a supervisor for each connection, where there is one: such a supervisor
    /// has nothing of the limits that the service itself lives with.
    pub launcher: PathBuf,
    /// A supervisor that was started already ([`Spare::begin`]).
    pub spare: Spare,
    /// The layers of the service's own images, which every client may use.
    pub layers: Option<PathBuf>,
    /// Who makes containers of which nothing is said.
    pub runtime: Runtime,
    /// Whose users theirs are.
    pub users: Users,
    /// How much of what processes write is kept.
    pub log: LogBounds,
}

impl Options {
    /// The usual ones.
    pub fn new(runtime_dir: PathBuf) -> Self {
        Self {
            launcher: runtime_dir.join(LAUNCHER),
            runtime_dir,
            program: find_supervisor(),
            spare: Spare::default(),
            layers: None,
            runtime: Runtime::Builtin,
            users: Users::Host,
            log: LogBounds::default(),
        }
    }
}

/// The supervisor's program: `HOSTCOMPUTE_SUPERVISOR`, else the one beside this program, else the installed one.
pub fn find_supervisor() -> PathBuf {
    if let Some(path) = std::env::var_os("HOSTCOMPUTE_SUPERVISOR") {
        return path.into();
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.join("hostcompute-supervisor")))
        .filter(|path| path.exists());
    beside.unwrap_or_else(|| INSTALLED.into())
}

/// All compute systems of one runtime directory.
#[derive(Debug, Clone)]
pub struct Supervisors {
    options: Arc<Options>,
    hub: Arc<Hub>,
}

impl Supervisors {
    /// Opens the runtime directory, which is made where it is missing; nothing is started.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(options: Options) -> Result<Self, Fault> {
        place::prepare(&options.runtime_dir).context(|| "make the runtime directory")?;
        let hub = Hub::new().context(|| "listen to supervisors")?;
        Ok(Self { options: Arc::new(options), hub: Arc::new(hub) })
    }

    fn systems(&self) -> Place<'_> {
        Place::new(&self.options.runtime_dir)
    }

    /// Connects to a system that runs. The sink hears what follows the answer to the first question.
    fn connect(&self, id: &str, sink: Sink) -> Result<(Arc<Link>, PathBuf), Fault> {
        let directory = self.systems().find(id)?;
        let socket = match directory::connect(&directory) {
            Err(_) if is_over(&directory) => return Err(buried(&directory, id)),
            socket => socket.context(|| format!("reach the system {id}"))?,
        };
        let link = Link::new(socket, directory.clone(), Listening::AfterFirstAnswer, sink);
        self.hub.add(&link).context(|| "listen to a supervisor")?;
        Ok((link, directory))
    }

    fn try_to_adopt(&self, id: &str, sink: Sink) -> Result<Adopted<Supervised>, Fault> {
        let (link, directory) = self.connect(id, sink)?;
        let inspected = link.ask(Request::Inspect).map_err(|fault| match fault.hresult {
            HResult::HCS_E_SYSTEM_ALREADY_STOPPED => buried(&directory, id),
            _ => fault,
        });
        match inspected? {
            (Answer::Inspection(inspection), _) => Ok(Adopted {
                worker: Supervised::new(link, &self.hub),
                record: place::record(&directory).context(|| format!("read the record of {id}"))?,
                found: translate::found(&inspection),
            }),
            _ => Err(fault::nonsense()),
        }
    }
}

impl Workers for Supervisors {
    type Worker = Supervised;

    fn create(&self, launch: &Launch, sink: Sink) -> Result<Supervised, Fault> {
        create::create(self, launch, sink)
    }

    fn list(&self) -> Result<Vec<String>, Fault> {
        self.systems().list().context(|| "look for compute systems")
    }

    fn adopt(&self, id: &str, sink: Sink) -> Result<Adopted<Supervised>, Fault> {
        let until = Instant::now() + place::PATIENCE;
        loop {
            match self.try_to_adopt(id, sink.clone()) {
                // It is being made, or about to end: a moment later it is there, or gone.
                Err(fault)
                    if fault.hresult != HResult::HCS_E_SYSTEM_NOT_FOUND
                        && Instant::now() < until =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                outcome => return outcome,
            }
        }
    }

    fn remains(&self) -> Result<Vec<Remains>, Fault> {
        // Whoever died unseen is among them.
        self.list()?;
        self.systems().remains().context(|| "look for what is left of compute systems")
    }

    fn owing(&self) -> Result<Vec<Debt>, Fault> {
        // Whoever died unseen is among them.
        self.list()?;
        self.systems().owing().context(|| "look what is left of compute systems")
    }

    fn settle(&self, id: &str, owes: &str) -> Result<(), Fault> {
        self.systems().settle(id, owes).context(|| "note what was taken back")
    }

    fn log(&self, id: &str, request: LogRequest) -> Result<OwnedFd, Fault> {
        let directory = match self.systems().find(id) {
            Ok(directory) => directory,
            Err(fault) => self.systems().find_remains(id).ok_or(fault)?,
        };
        output::open(&directory, request).context(|| format!("read the log of {id}"))
    }

    fn facts(&self) -> HostFacts {
        facts::read(&self.options.runtime_dir)
    }

    fn keep(
        &self,
        change: &mut dyn FnMut(&str) -> Result<Option<String>, Fault>,
    ) -> Result<String, Fault> {
        let runtime = &self.options.runtime_dir;
        let doing = || "keep a text";
        let lock = File::create(runtime.join(place::KEPT_LOCK)).context(doing)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).context(doing)?;
        let file = runtime.join(place::KEPT);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.context(doing)?,
        };
        let Some(wanted) = change(&text)? else { return Ok(text) };
        let fresh = file.with_extension("new");
        fs::write(&fresh, &wanted).and_then(|()| fs::rename(&fresh, &file)).context(doing)?;
        Ok(wanted)
    }
}

/// Whether a system has ended, and its supervisor is about to go.
fn is_over(directory: &Path) -> bool {
    !directory.exists() || directory.join(directory::EXIT).exists()
}

/// Waits until a system that is about to be gone is, so that what is left of it can be looked at.
fn buried(directory: &Path, id: &str) -> Fault {
    match place::bury(directory) {
        Ok(()) => fault::no_system(id),
        Err(error) => {
            Err::<(), _>(error).context(|| format!("see the end of {id}")).expect_err("an error")
        }
    }
}

/// Whether systems of this runtime directory ended unseen, so that it is worth while to open it and to look. Makes nothing.
pub fn has_business(runtime_dir: &Path) -> bool {
    place::has_business(runtime_dir)
}

/// The control group of a system: unique on the machine, as runtime directories are.
fn group(runtime_dir: &Path, directory: &Path) -> String {
    let runtime = fs::canonicalize(runtime_dir).unwrap_or_else(|_| runtime_dir.to_owned());
    let service = place::hash(&runtime.to_string_lossy());
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    // On one level: each would have to be made, and removed, in every hierarchy.
    format!("hostcompute.{service:016x}.{name}")
}

/// A system with this id is there already.
fn exists(id: &str) -> Fault {
    let message = format!("there is a compute system {id} already");
    Fault::new(HResult::HCS_E_SYSTEM_ALREADY_EXISTS, message)
}
