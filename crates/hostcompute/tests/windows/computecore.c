/* A small computecore.dll for the tests of the crate's transport, as old as Windows 10 version 1809: it lacks the functions that wait for
 * ends, and enumeration. The system "there" exists, its start fails with a document, its processes write a greeting, and end when
 * somebody listens to them. */
#include <windows.h>

#define EXPORT __declspec(dllexport)
#define NO_SYSTEM ((HRESULT)0x8037010E)
#define BAD_STATE ((HRESULT)0x80370105)

typedef struct { INT type; PCWSTR data; void *operation; } Event;
typedef void(CALLBACK *Notify)(Event *event, void *context);
typedef struct { DWORD id, reserved; HANDLE input, output, error; } Information;
typedef struct { HRESULT result; PCWSTR document; Information process; } Operation;

static int system_object, process_object;
static volatile LONG open_handles;

EXPORT int HandlesOpen(void) { return open_handles; }

static void give(PWSTR *out, PCWSTR text)
{
    SIZE_T size = (lstrlenW(text) + 1) * sizeof *text;
    if (!out) return;
    *out = LocalAlloc(LMEM_FIXED, size);
    CopyMemory(*out, text, size);
}

EXPORT void *WINAPI HcsCreateOperation(void *context, void *callback)
{
    (void)context; (void)callback;
    InterlockedIncrement(&open_handles);
    return HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof(Operation));
}

EXPORT void WINAPI HcsCloseOperation(void *operation)
{
    InterlockedDecrement(&open_handles);
    HeapFree(GetProcessHeap(), 0, operation);
}

EXPORT HRESULT WINAPI HcsWaitForOperationResult(Operation *operation, DWORD patience, PWSTR *document)
{
    (void)patience;
    if (operation->document) give(document, operation->document);
    return operation->result;
}

EXPORT HRESULT WINAPI HcsWaitForOperationResultAndProcessInfo(Operation *operation, DWORD patience, Information *process, PWSTR *document)
{
    *process = operation->process;
    return HcsWaitForOperationResult(operation, patience, document);
}

EXPORT HRESULT WINAPI HcsOpenComputeSystem(PCWSTR id, DWORD access, void **system)
{
    (void)access;
    *system = NULL;
    if (lstrcmpiW(id, L"there")) return NO_SYSTEM;
    InterlockedIncrement(&open_handles);
    *system = &system_object;
    return S_OK;
}

EXPORT void WINAPI HcsCloseComputeSystem(void *system) { (void)system; InterlockedDecrement(&open_handles); }
EXPORT void WINAPI HcsCloseProcess(void *process) { (void)process; InterlockedDecrement(&open_handles); }

EXPORT HRESULT WINAPI HcsStartComputeSystem(void *system, Operation *operation, PCWSTR options)
{
    (void)system; (void)options;
    operation->result = BAD_STATE;
    operation->document = L"{\"Error\":-2143878907,\"ErrorMessage\":\"it runs already\"}";
    return S_OK;
}

EXPORT HRESULT WINAPI HcsGetComputeSystemProperties(void *system, Operation *operation, PCWSTR query)
{
    (void)system; (void)query;
    operation->document = L"{\"Id\":\"there\",\"SystemType\":\"Container\"}";
    return S_OK;
}

EXPORT HRESULT WINAPI HcsCreateProcess(void *system, PCWSTR parameters, Operation *operation, void *security, void **process)
{
    static const char greeting[] = "hello";
    HANDLE read, write;
    DWORD written;
    (void)system; (void)parameters; (void)security;
    CreatePipe(&read, &write, NULL, 0);
    WriteFile(write, greeting, sizeof greeting - 1, &written, NULL);
    CloseHandle(write);
    operation->process.id = 7;
    operation->process.output = read;
    operation->process.error = INVALID_HANDLE_VALUE;
    InterlockedIncrement(&open_handles);
    *process = &process_object;
    return S_OK;
}

EXPORT HRESULT WINAPI HcsOpenProcess(void *system, DWORD id, DWORD access, void **process)
{
    (void)system; (void)access;
    *process = NULL;
    if (id != 7) return E_INVALIDARG;
    InterlockedIncrement(&open_handles);
    *process = &process_object;
    return S_OK;
}

static volatile LONG process_ended;

EXPORT HRESULT WINAPI HcsGetProcessProperties(void *process, Operation *operation, PCWSTR query)
{
    (void)process; (void)query;
    operation->document = process_ended ? L"{\"ProcessId\":7,\"Exited\":true,\"ExitCode\":3,\"LastWaitResult\":0}"
                                        : L"{\"ProcessId\":7,\"Exited\":false}";
    return S_OK;
}

typedef struct { Notify call; void *context; } Listener;

static DWORD WINAPI tell_of_process(void *given)
{
    Listener *listener = given;
    Event exit = {0x10000, L"{\"ProcessId\":7,\"Exited\":true}", NULL};
    InterlockedExchange(&process_ended, 1);
    listener->call(&exit, listener->context);
    HeapFree(GetProcessHeap(), 0, listener);
    return 0;
}

static DWORD WINAPI tell(void *given)
{
    Listener *listener = given;
    Event crash = {2, NULL, NULL}, exit = {1, L"{\"Status\":0}", NULL};
    listener->call(&crash, listener->context);
    listener->call(&exit, listener->context);
    HeapFree(GetProcessHeap(), 0, listener);
    return 0;
}

static HRESULT begin(LPTHREAD_START_ROUTINE telling, Notify call, void *context)
{
    Listener *listener;
    if (!call) return S_OK;
    listener = HeapAlloc(GetProcessHeap(), 0, sizeof *listener);
    listener->call = call;
    listener->context = context;
    CloseHandle(CreateThread(NULL, 0, telling, listener, 0, NULL));
    return S_OK;
}

EXPORT HRESULT WINAPI HcsSetComputeSystemCallback(void *system, INT options, void *context, Notify call)
{
    (void)system; (void)options;
    return begin(tell, call, context);
}

EXPORT HRESULT WINAPI HcsSetProcessCallback(void *process, INT options, void *context, Notify call)
{
    (void)process; (void)options;
    return begin(tell_of_process, call, context);
}
