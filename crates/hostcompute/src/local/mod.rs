//! A service on this machine, for the process that runs it: the one that embeds it, or the daemon.
//!
//! Opened with the rules of [`Options`]; asked what concerns it as a whole ([`serve`]), in the documents of the service's own
//! operations. Both ways to run answer through this, so they cannot disagree.

pub mod compute;
mod reading;
pub mod systems;
pub mod tracing;
mod whereabouts;
mod words;

use std::path::{Path, PathBuf};

use hostcompute_engine::network::namespace::HOST_DEFAULT;
use hostcompute_engine::{self as engine, State};
use hostcompute_linux::{Linux, doctor, rootless};
use hostcompute_schema::operation::Kind;
use hostcompute_schema::service::{Diagnosis, Imported, NamespacePlace, ObjectKind, Obstacle};
use hostcompute_schema::{Document, Failure, Guid, HResult, ServiceOperation};
use hostcompute_service::{Service, Store};
use serde_json::Value;

use crate::Options;
use crate::transport::{Answer, Ask, Call};
pub use words::{findings, flows, lacks, repaired};

/// Opens the host and the state directory; what an earlier process left unfinished is finished or undone.
///
/// `options` are completed by what the state directory knows: which host namespace it belongs to.
///
/// # Errors
/// E_ACCESSDENIED without the rights, RPC_S_SERVER_UNAVAILABLE while another process keeps the directory, HCN_E_REGKEY_FAILURE and
/// ERROR_WRONG_DISK for a state that cannot be read, E_INVALIDARG for a host namespace that is not the state's.
pub fn open(options: &mut Options) -> Result<Service<Linux>, Failure> {
    if options.rootless {
        rootless::ensure_joined(&options.runtime_dir)?;
    }
    let store = Store::open(&options.state_dir, options.patience)?;
    if options.rootless && !rootless::is_held(&options.runtime_dir) {
        let why = "another command has just removed the last object, and this user's host with it";
        return Err(
            Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why).hint("run the command again")
        );
    }
    let known = store.identity()?;
    if let Some(known) = &known {
        whereabouts::settle_place(options, known)?;
    }
    let linux = whereabouts::open(options)?;
    let identity = whereabouts::identity(&linux, options);
    if let Some(known) = &known {
        whereabouts::refuse_bystander(options, known, &identity)?;
    }
    let service = Service::open(store, linux, &identity, Box::new(crate::random));
    // The rows of the journal were read in one go, and after a crash the host was compared with them.
    hostcompute_linux::give_back_memory();
    service
}

/// Answers one of the service's own operations that need the service alone: not sessions, not a running daemon, not files.
///
/// # Errors
/// What the store, the kernel or the host refuses; E_NOTIMPL for an operation that needs more.
pub fn serve(
    service: &mut Service<Linux>,
    options: &Options,
    ask: &Ask<'_>,
) -> Result<Value, Obstacle> {
    use ServiceOperation as Own;
    let answer = match ask.operation {
        Own::Check => {
            let findings = findings(&service.check()?);
            // What everything was compared with is gone now.
            hostcompute_linux::give_back_memory();
            findings.to_value()
        }
        Own::Repair => {
            let repaired = service.repair();
            hostcompute_linux::give_back_memory();
            repaired.map_err(several)?;
            service.settle()?;
            Value::Null
        }
        Own::Doctor => diagnosis(Some(service.host())).to_value(),
        Own::Inspect => service.inspect(),
        Own::ExportState => service.export(),
        Own::ImportState => {
            let objects = service.import(ask.document)?;
            let objects = Some(u32::try_from(objects).unwrap_or(u32::MAX));
            Imported { objects, ..Imported::default() }.to_value()
        }
        Own::Resolve => resolve(service.state(), ask)?.to_string().into(),
        Own::Settle => {
            service.settle()?;
            Value::Null
        }
        Own::Flows => {
            let limit = limit(ask)?;
            let observed = service.host();
            let mut observer =
                engine::host::Host::observer(observed).map_err(|fault| fault.failure)?;
            flows(&observer.flows(limit).map_err(|fault| fault.failure)?).to_value()
        }
        Own::Trace => {
            let surroundings = tracing::surroundings(service.host())?;
            tracing::trace(service.state(), &surroundings, ask.document)?.to_value()
        }
        Own::Probe => tracing::send(tracing::prepare(service, ask.document)?)?.to_value(),
        Own::GetManagementAddresses => service.management_addresses()?.to_value(),
        Own::SetManagementAddresses => service.set_management_addresses(ask.document)?.to_value(),
        Own::Place => {
            let id = ask.id.unwrap_or_default();
            namespace_exists(service.state(), id)?;
            place(service.host(), options, id).to_value()
        }
        other => {
            let why = format!("{other} is possible only with a service that runs by itself");
            return Err(Failure::new(HResult::E_NOTIMPL, why).into());
        }
    };
    Ok(answer)
}

