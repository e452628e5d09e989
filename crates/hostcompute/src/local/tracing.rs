//! `Trace` and `Probe`: what becomes of a packet, by what the service knows, and by what the kernel does with one.

use hostcompute_engine::State;
use hostcompute_engine::host::{Host, Surroundings};
use hostcompute_linux::Linux;
use hostcompute_linux::prober::{Prober, Seen, Step};
use hostcompute_schema::service::{LiveStep, LiveTrace, Trace, TraceRequest};
use hostcompute_schema::{Failure, HResult, parse};
use hostcompute_service::Service;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What becomes of the packet that a [`TraceRequest`] names.
///
/// # Errors
/// What is wrong with the request, or the not-found code of an end that does not exist.
pub fn trace(state: &State, surroundings: &Surroundings, document: &str) -> Result<Trace, Failure> {
    let request = parse::<TraceRequest>(document)?.document;
    hostcompute_engine::trace::trace(state, surroundings, &request)
        .map_err(|failure| failure.in_document(document))
}

/// What the host has of its own.
///
/// # Errors
/// The host could not be read.
pub fn surroundings(linux: &mut Linux) -> Result<Surroundings, Failure> {
    linux.surroundings().map_err(|fault| fault.failure)
}

/// The trace of a packet, and what it takes to send one; sending is for later, where it holds up nobody.
///
/// # Errors
/// As [`trace`]; HCN_E_REQUEST_UNSUPPORTED for a sender that is not on this host, and for protocols other than TCP, UDP and ICMP.
pub fn prepare(
    service: &mut Service<Linux>,
    document: &str,
) -> Result<(Trace, Option<Prober>), Failure> {
    let around = surroundings(service.host())?;
    let request = parse::<TraceRequest>(document)?.document;
    let (trace, probe) = hostcompute_engine::trace::probe(service.state(), &around, &request)
        .map_err(|failure| failure.in_document(document))?;
    if let Some(probe) = probe.filter(|probe| ![ICMP, TCP, UDP, ICMPV6].contains(&probe.protocol)) {
        let why = format!("a probe of protocol {} cannot be sent", probe.protocol);
        return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
            .at("Port")
            .hint("name a port of TCP or UDP, such as 80 or 53/udp, or icmp"));
    }
    let prober = probe.map(|probe| service.host().prober(probe)).transpose();
    Ok((trace, prober.map_err(|fault| fault.failure)?))
}

/// Sends the probe, if there is one to send, and adds to the trace what was seen.
///
/// # Errors
/// What the kernel refuses.
pub fn send((trace, prober): (Trace, Option<Prober>)) -> Result<Trace, Failure> {
    let Some(prober) = prober else { return Ok(trace) };
    let seen = prober.run().map_err(|fault| fault.failure)?;
    Ok(Trace { live: Some(live(seen)), ..trace })
}

fn live(seen: Seen) -> LiveTrace {
    let dropped = seen.steps.iter().any(|step| step.verdict == "drop");
    LiveTrace {
        passed: Some(!dropped && !seen.steps.is_empty()),
        answered: seen.answered,
        answer: Some(seen.answer),
        steps: seen.steps.into_iter().map(step).collect(),
        ..LiveTrace::default()
    }
}

fn step(step: Step) -> LiveStep {
    let end = |end: std::net::SocketAddr| end.to_string();
    LiveStep {
        table: Some(step.table),
        chain: Some(step.chain),
        rule: step.rule,
        verdict: Some(step.verdict),
        source: step.ends.map(|(source, _)| end(source)),
        destination: step.ends.map(|(_, destination)| end(destination)),
        ..LiveStep::default()
    }
}
