//! The files that every container gets of its own: `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf`.

use std::fs;
use std::path::{Path, PathBuf};

use hostcompute_supervisor::launch::{Launch, Mount};
use hostcompute_supervisor::message::Refusal;

use crate::refusal::Context;
use crate::root;

/// A file of the bundle, and where it is seen.
#[derive(Debug, Clone)]
pub struct EtcFile {
    source: PathBuf,
    target: &'static str,
}

impl EtcFile {
    pub fn as_mount(&self) -> Mount {
        Mount {
            source: self.source.clone(),
            target: self.target.into(),
            read_only: false,
            identity: None,
        }
    }
}

/// Writes those that the launch names.
pub fn write(launch: &Launch, bundle: &Path) -> Result<Vec<EtcFile>, Refusal> {
    root::make(bundle, 0o700).context(|| "make the bundle's directory")?;
    let name = launch.host_name.as_ref().map(|name| format!("{name}\n"));
    let wanted = [
        ("hostname", "/etc/hostname", &name),
        ("hosts", "/etc/hosts", &launch.hosts),
        ("resolv.conf", "/etc/resolv.conf", &launch.resolver),
    ];
    let mut files = Vec::new();
    for (name, target, text) in wanted {
        let Some(text) = text else { continue };
        let source = bundle.join(name);
        fs::write(&source, text).context(|| format!("write {target}"))?;
        files.push(EtcFile { source, target });
    }
    Ok(files)
}
