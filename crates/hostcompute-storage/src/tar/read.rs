//! Reading: members one after the other, their data between.

use std::io::{self, Read, Seek};

use super::header::{self, Header};
use super::pax::Records;
use super::sparse::{self, MapInData};
use super::{BLOCK, Entry, Kind, Time, shown};
use crate::error::{Error, Result};

/// Longest name or link target; Linux knows no longer path.
const LONGEST_NAME: u64 = 4096;

/// Most bytes of pax records in front of one member: extended attributes of some dozen kilobytes are known.
const MOST_RECORDS: u64 = 1 << 20;

/// A tar stream.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    input: R,
    /// Stored bytes of the present member that nobody has read.
    left: u64,
    /// What fills its last block.
    padding: u64,
    ended: bool,
    skip: fn(&mut R, u64) -> io::Result<u64>,
}

/// What extended headers said about the member that follows.
#[derive(Default)]
struct Announced {
    records: Records,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0, ended: false, skip: skip_by_reading }
    }

    /// A reader that jumps over data.
    pub(crate) fn seekable(input: R) -> Self
    where
        R: Seek,
    {
        Self { skip: skip_by_seeking, ..Self::new(input) }
    }

    /// Where the present member's data begins in the input, and how many bytes are stored.
    ///
    /// # Errors
    /// The input does not know where it is.
    pub(crate) fn place(&mut self) -> Result<(u64, u64)>
    where
        R: Seek,
    {
        let start = self.input.stream_position().map_err(unreadable)?;
        Ok((start, self.left))
    }

    /// The next member; what is left of the present one is skipped.
    ///
    /// # Errors
    /// The stream cannot be read, ends too early or is no tar archive.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut announced = Announced::default();
        loop {
            self.skip()?;
            let Some(block) = self.header_block()? else { return Ok(None) };
            let header = Header::new(&block)?;
            match header.kind() {
                b'x' | b'X' => {
                    let text = self.extended(&header, MOST_RECORDS)?;
                    announced.records.take(&text)?;
                }
                // Records about all members (a comment of `git archive`) say nothing about files.
                b'g' => drop(self.extended(&header, MOST_RECORDS)?),
                b'L' => announced.name = Some(self.long_name(&header)?),
                b'K' => announced.link = Some(self.long_name(&header)?),
                // A label of the volume.
                b'V' => self.expect_data(header.number(header::SIZE)?)?,
                _ => return self.member(&header, announced).map(Some),
            }
        }
    }

    /// The rest of the present member's stored bytes.
    pub(crate) fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    /// Reads what follows the last member: the stream's digest counts it too.
    pub(crate) fn drain(&mut self) -> Result<()> {
        io::copy(&mut self.input, &mut io::sink()).map(drop).map_err(unreadable)
    }

    /// A header, or `None` at the end: a block of zero bytes, or no more bytes at all.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) if filled == 0 => {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(0) => return Err(cut_off()),
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        self.ended = block.iter().all(|byte| *byte == 0);
        Ok((!self.ended).then_some(block))
    }

    fn expect_data(&mut self, size: u64) -> Result<()> {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        if size > i64::MAX.unsigned_abs() {
            return Err(Error::invalid("the tar archive has a member larger than any file"));
        }
        Ok(())
    }

    /// The data of an extended header.
    fn extended(&mut self, header: &Header<'_>, most: u64) -> Result<Vec<u8>> {
        let size = header.number(header::SIZE)?;
        if size > most {
            let message =
                format!("the tar archive has an extended header of {size} bytes, {most} are read");
            return Err(Error::invalid(message));
        }
        self.expect_data(size)?;
        let mut text = Vec::new();
        self.data().read_to_end(&mut text).map_err(unreadable)?;
        Ok(text)
    }

    fn long_name(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let mut name = self.extended(header, LONGEST_NAME + 1)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    fn member(&mut self, header: &Header<'_>, announced: Announced) -> Result<Entry> {
        let Announced { records, name, link } = announced;
        let sparse_name = records.sparse.name.clone();
        let name = sparse_name.or(records.path.clone()).or(name).unwrap_or_else(|| header.name());
        let link = records.link.clone().or(link);
        let kind = kind(header.kind(), &name)?;
        let id = |announced: Option<u64>, field: header::Field| -> Result<u32> {
            let number = announced.map_or_else(|| header.number(field), Ok)?;
            u32::try_from(number)
                .ok()
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| invalid(&name, &format!("has the {} {number}", field.0)))
        };
        let device = |field| -> Result<u32> {
            let number = header.number(field)?;
            u32::try_from(number)
                .map_err(|_| invalid(&name, &format!("has the {} {number}", field.0)))
        };
        let mut entry = Entry {
            kind,
            link: link.unwrap_or_else(|| header.text(header::LINK).to_vec()),
            mode: u32::try_from(header.number(header::MODE)? & 0o7777).unwrap_or_default(),
            uid: id(records.uid, header::UID)?,
            gid: id(records.gid, header::GID)?,
            modified: match records.modified {
                Some(time) => time,
                None => Time { seconds: header.signed(header::MODIFIED)?, nanoseconds: 0 },
            },
            device: match kind {
                Kind::Character | Kind::Block => (device(header::MAJOR)?, device(header::MINOR)?),
                _ => (0, 0),
            },
            attributes: records.attributes,
            size: 0,
            sparse: None,
            name: Vec::new(),
        };
        for text in [&name, &entry.link] {
            if text.len() as u64 > LONGEST_NAME || text.contains(&0) {
                return Err(invalid(&name, "has a name that no path of Linux can have"));
            }
        }
        entry.name = name;
        // Links, directories and devices have no data, whatever their header says.
        let size = records.size.map_or_else(|| header.number(header::SIZE), Ok)?;
        let size = if kind == Kind::File { size } else { 0 };
        self.expect_data(size)?;
        entry.size = size;
        if kind == Kind::File {
            self.holes(&mut entry, header, records.sparse)?;
        }
        Ok(entry)
    }

    /// Finds out whether a file has holes, in GNU tar's four ways of saying so.
    fn holes(
        &mut self,
        entry: &mut Entry,
        header: &Header<'_>,
        told: super::pax::SparseRecords,
    ) -> Result<()> {
        let (numbers, real) = if header.kind() == b'S' {
            (self.gnu_map(header)?, header.number(header::GNU_REAL_SIZE)?)
        } else if let Some(real) = told.real_size {
            let numbers = match told.map {
                Some(numbers) => numbers,
                None if told.is_in_data => self.map_in_data()?,
                None => return Ok(()),
            };
            (numbers, real)
        } else {
            return Ok(());
        };
        if real > i64::MAX.unsigned_abs() {
            return Err(invalid(&entry.name, "is larger than any file"));
        }
        let segments =
            sparse::segments(&numbers, real, self.left).map_err(|e| e.about(entry.shown()))?;
        entry.size = real;
        entry.sparse = Some(segments);
        Ok(())
    }

    /// GNU 1.0: the map is the beginning of the data.
    fn map_in_data(&mut self) -> Result<Vec<u64>> {
        let mut map = MapInData::default();
        loop {
            let mut block = [0; BLOCK];
            self.data().read_exact(&mut block).map_err(unreadable)?;
            if map.take(&block)? {
                return Ok(map.numbers());
            }
        }
    }

    /// GNU's old form: four pairs in the header, 21 in each block that follows it.
    fn gnu_map(&mut self, header: &Header<'_>) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        push_pairs(&mut numbers, header.field(("sparse", 386, 482)))?;
        let mut more =
            header.field(("extended", header::GNU_EXTENDED, header::GNU_EXTENDED + 1)) != [0];
        while more {
            let mut block = [0; BLOCK];
            // These blocks stand before the data, and are not counted in its size.
            self.input.read_exact(&mut block).map_err(unreadable)?;
            push_pairs(&mut numbers, block.get(..504).unwrap_or_default())?;
            more = block.get(504).is_some_and(|flag| *flag != 0);
            if numbers.len() > 2 * sparse::MOST_SEGMENTS {
                return Err(Error::invalid(
                    "the tar archive has a sparse file with too many parts",
                ));
            }
        }
        Ok(numbers)
    }

    fn skip(&mut self) -> Result<()> {
        let rest = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        let skipped = (self.skip)(&mut self.input, rest).map_err(unreadable)?;
        if skipped < rest { Err(cut_off()) } else { Ok(()) }
    }
}

