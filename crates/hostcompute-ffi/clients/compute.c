/*
 * compute.c - a C program that runs processes in a container over the host's own files, and hears how they end.
 *
 * Beside that it tries what programs do wrong with operations, handles and documents. Needs root.
 */
#include <pthread.h>
#include <unistd.h>

#include "check.h"
#include "computecore.h"

static const char16_t DOCUMENT[] =
    u"{\"Owner\":\"compute.c\",\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"ShouldTerminateOnLastHandleClosed\":true,"
    u"\"Container\":{\"Storage\":{\"Layers\":[{\"Path\":\"/\"}]}}}";

/* What callbacks have heard. */
struct ear {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    int completions, operations, system_exits, process_exits;
};

static struct ear ear = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0};

static void count(int *what)
{
    pthread_mutex_lock(&ear.lock);
    ++*what;
    pthread_cond_broadcast(&ear.heard);
    pthread_mutex_unlock(&ear.lock);
}

static void wait_for(const int *what, int times)
{
    pthread_mutex_lock(&ear.lock);
    while (*what < times)
        pthread_cond_wait(&ear.heard, &ear.lock);
    HOLDS(*what == times);
    pthread_mutex_unlock(&ear.lock);
}

static void happened(HCS_EVENT *event, void *context)
{
    HOLDS(context == &ear);
    switch (event->Type) {
    case HcsEventSystemExited:
        HOLDS(has(event->EventData, "ExitType"));
        count(&ear.system_exits);
        break;
    case HcsEventProcessExited:
        HOLDS(has(event->EventData, "\"ExitCode\":7"));
        count(&ear.process_exits);
        break;
    case HcsEventOperationCallback:
        HOLDS(event->EventData == NULL && HcsGetOperationContext(event->Operation) == &ear);
        count(&ear.operations);
        break;
    default:
        break;
    }
}

/* The documented pattern: the result is read, and the operation closed, in its callback. */
static void completed(HCS_OPERATION operation, void *context)
{
    PWSTR result;
    HOLDS(context == &ear);
    EXPECT(0, HcsGetOperationResult(operation, &result));
    HOLDS(has(result, "\"Owner\":\"compute.c\""));
    HostComputeFree(result);
    HcsCloseOperation(operation);
    count(&ear.completions);
}

/* Waits for a call that was accepted, and stops unless it ends with `code`. */
static void ends(HCS_OPERATION operation, HRESULT code, const char *words)
{
    PWSTR result;
    HRESULT answered = HcsWaitForOperationResult(operation, 60000, &result);
    if (answered != code || (words && !has(result, words))) {
        fprintf(stderr, "the operation ended with 0x%08x: ", (unsigned)answered);
        print16(result);
        exit(1);
    }
    HostComputeFree(result);
}

static size_t read_all(HANDLE stream, char *into, size_t size)
{
    size_t length = 0;
    ssize_t got;
    while ((got = read(HOSTCOMPUTE_DESCRIPTOR(stream), into + length, size - 1 - length)) > 0)
        length += (size_t)got;
    HOLDS(got == 0);
    into[length] = 0;
    HOLDS(close(HOSTCOMPUTE_DESCRIPTOR(stream)) == 0);
    return length;
}

