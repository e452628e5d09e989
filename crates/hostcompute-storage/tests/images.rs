//! Images into the store and out of it: every form, what is shared, what is refused, and what is left when something breaks.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hostcompute_storage::hold::Hold;
use hostcompute_storage::{
    Compression, Digest, Event, ExportOptions, Form, ImportOptions, Kind, Limits, Outer, Store,
    UNWATCHED,
};
use lab::image::{Built, compressed};
use lab::{Member, Place, tar};

fn base() -> Vec<u8> {
    tar(&[
        Member::directory("bin/"),
        Member::file("bin/hello", b"#!/bin/sh\n"),
        Member::directory("etc/"),
        Member::file("etc/old", b"old"),
    ])
}

fn top() -> Vec<u8> {
    tar(&[Member::file("etc/.wh.old", b""), Member::file("etc/new", b"new")])
}

/// Two layers, differently compressed.
fn image() -> Built {
    Built::new(&[(base(), Compression::Gzip), (top(), Compression::Zstd)])
}

/// For whichever machine the tests run on.
fn options() -> ImportOptions {
    ImportOptions { platform: "linux/amd64".parse().unwrap(), ..ImportOptions::default() }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn trees(store: &Store) -> Vec<PathBuf> {
    let names = names(&store.root().join("layers"));
    let trees = names.iter().filter(|name| !name.ends_with(".json"));
    trees.map(|name| store.root().join("layers").join(name)).collect()
}

fn layout(place: &Place, built: &Built) -> PathBuf {
    let path = place.join("layout");
    built.write_layout(&path, "demo:1");
    path
}

#[test]
fn an_image_is_what_its_configuration_says() {
    let place = Place::new("configuration");
    let store = Store::open(place.path()).unwrap();
    let built = image();
    let imported = store.import(&layout(&place, &built), &options(), UNWATCHED).unwrap();
    assert_eq!(imported[0].name.as_deref(), Some("demo:1"));
    let image = store.image("demo:1").unwrap();
    assert_eq!(imported[0].image, image);
    assert_eq!(image.id, Digest::of(&built.configuration));
    assert_eq!(image.manifest, built.manifest_digest());
    assert_eq!(image.created.as_deref(), Some("2026-01-02T03:04:05Z"));
    let execution = &image.execution;
    assert_eq!(execution.command(&[]), ["/bin/hello", "world"]);
    assert_eq!((execution.user.as_str(), execution.working_dir.as_str()), ("7:8", "/work"));
    assert_eq!(
        (&execution.env[..], &execution.exposed_ports[..]),
        (&["PATH=/bin".to_owned()][..], &["80/tcp".to_owned()][..])
    );
    let diff_ids: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
    assert_eq!(diff_ids, [built.layers[1].1, built.layers[0].1], "top first");
    assert_eq!(fs::read_to_string(image.layers[0].path.join("etc/new")).unwrap(), "new");
    assert_eq!(fs::read(image.layers[1].path.join("bin/hello")).unwrap(), b"#!/bin/sh\n");
    assert!(names(&store.root().join("staging")).is_empty());
}

#[test]
fn every_form_gives_the_same_layers() {
    let place = Place::new("forms");
    let built = Built::new(&[
        (base(), Compression::None),
        (top(), Compression::None),
        (base(), Compression::None),
    ]);
    let archive = built.layout_archive("demo:1");
    let saved = built.docker_archive(&["demo:1", "demo:two"]);
    let forms = [
        ("oci.tar", archive.clone()),
        ("oci.tar.gz", compressed(&archive, Compression::Gzip)),
        ("oci.tar.zst", compressed(&archive, Compression::Zstd)),
        ("saved.tar", saved.clone()),
        ("saved.tgz", compressed(&saved, Compression::Gzip)),
    ];
    let reference = Store::open(&place.join("reference")).unwrap();
    reference.import(&layout(&place, &built), &options(), UNWATCHED).unwrap();
    let expected = reference.image("demo:1").unwrap();
    for (name, bytes) in forms {
        let store = Store::open(&place.join(&format!("state-{name}"))).unwrap();
        let file = place.join(name);
        fs::write(&file, bytes).unwrap();
        store
            .import(&file, &options(), UNWATCHED)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let image = store.image("demo:1").unwrap();
        assert_eq!(image.id, expected.id, "{name}");
        let of = |image: &hostcompute_storage::Image| -> Vec<_> {
            image.layers.iter().map(|layer| (layer.digest, layer.diff_id)).collect()
        };
        assert_eq!(of(&image), of(&expected), "{name}");
        if name.starts_with("saved") {
            assert_eq!(store.image("demo:two").unwrap(), image);
        }
    }
}

/// The program beside the crate.
#[test]
fn the_example_imports_and_tells_what() {
    let place = Place::new("example");
    let archive = place.join("demo.tar");
    fs::write(&archive, image().layout_archive("demo:1")).unwrap();
    let built = std::env::current_exe().unwrap();
    let built = built.parent().and_then(|deps| deps.parent()).unwrap().join("examples/import");
    assert!(built.exists(), "run `cargo build -p hostcompute-storage --examples` first");
    let mut import = std::process::Command::new(built);
    let output = import.arg(place.path()).arg(&archive).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("2 layers"), "{output:?}");
    assert!(Store::open(place.path()).unwrap().image("demo:1").is_ok());
}

