//! The adapters of this Windows (GetAdaptersAddresses of iphlpapi.dll), copied out of the list that it writes.
#![expect(unsafe_code, reason = "walks a list that the system writes into memory of ours")]

use std::ffi::c_void;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use hostcompute_schema::{Failure, HResult};

use super::library::ADAPTERS;
use super::memory::read;

/// An adapter as Windows describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// The name that people see and change, such as "Ethernet".
    pub name: String,
    /// What device it is.
    pub description: String,
    /// Its GUID, in braces.
    pub guid: String,
    pub index: u32,
    pub mac: Option<[u8; 6]>,
    pub mtu: u32,
    /// An IfType of IANA's.
    pub kind: u32,
    pub is_up: bool,
    /// With the lengths of their prefixes.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The metric of the best default route through it.
    pub default_route: Option<u32>,
}

/// The beginning of IP_ADAPTER_ADDRESSES_LH (iptypes.h), as far as it is read here.
#[repr(C)]
struct Entry {
    length: u32,
    index: u32,
    next: *const Entry,
    adapter_name: *const u8,
    unicast: *const Unicast,
    anycast: *const c_void,
    multicast: *const c_void,
    dns_servers: *const c_void,
    dns_suffix: *const u16,
    description: *const u16,
    friendly_name: *const u16,
    physical_address: [u8; 8],
    physical_address_length: u32,
    flags: u32,
    mtu: u32,
    kind: u32,
    status: i32,
    ipv6_index: u32,
    zones: [u32; 16],
    prefixes: *const c_void,
    speeds: [u64; 2],
    wins_servers: *const c_void,
    gateways: *const Gateway,
    ipv4_metric: u32,
    ipv6_metric: u32,
}

/// SOCKET_ADDRESS.
#[repr(C)]
struct SocketAddress {
    address: *const u8,
    length: i32,
}

/// IP_ADAPTER_UNICAST_ADDRESS_LH.
#[repr(C)]
struct Unicast {
    length: u32,
    flags: u32,
    next: *const Unicast,
    address: SocketAddress,
    origins: [i32; 3],
    lifetimes: [u32; 3],
    prefix_length: u8,
}

/// IP_ADAPTER_GATEWAY_ADDRESS_LH.
#[repr(C)]
struct Gateway {
    length: u32,
    reserved: u32,
    next: *const Gateway,
    address: SocketAddress,
}

/// IfOperStatusUp.
const UP: i32 = 1;

/// GAA_FLAG_SKIP_ANYCAST, _SKIP_MULTICAST and _SKIP_DNS_SERVER, GAA_FLAG_INCLUDE_GATEWAYS.
const WANTED: u32 = 0x2 | 0x4 | 0x8 | 0x80;

const ERROR_SUCCESS: u32 = 0;
const ERROR_BUFFER_OVERFLOW: u32 = 111;
const ERROR_NO_DATA: u32 = 232;

/// As Microsoft advises to begin with, in bytes.
const ROOM: u32 = 15_000;

/// The list may grow between two calls, but not for ever.
const TRIES: usize = 8;

/// All adapters, in the order of Windows.
///
/// # Errors
/// E_NOTIMPL, or what Windows refuses.
pub fn list() -> Result<Vec<Adapter>, Failure> {
    type Get = unsafe extern "system" fn(u32, u32, *mut c_void, *mut u64, *mut u32) -> u32;
    // SAFETY: this is its shape (iphlpapi.h).
    let get: Get = unsafe { ADAPTERS.function("GetAdaptersAddresses")? };
    let mut size = ROOM;
    for _ in 0..TRIES {
        // Of eight bytes each: the list is aligned for them.
        let mut room = vec![0_u64; (size as usize).div_ceil(8)];
        // SAFETY: the room has that many bytes at least, and outlives the call; all families, no reserved argument.
        let code = unsafe { get(0, WANTED, ptr::null_mut(), room.as_mut_ptr(), &mut size) };
        match code {
            // SAFETY: Windows has written a list whose members lie in the room or end with NULL.
            ERROR_SUCCESS => return Ok(unsafe { walk(room.as_ptr().cast()) }),
            ERROR_NO_DATA => return Ok(Vec::new()),
            ERROR_BUFFER_OVERFLOW => {}
            error => {
                let why = "Windows does not tell its adapters";
                let code = HResult::from_signed((0x8007_0000 | error & 0xffff).cast_signed());
                return Err(Failure::new(code, why));
            }
        }
    }
    let why = "the list of adapters grows faster than it is read";
    Err(Failure::new(HResult::E_OUTOFMEMORY, why))
}

/// # Safety
/// `entry` is NULL or begins a list as GetAdaptersAddresses writes it, which stays as it is for the time of the call.
unsafe fn walk(mut entry: *const Entry) -> Vec<Adapter> {
    let mut found = Vec::new();
    // SAFETY: the caller vouches for the list.
    while let Some(one) = unsafe { entry.as_ref() } {
        // SAFETY: as above; texts end with zeros.
        found.push(unsafe { adapter(one) });
        entry = one.next;
    }
    found
}

