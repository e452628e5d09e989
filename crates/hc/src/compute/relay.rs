//! What a command in a container reads and writes, carried to and from this command's own streams.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;

use hostcompute::schema::hcs::StdHandle;
use hostcompute::{Failure, Process};

use super::terminal::{self, Heard, Raw};

/// What is read at once.
const PIECE: usize = 16 * 1024;

/// Carries streams until the process has ended and everything it wrote has been written; brings its exit code.
///
/// # Errors
/// Why the service cannot be reached.
pub fn attend(mut process: Process, console: bool) -> Result<u32, Failure> {
    let input = process.stdin.take();
    let output = process.stdout.take();
    let errors = process.stderr.take();
    let process = Arc::new(process);
    // Put back when this function ends.
    let _raw = if console { Raw::enter().ok().flatten() } else { None };
    if input.is_some() || console {
        let process = process.clone();
        // Nobody waits for this thread: it may be reading when the command is over.
        thread::spawn(move || feed(&process, input, console));
    }
    let carried = [
        output.map(|from| thread::spawn(move || carry(from, io::stdout()))),
        errors.map(|from| thread::spawn(move || carry(from, io::stderr()))),
    ];
    carried.into_iter().flatten().for_each(|thread| drop(thread.join()));
    Ok(process.wait(None)?.exit_code.unwrap_or_default())
}

/// Writes what a command wrote. Where nobody reads any more, the rest is thrown away, so that the command can go on.
fn carry(mut from: File, mut to: impl Write) {
    let mut piece = vec![0; PIECE];
    let mut is_read = true;
    loop {
        match from.read(&mut piece) {
            Ok(0) => return,
            Ok(count) if is_read => {
                let written = to.write_all(piece.get(..count).unwrap_or_default());
                is_read = written.and_then(|()| to.flush()).is_ok();
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The other side of a terminal ends this way.
            Err(_) => return,
        }
    }
}

/// Feeds a command with what this one reads, and its console with the size of this one's terminal.
fn feed(process: &Process, mut to: Option<File>, console: bool) {
    let mut piece = vec![0; PIECE];
    let mut size = terminal::size();
    loop {
        if console {
            let now = terminal::size();
            if let (Some([rows, columns]), true) = (now, now != size) {
                // It may have ended.
                let _ = process.resize(rows, columns);
                size = now;
            }
        }
        match terminal::hear(&mut piece, to.is_some(), console) {
            Heard::Nothing => continue,
            Heard::Over => return,
            Heard::Piece(count) => {
                let taken =
                    to.as_mut().map(|to| to.write_all(piece.get(..count).unwrap_or_default()));
                if !matches!(taken, Some(Ok(()))) {
                    to = None;
                }
            }
            Heard::End => {
                // Others may have the stream, too: the command sees the end when it is closed for all.
                drop(to.take());
                let _ = process.close(StdHandle::StdIn);
            }
        }
        if to.is_none() && !console {
            return;
        }
    }
}
