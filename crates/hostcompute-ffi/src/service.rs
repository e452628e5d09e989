//! The way to the service: found at the first call that needs it, one for the whole process.
//!
//! A service that runs by itself stays connected. One inside this process keeps its state directory from everybody else, so it is
//! closed as soon as the program has no handle and makes no call, and opened anew by the next one.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use hostcompute::{Failure, Host, Options};

enum Way {
    Unknown,
    Socket(Arc<Host>),
    Embedded(Weak<Host>),
}

static WAY: Mutex<Way> = Mutex::new(Way::Unknown);

/// The host: that of the service that runs when there is one, else a service inside this process, as the environment says
/// ([`Options::from_env`]).
///
/// # Errors
/// Why the service cannot be reached or opened.
pub fn host() -> Result<Arc<Host>, Failure> {
    let mut way = WAY.lock().unwrap_or_else(PoisonError::into_inner);
    let known = match &*way {
        Way::Unknown => None,
        Way::Socket(host) => Some(host.clone()),
        Way::Embedded(host) => host.upgrade(),
    };
    if let Some(host) = known {
        return Ok(host);
    }
    let host = Arc::new(Host::auto(Options::from_env())?);
    *way = match host.options() {
        Some(_) => Way::Embedded(Arc::downgrade(&host)),
        None => Way::Socket(host.clone()),
    };
    Ok(host)
}
