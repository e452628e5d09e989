//! Adapters of this machine: [`crate::adapter`] for programs on tokio. The network namespace is that of the pool's threads, which is the
//! process's unless the program moved them.

use hostcompute_schema::Failure;

use super::pool::run;
use crate::adapter::{self as blocking, Adapter};

/// [`crate::adapter::list`], awaited.
///
/// # Errors
/// As that.
pub async fn list() -> Result<Vec<Adapter>, Failure> {
    run(blocking::list).await?
}

/// [`crate::adapter::find_primary_adapter`], awaited.
///
/// # Errors
/// As that.
pub async fn find_primary_adapter() -> Result<Adapter, Failure> {
    run(blocking::find_primary_adapter).await?
}
