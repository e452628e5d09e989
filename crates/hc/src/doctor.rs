//! `hc doctor`: what this kernel and this host lack, what that costs, and what to do about it.

use hostcompute::doctor::{Finding, Severity, examine};
use hostcompute::{Host, Options};
use serde_json::{Value, json};

use crate::arguments::Form;
use crate::print;
use crate::problem::{Done, Problem};

/// Examines; a host that cannot be opened is a finding like any other.
///
/// # Errors
/// Something is wrong that keeps everything from working.
pub fn run(options: Options, form: Form) -> Done {
    let findings = match Host::embedded(options) {
        Ok(host) => host.doctor()?,
        Err(failure) => {
            let unusable = Finding {
                severity: Severity::Problem,
                subject: "the service".to_owned(),
                found: failure.message,
                consequence: "nothing can be made here".to_owned(),
                remedy: failure.hint.unwrap_or_default(),
            };
            std::iter::once(unusable).chain(examine(None)).collect()
        }
    };
    match form {
        Form::Json => print::json(&document(&findings))?,
        Form::Yaml => print::yaml(&document(&findings))?,
        Form::Table | Form::Id if findings.is_empty() => print::line("nothing is missing")?,
        Form::Table | Form::Id => print::text(&findings.iter().map(paragraph).collect::<String>())?,
    }
    if findings.iter().any(|finding| finding.severity == Severity::Problem) {
        return Err(Problem::Told);
    }
    Ok(())
}

fn document(findings: &[Finding]) -> Value {
    let entry = |finding: &Finding| {
        json!({
            "Severity": finding.severity.to_string(),
            "Subject": finding.subject,
            "Found": finding.found,
            "Consequence": finding.consequence,
            "Remedy": finding.remedy,
        })
    };
    Value::Array(findings.iter().map(entry).collect())
}

fn paragraph(finding: &Finding) -> String {
    let mut text = format!("{}: {}: {}\n", finding.severity, finding.subject, finding.found);
    for (word, line) in [("cost", &finding.consequence), ("remedy", &finding.remedy)] {
        if !line.is_empty() {
            text.push_str(&format!("    {word}: {line}\n"));
        }
    }
    text
}
