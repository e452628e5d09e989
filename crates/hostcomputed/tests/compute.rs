//! Compute systems over HTTP: a life from the first to the last request, streams, refusals, rights, limits, and what a client of the
//! crate notices when the service is killed.

mod lab;

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use hostcompute::schema::hcs::{Signal, StdHandle, SystemPropertyQuery};
use hostcompute::{HResult, Host, Options, System, Way};
use lab::{Connection, Daemon, LONG, Machine};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

/// A daemon whose systems end with the test, however that ends.
struct Site {
    machine: Machine,
    daemon: Option<Daemon>,
}

impl Site {
    /// `None`, with a message, where there can be no containers.
    fn new(configuration: &str) -> Option<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_hostcomputed"));
        if !program.with_file_name("hostcompute-supervisor").is_file() {
            assert!(
                std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(),
                "hostcompute-supervisor was not built: cargo build --package hostcompute-supervisor"
            );
            eprintln!("skipped: hostcompute-supervisor was not built");
            return None;
        }
        let machine = Machine::new()?;
        let daemon = Some(machine.daemon_with(configuration));
        Some(Self { machine, daemon })
    }

    /// Kills the service, and starts another one on the same directories.
    fn kill_and_start(&mut self, configuration: &str) {
        self.daemon.take().expect("one runs").kill();
        self.daemon = Some(self.machine.daemon_with(configuration));
    }

    /// Stops the service in order, and starts another one.
    fn stop_and_start(&mut self) {
        self.daemon.take().expect("one runs").stop();
        self.daemon = Some(self.machine.daemon());
    }

    /// A client by the crate.
    fn host(&self) -> Host {
        let options = Options::at(self.machine.path("state"), self.machine.path("run"));
        let way = Way::Socket(self.socket.clone());
        Host::auto(Options { way, patience: LONG, ..options }).expect("connected")
    }
}

impl Deref for Site {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        self.daemon.as_ref().expect("one runs")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let Some(daemon) = &self.daemon else { return };
        let left = daemon.ask("GET", "/systems", "").ok();
        for system in left.as_array().into_iter().flatten() {
            let id = system["Id"].as_str().unwrap_or_default();
            daemon.ask("POST", &format!("/systems/{id}/terminate"), "");
        }
    }
}

/// A container of the host's own files.
fn document(more: Value) -> String {
    let mut document = json!({
        "Owner": "test", "SchemaVersion": { "Major": 2, "Minor": 1 },
        "Container": { "Storage": { "Layers": [{ "Path": "/" }] } },
    });
    for (name, value) in more.as_object().expect("members") {
        document[name] = value.clone();
    }
    document.to_string()
}

fn command(script: &str) -> String {
    json!({ "CommandArgs": ["sh", "-c", script] }).to_string()
}

/// A system that runs.
#[track_caller]
fn start(client: &mut Connection, id: &str, more: Value) {
    let made = client.ask("POST", &format!("/systems?id={id}"), &document(more));
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("location"), Some(&*format!("/systems/{id}")));
    assert_eq!(client.ask("POST", &format!("/systems/{id}/start"), "").status, 204);
}

/// Starts a process; its number.
#[track_caller]
fn run(client: &mut Connection, id: &str, document: &str) -> u64 {
    let made = client.ask("POST", &format!("/systems/{id}/processes"), document);
    assert_eq!(made.status, 201, "{made:?}");
    let pid = made.json()["ProcessId"].as_u64().expect("a number");
    assert_eq!(made.header("location"), Some(&*format!("/systems/{id}/processes/{pid}")));
    pid
}

