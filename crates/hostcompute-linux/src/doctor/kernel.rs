//! What the kernel can do, tried in a namespace that is thrown away.

use ipnet::IpNet;
use rustix::io::Errno;

use super::{Finding, Severity, features};
use crate::anchor::DEVICE_GROUP;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Protocol, Socket};
use crate::netns::Excursion;
use crate::nft::batch::probe;
use crate::nft::expression::{Expression, Side};
use crate::nft::transaction::{Change, Transaction};
use crate::route::link::{self, NewLink, Vxlan};
use crate::route::queue::{self, Redirect};
use crate::route::rule::{self, Action, Rule};
use crate::{conntrack, sys};

/// Tries everything we use.
pub(super) fn examine() -> Vec<Finding> {
    // A thread of its own, so that a namespace that cannot be left harms nobody.
    std::thread::spawn(inside).join().unwrap_or_default()
}

fn inside() -> Vec<Finding> {
    let stay = match Excursion::to_new() {
        Ok(stay) => stay,
        Err(error) => return vec![no_namespaces(&error)],
    };
    let mut findings = Vec::new();
    let sockets = Socket::open(Protocol::Route)
        .and_then(|route| Ok((route, Socket::open(Protocol::Netfilter)?)));
    match sockets {
        Ok((mut route, mut netfilter)) => {
            findings.extend(links(&mut route));
            if findings.iter().all(|finding| finding.severity < Severity::Problem) {
                findings.extend(features::examine(&mut route, &mut netfilter, VETH));
            }
            findings.extend(ways_to_others(&mut route));
            findings.extend(packet_filter(&mut netfilter));
            findings.extend(connections(&mut netfilter));
            if sys::netns_cookie(&route).is_err() {
                findings.push(
                    Finding::new(
                        Severity::Problem,
                        "namespace cookies",
                        "the kernel is older than 5.14",
                    )
                    .costs("one host cannot be told from another after a restart: nothing starts")
                    .remedy("use a newer kernel"),
                );
            }
        }
        Err(error) => findings.push(
            Finding::new(Severity::Problem, "netlink", error.to_string())
                .costs("the kernel cannot be told anything")
                .remedy("use a kernel with NETFILTER_NETLINK"),
        ),
    }
    if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
        findings.push(
            Finding::new(Severity::Warning, "IPv6", "it is disabled")
                .costs("networks with IPv6 subnets are refused")
                .remedy("boot without ipv6.disable=1"),
        );
    }
    drop(stay);
    findings
}

fn no_namespaces(error: &std::io::Error) -> Finding {
    let finding = Finding::new(Severity::Problem, "network namespaces", error.to_string())
        .costs("no network can be made");
    match Errno::from_io_error(error) {
        Some(Errno::PERM) => finding.remedy("run as root, or in rootless mode as an ordinary user"),
        Some(Errno::NOSPC) => finding.remedy("raise user.max_net_namespaces"),
        _ => finding.remedy("use a kernel with NET_NS"),
    }
}

/// Indexes in the throw-away namespace.
const VETH: u32 = 101;
const PEER: u32 = 102;
const BRIDGE: u32 = 103;
const IFB: u32 = 104;
const TUNNEL: u32 = 105;

fn links(socket: &mut Socket) -> Vec<Finding> {
    let note = |aim| Note { step: 0, aim, lenient: Lenient::Not };
    let new = |name, index| NewLink { name, index, mac: None, group: DEVICE_GROUP, mtu: None };
    let mut findings = Vec::new();
    let mut attempt = |build: &dyn Fn(&mut Datagram)| {
        let mut datagram = Datagram::default();
        build(&mut datagram);
        socket.exchange(&mut datagram).err().map(|error| error.to_string())
    };
    // The pair's other end stays here: where it is does not matter.
    let own = crate::netns::own();
    let pair = |datagram: &mut Datagram| {
        if let Ok(own) = &own {
            use std::os::fd::AsFd;
            let peer = link::Peer {
                name: "hcprobe1",
                index: PEER,
                mac: Some(hostcompute_engine::mac::Mac([2, 0, 0, 0, 0, 1])),
                mtu: None,
                netns: own.as_fd(),
            };
            link::push_veth(datagram, note("make a veth pair"), new("hcprobe0", VETH), peer);
        }
    };
    if let Some(found) = attempt(&pair) {
        findings.push(
            Finding::new(Severity::Problem, "veth", found)
                .costs("no endpoint can be attached")
                .remedy("load the module veth (CONFIG_VETH)"),
        );
    }
    let settings = |datagram: &mut Datagram| {
        link::push_settings(
            datagram,
            note("set up an interface"),
            VETH,
            &crate::port::HOST_SETTINGS,
            "",
        );
    };
    if findings.is_empty()
        && let Some(found) = attempt(&settings)
    {
        findings.push(
            Finding::new(Severity::Problem, "interface settings", found)
                .costs("ports cannot be set up")
                .remedy("boot with IPv6 enabled, or use a newer kernel"),
        );
    }
    let bridge = |datagram: &mut Datagram| {
        link::push_bridge(datagram, note("make a bridge"), new("hcprobe2", BRIDGE));
    };
    if let Some(found) = attempt(&bridge) {
        findings.push(
            Finding::new(Severity::Problem, "bridge", found)
                .costs("no network can be made")
                .remedy("load the module bridge (CONFIG_BRIDGE)"),
        );
    }
    let shaping = |datagram: &mut Datagram| {
        link::push_new(datagram, note("make an ifb device"), new("hcprobe3", IFB), "ifb");
        queue::push_bucket(datagram, note("set a rate"), IFB, 1_000_000);
        queue::push_ingress(datagram, note("tap an interface"), VETH);
        let everything = Redirect { priority: 1, source: None, to: IFB };
        queue::push_redirect(datagram, note("redirect an interface"), VETH, everything);
    };
    if let Some(found) = attempt(&shaping) {
        findings.push(
            Finding::new(Severity::Warning, "rate limits", found)
                .costs("endpoints with a QOS policy are refused")
                .remedy("load the modules ifb, sch_tbf, sch_ingress, cls_u32 and act_mirred"),
        );
    }
    findings
}