#[test]
fn an_archive_from_a_pipe() {
    let place = Place::new("pipe");
    let store = Store::open(place.path()).unwrap();
    let archive = image().layout_archive("latest");
    let (reader, mut writer) = std::io::pipe().unwrap();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &archive));
    let file = File::from(std::os::fd::OwnedFd::from(reader));
    store.import_stream(file, "piped", &options(), UNWATCHED).unwrap();
    writing.join().unwrap().unwrap();
    assert_eq!(store.image("piped").unwrap().names, ["piped:latest"]);
}

#[test]
fn what_goes_out_comes_in_again() {
    let place = Place::new("out");
    let store = Store::open(&place.join("one")).unwrap();
    store.import(&layout(&place, &image()), &options(), UNWATCHED).unwrap();
    let before = store.image("demo:1").unwrap();
    for (form, compression) in [
        (Form::OciLayout, Outer::None),
        (Form::OciArchive, Outer::None),
        (Form::OciArchive, Outer::Zstd),
        (Form::DockerArchive, Outer::None),
        (Form::DockerArchive, Outer::Gzip),
    ] {
        let target = place.join("exported");
        let export = ExportOptions { form, compression };
        store.export("demo:1", &target, &export, UNWATCHED).unwrap();
        let refused = store.export("demo:1", &target, &export, UNWATCHED).unwrap_err();
        assert_eq!(refused.kind(), Kind::Exists);
        let other = Store::open(&place.join("other")).unwrap();
        other.import(&target, &options(), UNWATCHED).unwrap_or_else(|e| panic!("{form:?}: {e}"));
        let after = other.image("demo:1").unwrap();
        assert_eq!(after.id, before.id, "{form:?}");
        let diffs = |image: &hostcompute_storage::Image| -> Vec<_> {
            image.layers.iter().map(|layer| layer.diff_id).collect()
        };
        assert_eq!(diffs(&after), diffs(&before), "{form:?}");
        if form != Form::DockerArchive {
            assert_eq!(after.manifest, before.manifest, "{form:?}: byte for byte");
        }
        fs::remove_dir_all(place.join("other")).unwrap();
        let _ = fs::remove_file(&target).or_else(|_| fs::remove_dir_all(&target));
    }
    assert_eq!(names(place.path()), ["layout", "one"], "nothing is left beside");
}