#[test]
fn a_system_from_the_first_to_the_last_request() {
    let Some(site) = Site::new("") else { return };
    let mut client = site.connect();
    start(&mut client, "web", json!({}));
    let mut events = site.connect().listen("/systems/web/events", &[]);
    let mut all =
        client.ask("GET", "/systems?query=%7B%22Owners%22%3A%5B%22test%22%5D%7D", "").ok();
    assert_eq!((all[0]["Id"].take(), all[0]["State"].take()), (json!("web"), json!("Running")));
    assert_eq!(
        client.ask("GET", "/systems?query=%7B%22Owners%22%3A%5B%22x%22%5D%7D", "").ok(),
        json!([])
    );

    let pid = run(&mut client, "web", &command("echo written; exit 3"));
    let ended = client.ask("GET", &format!("/systems/web/processes/{pid}/exit"), "").ok();
    assert_eq!((&ended["Exited"], &ended["ExitCode"]), (&json!(true), &json!(3)));
    assert_eq!(client.ask("GET", &format!("/systems/web/processes/{pid}"), "").ok()["ExitCode"], 3);
    let told = events.next().expect("an event");
    assert_eq!(
        (told.name.as_str(), &told.data["EventData"].is_null()),
        ("ProcessExited", &true),
        "{told:?}"
    );
    assert!(client.ask("GET", "/systems/web/log", "").body.contains("written\n"));

    let modify = json!({ "ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": 64 });
    assert_eq!(client.ask("PATCH", "/systems/web", &modify.to_string()).status, 204);
    let asked = "/systems/web?query=%7B%22PropertyTypes%22%3A%5B%22Statistics%22%5D%7D";
    assert!(client.ask("GET", asked, "").ok()["Statistics"].is_object());
    assert_eq!(client.ask("POST", "/systems/web/pause", "").status, 204);
    assert_eq!(client.ask("GET", "/systems/web", "").ok()["State"], "Paused");
    client.ask("POST", "/systems/web/pause", "").refused(409, "HCS_E_INVALID_STATE");
    client
        .ask("POST", "/systems/web/processes", &command("true"))
        .refused(409, "HCS_E_INVALID_STATE");
    assert_eq!(client.ask("POST", "/systems/web/resume", "").status, 204);

    let pid = run(&mut client, "web", &command("exec sleep 1000"));
    let process = format!("/systems/web/processes/{pid}");
    client.ask("GET", &format!("{process}/exit?timeout=0"), "").refused(504, "WAIT_TIMEOUT");
    assert_eq!(client.ask("POST", &format!("{process}/handle"), "").status, 204);
    assert_eq!(client.ask("DELETE", &format!("{process}/handle"), "").status, 204);
    let signal = json!({ "Signal": "CtrlShutdown" }).to_string();
    assert_eq!(client.ask("POST", &format!("{process}/signal"), &signal).status, 204);
    let ended = client.ask("GET", &format!("{process}/exit"), "").ok();
    assert_eq!(ended["ExitCode"], 128 + 15);

    // A log that is followed ends with the system.
    let mut follower = site.connect();
    follower.send("GET", "/systems/web/log?follow=true", &[], "");
    run(&mut client, "web", &command("echo the last"));
    assert_eq!(client.ask("POST", "/systems/web/terminate", "").status, 204);
    assert!(follower.reply("GET").body.contains("the last\n"));
    let exit = client.ask("GET", "/systems/web/exit", "").ok();
    assert_eq!(exit["ExitType"], "ForcedExit");
    let names: Vec<String> = std::iter::from_fn(|| events.next().map(|event| event.name)).collect();
    assert_eq!(names.last().map(String::as_str), Some("SystemExited"), "{names:?}");
    // By the handle of its maker, and by nobody's.
    client.ask("POST", "/systems/web/start", "").refused(409, "HCS_E_SYSTEM_ALREADY_STOPPED");
    site.ask("GET", "/systems/web", "").refused(404, "HCS_E_SYSTEM_NOT_FOUND");
    let ended = site.ask("GET", "/systems?ended=true", "").ok();
    assert_eq!((&ended[0]["Id"], &ended[0]["ExitType"]), (&json!("web"), &json!("ForcedExit")));
}

/// What an upgraded connection brings: the byte, and the descriptors beside it.
fn streams(site: &Site, session: &str, process: &str) -> (String, u8, Vec<OwnedFd>) {
    let mut stream = UnixStream::connect(&site.socket).expect("connected");
    stream.set_read_timeout(Some(LONG)).expect("set");
    let request = format!(
        "POST {process}/stdio HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: hostcompute-stdio\r\n\
         Hostcompute-Session: {session}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let (mut text, mut descriptors) = (Vec::new(), Vec::new());
    loop {
        let mut piece = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut piece)];
        let received = recvmsg(&stream, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC);
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(came) = message {
                descriptors.extend(came);
            }
        }
        match received.expect("received").bytes {
            0 => break,
            count => text.extend_from_slice(&piece[..count]),
        }
    }
    let end = text.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(text[..end].to_vec()).expect("text");
    (head, text.get(end).copied().unwrap_or_default(), descriptors)
}

