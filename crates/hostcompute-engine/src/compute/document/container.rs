//! ComputeSystem and Container (hcs.md 3.1, 3.2): the document that a system is made of.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::hcs::{
    ComputeSystem, Container, ContainerHvSocket, HvSocketSystemConfig, MappedDirectory, MappedPipe,
    MappedPipePathType, PathType, SystemType, parse_system, read_json,
};
use hostcompute_schema::{Document, Failure, Guid, HResult, Warning};

use super::networking::{self, Resolver, WantedNetwork};
use super::{Notes, devices, limits, path, storage};
use crate::compute::facts::HostFacts;
use crate::compute::launch::{Isolation, Launch, Mount, NetworkPlace, OnBehalf, Pipe};
use crate::compute::record::Record;
use crate::compute::terms::Terms;

/// What to do with settings that Linux cannot have and that take nothing away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Leave them out, with a warning: documents that were written for Windows work.
    #[default]
    Ignore,
    /// ERROR_NOT_SUPPORTED.
    Refuse,
}

/// What a document asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    Container(Box<Wanted>),
    VirtualMachine(Box<ComputeSystem>),
    /// A container inside the virtual machine of this id.
    Hosted {
        host: String,
        document: Box<ComputeSystem>,
    },
}

/// A container, but for its network, which only the network service can say.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub record: Record,
    pub network: WantedNetwork,
    /// What the document says of name resolution.
    pub resolver: Resolver,
    pub warnings: Vec<Warning>,
    /// `network`, `resolv_conf` and what is not the document's are not filled in.
    launch: Launch,
}

impl Wanted {
    /// What its own endpoints are called, unless the document says otherwise: the name that it has for itself, else its id.
    pub fn endpoint_name(&self) -> &str {
        self.launch.host_name.as_deref().unwrap_or(&self.record.id)
    }

    /// What the worker is told, once it is known where the network is.
    pub fn launch(
        &self,
        network: NetworkPlace,
        resolv_conf: Option<String>,
        on_behalf: Option<OnBehalf>,
    ) -> Launch {
        let record = self.record.to_text();
        let owes = self.record.own_namespace.map(|id| id.to_string());
        Launch { record, owes, network, resolv_conf, on_behalf, ..self.launch.clone() }
    }
}

/// Reads what HcsCreateComputeSystem is given. `fresh` is a new GUID, for systems whose id is none.
///
/// # Errors
/// HCS_E_INVALID_JSON for what is not the schema's, E_INVALIDARG for ids and values, ERROR_NOT_SUPPORTED for what Linux cannot
/// do, HCS_E_IMAGE_MISMATCH for layers of Windows; each with its path.
pub fn read_system(
    id: &str,
    text: &str,
    facts: &HostFacts,
    policy: Policy,
    fresh: Guid,
) -> Result<Meaning, Failure> {
    check_id(id)?;
    let system = parse_system(text)?;
    if system.virtual_machine.is_some() {
        return Ok(Meaning::VirtualMachine(Box::new(system)));
    }
    let host = system.hosting_system_id.clone();
    let (container, host) = match (&system.container, host) {
        (Some(container), None) => (container, None),
        (None, host) => (&Container::default(), Some(host.unwrap_or_default())),
        (Some(_), Some(_)) => {
            let why = "HostingSystemId goes with HostedSystem, not with Container";
            let failure = Failure::new(HResult::HCS_E_INVALID_JSON, why).at("$.HostingSystemId");
            return Err(failure.in_document(text));
        }
    };
    if let Some(host) = host {
        return Ok(Meaning::Hosted { host, document: Box::new(system) });
    }
    let record = Record {
        id: id.into(),
        kind: SystemType::Container,
        owner: system.owner.clone().unwrap_or_default(),
        user: None,
        runtime_id: id.parse().unwrap_or(fresh),
        ends_with_last_handle: system.should_terminate_on_last_handle_closed.unwrap_or_default(),
        own_namespace: None,
        own_endpoints: Vec::new(),
        namespace: None,
        cpu_group: None,
        stop_signal: None,
        document: read_json(text)?,
    };
    let mut notes = Notes::default();
    let wanted = read_container(record, container, facts, policy, &mut notes);
    let (mut wanted, warnings) = notes.finish(wanted, text)?;
    wanted.warnings = warnings;
    Ok(Meaning::Container(Box::new(wanted)))
}

