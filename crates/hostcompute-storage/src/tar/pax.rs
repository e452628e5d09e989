//! pax records: `LENGTH KEY=VALUE`, a line each, in front of the member they are about.

use super::Time;
use crate::error::{Error, Result};

/// What the records in front of a member say about it.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub modified: Option<Time>,
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: SparseRecords,
}

/// The three ways of GNU tar to tell of holes.
#[derive(Debug, Default)]
pub(crate) struct SparseRecords {
    /// 1.0: the map is in front of the data.
    pub is_in_data: bool,
    /// 0.1, or 0.0 put together: offset, length, offset, length...
    pub map: Option<Vec<u64>>,
    pub real_size: Option<u64>,
    pub name: Option<Vec<u8>>,
}

/// Linux's own bounds on extended attributes: longest name, longest value.
const LONGEST_ATTRIBUTE: (usize, usize) = (255, 64 << 10);

const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

impl Records {
    /// Takes the records of one header.
    ///
    /// # Errors
    /// They are not written as POSIX says.
    pub(crate) fn take(&mut self, mut text: &[u8]) -> Result<()> {
        while !text.is_empty() {
            let (key, value, rest) = split(text)
                .ok_or_else(|| Error::invalid("the tar archive has a damaged pax record"))?;
            self.record(key, value)?;
            text = rest;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        // An empty value takes a record back.
        let some = (!value.is_empty()).then_some(value);
        match key {
            b"path" => self.path = some.map(<[u8]>::to_vec),
            b"linkpath" => self.link = some.map(<[u8]>::to_vec),
            b"size" => self.size = some.map(|value| decimal(key, value)).transpose()?,
            b"uid" => self.uid = some.map(|value| decimal(key, value)).transpose()?,
            b"gid" => self.gid = some.map(|value| decimal(key, value)).transpose()?,
            b"mtime" => self.modified = some.map(|value| time(key, value)).transpose()?,
            _ if key.starts_with(ATTRIBUTE) => self.attribute(key, value)?,
            _ if key.starts_with(b"GNU.sparse.") => self.sparse.record(key, value)?,
            // Names of owners, other times, comments: images go by numbers.
            _ => {}
        }
        Ok(())
    }

    fn attribute(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let name = key.get(ATTRIBUTE.len()..).unwrap_or_default();
        let (longest_name, longest_value) = LONGEST_ATTRIBUTE;
        if name.is_empty() || name.len() > longest_name || name.contains(&0) {
            return Err(odd(key, b""));
        }
        if value.len() > longest_value {
            return Err(Error::invalid(format!(
                "the extended attribute {} has {} bytes, Linux has {longest_value} at most",
                super::shown(name),
                value.len()
            )));
        }
        self.attributes.retain(|(known, _)| known != name);
        self.attributes.push((name.to_vec(), value.to_vec()));
        Ok(())
    }
}

impl SparseRecords {
    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"GNU.sparse.major" => self.is_in_data = decimal(key, value)? == 1,
            b"GNU.sparse.name" => self.name = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                self.real_size = Some(decimal(key, value)?);
            }
            b"GNU.sparse.map" => {
                let numbers = value.split(|byte| *byte == b',');
                self.map = Some(numbers.map(|text| decimal(key, text)).collect::<Result<_>>()?);
            }
            // 0.0: the same key again and again, in pairs.
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.map.get_or_insert_default().push(decimal(key, value)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Key, value and what follows the first record.
fn split(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = text.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(text.get(..blank)?).ok()?.parse().ok()?;
    let record = text.get(blank + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, text.get(length..)?))
}

fn decimal(key: &[u8], value: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| odd(key, value))
}

/// Seconds, with a fraction of any length; before 1970 they are negative.
fn time(key: &[u8], value: &[u8]) -> Result<Time> {
    let parse = || {
        let text = std::str::from_utf8(value).ok()?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let seconds: i64 = whole.parse().ok()?;
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let nanoseconds: u32 = digits.parse().ok()?;
        if whole.starts_with('-') && nanoseconds > 0 {
            // -1.25 is a quarter before -1: two seconds before, and three quarters after that.
            let seconds = seconds.checked_sub(1)?;
            return Some(Time { seconds, nanoseconds: 1_000_000_000 - nanoseconds });
        }
        Some(Time { seconds, nanoseconds })
    };
    parse().ok_or_else(|| odd(key, value))
}

fn odd(key: &[u8], value: &[u8]) -> Error {
    let (key, value) = (super::shown(key), super::shown(value));
    Error::invalid(format!("the tar archive has the pax record {key}=\"{value}\""))
}

/// Appends a record; its length counts its own digits too.
pub(crate) fn push(text: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    text.extend(length.to_string().bytes());
    text.push(b' ');
    text.extend(key);
    text.push(b'=');
    text.extend(value);
    text.push(b'\n');
}

/// Appends an extended attribute.
pub(crate) fn push_attribute(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    push(text, &[ATTRIBUTE, name].concat(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &[u8]) -> Result<Records> {
        let mut records = Records::default();
        records.take(text).map(|()| records)
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [0, 1, 3, 90, 91, 92, 93, 94, 990, 991, 992, 993, 994, 5000] {
            let mut text = Vec::new();
            push(&mut text, b"path", &vec![b'x'; length]);
            push(&mut text, b"uid", b"7");
            let read = records(&text).unwrap();
            assert_eq!(read.path.unwrap_or_default().len(), length);
            assert_eq!(read.uid, Some(7));
        }
    }

    #[test]
    fn times_have_fractions_on_both_sides_of_1970() {
        let read = |text: &[u8]| time(b"mtime", text).unwrap();
        assert_eq!(read(b"12.5"), Time { seconds: 12, nanoseconds: 500_000_000 });
        assert_eq!(read(b"12"), Time { seconds: 12, nanoseconds: 0 });
        assert_eq!(read(b"0.1234567891"), Time { seconds: 0, nanoseconds: 123_456_789 });
        assert_eq!(read(b"-1.25"), Time { seconds: -2, nanoseconds: 750_000_000 });
        assert!(time(b"mtime", b"1.-5").is_err());
    }

    #[test]
    fn damaged_records_are_refused() {
        for text in [
            &b"x"[..],
            b"5 a=b\n",
            b"7 a=b\n",
            b"99999999999999999999 a=b\n",
            b"6 a=bc",
            b"6 abc\n",
            b"10 size=x\n",
            b"0 =\n",
        ] {
            assert!(records(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_last_value_of_an_attribute_counts() {
        let mut text = Vec::new();
        push_attribute(&mut text, b"user.a", b"1");
        push_attribute(&mut text, b"user.a", b"2\n=\0");
        assert_eq!(records(&text).unwrap().attributes, [(b"user.a".to_vec(), b"2\n=\0".to_vec())]);
        let mut text = Vec::new();
        push_attribute(&mut text, b"user.a", &[0; (64 << 10) + 1]);
        assert!(records(&text).is_err());
    }
}
