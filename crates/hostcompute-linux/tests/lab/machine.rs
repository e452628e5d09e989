//! Virtual machines, as far as the host can tell: a process that opens a tap and carries frames to and from whoever is inside, here a
//! namespace with a stack of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Netns, open_tap};

/// A machine that runs until it is dropped.
#[derive(Debug)]
pub struct Machine {
    pub netns: Netns,
    stop: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
}

impl Machine {
    /// Boots one whose network card has this MAC and is plugged into the tap of this name.
    pub fn boot(host: &Netns, tap: &str, mac: &str) -> Self {
        let netns = Netns::new();
        for line in [
            "ip link set lo up".to_owned(),
            "ip tuntap add dev eth0 mode tap".to_owned(),
            format!("ip link set eth0 address {mac} addrgenmode none"),
        ] {
            netns.exec(&line);
        }
        let outer = host.run(|| open_tap(tap));
        let inner = netns.run(|| open_tap("eth0"));
        netns.exec("ip link set eth0 up");
        let stop = Arc::new(AtomicBool::new(false));
        let ways = [(outer.try_clone().unwrap(), inner.try_clone().unwrap()), (inner, outer)];
        let carriers = ways.map(|(from, to)| {
            let stop = stop.clone();
            std::thread::spawn(move || carry(from, to, &stop))
        });
        Self { netns, stop, carriers: carriers.into() }
    }
}

fn carry(mut from: File, mut to: File, stop: &AtomicBool) {
    let mut frame = [0; 65536];
    let patience = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    while !stop.load(Ordering::Relaxed) {
        let mut waiting = [PollFd::new(&from, PollFlags::IN)];
        if poll(&mut waiting, Some(&patience)).unwrap_or(0) == 0 {
            continue;
        }
        // A card that is down, or gone, takes nothing and gives nothing.
        let Ok(length) = from.read(&mut frame) else { return };
        let _ = to.write(&frame[..length]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            let _ = carrier.join();
        }
    }
}