/// # Safety
/// As [`walk`].
unsafe fn adapter(entry: &Entry) -> Adapter {
    let mac = entry.physical_address.first_chunk::<6>().copied();
    let mut addresses = Vec::new();
    let mut next = entry.unicast;
    // SAFETY: the caller vouches for the list.
    while let Some(one) = unsafe { next.as_ref() } {
        // SAFETY: as above.
        addresses.extend(unsafe { ip(&one.address) }.map(|ip| (ip, one.prefix_length)));
        next = one.next;
    }
    let mut default_route = None;
    let mut next = entry.gateways;
    // SAFETY: as above.
    while let Some(one) = unsafe { next.as_ref() } {
        // SAFETY: as above.
        let metric = match unsafe { ip(&one.address) } {
            Some(IpAddr::V4(_)) => Some(entry.ipv4_metric),
            Some(IpAddr::V6(_)) => Some(entry.ipv6_metric),
            None => None,
        };
        default_route = default_route.into_iter().chain(metric).min();
        next = one.next;
    }
    Adapter {
        // SAFETY: as above; these texts are NULL or end with zeros.
        name: unsafe { read(entry.friendly_name) },
        // SAFETY: as above.
        description: unsafe { read(entry.description) },
        // SAFETY: as above.
        guid: unsafe { ansi(entry.adapter_name) },
        index: if entry.index == 0 { entry.ipv6_index } else { entry.index },
        mac: mac.filter(|_| entry.physical_address_length == 6),
        mtu: entry.mtu,
        kind: entry.kind,
        is_up: entry.status == UP,
        addresses,
        default_route,
    }
}

/// # Safety
/// `text` is NULL or ends with a zero, and stays as it is for the time of the call.
unsafe fn ansi(text: *const u8) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for the text.
    unsafe { std::ffi::CStr::from_ptr(text.cast()) }.to_string_lossy().into_owned()
}

/// AF_INET and AF_INET6 of Windows, with the lengths of their SOCKADDRs.
const IPV4: (u16, i32) = (2, 16);
const IPV6: (u16, i32) = (23, 28);

/// # Safety
/// The address is NULL, or that of a SOCKADDR of the length that is said.
unsafe fn ip(of: &SocketAddress) -> Option<IpAddr> {
    if of.address.is_null() || of.length < IPV4.1 {
        return None;
    }
    // SAFETY: every SOCKADDR begins with its family.
    let family = unsafe { of.address.cast::<u16>().read_unaligned() };
    if family == IPV4.0 {
        // SAFETY: the address of a SOCKADDR_IN is its bytes 4 to 7.
        let bytes = unsafe { of.address.add(4).cast::<[u8; 4]>().read_unaligned() };
        return Some(Ipv4Addr::from(bytes).into());
    }
    if family == IPV6.0 && of.length >= IPV6.1 {
        // SAFETY: the address of a SOCKADDR_IN6 is its bytes 8 to 23.
        let bytes = unsafe { of.address.add(8).cast::<[u8; 16]>().read_unaligned() };
        return Some(Ipv6Addr::from(bytes).into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// The numbers are those that a C program gets from mingw-w64's iptypes.h for x86_64.
    #[cfg(target_pointer_width = "64")]
    #[test]
    fn members_are_where_windows_writes_them() {
        assert_eq!(offset_of!(Entry, next), 8);
        assert_eq!(offset_of!(Entry, unicast), 24);
        assert_eq!(offset_of!(Entry, description), 64);
        assert_eq!(offset_of!(Entry, friendly_name), 72);
        assert_eq!(offset_of!(Entry, physical_address), 80);
        assert_eq!(offset_of!(Entry, physical_address_length), 88);
        assert_eq!(offset_of!(Entry, mtu), 96);
        assert_eq!(offset_of!(Entry, kind), 100);
        assert_eq!(offset_of!(Entry, status), 104);
        assert_eq!(offset_of!(Entry, ipv6_index), 108);
        assert_eq!(offset_of!(Entry, prefixes), 176);
        assert_eq!(offset_of!(Entry, gateways), 208);
        assert_eq!((offset_of!(Entry, ipv4_metric), offset_of!(Entry, ipv6_metric)), (216, 220));
        assert_eq!((offset_of!(Unicast, next), offset_of!(Unicast, address)), (8, 16));
        assert_eq!(offset_of!(Unicast, prefix_length), 56);
        assert_eq!((offset_of!(Gateway, next), offset_of!(Gateway, address)), (8, 16));
    }

    #[test]
    fn adapters_have_names_and_numbers() {
        for adapter in list().expect("told") {
            assert!(!adapter.name.is_empty() && adapter.index > 0, "{adapter:?}");
            assert!(adapter.addresses.iter().all(|(_, length)| *length <= 128), "{adapter:?}");
        }
    }
}
