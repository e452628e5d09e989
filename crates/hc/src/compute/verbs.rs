//! The verbs on compute systems, and their listing.

use std::io::{self, Read, Write};
use std::time::Duration;

use hostcompute::schema::hcs::{
    PauseOptions, Properties, SaveOptions, ShutdownOptions, SystemExitStatus, SystemPropertyQuery,
    SystemPropertyType, SystemQuery, parse_answer,
};
use hostcompute::schema::{ComputeOperation, Document};
use hostcompute::transport::ComputeCall;
use hostcompute::{ComputeNotice, Host, System};
use serde_json::Value;

use super::arguments::{Listing, LogArguments, SystemVerb};
use crate::arguments::Form;
use crate::object::{Session, warn};
use crate::problem::{Done, Problem};
use crate::{files, print};

/// `hc system`.
///
/// # Errors
/// What the service refuses.
pub fn system(session: Session<'_>, verb: &SystemVerb) -> Done {
    let Session { host, form } = session;
    let open = |id: &str| System::open(host, id);
    match verb {
        SystemVerb::Create { file, id, start } => {
            let file = files::read(file)?;
            let made = System::create_json(host, id, &file.text);
            let (system, warnings) =
                made.map_err(|failure| Problem::in_file(&file.name, failure))?;
            warn(&file.name, &warnings);
            if *start {
                system.start()?;
            }
            print::line(system.id())
        }
        SystemVerb::Start { id } => Ok(open(id)?.start()?),
        SystemVerb::Ls(listing) => list(session, listing),
        SystemVerb::Show { id } => show(session, id, &SystemPropertyQuery::default()),
        SystemVerb::Properties { id, types } => {
            let types = types.iter().map(|name| SystemPropertyType::from_name(name)).collect();
            let query = SystemPropertyQuery {
                property_types: Some(types),
                ..SystemPropertyQuery::default()
            };
            show(session, id, &query)
        }
        SystemVerb::Modify { id, file } => {
            let file = files::read(file)?;
            let done = open(id)?.call(ComputeOperation::ModifyComputeSystem, &file.text);
            let answer = done.map_err(|failure| Problem::in_file(&file.name, failure))?;
            warn(&file.name, &answer.warnings);
            Ok(())
        }
        SystemVerb::Pause { id } => Ok(open(id)?.pause(&PauseOptions::default())?),
        SystemVerb::Resume { id } => Ok(open(id)?.resume()?),
        SystemVerb::Save { id, file } => {
            let path = Some(file.display().to_string());
            let options = SaveOptions { save_state_file_path: path, ..SaveOptions::default() };
            Ok(open(id)?.save(&options)?)
        }
        SystemVerb::Shutdown { id, until_ended } => {
            let system = open(id)?;
            system.shut_down(&ShutdownOptions::default())?;
            if !*until_ended {
                return Ok(());
            }
            host.stand_back()?;
            document(form, &system.wait(None)?.to_value())
        }
        SystemVerb::Terminate { id } => Ok(open(id)?.terminate()?),
        SystemVerb::Wait { id, timeout } => {
            // Without a handle: of one that ended lately it is told, too.
            let limit = timeout.map(|seconds| Duration::from_secs(seconds).as_millis().to_string());
            let limit: Vec<(&str, &str)> =
                limit.iter().map(|limit| ("timeout", limit.as_str())).collect();
            let call = ComputeCall::on(ComputeOperation::WaitForComputeSystemExit, id, "");
            host.stand_back()?;
            let told = host.compute(&call.with(&limit))?;
            let status: SystemExitStatus = parse_answer(&told.body)?;
            document(form, &status.to_value())
        }
        SystemVerb::Events { id } => events(host, id),
        SystemVerb::Logs(arguments) => logs(host, arguments),
    }
}

fn show(session: Session<'_>, id: &str, query: &SystemPropertyQuery) -> Done {
    let system = System::open(session.host, id)?;
    document(session.form, &system.properties(query)?.to_value())
}

fn document(form: Form, value: &Value) -> Done {
    match form {
        Form::Yaml => print::yaml(value),
        Form::Id => print::line(value.get("Id").and_then(Value::as_str).unwrap_or_default()),
        Form::Table | Form::Json => print::json(value),
    }
}

/// `hc ps` and `hc system ls`.
///
/// # Errors
/// Why the service cannot be reached.
pub fn list(session: Session<'_>, listing: &Listing) -> Done {
    let owners = listing.owner.clone().map(|owner| vec![owner]);
    let query = SystemQuery { owners, ..SystemQuery::default() };
    let mut systems = session.host.systems(&query)?;
    if listing.all {
        systems.extend(session.host.ended_systems(&query)?);
    }
    let documents = || Value::Array(systems.iter().map(Document::to_value).collect());
    match session.form {
        Form::Json => print::json(&documents()),
        Form::Yaml => print::yaml(&documents()),
        Form::Id => systems.iter().try_for_each(|system| print::line(&id(system))),
        Form::Table => {
            let rows = systems.iter().map(row).collect();
            print::text(&print::table(&["ID", "TYPE", "STATE", "OWNER"], rows))
        }
    }
}

fn id(system: &Properties) -> String {
    system.id.clone().unwrap_or_default()
}

fn row(system: &Properties) -> Vec<String> {
    let kind = system.system_type.as_ref().map(ToString::to_string).unwrap_or_default();
    let state = match (&system.exit_type, &system.state) {
        (Some(exit), _) => exit.to_string(),
        (None, Some(state)) => state.to_string(),
        (None, None) => String::new(),
    };
    vec![id(system), kind, state, system.owner.clone().unwrap_or_default()]
}

/// One line of JSON for each event.
fn events(host: &Host, id: &str) -> Done {
    let told = host.compute_events(id)?;
    host.stand_back()?;
    for notice in told {
        match notice? {
            ComputeNotice::Event(event) => print::line(&event.to_value().to_string())?,
            ComputeNotice::Disconnected => {
                print::note("hc: nothing more is told: the service stops, or reads were too slow");
                return Err(Problem::Told);
            }
        }
    }
    Ok(())
}

/// `hc logs`.
///
/// # Errors
/// Why the log cannot be read.
pub fn logs(host: &Host, arguments: &LogArguments) -> Done {
    let follow = if arguments.follow { "true" } else { "false" };
    let tail = arguments.tail.map(|lines| lines.to_string());
    let pid = arguments.pid.map(|pid| pid.to_string());
    let mut parameters = vec![("follow", follow)];
    parameters.extend(tail.as_deref().map(|lines| ("tail", lines)));
    parameters.extend(pid.as_deref().map(|pid| ("pid", pid)));
    let call = ComputeCall::on(ComputeOperation::GetComputeSystemLog, &arguments.id, "");
    let mut log = host.compute_log(&call.with(&parameters))?;
    host.stand_back()?;
    let mut out = io::stdout().lock();
    let mut piece = [0; 8192];
    loop {
        let read = match log.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                print::note(&format!("hc: the log of {} breaks off: {error}", arguments.id));
                return Err(Problem::Told);
            }
        };
        let written = out.write_all(piece.get(..read).unwrap_or_default());
        if written.and_then(|()| out.flush()).is_err() {
            return Err(Problem::Unread);
        }
    }
}