static void process_with_streams(HCS_SYSTEM system, HCS_OPERATION operation)
{
    HCS_PROCESS_INFORMATION information, again;
    HCS_PROCESS process, opened;
    PWSTR result;
    char text[256];

    EXPECT(0, HcsCreateProcess(system,
                  u"{\"CommandArgs\":[\"sh\",\"-c\",\"read word; echo got $word; echo odd >&2; exit 7\"],"
                  u"\"CreateStdInPipe\":true,\"CreateStdOutPipe\":true,\"CreateStdErrPipe\":true}",
                  operation, NULL, &process));
    EXPECT(0, HcsWaitForOperationResultAndProcessInfo(operation, HOSTCOMPUTE_INFINITE, &information, &result));
    HOLDS(result == NULL && information.ProcessId != 0 && information.Reserved == 0);
    HOLDS(information.StdInput && information.StdOutput && information.StdError);
    /* The descriptors are handed out once, the rest as often as one likes. */
    EXPECT(0, HcsGetOperationResultAndProcessInfo(operation, &again, NULL));
    HOLDS(again.ProcessId == information.ProcessId && again.StdOutput == NULL);
    EXPECT(0, HcsSetProcessCallback(process, HcsEventOptionNone, &ear, happened));
    EXPECT(0, HcsOpenProcess(system, information.ProcessId, HOSTCOMPUTE_GENERIC_ALL, &opened));
    EXPECT((HRESULT)0x80070102, HcsWaitForProcessExit(opened, 1, &result));
    HOLDS(result == NULL);
    EXPECT(0, HcsGetProcessProperties(opened, operation, NULL));
    ends(operation, 0, "\"Exited\":false");

    HOLDS(write(HOSTCOMPUTE_DESCRIPTOR(information.StdInput), "water\n", 6) == 6);
    HOLDS(close(HOSTCOMPUTE_DESCRIPTOR(information.StdInput)) == 0);
    read_all(information.StdOutput, text, sizeof text);
    HOLDS(strcmp(text, "got water\n") == 0);
    read_all(information.StdError, text, sizeof text);
    HOLDS(strcmp(text, "odd\n") == 0);
    EXPECT(0, HcsWaitForProcessExit(process, HOSTCOMPUTE_INFINITE, &result));
    HOLDS(has(result, "\"ExitCode\":7"));
    HostComputeFree(result);
    wait_for(&ear.process_exits, 1);
    EXPECT(0, HcsSignalProcess(process, operation, NULL));
    ends(operation, (HRESULT)0x8037011f, "ErrorMessage");
    HcsCloseProcess(opened);
    HcsCloseProcess(process);
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcsSignalProcess(process, operation, NULL));
}

static void killed_process(HCS_SYSTEM system, HCS_OPERATION operation)
{
    HCS_PROCESS process;
    PWSTR result;

    EXPECT(0, HcsCreateProcess(system, u"{\"CommandArgs\":[\"sleep\",\"1000\"]}", operation, NULL, &process));
    ends(operation, 0, NULL);
    EXPECT(0, HcsTerminateProcess(process, operation, NULL));
    ends(operation, 0, NULL);
    EXPECT(0, HcsWaitForProcessExit(process, HOSTCOMPUTE_INFINITE, &result));
    HOLDS(has(result, "\"Exited\":true"));
    HostComputeFree(result);
    HcsCloseProcess(process);
}

static void mistakes(HCS_SYSTEM system, HCS_OPERATION operation)
{
    HCS_OPERATION fresh = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION information;
    HCS_SYSTEM none;
    HCS_PROCESS process;
    PWSTR result;

    HOLDS(fresh && HcsGetOperationType(fresh) == HcsOperationTypeNone && HcsGetOperationId(fresh) != HcsGetOperationId(operation));
    HOLDS(HcsGetOperationId(system) == HCS_INVALID_OPERATION_ID && HcsGetOperationId(NULL) == HCS_INVALID_OPERATION_ID);
    EXPECT((HRESULT)0x80370115, HcsGetOperationResult(fresh, &result));
    EXPECT((HRESULT)0x80370115, HcsWaitForOperationResult(fresh, 0, NULL));
    EXPECT(HOSTCOMPUTE_E_NOTIMPL, HcsCancelOperation(fresh));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcsStartComputeSystem(system, system, NULL));
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcsStartComputeSystem(NULL, fresh, NULL));
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcsStartComputeSystem(system, NULL, NULL));
    EXPECT(HOSTCOMPUTE_E_INVALIDARG,
        HcsCreateComputeSystem(u"x", DOCUMENT, fresh, (const SECURITY_DESCRIPTOR *)&none, &none));
    HOLDS(none == NULL);
    EXPECT(HOSTCOMPUTE_E_POINTER, HcsCreateComputeSystem(u"x", NULL, fresh, NULL, &none));
    EXPECT((HRESULT)0x8037010e, HcsOpenComputeSystem(u"nothing of this name", HOSTCOMPUTE_GENERIC_ALL, &none));
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcsOpenComputeSystem(u"x", 1, &none));
    EXPECT(HOSTCOMPUTE_E_NOTIMPL, HcsStartLiveMigrationOnSource(system, fresh, NULL));
    EXPECT(HOSTCOMPUTE_E_NOTSUPPORTED, HcsSubmitWerReport(u"{}"));
    HOLDS(HcsGetOperationType(fresh) == HcsOperationTypeNone);

    /* A failed call tells why; its handle is closed as others. */
    EXPECT(0, HcsCreateComputeSystem(u"broken", u"{\"Container\":{\"Storage\":{\"Layer\":[]}}}", fresh, NULL, &none));
    ends(fresh, (HRESULT)0x8037010d, "$.Container.Storage.Layer");
    ends(fresh, (HRESULT)0x8037010d, "\"Error\":-2143878899");
    EXPECT(0, HcsStartComputeSystem(none, fresh, NULL));
    ends(fresh, (HRESULT)0x80370105, NULL);
    HcsCloseComputeSystem(none);
    EXPECT(0, HcsCreateComputeSystem(u"Compute-C", DOCUMENT, fresh, NULL, &none));
    ends(fresh, (HRESULT)0x8037010f, NULL);
    HcsCloseComputeSystem(none);
    EXPECT(0, HcsCreateProcess(system, u"{\"CommandArgs\":[\"no such program\"]}", fresh, NULL, &process));
    HRESULT refused = HcsWaitForOperationResultAndProcessInfo(fresh, HOSTCOMPUTE_INFINITE, &information, &result);
    HOLDS(refused < 0 && information.ProcessId == 0 && has(result, "ErrorMessage"));
    HostComputeFree(result);
    HcsCloseProcess(process);
    EXPECT(0, HcsGetComputeSystemProperties(system, fresh, NULL));
    ends(fresh, 0, "\"Id\":\"compute-c\"");
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcsGetOperationResultAndProcessInfo(fresh, &information, NULL));
    HcsCloseOperation(fresh);
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcsGetOperationResult(fresh, NULL));
}

