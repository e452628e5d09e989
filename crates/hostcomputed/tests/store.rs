//! Images and layers over the socket: with whose rights, begun and asked about, cancelled, left in the middle, and in the audit trail.

mod lab;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use hostcompute_schema::Guid;
use lab::{Daemon, LONG, Machine};
use serde_json::{Value, json};

/// Groups that no system gives to anybody.
const MANAGE: &str = "61234";
const READ: &str = "61235";

const CONFIGURATION: &str = "manage-group = \"61234\"\nread-group = \"61235\"\n";

/// A command that must succeed.
#[track_caller]
fn done(command: &mut Command) {
    let output = command.output().expect("started");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// What `docker save` would write of one layer that holds one file; the layer beside it.
fn image(machine: &Machine, name: &str) -> PathBuf {
    let folder = machine.path(name);
    std::fs::create_dir_all(folder.join("tree")).expect("made");
    std::fs::write(folder.join("tree/hello"), name).expect("written");
    let layer = folder.join("layer.tar");
    done(Command::new("tar").arg("-C").arg(folder.join("tree")).arg("-cf").arg(&layer).arg("."));
    let sum = Command::new("sha256sum").arg(&layer).output().expect("started").stdout;
    let sum = String::from_utf8(sum).expect("text");
    let sum = sum.split(' ').next().unwrap_or_default();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let configuration = json!({ "architecture": architecture, "os": "linux",
        "config": { "Cmd": ["true"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{sum}")] } });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [format!("{name}:1")],
        "Layers": ["layer.tar"] }]);
    std::fs::write(folder.join("config.json"), configuration.to_string()).expect("written");
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).expect("written");
    let archive = folder.join("image.tar");
    let members = ["layer.tar", "config.json", "manifest.json"];
    done(Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(&archive).args(members));
    archive
}

/// A text as a part of a path or query string.
fn encoded(text: impl AsRef<Path>) -> String {
    let text = text.as_ref().to_str().expect("text");
    hostcompute_schema::compute::percent_encoded(text)
}

/// A request of a user that is not root, but in this group.
#[track_caller]
fn ask_as(machine: &Machine, daemon: &Daemon, group: &str, words: &[&str]) -> (u16, Value) {
    let groups = format!("--groups={group}");
    let user = ["setpriv", "--reuid=65534", "--regid=65534", &groups];
    machine.ask_as(daemon, &user, words)
}

fn post(daemon: &Daemon, path: &str) -> lab::Reply {
    daemon.ask("POST", path, "")
}

#[test]
fn images_come_are_told_of_and_go_by_http_alone() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let archive = image(&machine, "demo");
    assert_eq!(daemon.ask("GET", "/images", "").ok(), json!([]));
    let imported = post(&daemon, &format!("/images/import?source={}", encoded(&archive))).ok();
    assert_eq!(imported[0]["Name"], "demo:1");
    let id = imported[0]["Image"]["Id"].as_str().expect("an id").to_owned();
    assert_eq!(daemon.ask("GET", "/images/demo%3A1", "").ok()["Id"], id);
    let tagged = post(&daemon, "/images/demo%3A1/tag?name=registry.test%2Fteam%2Fdemo%3A2");
    assert_eq!(tagged.status, 204);
    let shown = daemon.ask("GET", "/images/registry.test%2Fteam%2Fdemo%3A2", "").ok();
    assert_eq!(shown["Names"], json!(["demo:1", "registry.test/team/demo:2"]));
    let layers = daemon.ask("GET", "/layers", "").ok();
    assert_eq!((&layers[0]["Images"], &layers[0]["IsInUse"]), (&json!(["demo:1"]), &json!(false)));
    // Out as bytes, and in again as bytes.
    let copy = machine.path("copy.tar");
    let socket = daemon.socket.to_str().expect("text");
    let out = "http://localhost/images/demo%3A1/archive?form=docker-archive";
    let curl = ["--silent", "--show-error", "--fail-with-body", "--unix-socket", socket];
    done(machine.command("curl").args(curl).args(["-X", "POST", "-o"]).arg(&copy).arg(out));
    let back = "http://localhost/images/import?name=copy";
    let body = format!("@{}", copy.display());
    done(machine.command("curl").args(curl).args(["--data-binary", &body, back]));
    assert_eq!(daemon.ask("GET", "/images/copy", "").ok()["Id"], id);
    let target = machine.path("out.tar");
    let export = format!("/images/copy/export?target={}", encoded(&target));
    assert_eq!(post(&daemon, &export).ok()["Id"], id);
    post(&daemon, &export).refused(409, "ERROR_ALREADY_EXISTS");
    for name in ["copy", "demo%3A1"] {
        let told = daemon.ask("DELETE", &format!("/images/{name}"), "").ok();
        assert_eq!(told["Gone"], false);
    }
    let last = daemon.ask("DELETE", "/images/registry.test%2Fteam%2Fdemo%3A2", "").ok();
    assert_eq!(last["Gone"], true);
    assert_eq!(post(&daemon, "/images/prune").ok()["Layers"], 0);
    daemon.ask("GET", "/images/demo%3A1", "").refused(404, "ERROR_NOT_FOUND");
    post(&daemon, "/images/import?source=relative").refused(400, "E_INVALIDARG");
    post(&daemon, "/images/pull").refused(400, "E_INVALIDARG");
    post(&daemon, "/images/pull?reference=team%2Fapp").refused(400, "E_INVALIDARG");
    let log = daemon.log();
    let audited =
        |what: &str| log.lines().any(|line| line.contains("audit") && line.contains(what));
    assert!(audited("ImportImage") && audited("PruneImages"), "{log}");
    assert!(!audited("\"GetImage\"") && !audited("EnumerateImages"), "{log}");
    let pulls = log.lines().filter(|line| line.contains("PullImage")).count();
    assert_eq!(pulls, 2, "one line for each change, done or refused: {log}");
    daemon.stop();
}

