/*
 * network.c - a C program that makes a network with an endpoint in a namespace, listens to what happens, and takes everything away.
 *
 * Beside that it tries what programs do wrong: handles that are none, texts that are none, pointers that are missing.
 */
#include <pthread.h>

#include "check.h"
#include "computenetwork.h"

static const GUID NETWORK = {0x0f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};
static const GUID ENDPOINT = {0x1f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};
static const GUID ROUTE = {0x3f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};
static const GUID GUEST = {0x4f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};
static const GUID NAMESPACE = {0x2f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};

/* What a callback has heard. */
struct ear {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    unsigned kinds;         /* bit N: notification N came with this network's or namespace's id */
    int count;
    HCN_CALLBACK self;      /* unregistered by the callback itself when it is set */
};

#define EAR {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, NULL}

static void told(uint32_t kind, void *context, HRESULT status, PCWSTR data)
{
    struct ear *ear = context;
    pthread_mutex_lock(&ear->lock);
    HOLDS(status == 0);
    if (kind < 32 && has(data, "d9cb-469f-a165-70867728950e"))
        ear->kinds |= 1u << kind;
    ear->count++;
    HCN_CALLBACK self = ear->self;
    ear->self = NULL;
    pthread_cond_broadcast(&ear->heard);
    pthread_mutex_unlock(&ear->lock);
    if (self)
        EXPECT(0, HcnUnregisterServiceCallback(self));
}

static void wait_for(struct ear *ear, unsigned kinds)
{
    pthread_mutex_lock(&ear->lock);
    while (ear->count == 0 || (ear->kinds & kinds) != kinds)
        pthread_cond_wait(&ear->heard, &ear->lock);
    pthread_mutex_unlock(&ear->lock);
}

static void mistakes(HCN_NETWORK network)
{
    static const char16_t HALF[] = {'{', 0xd83d, '}', 0};
    HCN_NETWORK none = (HCN_NETWORK)1;
    PWSTR text = (PWSTR)1, record = (PWSTR)1;

    /* Handles: none, never one, of another kind, closed already. */
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcnQueryNetworkProperties(NULL, NULL, &text, &record));
    HOLDS(text == NULL && has(record, "\"Success\":false") && has(record, "2147942487"));
    HostComputeFree(record);
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnQueryNetworkProperties((HCN_NETWORK)-1, NULL, &text, NULL));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnQueryNetworkProperties(&none, NULL, &text, NULL));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnQueryEndpointProperties(network, NULL, &text, NULL));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnCloseNamespace(network));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnUnregisterServiceCallback(network));
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcnCloseNetwork(NULL));
    EXPECT(0, HcnOpenNetwork(&NETWORK, &none, NULL));
    EXPECT(0, HcnCloseNetwork(none));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnCloseNetwork(none));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnModifyNetwork(none, u"{}", NULL));

    /* Texts and pointers. */
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcnCreateNetwork(NULL, HALF, &none, &record));
    HOLDS(none == NULL && has(record, "code unit 1"));
    CoTaskMemFree(record);
    EXPECT(HOSTCOMPUTE_E_POINTER, HcnCreateNetwork(NULL, NULL, &none, NULL));
    EXPECT(HOSTCOMPUTE_E_POINTER, HcnCreateNetwork(NULL, u"{}", NULL, NULL));
    EXPECT(HOSTCOMPUTE_E_POINTER, HcnOpenNetwork(NULL, &none, NULL));
    EXPECT(HOSTCOMPUTE_E_POINTER, HcnRegisterServiceCallback(NULL, NULL, &none));
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcnCreateEndpoint(NULL, NULL, u"{}", &none, NULL));

    /* What the service refuses. */
    EXPECT((HRESULT)0x803b001b, HcnCreateNetwork(NULL, u"{ nonsense", &none, &record));
    HOLDS(none == NULL && has(record, "2151350299"));
    HOLDS(LocalFree(record) == NULL);
    EXPECT((HRESULT)0x803b0002, HcnOpenEndpoint(&NETWORK, &none, NULL));
    EXPECT((HRESULT)0x80070490, HcnDeleteNamespace(&NETWORK, NULL));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnReserveGuestNetworkServicePort(network, HCN_PORT_PROTOCOL_TCP, HCN_PORT_ACCESS_EXCLUSIVE, 80, &none));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnReleaseGuestNetworkServicePortReservationHandle(network));
    HcnFreeGuestNetworkPortReservations(NULL);
    HostComputeFree(NULL);
}

