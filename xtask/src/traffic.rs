//! A tiny server and a tiny client, so that proving traffic needs no tool from elsewhere.
//!
//! The server answers everybody, by TCP and UDP, with its name and the address it sees: `web-1 192.0.2.2`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a client waits for an answer. Blocked traffic is dropped silently, so this is also how long "no" takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// `xtask traffic serve NAME PORT` or `xtask traffic ask tcp|udp ADDRESS:PORT [hear MILLISECONDS]`.
///
/// # Errors
/// The port is taken, or nobody answers.
pub fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", name, port] => serve(name, port.parse().context("the port")?),
        ["ask", protocol, to] => {
            println!("{}", ask(protocol, to.parse().context("the address")?)?);
            Ok(())
        }
        _ => bail!("usage: traffic serve NAME PORT | traffic ask tcp|udp ADDRESS:PORT"),
    }
}

/// Serves until our input ends.
fn serve(name: &str, port: u16) -> Result<()> {
    let (stream, datagrams) = bind(port)?;
    let said = name.to_owned();
    std::thread::spawn(move || {
        for client in stream.incoming().flatten() {
            // A client that went away is no concern of the next one.
            let _ = answer(client, &said);
        }
    });
    let said = name.to_owned();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = datagrams.recv_from(&mut buffer) {
            let _ = datagrams.send_to(greeting(&said, from).as_bytes(), from);
        }
    });
    println!("ready");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
        .context("waiting for the end of input")?;
    Ok(())
}

/// Both families by one socket where the kernel has IPv6, else IPv4 alone.
fn bind(port: u16) -> Result<(TcpListener, UdpSocket)> {
    for any in ["[::]", "0.0.0.0"] {
        let at = format!("{any}:{port}");
        if let (Ok(stream), Ok(datagrams)) = (TcpListener::bind(&at), UdpSocket::bind(&at)) {
            return Ok((stream, datagrams));
        }
    }
    bail!("port {port} is taken")
}

fn answer(mut client: TcpStream, name: &str) -> std::io::Result<()> {
    let from = client.peer_addr()?;
    client.write_all(greeting(name, from).as_bytes())
}

fn greeting(name: &str, from: SocketAddr) -> String {
    format!("{name} {}", from.ip().to_canonical())
}

/// One question; the answer names the server and the address it saw.
fn ask(protocol: &str, to: SocketAddr) -> Result<String> {
    let nobody = || format!("nobody answers at {to} ({protocol})");
    match protocol {
        "tcp" => {
            let mut stream = TcpStream::connect_timeout(&to, PATIENCE).with_context(nobody)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut text = String::new();
            stream.read_to_string(&mut text).with_context(nobody)?;
            Ok(text)
        }
        "udp" => {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to).with_context(nobody)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send(b"?").with_context(nobody)?;
            let mut buffer = [0; 128];
            let length = socket.recv(&mut buffer).with_context(nobody)?;
            Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
        }
        _ => bail!("the protocol is tcp or udp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translated_address_is_shown_as_people_write_it() {
        let from = "[::ffff:192.0.2.7]:9".parse().unwrap();
        assert_eq!(greeting("web-1", from), "web-1 192.0.2.7");
    }
}
