//! What is not as it should be, in words: the result of a check, and what a start repaired.

use std::fmt;

use hostcompute_engine::host::Difference;
use hostcompute_linux::describe;
use hostcompute_service::{Outcome, Recovery, Report};

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub subject: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)
    }
}

pub(crate) fn findings(report: &Report) -> Vec<Finding> {
    let broken = report.broken.iter().map(|broken| Finding {
        subject: format!("{} {}", broken.kind, broken.id),
        problem: broken.what.clone(),
    });
    let differences = report.differences.iter().map(difference);
    let pending = report.pending.iter().map(|operation| Finding {
        subject: operation.clone(),
        problem: "neither finished nor undone".to_owned(),
    });
    broken.chain(differences).chain(pending).collect()
}

fn difference(difference: &Difference) -> Finding {
    let (subject, problem) = match difference {
        Difference::Missing(fact) => (describe::fact(fact), "missing on the host".to_owned()),
        Difference::Different { wanted, found } => {
            (describe::fact(wanted), format!("different on the host: {found}"))
        }
        Difference::Stray(stray) => {
            (stray.what.clone(), "on the host, and no object explains it".to_owned())
        }
    };
    Finding { subject, problem }
}

pub(crate) fn repaired(recovery: &Recovery) -> Vec<String> {
    let operation = &recovery.operation;
    let outcome = match &recovery.outcome {
        Outcome::Finished => format!("{operation} had been interrupted and was finished"),
        Outcome::Undone(failure) => {
            format!("{operation} had been interrupted and was undone: {failure}")
        }
        Outcome::Rebuilt => {
            "the host was started anew: what lasts was built again, the rest is gone".to_owned()
        }
    };
    let problems =
        recovery.problems.iter().map(|problem| format!("could not be repaired: {problem}"));
    std::iter::once(outcome).chain(problems).collect()
}
