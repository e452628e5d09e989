//! The packet filter inside a namespace: a table of our name there, which sends connections to the ports of proxies (policy
//! L4WFPPROXY). It is made anew as a whole, in one batch; its comment tells whether it is the one that is wanted.

use hostcompute_engine::plan::{AclChain, Direction, Interception, Redirection, Verdict};

use super::batch::Batch;
use super::expression::{self, Meta};
use super::read;
use super::rule::Rule;
use crate::error::Error;
use crate::netlink::Socket;

const PREROUTING: u32 = 0;
const OUTPUT: u32 = 3;
/// Where destinations are translated.
const PRIORITY: i32 = -100;

/// How comments of these tables begin; a service that runs inside the namespace has another.
const OURS: &str = "proxies, managed by hostcompute";

/// The chains at hooks.
const HOOKS: [(Direction, &str, u32); 2] =
    [(Direction::In, "arriving", PREROUTING), (Direction::Out, "leaving", OUTPUT)];

/// Makes the table, in place of any of our name.
///
/// # Errors
/// The first refusal.
pub(crate) fn put(socket: &mut Socket, wanted: &Interception) -> Result<(), Error> {
    let mut batch = Batch::new();
    batch.replace_table(Some(&signature(wanted)));
    for (_, chain, place) in HOOKS {
        batch.add_hook(chain, "nat", place, PRIORITY);
    }
    let chains = chains(wanted);
    for (chain, _) in &chains {
        batch.add_chain(0, &chain.name);
    }
    for (chain, redirection) in &chains {
        if let Some(user) = redirection.user {
            batch.add_rule(&Rule::on(&chain.name).user(user).back());
        }
        batch.fill_chain(0, chain);
        batch.add_rule(&entrance(redirection, &chain.name));
    }
    refused(batch, socket)
}

/// Takes the table away, if there is one.
///
/// # Errors
/// The first refusal.
pub(crate) fn remove(socket: &mut Socket) -> Result<(), Error> {
    let mut batch = Batch::new();
    batch.replace_table(None);
    refused(batch, socket)
}

fn refused(batch: Batch, socket: &mut Socket) -> Result<(), Error> {
    match batch.send(socket)?.into_iter().next() {
        None => Ok(()),
        Some(refusal) => Err(Error::Refused(refusal)),
    }
}

/// Whether the namespace has a table that was made here.
///
/// # Errors
/// The kernel's refusal to tell.
pub(crate) fn exists(socket: &mut Socket) -> Result<bool, Error> {
    Ok(read::signature(socket)?.is_some_and(|found| found.starts_with(OURS)))
}

/// What the namespace has: `None` for no table, else how it differs from the wanted one.
///
/// # Errors
/// The kernel's refusal to tell.
pub(crate) fn difference(
    socket: &mut Socket,
    wanted: &Interception,
) -> Result<Option<Option<String>>, Error> {
    let Some(found) = read::signature(socket)? else { return Ok(None) };
    if found != signature(wanted) {
        return Ok(Some(Some(format!("a table for other proxies ({found:?})"))));
    }
    let rules: usize = chains(wanted)
        .iter()
        .map(|(chain, redirection)| chain.rules.len() + 2 + usize::from(redirection.user.is_some()))
        .sum();
    let seen = read::rules(socket)?.len();
    Ok(Some((seen != rules).then(|| format!("{seen} rules of {rules}"))))
}

/// A chain for each redirection, and the rule that leads to it.
fn chains(wanted: &Interception) -> Vec<(AclChain, &Redirection)> {
    let chain = |(number, redirection): (usize, &Redirection)| AclChain {
        name: format!("redirection{number}"),
        direction: redirection.direction,
        rules: redirection.rules.clone(),
        otherwise: Verdict::Allow,
    };
    let all = wanted.redirections.iter().enumerate();
    all.map(|(number, redirection)| (chain((number, redirection)), redirection)).collect()
}

fn entrance(redirection: &Redirection, chain: &str) -> Rule {
    let hook = HOOKS.iter().find(|(direction, ..)| *direction == redirection.direction);
    let (hook, name) = match hook {
        Some((Direction::Out, hook, _)) => (hook, Meta::OutName),
        Some((_, hook, _)) => (hook, Meta::InName),
        None => (&"arriving", Meta::InName),
    };
    let jump = expression::Verdict::Jump(chain.to_owned());
    Rule::on(*hook).interface(name, &redirection.device).verdict(jump)
}

/// A text that changes with what is wanted.
fn signature(wanted: &Interception) -> String {
    let mut hash = super::ruleset::Hash::default();
    for (chain, redirection) in chains(wanted) {
        hash.add(redirection.device.as_bytes());
        hash.add(
            format!("{:?} {:?} {chain:?}", redirection.direction, redirection.user).as_bytes(),
        );
    }
    format!("{OURS}, rules {hash}")
}
