//! The service inside this process: engine, journal and kernel behind one lock.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak};

use hostcompute_engine as engine;
use hostcompute_engine::State;
use hostcompute_engine::apply::PresentSystem;
use hostcompute_linux::compute::{self, Spare, has_business};
use hostcompute_linux::{Linux, rootless};
use hostcompute_schema::operation::Right;
use hostcompute_schema::service::{HostFile, Obstacle, Progress, Step};
use hostcompute_schema::{Failure, Guid, HResult, ServiceOperation, Warning};
use hostcompute_service::compute::Adoption;
use hostcompute_service::{Happened, Reading, Service, apply};
use serde_json::Value;

use super::{
    Answer, Ask, Call, ComputeAnswer, ComputeCall, ComputeEvents, Event, Events, Log, Notice,
    Source, Subscription, Topic, Transport,
};
use crate::local::compute::Desk;
use crate::local::systems::systems;
use crate::{Options, local};

/// An open state directory and the host that it describes.
#[derive(Debug, Clone)]
pub(crate) struct Embedded(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    /// None while this process does not need the state directory, and others may have it.
    service: Mutex<Option<Service<Linux>>>,
    /// Something may have happened.
    happened: Condvar,
    reading: Reading,
    options: Options,
    /// Carries the first compute system.
    spare: Spare,
    /// The compute service, once somebody has asked for it.
    compute: OnceLock<Box<dyn Desk>>,
}

impl Embedded {
    /// Opens the host and the state directory; what an earlier process left unfinished is finished or undone.
    pub fn open(mut options: Options) -> Result<Self, Failure> {
        let mut spare = Spare::default();
        // An ordinary user's would be born outside of the host.
        if options.expects_system && !options.rootless {
            spare = Spare::begin(&compute::Options::new(options.runtime_dir.clone()));
        }
        let service = Mutex::new(Some(local::open(&mut options)?));
        let reading = if options.strict { Reading::Strict } else { Reading::Lenient };
        let embedded = Self(Arc::new(Inside {
            service,
            happened: Condvar::new(),
            reading,
            options,
            spare,
            compute: OnceLock::new(),
        }));
        if has_business(&embedded.options().runtime_dir) {
            // What a container had of the network is not there any more for anybody who asks.
            embedded.desk()?;
        }
        Ok(embedded)
    }

    /// The service, unless a call before has panicked in it; opened again where it was closed in between.
    pub fn service(&self) -> Result<Opened<'_>, Failure> {
        self.0.service()
    }

    /// Closes the service until the next call that needs it: other processes have their turn meanwhile.
    pub fn stand_back(&self) -> Result<(), Failure> {
        // Dropping it waits for links that the kernel is still to delete.
        drop(self.0.service.lock().map_err(|_| poisoned())?.take());
        Ok(())
    }

    pub fn options(&self) -> &Options {
        &self.0.options
    }
}

impl Inside {
    fn service(&self) -> Result<Opened<'_>, Failure> {
        self.open(self.service.lock().map_err(|_| poisoned())?)
    }

    fn open<'a>(&self, mut service: Kept<'a>) -> Result<Opened<'a>, Failure> {
        if service.is_none() {
            *service = Some(local::open(&mut self.options.clone())?);
        }
        Ok(Opened(service))
    }
}

type Kept<'a> = MutexGuard<'a, Option<Service<Linux>>>;

/// The service while it is open, which it is as long as somebody has this.
pub(crate) struct Opened<'a>(Kept<'a>);

const OPENED: &str = "opened before this was made, and whoever closes it needs the lock";

impl Deref for Opened<'_> {
    type Target = Service<Linux>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect(OPENED)
    }
}

impl DerefMut for Opened<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut().expect(OPENED)
    }
}

