//! Whether a program printed what a document shows, where `…` stands for anything.

/// Compares line by line.
pub fn matches(expected: &str, printed: &str) -> bool {
    let wanted: Vec<String> = squeezed(expected);
    let got: Vec<String> = squeezed(printed);
    lines(&wanted, &got)
}

/// Lines with their blanks squeezed, empty lines dropped.
fn squeezed(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect()
}

fn lines(wanted: &[String], got: &[String]) -> bool {
    match wanted.split_first() {
        None => got.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=got.len()).any(|skipped| lines(rest, got.get(skipped..).unwrap_or_default()))
        }
        Some((first, rest)) => match got.split_first() {
            Some((line, others)) => one(first, line) && lines(rest, others),
            None => false,
        },
    }
}

/// One line: its fixed parts in order, the first at the start and the last at the end.
fn one(wanted: &str, got: &str) -> bool {
    let parts: Vec<&str> = wanted.split('…').collect();
    let [only] = parts.as_slice() else {
        let (Some((first, rest)), true) = (parts.split_first(), parts.len() > 1) else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else { return false };
        let Some(mut tail) = got.strip_prefix(first) else { return false };
        for part in middle {
            let Some((_, after)) = tail.split_once(part) else { return false };
            tail = after;
        }
        return tail.ends_with(last);
    };
    *only == got
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_for_parts_of_lines_and_for_lines() {
        for (expected, printed) in [
            ("a b", "a   b\n\n"),
            ("id …", "id 1234"),
            ("… of …, done", "3 of 4, done"),
            ("first\n…\nlast", "first\n1\n2\nlast"),
            ("…", ""),
        ] {
            assert!(matches(expected, printed), "{expected:?} {printed:?}");
        }
        for (expected, printed) in
            [("a", "b"), ("a", ""), ("a\nb", "a"), ("x …", "y 1"), ("…z", "zy")]
        {
            assert!(!matches(expected, printed), "{expected:?} {printed:?}");
        }
    }
}
