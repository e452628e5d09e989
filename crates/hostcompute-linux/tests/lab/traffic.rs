//! Packets: small servers and clients that run inside namespaces.
//!
//! Servers answer with their name and the address they saw the client come from, so that a test sees both translations.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Netns;

/// How long a client waits before it says that nothing comes: long enough for a busy machine, where retransmissions are late, too.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits where nothing is expected.
const IMPATIENCE: Duration = Duration::from_millis(400);

/// A server in a namespace, ended by dropping it.
#[derive(Debug)]
pub struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A TCP server: for each line it gets, it answers "NAME CLIENT".
pub fn tcp_server(netns: &Netns, name: &str, address: &str) -> Server {
    let address: SocketAddr = address.parse().unwrap();
    let listener = netns.run(|| bind(|| TcpListener::bind(address)));
    listener.set_nonblocking(true).unwrap();
    let name = name.to_owned();
    serve(move |stop| {
        let mut clients: Vec<TcpStream> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let mut idle = true;
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).unwrap();
                clients.push(stream);
                idle = false;
            }
            clients.retain_mut(|stream| {
                let mut buffer = [0; 64];
                match stream.read(&mut buffer) {
                    Ok(0) => false,
                    Ok(_) => {
                        idle = false;
                        let Ok(peer) = stream.peer_addr() else { return false };
                        stream.write_all(format!("{name} {}\n", peer.ip()).as_bytes()).is_ok()
                    }
                    Err(error) => error.kind() == ErrorKind::WouldBlock,
                }
            });
            if idle {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    })
}

/// A UDP server with the same answer to each datagram.
pub fn udp_server(netns: &Netns, name: &str, address: &str) -> Server {
    let address: SocketAddr = address.parse().unwrap();
    let socket = netns.run(|| bind(|| UdpSocket::bind(address)));
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let name = name.to_owned();
    serve(move |stop| {
        while !stop.load(Ordering::Relaxed) {
            let mut buffer = [0; 2048];
            if let Ok((_, client)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(format!("{name} {}\n", client.ip()).as_bytes(), client);
            }
        }
    })
}

/// IPv6 addresses are usable a moment after they are set.
fn bind<T>(mut attempt: impl FnMut() -> std::io::Result<T>) -> T {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(bound) => return bound,
            Err(error) if std::time::Instant::now() > deadline => panic!("bind: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn serve(work: impl FnOnce(&AtomicBool) + Send + 'static) -> Server {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    Server { stop, thread: Some(std::thread::spawn(move || work(&seen))) }
}

/// What came back: the server's name and the client's address as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub server: String,
    pub client: IpAddr,
}

fn answer(text: &str) -> Option<Answer> {
    let (server, client) = text.trim().split_once(' ')?;
    Some(Answer { server: server.to_owned(), client: client.parse().ok()? })
}

/// An open TCP connection.
#[derive(Debug)]
pub struct Connection(TcpStream);

impl Connection {
    pub fn open(netns: &Netns, to: &str, patience: Duration) -> Option<Self> {
        let to: SocketAddr = to.parse().unwrap();
        let stream = netns.run(|| TcpStream::connect_timeout(&to, patience)).ok()?;
        stream.set_read_timeout(Some(patience)).unwrap();
        Some(Self(stream))
    }

    /// One question and its answer.
    pub fn ask(&mut self) -> Option<Answer> {
        self.0.write_all(b"?\n").ok()?;
        let mut buffer = [0; 128];
        let length = self.0.read(&mut buffer).ok()?;
        answer(&String::from_utf8_lossy(&buffer[..length]))
    }
}

pub fn tcp(netns: &Netns, to: &str) -> Option<Answer> {
    Connection::open(netns, to, PATIENCE)?.ask()
}

/// The same from one of the namespace's addresses.
pub fn tcp_from(netns: &Netns, from: &str, to: &str) -> Option<Answer> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
    let (from, to): (IpAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = netns.run(|| socket(family, SocketType::STREAM, None)).unwrap();
    for timeout in [sockopt::Timeout::Send, sockopt::Timeout::Recv] {
        sockopt::set_socket_timeout(&fd, timeout, Some(PATIENCE)).unwrap();
    }
    bind(&fd, &SocketAddr::new(from, 0)).unwrap();
    connect(&fd, &to).ok()?;
    Connection(fd.into()).ask()
}

/// For what must not come through.
pub fn tcp_refused(netns: &Netns, to: &str) -> bool {
    Connection::open(netns, to, IMPATIENCE).and_then(|mut c| c.ask()).is_none()
}

pub fn udp(netns: &Netns, to: &str) -> Option<Answer> {
    udp_within(netns, to, PATIENCE)
}

pub fn udp_refused(netns: &Netns, to: &str) -> bool {
    udp_within(netns, to, IMPATIENCE).is_none()
}

fn udp_within(netns: &Netns, to: &str, patience: Duration) -> Option<Answer> {
    let to: SocketAddr = to.parse().unwrap();
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = netns.run(|| UdpSocket::bind(any)).unwrap();
    // A lost first datagram is not what these tests are about.
    for _ in 0..16 {
        socket.set_read_timeout(Some(patience / 16)).unwrap();
        let _ = netns.run(|| socket.send_to(b"?", to));
        let mut buffer = [0; 128];
        if let Ok(length) = socket.recv(&mut buffer) {
            return answer(&String::from_utf8_lossy(&buffer[..length]));
        }
    }
    None
}

/// Echo requests by the system's `ping`, until one is answered.
pub fn ping(netns: &Netns, to: &str) -> bool {
    (0..4).any(|_| echo(netns, to))
}

/// For what must not come through.
pub fn ping_refused(netns: &Netns, to: &str) -> bool {
    !echo(netns, to)
}

fn echo(netns: &Netns, to: &str) -> bool {
    netns.run(|| {
        std::process::Command::new("ping")
            .args(["-n", "-q", "-c", "1", "-W", "1", to])
            .output()
            .unwrap_or_else(|error| panic!("ping: {error}"))
            .status
            .success()
    })
}

/// A transparent proxy: it answers each connection with its name and the address that the client had asked for (SO_ORIGINAL_DST),
/// and may be another user's.
pub fn proxy(netns: &Netns, name: &str, address: &str) -> Server {
    let address: SocketAddr = address.parse().unwrap();
    let listener = netns.run(|| bind(|| TcpListener::bind(address)));
    listener.set_nonblocking(true).unwrap();
    let name = name.to_owned();
    serve(move |stop| {
        while !stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    let asked = super::original_destination(&stream);
                    let _ = stream.write_all(format!("{name} {}\n", asked.ip()).as_bytes());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    })
}
