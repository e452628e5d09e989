//! `hc run` and `hc exec`: a command in a container, and its exit code as one's own.

use hostcompute::schema::Document;
use hostcompute::schema::hcs::{
    GetPropertyType, Networking, ProcessParameters, ProcessorTopology, ServicePropertyQuery,
};
use hostcompute::{Failure, HResult, Host, Namespace, Network, System};

use super::arguments::{ExecArguments, RunArguments};
use super::document::{self, Defaults};
use super::mapped::absolute;
use super::{image, relay, terminal};
use crate::object::warn;
use crate::print;
use crate::problem::{Done, Problem};

/// What shells and other programs of this sort answer when they themselves fail.
const OURS: u8 = 125;

/// The status for wrong usage.
const USAGE: u8 = 2;

/// What shells answer for a program that cannot be started.
const NOT_EXECUTABLE: u8 = 126;

/// What shells answer for a program that is not there.
const NOT_FOUND: u8 = 127;

/// `hc run`: makes a container, runs a command in it, and ends it with the command; or leaves it running.
///
/// # Errors
/// [`Problem::Ended`] with the command's exit code, unless that is 0.
pub fn run(host: &Host, typed: &RunArguments) -> Done {
    if !typed.has_root() {
        let why =
            "hc: a container needs --host-root, --rootfs, --image, or --scratch alone".to_owned();
        return Err(Problem::NotStarted { why, status: USAGE });
    }
    let mut defaults = defaults(host, typed).map_err(failed)?;
    if defaults.words.is_empty() {
        let why = "there is no command: neither one that was typed, nor one of an image";
        return Err(failed(Failure::new(HResult::E_INVALIDARG, why)));
    }
    let id = typed.name.clone().unwrap_or_else(random_id);
    let networking = networking(host, &typed.network).map_err(failed)?;
    let system = make(host, &id, typed, &defaults, networking).map_err(failed)?;
    // Its supervisor holds them now.
    defaults.holds.clear();
    let command = document::process(
        &typed.command,
        &defaults.words,
        &defaults,
        !typed.detach,
        terminal::size(),
    );
    if typed.detach {
        system.run(&command).map_err(not_started)?;
        return print::line(&id);
    }
    let ended = attend(host, &system, &command);
    if !typed.keep {
        end(&system);
    }
    ended
}

/// Ends the container. With the last handle it ends anyway; this waits for it.
fn end(system: &System) {
    match system.terminate() {
        Err(failure) if !failure.hresult.is_already_stopped() && !failure.is_not_found() => {
            print::note(&format!("hc: {failure:#}"));
        }
        _ => {}
    }
}

/// `hc exec`: runs a command in a container that runs.
///
/// # Errors
/// As [`run`].
pub fn exec(host: &Host, typed: &ExecArguments) -> Done {
    let system = System::open(host, &typed.id).map_err(failed)?;
    let size = terminal::size();
    let command = document::process(&typed.command, &typed.words, &Defaults::default(), true, size);
    attend(host, &system, &command)
}

fn attend(host: &Host, system: &System, command: &ProcessParameters) -> Done {
    let process = system.run(command).map_err(not_started)?;
    host.stand_back().map_err(failed)?;
    let console = command.emulate_console == Some(true);
    match relay::attend(process, console).map_err(failed)? {
        0 => Ok(()),
        // Exit codes of Linux are bytes.
        code => Err(Problem::Ended { status: u8::try_from(code).unwrap_or(u8::MAX) }),
    }
}

fn make(
    host: &Host,
    id: &str,
    typed: &RunArguments,
    defaults: &Defaults,
    networking: Option<Networking>,
) -> Result<System, Failure> {
    let cpus = if typed.limits.cpus.is_some() { host_cpus(host)? } else { 1 };
    let document = document::system(typed, &defaults.layers, networking, cpus)?;
    let mut terms = typed.terms()?;
    let stop_signal = typed.stop_signal.clone().or_else(|| defaults.stop_signal.clone());
    terms.extend(stop_signal.map(|signal| ("stop-signal", signal)));
    let terms: Vec<(&str, &str)> =
        terms.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = document.to_value().to_string();
    let (system, warnings) = System::create_on(host, id, &text, &terms)?;
    warn(id, &warnings);
    system.start()?;
    Ok(system)
}

/// Where the file system comes from, and what an image says of its command.
fn defaults(host: &Host, typed: &RunArguments) -> Result<Defaults, Failure> {
    let root = &typed.root;
    let mut defaults = Defaults { words: typed.words.clone(), ..Defaults::default() };
    if root.host_root {
        defaults.layers.push("/".to_owned());
    } else if let Some(directory) = &root.rootfs {
        defaults.layers.push(absolute(&directory.to_string_lossy())?);
    } else if let Some(image) = &root.image {
        return image::defaults(host, image, &typed.words);
    }
    Ok(defaults)
}

/// How many processors the host has.
fn host_cpus(host: &Host) -> Result<u32, Failure> {
    let query = ServicePropertyQuery {
        property_types: Some(vec![GetPropertyType::ProcessorTopology]),
        ..ServicePropertyQuery::default()
    };
    let told = host.service_properties(&query)?.properties.unwrap_or_default();
    let topology: Option<ProcessorTopology> =
        told.into_iter().next().and_then(|value| serde_json::from_value(value).ok());
    Ok(topology.and_then(|topology| topology.logical_processor_count).unwrap_or(1))
}

/// The network of a container, as its document says it. An endpoint that it needs is the container's own: made with it, gone with it.
fn networking(host: &Host, wish: &str) -> Result<Option<Networking>, Failure> {
    let mut networking = Networking::default();
    match wish.split_once(':') {
        None if wish == "none" => return Ok(None),
        None if wish == "host" => {
            networking.namespace = Some(Namespace::host_default(host)?.id().to_string())
        }
        Some(("container", other)) => {
            networking.network_shared_container_name = Some(other.to_owned());
        }
        Some(("namespace", namespace)) => {
            networking.namespace = Some(Namespace::find(host, namespace)?.id().to_string());
        }
        _ => networking.network_adapters = Some(vec![Network::find(host, wish)?.id()]),
    }
    Ok(Some(networking))
}

fn random_id() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    format!("hc-{:012x}", RandomState::new().build_hasher().finish() >> 16)
}

/// A failure before the command, or beside it.
pub fn failed(failure: Failure) -> Problem {
    not_run(failure, OURS)
}

/// The member of the document tells which option is meant; lines and columns are of a text that nobody typed.
fn not_run(failure: Failure, status: u8) -> Problem {
    let failure = Failure { position: None, ..failure };
    Problem::NotStarted { why: format!("hc: {failure:#}"), status }
}

/// A command that could not be started.
fn not_started(failure: Failure) -> Problem {
    let status = match failure.hresult {
        HResult::ERROR_FILE_NOT_FOUND => NOT_FOUND,
        HResult::E_ACCESSDENIED => NOT_EXECUTABLE,
        _ => OURS,
    };
    not_run(failure, status)
}
