//! Forwarding: switched on for the whole host while it is needed, with everything as it was afterwards.
//!
//! The kernel's switch has side effects: it sets every device, changes whether redirects are believed, and (IPv6) throws away
//! default routes that routers advertised unless `accept_ra` is 2. So every value that the switch touches is written to a file
//! before the first change, and put back from there: after a crash too, since the file is complete before anything changes.
//! A file from another boot, or of another namespace, says nothing about this one and is ignored.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hostcompute_engine::plan::Family;
use serde_json::{Value, json};

use crate::error::Error;

const ON: &str = "1";
const OFF: &str = "0";

/// Which machine and namespace a file of remembered values speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scene {
    pub boot: String,
    pub netns: u64,
}

/// Values before our change: path below `/proc/sys/net`, value. Kept per family.
type Remembered = BTreeMap<String, BTreeMap<String, String>>;

fn key(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn switch(family: Family) -> String {
    format!("{}/conf/all/forwarding", key(family))
}

/// Whether the host forwards packets of this family. The calling thread must be in the host namespace, here and below.
pub(crate) fn is_on(family: Family) -> Result<bool, Error> {
    Ok(read(&switch(family))?.as_deref() == Some(ON))
}

/// Whether we switched it on and have yet to put it back.
pub(crate) fn is_remembered(saved: &Path, scene: &Scene, family: Family) -> Result<bool, Error> {
    Ok(load(saved, scene)?.contains_key(key(family)))
}

/// Switches forwarding on, unless we did so before and it still is.
pub(crate) fn switch_on(saved: &Path, scene: &Scene, family: Family) -> Result<(), Error> {
    let mut remembered = load(saved, scene)?;
    if !remembered.contains_key(key(family)) {
        let values = if is_on(family)? { BTreeMap::new() } else { touched(family)? };
        remembered.insert(key(family).to_owned(), values);
        store(saved, scene, &remembered)?;
    }
    if is_on(family)? {
        return Ok(());
    }
    if family == Family::V6 {
        // Routes learned from routers survive only where advertisements are accepted in spite of forwarding.
        for device in devices(family)?.iter().filter(|device| is_real(device)) {
            let setting = format!("ipv6/conf/{device}/accept_ra");
            if read(&setting)?.as_deref() == Some(ON) {
                write_to_device(&setting, "2")?;
            }
        }
    }
    match write(&switch(family), ON) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(Error::system(
                "switch on IPv6 forwarding: IPv6 is disabled on this host",
                io::Error::from(rustix::io::Errno::AFNOSUPPORT),
            ))
        }
        result => result,
    }
}

/// Puts back what was found before [`switch_on`].
pub(crate) fn restore(saved: &Path, scene: &Scene, family: Family) -> Result<(), Error> {
    let mut remembered = load(saved, scene)?;
    let Some(values) = remembered.get(key(family)).cloned() else { return Ok(()) };
    let switch = switch(family);
    if let Some(value) = values.get(&switch) {
        // The switch sets every device, so it goes first and the devices after it.
        write(&switch, value)?;
        for (setting, value) in values.iter().filter(|(setting, _)| **setting != switch) {
            match read(setting)? {
                // The device went meanwhile.
                None => {}
                Some(now) if now == *value => {}
                Some(_) => write_to_device(setting, value)?,
            }
        }
    }
    remembered.remove(key(family));
    store(saved, scene, &remembered)
}

/// The setting that lets an adapter answer solicitations for the addresses that are listed at it, and for no others.
fn solicitations(uplink: &str) -> String {
    format!("ipv6/conf/{uplink}/proxy_ndp")
}

/// What the names begin with under which such values are kept.
const SOLICITED: &str = "solicited ";

/// Where its value is kept.
fn solicitations_key(uplink: &str) -> String {
    [SOLICITED, uplink].concat()
}

/// Whether an adapter answers solicitations for others.
pub(crate) fn is_answering(uplink: &str) -> Result<bool, Error> {
    Ok(read(&solicitations(uplink))?.as_deref() == Some(ON))
}

/// Lets it, and remembers what it did before.
pub(crate) fn answer_solicitations(saved: &Path, scene: &Scene, uplink: &str) -> Result<(), Error> {
    let (setting, key) = (solicitations(uplink), solicitations_key(uplink));
    let mut remembered = load(saved, scene)?;
    if let Entry::Vacant(place) = remembered.entry(key) {
        let before = read(&setting)?.unwrap_or_else(|| OFF.to_owned());
        place.insert(BTreeMap::from([(setting.clone(), before)]));
        store(saved, scene, &remembered)?;
    }
    if is_answering(uplink)? { Ok(()) } else { write(&setting, ON) }
}

