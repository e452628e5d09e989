//! Container.Networking: which network, and how names are resolved there.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::hcs::Networking;
use hostcompute_schema::{Guid, HResult};

use super::Notes;

/// The network that a document asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedNetwork {
    /// None: a namespace of its own with nothing in it.
    None,
    /// That of the host.
    Host,
    /// An HCN namespace.
    Namespace(Guid),
    /// HCN endpoints, in a namespace that is made for them; or HCN networks, on which endpoints are made for the system alone.
    Adapters(Vec<Guid>),
    /// That of another container.
    SharedWith(String),
}

/// How names are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolver {
    /// Domains in which names without a dot are looked for, before those of the endpoints.
    pub search: Vec<String>,
    /// Whether a name without a dot is asked for as it is, too.
    pub unqualified: bool,
}

impl Resolver {
    /// What /etc/resolv.conf says: `endpoints` is what the endpoints of the namespace say, as such a file. Nothing when neither
    /// says anything.
    pub fn configuration(&self, endpoints: Option<&str>) -> Option<String> {
        if endpoints.is_none() && self.search.is_empty() {
            return None;
        }
        let lines = || endpoints.unwrap_or_default().lines();
        let theirs = lines().filter_map(|line| line.strip_prefix("search ")).next_back();
        let mut search: Vec<&str> = self.search.iter().map(String::as_str).collect();
        for domain in theirs.unwrap_or_default().split_whitespace() {
            if !search.contains(&domain) {
                search.push(domain);
            }
        }
        let mut text = String::new();
        for line in lines().filter(|line| !line.starts_with("search ")) {
            text.push_str(line);
            text.push('\n');
        }
        if !search.is_empty() {
            text.push_str(&alloc::format!("search {}\n", search.join(" ")));
        }
        if !self.unqualified {
            text.push_str("options no-tld-query\n");
        }
        Some(text)
    }
}

/// Reads the section; the second part is of no interest when the first is refused.
pub fn read(
    networking: Option<&Networking>,
    host_process: bool,
    notes: &mut Notes,
) -> (Option<WantedNetwork>, Resolver) {
    let nothing = Networking::default();
    let networking = networking.unwrap_or(&nothing);
    let search = search(networking, notes);
    let unqualified = networking.allow_unqualified_dns_query.unwrap_or_default();
    (wanted(networking, host_process, notes), Resolver { search, unqualified })
}

fn wanted(networking: &Networking, host_process: bool, notes: &mut Notes) -> Option<WantedNetwork> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let namespace = text(&networking.namespace);
    let shared = text(&networking.network_shared_container_name);
    let adapters = networking.network_adapters.clone().unwrap_or_default();
    let at = "$.Container.Networking";
    let ways = [namespace.is_some(), shared.is_some(), !adapters.is_empty()];
    let ways = ways.iter().filter(|given| **given).count();
    if host_process {
        if ways > 0 {
            notes.invalid(at, "a HostProcess container has the network of the host");
            return None;
        }
        return Some(WantedNetwork::Host);
    }
    if ways > 1 {
        let why = "Namespace, NetworkAdapters and NetworkSharedContainerName exclude each other";
        notes.invalid(at, why);
        return None;
    }
    if let Some(namespace) = namespace {
        let Ok(id) = namespace.parse() else {
            let why =
                alloc::format!("there is no namespace {namespace:?}; namespaces are named by GUID");
            notes.refuse(HResult::ERROR_NOT_FOUND, alloc::format!("{at}.Namespace"), why);
            return None;
        };
        return Some(WantedNetwork::Namespace(id));
    }
    Some(match shared {
        Some(other) => WantedNetwork::SharedWith(other),
        None if adapters.is_empty() => WantedNetwork::None,
        None => WantedNetwork::Adapters(adapters),
    })
}

fn search(networking: &Networking, notes: &mut Notes) -> Vec<String> {
    let list = networking.dns_search_list.as_deref().unwrap_or_default();
    let mut domains = Vec::new();
    for domain in list.split(',').map(str::trim).filter(|domain| !domain.is_empty()) {
        if domain.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let at = "$.Container.Networking.DnsSearchList";
            notes.invalid(at, alloc::format!("{domain:?} is not a domain"));
        }
        domains.push(domain.to_string());
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_speaks_before_the_endpoints() {
        let resolver =
            Resolver { search: ["a.example".into(), "b".into()].into(), unqualified: false };
        let endpoints = "nameserver 10.0.0.2\nsearch b c\n";
        assert_eq!(
            resolver.configuration(Some(endpoints)).as_deref(),
            Some("nameserver 10.0.0.2\nsearch a.example b c\noptions no-tld-query\n")
        );
        let open = Resolver { unqualified: true, ..Resolver::default() };
        assert_eq!(open.configuration(Some(endpoints)).as_deref(), Some(endpoints));
        assert_eq!(open.configuration(None), None);
    }
}
