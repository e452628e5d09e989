//! Files with holes: where the stored bytes belong.

use super::{BLOCK, shown};
use crate::error::{Error, Result};

/// A run of stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its place in the file.
    pub offset: u64,
    pub length: u64,
}

/// More runs than any file needs, fewer than would hurt.
pub(crate) const MOST_SEGMENTS: usize = 1 << 20;

/// Pairs of numbers as segments that follow each other, fit the file and account for what is stored.
pub(crate) fn segments(numbers: &[u64], real: u64, stored: u64) -> Result<Vec<Segment>> {
    let invalid = || Error::invalid("the tar archive has a sparse file whose map does not fit it");
    let (pairs, odd) = numbers.as_chunks::<2>();
    if !odd.is_empty() || pairs.len() > MOST_SEGMENTS {
        return Err(invalid());
    }
    let (mut end, mut sum) = (0_u64, 0_u64);
    for [offset, length] in pairs {
        if *offset < end {
            return Err(invalid());
        }
        end = offset.checked_add(*length).filter(|end| *end <= real).ok_or_else(invalid)?;
        sum = sum.checked_add(*length).ok_or_else(invalid)?;
    }
    if sum != stored {
        return Err(invalid());
    }
    Ok(pairs.iter().map(|[offset, length]| Segment { offset: *offset, length: *length }).collect())
}

/// Reads the map in front of the data (GNU 1.0): decimal numbers, a line each, the first one counts the pairs.
#[derive(Debug, Default)]
pub(crate) struct MapInData {
    numbers: Vec<u64>,
    digits: Vec<u8>,
    expected: Option<usize>,
}

impl MapInData {
    /// Takes one block; `true` when the map is complete.
    pub(crate) fn take(&mut self, block: &[u8; BLOCK]) -> Result<bool> {
        for byte in block {
            if self.is_complete() {
                break;
            }
            if *byte != b'\n' {
                self.digits.push(*byte);
                if self.digits.len() > 20 {
                    return Err(odd(&self.digits));
                }
                continue;
            }
            let text = std::str::from_utf8(&self.digits).ok();
            let number: u64 =
                text.and_then(|text| text.parse().ok()).ok_or_else(|| odd(&self.digits))?;
            self.digits.clear();
            if self.expected.is_some() {
                self.numbers.push(number);
            } else {
                let pairs = usize::try_from(number).ok().filter(|pairs| *pairs <= MOST_SEGMENTS);
                self.expected = Some(pairs.ok_or_else(|| odd(number.to_string().as_bytes()))? * 2);
            }
        }
        Ok(self.is_complete())
    }

    fn is_complete(&self) -> bool {
        self.expected.is_some_and(|expected| self.numbers.len() >= expected)
    }

    pub(crate) fn numbers(self) -> Vec<u64> {
        self.numbers
    }
}

fn odd(digits: &[u8]) -> Error {
    Error::invalid(format!("the map of a sparse file has the number \"{}\"", shown(digits)))
}

/// The map as [`MapInData`] reads it, filled up to whole blocks.
pub(crate) fn map_in_data(segments: &[Segment]) -> Vec<u8> {
    let mut text = format!("{}\n", segments.len());
    for Segment { offset, length } in segments {
        text.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_written_and_read_again() {
        let segments: Vec<Segment> =
            (0..100).map(|n| Segment { offset: n << 30, length: 4096 }).collect();
        let mut map = MapInData::default();
        let bytes = map_in_data(&segments);
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        for (place, block) in blocks.iter().enumerate() {
            assert_eq!(map.take(block).unwrap(), place + 1 == blocks.len());
        }
        let read = super::segments(&map.numbers(), 100 << 30, 409_600).unwrap();
        assert_eq!(read, segments);
    }

    #[test]
    fn maps_that_lie_are_refused() {
        assert!(segments(&[0, 5, 3, 5], 100, 10).is_err(), "overlap");
        assert!(segments(&[0, 5], 4, 5).is_err(), "beyond the end");
        assert!(segments(&[0, 5], 10, 6).is_err(), "more stored than mapped");
        assert!(segments(&[u64::MAX, 2], u64::MAX, 2).is_err(), "overflow");
        assert!(segments(&[0], 10, 0).is_err(), "half a pair");
        let mut block = [b'9'; BLOCK];
        assert!(MapInData::default().take(&block).is_err());
        block[..9].copy_from_slice(b"99999999\n");
        assert!(MapInData::default().take(&block).is_err());
    }
}
