//! A laboratory: a host and an outside world in network namespaces that the test makes itself.
//!
//! The test's thread moves into a network namespace of its own (the "host") and a mount namespace of its own, where a fresh
//! tmpfs holds every file. So nothing of the machine is touched, and nothing is left when the thread ends. The outside is
//! another namespace at the far end of a veth pair, with the host as its router to nowhere: it knows the host's uplink only.
#![allow(dead_code, reason = "each test file uses its own part of the laboratory")]
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

pub mod facts;
pub mod lease;
pub mod machine;
pub mod node;
pub mod pods;
pub mod resolver;
pub mod traffic;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hostcompute_engine::host::{Difference, Host};
use hostcompute_engine::plan::{Fact, Step, difference};
use hostcompute_linux::{Linux, Options};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use serde_json::Value;

/// Addresses of the uplink: the host's, then the outside's.
pub const HOST4: &str = "198.51.100.1";
pub const OUTSIDE4: &str = "198.51.100.2";
pub const HOST6: &str = "2001:db8:51::1";
pub const OUTSIDE6: &str = "2001:db8:51::2";

const HOST_MAC: &str = "02:00:00:00:00:01";
const OUTSIDE_MAC: &str = "02:00:00:00:00:02";

/// A network namespace held open.
#[derive(Debug)]
pub struct Netns(OwnedFd);

impl Netns {
    /// The calling thread's own.
    pub fn own() -> Self {
        let file = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        Self(file.into())
    }

    pub fn open(path: &Path) -> Self {
        let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self(file.into())
    }

    /// A new one, without links that are up.
    pub fn new() -> Self {
        std::thread::spawn(|| {
            unshare(UnshareFlags::NEWNET);
            Self::own()
        })
        .join()
        .unwrap()
    }

    /// A path by which other programs find it while this process lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    /// Runs `work` inside, on a thread of its own.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let kind = Some(LinkNameSpaceType::Network);
                    move_into_link_name_space(self.0.as_fd(), kind).unwrap();
                    work()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program inside; returns what it printed.
    pub fn exec(&self, line: &str) -> String {
        self.run(|| exec(line))
    }

    /// The MAC under which it knows an address.
    pub fn known_as(&self, address: &str) -> String {
        let shown = self.exec(&format!("ip neigh show {address}"));
        let mut words = shown.split_whitespace().skip_while(|word| *word != "lladdr");
        words.nth(1).unwrap_or_default().to_owned()
    }

    /// The MAC of a link inside.
    pub fn mac(&self, link: &str) -> String {
        self.json(&format!("ip -j link show {link}"))[0]["address"].as_str().unwrap().to_owned()
    }

    /// Runs a program that prints JSON.
    pub fn json(&self, line: &str) -> Value {
        let text = self.exec(line);
        if text.trim().is_empty() {
            return Value::Array(Vec::new());
        }
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{line}: {e}\n{text}"))
    }
}

/// Runs a program in the calling thread's namespaces. Words are separated by spaces; quotes have no meaning.
pub fn exec(line: &str) -> String {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a program");
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program)
        .args(words)
        .env("PATH", path)
        .output()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(
        output.status.success(),
        "{line}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[expect(unsafe_code, reason = "unshare is unsafe for CLONE_FILES, which is not used")]
fn unshare(flags: UnshareFlags) {
    // SAFETY: descriptors stay shared.
    unsafe { rustix::thread::unshare_unsafe(flags) }.unwrap();
}

/// Opens a tap of the calling thread's namespace, as whoever runs a virtual machine does.
#[expect(unsafe_code, reason = "a tap is opened by an ioctl that nobody wraps")]
pub fn open_tap(name: &str) -> std::fs::File {
    unsafe extern "C" {
        fn ioctl(fd: i32, request: std::ffi::c_ulong, argument: *mut u8) -> i32;
    }
    // TUNSETIFF with a struct ifreq: the name, then IFF_TAP and IFF_NO_PI.
    let mut wanted = [0_u8; 40];
    wanted[..name.len()].copy_from_slice(name.as_bytes());
    wanted[16..18].copy_from_slice(&0x1002_u16.to_ne_bytes());
    let device = std::fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    // SAFETY: the kernel reads and writes 40 bytes, which are there and outlive the call.
    let failed = unsafe { ioctl(device.as_raw_fd(), 0x4004_54ca, wanted.as_mut_ptr()) } != 0;
    assert!(!failed, "{name}: {}", std::io::Error::last_os_error());
    device
}

/// The laboratory of one test.
#[derive(Debug)]
pub struct Lab {
    pub host: Netns,
    pub outside: Netns,
    pub directory: PathBuf,
    pub linux: Linux,
    /// What the host should have by now.
    pub facts: Vec<Fact>,
}

/// Whether the privileged tests can run here; says so if not.
pub fn privileged() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_none(),
        "HOSTCOMPUTE_REQUIRE_ROOT is set, and this is not root"
    );
    eprintln!("skipped: needs root");
    false
}

