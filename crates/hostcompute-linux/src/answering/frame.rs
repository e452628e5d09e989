//! Ethernet frames with IPv4 and UDP: as much as clients need that have no address yet.

use std::net::Ipv4Addr;

use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::HOST_END_MAC;

use crate::sys::Instruction;

pub(super) const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const ETHERNET: usize = 14;
const IPV4: u16 = 0x0800;
const UDP: u8 = 17;
const ALL: Mac = Mac([0xff; 6]);

/// A program that lets whole UDP packets for the server's port through.
pub(super) fn only_questions() -> Vec<Instruction> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF_BEHIND: u16 = 0x48;
    const HEADER_LENGTH: u16 = 0xb1;
    const IF_EQUAL: u16 = 0x15;
    const IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let plain = |code, value| Instruction { code, if_true: 0, if_false: 0, value };
    let unless = |code, value, far| Instruction { if_false: far, ..plain(code, value) };
    vec![
        plain(LOAD_HALF, 12),
        unless(IF_EQUAL, u32::from(IPV4), 8),
        plain(LOAD_BYTE, 23),
        unless(IF_EQUAL, u32::from(UDP), 6),
        plain(LOAD_HALF, 20),
        // A later part of a packet.
        Instruction { if_true: 4, ..plain(IF_SET, 0x1fff) },
        plain(HEADER_LENGTH, 14),
        plain(LOAD_HALF_BEHIND, 16),
        unless(IF_EQUAL, u32::from(SERVER_PORT), 1),
        plain(RETURN, 0xffff),
        plain(RETURN, 0),
    ]
}

/// Who sent a frame, and what its UDP packet carries.
pub(super) fn open(frame: &[u8]) -> Option<(Mac, &[u8])> {
    let sender = Mac(frame.get(6..12)?.try_into().ok()?);
    let packet = frame.get(ETHERNET..)?;
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(number(packet, 2)?);
    let datagram = packet.get(header..total)?;
    let length = usize::from(number(datagram, 4)?);
    if header < 20 || *packet.get(9)? != UDP || number(datagram, 2)? != SERVER_PORT {
        return None;
    }
    Some((sender, datagram.get(8..length)?))
}

fn number(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(place..place + 2)?.try_into().ok()?))
}

/// A frame from the server to a client; an address of `None` is everybody's.
pub(super) fn close(
    source: Ipv4Addr,
    to: Option<(Mac, Ipv4Addr)>,
    message: &[u8],
) -> Option<Vec<u8>> {
    let (mac, destination) = to.unwrap_or((ALL, Ipv4Addr::BROADCAST));
    let length = u16::try_from(message.len() + 8).ok()?;
    let total = length.checked_add(20)?;
    let mut frame = Vec::with_capacity(ETHERNET + usize::from(total));
    frame.extend(mac.0);
    frame.extend(HOST_END_MAC.0);
    frame.extend(IPV4.to_be_bytes());
    let mut header = vec![0x45, 0];
    header.extend(total.to_be_bytes());
    // Nothing to put together again; 64 hops.
    header.extend([0, 0, 0, 0, 64, UDP, 0, 0]);
    header.extend(source.octets());
    header.extend(destination.octets());
    let sum = checksum(&[&header]).to_be_bytes();
    header.splice(10..12, sum);
    let mut datagram = Vec::new();
    datagram.extend(SERVER_PORT.to_be_bytes());
    datagram.extend(CLIENT_PORT.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(message);
    let pseudo = [0, UDP];
    let parts =
        [&source.octets()[..], &destination.octets(), &pseudo, &length.to_be_bytes(), &datagram];
    // Zero would say that there is none.
    let sum = match checksum(&parts) {
        0 => 0xffff_u16,
        sum => sum,
    };
    datagram.splice(6..8, sum.to_be_bytes());
    frame.extend(header);
    frame.extend(datagram);
    Some(frame)
}

/// The Internet's checksum; every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let pairs = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = pairs
        .map(|pair| match pair {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(*high) << 8,
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_has_checksums_that_are_right() {
        let to = (Mac([2, 0, 0, 0, 0, 9]), Ipv4Addr::new(10, 0, 0, 9));
        let frame = close(Ipv4Addr::new(10, 0, 0, 1), Some(to), b"odd").unwrap();
        assert_eq!(checksum(&[&frame[14..34]]), 0);
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 9, 0, UDP, 0, 11];
        assert_eq!(checksum(&[&pseudo, &frame[34..]]), 0);
        assert_eq!(frame[..6], to.0.0);
        // To the client's port, so it is no question.
        assert_eq!(open(&frame), None);
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        let mut frame = close(Ipv4Addr::new(10, 0, 0, 1), None, b"question").unwrap();
        frame.splice(36..38, SERVER_PORT.to_be_bytes());
        assert_eq!(open(&frame), Some((HOST_END_MAC, &b"question"[..])));
        for length in 0..frame.len() {
            assert_eq!(open(&frame[..length]), None, "{length}");
        }
    }
}
