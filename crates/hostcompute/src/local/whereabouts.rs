//! Which host a state directory belongs to, and what to think when it looks like another one.
//!
//! The state remembers the boot and the host namespace in which it was realised. The same boot in another namespace means one of two
//! things: the namespace was made anew (a container was started again), and everything is to be rebuilt; or somebody runs a command in
//! the wrong place, inside `ip netns exec` say, and rebuilding there would forget objects that are alive. The first is true when the
//! namespace is gone.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hostcompute_linux::Linux;
use hostcompute_schema::{Failure, HResult};
use hostcompute_service::Identity;

use crate::Options;

/// Where a [`Linux`] with these options works.
fn linux_options(options: &Options) -> hostcompute_linux::Options {
    hostcompute_linux::Options {
        host_netns: options.host_netns.clone(),
        netns_dir: options.netns_dir(),
        resolver_dir: options.resolver_dir(),
        saved: options.saved_settings(),
        resolv_conf: options.resolv_conf.clone(),
    }
}

/// Opens the host's kernel side alone.
///
/// # Errors
/// E_INVALIDARG for a path that is no network namespace, or what the kernel refuses.
pub fn open(options: &Options) -> Result<Linux, Failure> {
    Linux::open(linux_options(options)).map_err(|failure| match &options.host_netns {
        Some(path) if failure.hresult == HResult::HCN_E_NAMESPACE_ATTACH_FAILED => {
            let why = format!("the host namespace {} is no network namespace", path.display());
            Failure::new(HResult::E_INVALIDARG, why)
                .hint("`ip netns add NAME` makes /run/netns/NAME; a process has /proc/PID/ns/net")
        }
        _ => failure,
    })
}

/// What tells this host from any other.
pub(super) fn identity(linux: &Linux, options: &Options) -> Identity {
    let seen = linux.identity();
    Identity { boot: seen.boot_id, host: seen.netns_cookie.to_string(), place: options.place() }
}

/// A state directory belongs to one host namespace: its path need be given only once, and another one is refused.
pub(super) fn settle_place(options: &mut Options, known: &Identity) -> Result<(), Failure> {
    if known.place.is_empty() {
        return Ok(());
    }
    match &options.host_netns {
        None => options.host_netns = Some(known.place.clone().into()),
        Some(given) if given == Path::new(&known.place) => {}
        Some(given) => {
            let why = format!(
                "the state directory {} belongs to the host namespace {}, not to {}",
                options.state_dir.display(),
                known.place,
                given.display()
            );
            return Err(Failure::new(HResult::E_INVALIDARG, why)
                .hint("give each host namespace its own --state-dir and --runtime-dir"));
        }
    }
    Ok(())
}

/// Refuses to rebuild in this namespace what is alive in another.
pub(super) fn refuse_bystander(
    options: &Options,
    known: &Identity,
    seen: &Identity,
) -> Result<(), Failure> {
    if known.boot != seen.boot || known.host == seen.host {
        return Ok(());
    }
    let Some(process) = inhabitant(options, &known.host) else { return Ok(()) };
    let why = format!(
        "the objects of {} are in another network namespace, that of process {process}",
        options.state_dir.display()
    );
    Err(Failure::new(HResult::E_INVALIDARG, why).hint(format!(
        "run the command there (nsenter --net --target {process}), or give it its own --state-dir and --runtime-dir"
    )))
}

/// A process in the namespace with this cookie, as far as one may look.
fn inhabitant(options: &Options, cookie: &str) -> Option<u32> {
    let mut seen = BTreeSet::new();
    let processes = std::fs::read_dir("/proc").ok()?;
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|process| {
            std::fs::metadata(netns_of(*process)).is_ok_and(|netns| seen.insert(netns.ino()))
        })
        .find(|process| {
            let there = Options { host_netns: Some(netns_of(*process)), ..options.clone() };
            Linux::open(linux_options(&there))
                .is_ok_and(|linux| identity(&linux, &there).host == cookie)
        })
}

fn netns_of(process: u32) -> PathBuf {
    format!("/proc/{process}/ns/net").into()
}
