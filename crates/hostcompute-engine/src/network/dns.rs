//! DNS settings: what documents may say, and the resolver configuration they give (hcn.md 2.4).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use hostcompute_schema::{Dns, Failure, HResult};

/// Checks that settings can be written into a resolver configuration without changing its meaning.
///
/// # Errors
/// HCN_E_INVALID_IP for servers, `code` for names and options.
pub fn check(dns: Option<&Dns>, code: HResult) -> Result<(), Failure> {
    let Some(dns) = dns else { return Ok(()) };
    for (i, server) in dns.server_list.iter().enumerate().filter(|(_, server)| !server.is_empty()) {
        if server.parse::<IpAddr>().is_err() {
            let why =
                alloc::format!("'{server}' is not an IP address; DNS servers listen on port 53");
            return Err(Failure::new(HResult::HCN_E_INVALID_IP, why)
                .at(alloc::format!("Dns.ServerList[{i}]")));
        }
    }
    let words = [("Search", dns.search.as_slice()), ("Options", dns.options.as_slice())];
    for (member, list) in words.into_iter().chain([("Domain", dns.domain.as_slice())]) {
        let bad = |text: &&String| text.chars().any(|c| c.is_whitespace() || c.is_control());
        if let Some(text) = list.iter().find(bad) {
            let why = alloc::format!("{text:?} contains white space");
            return Err(Failure::new(code, why).at(alloc::format!("Dns.{member}")));
        }
    }
    Ok(())
}

/// resolv.conf(5) for the endpoints of a namespace, in order of attachment; nothing when none names a server or domain.
pub fn resolver(dns: &[&Dns]) -> Option<String> {
    let mut servers: Vec<&str> = Vec::new();
    let mut search: Vec<&str> = Vec::new();
    let mut options: Vec<&str> = Vec::new();
    for dns in dns {
        add_new(&mut servers, &dns.server_list);
        add_new(&mut search, &dns.search);
        add_new(&mut search, dns.domain.as_slice());
        add_new(&mut options, &dns.options);
    }
    if servers.is_empty() && search.is_empty() {
        return None;
    }
    let mut content = String::new();
    for server in servers {
        content.push_str(&alloc::format!("nameserver {server}\n"));
    }
    for (word, list) in [("search", search), ("options", options)] {
        if !list.is_empty() {
            content.push_str(&alloc::format!("{word} {}\n", list.join(" ")));
        }
    }
    Some(content)
}

/// Appends what the list does not have; consumers send empty strings (hcn.md rule 37).
fn add_new<'a>(list: &mut Vec<&'a str>, items: &'a [String]) {
    for item in items.iter().map(String::as_str) {
        if !item.is_empty() && !list.contains(&item) {
            list.push(item);
        }
    }
}
