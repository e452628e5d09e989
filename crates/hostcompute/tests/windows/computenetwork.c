/* A small computenetwork.dll for the tests of the crate's transport: one network, records of errors, a callback from a thread of its
 * own, and of everything else nothing: no endpoints, no load balancers, no callbacks on networks. A Windows that lacks functions looks
 * like this. It counts the texts that it handed out and nobody has freed (TextsHandedOut). */
#define COBJMACROS
#include <windows.h>
#include <objbase.h>

#define EXPORT __declspec(dllexport)
#define NOT_FOUND ((HRESULT)0x803B0001)
#define EXISTS ((HRESULT)0x803B0010)

typedef void(CALLBACK *Notify)(DWORD kind, void *context, HRESULT status, PCWSTR data);

static const GUID CHOSEN = {0x11111111, 0x2222, 0x3333, {0x44, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55}};
static volatile LONG there, open_handles;
static struct { Notify call; void *context; HANDLE thread, stop; } listener;

/* Texts that were handed out. CoTaskMemFree tells the spy, whoever calls it. */
#define MOST 64
static void *texts[MOST];

static ULONG STDMETHODCALLTYPE add_ref(IMallocSpy *spy) { (void)spy; return 2; }
static HRESULT STDMETHODCALLTYPE query(IMallocSpy *spy, REFIID id, void **out)
{ (void)id; *out = spy; return S_OK; }
static SIZE_T STDMETHODCALLTYPE pre_alloc(IMallocSpy *spy, SIZE_T size) { (void)spy; return size; }
static void *STDMETHODCALLTYPE same(IMallocSpy *spy, void *memory) { (void)spy; return memory; }
static void *STDMETHODCALLTYPE pre_free(IMallocSpy *spy, void *memory, WINBOOL spyed)
{
    (void)spy; (void)spyed;
    for (int place = 0; place < MOST; place++)
        InterlockedCompareExchangePointer(&texts[place], NULL, memory);
    return memory;
}
static void STDMETHODCALLTYPE post_free(IMallocSpy *spy, WINBOOL spyed) { (void)spy; (void)spyed; }
static SIZE_T STDMETHODCALLTYPE pre_realloc(IMallocSpy *spy, void *memory, SIZE_T size, void **out, WINBOOL spyed)
{ (void)spy; (void)spyed; *out = memory; return size; }
static void *STDMETHODCALLTYPE post_realloc(IMallocSpy *spy, void *memory, WINBOOL spyed)
{ (void)spy; (void)spyed; return memory; }
static void *STDMETHODCALLTYPE looked_at(IMallocSpy *spy, void *memory, WINBOOL spyed)
{ (void)spy; (void)spyed; return memory; }
static SIZE_T STDMETHODCALLTYPE post_size(IMallocSpy *spy, SIZE_T size, WINBOOL spyed) { (void)spy; (void)spyed; return size; }
static int STDMETHODCALLTYPE post_did(IMallocSpy *spy, void *memory, WINBOOL spyed, int did)
{ (void)spy; (void)memory; (void)spyed; return did; }
static void STDMETHODCALLTYPE minimize(IMallocSpy *spy) { (void)spy; }

static IMallocSpyVtbl table = {
    .QueryInterface = query, .AddRef = add_ref, .Release = add_ref,
    .PreAlloc = pre_alloc, .PostAlloc = same, .PreFree = pre_free, .PostFree = post_free,
    .PreRealloc = pre_realloc, .PostRealloc = post_realloc,
    .PreGetSize = looked_at, .PostGetSize = post_size, .PreDidAlloc = looked_at, .PostDidAlloc = post_did,
    .PreHeapMinimize = minimize, .PostHeapMinimize = minimize,
};
static IMallocSpy spy = {&table};

BOOL WINAPI DllMain(HINSTANCE self, DWORD why, void *reserved)
{
    (void)self; (void)reserved;
    if (why == DLL_PROCESS_ATTACH) CoRegisterMallocSpy(&spy);
    return TRUE;
}

EXPORT int TextsHandedOut(void)
{
    int count = 0;
    for (int place = 0; place < MOST; place++) count += texts[place] != NULL;
    return count;
}

EXPORT int HandlesOpen(void) { return open_handles; }

