//! What access rules let pass, worked out from the documents' words alone (hcn.md 2.12 to 2.14, rule 45).

use std::net::IpAddr;

use crate::command::{Action, PORT_LISTS, PROTOCOL_LISTS, Policy, REMOTES, Rule, Tier};
use crate::model::{Endpoint, Model, Network};

const SOURCE_PORT: u16 = 40_000;

/// A packet as access rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub source_port: u16,
    pub port: u16,
}

impl Packet {
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, port: u16) -> Self {
        let source_port = if protocol == 1 { 0 } else { SOURCE_PORT };
        Self { source, destination, protocol, source_port, port }
    }

    pub fn leaves(&self, model: &Model, endpoint: &Endpoint) -> bool {
        self.passes(model, endpoint, false)
    }

    pub fn enters(&self, model: &Model, endpoint: &Endpoint) -> bool {
        self.passes(model, endpoint, true)
    }

    /// Tiers by their order, then the rules at the port, then those behind it. What a tier allows goes past the port's.
    fn passes(&self, model: &Model, endpoint: &Endpoint, inbound: bool) -> bool {
        let Some(network) = model.network(endpoint.network) else { return false };
        let hit = |rules: &[&Rule]| {
            let found = rules.iter().find(|rule| self.hits(rule, inbound, network));
            found.map(|rule| rule.action)
        };
        let mut past_port = false;
        for rules in tiers(endpoint, inbound) {
            match hit(&rules) {
                Some(Action::Block) => return false,
                Some(Action::Allow) => {
                    past_port = true;
                    break;
                }
                Some(Action::Pass) | None => {}
            }
        }
        // Pass is no decision where no tier follows.
        let stage = |inner: bool| {
            let all = ordered(network, endpoint, inbound, inner);
            let some = !all.is_empty();
            let deciding: Vec<&Rule> =
                all.into_iter().filter(|rule| rule.action != Action::Pass).collect();
            (some, hit(&deciding))
        };
        let at_port = match stage(false) {
            _ if past_port => true,
            (some, None) => !some,
            (_, Some(action)) => action == Action::Allow,
        };
        at_port && stage(true).1 != Some(Action::Block)
    }

    fn hits(&self, rule: &Rule, inbound: bool, network: &Network) -> bool {
        let protocols = PROTOCOL_LISTS[rule.protocols];
        let protocol = matches!(protocols, "" | "256")
            || protocols.split(',').any(|one| one == self.protocol.to_string());
        let (remote, local_port, remote_port) = match inbound {
            true => (self.source, self.port, self.source_port),
            false => (self.destination, self.source_port, self.port),
        };
        let address = rule.remote.is_empty()
            || rule.remote.iter().any(|which| contains(REMOTES[*which], remote));
        let within = |list: Option<usize>, port: u16| {
            list.is_none_or(|which| in_list(PORT_LISTS[which], port))
        };
        // Sets are of the source and of the destination, whatever the direction.
        let ends = [
            (&rule.from_sets, self.source, self.source_port),
            (&rule.to_sets, self.destination, self.port),
        ];
        let sets = ends.into_iter().all(|(names, address, port)| {
            names.iter().all(|name| network.in_set(*name, address, (self.protocol, port)))
        });
        protocol
            && address
            && sets
            && within(rule.local_ports, local_port)
            && within(rule.remote_ports, remote_port)
    }
}

/// Whether an endpoint, or its network, says anything about a direction.
pub fn are_there(model: &Model, endpoint: &Endpoint, inbound: bool) -> bool {
    let Some(network) = model.network(endpoint.network) else { return false };
    let stage = |inner| !ordered(network, endpoint, inbound, inner).is_empty();
    !tiers(endpoint, inbound).is_empty() || stage(false) || stage(true)
}

/// The rules of each tier in their order: by priority, Block before Pass before Allow. Tiers of the same order are one.
fn tiers(endpoint: &Endpoint, inbound: bool) -> Vec<Vec<&Rule>> {
    let all = endpoint.policies.iter().filter_map(|policy| match policy {
        Policy::Tier(tier) if tier.inbound == inbound => Some(tier),
        _ => None,
    });
    let all: Vec<&Tier> = all.collect();
    let mut orders: Vec<u16> = all.iter().map(|tier| tier.order).collect();
    orders.sort_unstable();
    orders.dedup();
    let of = |order: u16| {
        let mine = all.iter().filter(|tier| tier.order == order);
        let mut rules: Vec<&Rule> = mine.flat_map(|tier| &tier.rules).collect();
        rules.sort_by_key(|rule| (rule.priority, rule.action));
        rules
    };
    orders.into_iter().map(of).filter(|rules| !rules.is_empty()).collect()
}

/// By priority; among equals the network's first, and of each of the two Block before Allow.
fn ordered<'a>(
    network: &'a Network,
    endpoint: &'a Endpoint,
    inbound: bool,
    inner: bool,
) -> Vec<&'a Rule> {
    let mine = |rule: &&Rule| (rule.inbound, rule.inner) == (inbound, inner);
    let own = endpoint.policies.iter().filter_map(|policy| match policy {
        Policy::Acl(rule) => Some(rule),
        _ => None,
    });
    let mut rules: Vec<(u16, bool, Action, &Rule)> = network
        .rules
        .iter()
        .map(|rule| (false, rule))
        .chain(own.map(|rule| (true, rule)))
        .filter(|(_, rule)| mine(rule))
        .map(|(of_endpoint, rule)| (rule.priority, of_endpoint, rule.action, rule))
        .collect();
    rules.sort_by_key(|(priority, of_endpoint, action, _)| (*priority, *of_endpoint, *action));
    rules.into_iter().map(|(.., rule)| rule).collect()
}

pub fn contains(prefix: &str, address: IpAddr) -> bool {
    prefix.parse::<ipnet::IpNet>().is_ok_and(|net| net.contains(&address))
}

/// Whether a list of ports and ranges has the port.
pub fn in_list(list: &str, port: u16) -> bool {
    list.split(',').any(|item| {
        let mut ends = item.split('-').filter_map(|end| end.parse::<u16>().ok());
        let first = ends.next();
        let last = ends.next().or(first);
        first.is_some_and(|first| first <= port) && last.is_some_and(|last| port <= last)
    })
}