impl Lab {
    /// Moves the calling thread into a new laboratory; `None` where it cannot be built.
    pub fn new() -> Option<Self> {
        if !privileged() {
            return None;
        }
        let directory = seclude();
        let (host, outside) = (Netns::own(), Netns::new());
        let far = outside.path();
        for line in [
            "ip link set lo up".to_owned(),
            format!(
                "ip link add up0 address {HOST_MAC} type veth peer name out0 address {OUTSIDE_MAC} netns {}",
                far.display()
            ),
            // Link-local addresses would make the first seconds depend on duplicate detection.
            "ip link set up0 addrgenmode none".to_owned(),
            format!("nsenter --net={} ip link set out0 addrgenmode none", far.display()),
            format!("ip addr add {HOST4}/24 dev up0"),
            format!("ip -6 addr add {HOST6}/64 dev up0 nodad"),
            "ip link set up0 up".to_owned(),
            format!("nsenter --net={} ip link set lo up", far.display()),
            format!("nsenter --net={} ip addr add {OUTSIDE4}/24 dev out0", far.display()),
            format!("nsenter --net={} ip -6 addr add {OUTSIDE6}/64 dev out0 nodad", far.display()),
            format!("nsenter --net={} ip link set out0 up", far.display()),
            // Solicitations are lost while the other side is still joining its groups.
            format!("ip neigh add {OUTSIDE6} lladdr {OUTSIDE_MAC} dev up0 nud permanent"),
            format!(
                "nsenter --net={} ip neigh add {HOST6} lladdr {HOST_MAC} dev out0 nud permanent",
                far.display()
            ),
            format!("ip route add default via {OUTSIDE4}"),
            format!("ip -6 route add default via {OUTSIDE6}"),
        ] {
            exec(&line);
        }
        // The kernel notices a moment later that both ends are up.
        let deadline = Instant::now() + Duration::from_secs(10);
        let settled = |routes: &str| {
            routes.contains("multicast ff00::/8 dev up0")
                && routes.contains(&format!("local {HOST6} dev up0"))
        };
        while !(exec("ip -o link show up0").contains("state UP")
            && settled(&exec("ip -6 route show table local")))
        {
            assert!(Instant::now() < deadline, "the uplink does not come up");
            std::thread::yield_now();
        }
        let linux = open(&directory, None);
        Some(Self { host, outside, directory, linux, facts: Vec::new() })
    }

    /// Another view of the same host, as another process would have it.
    pub fn reopen(&self) -> Linux {
        open(&self.directory, None)
    }

    /// Performs steps.
    #[track_caller]
    pub fn perform(&mut self, plan: &[Step]) {
        self.linux.perform(plan).unwrap_or_else(|fault| panic!("{fault:?}"));
    }

    /// Brings the host to have these facts and no others.
    #[track_caller]
    pub fn bring(&mut self, facts: &[Fact]) {
        let plan = difference(&self.facts, facts);
        self.perform(&plan);
        self.facts = facts.to_vec();
    }

    /// Adds facts to those the host has.
    #[track_caller]
    pub fn add(&mut self, facts: impl IntoIterator<Item = Fact>) {
        let mut all = self.facts.clone();
        all.extend(facts);
        self.bring(&all);
    }