/// What networks need that lead to other machines.
fn ways_to_others(socket: &mut Socket) -> Vec<Finding> {
    let note = |aim| Note { step: 0, aim, lenient: Lenient::Not };
    let mut findings = Vec::new();
    let mut attempt = |build: &dyn Fn(&mut Datagram)| {
        let mut datagram = Datagram::default();
        build(&mut datagram);
        socket.exchange(&mut datagram).err().map(|error| error.to_string())
    };
    let tunnel = |datagram: &mut Datagram| {
        let new =
            NewLink { name: "hcprobe4", index: TUNNEL, mac: None, group: DEVICE_GROUP, mtu: None };
        let local = std::net::IpAddr::from([192, 0, 2, 1]);
        link::push_vxlan(datagram, note("make a tunnel"), new, Vxlan { id: 1, port: 4789, local });
    };
    if let Some(found) = attempt(&tunnel) {
        findings.push(
            Finding::new(Severity::Warning, "VXLAN", found)
                .costs("networks of type Overlay are refused")
                .remedy("load the module vxlan (CONFIG_VXLAN)"),
        );
    }
    let rule = |datagram: &mut Datagram| {
        let rule = Rule {
            priority: 1,
            from: IpNet::from(std::net::IpAddr::from([192, 0, 2, 1])),
            link: None,
            mark: None,
            action: Action::Table { number: 1 << 24, suppress: Some(31) },
        };
        rule::push_add(datagram, note("choose a routing table"), &rule);
    };
    if let Some(found) = attempt(&rule) {
        findings.push(
            Finding::new(Severity::Warning, "routing tables", found)
                .costs("networks of types L2Bridge and L2Tunnel are refused")
                .remedy("use a kernel with IP_MULTIPLE_TABLES"),
        );
    }
    findings
}

fn packet_filter(socket: &mut Socket) -> Vec<Finding> {
    let mut table = Transaction::default();
    table.push(0, Change::AddTable);
    let Err(error) = table.commit(socket) else { return Vec::new() };
    // Which part is it? Each is tried alone, in a table with one chain.
    let word = |expression| (expression, "nft_meta, nf_tables_inet");
    let parts: [(&str, (Expression, &str)); 6] = [
        ("nftables", word(Expression::Verdict(crate::nft::expression::Verdict::Accept))),
        ("address types", (Expression::DestinationKind { to: 0 }, "nft_fib_inet")),
        ("random choice", (Expression::Random { modulus: 2, to: 0 }, "nft_numgen")),
        (
            "choice by client",
            (Expression::Hash { from: 0, length: 4, modulus: 2, to: 0 }, "nft_hash"),
        ),
        ("masquerading", (Expression::Masquerade, "nft_masq")),
        (
            "translation",
            (
                Expression::Translate {
                    side: Side::Destination,
                    family: hostcompute_engine::plan::Family::V4,
                    address: 0,
                    port: None,
                },
                "nft_nat",
            ),
        ),
    ];
    let mut findings: Vec<Finding> = parts
        .into_iter()
        .filter_map(|(subject, (expression, module))| {
            let found = probe(socket, &expression).err()?.to_string();
            Some(
                Finding::new(Severity::Problem, subject, found)
                    .costs("the packet filter cannot be set up, so no network can be made")
                    .remedy(&format!("load the modules {module}")),
            )
        })
        .collect();
    if findings.is_empty() {
        findings.push(
            Finding::new(Severity::Problem, "packet filter", error.to_string())
                .costs("no network can be made")
                .remedy("use a kernel of version 5.16 or newer with nftables"),
        );
    }
    findings
}

fn connections(socket: &mut Socket) -> Option<Finding> {
    let error =
        conntrack::forget(socket, &[std::net::IpAddr::from([192, 0, 2, 1])].into()).err()?;
    Some(
        Finding::new(Severity::Warning, "connection tracking by netlink", error.to_string())
            .costs("connections of a removed endpoint may reach the next owner of its address")
            .remedy("load the module nf_conntrack_netlink"),
    )
}
