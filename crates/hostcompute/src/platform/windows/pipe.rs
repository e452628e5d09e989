//! Pipes whose other end programs use as those of Windows' own compute service: by overlapped reading and writing, by completion ports,
//! or simply. A pipe without a name can do none of the former, so these have one that nobody can guess.
#![expect(unsafe_code, reason = "makes named pipes, and reads them until told otherwise")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle, RawHandle};
use std::ptr;
use std::sync::Arc;

/// PIPE_ACCESS_INBOUND, PIPE_ACCESS_OUTBOUND: the way of the bytes, as the end has it that made the pipe.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// FILE_FLAG_OVERLAPPED, FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_REJECT_REMOTE_CLIENTS.
const OVERLAPPED: u32 = 0x4000_0000;
const FIRST: u32 = 0x0008_0000;
const LOCAL: u32 = 8;
/// SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS: who made the pipe learns nothing of who opens it.
const ANONYMOUS: u32 = 0x0010_0000;
const GENERIC_READ: u32 = 0x8000_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;
const OPEN_EXISTING: u32 = 3;
/// ERROR_BROKEN_PIPE, ERROR_PIPE_NOT_CONNECTED: the other end was closed. ERROR_IO_PENDING, ERROR_OPERATION_ABORTED.
const BROKEN: i32 = 109;
const NOT_CONNECTED: i32 = 233;
const PENDING: i32 = 997;
const ABORTED: i32 = 995;
const INFINITE: u32 = u32::MAX;
/// WAIT_OBJECT_0: the first of what was waited for.
const FIRST_OBJECT: u32 = 0;

/// What the kernel keeps for who is slow.
const ROOM: u32 = 64 * 1024;

/// OVERLAPPED; the position means nothing for a pipe.
#[repr(C)]
struct Overlapped {
    internal: [usize; 2],
    position: u64,
    event: RawHandle,
}

// SAFETY: the declarations are those of winbase.h, namedpipeapi.h, ioapiset.h and synchapi.h.
#[link(name = "kernel32")]
unsafe extern "system" {
    fn CreateNamedPipeW(
        name: *const u16,
        access: u32,
        mode: u32,
        instances: u32,
        room_out: u32,
        room_in: u32,
        patience: u32,
        security: *const c_void,
    ) -> RawHandle;
    fn CreateFileW(
        name: *const u16,
        access: u32,
        shared: u32,
        security: *const c_void,
        how: u32,
        flags: u32,
        template: RawHandle,
    ) -> RawHandle;
    fn CreateEventW(security: *const c_void, manual: i32, set: i32, name: *const u16) -> RawHandle;
    fn SetEvent(event: RawHandle) -> i32;
    fn ReadFile(
        file: RawHandle,
        room: *mut u8,
        length: u32,
        read: *mut u32,
        overlapped: *mut Overlapped,
    ) -> i32;
    fn CancelIoEx(file: RawHandle, overlapped: *mut Overlapped) -> i32;
    fn GetOverlappedResult(
        file: RawHandle,
        overlapped: *mut Overlapped,
        done: *mut u32,
        wait: i32,
    ) -> i32;
    fn PeekNamedPipe(
        pipe: RawHandle,
        room: *mut c_void,
        length: u32,
        read: *mut u32,
        available: *mut u32,
        left: *mut u32,
    ) -> i32;
    fn WaitForMultipleObjects(
        count: u32,
        objects: *const RawHandle,
        all: i32,
        patience: u32,
    ) -> u32;
}

/// A pipe out of which a program reads: where to write, and the program's end.
///
/// # Errors
/// There can be no pipe.
pub fn outgoing() -> io::Result<(File, OwnedHandle)> {
    let (ours, theirs) = pair(OUTBOUND, GENERIC_READ)?;
    Ok((File::from(ours), theirs))
}

/// A pipe that a program writes into: where to read, and the program's end.
///
/// # Errors
/// There can be no pipe.
pub fn incoming() -> io::Result<(Inlet, OwnedHandle)> {
    let (pipe, theirs) = pair(INBOUND | OVERLAPPED, GENERIC_WRITE)?;
    let inlet = Inlet { pipe, arrived: event()?, end: End(Arc::new(event()?)) };
    Ok((inlet, theirs))
}

