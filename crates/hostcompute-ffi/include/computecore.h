/*
 * computecore.h - compute systems (containers) of this host and their processes (libcomputecore, pkg-config computecore).
 *
 * Strings, results, handles, callbacks and where the service is: see hostcompute.h.
 *
 * Documents are JSON of the published HCS schema, read strictly; `hc schema openapi --api hcs` prints all of it. A container over the
 * host's own files, whose changes are gone with it:
 *   {"SchemaVersion": {"Major": 2, "Minor": 1}, "Container": {"Storage": {"Layers": [{"Path": "/"}]}}}
 *
 * OPERATIONS
 *   Most calls are accepted at once, and carried out by threads of the library: those on one handle in the order of the calls. S_OK says
 *   that the call was accepted; how it ended is read from the operation that was given. An operation tracks one call at a time and may
 *   be used again when it has ended. A call that is not accepted leaves the operation as it was.
 *
 *   A result is read as often as one likes, each time with a string of its own. It is NULL where there is nothing to say, and a
 *   ResultError document when the call failed:
 *     {"Error": -2143878899, "ErrorMessage": "... (at $.Container.Storage.Layer)"}
 *
 *   0x80370115  the operation tracks nothing yet     0x80370117  the call has not ended
 *   0x80370116  the operation tracks a call          0x80370118  the call has not ended in time, and goes on
 *
 * What calls answer, or end with, besides the codes of hostcompute.h:
 *   0x8037010d  a document is no JSON, or not of the schema      0x8037010e  there is no such system
 *   0x8037010f  the id is taken (whatever its case)              0x80370105  not in this state
 *   0x80370110  the system has stopped                           0x8037011f  the process has stopped
 *   0x8037011b  the caller may not do this                       0x80070490  there is no such process or network
 *   0x80070102  HcsWaitFor...Exit: it has not ended in time      0x8037011e  the service has gone away
 */
#ifndef COMPUTECORE_H
#define COMPUTECORE_H

#include "hostcompute.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void *HCS_SYSTEM;
typedef void *HCS_PROCESS;
typedef void *HCS_OPERATION;

/* Always passed as NULL. */
typedef struct SECURITY_DESCRIPTOR SECURITY_DESCRIPTOR;

/* A time in milliseconds that has no end. */
#define HOSTCOMPUTE_INFINITE ((uint32_t)0xFFFFFFFF)

/* The id of no operation. */
#define HCS_INVALID_OPERATION_ID ((uint64_t)-1)

/* The access to ask for when something is opened; 0 is taken, too. */
#define HOSTCOMPUTE_GENERIC_ALL ((uint32_t)0x10000000)

/* A handle of a stream is a file descriptor: its number, as a pointer. NULL and -1 are none. */
#define HOSTCOMPUTE_DESCRIPTOR(handle) ((int)(intptr_t)(handle))

typedef enum HCS_OPERATION_TYPE {
    HcsOperationTypeNone = -1,
    HcsOperationTypeEnumerate = 0,
    HcsOperationTypeCreate = 1,
    HcsOperationTypeStart = 2,
    HcsOperationTypeShutdown = 3,
    HcsOperationTypePause = 4,
    HcsOperationTypeResume = 5,
    HcsOperationTypeSave = 6,
    HcsOperationTypeTerminate = 7,
    HcsOperationTypeModify = 8,
    HcsOperationTypeGetProperties = 9,
    HcsOperationTypeCreateProcess = 10,
    HcsOperationTypeSignalProcess = 11,
    HcsOperationTypeGetProcessInfo = 12,
    HcsOperationTypeGetProcessProperties = 13,
    HcsOperationTypeModifyProcess = 14,
    HcsOperationTypeCrash = 15
} HCS_OPERATION_TYPE;

