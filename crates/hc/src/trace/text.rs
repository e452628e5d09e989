//! A trace for the terminal: one line for each place, and what stops the packet in words.

use hostcompute::schema::service::{
    LiveTrace, Trace, TraceHop, TraceObstacle, TracePath, TracePlace,
};

use super::{protocol, said, shared};

/// The text.
pub fn draw(trace: &Trace) -> String {
    let mut out = format!(
        "{} -> {}, {} {}\n",
        said(&trace.from),
        said(&trace.to),
        protocol(trace),
        said(&trace.destination)
    );
    // Shared hops are told once, where there are several paths.
    let shared = if trace.paths.len() > 1 { shared(trace) } else { 0 };
    if let Some(first) = trace.paths.first().filter(|_| shared > 0) {
        out.push_str(&hops(first.hops.get(..shared).unwrap_or_default(), ""));
    }
    for (place, path) in trace.paths.iter().enumerate() {
        let indent = if trace.paths.len() > 1 { "  " } else { "" };
        if trace.paths.len() > 1 {
            out.push_str(&format!("backend {} of {}\n", place + 1, trace.paths.len()));
        }
        out.push_str(&hops(path.hops.get(shared..).unwrap_or_default(), indent));
        if let Some(obstacle) = &path.obstacle {
            out.push_str(&stopped(obstacle, indent));
        }
    }
    out.push_str(&verdict(trace));
    if let Some(live) = &trace.live {
        out.push_str(&seen(live));
    }
    out
}

fn hops(hops: &[TraceHop], indent: &str) -> String {
    let line = |hop: &TraceHop| {
        let place = place_name(hop.place.as_ref());
        let packet = format!("{} -> {}", said(&hop.source), said(&hop.destination));
        format!("{indent}  {place:<17} {packet:<42} {}\n", said(&hop.what))
    };
    hops.iter().map(line).collect()
}

fn stopped(obstacle: &TraceObstacle, indent: &str) -> String {
    let mut out = format!("{indent}  {:<17} {}\n", "STOPPED", said(&obstacle.message));
    let blank = format!("{indent}  {:<17}", "");
    if let Some(object) = &obstacle.object {
        let id = obstacle.id.map(|id| id.to_string()).unwrap_or_default();
        let path = obstacle.path.as_ref().map(|path| format!(", {path}")).unwrap_or_default();
        out.push_str(&format!("{blank} where: {object} {id}{path}\n"));
    }
    if let Some(hint) = &obstacle.hint {
        out.push_str(&format!("{blank} to do: {hint}\n"));
    }
    out
}

fn verdict(trace: &Trace) -> String {
    let reached = |path: &&TracePath| path.reaches == Some(true);
    let count = trace.paths.iter().filter(reached).count();
    match (count, trace.paths.len()) {
        (0, _) => "it does not get there\n".to_owned(),
        (all, paths) if all == paths => "it gets there, and the answer comes back\n".to_owned(),
        (some, paths) => format!("it gets to {some} of {paths} backends\n"),
    }
}

/// What the kernel did with the probe.
fn seen(live: &LiveTrace) -> String {
    let mut out = "the kernel, asked with a packet:\n".to_owned();
    for step in &live.steps {
        let rule = step.rule.map(|rule| format!("rule {rule}")).unwrap_or_default();
        let packet = format!("{} -> {}", said(&step.source), said(&step.destination));
        out.push_str(&format!(
            "  {:<17} {packet:<42} {} {rule}\n",
            said(&step.chain),
            said(&step.verdict)
        ));
    }
    let passed = match live.passed {
        Some(true) => "it passed every chain",
        _ => "it did not pass",
    };
    let answer = match said(&live.answer) {
        "" => String::new(),
        answer => format!("; {answer}"),
    };
    out + &format!("{passed}{answer}\n")
}

/// A place in lower case, in words.
pub fn place_name(place: Option<&TracePlace>) -> &'static str {
    match place {
        Some(TracePlace::Namespace) => "namespace",
        Some(TracePlace::Port) => "port",
        Some(TracePlace::Tunnel) => "tunnel",
        Some(TracePlace::Uplink) => "uplink",
        Some(TracePlace::Host) => "host",
        Some(TracePlace::Translation) => "translation",
        Some(TracePlace::Routing) => "routing",
        Some(TracePlace::SenderRules) => "sender's rules",
        Some(TracePlace::ReceiverRules) => "receiver's rules",
        Some(TracePlace::Filter) => "filter",
        Some(TracePlace::Masquerade) => "masquerade",
        Some(TracePlace::Arrival) => "arrival",
        Some(TracePlace::Unknown(_)) | None => "place",
    }
}
