//! The service inside this process: engine, journal and kernel behind one lock.

use std::sync::{Mutex, MutexGuard};

use hostcompute_engine as engine;
use hostcompute_linux::{Linux, rootless};
use hostcompute_schema::operation::Kind;
use hostcompute_schema::{Failure, Guid, HResult};
use hostcompute_service::{Body, Reading, Service, Store};

use super::{Answer, Call, Event, Events, Transport, whereabouts};
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
        if options.rootless {
            rootless::ensure_joined(&options.runtime_dir)?;
        }
        let store = Store::open(&options.state_dir, options.patience)?;
        if options.rootless && !rootless::is_held(&options.runtime_dir) {
            let why =
                "another command has just removed the last object, and this user's host with it";
            return Err(
                Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why).hint("run the command again")
            );
        }
        let known = store.identity()?;
        if let Some(known) = &known {
            whereabouts::settle_place(&mut options, known)?;
        }
        let linux = whereabouts::open(&options)?;
        let identity = whereabouts::identity(&linux, &options);
        if let Some(known) = &known {
            whereabouts::refuse_bystander(&options, known, &identity)?;
        }
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

impl Drop for Embedded {
    /// An ordinary user's host is kept by a process that nobody else would ever end: it goes with the last object.
    fn drop(&mut self) {
        let nothing_left = || self.service.lock().is_ok_and(|service| service.state().is_empty());
        if self.options.rootless && nothing_left() {
            // The next command finds the holder and may end it; nothing depends on it.
            let _ = rootless::end_holder(&self.options.runtime_dir);
        }
    }
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
