//! Compressed streams, told by their first bytes: media types lie.

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::error::{Error, Result};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, several members after each other too.
    #[default]
    Gzip,
    /// Zstandard, several frames too.
    Zstd,
}

/// Read at once.
const BLOCK: usize = 128 << 10;

/// Largest window of a Zstandard stream, as a power of two: what the decoder may take of memory (128 MiB).
const ZSTD_WINDOW: u32 = 27;

impl Compression {
    /// What a stream that begins so is; xz and bzip2 are told, and refused.
    ///
    /// # Errors
    /// It is compressed in a way that is not understood.
    pub fn of(start: &[u8]) -> Result<Self> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            // A frame that decoders skip: files in the seekable format begin with one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(refused("xz")),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Err(refused("bzip2")),
            _ => Ok(Self::None),
        }
    }
}

fn refused(name: &str) -> Error {
    Error::invalid(format!("compressed with {name}, which images do not use (gzip and zstd are)"))
}

/// The stream as it was before it was compressed.
///
/// # Errors
/// It cannot be read, or is compressed in a way that is not understood.
pub(crate) fn decoder<'a, R: Read + Send + 'a>(input: R) -> Result<Box<dyn Read + Send + 'a>> {
    let failed = |error| Error::caused("cannot read the stream".to_owned(), error);
    let mut input = BufReader::with_capacity(BLOCK, input);
    let compression = Compression::of(input.fill_buf().map_err(failed)?)?;
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(failed)?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(failed)?;
            Box::new(decoder)
        }
    })
}

/// A writer that compresses what goes through it; [`Encoder::finish`] ends the stream.
pub(crate) enum Encoder<W: Write> {
    None(W),
    Gzip(flate2::write::GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(output: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(output),
            // The header has no time in it: the same bytes give the same digest.
            Compression::Gzip => {
                Self::Gzip(flate2::write::GzEncoder::new(output, flate2::Compression::default()))
            }
            Compression::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(output, 0)?),
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(output) => Ok(output),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(output) => output.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(output) => output.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(compression: Compression) -> Vec<u8> {
        let mut stream = Vec::new();
        // Two members, as tools that append make them.
        for part in [&b"first "[..], b"second"] {
            let mut encoder = Encoder::new(Vec::new(), compression).unwrap();
            encoder.write_all(part).unwrap();
            stream.extend(encoder.finish().unwrap());
        }
        let mut back = Vec::new();
        decoder(&stream[..]).unwrap().read_to_end(&mut back).unwrap();
        back
    }

    #[test]
    fn every_compression_is_told_and_undone() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            assert_eq!(there_and_back(compression), b"first second", "{compression:?}");
        }
        assert!(Compression::of(b"\xfd7zXZ\0").is_err());
        assert!(Compression::of(b"BZh91AY").is_err());
        assert_eq!(Compression::of(b"").unwrap(), Compression::None);
    }

    #[test]
    fn a_broken_stream_is_an_error() {
        let mut encoder = Encoder::new(Vec::new(), Compression::Gzip).unwrap();
        encoder.write_all(&[7; 10_000]).unwrap();
        let mut stream = encoder.finish().unwrap();
        stream.truncate(stream.len() - 9);
        assert!(decoder(&stream[..]).unwrap().read_to_end(&mut Vec::new()).is_err());
    }
}
