//! The exported functions of libcomputenetwork, by the names and in the order of computenetwork.h.
#![expect(unsafe_code, reason = "exports names of C")]

use hostcompute::schema::operation::{Kind, Operation};

use super::guest::{self, PortEntry, PortRange};
use super::{entity, hns, listen};
use crate::boundary::{Block, Context, GuidIn, Notification, Out, Text, TextOut};
use crate::call::{Code, answer, code};
use crate::handle::Handle;

/// The functions that every kind of object has.
macro_rules! family {
    ($kind:ident: $enumerate:ident $list:ident, $open:ident $opening:ident, $modify:ident $change:ident,
        $query:ident $look:ident, $delete:ident $removal:ident, $close:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $enumerate(query: Text, list: TextOut, record: TextOut) -> Code {
            answer(record, || entity::enumerate(Operation::$list, query, list))
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $open(id: GuidIn, handle: Out<Handle>, record: TextOut) -> Code {
            answer(record, || entity::open(Operation::$opening, id, handle))
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $modify(handle: Handle, settings: Text, record: TextOut) -> Code {
            answer(record, || entity::modify(Operation::$change, handle, settings))
        }

        query!($query $look);

        #[unsafe(no_mangle)]
        pub extern "C" fn $delete(id: GuidIn, record: TextOut) -> Code {
            answer(record, || entity::delete(Operation::$removal, id))
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $close(handle: Handle) -> Code {
            code(|| entity::close(Kind::$kind, handle))
        }
    };
}

macro_rules! creation {
    ($create:ident $operation:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $create(
            id: GuidIn,
            settings: Text,
            handle: Out<Handle>,
            record: TextOut,
        ) -> Code {
            let wish = (id, settings);
            answer(record, || entity::create(Operation::$operation, None, wish, handle))
        }
    };
}

macro_rules! query {
    ($query:ident $operation:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $query(
            handle: Handle,
            query: Text,
            properties: TextOut,
            record: TextOut,
        ) -> Code {
            answer(record, || entity::query(Operation::$operation, handle, query, properties))
        }
    };
}

family! {
    Network: HcnEnumerateNetworks EnumerateNetworks, HcnOpenNetwork OpenNetwork,
    HcnModifyNetwork ModifyNetwork, HcnQueryNetworkProperties QueryNetworkProperties,
    HcnDeleteNetwork DeleteNetwork, HcnCloseNetwork
}
creation!(HcnCreateNetwork CreateNetwork);

family! {
    Endpoint: HcnEnumerateEndpoints EnumerateEndpoints, HcnOpenEndpoint OpenEndpoint,
    HcnModifyEndpoint ModifyEndpoint, HcnQueryEndpointProperties QueryEndpointProperties,
    HcnDeleteEndpoint DeleteEndpoint, HcnCloseEndpoint
}
query!(HcnQueryEndpointStats QueryEndpointStats);
query!(HcnQueryEndpointAddresses QueryEndpointAddresses);

#[unsafe(no_mangle)]
pub extern "C" fn HcnCreateEndpoint(
    network: Handle,
    id: GuidIn,
    settings: Text,
    handle: Out<Handle>,
    record: TextOut,
) -> Code {
    answer(record, || {
        handle.put(Handle::NULL);
        let network = entity::find(network, Kind::Network)?;
        entity::create(Operation::CreateEndpoint, Some(&network), (id, settings), handle)
    })
}

family! {
    Namespace: HcnEnumerateNamespaces EnumerateNamespaces, HcnOpenNamespace OpenNamespace,
    HcnModifyNamespace ModifyNamespace, HcnQueryNamespaceProperties QueryNamespaceProperties,
    HcnDeleteNamespace DeleteNamespace, HcnCloseNamespace
}
creation!(HcnCreateNamespace CreateNamespace);

family! {
    LoadBalancer: HcnEnumerateLoadBalancers EnumerateLoadBalancers,
    HcnOpenLoadBalancer OpenLoadBalancer, HcnModifyLoadBalancer ModifyLoadBalancer,
    HcnQueryLoadBalancerProperties QueryLoadBalancerProperties,
    HcnDeleteLoadBalancer DeleteLoadBalancer, HcnCloseLoadBalancer
}
creation!(HcnCreateLoadBalancer CreateLoadBalancer);

family! {
    SdnRoute: HcnEnumerateSdnRoutes EnumerateSdnRoutes, HcnOpenSdnRoute OpenSdnRoute,
    HcnModifySdnRoute ModifySdnRoute, HcnQuerySdnRouteProperties QuerySdnRouteProperties,
    HcnDeleteSdnRoute DeleteSdnRoute, HcnCloseSdnRoute
}
creation!(HcnCreateSdnRoute CreateSdnRoute);

family! {
    GuestNetworkService: HcnEnumerateGuestNetworkServices EnumerateGuestNetworkServices,
    HcnOpenGuestNetworkService OpenGuestNetworkService,
    HcnModifyGuestNetworkService ModifyGuestNetworkService,
    HcnQueryGuestNetworkServiceProperties QueryGuestNetworkServiceProperties,
    HcnDeleteGuestNetworkService DeleteGuestNetworkService, HcnCloseGuestNetworkService
}
creation!(HcnCreateGuestNetworkService CreateGuestNetworkService);

#[unsafe(no_mangle)]
pub extern "C" fn HcnRegisterServiceCallback(
    callback: Option<Notification>,
    context: Context,
    registration: Out<Handle>,
) -> Code {
    code(|| listen::register_service(callback, context, registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnUnregisterServiceCallback(registration: Handle) -> Code {
    code(|| listen::unregister(Kind::Service, registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnRegisterNetworkCallback(
    network: Handle,
    callback: Option<Notification>,
    context: Context,
    registration: Out<Handle>,
) -> Code {
    code(|| listen::register_network(network, callback, context, registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnUnregisterNetworkCallback(registration: Handle) -> Code {
    code(|| listen::unregister(Kind::Network, registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnRegisterGuestNetworkServiceCallback(
    service: Handle,
    callback: Option<Notification>,
    context: Context,
    registration: Out<Handle>,
) -> Code {
    code(|| listen::register_guest_service(service, callback, context, registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnUnregisterGuestNetworkServiceCallback(registration: Handle) -> Code {
    code(|| listen::unregister(Kind::GuestNetworkService, registration))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnReserveGuestNetworkServicePort(
    service: Handle,
    protocol: i32,
    access: i32,
    port: u16,
    reservation: Out<Handle>,
) -> Code {
    code(|| guest::reserve_port(service, (protocol, access), port, reservation))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnReserveGuestNetworkServicePortRange(
    service: Handle,
    count: u16,
    range: Out<PortRange>,
    reservation: Out<Handle>,
) -> Code {
    code(|| guest::reserve_range(service, count, range, reservation))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnReleaseGuestNetworkServicePortReservationHandle(reservation: Handle) -> Code {
    code(|| guest::release(reservation))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnEnumerateGuestNetworkPortReservations(
    count: Out<u32>,
    entries: Out<*mut PortEntry>,
) -> Code {
    code(|| guest::enumerate(count, entries))
}

#[unsafe(no_mangle)]
pub extern "C" fn HcnFreeGuestNetworkPortReservations(entries: Block) {
    entries.release();
}

#[unsafe(no_mangle)]
pub extern "C" fn HNSCall(method: Text, path: Text, object: Text, response: TextOut) -> Code {
    code(|| hns::call(method, path, object, response))
}