fn check_id(id: &str) -> Result<(), Failure> {
    let why = match id.chars().count() {
        0 => "the id of a compute system must not be empty",
        1..=255 if !id.chars().any(char::is_control) => return Ok(()),
        1..=255 => "the id of a compute system must not contain control characters",
        _ => "the id of a compute system has at most 255 characters",
    };
    Err(Failure::new(HResult::E_INVALIDARG, why))
}

fn read_container(
    record: Record,
    container: &Container,
    facts: &HostFacts,
    policy: Policy,
    notes: &mut Notes,
) -> Option<Wanted> {
    refuse_windows(container, policy, notes);
    let host_process = is_host_process(container, notes);
    let root = storage::read(container.storage.as_ref(), host_process, notes);
    let mounts = mounts(container.mapped_directories.as_deref().unwrap_or_default(), notes);
    let pipes = pipes(container.mapped_pipes.as_deref().unwrap_or_default(), facts, notes);
    let limits = limits::read(container, facts, notes);
    let devices = devices::read(container, notes);
    let host_name = host_name(container, host_process, notes);
    let (network, resolver) = networking::read(container.networking.as_ref(), host_process, notes);
    let (root, root_at) = root?;
    let launch = Launch {
        id: record.id.clone(),
        runtime_id: record.runtime_id,
        record: String::new(),
        owes: None,
        root,
        mounts: mounts?,
        pipes: pipes?,
        host_name: host_name?,
        limits: limits?,
        network: NetworkPlace::Own,
        resolv_conf: None,
        devices: devices?,
        isolation: match host_process {
            true => Isolation::HostProcess { root_at },
            false => Isolation::Container,
        },
        terms: Terms::default(),
        on_behalf: None,
    };
    Some(Wanted { record, network: network?, resolver, warnings: Vec::new(), launch })
}

/// Settings that only Windows can have.
fn refuse_windows(container: &Container, policy: Policy, notes: &mut Notes) {
    if container.container_credential_guard.is_some() {
        notes.unsupported(
            "$.Container.ContainerCredentialGuard",
            "group managed service accounts are a matter of Windows domains",
        );
    }
    if container.registry_changes.as_ref().is_some_and(|changes| !changes.is_blank()) {
        let (at, why) = ("$.Container.RegistryChanges", "Linux has no registry");
        match policy {
            Policy::Ignore => {
                notes.ignore(at, alloc::format!("{why}: the changes are left out"));
            }
            Policy::Refuse => notes.unsupported(at, why),
        }
    }
    let Some(socket) = &container.hv_socket else { return };
    let ContainerHvSocket { config, enable_power_shell_direct, .. } = socket;
    if config.as_ref().is_some_and(|config: &HvSocketSystemConfig| !config.is_blank()) {
        notes.unsupported(
            "$.Container.HvSocket.Config",
            "there are no Hyper-V sockets between this host and its containers",
        );
    }
    if *enable_power_shell_direct == Some(true) {
        notes.unsupported(
            "$.Container.HvSocket.EnablePowerShellDirect",
            "there are no Hyper-V sockets between this host and its containers",
        );
    }
}

fn is_host_process(container: &Container, notes: &mut Notes) -> bool {
    match container.isolation_type.as_deref() {
        None | Some("") => false,
        Some("HostProcess") => true,
        Some(other) => {
            let why = alloc::format!("{other:?} is not an isolation type; there is HostProcess");
            notes.refuse(HResult::HCS_E_INVALID_JSON, "$.Container.IsolationType", why);
            false
        }
    }
}

fn mounts(directories: &[MappedDirectory], notes: &mut Notes) -> Option<Vec<Mount>> {
    let read = directories.iter().enumerate();
    let read: Vec<Option<Mount>> = read
        .map(|(index, directory)| {
            let at = alloc::format!("$.Container.MappedDirectories[{index}]");
            mount(directory, &at, notes)
        })
        .collect();
    let mounts: Vec<Mount> = read.into_iter().collect::<Option<_>>()?;
    let mut taken = BTreeSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        if !taken.insert(mount.container_path.as_str()) {
            let at = alloc::format!("$.Container.MappedDirectories[{index}].ContainerPath");
            notes.invalid(at, alloc::format!("{} is mapped twice", mount.container_path));
        }
    }
    Some(mounts)
}

