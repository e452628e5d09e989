//! Writing: ustar headers, and pax records where those are too small. The same members give the same bytes.

use std::io::{self, Read, Write};

use super::header::{self, Field};
use super::sparse::{self, Segment};
use super::{BLOCK, Entry, Kind, Time, pax, shown};
use crate::error::{Error, Result};

/// A tar stream in the making; [`Writer::finish`] ends it.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output }
    }

    /// Writes a member and, for a file, exactly the bytes that are stored of it.
    ///
    /// # Errors
    /// The output cannot be written, the data cannot be read or is shorter than the member says.
    pub(crate) fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<()> {
        let map = entry.sparse.as_deref().map(sparse::map_in_data).unwrap_or_default();
        let bytes: u64 = match &entry.sparse {
            Some(segments) => segments.iter().map(|Segment { length, .. }| length).sum(),
            None => entry.size,
        };
        let stored = map.len() as u64 + bytes;
        let records = records(entry, stored);
        if !records.is_empty() {
            let mut announcing = Entry::new(Kind::File, b"PaxHeaders/next".to_vec());
            announcing.modified = Time::default();
            self.header(&announcing, records.len() as u64, b'x')?;
            self.padded(&records)?;
        }
        self.header(entry, stored, flag(entry.kind))?;
        self.output.write_all(&map).map_err(unwritable)?;
        let copied = io::copy(&mut data.take(bytes), &mut self.output).map_err(unwritable)?;
        if copied < bytes {
            let message = format!("{} became shorter while it was read", entry.shown());
            return Err(Error::invalid(message));
        }
        self.pad(bytes)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.output.write_all(&[0; 2 * BLOCK]).map_err(unwritable)?;
        Ok(self.output)
    }

    fn header(&mut self, entry: &Entry, stored: u64, flag: u8) -> Result<()> {
        let mut block = [0; BLOCK];
        put(&mut block, header::NAME, ending(&entry.name, 100));
        put_number(&mut block, header::MODE, u64::from(entry.mode & 0o7777));
        put_number(&mut block, header::UID, u64::from(entry.uid));
        put_number(&mut block, header::GID, u64::from(entry.gid));
        put_number(&mut block, header::SIZE, stored);
        put_number(&mut block, header::MODIFIED, entry.modified.seconds.try_into().unwrap_or(0));
        put(&mut block, (("type"), header::TYPE, header::TYPE + 1), &[flag]);
        put(&mut block, header::LINK, ending(&entry.link, 100));
        put(&mut block, header::MAGIC, header::USTAR);
        if matches!(entry.kind, Kind::Character | Kind::Block) {
            for (field, number) in
                [(header::MAJOR, entry.device.0), (header::MINOR, entry.device.1)]
            {
                if !put_number(&mut block, field, u64::from(number)) {
                    let name = shown(&entry.name);
                    return Err(Error::invalid(format!(
                        "tar cannot hold the device number of {name}"
                    )));
                }
            }
        }
        let sum = format!("{:06o}\0 ", header::checksum(&block));
        put(&mut block, header::CHECKSUM, sum.as_bytes());
        self.output.write_all(&block).map_err(unwritable)
    }

    fn padded(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes).map_err(unwritable)?;
        self.pad(bytes.len() as u64)
    }

    fn pad(&mut self, length: u64) -> Result<()> {
        let fill = usize::try_from(length.next_multiple_of(BLOCK as u64) - length).unwrap_or(0);
        self.output.write_all([0; BLOCK].get(..fill).unwrap_or_default()).map_err(unwritable)
    }
}

fn unwritable(error: io::Error) -> Error {
    Error::caused("cannot write the tar archive".to_owned(), error)
}

/// What the fixed fields cannot hold.
fn records(entry: &Entry, stored: u64) -> Vec<u8> {
    let mut text = Vec::new();
    let mut number = |key: &[u8], value: u64, field: Field| {
        if !fits(value, field) {
            pax::push(&mut text, key, value.to_string().as_bytes());
        }
    };
    number(b"uid", u64::from(entry.uid), header::UID);
    number(b"gid", u64::from(entry.gid), header::GID);
    number(b"size", stored, header::SIZE);
    let Time { seconds, nanoseconds } = entry.modified;
    if nanoseconds != 0 || seconds < 0 || !fits(seconds.unsigned_abs(), header::MODIFIED) {
        pax::push(&mut text, b"mtime", time(entry.modified).as_bytes());
    }
    if entry.name.len() > 100 || !entry.name.is_ascii() {
        pax::push(&mut text, b"path", &entry.name);
    }
    if entry.link.len() > 100 || !entry.link.is_ascii() {
        pax::push(&mut text, b"linkpath", &entry.link);
    }
    for (name, value) in &entry.attributes {
        pax::push_attribute(&mut text, name, value);
    }
    if entry.sparse.is_some() {
        pax::push(&mut text, b"GNU.sparse.major", b"1");
        pax::push(&mut text, b"GNU.sparse.minor", b"0");
        pax::push(&mut text, b"GNU.sparse.name", &entry.name);
        pax::push(&mut text, b"GNU.sparse.realsize", entry.size.to_string().as_bytes());
    }
    text
}

