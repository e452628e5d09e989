//! The bytes of a connection, whichever way they go; what differs between systems is here and nowhere else beside it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;

use hostcompute_schema::{Failure, HResult};

use crate::Address;
use crate::transport::eager::Eager;

/// A connected stream.
#[derive(Debug)]
pub enum Stream {
    #[cfg(unix)]
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A longer file holds no token.
const LONGEST_TOKEN: u64 = 512;

impl Stream {
    /// Connects, and reads the token that each request has to carry there.
    ///
    /// # Errors
    /// Nothing listens there, or the token cannot be read.
    pub fn open(address: &Address) -> io::Result<(Self, Option<String>)> {
        match address {
            #[cfg(unix)]
            Address::Socket(path) => Ok((Self::Unix(UnixStream::connect(path)?), None)),
            #[cfg(not(unix))]
            Address::Socket(_) => Err(io::ErrorKind::Unsupported.into()),
            Address::Tcp { port, token_file } => {
                let mut token = String::new();
                let read = std::fs::File::open(token_file)
                    .and_then(|file| file.take(LONGEST_TOKEN).read_to_string(&mut token));
                read.map_err(|error| unreadable(&token_file.display(), &error))?;
                let token = token.trim();
                if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let none = io::Error::from(io::ErrorKind::InvalidInput);
                    return Err(unreadable(&token_file.display(), &none));
                }
                let stream = TcpStream::connect(port)?;
                // Requests are small, and wait for their answers.
                stream.set_nodelay(true)?;
                Ok((Self::Tcp(stream), Some(token.to_owned())))
            }
        }
    }

    /// The same stream, for another thread.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            #[cfg(unix)]
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    /// Ends our side: what was written is read, and then the end is seen.
    pub fn finish(&self) {
        // One that has ended already is as good.
        let _ = match self {
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Ends it in both directions; whoever reads it notices.
    pub fn end(&self) {
        // One that has ended already is as good.
        let _ = match self {
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    /// Whether the other side has neither said anything nor ended.
    #[cfg(unix)]
    pub fn is_quiet(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        recv(self, &mut [0], RecvFlags::DONTWAIT) == Err(rustix::io::Errno::AGAIN)
    }

    /// As elsewhere, by a moment in which the stream does not wait.
    #[cfg(not(unix))]
    pub fn is_quiet(&self) -> bool {
        let Self::Tcp(stream) = self;
        let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        let waits = stream.set_nonblocking(false).is_ok();
        waits && looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads what comes while it is worth waiting awake; `None` when it is time to sleep.
    #[cfg(unix)]
    pub fn listen(&self, eager: &mut Eager, room: &mut [u8]) -> Option<usize> {
        eager.listen(self, room)
    }

    /// Nobody is waited for awake: looking without waiting costs more there than it saves.
    #[cfg(not(unix))]
    pub fn listen(&self, _: &mut Eager, _: &mut [u8]) -> Option<usize> {
        None
    }
}

fn unreadable(file: &dyn std::fmt::Display, error: &io::Error) -> io::Error {
    let why = format!("the token in {file} cannot be used: {error}");
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => HResult::E_ACCESSDENIED,
        _ => HResult::RPC_S_SERVER_UNAVAILABLE,
    };
    let hint = "hostcomputed makes the file when it is started with --tcp; HOSTCOMPUTE_TOKEN_FILE says where it is";
    io::Error::new(error.kind(), Unusable(Failure::new(code, why).hint(hint)))
}

/// A failure that travels as an error of reading and writing.
#[derive(Debug)]
pub struct Unusable(pub Failure);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.message.fmt(f)
    }
}

impl std::error::Error for Unusable {}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(room),
            Self::Tcp(stream) => stream.read(room),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Stream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

#[cfg(unix)]
impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}
