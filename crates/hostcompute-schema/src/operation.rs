//! Everything that can be asked: one table of operations.
//!
//! An operation is a verb on a kind of object, with the types of the document that goes in and of
//! the answer. Every face derives from this table: the exported functions of the C library, the
//! routes of the HTTP interface, the rights that a caller needs, the OpenAPI document. Functions
//! without a route concern handles or memory of the calling process only.

use core::fmt;
use core::str::FromStr;

use crate::document::Document;
use crate::hcn::*;
use crate::schema::{SchemaVersion, StructSchema};

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Network,
    Endpoint,
    Namespace,
    LoadBalancer,
    SdnRoute,
    GuestNetworkService,
    PortReservation,
    /// The service itself.
    Service,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Verb {
    Enumerate,
    Create,
    Open,
    Modify,
    Query,
    Delete,
    Close,
    Subscribe,
    Unsubscribe,
    Reserve,
    Release,
    /// Gives back memory that the library allocated.
    Free,
}

/// The right that a caller needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Look.
    Read,
    /// Change.
    Manage,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// The document that goes in.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// Nothing.
    None,
    /// A query, which may be left out.
    Query,
    /// A document that must be there.
    Document(&'static StructSchema),
    /// Numbers instead of a document.
    Arguments,
}

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// Nothing.
    None,
    /// The id of what was made.
    Id,
    /// A list of ids.
    Ids,
    /// A document.
    Document(&'static StructSchema),
    /// Documents, as things happen.
    Events(&'static StructSchema),
    /// A document that nobody has described.
    Undescribed,
    /// Numbers instead of a document.
    Numbers,
}

macro_rules! operations {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident: $verb:ident $kind:ident, $right:ident,
            $($method:ident $path:literal)?, $input:expr => $output:expr, [$($since:literal)?];
    )*) => {
        /// One function of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($(#[doc = $doc])* $name,)*
        }

        impl Operation {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [Operation] = &[$(Operation::$name),*];

            fn row(self) -> &'static Row {
                match self {
                    $(Operation::$name => {
                        static ROW: Row = Row {
                            name: stringify!($name),
                            symbol: concat!("Hcn", stringify!($name)),
                            verb: Verb::$verb,
                            kind: Kind::$kind,
                            right: Right::$right,
                            route: only(&[$((Method::$method, $path))?]),
                            input: { use Input::*; $input },
                            output: { use Output::*; $output },
                            since: $crate::enumeration::since(&[$($since)?]),
                            doc: concat!($($doc),*),
                        };
                        &ROW
                    })*
                }
            }
        }
    };
}

