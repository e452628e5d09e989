//! What all handles have in common, written once: the verbs that every kind of object has, as methods of each and as a trait for programs
//! that do not care which kind it is.
//!
//! A handle is a name, no possession: objects live until they are deleted, whoever drops what.
//!
//! ```no_run
//! use hostcompute::handle::Handle;
//! use hostcompute::{Endpoint, Error, Host, Namespace, Network, Options};
//!
//! fn clear<H: Handle>(host: &Host) -> Result<usize, Error> {
//!     let all = H::list_matching(host, "")?;
//!     all.iter().try_for_each(H::delete)?;
//!     Ok(all.len())
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let host = Host::auto(Options::from_env())?;
//! println!("{} endpoints, {} networks", clear::<Endpoint>(&host)?, clear::<Network>(&host)?);
//! # Ok(())
//! # }
//! ```

use std::fmt::Debug;

use hostcompute_schema::operation::{Kind, Operation};
use hostcompute_schema::{Document, Failure, Guid, HResult, Warning};
use serde_json::Value;

use crate::Host;
use crate::transport::Call;

/// A handle of an object on a host. Its methods are those that every kind has by itself; see [`crate::Network`], for instance.
pub trait Handle: Clone + Debug + Send + Sync + 'static {
    /// What describes the object.
    type Document: Document + Send + 'static;
    /// What changes it.
    type Request: Document;
    /// The kind of object.
    const KIND: Kind;

    /// Opens an object that exists.
    ///
    /// # Errors
    /// The not-found code of this kind.
    fn open(host: &Host, id: Guid) -> Result<Self, Failure>;

    /// Finds an object by GUID, unique beginning of its GUID, or Name.
    ///
    /// # Errors
    /// The not-found code of this kind, or E_INVALIDARG when several objects answer.
    fn find(host: &Host, text: &str) -> Result<Self, Failure>;

    /// The objects that a query (a HostComputeQuery document) selects; all of them for an empty one.
    ///
    /// # Errors
    /// HCN_E_INVALID_JSON for a malformed query.
    fn list_matching(host: &Host, query: &str) -> Result<Vec<Self>, Failure>;

    /// The object's id.
    fn id(&self) -> Guid;

    /// The host that it is on.
    fn host(&self) -> &Host;

    /// The document as it is now.
    ///
    /// # Errors
    /// The not-found code when the object was deleted.
    fn query(&self) -> Result<Self::Document, Failure>;

    /// The document as JSON text, in the form that the query asks for.
    ///
    /// # Errors
    /// As [`Self::query`]; HCN_E_INVALID_JSON for a malformed query.
    fn query_json(&self, query: &str) -> Result<String, Failure>;

    /// Changes the object by a JSON document; tells what was tolerated in it.
    ///
    /// # Errors
    /// What is wrong with the request, or cannot be changed.
    fn modify_json(&self, request: &str) -> Result<Vec<Warning>, Failure>;

    /// Deletes the object.
    ///
    /// # Errors
    /// The not-found code, or why it cannot go now.
    fn delete(&self) -> Result<(), Failure>;
}

/// A handle of an object that stands for itself, and so is made by its own document alone: all but endpoints.
pub trait Creation: Handle {
    /// Makes an object from a JSON document, under the given id if there is one; also tells what was tolerated.
    ///
    /// # Errors
    /// What is wrong with the settings, or taken already.
    fn create_json(
        host: &Host,
        id: Option<Guid>,
        settings: &str,
    ) -> Result<(Self, Vec<Warning>), Failure>;
}

