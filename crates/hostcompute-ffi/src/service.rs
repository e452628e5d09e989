//! The way to the service: found at the first call that needs it, one for the whole process.
//!
//! A service that runs by itself stays connected. One inside this process keeps its state directory from everybody else, so it is
//! closed as soon as the program has no handle and makes no call, and opened anew by the next one.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use hostcompute::{Failure, Host, Options};

use crate::boundary::stay;

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
    stay();
    let host = Arc::new(reach()?);
    *way = match is_embedded(&host) {
        true => Way::Embedded(Arc::downgrade(&host)),
        false => Way::Socket(host.clone()),
    };
    Ok(host)
}

#[cfg(unix)]
fn reach() -> Result<Host, Failure> {
    Host::auto(Options::from_env())
}

#[cfg(unix)]
fn is_embedded(host: &Host) -> bool {
    host.options().is_some()
}

/// A program under Wine reaches the service of the Linux below it: at the address of the environment, or where the service is told
/// to listen by its documents; drive Z is its root.
#[cfg(windows)]
fn reach() -> Result<Host, Failure> {
    let mut options = Options::from_env();
    if !matches!(options.way, hostcompute::Way::Address(_)) {
        options.way = hostcompute::Way::Address(USUAL.to_owned());
    }
    if std::env::var_os("HOSTCOMPUTE_TOKEN_FILE").is_none() {
        options.token_file = TOKEN.into();
    }
    Host::running(&options)
}

#[cfg(windows)]
const USUAL: &str = "tcp://127.0.0.1:8643";

#[cfg(windows)]
const TOKEN: &str = r"Z:\run\hostcompute\tcp.token";

#[cfg(windows)]
fn is_embedded(_: &Host) -> bool {
    false
}