fn skip_by_reading<R: Read>(input: &mut R, length: u64) -> io::Result<u64> {
    io::copy(&mut input.take(length), &mut io::sink())
}

/// Answers with how many bytes there were to skip.
fn skip_by_seeking<R: Read + Seek>(input: &mut R, length: u64) -> io::Result<u64> {
    let Some(before_last) = length.checked_sub(1) else { return Ok(0) };
    let distance = i64::try_from(before_last).map_err(io::Error::other)?;
    input.seek_relative(distance)?;
    // Seeking beyond the end succeeds; reading there does not.
    Ok(before_last + skip_by_reading(input, 1)?)
}

/// Offsets and lengths of twelve bytes each; unused ones are zero bytes.
fn push_pairs(numbers: &mut Vec<u64>, bytes: &[u8]) -> Result<()> {
    for pair in bytes.as_chunks::<24>().0 {
        let (offset, length) = pair.split_at(12);
        if length.iter().all(|byte| *byte == 0) {
            break;
        }
        numbers.push(header::number("offset", offset)?);
        numbers.push(header::number("numbytes", length)?);
    }
    Ok(())
}

fn kind(flag: u8, name: &[u8]) -> Result<Kind> {
    Ok(match flag {
        // Before POSIX a directory was a file whose name ends in a slash.
        b'0' | 0 | b'7' | b'S' if flag != b'S' && name.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::SymbolicLink,
        b'3' => Kind::Character,
        b'4' => Kind::Block,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(invalid(name, &format!("is of a kind that is not known (0x{other:02x})")));
        }
    })
}

fn invalid(name: &[u8], what: &str) -> Error {
    Error::invalid(format!("the member \"{}\" of the tar archive {what}", shown(name)))
}

fn cut_off() -> Error {
    Error::invalid("the tar archive ends in the middle of a member")
}

fn unreadable(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() {
        return cut_off();
    }
    Error::caused("cannot read the tar archive".to_owned(), error)
}

/// The stored bytes of one member.
pub(crate) struct Data<'a, R>(&'a mut Reader<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.0;
        let most = usize::try_from(reader.left).unwrap_or(usize::MAX).min(buffer.len());
        let length = reader.input.read(buffer.get_mut(..most).unwrap_or_default())?;
        if length == 0 && most > 0 {
            return Err(cut_off().into());
        }
        reader.left -= length as u64;
        Ok(length)
    }
}
