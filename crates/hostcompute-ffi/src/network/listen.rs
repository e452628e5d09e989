//! Registrations of callbacks: each has a thread that waits for what happens and calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use hostcompute::schema::operation::Kind;
use hostcompute::{Failure, HResult, Host, Notice, Stopper, Subscription, Topic};

use super::entity;
use crate::boundary::{Context, Notification, Notify, Out};
use crate::gate::{Closed, Gate};
use crate::handle::{self, Handle, Object};
use crate::service;

/// A registered callback.
#[derive(Debug)]
pub struct Listening {
    kind: Kind,
    gate: Arc<Gate>,
    stopper: Stopper,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The service stays open as long.
    _host: Arc<Host>,
}

/// HcnNotificationServiceDisconnect: the last thing that a registration tells.
const SERVICE_DISCONNECT: u32 = 0x0100_0000;

/// HcnRegisterServiceCallback.
pub fn register_service(
    callback: Option<Notification>,
    context: Context,
    out: Out<Handle>,
) -> Result<(), Failure> {
    let notify = prepare(callback, context, out)?;
    register(service::host()?, Kind::Service, Topic::All, notify, out)
}

/// HcnRegisterNetworkCallback.
pub fn register_network(
    network: Handle,
    callback: Option<Notification>,
    context: Context,
    out: Out<Handle>,
) -> Result<(), Failure> {
    let notify = prepare(callback, context, out)?;
    let network = entity::find(network, Kind::Network)?;
    register(network.host.clone(), Kind::Network, Topic::Network(network.id), notify, out)
}

/// HcnRegisterGuestNetworkServiceCallback.
pub fn register_guest_service(
    service: Handle,
    callback: Option<Notification>,
    context: Context,
    out: Out<Handle>,
) -> Result<(), Failure> {
    let notify = prepare(callback, context, out)?;
    let service = entity::find(service, Kind::GuestNetworkService)?;
    let topic = Topic::GuestService(service.id);
    register(service.host.clone(), Kind::GuestNetworkService, topic, notify, out)
}

fn prepare(
    callback: Option<Notification>,
    context: Context,
    out: Out<Handle>,
) -> Result<Notify, Failure> {
    out.put(Handle::NULL);
    out.demand("registration")?;
    Notify::new(callback, context)
}

fn register(
    host: Arc<Host>,
    kind: Kind,
    topic: Topic,
    notify: Notify,
    out: Out<Handle>,
) -> Result<(), Failure> {
    let subscription = host.subscribe(topic, None)?;
    let gate = Arc::new(Gate::default());
    let stopper = subscription.stopper();
    let started = thread::Builder::new().name("hostcompute-tell".to_owned()).spawn({
        let gate = gate.clone();
        move || tell(subscription, &gate, &notify)
    });
    let thread = started.map_err(|error| {
        Failure::new(HResult::E_OUTOFMEMORY, format!("no thread for the callback: {error}"))
    })?;
    let thread = Mutex::new(Some(thread));
    let listening = Arc::new(Listening { kind, gate, stopper, thread, _host: host });
    match handle::add(Object::Listening(listening.clone())) {
        Ok(handle) => out.put(handle),
        Err(failure) => {
            listening.end();
            return Err(failure);
        }
    }
    Ok(())
}

/// Calls for everything that happens, until the registration ends or what comes next cannot be known.
fn tell(subscription: Subscription, gate: &Gate, notify: &Notify) {
    for notice in subscription {
        let open = match notice {
            Ok(Notice::Event(event)) => {
                gate.pass(|| notify.call(event.code, HResult::S_OK, Some(&event.data.to_string())))
            }
            // Nothing in this interface tells of gaps; a program that is told this looks at everything anew.
            Ok(Notice::Missed(_)) | Err(_) => {
                gate.pass(|| notify.call(SERVICE_DISCONNECT, HResult::S_OK, None));
                false
            }
        };
        if !open {
            return;
        }
    }
}

/// Hcn...Unregister...: when this returns the callback does not run any more, unless it is the callback itself that asks.
pub fn unregister(kind: Kind, handle: Handle) -> Result<(), Failure> {
    let listening = handle::remove(handle, |object| match object {
        Object::Listening(listening) if listening.kind == kind => Some(listening.clone()),
        _ => None,
    })?;
    listening.end();
    Ok(())
}

impl Listening {
    fn end(&self) {
        let closed = self.gate.close();
        self.stopper.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // From inside the callback there is nothing to wait for: its thread ends when it returns.
        if let (Closed::Quiet, Some(thread)) = (closed, thread) {
            // A thread that panicked has ended, too.
            let _ = thread.join();
        }
    }
}