/// Events of an import, in words.
fn heard(store: &Store, path: &Path) -> Vec<String> {
    let told = Mutex::new(Vec::new());
    let watch = |event: Event<'_>| {
        let text = match event {
            Event::Begins { what, .. } => format!("begins {}", &what[..20]),
            Event::Present(what) => format!("present {}", &what[..20]),
            _ => return ControlFlow::Continue(()),
        };
        told.lock().unwrap().push(text);
        ControlFlow::Continue(())
    };
    store.import(path, &options(), &watch).unwrap();
    told.into_inner().unwrap()
}

#[test]
fn shared_layers_are_unpacked_once() {
    let place = Place::new("shared");
    let store = Store::open(place.path()).unwrap();
    store.import(&layout(&place, &image()), &options(), UNWATCHED).unwrap();
    let other = Built::new(&[
        (base(), Compression::Gzip),
        (tar(&[Member::file("x", b"x")]), Compression::Gzip),
    ]);
    other.write_layout(&place.join("other"), "other:1");
    let told = heard(&store, &place.join("other"));
    assert_eq!(
        told.iter().map(|text| text.split(' ').next().unwrap()).collect::<Vec<_>>(),
        ["present", "begins"]
    );
    assert_eq!(trees(&store).len(), 3);
    let bottom = |name: &str| store.image(name).unwrap().layers.pop().unwrap().path;
    assert_eq!(bottom("demo:1"), bottom("other:1"));
}

#[test]
fn collecting_takes_what_nobody_names_and_nobody_uses() {
    let place = Place::new("collect");
    let store = Store::open(place.path()).unwrap();
    store.import(&layout(&place, &image()), &options(), UNWATCHED).unwrap();
    let other = Built::new(&[
        (base(), Compression::Gzip),
        (tar(&[Member::file("x", b"x")]), Compression::Gzip),
    ]);
    other.write_layout(&place.join("other"), "other:1");
    store.import(&place.join("other"), &options(), UNWATCHED).unwrap();
    assert_eq!(store.prune().unwrap(), hostcompute_storage::Collected::default());

    let (used, holds) = store.image_in_use("demo:1").unwrap();
    let (_, gone) = store.untag("demo:1").unwrap();
    assert!(gone);
    assert_eq!(store.image("demo:1").unwrap_err().kind(), Kind::NotFound);
    let collected = store.prune().unwrap();
    assert_eq!((collected.layers, collected.in_use), (0, 1), "in use");
    assert!(used.layers[0].path.is_dir());
    drop(holds);
    assert_eq!(store.prune().unwrap().layers, 1, "the other image has the base too");
    assert!(!used.layers[0].path.exists() && used.layers[1].path.is_dir());
    store.untag("other").unwrap_err();
    store.untag("other:1").unwrap();
    store.prune().unwrap();
    for directory in ["layers", "blobs/sha256", "staging"] {
        assert!(names(&store.root().join(directory)).is_empty(), "{directory}");
    }
}

#[test]
fn names_move_and_are_taken_away() {
    let place = Place::new("names");
    let store = Store::open(place.path()).unwrap();
    store.import(&layout(&place, &image()), &options(), UNWATCHED).unwrap();
    store.tag("demo:1", "again").unwrap();
    let image = store.image("again:latest").unwrap();
    assert_eq!(image.names, ["again:latest", "demo:1"]);
    let id = image.id.hex();
    assert_eq!(store.image(&id[..8]).unwrap(), image);
    assert_eq!(store.image(&format!("sha256:{id}")).unwrap(), image);
    assert!(!store.untag("demo:1").unwrap().1, "it has another name");
    let other = Built::new(&[(top(), Compression::None)]);
    other.write_layout(&place.join("other"), "again:latest");
    store.import(&place.join("other"), &options(), UNWATCHED).unwrap();
    assert_eq!(store.image("again").unwrap().manifest, other.manifest_digest(), "the name moved");
    assert!(store.untag(&id[..8]).is_err(), "and the image that had it is gone");
}