/// Puts back what was found before. An adapter that is gone has taken its setting along.
pub(crate) fn restore_solicitations(
    saved: &Path,
    scene: &Scene,
    uplink: &str,
) -> Result<(), Error> {
    let mut remembered = load(saved, scene)?;
    let Some(values) = remembered.remove(&solicitations_key(uplink)) else { return Ok(()) };
    for (setting, value) in values {
        if read(&setting)?.is_some_and(|now| now != value) {
            write_to_device(&setting, &value)?;
        }
    }
    store(saved, scene, &remembered)
}

/// Adapters that answer solicitations because of us.
pub(crate) fn answering(saved: &Path, scene: &Scene) -> Result<Vec<String>, Error> {
    let keys = load(saved, scene)?.into_keys();
    Ok(keys.filter_map(|key| key.strip_prefix(SOLICITED).map(str::to_owned)).collect())
}

/// Every value that the switch touches.
fn touched(family: Family) -> Result<BTreeMap<String, String>, Error> {
    let mut values = BTreeMap::new();
    let mut remember = |setting: String| -> Result<(), Error> {
        if let Some(value) = read(&setting)? {
            values.insert(setting, value);
        }
        Ok(())
    };
    for device in devices(family)? {
        remember(format!("{}/conf/{device}/forwarding", key(family)))?;
        if family == Family::V6 && is_real(&device) {
            remember(format!("ipv6/conf/{device}/accept_ra"))?;
        }
    }
    if family == Family::V4 {
        remember("ipv4/conf/all/accept_redirects".to_owned())?;
    }
    Ok(values)
}

/// Whether the name is that of a device, not of the settings for all or for those to come.
fn is_real(device: &str) -> bool {
    device != "all" && device != "default"
}

/// The devices, "all" and "default" among them.
fn devices(family: Family) -> Result<Vec<String>, Error> {
    let directory = root().join(key(family)).join("conf");
    let listed = fs::read_dir(&directory).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()
    });
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|source| Error::file("list", directory, source)),
    }
}

fn root() -> PathBuf {
    PathBuf::from("/proc/sys/net")
}

fn read(setting: &str) -> Result<Option<String>, Error> {
    let path = root().join(setting);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::file("read", path, source)),
    }
}

fn write(setting: &str, value: &str) -> Result<(), Error> {
    let path = root().join(setting);
    fs::write(&path, value).map_err(|source| Error::file("set", path, source))
}

/// As [`write()`], to a device that may go at any moment: others remove devices, and so do our own threads.
fn write_to_device(setting: &str, value: &str) -> Result<(), Error> {
    match write(setting, value) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn load(saved: &Path, scene: &Scene) -> Result<Remembered, Error> {
    let text = match fs::read_to_string(saved) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Remembered::new()),
        Err(source) => return Err(Error::file("read", saved, source)),
    };
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| Error::file("read", saved, io::Error::other(error)))?;
    let of_scene = document.get("Boot").and_then(Value::as_str) == Some(&scene.boot)
        && document.get("Netns").and_then(Value::as_u64) == Some(scene.netns);
    let families = document.get("Values").and_then(Value::as_object).filter(|_| of_scene);
    let values = |family: &Value| {
        let pairs = family.as_object().into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    };
    Ok(families
        .into_iter()
        .flatten()
        .map(|(family, content)| (family.clone(), values(content)))
        .collect())
}

/// Replaces the file in one move and brings it to the disk; removes it when there is nothing to remember.
fn store(saved: &Path, scene: &Scene, remembered: &Remembered) -> Result<(), Error> {
    let failed = |source| Error::file("write", saved, source);
    if remembered.is_empty() {
        return match fs::remove_file(saved) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
    }
    let document = json!({ "Boot": scene.boot, "Netns": scene.netns, "Values": remembered });
    let draft = saved.with_extension("draft");
    let written = saved.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        let mut file = fs::File::create(&draft)?;
        file.write_all(document.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, saved)
    });
    written.map_err(failed)
}

/// What [`is_on`] would call a difference, for people.
pub(crate) fn describe(family: Family) -> String {
    format!("{} is {OFF}", root().join(switch(family)).display())
}