/// Answers a call of the older interface that travels as a document, by those of the newer one alone: `/accelnet/` is unknown then.
///
/// # Errors
/// As [`older_by`].
pub fn older(
    newer: &dyn Fn(&Call<'_>) -> Result<Answer, Failure>,
    document: &str,
) -> Result<Value, Failure> {
    let none = |ask: &Ask<'_>| {
        let why = format!("{} is not to be had here", ask.operation);
        Err(Failure::new(HResult::E_NOTIMPL, why))
    };
    older_by(newer, &none, document)
}

/// Answers a call of the older interface that travels as a document, by those of the newer one and by the service's own operations.
///
/// # Errors
/// What is wrong with that document; what the calls refuse is part of the answer.
pub fn older_by(
    newer: &dyn Fn(&Call<'_>) -> Result<Answer, Failure>,
    own: &dyn Fn(&Ask<'_>) -> Result<Value, Failure>,
    document: &str,
) -> Result<Value, Failure> {
    let [method, path, document] = crate::older::written(document)?;
    Ok(crate::older::answer((newer, own), &method, &path, &document))
}

/// Fails unless a namespace exists.
///
/// # Errors
/// ERROR_NOT_FOUND.
pub fn namespace_exists(state: &State, id: Guid) -> Result<(), Failure> {
    state.resolve(engine::Kind::Namespace, &id.to_string())?;
    if state.namespaces().any(|namespace| namespace.id == id && namespace.is_guests()) {
        let why =
            format!("namespace {id} is inside of a virtual machine, and nowhere on this host");
        return Err(Failure::new(HResult::ERROR_NOT_FOUND, why));
    }
    Ok(())
}

/// Where a program must be started to be inside a namespace.
pub fn place(linux: &Linux, options: &Options, id: Guid) -> NamespacePlace {
    let (netns, resolver) = if id == HOST_DEFAULT {
        // By number: who asks may be another process, in another namespace.
        let own = || PathBuf::from(format!("/proc/{}/ns/net", std::process::id()));
        (options.host_netns.clone().unwrap_or_else(own), PathBuf::new())
    } else {
        (linux.netns_path(id), linux.resolver_path(id))
    };
    let text = |path: &Path| Some(path.to_string_lossy().into_owned());
    NamespacePlace { netns: text(&netns), resolver: text(&resolver), ..NamespacePlace::default() }
}

/// What this kernel lacks and, if it could be opened, the host.
pub fn diagnosis(host: Option<&mut Linux>) -> Diagnosis {
    lacks(doctor::examine(host))
}

/// What is lacking, where nothing was ever made: nothing is left behind, and no directory comes to be.
///
/// # Errors
/// E_INVALIDARG for a host namespace that is none, or what the kernel refuses.
pub fn examine(options: &Options) -> Result<Diagnosis, Failure> {
    if !options.rootless {
        return whereabouts::open(options).map(|mut linux| diagnosis(Some(&mut linux)));
    }
    // An ordinary user's host is in a user namespace, which a process keeps as long as it takes to look.
    let scratch = std::env::temp_dir().join(format!("hostcompute-doctor-{}", std::process::id()));
    let examined = rootless::ensure_joined(&scratch)
        .and_then(|()| whereabouts::open(options))
        .map(|mut linux| diagnosis(Some(&mut linux)));
    let ended = rootless::end_holder(&scratch);
    let _ = std::fs::remove_dir_all(&scratch);
    ended.and(examined)
}

/// The object that a person means.
///
/// # Errors
/// The kind's not-found code, or E_INVALIDARG when several objects answer.
pub fn resolve(state: &State, ask: &Ask<'_>) -> Result<Guid, Failure> {
    let kind = ObjectKind::from_name(ask.parameter("kind").unwrap_or_default());
    let text = ask.parameter("text").unwrap_or_default();
    let known = match kind.subject() {
        Some(Kind::Network) => engine::Kind::Network,
        Some(Kind::Namespace) => engine::Kind::Namespace,
        Some(Kind::Endpoint) => engine::Kind::Endpoint,
        Some(Kind::LoadBalancer) => engine::Kind::LoadBalancer,
        Some(Kind::SdnRoute) => engine::Kind::SdnRoute,
        Some(Kind::GuestNetworkService) => engine::Kind::GuestService,
        Some(other) => {
            let why = format!("a {} has no name", other.name());
            return Err(Failure::new(HResult::E_NOTIMPL, why));
        }
        None => {
            let why = format!("there is no kind of object called {kind:?}");
            return Err(Failure::new(HResult::E_INVALIDARG, why));
        }
    };
    state.resolve(known, text)
}

/// How many flows are told when nobody says.
const FLOWS: usize = 10_000;

fn limit(ask: &Ask<'_>) -> Result<usize, Failure> {
    let Some(text) = ask.parameter("limit") else { return Ok(FLOWS) };
    let why = || Failure::new(HResult::E_INVALIDARG, format!("{text:?} is no number"));
    text.parse().map_err(|_| why())
}

fn several(failures: Vec<Failure>) -> Obstacle {
    let nothing = || Failure::new(HResult::E_UNEXPECTED, "something failed and does not say why");
    Obstacle::of(failures).unwrap_or_else(|| nothing().into())
}