#[test]
fn layers_are_made_mounted_and_removed_by_http_alone() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let archive = image(&machine, "demo").with_file_name("layer.tar");
    let (base, scratch) = (machine.path("base"), machine.path("scratch"));
    let of = |path: &Path, what: &str| format!("/layers/{}{what}", encoded(path));
    let import = of(&base, &format!("/import?source={}", encoded(&archive)));
    assert_eq!(post(&daemon, &import).status, 204);
    post(&daemon, &import).refused(409, "ERROR_ALREADY_EXISTS");
    let parents = json!({ "Layers": [{ "Id": Guid::default(), "Path": base }] }).to_string();
    let ask = |what: &str| daemon.ask("POST", &of(&scratch, what), &parents);
    assert_eq!(ask("/initialize").status, 204);
    assert_eq!(ask("/attach").status, 204);
    let hello = scratch.join("hello");
    assert_eq!(machine.output("cat", &[hello.to_str().expect("text")]), "demo");
    daemon.ask("DELETE", &of(&base, ""), "").refused(409, "ERROR_SHARING_VIOLATION");
    assert_eq!(ask("/detach").status, 204);
    let out = machine.path("out.tar");
    let export = of(&base, &format!("/export?target={}", encoded(&out)));
    assert_eq!(post(&daemon, &export).status, 204);
    assert!(machine.output("tar", &["-tf", out.to_str().expect("text")]).contains("hello"));
    for path in [&base, &scratch] {
        assert_eq!(daemon.ask("DELETE", &of(path, ""), "").status, 204);
        assert!(!path.exists());
    }
    let unknown = json!({ "Layers": [{ "Pfad": "/" }] }).to_string();
    let problem = daemon.ask("POST", &of(&scratch, "/initialize"), &unknown);
    let problem = problem.refused(400, "HCS_E_INVALID_JSON");
    assert!(problem.to_string().contains("$.Layers[0].Pfad"), "{problem}");
    daemon.stop();
}

