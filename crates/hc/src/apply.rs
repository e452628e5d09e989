//! `hc up`, `hc diff`, `hc down`.

use std::path::PathBuf;

use hostcompute::schema::Document;
use hostcompute::schema::service::{HostFile, Obstacle, Progress, Step};
use hostcompute::{Failure, Host};
use serde_json::Value;

use crate::arguments::Form;
use crate::object::{Session, warn};
use crate::print::{self, Counter};
use crate::problem::{Done, Problem};
use crate::{events, files};

/// Makes what the files ask for.
///
/// # Errors
/// What is wrong with a file, or what the host refuses.
pub fn up(session: Session<'_>, files: &[HostFile], with_events: bool) -> Done {
    let before = if with_events { session.host.events(u64::MAX)?.next } else { 0 };
    run(session, Host::up, files)?;
    if with_events {
        events::print(session.host, before, session.form == Form::Json)?;
    }
    Ok(())
}

/// Deletes what the files name.
///
/// # Errors
/// What is wrong with a file, or what could not be deleted.
pub fn down(session: Session<'_>, files: &[HostFile]) -> Done {
    run(session, Host::down, files)
}

/// Shows what [`up`] would do.
///
/// # Errors
/// What is wrong with a file.
pub fn diff(session: Session<'_>, files: &[HostFile]) -> Done {
    let steps = session.host.diff(files, &mut |progress| {
        if let Progress::Tolerated { file, warning } = progress {
            warn(&file, &[warning]);
        }
    });
    let steps = steps.map_err(problem)?;
    for step in &steps {
        if session.form == Form::Table {
            print::line(&format!("would {}", sentence(step, said(&step.action))))?;
        }
    }
    summary(session, &steps, "everything is there already")
}

type Work = fn(&Host, &[HostFile], &mut dyn FnMut(Progress)) -> Result<Vec<Step>, Obstacle>;

/// Carries out files, telling of each step as it is done.
fn run(session: Session<'_>, work: Work, files: &[HostFile]) -> Done {
    let mut counter = Counter::new(0);
    let mut unread = Ok(());
    let steps = work(session.host, files, &mut |progress| match progress {
        Progress::Tolerated { file, warning } => warn(&file, &[warning]),
        Progress::Planned(total) => counter = Counter::new(total),
        Progress::Done(step) => {
            let sentence = sentence(&step, done(said(&step.action)));
            counter.step(&sentence);
            // The work goes on when nobody reads any more: half a host would help nobody.
            if session.form == Form::Table && unread.is_ok() {
                unread = print::line(&sentence);
            }
        }
        Progress::TakingBack => {
            print::note("hc: a step failed; taking back what this run has done")
        }
    });
    drop(counter);
    let steps = steps.map_err(problem)?;
    unread?;
    summary(session, &steps, "nothing to do")
}

fn summary(session: Session<'_>, steps: &[Step], nothing: &str) -> Done {
    let document = || Value::Array(steps.iter().map(Document::to_value).collect());
    match session.form {
        Form::Table if steps.is_empty() => print::line(nothing),
        Form::Table => Ok(()),
        Form::Id => {
            let ids = steps.iter().filter_map(|step| step.id);
            let mut ids: Vec<String> = ids.map(|id| format!("{id}\n")).collect();
            ids.dedup();
            print::text(&ids.concat())
        }
        Form::Json => print::json(&document()),
        Form::Yaml => print::yaml(&document()),
    }
}

fn sentence(step: &Step, verb: &str) -> String {
    let [kind, name, detail] = [&step.kind, &step.name, &step.detail].map(said);
    match (said(&step.action), detail.is_empty()) {
        (_, true) => format!("{verb} {kind} {name}"),
        ("attach", _) => format!("{verb} {kind} {name} to {detail}"),
        ("detach", _) => format!("{verb} {kind} {name} from {detail}"),
        _ => format!("{verb} {kind} {name}: {detail}"),
    }
}

fn said(member: &Option<String>) -> &str {
    member.as_deref().unwrap_or_default()
}

fn done(verb: &str) -> &str {
    match verb {
        "create" => "created",
        "modify" => "changed",
        "attach" => "attached",
        "detach" => "detached",
        "delete" => "deleted",
        other => other,
    }
}

/// The files of a command, read before anything is opened or locked: standard input may take its time.
///
/// # Errors
/// A file that cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<HostFile>, Failure> {
    let read = |path: &PathBuf| files::read(path).map(|file| HostFile::new(file.name, file.text));
    paths.iter().map(read).collect()
}

fn problem(obstacle: Obstacle) -> Problem {
    let first = Problem::Failed { file: obstacle.file, failure: obstacle.failure };
    if obstacle.further.is_empty() {
        return first;
    }
    Problem::Several(
        std::iter::once(first).chain(obstacle.further.into_iter().map(Problem::from)).collect(),
    )
}