#[test]
fn streams_come_with_an_upgrade() {
    let Some(site) = Site::new("") else { return };
    let mut client = site.connect();
    start(&mut client, "echo", json!({}));
    let wanted = json!({
        "CommandArgs": ["sh", "-c", "read line; echo \"heard $line\"; echo bad >&2"],
        "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true,
    });
    let made = client.ask("POST", "/systems/echo/processes", &wanted.to_string());
    let session = made.header("hostcompute-session").expect("a session").to_owned();
    let process = format!("/systems/echo/processes/{}", made.ok()["ProcessId"]);
    client.ask("POST", &format!("{process}/stdio"), "").refused(400, "E_INVALIDARG");
    let (head, said, descriptors) = streams(&site, &session, &process);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!((said, descriptors.len()), (7, 3));
    let [input, output, error] = <[OwnedFd; 3]>::try_from(descriptors).expect("three");
    File::from(input).write_all(b"this\n").expect("read");
    let read = |stream| std::io::read_to_string(File::from(stream)).expect("text");
    assert_eq!((read(output), read(error)), ("heard this\n".to_owned(), "bad\n".to_owned()));
    assert_eq!(client.ask("GET", &format!("{process}/exit"), "").ok()["ExitCode"], 0);
    let upgrade = [("Connection", "upgrade"), ("Upgrade", "hostcompute-stdio")];
    let nobody = "/systems/echo/processes/99999/stdio";
    client.ask_with("POST", nobody, &upgrade, "").refused(404, "ERROR_NOT_FOUND");
}

#[test]
fn refusals_are_problem_documents_with_their_place() {
    let Some(site) = Site::new("") else { return };
    let mut client = site.connect();
    let text = "{\n \"SchemaVersion\": {\"Major\": 2},\n \"Container\": {\"Foo\": 1}}";
    let problem = client.ask("POST", "/systems?id=x", text).refused(400, "HCS_E_INVALID_JSON");
    assert_eq!(
        (&problem["path"], &problem["line"]),
        (&json!("$.Container.Foo"), &json!(3)),
        "{problem}"
    );
    let nowhere =
        document(json!({ "Container": { "Storage": { "Layers": [{ "Path": "/nowhere" }] } } }));
    let problem =
        client.ask("POST", "/systems?id=x", &nowhere).refused(404, "ERROR_PATH_NOT_FOUND");
    assert_eq!(problem["path"], "$.Container.Storage.Layers[0].Path");
    client.ask("POST", "/systems", &document(json!({}))).refused(400, "E_INVALIDARG");
    client
        .ask("POST", "/systems?id=x&colour=red", &document(json!({})))
        .refused(400, "E_INVALIDARG");
    client
        .ask("POST", "/systems?id=x&users=all", &document(json!({})))
        .refused(400, "E_INVALIDARG");
    client.ask("GET", "/systems/x/processes/one", "").refused(400, "E_INVALIDARG");
    start(&mut client, "x", json!({}));
    client
        .ask("POST", "/systems?id=X", &document(json!({})))
        .refused(409, "HCS_E_SYSTEM_ALREADY_EXISTS");
    let missing = json!({ "CommandArgs": ["/nowhere"] }).to_string();
    client.ask("POST", "/systems/x/processes", &missing).refused(404, "ERROR_FILE_NOT_FOUND");
    let problem = client.ask("POST", "/systems/x/processes", "{\"CommandArgs\": 1}");
    assert_eq!(problem.refused(400, "HCS_E_INVALID_JSON")["path"], "$.CommandArgs");
    let modify =
        json!({ "ResourcePath": "Container/Nothing", "RequestType": "Update" }).to_string();
    assert!(client.ask("PATCH", "/systems/x", &modify).status >= 400);
    client.ask("POST", "/systems/x/crash", "{}").refused(501, "ERROR_NOT_SUPPORTED");
    // Nothing is promised that is not kept.
    let key = [("Idempotency-Key", "k")];
    let again = client.ask_with("POST", "/systems/x/pause", &key, "");
    again.refused(501, "ERROR_NOT_SUPPORTED");
    assert_eq!(client.ask_with("GET", "/systems/x", &key, "").ok()["State"], "Running");
    client.ask("DELETE", "/systems/y/handle", "").refused(404, "E_HANDLE");
    // Answers and refusals are counted.
    let page = client.ask("GET", "/metrics", "").body;
    let of_creation =
        |name: &str| lab::metric(&page, &format!("{name}{{operation=\"CreateComputeSystem\"}}"));
    assert!(of_creation("operations_total") > of_creation("operation_failures_total"), "{page}");
    assert!(of_creation("operation_failures_total") > 0, "{page}");
}

