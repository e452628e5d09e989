//! The terminal that this command runs in, while it is a command's in a container: every key goes there as it is, where the system lets
//! us; and standard input beside it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{Raw, hear, size};
#[cfg(windows)]
pub use windows::{Raw, hear, size};

/// What standard input brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet: it is time to look at other things.
    Nothing,
    /// So many bytes.
    Piece(usize),
    /// Its end.
    End,
    /// There is nothing to wait for any more.
    Over,
}