impl Embedded {
    /// The session in which this process asks about compute systems; opened when it is first needed.
    fn desk(&self) -> Result<&dyn Desk, Failure> {
        if self.0.compute.get().is_none() {
            let behind = Behind(Arc::downgrade(&self.0));
            let compute =
                systems(&self.0.options, behind, Adoption::WhenAsked, self.0.spare.clone())?;
            if has_business(&self.0.options.runtime_dir) {
                compute.sweep();
            }
            let session = compute.session(Right::Manage)?;
            // Whoever was quicker has opened the same.
            let _ = self.0.compute.set(Box::new(session));
        }
        let lost = || Failure::new(HResult::E_UNEXPECTED, "the compute service was not opened");
        self.0.compute.get().map(|desk| &**desk).ok_or_else(lost)
    }
}

fn poisoned() -> Failure {
    let why =
        "an earlier call failed inside the service; the next process will repair what it left";
    Failure::new(HResult::E_UNEXPECTED, why)
}

impl Drop for Inside {
    /// An ordinary user's host is kept by a process that nobody else would ever end: it goes with the last object.
    fn drop(&mut self) {
        let nothing_left = || self.service().is_ok_and(|service| service.state().is_empty());
        if self.options.rootless && nothing_left() {
            // The next command finds the holder and may end it; nothing depends on it.
            let _ = rootless::end_holder(&self.options.runtime_dir);
        }
    }
}

impl Transport for Embedded {
    fn call(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let request = engine::Request {
            operation: call.operation,
            id: call.id,
            network: call.network,
            document: call.document,
        };
        let answer = self.service()?.call(&request, self.0.reading);
        self.0.happened.notify_all();
        let answer = answer?;
        Ok(Answer { body: answer.body.into_text(), warnings: answer.warnings })
    }

    fn serve(&self, ask: &Ask<'_>) -> Result<Value, Obstacle> {
        if ask.operation == ServiceOperation::CallOlder {
            // Each of its calls takes the service for itself.
            return Ok(local::older_by(
                &|call| self.call(call),
                &|ask| Ok(self.serve(ask)?),
                ask.document,
            )?);
        }
        local::serve(&mut *self.service()?, self.options(), ask)
    }

    fn carry_out(
        &self,
        work: ServiceOperation,
        files: &[HostFile],
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Step>, Obstacle> {
        apply::carry_out(self, self, work, files, self.0.reading, tell)
    }

    fn events(&self, from: u64) -> Result<Events, Failure> {
        let happened = self.service()?.events(from);
        let (next, missed) = (happened.next, happened.missed);
        Ok(Events { events: told(&happened, |_| true), next, missed })
    }

    fn compute(&self, call: &ComputeCall<'_>) -> Result<ComputeAnswer, Failure> {
        self.desk()?.compute(call)
    }

    fn compute_events(&self, system: &str) -> Result<ComputeEvents, Failure> {
        self.desk()?.events(system)
    }

    fn compute_log(&self, call: &ComputeCall<'_>) -> Result<Log, Failure> {
        self.desk()?.log(call)
    }

    #[cfg(images)]
    fn store(
        &self,
        call: crate::store::StoreCall<'_>,
        watch: hostcompute_storage::Watch<'_>,
    ) -> Result<Value, Failure> {
        crate::store::carry_out(&self.options().state_dir, &crate::store::Own, call, watch)
    }

    fn subscribe(&self, to: Topic, after: Option<u64>) -> Result<Subscription, Failure> {
        match to {
            Topic::All => {}
            Topic::Network(id) => drop(self.service()?.state().network(id)?),
            Topic::GuestService(id) => drop(self.service()?.state().guest_service(id)?),
        }
        let next = match after {
            Some(last) => last.saturating_add(1),
            None => self.service()?.events(u64::MAX).next,
        };
        let (inside, ready) = (self.0.clone(), VecDeque::new());
        let interrupted = Arc::default();
        Ok(Subscription::new(Box::new(Listener { inside, to, next, ready, interrupted })))
    }
}

/// The compute service is opened when a file speaks of compute systems.
impl apply::Systems for Embedded {
    fn present(&self) -> Result<Vec<PresentSystem>, Failure> {
        self.desk()?.present()
    }

    fn make(&self, id: &str, document: &str) -> Result<(), Failure> {
        self.desk()?.make(id, document)
    }