struct Row {
    name: &'static str,
    symbol: &'static str,
    verb: Verb,
    kind: Kind,
    right: Right,
    route: Option<(Method, &'static str)>,
    input: Input,
    output: Output,
    since: Option<SchemaVersion>,
    doc: &'static str,
}

const fn only(routes: &[(Method, &'static str)]) -> Option<(Method, &'static str)> {
    match routes {
        [route] => Some(*route),
        _ => None,
    }
}

operations! {
    /// Lists the networks that match a query.
    EnumerateNetworks: Enumerate Network, Read, Get "/networks", Query => Ids, ["2.0"];
    /// Makes a network.
    CreateNetwork: Create Network, Manage, Post "/networks",
        Document(HostComputeNetwork::SCHEMA) => Id, ["2.0"];
    /// Opens a network: fails when it does not exist.
    OpenNetwork: Open Network, Read, Head "/networks/{id}", None => None, ["2.0"];
    /// Changes policies, address ranges or other parts of a network.
    ModifyNetwork: Modify Network, Manage, Patch "/networks/{id}",
        Document(ModifyNetworkSettingRequest::SCHEMA) => None, ["2.0"];
    /// Tells everything about a network.
    QueryNetworkProperties: Query Network, Read, Get "/networks/{id}",
        Query => Document(HostComputeNetwork::SCHEMA), ["2.0"];
    /// Removes a network and its endpoints.
    DeleteNetwork: Delete Network, Manage, Delete "/networks/{id}", None => None, ["2.0"];
    /// Gives back the handle of a network.
    CloseNetwork: Close Network, Read, , None => None, ["2.0"];

    /// Lists the endpoints that match a query.
    EnumerateEndpoints: Enumerate Endpoint, Read, Get "/endpoints", Query => Ids, ["2.0"];
    /// Makes an endpoint on a network.
    CreateEndpoint: Create Endpoint, Manage, Post "/networks/{id}/endpoints",
        Document(HostComputeEndpoint::SCHEMA) => Id, ["2.0"];
    /// Opens an endpoint: fails when it does not exist.
    OpenEndpoint: Open Endpoint, Read, Head "/endpoints/{id}", None => None, ["2.0"];
    /// Changes policies or the port of an endpoint.
    ModifyEndpoint: Modify Endpoint, Manage, Patch "/endpoints/{id}",
        Document(ModifyEndpointSettingRequest::SCHEMA) => None, ["2.0"];
    /// Tells everything about an endpoint.
    QueryEndpointProperties: Query Endpoint, Read, Get "/endpoints/{id}",
        Query => Document(HostComputeEndpoint::SCHEMA), ["2.0"];
    /// Tells what went through an endpoint.
    QueryEndpointStats: Query Endpoint, Read, Get "/endpoints/{id}/statistics",
        Query => Document(EndpointStats::SCHEMA), ["2.0"];
    /// Tells the addresses that an endpoint has at the moment.
    QueryEndpointAddresses: Query Endpoint, Read, Get "/endpoints/{id}/addresses",
        Query => Undescribed, ["2.0"];
    /// Detaches and removes an endpoint.
    DeleteEndpoint: Delete Endpoint, Manage, Delete "/endpoints/{id}", None => None, ["2.0"];
    /// Gives back the handle of an endpoint.
    CloseEndpoint: Close Endpoint, Read, , None => None, ["2.0"];

    /// Lists the namespaces that match a query.
    EnumerateNamespaces: Enumerate Namespace, Read, Get "/namespaces", Query => Ids, ["2.0"];
    /// Makes a namespace.
    CreateNamespace: Create Namespace, Manage, Post "/namespaces",
        Document(HostComputeNamespace::SCHEMA) => Id, ["2.0"];
    /// Opens a namespace: fails when it does not exist.
    OpenNamespace: Open Namespace, Read, Head "/namespaces/{id}", None => None, ["2.0"];
    /// Attaches an endpoint to a namespace or detaches it.
    ModifyNamespace: Modify Namespace, Manage, Patch "/namespaces/{id}",
        Document(ModifyNamespaceSettingRequest::SCHEMA) => None, ["2.0"];
    /// Tells everything about a namespace.
    QueryNamespaceProperties: Query Namespace, Read, Get "/namespaces/{id}",
        Query => Document(HostComputeNamespace::SCHEMA), ["2.0"];
    /// Removes a namespace; its endpoints are detached.
    DeleteNamespace: Delete Namespace, Manage, Delete "/namespaces/{id}", None => None, ["2.0"];
    /// Gives back the handle of a namespace.
    CloseNamespace: Close Namespace, Read, , None => None, ["2.0"];

    /// Lists the load balancers that match a query.
    EnumerateLoadBalancers: Enumerate LoadBalancer, Read, Get "/loadbalancers",
        Query => Ids, ["2.0"];
    /// Makes a load balancer.
    CreateLoadBalancer: Create LoadBalancer, Manage, Post "/loadbalancers",
        Document(HostComputeLoadBalancer::SCHEMA) => Id, ["2.0"];
    /// Opens a load balancer: fails when it does not exist.
    OpenLoadBalancer: Open LoadBalancer, Read, Head "/loadbalancers/{id}", None => None, ["2.0"];
    /// Puts a whole document in the place of a load balancer; established connections stay.
    ModifyLoadBalancer: Modify LoadBalancer, Manage, Put "/loadbalancers/{id}",
        Document(HostComputeLoadBalancer::SCHEMA) => None, ["2.0"];
    /// Tells everything about a load balancer.
    QueryLoadBalancerProperties: Query LoadBalancer, Read, Get "/loadbalancers/{id}",
        Query => Document(HostComputeLoadBalancer::SCHEMA), ["2.0"];
    /// Removes a load balancer; its endpoints stay.
    DeleteLoadBalancer: Delete LoadBalancer, Manage, Delete "/loadbalancers/{id}",
        None => None, ["2.0"];
    /// Gives back the handle of a load balancer.
    CloseLoadBalancer: Close LoadBalancer, Read, , None => None, ["2.0"];

    /// Lists the SDN routes that match a query.
    EnumerateSdnRoutes: Enumerate SdnRoute, Read, Get "/sdnroutes", Query => Ids, [];
    /// Makes an SDN route.
    CreateSdnRoute: Create SdnRoute, Manage, Post "/sdnroutes",
        Document(HostComputeRoute::SCHEMA) => Id, [];
    /// Opens an SDN route: fails when it does not exist.
    OpenSdnRoute: Open SdnRoute, Read, Head "/sdnroutes/{id}", None => None, [];
    /// Puts a whole document in the place of an SDN route.
    ModifySdnRoute: Modify SdnRoute, Manage, Put "/sdnroutes/{id}",
        Document(HostComputeRoute::SCHEMA) => None, [];
    /// Tells everything about an SDN route.
    QuerySdnRouteProperties: Query SdnRoute, Read, Get "/sdnroutes/{id}",
        Query => Document(HostComputeRoute::SCHEMA), [];
    /// Removes an SDN route.
    DeleteSdnRoute: Delete SdnRoute, Manage, Delete "/sdnroutes/{id}", None => None, [];
    /// Gives back the handle of an SDN route.
    CloseSdnRoute: Close SdnRoute, Read, , None => None, [];

    /// Lists the guest network services that match a query.
    EnumerateGuestNetworkServices: Enumerate GuestNetworkService, Read,
        Get "/guestnetworkservices", Query => Ids, [];
    /// Makes a guest network service.
    CreateGuestNetworkService: Create GuestNetworkService, Manage, Post "/guestnetworkservices",
        Document(GuestNetworkService::SCHEMA) => Id, ["2.0"];
    /// Opens a guest network service: fails when it does not exist.
    OpenGuestNetworkService: Open GuestNetworkService, Read, Head "/guestnetworkservices/{id}",
        None => None, [];
    /// Moves a guest network service to another state.
    ModifyGuestNetworkService: Modify GuestNetworkService, Manage,
        Patch "/guestnetworkservices/{id}",
        Document(ModifyGuestNetworkServiceSettingRequest::SCHEMA) => None, ["2.0"];
    /// Tells everything about a guest network service.
    QueryGuestNetworkServiceProperties: Query GuestNetworkService, Read,
        Get "/guestnetworkservices/{id}", Query => Document(GuestNetworkService::SCHEMA), [];
    /// Removes a guest network service.
    DeleteGuestNetworkService: Delete GuestNetworkService, Manage,
        Delete "/guestnetworkservices/{id}", None => None, ["2.0"];
    /// Gives back the handle of a guest network service.
    CloseGuestNetworkService: Close GuestNetworkService, Read, , None => None, ["2.0"];
    /// Sends what happens to a guest network service until it is unregistered.
    RegisterGuestNetworkServiceCallback: Subscribe GuestNetworkService, Read,
        Get "/guestnetworkservices/{id}/events",
        None => Events(NotificationBase::SCHEMA), ["2.0"];
    /// Ends what the registration of a callback on a guest network service began.
    UnregisterGuestNetworkServiceCallback: Unsubscribe GuestNetworkService, Read, ,
        None => None, ["2.0"];

    /// Reserves one port of the host for a guest.
    ReserveGuestNetworkServicePort: Reserve PortReservation, Manage, ,
        Arguments => Numbers, ["2.0"];
    /// Reserves a range of ports of the host for a guest; the service chooses which.
    ReserveGuestNetworkServicePortRange: Reserve PortReservation, Manage, ,
        Arguments => Numbers, ["2.0"];
    /// Ends a reservation of ports.
    ReleaseGuestNetworkServicePortReservationHandle: Release PortReservation, Manage, ,
        Arguments => None, ["2.0"];
    /// Lists the reservations of ports.
    EnumerateGuestNetworkPortReservations: Enumerate PortReservation, Read, ,
        None => Numbers, ["2.0"];
    /// Gives back the list of reservations.
    FreeGuestNetworkPortReservations: Free PortReservation, Read, , None => None, ["2.0"];

    /// Opens the service itself.
    OpenService: Open Service, Read, , None => None, [];
    /// Gives back the handle of the service.
    CloseService: Close Service, Read, , None => None, [];
    /// Sends what happens in the service until it is unregistered.
    RegisterServiceCallback: Subscribe Service, Read, Get "/events",
        None => Events(NotificationBase::SCHEMA), ["2.0"];
    /// Ends what the registration of a callback on the service began.
    UnregisterServiceCallback: Unsubscribe Service, Read, , None => None, ["2.0"];
    /// Sends what happens to one network until it is unregistered.
    RegisterNetworkCallback: Subscribe Network, Read, Get "/networks/{id}/events",
        None => Events(NotificationBase::SCHEMA), [];
    /// Ends what the registration of a callback on a network began.
    UnregisterNetworkCallback: Unsubscribe Network, Read, , None => None, [];
}

impl Operation {
    /// The name: the function's without its prefix, such as `CreateNetwork`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The function that the Windows library exports for it.
    pub fn symbol(self) -> &'static str {
        self.row().symbol
    }

    /// What it does.
    pub fn verb(self) -> Verb {
        self.row().verb
    }

    /// The kind of object it is about.
    pub fn subject(self) -> Kind {
        self.row().kind
    }

    /// The right that a caller needs.
    pub fn right(self) -> Right {
        self.row().right
    }

    /// The HTTP method and path; `{id}` stands for a GUID.
    pub fn route(self) -> Option<(Method, &'static str)> {
        self.row().route
    }

    /// What goes in.
    pub fn input(self) -> Input {
        self.row().input
    }

    /// What comes back.
    pub fn output(self) -> Output {
        self.row().output
    }

    /// The schema version that brought it; `None` for functions that are exported and not
    /// documented.
    pub fn since(self) -> Option<SchemaVersion> {
        self.row().since
    }

    /// What it does, in one sentence.
    pub fn doc(self) -> &'static str {
        self.row().doc.trim()
    }

    /// Whether it leaves everything as it is.
    pub fn is_read_only(self) -> bool {
        self.right() == Right::Read
    }
}

impl Method {
    /// The word that travels.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

impl Kind {
    /// The word for people, such as `load balancer`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Network => "network",
            Kind::Endpoint => "endpoint",
            Kind::Namespace => "namespace",
            Kind::LoadBalancer => "load balancer",
            Kind::SdnRoute => "route",
            Kind::GuestNetworkService => "guest network service",
            Kind::PortReservation => "port reservation",
            Kind::Service => "service",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a text is not an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownOperation;

impl fmt::Display for UnknownOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of an operation")
    }
}

impl core::error::Error for UnknownOperation {}

impl FromStr for Operation {
    type Err = UnknownOperation;

