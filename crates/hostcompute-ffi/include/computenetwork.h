/*
 * computenetwork.h - networks, endpoints, namespaces, load balancers of this host (libcomputenetwork, pkg-config computenetwork).
 *
 * Strings, results, handles, callbacks and where the service is: see hostcompute.h.
 *
 * Documents are JSON of the published HCN schema; `hc schema openapi --api hcn` prints all of it. Queries are HostComputeQuery
 * documents; NULL or an empty string stands for none. Without a SchemaVersion in the query, properties have the members of versions 1
 * and 2; {"SchemaVersion":{"Major":2,"Minor":0}} asks for those of version 2.
 */
#ifndef COMPUTENETWORK_H
#define COMPUTENETWORK_H

#include "hostcompute.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void *HCN_NETWORK;
typedef void *HCN_ENDPOINT;
typedef void *HCN_NAMESPACE;
typedef void *HCN_LOADBALANCER;
typedef void *HCN_SDNROUTE;
typedef void *HCN_GUESTNETWORKSERVICE;
typedef void *HCN_CALLBACK;

/*
 * Every kind of object has the same functions.
 *   Enumerate  ["id", ...] of those that the query selects, oldest first.
 *   Create     makes an object. `Id`: NULL or zeros let the service choose, or the document say (member ID). The handle must be
 *              closed; the object stays until it is deleted.
 *   Open       a handle of an object that exists.
 *   Modify     changes it: all that the document asks for, or nothing.
 *   Query      its properties as a document.
 *   Delete     removes it, whoever has handles of it: they answer "not found" and are closed as others.
 *   Close      gives the handle back.
 * They answer, besides the codes of hostcompute.h:
 *   0x803b001b  the document or query is no JSON, or not of the schema
 *   0x803b0001, 0x803b0002, 0x80070490   there is no such network, endpoint, other object
 */

/* Networks. Documents: HostComputeNetwork; ModifyNetworkSettingRequest to modify. Create without a Type makes a NAT network, and without
 * address ranges the service chooses one. 0x803b0010: the name is taken; 0x803b000b: no such type here; 0x803b0032: a subnet is wrong. */
HRESULT HcnEnumerateNetworks(PCWSTR Query, PWSTR *Networks, PWSTR *ErrorRecord);
HRESULT HcnCreateNetwork(const GUID *Id, PCWSTR Settings, HCN_NETWORK *Network, PWSTR *ErrorRecord);
HRESULT HcnOpenNetwork(const GUID *Id, HCN_NETWORK *Network, PWSTR *ErrorRecord);
HRESULT HcnModifyNetwork(HCN_NETWORK Network, PCWSTR Settings, PWSTR *ErrorRecord);
HRESULT HcnQueryNetworkProperties(HCN_NETWORK Network, PCWSTR Query, PWSTR *Properties, PWSTR *ErrorRecord);
HRESULT HcnDeleteNetwork(const GUID *Id, PWSTR *ErrorRecord);
HRESULT HcnCloseNetwork(HCN_NETWORK Network);

/* Endpoints: a port on a network. Documents: HostComputeEndpoint; ModifyEndpointSettingRequest to modify. The handle of the network
 * stays the caller's. Stats: EndpointStats, in bytes and packets as the endpoint sees them; zeros while it is in no namespace.
 * 0x803b001e, 0x803b002f: the address is outside of all subnets, or taken; 0x803b0013: a published port is taken. */
