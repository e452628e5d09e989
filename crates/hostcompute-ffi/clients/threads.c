/*
 * threads.c - many threads with the same handles: opened, used, closed twice at the same time, callbacks that come and go.
 *
 * Whatever the order, a handle is good or refused with E_HANDLE, is closed exactly once, and no callback runs after its registration.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "computecore.h"
#include "computenetwork.h"

#define THREADS 8
#define ROUNDS 60

static const GUID NETWORK = {0x3f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};

static _Atomic(HCN_NETWORK) shared;
static atomic_int opened, closed, heard;

static void told(uint32_t kind, void *context, HRESULT status, PCWSTR data)
{
    (void)kind, (void)status, (void)data;
    HOLDS(atomic_load((atomic_int *)context) == 1);
    atomic_fetch_add(&heard, 1);
}

static void is_good_or_closed(HRESULT code)
{
    if (code != 0)
        EXPECT(HOSTCOMPUTE_E_HANDLE, code);
}

static void *work(void *argument)
{
    unsigned number = (unsigned)(uintptr_t)argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        HCN_NETWORK mine, theirs;
        PWSTR text = NULL;
        EXPECT(0, HcnOpenNetwork(&NETWORK, &mine, NULL));
        atomic_fetch_add(&opened, 1);
        /* Whoever takes a handle out closes it; those who saw it before may try, too. */
        theirs = atomic_exchange(&shared, mine);
        if (theirs) {
            HRESULT code = HcnQueryNetworkProperties(theirs, NULL, &text, NULL);
            is_good_or_closed(code);
            HOLDS((code == 0) == (text != NULL));
            HostComputeFree(text);
            if (HcnCloseNetwork(theirs) == 0)
                atomic_fetch_add(&closed, 1);
            EXPECT(HOSTCOMPUTE_E_HANDLE, HcnCloseNetwork(theirs));
        }
        if (HcnCloseNetwork(atomic_load(&shared)) == 0)
            atomic_fetch_add(&closed, 1);

        if (round % 8 == number % 8) {
            atomic_int registered = 1;
            HCN_CALLBACK callback;
            EXPECT(0, HcnRegisterServiceCallback(told, &registered, &callback));
            GUID id = NETWORK;
            HCN_NAMESPACE namespace;
            PWSTR record;
            id.Data1 += 1 + number;
            SUCCEEDS(HcnCreateNamespace(&id, u"{}", &namespace, &record), record);
            EXPECT(0, HcnCloseNamespace(namespace));
            SUCCEEDS(HcnDeleteNamespace(&id, &record), record);
            EXPECT(0, HcnUnregisterServiceCallback(callback));
            atomic_store(&registered, 0);
        }
        HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
        HOLDS(operation != NULL);
        EXPECT((HRESULT)0x80370115, HcsWaitForOperationResult(operation, 0, NULL));
        HcsCloseOperation(operation);
        HcsCloseOperation(operation);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    HCN_NETWORK network;
    PWSTR record;

    SUCCEEDS(HcnCreateNetwork(&NETWORK, u"{\"Name\":\"threads\",\"Type\":\"Private\"}", &network, &record), record);
    for (uintptr_t number = 0; number < THREADS; number++)
        HOLDS(pthread_create(&threads[number], NULL, work, (void *)number) == 0);
    for (unsigned number = 0; number < THREADS; number++)
        HOLDS(pthread_join(threads[number], NULL) == 0);
    if (HcnCloseNetwork(atomic_load(&shared)) == 0)
        atomic_fetch_add(&closed, 1);
    HOLDS(atomic_load(&opened) == THREADS * ROUNDS);
    HOLDS(atomic_load(&closed) == THREADS * ROUNDS);
    SUCCEEDS(HcnDeleteNetwork(&NETWORK, &record), record);
    EXPECT(0, HcnCloseNetwork(network));
    puts("threads.c: ok");
    return 0;
}
