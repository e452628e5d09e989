//! Comparing: what the kernel has, held against the facts it should have.
//!
//! The host's tables are read once ([`links::HostView`], [`filter::FilterView`]), then every wanted fact is looked up in them. What carries our
//! mark and is not explained by a wanted fact is a stray. What processes did inside a namespace beside our facts (more
//! addresses, other routes) is their own business and not looked at.

mod face;
pub(crate) mod filter;
pub(crate) mod links;
mod station;

use std::collections::HashSet;

use hostcompute_engine::host::Difference;
use hostcompute_engine::plan::{Fact, Stray};
use hostcompute_schema::Guid;

use crate::error::Error;
use crate::nft::{guise, inside};
use crate::perform::link_index;
use crate::sweep::Handle;
use crate::{Linux, cleanup, describe, forwarding, resolver};
use face::Guises;
use filter::FilterView;
use links::HostView;

/// How a fact was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    Holds,
    Missing,
    /// With other content, described for people.
    Different(String),
}

/// Every difference between the host and the wanted facts.
///
/// The tables of a large host take more memory than all else: a process that stays gives it back afterwards
/// ([`crate::give_back_memory`]).
pub(crate) fn compare(host: &mut Linux, wanted: &[Fact]) -> Result<Vec<Difference>, Error> {
    // What is on its way out is no difference.
    host.cleanup.settle()?;
    host.namespaces.close();
    let mut view = HostView::read(host)?;
    if view.has_dying_links() {
        // Left by a process that was killed, or that ended without waiting for the kernel to end a namespace.
        cleanup::delete_group(&mut host.route)?;
        view = HostView::read(host)?;
    }
    view.expect_clients(wanted);
    let filter = FilterView::read(host, wanted)?;
    view.guises = Guises::read(host)?;
    let mut differences = Vec::new();
    let mut unsound = HashSet::new();
    let mut bare = HashSet::new();
    let mut sorted: Vec<&Fact> = wanted.iter().collect();
    sorted.sort();
    for fact in sorted {
        let finding = match rests_on(fact, &unsound) {
            // What it rests on is made anew, and takes it along.
            true => Finding::Missing,
            false if way_out(fact).is_some_and(|out| bare.contains(out)) => Finding::Missing,
            false => finding(host, &view, &filter, fact)?,
        };
        if finding != Finding::Holds {
            unsound.extend(link_index(fact));
            if let Fact::Guise(guise) = fact {
                bare.insert(guise.name.clone());
            }
        }
        match finding {
            Finding::Holds => {}
            Finding::Missing => differences.push(Difference::Missing(fact.clone())),
            Finding::Different(found) => {
                differences.push(Difference::Different { wanted: fact.clone(), found });
            }
        }
    }
    let mut strays = view.strays(wanted);
    strays.extend(filter.strays());
    strays.extend(file_strays(host, wanted)?);
    differences.extend(
        strays
            .into_iter()
            .map(|(what, handle)| Difference::Stray(Stray { what, handle: handle.to_string() })),
    );
    Ok(differences)
}

/// Whether the fact rests on one of these links.
fn rests_on(fact: &Fact, links: &HashSet<u32>) -> bool {
    match fact {
        Fact::Diversion(it) if it.lanes.iter().any(|lane| links.contains(&lane.shaper)) => true,
        _ => foundation(fact).is_some_and(|index| links.contains(&index)),
    }
}

/// The index of the link on which the fact rests, if that is another fact's. Facts that rest on others come after them.
fn foundation(fact: &Fact) -> Option<u32> {
    match fact {
        Fact::HostAddress(host) => Some(host.index),
        Fact::VipRoute(route) => Some(route.index),
        Fact::VipOwner(owner) => Some(owner.index),
        Fact::Peer(peer) => Some(peer.index),
        Fact::RemoteRoute(route) => Some(route.index),
        Fact::Diversion(diversion) => Some(diversion.index),
        Fact::Lease(lease) => Some(lease.index),
        _ => None,
    }
}

/// The link by which what the fact is about leaves the host: where that is made anew, routes and MACs are lost with it.
fn way_out(fact: &Fact) -> Option<&String> {
    match fact {
        Fact::Face(face) => Some(&face.guise),
        Fact::Wire(wire) => Some(&wire.out),
        Fact::Proxy(proxy) => Some(&proxy.uplink),
        _ => None,
    }
}

/// Whether one link holds as it should. Reads the tables anew.
pub(crate) fn holds(host: &mut Linux, fact: &Fact) -> Result<bool, Error> {
    let view = HostView::read(host)?;
    Ok(view.finding(host, fact)? == Some(Finding::Holds))
}