static void give(PWSTR *out, PCWSTR text)
{
    SIZE_T size = (lstrlenW(text) + 1) * sizeof *text;
    if (!out) return;
    *out = CoTaskMemAlloc(size);
    CopyMemory(*out, text, size);
    for (int place = 0; place < MOST; place++)
        if (!InterlockedCompareExchangePointer(&texts[place], *out, NULL)) return;
}

static HRESULT refuse(HRESULT code, PWSTR *record, PCWSTR text)
{
    give(record, text);
    return code;
}

static BOOL is_chosen(const GUID *id) { return there && !memcmp(id, &CHOSEN, sizeof *id); }

EXPORT HRESULT WINAPI HcnEnumerateNetworks(PCWSTR asked, PWSTR *networks, PWSTR *record)
{
    *record = NULL;
    if (asked && lstrcmpW(asked, L"no query") == 0)
        return refuse(E_INVALIDARG, record, L"{\"Success\":false,\"Error\":\"not a query\",\"ErrorCode\":2147942487}");
    give(networks, there ? L"[\"11111111-2222-3333-4444-555555555555\"]" : L"[]");
    return S_OK;
}

EXPORT HRESULT WINAPI HcnCreateNetwork(const GUID *id, PCWSTR settings, void **network, PWSTR *record)
{
    static const GUID none;
    *record = NULL; *network = NULL;
    if (memcmp(id, &none, sizeof none) || !wcsstr(settings, L"gr\xf6\xdf" L"er"))
        return refuse(E_INVALIDARG, record, L"no record, only words");
    if (there) return refuse(EXISTS, record, L"{\"Error\":\"it is there\"}");
    there = 1;
    InterlockedIncrement(&open_handles);
    *network = (void *)&there;
    return S_OK;
}

EXPORT HRESULT WINAPI HcnOpenNetwork(const GUID *id, void **network, PWSTR *record)
{
    *record = NULL; *network = NULL;
    if (!is_chosen(id))
        return refuse(NOT_FOUND, record, L"{\"Success\":false,\"Error\":\"no such network here\",\"ErrorCode\":2151350273}");
    InterlockedIncrement(&open_handles);
    *network = (void *)&there;
    return S_OK;
}

EXPORT HRESULT WINAPI HcnQueryNetworkProperties(void *network, PCWSTR asked, PWSTR *properties, PWSTR *record)
{
    (void)network; (void)asked;
    *record = NULL;
    give(properties, L"{\"ID\":\"11111111-2222-3333-4444-555555555555\",\"Name\":\"gr\xf6\xdf" L"er\",\"Type\":\"NAT\","
                     L"\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}");
    return S_OK;
}

EXPORT HRESULT WINAPI HcnDeleteNetwork(const GUID *id, PWSTR *record)
{
    *record = NULL;
    if (!is_chosen(id)) return NOT_FOUND; /* without a record */
    there = 0;
    return S_OK;
}

EXPORT HRESULT WINAPI HcnCloseNetwork(void *network)
{
    (void)network;
    InterlockedDecrement(&open_handles);
    return S_OK;
}

/* Tells twice, and then until it is unregistered; the last call may come afterwards. */
static DWORD WINAPI tell(void *unused)
{
    Notify call = listener.call;
    void *context = listener.context;
    (void)unused;
    call(2, context, S_OK, L"{\"ID\":\"11111111-2222-3333-4444-555555555555\"}");
    call(0x01000000, context, S_OK, NULL);
    while (WaitForSingleObject(listener.stop, 1) == WAIT_TIMEOUT) call(4, context, S_OK, L"not JSON");
    call(4, context, S_OK, L"{}");
    return 0;
}

EXPORT HRESULT WINAPI HcnRegisterServiceCallback(Notify call, void *context, void **handle)
{
    listener.call = call;
    listener.context = context;
    listener.stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    listener.thread = CreateThread(NULL, 0, tell, NULL, 0, NULL);
    InterlockedIncrement(&open_handles);
    *handle = &listener;
    return S_OK;
}

EXPORT HRESULT WINAPI HcnUnregisterServiceCallback(void *handle)
{
    (void)handle;
    SetEvent(listener.stop); /* and does not wait: the last call is still under way */
    InterlockedDecrement(&open_handles);
    return S_OK;
}

EXPORT void ListenerEnded(void) { WaitForSingleObject(listener.thread, INFINITE); }
