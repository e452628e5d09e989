//! What this machine lacks, and what that costs.
//!
//! Everything is tried, not looked up: links, queues and rules are made in a network namespace that goes with the thread which
//! made it. Only what others have set up on the host (a firewall that drops what we forward) is read there.

mod features;
mod host;
mod kernel;

use std::fmt;

use crate::Linux;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Something will not work.
    Warning,
    /// Nothing will work.
    Problem,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

/// Something that is not as it could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// What was tried or looked at.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What that costs.
    pub consequence: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    fn new(severity: Severity, subject: &str, found: impl Into<String>) -> Self {
        Self {
            severity,
            subject: subject.to_owned(),
            found: found.into(),
            consequence: String::new(),
            remedy: String::new(),
        }
    }

    fn costs(mut self, consequence: &str) -> Self {
        self.consequence = consequence.to_owned();
        self
    }

    fn remedy(mut self, remedy: &str) -> Self {
        self.remedy = remedy.to_owned();
        self
    }
}

/// Examines the kernel and, if it could be opened, the host. The worst comes first; nothing found is good news.
pub fn examine(host: Option<&mut Linux>) -> Vec<Finding> {
    let mut findings = kernel::examine();
    findings.extend(host::examine(host));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}
