//! Linux: where no service runs, the examination is made inside this process.

use hostcompute::schema::service::Lack;
use hostcompute::{Failure, Host, Options, Way, local};

/// Asks the service that runs; else looks itself, and makes nothing where nothing was made before.
pub fn examine(options: Options) -> Result<Vec<Lack>, Failure> {
    if options.way != Way::Embedded {
        match Host::running(&options) {
            Ok(host) => return host.doctor(),
            Err(failure) if options.way != Way::Any => return Err(failure),
            Err(_) => {}
        }
    }
    if options.state_dir.exists() {
        return Host::embedded(options)?.doctor();
    }
    local::examine(&options).map(|diagnosis| diagnosis.findings)
}

/// What can be told although no service can be opened.
pub fn lacks_without_service() -> Vec<Lack> {
    local::diagnosis(None).findings
}