fn finding(
    host: &mut Linux,
    view: &HostView,
    filter: &FilterView,
    fact: &Fact,
) -> Result<Finding, Error> {
    if let Some(finding) = view.finding(host, fact)? {
        return Ok(finding);
    }
    if let Some(finding) = filter.finding(&mut host.netfilter, fact)? {
        return Ok(finding);
    }
    Ok(match fact {
        Fact::Forwarding(family) => match host.within(|| forwarding::is_on(*family))? {
            true => Finding::Holds,
            false => Finding::Different(forwarding::describe(*family)),
        },
        Fact::Solicited(uplink) => match host.within(|| forwarding::is_answering(uplink))? {
            true => Finding::Holds,
            false => Finding::Missing,
        },
        Fact::Netns(netns) if host.namespaces.exists(*netns) => Finding::Holds,
        Fact::Interception(wanted) if host.namespaces.exists(wanted.netns) => {
            let mut socket = host.namespaces.filter(wanted.netns)?;
            match inside::difference(&mut socket, wanted)? {
                None => Finding::Missing,
                Some(None) => Finding::Holds,
                Some(Some(found)) => Finding::Different(found),
            }
        }
        Fact::Resolver(wanted) => match resolver::read(&host.resolver_dir, wanted.netns)? {
            None => Finding::Missing,
            Some(content) if content == wanted.content => Finding::Holds,
            Some(content) => {
                let first = content.lines().next().unwrap_or("nothing").to_owned();
                Finding::Different(format!("a file that begins with {first:?}"))
            }
        },
        Fact::Responder(_) | Fact::Name(_) if host.answers_for(fact) => Finding::Holds,
        _ => Finding::Missing,
    })
}

/// Namespaces, resolver files and remembered settings that no fact explains.
fn file_strays(host: &mut Linux, wanted: &[Fact]) -> Result<Vec<(String, Handle)>, Error> {
    let mut strays = Vec::new();
    let namespaces: HashSet<String> = wanted
        .iter()
        .filter_map(|fact| match fact {
            Fact::Netns(netns) => Some(netns.to_string()),
            _ => None,
        })
        .collect();
    for (name, _) in host.namespaces.list()? {
        // Other files in the directory are not ours.
        if name.parse::<Guid>().is_ok() && !namespaces.contains(&name) {
            strays.push((format!("namespace {name}"), Handle::Netns(name)));
        }
    }
    let resolvers: HashSet<Guid> = wanted
        .iter()
        .filter_map(|fact| match fact {
            Fact::Resolver(resolver) => Some(resolver.netns),
            _ => None,
        })
        .collect();
    for (_, netns) in resolver::list(&host.resolver_dir)? {
        if let Some(netns) = netns.filter(|netns| !resolvers.contains(netns)) {
            strays.push((format!("resolver file of namespace {netns}"), Handle::Resolver(netns)));
        }
    }
    let proxied: HashSet<Guid> = wanted
        .iter()
        .filter_map(|fact| match fact {
            Fact::Interception(inside) => Some(inside.netns),
            _ => None,
        })
        .collect();
    for netns in wanted.iter().filter_map(|fact| match fact {
        Fact::Netns(netns) => Some(*netns).filter(|netns| !proxied.contains(netns)),
        _ => None,
    }) {
        if host.namespaces.exists(netns) && inside::exists(&mut host.namespaces.filter(netns)?)? {
            strays.push((format!("proxies inside namespace {netns}"), Handle::Inside(netns)));
        }
    }
    for name in guise::names(&mut host.netfilter)? {
        let is_it = |fact: &Fact| match fact {
            Fact::Guise(guise) => guise::table(&guise.name) == name,
            Fact::Tunnel(tunnel) => guise::table(&tunnel.name) == name,
            _ => false,
        };
        if !wanted.iter().any(is_it) {
            strays.push((format!("MACs in table {name}"), Handle::Guise(name)));
        }
    }
    for uplink in forwarding::answering(&host.saved, &host.scene)? {
        if !wanted.contains(&Fact::Solicited(uplink.clone())) {
            let what = format!("answers of {uplink} to solicitations, switched on by us");
            strays.push((what, Handle::Solicited(uplink)));
        }
    }
    for family in [hostcompute_engine::plan::Family::V4, hostcompute_engine::plan::Family::V6] {
        let fact = Fact::Forwarding(family);
        if !wanted.contains(&fact) && forwarding::is_remembered(&host.saved, &host.scene, family)? {
            let what = format!("{} that was switched on by us", describe::fact(&fact));
            strays.push((what, Handle::Forwarding(family)));
        }
    }
    Ok(strays)
}
