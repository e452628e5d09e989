//! Where a service is: on a unix socket, or on a loopback port, which a token opens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use hostcompute_schema::{Failure, HResult};

/// The place of a service that runs by itself.
///
/// ```
/// use hostcompute::Address;
///
/// let token = "/run/hostcompute/tcp.token";
/// let address = Address::read("tcp://localhost:8643", token.into())?;
/// assert_eq!(address.to_string(), "tcp://127.0.0.1:8643");
/// assert!(Address::read("tcp://192.0.2.1:8643", token.into()).is_err()); // the token would go over the wire
/// # Ok::<(), hostcompute::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket; the kernel tells the service who connects.
    Socket(PathBuf),
    /// A port of this machine's loopback; each request carries the token that the file holds.
    Tcp { port: SocketAddr, token_file: PathBuf },
}

impl Address {
    /// Reads `tcp://127.0.0.1:8643`, `unix:/run/hostcompute/hostcompute.sock`, or the path alone; `token_file` is for the first form.
    ///
    /// # Errors
    /// E_INVALIDARG for a port of another machine (the token would go over the wire), and for what is no address.
    pub fn read(text: &str, token_file: PathBuf) -> Result<Self, Failure> {
        let Some(port) = text.strip_prefix("tcp://") else {
            return Ok(Self::Socket(text.strip_prefix("unix:").unwrap_or(text).into()));
        };
        let named = port.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let port: SocketAddr = named.as_deref().unwrap_or(port).parse().map_err(|_| {
            let why = format!("{text:?} is no address: it must be like tcp://127.0.0.1:8643");
            Failure::new(HResult::E_INVALIDARG, why)
        })?;
        if !port.ip().is_loopback() {
            let why = format!("{text} is not on this machine, and what is sent is not encrypted");
            return Err(Failure::new(HResult::E_INVALIDARG, why)
                .hint("a tunnel (ssh -L) brings the port here"));
        }
        Ok(Self::Tcp { port, token_file })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tcp { port, .. } => write!(f, "tcp://{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_and_only_this_machine_is_called() {
        let read = |text| Address::read(text, "/t".into());
        let tcp = |port: &str| {
            Ok(Address::Tcp { port: port.parse().expect("a port"), token_file: "/t".into() })
        };
        assert_eq!(read("tcp://127.0.0.1:8643"), tcp("127.0.0.1:8643"));
        assert_eq!(read("tcp://localhost:1"), tcp("127.0.0.1:1"));
        assert_eq!(read("tcp://[::1]:8643"), tcp("[::1]:8643"));
        assert_eq!(read("unix:/a"), Ok(Address::Socket("/a".into())));
        assert_eq!(read("/a"), Ok(Address::Socket("/a".into())));
        for wrong in ["tcp://192.0.2.1:1", "tcp://0.0.0.0:1", "tcp://127.0.0.1", "tcp://a:1"] {
            assert_eq!(read(wrong).expect_err(wrong).hresult, HResult::E_INVALIDARG, "{wrong}");
        }
    }
}
