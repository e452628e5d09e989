//! Ports of the host that are kept for a guest, and given back without blocking anybody.

use hostcompute_schema::Failure;
use hostcompute_schema::service::PortReservation;

use super::pool::{Aside, run};

/// Ports of the host that are kept for a guest, until this is dropped: [`crate::ReservedPorts`] for programs on tokio.
#[derive(Debug)]
pub struct ReservedPorts(Aside<crate::ReservedPorts>);

impl From<crate::ReservedPorts> for ReservedPorts {
    fn from(ports: crate::ReservedPorts) -> Self {
        Self(Aside::new(ports))
    }
}

impl ReservedPorts {
    /// Which ports.
    pub fn ports(&self) -> std::ops::RangeInclusive<u16> {
        self.0.ports()
    }

    /// The reservation as the service lists it.
    pub fn reservation(&self) -> &PortReservation {
        self.0.reservation()
    }

    /// Gives the ports back, as dropping does, and tells whether that succeeded.
    ///
    /// # Errors
    /// As [`crate::ReservedPorts::release`].
    pub async fn release(self) -> Result<(), Failure> {
        let ports = self.0.into_inner();
        run(move || ports.release()).await?
    }
}
