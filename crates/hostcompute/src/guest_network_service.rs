//! Handles of guest network services, and ports of the host that are kept for guests.

use hostcompute_schema::operation::Operation;
use hostcompute_schema::service::{
    PortAccess, PortProtocol, PortRequest, PortReservation, PortReservations,
};
use hostcompute_schema::{
    Document, GuestNetworkService, GuestNetworkServiceResourceType, GuestNetworkServiceState,
    GuestNetworkServiceStateRequest, ModifyGuestNetworkServiceSettingRequest, ModifyRequestType,
    ServiceOperation,
};

use crate::transport::{Ask, Subscription, Topic};
use crate::{Failure, Host};

handle! {
    /// The networking agent of a virtual machine, as the host sees it.
    ///
    /// ```no_run
    /// use hostcompute::schema::GuestNetworkService;
    /// use hostcompute::schema::service::{PortAccess, PortProtocol};
    /// use hostcompute::{GuestService, Host, Options};
    ///
    /// # fn main() -> Result<(), hostcompute::Error> {
    /// let host = Host::auto(Options::from_env())?;
    /// let guest = GuestService::create(&host, &GuestNetworkService::default())?;
    /// let port = guest.reserve_port(PortProtocol::Tcp, PortAccess::Exclusive, 8080)?;
    /// assert_eq!(port.ports(), 8080..=8080); // nobody else on this host can have it
    /// drop(port); // now they can
    /// guest.delete()?;
    /// # Ok(())
    /// # }
    /// ```
    GuestService, GuestNetworkService, GuestNetworkService,
    open OpenGuestNetworkService, enumerate EnumerateGuestNetworkServices,
    query QueryGuestNetworkServiceProperties, delete DeleteGuestNetworkService,
    modify ModifyGuestNetworkService by ModifyGuestNetworkServiceSettingRequest
}

creation! { GuestService, GuestNetworkService, CreateGuestNetworkService }

impl GuestService {
    /// Moves it to another state; those who listen hear of it.
    ///
    /// # Errors
    /// E_INVALIDARG for a state that is the service's own (None, Created, Rehydrating, Destroyed).
    pub fn set_state(&self, state: GuestNetworkServiceState) -> Result<(), Failure> {
        let settings = GuestNetworkServiceStateRequest {
            state: Some(state),
            ..GuestNetworkServiceStateRequest::default()
        };
        self.modify(&ModifyGuestNetworkServiceSettingRequest {
            request_type: Some(ModifyRequestType::Update),
            resource_type: Some(GuestNetworkServiceResourceType::State),
            settings: Some(settings.to_value()),
            ..ModifyGuestNetworkServiceSettingRequest::default()
        })
    }

    /// Listens to what happens to it from now on.
    ///
    /// # Errors
    /// ERROR_NOT_FOUND when it was deleted.
    pub fn subscribe(&self) -> Result<Subscription, Failure> {
        self.host().subscribe(Topic::GuestService(self.id()), None)
    }

    /// Keeps one port of the host from every program, published port and other reservation.
    ///
    /// # Errors
    /// HCN_E_PORT_ALREADY_EXISTS when somebody has it, E_INVALIDARG for port 0.
    pub fn reserve_port(
        &self,
        protocol: PortProtocol,
        access: PortAccess,
        port: u16,
    ) -> Result<ReservedPorts, Failure> {
        self.reserve(PortRequest {
            protocol: Some(protocol),
            access: Some(access),
            port: Some(port),
            ..PortRequest::default()
        })
    }

    /// Keeps `count + 1` ports next to each other, of both protocols; the service chooses which.
    ///
    /// # Errors
    /// HCN_E_PORT_ALREADY_EXISTS when the host has no such row of free ports.
    pub fn reserve_range(&self, count: u16) -> Result<ReservedPorts, Failure> {
        self.reserve(PortRequest { port_count: Some(count), ..PortRequest::default() })
    }

    fn reserve(&self, mut request: PortRequest) -> Result<ReservedPorts, Failure> {
        request.guest_network_service = Some(self.id());
        let document = request.to_value().to_string();
        let ask = Ask { document: &document, ..Ask::plain(ServiceOperation::ReservePorts) };
        let made = self.host().serve(&ask)?;
        let reservation = hostcompute_schema::parse_value::<PortReservation>(&made, "")?.document;
        Ok(ReservedPorts { host: self.host().clone(), reservation, held: true })
    }
}

/// Ports of the host that are kept for a guest: until this is dropped, its guest network service is deleted, or the connection to the
/// service ends, whichever comes first.
///
/// ```no_run
/// use hostcompute::{GuestService, Host, Options};
///
/// # fn main() -> Result<(), hostcompute::Error> {
/// let host = Host::auto(Options::from_env())?;
/// let guest = GuestService::find(&host, "vm-1")?;
/// let row = guest.reserve_range(9)?; // ten of them
/// println!("{}-{} of {:?}", row.ports().start(), row.ports().end(), row.reservation().protocol);
/// row.release()?; // as dropping does, and tells whether it succeeded
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReservedPorts {
    host: Host,
    reservation: PortReservation,
    held: bool,
}

impl ReservedPorts {
    /// Which ports.
    pub fn ports(&self) -> std::ops::RangeInclusive<u16> {
        let first = self.reservation.starting_port.unwrap_or_default();
        first..=self.reservation.ending_port.unwrap_or(first)
    }

    /// The reservation as the service lists it.
    pub fn reservation(&self) -> &PortReservation {
        &self.reservation
    }

    /// Gives the ports back, as dropping does, and tells whether that succeeded.
    ///
    /// # Errors
    /// E_HANDLE when they were given back before, with the guest network service.
    pub fn release(mut self) -> Result<(), Failure> {
        self.give_back()
    }

    fn give_back(&mut self) -> Result<(), Failure> {
        self.held = false;
        let number = self.reservation.reservation.unwrap_or_default().to_string();
        let parameters = [("handle", &*number)];
        let ask = Ask { parameters: &parameters, ..Ask::plain(ServiceOperation::ReleasePorts) };
        Ok(self.host.serve(&ask).map(drop)?)
    }
}

impl Drop for ReservedPorts {
    fn drop(&mut self) {
        if self.held {
            // Whoever wants to know calls `release`; what cannot be reached any more has let go by itself.
            let _ = self.give_back();
        }
    }
}

/// The reserved ports of the whole host, whoever has them.
///
/// # Errors
/// Why the service cannot be reached.
pub fn reservations(host: &Host) -> Result<Vec<PortReservation>, Failure> {
    let listed = host.serve(&Ask::plain(ServiceOperation::ListReservations))?;
    let listed = hostcompute_schema::parse_value::<PortReservations>(&listed, "")?.document;
    Ok(listed.reservations)
}