    /// What differs from the facts brought so far.
    #[track_caller]
    pub fn differences(&mut self) -> Vec<Difference> {
        self.linux.compare(&self.facts).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    /// The host has what it should have.
    #[track_caller]
    pub fn check(&mut self) {
        assert_eq!(self.differences(), []);
    }

    /// The namespace of an endpoint's port.
    pub fn netns(&self, netns: hostcompute_schema::Guid) -> Netns {
        Netns::open(&self.linux.netns_path(netns))
    }

    /// Everything a foreign eye sees on the host, line by line in alphabetical order: links, addresses, routes, rules,
    /// neighbours, packet filter, settings, files.
    pub fn fingerprint(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for program in [
            "ip -o link",
            "ip -o addr",
            "ip route show table all",
            "ip -6 route show table all",
            "ip rule",
            "ip neigh show nud permanent",
            "tc qdisc",
            "nft list ruleset",
            "ip netconf",
        ] {
            let shown = self.host.exec(program);
            // The kernel adds these to our links a moment after they came up, and they go with the links.
            let kept =
                shown.lines().filter(|line| !(line.contains("table local") && is_late(line)));
            lines.extend(kept.map(|line| format!("{program}: {}", plain(line))));
        }
        for setting in [
            "ipv4/conf/all/forwarding",
            "ipv4/conf/default/forwarding",
            "ipv4/conf/up0/forwarding",
            "ipv4/conf/all/accept_redirects",
            "ipv6/conf/all/forwarding",
            "ipv6/conf/default/forwarding",
            "ipv6/conf/up0/forwarding",
            "ipv6/conf/up0/accept_ra",
        ] {
            let value =
                self.host.run(|| std::fs::read_to_string(format!("/proc/sys/net/{setting}")));
            lines.push(format!("{setting} = {}", value.unwrap().trim()));
        }
        lines.extend(walk(&self.directory));
        lines.sort();
        lines
    }

    /// Fails with the lines that came and went.
    #[track_caller]
    pub fn check_unchanged(&self, before: &[String]) {
        let after = self.fingerprint();
        let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
        let come: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        assert!(gone.is_empty() && come.is_empty(), "gone: {gone:#?}\ncome: {come:#?}");
        assert_eq!(after.len(), before.len());
    }
}

/// Moves the calling thread into a network and a mount namespace of its own; returns a folder for its files.
fn seclude() -> PathBuf {
    unshare(UnshareFlags::NEWNS | UnshareFlags::NEWNET);
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).unwrap();
    // /mnt exists everywhere, and the mount is seen by this thread only.
    let directory = PathBuf::from("/mnt");
    rustix::mount::mount("lab", &directory, "tmpfs", MountFlags::empty(), None).unwrap();
    directory
}

/// Whether it speaks of a link of ours.
fn is_late(line: &str) -> bool {
    [" dev hb", " dev he", " dev hx"].into_iter().any(|ours| line.contains(ours))
}

/// Without what the kernel notes later (that a bridge without ports has no carrier), and without the borders of lists, whose
/// elements come in any order.
fn plain(line: &str) -> String {
    let line = line
        .replace("NO-CARRIER,", "")
        .replace("state UNKNOWN", "")
        .replace("state DOWN", "")
        .replace("state UP", "");
    let line = line.replace("linkdown", "").split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim().trim_start_matches("elements = { ").trim_end_matches(" }");
    line.trim_end_matches(',').trim().to_owned()
}

fn walk(directory: &Path) -> Vec<String> {
    std::fs::read_dir(directory)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] }
        })
        .collect()
}

fn open(directory: &Path, host_netns: Option<PathBuf>) -> Linux {
    Linux::open(Options {
        host_netns,
        netns_dir: directory.join("netns"),
        resolver_dir: directory.join("resolv"),
        saved: directory.join("saved.json"),
        resolv_conf: directory.join("resolv.conf"),
    })
    .unwrap()
}

/// Where a connection was going before the packet filter sent it elsewhere.
pub fn original_destination(stream: &std::net::TcpStream) -> std::net::SocketAddr {
    let found = match stream.local_addr().unwrap() {
        std::net::SocketAddr::V4(_) => {
            rustix::net::sockopt::ip_original_dst(stream).map(std::net::SocketAddr::V4)
        }
        std::net::SocketAddr::V6(_) => {
            rustix::net::sockopt::ipv6_original_dst(stream).map(std::net::SocketAddr::V6)
        }
    };
    found.unwrap()
}