/// Seconds with a fraction; before 1970 the fraction counts downwards, as in any decimal number.
fn time(Time { seconds, nanoseconds }: Time) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let (sign, total) = (if total < 0 { "-" } else { "" }, total.unsigned_abs());
    let (seconds, nanoseconds) = (total / 1_000_000_000, total % 1_000_000_000);
    if nanoseconds == 0 {
        return format!("{sign}{seconds}");
    }
    format!("{sign}{seconds}.{nanoseconds:09}").trim_end_matches('0').to_owned()
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::SymbolicLink => b'2',
        Kind::Character => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// As much of a name as fits; the record in front has all of it.
fn ending(name: &[u8], longest: usize) -> &[u8] {
    name.get(name.len().saturating_sub(longest)..).unwrap_or_default()
}

fn put(block: &mut [u8; BLOCK], (_, start, end): Field, bytes: &[u8]) {
    if let Some(field) = block.get_mut(start..end) {
        for (place, byte) in field.iter_mut().zip(bytes) {
            *place = *byte;
        }
    }
}

fn fits(value: u64, (_, start, end): Field) -> bool {
    // The last byte is a zero.
    let bits = u32::try_from(3 * (end - start - 1)).unwrap_or(0);
    value.checked_shr(bits).unwrap_or(0) == 0
}

/// Octal digits; zero, and `false`, where they do not fit.
fn put_number(block: &mut [u8; BLOCK], field: Field, value: u64) -> bool {
    let fits = fits(value, field);
    let width = field.2 - field.1 - 1;
    let value = if fits { value } else { 0 };
    put(block, field, format!("{value:0width$o}\0").as_bytes());
    fits
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    fn there_and_back(entry: &Entry, data: &[u8]) -> (Entry, Vec<u8>) {
        let mut writer = Writer::new(Vec::new());
        writer.append(entry, &mut &*data).unwrap();
        writer.append(&Entry::new(Kind::Directory, *b"last/"), &mut io::empty()).unwrap();
        let stream = writer.finish().unwrap();
        let mut reader = Reader::new(&stream[..]);
        let read = reader.next().unwrap().unwrap();
        let mut stored = Vec::new();
        reader.data().read_to_end(&mut stored).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().name, b"last/");
        assert_eq!(reader.next().unwrap(), None);
        (read, stored)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut file = Entry::new(Kind::File, "größe/".repeat(60).into_bytes());
        file.name.push(b'x');
        file.mode = 0o4755;
        (file.uid, file.gid) = (3_000_000_000, 7);
        file.modified = Time { seconds: -5, nanoseconds: 250_000_000 };
        file.attributes = vec![(b"user.a".to_vec(), b"\0\n".to_vec())];
        file.size = 700;
        assert_eq!(there_and_back(&file, &[9; 700]), (file, vec![9; 700]));

        let mut link = Entry::new(Kind::SymbolicLink, *b"link");
        link.link = vec![b't'; 300];
        assert_eq!(there_and_back(&link, b"").0, link);

        let mut device = Entry::new(Kind::Character, *b"null");
        device.device = (1, 3);
        assert_eq!(there_and_back(&device, b"").0, device);
    }

    #[test]
    fn holes_are_written_and_read_again() {
        let mut file = Entry::new(Kind::File, *b"sparse");
        file.size = 1 << 40;
        let segment = |offset, length| Segment { offset, length };
        file.sparse = Some(vec![segment(4096, 10), segment(1 << 39, 3), segment(1 << 40, 0)]);
        assert_eq!(there_and_back(&file, b"0123456789abc"), (file, b"0123456789abc".to_vec()));
    }

    #[test]
    fn a_file_that_shrinks_meanwhile_is_an_error() {
        let mut file = Entry::new(Kind::File, *b"f");
        file.size = 10;
        assert!(Writer::new(Vec::new()).append(&file, &mut &b"123"[..]).is_err());
    }

    #[test]
    fn devices_that_tar_cannot_number_are_refused() {
        let mut device = Entry::new(Kind::Block, *b"d");
        device.device = (u32::MAX, 0);
        assert!(Writer::new(Vec::new()).append(&device, &mut io::empty()).is_err());
    }
}
