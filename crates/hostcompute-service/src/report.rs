//! `hc check` and `hc inspect`: whether documents, journal and kernel agree, and what there is.

use hostcompute_engine::Broken;
use hostcompute_engine::host::{Difference, Host};
use hostcompute_schema::Failure;
use serde_json::{Value, json};

use crate::Service;

/// Everything that is not as it should be; empty when all is well.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Invariants of the state that do not hold.
    pub broken: Vec<Broken>,
    /// Where the host differs from the state.
    pub differences: Vec<Difference>,
    /// An operation that is neither finished nor undone.
    pub pending: Option<String>,
    /// What is wrong with the file of the state; it is written anew by [`Service::repair`].
    pub damage: Option<Failure>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.broken.is_empty()
            && self.differences.is_empty()
            && self.pending.is_none()
            && self.damage.is_none()
    }
}

impl<H: Host> Service<H> {
    /// Compares documents, journal and kernel.
    ///
    /// # Errors
    /// The host cannot be read.
    pub fn check(&mut self) -> Result<Report, Failure> {
        let differences = self.host.compare(&self.state.facts()).map_err(|fault| fault.failure)?;
        let damage = self.store.verify().err();
        let pending = if damage.is_some() { None } else { self.store.pending()? };
        Ok(Report { broken: self.state.check(), differences, pending, damage })
    }

    /// The live tree for people who look into a running service.
    pub fn inspect(&self) -> Value {
        let (identity, state) = (&self.identity, &self.state);
        // A file that cannot be read has its own finding, in a check.
        let pending = self.store.pending().unwrap_or_default();
        json!({
            "State": {
                "Directory": self.store.directory().to_string_lossy(),
                "Pending": pending,
                "Settled": self.store.is_settled(),
            },
            "Host": { "Boot": identity.boot, "Namespace": identity.host, "Place": identity.place },
            "Objects": {
                "Networks": state.networks().count(),
                "Namespaces": state.namespaces().count(),
                "Endpoints": state.endpoints().count(),
                "LoadBalancers": state.load_balancers().count(),
                "Routes": state.sdn_routes().count(),
                "GuestNetworkServices": state.guest_services().count(),
            },
            "Facts": state.facts().len(),
            "Events": self.notifier.next().saturating_sub(1),
        })
    }
}
