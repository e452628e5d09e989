//! Images from a registry that the test runs itself: who may have them, what breaks off, what lies, where it leads.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::fs;

use hostcompute_storage::{
    Compression, Digest, ImportOptions, Imported, Kind, RegistryOptions, Result, Store, UNWATCHED,
};
use lab::certificates::Authority;
use lab::image::{Built, MANIFEST, descriptor};
use lab::registry::{Manner, Registry};
use lab::{Member, Place, tar};

/// Large enough to break off in several places.
fn image() -> Built {
    let data: Vec<u8> =
        (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let base = tar(&[Member::directory("d/"), Member::file("d/large", &data)]);
    Built::new(&[(base, Compression::None), (tar(&[Member::file("x", b"x")]), Compression::Gzip)])
}

fn options() -> ImportOptions {
    ImportOptions { platform: "linux/amd64".parse().unwrap(), ..ImportOptions::default() }
}

fn with(credentials: Option<(&str, &str)>) -> RegistryOptions {
    let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
    RegistryOptions { credentials, ..RegistryOptions::default() }
}

fn pull(place: &Place, name: &str, access: &RegistryOptions) -> Result<Imported> {
    Store::open(place.path()).unwrap().pull(name, &options(), access, UNWATCHED)
}

#[test]
fn by_tag_and_by_digest() {
    let place = Place::new("tag");
    let (registry, built) = (Registry::new(Manner::default()), image());
    registry.serve("1.0", &built);
    let name = registry.name("team/app:1.0");
    let pulled = pull(&place, &name, &with(None)).unwrap();
    assert_eq!(pulled.name, Some(name.clone()));
    assert_eq!(pulled.image.manifest, built.manifest_digest());
    let asked = registry.asked().len();
    let by_digest = registry.name(&format!("team/app@{}", built.manifest_digest()));
    let again = pull(&place, &by_digest, &with(None)).unwrap();
    assert_eq!((again.name, again.image.names), (None, vec![name]));
    let blobs = registry.asked()[asked..].iter().filter(|line| line.contains("/blobs/")).count();
    assert_eq!(blobs, 1, "the configuration; layers are there");
}

#[test]
fn an_index_leads_to_this_platform() {
    let place = Place::new("index");
    let registry = Registry::new(Manner::default());
    let (ours, theirs) = (image(), Built::for_architecture(&[], "arm64"));
    registry.serve("ours", &ours);
    registry.serve("theirs", &theirs);
    let entry = |built: &Built, architecture: &str| {
        let mut entry = descriptor(MANIFEST, &built.manifest);
        entry["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
        entry
    };
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry(&theirs, "arm64"), entry(&ours, "amd64")]});
    registry.serve_index("latest", index.to_string().as_bytes());
    let pulled = pull(&place, &registry.name("team/app"), &with(None)).unwrap();
    assert_eq!(pulled.image.manifest, ours.manifest_digest());
    let only = serde_json::json!({"schemaVersion": 2, "manifests": [entry(&theirs, "arm64")]});
    registry.serve_index("latest", only.to_string().as_bytes());
    let error = pull(&place, &registry.name("team/app"), &with(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::WrongPlatform, "{error}");
}

#[test]
fn who_wants_a_token_gets_one() {
    let place = Place::new("token");
    let registry = Registry::new(Manner { token: Some(None), ..Manner::default() });
    registry.serve("latest", &image());
    pull(&place, &registry.name("team/app"), &with(None)).unwrap();
    let asked = registry.asked();
    assert!(
        asked[1].starts_with("/token?scope=repository%3Ateam%2Fapp%3Apull&service=the%20registry"),
        "{asked:?}"
    );
    let tokens = asked.iter().filter(|line| line.starts_with("/token")).count();
    assert_eq!(tokens, 1, "one is enough: {asked:?}");
}

#[test]
fn names_and_passwords() {
    let place = Place::new("password");
    let user = ("user", "secret");
    for manner in [
        Manner { token: Some(Some(user)), ..Manner::default() },
        Manner { basic: Some(user), ..Manner::default() },
    ] {
        let registry = Registry::new(manner);
        registry.serve("latest", &image());
        let name = registry.name("team/app");
        let error = pull(&place, &name, &with(None)).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{error}");
        let error = pull(&place, &name, &with(Some(("user", "wrong")))).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{error}");
        assert!(!error.to_string().contains("wrong"), "secrets are not told");
        pull(&place, &name, &with(Some(user))).unwrap();
        fs::remove_dir_all(place.join("images")).unwrap();
    }
}

