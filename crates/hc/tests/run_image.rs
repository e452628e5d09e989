//! `hc run --image`, whether `hc` has the store in it or a service has: what an image says of its command, and where it comes from.

#[macro_use]
mod sandbox;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use sandbox::{Said, Sandbox, supervisor_was_built};
use serde_json::{Value, json};

scenarios! {
    crate::Sandbox::for_containers, crate::Sandbox::served_for_containers;
    an_image_says_what_is_run_and_how,
    what_is_typed_goes_before_what_an_image_says,
    an_image_comes_from_its_registry_when_it_is_missing,
    an_image_that_cannot_be_had_is_told_readably,
    layers_of_a_container_stay_until_it_ends,
    an_image_says_how_it_is_asked_to_end,
}

/// A command that must succeed.
#[track_caller]
fn done(command: &mut Command) {
    let output = command.output().expect("started");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn digest(path: &Path) -> String {
    let sum = Command::new("sha256sum").arg(path).output().expect("started").stdout;
    let sum = String::from_utf8(sum).expect("text");
    format!("sha256:{}", sum.split(' ').next().unwrap_or_default())
}

/// An image of busybox in a folder: `layer.tar`, and `config.json` with these settings.
fn build(host: &Host<'_>, name: &str, settings: &Value) -> PathBuf {
    let folder = host.path(name);
    let tree = folder.join("tree");
    for directory in ["bin", "etc", "work", "tmp"] {
        std::fs::create_dir_all(tree.join(directory)).expect("made");
    }
    done(
        Command::new("sh")
            .args(["-c", "cp \"$(command -v busybox)\" \"$0\""])
            .arg(tree.join("bin")),
    );
    done(Command::new("chmod").arg("1777").arg(tree.join("tmp")));
    for program in ["sh", "cat", "env", "id", "pwd", "echo", "sleep"] {
        std::os::unix::fs::symlink("busybox", tree.join("bin").join(program)).expect("made");
    }
    std::fs::write(
        tree.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nmel:x:7:8::/work:/bin/sh\n",
    )
    .expect("written");
    std::fs::write(tree.join("etc/group"), "root:x:0:\nmels:x:8:\n").expect("written");
    std::fs::write(tree.join("version"), name).expect("written");
    let layer = folder.join("layer.tar");
    let own = ["--owner=0", "--group=0", "--numeric-owner"];
    done(Command::new("tar").args(own).arg("-C").arg(&tree).arg("-cf").arg(&layer).arg("."));
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let configuration = json!({ "architecture": architecture, "os": "linux", "config": settings,
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] } });
    std::fs::write(folder.join("config.json"), configuration.to_string()).expect("written");
    folder
}

/// What `docker save` writes of it, in the store.
fn import(host: &Host<'_>, name: &str, settings: &Value) {
    let folder = build(host, name, settings);
    let manifest = json!([{ "Config": "config.json", "RepoTags": [format!("{name}:latest")],
        "Layers": ["layer.tar"] }]);
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).expect("written");
    let archive = folder.join("image.tar");
    let members = ["layer.tar", "config.json", "manifest.json"];
    done(Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(&archive).args(members));
    host.hc(&["image", "import", archive.to_str().expect("text")]).ok();
}

/// The same in a registry that is nothing but files behind a web server.
fn publish(host: &Host<'_>, name: &str, tag: &str, settings: &Value) {
    let folder = build(host, name, settings);
    let repository = host.path("www/v2/team/app");
    for part in ["manifests", "blobs"] {
        std::fs::create_dir_all(repository.join(part)).expect("made");
    }
    let blob = |file: &str, media: &str| {
        let path = folder.join(file);
        let (digest, size) = (digest(&path), std::fs::metadata(&path).expect("there").len());
        std::fs::copy(&path, repository.join("blobs").join(&digest)).expect("room");
        json!({ "mediaType": media, "digest": digest, "size": size })
    };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.json", "application/vnd.oci.image.config.v1+json"),
        "layers": [blob("layer.tar", "application/vnd.oci.image.layer.v1.tar")],
    });
    std::fs::write(repository.join("manifests").join(tag), manifest.to_string()).expect("written");
}

/// A host whose containers and web server end with the test.
struct Host<'a> {
    sandbox: &'a Sandbox,
    server: Option<Child>,
}

