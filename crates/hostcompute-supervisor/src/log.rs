//! What the processes of a system wrote, bounded: a file, and older ones that are let go one after the other.
//!
//! A record is a head of 24 bytes (magic, stream, length, process, time) and what was read in one go, which may end anywhere in a line.
//! A file begins with a record. Files are called `log`, `log.1` (older), `log.2`, ...

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::launch::LogBounds;
use crate::message::{Moment, Stream};

const HEAD: usize = 24;
const MAGIC: [u8; 3] = *b"HCL";

/// The longest record that a reader believes in.
const LONGEST: u32 = 16 << 20;

/// One piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub pid: u32,
    pub stream: Stream,
    pub at: Moment,
    pub bytes: Vec<u8>,
}

/// The writing end.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    bounds: LogBounds,
    file: Option<File>,
    length: u64,
}

impl Writer {
    /// A log at this path; its file is made with the first record.
    pub fn new(path: PathBuf, bounds: LogBounds) -> Self {
        Self { path, bounds, file: None, length: 0 }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// The file cannot be written. The next record begins a new one.
    pub fn write(&mut self, pid: u32, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if self.bounds.file_bytes == 0 || self.bounds.files == 0 || bytes.is_empty() {
            return Ok(());
        }
        let written = self.try_write(pid, stream, bytes);
        if written.is_err() {
            self.file = None;
        }
        written
    }

    fn try_write(&mut self, pid: u32, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let length = (HEAD + bytes.len()) as u64;
        if self.length + length > self.bounds.file_bytes {
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                turn(&self.path, self.bounds.files)?;
                self.length = 0;
                self.file.insert(File::create(&self.path)?)
            }
        };
        let head = head(pid, stream, Moment::now(), bytes.len())?;
        let parts = [io::IoSlice::new(&head), io::IoSlice::new(bytes)];
        let written = file.write_vectored(&parts)?;
        if let Some(rest) = written.checked_sub(HEAD).and_then(|written| bytes.get(written..)) {
            file.write_all(rest)?;
        } else {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.length += length;
        Ok(())
    }
}

fn head(pid: u32, stream: Stream, at: Moment, length: usize) -> io::Result<[u8; HEAD]> {
    let length = u32::try_from(length).map_err(io::Error::other)?;
    let mut head = [0; HEAD];
    let kind = match stream {
        Stream::Output => 1,
        Stream::Error => 2,
    };
    let parts: [&[u8]; 5] =
        [&MAGIC, &[kind], &length.to_le_bytes(), &pid.to_le_bytes(), &at.0.to_le_bytes()];
    let mut place = head.iter_mut();
    for byte in parts.into_iter().flatten() {
        if let Some(place) = place.next() {
            *place = *byte;
        }
    }
    Ok(head)
}

/// Makes room for a new file: each moves one on, the last is let go.
fn turn(path: &Path, files: u32) -> io::Result<()> {
    for number in (0..files.saturating_sub(1)).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 { path.to_owned() } else { path.with_extension(number.to_string()) }
}

/// The reading end: all that is there, oldest first, and on demand what is added.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// The file that is being read, and its name in the order of age when it was opened.
    file: Option<File>,
    /// Files that follow the one that is being read.
    next: Vec<File>,
}

impl Reader {
    /// Opens the log at this path, which need not exist yet.
    ///
    /// # Errors
    /// A file is there and cannot be opened.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut number = 0;
        while let Some(file) = open(&numbered(&path, number))? {
            files.push(file);
            number += 1;
        }
        let file = files.pop();
        Ok(Self { path, file, next: files })
    }

    /// The next record; `None` when there is no more for now.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub fn read(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(file) = &mut self.file else {
                self.file = open(&self.path)?;
                if self.file.is_none() {
                    return Ok(None);
                }
                continue;
            };
            if let Some(record) = read(file)? {
                return Ok(Some(record));
            }
            match self.next.pop() {
                Some(next) => self.file = Some(next),
                None if self.turned()? => {
                    // Between the last look and the turn something may have been added.
                    let rest = self.file.as_mut().map(read).transpose()?.flatten();
                    if rest.is_some() {
                        return Ok(rest);
                    }
                    self.file = open(&self.path)?;
                }
                None => return Ok(None),
            }
        }
    }

    /// Whether the name belongs to another file by now.
    fn turned(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let (open, named) = (rustix::fs::fstat(file)?, rustix::fs::stat(&self.path));
        Ok(named.is_ok_and(|named| named.st_ino != open.st_ino))
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads one record; `None` at the end, or where the writer is not done with it (the file is where it was then).
fn read(file: &mut File) -> io::Result<Option<Record>> {
    let start = rustix::fs::tell(&*file)?;
    let record = read_whole(file);
    match record {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            rustix::fs::seek(&*file, rustix::fs::SeekFrom::Start(start))?;
            Ok(None)
        }
        record => record.map(Some),
    }
}

