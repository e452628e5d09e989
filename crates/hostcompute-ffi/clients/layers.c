/*
 * layers.c - a Windows program that makes, mounts and packs layers on the Linux below: by computestorage.dll, and by the older functions
 * of vmcompute.dll. Its argument is an empty folder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>
#include <objbase.h>

#include "expect.h"

struct driver {
    int flavour;
    PCWSTR home;
};

struct parent {
    GUID id;
    ULONG flags;
    PCWSTR path;
};

#define STORAGE(X)                                                                                                               \
    X(HcsImportLayer, PCWSTR, PCWSTR, PCWSTR)                                                                                    \
    X(HcsExportLayer, PCWSTR, PCWSTR, PCWSTR, PCWSTR)                                                                            \
    X(HcsExportLegacyWritableLayer, PCWSTR, PCWSTR, PCWSTR, PCWSTR)                                                              \
    X(HcsDestroyLayer, PCWSTR)                                                                                                   \
    X(HcsSetupBaseOSLayer, PCWSTR, HANDLE, PCWSTR)                                                                               \
    X(HcsSetupBaseOSVolume, PCWSTR, PCWSTR, PCWSTR)                                                                              \
    X(HcsInitializeWritableLayer, PCWSTR, PCWSTR, PCWSTR)                                                                        \
    X(HcsInitializeLegacyWritableLayer, PCWSTR, PCWSTR, PCWSTR, PCWSTR)                                                          \
    X(HcsAttachLayerStorageFilter, PCWSTR, PCWSTR)                                                                               \
    X(HcsDetachLayerStorageFilter, PCWSTR)                                                                                       \
    X(HcsAttachOverlayFilter, PCWSTR, PCWSTR)                                                                                    \
    X(HcsDetachOverlayFilter, PCWSTR, PCWSTR)                                                                                    \
    X(HcsFormatWritableLayerVhd, HANDLE)                                                                                         \
    X(HcsGetLayerVhdMountPath, HANDLE, PWSTR *)

#define OLDER(X)                                                                                                                 \
    X(ActivateLayer, struct driver *, PCWSTR)                                                                                    \
    X(DeactivateLayer, struct driver *, PCWSTR)                                                                                  \
    X(CreateLayer, struct driver *, PCWSTR, PCWSTR)                                                                              \
    X(CopyLayer, struct driver *, PCWSTR, PCWSTR, struct parent *, DWORD)                                                        \
    X(CreateSandboxLayer, struct driver *, PCWSTR, UINT_PTR, struct parent *, DWORD)                                             \
    X(ExpandSandboxSize, struct driver *, PCWSTR, ULONGLONG)                                                                     \
    X(PrepareLayer, struct driver *, PCWSTR, struct parent *, DWORD)                                                             \
    X(UnprepareLayer, struct driver *, PCWSTR)                                                                                   \
    X(DestroyLayer, struct driver *, PCWSTR)                                                                                     \
    X(ImportLayer, struct driver *, PCWSTR, PCWSTR, struct parent *, DWORD)                                                      \
    X(ExportLayer, struct driver *, PCWSTR, PCWSTR, struct parent *, DWORD)                                                      \
    X(LayerExists, struct driver *, PCWSTR, DWORD *)                                                                             \
    X(GetLayerMountPath, struct driver *, PCWSTR, SIZE_T *, PWSTR)                                                               \
    X(NameToGuid, PCWSTR, GUID *)                                                                                                \
    X(GetBaseImages, PWSTR *)                                                                                                    \
    X(ProcessBaseImage, PCWSTR)                                                                                                  \
    X(ProcessUtilityImage, PCWSTR)                                                                                               \
    X(GrantVmAccess, PCWSTR, PCWSTR)

#define DECLARE(name, ...) static HRESULT(WINAPI *name)(__VA_ARGS__);
STORAGE(DECLARE)
OLDER(DECLARE)

#define FIND(name, ...)                                                                                                          \
    name = (void *)GetProcAddress(library, #name);                                                                               \
    HOLDS(name);

static void load(void)
{
    HMODULE library = LoadLibraryW(L"computestorage.dll");
    HOLDS(library);
    STORAGE(FIND)
    library = LoadLibraryW(L"vmcompute.dll");
    HOLDS(library);
    OLDER(FIND)
}

#define NOT_SUPPORTED 0x80070032
#define IN_USE 0x80070020

static WCHAR folder[MAX_PATH];

/* A path below the folder; four of them at a time. */
static PCWSTR below(PCWSTR name)
{
    static WCHAR room[4][MAX_PATH];
    static int next;
    WCHAR *path = room[next++ % 4];
    swprintf(path, MAX_PATH, L"%ls\\%ls", folder, name);
    return path;
}

