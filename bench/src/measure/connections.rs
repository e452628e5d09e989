//! Setting up connections through a load balancer: connect, one byte there, one byte back, reset.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use crate::namespace::Namespace;
use crate::statistics::Samples;

/// How long connections took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Connections {
    /// Until `connect` returned.
    pub connect: Samples,
    /// Until the answer had come.
    pub whole: Samples,
}

impl Connections {
    pub fn append(&mut self, other: Connections) {
        self.connect.append(other.connect);
        self.whole.append(other.whole);
    }

    /// Answers on [`crate::BACKEND_PORT`] in the namespace at `path` as long as the process lives.
    pub fn answer_in(path: &Path) -> anyhow::Result<()> {
        let listener = inside(path, || {
            Ok(TcpListener::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, crate::BACKEND_PORT))?)
        })?;
        std::thread::Builder::new().name("echo".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // The client resets every connection; that is the end of it and no failure.
                let _ = echo(stream);
            }
        })?;
        Ok(())
    }

    /// Connects `count` times, one after another, from the namespace at `path`.
    pub fn make(path: &Path, to: SocketAddrV4, count: usize) -> anyhow::Result<Self> {
        inside(path, || {
            let mut connections = Self::default();
            for _ in 0..count {
                let start = Instant::now();
                let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(3))
                    .with_context(|| format!("connecting to {to}"))?;
                connections.connect.push(start.elapsed());
                stream.write_all(b"?")?;
                stream.read_exact(&mut [0])?;
                connections.whole.push(start.elapsed());
                // Reset instead of closing: no TIME_WAIT that would use up the ports.
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
            }
            Ok(connections)
        })
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        stream.write_all(&byte)?;
    }
    Ok(())
}

/// Runs `work` in the namespace at `path`, on a thread that ends there.
fn inside<T: Send>(
    path: &Path,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let namespace = Namespace::open(path).with_context(|| format!("opening {}", path.display()))?;
    std::thread::scope(|scope| {
        scope
            .spawn(move || {
                namespace.enter()?;
                work()
            })
            .join()
            .map_err(|_| anyhow!("the thread in {} panicked", path.display()))?
    })
}
