//! Questions over TCP: one thread for each connection, of which there are few and which last for seconds.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Shared;
use super::dns::{self, Code, Over};
use super::posts::Admission;
use super::relay;

/// How long a client may take to ask or to read, and how long it may stay.
const PATIENCE: Duration = Duration::from_secs(5);
const STAY: Duration = Duration::from_secs(30);

/// Answers on a connection until its client goes or dawdles.
pub(super) fn serve(shared: &Shared, admission: &Admission, mut client: TcpStream) {
    let until = Instant::now() + STAY;
    let set_up = client
        .set_nonblocking(false)
        .and_then(|()| client.set_read_timeout(Some(PATIENCE)))
        .and_then(|()| client.set_write_timeout(Some(PATIENCE)));
    while set_up.is_ok() && Instant::now() < until {
        let Ok(message) = receive(&mut client) else { return };
        let Some(answer) = answer(shared, admission, &message) else { return };
        if send(&mut client, &answer).is_err() {
            return;
        }
    }
}

fn answer(shared: &Shared, admission: &Admission, message: &[u8]) -> Option<Vec<u8>> {
    let query = dns::read(message)?;
    let network = admission.network()?;
    let known = shared.book().find(network, &query).filter(|_| query.is_of_internet());
    if let Some((code, records)) = known {
        return Some(query.answer(code, &records, Over::Tcp));
    }
    let mut servers = relay::rounds(&shared.servers());
    while let Some(server) = servers.pop() {
        match ask(server, message) {
            Ok(answer) if query.is_answered_by(query.id, &answer) => return Some(answer),
            Ok(_) => {}
            Err(error) => tracing::debug!(%server, %error, "a resolver did not answer over TCP"),
        }
    }
    Some(query.answer(Code::ServerFailure, &[], Over::Tcp))
}

fn ask(server: IpAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(server, 53), relay::PATIENCE)?;
    stream.set_read_timeout(Some(relay::PATIENCE))?;
    stream.set_write_timeout(Some(relay::PATIENCE))?;
    send(&mut stream, message)?;
    receive(&mut stream)
}

/// A message follows its length.
fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())
}
