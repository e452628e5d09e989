//! What one client may ask of the service, and that no client, however rude, ends it.

mod lab;

use std::io::Read;
use std::os::unix::net::UnixStream;

use lab::Machine;
use serde_json::{Value, json};

/// As somebody whom limits concern: group member 65534, by a small client that holds many things open.
const CLIENT: &str = r#"
import socket, sys, threading
path, what = sys.argv[1:]
def connect():
    s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(path); return s
def ask(s, method, route, body=b""):
    try:
        s.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (method, route, len(body), body))
    except BrokenPipeError:
        pass
    text = b""
    while b"\r\n\r\n" not in text:
        piece = s.recv(65536)
        if not piece: break
        text += piece
    head, _, rest = text.partition(b"\r\n\r\n")
    length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while length and len(rest) < length[0]:
        rest += s.recv(65536)
    return head.split()[1].decode(), rest.decode()
held = []
status, body = "", ""
if what == "connections":
    for _ in range(4):
        s = connect(); held.append(s)
        status, body = ask(s, b"GET", b"/networks")
elif what == "subscriptions":
    for _ in range(3):
        s = connect(); held.append(s)
        status, body = ask(s, b"GET", b"/events")
elif what == "handles":
    s = connect()
    _, made = ask(s, b"POST", b"/networks", b"{}")
    wanted = b'{"Kind":"Network","Id":%s}' % made.encode()
    for _ in range(6):
        status, body = ask(s, b"POST", b"/handles", wanted)
elif what == "rate":
    s = connect()
    for _ in range(200):
        status, body = ask(s, b"GET", b"/networks")
        if status != "200": break
elif what == "size":
    status, body = ask(connect(), b"POST", b"/networks", b" " * 2000)
print(status); print(body)
"#;

#[test]
fn every_limit_says_what_it_is_and_what_changes_it() {
    let Some(machine) = Machine::new() else { return };
    let limits = "manage-group = \"61234\"\n[limits]\nconnections = 3\nsubscriptions = 2\nhandles = 5\n\
                  rate = 1\nburst = 40\nrequest-bytes = 1000\n";
    let daemon = machine.daemon_with(limits);
    for (what, status, name, setting) in [
        ("connections", "429", "ERROR_NOT_ENOUGH_QUOTA", "connections"),
        ("subscriptions", "429", "ERROR_NOT_ENOUGH_QUOTA", "subscriptions"),
        ("handles", "429", "ERROR_NOT_ENOUGH_QUOTA", "handles"),
        ("size", "413", "ERROR_MESSAGE_EXCEEDS_MAX_SIZE", "request-bytes"),
        ("rate", "429", "ERROR_NOT_ENOUGH_QUOTA", "rate"),
    ] {
        let output = machine
            .command("setpriv")
            // What root has on its path another user may not be able to reach.
            .env("PATH", "/usr/bin:/bin")
            .args(["--reuid=65534", "--regid=65534", "--groups=61234", "python3", "-c", CLIENT])
            .arg(&daemon.socket)
            .arg(what)
            .output()
            .expect("started");
        assert!(output.status.success(), "{what}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        let (told, body) = text.split_once('\n').expect("two lines");
        let problem: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        assert_eq!((told, &problem["name"]), (status, &json!(name)), "{what}: {text}");
        let hint = problem["hint"].as_str().unwrap_or_default();
        assert!(hint.contains(setting) && hint.contains("[limits]"), "{what}: {problem}");
    }
    // Others are not concerned.
    daemon.ask("GET", "/networks", "").ok();
    daemon.stop();
}

#[test]
fn what_is_no_http_ends_its_own_connection_only() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5000));
    let odd: [&[u8]; 14] = [
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /networks HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /networks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /networks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
        b"GET /networks?query=%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /networks HTTP/1.1\r\nHost: x\r\nHostcompute-Session: \xff\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        long_line.as_bytes(),
        many_headers.as_bytes(),
    ];
    for bytes in odd {
        let mut client = daemon.connect();
        // The other side may have closed before it has all.
        let _ = client.try_write(bytes);
        client.finish();
        let said = client.rest();
        let said = String::from_utf8_lossy(&said);
        let fine = said.is_empty() || said.starts_with("HTTP/1.1 4");
        assert!(fine, "{:?}: {said}", String::from_utf8_lossy(bytes).get(..60));
    }
    // Bytes that are no text, as a document.
    let mut client = daemon.connect();
    client.write(b"POST /networks HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\xff\xfe");
    client.reply("POST").refused(400, "HCN_E_INVALID_JSON");
    // Deep nesting, and more than the limit, in pieces of unknown number.
    client.ask("POST", "/networks", &"[".repeat(200_000)).refused(400, "HCN_E_INVALID_JSON");
    let mut client = daemon.connect();
    client.write(b"POST /networks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let piece = [b"100000\r\n".to_vec(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
    // Root may send ten times four of them.
    for _ in 0..45 {
        if client.try_write(&piece).is_err() {
            break;
        }
    }
    client.reply("POST").refused(413, "ERROR_MESSAGE_EXCEEDS_MAX_SIZE");
    daemon.ask("GET", "/healthz", "");
    daemon.stop();
}

#[test]
fn a_crowd_that_never_speaks_keeps_nobody_out() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with("[limits]\nconnections = 10\n");
    // Root may have ten times ten; the rest is let go, so that it holds no descriptors.
    let crowd: Vec<UnixStream> =
        (0..300).map(|_| UnixStream::connect(&daemon.socket).expect("connected")).collect();
    let ended = |mut stream: &UnixStream| {
        stream.set_nonblocking(true).expect("set");
        matches!(stream.read(&mut [0; 1]), Ok(0))
    };
    lab::wait_until(|| crowd.iter().filter(|stream| ended(stream)).count() == 200);
    drop(crowd);
    lab::wait_until(|| daemon.connect().ask("GET", "/healthz", "").status == 200);
    // What could fill a disk is told now and then.
    assert!(daemon.log().matches("refused").count() < 20, "{}", daemon.log());
    daemon.stop();
}
