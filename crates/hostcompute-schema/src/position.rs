//! Where in a text a member of the document stands.
//!
//! Documents are read into a tree first, which forgets positions. Only when something is wrong is
//! the text walked a second time, to the member that a path such as `Policies[2].Settings.Protocols`
//! names. The walk never fails: it answers with the innermost enclosing member that exists, so
//! that a missing member is reported where it should have been.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A place in a text; both numbers count from one, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character of that line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The position of the member at `path`: of its name in an object, of the value in a list.
///
/// Member names compare without case and a renamed member is found under either name. When the
/// path leads nowhere, the position is that of the last part that exists; `None` only when the
/// text holds no value at all.
pub fn locate(text: &str, path: &str) -> Option<Position> {
    let mut scanner = Scanner { text: text.as_bytes(), at: 0 };
    scanner.skip_blanks();
    if scanner.at >= scanner.text.len() {
        return None;
    }
    let mut found = scanner.at;
    let mut steps = steps(path).into_iter().peekable();
    while let Some(step) = steps.next() {
        let before = scanner.at;
        let next = match &step {
            Step::Member(name) => scanner.enter_member(name),
            Step::Element(index) => scanner.enter_element(*index),
        };
        match next {
            Some(start) => found = start,
            None if step.is_flat_in_v1() => {
                scanner.at = before;
                steps.next_if(|next| matches!(next, Step::Element(_)));
            }
            None => break,
        }
    }
    Some(position_at(text, found))
}

/// The position of a byte offset.
pub(crate) fn position_at(text: &str, offset: usize) -> Position {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let in_line = before.get(line_start..).unwrap_or_default();
    // Continuation bytes do not count: the column is in characters.
    let characters = in_line.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    Position { line, column: characters + 1 }
}

/// The position that a parser gave as line and column in bytes.
pub(crate) fn position_of_bytes(text: &str, line: usize, column: usize) -> Position {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let offset = start + column.saturating_sub(1).min(content.len());
            return position_at(text, offset);
        }
        start += content.len();
    }
    position_at(text, text.len())
}

/// Appends a member name to a path, quoted when the name itself could be taken for path syntax.
pub(crate) fn push_member(path: &mut String, name: &str) {
    let plain = !name.is_empty() && !name.contains(['.', '[', ']', '"']);
    if plain {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    } else {
        path.push_str("[\"");
        path.push_str(name);
        path.push_str("\"]");
    }
}

enum Step {
    Member(String),
    Element(usize),
}

impl Step {
    /// Whether a document of version 1 has what is below this step in its place: such documents
    /// are read as version 2, and so are the paths of what is wrong with them.
    fn is_flat_in_v1(&self) -> bool {
        let Step::Member(name) = self else { return false };
        ["Ipams", "IpConfigurations", "Settings"].iter().any(|flat| flat.eq_ignore_ascii_case(name))
    }
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    // Paths into documents of the compute service begin with the root.
    let mut rest = match path.strip_prefix('$') {
        Some(below) if below.is_empty() || below.starts_with(['.', '[']) => below,
        _ => path,
    };
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let Some((name, after)) = quoted.split_once("\"]") else { break };
            steps.push(Step::Member(name.into()));
            rest = after;
        } else if let Some(bracketed) = rest.strip_prefix('[') {
            let Some((index, after)) = bracketed.split_once(']') else { break };
            let Ok(index) = index.parse() else { break };
            steps.push(Step::Element(index));
            rest = after;
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() {
                break;
            }
            steps.push(Step::Member(name.into()));
            rest = after;
        }
    }
    steps
}

/// Members that were renamed between editions of the schema or since version 1, or are spelled
/// twice in use.
const RENAMED: &[&[&str]] = &[
    &["Settings", "Data"],
    &["FrontendVIPs", "VirtualIPs"],
    &["Routes", "Setting"],
    &["Exceptions", "ExceptionList"],
    &["IpAddressPrefix", "AddressPrefix"],
    &["HostComputeNetwork", "VirtualNetwork"],
];

fn names_match(written: &str, wanted: &str) -> bool {
    written.eq_ignore_ascii_case(wanted)
        || RENAMED.iter().any(|names| {
            let has = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
            has(written) && has(wanted)
        })
}

