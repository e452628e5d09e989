//! The service inside this process: engine, journal and kernel behind one lock.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use hostcompute_engine as engine;
use hostcompute_linux::Linux;
use hostcompute_schema::operation::Kind;
use hostcompute_schema::{Failure, Guid, HResult};
use hostcompute_service::{Body, Identity, Reading, Service, Store};

use super::{Answer, Call, Event, Events, Transport};
use crate::Options;

/// An open state directory and the host that it describes.
#[derive(Debug)]
pub(crate) struct Embedded {
    service: Mutex<Service<Linux>>,
    reading: Reading,
    options: Options,
}

impl Embedded {
    /// Opens the host and the state directory; what an earlier process left unfinished is finished or undone.
    pub fn open(mut options: Options) -> Result<Self, Failure> {
        let store = Store::open(&options.state_dir, options.patience)?;
        let known = store.identity()?;
        settle_place(&mut options, known.as_ref())?;
        let linux = Linux::open(hostcompute_linux::Options {
            host_netns: options.host_netns.clone(),
            netns_dir: options.netns_dir(),
            resolver_dir: options.resolver_dir(),
            saved: options.saved_settings(),
        })?;
        let seen = linux.identity();
        let identity = Identity {
            boot: seen.boot_id,
            host: seen.netns_cookie.to_string(),
            place: options.place(),
        };
        let service = Service::open(store, linux, &identity, random())?;
        let reading = if options.strict { Reading::Strict } else { Reading::Lenient };
        Ok(Self { service: Mutex::new(service), reading, options })
    }

    /// The service, unless a call before has panicked in it.
    pub fn service(&self) -> Result<MutexGuard<'_, Service<Linux>>, Failure> {
        self.service.lock().map_err(|_| {
            let why = "an earlier call failed inside the service; the next process will repair what it left";
            Failure::new(HResult::E_UNEXPECTED, why)
        })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn reading(&self) -> Reading {
        self.reading
    }
}

/// A state directory belongs to one host namespace: its path need be given only once, and another one is refused.
fn settle_place(options: &mut Options, known: Option<&Identity>) -> Result<(), Failure> {
    let Some(known) = known.filter(|known| !known.place.is_empty()) else { return Ok(()) };
    match &options.host_netns {
        None => options.host_netns = Some(known.place.clone().into()),
        Some(given) if given == Path::new(&known.place) => {}
        Some(given) => {
            let why = format!(
                "the state directory {} belongs to the host namespace {}, not to {}",
                options.state_dir.display(),
                known.place,
                given.display()
            );
            return Err(Failure::new(HResult::E_INVALIDARG, why)
                .hint("give each host namespace its own --state-dir and --runtime-dir"));
        }
    }
    Ok(())
}

/// Random numbers from the keys that the standard library draws for its hash maps: unpredictable enough for ids and ports, which
/// are no secrets, and no further dependency.
fn random() -> hostcompute_service::Random {
    use std::hash::{BuildHasher, Hasher, RandomState};
    Box::new(|| RandomState::new().build_hasher().finish())
}

impl Transport for Embedded {
    fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let request = engine::Request {
            operation: call.operation,
            id: call.id,
            network: call.network,
            document: call.document,
        };
        let answer = self.service()?.call(&request, self.reading)?;
        let body = match answer.body {
            Body::None => String::new(),
            Body::Id(id) => format!("\"{id}\""),
            Body::Document(document) => document.to_string(),
        };
        Ok(Answer { body, warnings: answer.warnings })
    }

    fn resolve(&self, kind: Kind, text: &str) -> Result<Guid, Failure> {
        let kind = match kind {
            Kind::Network => engine::Kind::Network,
            Kind::Namespace => engine::Kind::Namespace,
            Kind::Endpoint => engine::Kind::Endpoint,
            Kind::LoadBalancer => engine::Kind::LoadBalancer,
            other => {
                let why = format!("a {} has no name", other.name());
                return Err(Failure::new(HResult::E_NOTIMPL, why));
            }
        };
        self.service()?.state().resolve(kind, text)
    }

    fn events(&self, from: u64) -> Result<Events, Failure> {
        let happened = self.service()?.events(from);
        let events = happened.events.iter().map(|event| Event {
            code: event.kind as u32,
            name: event.kind.name(),
            data: event.data(),
        });
        Ok(Events { events: events.collect(), next: happened.next, missed: happened.missed })
    }
}
