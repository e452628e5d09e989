//! Documents made of what was typed for `hc run` and `hc exec`.

use hostcompute::Failure;
use hostcompute::schema::hcs::{
    ComputeSystem, Container, GuestOs, Layer, Networking, ProcessParameters, Storage, Version,
};

use super::arguments::{CommandOptions, RunArguments};
use super::image::Hold;

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
    /// By name or number.
    pub stop_signal: Option<String>,
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
    let layers = layers.iter().map(|path| Layer { path: Some(path.clone()), ..Layer::default() });
    let layers: Vec<Layer> = layers.collect();
    let storage = Storage { layers: Some(layers), ..Storage::default() };
    let mut container = Container {
        guest_os: typed
            .hostname
            .clone()
            .map(|name| GuestOs { host_name: Some(name), ..GuestOs::default() }),
        storage: Some(storage).filter(|storage| storage.layers != Some(Vec::new())),
        networking,
        ..Container::default()
    };
    typed.limits.write(&mut container, host_cpus);
    typed.mapped.write(&mut container)?;
    typed.confinement.write(&mut container);
    Ok(ComputeSystem {
        owner: Some(typed.owner.clone()),
        schema_version: Some(Version::new(2, 1)),
        container: Some(container),
        should_terminate_on_last_handle_closed: Some(!typed.stays()),
        ..ComputeSystem::default()
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
        restricted_token: typed.restricted.then_some(true),
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
    fn what_is_typed_goes_before_what_the_image_says() {
        let typed = CommandOptions {
            interactive: true,
            tty: false,
            environment: vec!["A=typed".to_owned()],
            workdir: None,
            user: Some("7".to_owned()),
            restricted: false,
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
