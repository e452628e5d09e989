//! Any tree goes into a stream and comes out the same; GNU tar reads what we write, and we read what it writes.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use hostcompute_schema::hcs::{ExportLayerOptions, LayerData};
use hostcompute_storage::{Compression, Limits, UNWATCHED, layer};
use lab::Place;
use lab::tree::{self, Entry, Kind, Times};
use proptest::prelude::*;

fn pack(tree: &Path, archive: &Path, compression: Compression) {
    let output = File::create(archive).unwrap();
    let options = ExportLayerOptions::default();
    layer::export_archive(tree, output, compression, &options, UNWATCHED).unwrap();
}

fn unpack(archive: &Path, target: &Path) {
    let data = LayerData::default();
    layer::import_layer(target, archive, &data, &Limits::default(), UNWATCHED).unwrap();
}

fn gnu_tar(words: &[&str], archive: &Path, directory: &Path) {
    let output = Command::new("tar")
        .args(words)
        .arg(archive)
        .arg("-C")
        .arg(directory)
        .args(if words.contains(&"-cf") { vec!["."] } else { vec![] })
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn same(one: &Path, other: &Path, times: Times) {
    let (one, other) = (tree::read(one, times), tree::read(other, times));
    for (name, line) in &one {
        assert_eq!(other.get(name), Some(line), "{name}");
    }
    assert_eq!(one.len(), other.len(), "one has more than the other");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn entry(name: impl Into<String>, kind: Kind) -> Entry {
    let mode = if matches!(kind, Kind::Directory) { 0o755 } else { 0o644 };
    let time = (1_700_000_000, 0);
    Entry { name: name.into(), kind, mode, owner: (0, 0), time, attributes: Vec::new() }
}

/// One of everything, and what is at the edge of the format.
fn everything() -> Vec<Entry> {
    let long = "d".repeat(90);
    let deep = format!("{long}/{long}/{long}");
    let mut entries = vec![
        entry("plain", Kind::File(b"content".to_vec())),
        entry("again", Kind::Again),
        entry("empty", Kind::File(Vec::new())),
        entry("block", Kind::File(vec![1; 512])),
        entry("block-and-one", Kind::File(vec![2; 513])),
        entry("large", Kind::File((0..700_000_u32).map(|n| (n % 251) as u8).collect())),
        entry("n\u{f6}n-ascii \n\\", Kind::File(b"x".to_vec())),
        entry("link", Kind::Symlink("plain".to_owned())),
        entry("long-link", Kind::Symlink("t/".repeat(120))),
        entry("dangling", Kind::Symlink("/no/where".to_owned())),
        entry("fifo", Kind::Fifo),
        entry("null", Kind::Device(1, 3)),
        entry("hole", Kind::Sparse(10 << 20, vec![0, 3 << 20, (10 << 20) - 6])),
        entry("all-hole", Kind::Sparse(5 << 20, vec![])),
        entry("hole-at-end", Kind::Sparse(5 << 20, vec![4096])),
        entry(long.clone(), Kind::Directory),
        entry(format!("{long}/{long}"), Kind::Directory),
        entry(deep.clone(), Kind::Directory),
        entry(format!("{deep}/{}", "f".repeat(200)), Kind::File(b"deep".to_vec())),
    ];
    let mut special = entry("special", Kind::File(b"s".to_vec()));
    special.mode = 0o6755;
    special.owner = (3_000_000, 70_000);
    special.time = (-1, 999_999_999);
    special.attributes = vec![
        ("user.text".to_owned(), b"value".to_vec()),
        ("user.bytes".to_owned(), vec![0, 10, 61, 255]),
        ("user.empty".to_owned(), Vec::new()),
    ];
    entries.push(special);
    let mut closed = entry("closed", Kind::Directory);
    closed.mode = 0o1700;
    closed.time = (1_600_000_000, 123_456_789);
    closed.attributes = vec![("user.on-directory".to_owned(), b"y".to_vec())];
    entries.push(closed);
    entries.push(entry("closed/inside", Kind::File(b"i".to_vec())));
    entries
}

#[test]
fn everything_goes_out_and_in_again() {
    let place = Place::new("everything");
    tree::make(&place.join("tree"), &everything(), is_root());
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (archive, out) = (place.join("archive"), place.join("out"));
        pack(&place.join("tree"), &archive, compression);
        unpack(&archive, &out);
        same(&place.join("tree"), &out, Times::Exact);
        assert!(tree::stored(&out.join("all-hole")) < 1 << 16, "holes stay holes");
        assert!(tree::stored(&out.join("hole")) < 1 << 20, "holes stay holes");
        layer::destroy_layer(&out).unwrap();
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let place = Place::new("bytes");
    tree::make(&place.join("tree"), &everything(), is_root());
    pack(&place.join("tree"), &place.join("one"), Compression::Gzip);
    pack(&place.join("tree"), &place.join("two"), Compression::Gzip);
    assert!(fs::read(place.join("one")).unwrap() == fs::read(place.join("two")).unwrap());
}

#[test]
fn gnu_tar_reads_what_we_write() {
    let place = Place::new("gnu-reads");
    tree::make(&place.join("tree"), &everything(), is_root());
    pack(&place.join("tree"), &place.join("archive"), Compression::None);
    fs::create_dir(place.join("out")).unwrap();
    let words = ["--xattrs", "--xattrs-include=*", "-p", "--numeric-owner", "-xf"];
    gnu_tar(&words, &place.join("archive"), &place.join("out"));
    same(&place.join("tree"), &place.join("out"), Times::Exact);
}

#[test]
fn we_read_what_gnu_tar_writes() {
    let place = Place::new("gnu-writes");
    tree::make(&place.join("tree"), &everything(), is_root());
    let forms: [(&[&str], Times); 5] = [
        (&["--format=posix"], Times::Exact),
        (&["--format=posix", "--sparse", "--sparse-version=1.0"], Times::Exact),
        (&["--format=posix", "--sparse", "--sparse-version=0.1"], Times::Exact),
        (&["--format=posix", "--sparse", "--sparse-version=0.0"], Times::Exact),
        (&["--format=gnu", "--sparse"], Times::Seconds),
    ];
    for (form, times) in forms {
        let mut words = vec!["--xattrs", "--xattrs-include=*", "--numeric-owner"];
        words.extend(form);
        if times == Times::Seconds {
            // GNU's own form has no extended attributes.
            words.retain(|word| !word.starts_with("--xattrs"));
        }
        words.push("-cf");
        let (archive, out) = (place.join("archive"), place.join("out"));
        gnu_tar(&words, &archive, &place.join("tree"));
        unpack(&archive, &out);
        let (mut expected, mut found) =
            (tree::read(&place.join("tree"), times), tree::read(&out, times));
        if times == Times::Seconds {
            for lines in [&mut expected, &mut found] {
                lines.values_mut().for_each(|line| {
                    *line = line.split(" user.").next().unwrap_or_default().to_owned();
                });
            }
        }
        assert_eq!(expected, found, "{form:?}");
        layer::destroy_layer(&out).unwrap();
    }
}

#[test]
fn sockets_are_left_out_and_told() {
    let place = Place::new("sockets");
    fs::create_dir(place.join("tree")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(place.join("tree/socket")).unwrap();
    let told = std::sync::Mutex::new(Vec::new());
    let watch = |event: hostcompute_storage::Event<'_>| {
        if let hostcompute_storage::Event::Note(note) = event {
            told.lock().unwrap().push(note.to_owned());
        }
        std::ops::ControlFlow::Continue(())
    };
    let output = File::create(place.join("archive")).unwrap();
    let options = ExportLayerOptions::default();
    layer::export_archive(&place.join("tree"), output, Compression::None, &options, &watch)
        .unwrap();
    unpack(&place.join("archive"), &place.join("out"));
    assert!(tree::read(&place.join("out"), Times::Exact).is_empty());
    assert_eq!(*told.lock().unwrap(), ["1 sockets were left out"]);
}

fn any_name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9 ._\\-]{1,30}".prop_filter("special", |name| !matches!(name.as_str(), "." | "..") && !name.starts_with(".wh.")),
        1 => "\\PC{1,20}".prop_map(|text| text.replace(['/', '\0'], "_")).prop_filter("special", |name| !matches!(name.as_str(), "." | "..") && !name.starts_with(".wh.")),
    ];
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        6 => Just(Kind::Directory),
        4 => prop::collection::vec(any::<u8>(), 0..2000).prop_map(Kind::File),
        1 => (1_u64..1 << 20, prop::collection::vec(0_u64..1 << 20, 0..3)).prop_map(|(size, places)| Kind::Sparse(size, places)),
        2 => "[a-z./]{1,150}".prop_map(Kind::Symlink),
        1 => Just(Kind::Fifo),
        1 => (1_u32..250, 0_u32..250).prop_map(|(major, minor)| Kind::Device(major, minor)),
        2 => Just(Kind::Again),
    ];
    let mode = prop::sample::select(vec![0o755, 0o644, 0o600, 0o1777, 0o4755, 0o2750, 0o000]);
    let owner = prop::sample::select(vec![(0, 0), (1000, 1000), (0, 42), (3_000_000, 1)]);
    let time =
        (-(1_i64 << 31)..1 << 33, prop::sample::select(vec![0_u32, 1, 500_000_000, 999_999_999]));
    let attribute = ("user\\.[a-z]{1,20}", prop::collection::vec(any::<u8>(), 0..50));
    (any_name(), kind, mode, owner, time, prop::collection::vec(attribute, 0..2)).prop_map(
        |(name, kind, mode, owner, time, mut attributes)| {
            attributes.sort();
            attributes.dedup_by(|one, other| one.0 == other.0);
            Entry { name, kind, mode, owner, time, attributes }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_goes_out_and_in_again(entries in prop::collection::vec(any_entry(), 0..40)) {
        let place = Place::new("any");
        tree::make(&place.join("tree"), &entries, is_root());
        pack(&place.join("tree"), &place.join("archive"), Compression::None);
        unpack(&place.join("archive"), &place.join("out"));
        same(&place.join("tree"), &place.join("out"), Times::Exact);
    }

    #[test]
    fn any_stream_stays_where_it_belongs(members in prop::collection::vec(any_member(), 0..30), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2)) {
        let place = Place::new("stream");
        fs::create_dir(place.join("guard")).unwrap();
        fs::write(place.join("guard/file"), "untouched").unwrap();
        let members: Vec<lab::Member<'_>> = members.iter().map(|(name, kind, link, data)| {
            lab::Member { name, kind: *kind, link, data, mode: 0o755 }
        }).collect();
        let mut stream = lab::tar(&members);
        for (at, byte) in flips {
            let at = at.index(stream.len());
            stream[at] ^= byte;
        }
        fs::write(place.join("archive"), stream).unwrap();
        let limits = Limits { layer_bytes: 1 << 24, ..Limits::default() };
        let made = layer::import_layer(&place.join("layer"), &place.join("archive"), &LayerData::default(), &limits, UNWATCHED);
        let mut names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let expected: &[&str] = if made.is_ok() { &["archive", "guard", "layer"] } else { &["archive", "guard"] };
        prop_assert_eq!(names, expected);
        prop_assert_eq!(fs::read_dir(place.join("guard")).unwrap().count(), 1);
        prop_assert_eq!(fs::read_to_string(place.join("guard/file")).unwrap(), "untouched");
        if made.is_ok() {
            layer::destroy_layer(&place.join("layer")).unwrap();
            prop_assert!(place.join("guard/file").exists());
        }
    }
}

/// Members that hostile writers would like: doors that lead outside, and things behind them.
fn any_member() -> impl Strategy<Value = (String, u8, String, Vec<u8>)> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "door",
        "..",
        ".",
        "",
        "guard",
        "file",
        ".wh.a",
        ".wh.door",
        ".wh..wh..opq",
        ".wh...",
    ]);
    let name = prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"));
    let link = prop::sample::select(vec![
        "a",
        "b",
        "door",
        "..",
        "../guard",
        "../../guard",
        "../guard/file",
        "/",
        "/tmp",
        "a/b",
        ".",
        "door/file",
        "/proc/self/root",
        "/proc/self/cwd",
    ]);
    let kind = prop::sample::select(vec![b'0', b'0', b'1', b'2', b'2', b'5', b'6', b'3', 0, b'7']);
    (name, kind, link.prop_map(str::to_owned), prop::collection::vec(any::<u8>(), 0..20))
}
