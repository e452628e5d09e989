//! CommandLine: one text that Windows hands to a program, where Linux wants separate arguments. It is split as a POSIX shell splits words,
//! with quotes and backslashes, and without everything else that a shell does: no variables, no patterns, no redirections.

use alloc::string::String;
use alloc::vec::Vec;

/// Why a text cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclosed {
    Quote(char),
    Backslash,
}

/// The arguments of a command line.
///
/// - Words are separated by white space.
/// - Between `'` everything stands for itself.
/// - Between `"` everything does but a backslash before `"`, `\`, `$`, a backquote or a line's end, which is left out.
/// - Elsewhere a backslash makes the next character stand for itself, and is left out; before a line's end both are.
pub fn split(text: &str) -> Result<Vec<String>, Unclosed> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\'' => single(word.get_or_insert_default(), &mut rest)?,
            '"' => double(word.get_or_insert_default(), &mut rest)?,
            '\\' => match rest.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err(Unclosed::Backslash),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single(word: &mut String, rest: &mut impl Iterator<Item = char>) -> Result<(), Unclosed> {
    loop {
        match rest.next() {
            Some('\'') => return Ok(()),
            Some(c) => word.push(c),
            None => return Err(Unclosed::Quote('\'')),
        }
    }
}

fn double(word: &mut String, rest: &mut impl Iterator<Item = char>) -> Result<(), Unclosed> {
    loop {
        match rest.next() {
            Some('"') => return Ok(()),
            Some('\\') => match rest.next() {
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => return Err(Unclosed::Quote('"')),
            },
            Some(c) => word.push(c),
            None => return Err(Unclosed::Quote('"')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn splits(text: &str, words: &[&str]) {
        assert_eq!(split(text).expect("closed"), words);
    }

    #[test]
    fn words_are_those_of_a_shell() {
        splits("", &[]);
        splits("  sh\t-c  'exit 42' ", &["sh", "-c", "exit 42"]);
        splits(r#"echo "a \"b\" \n $HOME" c\ d"#, &["echo", r#"a "b" \n $HOME"#, "c d"]);
        splits(r#"a''b"" '' "" "#, &["ab", "", ""]);
        splits("a\\\nb *.c > x", &["ab", "*.c", ">", "x"]);
    }

    #[test]
    fn what_is_not_closed_is_told() {
        assert_eq!(split("a 'b"), Err(Unclosed::Quote('\'')));
        assert_eq!(split(r#"a "b\"#), Err(Unclosed::Quote('"')));
        assert_eq!(split("a\\"), Err(Unclosed::Backslash));
    }
}
