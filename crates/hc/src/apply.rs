//! `hc up`, `hc diff`, `hc down`.

use std::path::PathBuf;

use hostcompute::apply::{File, Obstacle, Progress, Step};
use hostcompute::{Failure, Host};
use serde_json::{Value, json};

use crate::arguments::Form;
use crate::object::{Session, warn};
use crate::print::{self, Counter};
use crate::problem::{Done, Problem};
use crate::{events, files};

/// Makes what the files ask for.
///
/// # Errors
/// What is wrong with a file, or what the host refuses.
pub fn up(session: Session<'_>, files: &[File], with_events: bool) -> Done {
    run(session, Host::up, files)?;
    if with_events {
        events::print(session.host, session.form == Form::Json)?;
    }
    Ok(())
}

/// Deletes what the files name.
///
/// # Errors
/// What is wrong with a file, or what could not be deleted.
pub fn down(session: Session<'_>, files: &[File]) -> Done {
    run(session, Host::down, files)
}

/// Shows what [`up`] would do.
///
/// # Errors
/// What is wrong with a file.
pub fn diff(session: Session<'_>, files: &[File]) -> Done {
    let steps = session.host.diff(files, &mut |progress| {
        if let Progress::Tolerated { file, warning } = progress {
            warn(&file, &[warning]);
        }
    });
    let steps = steps.map_err(problem)?;
    for step in &steps {
        if session.form == Form::Table {
            print::line(&format!("would {}", sentence(step, step.verb)))?;
        }
    }
    summary(session, &steps, "everything is there already")
}

type Work = fn(&Host, &[File], &mut dyn FnMut(Progress)) -> Result<Vec<Step>, Obstacle>;

/// Carries out files, telling of each step as it is done.
fn run(session: Session<'_>, work: Work, files: &[File]) -> Done {
    let mut counter = Counter::new(0);
    let mut unread = Ok(());
    let steps = work(session.host, files, &mut |progress| match progress {
        Progress::Tolerated { file, warning } => warn(&file, &[warning]),
        Progress::Planned(total) => counter = Counter::new(total),
        Progress::Done(step) => {
            let sentence = sentence(&step, done(step.verb));
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
    let document = || Value::Array(steps.iter().map(step_document).collect());
    match session.form {
        Form::Table if steps.is_empty() => print::line(nothing),
        Form::Table => Ok(()),
        Form::Id => {
            let mut ids: Vec<String> = steps.iter().map(|step| format!("{}\n", step.id)).collect();
            ids.dedup();
            print::text(&ids.concat())
        }
        Form::Json => print::json(&document()),
        Form::Yaml => print::yaml(&document()),
    }
}

fn step_document(step: &Step) -> Value {
    let mut document = json!({ "Action": step.verb, "Kind": step.kind, "ID": step.id.to_string(), "Name": step.name });
    if !step.detail.is_empty() {
        document["Detail"] = step.detail.as_str().into();
    }
    document
}

fn sentence(step: &Step, verb: &str) -> String {
    let Step { kind, name, detail, .. } = step;
    match (step.verb, detail.is_empty()) {
        (_, true) => format!("{verb} {kind} {name}"),
        ("attach", _) => format!("{verb} {kind} {name} to {detail}"),
        ("detach", _) => format!("{verb} {kind} {name} from {detail}"),
        _ => format!("{verb} {kind} {name}: {detail}"),
    }
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
pub fn read(paths: &[PathBuf]) -> Result<Vec<File>, Failure> {
    let read =
        |path: &PathBuf| files::read(path).map(|file| File { name: file.name, text: file.text });
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
