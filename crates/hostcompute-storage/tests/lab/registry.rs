//! A registry on this machine's loopback: the distribution API as far as a pull needs it, with all that may go wrong on order.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hostcompute_storage::Digest;

use super::image::{Built, MANIFEST};

/// What goes wrong.
#[derive(Clone, Default)]
pub struct Manner {
    /// Wants a token; with this name and password, where one is given.
    pub token: Option<Option<(&'static str, &'static str)>>,
    /// Wants this name and password with each request.
    pub basic: Option<(&'static str, &'static str)>,
    /// Closes the connection after so many bytes of a blob.
    pub break_after: Option<usize>,
    /// Answers a range with the whole blob.
    pub ignores_ranges: bool,
    /// Sends other bytes for blobs larger than this.
    pub lies_above: Option<usize>,
    /// Leads to this other registry for blobs.
    pub redirect_to: Option<SocketAddr>,
    /// Sends us to this place for a token.
    pub realm: Option<String>,
    /// Speaks TLS, and proves itself so.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Listens on another address of this machine: to a client, another host.
    pub is_elsewhere: bool,
    /// Leads for blobs to a place that is not encrypted.
    pub redirects_in_plain: bool,
}

impl Manner {
    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

pub struct Registry {
    pub address: SocketAddr,
    /// Lines of requests, and their ranges and authorizations.
    pub asked: Arc<Mutex<Vec<String>>>,
    served: Arc<Served>,
    accepting: Option<JoinHandle<()>>,
}

struct Served {
    /// By digest, or by tag: kind and bytes.
    manifests: Mutex<HashMap<String, (String, Vec<u8>)>>,
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    manner: Manner,
    address: SocketAddr,
}

impl Registry {
    pub fn new(manner: Manner) -> Self {
        let host = if manner.is_elsewhere { "127.0.0.2:0" } else { "127.0.0.1:0" };
        let listener = TcpListener::bind(host).unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(Served {
            manifests: Mutex::default(),
            blobs: Mutex::default(),
            manner,
            address,
        });
        let asked = Arc::new(Mutex::new(Vec::new()));
        let accepting = std::thread::spawn({
            let (served, asked) = (Arc::clone(&served), Arc::clone(&asked));
            move || {
                for stream in listener.incoming().flatten() {
                    let (served, asked) = (Arc::clone(&served), Arc::clone(&asked));
                    // The last connection, made by whoever ends this, says nothing.
                    if !greet(stream, &served, &asked) {
                        break;
                    }
                }
            }
        });
        Self { address, asked, served, accepting: Some(accepting) }
    }

    pub fn serve(&self, tag: &str, built: &Built) {
        let mut manifests = self.served.manifests.lock().unwrap();
        let manifest = (MANIFEST.to_owned(), built.manifest.clone());
        manifests.insert(tag.to_owned(), manifest.clone());
        manifests.insert(built.manifest_digest().to_string(), manifest);
        let mut blobs = self.served.blobs.lock().unwrap();
        for blob in built.blobs() {
            blobs.insert(Digest::of(blob).to_string(), blob.to_vec());
        }
    }