static void write_file(PCWSTR name)
{
    HANDLE file = CreateFileW(below(name), GENERIC_WRITE, 0, NULL, CREATE_NEW, 0, NULL);
    DWORD written;
    HOLDS(file != INVALID_HANDLE_VALUE);
    HOLDS(WriteFile(file, "text", 4, &written, NULL) && written == 4);
    CloseHandle(file);
}

static int is_there(PCWSTR name)
{
    return GetFileAttributesW(below(name)) != INVALID_FILE_ATTRIBUTES;
}

/* {"Layers":[{"Path":...}]}, with backslashes as JSON has them; no parents without a name. */
static PCWSTR data(PCWSTR parent)
{
    static WCHAR text[4 * MAX_PATH];
    WCHAR *at = text;
    if (!parent)
        return L"{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Layers\":[]}";
    at += swprintf(at, MAX_PATH, L"{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Layers\":[{\"Path\":\"");
    for (PCWSTR from = below(parent); *from; from++) {
        if (*from == L'\\')
            *at++ = L'\\';
        *at++ = *from;
    }
    wcscpy(at, L"\"}]}");
    return text;
}

static void storage(void)
{
    PWSTR path = (PWSTR)1;

    CreateDirectoryW(below(L"source"), NULL);
    CreateDirectoryW(below(L"source\\Files"), NULL);
    write_file(L"source\\Files\\below");
    EXPECT(0, HcsImportLayer(below(L"base"), below(L"source"), data(NULL)));
    HOLDS(is_there(L"base\\below"));
    EXPECT(0x800700b7, HcsImportLayer(below(L"base"), below(L"source"), data(NULL)));
    EXPECT(0, HcsSetupBaseOSLayer(below(L"base"), NULL, L"{\"Type\":\"Container\"}"));
    EXPECT(NOT_SUPPORTED, HcsSetupBaseOSLayer(below(L"base"), NULL, L"{\"Type\":\"Vm\"}"));
    EXPECT(0, HcsSetupBaseOSVolume(below(L"base"), below(L"source"), NULL));
    EXPECT(0x80070003, HcsSetupBaseOSVolume(below(L"base"), below(L"nothing"), NULL));

    EXPECT(0, HcsInitializeWritableLayer(below(L"scratch"), data(L"base"), NULL));
    EXPECT(0, HcsAttachLayerStorageFilter(below(L"scratch"), data(L"base")));
    HOLDS(is_there(L"scratch\\below"));
    write_file(L"scratch\\new");
    EXPECT(IN_USE, HcsDestroyLayer(below(L"base")));
    EXPECT(0, HcsDetachLayerStorageFilter(below(L"scratch")));
    HOLDS(!is_there(L"scratch\\below"));
    EXPECT(0x80070490, HcsDetachLayerStorageFilter(below(L"scratch")));
    EXPECT(0, HcsExportLayer(below(L"scratch"), below(L"out"), data(L"base"), L"{\"IsWritableLayer\":true}"));
    HOLDS(is_there(L"out\\Files\\new") && !is_there(L"out\\Files\\below"));
    EXPECT(0, HcsAttachOverlayFilter(below(L"scratch"), data(L"base")));
    HOLDS(is_there(L"scratch\\new"));
    EXPECT(0, HcsDetachOverlayFilter(below(L"scratch"), data(L"base")));
    EXPECT(0, HcsExportLegacyWritableLayer(below(L"source"), below(L"scratch"), below(L"again"), data(L"base")));
    HOLDS(is_there(L"again\\Files\\new"));
    EXPECT(0, HcsDestroyLayer(below(L"scratch")));
    EXPECT(0, HcsInitializeLegacyWritableLayer(below(L"source"), below(L"scratch"), data(L"base"), NULL));
    EXPECT(0, HcsDestroyLayer(below(L"scratch")));
    EXPECT(0x80070003, HcsDestroyLayer(below(L"scratch")));

    EXPECT(NOT_SUPPORTED, HcsFormatWritableLayerVhd(NULL));
    EXPECT(NOT_SUPPORTED, HcsGetLayerVhdMountPath(NULL, &path));
    HOLDS(!path);
    EXPECT(E_INVALIDARG, HcsDestroyLayer(L"base"));
    EXPECT(E_POINTER, HcsDestroyLayer(NULL));
    EXPECT(0x8037010d, HcsImportLayer(below(L"other"), below(L"source"), L"{"));
    EXPECT(0x80070003, HcsDestroyLayer(L"Q:\\nothing"));
}

