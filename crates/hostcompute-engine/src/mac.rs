//! MAC addresses as documents spell them: `00-15-5D-0A-0B-0C` printed, `:` or `-` and any case read.

use core::fmt;
use core::str::FromStr;

/// An IEEE 802 MAC address, six bytes in transmission order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

/// The text is not a MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address: six pairs of hexadecimal digits separated by '-' or ':' are wanted")]
pub struct MacSyntax;

impl Mac {
    /// The address as a number, for arithmetic in MAC pools.
    pub fn to_u64(self) -> u64 {
        self.0.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// The address whose number is the low 48 bits of `value`.
    pub fn from_u64(value: u64) -> Self {
        let bytes = value.to_be_bytes();
        Self([bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
    }

    /// Whether this is a group (multicast or broadcast) address, which no interface can own.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}-{b:02X}-{c:02X}-{d:02X}-{e:02X}-{g:02X}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = MacSyntax;

    fn from_str(text: &str) -> Result<Self, MacSyntax> {
        let mut bytes = [0; 6];
        let mut groups = text.split(['-', ':']);
        for byte in &mut bytes {
            let group = groups.next().ok_or(MacSyntax)?;
            if group.len() != 2 || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(MacSyntax);
            }
            *byte = u8::from_str_radix(group, 16).map_err(|_| MacSyntax)?;
        }
        if groups.next().is_some() { Err(MacSyntax) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn both_separators_and_cases_are_read_and_dashes_printed() {
        for text in ["00-15-5d-0a-0B-0c", "00:15:5D:0A:0b:0C"] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), "00-15-5D-0A-0B-0C");
        }
        for text in
            ["", "00-15-5d-0a-0b", "00-15-5d-0a-0b-0c-0d", "0-15-5d-0a-0b-0c", "+0-15-5d-0a-0b-0c"]
        {
            assert_eq!(text.parse::<Mac>(), Err(MacSyntax), "{text}");
        }
    }

    #[test]
    fn numbers_round_trip() {
        let mac: Mac = "00-15-5D-FF-00-01".parse().unwrap();
        assert_eq!(Mac::from_u64(mac.to_u64()), mac);
    }
}
