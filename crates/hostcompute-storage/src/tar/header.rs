//! One header block: where its fields are, and how numbers are written in it.

use super::{BLOCK, shown};
use crate::error::{Error, Result};

/// A header block whose checksum is right.
#[derive(Debug)]
pub(crate) struct Header<'a>(&'a [u8; BLOCK]);

/// Name, beginning and end of a field.
pub(crate) type Field = (&'static str, usize, usize);

pub(crate) const NAME: Field = ("name", 0, 100);
pub(crate) const MODE: Field = ("mode", 100, 108);
pub(crate) const UID: Field = ("uid", 108, 116);
pub(crate) const GID: Field = ("gid", 116, 124);
pub(crate) const SIZE: Field = ("size", 124, 136);
pub(crate) const MODIFIED: Field = ("mtime", 136, 148);
pub(crate) const CHECKSUM: Field = ("checksum", 148, 156);
pub(crate) const TYPE: usize = 156;
pub(crate) const LINK: Field = ("linkname", 157, 257);
pub(crate) const MAGIC: Field = ("magic", 257, 265);
pub(crate) const MAJOR: Field = ("devmajor", 329, 337);
pub(crate) const MINOR: Field = ("devminor", 337, 345);
pub(crate) const PREFIX: Field = ("prefix", 345, 500);
pub(crate) const GNU_EXTENDED: usize = 482;
pub(crate) const GNU_REAL_SIZE: Field = ("realsize", 483, 495);

/// "ustar", a zero byte and version 00.
pub(crate) const USTAR: &[u8; 8] = b"ustar\x0000";

impl<'a> Header<'a> {
    /// Checks the checksum.
    pub(crate) fn new(block: &'a [u8; BLOCK]) -> Result<Self> {
        let header = Self(block);
        let stored = header.number(CHECKSUM)?;
        // Historic writers summed signed bytes.
        if stored != checksum(block) && Ok(stored) != u64::try_from(signed_checksum(block)) {
            return Err(Error::invalid("a header of the tar archive is damaged (checksum)"));
        }
        Ok(header)
    }

    pub(crate) fn field(&self, (_, start, end): Field) -> &'a [u8] {
        self.0.get(start..end).unwrap_or_default()
    }

    /// A text field: up to its zero byte, or all of it.
    pub(crate) fn text(&self, field: Field) -> &'a [u8] {
        let bytes = self.field(field);
        bytes.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0.get(TYPE).copied().unwrap_or_default()
    }

    pub(crate) fn is_ustar(&self) -> bool {
        self.field(MAGIC).starts_with(b"ustar\0")
    }

    /// The name; POSIX archives have its beginning in a field of its own.
    pub(crate) fn name(&self) -> Vec<u8> {
        let name = self.text(NAME);
        let prefix = if self.is_ustar() { self.text(PREFIX) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// A number that cannot be negative.
    pub(crate) fn number(&self, field: Field) -> Result<u64> {
        number(field.0, self.field(field))
    }

    /// A number that may be negative: a time before 1970.
    pub(crate) fn signed(&self, field: Field) -> Result<i64> {
        let bytes = self.field(field);
        let value = match bytes.split_first() {
            Some((first, rest)) if first & 0xc0 == 0xc0 => {
                // Two's complement over the whole field; all but the last eight bytes are sign.
                let tail = rest.len().saturating_sub(8);
                let (sign, low) = rest.split_at(tail);
                let low: [u8; 8] = low.try_into().map_err(|_| odd(field.0, bytes))?;
                let fits = *first == 0xff && sign.iter().all(|byte| *byte == 0xff);
                Some(i64::from_be_bytes(low)).filter(|value| fits && *value < 0)
            }
            _ => i64::try_from(number(field.0, bytes)?).ok(),
        };
        value.ok_or_else(|| odd(field.0, bytes))
    }
}

/// Octal digits between blanks and zero bytes, or, with the highest bit set, a binary number (GNU).
pub(crate) fn number(name: &str, bytes: &[u8]) -> Result<u64> {
    let value = match bytes.split_first() {
        Some((first, rest)) if first & 0x80 != 0 => {
            let start = u64::from(first & 0x7f);
            rest.iter().try_fold(start, |value, byte| {
                value.checked_mul(256).map(|value| value | u64::from(*byte))
            })
        }
        _ => octal(bytes),
    };
    value.ok_or_else(|| odd(name, bytes))
}

fn octal(bytes: &[u8]) -> Option<u64> {
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let digits = bytes.get(start..)?;
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if !digits.get(end..)?.iter().all(blank) {
        return None;
    }
    digits.get(..end)?.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn odd(name: &str, bytes: &[u8]) -> Error {
    Error::invalid(format!("a header of the tar archive has the {name} \"{}\"", shown(bytes)))
}

/// The sum of all bytes, its own field taken as blanks.
pub(crate) fn checksum(block: &[u8; BLOCK]) -> u64 {
    sum(block, |byte| i64::from(*byte)).unsigned_abs()
}

fn signed_checksum(block: &[u8; BLOCK]) -> i64 {
    sum(block, |byte| i64::from(byte.cast_signed()))
}

fn sum(block: &[u8; BLOCK], value: impl Fn(&u8) -> i64) -> i64 {
    let (_, start, end) = CHECKSUM;
    let summed = block.iter().enumerate().map(|(place, byte)| {
        if (start..end).contains(&place) { i64::from(b' ') } else { value(byte) }
    });
    summed.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_writer_are_read() {
        assert_eq!(number("n", b"0000644\0").unwrap(), 0o644);
        assert_eq!(number("n", b"   644 \0").unwrap(), 0o644);
        assert_eq!(number("n", b"\0\0\0\0\0\0\0\0").unwrap(), 0);
        assert_eq!(number("n", b"77777777").unwrap(), 0o7777_7777);
        assert_eq!(number("n", b"\x80\0\0\0\0\0\x01\0").unwrap(), 256);
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for bytes in [
            &b"12x4"[..],
            b"9",
            b"-1",
            b"12 34",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(number("n", bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn times_before_1970_are_read() {
        let mut block = [0; BLOCK];
        block[136..148].fill(0xff);
        assert_eq!(Header(&block).signed(MODIFIED).unwrap(), -1);
        block[137] = 0;
        assert!(Header(&block).signed(MODIFIED).is_err());
    }
}
