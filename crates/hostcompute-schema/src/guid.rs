//! Object identifiers: sixteen bytes, printed lower-case without braces, read in any case.
//!
//! The bytes are kept in the order in which the text shows them. Windows keeps the first three
//! groups little-endian in memory; the conversion to that layout is [`Guid::to_windows_bytes`] and
//! concerns the C face only.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// A GUID, in the order of its text.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// Why a text is not a GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidGuid;

impl Guid {
    /// The all-zero GUID, which stands for «not given» everywhere in the API.
    pub const ZERO: Guid = Guid([0; 16]);

    /// The GUID of these bytes, in the order of its text.
    pub const fn from_bytes(bytes: [u8; 16]) -> Guid {
        Guid(bytes)
    }

    /// The bytes, in the order of the text.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether it stands for «not given».
    pub const fn is_zero(&self) -> bool {
        u128::from_be_bytes(self.0) == 0
    }

    /// A version 4 GUID out of sixteen random bytes; the caller owns the source of randomness.
    pub const fn from_random(random: u128) -> Guid {
        let version = (random & !(0xf << 76)) | (0x4 << 76);
        let variant = (version & !(0b11 << 62)) | (0b10 << 62);
        Guid(variant.to_be_bytes())
    }

    /// A version 5 GUID out of the SHA-1 hash of a name: what names a layer by its directory.
    pub fn from_name_hash(hash: [u8; 20]) -> Guid {
        let (start, _) = hash.split_at(16);
        let number = start.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let version = (number & !(0xf << 76)) | (0x5 << 76);
        Guid(((version & !(0b11 << 62)) | (0b10 << 62)).to_be_bytes())
    }

    /// The upper-case form, which nested documents and the older interface print.
    pub fn to_upper(&self) -> String {
        let mut text = alloc::format!("{self}");
        text.make_ascii_uppercase();
        text
    }

    /// The in-memory layout of a Windows `GUID`: three little-endian groups, then eight bytes.
    pub const fn to_windows_bytes(&self) -> [u8; 16] {
        swap_groups(self.0)
    }

    /// The inverse of [`Guid::to_windows_bytes`].
    pub const fn from_windows_bytes(bytes: [u8; 16]) -> Guid {
        Guid(swap_groups(bytes))
    }
}

const fn swap_groups(b: [u8; 16]) -> [u8; 16] {
    [
        b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13],
        b[14], b[15],
    ]
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        f.pad(core::str::from_utf8(&text).expect("only hexadecimal digits and dashes were written"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Guid {
    type Err = InvalidGuid;

    fn from_str(text: &str) -> Result<Guid, InvalidGuid> {
        let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        if bare.len() != 36 {
            return Err(InvalidGuid);
        }
        let mut value: u128 = 0;
        for (index, byte) in bare.bytes().enumerate() {
            if matches!(index, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return Err(InvalidGuid);
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16).ok_or(InvalidGuid)?;
            value = (value << 4) | u128::from(digit);
        }
        Ok(Guid(value.to_be_bytes()))
    }
}

impl fmt::Display for InvalidGuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a GUID (eight, four, four, four and twelve hexadecimal digits)")
    }
}

impl core::error::Error for InvalidGuid {}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Guid, D::Error> {
        let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const TEXT: &str = "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc";

    #[test]
    fn every_spelling_is_read_and_one_is_printed() {
        for spelling in [TEXT.to_string(), TEXT.to_uppercase(), alloc::format!("{{{TEXT}}}")] {
            assert_eq!(spelling.parse::<Guid>().unwrap().to_string(), TEXT);
        }
        assert_eq!(TEXT.parse::<Guid>().unwrap().to_upper(), TEXT.to_uppercase());
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in [
            "",
            "{",
            "910f7d92",
            "910f7d92-ba2d-4c3f-98ae-7c0ac590d2d",
            "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dg",
            "910f7d92+ba2d-4c3f-98ae-7c0ac590d2dc",
            "{910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc",
            "910f7d92-ba2d-4c3f-98ae-7c0ac590é2d",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(InvalidGuid), "{text}");
        }
    }

    #[test]
    fn the_windows_layout_swaps_three_groups() {
        let guid: Guid = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
        let windows = guid.to_windows_bytes();
        assert_eq!(windows[..8], [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66]);
        assert_eq!(windows[8..], guid.as_bytes()[8..]);
        assert_eq!(Guid::from_windows_bytes(windows), guid);
    }

    #[test]
    fn random_bits_become_version_four() {
        assert_eq!(
            Guid::from_random(u128::MAX).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(Guid::from_random(0).to_string(), "00000000-0000-4000-8000-000000000000");
    }
}