int main(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system, again;
    PWSTR result;

    EXPECT(0, HcsGetServiceProperties(u"{\"PropertyTypes\":[\"Basic\"]}", &result));
    HOLDS(has(result, "SupportedSchemaVersions"));
    HostComputeFree(result);
    EXPECT((HRESULT)0x8037010d, HcsGetServiceProperties(u"{\"PropertyType\":1}", &result));
    HOLDS(has(result, "ErrorMessage"));
    HostComputeFree(result);

    /* Three calls that do not wait for each other are carried out in their order. */
    EXPECT(0, HcsCreateComputeSystem(u"compute-c", DOCUMENT, operation, NULL, &system));
    EXPECT(0, HcsSetComputeSystemCallback(system, HcsEventOptionNone, &ear, happened));
    EXPECT((HRESULT)0x80370119, HcsSetComputeSystemCallback(system, HcsEventOptionNone, &ear, happened));
    HCS_OPERATION start = HcsCreateOperation(NULL, NULL);
    EXPECT(0, HcsStartComputeSystem(system, start, NULL));
    ends(operation, 0, NULL);
    ends(start, 0, NULL);
    HcsCloseOperation(start);
    EXPECT(0, HcsStartComputeSystem(system, operation, NULL));
    ends(operation, (HRESULT)0x80370105, "ErrorMessage");

    process_with_streams(system, operation);
    killed_process(system, operation);
    mistakes(system, operation);

    /* A callback of the operation's own. */
    EXPECT(0, HcsOpenComputeSystem(u"COMPUTE-C", 0, &again));
    HOLDS(again != system);
    EXPECT(0, HcsGetComputeSystemProperties(again, HcsCreateOperation(&ear, completed), NULL));
    wait_for(&ear.completions, 1);
    /* Ends of operations as events. */
    HCS_OPERATION told = HcsCreateOperation(&ear, NULL), own = HcsCreateOperation(&ear, completed);
    EXPECT(0, HcsSetComputeSystemCallback(again, HcsEventOptionEnableOperationCallbacks, &ear, happened));
    EXPECT((HRESULT)0x80370119, HcsGetComputeSystemProperties(again, own, NULL));
    HcsCloseOperation(own);
    EXPECT(0, HcsGetComputeSystemProperties(again, told, NULL));
    wait_for(&ear.operations, 1);
    ends(told, 0, "\"State\":\"Running\"");
    HcsCloseOperation(told);
    HcsCloseComputeSystem(again);

    EXPECT(0, HcsEnumerateComputeSystems(u"{\"Owners\":[\"compute.c\"]}", operation));
    ends(operation, 0, "\"Id\":\"compute-c\"");
    EXPECT(0, HcsTerminateComputeSystem(system, operation, NULL));
    ends(operation, 0, NULL);
    EXPECT(0, HcsWaitForComputeSystemExit(system, 60000, &result));
    HOLDS(has(result, "ForcedExit"));
    HostComputeFree(result);
    wait_for(&ear.system_exits, 1);
    HcsCloseComputeSystem(system);
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
    puts("compute.c: ok");
    return 0;
}
