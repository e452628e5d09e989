//! `hc trace`: whether a packet gets there, by which way, and what stops it; as text, as a document, as a picture.
//!
//! The service finds out; here it is only shown. `text` and `svg` draw the same document.

mod svg;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use hostcompute::schema::service::{Trace, TraceRequest};
use hostcompute::schema::{Document, ProtocolType};

use crate::arguments::{Form, TraceArguments};
use crate::object::Session;
use crate::print;
use crate::problem::{Done, Problem};

/// A protocol and a port, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    protocol: Option<u32>,
    port: Option<u16>,
}

/// Reads `443`, `53/udp`, `udp/53`, `icmp`.
///
/// # Errors
/// What is no port and no protocol.
pub fn service(text: &str) -> Result<Asked, String> {
    let mut asked = Asked { protocol: None, port: None };
    for word in text.split('/') {
        let protocol = match word.to_ascii_lowercase().as_str() {
            "tcp" => ProtocolType::TCP,
            "udp" => ProtocolType::UDP,
            "sctp" => ProtocolType::SCTP,
            "icmp" => ProtocolType::ICMPV4,
            number => {
                let port: u16 = number.parse().map_err(|_| {
                    format!("'{word}' is no port and no protocol (tcp, udp, sctp, icmp)")
                })?;
                if asked.port.replace(port).is_some() || port == 0 {
                    return Err("one port, from 1 to 65535".to_owned());
                }
                continue;
            }
        };
        if asked.protocol.replace(protocol.0).is_some() {
            return Err("one protocol".to_owned());
        }
    }
    Ok(asked)
}

/// Traces and shows.
///
/// # Errors
/// [`Problem::Told`] where the packet does not get there; what is wrong with the ends, or why the service cannot be asked.
pub fn run(session: Session<'_>, typed: &TraceArguments) -> Done {
    let asked = typed.service.unwrap_or(Asked { protocol: None, port: None });
    let request = TraceRequest {
        from: Some(typed.from.clone()),
        to: Some(typed.to.clone()),
        protocol: asked.protocol.map(ProtocolType),
        port: asked.port,
        source_port: typed.source_port,
        ..TraceRequest::default()
    };
    let trace = match typed.live {
        true => session.host.probe(&request)?,
        false => session.host.trace(&request)?,
    };
    show(&trace, session.form, typed.svg.as_deref())?;
    if gets_there(&trace) { Ok(()) } else { Err(Problem::Told) }
}

/// What was seen counts before what was worked out.
fn gets_there(trace: &Trace) -> bool {
    match &trace.live {
        Some(live) => live.passed == Some(true) && live.answered != Some(false),
        None => trace.reaches == Some(true),
    }
}

fn show(trace: &Trace, form: Form, picture: Option<&Path>) -> Done {
    match picture {
        Some(path) if path == Path::new("-") => return print::text(&svg::draw(trace)),
        Some(path) => std::fs::write(path, svg::draw(trace)).map_err(|error| {
            print::note(&format!("hc: cannot write {}: {error}", path.display()));
            Problem::Told
        })?,
        None => {}
    }
    match form {
        Form::Json => print::json(&trace.to_value()),
        Form::Yaml => print::yaml(&trace.to_value()),
        Form::Table => print::text(&text::draw(trace)),
        Form::Id => {
            let receivers = trace.paths.iter().filter_map(|path| path.endpoint);
            print::text(&receivers.map(|id| format!("{id}\n")).collect::<String>())
        }
    }
}

/// A member that is text, or nothing.
fn said(member: &Option<String>) -> &str {
    member.as_deref().unwrap_or_default()
}

/// The protocol in lower case, as people write it.
fn protocol(trace: &Trace) -> String {
    match trace.protocol.unwrap_or(ProtocolType::UNKNOWN) {
        ProtocolType::ICMPV4 => "icmp".to_owned(),
        protocol => protocol.to_string().to_ascii_lowercase(),
    }
}

/// The hops that all paths begin with.
fn shared(trace: &Trace) -> usize {
    let Some((first, others)) = trace.paths.split_first() else { return 0 };
    let alike =
        |place: &usize| others.iter().all(|path| path.hops.get(*place) == first.hops.get(*place));
    (0..first.hops.len()).take_while(alike).count()
}
