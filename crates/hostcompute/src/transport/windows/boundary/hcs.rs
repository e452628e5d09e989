//! The functions of computecore.dll. Nearly all begin something that an operation tracks; here each is waited for, since the crate has
//! operations of its own ([`crate::operation`]).
#![expect(unsafe_code, reason = "calls functions of computecore.dll")]

use std::ffi::c_void;
use std::os::windows::io::{FromRawHandle, OwnedHandle};
use std::ptr;

use hostcompute_schema::{Failure, HResult};

use super::callback::{self, Address};
use super::library::COMPUTE;
use super::memory::{Given, Giver, Optional, Wide};
use crate::transport::windows::refusal;

type Object = *mut c_void;
type Tracker = *mut c_void;
type Text = *const u16;
type Room = *mut *mut u16;

/// GENERIC_ALL: everything that the caller may do.
const ALL_ACCESS: u32 = 0x1000_0000;

/// INFINITE.
pub const FOR_EVER: u32 = u32::MAX;

/// What some functions of Windows Server 2022 answer to who waits for what is done already (hcs.md 2.2).
const DONE_ALREADY: HResult = HResult::E_INVALIDARG;

/// An open compute system; closed when it is dropped.
#[derive(Debug)]
pub struct System(Object);

/// An open process; closed when it is dropped.
#[derive(Debug)]
pub struct Process(Object);

// SAFETY: handles of HCS are numbers of its RPC; any thread may use them, several at once, too.
unsafe impl Send for System {}
// SAFETY: as above.
unsafe impl Sync for System {}
// SAFETY: as above.
unsafe impl Send for Process {}
// SAFETY: as above.
unsafe impl Sync for Process {}

fn close(name: &str, object: Object) {
    // SAFETY: functions that close systems, processes and operations have this shape.
    let close = unsafe { COMPUTE.function::<unsafe extern "system" fn(Object)>(name) };
    if let Ok(close) = close {
        // SAFETY: it is open, and nobody has it any more.
        unsafe { close(object) };
    }
}

impl Drop for System {
    fn drop(&mut self) {
        close("HcsCloseComputeSystem", self.0);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        close("HcsCloseProcess", self.0);
    }
}

/// HCS_PROCESS_INFORMATION.
#[repr(C)]
struct ProcessInformation {
    process_id: u32,
    reserved: u32,
    streams: [Object; 3],
}

/// A process's number, and the ends of its streams: input, output, errors.
#[derive(Debug)]
pub struct Information {
    pub process_id: u32,
    pub streams: [Option<OwnedHandle>; 3],
}

impl ProcessInformation {
    const NOTHING: Self = Self { process_id: 0, reserved: 0, streams: [ptr::null_mut(); 3] };

    fn owned(self) -> Information {
        let owned = |handle: Object| {
            let is_one = !handle.is_null() && handle.addr() != usize::MAX;
            // SAFETY: the handles are the caller's, who got them once.
            is_one.then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
        };
        Information { process_id: self.process_id, streams: self.streams.map(owned) }
    }
}

/// Tracks one call.
struct Operation(Tracker);

impl Drop for Operation {
    fn drop(&mut self) {
        close("HcsCloseOperation", self.0);
    }
}

impl Operation {
    fn new() -> Result<Self, Failure> {
        type Create = unsafe extern "system" fn(*const c_void, *const c_void) -> Tracker;
        // SAFETY: this is its shape (computecore.h); a callback may be NULL.
        let create: Create = unsafe { COMPUTE.function("HcsCreateOperation")? };
        // SAFETY: neither context nor callback is wanted.
        let tracker = unsafe { create(ptr::null(), ptr::null()) };
        if tracker.is_null() {
            return Err(Failure::new(HResult::E_OUTOFMEMORY, "Windows has no operation for us"));
        }
        Ok(Self(tracker))
    }

    /// What a call brought that was begun with this code.
    fn wait(&self, begun: i32) -> Result<String, Failure> {
        type Wait = unsafe extern "system" fn(Tracker, u32, Room) -> i32;
        refusal::unless(begun, String::new)?;
        // SAFETY: this is its shape (computecore.h).
        let wait: Wait = unsafe { COMPUTE.function("HcsWaitForOperationResult")? };
        let mut told = Given::by(Giver::Compute);
        // SAFETY: the operation is open, and the room outlives the call.
        let code = unsafe { wait(self.0, FOR_EVER, told.room()) };
        refusal::unless(code, || told.read())?;
        Ok(told.read())
    }