/* A route of the endpoint's, which cannot be changed. */
static void sdn_route(void)
{
    HCN_SDNROUTE route, again;
    PWSTR text, record;
    SUCCEEDS(HcnCreateSdnRoute(&ROUTE,
                 u"{\"HostComputeEndpoints\":[\"1f8fad5b-d9cb-469f-a165-70867728950e\"],"
                 u"\"Routes\":[{\"DestinationPrefix\":\"10.98.0.0/16\",\"NeedEncap\":false}]}",
                 &route, &record),
        record);
    SUCCEEDS(HcnEnumerateSdnRoutes(u"", &text, &record), record);
    HOLDS(has(text, "3f8fad5b-d9cb-469f-a165-70867728950e"));
    HostComputeFree(text);
    SUCCEEDS(HcnQuerySdnRouteProperties(route, u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}", &text, &record), record);
    HOLDS(has(text, "10.98.0.0/16"));
    HostComputeFree(text);
    EXPECT((HRESULT)0x80004001, HcnModifySdnRoute(route, u"{}", NULL));
    SUCCEEDS(HcnOpenSdnRoute(&ROUTE, &again, &record), record);
    EXPECT(0, HcnCloseSdnRoute(again));
    SUCCEEDS(HcnDeleteSdnRoute(&ROUTE, &record), record);
    HOLDS(HcnQuerySdnRouteProperties(route, NULL, &text, NULL) < 0);
    EXPECT(0, HcnCloseSdnRoute(route));
}

/* A guest network service. Ports are reserved by a service that stays, not by one inside this process. */
static void guest_network_service(struct ear *ear)
{
    HCN_GUESTNETWORKSERVICE guest, again;
    HCN_CALLBACK callback;
    HANDLE reservation = NULL, twin = NULL;
    PWSTR text, record;
    SUCCEEDS(HcnCreateGuestNetworkService(&GUEST, u"{}", &guest, &record), record);
    EXPECT(0, HcnRegisterGuestNetworkServiceCallback(guest, told, ear, &callback));
    SUCCEEDS(HcnEnumerateGuestNetworkServices(u"", &text, &record), record);
    HOLDS(has(text, "4f8fad5b-d9cb-469f-a165-70867728950e"));
    HostComputeFree(text);
    SUCCEEDS(HcnOpenGuestNetworkService(&GUEST, &again, &record), record);
    HRESULT held = HcnReserveGuestNetworkServicePort(guest, HCN_PORT_PROTOCOL_TCP, HCN_PORT_ACCESS_EXCLUSIVE, 40080, &reservation);
    if (getenv("HOSTCOMPUTE_SOCKET")) {
        EXPECT(0, held);
        HOLDS(HcnReserveGuestNetworkServicePort(again, HCN_PORT_PROTOCOL_TCP, HCN_PORT_ACCESS_EXCLUSIVE, 40080, &twin) < 0 && twin == NULL);
        EXPECT(0, HcnReleaseGuestNetworkServicePortReservationHandle(reservation));
        EXPECT(0, HcnReserveGuestNetworkServicePort(again, HCN_PORT_PROTOCOL_TCP, HCN_PORT_ACCESS_EXCLUSIVE, 40080, &twin));
        EXPECT(0, HcnReleaseGuestNetworkServicePortReservationHandle(twin));
    } else {
        HOLDS(held < 0 && reservation == NULL);
    }
    EXPECT(0, HcnCloseGuestNetworkService(again));
    EXPECT(0, HcnUnregisterGuestNetworkServiceCallback(callback));
    SUCCEEDS(HcnDeleteGuestNetworkService(&GUEST, &record), record);
    EXPECT(0, HcnCloseGuestNetworkService(guest));
}

static void older_interface(void)
{
    PWSTR response = NULL;
    EXPECT(0, HNSCall(u"GET", u"/globals/version", u"", &response));
    HOLDS(has(response, "\"Success\":true") && has(response, "\"Major\":15"));
    HostComputeFree(response);
    EXPECT(0, HNSCall(u"GET", u"/networks/", NULL, &response));
    HOLDS(has(response, "\"Subnets\"") && has(response, "0F8FAD5B-D9CB-469F-A165-70867728950E"));
    HostComputeFree(response);
    EXPECT(0, HNSCall(u"DELETE", u"/endpoints/0f8fad5b-d9cb-469f-a165-70867728950e", u"", &response));
    HOLDS(has(response, "\"Success\":false") && has(response, "2151350274"));
    HostComputeFree(response);
    EXPECT(0, HNSCall(u"PATCH", u"/endpoints", u"", &response));
    HOLDS(has(response, "\"Success\":false"));
    HostComputeFree(response);
}

int main(void)
{
    struct ear all = EAR, one = EAR, once = EAR;
    HCN_CALLBACK all_callback, one_callback;
    HCN_NETWORK network, again;
    HCN_ENDPOINT endpoint;
    HCN_NAMESPACE namespace;
    PWSTR text, record;

    EXPECT(0, HcnRegisterServiceCallback(told, &all, &all_callback));
    pthread_mutex_lock(&once.lock);
    EXPECT(0, HcnRegisterServiceCallback(told, &once, &once.self));
    pthread_mutex_unlock(&once.lock);
    SUCCEEDS(HcnCreateNetwork(&NETWORK,
                 u"{\"Name\":\"c\",\"Type\":\"NAT\",\"Ipams\":[{\"Subnets\":[{\"IpAddressPrefix\":\"10.99.0.0/24\"}]}]}",
                 &network, &record),
        record);
    EXPECT(0, HcnRegisterNetworkCallback(network, told, &one, &one_callback));
    SUCCEEDS(HcnOpenNetwork(&NETWORK, &again, &record), record);
    HOLDS(again != network);
    SUCCEEDS(HcnCreateEndpoint(network, &ENDPOINT, u"{\"Name\":\"e\"}", &endpoint, &record), record);
    SUCCEEDS(HcnCreateNamespace(&NAMESPACE, u"{}", &namespace, &record), record);
    SUCCEEDS(HcnModifyNamespace(namespace,
                 u"{\"ResourceType\":\"Endpoint\",\"RequestType\":\"Add\","
                 u"\"Settings\":{\"EndpointId\":\"1f8fad5b-d9cb-469f-a165-70867728950e\"}}",
                 &record),
        record);

    SUCCEEDS(HcnQueryEndpointProperties(endpoint, u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}", &text, &record), record);
    HOLDS(has(text, "10.99.0."));
    HostComputeFree(text);
    SUCCEEDS(HcnQueryEndpointStats(endpoint, u"", &text, &record), record);
    HOLDS(has(text, "BytesReceived"));
    HostComputeFree(text);
    SUCCEEDS(HcnEnumerateNetworks(NULL, &text, &record), record);
    HOLDS(has(text, "0f8fad5b-d9cb-469f-a165-70867728950e"));
    HostComputeFree(text);

    mistakes(network);
    older_interface();
    sdn_route();
    guest_network_service(&one);

    SUCCEEDS(HcnDeleteEndpoint(&ENDPOINT, &record), record);
    EXPECT((HRESULT)0x803b0002, HcnQueryEndpointProperties(endpoint, NULL, &text, NULL));
    EXPECT(0, HcnCloseEndpoint(endpoint));
    SUCCEEDS(HcnDeleteNamespace(&NAMESPACE, &record), record);
    EXPECT(0, HcnCloseNamespace(namespace));
    SUCCEEDS(HcnDeleteNetwork(&NETWORK, &record), record);

    wait_for(&all, 1u << 2 | 1u << 4 | 1u << 5 | 1u << 6);
    wait_for(&one, 1u << 4);
    EXPECT(0, HcnUnregisterServiceCallback(all_callback));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnUnregisterServiceCallback(all_callback));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcnUnregisterServiceCallback(one_callback));
    EXPECT(0, HcnUnregisterNetworkCallback(one_callback));
    wait_for(&once, 0);
    EXPECT(0, HcnCloseNetwork(network));
    EXPECT(0, HcnCloseNetwork(again));
    /* Its thread has ended with its first call. */
    pthread_mutex_lock(&once.lock);
    HOLDS(once.count == 1);
    pthread_mutex_unlock(&once.lock);

    /* Nothing is left, and the service, where it was inside this process, has been closed and is opened anew. */
    SUCCEEDS(HcnEnumerateEndpoints(u"", &text, &record), record);
    HOLDS(has(text, "[]"));
    HostComputeFree(text);
    puts("network.c: ok");
    return 0;
}
