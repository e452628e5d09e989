//! Windows: the service is asked, and nobody else can tell.

use hostcompute::schema::service::Lack;
use hostcompute::{Failure, Host, Options};

/// Asks the service.
pub fn examine(options: Options) -> Result<Vec<Lack>, Failure> {
    Host::running(&options)?.doctor()
}

/// Nothing.
pub fn lacks_without_service() -> Vec<Lack> {
    Vec::new()
}
