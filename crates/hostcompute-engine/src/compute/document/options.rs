//! The options of verbs (hcs.md 3.9), as far as containers have any.

use core::time::Duration;

use hostcompute_schema::hcs::{self, PauseOptions, ShutdownOptions, ShutdownType, StartOptions};
use hostcompute_schema::{Document, Failure, HResult};

/// How a container is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shutdown {
    /// What has not ended then is killed; absent: it goes on.
    pub force_after: Option<Duration>,
}

/// How long processes have when the shutdown is forced and no time is given.
const GRACE: Duration = Duration::from_secs(10);

/// Reads what HcsShutDownComputeSystem is given. Mechanism and Reason have no meaning for a container.
///
/// # Errors
/// HCS_E_INVALID_JSON; ERROR_NOT_SUPPORTED for Hibernate and Reboot.
pub fn read_shutdown(text: &str) -> Result<Shutdown, Failure> {
    let options: ShutdownOptions = hcs::parse_optional(text)?;
    match options.kind.unwrap_or_default() {
        ShutdownType::Shutdown => {}
        kind => {
            let why = alloc::format!("a container cannot {kind}");
            let failure = Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at("$.Type");
            return Err(failure.in_document(text));
        }
    }
    // TimeoutSeconds is no published member; who sends it (ZLayer) means to terminate after it.
    let patience = options.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let forced = options.force == Some(true);
    let force_after = forced.then(|| patience.unwrap_or(GRACE));
    Ok(Shutdown { force_after })
}

/// Checks what HcsStartComputeSystem is given.
///
/// # Errors
/// HCS_E_INVALID_JSON; ERROR_NOT_SUPPORTED for the destination of a migration.
pub fn check_start(text: &str) -> Result<(), Failure> {
    let options: StartOptions = hcs::parse_optional(text)?;
    if options.is_blank() {
        return Ok(());
    }
    let why = "containers do not migrate";
    let at = "$.DestinationMigrationOptions";
    Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why).at(at).in_document(text))
}

/// Checks what HcsPauseComputeSystem is given: a container is suspended, whatever is to come after it.
///
/// # Errors
/// HCS_E_INVALID_JSON.
pub fn check_pause(text: &str) -> Result<(), Failure> {
    hcs::parse_optional::<PauseOptions>(text).map(drop)
}
