/*
 * hostcompute.h - what computenetwork.h, computecore.h and computestorage.h have in common.
 *
 * The functions are those of Windows' host compute APIs, under their names, with their arguments; behind them is the service
 * hostcompute on Linux. One shared library, libhostcompute.so.0, has all of them; libcomputenetwork.so, libcomputecore.so and
 * libcomputestorage.so are names of it for the linker.
 *
 * WHERE THE SERVICE IS
 *   The first call that needs it looks for the socket of a running hostcomputed; where nothing listens the service runs inside the
 *   calling process, on its state directory, which needs the rights to change the machine's network. The environment decides:
 *     HOSTCOMPUTE_SOCKET=PATH                          the service that listens there, and no other
 *     HOSTCOMPUTE_STATE_DIR, HOSTCOMPUTE_RUNTIME_DIR   a service inside the process, on these directories
 *     HOSTCOMPUTE_HOST_NETNS=PATH                      the network namespace that is the host for it
 *     HOSTCOMPUTE_SUPERVISOR=PATH                      the program that keeps compute systems running, for a service inside the process
 *     HOSTCOMPUTE_WAIT=SECONDS                         how long to wait for a busy or restarting service (10)
 *   A service inside the process keeps its directory for itself while the process has an open handle or a registration; other
 *   processes wait meanwhile. Set the environment before the first call, and do not call on both sides of a fork.
 *
 * STRINGS
 *   are UTF-16 in the machine's byte order, ended by a zero, at most 16,777,216 units long. Those that go in stay the caller's.
 *   What is no UTF-16 is refused with E_INVALIDARG.
 *   Those that come out, error records included, are the caller's, who gives them back with HostComputeFree (or CoTaskMemFree or
 *   LocalFree, the same function by names that programs for Windows know; C's free does, too).
 *
 * RESULTS
 *   Every function answers an HRESULT: 0 (S_OK), or a negative code. HRESULTs are never positive here.
 *   Out parameters are set to NULL (numbers to 0) when a call begins, and to a result when it succeeds. Where a result is a text the
 *   pointer may be NULL unless the function is of no use without it (E_POINTER).
 *   An error record is written when a call fails, NULL when it succeeds; the pointer may be NULL. It is a JSON document:
 *     {"Success": false, "Error": "what was wrong, in words", "ErrorCode": 2151350273}
 *
 * HANDLES
 *   are numbers, not addresses: they may be copied and compared, and be used by several threads at once. NULL is refused with
 *   E_INVALIDARG; one that was closed, that is of another kind, or never was one, with E_HANDLE. Closing a handle leaves its object
 *   alone. At the end of the process all of its handles are closed.
 *
 * CALLBACKS
 *   run on threads of the library: for one registration one after the other. They must not throw, and strings that they are given
 *   live until they return. Unregistering waits for a callback that runs, and nothing is called afterwards; so it must not be done
 *   with a lock that the callback takes. A callback may unregister itself: then it is the last call.
 *
 * No function unwinds: what fails inside the library is E_UNEXPECTED.
 */
#ifndef HOSTCOMPUTE_H
#define HOSTCOMPUTE_H

#include <stdint.h>
#ifndef __cplusplus
#include <uchar.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A signed code: negative for a failure. */
typedef int32_t HRESULT;

/* A string that goes in: u"..." in C11 and C++11. */
typedef const char16_t *PCWSTR;

/* A string that comes out. */
typedef char16_t *PWSTR;

/* Something of the operating system's: a reservation of ports, a file descriptor cast to a pointer. */
typedef void *HANDLE;

/* 0f8fad5b-d9cb-469f-a165-70867728950e is {0x0f8fad5b, 0xd9cb, 0x469f, {0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}}. */
#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct GUID {
    uint32_t Data1;
    uint16_t Data2;
    uint16_t Data3;
    uint8_t Data4[8];
} GUID;
#endif

#define HOSTCOMPUTE_SUCCEEDED(code) ((HRESULT)(code) >= 0)
#define HOSTCOMPUTE_FAILED(code) ((HRESULT)(code) < 0)

/* Codes of the library itself; those of the services stand with their functions, and in docs/compatibility.md. */
#define HOSTCOMPUTE_S_OK ((HRESULT)0)
#define HOSTCOMPUTE_E_NOTIMPL ((HRESULT)0x80004001)      /* this cannot be done here */
#define HOSTCOMPUTE_E_POINTER ((HRESULT)0x80004003)      /* an argument that must be there is NULL, or is not aligned */
#define HOSTCOMPUTE_E_UNEXPECTED ((HRESULT)0x8000ffff)   /* a fault of the library or the service */
#define HOSTCOMPUTE_E_ACCESSDENIED ((HRESULT)0x80070005) /* the caller may not do this */
#define HOSTCOMPUTE_E_HANDLE ((HRESULT)0x80070006)       /* no open handle of this kind */
#define HOSTCOMPUTE_E_OUTOFMEMORY ((HRESULT)0x8007000e)  /* no memory, or more than 1,048,576 open handles */
#define HOSTCOMPUTE_E_NOTSUPPORTED ((HRESULT)0x80070032) /* Linux has nothing like it */
#define HOSTCOMPUTE_E_INVALIDARG ((HRESULT)0x80070057)   /* an argument is wrong, a handle NULL, a text no UTF-16 */
#define HOSTCOMPUTE_E_UNAVAILABLE ((HRESULT)0x800706ba)  /* no service answers, or its state directory is in use */
#define HOSTCOMPUTE_E_TOOLONG ((HRESULT)0x800710f0)      /* a text or document is longer than is allowed */

/* Gives back a string that one of the libraries has handed out. NULL is nothing. */
void HostComputeFree(void *string);

/* HostComputeFree by the name that the documentation of Windows uses. */
void CoTaskMemFree(void *string);

/* HostComputeFree by another name of Windows. Answers NULL. */
void *LocalFree(void *string);

#ifdef __cplusplus
}
#endif

#endif /* HOSTCOMPUTE_H */