/// A request of a member of the group that may look.
#[track_caller]
fn as_reader(site: &Site, request: &[&str]) -> (u16, Value) {
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--groups=61235"];
    site.machine.ask_as(site, &words, request)
}

#[test]
fn who_may_look_changes_nothing() {
    let Some(site) = Site::new("read-group = \"61235\"\n") else { return };
    let mut client = site.connect();
    start(&mut client, "seen", json!({}));
    let pid = run(&mut client, "seen", &command("echo seen; exec sleep 1000"));
    let process = format!("http://x/systems/seen/processes/{pid}");
    for place in [
        "http://x/systems",
        "http://x/systems/seen",
        "http://x/systems/seen/log",
        "http://x/service",
        process.as_str(),
    ] {
        assert_eq!(as_reader(&site, &[place]).0, 200, "{place}");
    }
    assert_eq!(as_reader(&site, &["-X", "POST", "http://x/systems/seen/handle"]).0, 204);
    assert_eq!(as_reader(&site, &["http://x/systems/seen/exit?timeout=0"]).0, 504);
    let post = ["--json", "{}"];
    for place in [
        "http://x/systems?id=other",
        "http://x/systems/seen/pause",
        "http://x/systems/seen/shutdown",
        "http://x/systems/seen/terminate",
        "http://x/systems/seen/processes",
        &format!("{process}/signal"),
        &format!("{process}/terminate"),
    ] {
        let (status, body) = as_reader(&site, &[&post[..], &[place]].concat());
        assert_eq!((status, &body["hresult"]), (403, &json!("0x8037011b")), "{place}");
    }
    let (status, _) = as_reader(&site, &["-X", "PATCH", "--json", "{}", "http://x/systems/seen"]);
    assert_eq!(status, 403);
    let upgrade = ["-X", "POST", "-H", "Connection: upgrade", "-H", "Upgrade: hostcompute-stdio"];
    assert_eq!(as_reader(&site, &[&upgrade[..], &[&format!("{process}/stdio")]].concat()).0, 403);
    assert_eq!(client.ask("GET", "/systems/seen", "").ok()["State"], "Running");
}

