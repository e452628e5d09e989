//! An import that is killed anywhere, and imports at the same time: by processes of their own, which are this program again.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use hostcompute_storage::{Collected, Compression, ImportOptions, Limits, Store};
use lab::image::Built;
use lab::{Member, Place, tar};

/// What the process in a test's place is to do: state directory, image, and after how many events it kills itself.
const ORDER: &str = "HOSTCOMPUTE_STORAGE_ORDER";

fn image() -> Built {
    let data: Vec<u8> =
        (0..900_000_u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect();
    let base = tar(&[Member::directory("d/"), Member::file("d/large", &data)]);
    let top = tar(&[Member::file("d/.wh.large", b""), Member::symlink("l", "d")]);
    Built::new(&[(base, Compression::Gzip), (top, Compression::Zstd)])
}

/// The other process.
fn obey() -> bool {
    let Ok(order) = std::env::var(ORDER) else { return false };
    let parts: Vec<&str> = order.split('\n').collect();
    let (state, path, kill_at) = (parts[0], parts[1], parts[2].parse::<usize>().unwrap());
    let seen = AtomicUsize::new(0);
    let watch = |_: hostcompute_storage::Event<'_>| {
        if seen.fetch_add(1, Ordering::SeqCst) == kill_at {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
        }
        ControlFlow::Continue(())
    };
    let platform = "linux/amd64".parse().unwrap();
    let options = ImportOptions { platform, name: None, limits: Limits::default() };
    Store::open(Path::new(state)).unwrap().import(Path::new(path), &options, &watch).unwrap();
    true
}

fn order(test: &str, state: &Path, path: &Path, kill_at: usize) -> Child {
    let text = format!("{}\n{}\n{kill_at}", state.display(), path.display());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ORDER, text)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_import_leaves_nothing_listed_and_the_next_goes_on() {
    const TEST: &str = "a_killed_import_leaves_nothing_listed_and_the_next_goes_on";
    if obey() {
        return;
    }
    let place = Place::new("killed");
    image().write_layout(&place.join("layout"), "demo:1");
    let layout = place.join("layout");
    let mut kills = 0;
    // Each time a little further, once on what the killed ones before left, and once from the beginning.
    for kill_at in 0.. {
        let (gone_on, fresh) = (place.join("gone-on"), place.join(&format!("fresh{kill_at}")));
        let killed = |state: &Path| {
            let output = order(TEST, state, &layout, kill_at).wait_with_output().unwrap();
            let killed = output.status.signal() == Some(9);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(killed || output.status.success(), "{said}");
            assert!(!killed || Store::open(state).unwrap().images().unwrap().is_empty());
            killed
        };
        killed(&gone_on);
        if !killed(&fresh) {
            complete(&fresh);
            break;
        }
        kills += 1;
        assert!(order(TEST, &fresh, &layout, usize::MAX).wait().unwrap().success());
        complete(&fresh);
    }
    assert!(kills > 5, "{kills}");
    complete(&place.join("gone-on"));
}

/// One image, and nothing else.
#[track_caller]
fn complete(state: &Path) {
    let store = Store::open(state).unwrap();
    let image = store.image("demo:1").unwrap();
    assert_eq!(fs::read(image.layers[1].path.join("d/large")).unwrap().len(), 900_000);
    assert_eq!(store.prune().unwrap(), Collected::default());
    assert_eq!(fs::read_dir(store.root().join("staging")).unwrap().count(), 0);
}

#[test]
fn two_processes_import_the_same_image() {
    const TEST: &str = "two_processes_import_the_same_image";
    if obey() {
        return;
    }
    let place = Place::new("both");
    image().write_layout(&place.join("layout"), "demo:1");
    let state = place.join("state");
    let start = || order(TEST, &state, &place.join("layout"), usize::MAX);
    let both = [start(), start(), start()];
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    complete(&state);
}
