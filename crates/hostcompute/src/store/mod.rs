//! Calls about images and layers: what crosses to whoever has the store, be it this process or the service of the machine.
//!
//! [`carry`] is the one meaning of such calls; the typed ways to make them are [`crate::image`] and [`crate::layer`].

pub(crate) mod carry;
mod lines;

use std::fmt::{self, Debug};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use hostcompute_schema::{ComputeOperation, Failure, HResult};
use hostcompute_storage::Watch;
use serde_json::Value;

pub use carry::{Caller, Own, carry_out};
pub use lines::{Teller, Told, told};

use crate::transport::Transport;
use crate::{Host, Options};

/// One call about images or layers.
#[derive(Debug)]
pub struct StoreCall<'a> {
    pub operation: ComputeOperation,
    /// The image or the layer; empty for calls about all of them.
    pub place: &'a str,
    /// By the names of the operation's table.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Empty for none.
    pub document: &'a str,
    /// An archive that goes in, or where one that comes out is written.
    pub archive: Option<File>,
}

impl<'a> StoreCall<'a> {
    /// A call that needs nothing more.
    pub fn on(operation: ComputeOperation, place: &'a str) -> Self {
        Self { operation, place, parameters: &[], document: "", archive: None }
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Who has the store.
#[derive(Clone)]
pub(crate) enum Desk {
    /// This process, in this state directory.
    Here(PathBuf),
    /// A service.
    There(Arc<dyn Transport>),
}

impl Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(directory) => f.debug_tuple("Here").field(directory).finish(),
            Self::There(_) => f.write_str("There"),
        }
    }
}

impl Desk {
    /// The service that a host is; a host inside this process has its store here.
    pub fn of(host: &Host) -> Self {
        #[cfg(embedded)]
        if let Some(options) = host.options() {
            return Self::Here(options.state_dir.clone());
        }
        Self::There(host.shared_transport())
    }

    /// The service that runs on this machine when there is one, else this process; or what [`Options::way`] says.
    ///
    /// # Errors
    /// As [`Host::running`].
    pub fn auto(options: &Options) -> Result<Self, Failure> {
        Ok(match crate::host::service_of(options)? {
            Some(host) => Self::of(&host),
            None => Self::Here(options.state_dir.clone()),
        })
    }

    pub fn call(&self, call: StoreCall<'_>, watch: Watch<'_>) -> Result<Value, Failure> {
        match self {
            Self::Here(state_dir) => carry_out(state_dir, &Own, call, watch),
            Self::There(transport) => transport.store(call, watch),
        }
    }
}

/// What an answer says, in its own type.
pub(crate) fn understood<T>(read: Result<T, serde_json::Error>) -> Result<T, Failure> {
    read.map_err(|error| {
        Failure::new(HResult::E_UNEXPECTED, "the answer cannot be understood").because(&error)
    })
}
