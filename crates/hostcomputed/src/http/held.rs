//! What a session holds until it gives it back or ends: handles on objects, ports of the host.

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hostcompute_engine::Kind;
use hostcompute_engine::host::Ports;
use hostcompute_schema::service::{
    HandleRequest, ObjectKind, PortAccess, PortProtocol, PortRequest, PortReservation,
    PortReservations, SessionHandle, SessionHandles,
};
use hostcompute_schema::{Document, Failure, Guid, HResult, ServiceOperation};
use hostcompute_service::server::{Access, Handle, Reservation};
use serde_json::Value;

use super::answer;
use super::service::Asked;

/// Opens, lists and closes handles.
pub fn handles(asked: &Asked) -> Result<Response, Failure> {
    match asked.operation {
        ServiceOperation::OpenHandle => asked.open_handle(),
        ServiceOperation::CloseHandle => asked.close_handle(),
        _ => Ok(asked.list_handles()),
    }
}

/// Reserves, lists and releases ports. Waits for the thread that changes the host.
pub fn ports(asked: &Asked) -> Result<Response, Failure> {
    match asked.operation {
        ServiceOperation::ReservePorts => asked.reserve_ports(),
        ServiceOperation::ReleasePorts => {
            asked.session.release(asked.number()?)?;
            Ok(answer::empty(StatusCode::NO_CONTENT))
        }
        _ => Ok(asked.list_reservations()),
    }
}

impl Asked {
    fn open_handle(&self) -> Result<Response, Failure> {
        let wanted = hostcompute_schema::parse::<HandleRequest>(&self.document)?.document;
        let kind = kind(&wanted.kind.ok_or_else(|| missing("Kind"))?)?;
        let id: Guid = wanted.id.ok_or_else(|| missing("Id"))?;
        let Handle(number) = self.session.open(kind, id)?;
        let opened = SessionHandle { handle: Some(number), ..SessionHandle::default() };
        Ok(made(&opened.to_value(), &format!("/handles/{number}")))
    }

    fn list_handles(&self) -> Response {
        let open =
            self.session.handles().into_iter().map(|(Handle(number), kind, id)| SessionHandle {
                handle: Some(number),
                kind: Some(object_kind(kind)),
                id: Some(id),
                ..SessionHandle::default()
            });
        let handles = SessionHandles { handles: open.collect(), ..SessionHandles::default() };
        answer::document(StatusCode::OK, &handles.to_value())
    }

    fn close_handle(&self) -> Result<Response, Failure> {
        self.session.close(Handle(self.number()?))?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }

    /// The number in the path.
    fn number(&self) -> Result<u64, Failure> {
        self.place.parse().map_err(|_| {
            Failure::new(HResult::E_HANDLE, format!("{:?} is not a handle", self.place))
        })
    }

    fn reserve_ports(&self) -> Result<Response, Failure> {
        let wanted = hostcompute_schema::parse::<PortRequest>(&self.document)?.document;
        let guest = wanted.guest_network_service.filter(|id| !id.is_zero());
        let reserved = match (wanted.port, wanted.port_count) {
            (Some(port), None) => {
                let (tcp, udp) = protocols(&wanted.protocol.ok_or_else(|| missing("Protocol"))?)?;
                let access = access(wanted.access.as_ref())?;
                self.session.reserve_port(tcp, udp, access, port, guest)?
            }
            (None, Some(count)) => {
                if wanted.protocol.is_some() || wanted.access.is_some() {
                    let why = "a row of ports is of both protocols and exclusive";
                    return Err(Failure::new(HResult::E_INVALIDARG, why)
                        .hint("leave Protocol and Access out"));
                }
                self.session.reserve_range(count, guest)?
            }
            _ => {
                let why = "a reservation needs either Port or PortCount";
                return Err(Failure::new(HResult::E_INVALIDARG, why));
            }
        };
        let place = format!("/reservations/{}", reserved.number);
        Ok(made(&reservation(reserved).to_value(), &place))
    }

    fn list_reservations(&self) -> Response {
        let all = self.session.reservations().into_iter().map(reservation).collect();
        let reservations = PortReservations { reservations: all, ..PortReservations::default() };
        answer::document(StatusCode::OK, &reservations.to_value())
    }
}

/// The answer to what made something.
fn made(document: &Value, place: &str) -> Response {
    let mut response = answer::document(StatusCode::CREATED, document);
    if let Ok(place) = HeaderValue::from_str(place) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

fn missing(member: &str) -> Failure {
    Failure::new(HResult::E_INVALIDARG, format!("{member} is missing")).at(member)
}

/// TCP, UDP.
fn protocols(named: &PortProtocol) -> Result<(bool, bool), Failure> {
    match named {
        PortProtocol::Tcp => Ok((true, false)),
        PortProtocol::Udp => Ok((false, true)),
        PortProtocol::Both => Ok((true, true)),
        other => Err(unknown("Protocol", other.name())),
    }
}

fn access(named: Option<&PortAccess>) -> Result<Access, Failure> {
    match named {
        None | Some(PortAccess::Exclusive) => Ok(Access::Exclusive),
        Some(PortAccess::Shared) => Ok(Access::Shared),
        Some(other) => Err(unknown("Access", other.name())),
    }
}

fn unknown(member: &str, value: &str) -> Failure {
    Failure::new(HResult::E_INVALIDARG, format!("there is no {member} {value}")).at(member)
}

fn reservation(reservation: Reservation) -> PortReservation {
    let Reservation { number, session, service, ports, access } = reservation;
    let Ports { tcp, udp, first, last } = ports;
    PortReservation {
        reservation: Some(number),
        session: Some(session),
        guest_network_service: service,
        protocol: Some(match (tcp, udp) {
            (true, true) => PortProtocol::Both,
            (true, false) => PortProtocol::Tcp,
            (false, _) => PortProtocol::Udp,
        }),
        access: Some(match access {
            Access::Exclusive => PortAccess::Exclusive,
            Access::Shared => PortAccess::Shared,
        }),
        starting_port: Some(first),
        ending_port: Some(last),
        ..PortReservation::default()
    }
}

/// The kind of object that a handle is wanted of.
fn kind(named: &ObjectKind) -> Result<Kind, Failure> {
    let known = |kind: &&Kind| !kind.is_part_of_network() && object_kind(**kind) == *named;
    Kind::ALL.iter().find(known).copied().ok_or_else(|| {
        let why = format!("this service has no objects of kind {}", named.name());
        Failure::new(HResult::E_NOTIMPL, why)
    })
}

/// The word for a kind of object in documents.
fn object_kind(kind: Kind) -> ObjectKind {
    match kind {
        // Those are parts of their network.
        Kind::Network | Kind::Set | Kind::RemoteSubnet => ObjectKind::Network,
        Kind::Namespace => ObjectKind::Namespace,
        Kind::Endpoint => ObjectKind::Endpoint,
        Kind::LoadBalancer => ObjectKind::LoadBalancer,
        Kind::SdnRoute => ObjectKind::SdnRoute,
        Kind::GuestService => ObjectKind::GuestNetworkService,
    }
}