#[test]
fn paths_are_opened_with_the_rights_of_who_names_them() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon_with(CONFIGURATION);
    let archive = image(&machine, "demo");
    let url = |path: &str| format!("http://localhost{path}");
    let import = url(&format!("/images/import?source={}", encoded(&archive)));
    let as_manager = |words: &[&str]| ask_as(&machine, &daemon, MANAGE, words);
    done(Command::new("chmod").arg("600").arg(&archive));
    let (status, problem) = as_manager(&["-X", "POST", &import]);
    assert_eq!((status, &problem["name"]), (403, &json!("E_ACCESSDENIED")), "{problem}");
    done(Command::new("chmod").arg("644").arg(&archive));
    assert_eq!(as_manager(&["-X", "POST", &import]).0, 200);
    // Who may only look does nothing else, and sees the list.
    let as_reader = |words: &[&str]| ask_as(&machine, &daemon, READ, words);
    assert_eq!(as_reader(&["-X", "POST", &import]).0, 403);
    assert_eq!(as_reader(&["-X", "DELETE", &url("/images/demo%3A1")]).0, 403);
    assert_eq!(as_reader(&["-X", "POST", &url("/images/demo%3A1/archive")]).0, 403);
    assert_eq!(as_reader(&[&url("/images")]).1[0]["Names"], json!(["demo:1"]));
    // Nothing is written where the user may not, and what is written is the user's.
    let export =
        |target: &Path| url(&format!("/images/demo%3A1/export?target={}", encoded(target)));
    assert_eq!(as_manager(&["-X", "POST", &export(&machine.path("no.tar"))]).0, 403);
    let open = machine.path("open");
    std::fs::create_dir(&open).expect("made");
    done(Command::new("chmod").arg("777").arg(&open));
    assert_eq!(as_manager(&["-X", "POST", &export(&open.join("out.tar"))]).0, 200);
    let owner = std::os::unix::fs::MetadataExt::uid(
        &std::fs::metadata(open.join("out.tar")).expect("written"),
    );
    assert_eq!(owner, 65534);
    let folder = format!("{}&form=oci", export(&open.join("layout")));
    assert_eq!(as_manager(&["-X", "POST", &folder]).0, 403);
    let directory = url(&format!("/images/import?source={}", encoded(&open)));
    assert_eq!(as_manager(&["-X", "POST", &directory]).0, 403);
    // Layers are worked on as if there were no service.
    let layer = |path: &Path, what: &str| url(&format!("/layers/{}{what}", encoded(path)));
    let from = format!("/import?source={}", encoded(archive.with_file_name("layer.tar")));
    assert_eq!(as_manager(&["-X", "POST", &layer(&machine.path("no"), &from)]).0, 403);
    assert_eq!(as_manager(&["-X", "POST", &layer(&open.join("mine"), &from)]).0, 204);
    let secret = machine.path("secret");
    std::fs::create_dir(&secret).expect("made");
    std::fs::write(secret.join("file"), "root's alone").expect("written");
    done(Command::new("chmod").arg("600").arg(secret.join("file")));
    let theft = format!("/export?target={}", encoded(open.join("theft.tar")));
    assert_eq!(as_manager(&["-X", "POST", &layer(&secret, &theft)]).0, 403);
    assert!(!open.join("theft.tar").exists());
    assert_eq!(as_manager(&["-X", "DELETE", &layer(&secret, "")]).0, 403);
    assert!(secret.join("file").exists());
    assert_eq!(as_manager(&["--json", "{}", &layer(&open.join("mine"), "/attach")]).0, 403);
    assert_eq!(as_manager(&["-X", "DELETE", &layer(&open.join("mine"), "")]).0, 204);
    daemon.stop();
}

#[test]
fn the_services_images_are_for_whoever_may_make_systems() {
    let Some(machine) = Machine::new() else { return };
    let supervisor = Path::new(env!("CARGO_BIN_EXE_hostcomputed"));
    if !supervisor.with_file_name("hostcompute-supervisor").is_file() {
        assert!(std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(), "no supervisor was built");
        return eprintln!("skipped: hostcompute-supervisor was not built");
    }
    let daemon = machine.daemon_with(CONFIGURATION);
    let source = image(&machine, "demo");
    post(&daemon, &format!("/images/import?source={}", encoded(&source))).ok();
    let layers = daemon.ask("GET", "/layers", "").ok();
    let layer = layers[0]["Path"].as_str().expect("a path").to_owned();
    let make = |id: &str, layer: &str| {
        let document = json!({ "SchemaVersion": { "Major": 2, "Minor": 1 },
            "ShouldTerminateOnLastHandleClosed": true,
            "Container": { "Storage": { "Layers": [{ "Path": layer }] } } });
        let url = format!("http://localhost/systems?id={id}");
        ask_as(&machine, &daemon, MANAGE, &["--json", &document.to_string(), &url])
    };
    // Its directory is root's alone, and holds nothing that is not everybody's.
    assert_eq!(make("one", &layer).0, 201);
    let store = layer.rsplit_once('/').expect("a directory").0;
    for other in [format!("{layer}/hello"), store.to_owned()] {
        let (status, problem) = make("two", &other);
        assert_eq!((status, &problem["name"]), (403, &json!("E_ACCESSDENIED")), "{problem}");
        assert!(problem.to_string().contains("Storage.Layers[0].Path"), "{problem}");
    }
    daemon.stop();
}

