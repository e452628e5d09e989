//! Notifications. In embedded mode there are only those of one's own process.

use hostcompute::schema::HResult;
use hostcompute::{Failure, Host};
use serde_json::json;

use crate::print;
use crate::problem::Done;

/// Prints what happened in this process.
///
/// # Errors
/// The output cannot be written.
pub fn print(host: &Host, as_json: bool) -> Done {
    let happened = host.events(0)?;
    for event in &happened.events {
        let line = if as_json {
            json!({ "Type": event.code, "Name": event.name, "Data": event.data }).to_string()
        } else {
            let id = event.data.get("ID").and_then(serde_json::Value::as_str).unwrap_or_default();
            format!("event {:#06x} {} {id}", event.code, event.name)
        };
        print::line(&line)?;
    }
    Ok(())
}

/// `hc events`: without a service that outlives the command there is nothing to listen to.
///
/// # Errors
/// Always, with what to do instead.
pub fn listen() -> Done {
    let why = "this command carries its own service and hears only itself";
    Err(Failure::new(HResult::RPC_S_SERVER_UNAVAILABLE, why)
        .hint("hc up --events FILE prints the notifications of its own run")
        .into())
}
