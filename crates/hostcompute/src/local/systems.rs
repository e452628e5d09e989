//! The compute service of a host: its systems are carried by supervisors, and are in namespaces of the network service.

use hostcompute_linux::compute::{Spare, Supervisors};
use hostcompute_schema::Failure;
use hostcompute_service::apply::Desk;
use hostcompute_service::compute::{Adoption, Compute, OverDesk, Settings};

use crate::Options;

/// A compute service whose network service is behind this desk.
pub type Systems<D> = Compute<Supervisors, OverDesk<D>>;

/// Opens the compute service of a host, which looks for systems that run when `adoption` says, and has the first one carried by the
/// spare supervisor, if there is one.
///
/// # Errors
/// The runtime directory cannot be made or read.
pub fn systems<D: Desk + Send + Sync + 'static>(
    options: &Options,
    desk: D,
    adoption: Adoption,
    spare: Spare,
) -> Result<Systems<D>, Failure> {
    let usual = hostcompute_linux::compute::Options::new(options.runtime_dir.clone());
    let kept = hostcompute_linux::compute::Options {
        spare,
        layers: layers(options),
        runtime: options.containers.runtime()?,
        users: options.containers.users()?,
        ..usual
    };
    let names = options.netns_dir();
    let name = move |id: hostcompute_schema::Guid| names.join(id.to_string()).display().to_string();
    let networks = OverDesk::new(desk, name);
    let settings = Settings { adoption, ..Settings::default() };
    Compute::open(Supervisors::open(kept)?, networks, settings, Box::new(crate::random))
}

/// Where the layers of the service's own images are.
#[cfg(images)]
fn layers(options: &Options) -> Option<std::path::PathBuf> {
    hostcompute_storage::Store::layers_below(&options.state_dir)
}

#[cfg(not(images))]
fn layers(_: &Options) -> Option<std::path::PathBuf> {
    None
}