#[test]
fn long_work_is_begun_followed_and_cancelled() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let archive = image(&machine, "demo");
    let begin = |source: &Path| {
        let path = format!("/images/import?source={}", encoded(source));
        let headers = [("Prefer", "respond-async")];
        let reply = daemon.connect().ask_with("POST", &path, &headers, "");
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.header("location").expect("a place").to_owned()
    };
    let place = begin(&archive);
    let told = daemon.ask("GET", &format!("{place}?wait=60"), "").ok();
    assert_eq!(
        (&told["State"], &told["Result"][0]["Name"]),
        (&json!("Succeeded"), &json!("demo:1"))
    );
    assert!(told["Progress"].to_string().contains("Begun"), "{told}");
    let mut followed = daemon.connect().listen(&format!("{place}/events"), &[]);
    let events = std::iter::from_fn(|| followed.next());
    assert_eq!(events.last().expect("an end").name, "Succeeded");
    assert_eq!(daemon.ask("DELETE", &place, "").status, 204, "it has ended");

    // A pipe that nobody would ever end.
    let pipe = machine.path("pipe");
    done(Command::new("mkfifo").arg(&pipe));
    let place = begin(&pipe);
    let mut writer = std::fs::File::options().write(true).open(&pipe).expect("somebody reads");
    let block = vec![0; 1 << 16];
    writer.write_all(&block).expect("it is read");
    assert_eq!(daemon.ask("DELETE", &place, "").status, 204);
    // It looks with every block, and goes.
    while writer.write_all(&block).is_ok() {}
    let told = daemon.ask("GET", &format!("{place}?wait=60"), "").ok();
    assert_eq!((&told["State"], &told["Problem"]["name"]), (&json!("Failed"), &json!("E_ABORT")));
    let nowhere = format!("/operations/{}", Guid::default());
    daemon.ask("DELETE", &nowhere, "").refused(404, "ERROR_NOT_FOUND");
    daemon.stop();
}

#[test]
fn a_service_that_stops_does_not_wait_for_downloads() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let pipe = machine.path("pipe");
    done(Command::new("mkfifo").arg(&pipe));
    let mut connection = daemon.connect();
    let path = format!("/images/import?source={}", encoded(&pipe));
    connection.send("POST", &path, &[("Accept", "application/x-ndjson")], "");
    let mut writer = std::fs::File::options().write(true).open(&pipe).expect("somebody reads");
    let block = vec![0; 1 << 16];
    writer.write_all(&block).expect("it is read");
    daemon.signal("TERM");
    while writer.write_all(&block).is_ok() {}
    let told = String::from_utf8(connection.rest()).expect("text");
    assert!(told.contains("\"Problem\"") && told.contains("E_ABORT"), "{told}");
    daemon.ended();
}

#[test]
fn an_archive_that_does_not_arrive_whole_leaves_nothing() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let layer = image(&machine, "demo").with_file_name("layer.tar");
    let target = machine.path("target");
    let bytes = std::fs::read(&layer).expect("there");
    let head = format!(
        "POST /layers/{}/import HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        encoded(&target)
    );
    let mut connection = daemon.connect();
    connection.write(head.as_bytes());
    connection.write(format!("{:x}\r\n", bytes.len()).as_bytes());
    connection.write(&bytes);
    connection.write(b"\r\n");
    // All of the layer has arrived, but not that this was all.
    drop(connection);
    let deadline = std::time::Instant::now() + LONG;
    while !daemon.log().lines().any(|line| line.contains("audit") && line.contains("ImportLayer")) {
        assert!(std::time::Instant::now() < deadline, "{}", daemon.log());
        std::thread::yield_now();
    }
    assert!(!target.exists());
    let left = std::fs::read_dir(machine.path("")).expect("there").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("target")), "{left:?}");
    daemon.stop();
}