fn read_whole(file: &mut File) -> io::Result<Record> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "this is no log");
    let mut head = [0; HEAD];
    file.read_exact(&mut head)?;
    let stream = match head {
        [b'H', b'C', b'L', 1, ..] => Stream::Output,
        [b'H', b'C', b'L', 2, ..] => Stream::Error,
        _ => return Err(invalid()),
    };
    let number = |from: usize| -> u32 {
        let bytes = head.get(from..from + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).unwrap_or_default()
    };
    let length = number(4);
    if length > LONGEST {
        return Err(invalid());
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes)?;
    let at = Moment(u64::from(number(12)) | u64::from(number(16)) << 32);
    Ok(Record { pid: number(8), stream, at, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("hostcompute-log-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }

        fn log(&self) -> PathBuf {
            self.0.join("log")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("removed");
        }
    }

    fn texts(reader: &mut Reader) -> Vec<String> {
        std::iter::from_fn(|| reader.read().expect("readable"))
            .map(|record| String::from_utf8(record.bytes).expect("text"))
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let place = Place::new("read");
        let mut writer = Writer::new(place.log(), LogBounds::default());
        writer.write(7, Stream::Error, b"a line\n").expect("written");
        let mut reader = Reader::open(place.log()).expect("opened");
        let record = reader.read().expect("readable").expect("a record");
        assert_eq!((record.pid, record.stream), (7, Stream::Error));
        assert_eq!(record.bytes, b"a line\n");
        assert!(record.at > Moment(0));
        assert_eq!(reader.read().expect("readable"), None);
        writer.write(7, Stream::Output, b"more").expect("written");
        assert_eq!(texts(&mut reader), ["more"]);
    }

    #[test]
    fn old_files_go_and_a_reader_follows() {
        let place = Place::new("turn");
        let bounds = LogBounds { file_bytes: 100, files: 2 };
        let mut writer = Writer::new(place.log(), bounds);
        let mut follower = Reader::open(place.log()).expect("opened");
        let mut followed = Vec::new();
        for number in 0..20 {
            writer
                .write(1, Stream::Output, format!("line {number:02}").as_bytes())
                .expect("written");
            followed.extend(texts(&mut follower));
        }
        assert_eq!(followed.len(), 20);
        let kept = texts(&mut Reader::open(place.log()).expect("opened"));
        assert_eq!(kept.first().map(String::as_str), Some("line 15"));
        assert_eq!(kept.last().map(String::as_str), Some("line 19"));
    }

    #[test]
    fn a_record_that_is_half_written_is_waited_for() {
        let place = Place::new("half");
        Writer::new(place.log(), LogBounds::default())
            .write(1, Stream::Output, b"whole")
            .expect("written");
        let whole = fs::read(place.log()).expect("read");
        let (one, other) = whole.split_at(26);
        fs::write(place.log(), one).expect("written");
        let mut reader = Reader::open(place.log()).expect("opened");
        assert_eq!(reader.read().expect("readable"), None);
        let mut file = File::options().append(true).open(place.log()).expect("opened");
        file.write_all(other).expect("written");
        assert_eq!(texts(&mut reader), ["whole"]);
        fs::write(place.log(), "something else, which is no log at all").expect("written");
        assert!(Reader::open(place.log()).expect("opened").read().is_err());
    }
}
