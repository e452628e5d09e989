//! Notifications: those of a run of `hc up`, those that the service remembers, those to come.

use hostcompute::schema::operation::Kind;
use hostcompute::transport::Events;
use hostcompute::{Event, Host, Notice, Options, Topic, Way};
use serde_json::json;

use crate::print;
use crate::problem::{Done, Problem};

/// `hc events`: needs a service that outlives the command.
///
/// # Errors
/// There is no such service or network, or the service ends for good.
pub fn run(options: &Options, follow: bool, network: Option<&str>, as_json: bool) -> Done {
    let host = running(options)?;
    if !follow {
        return print(&host, 0, as_json);
    }
    let topic = match network {
        Some(text) => Topic::Network(host.resolve(Kind::Network, text)?),
        None => Topic::All,
    };
    for notice in host.subscribe(topic, None)? {
        match notice? {
            Notice::Event(event) => print::line(&line(&event, as_json))?,
            Notice::Missed(count) => miss(count),
        }
    }
    Ok(())
}

/// Prints what happened from number `from` on, until now.
///
/// # Errors
/// The service cannot be reached, or the output not be written.
pub fn print(host: &Host, from: u64, as_json: bool) -> Done {
    let Events { events, missed, .. } = host.events(from)?;
    if missed > 0 && from > 0 {
        miss(missed);
    }
    events.iter().try_for_each(|event| print::line(&line(event, as_json)))
}

fn line(event: &Event, as_json: bool) -> String {
    if as_json {
        return json!({ "Type": event.code, "Name": event.name, "Data": event.data }).to_string();
    }
    let id = event.data.get("ID").and_then(serde_json::Value::as_str).unwrap_or_default();
    format!("event {:#06x} {} {id}", event.code, event.name)
}

fn miss(count: u64) {
    match count {
        0 => print::note("hc: the service was started anew; what happened meanwhile is not known"),
        count => print::note(&format!("hc: {count} notifications were missed")),
    }
}

fn running(options: &Options) -> Result<Host, Problem> {
    let hint = "hc up --events FILE prints the notifications of its own run";
    if options.way == Way::Embedded {
        let why = "a command that carries its own service hears only itself";
        let code = hostcompute::HResult::RPC_S_SERVER_UNAVAILABLE;
        return Err(hostcompute::Failure::new(code, why).hint(hint).into());
    }
    Host::running(options).map_err(|failure| {
        let start = failure.hint.clone().unwrap_or_default();
        failure.hint(format!("{start}; {hint}")).into()
    })
}
