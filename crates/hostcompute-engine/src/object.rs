//! The objects of the state, and the changes that lead from one state to the next.
//!
//! An object keeps the document that clients see, filled in, and beside it what the service chose for itself (interface
//! indexes, attachment). Its meaning (parsed policies, prefixes) is derived from the document by the same function on
//! creation and on load, so what is stored is only what was said and what was chosen.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use hostcompute_schema::{Document, Failure, Guid, HResult};
use serde_json::{Map, Value};

use crate::network::endpoint::Endpoint;
use crate::network::guest_service::GuestService;
use crate::network::load_balancer::LoadBalancer;
use crate::network::namespace::Namespace;
use crate::network::network::Network;
use crate::network::remote_subnet::RemoteSubnet;
use crate::network::sdn_route::SdnRoute;
use crate::network::set::AddressSet;

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Network,
    /// A named set of addresses of a network (policy SetPolicy): part of the network to clients, stored and changed by itself.
    Set,
    /// A subnet behind another host (policy RemoteSubnetRoute): the same.
    RemoteSubnet,
    Namespace,
    Endpoint,
    LoadBalancer,
    SdnRoute,
    GuestService,
}

impl Kind {
    /// Every kind, in the order in which objects can be loaded (what is referred to comes first).
    pub const ALL: [Kind; 8] = [
        Kind::Network,
        Kind::Set,
        Kind::RemoteSubnet,
        Kind::Namespace,
        Kind::Endpoint,
        Kind::LoadBalancer,
        Kind::SdnRoute,
        Kind::GuestService,
    ];

    /// Whether clients know it as a part of its network only.
    pub fn is_part_of_network(self) -> bool {
        matches!(self, Kind::Set | Kind::RemoteSubnet)
    }

    /// The word for it in stores and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Network => "network",
            Kind::Set => "set",
            Kind::RemoteSubnet => "remotesubnet",
            Kind::Namespace => "namespace",
            Kind::Endpoint => "endpoint",
            Kind::LoadBalancer => "loadbalancer",
            Kind::SdnRoute => "route",
            Kind::GuestService => "guestservice",
        }
    }

    /// The HRESULT that says an object of this kind does not exist.
    pub fn not_found(self) -> HResult {
        match self {
            Kind::Network => HResult::HCN_E_NETWORK_NOT_FOUND,
            Kind::Endpoint => HResult::HCN_E_ENDPOINT_NOT_FOUND,
            Kind::Set | Kind::RemoteSubnet => HResult::HCN_E_POLICY_NOT_FOUND,
            Kind::Namespace | Kind::LoadBalancer | Kind::SdnRoute | Kind::GuestService => {
                HResult::ERROR_NOT_FOUND
            }
        }
    }

    /// The failure for an id that names no object of this kind.
    pub fn missing(self, id: Guid) -> Failure {
        Failure::new(self.not_found(), alloc::format!("there is no {self} {id}"))
    }

    /// The failure for an id that is taken.
    pub fn taken(self, id: Guid) -> Failure {
        let code = match self {
            Kind::Network => HResult::HCN_E_NETWORK_ALREADY_EXISTS,
            _ => HResult::ERROR_ALREADY_EXISTS,
        };
        Failure::new(code, alloc::format!("{self} {id} exists already")).at("ID")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::LoadBalancer => "load balancer",
            Kind::GuestService => "guest network service",
            Kind::RemoteSubnet => "remote subnet",
            kind => kind.as_str(),
        })
    }
}

impl FromStr for Kind {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            Failure::new(
                HResult::ERROR_WRONG_DISK,
                alloc::format!("unknown kind of object: {text}"),
            )
        })
    }
}

/// An object of any kind, shared between the state and whoever looks at it.
#[derive(Debug, Clone)]
pub enum Object {
    Network(Arc<Network>),
    Set(Arc<AddressSet>),
    RemoteSubnet(Arc<RemoteSubnet>),
    Namespace(Arc<Namespace>),
    Endpoint(Arc<Endpoint>),
    LoadBalancer(Arc<LoadBalancer>),
    SdnRoute(Arc<SdnRoute>),
    GuestService(Arc<GuestService>),
}