#[test]
fn every_limit_says_what_it_is_and_what_changes_it() {
    // Root may have ten times as much.
    let configuration = "[limits]\nsystems = 1\nprocesses = 1\nhandles = 2\nsubscriptions = 1\n";
    let Some(mut site) = Site::new(configuration) else { return };
    let exceeded = |problem: Value, limit: usize, setting: &str| {
        let (detail, hint) = (problem["detail"].as_str(), problem["hint"].as_str());
        assert!(
            detail.is_some_and(|text| text.contains(&format!("limit is {limit}"))),
            "{problem}"
        );
        assert!(hint.is_some_and(|text| text.contains(&format!("`{setting}`"))), "{problem}");
    };
    let refused = |reply: lab::Reply| reply.refused(429, "ERROR_NOT_ENOUGH_QUOTA");
    let mut client = site.connect();
    for number in 0..10 {
        let made = client.ask("POST", &format!("/systems?id=s{number}"), &document(json!({})));
        assert_eq!(made.status, 201, "{made:?}");
    }
    let one_more = |client: &mut Connection| {
        refused(client.ask("POST", "/systems?id=more", &document(json!({}))))
    };
    exceeded(one_more(&mut site.connect()), 10, "systems");
    // Ten handles of systems there are; ten of processes more, and that is all.
    assert_eq!(client.ask("POST", "/systems/s0/start", "").status, 204);
    for _ in 0..10 {
        run(&mut client, "s0", &command("exec sleep 1000"));
    }
    exceeded(refused(client.ask("POST", "/systems/s1/handle", "")), 20, "handles");
    let started = site.ask("POST", "/systems/s0/processes", &command("true"));
    exceeded(refused(started), 10, "processes");
    let mut held = Vec::new();
    for number in 0..10 {
        match number % 2 {
            0 => held.push(site.connect().listen("/systems/s0/events", &[])),
            _ => held.push(site.connect().listen("/events", &[])),
        }
    }
    exceeded(refused(site.ask("GET", "/systems/s0/events", "")), 10, "subscriptions");
    exceeded(refused(site.ask("GET", "/systems/s0/log?follow=true", "")), 10, "subscriptions");
    drop(held);
    drop(client);
    // Whose a system is outlives the service.
    site.kill_and_start(configuration);
    exceeded(one_more(&mut site.connect()), 10, "systems");
    assert_eq!(site.ask("POST", "/systems/s9/terminate", "").status, 204);
    assert_eq!(site.ask("POST", "/systems?id=more", &document(json!({}))).status, 201);
}

#[test]
fn a_client_goes_on_when_the_service_was_killed() {
    let Some(mut site) = Site::new("") else { return };
    let host = site.host();
    let (kept, _) = System::create_json(&host, "kept", &document(json!({}))).expect("made");
    kept.start().expect("started");
    let wish = json!({ "CommandArgs": ["cat"], "CreateStdInPipe": true, "CreateStdOutPipe": true });
    let (mut process, _) = kept.run_json(&wish.to_string()).expect("started");
    let leashed = document(json!({ "ShouldTerminateOnLastHandleClosed": true }));
    let (leashed, _) = System::create_json(&host, "leashed", &leashed).expect("made");
    leashed.start().expect("started");
    site.kill_and_start("");
    // Handles are opened again without a word; what went with the service is told as gone.
    let state = kept.properties(&SystemPropertyQuery::default()).expect("there").state;
    assert_eq!(state.map(|state| state.to_string()).as_deref(), Some("Running"));
    let gone = leashed.properties(&SystemPropertyQuery::default()).expect_err("gone");
    assert_eq!(gone.hresult, HResult::HCS_E_SYSTEM_NOT_FOUND);
    assert_eq!(process.status().expect("known").exit_code, None);
    // Streams never went through the service.
    let mut input = process.stdin.take().expect("a pipe");
    input.write_all(b"still here\n").expect("read");
    drop(input);
    process.close(StdHandle::StdIn).expect("closed");
    let mut text = String::new();
    process.stdout.take().expect("a pipe").read_to_string(&mut text).expect("text");
    assert_eq!(text, "still here\n");
    assert_eq!(process.wait(Some(LONG)).expect("ended").exit_code, Some(0));
    let (other, _) = kept.run_json(&command("exec sleep 1000")).expect("started");
    other.signal(Signal::Number(15)).expect("sent");
    assert_eq!(other.wait(Some(LONG)).expect("ended").exit_code, Some(128 + 15));
    assert!(kept.process(process.id()).is_err(), "one that has ended is not opened");
    kept.terminate().expect("ended");
    assert_eq!(kept.wait(Some(LONG)).expect("told").status, Some(0));
}

#[test]
fn a_handle_holds_its_system_over_an_upgrade_of_the_service() {
    let Some(mut site) = Site::new("") else { return };
    let host = site.host();
    let leashed = document(json!({ "ShouldTerminateOnLastHandleClosed": true }));
    let (system, _) = System::create_json(&host, "leashed", &leashed).expect("made");
    system.start().expect("started");
    site.stop_and_start();
    let (process, _) = system.run_json(&command("exit 4")).expect("started");
    assert_eq!(process.wait(Some(LONG)).expect("ended").exit_code, Some(4));
    drop(process);
    drop(system);
    let exit = site.ask("GET", "/systems/leashed/exit", "").ok();
    assert_eq!(exit["ExitType"], "ForcedExit");
}
