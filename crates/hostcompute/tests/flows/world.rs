//! Hosts on one wire: each a network namespace with an uplink, a state directory, and a service that runs as a process of its own.
//!
//! A host can lose its service (as by kill -9), get it back, and start anew as a whole: another kernel as far as the network is
//! concerned, with the same files in its state directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hostcompute::schema::Guid;
use hostcompute::{Host, Options, Way};

use crate::daemon::Daemon;
use crate::lab::Netns;
use crate::lab::node::{Wire, address, seclude};

/// What it takes at most, on a busy machine, until the kernel is through with what it does later.
const LONG: Duration = Duration::from_secs(60);

/// One host.
pub struct Machine {
    pub number: u8,
    pub netns: Netns,
    pub host: Host,
    folder: PathBuf,
    daemon: Option<Daemon>,
    /// What a foreign eye saw of the host before the service came.
    before: String,
}

/// Plays a flow on a wire with hosts, whose addresses are 192.0.2.1 and so on. In the end documents, journal and kernel of each agree;
/// and when its service has ended, it is as it was before. Where the test may not make hosts: nothing, with a message.
#[track_caller]
pub fn play<const COUNT: usize>(flow: impl FnOnce(&Wire, &mut [Machine; COUNT])) {
    if !seclude() || Daemon::program().is_none() {
        return;
    }
    let wire = Wire::new();
    let mut machines = core::array::from_fn(|index| {
        let number = u8::try_from(index + 1).unwrap();
        Machine::new(&wire, number)
    });
    flow(&wire, &mut machines);
    for machine in machines {
        machine.check();
        machine.leaves_nothing();
    }
}

/// A machine on the wire that has no service: 192.0.2.`number`.
pub fn stranger(wire: &Wire, number: u8) -> Netns {
    let netns = Netns::new();
    netns.exec("ip link set lo up");
    plug(wire, &netns, number);
    netns
}

/// The uplink, with a MAC that is the same after a restart: neighbours do not notice.
fn plug(wire: &Wire, netns: &Netns, number: u8) {
    wire.plug(netns, "up0", &format!("{}/24", address(number)), number);
    netns.exec(&format!("ip link set up0 address 02:00:5e:00:53:{number:02x}"));
    let deadline = Instant::now() + LONG;
    while !netns.exec("ip -o link show up0").contains("state UP") {
        assert!(Instant::now() < deadline, "the uplink does not come up");
        std::thread::yield_now();
    }
    netns.exec("ip route add default via 192.0.2.254");
}

