/*
 * computestorage.h - layers of containers' file systems (libcomputestorage, pkg-config computestorage).
 *
 * Strings, results and where errors are: see hostcompute.h. There are no error records here: the code says it all.
 *
 * The functions work on directories of this machine, in the caller's mount namespace and with its rights (root, but for what the
 * file system lets others do); no service is asked, and each returns when it is done. Paths are absolute.
 *
 *   a layer            a directory with files, as overlayfs takes it as a lower directory: what it deletes is marked
 *   a writable layer   a directory with `upper` and `work`, and the merged view mounted upon it while it is attached
 *   a transport folder `Files/` and, for what is deleted, `tombstones.txt`: to be packed and sent; a tar archive (plain, gzip, zstd) is
 *                      taken in its place when a layer is imported
 *
 * `LayerData` is a document: {"SchemaVersion": {"Major": 2, "Minor": 1}, "Layers": [{"Path": "/layers/top"}, ..., {"Path": "/layers/base"}]},
 * the parents of the layer, the topmost first.
 *
 * They answer, besides the codes of hostcompute.h:
 *   0x8037010d  a document is no JSON, or not of the schema      0x80070003  there is no such directory
 *   0x80370112  the layer or archive is damaged or hostile       0x800700b7  it is there already
 *   0x80370101  it is a layer of Windows                         0x80070020  it is attached, or a system uses it
 *   0x80070490  nothing is attached or mounted there             0x80070070  the disk is full
 */
#ifndef COMPUTESTORAGE_H
#define COMPUTESTORAGE_H

#include "hostcompute.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a layer of a transport folder or an archive, or nothing: a failure leaves no half of it. */
HRESULT HcsImportLayer(PCWSTR layerPath, PCWSTR sourceFolderPath, PCWSTR layerData);

/* Makes a transport folder of a layer. `options`: ExportLayerOptions ({"IsWritableLayer": true} for a writable layer) or NULL. */
HRESULT HcsExportLayer(PCWSTR layerPath, PCWSTR exportFolderPath, PCWSTR layerData, PCWSTR options);

/* The same for a writable layer that is mounted elsewhere. */
HRESULT HcsExportLegacyWritableLayer(PCWSTR writableLayerMountPath, PCWSTR writableLayerFolderPath, PCWSTR exportFolderPath, PCWSTR layerData);

/* Deletes a layer, or a writable one, with all that is in it. Links that lead out of it are not followed. */
HRESULT HcsDestroyLayer(PCWSTR layerPath);

/* Makes a base layer usable: for containers there is nothing to do but to look at it. `options`: OsLayerOptions or NULL; Type Vm is
 * HOSTCOMPUTE_E_NOTSUPPORTED. `vhdHandle` must be NULL. */
HRESULT HcsSetupBaseOSLayer(PCWSTR layerPath, HANDLE vhdHandle, PCWSTR options);
HRESULT HcsSetupBaseOSVolume(PCWSTR layerPath, PCWSTR volumePath, PCWSTR options);

/* Prepares an empty directory, made where it is missing, to be written. `options` is NULL or empty. */
HRESULT HcsInitializeWritableLayer(PCWSTR writableLayerPath, PCWSTR layerData, PCWSTR options);
HRESULT HcsInitializeLegacyWritableLayer(PCWSTR writableLayerMountPath, PCWSTR writableLayerFolderPath, PCWSTR layerData, PCWSTR options);

/* Mounts the merged view of a writable layer and its parents upon the writable layer's directory, and takes it away. */
HRESULT HcsAttachLayerStorageFilter(PCWSTR layerPath, PCWSTR layerData);
HRESULT HcsDetachLayerStorageFilter(PCWSTR layerPath);

/* The same by the newer names; overlayfs is the one filter there is, whatever FilterType says. */
HRESULT HcsAttachOverlayFilter(PCWSTR volumePath, PCWSTR layerData);
HRESULT HcsDetachOverlayFilter(PCWSTR volumePath, PCWSTR layerData);

/* HOSTCOMPUTE_E_NOTSUPPORTED: writable layers are directories here, not disks. A handle of a disk is a file descriptor:
 * (HANDLE)(intptr_t)descriptor. */
HRESULT HcsFormatWritableLayerVhd(HANDLE vhdHandle);

/* Where an open block device is mounted, or the path of an open directory. */
HRESULT HcsGetLayerVhdMountPath(HANDLE vhdHandle, PWSTR *mountPath);

#ifdef __cplusplus
}
#endif

#endif /* COMPUTESTORAGE_H */
