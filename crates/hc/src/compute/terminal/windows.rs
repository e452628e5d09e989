//! Windows: standard input is read as the console hands it out, line by line, and its size is not told to the container.

use std::io::{self, ErrorKind, Read};

use super::Heard;

/// A terminal in raw mode: there is none here.
#[derive(Debug)]
pub struct Raw {
    _nothing: std::convert::Infallible,
}

impl Raw {
    /// Leaves the console as it is.
    ///
    /// # Errors
    /// None.
    pub fn enter() -> io::Result<Option<Self>> {
        Ok(None)
    }
}

/// Not known.
pub fn size() -> Option<[u16; 2]> {
    None
}

/// Waits for standard input, where that is wanted. There is nothing to look at meanwhile.
pub fn hear(piece: &mut [u8], is_wanted: bool, _glances: bool) -> Heard {
    if !is_wanted {
        return Heard::Over;
    }
    match io::stdin().lock().read(piece) {
        Ok(count) if count > 0 => Heard::Piece(count),
        Err(error) if error.kind() == ErrorKind::Interrupted => Heard::Nothing,
        _ => Heard::End,
    }
}
