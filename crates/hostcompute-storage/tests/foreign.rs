//! Other tools as yardsticks: skopeo takes what we write and writes what we take, umoci unpacks an image to the same files.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::fs;
use std::path::Path;
use std::process::Command;

use hostcompute_storage::overlay::Overlay;
use hostcompute_storage::{
    Compression, Digest, ExportOptions, Form, Image, ImportOptions, Outer, Store, UNWATCHED,
};
use lab::image::Built;
use lab::tree::{self, Times};
use lab::{Inside, Member, Place, inside, tar};

/// Whether a tool is here; where all must be, that it is not is an error.
fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(), "{tool} is required");
        eprintln!("skipped: there is no {tool}");
    }
    found
}

#[track_caller]
fn run(tool: &str, words: &[&str]) {
    let output = Command::new(tool).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn options() -> ImportOptions {
    ImportOptions { platform: "linux/amd64".parse().unwrap(), ..ImportOptions::default() }
}

/// What layers can say to each other.
fn image() -> Built {
    let mut setuid = Member::file("bin/tool", b"tool");
    setuid.mode = 0o4755;
    let pax = b"29 SCHILY.xattr.user.a=value\n";
    let base = tar(&[
        Member::directory("bin/"),
        setuid,
        Member::hard_link("bin/again", "bin/tool"),
        Member::symlink("sbin", "bin"),
        Member::directory("etc/"),
        Member::pax(pax),
        Member::file("etc/marked", b"m"),
        Member::file("etc/gone", b"gone"),
        Member::directory("opaque/"),
        Member::file("opaque/below", b"b"),
        Member::directory("removed/"),
        Member::file("removed/x", b"x"),
    ]);
    let middle = tar(&[
        Member::directory("etc/"),
        Member::file("etc/.wh.gone", b""),
        Member::file(".wh.removed", b""),
        Member::directory("opaque/"),
        Member::file("opaque/.wh..wh..opq", b""),
        Member::file("opaque/own", b"own"),
    ]);
    let top = tar(&[Member::directory("removed/"), Member::file("removed/y", b"y")]);
    Built::new(&[(base, Compression::Gzip), (middle, Compression::Gzip), (top, Compression::Gzip)])
}

fn stored(place: &Place) -> Store {
    image().write_layout(&place.join("layout"), "demo:1");
    let store = Store::open(place.path()).unwrap();
    store.import(&place.join("layout"), &options(), UNWATCHED).unwrap();
    store
}

fn diff_ids(image: &Image) -> Vec<Digest> {
    image.layers.iter().map(|layer| layer.diff_id).collect()
}

#[test]
fn skopeo_takes_what_we_write_and_writes_what_we_take() {
    if !has("skopeo") {
        return;
    }
    let place = Place::new("skopeo");
    let store = stored(&place);
    let ours = store.image("demo:1").unwrap();
    let text = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let forms = [
        (Form::OciLayout, "oci", ":demo:1"),
        (Form::OciArchive, "oci-archive", ":demo:1"),
        (Form::DockerArchive, "docker-archive", ":demo:1"),
    ];
    for (form, from, tag) in forms {
        let written = text(&format!("ours-{from}"));
        let how = ExportOptions { form, compression: Outer::None };
        store.export("demo:1", Path::new(&written), &how, UNWATCHED).unwrap();
        for to in ["oci", "oci-archive", "docker-archive"] {
            let theirs = text(&format!("theirs-{from}-{to}"));
            let (source, target) =
                (format!("{from}:{written}{tag}"), format!("{to}:{theirs}:demo:1"));
            run("skopeo", &["--insecure-policy", "copy", "--quiet", &source, &target]);
            let other = Store::open(&place.join(&format!("state-{from}-{to}"))).unwrap();
            let imported = other.import(Path::new(&theirs), &options(), UNWATCHED);
            let imported = imported.unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
            assert_eq!(diff_ids(&imported[0].image), diff_ids(&ours), "{from} to {to}");
            assert_eq!(imported[0].image.execution, ours.execution, "{from} to {to}");
        }
    }
    // The store itself is a layout that other tools read.
    let source = format!("oci:{}:demo:1", store.root().display());
    run(
        "skopeo",
        &["--insecure-policy", "copy", "--quiet", &source, &format!("dir:{}", text("dir"))],
    );
}

#[test]
fn umoci_unpacks_an_image_to_the_same_files() {
    if !has("umoci") {
        return;
    }
    inside("umoci_unpacks_an_image_to_the_same_files", Inside::Mount, || {
        let place = Place::new("umoci");
        let store = stored(&place);
        // umoci takes no name with a colon in it.
        store.tag("demo:1", "plain").unwrap();
        let how = ExportOptions { form: Form::OciLayout, compression: Outer::None };
        store.export("demo:1", &place.join("exported"), &how, UNWATCHED).unwrap();
        let index = fs::read_to_string(place.join("exported/index.json")).unwrap();
        fs::write(place.join("exported/index.json"), index.replace("demo:1", "one")).unwrap();
        let (layout, bundle) = (place.join("exported"), place.join("bundle"));
        let layout = format!("{}:one", layout.display());
        run("umoci", &["unpack", "--image", &layout, bundle.to_str().unwrap()]);
        let view = place.join("view");
        fs::create_dir(&view).unwrap();
        let image = store.image("demo:1").unwrap();
        let layers = image.layers.iter().map(|layer| layer.path.clone()).collect();
        Overlay { layers, marks: store.marks(), ..Overlay::default() }.mount_at(&view).unwrap();
        let ours = tree::read(&view, Times::Seconds);
        let theirs = tree::read(&bundle.join("rootfs"), Times::Seconds);
        hostcompute_storage::overlay::unmount(&view).unwrap();
        assert_eq!(ours, theirs);
        assert!(ours.contains_key("removed/y") && !ours.contains_key("removed/x"));
    });
}
