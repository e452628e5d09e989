//! Tells the service manager that we live, as long as that is true: the decider answers, not only this thread.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hostcompute_linux::Linux;
use hostcompute_schema::operation::Right;
use hostcompute_service::server::{Caller, Server};

use crate::notify::Notifier;

/// Begins to tell, twice in each interval. A decider that does not come back from the kernel keeps this thread, and then the
/// service manager hears nothing.
///
/// # Errors
/// No thread can be started.
pub fn begin(server: Server<Linux>, notifier: Arc<Notifier>, interval: Duration) -> Result<()> {
    let ourselves = Caller { pid: Some(std::process::id()), ..Caller::default() };
    let session = server.connect(ourselves).context("the watchdog")?;
    let watch = move || {
        loop {
            match session.with_service(Right::Read, "Watchdog", |_| ()) {
                Ok(()) => notifier.alive(),
                // The service stops, which has its own patience.
                Err(_) => return,
            }
            std::thread::sleep(interval / 2);
        }
    };
    std::thread::Builder::new().name("watchdog".into()).spawn(watch)?;
    Ok(())
}