#[test]
fn bytes_that_are_not_those_promised_are_refused() {
    let place = Place::new("mismatch");
    let built = image();
    let path = layout(&place, &built);
    for blob in built.blobs() {
        let store = Store::open(&place.join("state")).unwrap();
        let file = path.join("blobs/sha256").join(Digest::of(blob).hex());
        let mut changed = blob.to_vec();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&file, changed).unwrap();
        let error = store.import(&path, &options(), UNWATCHED).unwrap_err();
        assert!(matches!(error.kind(), Kind::Mismatch | Kind::Invalid), "{error}");
        assert!(store.images().unwrap().is_empty());
        fs::write(&file, blob).unwrap();
        store.import(&path, &options(), UNWATCHED).unwrap_or_else(|e| panic!("whole again: {e}"));
        fs::remove_dir_all(place.join("state")).unwrap();
    }
}

#[test]
fn a_stream_that_is_not_the_one_promised_is_refused() {
    let place = Place::new("diffid");
    let mut built = image();
    // The blob is what the manifest says; what it unpacks to is not what the configuration says.
    let other = Built::new(&[(top(), Compression::Gzip), (top(), Compression::Zstd)]);
    built.configuration.clone_from(&other.configuration);
    let mut manifest: serde_json::Value = serde_json::from_slice(&built.manifest).unwrap();
    manifest["config"] = lab::image::descriptor("", &built.configuration);
    built.manifest = manifest.to_string().into_bytes();
    let store = Store::open(place.path()).unwrap();
    let error = store.import(&layout(&place, &built), &options(), UNWATCHED).unwrap_err();
    assert_eq!(error.kind(), Kind::Mismatch, "{error}");
    assert!(store.images().unwrap().is_empty() && trees(&store).is_empty());
}

#[test]
fn what_is_no_image_is_refused() {
    let place = Place::new("no-image");
    let store = Store::open(place.path()).unwrap();
    fs::create_dir(place.join("empty")).unwrap();
    fs::write(place.join("text"), "no archive").unwrap();
    fs::write(place.join("layer.tar"), base()).unwrap();
    for name in ["empty", "text", "layer.tar"] {
        let error = store.import(&place.join(name), &options(), UNWATCHED).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{name}: {error}");
    }
    let missing = store.import(&place.join("missing"), &options(), UNWATCHED).unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    let foreign = Built::for_architecture(&[(base(), Compression::Gzip)], "s390x");
    foreign.write_layout(&place.join("foreign"), "x");
    let error = store.import(&place.join("foreign"), &options(), UNWATCHED).unwrap_err();
    assert_eq!(error.kind(), Kind::WrongPlatform);
    assert!(error.to_string().contains("linux/s390x"), "{error}");
    let limits = Limits { layers: 1, ..Limits::default() };
    let narrow = ImportOptions { limits, ..options() };
    let error = store.import(&layout(&place, &image()), &narrow, UNWATCHED).unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
}

#[test]
fn an_index_leads_to_the_variant_for_this_machine() {
    let place = Place::new("variants");
    let (ours, theirs) = (image(), Built::for_architecture(&[(top(), Compression::Gzip)], "arm64"));
    let path = layout(&place, &ours);
    theirs.write_layout(&path, "demo:1");
    let entry = |built: &Built, architecture: &str| {
        let mut entry = lab::image::descriptor(lab::image::MANIFEST, &built.manifest);
        entry["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
        entry
    };
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry(&theirs, "arm64"), entry(&ours, "amd64")]});
    let index = index.to_string().into_bytes();
    fs::write(path.join("blobs/sha256").join(Digest::of(&index).hex()), &index).unwrap();
    let mut outer = lab::image::descriptor("application/vnd.oci.image.index.v1+json", &index);
    outer["annotations"] = serde_json::json!({"io.containerd.image.name": "r.example/demo:1"});
    let outer = serde_json::json!({"schemaVersion": 2, "manifests": [outer]});
    fs::write(path.join("index.json"), outer.to_string()).unwrap();
    let store = Store::open(place.path()).unwrap();
    store.import(&path, &options(), UNWATCHED).unwrap();
    assert_eq!(store.image("r.example/demo:1").unwrap().manifest, ours.manifest_digest());
    let platform = "linux/riscv64".parse().unwrap();
    let error =
        store.import(&path, &ImportOptions { platform, ..options() }, UNWATCHED).unwrap_err();
    assert_eq!(error.kind(), Kind::WrongPlatform);
}

