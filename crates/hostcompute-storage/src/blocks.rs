//! Bytes from one thread to another, in blocks, at most a few at a time.
//!
//! Not a pipe of the kernel: writing into one that nobody reads raises a signal, which a program that embeds us may die of.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Blocks under way, and bytes in one.
const BLOCKS: usize = 8;
pub(crate) const BLOCK: usize = 256 << 10;

type Block = io::Result<Vec<u8>>;

/// The two ends.
pub(crate) fn blocks() -> (BlockWriter, BlockReader) {
    let (sender, receiver) = sync_channel(BLOCKS);
    (BlockWriter { sender }, BlockReader { receiver, present: io::Cursor::default() })
}

/// The end that is written to; dropping it is the end of the bytes.
pub(crate) struct BlockWriter {
    sender: SyncSender<Block>,
}

impl BlockWriter {
    /// Sends a whole block on.
    ///
    /// # Errors
    /// BrokenPipe when nobody reads any more.
    pub(crate) fn send(&self, block: Vec<u8>) -> io::Result<()> {
        self.sender.send(Ok(block)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Makes the reader fail: the bytes so far are not all.
    pub(crate) fn fail(&self, error: io::Error) {
        let _ = self.sender.send(Err(error));
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes.to_vec()).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end that is read.
pub(crate) struct BlockReader {
    receiver: Receiver<Block>,
    present: io::Cursor<Vec<u8>>,
}

impl Read for BlockReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.present.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            match self.receiver.recv() {
                Ok(block) => self.present = io::Cursor::new(block?),
                // The writer has written all.
                Err(_) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_and_errors_too() {
        let (mut writer, mut reader) = blocks();
        writer.write_all(b"abc").unwrap();
        writer.fail(io::ErrorKind::TimedOut.into());
        drop(writer);
        let mut text = Vec::new();
        assert_eq!(reader.read_to_end(&mut text).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(text, b"abc");
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn who_writes_is_told_that_nobody_reads() {
        let (mut writer, reader) = blocks();
        drop(reader);
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
