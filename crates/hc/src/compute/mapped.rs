//! What can be typed about what a container sees of the host, and the members of its document that say so.

use std::path::PathBuf;

use clap::Args;
use hostcompute::schema::hcs::{
    Container, Device, DeviceType, MappedDirectory, MappedPipe, MappedPipePathType, Storage,
};
use hostcompute::{Failure, Guid, HResult};

/// Directories, pipes and devices.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What it sees of the host")]
pub struct Mapped {
    /// A directory or file of the host that is seen inside
    #[arg(short, long = "volume", value_name = "HOST:INSIDE[:ro]")]
    pub volumes: Vec<String>,
    /// A Unix socket of the host that is seen inside as /run/pipes/NAME
    #[arg(long = "pipe", value_name = "HOST:NAME")]
    pub pipes: Vec<String>,
    /// A device of the host, such as /dev/ttyS0
    #[arg(long = "device", value_name = "PATH")]
    pub devices: Vec<String>,
    /// All devices of the host with this class of interface
    #[arg(long = "device-class", value_name = "GUID", value_parser = guid)]
    pub classes: Vec<Guid>,
    /// The graphics processors of the host
    #[arg(long)]
    pub gpu: bool,
    /// Where what is written goes, and stays [default: it is gone with the container]
    #[arg(long, value_name = "DIR", conflicts_with = "host_root")]
    pub scratch: Option<PathBuf>,
}

impl Mapped {
    /// Says so in a document.
    ///
    /// # Errors
    /// E_INVALIDARG for what cannot be understood.
    pub fn write(&self, container: &mut Container) -> Result<(), Failure> {
        let directories = self.volumes.iter().map(|volume| directory(volume));
        container.mapped_directories = some(directories.collect::<Result<_, _>>()?);
        let pipes = self.pipes.iter().map(|pipe| self::pipe(pipe));
        container.mapped_pipes = some(pipes.collect::<Result<_, _>>()?);
        container.assigned_devices = some(self.devices());
        if let Some(scratch) = &self.scratch {
            let path = absolute(&scratch.to_string_lossy())?;
            container.storage.get_or_insert_with(Storage::default).path = Some(path);
        }
        Ok(())
    }

    fn devices(&self) -> Vec<Device> {
        let instance = |path: &String| Device {
            kind: Some(DeviceType::DeviceInstance),
            location_path: Some(path.clone()),
            ..Device::default()
        };
        let class = |class: &Guid| Device {
            kind: Some(DeviceType::ClassGuid),
            interface_class_guid: Some(*class),
            ..Device::default()
        };
        let gpu = Device { kind: Some(DeviceType::GpuMirror), ..Device::default() };
        let named = self.devices.iter().map(instance).chain(self.classes.iter().map(class));
        named.chain(self.gpu.then_some(gpu)).collect()
    }
}

/// A list that is left out where there is nothing in it.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// `HOST:INSIDE`, or `HOST:INSIDE:ro`.
fn directory(volume: &str) -> Result<MappedDirectory, Failure> {
    let parts = parts(volume, cfg!(windows));
    let (host, inside, read_only) = match parts.as_slice() {
        [host, inside] | [host, inside, "rw"] => (host, inside, false),
        [host, inside, "ro"] => (host, inside, true),
        _ => {
            let why = format!("{volume:?} is no volume");
            return Err(Failure::new(HResult::E_INVALIDARG, why)
                .hint("write /path/on/host:/path/inside, with :ro behind for reading only"));
        }
    };
    Ok(MappedDirectory {
        host_path: Some(absolute(host)?),
        container_path: Some((*inside).to_owned()),
        read_only: Some(read_only),
        ..MappedDirectory::default()
    })
}

/// What is between colons; with `drives`, one after a single letter belongs to a path.
fn parts(text: &str, drives: bool) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    for (colon, _) in text.match_indices(':') {
        let before = text.get(begin..colon).unwrap_or_default();
        let after = text.get(colon + 1..).unwrap_or_default();
        let is_drive =
            before.len() == 1 && before.starts_with(|one: char| one.is_ascii_alphabetic());
        if drives && is_drive && after.starts_with(['\\', '/']) {
            continue;
        }
        parts.push(before);
        begin = colon + 1;
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}

/// `HOST:NAME`.
fn pipe(text: &str) -> Result<MappedPipe, Failure> {
    let Some((host, name)) = text.rsplit_once(':') else {
        let why = format!("{text:?} is no pipe");
        return Err(Failure::new(HResult::E_INVALIDARG, why).hint("write /path/of/socket:name"));
    };
    Ok(MappedPipe {
        container_pipe_name: Some(name.to_owned()),
        host_path: Some(absolute(host)?),
        host_path_type: Some(MappedPipePathType::AbsolutePath),
        ..MappedPipe::default()
    })
}

/// A path of this command's as one of the service's.
pub fn absolute(path: &str) -> Result<String, Failure> {
    match std::path::absolute(path) {
        Ok(path) => Ok(path.display().to_string()),
        Err(error) => {
            let why = format!("{path:?} is no path: {error}");
            Err(Failure::new(HResult::E_INVALIDARG, why))
        }
    }
}

fn guid(text: &str) -> Result<Guid, String> {
    text.parse().map_err(|error: hostcompute::schema::InvalidGuid| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_directories_of_the_host() {
        let whole = |path: &str| absolute(path).ok();
        let read = directory("/a:/b:ro").expect("a volume");
        assert_eq!(read.host_path, whole("/a"));
        assert_eq!((read.container_path.as_deref(), read.read_only), (Some("/b"), Some(true)));
        for wrong in ["", "/a", "/a:/b:rx", "/a:/b:ro:z"] {
            assert!(directory(wrong).is_err(), "{wrong}");
        }
        assert!(pipe("/run/a.sock").is_err());
        let read = pipe("/run/a:b.sock:name").expect("a pipe");
        assert_eq!(read.host_path, whole("/run/a:b.sock"));
    }

    #[test]
    fn drives_have_colons_of_their_own() {
        assert_eq!(parts(r"C:\a:D:/b:ro", true), [r"C:\a", "D:/b", "ro"]);
        assert_eq!(parts(r"C:\a:/b", true), [r"C:\a", "/b"]);
        assert_eq!(parts("a:/b:ro", false), ["a", "/b", "ro"]);
        assert_eq!(parts("ab:/b:ro", true), ["ab", "/b", "ro"]);
        assert_eq!(parts("", true), [""]);
    }

    #[test]
    fn devices_are_named_in_three_ways() {
        let mapped = Mapped {
            devices: vec!["/dev/ttyS0".to_owned()],
            classes: vec![Guid::default()],
            gpu: true,
            ..Mapped::default()
        };
        let mut container = Container::default();
        mapped.write(&mut container).expect("written");
        let kinds: Vec<_> =
            container.assigned_devices.into_iter().flatten().filter_map(|one| one.kind).collect();
        assert_eq!(
            kinds,
            [DeviceType::DeviceInstance, DeviceType::ClassGuid, DeviceType::GpuMirror]
        );
        assert_eq!(container.mapped_directories, None);
    }
}