typedef enum HCS_EVENT_TYPE {
    HcsEventInvalid = 0x00000000,
    HcsEventSystemExited = 0x00000001,                      /* SystemExitStatus; the last event of a system */
    HcsEventSystemCrashInitiated = 0x00000002,
    HcsEventSystemCrashReport = 0x00000003,
    HcsEventSystemRdpEnhancedModeStateChanged = 0x00000004,
    HcsEventSystemSiloJobCreated = 0x00000005,
    HcsEventSystemGuestConnectionClosed = 0x00000006,
    HcsEventProcessExited = 0x00010000,                     /* ProcessStatus; on processes' handles */
    HcsEventOperationCallback = 0x01000000,                 /* `Operation` has ended */
    HcsEventServiceDisconnect = 0x02000000,                 /* nothing more can be heard; the system may go on */
    HcsEventGroupVmLifecycle = (int)0x80000002,
    HcsEventGroupOperationInfo = (int)0xC0000001
} HCS_EVENT_TYPE;

/* What happened. All of it lives as long as the callback runs. */
typedef struct HCS_EVENT {
    HCS_EVENT_TYPE Type;
    PCWSTR EventData;        /* a document, or NULL */
    HCS_OPERATION Operation; /* of HcsEventOperationCallback, else NULL */
} HCS_EVENT;

typedef enum HCS_EVENT_OPTIONS {
    HcsEventOptionNone = 0x00000000,
    /* Ends of operations are events of the handle. Operations with a callback of their own are refused then (0x80370119). */
    HcsEventOptionEnableOperationCallbacks = 0x00000001,
    HcsEventOptionEnableVmLifecycle = 0x00000002
} HCS_EVENT_OPTIONS;

typedef enum HCS_OPERATION_OPTIONS {
    HcsOperationOptionNone = 0x00000000,
    HcsOperationOptionProgressUpdate = 0x00000001
} HCS_OPERATION_OPTIONS;

typedef enum HCS_RESOURCE_TYPE {
    HcsResourceTypeNone = 0,
    HcsResourceTypeFile = 1,
    HcsResourceTypeJob = 2
} HCS_RESOURCE_TYPE;

/* An operation has ended: its result can be read in here, and the operation be closed. Called once for each call. */
typedef void (*HCS_OPERATION_COMPLETION)(HCS_OPERATION operation, void *context);

typedef void (*HCS_EVENT_CALLBACK)(HCS_EVENT *event, void *context);

/* A process's number in its system, and the streams that were asked for: file descriptors of the caller's, to be closed. */
typedef struct HCS_PROCESS_INFORMATION {
    uint32_t ProcessId;
    uint32_t Reserved;
    HANDLE StdInput;  /* to be written */
    HANDLE StdOutput; /* to be read */
    HANDLE StdError;  /* to be read */
} HCS_PROCESS_INFORMATION;

typedef enum HCS_CREATE_OPTIONS {
    HcsCreateOptions_1 = 0x00010000
} HCS_CREATE_OPTIONS;

typedef struct HCS_CREATE_OPTIONS_1 {
    HCS_CREATE_OPTIONS Version; /* HcsCreateOptions_1 */
    HANDLE UserToken;           /* NULL */
    SECURITY_DESCRIPTOR *SecurityDescriptor; /* NULL */
    HCS_EVENT_OPTIONS CallbackOptions;
    void *CallbackContext;
    HCS_EVENT_CALLBACK Callback; /* hears everything from the beginning; may be NULL */
} HCS_CREATE_OPTIONS_1;

/*
 * Operations.
 */

/* A new operation; NULL when there can be no more. Both arguments may be NULL. */
HCS_OPERATION HcsCreateOperation(const void *context, HCS_OPERATION_COMPLETION callback);

/* The same, told by an event (HcsEventOperationCallback). No call here tells how far it has got. */
HCS_OPERATION HcsCreateOperationWithNotifications(HCS_OPERATION_OPTIONS eventTypes, const void *context, HCS_EVENT_CALLBACK callback);

/* Gives it back, at any time. The call that it tracks goes on, and nobody is told of its end. Waits for its callback, when that runs on
 * another thread. Descriptors in a result that nobody has read are closed. */
void HcsCloseOperation(HCS_OPERATION operation);