    fn run(&self, id: &str, process: &str) -> Result<(), Failure> {
        self.desk()?.run(id, process)
    }

    fn end(&self, id: &str) -> Result<(), Failure> {
        self.desk()?.end(id)
    }
}

impl apply::Desk for Embedded {
    fn carry_out(
        &self,
        call: &engine::apply::Call,
        reading: Reading,
    ) -> Result<Vec<Warning>, Failure> {
        let answer = self.service()?.call(&call.request(), reading);
        self.0.happened.notify_all();
        Ok(answer?.warnings)
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Failure> {
        Ok(look(self.service()?.state()))
    }

    fn new_ids(&self, count: usize) -> Result<Vec<Guid>, Failure> {
        let mut service = self.service()?;
        Ok((0..count).map(|_| service.new_id()).collect())
    }

    fn settle(&self) -> Result<(), Failure> {
        self.service()?.settle()
    }
}

/// The network service as the compute service has it: without keeping it alive, since the compute service is part of it.
struct Behind(Weak<Inside>);

impl Behind {
    fn embedded(&self) -> Result<Embedded, Failure> {
        let closed = || Failure::new(HResult::HCS_E_SERVICE_DISCONNECT, "the host is closed");
        self.0.upgrade().map(Embedded).ok_or_else(closed)
    }
}

impl apply::Desk for Behind {
    fn carry_out(
        &self,
        call: &engine::apply::Call,
        reading: Reading,
    ) -> Result<Vec<Warning>, Failure> {
        apply::Desk::carry_out(&self.embedded()?, call, reading)
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Failure> {
        self.embedded()?.look(look)
    }

    fn new_ids(&self, count: usize) -> Result<Vec<Guid>, Failure> {
        self.embedded()?.new_ids(count)
    }

    fn settle(&self) -> Result<(), Failure> {
        self.embedded()?.settle()
    }
}

/// What happens in this process.
struct Listener {
    inside: Arc<Inside>,
    to: Topic,
    next: u64,
    /// Read and not told yet.
    ready: VecDeque<Notice>,
    interrupted: Arc<AtomicBool>,
}

impl Source for Listener {
    fn wait(&mut self) -> Result<Notice, Failure> {
        let inside = self.inside.clone();
        let mut service = inside.service()?;
        loop {
            if let Some(notice) = self.ready.pop_front() {
                return Ok(notice);
            }
            let happened = service.events(self.next);
            if self.interrupted.load(Ordering::Acquire) {
                let why = "the subscription was ended";
                return Err(Failure::new(HResult::E_ABORT, why));
            }
            if happened.next == self.next {
                let woken = inside.happened.wait(service.0).map_err(|_| poisoned())?;
                service = inside.open(woken)?;
                continue;
            }
            self.next = happened.next;
            self.ready.extend((happened.missed > 0).then_some(Notice::Missed(happened.missed)));
            let told = told(&happened, |event| match self.to {
                Topic::All => true,
                Topic::Network(id) => event.network == Some(id),
                Topic::GuestService(id) => event.is_of_guest_service(id),
            });
            self.ready.extend(told.into_iter().map(Notice::Event));
        }
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        let (inside, interrupted) = (Arc::downgrade(&self.inside), self.interrupted.clone());
        Box::new(move || {
            interrupted.store(true, Ordering::Release);
            let Some(inside) = inside.upgrade() else { return };
            // Whoever has looked and not slept yet holds the lock.
            drop(inside.service.lock());
            inside.happened.notify_all();
        })
    }
}

/// Events with their numbers, as clients see them.
fn told(happened: &Happened, concerned: impl Fn(&engine::Event) -> bool) -> Vec<Event> {
    let first = happened.next.saturating_sub(happened.events.len() as u64);
    let events = (first..).zip(&happened.events).filter(|(_, event)| concerned(event));
    let told = events.map(|(number, event)| Event {
        number,
        code: event.kind as u32,
        name: event.kind.name().to_owned(),
        data: event.data(),
    });
    told.collect()
}