static void older(void)
{
    struct driver whole = {1, L""}, named = {1, folder};
    WCHAR base[MAX_PATH];
    struct parent parent = {{0}, 0, base};
    DWORD exists = 7;
    SIZE_T length = 0;
    WCHAR path[MAX_PATH];
    PWSTR images = (PWSTR)1;
    GUID id;

    wcscpy(base, below(L"base"));
    EXPECT(0, LayerExists(&whole, below(L"base"), &exists));
    HOLDS(exists == 1);
    EXPECT(0, LayerExists(&named, L"nothing", &exists));
    HOLDS(exists == 0);
    EXPECT(0, NameToGuid(L"base", &id));
    HOLDS(id.Data3 >> 12 == 5);
    EXPECT(0, ProcessBaseImage(below(L"base")));
    EXPECT(0, CreateSandboxLayer(&named, L"sandbox", 0, &parent, 1));
    EXPECT(0, ActivateLayer(&named, L"sandbox"));
    EXPECT(0, PrepareLayer(&named, L"sandbox", &parent, 1));
    HOLDS(is_there(L"sandbox\\below"));
    write_file(L"sandbox\\newer");
    EXPECT(0, GetLayerMountPath(&named, L"sandbox", &length, NULL));
    HOLDS(length > 1 && length < MAX_PATH);
    EXPECT(0, GetLayerMountPath(&named, L"sandbox", &length, path));
    HOLDS(path[0] == L'/' && wcslen(path) + 1 == length && wcsstr(path, L"/sandbox"));
    EXPECT(0, UnprepareLayer(&named, L"sandbox"));
    EXPECT(0, DeactivateLayer(&named, L"sandbox"));
    EXPECT(0, ExportLayer(&named, L"sandbox", below(L"packed"), &parent, 1));
    HOLDS(is_there(L"packed\\Files\\newer") && !is_there(L"packed\\Files\\below"));
    EXPECT(0, ImportLayer(&named, L"middle", below(L"packed"), &parent, 1));
    HOLDS(is_there(L"middle\\newer"));
    EXPECT(0, DestroyLayer(&named, L"middle"));
    EXPECT(0, DestroyLayer(&named, L"sandbox"));
    EXPECT(0x80070003, ActivateLayer(&named, L"sandbox"));
    EXPECT(NOT_SUPPORTED, GetBaseImages(&images));
    HOLDS(!images);
    EXPECT(NOT_SUPPORTED, ProcessUtilityImage(below(L"base")));
    EXPECT(NOT_SUPPORTED, CreateLayer(&named, L"other", L"base"));
    EXPECT(NOT_SUPPORTED, CopyLayer(&named, L"base", L"other", &parent, 1));
    EXPECT(NOT_SUPPORTED, ExpandSandboxSize(&named, L"base", 1));
    EXPECT(NOT_SUPPORTED, GrantVmAccess(L"machine", below(L"base")));
    EXPECT(E_POINTER, PrepareLayer(&named, L"base", NULL, 1));
}

/* On drive C, which is a folder of Wine's. */
static void elsewhere(void)
{
    static const PCWSTR layer = L"C:\\hostcompute-layer", scratch = L"C:\\hostcompute-scratch";
    static const PCWSTR parent = L"{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Layers\":[{\"Path\":\"C:\\\\hostcompute-layer\"}]}";

    /* What a run left that failed. */
    HcsDestroyLayer(scratch);
    HcsDestroyLayer(layer);
    EXPECT(0, HcsImportLayer(layer, below(L"source"), data(NULL)));
    HOLDS(GetFileAttributesW(L"C:\\hostcompute-layer\\below") != INVALID_FILE_ATTRIBUTES);
    EXPECT(0, HcsInitializeWritableLayer(scratch, parent, NULL));
    EXPECT(0, HcsAttachLayerStorageFilter(scratch, parent));
    HOLDS(GetFileAttributesW(L"C:\\hostcompute-scratch\\below") != INVALID_FILE_ATTRIBUTES);
    EXPECT(IN_USE, HcsDestroyLayer(layer));
    EXPECT(0, HcsDetachLayerStorageFilter(scratch));
    EXPECT(0, HcsDestroyLayer(scratch));
    EXPECT(0, HcsDestroyLayer(layer));
}

int main(int count, char **arguments)
{
    HOLDS(count == 2);
    HOLDS(MultiByteToWideChar(CP_UTF8, 0, arguments[1], -1, folder, MAX_PATH));
    CreateDirectoryW(folder, NULL);
    for (WCHAR *at = folder; *at; at++)
        if (*at == L'/')
            *at = L'\\';
    load();
    storage();
    older();
    elsewhere();
    EXPECT(0, HcsDestroyLayer(below(L"base")));
    puts("layers.c: done");
    return 0;
}
