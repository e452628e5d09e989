/*
 * windows.c - a Windows program, built with mingw-w64's own headers and import libraries, at work on a Linux service: networks with what
 * is told of them, a container with a process whose streams it uses, the older calls of vmcompute.dll, and mistakes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>
#include <objbase.h>
#include <computecore.h>
#include <computenetwork.h>

#include "expect.h"

static const GUID NETWORK = {0x0f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};
static const GUID ENDPOINT = {0x1f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};
static const GUID NAMESPACE = {0x2f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}};

/* What a callback has heard. */
struct ear {
    HANDLE heard;
    LONG kinds; /* bit N: notification N came */
};

static void CALLBACK told(DWORD kind, void *context, HRESULT status, PCWSTR data)
{
    struct ear *ear = context;
    HOLDS(status == 0);
    if (kind < 32 && data && wcsstr(data, L"d9cb-469f-a165-70867728950e"))
        InterlockedOr(&ear->kinds, 1L << kind);
    SetEvent(ear->heard);
}

static void wait_for(struct ear *ear, LONG kinds)
{
    while ((InterlockedOr(&ear->kinds, 0) & kinds) != kinds)
        HOLDS(WaitForSingleObject(ear->heard, LONG_ENOUGH) == WAIT_OBJECT_0);
}

static void networks(void)
{
    struct ear ear = {CreateEventW(NULL, FALSE, FALSE, NULL), 0};
    HCN_CALLBACK registration;
    HCN_NETWORK network, other;
    HCN_ENDPOINT endpoint;
    HCN_NAMESPACE namespace;
    PWSTR text = (PWSTR)1, record = (PWSTR)1;

    EXPECT(0, HcnRegisterServiceCallback(told, &ear, &registration));
    SUCCEEDS(HcnCreateNetwork(&NETWORK,
                 L"{\"Name\":\"windows.c \u00e4\",\"Type\":\"NAT\",\"Ipams\":[{\"Subnets\":[{\"IpAddressPrefix\":\"10.77.0.0/24\"}]}],"
                 L"\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}",
                 &network, &record),
        record);
    SUCCEEDS(HcnQueryNetworkProperties(network, NULL, &text, &record), record);
    HOLDS(wcsstr(text, L"windows.c \u00e4"));
    CoTaskMemFree(text);
    SUCCEEDS(HcnCreateEndpoint(network, &ENDPOINT, L"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}", &endpoint, &record), record);
    SUCCEEDS(HcnCreateNamespace(&NAMESPACE, L"{\"Type\":\"Host\",\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}", &namespace, &record), record);
    SUCCEEDS(HcnModifyNamespace(namespace,
                 L"{\"ResourceType\":\"Endpoint\",\"RequestType\":\"Add\",\"Settings\":{\"EndpointId\":\"1f8fad5b-d9cb-469f-a165-70867728950e\"}}",
                 &record),
        record);
    wait_for(&ear, 1L << HcnNotificationNetworkCreate | 1L << HcnNotificationNamespaceCreate | 1L << HcnNotificationNetworkEndpointAttached);
    SUCCEEDS(HcnEnumerateEndpoints(L"{}", &text, &record), record);
    HOLDS(wcsstr(text, L"1f8fad5b") || wcsstr(text, L"1F8FAD5B"));
    HOLDS(LocalFree(text) == NULL);

    /* Mistakes: a handle that is none, one of another kind, an id that nobody has. */
    EXPECT(E_HANDLE, HcnQueryNetworkProperties((HCN_NETWORK)-1, NULL, &text, NULL));
    EXPECT(E_HANDLE, HcnCloseNamespace(network));
    EXPECT(0x803b0001, HcnOpenNetwork(&ENDPOINT, &other, &record));
    HOLDS(other == NULL && record && wcsstr(record, L"\"Success\":false"));
    CoTaskMemFree(record);
    EXPECT(E_INVALIDARG, HcnCreateNetwork(NULL, L"{\xd83d}", &other, &record));
    HOLDS(LocalFree(record) == NULL);

    SUCCEEDS(HcnDeleteNamespace(&NAMESPACE, &record), record);
    EXPECT(0, HcnCloseNamespace(namespace));
    EXPECT(0, HcnCloseEndpoint(endpoint));
    SUCCEEDS(HcnDeleteEndpoint(&ENDPOINT, &record), record);
    SUCCEEDS(HcnDeleteNetwork(&NETWORK, &record), record);
    EXPECT(0, HcnCloseNetwork(network));
    wait_for(&ear, 1L << HcnNotificationNetworkDelete | 1L << HcnNotificationNamespaceDelete);
    EXPECT(0, HcnUnregisterServiceCallback(registration));
    CloseHandle(ear.heard);
}