    pub fn serve_index(&self, tag: &str, index: &[u8]) {
        let kind = "application/vnd.oci.image.index.v1+json".to_owned();
        self.served.manifests.lock().unwrap().insert(tag.to_owned(), (kind, index.to_vec()));
    }

    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// One connection; `false` when nothing at all was said.
fn greet(stream: TcpStream, served: &Served, asked: &Mutex<Vec<String>>) -> bool {
    let Some(tls) = &served.manner.tls else { return answer(stream, served, asked) };
    // Who does not trust this registry goes; who ends it says nothing.
    let says_something = stream.peek(&mut [0]).is_ok_and(|length| length > 0);
    let Ok(connection) = rustls::ServerConnection::new(tls.clone()) else { return false };
    let mut stream = rustls::StreamOwned::new(connection, stream);
    answer(&mut stream, served, asked);
    // An answer that breaks off ends without a farewell, as connections do that break.
    if served.manner.break_after.is_none() {
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }
    says_something
}

/// One request, one answer; `false` when nothing was asked.
fn answer(stream: impl Read + Write, served: &Served, asked: &Mutex<Vec<String>>) -> bool {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        lines.iter().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
    let (range, authorization) = (header("range"), header("authorization"));
    asked.lock().unwrap().push(format!(
        "{path} {} {}",
        range.clone().unwrap_or_else(|| "-".to_owned()),
        authorization.clone().unwrap_or_else(|| "-".to_owned())
    ));
    let reply = served.reply(&path, range.as_deref(), authorization.as_deref());
    let _ = reader.get_mut().write_all(&reply);
    let _ = reader.get_mut().flush();
    true
}

impl Served {
    fn reply(&self, path: &str, range: Option<&str>, authorization: Option<&str>) -> Vec<u8> {
        if path.starts_with("/token") {
            let wanted = self.manner.token.flatten().map(basic);
            if wanted.is_some() && wanted.as_deref() != authorization {
                return http(401, &[], b"who are you");
            }
            return http(200, &[], br#"{"token":"opensesame"}"#);
        }
        if let Some(challenge) = self.challenge(authorization) {
            return http(401, &[("WWW-Authenticate", &challenge)], b"{}");
        }
        let Some((_, asked)) =
            path.strip_prefix("/v2/team/app/").and_then(|rest| rest.split_once('/'))
        else {
            return http(404, &[], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#);
        };
        if path.contains("/manifests/") {
            return match self.manifests.lock().unwrap().get(asked) {
                Some((kind, bytes)) => http(200, &[("Content-Type", kind)], bytes),
                None => http(404, &[], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
            };
        }
        if let Some(other) = self.manner.redirect_to {
            let in_plain = self.manner.redirects_in_plain;
            let scheme = if in_plain { "http" } else { self.manner.scheme() };
            return http(307, &[("Location", &format!("{scheme}://{other}{path}"))], b"");
        }
        match self.blobs.lock().unwrap().get(asked) {
            Some(bytes) => self.blob(bytes, range),
            None => http(404, &[], b"{}"),
        }
    }

    fn challenge(&self, authorization: Option<&str>) -> Option<String> {
        if self.manner.token.is_some() && authorization != Some("Bearer opensesame") {
            let own = format!("{}://{}/token", self.manner.scheme(), self.address);
            let realm = self.manner.realm.clone().unwrap_or(own);
            return Some(format!(
                r#"Bearer realm="{realm}",service="the registry",scope="repository:team/app:pull""#
            ));
        }
        let wanted = self.manner.basic.map(basic);
        (wanted.is_some() && wanted.as_deref() != authorization)
            .then(|| r#"Basic realm="here""#.to_owned())
    }

    fn blob(&self, bytes: &[u8], range: Option<&str>) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if self.manner.lies_above.is_some_and(|limit| bytes.len() > limit) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let from = range.filter(|_| !self.manner.ignores_ranges).map_or(0, |range| {
            range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap()
        });
        let part = &bytes[from..];
        let told = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
        let mut reply = if from > 0 {
            http(206, &[("Content-Range", &told)], part)
        } else {
            http(200, &[], part)
        };
        if let Some(most) = self.manner.break_after.filter(|most| part.len() > *most) {
            reply.truncate(reply.len() - part.len() + most);
        }
        reply
    }
}

fn basic((user, password): (&str, &str)) -> String {
    // `user:secret` and `other:secret`, which is all that the tests have.
    match (user, password) {
        ("user", "secret") => "Basic dXNlcjpzZWNyZXQ=".to_owned(),
        _ => unreachable!("the tests know one name"),
    }
}

fn http(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut reply = format!("{text}\r\n").into_bytes();
    reply.extend(body);
    reply
}
