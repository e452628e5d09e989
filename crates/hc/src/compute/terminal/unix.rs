//! Linux: termios, and poll, so that the size is looked at while nothing is typed.

use std::io::{self, IsTerminal};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use rustix::time::Timespec;

use super::Heard;

/// How often it is looked whether the terminal has another size.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// A terminal in raw mode; dropping it puts it back.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Sets standard input's terminal to raw mode; `None` where it is none.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn enter() -> io::Result<Option<Self>> {
        let input = io::stdin();
        if !input.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Drain, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Lines and characters of a line of standard output's terminal; `None` where it is none.
pub fn size() -> Option<[u16; 2]> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some([size.ws_row, size.ws_col])
}

/// Waits for standard input, where that is wanted, and no longer than until the terminal is to be looked at again, where it is.
pub fn hear(piece: &mut [u8], is_wanted: bool, glances: bool) -> Heard {
    let stdin = io::stdin();
    let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
    let patience = glances.then_some(&GLANCE);
    let wanted = if is_wanted { &mut waiting[..] } else { &mut [] };
    match poll(wanted, patience) {
        Ok(0) | Err(Errno::INTR) => return Heard::Nothing,
        Ok(_) => {}
        Err(_) => return Heard::Over,
    }
    match rustix::io::read(&stdin, piece) {
        Err(Errno::INTR | Errno::AGAIN) => Heard::Nothing,
        Ok(count) if count > 0 => Heard::Piece(count),
        _ => Heard::End,
    }
}
