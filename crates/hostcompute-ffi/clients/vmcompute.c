/*
 * vmcompute.c - a Windows program that drives a container by the older functions, as hcsshim does for docker and containerd: what is
 * pending ends with a notification, processes end with one, and standard handles are read and written through a completion port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>
#include <objbase.h>

#include "expect.h"

#define PENDING 0xc0370103
#define ID L"vmcompute-c"

typedef void *HANDLE_OF;
typedef void(CALLBACK *NOTIFICATION)(DWORD kind, void *context, HRESULT status, PCWSTR data);

struct information {
    DWORD pid, reserved;
    HANDLE input, output, error;
};

/* What there is no import library of. */
#define FUNCTIONS(X)                                                                                                             \
    X(HcsCreateComputeSystem, PCWSTR, PCWSTR, HANDLE, HANDLE_OF *, PWSTR *)                                                      \
    X(HcsOpenComputeSystem, PCWSTR, HANDLE_OF *, PWSTR *)                                                                        \
    X(HcsCloseComputeSystem, HANDLE_OF)                                                                                          \
    X(HcsStartComputeSystem, HANDLE_OF, PCWSTR, PWSTR *)                                                                         \
    X(HcsShutdownComputeSystem, HANDLE_OF, PCWSTR, PWSTR *)                                                                      \
    X(HcsTerminateComputeSystem, HANDLE_OF, PCWSTR, PWSTR *)                                                                     \
    X(HcsPauseComputeSystem, HANDLE_OF, PCWSTR, PWSTR *)                                                                         \
    X(HcsResumeComputeSystem, HANDLE_OF, PCWSTR, PWSTR *)                                                                        \
    X(HcsSaveComputeSystem, HANDLE_OF, PCWSTR, PWSTR *)                                                                          \
    X(HcsGetComputeSystemProperties, HANDLE_OF, PCWSTR, PWSTR *, PWSTR *)                                                        \
    X(HcsModifyComputeSystem, HANDLE_OF, PCWSTR, PWSTR *)                                                                        \
    X(HcsEnumerateComputeSystems, PCWSTR, PWSTR *, PWSTR *)                                                                      \
    X(HcsGetServiceProperties, PCWSTR, PWSTR *, PWSTR *)                                                                         \
    X(HcsModifyServiceSettings, PCWSTR, PWSTR *)                                                                                 \
    X(HcsRegisterComputeSystemCallback, HANDLE_OF, NOTIFICATION, void *, HANDLE_OF *)                                            \
    X(HcsUnregisterComputeSystemCallback, HANDLE_OF)                                                                             \
    X(HcsCreateProcess, HANDLE_OF, PCWSTR, struct information *, HANDLE_OF *, PWSTR *)                                           \
    X(HcsOpenProcess, HANDLE_OF, DWORD, HANDLE_OF *, PWSTR *)                                                                    \
    X(HcsCloseProcess, HANDLE_OF)                                                                                                \
    X(HcsTerminateProcess, HANDLE_OF, PWSTR *)                                                                                   \
    X(HcsSignalProcess, HANDLE_OF, PCWSTR, PWSTR *)                                                                              \
    X(HcsGetProcessInfo, HANDLE_OF, struct information *, PWSTR *)                                                               \
    X(HcsGetProcessProperties, HANDLE_OF, PWSTR *, PWSTR *)                                                                      \
    X(HcsModifyProcess, HANDLE_OF, PCWSTR, PWSTR *)                                                                              \
    X(HcsRegisterProcessCallback, HANDLE_OF, NOTIFICATION, void *, HANDLE_OF *)                                                  \
    X(HcsUnregisterProcessCallback, HANDLE_OF)

#define DECLARE(name, ...) static HRESULT(WINAPI *name)(__VA_ARGS__);
FUNCTIONS(DECLARE)

