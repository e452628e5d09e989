//! A sandbox: a host namespace of its own with an uplink to a simulated outside, so that nothing real is disturbed.
//!
//! ```text
//!   outside                       sandbox (the "host")
//!   192.0.2.2, 2001:db8:ff::2 ─── up0 192.0.2.1, 2001:db8:ff::1, default routes
//! ```
//!
//! The addresses are those reserved for documentation. As an ordinary user the sandbox sits in a user namespace of its own.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process;

/// Uplink addresses of the sandbox and of the outside: documentation ranges.
pub const HOST: [&str; 2] = ["192.0.2.1", "2001:db8:ff::1"];
pub const OUTSIDE: [&str; 2] = ["192.0.2.2", "2001:db8:ff::2"];

/// Folders that `hc` uses in the sandbox, removed at the end.
pub struct Folders {
    top: PathBuf,
}

/// The other end of the uplink; ends with this value.
pub struct Outside {
    holder: Child,
}

/// Runs this program again, with other arguments, in a fresh sandbox, and waits for it.
///
/// # Errors
/// Namespaces cannot be made here, or the program failed.
pub fn run_inside(arguments: &[String], environment: &[(&str, &Path)]) -> Result<()> {
    let program = std::env::current_exe().context("finding our own program")?;
    let mut unshare = Command::new("unshare");
    if !process::is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--net", "--mount", "--"]).arg(program).args(arguments);
    for (name, value) in environment {
        unshare.env(name, value);
    }
    let status = unshare.status().context("starting unshare (Debian package util-linux)")?;
    match status.success() {
        true => Ok(()),
        false => bail!("what ran in the sandbox failed ({status})"),
    }
}

impl Folders {
    /// Fresh folders with this word in their name.
    ///
    /// # Errors
    /// The temporary folder is not writable.
    pub fn new(word: &str) -> Result<Folders> {
        let name = format!("hostcompute-{word}-{}", std::process::id());
        let top = std::env::temp_dir().join(name);
        std::fs::create_dir(&top).with_context(|| format!("making {}", top.display()))?;
        Ok(Folders { top })
    }

    /// A place in the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    /// Makes `command` (hc, or a shell that calls it) use these folders and nothing else.
    pub fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("HOSTCOMPUTE_STATE_DIR", self.join("state"))
            .env("HOSTCOMPUTE_RUNTIME_DIR", self.join("run"))
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // Left where it is when something still holds it: the check of what is left then tells.
        let _ = std::fs::remove_dir_all(&self.top);
    }
}

impl Outside {
    /// Connects the network namespace that we are in with a new one.
    ///
    /// # Errors
    /// `ip` is missing or refuses.
    pub fn connect() -> Result<Outside> {
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting unshare")?;
        wait_for_ready(&mut holder)?;
        let outside = Outside { holder };
        let id = outside.holder.id().to_string();
        ip("link set lo up")?;
        ip(&format!("link add up0 type veth peer name eth0 netns {id}"))?;
        let [host4, host6] = HOST;
        let [out4, out6] = OUTSIDE;
        for line in [
            // No link-local addresses: they would still be settling while the machine is compared.
            "link set up0 addrgenmode none".to_owned(),
            format!("address add {host4}/24 dev up0"),
            format!("address add {host6}/64 dev up0 nodad"),
            "link set up0 up".to_owned(),
        ] {
            ip(&line)?;
        }
        for line in [
            "link set lo up".to_owned(),
            "link set eth0 addrgenmode none".to_owned(),
            format!("address add {out4}/24 dev eth0"),
            format!("address add {out6}/64 dev eth0 nodad"),
            "link set eth0 up".to_owned(),
        ] {
            process::output(outside.command("ip").args(line.split(' ')))?;
        }
        settle("up0", host6)?;
        ip(&format!("route add default via {out4}"))?;
        ip(&format!("-6 route add default via {out6}"))?;
        Ok(outside)
    }

    /// A command that runs outside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net", "--"]).arg(program);
        command
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // Its input ends with us; killing it only makes that sooner.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Waits for what the kernel does on its own time with a new link: it notices the carrier, then takes the IPv6 address into
/// use and, where it forwards, answers for the whole subnet too. Otherwise these would look like changes later.
fn settle(link: &str, address: &str) -> Result<()> {
    let forwards = std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{link}/forwarding"));
    let forwards = forwards.is_ok_and(|value| value.trim() == "1");
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let state = process::output(Command::new("ip").args(["link", "show", link]))?;
        let mut routes = Command::new("ip");
        let local = ["-6", "route", "show", "table", "local", "dev", link];
        let routes = process::output(routes.args(local))?;
        let in_use = routes.contains(&format!("local {address} "));
        if state.contains("state UP") && in_use && (!forwards || routes.contains("anycast ")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("the sandbox's uplink does not come up")
}

/// Waits for the line `ready` on a child's output.
///
/// # Errors
/// The child ended, or said something else.
pub fn wait_for_ready(child: &mut Child) -> Result<()> {
    let output = child.stdout.as_mut().context("the child's output is not ours to read")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).context("waiting for a child to be ready")?;
    match line.trim() {
        "ready" => Ok(()),
        "" => bail!("a child ended before it was ready"),
        said => bail!("a child said {said:?} instead of being ready"),
    }
}

/// The address in the form that stands before a port.
pub fn with_port(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

fn ip(line: &str) -> Result<()> {
    process::output(Command::new("ip").args(line.split(' '))).map(drop)
}