HRESULT HcnEnumerateEndpoints(PCWSTR Query, PWSTR *Endpoints, PWSTR *ErrorRecord);
HRESULT HcnCreateEndpoint(HCN_NETWORK Network, const GUID *Id, PCWSTR Settings, HCN_ENDPOINT *Endpoint, PWSTR *ErrorRecord);
HRESULT HcnOpenEndpoint(const GUID *Id, HCN_ENDPOINT *Endpoint, PWSTR *ErrorRecord);
HRESULT HcnModifyEndpoint(HCN_ENDPOINT Endpoint, PCWSTR Settings, PWSTR *ErrorRecord);
HRESULT HcnQueryEndpointProperties(HCN_ENDPOINT Endpoint, PCWSTR Query, PWSTR *Properties, PWSTR *ErrorRecord);
HRESULT HcnQueryEndpointStats(HCN_ENDPOINT Endpoint, PCWSTR Query, PWSTR *Stats, PWSTR *ErrorRecord);
HRESULT HcnQueryEndpointAddresses(HCN_ENDPOINT Endpoint, PCWSTR Query, PWSTR *Addresses, PWSTR *ErrorRecord);
HRESULT HcnDeleteEndpoint(const GUID *Id, PWSTR *ErrorRecord);
HRESULT HcnCloseEndpoint(HCN_ENDPOINT Endpoint);

/* Namespaces: the network stack that processes share. Documents: HostComputeNamespace; ModifyNamespaceSettingRequest to modify, by which
 * endpoints come in and out. 0x803b0014, 0x803b002b: the endpoint is in a namespace already. */
HRESULT HcnEnumerateNamespaces(PCWSTR Query, PWSTR *Namespaces, PWSTR *ErrorRecord);
HRESULT HcnCreateNamespace(const GUID *Id, PCWSTR Settings, HCN_NAMESPACE *Namespace, PWSTR *ErrorRecord);
HRESULT HcnOpenNamespace(const GUID *Id, HCN_NAMESPACE *Namespace, PWSTR *ErrorRecord);
HRESULT HcnModifyNamespace(HCN_NAMESPACE Namespace, PCWSTR Settings, PWSTR *ErrorRecord);
HRESULT HcnQueryNamespaceProperties(HCN_NAMESPACE Namespace, PCWSTR Query, PWSTR *Properties, PWSTR *ErrorRecord);
HRESULT HcnDeleteNamespace(const GUID *Id, PWSTR *ErrorRecord);
HRESULT HcnCloseNamespace(HCN_NAMESPACE Namespace);

/* Load balancers. Documents: HostComputeLoadBalancer, also to modify: the whole new document. 0x803b001c: no endpoints;
 * 0x800700b7: the frontend is taken. */
HRESULT HcnEnumerateLoadBalancers(PCWSTR Query, PWSTR *LoadBalancer, PWSTR *ErrorRecord);
HRESULT HcnCreateLoadBalancer(const GUID *Id, PCWSTR Settings, HCN_LOADBALANCER *LoadBalancer, PWSTR *ErrorRecord);
HRESULT HcnOpenLoadBalancer(const GUID *Id, HCN_LOADBALANCER *LoadBalancer, PWSTR *ErrorRecord);
HRESULT HcnModifyLoadBalancer(HCN_LOADBALANCER LoadBalancer, PCWSTR Settings, PWSTR *ErrorRecord);
HRESULT HcnQueryLoadBalancerProperties(HCN_LOADBALANCER LoadBalancer, PCWSTR Query, PWSTR *Properties, PWSTR *ErrorRecord);
HRESULT HcnDeleteLoadBalancer(const GUID *Id, PWSTR *ErrorRecord);
HRESULT HcnCloseLoadBalancer(HCN_LOADBALANCER LoadBalancer);

/* SDN routes. Documents: HostComputeRoute. A service that has none answers E_NOTIMPL. */
HRESULT HcnEnumerateSdnRoutes(PCWSTR Query, PWSTR *Routes, PWSTR *ErrorRecord);
HRESULT HcnCreateSdnRoute(const GUID *Id, PCWSTR Settings, HCN_SDNROUTE *Route, PWSTR *ErrorRecord);
HRESULT HcnOpenSdnRoute(const GUID *Id, HCN_SDNROUTE *Route, PWSTR *ErrorRecord);
HRESULT HcnModifySdnRoute(HCN_SDNROUTE Route, PCWSTR Settings, PWSTR *ErrorRecord);
HRESULT HcnQuerySdnRouteProperties(HCN_SDNROUTE Route, PCWSTR Query, PWSTR *Properties, PWSTR *ErrorRecord);
HRESULT HcnDeleteSdnRoute(const GUID *Id, PWSTR *ErrorRecord);
HRESULT HcnCloseSdnRoute(HCN_SDNROUTE Route);

