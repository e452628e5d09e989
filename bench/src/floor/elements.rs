//! The yardstick of nftables: elements of a set and of a map, which is all that an endpoint changes there.

use std::io;

use super::message::{self, Doing};
use super::{Endpoint, TABLE};
use crate::command;
use crate::netlink::{Datagram, Socket};

/// The static table, filled with the elements of endpoints that need not exist.
#[derive(Debug)]
pub struct Elements {
    netfilter: Socket,
    datagram: Datagram,
    present: u32,
}

impl Elements {
    /// Loads the table into the calling thread's network namespace.
    pub fn open() -> anyhow::Result<Self> {
        command::run("nft", ["-f", "-"], TABLE)?;
        Ok(Self { netfilter: Socket::netfilter()?, datagram: Datagram::default(), present: 0 })
    }

    /// Adds elements until those of `count` endpoints are there.
    pub fn fill(&mut self, count: u32) -> io::Result<()> {
        while self.present < count {
            self.add(self.present)?;
            self.present += 1;
        }
        Ok(())
    }

    pub fn add(&mut self, number: u32) -> io::Result<()> {
        self.change(number, Doing::Add)
    }

    pub fn delete(&mut self, number: u32) -> io::Result<()> {
        self.change(number, Doing::Delete)
    }

    fn change(&mut self, number: u32, doing: Doing) -> io::Result<()> {
        let endpoint = Endpoint::numbered(number);
        message::endpoint_elements(self.datagram.clear(), doing, &endpoint);
        self.netfilter.send(&mut self.datagram)
    }
}
