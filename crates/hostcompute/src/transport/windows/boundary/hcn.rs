//! The functions of computenetwork.dll. They have few shapes: one for each verb, whatever the kind of object.
#![expect(unsafe_code, reason = "calls functions of computenetwork.dll")]

use std::ffi::c_void;
use std::ptr;

use hostcompute_schema::operation::{Kind, Verb};
use hostcompute_schema::{Failure, Guid, HResult, Operation};

use super::callback::{self, Address};
use super::library::NETWORK;
use super::memory::{Given, Giver, Optional, Wide};
use crate::transport::windows::refusal;

type Object = *mut c_void;
type Text = *const u16;
type Room = *mut *mut u16;

/// Of a verb, whose functions have one shape. The kinds of objects differ in the function's name only.
macro_rules! of_verb {
    ($operation:expr, $verb:ident, $shape:ty) => {{
        let operation: Operation = $operation;
        if operation.verb() != Verb::$verb {
            let why = format!("{operation} is asked in another way");
            return Err(Failure::new(HResult::E_UNEXPECTED, why));
        }
        // SAFETY: functions of one verb have one shape (computenetwork.h); callers see to CreateEndpoint, the exception.
        unsafe { NETWORK.function::<$shape>(operation.symbol())? }
    }};
}

/// An open object; closed when it is dropped.
#[derive(Debug)]
pub struct Handle {
    object: Object,
    kind: Kind,
}

// SAFETY: handles of HCN are numbers of its RPC; any thread may use them, several at once, too.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        type Close = unsafe extern "system" fn(Object) -> i32;
        let close = Operation::ALL
            .iter()
            .find(|one| one.verb() == Verb::Close && one.subject() == self.kind);
        let Some(close) = close else { return };
        // SAFETY: functions that close objects have this shape.
        if let Ok(close) = unsafe { NETWORK.function::<Close>(close.symbol()) } {
            // SAFETY: the handle is open, and nobody has it any more.
            unsafe { close(self.object) };
        }
    }
}

/// What a call leaves when it fails.
struct Record(Given);

impl Record {
    fn new() -> Self {
        Self(Given::by(Giver::Network))
    }

    fn room(&mut self) -> Room {
        self.0.room()
    }

    fn unless(&self, code: i32) -> Result<(), Failure> {
        refusal::unless(code, || self.0.read())
    }
}

/// The ids of the objects that match, as a document.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn enumerate(operation: Operation, query: &str) -> Result<String, Failure> {
    let function =
        of_verb!(operation, Enumerate, unsafe extern "system" fn(Text, Room, Room) -> i32);
    let query = Optional::new(query)?;
    let (mut found, mut record) = (Given::by(Giver::Network), Record::new());
    // SAFETY: the text is NULL or ends with a zero; it and the rooms outlive the call.
    let code = unsafe { function(query.as_ptr(), found.room(), record.room()) };
    record.unless(code)?;
    Ok(found.read())
}

/// Makes an object that stands for itself. Without an id the service chooses one.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn create(operation: Operation, id: Option<Guid>, settings: &str) -> Result<Handle, Failure> {
    if operation == Operation::CreateEndpoint {
        return Err(Failure::new(HResult::E_UNEXPECTED, "an endpoint stands on a network"));
    }
    type Create = unsafe extern "system" fn(*const [u8; 16], Text, *mut Object, Room) -> i32;
    let function = of_verb!(operation, Create, Create);
    let (id, settings) = (id.unwrap_or(Guid::ZERO).to_windows_bytes(), Wide::new(settings)?);
    let (mut object, mut record) = (ptr::null_mut(), Record::new());
    // SAFETY: a GUID is 16 bytes; it, the text with its zero and the rooms outlive the call.
    let code = unsafe { function(&id, settings.as_ptr(), &mut object, record.room()) };
    record.unless(code)?;
    opened(object, operation)
}

/// Makes an endpoint on a network. Without an id the service chooses one.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn create_endpoint(
    network: &Handle,
    id: Option<Guid>,
    settings: &str,
) -> Result<Handle, Failure> {
    type Create =
        unsafe extern "system" fn(Object, *const [u8; 16], Text, *mut Object, Room) -> i32;
    let operation = Operation::CreateEndpoint;
    let function = of_verb!(operation, Create, Create);
    let (id, settings) = (id.unwrap_or(Guid::ZERO).to_windows_bytes(), Wide::new(settings)?);
    let (mut object, mut record) = (ptr::null_mut(), Record::new());
    // SAFETY: the network is open; the GUID, the text with its zero and the rooms outlive the call.
    let code =
        unsafe { function(network.object, &id, settings.as_ptr(), &mut object, record.room()) };
    record.unless(code)?;
    opened(object, operation)
}