uint64_t HcsGetOperationId(HCS_OPERATION operation);                         /* unique in this process */
HCS_OPERATION_TYPE HcsGetOperationType(HCS_OPERATION operation);             /* what it tracks, or tracked last */
void *HcsGetOperationContext(HCS_OPERATION operation);                       /* what the program has set */
HRESULT HcsSetOperationContext(HCS_OPERATION operation, const void *context);
HRESULT HcsSetOperationCallback(HCS_OPERATION operation, const void *context, HCS_OPERATION_COMPLETION callback);
HCS_SYSTEM HcsGetComputeSystemFromOperation(HCS_OPERATION operation);        /* of the call under way, else NULL; not to be closed */
HCS_PROCESS HcsGetProcessFromOperation(HCS_OPERATION operation);             /* the same */
HRESULT HcsGetOperationProperties(HCS_OPERATION operation, PCWSTR options, PWSTR *resultDocument); /* an OperationInfo document */
HRESULT HcsCancelOperation(HCS_OPERATION operation);                         /* E_NOTIMPL, as documented */
HRESULT HcsAddResourceToOperation(HCS_OPERATION operation, HCS_RESOURCE_TYPE type, PCWSTR uri, HANDLE handle); /* E_NOTIMPL */

/* How the call ended, without waiting or with. resultDocument may be NULL; it is written for failed calls, too. */
HRESULT HcsGetOperationResult(HCS_OPERATION operation, PWSTR *resultDocument);
HRESULT HcsWaitForOperationResult(HCS_OPERATION operation, uint32_t timeoutMs, PWSTR *resultDocument);

/* The same for HcsCreateProcess and HcsGetProcessInfo (others: E_INVALIDARG). The descriptors are handed out once, to whoever asks
 * first with a place for them. */
HRESULT HcsGetOperationResultAndProcessInfo(HCS_OPERATION operation, HCS_PROCESS_INFORMATION *processInformation, PWSTR *resultDocument);
HRESULT HcsWaitForOperationResultAndProcessInfo(HCS_OPERATION operation, uint32_t timeoutMs, HCS_PROCESS_INFORMATION *processInformation, PWSTR *resultDocument);

/*
 * Compute systems. A system goes on without handles, unless its document says ShouldTerminateOnLastHandleClosed.
 */

/* Makes a system: ComputeSystem document. The handle is there at once, and must be closed even when the operation fails; calls on it wait
 * until the system is made. */
HRESULT HcsCreateComputeSystem(PCWSTR id, PCWSTR configuration, HCS_OPERATION operation, const SECURITY_DESCRIPTOR *securityDescriptor, HCS_SYSTEM *computeSystem);

/* The same, with a callback from the beginning. `idNamespace` is NULL or empty: there is one (others: HOSTCOMPUTE_E_NOTSUPPORTED).
 * `options` is NULL or an HCS_CREATE_OPTIONS_1. */
HRESULT HcsCreateComputeSystemInNamespace(PCWSTR idNamespace, PCWSTR id, PCWSTR configuration, HCS_OPERATION operation, const HCS_CREATE_OPTIONS *options, HCS_SYSTEM *computeSystem);

HRESULT HcsOpenComputeSystem(PCWSTR id, uint32_t requestedAccess, HCS_SYSTEM *computeSystem);
HRESULT HcsOpenComputeSystemInNamespace(PCWSTR idNamespace, PCWSTR id, uint32_t requestedAccess, HCS_SYSTEM *computeSystem);

/* Waits for a callback that runs; nothing is called afterwards. Calls that were accepted are carried out. */
void HcsCloseComputeSystem(HCS_SYSTEM computeSystem);

/* Tracked by the operation; the options are documents, or NULL. Save and Crash are for virtual machines. */
HRESULT HcsStartComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsShutDownComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options); /* asks: the end is SystemExited */
HRESULT HcsTerminateComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsCrashComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsPauseComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsResumeComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsSaveComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);

/* Properties, for a System_PropertyQuery; NULL asks for the basic ones. */
HRESULT HcsGetComputeSystemProperties(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR propertyQuery);

/* A ModifySettingRequest. `identity` must be NULL (HOSTCOMPUTE_E_NOTSUPPORTED). */
HRESULT HcsModifyComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR configuration, HANDLE identity);

