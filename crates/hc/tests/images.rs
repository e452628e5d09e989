//! `hc image` and `hc layer` as people use them, on a state directory of the test's own, whether `hc` has the store in it or a service
//! has; and what a service does for users who are not root, for whoever does not wait, and for whoever leaves.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

#[macro_use]
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::Sandbox;
use serde_json::Value;

scenarios! {
    crate::Place::new, crate::Place::served;
    an_image_comes_is_shown_goes_out_and_is_removed,
    an_image_goes_through_pipes,
    what_is_refused_says_why,
    a_layer_comes_and_goes,
}

/// A state directory and the files of a test.
struct Place {
    directory: PathBuf,
    /// Where the service is that has the store.
    host: Option<Sandbox>,
}

impl Place {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "as where a service is needed, which may be missing"
    )]
    fn new() -> Option<Self> {
        Some(Self::with(None))
    }

    fn served() -> Option<Self> {
        Some(Self::with(Some(Sandbox::served()?)))
    }

    fn with(host: Option<Sandbox>) -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("hc-images-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        Self { directory, host }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        if let Some(host) = &self.host {
            return host.inside(env!("CARGO_BIN_EXE_hc"), words);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_hc"));
        command.arg("--state-dir").arg(self.join("state")).args(words).stdin(Stdio::null());
        command
    }

    fn text(&self, name: &str) -> String {
        self.join(name).to_str().unwrap().to_owned()
    }

    fn hc(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let output = self.hc(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        assert_eq!(said, "", "{words:?}: nothing is said where nobody looks");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str], status: i32) -> String {
        let output = self.hc(words);
        assert_eq!(output.status.code(), Some(status), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// A layer with one file, by a foreign tool.
    fn archive(&self, name: &str, file: &str, content: &str) -> String {
        fs::create_dir_all(self.join("tree")).unwrap();
        fs::write(self.join("tree").join(file), content).unwrap();
        let archive = self.text(name);
        let tar = Command::new("tar")
            .args(["-C", &self.text("tree"), "--owner=0", "--group=0", "-cf", &archive, "."])
            .status();
        assert!(tar.unwrap().success());
        fs::remove_dir_all(self.join("tree")).unwrap();
        archive
    }

    /// What `docker save` would write, of one layer.
    fn saved(&self, name: &str, content: &str) -> String {
        let layer = self.archive("layer.tar", "hello", content);
        let digest = Command::new("sha256sum").arg(&layer).output().unwrap();
        let digest = String::from_utf8(digest.stdout).unwrap();
        let digest = digest.split(' ').next().unwrap();
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let configuration = serde_json::json!({
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["cat", "/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        let manifest = serde_json::json!([
            {"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}
        ]);
        fs::write(self.join("config.json"), configuration.to_string()).unwrap();
        fs::write(self.join("manifest.json"), manifest.to_string()).unwrap();
        let archive = self.text("saved.tar");
        let tar = Command::new("tar")
            .args(["-C", self.directory.to_str().unwrap(), "-cf", &archive])
            .args(["layer.tar", "config.json", "manifest.json"])
            .status();
        assert!(tar.unwrap().success());
        archive
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn an_image_comes_is_shown_goes_out_and_is_removed(place: &Place) {
    let archive = place.saved("demo:1", "hello");
    assert_eq!(place.ok(&["image", "import", &archive]), "demo:1\n");
    let list = place.ok(&["image", "ls"]);
    assert!(list.starts_with("NAME    ID "), "{list}");
    assert!(list.contains("demo:1  "), "{list}");
    let all: Value = serde_json::from_str(&place.ok(&["image", "ls", "-o", "json"])).unwrap();
    let shown: Value =
        serde_json::from_str(&place.ok(&["image", "show", "demo:1", "-o", "json"])).unwrap();
    assert_eq!(all[0], shown);
    assert_eq!(shown["Execution"]["Cmd"], serde_json::json!(["cat", "/hello"]));
    let id = place.ok(&["image", "ls", "-o", "id"]);
    assert_eq!(id.trim(), shown["Id"]);
    let tree = Path::new(shown["Layers"][0]["Path"].as_str().unwrap()).to_owned();
    assert_eq!(fs::read_to_string(tree.join("hello")).unwrap(), "hello");

    for (format, name) in [("oci", "layout"), ("oci-archive", "a.tar"), ("docker-archive", "d.tar")]
    {
        let target = place.text(name);
        place.ok(&["image", "export", "demo:1", &target, "--format", format]);
        let again = place.refused(&["image", "export", "demo:1", &target, "--format", format], 1);
        assert!(again.contains("ERROR_ALREADY_EXISTS"), "{again}");
        assert_eq!(place.ok(&["image", "import", &target, "--name", "copy"]), "copy:latest\n");
        assert_eq!(place.ok(&["image", "ls", "-o", "id"]).lines().last(), Some(id.trim()));
    }
    place.ok(&["image", "tag", "demo:1", "third"]);
    let missing = place.refused(&["image", "rm", "nothing", "demo:1", "third", "copy"], 3);
    assert!(missing.contains("there is no image nothing"), "{missing}");
    assert_eq!(place.ok(&["image", "ls", "-o", "json"]), "[]\n");
    assert!(!tree.exists(), "what nobody uses goes at once");
    assert!(place.ok(&["image", "prune"]).starts_with("removed 0 layers"));
}

fn an_image_goes_through_pipes(place: &Place) {
    let archive = place.saved("demo:1", "hello");
    let run = |words: &[&str], input: Stdio| place.command(words).stdin(input).output().unwrap();
    let input = || Stdio::from(fs::File::open(&archive).unwrap());
    assert!(run(&["image", "import", "-"], input()).status.success());
    let output = run(&["image", "export", "demo:1", "-", "--compress", "zstd"], Stdio::null());
    fs::write(place.join("out.zst"), output.stdout).unwrap();
    place.ok(&["image", "import", &place.text("out.zst"), "--name", "again:1"]);
    assert_eq!(place.ok(&["image", "ls", "-o", "id"]).lines().count(), 1);
}

fn what_is_refused_says_why(place: &Place) {
    fs::write(place.join("text"), "no image").unwrap();
    let said = place.refused(&["image", "import", &place.text("text")], 1);
    assert!(said.contains("HCS_E_INVALID_LAYER"), "{said}");
    place.refused(&["image", "import", &place.text("missing")], 3);
    let archive = place.saved("demo:1", &"x".repeat(100_000));
    let said = place.refused(&["image", "import", &archive, "--limit-size", "10K"], 1);
    assert!(said.contains("more than 10240 bytes"), "{said}");
    let said = place.refused(&["image", "import", &archive, "--platform", "linux/s390x"], 1);
    assert!(said.contains("HCS_E_IMAGE_MISMATCH"), "{said}");
    place.refused(&["image", "import", &archive, "--platform", "nonsense"], 2);
    assert_eq!(place.ok(&["image", "ls", "-o", "json"]), "[]\n");
}

fn a_layer_comes_and_goes(place: &Place) {
    let archive = place.archive("base.tar", "file", "content");
    let (layer, out) = (place.text("base"), place.text("out.tar.gz"));
    let id = place.ok(&["layer", "import", &layer, &archive, "-o", "id"]);
    assert_eq!(id.trim().len(), 36);
    place.ok(&["layer", "export", &layer, &out]);
    place.ok(&["layer", "import", &place.text("again"), &out]);
    assert_eq!(fs::read_to_string(place.join("again/file")).unwrap(), "content");
    place.ok(&["layer", "export", &layer, &place.text("folder")]);
    assert!(place.join("folder/Files/file").exists());
    let said = place.refused(&["layer", "import", &layer, &archive], 1);
    assert!(said.contains("ERROR_ALREADY_EXISTS"), "{said}");
    place.ok(&["layer", "destroy", &layer, &place.text("again")]);
    place.refused(&["layer", "destroy", &layer], 3);
    let image = place.saved("demo:1", "hello");
    place.ok(&["image", "import", &image]);
    assert!(place.ok(&["layer", "ls"]).contains("demo:1"));
}

#[test]
fn the_merged_view_of_an_image() {
    if !Path::new("/proc/self/ns/mnt").exists() || !is_root() {
        return;
    }
    let place = Place::with(None);
    let image = place.saved("demo:1", "hello");
    place.ok(&["image", "import", &image]);
    let scratch = place.text("scratch");
    place.ok(&["layer", "init", &scratch, "--image", "demo:1"]);
    // In a mount namespace of its own: what is mounted there is seen nowhere else, and goes with it.
    let script = r#"set -e
        "$HC" layer attach "$SCRATCH" --image demo:1
        cat "$SCRATCH/hello"; echo changed > "$SCRATCH/hello"
        "$HC" image rm demo:1; "$HC" image prune
        "$HC" layer destroy "$SCRATCH" 2>&1 || true
        "$HC" layer detach "$SCRATCH"
        "$HC" layer export --writable "$SCRATCH" -"#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .env("HC", env!("CARGO_BIN_EXE_hc"))
        .env("SCRATCH", &scratch)
        .env("HOSTCOMPUTE_STATE_DIR", place.join("state"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("hello"), "{said}");
    assert!(said.contains("1 unnamed layers are in use"), "{said}");
    assert!(said.contains("is attached") && said.contains("changed"), "{said}");
    assert!(place.ok(&["image", "prune"]).starts_with("removed 1 layers"));
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    let root = fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0);
    if !root {
        assert!(std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(), "root is required");
        eprintln!("skipped: needs root");
    }
    root
}
