//! The host's own resolvers, by its resolv.conf(5), read again when it has changed.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

/// So many are asked, as the C library does.
const MOST: usize = 3;

/// The resolvers that a file names.
#[derive(Debug)]
pub(super) struct Upstream {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
    servers: Vec<IpAddr>,
}

impl Upstream {
    pub fn new(path: PathBuf) -> Self {
        Self { path, seen: None, servers: Vec::new() }
    }

    /// Those to ask now.
    pub fn servers(&mut self) -> &[IpAddr] {
        let about = std::fs::metadata(&self.path).ok();
        let now = about.and_then(|about| Some((about.modified().ok()?, about.len())));
        if now.is_none() || now != self.seen {
            let text = std::fs::read_to_string(&self.path).unwrap_or_default();
            (self.seen, self.servers) = (now, read(&text));
        }
        &self.servers
    }
}

fn read(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // Of a scoped address (fe80::1%eth0) the scope is lost, and with it the way there.
        address.parse().ok()
    };
    text.lines().filter_map(server).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_servers_count() {
        let text = "# nameserver 9.9.9.9\nsearch test\nnameserver 10.0.0.1\nnameserver x\n\
                    nameserver fd00::1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        let servers: Vec<String> = read(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1", "fd00::1", "10.0.0.2"]);
    }
}