    /// The same for calls that bring a process.
    fn wait_for_process(&self, begun: i32) -> Result<Information, Failure> {
        type Wait = unsafe extern "system" fn(Tracker, u32, *mut ProcessInformation, Room) -> i32;
        refusal::unless(begun, String::new)?;
        // SAFETY: this is its shape (computecore.h).
        let wait: Wait = unsafe { COMPUTE.function("HcsWaitForOperationResultAndProcessInfo")? };
        let (mut information, mut told) = (ProcessInformation::NOTHING, Given::by(Giver::Compute));
        // SAFETY: the operation is open, and the rooms outlive the call.
        let code = unsafe { wait(self.0, FOR_EVER, &mut information, told.room()) };
        refusal::unless(code, || told.read())?;
        Ok(information.owned())
    }
}

/// Makes a system.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn create(id: &str, document: &str) -> Result<System, Failure> {
    type Create = unsafe extern "system" fn(Text, Text, Tracker, *const c_void, *mut Object) -> i32;
    // SAFETY: this is its shape (computecore.h).
    let function: Create = unsafe { COMPUTE.function("HcsCreateComputeSystem")? };
    let (id, document) = (Wide::new(id)?, Wide::new(document)?);
    let (operation, mut system) = (Operation::new()?, ptr::null_mut());
    // SAFETY: the texts end with zeros; they, the operation and the room outlive the call; no security descriptor is given.
    let code =
        unsafe { function(id.as_ptr(), document.as_ptr(), operation.0, ptr::null(), &mut system) };
    // A system that could not be made has a handle, too.
    let system = (!system.is_null()).then_some(System(system));
    operation.wait(code)?;
    system.ok_or_else(|| handle_missing("HcsCreateComputeSystem"))
}

/// Opens a system.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses: that there is none.
pub fn open(id: &str) -> Result<System, Failure> {
    type Open = unsafe extern "system" fn(Text, u32, *mut Object) -> i32;
    // SAFETY: this is its shape (computecore.h).
    let function: Open = unsafe { COMPUTE.function("HcsOpenComputeSystem")? };
    let (id, mut system) = (Wide::new(id)?, ptr::null_mut());
    // SAFETY: the text with its zero and the room outlive the call.
    let code = unsafe { function(id.as_ptr(), ALL_ACCESS, &mut system) };
    refusal::unless(code, String::new)?;
    if system.is_null() {
        return Err(handle_missing("HcsOpenComputeSystem"));
    }
    Ok(System(system))
}

fn handle_missing(function: &str) -> Failure {
    Failure::new(HResult::E_UNEXPECTED, format!("{function} succeeded and gave no handle"))
}

/// A function about a system or a process that takes an operation and a document; what it answers with.
fn track(name: &str, object: Object, document: &str) -> Result<String, Failure> {
    type Track = unsafe extern "system" fn(Object, Tracker, Text) -> i32;
    // SAFETY: callers name functions of this shape only (computecore.h).
    let function: Track = unsafe { COMPUTE.function(name)? };
    let (document, operation) = (Optional::new(document)?, Operation::new()?);
    // SAFETY: the object is open; the text, NULL or with its zero, and the operation outlive the call.
    let code = unsafe { function(object, operation.0, document.as_ptr()) };
    operation.wait(code)
}

/// What can be asked of a system with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfSystem {
    Start,
    ShutDown,
    Terminate,
    Crash,
    Pause,
    Resume,
    Save,
    Properties,
    Modify,
}

/// What can be asked of a process with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfProcess {
    Properties,
    Modify,
    Signal,
    Terminate,
}

impl System {
    /// Carries out what is asked, and waits for it.
    ///
    /// # Errors
    /// E_NOTIMPL, or what Windows refuses.
    pub fn ask(&self, what: OfSystem, document: &str) -> Result<String, Failure> {
        let name = match what {
            OfSystem::Start => "HcsStartComputeSystem",
            OfSystem::ShutDown => "HcsShutDownComputeSystem",
            OfSystem::Terminate => "HcsTerminateComputeSystem",
            OfSystem::Crash => "HcsCrashComputeSystem",
            OfSystem::Pause => "HcsPauseComputeSystem",
            OfSystem::Resume => "HcsResumeComputeSystem",
            OfSystem::Save => "HcsSaveComputeSystem",
            OfSystem::Properties => "HcsGetComputeSystemProperties",
            OfSystem::Modify => return self.modify(document),
        };
        track(name, self.0, document)
    }

