//! Names of images: `[host[:port]/]path[:tag][@digest]`.
//!
//! There is no default host: a name without one is a name in the local store.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry, if one is named.
    pub host: Option<String>,
    /// The repository.
    pub path: String,
    /// The tag; `latest` where neither a tag nor a digest is written.
    pub tag: Option<String>,
    /// The digest of a manifest.
    pub digest: Option<Digest>,
}

/// Longest repository, and longest tag, that registries take.
const LONGEST: (usize, usize) = (255, 128);

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let shown: String = text.chars().take(300).collect();
            Error::new(Kind::Argument, format!("{shown:?} is no name of an image: {why}"))
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        // A colon after the last slash begins the tag; before it, a port.
        let tag_at =
            rest.rfind(':').filter(|colon| rest.rfind('/').is_none_or(|slash| slash < *colon));
        let (rest, tag) = match tag_at {
            Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
            None => (rest, None),
        };
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) if is_host(host) => (Some(host.to_owned()), path),
            _ => (None, rest),
        };
        let component = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            part.bytes().all(allowed)
                && part.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        };
        if path.len() > LONGEST.0
            || !path.split('/').all(|part| !part.is_empty() && component(part))
        {
            return Err(refuse("a path is letters, digits, '.', '_' and '-' between slashes"));
        }
        if tag.is_some_and(|tag| tag.is_empty() || tag.len() > LONGEST.1 || !component(tag)) {
            return Err(refuse("a tag is letters, digits, '.', '_' and '-'"));
        }
        let tag = tag.or(digest.is_none().then_some("latest")).map(str::to_owned);
        Ok(Self { host, path: path.to_owned(), tag, digest })
    }
}

/// A host has a dot or a port, or is this machine.
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (text.contains(['.', ':']) || text == "localhost")
        && text.bytes().all(allowed)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
}

impl Reference {
    /// The name in the store: without the digest, which a tag stands for.
    pub fn name(&self) -> Option<String> {
        self.tag.as_ref().map(|_| Self { digest: None, ..self.clone() }.to_string())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        f.write_str(&self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, String, Option<String>) {
        let Reference { host, path, tag, .. } = text.parse().unwrap();
        (host, path, tag)
    }

    #[test]
    fn names_are_taken_apart() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("busybox"), (None, "busybox".into(), some("latest")));
        assert_eq!(parts("team/app:1.2"), (None, "team/app".into(), some("1.2")));
        assert_eq!(parts("r.example/app"), (some("r.example"), "app".into(), some("latest")));
        assert_eq!(
            parts("localhost:5000/a/b:c"),
            (some("localhost:5000"), "a/b".into(), some("c"))
        );
        assert_eq!(parts("localhost/a"), (some("localhost"), "a".into(), some("latest")));
        let digest = Digest::of(b"");
        let by_digest: Reference = format!("r.example:1/a@{digest}").parse().unwrap();
        assert_eq!((by_digest.tag.clone(), by_digest.digest), (None, Some(digest)));
        assert_eq!(by_digest.name(), None);
        assert_eq!(by_digest.to_string(), format!("r.example:1/a@{digest}"));
        let both: Reference = format!("a:b@{digest}").parse().unwrap();
        assert_eq!(both.name().as_deref(), Some("a:b"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ":tag",
            "a:",
            "a//b",
            "/a",
            "a/",
            "../a",
            "a b",
            "a@sha256:00",
            "a:b:c/",
            "-a",
            "é",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
