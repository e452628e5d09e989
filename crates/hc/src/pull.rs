//! How `hc image pull` reaches a registry: a password by standard input, never by the command line, which others can read.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use hostcompute::image::RegistryOptions;
use hostcompute::{Failure, HResult};

/// What a registry may want to know.
#[derive(Debug, Args)]
pub struct Access {
    /// The name for a registry that asks for one
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    user: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// Plain HTTP, also to other machines
    #[arg(long)]
    plain_http: bool,
    /// Trust these certificates (PEM) beside the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Longer than any password.
const LONGEST: u64 = 64 << 10;

impl Access {
    /// What was typed, and the password.
    ///
    /// # Errors
    /// Standard input has no password.
    pub fn options(&self) -> Result<RegistryOptions, Failure> {
        let credentials = match &self.user {
            Some(user) => Some((user.clone(), password()?)),
            None => None,
        };
        let certificates = self.ca.as_deref().map(read).transpose()?;
        Ok(RegistryOptions { credentials, is_plain: self.plain_http, certificates })
    }
}

/// The text of a file with certificates.
fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let why = format!("cannot read the certificates in {}: {error}", path.display());
        Failure::new(HResult::E_INVALIDARG, why)
    })
}

fn password() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| {
        Failure::new(HResult::E_INVALIDARG, format!("cannot read the password: {error}"))
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
