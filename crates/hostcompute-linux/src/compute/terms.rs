//! What is said beside a document, and how the service is set up where nothing is: in the supervisor's words.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hostcompute_engine::compute::terms::{self as engine, Change};
use hostcompute_engine::compute::{Fault, Isolation, Launch, Terms};
use hostcompute_schema::HResult;
use hostcompute_supervisor::launch::{
    DEFAULT_CAPABILITIES, Filter, IdRange, Life, Runtime, Security, Users,
};

use super::Options;

/// Where programs are looked for when the environment does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who makes the container.
///
/// # Errors
/// ERROR_FILE_NOT_FOUND for a program that is not there.
pub(super) fn runtime(wanted: &Launch, options: &Options) -> Result<Runtime, Fault> {
    // Processes of the host are nobody else's to make.
    let runtime = match wanted.isolation {
        Isolation::HostProcess { .. } => &engine::Runtime::Builtin,
        Isolation::Container => wanted.terms.runtime.as_ref().unwrap_or(&options.runtime),
    };
    match runtime {
        engine::Runtime::Builtin => Ok(Runtime::Builtin),
        engine::Runtime::Program(name) => match find(name) {
            Some(path) => Ok(Runtime::External(path)),
            None => {
                let message = format!("there is no runtime {name}");
                let hint = "install it, or leave it to the builtin one";
                Err(Fault::new(HResult::ERROR_FILE_NOT_FOUND, message).hint(hint))
            }
        },
    }
}

/// A program by its path, or along PATH.
fn find(name: &str) -> Option<PathBuf> {
    let can_run = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|path| can_run(path));
    }
    let along = env::var_os("PATH").unwrap_or_else(|| PATH.into());
    let places = env::split_paths(&along).filter(|place| place.is_absolute());
    places.map(|place| place.join(name)).find(|path| can_run(path))
}

/// Whose users a container's are.
pub(super) fn users(wanted: &Launch, options: &Options) -> Option<Users> {
    if let Isolation::HostProcess { .. } = wanted.isolation {
        return None;
    }
    match wanted.terms.users.as_ref().unwrap_or(&options.users) {
        engine::Users::Host => None,
        engine::Users::Mapped { uids, gids } => {
            Some(Users { uids: ranges(uids), gids: ranges(gids) })
        }
    }
}

fn ranges(ranges: &[engine::IdRange]) -> Vec<IdRange> {
    let range = |&engine::IdRange { inside, host, count }| IdRange { inside, host, count };
    ranges.iter().map(range).collect()
}

/// What processes may do.
pub(super) fn security(terms: &Terms) -> Security {
    Security {
        capabilities: (!terms.capabilities.is_empty()).then(|| capabilities(&terms.capabilities)),
        filter: if terms.unfiltered { Filter::None } else { Filter::Default },
        ..Security::default()
    }
}

fn capabilities(changes: &[Change]) -> Vec<String> {
    let mut kept: Vec<&str> = DEFAULT_CAPABILITIES.to_vec();
    for change in changes {
        match *change {
            Change::Add(name) if kept.contains(&name) => {}
            Change::Add(name) => kept.push(name),
            Change::Drop(name) => kept.retain(|known| *known != name),
            Change::DropAll => kept.clear(),
        }
    }
    kept.into_iter().map(str::to_owned).collect()
}

/// How long the system lives.
pub(super) fn life(life: engine::Life) -> Life {
    match life {
        engine::Life::UntilStopped => Life::UntilStopped,
        engine::Life::FirstProcess => Life::FirstProcess,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_changed_one_after_the_other() {
        let only =
            [Change::DropAll, Change::Add("KILL"), Change::Add("SYSLOG"), Change::Add("KILL")];
        assert_eq!(capabilities(&only), ["KILL", "SYSLOG"]);
        let less = capabilities(&[Change::Drop("CHOWN")]);
        assert_eq!(less.len(), DEFAULT_CAPABILITIES.len() - 1);
        assert_eq!(security(&Terms::default()), Security::default());
    }

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        assert_eq!(find("/bin/sh"), Some("/bin/sh".into()));
        assert!(find("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find("no-such-runtime"), None);
        assert_eq!(find("/etc/passwd"), None);
    }
}
