//! How far long work is: one line on standard error that overwrites itself; silent unless a person looks at it.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostcompute::image::Event;

use crate::print;

/// Faster than the eye would only cost time.
const PAUSE: Duration = Duration::from_millis(100);

/// What is shown.
#[derive(Debug)]
pub struct Meter {
    is_shown: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    what: String,
    total: Option<u64>,
    done: u64,
    last: Option<Instant>,
}

impl Meter {
    /// A meter that shows itself on a terminal.
    pub fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), state: Mutex::default() }
    }

    /// What happens; notes are told wherever standard error leads.
    pub fn hear(&self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Note(note) => {
                self.clear();
                print::note(&format!("hc: {note}"));
            }
            Event::Begins { what, total } => {
                *self.state() = State { what: shortened(what), total, ..State::default() };
                self.show();
            }
            Event::Advanced(bytes) => {
                self.state().done += bytes;
                self.show();
            }
            Event::Ended => self.lasting(""),
            Event::Present(what) => {
                *self.state() = State { what: shortened(what), ..State::default() };
                self.lasting("is there already");
            }
        }
        ControlFlow::Continue(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) {
        let mut state = self.state();
        if !self.is_shown || state.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        state.last = Some(Instant::now());
        let _ = write!(io::stderr(), "\r\x1b[K{}", state.line());
    }

    /// The line stays, and the next one begins.
    fn lasting(&self, remark: &str) {
        if self.is_shown {
            let state = self.state();
            let line =
                if remark.is_empty() { state.line() } else { format!("{} {remark}", state.what) };
            let _ = writeln!(io::stderr(), "\r\x1b[K{line}");
        }
    }

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.clear();
    }
}

impl State {
    fn line(&self) -> String {
        let done = size(self.done);
        match self.total.filter(|total| *total > 0) {
            Some(total) => {
                let percent = self.done.saturating_mul(100) / total;
                format!("{} {:>3}% {done}", self.what, percent.min(100))
            }
            None => format!("{} {done}", self.what),
        }
    }
}

/// Digests by their beginning, as everywhere.
fn shortened(what: &str) -> String {
    match what.split_once("sha256:") {
        Some((before, digits)) => {
            format!("{before}{}", digits.chars().take(12).collect::<String>())
        }
        None => what.to_owned(),
    }
}

/// Bytes in the unit that fits.
pub fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut whole = bytes;
    while whole >= 10_000 && unit + 1 < units.len() {
        whole /= 1000;
        unit += 1;
    }
    format!("{whole} {}", units.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(9_999), "9999 B");
        assert_eq!(size(10_000), "10 kB");
        assert_eq!(size(250_000_000), "250 MB");
    }

    #[test]
    fn a_line_says_how_far_it_is() {
        let mut state =
            State { what: shortened("layer sha256:0123456789abcdef"), ..State::default() };
        state.done = 50;
        assert_eq!(state.line(), "layer 0123456789ab 50 B");
        state.total = Some(200);
        assert_eq!(state.line(), "layer 0123456789ab  25% 50 B");
    }
}
