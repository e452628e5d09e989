//! How much one client may have of the compute service, so that none can take it from the others.
//!
//! Systems are counted for their user, whoever of the user's sessions made them, also over a restart of the service; handles for the
//! session; processes for the system.

use hostcompute_schema::Failure;

use crate::server::{Limits, exceeded};

/// What a client may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Whose systems are counted; `None` counts for nobody.
    pub uid: Option<u32>,
    /// Systems of the user that have not ended.
    pub systems: usize,
    /// Processes that run, of those that were asked for in one system.
    pub processes: usize,
    /// Handles of systems and processes of the session.
    pub handles: usize,
}

impl Allowance {
    /// For whoever is the service's own.
    pub const UNLIMITED: Allowance =
        Allowance { uid: None, systems: usize::MAX, processes: usize::MAX, handles: usize::MAX };

    /// A user's.
    pub fn of(uid: u32, limits: Limits) -> Self {
        let Limits { systems, processes, handles, .. } = limits.of_user(uid);
        Self { uid: Some(uid), systems, processes, handles }
    }

    /// Whether there may be one more handle than so many.
    ///
    /// # Errors
    /// ERROR_NOT_ENOUGH_QUOTA.
    pub(super) fn admits_handle(&self, has: usize) -> Result<(), Failure> {
        if has < self.handles {
            return Ok(());
        }
        let what = format!("this session has {has} handles of systems and processes");
        Err(exceeded(&what, self.handles, "handles", "close one"))
    }

    /// Whether there may be one more process than so many.
    ///
    /// # Errors
    /// ERROR_NOT_ENOUGH_QUOTA.
    pub(super) fn admits_process(&self, runs: usize) -> Result<(), Failure> {
        if runs < self.processes {
            return Ok(());
        }
        let what = format!("{runs} processes that were asked for run in this system");
        Err(exceeded(&what, self.processes, "processes", "end one"))
    }

    /// Whether there may be one more system than so many.
    ///
    /// # Errors
    /// ERROR_NOT_ENOUGH_QUOTA.
    pub(super) fn admits_system(&self, has: usize) -> Result<(), Failure> {
        if has < self.systems {
            return Ok(());
        }
        let whose = self.uid.unwrap_or_default();
        let what = format!("user {whose} has {has} compute systems");
        Err(exceeded(&what, self.systems, "systems", "end one"))
    }
}
