//! The targets: what is run on an input, and what must hold whatever the input is.

pub mod compute;
pub mod decide;
pub mod documents;
pub mod host_document;
pub mod netlink;

use hostcompute_schema::hcn;
use hostcompute_schema::schema::StructSchema;

use crate::mutate;
use crate::random::Random;
use crate::sample;

/// A target as the drivers see it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Takes an input, tells what was in it.
    pub run: fn(&[u8]) -> Seen,
    /// Makes an input that is near a seed.
    pub mutate: fn(&[u8], &[String], &mut Random) -> Vec<u8>,
    /// The types of which documents are seeds, too.
    pub sampled: &'static [&'static StructSchema],
}

/// What was in an input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub documents: usize,
    /// Documents that were taken for what they are, not refused: a run without them tries little.
    pub accepted: usize,
}

impl Seen {
    fn one(accepted: bool) -> Self {
        Self { documents: 1, accepted: usize::from(accepted) }
    }
}

/// All targets.
pub static ALL: [Target; 5] = [
    Target {
        name: "documents",
        run: documents::run,
        mutate: document,
        sampled: hcn::listing::STRUCTS,
    },
    Target { name: "compute", run: compute::run, mutate: document, sampled: compute::TYPES },
    Target { name: "host_document", run: host_document::run, mutate: document, sampled: &[] },
    Target { name: "decide", run: decide::run, mutate: history, sampled: &[] },
    Target { name: "netlink", run: netlink::run, mutate: message, sampled: &[] },
];

impl Target {
    /// The seeds that need no file.
    pub fn samples(&self) -> Vec<String> {
        sample::documents(self.sampled)
    }
}

fn document(seed: &[u8], others: &[String], random: &mut Random) -> Vec<u8> {
    mutate::document(&String::from_utf8_lossy(seed), others, random).into_bytes()
}

fn history(seed: &[u8], others: &[String], random: &mut Random) -> Vec<u8> {
    mutate::history(&String::from_utf8_lossy(seed), others, random).into_bytes()
}

fn message(seed: &[u8], _: &[String], random: &mut Random) -> Vec<u8> {
    mutate::bytes(seed, random)
}