/* Guest network services: the networking agent in a utility machine. Documents: GuestNetworkService;
 * ModifyGuestNetworkServiceSettingRequest to modify. */
HRESULT HcnEnumerateGuestNetworkServices(PCWSTR Query, PWSTR *GuestNetworkServices, PWSTR *ErrorRecord);
HRESULT HcnCreateGuestNetworkService(const GUID *Id, PCWSTR Settings, HCN_GUESTNETWORKSERVICE *GuestNetworkService, PWSTR *ErrorRecord);
HRESULT HcnOpenGuestNetworkService(const GUID *Id, HCN_GUESTNETWORKSERVICE *GuestNetworkService, PWSTR *ErrorRecord);
HRESULT HcnModifyGuestNetworkService(HCN_GUESTNETWORKSERVICE GuestNetworkService, PCWSTR Settings, PWSTR *ErrorRecord);
HRESULT HcnQueryGuestNetworkServiceProperties(HCN_GUESTNETWORKSERVICE GuestNetworkService, PCWSTR Query, PWSTR *Properties, PWSTR *ErrorRecord);
HRESULT HcnDeleteGuestNetworkService(const GUID *Id, PWSTR *ErrorRecord);
HRESULT HcnCloseGuestNetworkService(HCN_GUESTNETWORKSERVICE GuestNetworkService);

/* What callbacks are told (NotificationType). The upper four bits are reserved for flags. */
typedef enum HCN_NOTIFICATIONS {
    HcnNotificationInvalid = 0x00000000,
    HcnNotificationNetworkPreCreate = 0x00000001,
    HcnNotificationNetworkCreate = 0x00000002,
    HcnNotificationNetworkPreDelete = 0x00000003,
    HcnNotificationNetworkDelete = 0x00000004,
    HcnNotificationNamespaceCreate = 0x00000005,
    HcnNotificationNamespaceDelete = 0x00000006,
    HcnNotificationGuestNetworkServiceCreate = 0x00000007,
    HcnNotificationGuestNetworkServiceDelete = 0x00000008,
    HcnNotificationNetworkEndpointAttached = 0x00000009,
    HcnNotificationNetworkEndpointDetached = 0x00000010,
    HcnNotificationGuestNetworkServiceStateChanged = 0x00000011,
    HcnNotificationGuestNetworkServiceInterfaceStateChanged = 0x00000012,
    /* The last one: something was or may have been missed. Register again and look at everything anew. Without data. */
    HcnNotificationServiceDisconnect = 0x01000000,
    HcnNotificationFlagsReserved = (int)0xF0000000
} HCN_NOTIFICATIONS;

/* `NotificationData` is a NotificationBase document ({"ID": ..., "Flags": ...}) or NULL; `NotificationStatus` is that of what
 * happened, 0 so far always. */
typedef void (*HCN_NOTIFICATION_CALLBACK)(uint32_t NotificationType, void *Context, HRESULT NotificationStatus, PCWSTR NotificationData);

/* Everything that happens, from now on. With a service inside the process: what this process does. */
HRESULT HcnRegisterServiceCallback(HCN_NOTIFICATION_CALLBACK Callback, void *Context, HCN_CALLBACK *CallbackHandle);
HRESULT HcnUnregisterServiceCallback(HCN_CALLBACK CallbackHandle);

/* What happens to one network, and the coming and going of its endpoints. */
HRESULT HcnRegisterNetworkCallback(HCN_NETWORK Network, HCN_NOTIFICATION_CALLBACK Callback, void *Context, HCN_CALLBACK *CallbackHandle);
HRESULT HcnUnregisterNetworkCallback(HCN_CALLBACK CallbackHandle);