static void load(void)
{
    HMODULE library = LoadLibraryW(L"vmcompute.dll");
    HOLDS(library);
#define FIND(name, ...)                                                                                                          \
    name = (void *)GetProcAddress(library, #name);                                                                               \
    HOLDS(name);
    FUNCTIONS(FIND)
}

/* What a callback has heard: by kind, how often and with what status. */
struct ear {
    CRITICAL_SECTION lock;
    CONDITION_VARIABLE heard;
    struct {
        DWORD kind;
        HRESULT status;
        WCHAR data[200];
    } told[16];
    int count, taken;
};

static void CALLBACK tell(DWORD kind, void *context, HRESULT status, PCWSTR data)
{
    struct ear *ear = context;
    EnterCriticalSection(&ear->lock);
    HOLDS(ear->count < 16);
    ear->told[ear->count].kind = kind;
    ear->told[ear->count].status = status;
    wcsncpy(ear->told[ear->count].data, data ? data : L"", 199);
    ear->count++;
    WakeAllConditionVariable(&ear->heard);
    LeaveCriticalSection(&ear->lock);
}

static void open_ear(struct ear *ear)
{
    memset(ear, 0, sizeof *ear);
    InitializeCriticalSection(&ear->lock);
    InitializeConditionVariable(&ear->heard);
}

/* The next thing that was heard is of this kind, all was well, and its data has these words, or there is none. */
static void next(struct ear *ear, DWORD kind, PCWSTR words)
{
    EnterCriticalSection(&ear->lock);
    while (ear->taken == ear->count)
        HOLDS(SleepConditionVariableCS(&ear->heard, &ear->lock, LONG_ENOUGH));
    if (ear->told[ear->taken].kind != kind || (words && !wcsstr(ear->told[ear->taken].data, words)))
        fprintf(stderr, "heard %lx %ls\n", ear->told[ear->taken].kind, ear->told[ear->taken].data);
    HOLDS(ear->told[ear->taken].kind == kind);
    HOLDS(ear->told[ear->taken].status == 0);
    HOLDS(words ? wcsstr(ear->told[ear->taken].data, words) != NULL : !ear->told[ear->taken].data[0]);
    ear->taken++;
    LeaveCriticalSection(&ear->lock);
}

static HANDLE port;

/* As go-winio does it: the port is told of everything that did not end at once, and nothing waits for the handle itself. */
static void join_port(HANDLE stream)
{
    HOLDS(CreateIoCompletionPort(stream, port, (ULONG_PTR)stream, 0) == port);
    HOLDS(SetFileCompletionNotificationModes(stream, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE));
}

/* Waits for what was begun; how many bytes, or -1 where the pipe has ended. */
static int finished(HANDLE stream, BOOL begun, OVERLAPPED *overlapped)
{
    DWORD length = 0, error = begun ? 0 : GetLastError();
    OVERLAPPED *told = overlapped;
    ULONG_PTR key = (ULONG_PTR)stream;

    if (error == ERROR_IO_PENDING) {
        GetQueuedCompletionStatus(port, &length, &key, &told, LONG_ENOUGH);
        HOLDS(told == overlapped && key == (ULONG_PTR)stream);
        error = 0;
    }
    if (error == 0 && !GetOverlappedResult(stream, overlapped, &length, FALSE))
        error = GetLastError();
    if (error == ERROR_BROKEN_PIPE)
        return -1;
    HOLDS(error == 0);
    return (int)length;
}

static int read_some(HANDLE stream, char *room, DWORD length)
{
    OVERLAPPED overlapped = {0};
    return finished(stream, ReadFile(stream, room, length, NULL, &overlapped), &overlapped);
}

static void write_all(HANDLE stream, const char *text)
{
    OVERLAPPED overlapped = {0};
    HOLDS(finished(stream, WriteFile(stream, text, (DWORD)strlen(text), NULL, &overlapped), &overlapped) == (int)strlen(text));
}

static void reads(HANDLE stream, const char *wanted)
{
    char text[256];
    int got, length = 0;

    while ((got = read_some(stream, text + length, sizeof text - 1 - length)) > 0)
        length += got;
    text[length] = 0;
    if (strcmp(text, wanted) != 0)
        fprintf(stderr, "read %s\n", text);
    HOLDS(strcmp(text, wanted) == 0);
    CloseHandle(stream);
}

/* A process whose streams are used, and whose input ends while it is held open. */
static void streams(HANDLE_OF system)
{
    struct information information;
    struct ear ear;
    HANDLE_OF process, registration;
    PWSTR text, result = (PWSTR)1;

    open_ear(&ear);
    SUCCEEDS(HcsCreateProcess(system,
                 L"{\"CommandArgs\":[\"sh\",\"-c\",\"cat; echo odd >&2; exit 7\"],"
                 L"\"CreateStdInPipe\":true,\"CreateStdOutPipe\":true,\"CreateStdErrPipe\":true,\"ConsoleSize\":[0,0]}",
                 &information, &process, &result),
        result);
    HOLDS(information.pid && information.input && information.output && information.error);
    EXPECT(0, HcsRegisterProcessCallback(process, tell, &ear, &registration));
    join_port(information.input);
    join_port(information.output);
    join_port(information.error);
    write_all(information.input, "some water\n");
    SUCCEEDS(HcsModifyProcess(process, L"{\"Operation\":\"CloseHandle\",\"CloseHandle\":{\"Handle\":\"StdIn\"}}", &result), result);
    CloseHandle(information.input);
    reads(information.output, "some water\n");
    reads(information.error, "odd\n");
    next(&ear, 0x10000, L"\"ExitCode\":7");
    SUCCEEDS(HcsGetProcessProperties(process, &text, &result), result);
    HOLDS(wcsstr(text, L"\"Exited\":true") && wcsstr(text, L"\"ExitCode\":7"));
    CoTaskMemFree(text);
    EXPECT(0, HcsUnregisterProcessCallback(registration));
    EXPECT(0x8037011f, HcsTerminateProcess(process, &result));
    HOLDS(result && wcsstr(result, L"ErrorEvents") && wcsstr(result, L"-2143878881"));
    CoTaskMemFree(result);
    EXPECT(0, HcsCloseProcess(process));
    HOLDS(ear.count == 1);
}

/* Much output to a slow reader, who is told of the end after the fact. */
static void much(HANDLE_OF system)
{
    enum { MUCH = 2 * 1024 * 1024 };
    struct information information;
    struct ear ear;
    HANDLE_OF process, registration;
    char piece[4000];
    int got, length = 0;
    PWSTR result = (PWSTR)1;

    open_ear(&ear);
    SUCCEEDS(HcsCreateProcess(system,
                 L"{\"CommandArgs\":[\"head\",\"-c\",\"2097152\",\"/dev/zero\"],\"CreateStdOutPipe\":true}", &information, &process, &result),
        result);
    HOLDS(!information.input && information.output && !information.error);
    join_port(information.output);
    while ((got = read_some(information.output, piece, sizeof piece)) > 0)
        length += got;
    HOLDS(length == MUCH);
    CloseHandle(information.output);
    /* It has ended, or is about to: whoever registers now hears of it, once. */
    EXPECT(0, HcsRegisterProcessCallback(process, tell, &ear, &registration));
    next(&ear, 0x10000, L"\"ExitCode\":0");
    EXPECT(0, HcsUnregisterProcessCallback(registration));
    HOLDS(ear.count == 1);
    EXPECT(0, HcsCloseProcess(process));
}

/* Killed through another handle, as hcsshim does it; and a console. */
static void killed(HANDLE_OF system)
{
    struct information information, again;
    struct ear ear;
    HANDLE_OF process, other, second, registration;
    PWSTR text, result = (PWSTR)1;

    open_ear(&ear);
    SUCCEEDS(HcsCreateProcess(system,
                 L"{\"CommandArgs\":[\"sh\",\"-c\",\"stty size; exec sleep 1000\"],\"EmulateConsole\":true,\"ConsoleSize\":[30,90],"
                 L"\"CreateStdInPipe\":true,\"CreateStdOutPipe\":true}",
                 &information, &process, &result),
        result);
    EXPECT(0, HcsRegisterProcessCallback(process, tell, &ear, &registration));
    SUCCEEDS(HcsModifyProcess(process, L"{\"Operation\":\"ConsoleSize\",\"ConsoleSize\":{\"Height\":40,\"Width\":100}}", &result), result);
    SUCCEEDS(HcsOpenComputeSystem(ID, &other, &result), result);
    SUCCEEDS(HcsOpenProcess(other, information.pid, &second, &result), result);
    SUCCEEDS(HcsGetProcessInfo(second, &again, &result), result);
    HOLDS(again.pid == information.pid && again.output);
    CloseHandle(again.input);
    CloseHandle(again.output);
    SUCCEEDS(HcsGetComputeSystemProperties(other, L"{\"PropertyTypes\":[\"ProcessList\"]}", &text, &result), result);
    HOLDS(wcsstr(text, L"ProcessList"));
    CoTaskMemFree(text);
    SUCCEEDS(HcsTerminateProcess(second, &result), result);
    next(&ear, 0x10000, L"\"Exited\":true");
    EXPECT(0, HcsCloseProcess(second));
    EXPECT(0, HcsCloseComputeSystem(other));
    CloseHandle(information.input);
    CloseHandle(information.output);
    EXPECT(0, HcsUnregisterProcessCallback(registration));
    EXPECT(0, HcsCloseProcess(process));
    EXPECT(E_HANDLE, HcsGetProcessProperties(process, &text, &result));
    HOLDS(!text);
    CoTaskMemFree(result);
}

/* What is refused, in the form that programs of these functions know. */
static void mistakes(HANDLE_OF system)
{
    struct information information;
    HANDLE_OF other;
    PWSTR result;

    EXPECT(0xc037010e, HcsOpenComputeSystem(L"nobody", &other, &result));
    HOLDS(!other && result && wcsstr(result, L"nobody"));
    CoTaskMemFree(result);
    EXPECT(0xc037010d, HcsCreateComputeSystem(L"other", L"{", NULL, &other, &result));
    CoTaskMemFree(result);
    EXPECT(0xc037010f, HcsCreateComputeSystem(ID, L"{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Container\":{}}", NULL, &other, &result));
    CoTaskMemFree(result);
    EXPECT(0xc0370105, HcsResumeComputeSystem(system, L"", &result));
    CoTaskMemFree(result);
    EXPECT(0xc0370105, HcsSaveComputeSystem(system, NULL, &result));
    CoTaskMemFree(result);
    EXPECT(0x80070002, HcsCreateProcess(system, L"{\"CommandArgs\":[\"/no/such/program\"]}", &information, &other, &result));
    HOLDS(!other && !information.pid);
    CoTaskMemFree(result);
    EXPECT(E_HANDLE, HcsUnregisterComputeSystemCallback(system));
    EXPECT(E_POINTER, HcsRegisterComputeSystemCallback(system, NULL, NULL, &other));
    EXPECT(0x80070490, HcsOpenProcess(system, 999999, &other, &result));
    CoTaskMemFree(result);
}

int main(void)
{
    struct ear ear;
    HANDLE_OF system, registration, stale;
    PWSTR text, result = (PWSTR)1;

    load();
    port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    HOLDS(port);
    open_ear(&ear);
    /* A document as docker writes it. */
    EXPECT(PENDING, HcsCreateComputeSystem(ID,
                        L"{\"SystemType\":\"Container\",\"Name\":\"vmcompute-c\",\"Owner\":\"vmcompute.c\",\"HvPartition\":false,"
                        L"\"Layers\":[{\"ID\":\"0f8fad5b-d9cb-469f-a165-70867728950e\",\"Path\":\"/\"}],\"HostName\":\"box\","
                        L"\"TerminateOnLastHandleClosed\":true}",
                        NULL, &system, &result));
    HOLDS(system && !result);
    EXPECT(0, HcsRegisterComputeSystemCallback(system, tell, &ear, &registration));
    next(&ear, 2, NULL);
    EXPECT(PENDING, HcsStartComputeSystem(system, L"", &result));
    next(&ear, 3, NULL);
    EXPECT(PENDING, HcsPauseComputeSystem(system, L"", &result));
    next(&ear, 4, NULL);
    EXPECT(PENDING, HcsResumeComputeSystem(system, L"", &result));
    next(&ear, 5, NULL);
    SUCCEEDS(HcsGetComputeSystemProperties(system, L"{}", &text, &result), result);
    HOLDS(wcsstr(text, L"\"SystemType\":\"Container\"") && wcsstr(text, L"\"Owner\":\"vmcompute.c\"") && wcsstr(text, L"\"State\":\"Running\""));
    CoTaskMemFree(text);
    SUCCEEDS(HcsModifyComputeSystem(system,
                 L"{\"ResourcePath\":\"Container/Memory/SizeInMB\",\"RequestType\":\"Update\",\"Settings\":512}", &result),
        result);
    SUCCEEDS(HcsEnumerateComputeSystems(L"{\"Owners\":[\"vmcompute.c\"]}", &text, &result), result);
    HOLDS(wcsstr(text, ID));
    CoTaskMemFree(text);
    SUCCEEDS(HcsGetServiceProperties(L"{\"PropertyTypes\":[\"Basic\"]}", &text, &result), result);
    HOLDS(wcsstr(text, L"SupportedSchemaVersions"));
    CoTaskMemFree(text);
    EXPECT(E_INVALIDARG, HcsModifyServiceSettings(L"{\"PropertyType\":\"CpuGroup\",\"Settings\":{}}", &result));
    CoTaskMemFree(result);
    mistakes(system);
    streams(system);
    much(system);
    killed(system);
    EXPECT(PENDING, HcsTerminateComputeSystem(system, L"", &result));
    next(&ear, 1, L"ForcedExit");
    EXPECT(0xc037010e, HcsTerminateComputeSystem(system, L"", &result));
    CoTaskMemFree(result);
    EXPECT(0, HcsUnregisterComputeSystemCallback(registration));
    EXPECT(E_HANDLE, HcsUnregisterComputeSystemCallback(registration));
    stale = system;
    EXPECT(0, HcsCloseComputeSystem(system));
    EXPECT(E_HANDLE, HcsCloseComputeSystem(stale));
    HOLDS(ear.count == ear.taken);
    puts("vmcompute.c: done");
    return 0;
}
