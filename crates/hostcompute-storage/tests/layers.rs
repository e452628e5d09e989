//! The functions of computestorage, and the merged view as the kernel makes it; as root, and as root of a user namespace alone.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hostcompute_schema::HResult;
use hostcompute_schema::hcs::{
    ExportLayerOptions, FilterType, Layer, LayerData, OsLayerOptions, OsLayerType,
};
use hostcompute_storage::overlay::{self, Overlay, Scratch};
use hostcompute_storage::{Compression, Kind, Limits, Store, UNWATCHED, layer};
use lab::image::Built;
use lab::{Inside, Member, Place, inside, tar};

fn data(layers: &[&Path]) -> LayerData {
    let layer = |path: &&Path| Layer {
        id: Some(layer::layer_id(path)),
        path: Some(path.to_str().unwrap().to_owned()),
        ..Layer::default()
    };
    LayerData { layers: Some(layers.iter().map(layer).collect()), ..LayerData::default() }
}

fn import(path: &Path, source: &Path, parents: &[&Path]) {
    layer::import_layer(path, source, &data(parents), &Limits::default(), UNWATCHED).unwrap();
}

/// Two layers from archives: the upper one hides a file and a directory, and makes one its own.
fn two_layers(place: &Place) -> (PathBuf, PathBuf) {
    let (base, top) = (place.join("base"), place.join("top"));
    let mut srv = Member::directory("srv/");
    srv.mode = 0o711;
    let stream = tar(&[
        Member::file("gone", b"gone"),
        Member::file("kept", b"kept"),
        Member::directory("opaque/"),
        Member::file("opaque/below", b"below"),
        Member::directory("removed/"),
        Member::file("removed/inside", b"inside"),
        Member::directory("back/"),
        Member::file("back/old", b"old"),
        srv,
    ]);
    fs::write(place.join("base.tar"), stream).unwrap();
    let stream = tar(&[
        Member::file(".wh.gone", b""),
        Member::file(".wh.removed", b""),
        Member::file("opaque/.wh..wh..opq", b""),
        Member::file("opaque/own", b"own"),
        // Removed and made again in one layer, in either order.
        Member::file(".wh.back", b""),
        Member::directory("back/"),
        Member::file("back/new", b"new"),
        Member::file("srv/new", b"new"),
    ]);
    fs::write(place.join("top.tar"), stream).unwrap();
    import(&base, &place.join("base.tar"), &[]);
    import(&top, &place.join("top.tar"), &[&base]);
    (base, top)
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn merged_view() {
    let place = Place::new("merged");
    let (base, top) = two_layers(&place);
    let scratch = place.join("scratch");
    let parents = data(&[&top, &base]);
    layer::initialize_writable_layer(&scratch, &parents).unwrap();
    let again = layer::initialize_writable_layer(&scratch, &parents).unwrap_err();
    assert_eq!(again.kind(), Kind::Exists);
    layer::attach_layer_storage_filter(&scratch, &parents).unwrap();
    assert_eq!(names(&scratch), ["back", "kept", "opaque", "srv"]);
    assert_eq!(names(&scratch.join("opaque")), ["own"]);
    assert_eq!(names(&scratch.join("back")), ["new"]);
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(scratch.join("srv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o711, "an implied directory keeps its permissions");
    assert!(overlay::is_mounted_at(&scratch));
    fs::write(scratch.join("written"), "here").unwrap();
    fs::remove_file(scratch.join("kept")).unwrap();

    // In use: not attached twice, not destroyed, nor its parents.
    let twice = layer::attach_layer_storage_filter(&scratch, &parents).unwrap_err();
    assert_eq!(twice.kind(), Kind::Exists);
    for used in [&scratch, &base, &top] {
        let error = layer::destroy_layer(used).unwrap_err();
        assert_eq!(
            (error.kind(), error.hresult()),
            (Kind::InUse, HResult::ERROR_SHARING_VIOLATION)
        );
    }
    let open = File::open(scratch.join("written")).unwrap();
    assert_eq!(layer::detach_layer_storage_filter(&scratch).unwrap_err().kind(), Kind::InUse);
    drop(open);
    layer::detach_layer_storage_filter(&scratch).unwrap();
    let gone = layer::detach_layer_storage_filter(&scratch).unwrap_err();
    assert_eq!(gone.hresult(), HResult::ERROR_NOT_FOUND);

    // What was written goes out as a layer, and in again upon the same parents.
    let options = ExportLayerOptions { is_writable_layer: Some(true), ..Default::default() };
    layer::export_layer(&scratch, &place.join("folder"), &parents, &options, UNWATCHED).unwrap();
    assert_eq!(names(&place.join("folder")), ["Files", "tombstones.txt"]);
    let tombstones = fs::read_to_string(place.join("folder/tombstones.txt")).unwrap();
    assert_eq!(tombstones, "\u{feff}Version 1.0\n\\kept\n");
    let third = place.join("third");
    import(&third, &place.join("folder"), &[&top, &base]);
    let view = place.join("view");
    fs::create_dir(&view).unwrap();
    let marks = if rustix::process::geteuid().is_root() && !is_nested() {
        overlay::Marks::Trusted
    } else {
        overlay::Marks::User
    };
    let layers = vec![third, top.clone(), base.clone()];
    Overlay { layers, marks, ..Overlay::default() }.mount_at(&view).unwrap();
    assert_eq!(names(&view), ["back", "opaque", "srv", "written"]);
    assert!(fs::write(view.join("x"), "x").is_err(), "without a scratch it is read-only");
    overlay::unmount(&view).unwrap();
    for unused in [&scratch, &top, &base] {
        layer::destroy_layer(unused).unwrap();
        assert_eq!(
            layer::destroy_layer(unused).unwrap_err().hresult(),
            HResult::ERROR_PATH_NOT_FOUND
        );
    }
}

/// Whether ids are mapped: then the machine's own marks may not be set.
fn is_nested() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

#[test]
fn the_merged_view() {
    inside("the_merged_view", Inside::Mount, merged_view);
}

#[test]
fn the_merged_view_in_a_user_namespace() {
    inside("the_merged_view_in_a_user_namespace", Inside::User, merged_view);
}

#[test]
fn what_a_user_cannot_keep_is_told() {
    inside("what_a_user_cannot_keep_is_told", Inside::User, || {
        let place = Place::new("lost");
        let mut theirs = tar(&[
            Member::file("theirs", b"x"),
            Member { kind: b'3', ..Member::file("null", b"") },
        ]);
        // Owner 1000, who is not mapped.
        theirs[108..115].copy_from_slice(b"0001750");
        let sum: u32 = theirs[..512]
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        theirs[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        // A device 1:3 needs numbers, which stand after the magic.
        let null = &mut theirs[1024..1536];
        null[329..336].copy_from_slice(b"0000001");
        null[337..344].copy_from_slice(b"0000003");
        let sum: u32 = null
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        null[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        fs::write(place.join("layer.tar"), theirs).unwrap();
        let told = std::sync::Mutex::new(Vec::new());
        let watch = |event: hostcompute_storage::Event<'_>| {
            if let hostcompute_storage::Event::Note(note) = event {
                told.lock().unwrap().push(note.to_owned());
            }
            std::ops::ControlFlow::Continue(())
        };
        let (path, source) = (place.join("layer"), place.join("layer.tar"));
        layer::import_layer(&path, &source, &LayerData::default(), &Limits::default(), &watch)
            .unwrap();
        assert_eq!(names(&path), ["theirs"]);
        let told = told.lock().unwrap().concat();
        assert!(told.contains("1 owners, 1 device nodes"), "{told}");
    });
}

#[test]
fn many_layers_with_long_names() {
    inside("many_layers_with_long_names", Inside::Mount, || {
        let place = Place::new("many");
        let layers: Vec<PathBuf> = (0..120)
            .map(|number| {
                let path = place.join(&format!("{}/layer:{number},\\", "l".repeat(230)));
                fs::create_dir_all(&path).unwrap();
                fs::write(path.join(format!("file{number}")), "x").unwrap();
                path
            })
            .collect();
        let (view, scratch) = (place.join("view"), place.join("scratch"));
        for directory in [&view, &scratch.join("upper"), &scratch.join("work")] {
            fs::create_dir_all(directory).unwrap();
        }
        let scratch = Some(Scratch::of(&scratch));
        let overlay = Overlay { layers, scratch, ..Overlay::default() };
        overlay.mount_at(&view).unwrap();
        assert_eq!(names(&view).len(), 120);
        overlay::unmount(&view).unwrap();
        let nowhere = overlay.detached().unwrap();
        let inside = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&nowhere));
        assert_eq!(names(Path::new(&inside)).len(), 120);
    });
}

#[test]
fn errors_say_what_the_kernel_says() {
    inside("errors_say_what_the_kernel_says", Inside::Mount, || {
        let place = Place::new("kernel");
        fs::create_dir(place.join("view")).unwrap();
        let layers = vec![place.join("missing"), place.path().to_owned()];
        let error =
            Overlay { layers, ..Overlay::default() }.mount_at(&place.join("view")).unwrap_err();
        assert_eq!(error.errno(), rustix::io::Errno::NOENT, "{error}");
    });
}

#[test]
fn an_image_of_the_store_runs() {
    let Ok(busybox) = fs::read("/bin/busybox") else {
        assert!(
            std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(),
            "busybox-static is required"
        );
        eprintln!("skipped: there is no /bin/busybox");
        return;
    };
    inside("an_image_of_the_store_runs", Inside::Mount, || {
        let place = Place::new("busybox");
        let mut program = Member::file("bin/busybox", &busybox);
        program.mode = 0o755;
        let base =
            tar(&[Member::directory("bin/"), program, Member::hard_link("bin/cat", "bin/busybox")]);
        let top = tar(&[Member::file("greeting", b"hello from a layer\n")]);
        let built = Built::new(&[(base, Compression::Gzip), (top, Compression::Zstd)]);
        built.write_layout(&place.join("layout"), "busybox:1");
        let store = Store::open(place.path()).unwrap();
        let options = hostcompute_storage::ImportOptions {
            platform: "linux/amd64".parse().unwrap(),
            ..Default::default()
        };
        store.import(&place.join("layout"), &options, UNWATCHED).unwrap();
        let (image, holds) = store.image_in_use("busybox:1").unwrap();
        let scratch = place.join("scratch");
        let paths: Vec<&Path> = image.layers.iter().map(|layer| layer.path.as_path()).collect();
        let parents = data(&paths);
        layer::initialize_writable_layer(&scratch, &parents).unwrap();
        layer::attach_layer_storage_filter(&scratch, &parents).unwrap();
        drop(holds);
        let output = std::process::Command::new("chroot")
            .arg(&scratch)
            .args(["/bin/cat", "/greeting"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello from a layer\n");
        store.untag("busybox:1").unwrap();
        let collected = store.prune().unwrap();
        assert_eq!((collected.layers, collected.in_use), (0, 2), "mounted");
        layer::detach_layer_storage_filter(&scratch).unwrap();
        assert_eq!(store.prune().unwrap().layers, 2);
    });
}

#[test]
fn parents_must_be_there_and_of_linux() {
    let place = Place::new("parents");
    let init = |data: &LayerData| layer::initialize_writable_layer(&place.join("s"), data);
    let missing = place.join("missing");
    assert_eq!(init(&data(&[&missing])).unwrap_err().hresult(), HResult::ERROR_PATH_NOT_FOUND);
    assert_eq!(init(&data(&[Path::new("relative")])).unwrap_err().hresult(), HResult::E_INVALIDARG);
    fs::create_dir_all(place.join("windows/Hives")).unwrap();
    let windows = place.join("windows");
    assert_eq!(init(&data(&[&windows])).unwrap_err().hresult(), HResult::HCS_E_IMAGE_MISMATCH);
    let no_layer = layer::import_layer(
        &place.join("layer"),
        place.path(),
        &LayerData::default(),
        &Limits::default(),
        UNWATCHED,
    );
    assert_eq!(no_layer.unwrap_err().hresult(), HResult::HCS_E_INVALID_LAYER);
    let attached = layer::attach_layer_storage_filter(place.path(), &data(&[place.path()]));
    assert_eq!(attached.unwrap_err().hresult(), HResult::HCS_E_INVALID_LAYER);
    let alone = layer::attach_layer_storage_filter(place.path(), &LayerData::default());
    assert_eq!(alone.unwrap_err().hresult(), HResult::E_INVALIDARG);
}

#[test]
fn what_was_attached_by_way_of_a_link_is_in_use() {
    inside("what_was_attached_by_way_of_a_link_is_in_use", Inside::Mount, || {
        let place = Place::new("linked");
        let (base, top) = two_layers(&place);
        let link = place.join("link");
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        let name = |path: &Path| link.join(path.file_name().unwrap());
        let parents = data(&[&name(&top), &name(&base)]);
        let scratch = link.join("scratch");
        layer::initialize_writable_layer(&scratch, &parents).unwrap();
        layer::attach_layer_storage_filter(&scratch, &parents).unwrap();
        for path in [&base, &name(&top), &scratch, &place.join("scratch")] {
            assert_eq!(layer::destroy_layer(path).unwrap_err().kind(), Kind::InUse);
        }
        layer::detach_layer_storage_filter(&scratch).unwrap();
        layer::destroy_layer(&scratch).unwrap();
        layer::destroy_layer(&base).unwrap();
    });
}

#[test]
fn older_forms_and_both_filter_types() {
    inside("older_forms_and_both_filter_types", Inside::Mount, || {
        let place = Place::new("older");
        let (base, top) = two_layers(&place);
        let (mount, scratch) = (place.join("mount"), place.join("scratch"));
        fs::create_dir(&mount).unwrap();
        let mut parents = data(&[&top, &base]);
        layer::initialize_legacy_writable_layer(&mount, &scratch, &parents).unwrap();
        for filter in [FilterType::Wcifs, FilterType::UnionFS] {
            parents.filter_type = Some(filter);
            layer::attach_overlay_filter(&scratch, &parents).unwrap();
            fs::write(scratch.join("new"), "new").unwrap();
            layer::detach_overlay_filter(&scratch, &LayerData::default()).unwrap();
        }
        let folder = place.join("folder");
        layer::export_legacy_writable_layer(&mount, &scratch, &folder, &parents, UNWATCHED)
            .unwrap();
        assert_eq!(names(&folder.join("Files")), ["new"]);
    });
}

#[test]
fn disks_are_refused_in_documented_words() {
    let place = Place::new("disks");
    let options = |kind| OsLayerOptions { kind: Some(kind), ..OsLayerOptions::default() };
    let container = options(OsLayerType::Container);
    layer::setup_base_os_layer(place.path(), None, &container).unwrap();
    layer::setup_base_os_volume(place.path(), place.path(), &container).unwrap();
    let vm = layer::setup_base_os_layer(place.path(), None, &options(OsLayerType::Vm));
    assert_eq!(vm.unwrap_err().hresult(), HResult::ERROR_NOT_SUPPORTED);
    let directory = File::open(place.path()).unwrap();
    let disk = layer::setup_base_os_layer(place.path(), Some(directory.as_fd()), &container);
    assert_eq!(disk.unwrap_err().hresult(), HResult::E_INVALIDARG);
    let format = layer::format_writable_layer_vhd(directory.as_fd()).unwrap_err();
    assert_eq!(format.hresult(), HResult::ERROR_NOT_SUPPORTED);
    assert_eq!(layer::layer_vhd_mount_path(directory.as_fd()).unwrap(), place.path());
    let null = File::open("/dev/null").unwrap();
    let refused = layer::layer_vhd_mount_path(null.as_fd()).unwrap_err();
    assert_eq!(refused.hresult(), HResult::E_INVALIDARG);
}
