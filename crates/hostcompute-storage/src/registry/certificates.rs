//! Whom to trust: the system's certificates, where distributions put them.

use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, parse_pem};

use crate::error::{Error, Kind, Result};

/// Debian and Arch, Fedora, SUSE, Alpine and BSD.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The variable that all TLS programs know.
const VARIABLE: &str = "SSL_CERT_FILE";

/// The system's certificates, and further ones.
///
/// # Errors
/// A file cannot be read, what was given holds none, or there is nobody to trust at all.
pub(super) fn trusted(further: Option<&str>) -> Result<Vec<Certificate<'static>>> {
    let mut found = Vec::new();
    if let Some(text) = further {
        let own = parsed(text.as_bytes());
        if own.is_empty() {
            let message = "there is no certificate (PEM) in what shall be trusted";
            return Err(Error::new(Kind::Argument, message));
        }
        found.extend(own);
    }
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let bundle = named.or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()));
    if let Some(path) = bundle {
        found.extend(read(&path)?);
    }
    if found.is_empty() {
        let message = "this system has no certificates to trust";
        return Err(Error::new(Kind::Network, message)
            .hint(format!("install ca-certificates, or name a file by {VARIABLE}")));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let bytes = std::fs::read(path).map_err(|error| Error::system("read", path, error))?;
    Ok(parsed(&bytes))
}

fn parsed(bytes: &[u8]) -> Vec<Certificate<'static>> {
    let items = parse_pem(bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    items.collect()
}
