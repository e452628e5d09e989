//! The functions of computestorage.dll about layers. They differ in how many texts they take.
#![expect(unsafe_code, reason = "calls functions of computestorage.dll")]

use std::ffi::c_void;
use std::ptr;

use hostcompute_schema::{Failure, Guid};

use super::library::{OLDER, STORAGE};
use super::memory::Wide;
use crate::transport::windows::refusal;

type Text = *const u16;

/// `HcsDestroyLayer` and `HcsDetachLayerStorageFilter`: the layer's path.
fn of_path(name: &str, layer: &str) -> Result<(), Failure> {
    // SAFETY: callers name functions of this shape only (computestorage.h).
    let function: unsafe extern "system" fn(Text) -> i32 = unsafe { STORAGE.function(name)? };
    let layer = Wide::new(layer)?;
    // SAFETY: the text with its zero outlives the call.
    refusal::unless(unsafe { function(layer.as_ptr()) }, String::new)
}

/// Removes a layer.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn destroy(layer: &str) -> Result<(), Failure> {
    of_path("HcsDestroyLayer", layer)
}

/// Removes the merged view of a writable layer.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn detach(layer: &str) -> Result<(), Failure> {
    of_path("HcsDetachLayerStorageFilter", layer)
}

/// Makes the merged view of a writable layer and its parents.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn attach(layer: &str, data: &str) -> Result<(), Failure> {
    // SAFETY: this is its shape (computestorage.h).
    let function: unsafe extern "system" fn(Text, Text) -> i32 =
        unsafe { STORAGE.function("HcsAttachLayerStorageFilter")? };
    let (layer, data) = (Wide::new(layer)?, Wide::new(data)?);
    // SAFETY: the texts with their zeros outlive the call.
    refusal::unless(unsafe { function(layer.as_ptr(), data.as_ptr()) }, String::new)
}

fn of_three(name: &str, texts: [&str; 3]) -> Result<(), Failure> {
    // SAFETY: callers name functions of this shape only (computestorage.h).
    let function: unsafe extern "system" fn(Text, Text, Text) -> i32 =
        unsafe { STORAGE.function(name)? };
    let [first, second, third] = texts;
    let (first, second, third) = (Wide::new(first)?, Wide::new(second)?, Wide::new(third)?);
    // SAFETY: the texts with their zeros outlive the call.
    let code = unsafe { function(first.as_ptr(), second.as_ptr(), third.as_ptr()) };
    refusal::unless(code, String::new)
}

/// Makes a layer of a transport folder.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn import(layer: &str, source: &str, data: &str) -> Result<(), Failure> {
    of_three("HcsImportLayer", [layer, source, data])
}

/// Prepares a directory as a writable layer.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn initialize_writable(layer: &str, data: &str, options: &str) -> Result<(), Failure> {
    of_three("HcsInitializeWritableLayer", [layer, data, options])
}

/// Writes a layer into a transport folder.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn export(layer: &str, folder: &str, data: &str, options: &str) -> Result<(), Failure> {
    // SAFETY: this is its shape (computestorage.h).
    let function: unsafe extern "system" fn(Text, Text, Text, Text) -> i32 =
        unsafe { STORAGE.function("HcsExportLayer")? };
    let (layer, folder) = (Wide::new(layer)?, Wide::new(folder)?);
    let (data, options) = (Wide::new(data)?, Wide::new(options)?);
    // SAFETY: the texts with their zeros outlive the call.
    let code =
        unsafe { function(layer.as_ptr(), folder.as_ptr(), data.as_ptr(), options.as_ptr()) };
    refusal::unless(code, String::new)
}

/// Makes a base layer usable for containers: no disk is prepared beside it.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn setup_base(layer: &str, options: &str) -> Result<(), Failure> {
    // SAFETY: this is its shape (computestorage.h).
    let function: unsafe extern "system" fn(Text, *mut c_void, Text) -> i32 =
        unsafe { STORAGE.function("HcsSetupBaseOSLayer")? };
    let (layer, options) = (Wide::new(layer)?, Wide::new(options)?);
    // SAFETY: the texts with their zeros outlive the call; containers have no disk.
    let code = unsafe { function(layer.as_ptr(), ptr::null_mut(), options.as_ptr()) };
    refusal::unless(code, String::new)
}

/// The id that Windows makes of a layer's name.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn id(name: &str) -> Result<Guid, Failure> {
    // SAFETY: this is its shape (hcsshim's internal/wclayer/wclayer.go).
    let function: unsafe extern "system" fn(Text, *mut [u8; 16]) -> i32 =
        unsafe { OLDER.function("NameToGuid")? };
    let (name, mut id) = (Wide::new(name)?, [0; 16]);
    // SAFETY: the text with its zero and the room for a GUID outlive the call.
    refusal::unless(unsafe { function(name.as_ptr(), &mut id) }, String::new)?;
    Ok(Guid::from_windows_bytes(id))
}
