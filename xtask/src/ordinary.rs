//! The ordinary user: what the product does for somebody who is not root, tried by somebody who is not root.
//!
//! Programs and examples are copied to where everybody may read them, because a checkout may lie in a folder of root's. The
//! environment is that of a fresh login: a home, a run-time folder, none of our variables.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::check::snapshot;
use crate::{lab, process, product, root};

/// The user that has nothing: `nobody` on Debian.
const NOBODY: &str = "65534";

/// Copies for an ordinary user; removed with this value.
pub struct Ordinary {
    folders: lab::Folders,
}

impl Ordinary {
    /// Copies `hc`, this program and the examples.
    ///
    /// # Errors
    /// Something cannot be copied.
    pub fn new(hc: &Path) -> Result<Ordinary> {
        let ordinary = Ordinary { folders: lab::Folders::new("ordinary")? };
        let (home, runtime) = (ordinary.home(), ordinary.folders.join("xdg"));
        let (programs, examples) = (ordinary.folders.join("bin"), home.join("examples"));
        for folder in [&ordinary.folders.join("."), &home, &runtime, &programs, &examples] {
            std::fs::create_dir_all(folder)?;
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
        }
        std::fs::copy(hc, programs.join("hc")).context("copying hc")?;
        let supervisor = product::supervisor()?;
        std::fs::copy(supervisor, programs.join("hostcompute-supervisor"))
            .context("copying hostcompute-supervisor")?;
        let ourselves = std::env::current_exe().context("finding our own program")?;
        std::fs::copy(ourselves, programs.join("xtask")).context("copying xtask")?;
        for example in std::fs::read_dir(root::path().join("examples"))?.flatten() {
            std::fs::copy(example.path(), examples.join(example.file_name()))?;
        }
        if process::is_root() {
            let mut chown = Command::new("chown");
            chown.arg("--recursive").arg(format!("{NOBODY}:{NOBODY}")).args([&home, &runtime]);
            process::run(&mut chown)?;
        }
        Ok(ordinary)
    }

    /// A command of that user, in its home, with our programs on its path.
    pub fn command(&self, program: &str) -> Command {
        let mut command = if process::is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--", program]);
            command
        } else {
            Command::new(program)
        };
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let ours = name.starts_with("HOSTCOMPUTE_") || name.starts_with("XDG_");
            if (ours || name.starts_with("CARGO_")) && name != snapshot::MARK {
                command.env_remove(&name);
            }
        }
        let programs = self.folders.join("bin");
        command
            .current_dir(self.home())
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.folders.join("xdg"))
            .env("PATH", process::path_with(&programs))
            .env(product::PROGRAM, programs.join("hc"))
            .env(product::SUPERVISOR, programs.join("hostcompute-supervisor"))
            .env(root::TOP, self.home());
        command
    }

    fn home(&self) -> PathBuf {
        self.folders.join("home")
    }
}