static void older_calls(void)
{
    HRESULT(WINAPI *call)(PCWSTR, PCWSTR, PCWSTR, PWSTR *);
    HRESULT(WINAPI *nothing)(void *, PCWSTR);
    HMODULE library = LoadLibraryW(L"vmcompute.dll");
    PWSTR text;

    HOLDS(library);
    call = (void *)GetProcAddress(library, "HNSCall");
    nothing = (void *)GetProcAddress(library, "ActivateLayer");
    HOLDS(call && nothing);
    EXPECT(0, call(L"GET", L"/globals/version", L"", &text));
    HOLDS(wcsstr(text, L"\"Success\":true") && wcsstr(text, L"\"Major\":15"));
    CoTaskMemFree(text);
    EXPECT(E_POINTER, nothing(NULL, NULL));
}

/* Waits for a call that was accepted, and stops unless it ends well and tells `words`. */
static void ends(HCS_OPERATION operation, PCWSTR words)
{
    PWSTR result = NULL;
    HRESULT answered = HcsWaitForOperationResult(operation, LONG_ENOUGH, &result);
    if (answered != 0 || (words && (!result || !wcsstr(result, words)))) {
        fprintf(stderr, "the operation ended with 0x%08lx: %ls\n", (unsigned long)answered, result ? result : L"");
        exit(1);
    }
    LocalFree(result);
}

static void reads(HANDLE stream, const char *wanted)
{
    char text[256];
    DWORD got, length = 0;

    while (ReadFile(stream, text + length, sizeof text - 1 - length, &got, NULL) && got > 0)
        length += got;
    text[length] = 0;
    if (strcmp(text, wanted) != 0)
        fprintf(stderr, "read %s\n", text);
    HOLDS(strcmp(text, wanted) == 0);
    CloseHandle(stream);
}

static void systems(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION information;
    HCS_SYSTEM system;
    HCS_PROCESS process;
    PWSTR result;
    DWORD written;

    EXPECT(0, HcsCreateComputeSystem(L"windows-c",
                  L"{\"Owner\":\"windows.c\",\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"ShouldTerminateOnLastHandleClosed\":true,"
                  L"\"Container\":{\"Storage\":{\"Layers\":[{\"Path\":\"/\"}]}}}",
                  operation, NULL, &system));
    ends(operation, NULL);
    EXPECT(0, HcsStartComputeSystem(system, operation, NULL));
    ends(operation, NULL);
    EXPECT(0, HcsEnumerateComputeSystems(L"{\"Owners\":[\"windows.c\"]}", operation));
    ends(operation, L"windows-c");
    EXPECT(0, HcsCreateProcess(system,
                  L"{\"CommandArgs\":[\"sh\",\"-c\",\"read word; echo got $word; echo odd >&2; exit 7\"],"
                  L"\"CreateStdInPipe\":true,\"CreateStdOutPipe\":true,\"CreateStdErrPipe\":true}",
                  operation, NULL, &process));
    EXPECT(0, HcsWaitForOperationResultAndProcessInfo(operation, LONG_ENOUGH, &information, NULL));
    HOLDS(information.ProcessId && information.StdInput && information.StdOutput && information.StdError);
    HOLDS(WriteFile(information.StdInput, "water\n", 6, &written, NULL) && written == 6);
    CloseHandle(information.StdInput);
    reads(information.StdOutput, "got water\n");
    reads(information.StdError, "odd\n");
    EXPECT(0, HcsWaitForProcessExit(process, LONG_ENOUGH, &result));
    HOLDS(wcsstr(result, L"\"ExitCode\":7"));
    CoTaskMemFree(result);
    HcsCloseProcess(process);
    EXPECT(0, HcsTerminateComputeSystem(system, operation, NULL));
    ends(operation, NULL);
    HcsCloseOperation(operation);
    HcsCloseComputeSystem(system);
}

int main(void)
{
    networks();
    older_calls();
    systems();
    puts("windows.c: done");
    return 0;
}
