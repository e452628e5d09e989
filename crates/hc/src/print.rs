//! Standard output: tables, documents, ids, and what happens when nobody reads them.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::problem::{Done, Problem};
use crate::yaml;

/// Writes text to standard output.
///
/// # Errors
/// [`Problem::Unread`] when the reader has gone: not an error of the command.
pub fn text(text: &str) -> Done {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Problem::Unread,
        _ => {
            note(&format!("hc: cannot write the output: {error}"));
            Problem::Told
        }
    })
}

/// Writes one line to standard output.
///
/// # Errors
/// As [`text`].
pub fn line(line: &str) -> Done {
    text(&format!("{line}\n"))
}

/// Writes a line to standard error; that nobody reads it is no reason to stop.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A JSON document, indented.
///
/// # Errors
/// As [`text`].
pub fn json(value: &Value) -> Done {
    text(&format!("{value:#}\n"))
}

/// A document as YAML.
///
/// # Errors
/// As [`text`].
pub fn yaml(value: &Value) -> Done {
    text(&yaml::print(value))
}

/// Rows below a heading; columns are as wide as they must be and never wrapped, so that lines can be cut and searched.
pub fn table(heading: &[&str], rows: Vec<Vec<String>>) -> String {
    let heading = heading.iter().map(|cell| (*cell).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let mut widths: Vec<usize> = Vec::new();
    for line in &lines {
        widths.resize(widths.len().max(line.len()), 1);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| {
            let cell = if cell.is_empty() { "-" } else { cell };
            format!("{cell:<width$}")
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// A counter on standard error that overwrites itself, for long work whose output goes elsewhere.
#[derive(Debug)]
pub struct Counter {
    total: usize,
    done: usize,
    shown: bool,
}

/// Work of fewer steps is over before anybody has read the counter.
const WORTH_SHOWING: usize = 20;

impl Counter {
    /// A counter up to `total`; it stays silent where it would be in the way.
    pub fn new(total: usize) -> Self {
        let shown =
            total >= WORTH_SHOWING && io::stderr().is_terminal() && !io::stdout().is_terminal();
        Self { total, done: 0, shown }
    }

    /// One more is done.
    pub fn step(&mut self, what: &str) {
        self.done += 1;
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K[{}/{}] {what}", self.done, self.total);
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn tables_have_no_borders_and_no_empty_cells() {
        let rows =
            vec![vec!["a".to_owned(), String::new()], vec!["bcd".to_owned(), "x y".to_owned()]];
        assert_eq!(table(&["ID", "NAME"], rows), "ID   NAME\na    -\nbcd  x y\n");
    }
}