impl<'a> Host<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        Self { sandbox, server: None }
    }

    fn hc(&self, words: &[&str]) -> Said {
        self.sandbox.hc(words)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// Serves what is published, on the host's loopback interface.
    fn serve(&mut self) {
        let folder = self.path("www");
        let folder = folder.to_str().expect("text");
        let server = ["httpd", "-f", "-p", "127.0.0.1:5000", "-h", folder];
        let mut server = self.sandbox.inside("busybox", &server);
        self.server = Some(server.spawn().expect("busybox serves"));
        let deadline = Instant::now() + Duration::from_secs(60);
        let ask =
            ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:5000/v2/team/app/manifests/1"];
        while Said::of(&mut self.sandbox.inside("busybox", &ask)).status != Some(0) {
            assert!(Instant::now() < deadline, "the web server does not answer");
        }
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        let running = self.hc(&["ps", "-o", "id"]).out;
        for id in running.lines() {
            self.hc(&["system", "terminate", id]);
        }
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn settings() -> Value {
    json!({ "Entrypoint": ["sh", "-c", "echo \"$A $B\"; id -u; id -g; pwd; echo \"$@\"; exit 5", "sh"],
        "Cmd": ["one", "two words"], "Env": ["A=of the image", "B=too", "PATH=/bin"],
        "User": "mel", "WorkingDir": "/work" })
}

fn an_image_says_what_is_run_and_how(host: &Sandbox) {
    let host = Host::new(host);
    import(&host, "demo", &settings());
    let said = host.hc(&["run", "--image", "demo"]);
    assert_eq!(said.out, "of the image too\n7\n8\n/work\none two words\n", "{}", said.err);
    assert_eq!(said.status, Some(5));
    // Without any of it: root, in /, with the usual variables.
    import(&host, "plain", &json!({ "Cmd": ["/bin/sh", "-c", "id -u; pwd; echo $HOME $PATH"] }));
    let said = host.hc(&["run", "--image", "plain"]).ok();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(said, format!("0\n/\n/root {path}\n"));
    // By its id, too; and what is written is gone with the container.
    let id = host.hc(&["image", "show", "plain", "-o", "id"]).ok();
    let words =
        ["run", "--image", id.trim(), "--", "/bin/sh", "-c", "echo x >/version; cat /version"];
    assert_eq!(host.hc(&words).ok(), "x\n");
    let words = ["run", "--image", "plain", "--", "/bin/cat", "/version"];
    assert_eq!(host.hc(&words).ok(), "plain");
}

fn what_is_typed_goes_before_what_an_image_says(host: &Sandbox) {
    let host = Host::new(host);
    import(&host, "demo", &settings());
    let options = ["run", "--image", "demo", "-e", "B=typed", "-u", "9:9", "-w", "/tmp"];
    let said = host.hc(&[&options[..], &["--", "three"]].concat());
    assert_eq!(said.out, "of the image typed\n9\n9\n/tmp\nthree\n", "{}", said.err);
    // Neither a command of the image's nor one that was typed.
    import(&host, "silent", &json!({ "Env": ["A=b"] }));
    let said = host.hc(&["run", "--image", "silent"]).refused(125);
    assert!(said.contains("there is no command"), "{said}");
    let said = host.hc(&["run", "--image", "silent", "--", "nothing-of-this-name"]).refused(127);
    assert!(said.contains("nothing-of-this-name"), "{said}");
    // A user that the image does not have.
    import(&host, "stranger", &json!({ "Cmd": ["/bin/id"], "User": "stranger" }));
    let said = host.hc(&["run", "--image", "stranger"]).refused(125);
    assert!(said.contains("stranger"), "{said}");
}

fn an_image_comes_from_its_registry_when_it_is_missing(host: &Sandbox) {
    let mut host = Host::new(host);
    publish(&host, "first", "1", &json!({ "Cmd": ["/bin/cat", "/version"] }));
    host.serve();
    let name = "127.0.0.1:5000/team/app:1";
    let run = |more: &[&str]| host.hc(&[&["run", "--image", name], more].concat());
    let refused = run(&["--pull", "never"]).refused(125);
    assert!(refused.contains("--pull missing"), "{refused}");
    assert_eq!(run(&[]).ok(), "first");
    // What is there is not asked for again, unless that is wanted.
    publish(&host, "second", "1", &json!({ "Cmd": ["/bin/cat", "/version"] }));
    assert_eq!(run(&["--pull", "missing"]).ok(), "first");
    assert_eq!(run(&["--pull", "always"]).ok(), "second");
    assert_eq!(run(&["--pull", "never"]).ok(), "second");
    host.hc(&["run", "--host-root", "--pull", "always", "--", "true"]).refused(2);
}

fn an_image_that_cannot_be_had_is_told_readably(host: &Sandbox) {
    let mut host = Host::new(host);
    let said = host.hc(&["run", "--image", "nothing"]).refused(125);
    assert!(
        said.contains("there is no image nothing") && said.contains("hc image import"),
        "{said}"
    );
    publish(&host, "first", "1", &json!({ "Cmd": ["/bin/cat", "/version"] }));
    // Nobody serves it yet.
    let said = host.hc(&["run", "--image", "127.0.0.1:5000/team/app:1"]).refused(125);
    assert!(said.contains("cannot reach the registry 127.0.0.1:5000"), "{said}");
    host.serve();
    let said = host.hc(&["run", "--image", "127.0.0.1:5000/team/app:2"]).refused(125);
    assert!(said.contains("404") && said.contains("ERROR_NOT_FOUND"), "{said}");
    assert_eq!(host.hc(&["image", "ls", "-o", "json"]).ok(), "[]\n");
}

fn layers_of_a_container_stay_until_it_ends(host: &Sandbox) {
    let host = Host::new(host);
    import(&host, "demo", &json!({ "Cmd": ["/bin/sleep", "1000"], "Env": ["PATH=/bin"] }));
    let shown = host.sandbox.json(&["image", "show", "demo"]);
    let tree = PathBuf::from(shown["Layers"][0]["Path"].as_str().expect("a path"));
    host.hc(&["run", "-d", "--name", "holder", "--image", "demo"]).ok();
    let listed = host.sandbox.json(&["layer", "ls"]);
    assert_eq!(listed[0]["IsInUse"], true, "{listed}");
    let refused = host.hc(&["layer", "destroy", tree.to_str().expect("text")]).refused(1);
    assert!(refused.contains("ERROR_SHARING_VIOLATION"), "{refused}");
    host.hc(&["image", "rm", "demo"]).ok();
    assert_eq!(host.sandbox.json(&["image", "prune"])["InUse"], 1);
    assert_eq!(host.hc(&["exec", "holder", "cat", "/version"]).ok(), "demo");
    host.hc(&["system", "terminate", "holder"]).ok();
    host.hc(&["image", "prune"]).ok();
    assert!(!tree.exists());
}

fn an_image_says_how_it_is_asked_to_end(host: &Sandbox) {
    let host = Host::new(host);
    let script = "for name in QUIT TERM USR1; do trap \"echo $name; exit 0\" $name; done; \
        echo ready; while :; do /bin/sleep 1000; done";
    let settings = json!({ "Cmd": ["/bin/sh", "-c", script], "StopSignal": "SIGQUIT" });
    import(&host, "demo", &settings);
    let ended_by = |name: &str, options: &[&str]| {
        host.hc(&[&["run", "-d", "--name", name, "--image", "demo"], options].concat()).ok();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !host.hc(&["logs", name]).out.contains("ready") {
            assert!(Instant::now() < deadline, "{name} does not begin");
        }
        host.hc(&["system", "shutdown", "--until-ended", name]).ok();
        host.hc(&["logs", name]).ok()
    };
    // The shell may have a word to say of its child's end, too, before or after.
    let heard = |said: &str| -> Vec<String> {
        let known = said.lines().filter(|line| ["QUIT", "TERM", "USR1"].contains(line));
        known.map(str::to_owned).collect()
    };
    assert_eq!(heard(&ended_by("image", &[])), ["QUIT"]);
    assert_eq!(heard(&ended_by("typed", &["--stop-signal", "USR1"])), ["USR1"]);
    let refused = host.hc(&["run", "--image", "demo", "--stop-signal", "NOPE"]).refused(125);
    assert!(refused.contains("\"NOPE\" is no signal"), "{refused}");
}

/// Whoever holds a directory by `flock`, as the kernel tells it.
fn holders(directory: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata(directory).expect("there").ino();
    let locks = std::fs::read_to_string("/proc/locks").expect("the kernel's table");
    let held = locks.lines().filter(|line| line.contains("FLOCK"));
    let held = held.filter(|line| line.contains(&format!(":{inode} ")));
    held.filter_map(|line| line.split_whitespace().nth(4).map(str::to_owned)).collect()
}

/// Whoever is killed, a layer is in use as long as its container is there, and no longer.
fn killed(host: &Sandbox, is_served: bool) {
    let host = Host::new(host);
    import(&host, "demo", &json!({ "Cmd": ["/bin/sleep", "1000"], "Env": ["PATH=/bin"] }));
    let shown = host.sandbox.json(&["image", "show", "demo"]);
    let tree = PathBuf::from(shown["Layers"][0]["Path"].as_str().expect("a path"));
    host.hc(&["run", "-d", "--name", "holder", "--image", "demo"]).ok();
    host.hc(&["image", "rm", "demo"]).ok();
    if is_served {
        host.sandbox.kill_daemon();
        host.sandbox.start_daemon();
    }
    assert_eq!(host.sandbox.json(&["image", "prune"])["InUse"], 1);
    assert!(tree.join("version").exists());
    // Its supervisor, and nobody else.
    let holders = holders(&tree);
    let [supervisor] = holders.as_slice() else { panic!("{holders:?}") };
    done(Command::new("kill").args(["-9", supervisor]));
    let deadline = Instant::now() + Duration::from_secs(60);
    while tree.exists() {
        assert!(Instant::now() < deadline, "the kernel lets go of what a killed process held");
        host.hc(&["image", "prune"]).ok();
    }
}

#[test]
fn a_layer_is_let_go_with_a_killed_supervisor() {
    if !supervisor_was_built() {
        return;
    }
    let Some(host) = Sandbox::new() else { return };
    killed(&host, false);
}

#[test]
fn a_layer_is_held_across_a_killed_service() {
    if !supervisor_was_built() {
        return;
    }
    let Some(host) = Sandbox::served() else { return };
    killed(&host, true);
}
