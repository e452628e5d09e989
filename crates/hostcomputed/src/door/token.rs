//! The secret that opens a door.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::{fmt, io};

use anyhow::{Context, Result, bail};

/// Random bytes of a token that is made here.
const BYTES: usize = 24;

/// A token that somebody has chosen must not be shorter.
const SHORTEST: usize = 16;

/// More is no token, whatever the file holds.
const LONGEST: u64 = 512;

/// A secret text. Its debug form does not tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A new one, from the kernel's random numbers.
    ///
    /// # Errors
    /// There are none.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; BYTES];
        let mut read = || File::open("/dev/urandom")?.read_exact(&mut bytes);
        read().context("/dev/urandom cannot be read")?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The token in a file that only its owner may read; a missing file is made, with a random one.
    ///
    /// # Errors
    /// The file cannot be read or made, others may read it, or what it holds is no token.
    pub fn kept_in(path: &Path) -> Result<Self> {
        let told = || format!("the token in {}", path.display());
        match Self::read(path) {
            Err(error)
                if error.downcast_ref().map(io::Error::kind) == Some(ErrorKind::NotFound) =>
            {
                let token = Self::random()?;
                token.keep(path).with_context(told)?;
                Ok(token)
            }
            read => read.with_context(told),
        }
    }

    /// The secret, to be told once.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is the same, found out in a time that does not depend on where they differ.
    pub fn is(&self, offered: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let pairs = own.iter().zip(offered);
        let differing = pairs.fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
        own.len() == offered.len() && black_box(differing) == 0
    }

    fn read(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        if mode & 0o077 != 0 {
            bail!("others than its owner may use the file (mode {:o}): chmod 600", mode & 0o777);
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text)?;
        let token = text.trim();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.len() < SHORTEST || !token.bytes().all(fits) {
            bail!("a token has at least {SHORTEST} letters, digits or any of -._~+/=");
        }
        Ok(Self(token.to_owned()))
    }

    fn keep(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(format!("{}\n", self.0).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_same_text_is_the_token() {
        let token = Token::random().expect("random");
        assert!(token.is(token.text().as_bytes()));
        let other = Token::random().expect("random");
        assert_ne!(token, other);
        for wrong in [other.text(), "", &token.text()[1..], &format!("{}0", token.text())] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        assert!(!format!("{token:?}").contains(token.text()));
    }

    #[test]
    fn a_file_keeps_the_token_and_only_its_owner_may_read_it() {
        let path = std::env::temp_dir().join(format!("hostcomputed-token-{}", std::process::id()));
        let made = Token::kept_in(&path).expect("made");
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(Token::kept_in(&path).expect("read"), made);
        std::fs::write(&path, "too short").expect("written");
        assert!(Token::kept_in(&path).is_err());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("set");
        let refused = Token::kept_in(&path).expect_err("others may read it");
        assert!(format!("{refused:#}").contains("mode 640"), "{refused:#}");
        std::fs::remove_file(&path).expect("removed");
    }
}
