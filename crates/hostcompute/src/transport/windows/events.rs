//! What happens, as Windows tells it to callbacks.

use std::sync::Arc;

use hostcompute_schema::hcs::ComputeEvent;
use hostcompute_schema::{Failure, HResult, Operation};
use serde_json::Value;

use super::boundary::callback::Address;
use super::boundary::{hcn, hcs};
use super::mailbox::{Letter, Mailbox};
use super::network::open_for;
use crate::transport::{
    ComputeEvents, ComputeNotice, ComputeSource, Event, Notice, Source, Subscription, Topic,
};

/// HCN_NOTIFICATIONS, without their prefix (hcn.md 1.8).
const NAMES: [(u32, &str); 14] = [
    (0x01, "NetworkPreCreate"),
    (0x02, "NetworkCreate"),
    (0x03, "NetworkPreDelete"),
    (0x04, "NetworkDelete"),
    (0x05, "NamespaceCreate"),
    (0x06, "NamespaceDelete"),
    (0x07, "GuestNetworkServiceCreate"),
    (0x08, "GuestNetworkServiceDelete"),
    (0x09, "NetworkEndpointAttached"),
    (0x10, "NetworkEndpointDetached"),
    (0x11, "GuestNetworkServiceStateChanged"),
    (0x12, "GuestNetworkServiceInterfaceStateChanged"),
    (SERVICE_DISCONNECT, "ServiceDisconnect"),
    (0xf000_0000, "FlagsReserved"),
];

/// HcnNotificationServiceDisconnect.
const SERVICE_DISCONNECT: u32 = 0x0100_0000;

/// HcsEventSystemExited.
pub const SYSTEM_EXITED: u32 = 1;

/// HcsEventProcessExited.
pub const PROCESS_EXITED: u32 = 0x0001_0000;

/// HcsEventServiceDisconnect.
pub const COMPUTE_DISCONNECT: u32 = 0x0200_0000;

/// Listens from now on.
///
/// # Errors
/// E_NOTIMPL for what this Windows lacks, or what it refuses: that there is no such object.
pub fn subscribe(to: Topic) -> Result<Subscription, Failure> {
    let mailbox = Arc::new(Mailbox::default());
    let address = Address::of(&mailbox);
    let registration = match to {
        Topic::All => hcn::register(address)?,
        Topic::Network(id) => hcn::register_on(open_for(Operation::OpenNetwork, id)?, address)?,
        Topic::GuestService(id) => {
            hcn::register_on(open_for(Operation::OpenGuestNetworkService, id)?, address)?
        }
    };
    Ok(Subscription::new(Box::new(Listener { mailbox, told: 0, _registration: registration })))
}

struct Listener {
    mailbox: Arc<Mailbox>,
    told: u64,
    _registration: hcn::Registration,
}

impl Source for Listener {
    fn wait(&mut self) -> Result<Notice, Failure> {
        let lost = self.mailbox.lost();
        if lost > 0 {
            return Ok(Notice::Missed(lost));
        }
        let letter = self
            .mailbox
            .take()
            .ok_or_else(|| Failure::new(HResult::E_ABORT, "the subscription was ended"))?;
        self.told += 1;
        Ok(Notice::Event(event(self.told, &letter)))
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        closer(&self.mailbox)
    }
}

fn closer(mailbox: &Arc<Mailbox>) -> Box<dyn Fn() + Send + Sync> {
    let mailbox = mailbox.clone();
    Box::new(move || mailbox.close())
}

/// A notification. Windows has no numbers for them: ours say in which order they were told.
fn event(number: u64, letter: &Letter) -> Event {
    let name = NAMES.iter().find(|(code, _)| *code == letter.kind);
    let name = name.map_or_else(|| format!("{:#x}", letter.kind), |(_, name)| (*name).to_owned());
    Event { number, code: letter.kind, name, data: document(&letter.data) }
}

/// The document that came along; a text that is none is told as it is.
fn document(data: &str) -> Value {
    match data {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
    }
}

/// Listens to a compute system from now on, by a handle of its own.
///
/// # Errors
/// E_NOTIMPL for what this Windows lacks, or what it refuses: that there is no such system.
pub fn of_system(id: &str) -> Result<ComputeEvents, Failure> {
    let mailbox = Arc::new(Mailbox::default());
    let listening = hcs::open(id)?.listen(Address::of(&mailbox))?;
    let is_over = false;
    Ok(ComputeEvents::new(Box::new(SystemListener { mailbox, is_over, _listening: listening })))
}

struct SystemListener {
    mailbox: Arc<Mailbox>,
    is_over: bool,
    _listening: hcs::Listening,
}

impl ComputeSource for SystemListener {
    fn wait(&mut self) -> Result<Option<ComputeNotice>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        if self.mailbox.lost() > 0 {
            return Ok(Some(ComputeNotice::Disconnected));
        }
        let Some(letter) = self.mailbox.take() else { return Ok(None) };
        if letter.kind == COMPUTE_DISCONNECT {
            return Ok(Some(ComputeNotice::Disconnected));
        }
        self.is_over = letter.kind == SYSTEM_EXITED;
        let data = Some(document(&letter.data)).filter(|data| !data.is_null());
        let event = ComputeEvent { kind: Some(letter.kind), data, ..ComputeEvent::default() };
        Ok(Some(ComputeNotice::Event(event)))
    }

    fn interrupter(&self) -> Box<dyn Fn() + Send + Sync> {
        closer(&self.mailbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_have_names_and_documents() {
        let told = |kind, data: &str| event(1, &Letter { kind, data: data.to_owned() });
        let created = told(2, r#"{"ID":"x"}"#);
        assert_eq!((&*created.name, &created.data["ID"]), ("NetworkCreate", &Value::from("x")));
        assert_eq!(told(SERVICE_DISCONNECT, "").name, "ServiceDisconnect");
        assert_eq!(
            (told(0x77, "").name, told(0x77, "no document").data),
            ("0x77".into(), "no document".into())
        );
    }
}