/* A list of Properties, for a SystemQuery or NULL. */
HRESULT HcsEnumerateComputeSystems(PCWSTR query, HCS_OPERATION operation);
HRESULT HcsEnumerateComputeSystemsInNamespace(PCWSTR idNamespace, PCWSTR query, HCS_OPERATION operation);

/* What happens to the system from now on; to one that is being made, from its beginning. One callback for a handle (0x80370119); NULL takes it away, and waits as
 * closing does. */
HRESULT HcsSetComputeSystemCallback(HCS_SYSTEM computeSystem, HCS_EVENT_OPTIONS callbackOptions, const void *context, HCS_EVENT_CALLBACK callback);

/* Waits for the end; `result` is a SystemExitStatus document. */
HRESULT HcsWaitForComputeSystemExit(HCS_SYSTEM computeSystem, uint32_t timeoutMs, PWSTR *result);

/*
 * Processes in them.
 */

/* Starts a process: ProcessParameters. The handle is there at once, as that of a new system. */
HRESULT HcsCreateProcess(HCS_SYSTEM computeSystem, PCWSTR processParameters, HCS_OPERATION operation, const SECURITY_DESCRIPTOR *securityDescriptor, HCS_PROCESS *process);
HRESULT HcsOpenProcess(HCS_SYSTEM computeSystem, uint32_t processId, uint32_t requestedAccess, HCS_PROCESS *process);
void HcsCloseProcess(HCS_PROCESS process); /* the process goes on */

HRESULT HcsTerminateProcess(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsSignalProcess(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR options);       /* SignalProcessOptions */
HRESULT HcsGetProcessInfo(HCS_PROCESS process, HCS_OPERATION operation);                      /* its streams once more */
HRESULT HcsGetProcessProperties(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR propertyQuery); /* ProcessStatus */
HRESULT HcsModifyProcess(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR settings);      /* ProcessModifyRequest */
HRESULT HcsSetProcessCallback(HCS_PROCESS process, HCS_EVENT_OPTIONS callbackOptions, const void *context, HCS_EVENT_CALLBACK callback);
HRESULT HcsWaitForProcessExit(HCS_PROCESS process, uint32_t timeoutMs, PWSTR *result);        /* ProcessStatus */

/*
 * The service and the host. These return when they are done; `result` is a ResultError document when they fail.
 */
HRESULT HcsGetServiceProperties(PCWSTR propertyQuery, PWSTR *result); /* ServiceProperties */
HRESULT HcsModifyServiceSettings(PCWSTR settings, PWSTR *result);     /* ModificationRequest */

/* An empty file. 0x800700b7: there is one. */
HRESULT HcsCreateEmptyGuestStateFile(PCWSTR guestStateFilePath);
HRESULT HcsCreateEmptyRuntimeStateFile(PCWSTR runtimeStateFilePath);

/* HOSTCOMPUTE_E_NOTSUPPORTED: there are no accounts of virtual machines, saved states of Hyper-V, or Windows Error Reporting. */
HRESULT HcsGrantVmAccess(PCWSTR vmId, PCWSTR filePath);
HRESULT HcsRevokeVmAccess(PCWSTR vmId, PCWSTR filePath);
HRESULT HcsGrantVmGroupAccess(PCWSTR filePath);
HRESULT HcsRevokeVmGroupAccess(PCWSTR filePath);
HRESULT HcsGetProcessorCompatibilityFromSavedState(PCWSTR runtimeFileName, PWSTR *processorFeaturesString);
HRESULT HcsSubmitWerReport(PCWSTR settings);

/* E_NOTIMPL: live migration, and names of Windows' library that are documented nowhere. */
HRESULT HcsInitializeLiveMigrationOnSource(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsStartLiveMigrationOnSource(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsStartLiveMigrationTransfer(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsFinalizeLiveMigration(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsCancelLiveMigration(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
HRESULT HcsEnumerateVmWorkerProcesses(void);
HRESULT HcsFindVmWorkerProcesses(void);
HRESULT HcsGetWorkerProcessJob(void);
HRESULT HcsStartVmWorkerProcess(void);

#ifdef __cplusplus
}
#endif

#endif /* COMPUTECORE_H */
