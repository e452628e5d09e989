//! Documents made of what was typed for `hc run` and `hc exec`.

use hostcompute::image::Hold;
use hostcompute::schema::hcs::{
    ComputeSystem, Container, ContainerMemory, ContainerProcessor, GuestOs, Layer, MappedDirectory,
    Networking, ProcessParameters, Storage, Version,
};
use hostcompute::{Failure, HResult};

use super::arguments::{CommandOptions, RunArguments};

/// The owner of what `hc run` makes.
const OWNER: &str = "hc";

/// The variables that a command has where nothing says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a command has by its image.
#[derive(Debug, Default)]
pub struct Defaults {
    /// Directories, the topmost first.
    pub layers: Vec<String>,
    /// The command and its arguments.
    pub words: Vec<String>,
    /// `NAME=VALUE`.
    pub environment: Vec<String>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    /// Keep the layers of an image from being removed.
    pub holds: Vec<Hold>,
}

/// The container that was asked for; `host_cpus` is how many processors the host has.
///
/// # Errors
/// E_INVALIDARG for what cannot be understood.
pub fn system(
    typed: &RunArguments,
    layers: &[String],
    networking: Option<Networking>,
    host_cpus: u32,
) -> Result<ComputeSystem, Failure> {
    let mapped = typed.volumes.iter().map(|volume| mapped(volume));
    let mapped = mapped.collect::<Result<Vec<_>, _>>()?;
    let layers = layers.iter().map(|path| Layer { path: Some(path.clone()), ..Layer::default() });
    let container = Container {
        guest_os: typed
            .hostname
            .clone()
            .map(|name| GuestOs { host_name: Some(name), ..GuestOs::default() }),
        storage: Some(Storage { layers: Some(layers.collect()), ..Storage::default() }),
        mapped_directories: (!mapped.is_empty()).then_some(mapped),
        memory: typed
            .memory
            .map(|size| ContainerMemory { size_in_mb: Some(size), ..ContainerMemory::default() }),
        processor: typed.cpus.map(|count| ContainerProcessor {
            maximum: Some(share(count, host_cpus)),
            ..ContainerProcessor::default()
        }),
        networking,
        ..Container::default()
    };
    Ok(ComputeSystem {
        owner: Some(OWNER.to_owned()),
        schema_version: Some(Version::new(2, 1)),
        container: Some(container),
        should_terminate_on_last_handle_closed: Some(!typed.detach),
        ..ComputeSystem::default()
    })
}

/// So many processors, in ten-thousandths of all of them.
fn share(count: f64, host_cpus: u32) -> i64 {
    let share = count / f64::from(host_cpus.max(1)) * 10_000.0;
    (share.round() as i64).clamp(1, 10_000)
}

/// `HOST:INSIDE`, or `HOST:INSIDE:ro`.
fn mapped(volume: &str) -> Result<MappedDirectory, Failure> {
    let parts: Vec<&str> = volume.split(':').collect();
    let (host, inside, read_only) = match parts.as_slice() {
        [host, inside] | [host, inside, "rw"] => (host, inside, false),
        [host, inside, "ro"] => (host, inside, true),
        _ => {
            let why = format!("{volume:?} is no volume");
            return Err(Failure::new(HResult::E_INVALIDARG, why)
                .hint("write /path/on/host:/path/inside, with :ro behind for reading only"));
        }
    };
    let host = std::path::absolute(host).map_err(|error| {
        Failure::new(HResult::E_INVALIDARG, format!("{host:?} is no directory: {error}"))
    })?;
    Ok(MappedDirectory {
        host_path: Some(host.display().to_string()),
        container_path: Some((*inside).to_owned()),
        read_only: Some(read_only),
        ..MappedDirectory::default()
    })
}

/// The command that was asked for. `size` is the terminal's, lines first.
pub fn process(
    typed: &CommandOptions,
    words: &[String],
    defaults: &Defaults,
    attached: bool,
    size: Option<[u16; 2]>,
) -> ProcessParameters {
    let words = if words.is_empty() { &defaults.words } else { words };
    let given = |typed: &Option<String>, default: &Option<String>| {
        typed.clone().or_else(|| default.clone()).filter(|text| !text.is_empty())
    };
    let mut environment: Vec<(String, String)> = vec![("PATH".to_owned(), PATH.to_owned())];
    if typed.tty {
        environment.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    environment.extend(defaults.environment.iter().filter_map(|text| variable(text)));
    environment.extend(typed.environment.iter().filter_map(|text| variable(text)));
    ProcessParameters {
        command_args: Some(words.to_vec()),
        user: given(&typed.user, &defaults.user),
        working_directory: given(&typed.workdir, &defaults.workdir),
        // The last one of a name counts.
        environment: Some(environment.into_iter().collect()),
        emulate_console: typed.tty.then_some(true),
        console_size: size.filter(|_| typed.tty),
        create_std_in_pipe: Some(attached && typed.interactive),
        create_std_out_pipe: Some(attached),
        create_std_err_pipe: Some(attached && !typed.tty),
        ..ProcessParameters::default()
    }
}

/// `NAME=VALUE`, or the variable of this name that this command has.
fn variable(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(text).ok().map(|value| (text.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_directories_of_the_host() {
        let read = mapped("/a:/b:ro").expect("a volume");
        assert_eq!(read.host_path.as_deref(), Some("/a"));
        assert_eq!((read.container_path.as_deref(), read.read_only), (Some("/b"), Some(true)));
        for wrong in ["", "/a", "/a:/b:rx", "/a:/b:ro:z"] {
            assert!(mapped(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn processors_become_a_share_of_the_host() {
        assert_eq!(share(1.0, 4), 2_500);
        assert_eq!(share(0.0001, 64), 1);
        assert_eq!(share(100.0, 4), 10_000);
    }

    #[test]
    fn what_is_typed_goes_before_what_the_image_says() {
        let typed = CommandOptions {
            interactive: true,
            tty: false,
            environment: vec!["A=typed".to_owned()],
            workdir: None,
            user: Some("7".to_owned()),
        };
        let defaults = Defaults {
            words: vec!["default".to_owned()],
            environment: vec!["A=image".to_owned(), "PATH=/bin".to_owned()],
            workdir: Some("/work".to_owned()),
            user: Some("image".to_owned()),
            ..Defaults::default()
        };
        let made = process(&typed, &[], &defaults, true, Some([24, 80]));
        let environment = made.environment.unwrap_or_default();
        assert_eq!(environment.get("A").map(String::as_str), Some("typed"));
        assert_eq!(environment.get("PATH").map(String::as_str), Some("/bin"));
        assert_eq!(made.command_args, Some(vec!["default".to_owned()]));
        assert_eq!(
            (made.user.as_deref(), made.working_directory.as_deref()),
            (Some("7"), Some("/work"))
        );
        assert_eq!((made.console_size, made.create_std_err_pipe), (None, Some(true)));
    }
}