/// Our end, and the program's.
fn pair(access: u32, theirs: u32) -> io::Result<(OwnedHandle, OwnedHandle)> {
    let number = || format!("{:016x}", crate::random());
    let name = format!(r"\\.\pipe\hostcompute-{}{}", number(), number());
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    let none = ptr::null();
    // SAFETY: the name ends with a zero and lives until the call has returned; all else are numbers, or NULL where that is allowed.
    let made =
        unsafe { CreateNamedPipeW(name.as_ptr(), access | FIRST, LOCAL, 1, ROOM, ROOM, 0, none) };
    let ours = owned(made)?;
    // Nobody else can be the one client that there can be but whoever guesses the name: then this fails.
    let flags = OVERLAPPED | ANONYMOUS;
    // SAFETY: as above.
    let opened = unsafe {
        CreateFileW(name.as_ptr(), theirs, 0, none, OPEN_EXISTING, flags, ptr::null_mut())
    };
    Ok((ours, owned(opened)?))
}

fn event() -> io::Result<OwnedHandle> {
    // SAFETY: NULL is allowed for both pointers; the event stays set until it is reset.
    owned(unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) })
}

/// A fresh handle: NULL and INVALID_HANDLE_VALUE say that there is none.
fn owned(handle: RawHandle) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle.addr() == usize::MAX {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was made just now, and belongs to nobody else.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Our end of a pipe that a program writes into.
#[derive(Debug)]
pub struct Inlet {
    pipe: OwnedHandle,
    /// Set when what was asked for has come.
    arrived: OwnedHandle,
    end: End,
}

/// Ends an [`Inlet`] from elsewhere: what the program has written is read, and then it is over.
#[derive(Debug, Clone)]
pub struct End(Arc<OwnedHandle>);

impl End {
    /// Ends it.
    pub fn tell(&self) {
        // SAFETY: the handle is an event, open as long as this value. It cannot fail then.
        unsafe { SetEvent(self.0.as_raw_handle()) };
    }
}

impl Inlet {
    /// What ends it.
    pub fn end(&self) -> End {
        self.end.clone()
    }

    /// Waits for what comes next; 0 at the end.
    ///
    /// # Errors
    /// What the kernel says; that the program has closed its end is none.
    pub fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let told = match self.read_once(room) {
            // It was told to end, while nothing was there: what came until then is read without waiting.
            Err(error) if error.raw_os_error() == Some(ABORTED) => match self.available() {
                Ok(0) => Ok(0),
                Ok(_) => self.read_once(room),
                Err(error) => Err(error),
            },
            told => told,
        };
        match told {
            Err(error) if matches!(error.raw_os_error(), Some(BROKEN | NOT_CONNECTED)) => Ok(0),
            told => told,
        }
    }

    /// One read, given up with ERROR_OPERATION_ABORTED when it is told to end before something has come.
    fn read_once(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let (pipe, event) = (self.pipe.as_raw_handle(), self.arrived.as_raw_handle());
        let mut overlapped = Overlapped { internal: [0; 2], position: 0, event };
        let asked = &raw mut overlapped;
        let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
        // SAFETY: the pipe is open; `room` and `overlapped` stay where they are until the read has ended, which is waited for below before
        // this returns.
        let begun = unsafe { ReadFile(pipe, room.as_mut_ptr(), length, ptr::null_mut(), asked) };
        if begun == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(PENDING) {
                return Err(error);
            }
            let objects = [event, self.end.0.as_raw_handle()];
            // SAFETY: two handles of events, open as long as `self`.
            let which = unsafe { WaitForMultipleObjects(2, objects.as_ptr(), 0, INFINITE) };
            if which != FIRST_OBJECT {
                // SAFETY: as for the read. It may have ended just now, and then there is nothing to give up.
                unsafe { CancelIoEx(pipe, asked) };
            }
        }
        let mut read = 0;
        // SAFETY: as for the read; this waits until it has ended, given up or not.
        match unsafe { GetOverlappedResult(pipe, asked, &raw mut read, 1) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(usize::try_from(read).unwrap_or_default()),
        }
    }

    /// How much has come.
    fn available(&self) -> io::Result<u32> {
        let (none, mut available) = (ptr::null_mut(), 0);
        let pipe = self.pipe.as_raw_handle();
        // SAFETY: the pipe is open, NULL is allowed for what is not wanted, and the number has a place.
        let looked =
            unsafe { PeekNamedPipe(pipe, none, 0, none.cast(), &raw mut available, none.cast()) };
        if looked == 0 { Err(io::Error::last_os_error()) } else { Ok(available) }
    }
}
