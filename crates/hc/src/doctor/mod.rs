//! `hc doctor`: what this kernel and this host lack, what that costs, and what to do about it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use hostcompute::Options;
use hostcompute::schema::Document;
use hostcompute::schema::service::{Lack, Severity};
use serde_json::Value;

use crate::arguments::Form;
use crate::print;
use crate::problem::{Done, Problem};
#[cfg(unix)]
use unix::{examine, lacks_without_service};
#[cfg(windows)]
use windows::{examine, lacks_without_service};

/// Examines; a host that cannot be opened is a finding like any other.
///
/// # Errors
/// Something is wrong that keeps everything from working.
pub fn run(options: Options, form: Form) -> Done {
    let lacks = examine(options).unwrap_or_else(|failure| {
        let unusable = Lack {
            severity: Some(Severity::Problem),
            subject: Some("the service".to_owned()),
            found: Some(failure.story()),
            consequence: Some("nothing can be made here".to_owned()),
            remedy: Some(failure.hint.unwrap_or_default()),
            ..Lack::default()
        };
        std::iter::once(unusable).chain(lacks_without_service()).collect()
    });
    let document = || Value::Array(lacks.iter().map(Document::to_value).collect());
    match form {
        Form::Json => print::json(&document())?,
        Form::Yaml => print::yaml(&document())?,
        Form::Table | Form::Id if lacks.is_empty() => print::line("nothing is missing")?,
        Form::Table | Form::Id => print::text(&lacks.iter().map(paragraph).collect::<String>())?,
    }
    if lacks.iter().any(|lack| lack.severity == Some(Severity::Problem)) {
        return Err(Problem::Told);
    }
    Ok(())
}

fn paragraph(lack: &Lack) -> String {
    fn said(member: &Option<String>) -> &str {
        member.as_deref().unwrap_or_default()
    }
    let severity = lack.severity.clone().unwrap_or_default().to_string().to_lowercase();
    let mut text = format!("{severity}: {}: {}\n", said(&lack.subject), said(&lack.found));
    for (word, line) in [("cost", said(&lack.consequence)), ("remedy", said(&lack.remedy))] {
        if !line.is_empty() {
            text.push_str(&format!("    {word}: {line}\n"));
        }
    }
    text
}