#[test]
fn a_token_is_not_asked_for_just_anywhere() {
    let realm = Some("file:///etc/passwd".to_owned());
    let registry = Registry::new(Manner { token: Some(None), realm, ..Manner::default() });
    registry.serve("latest", &image());
    let error = pull(&Place::new("realm"), &registry.name("team/app"), &with(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
}

#[test]
fn what_breaks_off_is_gone_on_with() {
    for ignores_ranges in [false, true] {
        let place = Place::new("broken");
        let manner = Manner { break_after: Some(90_000), ignores_ranges, ..Manner::default() };
        let registry = Registry::new(manner);
        registry.serve("latest", &image());
        let name = registry.name("team/app");
        if ignores_ranges {
            // It never comes further than this: given up, and said so.
            let error = pull(&place, &name, &with(None)).unwrap_err();
            assert_eq!(error.kind(), Kind::Network, "{error}");
            assert!(error.to_string().contains("90000"), "{error}");
            continue;
        }
        pull(&place, &name, &with(None)).unwrap();
        let ranges: Vec<String> = registry
            .asked()
            .iter()
            .filter_map(|line| {
                line.split(' ').nth(1).filter(|range| *range != "-").map(str::to_owned)
            })
            .collect();
        assert_eq!(ranges, ["bytes=90000-", "bytes=180000-", "bytes=270000-"]);
    }
}

#[test]
fn a_later_pull_goes_on_where_an_earlier_one_broke_off() {
    let place = Place::new("later");
    let built = image();
    let broken = Registry::new(Manner {
        break_after: Some(90_000),
        ignores_ranges: true,
        ..Manner::default()
    });
    broken.serve("latest", &built);
    pull(&place, &broken.name("team/app"), &with(None)).unwrap_err();
    let whole = Registry::new(Manner::default());
    whole.serve("latest", &built);
    pull(&place, &whole.name("team/app"), &with(None)).unwrap();
    let layer = Digest::of(&built.layers[0].0).to_string();
    let asked = whole.asked();
    let blob = asked.iter().find(|line| line.contains(&layer)).unwrap();
    assert!(blob.contains("bytes=90000-"), "{asked:?}");
    // One that knows no ranges sends all of it, and what is here already is passed over.
    let other = Place::new("later-whole");
    pull(&other, &broken.name("team/app"), &with(None)).unwrap_err();
    let simple = Registry::new(Manner { ignores_ranges: true, ..Manner::default() });
    simple.serve("latest", &built);
    pull(&other, &simple.name("team/app"), &with(None)).unwrap();
}

#[test]
fn bytes_that_are_not_those_promised_are_refused() {
    let place = Place::new("lies");
    let registry = Registry::new(Manner { lies_above: Some(10_000), ..Manner::default() });
    let built = image();
    registry.serve("latest", &built);
    let error = pull(&place, &registry.name("team/app"), &with(None)).unwrap_err();
    assert!(matches!(error.kind(), Kind::Mismatch | Kind::Invalid), "{error}");
    let store = Store::open(place.path()).unwrap();
    assert!(store.images().unwrap().is_empty());
    let honest = Registry::new(Manner::default());
    honest.serve("latest", &built);
    pull(&place, &honest.name("team/app"), &with(None)).unwrap();

    let other = Digest::of(b"something else");
    honest.serve(&other.to_string(), &built);
    let by_digest = honest.name(&format!("team/app@{other}"));
    let error = pull(&place, &by_digest, &with(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Mismatch, "{error}");
}

#[test]
fn redirects_are_followed_without_what_is_secret() {
    let place = Place::new("redirect");
    let (storage, built) = (Registry::new(Manner::default()), image());
    storage.serve("latest", &built);
    let manner = Manner {
        redirect_to: Some(storage.address),
        basic: Some(("user", "secret")),
        ..Manner::default()
    };
    let registry = Registry::new(manner);
    registry.serve("latest", &built);
    pull(&place, &registry.name("team/app"), &with(Some(("user", "secret")))).unwrap();
    let asked = storage.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|line| line.ends_with(" -")), "no authorization: {asked:?}");
}

#[test]
fn what_is_not_there() {
    let place = Place::new("missing");
    let registry = Registry::new(Manner::default());
    registry.serve("latest", &image());
    for name in ["team/app:other", "team/other"] {
        let error = pull(&place, &registry.name(name), &with(None)).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        assert!(error.to_string().contains("UNKNOWN"), "{error}");
    }
    let address = registry.address;
    drop(registry);
    let error = pull(&place, &format!("{address}/team/app"), &with(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    let error = pull(&place, "team/app", &with(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Argument, "{error}");
}

/// How a registry is reached that speaks TLS, and whose authority is one of the test's.
fn trusting(authority: &Authority, credentials: Option<(&str, &str)>) -> RegistryOptions {
    RegistryOptions { certificates: Some(authority.certificate.clone()), ..with(credentials) }
}

#[test]
fn encrypted_for_whom_the_authority_vouches() {
    let place = Place::new("tls");
    let (authority, other) =
        (Authority::new(&place.join("one")), Authority::new(&place.join("other")));
    let manner = Manner { tls: Some(authority.server.clone()), ..Manner::default() };
    let registry = Registry::new(manner);
    registry.serve("latest", &image());
    let name = registry.name("team/app");
    let error = pull(&place, &name, &trusting(&other, None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let none = RegistryOptions { certificates: Some("none".to_owned()), ..with(None) };
    let error = pull(&place, &name, &none).unwrap_err();
    assert_eq!(error.kind(), Kind::Argument, "{error}");
    assert!(registry.asked().is_empty(), "nothing was said before it had proved itself");
    let pulled = pull(&place, &name, &trusting(&authority, None)).unwrap();
    assert_eq!(pulled.name.as_deref(), Some(&*format!("{name}:latest")));
}

#[test]
fn tokens_and_passwords_travel_encrypted() {
    let place = Place::new("tls-password");
    let authority = Authority::new(&place.join("authority"));
    let user = ("user", "secret");
    let tls = || Some(authority.server.clone());
    for manner in [
        Manner { token: Some(Some(user)), tls: tls(), ..Manner::default() },
        Manner { basic: Some(user), tls: tls(), ..Manner::default() },
    ] {
        let registry = Registry::new(manner);
        registry.serve("latest", &image());
        let name = registry.name("team/app");
        let error = pull(&place, &name, &trusting(&authority, None)).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{error}");
        pull(&place, &name, &trusting(&authority, Some(user))).unwrap();
        fs::remove_dir_all(place.join("images")).unwrap();
    }
    // A registry that is encrypted does not send us to a token service that is not.
    let realm = Some("http://127.0.0.1:9/token".to_owned());
    let manner = Manner { token: Some(Some(user)), realm, tls: tls(), ..Manner::default() };
    let registry = Registry::new(manner);
    registry.serve("latest", &image());
    let error = pull(&place, &registry.name("team/app"), &trusting(&authority, Some(user)));
    assert_eq!(error.unwrap_err().kind(), Kind::Denied);
}

#[test]
fn encrypted_redirects_lose_what_is_secret_and_stay_encrypted() {
    let place = Place::new("tls-redirect");
    let authority = Authority::new(&place.join("authority"));
    let tls = || Some(authority.server.clone());
    let (user, built) = (("user", "secret"), image());
    for manner in [
        Manner { token: Some(Some(user)), ..Manner::default() },
        Manner { basic: Some(user), ..Manner::default() },
    ] {
        let elsewhere = Manner { tls: tls(), is_elsewhere: true, ..Manner::default() };
        let storage = Registry::new(elsewhere);
        storage.serve("latest", &built);
        let manner = Manner { redirect_to: Some(storage.address), tls: tls(), ..manner };
        let registry = Registry::new(manner);
        registry.serve("latest", &built);
        pull(&place, &registry.name("team/app"), &trusting(&authority, Some(user))).unwrap();
        let asked = storage.asked();
        assert_eq!(asked.len(), 3, "{asked:?}");
        assert!(asked.iter().all(|line| line.ends_with(" -")), "no authorization: {asked:?}");
        fs::remove_dir_all(place.join("images")).unwrap();
    }
    let plain = Registry::new(Manner { is_elsewhere: true, ..Manner::default() });
    plain.serve("latest", &built);
    let manner = Manner {
        redirect_to: Some(plain.address),
        redirects_in_plain: true,
        tls: tls(),
        ..Manner::default()
    };
    let registry = Registry::new(manner);
    registry.serve("latest", &built);
    let error = pull(&place, &registry.name("team/app"), &trusting(&authority, None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    assert!(plain.asked().is_empty(), "{:?}", plain.asked());
}

#[test]
fn what_breaks_off_encrypted_is_gone_on_with_and_lies_are_found() {
    let place = Place::new("tls-broken");
    let authority = Authority::new(&place.join("authority"));
    let tls = || Some(authority.server.clone());
    let manner = Manner { break_after: Some(90_000), tls: tls(), ..Manner::default() };
    let registry = Registry::new(manner);
    registry.serve("latest", &image());
    pull(&place, &registry.name("team/app"), &trusting(&authority, None)).unwrap();
    let asked = registry.asked();
    let ranges: Vec<&str> = asked
        .iter()
        .filter_map(|line| line.split(' ').nth(1).filter(|range| *range != "-"))
        .collect();
    assert_eq!(ranges, ["bytes=90000-", "bytes=180000-", "bytes=270000-"]);
    fs::remove_dir_all(place.join("images")).unwrap();
    let manner = Manner { lies_above: Some(10_000), tls: tls(), ..Manner::default() };
    let registry = Registry::new(manner);
    registry.serve("latest", &image());
    let error = pull(&place, &registry.name("team/app"), &trusting(&authority, None)).unwrap_err();
    assert!(matches!(error.kind(), Kind::Mismatch | Kind::Invalid), "{error}");
    assert!(Store::open(place.path()).unwrap().images().unwrap().is_empty());
}
