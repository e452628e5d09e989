//! A disk that is too small for an image: what is told, and that nothing is left of it.

mod sandbox;

use std::path::Path;
use std::process::Command;

use sandbox::{Said, Sandbox};
use serde_json::json;

#[track_caller]
fn done(command: &mut Command) {
    let output = command.output().expect("started");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// A layer with so many bytes that no compression makes fewer; its digest.
fn layer(folder: &Path, name: &str, bytes: usize) -> String {
    let tree = folder.join(format!("{name}-tree"));
    std::fs::create_dir_all(&tree).expect("made");
    let script = "head -c \"$1\" /dev/urandom >\"$0/$2\" && tar -C \"$0\" -cf \"$3\" .";
    let archive = folder.join(name);
    done(
        Command::new("sh")
            .args(["-c", script])
            .arg(&tree)
            .args([&bytes.to_string(), name])
            .arg(&archive),
    );
    let sum = Command::new("sha256sum").arg(&archive).output().expect("started").stdout;
    let sum = String::from_utf8(sum).expect("text");
    format!("sha256:{}", sum.split(' ').next().unwrap_or_default())
}

/// What `docker save` writes of an image of these layers.
fn image(folder: &Path, layers: &[(&str, usize)]) -> String {
    let digests: Vec<String> =
        layers.iter().map(|(name, bytes)| layer(folder, name, *bytes)).collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
    let configuration = json!({ "architecture": architecture, "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": digests } });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["large:1"], "Layers": names }]);
    std::fs::write(folder.join("config.json"), configuration.to_string()).expect("written");
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).expect("written");
    let archive = folder.join("image.tar");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(folder).arg("-cf").arg(&archive).args(["config.json", "manifest.json"]);
    done(tar.args(names));
    archive.to_str().expect("text").to_owned()
}

fn a_full_disk_is_told_and_is_as_before(host: &Sandbox) {
    let small = image(&made(host, "small"), &[("a.tar", 100_000)]);
    let large = image(&made(host, "large"), &[("b.tar", 500_000), ("c.tar", 4_500_000)]);
    // The store is there, and on a disk of its own from now on.
    host.hc(&["image", "ls"]).ok();
    let store = host.path("state/images");
    let store = store.to_str().expect("text");
    let mount = ["-t", "tmpfs", "-o", "size=4m", "tmpfs", store];
    Said::of(&mut host.inside("mount", &mount)).ok();
    host.hc(&["image", "import", &small, "--name", "small"]).ok();
    let found = || Said::of(&mut host.inside("find", &[store, "-printf", "%P %s\\n"])).ok();
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let files = || {
        let script = "cd \"$0\" && find . -type f";
        sorted(Said::of(&mut host.inside("sh", &["-c", script, store])).ok())
    };
    let before = files();
    let refused = host.hc(&["image", "import", &large]).refused(1);
    assert!(refused.contains("0x80070070") && refused.contains("ERROR_DISK_FULL"), "{refused}");
    assert_eq!(files(), before, "{}", found());
    let piped = std::fs::read(&large).expect("there");
    let file = host.file("piped", "");
    std::fs::write(&file, piped).expect("written");
    let script = format!("exec {} image import - <{file}", env!("CARGO_BIN_EXE_hc"));
    let refused = Said::of(&mut host.inside("sh", &["-c", &script])).refused(1);
    assert!(refused.contains("ERROR_DISK_FULL"), "{refused}");
    assert_eq!(files(), before, "{}", found());
    assert_eq!(host.json(&["image", "ls"]).as_array().map(Vec::len), Some(1));
    // A layer beside it.
    let base = host.path("state/images/base");
    let base = base.to_str().expect("text");
    let layer = host.path("large/c.tar");
    let import = ["layer", "import", base, layer.to_str().expect("text")];
    let refused = host.hc(&import).refused(1);
    assert!(refused.contains("ERROR_DISK_FULL"), "{refused}");
    assert_eq!(files(), before, "{}", found());
    // With room it goes through.
    Said::of(&mut host.inside("mount", &["-o", "remount,size=32m", store])).ok();
    host.hc(&["image", "import", &large]).ok();
}

fn made(host: &Sandbox, name: &str) -> std::path::PathBuf {
    let folder = host.path(name);
    std::fs::create_dir_all(&folder).expect("made");
    folder
}

#[test]
fn embedded() {
    let Some(host) = Sandbox::new() else { return };
    a_full_disk_is_told_and_is_as_before(&host);
}

#[test]
fn served() {
    let Some(host) = Sandbox::served() else { return };
    a_full_disk_is_told_and_is_as_before(&host);
}
