//! What this Windows lacks, and what that costs.

use hostcompute_schema::service::{Diagnosis, Lack, Severity};
use hostcompute_schema::{ComputeOperation, Operation};

use super::boundary::library::{COMPUTE, Library, NETWORK, OLDER, STORAGE};

/// Looks for libraries, and for each function that could be called.
pub fn diagnosis() -> Diagnosis {
    let network: Vec<&str> = Operation::ALL.iter().map(|one| one.symbol()).collect();
    // What has a route is what the crate asks for; functions about layers are another library's.
    let asked = ComputeOperation::ALL.iter().filter(|one| one.route().is_some());
    let symbols = asked.filter_map(|one| one.symbol()).map(|name| (name, name.contains("Layer")));
    let (layers, compute): (Vec<_>, Vec<_>) = symbols.partition(|(_, is_layer)| *is_layer);
    let names =
        |found: Vec<(&'static str, bool)>| found.into_iter().map(|(name, _)| name).collect();
    let (layers, compute): (Vec<&str>, Vec<&str>) = (names(layers), names(compute));
    let findings = [
        lack(&NETWORK, &network, "networks, endpoints, namespaces, load balancers and routes"),
        lack(&COMPUTE, &compute, "compute systems and their processes"),
        lack(&STORAGE, &layers, "layers"),
        lack(&OLDER, &["HNSCall"], "the older calls of the network service"),
    ];
    Diagnosis { findings: findings.into_iter().flatten().collect(), ..Diagnosis::default() }
}

fn lack(library: &Library, functions: &[&str], what: &str) -> Option<Lack> {
    if !library.is_there() {
        return Some(told(
            Severity::Problem,
            library,
            "this Windows does not have it".to_owned(),
            format!("{what} cannot be asked for"),
            "add the features Containers and Hyper-V; Windows 10 version 1809 is the oldest with them",
        ));
    }
    let missing: Vec<&str> = functions.iter().filter(|name| !library.has(name)).copied().collect();
    (!missing.is_empty()).then(|| {
        told(
            Severity::Note,
            library,
            format!("it does not export {}", missing.join(", ")),
            "calls that need them are refused with E_NOTIMPL".to_owned(),
            "a newer Windows may have them",
        )
    })
}

fn told(
    severity: Severity,
    library: &Library,
    found: String,
    consequence: String,
    remedy: &str,
) -> Lack {
    Lack {
        severity: Some(severity),
        subject: Some(library.name().to_owned()),
        found: Some(found),
        consequence: Some(consequence),
        remedy: Some(remedy.to_owned()),
        ..Lack::default()
    }
}