    /// Reads the name or the function's name.
    fn from_str(text: &str) -> Result<Operation, UnknownOperation> {
        let named = |operation: &&Operation| operation.name() == text || operation.symbol() == text;
        Operation::ALL.iter().find(named).copied().ok_or(UnknownOperation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_exported_function_has_a_row() {
        // The 55 exported names and the two that only Microsoft's script module calls.
        assert_eq!(Operation::ALL.len(), 57);
        for operation in Operation::ALL {
            assert_eq!(operation.symbol().parse(), Ok(*operation));
            assert_eq!(operation.name().parse(), Ok(*operation));
            assert!(operation.doc().ends_with('.'), "{operation}");
        }
        assert_eq!("HcnDoNothing".parse::<Operation>(), Err(UnknownOperation));
    }

    #[test]
    fn routes_are_distinct_and_begin_with_a_slash() {
        let routes: BTreeSet<_> = Operation::ALL.iter().filter_map(|o| o.route()).collect();
        let routed = Operation::ALL.iter().filter(|o| o.route().is_some()).count();
        assert_eq!(routes.len(), routed);
        assert!(routes.iter().all(|(_, path)| path.starts_with('/')));
    }

    #[test]
    fn reading_needs_no_right_to_change() {
        for operation in Operation::ALL {
            let changes = matches!(
                operation.verb(),
                Verb::Create | Verb::Modify | Verb::Delete | Verb::Reserve | Verb::Release
            );
            assert_eq!(operation.right() == Right::Manage, changes, "{operation}");
        }
    }
}
