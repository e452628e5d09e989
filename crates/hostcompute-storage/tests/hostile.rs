//! Layers that want to write elsewhere, or to fill the disk: each is refused, and nothing outside its directory changes.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use hostcompute_schema::hcs::LayerData;
use hostcompute_storage::{Error, Kind, Limits, UNWATCHED, layer};
use lab::{Member, Place, tar};

fn import(place: &Place, stream: &[u8], limits: &Limits) -> Result<(), Error> {
    let archive = place.join("layer.tar");
    File::create(&archive).unwrap().write_all(stream).unwrap();
    let made = layer::import_layer(
        &place.join("layer"),
        &archive,
        &LayerData::default(),
        limits,
        UNWATCHED,
    );
    fs::remove_file(&archive).unwrap();
    made
}

/// Refused as a layer that is not what it should be; no half of it is left, and the guard beside it is untouched.
#[track_caller]
fn refused(name: &str, members: &[Member<'_>]) {
    let place = Place::new(name);
    fs::create_dir(place.join("guard")).unwrap();
    fs::write(place.join("guard/file"), "untouched").unwrap();
    let error = import(&place, &tar(members), &Limits::default()).expect_err("must be refused");
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert_eq!(names(place.path()), ["guard"], "{error}");
    assert_eq!(names(&place.join("guard")), ["file"], "{error}");
    assert_eq!(fs::read_to_string(place.join("guard/file")).unwrap(), "untouched");
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn absolute_names() {
    refused("absolute", &[Member::file("/tmp/hc-absolute", b"x")]);
}

#[test]
fn names_that_climb() {
    refused("climb", &[Member::file("../guard/file", b"x")]);
    refused("climb-inside", &[Member::directory("a/"), Member::file("a/../../guard/file", b"x")]);
    refused("climb-directory", &[Member::directory("..")]);
    let name = "30 path=a/../../guard/escaped\n";
    refused("climb-pax", &[Member::pax(name.as_bytes()), Member::file("harmless", b"x")]);
}

#[test]
fn a_link_outside_and_a_file_through_it() {
    for (name, target) in
        [("relative", "../guard"), ("absolute-link", "/tmp"), ("proc", "/proc/self/cwd")]
    {
        refused(name, &[Member::symlink("door", target), Member::file("door/file", b"x")]);
        refused(name, &[Member::symlink("door", target), Member::directory("door/sub/")]);
        refused(
            name,
            &[Member::symlink("door", target), Member::hard_link("door/file", "door/file")],
        );
        refused(name, &[Member::symlink("door", target), Member::file("door/.wh.file", b"")]);
        refused(name, &[Member::symlink("door", target), Member::file("door/.wh..wh..opq", b"")]);
    }
    refused(
        "long-way",
        &[
            Member::symlink("one", "two"),
            Member::symlink("two", "a/b"),
            Member::directory("a/"),
            Member::symlink("a/b", "../../guard"),
            Member::file("one/file", b"x"),
        ],
    );
    refused("loop", &[Member::symlink("l", "l"), Member::file("l/x", b"x")]);
}

#[test]
fn a_directory_that_becomes_a_link() {
    refused(
        "swap",
        &[
            Member::directory("d/"),
            Member::file("d/first", b"x"),
            Member::symlink("d", "../guard"),
            Member::file("d/file", b"x"),
        ],
    );
}

#[test]
fn hard_links_to_what_is_outside() {
    refused("hard-absolute", &[Member::hard_link("x", "/etc/passwd")]);
    refused("hard-climb", &[Member::hard_link("x", "../guard/file")]);
    refused("hard-missing", &[Member::hard_link("x", "missing")]);
    refused("hard-directory", &[Member::directory("d/"), Member::hard_link("x", "d")]);
    refused(
        "hard-door",
        &[Member::symlink("door", "../guard"), Member::hard_link("x", "door/file")],
    );
}

#[test]
fn whiteouts_of_what_is_no_name() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/b"] {
        refused("whiteout", &[Member::directory("a/"), Member::file(name, b"")]);
    }
}

#[test]
fn a_hard_link_to_a_link_changes_nothing_outside() {
    let place = Place::new("link-to-link");
    fs::write(place.join("guard"), "untouched").unwrap();
    let members = [
        Member::symlink("door", "../guard"),
        Member::hard_link("again", "door"),
        Member::file("again", b"mine"),
        Member::file("door", b"mine"),
    ];
    import(&place, &tar(&members), &Limits::default()).unwrap();
    assert_eq!(fs::read_to_string(place.join("guard")).unwrap(), "untouched");
    assert_eq!(fs::read_to_string(place.join("layer/again")).unwrap(), "mine");
}

#[test]
fn marks_of_the_overlay_are_not_taken_from_a_layer() {
    let place = Place::new("marks");
    let record = |name: &str, value: &str| {
        let body = format!("SCHILY.xattr.{name}={value}\n");
        let length = body.len() + 3;
        format!("{length} {body}")
    };
    let text = record("user.overlay.opaque", "y") + &record("user.overlay.redirect", "/etc");
    let text = text + &record("trusted.overlay.metacopy", "");
    let members = [Member::pax(text.as_bytes()), Member::directory("d/")];
    import(&place, &tar(&members), &Limits::default()).unwrap();
    let mut names = [0; 4096];
    let length = rustix::fs::listxattr(place.join("layer/d"), &mut names).unwrap();
    assert!(!String::from_utf8_lossy(&names[..length]).contains("overlay"));
}

#[test]
fn streams_that_are_damaged() {
    let whole = tar(&[Member::file("a", &[7; 2000]), Member::file("b", b"x")]);
    for length in [1, 511, 513, 1000, 2000, 3000] {
        let place = Place::new("cut");
        let error = import(&place, &whole[..length], &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{length}: {error}");
        assert!(!place.join("layer").exists());
    }
    let mut flipped = whole.clone();
    flipped[3] ^= 1;
    let error = import(&Place::new("flipped"), &flipped, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn a_few_bytes_that_unpack_to_many() {
    let place = Place::new("bomb");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&tar(&[Member::file("zeros", &vec![0; 8 << 20])])).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 20_000);
    let limits = Limits { layer_bytes: 1 << 20, ..Limits::default() };
    let error = import(&place, &bomb, &limits).unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
    assert!(names(place.path()).is_empty());
    import(&place, &bomb, &Limits::default()).unwrap();
}

#[test]
fn more_entries_than_allowed() {
    let place = Place::new("entries");
    let names: Vec<String> = (0..50).map(|number| format!("f{number}")).collect();
    let members: Vec<Member<'_>> = names.iter().map(|name| Member::file(name, b"")).collect();
    let limits = Limits { layer_entries: 49, ..Limits::default() };
    let error = import(&place, &tar(&members), &limits).unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
    import(&place, &tar(&members), &Limits { layer_entries: 50, ..limits }).unwrap();
}

#[test]
fn extended_headers_that_would_fill_the_memory() {
    let mut header = tar(&[Member { kind: b'x', ..Member::file("pax", b"") }]);
    // A size of 8 GiB in the header alone: refused before a byte of it is read.
    header[124..135].copy_from_slice(b"77777777777");
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        - header[148..156].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        + 8 * 32;
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let error = import(&Place::new("memory"), &header, &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert!(error.to_string().contains("extended header"), "{error}");
}
