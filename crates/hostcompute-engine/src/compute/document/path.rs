//! Paths in documents: absolute ones of this host and of the container, in one spelling.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Notes;

/// An absolute path without `.`, doubled slashes and a slash at the end. `..` is refused: what it means depends on links.
pub fn absolute(text: &str, at: &str, notes: &mut Notes) -> Option<String> {
    if is_windows(text) {
        notes.invalid(
            at,
            alloc::format!("{text:?} is a path of Windows; this host has paths like /srv/data"),
        );
        return None;
    }
    if !text.starts_with('/') {
        notes.invalid(at, alloc::format!("{text:?} is not an absolute path"));
        return None;
    }
    if text.contains('\0') || text.len() > 4095 {
        notes.invalid(at, "a path has at most 4095 bytes, none of them 0");
        return None;
    }
    let parts: Vec<&str> =
        text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        notes.invalid(at, alloc::format!("{text:?} contains \"..\""));
        return None;
    }
    Some(alloc::format!("/{}", parts.join("/")))
}

/// As [`absolute`], of something that must be named.
pub fn required(text: Option<&str>, at: &str, notes: &mut Notes) -> Option<String> {
    match text {
        None | Some("") => {
            notes.invalid(at, "a path must be given");
            None
        }
        Some(text) => absolute(text, at, notes),
    }
}

/// Whether it can only be a path of Windows: `C:\x`, `\\?\Volume{...}`, `\\server\share`.
pub fn is_windows(text: &str) -> bool {
    let mut bytes = text.bytes();
    let drive = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.next() == Some(b':')
        && matches!(bytes.next(), None | Some(b'\\' | b'/'));
    drive || text.starts_with('\\')
}

/// The name of a pipe in `\\.\pipe\NAME`.
pub fn pipe_name(text: &str) -> Option<String> {
    const PREFIX: &str = r"\\.\pipe\";
    let name = text.get(PREFIX.len()..)?;
    text.get(..PREFIX.len())?.eq_ignore_ascii_case(PREFIX).then(|| name.to_string())
}

/// Whether it can be the name of one file.
pub fn is_file_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.len() <= 255
        && !text.contains(['/', '\\'])
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut notes = Notes::default();
        let path = absolute(text, "$", &mut notes);
        assert_eq!(path.is_none(), !notes.mistakes.is_empty(), "{text}");
        path
    }

    #[test]
    fn paths_have_one_spelling() {
        assert_eq!(read("//srv/./data/").as_deref(), Some("/srv/data"));
        assert_eq!(read("/").as_deref(), Some("/"));
        for wrong in ["", "srv", "/srv/../etc", "/a\0b", r"C:\data", "c:/data", r"\\?\Volume{1}\"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pipes_are_told_from_files() {
        assert_eq!(pipe_name(r"\\.\pipe\docker_engine").as_deref(), Some("docker_engine"));
        assert_eq!(pipe_name(r"\\.\PIPE\x").as_deref(), Some("x"));
        assert_eq!(pipe_name("/run/x.sock"), None);
        for wrong in ["", ".", "..", "a/b", r"a\b", "a\n"] {
            assert!(!is_file_name(wrong), "{wrong:?}");
        }
    }
}