/// A MappedDirectory that stands at `at`.
pub fn mount(directory: &MappedDirectory, at: &str, notes: &mut Notes) -> Option<Mount> {
    let shared = directory.host_path_type == Some(PathType::VirtualSmbShareName);
    if shared {
        notes.refuse(
            HResult::HCS_E_INVALID_JSON,
            alloc::format!("{at}.HostPathType"),
            "a share of a virtual machine has no meaning for a container of the host",
        );
    }
    let host_path =
        path::required(directory.host_path.as_deref(), &alloc::format!("{at}.HostPath"), notes);
    let container_path = container_path(directory, at, notes);
    (!shared).then_some(())?;
    Some(Mount {
        host_path: host_path?,
        container_path: container_path?,
        read_only: directory.read_only.unwrap_or_default(),
    })
}

/// Where in the container a MappedDirectory is seen.
pub fn container_path(directory: &MappedDirectory, at: &str, notes: &mut Notes) -> Option<String> {
    let at = alloc::format!("{at}.ContainerPath");
    let path = path::required(directory.container_path.as_deref(), &at, notes)?;
    if path == "/" {
        notes.invalid(at, "nothing can be mapped over the root; see Storage");
        return None;
    }
    Some(path)
}

fn pipes(mapped: &[MappedPipe], facts: &HostFacts, notes: &mut Notes) -> Option<Vec<Pipe>> {
    let read: Vec<Option<Pipe>> = mapped
        .iter()
        .enumerate()
        .map(|(index, mapped)| {
            let at = alloc::format!("$.Container.MappedPipes[{index}]");
            pipe(mapped, &at, facts, notes)
        })
        .collect();
    let pipes: Vec<Pipe> = read.into_iter().collect::<Option<_>>()?;
    let mut taken = BTreeSet::new();
    for (index, pipe) in pipes.iter().enumerate() {
        if !taken.insert(pipe.name.as_str()) {
            let at = alloc::format!("$.Container.MappedPipes[{index}].ContainerPipeName");
            notes.invalid(at, alloc::format!("there are two pipes {}", pipe.name));
        }
    }
    Some(pipes)
}

/// A MappedPipe that stands at `at`.
pub fn pipe(mapped: &MappedPipe, at: &str, facts: &HostFacts, notes: &mut Notes) -> Option<Pipe> {
    let shared = mapped.host_path_type == Some(MappedPipePathType::VirtualSmbPipeName);
    if shared {
        notes.refuse(
            HResult::HCS_E_INVALID_JSON,
            alloc::format!("{at}.HostPathType"),
            "a pipe of a virtual machine's share has no meaning for a container of the host",
        );
    }
    let name = pipe_name(mapped, at, notes);
    let host_at = alloc::format!("{at}.HostPath");
    let host_path = match mapped.host_path.as_deref().and_then(path::pipe_name) {
        Some(name) if path::is_file_name(&name) => {
            Some(alloc::format!("{}/{name}", facts.pipe_directory))
        }
        Some(_) => {
            notes.invalid(host_at, "a pipe is named by one name");
            None
        }
        None => path::required(mapped.host_path.as_deref(), &host_at, notes),
    };
    (!shared).then_some(())?;
    Some(Pipe { name: name?, host_path: host_path? })
}

/// The name of a MappedPipe in the container.
pub fn pipe_name(mapped: &MappedPipe, at: &str, notes: &mut Notes) -> Option<String> {
    let name = mapped.container_pipe_name.as_deref().unwrap_or_default();
    if path::is_file_name(name) {
        return Some(name.to_string());
    }
    let why = "a pipe in a container is named by one name, without a path";
    notes.invalid(alloc::format!("{at}.ContainerPipeName"), why);
    None
}

/// The longest name that the kernel takes.
const LONGEST_HOST_NAME: usize = 64;

#[expect(clippy::option_option, reason = "refused, absent, there")]
fn host_name(
    container: &Container,
    host_process: bool,
    notes: &mut Notes,
) -> Option<Option<String>> {
    let name = container.guest_os.as_ref().and_then(|guest| guest.host_name.as_deref());
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Some(None) };
    let at = "$.Container.GuestOs.HostName";
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host_process {
        notes.invalid(at, "a HostProcess container has the name of the host");
    } else if name.len() > LONGEST_HOST_NAME {
        notes.invalid(at, "a host name has at most 64 characters");
    } else if !name.chars().all(fine) {
        notes.invalid(at, "a host name consists of letters, digits, '-', '.' and '_'");
    } else {
        return Some(Some(name.to_string()));
    }
    None
}
