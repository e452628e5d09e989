//! DHCP as others speak it: busybox's client and server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Netns;

/// Waits for something that another thread or process does.
#[track_caller]
pub fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::yield_now();
    }
}

/// What a DHCP client said of its lease, one word of the script after the other.
#[derive(Debug)]
pub struct Client {
    pub process: Child,
    told: PathBuf,
}

impl Client {
    /// An ordinary client in a namespace whose interface has nothing yet.
    pub fn begin(netns: &Netns, name: &str) -> Self {
        let (script, told) =
            (PathBuf::from(format!("/mnt/{name}.sh")), PathBuf::from(format!("/mnt/{name}.told")));
        let text = format!(
            "#!/bin/sh\n\
             echo \"$1 ip=$ip subnet=$subnet router=$router dns=$dns domain=$domain search=$search mtu=$mtu lease=$lease server=$serverid\" >> {0}\n\
             [ \"$1\" = bound ] || exit 0\n\
             ip addr add $ip/$subnet dev $interface\n\
             ip route add default via $router\n\
             echo ready >> {0}\n",
            told.display()
        );
        std::fs::write(&script, text).unwrap();
        netns.exec(&format!("chmod 755 {}", script.display()));
        netns.exec("ip addr flush dev eth0");
        let process = netns.run(|| {
            Command::new("busybox")
                .args(["udhcpc", "-f", "-i", "eth0", "-O", "search", "-O", "mtu"])
                .args(["-t", "20", "-T", "1", "-s"])
                .arg(&script)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        Self { process, told }
    }

    pub fn told(&self) -> String {
        std::fs::read_to_string(&self.told).unwrap_or_default()
    }

    #[track_caller]
    pub fn hears(&self, word: &str) {
        wait_for(word, || self.told().lines().any(|line| line.starts_with(word)));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An ordinary server, which leases one address on its namespace's uplink.
#[derive(Debug)]
pub struct Server(Child);

impl Server {
    pub fn begin(netns: &Netns, address: &str, gateway: &str) -> Self {
        let (file, leases) = ("/mnt/udhcpd.conf", "/mnt/udhcpd.leases");
        std::fs::write(leases, "").unwrap();
        let text = format!(
            "start {address}\nend {address}\ninterface up0\nlease_file {leases}\npidfile /mnt/udhcpd.pid\n\
             option subnet 255.255.255.0\noption router {gateway}\noption lease 3600\n"
        );
        std::fs::write(file, text).unwrap();
        let process = netns.run(|| {
            Command::new("busybox")
                .args(["udhcpd", "-f", file])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        Self(process)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