/// Opens an object.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses: that there is none.
pub fn open(operation: Operation, id: Guid) -> Result<Handle, Failure> {
    type Open = unsafe extern "system" fn(*const [u8; 16], *mut Object, Room) -> i32;
    let function = of_verb!(operation, Open, Open);
    let (mut object, mut record) = (ptr::null_mut(), Record::new());
    // SAFETY: the GUID and the rooms outlive the call.
    let code = unsafe { function(&id.to_windows_bytes(), &mut object, record.room()) };
    record.unless(code)?;
    opened(object, operation)
}

fn opened(object: Object, operation: Operation) -> Result<Handle, Failure> {
    if object.is_null() {
        let why = format!("{} succeeded and gave no handle", operation.symbol());
        return Err(Failure::new(HResult::E_UNEXPECTED, why));
    }
    Ok(Handle { object, kind: operation.subject() })
}

/// Changes an object.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn modify(operation: Operation, object: &Handle, settings: &str) -> Result<(), Failure> {
    let function =
        of_verb!(operation, Modify, unsafe extern "system" fn(Object, Text, Room) -> i32);
    let (settings, mut record) = (Wide::new(settings)?, Record::new());
    // SAFETY: the object is open; the text with its zero and the room outlive the call.
    let code = unsafe { function(object.object, settings.as_ptr(), record.room()) };
    record.unless(code)
}

/// What a query about an object answers with, as a document.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn query(operation: Operation, object: &Handle, query: &str) -> Result<String, Failure> {
    type Query = unsafe extern "system" fn(Object, Text, Room, Room) -> i32;
    let function = of_verb!(operation, Query, Query);
    let query = Optional::new(query)?;
    let (mut told, mut record) = (Given::by(Giver::Network), Record::new());
    // SAFETY: the object is open; the text, NULL or with its zero, and the rooms outlive the call.
    let code = unsafe { function(object.object, query.as_ptr(), told.room(), record.room()) };
    record.unless(code)?;
    Ok(told.read())
}

/// Deletes an object.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn delete(operation: Operation, id: Guid) -> Result<(), Failure> {
    let function =
        of_verb!(operation, Delete, unsafe extern "system" fn(*const [u8; 16], Room) -> i32);
    let mut record = Record::new();
    // SAFETY: the GUID and the room outlive the call.
    let code = unsafe { function(&id.to_windows_bytes(), record.room()) };
    record.unless(code)
}

/// Ports that are kept for a guest; given back when this is dropped.
#[derive(Debug)]
pub struct Ports(Object);

// SAFETY: the handle is a number of the service's; any thread may give it back.
unsafe impl Send for Ports {}

impl Ports {
    /// Gives them back.
    ///
    /// # Errors
    /// E_NOTIMPL, or what Windows refuses.
    pub fn release(self) -> Result<(), Failure> {
        let code = self.give_back();
        std::mem::forget(self);
        code.and_then(|code| refusal::unless(code, String::new))
    }

    fn give_back(&self) -> Result<i32, Failure> {
        let operation = Operation::ReleaseGuestNetworkServicePortReservationHandle;
        let function = of_verb!(operation, Release, unsafe extern "system" fn(Object) -> i32);
        // SAFETY: the reservation is held, and both callers end with it.
        Ok(unsafe { function(self.0) })
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        let _ = self.give_back();
    }
}

/// Keeps one port. `protocol` and `access` are values of HCN_PORT_PROTOCOL and HCN_PORT_ACCESS.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn reserve_port(
    guest: &Handle,
    protocol: i32,
    access: i32,
    port: u16,
) -> Result<Ports, Failure> {
    type Reserve = unsafe extern "system" fn(Object, i32, i32, u16, *mut Object) -> i32;
    let name = Operation::ReserveGuestNetworkServicePort.symbol();
    // SAFETY: this is its shape (computenetwork.h).
    let function: Reserve = unsafe { NETWORK.function(name)? };
    let mut held = ptr::null_mut();
    // SAFETY: the guest network service is open, and the room outlives the call.
    let code = unsafe { function(guest.object, protocol, access, port, &mut held) };
    refusal::unless(code, String::new)?;
    Ok(Ports(held))
}

/// HCN_PORT_RANGE_RESERVATION.
#[repr(C)]
#[derive(Default)]
struct Range {
    starting_port: u16,
    ending_port: u16,
}