    fn modify(&self, document: &str) -> Result<String, Failure> {
        type Modify = unsafe extern "system" fn(Object, Tracker, Text, Object) -> i32;
        // SAFETY: this is its shape (computecore.h).
        let function: Modify = unsafe { COMPUTE.function("HcsModifyComputeSystem")? };
        let (document, operation) = (Wide::new(document)?, Operation::new()?);
        // SAFETY: the system is open; the text with its zero and the operation outlive the call; the caller's own identity is meant.
        let code = unsafe { function(self.0, operation.0, document.as_ptr(), ptr::null_mut()) };
        operation.wait(code)
    }

    /// Waits for the end, in milliseconds; how it ended.
    ///
    /// # Errors
    /// WAIT_TIMEOUT, E_NOTIMPL, or what Windows refuses.
    pub fn wait(&self, patience: u32) -> Result<String, Failure> {
        wait("HcsWaitForComputeSystemExit", self.0, patience)
    }

    /// Starts a process.
    ///
    /// # Errors
    /// E_NOTIMPL, or what Windows refuses.
    pub fn run(&self, parameters: &str) -> Result<(Process, Information), Failure> {
        type Create =
            unsafe extern "system" fn(Object, Text, Tracker, *const c_void, *mut Object) -> i32;
        // SAFETY: this is its shape (computecore.h).
        let function: Create = unsafe { COMPUTE.function("HcsCreateProcess")? };
        let (parameters, operation) = (Wide::new(parameters)?, Operation::new()?);
        let mut process = ptr::null_mut();
        // SAFETY: the system is open; the text with its zero, the operation and the room outlive the call; no security descriptor.
        let code = unsafe {
            function(self.0, parameters.as_ptr(), operation.0, ptr::null(), &mut process)
        };
        let process = (!process.is_null()).then_some(Process(process));
        let information = operation.wait_for_process(code);
        match (process, information) {
            (Some(process), Err(failure))
                if HResult::from_signed(code).is_success() && failure.hresult == DONE_ALREADY =>
            {
                let information = process.information().map_err(|_| failure)?;
                Ok((process, information))
            }
            (process, information) => {
                let information = information?;
                let process = process.ok_or_else(|| handle_missing("HcsCreateProcess"))?;
                Ok((process, information))
            }
        }
    }

    /// Opens a process.
    ///
    /// # Errors
    /// E_NOTIMPL, or what Windows refuses: that there is none.
    pub fn process(&self, pid: u32) -> Result<Process, Failure> {
        type Open = unsafe extern "system" fn(Object, u32, u32, *mut Object) -> i32;
        // SAFETY: this is its shape (computecore.h).
        let function: Open = unsafe { COMPUTE.function("HcsOpenProcess")? };
        let mut process = ptr::null_mut();
        // SAFETY: the system is open, and the room outlives the call.
        let code = unsafe { function(self.0, pid, ALL_ACCESS, &mut process) };
        refusal::unless(code, String::new)?;
        if process.is_null() {
            return Err(handle_missing("HcsOpenProcess"));
        }
        Ok(Process(process))
    }

    /// Listens to what happens to it from now on.
    ///
    /// # Errors
    /// E_NOTIMPL, or what Windows refuses.
    pub fn listen(self, address: Address) -> Result<Listening, Failure> {
        Listening::begin(Heard::System(self), address)
    }
}

/// HcsEventOptionNone.
const NO_OPTIONS: i32 = 0;

type Set = unsafe extern "system" fn(Object, i32, *const c_void, Option<callback::Compute>) -> i32;

/// What a callback may be about: one of each handle.
#[derive(Debug)]
enum Heard {
    System(System),
    Process(Process),
}

impl Heard {
    fn object(&self) -> Object {
        match self {
            Self::System(system) => system.0,
            Self::Process(process) => process.0,
        }
    }

    fn setter(&self) -> Result<Set, Failure> {
        let name = match self {
            Self::System(_) => "HcsSetComputeSystemCallback",
            Self::Process(_) => "HcsSetProcessCallback",
        };
        // SAFETY: both functions have this shape (computecore.h).
        unsafe { COMPUTE.function(name) }
    }
}

/// A system or a process whose events are heard, until this is dropped.
#[derive(Debug)]
pub struct Listening {
    // Closed after its callback was taken away, and before nobody has the address any more.
    heard: Heard,
    _address: Address,
}

