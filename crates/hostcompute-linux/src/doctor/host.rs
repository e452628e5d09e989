//! What others have set up on the host that stands in our way, and the limits in force.

use std::fs;
use std::path::Path;

use super::{Finding, Severity};
use crate::Linux;
use crate::nft::read;

pub(super) fn examine(host: Option<&mut Linux>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(users());
    findings.extend(open_files());
    findings.extend(managers());
    let Some(host) = host else { return findings };
    match read::dropping_chains(&mut host.netfilter) {
        Ok(chains) => findings.extend(chains.into_iter().map(|chain| {
            Finding::new(
                Severity::Warning,
                "a firewall on this host",
                format!("{chain} drops what no rule accepts"),
            )
            .costs("what endpoints send beyond the host, and what comes to them, may be lost there")
            .remedy("accept forwarding to and from interface group 1751318528 in that chain")
        })),
        Err(error) => findings.push(
            Finding::new(Severity::Note, "the host's packet filter", error.to_string())
                .costs("whether another firewall stands in the way is unknown"),
        ),
    }
    let in_host = host.within(|| Ok((legacy_firewall(), settings(), connections())));
    if let Ok((legacy, settings, connections)) = in_host {
        findings.extend(legacy);
        findings.extend(settings);
        findings.extend(connections);
    }
    findings
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether ordinary users can have rootless hosts.
fn users() -> Option<Finding> {
    let found = if number("/proc/sys/user/max_user_namespaces") == Some(0) {
        "user.max_user_namespaces is 0"
    } else if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        "kernel.unprivileged_userns_clone is 0"
    } else if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        "kernel.apparmor_restrict_unprivileged_userns is 1"
    } else if !Path::new("/proc/self/ns/user").exists() {
        "the kernel has no user namespaces"
    } else {
        return None;
    };
    Some(
        Finding::new(Severity::Note, "user namespaces", found)
            .costs("ordinary users cannot use rootless mode")
            .remedy("change the setting, if users should"),
    )
}

fn open_files() -> Option<Finding> {
    const ENOUGH: u64 = 256;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
    (limit < ENOUGH).then(|| {
        Finding::new(Severity::Warning, "open files", format!("the limit is {limit}"))
            .costs("plans with many namespaces fail")
            .remedy("raise it: ulimit -n 1024")
    })
}

/// Programs that tidy up links and routes which they did not make.
fn managers() -> Vec<Finding> {
    let managers = [
        (
            "/run/systemd/netif",
            "systemd-networkd",
            "set ManageForeignRoutes=no and ManageForeignRoutingPolicyRules=no in networkd.conf",
        ),
        (
            "/run/NetworkManager",
            "NetworkManager",
            "list interface-name:he*;interface-name:hb*;interface-name:hv* under unmanaged-devices",
        ),
    ];
    managers
        .into_iter()
        .filter(|(path, ..)| Path::new(path).exists())
        .map(|(_, name, remedy)| {
            Finding::new(Severity::Note, name, "it runs on this host")
                .costs("when it restarts it may remove routes and addresses that are not its own")
                .remedy(remedy)
        })
        .collect()
}

/// Rules of the old interface are invisible to nftables.
fn legacy_firewall() -> Option<Finding> {
    let tables = fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    tables.lines().any(|table| table == "filter").then(|| {
        Finding::new(Severity::Note, "iptables-legacy", "its filter table is loaded")
            .costs("if its FORWARD chain drops by default, traffic of endpoints is lost there")
            .remedy("look at `iptables-legacy -S FORWARD`; accept what comes from and goes to he+")
    })
}

fn settings() -> Option<Finding> {
    let path = "/proc/sys/net/ipv4/conf/all/forwarding";
    let writable = fs::OpenOptions::new().write(true).open(path);
    let on = number(path) == Some(1);
    match writable {
        Err(error) if !on => Some(
            Finding::new(Severity::Warning, "forwarding", format!("{path}: {error}"))
                .costs("it is off and cannot be switched on: endpoints reach nothing")
                .remedy(
                    "give this process write access to /proc/sys/net, or switch it on beforehand",
                ),
        ),
        _ => None,
    }
}

fn connections() -> Option<Finding> {
    let count = number("/proc/sys/net/netfilter/nf_conntrack_count")?;
    let limit = number("/proc/sys/net/netfilter/nf_conntrack_max")?;
    (limit > 0 && count > limit / 10 * 9).then(|| {
        Finding::new(
            Severity::Warning,
            "connection tracking",
            format!("{count} of {limit} connections in use"),
        )
        .costs("new connections are lost when the table is full")
        .remedy("raise net.netfilter.nf_conntrack_max")
    })
}