/// A walk over JSON text that trusts nothing: every read is checked, every loop makes progress.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        if self.at == 0 && self.text.starts_with("\u{feff}".as_bytes()) {
            self.at = 3;
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Moves to the value of the last member called `name` and returns where its name stands.
    fn enter_member(&mut self, name: &str) -> Option<usize> {
        self.skip_blanks();
        if self.peek() != Some(b'{') {
            return None;
        }
        self.at += 1;
        let mut found = None;
        loop {
            self.skip_blanks();
            let name_start = self.at;
            if self.peek() != Some(b'"') {
                break;
            }
            let written = self.take_string();
            self.skip_blanks();
            if self.peek() != Some(b':') {
                break;
            }
            self.at += 1;
            self.skip_blanks();
            if written.is_some_and(|written| names_match(&written, name)) {
                found = Some((name_start, self.at));
            }
            self.skip_value();
            self.skip_blanks();
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        let (name_start, value) = found?;
        self.at = value;
        Some(name_start)
    }

    /// Moves to the element and returns where it stands.
    fn enter_element(&mut self, index: usize) -> Option<usize> {
        self.skip_blanks();
        if self.peek() != Some(b'[') {
            return None;
        }
        self.at += 1;
        for _ in 0..index {
            self.skip_blanks();
            self.skip_value();
            self.skip_blanks();
            if self.peek() != Some(b',') {
                return None;
            }
            self.at += 1;
        }
        self.skip_blanks();
        match self.peek() {
            None | Some(b']') => None,
            Some(_) => Some(self.at),
        }
    }

    /// Reads the string that starts here, escapes resolved.
    fn take_string(&mut self) -> Option<String> {
        let start = self.at;
        self.skip_string();
        let raw = self.text.get(start..self.at)?;
        serde_json::from_slice(raw).ok()
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        self.at = self.at.min(self.text.len());
    }

    /// Skips one value of any depth, without recursion.
    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    if depth == 0 {
                        return;
                    }
                    depth -= 1;
                    self.at += 1;
                }
                b',' if depth == 0 => return,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"Name\": \"é\", \"Policies\": [\n    {\"Type\": \"ACL\"},\n    \
                        {\"Type\": \"QOS\", \"Data\": {\"a.b\": [1, [2, 3]]}}\n  ],\n  \"name\": 1}";

    #[track_caller]
    fn check(path: &str, line: usize, column: usize) {
        assert_eq!(locate(TEXT, path), Some(Position { line, column }), "{path}");
    }

    #[test]
    fn members_and_elements_are_found() {
        check("", 1, 1);
        check("Policies", 2, 16);
        check("policies[0]", 3, 5);
        check("$", 1, 1);
        check("$.Policies[0]", 3, 5);
        check("Policies[1].Type", 4, 6);
        check("Policies[1].Settings", 4, 21);
        check("Policies[1].Settings[\"a.b\"][1][0]", 4, 42);
    }

    #[test]
    fn the_last_duplicate_counts() {
        check("Name", 6, 3);
    }

    #[test]
    fn a_missing_member_is_reported_at_its_parent() {
        check("Policies[1].Settings.Protocols", 4, 21);
        check("Policies[9]", 2, 16);
        check("Nothing", 1, 1);
    }

    #[test]
    fn paths_of_version_two_lead_into_documents_of_version_one() {
        let text = "{\"Subnets\": [{\"AddressPrefix\": 1}], \"IPAddress\": 2,\n\"Policies\": [{\"Mtu\": 3}]}";
        let place = |path: &str| alloc::format!("{}", locate(text, path).unwrap());
        assert_eq!(place("Ipams[0].Subnets[0].IpAddressPrefix"), "1:15");
        assert_eq!(place("IpConfigurations[0].IpAddress"), "1:37");
        assert_eq!(place("Policies[0].Settings.Mtu"), "2:15");
    }

    #[test]
    fn broken_text_and_broken_paths_do_no_harm() {
        for text in ["", " ", "{", "{\"a", "{\"a\":", "[", "[1", "{\"a\":\"\\", "]", "{\"a\" 1}"] {
            for path in ["", "a", "a.b", "[0]", "[3][4]", "a[", "[\"", "..", "[x]", "a.[0]"] {
                let _ = locate(text, path);
            }
        }
        assert_eq!(locate("", "a"), None);
    }

    #[test]
    fn offsets_inside_a_character_are_tolerated() {
        assert_eq!(position_at("é", 1), Position { line: 1, column: 2 });
        assert_eq!(position_at("a\nb", 99), Position { line: 2, column: 2 });
    }
}