impl Listening {
    fn begin(heard: Heard, address: Address) -> Result<Self, Failure> {
        let (set, context) = (heard.setter()?, address.context());
        // SAFETY: the handle is open; the callback takes any context, at any time and on any thread.
        let code = unsafe { set(heard.object(), NO_OPTIONS, context, Some(callback::compute)) };
        refusal::unless(code, String::new)?;
        Ok(Self { heard, _address: address })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Ok(set) = self.heard.setter() {
            // SAFETY: the handle is open, and no callback is wanted.
            unsafe { set(self.heard.object(), NO_OPTIONS, ptr::null(), None) };
        }
    }
}

impl Process {
    /// Carries out what is asked, and waits for it.
    ///
    /// # Errors
    /// E_NOTIMPL, or what Windows refuses.
    pub fn ask(&self, what: OfProcess, document: &str) -> Result<String, Failure> {
        let name = match what {
            OfProcess::Properties => "HcsGetProcessProperties",
            OfProcess::Modify => "HcsModifyProcess",
            OfProcess::Signal => "HcsSignalProcess",
            OfProcess::Terminate => "HcsTerminateProcess",
        };
        track(name, self.0, document)
    }

    /// Its number, and its streams once more.
    ///
    /// # Errors
    /// E_NOTIMPL, or what Windows refuses.
    pub fn information(&self) -> Result<Information, Failure> {
        type Ask = unsafe extern "system" fn(Object, Tracker) -> i32;
        // SAFETY: this is its shape (computecore.h).
        let function: Ask = unsafe { COMPUTE.function("HcsGetProcessInfo")? };
        let operation = Operation::new()?;
        // SAFETY: the process is open, and the operation outlives the call.
        let code = unsafe { function(self.0, operation.0) };
        operation.wait_for_process(code)
    }

    /// Waits for the end, in milliseconds; how it ended.
    ///
    /// # Errors
    /// WAIT_TIMEOUT, E_NOTIMPL, or what Windows refuses.
    pub fn wait(&self, patience: u32) -> Result<String, Failure> {
        wait("HcsWaitForProcessExit", self.0, patience)
    }

    /// Listens to what happens to it from now on.
    ///
    /// # Errors
    /// E_NOTIMPL, or what Windows refuses.
    pub fn listen(self, address: Address) -> Result<Listening, Failure> {
        Listening::begin(Heard::Process(self), address)
    }
}

/// Whether this Windows waits for ends itself; older ones only tell of them.
pub fn can_wait() -> bool {
    COMPUTE.has("HcsWaitForComputeSystemExit") && COMPUTE.has("HcsWaitForProcessExit")
}

fn wait(name: &str, object: Object, patience: u32) -> Result<String, Failure> {
    type Wait = unsafe extern "system" fn(Object, u32, Room) -> i32;
    // SAFETY: both functions that wait have this shape (computecore.h).
    let function: Wait = unsafe { COMPUTE.function(name)? };
    let mut told = Given::by(Giver::Compute);
    // SAFETY: the object is open, and the room outlives the call.
    let code = unsafe { function(object, patience, told.room()) };
    refusal::unless(code, || told.read())?;
    Ok(told.read())
}

/// The systems that match, as a document.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn enumerate(query: &str) -> Result<String, Failure> {
    // SAFETY: this is its shape (computecore.h).
    let function: unsafe extern "system" fn(Text, Tracker) -> i32 =
        unsafe { COMPUTE.function("HcsEnumerateComputeSystems")? };
    let (query, operation) = (Optional::new(query)?, Operation::new()?);
    // SAFETY: the text, NULL or with its zero, and the operation outlive the call.
    let code = unsafe { function(query.as_ptr(), operation.0) };
    operation.wait(code)
}

/// What the service and the host are like.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn service_properties(query: &str) -> Result<String, Failure> {
    of_service("HcsGetServiceProperties", query)
}

/// Changes settings of the service.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn modify_service(settings: &str) -> Result<String, Failure> {
    of_service("HcsModifyServiceSettings", settings)
}

fn of_service(name: &str, document: &str) -> Result<String, Failure> {
    // SAFETY: both functions about the service have this shape (computecore.h).
    let function: unsafe extern "system" fn(Text, Room) -> i32 = unsafe { COMPUTE.function(name)? };
    let (document, mut told) = (Optional::new(document)?, Given::by(Giver::Compute));
    // SAFETY: the text, NULL or with its zero, and the room outlive the call.
    let code = unsafe { function(document.as_ptr(), told.room()) };
    refusal::unless(code, || told.read())?;
    Ok(told.read())
}
