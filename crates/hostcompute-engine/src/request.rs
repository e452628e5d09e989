//! The one call: what a client asks, what deciding needs to know, and what comes out.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, Warning};
use serde_json::{Map, Value};

use crate::host::Surroundings;
use crate::object::Change;
use crate::plan::{Meter, Step};

/// One call of the API: an operation, what it is about, and a document.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub operation: Operation,
    /// The id of the object meant (open, query, modify, delete) or wished for (create).
    pub id: Option<Guid>,
    /// The network of a new endpoint: the network handle of `HcnCreateEndpoint`. Absent, the document names it.
    pub network: Option<Guid>,
    /// Settings or query document; empty counts as absent.
    pub document: &'a str,
}

/// What deciding may not find out by itself.
pub struct Context<'a> {
    /// Source of random numbers for ids, ports and interface indexes.
    pub random: &'a mut dyn FnMut() -> u64,
    /// What the host has of its own; read when networks are created, and for endpoints that name an adapter.
    pub surroundings: &'a Surroundings,
    /// The interface that the host has ready in a namespace, by [`crate::host::Host::prepared`].
    pub prepared: &'a dyn Fn(Guid) -> Option<u32>,
    /// Refuse members that the schema does not know, instead of warning.
    pub strict: bool,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("strict", &self.strict).finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// A new version 4 GUID.
    pub fn guid(&mut self) -> Guid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(self.random)().to_be_bytes());
        bytes[8..].copy_from_slice(&(self.random)().to_be_bytes());
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Guid::from_bytes(bytes)
    }
}

/// What was decided. The state already holds it; `undo` takes it back when the plan cannot be carried out.
#[derive(Debug, Default)]
pub struct Decision {
    /// What the store must remember, in order.
    pub changes: Vec<Change>,
    /// The changes that restore the state as it was, in order.
    pub undo: Vec<Change>,
    pub plan: Vec<Step>,
    pub events: Vec<Event>,
    pub reply: Reply,
    pub warnings: Vec<Warning>,
    /// The plan claims a host port that the service chose itself: on conflict, deciding again chooses another.
    pub retry_on_conflict: bool,
}

impl Decision {
    /// A decision that only answers.
    pub fn answer(reply: Reply) -> Self {
        Self { reply, ..Self::default() }
    }
}

/// What a request that only reads found.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub reply: Reply,
    pub warnings: Vec<Warning>,
}

/// What the client gets back.
#[derive(Debug, Default, Clone, PartialEq)]
pub enum Reply {
    #[default]
    None,
    /// The object created or opened.
    Id(Guid),
    /// Ids in creation order.
    Ids(Vec<Guid>),
    Document(Value),
    /// A document as it travels.
    Text(String),
    /// Statistics of an endpoint: read its interface's counters, if it has one, and print them with
    /// [`crate::query::statistics`].
    Statistics {
        endpoint: Guid,
        meter: Option<Meter>,
    },
}

/// A notification, with the values of HCN_NOTIFICATIONS (hcn.md 1.8).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    /// The object it is about.
    pub id: Guid,
    /// NotificationBase.Flags: the flags word of a network, else 0.
    pub flags: u32,
    /// The network whose subscribers hear of it; none for namespaces and guest network services.
    pub network: Option<Guid>,
    /// NotificationBase.Data.
    pub more: Option<Value>,
}

/// The notifications that this service sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    NetworkPreCreate = 0x01,
    NetworkCreate = 0x02,
    NetworkPreDelete = 0x03,
    NetworkDelete = 0x04,
    NamespaceCreate = 0x05,
    NamespaceDelete = 0x06,
    GuestNetworkServiceCreate = 0x07,
    GuestNetworkServiceDelete = 0x08,
    NetworkEndpointAttached = 0x09,
    NetworkEndpointDetached = 0x10,
    GuestNetworkServiceStateChanged = 0x11,
}

impl EventKind {
    /// The name in HCN_NOTIFICATIONS, without its prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkPreCreate => "NetworkPreCreate",
            Self::NetworkCreate => "NetworkCreate",
            Self::NetworkPreDelete => "NetworkPreDelete",
            Self::NetworkDelete => "NetworkDelete",
            Self::NamespaceCreate => "NamespaceCreate",
            Self::NamespaceDelete => "NamespaceDelete",
            Self::GuestNetworkServiceCreate => "GuestNetworkServiceCreate",
            Self::GuestNetworkServiceDelete => "GuestNetworkServiceDelete",
            Self::GuestNetworkServiceStateChanged => "GuestNetworkServiceStateChanged",
            Self::NetworkEndpointAttached => "NetworkEndpointAttached",
            Self::NetworkEndpointDetached => "NetworkEndpointDetached",
        }
    }
}

impl Event {
    /// Something happened to an object that belongs to no network.
    pub fn about(kind: EventKind, id: Guid) -> Event {
        Event { kind, id, flags: 0, network: None, more: None }
    }

    /// Whether it concerns a guest network service whose subscribers hear of it.
    pub fn is_of_guest_service(&self, id: Guid) -> bool {
        self.id == id && self.kind == EventKind::GuestNetworkServiceStateChanged
    }

    /// The NotificationBase document.
    pub fn data(&self) -> Value {
        let mut data = Map::new();
        data.insert("ID".into(), Value::String(alloc::format!("{}", self.id)));
        if self.flags != 0 {
            data.insert("Flags".into(), Value::from(self.flags));
        }
        if let Some(more) = &self.more {
            data.insert("Data".into(), more.clone());
        }
        Value::Object(data)
    }
}

/// The document text that stands for "nothing asked": `{}`.
pub fn or_empty(document: &str) -> &str {
    if document.trim().is_empty() { "{}" } else { document }
}

/// Ids as an enumeration prints them: plain GUIDs without braces.
pub fn id_list(ids: &[Guid]) -> Value {
    Value::Array(ids.iter().map(|id| Value::String(alloc::format!("{id}"))).collect())
}