/// Keeps ports next to each other; tells the first and the last one.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn reserve_range(guest: &Handle, count: u16) -> Result<(Ports, u16, u16), Failure> {
    type Reserve = unsafe extern "system" fn(Object, u16, *mut Range, *mut Object) -> i32;
    let name = Operation::ReserveGuestNetworkServicePortRange.symbol();
    // SAFETY: this is its shape (computenetwork.h).
    let function: Reserve = unsafe { NETWORK.function(name)? };
    let (mut range, mut held) = (Range::default(), ptr::null_mut());
    // SAFETY: the guest network service is open, and the rooms outlive the call.
    let code = unsafe { function(guest.object, count, &mut range, &mut held) };
    refusal::unless(code, String::new)?;
    Ok((Ports(held), range.starting_port, range.ending_port))
}

/// HCN_PORT_RANGE_ENTRY.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    owning_partition: [u32; 4],
    target_partition: [u32; 4],
    /// HCN_PORT_PROTOCOL.
    pub protocol: i32,
    priority: u64,
    reservation_type: u32,
    /// Whether others may share the ports.
    pub sharing_flags: u32,
    delivery_mode: u32,
    pub starting_port: u16,
    pub ending_port: u16,
}

/// The reserved ports of the host.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn reservations() -> Result<Vec<Entry>, Failure> {
    type List = unsafe extern "system" fn(*mut u32, *mut *mut Entry) -> i32;
    type Free = unsafe extern "system" fn(*mut Entry);
    let (list, free) = (
        Operation::EnumerateGuestNetworkPortReservations.symbol(),
        Operation::FreeGuestNetworkPortReservations.symbol(),
    );
    // SAFETY: these are their shapes (computenetwork.h).
    let (list, free): (List, Free) = unsafe { (NETWORK.function(list)?, NETWORK.function(free)?) };
    let (mut count, mut entries) = (0, ptr::null_mut());
    // SAFETY: the rooms outlive the call.
    let code = unsafe { list(&mut count, &mut entries) };
    refusal::unless(code, String::new)?;
    if entries.is_null() {
        return Ok(Vec::new());
    }
    let count = usize::try_from(count).unwrap_or_default();
    // SAFETY: so many entries were handed out, and they are ours until they are freed.
    let found = unsafe { std::slice::from_raw_parts(entries, count) }.to_vec();
    // SAFETY: they came from the function that this one belongs to, and nobody looks at them any more.
    unsafe { free(entries) };
    Ok(found)
}

/// A callback that Windows calls; ended when this is dropped, and what comes nevertheless is for nobody.
#[derive(Debug)]
pub struct Registration {
    registered: Object,
    end: Operation,
    // Dropped after it was unregistered.
    _address: Address,
    _object: Option<Handle>,
}

// SAFETY: the handle is a number of the service's; any thread may unregister it.
unsafe impl Send for Registration {}

impl Drop for Registration {
    fn drop(&mut self) {
        type End = unsafe extern "system" fn(Object) -> i32;
        // SAFETY: functions that unregister callbacks have this shape.
        if let Ok(end) = unsafe { NETWORK.function::<End>(self.end.symbol()) } {
            // SAFETY: it is registered, and nobody else has its handle.
            unsafe { end(self.registered) };
        }
    }
}

/// Listens to everything that happens.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn register(address: Address) -> Result<Registration, Failure> {
    type Register = unsafe extern "system" fn(callback::Network, *const c_void, *mut Object) -> i32;
    let function = of_verb!(Operation::RegisterServiceCallback, Subscribe, Register);
    let mut registered = ptr::null_mut();
    // SAFETY: the callback takes any context, at any time and on any thread; the room outlives the call.
    let code = unsafe { function(callback::network, address.context(), &mut registered) };
    refusal::unless(code, String::new)?;
    let end = Operation::UnregisterServiceCallback;
    Ok(Registration { registered, end, _address: address, _object: None })
}

/// Listens to what happens to a network, or to a guest network service.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn register_on(object: Handle, address: Address) -> Result<Registration, Failure> {
    type Register =
        unsafe extern "system" fn(Object, callback::Network, *const c_void, *mut Object) -> i32;
    let (begin, end) = match object.kind {
        Kind::Network => (Operation::RegisterNetworkCallback, Operation::UnregisterNetworkCallback),
        _ => (
            Operation::RegisterGuestNetworkServiceCallback,
            Operation::UnregisterGuestNetworkServiceCallback,
        ),
    };
    let function = of_verb!(begin, Subscribe, Register);
    let mut registered = ptr::null_mut();
    // SAFETY: the object is open; the callback takes any context, at any time and on any thread; the room outlives the call.
    let code =
        unsafe { function(object.object, callback::network, address.context(), &mut registered) };
    refusal::unless(code, String::new)?;
    Ok(Registration { registered, end, _address: address, _object: Some(object) })
}