impl Object {
    pub fn kind(&self) -> Kind {
        match self {
            Object::Network(_) => Kind::Network,
            Object::Set(_) => Kind::Set,
            Object::RemoteSubnet(_) => Kind::RemoteSubnet,
            Object::Namespace(_) => Kind::Namespace,
            Object::Endpoint(_) => Kind::Endpoint,
            Object::LoadBalancer(_) => Kind::LoadBalancer,
            Object::SdnRoute(_) => Kind::SdnRoute,
            Object::GuestService(_) => Kind::GuestService,
        }
    }

    pub fn id(&self) -> Guid {
        match self {
            Object::Network(object) => object.id,
            Object::Set(object) => object.id,
            Object::RemoteSubnet(object) => object.id,
            Object::Namespace(object) => object.id,
            Object::Endpoint(object) => object.id,
            Object::LoadBalancer(object) => object.id,
            Object::SdnRoute(object) => object.id,
            Object::GuestService(object) => object.id,
        }
    }

    /// What the store keeps of the object.
    pub fn record(&self) -> Record {
        let (document, chosen) = match self {
            Object::Network(object) => (object.document.to_text(), object.chosen()),
            Object::Set(object) => (object.document.to_text(), object.chosen()),
            Object::RemoteSubnet(object) => (object.document.to_text(), object.chosen()),
            Object::Namespace(object) => (object.document.to_text(), object.chosen()),
            Object::Endpoint(object) => (object.document.to_text(), object.chosen()),
            Object::LoadBalancer(object) => (object.document.to_text(), object.chosen()),
            Object::SdnRoute(object) => (object.document.to_text(), object.chosen()),
            Object::GuestService(object) => (object.document.to_text(), object.chosen()),
        };
        let chosen = Value::Object(chosen);
        let body = alloc::format!("{{\"Document\":{document},\"Chosen\":{chosen}}}");
        Record { kind: self.kind(), id: self.id(), body }
    }
}

/// An object as the store keeps it: `{"Document": …, "Chosen": …}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: Kind,
    pub id: Guid,
    pub body: String,
}

/// The two halves of a record's body.
pub(crate) struct Parts {
    pub document: Value,
    pub chosen: Chosen,
}

impl Record {
    pub(crate) fn parts(&self) -> Result<Parts, Failure> {
        let body: Value = serde_json::from_str(&self.body).map_err(|error| self.damaged(&error))?;
        let Value::Object(mut body) = body else { return Err(self.damaged(&"not an object")) };
        let (Some(document), Some(Value::Object(chosen))) =
            (body.remove("Document"), body.remove("Chosen"))
        else {
            return Err(self.damaged(&"Document or Chosen is missing"));
        };
        Ok(Parts { document, chosen: Chosen(chosen) })
    }

    pub(crate) fn damaged(&self, why: &dyn fmt::Display) -> Failure {
        let what = alloc::format!("the stored {} {} cannot be read: {why}", self.kind, self.id);
        Failure::new(HResult::HCN_E_REGKEY_FAILURE, what)
            .hint("restore the state directory from a backup or an export (hc state import)")
    }
}

/// What the service chose for an object, read back from the store.
pub(crate) struct Chosen(pub Map<String, Value>);

impl Chosen {
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    pub fn small(&self, name: &str) -> Option<u32> {
        self.number(name).and_then(|number| u32::try_from(number).ok())
    }

    pub fn guid(&self, name: &str) -> Option<Guid> {
        self.0.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok())
    }
}

/// A step of the state's history: an object appears, is replaced, or goes.
#[derive(Debug, Clone)]
pub enum Change {
    Put(Object),
    Delete(Kind, Guid),
}

impl Change {
    /// The kind and id of the object concerned.
    pub fn subject(&self) -> (Kind, Guid) {
        match self {
            Change::Put(object) => (object.kind(), object.id()),
            Change::Delete(kind, id) => (*kind, *id),
        }
    }
}
