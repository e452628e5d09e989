//! What the service and its host find, in the documents of the service's own operations.

use hostcompute_engine::host::{Difference, Flow as Connection};
use hostcompute_linux::{describe, doctor};
use hostcompute_schema::ProtocolType;
use hostcompute_schema::service::{Diagnosis, Finding, Findings, Flow, Flows, Lack, Severity};
use hostcompute_service::{Outcome, Recovery, Report};

/// What a check found.
pub fn findings(report: &Report) -> Findings {
    let broken = report
        .broken
        .iter()
        .map(|broken| Finding::new(format!("{} {}", broken.kind, broken.id), &broken.what));
    let differences = report.differences.iter().map(difference);
    let pending = report
        .pending
        .iter()
        .map(|operation| Finding::new(operation.clone(), "neither finished nor undone"));
    let damage = report.damage.iter().map(|damage| Finding::new("state file", &damage.to_string()));
    let findings = broken.chain(differences).chain(pending).chain(damage).collect();
    Findings { findings, ..Findings::default() }
}

fn difference(difference: &Difference) -> Finding {
    match difference {
        Difference::Missing(fact) => Finding::new(describe::fact(fact), "missing on the host"),
        Difference::Different { wanted, found } => {
            Finding::new(describe::fact(wanted), &format!("different on the host: {found}"))
        }
        Difference::Stray(stray) => {
            Finding::new(stray.what.clone(), "on the host, and no object explains it")
        }
    }
}

/// What a start had to repair.
pub fn repaired(recovery: &Recovery) -> Vec<String> {
    let operation = &recovery.operation;
    let outcome = match &recovery.outcome {
        Outcome::Finished => format!("{operation} had been interrupted and was finished"),
        Outcome::Undone(failure) => {
            format!("{operation} had been interrupted and was undone: {failure:#}")
        }
        Outcome::Rebuilt => {
            "the host was started anew: what lasts was built again, the rest is gone".to_owned()
        }
    };
    let problems =
        recovery.problems.iter().map(|problem| format!("could not be repaired: {problem}"));
    std::iter::once(outcome).chain(problems).collect()
}

/// What a machine lacks.
pub fn lacks(findings: Vec<doctor::Finding>) -> Diagnosis {
    let lack = |finding: doctor::Finding| Lack {
        severity: Some(match finding.severity {
            doctor::Severity::Note => Severity::Note,
            doctor::Severity::Warning => Severity::Warning,
            doctor::Severity::Problem => Severity::Problem,
        }),
        subject: Some(finding.subject),
        found: Some(finding.found),
        consequence: Some(finding.consequence),
        remedy: Some(finding.remedy),
        ..Lack::default()
    };
    Diagnosis { findings: findings.into_iter().map(lack).collect(), ..Diagnosis::default() }
}

/// Connections that a host tracks.
pub fn flows(connections: &[Connection]) -> Flows {
    let flow = |connection: &Connection| Flow {
        protocol: Some(ProtocolType(connection.protocol.into())),
        source: Some(connection.source.to_string()),
        destination: Some(connection.destination.to_string()),
        translated_to: connection.translated_to.map(|address| address.to_string()),
        bytes: connection.bytes,
        state: Some(connection.state.name().to_owned()),
        ..Flow::default()
    };
    Flows { flows: connections.iter().map(flow).collect(), ..Flows::default() }
}