/// The verbs of one kind of object.
macro_rules! handle {
    (
        $(#[$doc:meta])*
        $name:ident, $document:ty, $kind:ident,
        open $open:ident, enumerate $enumerate:ident, query $query:ident, delete $delete:ident,
        modify $modify:ident by $request:ty
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            host: $crate::Host,
            id: $crate::Guid,
        }

        impl $name {
            /// Opens an object that exists.
            ///
            /// # Errors
            /// The not-found code of this kind.
            pub fn open(host: &$crate::Host, id: $crate::Guid) -> Result<Self, $crate::Failure> {
                host.call(&$crate::transport::Call::on(Operation::$open, id, ""))?;
                Ok(Self { host: host.clone(), id })
            }

            /// Finds an object by GUID, unique beginning of its GUID, or Name.
            ///
            /// # Errors
            /// The not-found code of this kind, or E_INVALIDARG when several objects answer.
            pub fn find(host: &$crate::Host, text: &str) -> Result<Self, $crate::Failure> {
                let id = host.resolve(hostcompute_schema::operation::Kind::$kind, text)?;
                Ok(Self { host: host.clone(), id })
            }

            /// All objects of this kind, oldest first.
            ///
            /// # Errors
            /// Why the service cannot be reached.
            pub fn list(host: &$crate::Host) -> Result<Vec<Self>, $crate::Failure> {
                Self::list_matching(host, "")
            }

            /// The objects that a query (a HostComputeQuery document) selects.
            ///
            /// # Errors
            /// HCN_E_INVALID_JSON for a malformed query.
            pub fn list_matching(host: &$crate::Host, query: &str) -> Result<Vec<Self>, $crate::Failure> {
                let ids = $crate::handle::ids(host, Operation::$enumerate, query)?;
                Ok(ids.into_iter().map(|id| Self { host: host.clone(), id }).collect())
            }

            /// The object's id.
            pub fn id(&self) -> $crate::Guid {
                self.id
            }

            /// The host that it is on.
            pub fn host(&self) -> &$crate::Host {
                &self.host
            }

            /// The document as it is now.
            ///
            /// # Errors
            /// The not-found code when the object was deleted.
            pub fn query(&self) -> Result<$document, $crate::Failure> {
                let text = self.query_json($crate::handle::VERSION_2)?;
                Ok(hostcompute_schema::parse::<$document>(&text)?.document)
            }

            /// The document as JSON text, in the form that the query asks for.
            ///
            /// # Errors
            /// As [`Self::query`]; HCN_E_INVALID_JSON for a malformed query.
            pub fn query_json(&self, query: &str) -> Result<String, $crate::Failure> {
                let call = $crate::transport::Call::on(Operation::$query, self.id, query);
                self.host.call(&call).map(|answer| answer.body)
            }

            /// Changes the object; a load balancer is replaced by the whole new document, and its established connections stay.
            ///
            /// # Errors
            /// What is wrong with the request, or cannot be changed.
            pub fn modify(&self, request: &$request) -> Result<(), $crate::Failure> {
                self.modify_json(&hostcompute_schema::Document::to_value(request).to_string()).map(drop)
            }

            /// As [`Self::modify`], from a JSON document; tells what was tolerated in it.
            ///
            /// # Errors
            /// As [`Self::modify`], with the place in the text.
            pub fn modify_json(&self, request: &str) -> Result<Vec<$crate::Warning>, $crate::Failure> {
                let call = $crate::transport::Call::on(Operation::$modify, self.id, request);
                self.host.call(&call).map(|answer| answer.warnings)
            }

            /// Deletes the object.
            ///
            /// # Errors
            /// The not-found code, or why it cannot go now.
            pub fn delete(&self) -> Result<(), $crate::Failure> {
                self.host.call(&$crate::transport::Call::on(Operation::$delete, self.id, "")).map(drop)
            }
        }

        impl $crate::handle::Handle for $name {
            type Document = $document;
            type Request = $request;
            const KIND: hostcompute_schema::operation::Kind = hostcompute_schema::operation::Kind::$kind;

            fn open(host: &$crate::Host, id: $crate::Guid) -> Result<Self, $crate::Failure> {
                Self::open(host, id)
            }

            fn find(host: &$crate::Host, text: &str) -> Result<Self, $crate::Failure> {
                Self::find(host, text)
            }

            fn list_matching(host: &$crate::Host, query: &str) -> Result<Vec<Self>, $crate::Failure> {
                Self::list_matching(host, query)
            }

            fn id(&self) -> $crate::Guid {
                self.id()
            }

            fn host(&self) -> &$crate::Host {
                self.host()
            }

            fn query(&self) -> Result<Self::Document, $crate::Failure> {
                self.query()
            }

            fn query_json(&self, query: &str) -> Result<String, $crate::Failure> {
                self.query_json(query)
            }

            fn modify_json(&self, request: &str) -> Result<Vec<$crate::Warning>, $crate::Failure> {
                self.modify_json(request)
            }

            fn delete(&self) -> Result<(), $crate::Failure> {
                self.delete()
            }
        }
    };
}

/// Making an object that stands for itself (endpoints stand on a network).
macro_rules! creation {
    ($name:ident, $document:ty, $create:ident) => {
        impl $name {
            /// Makes an object.
            ///
            /// # Errors
            /// What is wrong with the settings, or taken already.
            pub fn create(
                host: &$crate::Host,
                settings: &$document,
            ) -> Result<Self, $crate::Failure> {
                let text = hostcompute_schema::Document::to_value(settings).to_string();
                Self::create_json(host, None, &text).map(|(object, _)| object)
            }

            /// Makes an object from a JSON document, under the given id if there is one; also tells what was tolerated.
            ///
            /// # Errors
            /// As [`Self::create`], with the place in the text.
            pub fn create_json(
                host: &$crate::Host,
                id: Option<$crate::Guid>,
                settings: &str,
            ) -> Result<(Self, Vec<$crate::Warning>), $crate::Failure> {
                let operation = Operation::$create;
                let call =
                    $crate::transport::Call { operation, id, network: None, document: settings };
                let answer = host.call(&call)?;
                let id = $crate::handle::created(&answer.body)?;
                Ok((Self { host: host.clone(), id }, answer.warnings))
            }
        }

        impl $crate::handle::Creation for $name {
            fn create_json(
                host: &$crate::Host,
                id: Option<$crate::Guid>,
                settings: &str,
            ) -> Result<(Self, Vec<$crate::Warning>), $crate::Failure> {
                Self::create_json(host, id, settings)
            }
        }
    };
}

/// The query for documents of schema 2; without it the service answers in the shape of schema 1.
pub(crate) const VERSION_2: &str = r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#;

/// The ids that an enumeration answers with.
pub(crate) fn ids(host: &Host, operation: Operation, query: &str) -> Result<Vec<Guid>, Failure> {
    let answer = host.call(&Call { operation, id: None, network: None, document: query })?;
    listed(&answer.body)
}

/// The ids of such an answer.
pub(crate) fn listed(body: &str) -> Result<Vec<Guid>, Failure> {
    let listed: Value = serde_json::from_str(body).map_err(|error| unreadable(&error))?;
    let texts = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    texts
        .iter()
        .map(|text| {
            text.as_str().unwrap_or_default().parse::<Guid>().map_err(|error| unreadable(&error))
        })
        .collect()
}

/// The id that a creation answers with.
pub(crate) fn created(body: &str) -> Result<Guid, Failure> {
    body.trim_matches('"').parse().map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::new(HResult::E_UNEXPECTED, "the service's answer cannot be read").because(error)
}
