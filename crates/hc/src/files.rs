//! Documents from files and from standard input.

use std::io::Read;
use std::path::Path;

use hostcompute::schema::LONGEST_TEXT;
use hostcompute::{Failure, HResult};

/// A document's text and what to call it in messages.
#[derive(Debug)]
pub struct Text {
    pub name: String,
    pub text: String,
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// The file cannot be read, is no UTF-8 text, or is longer than any document may be.
pub fn read(path: &Path) -> Result<Text, Failure> {
    let name = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let refuse = |error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::PermissionDenied => HResult::E_ACCESSDENIED,
            _ => HResult::E_INVALIDARG,
        };
        Failure::new(code, format!("cannot read {name}: {error}"))
    };
    let mut text = String::new();
    // One byte more than allowed tells a document that is too long from one that just fits.
    let limit = LONGEST_TEXT as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(refuse)?;
    Ok(Text { name, text })
}