#[test]
fn directories_that_are_only_implied_are_as_below() {
    let place = Place::new("implied");
    let mut members = [Member::directory("srv/"), Member::file("srv/a", b"a")];
    members[0].mode = 0o711;
    let upper = tar(&[Member::file("srv/b", b"b"), Member::file("new/c", b"c")]);
    let built = Built::new(&[(tar(&members), Compression::Gzip), (upper, Compression::Gzip)]);
    let store = Store::open(place.path()).unwrap();
    store.import(&layout(&place, &built), &options(), UNWATCHED).unwrap();
    let top = store.image("demo:1").unwrap().layers.swap_remove(0).path;
    use std::os::unix::fs::PermissionsExt;
    let mode = |name: &str| fs::metadata(top.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("srv"), mode("new")), (0o711, 0o755));
    assert!(top.file_name().unwrap().to_string_lossy().contains('-'), "bound to what is below");
    assert_eq!(store.prune().unwrap().layers, 0);
}

#[test]
fn whoever_stops_an_import_leaves_nothing_listed() {
    let place = Place::new("stopped");
    let built = image();
    let path = layout(&place, &built);
    for stop_at in 0..40 {
        let store = Store::open(&place.join("state")).unwrap();
        let count = Mutex::new(0);
        let watch = |_: Event<'_>| {
            let mut count = count.lock().unwrap();
            *count += 1;
            if *count > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match store.import(&path, &options(), &watch) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), Kind::Cancelled, "{error}"),
        }
        assert!(store.images().unwrap().is_empty());
        store.import(&path, &options(), UNWATCHED).unwrap();
        store.untag("demo:1").unwrap();
        store.prune().unwrap();
        assert!(names(&store.root().join("layers")).is_empty());
        assert!(
            names(&store.root().join("staging")).is_empty(),
            "{:?}",
            names(&store.root().join("staging"))
        );
    }
}

#[test]
fn after_a_power_cut_only_what_is_listed_is_trusted() {
    let place = Place::new("power");
    let store = Store::open(place.path()).unwrap();
    let path = layout(&place, &image());
    store.import(&path, &options(), UNWATCHED).unwrap();
    let lost = store.root().join("blobs/sha256").join("0".repeat(64));
    fs::write(&lost, "named, and empty since the power was cut").unwrap();
    let tree = store.root().join("layers").join("1".repeat(64));
    fs::create_dir(&tree).unwrap();
    fs::write(store.root().join("staging/import-1-0"), "another boot\n").unwrap();
    assert_eq!(heard(&store, &path).len(), 2);
    assert!(!lost.exists() && !tree.exists());
    assert_eq!(store.images().unwrap().len(), 1);
    assert!(names(&store.root().join("staging")).is_empty());
}

#[test]
fn a_layer_in_use_is_held_by_its_user() {
    let place = Place::new("held");
    let store = Store::open(place.path()).unwrap();
    store.import(&layout(&place, &image()), &options(), UNWATCHED).unwrap();
    let (image, holds) = store.image_in_use("demo:1").unwrap();
    let own = Hold::shared(&image.layers[0].path).unwrap();
    drop(holds);
    assert!(Hold::alone(&image.layers[0].path).is_err());
    drop(own);
    Hold::alone(&image.layers[0].path).unwrap();
}
