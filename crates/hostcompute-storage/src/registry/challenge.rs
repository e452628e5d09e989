//! What a registry wants to know of us: `WWW-Authenticate`, and the words that answer it.

/// One challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// Reads `SCHEME name="value",name=value`.
pub(super) fn parse(text: &str) -> Option<Challenge> {
    let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let mut parameters = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let Some((name, tail)) = rest.split_once('=') else { break };
        let tail = tail.trim_start();
        let (value, after) = match tail.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let end = tail.find(',').unwrap_or(tail.len());
                (tail.get(..end)?.trim().to_owned(), tail.get(end..)?)
            }
        };
        parameters.push((name.trim().to_owned(), value));
        rest = after;
    }
    (!scheme.is_empty()).then(|| Challenge { scheme: scheme.to_owned(), parameters })
}

/// Up to the closing quote, and what follows it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// The header for a name and a password.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = usize::try_from(number >> (18 - 6 * place) & 63).unwrap_or_default();
            let letter = LETTERS.get(letter).copied().filter(|_| place <= chunk.len());
            text.push(letter.map_or('=', char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_taken_apart() {
        let text = r#"Bearer realm="https://a.example/token?x=1,2",service="r.example" , scope="repository:a/b:pull,push""#;
        let challenge = parse(text).unwrap();
        assert!(challenge.is("bearer"));
        assert_eq!(challenge.parameter("realm"), Some("https://a.example/token?x=1,2"));
        assert_eq!(challenge.parameter("Service"), Some("r.example"));
        assert_eq!(challenge.parameter("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(parse(r#"Basic realm="a \"b\"""#).unwrap().parameter("realm"), Some("a \"b\""));
        assert_eq!(parse("Basic").unwrap().parameter("realm"), None);
        assert_eq!(parse("Bearer realm=plain, x=y").unwrap().parameter("x"), Some("y"));
        assert_eq!(parse(r#"Bearer realm="open"#), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