impl Machine {
    fn new(wire: &Wire, number: u8) -> Self {
        let netns = Netns::new();
        netns.exec("ip link set lo up");
        plug(wire, &netns, number);
        let folder = PathBuf::from(format!("/mnt/host{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        let before = seen(&netns);
        let daemon = serve(&netns, &folder);
        let host = connect(&folder);
        Self { number, netns, host, folder, daemon: Some(daemon), before }
    }

    /// The host's address on the wire.
    pub fn address(&self) -> String {
        address(self.number)
    }

    /// The MAC of the adapter, as programs in Go print it.
    pub fn mac(&self) -> String {
        format!("02:00:5e:00:53:{:02x}", self.number)
    }

    /// The service is gone, as by kill -9; what it made goes on.
    pub fn kill(&mut self) {
        self.daemon.take().expect("a service").kill();
    }

    /// The service is asked to end, and has.
    pub fn stop(&mut self) {
        self.daemon.take().expect("a service").stop();
    }

    /// The service comes back.
    pub fn start(&mut self) {
        self.daemon = Some(serve(&self.netns, &self.folder));
        self.host = connect(&self.folder);
    }

    /// The power fails: everything of the kernel's is gone, the state directory is as it was. The service is not started.
    pub fn lose_power(&mut self, wire: &Wire) {
        self.kill();
        wire.netns.exec(&format!("ip link delete p{}", self.number));
        let runtime = self.folder.join("run");
        unmount_all(&runtime.join("netns"));
        let _ = std::fs::remove_dir_all(&runtime);
        self.netns = Netns::new();
        self.netns.exec("ip link set lo up");
        plug(wire, &self.netns, self.number);
        self.before = seen(&self.netns);
    }

    /// The network stack of a namespace.
    #[track_caller]
    pub fn inside(&self, namespace: Guid) -> Netns {
        Netns::open(&self.host.netns_path(namespace).unwrap())
    }

    /// Documents, journal and kernel agree.
    #[track_caller]
    pub fn check(&self) {
        let found = self.host.check().unwrap();
        assert!(found.is_empty(), "host {}: {found:#?}", self.number);
    }

    /// Ends the service: the host is as it was before it came. What it had in reserve the kernel takes away in its own time.
    #[track_caller]
    fn leaves_nothing(mut self) {
        self.host.settle().unwrap();
        self.daemon.take().expect("a service").stop();
        let deadline = Instant::now() + LONG;
        loop {
            let now = seen(&self.netns);
            if now == self.before {
                return;
            }
            assert!(Instant::now() < deadline, "host {}: {}\n{now}", self.number, self.before);
            std::thread::yield_now();
        }
    }
}

/// The service of a host, once it answers.
fn serve(netns: &Netns, folder: &Path) -> Daemon {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.path().display()));
    command.arg(Daemon::program().expect("looked for when the world was made"));
    command.args(["--foreground", "--config", "/dev/null", "--socket"]);
    command.arg(folder.join("hostcompute.sock"));
    for variable in ["HOST_NETNS", "SOCKET", "STRICT", "KILL_AT"] {
        command.env_remove(format!("HOSTCOMPUTE_{variable}"));
    }
    command.env("HOSTCOMPUTE_STATE_DIR", folder.join("state"));
    command.env("HOSTCOMPUTE_RUNTIME_DIR", folder.join("run"));
    Daemon::start(command, folder)
}

fn connect(folder: &Path) -> Host {
    let way = Way::Socket(folder.join("hostcompute.sock"));
    Host::auto(Options { way, ..Options::at(folder.join("state"), folder.join("run")) }).unwrap()
}

/// What a foreign eye sees of a host.
fn seen(netns: &Netns) -> String {
    let programs = [
        "ip -o addr show up0",
        "ip route show table all dev up0",
        "ip rule",
        "ip neigh show proxy",
        "nft list ruleset",
        "ip -br link show",
        "sysctl net.ipv4.conf.up0.forwarding net.ipv4.conf.up0.proxy_arp",
    ];
    programs.map(|line| netns.exec(line)).concat()
}

fn unmount_all(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let _ = rustix::mount::unmount(entry.unwrap().path(), rustix::mount::UnmountFlags::DETACH);
    }
}

/// From now on the wire loses every hundredth frame. Counted, not drawn: what is sent again gets through.
pub fn lossy(wire: &Wire) {
    for line in [
        "nft add table bridge loss",
        "nft add chain bridge loss forward { type filter hook forward priority 0 ; }",
        "nft add rule bridge loss forward numgen inc mod 100 0 counter drop",
    ] {
        wire.netns.exec(line);
    }
}

/// How many frames it has lost.
pub fn lost(wire: &Wire) -> u64 {
    let listed = wire.netns.json("nft -j list table bridge loss");
    let mut objects = listed["nftables"].as_array().into_iter().flatten();
    let counter = objects.find_map(|object| {
        let expressions = object["rule"]["expr"].as_array()?;
        expressions.iter().find_map(|expression| expression["counter"]["packets"].as_u64())
    });
    counter.unwrap()
}

/// The machine to which the hosts' default routes lead, and behind which everything else is: 203.0.113.1, for instance.
pub fn router(wire: &Wire) -> Netns {
    let netns = stranger(wire, 254);
    netns.exec("ip route del default");
    netns.exec("ip addr add 203.0.113.1/32 dev lo");
    let set = |setting: &str, value: &str| {
        let path = format!("/proc/sys/net/ipv4/{setting}");
        netns.run(|| std::fs::write(path, value).unwrap());
    };
    set("ip_forward", "1");
    for device in ["all", "up0"] {
        set(&format!("conf/{device}/send_redirects"), "0");
        set(&format!("conf/{device}/rp_filter"), "0");
    }
    netns
}