/* What happens to a guest network service. E_NOTIMPL for every handle of one. */
HRESULT HcnRegisterGuestNetworkServiceCallback(HCN_GUESTNETWORKSERVICE GuestNetworkService, HCN_NOTIFICATION_CALLBACK Callback, void *Context, HCN_CALLBACK *CallbackHandle);
HRESULT HcnUnregisterGuestNetworkServiceCallback(HCN_CALLBACK CallbackHandle);

/* Ports of the host that nobody else gets: no program can bind them, no endpoint publish them, until they are released or the
 * process ends. They need a running service (else E_NOTIMPL). */
typedef enum HCN_PORT_PROTOCOL {
    HCN_PORT_PROTOCOL_TCP = 1,
    HCN_PORT_PROTOCOL_UDP = 2,
    HCN_PORT_PROTOCOL_BOTH = 3
} HCN_PORT_PROTOCOL;

typedef enum HCN_PORT_ACCESS {
    HCN_PORT_ACCESS_EXCLUSIVE = 1,
    /* Others may reserve it shared, too. */
    HCN_PORT_ACCESS_SHARED = 2
} HCN_PORT_ACCESS;

/* First and last, both of them part of it. */
typedef struct HCN_PORT_RANGE_RESERVATION {
    uint16_t startingPort;
    uint16_t endingPort;
} HCN_PORT_RANGE_RESERVATION;

typedef struct HCN_PORT_RANGE_ENTRY {
    GUID OwningPartitionId;     /* the session that has reserved it */
    GUID TargetPartitionId;     /* zeros */
    HCN_PORT_PROTOCOL Protocol;
    uint64_t Priority;          /* 0 */
    uint32_t ReservationType;   /* 0 */
    uint32_t SharingFlags;      /* HCN_PORT_ACCESS */
    uint32_t DeliveryMode;      /* 0 */
    uint16_t StartingPort;
    uint16_t EndingPort;
} HCN_PORT_RANGE_ENTRY;

/* One port. 0x803b0013: somebody has it. E_INVALIDARG: port 0, no such protocol or access. */
HRESULT HcnReserveGuestNetworkServicePort(HCN_GUESTNETWORKSERVICE GuestNetworkService, HCN_PORT_PROTOCOL Protocol, HCN_PORT_ACCESS Access, uint16_t Port, HANDLE *PortReservationHandle);

/* PortCount ports and one more, of both protocols, next to each other, which the service chooses. */
HRESULT HcnReserveGuestNetworkServicePortRange(HCN_GUESTNETWORKSERVICE GuestNetworkService, uint16_t PortCount, HCN_PORT_RANGE_RESERVATION *PortRangeReservation, HANDLE *PortReservationHandle);
HRESULT HcnReleaseGuestNetworkServicePortReservationHandle(HANDLE PortReservationHandle);

/* The reservations of all processes; ReturnCount is how many there are. The list is given back with the function below. */
HRESULT HcnEnumerateGuestNetworkPortReservations(uint32_t *ReturnCount, HCN_PORT_RANGE_ENTRY **PortEntries);
void HcnFreeGuestNetworkPortReservations(HCN_PORT_RANGE_ENTRY *PortEntries);

/*
 * The interface of version 1 (vmcompute.dll): `Method` GET, POST or DELETE, `Path` such as u"/networks/ID", `Object` the document or
 * NULL. `Response` is {"Success": true, "Output": ...} or {"Success": false, "Error": ..., "ErrorCode": ...}; what the service refuses
 * is told there, and the call itself succeeds.
 *   /globals/version; /networks, /endpoints, /namespaces, /policylists and /.../ID; /endpointstats/ID;
 *   /namespaces/ID/addresource and /removeresource. Other paths: ErrorCode E_NOTIMPL.
 */
HRESULT HNSCall(PCWSTR Method, PCWSTR Path, PCWSTR Object, PWSTR *Response);

#ifdef __cplusplus
}
#endif

#endif /* COMPUTENETWORK_H */
