//! What some networks and policies need and others do without, tried in the same throw-away namespace.

use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::Guise;

use super::{Finding, Severity};
use crate::anchor::DEVICE_GROUP;
use crate::error::Error;
use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, Socket};
use crate::nft::batch::probe;
use crate::nft::expression::Expression;
use crate::nft::{guise, welcome};
use crate::program::{self, Way};
use crate::route::link::{self, Macvlan, Place};
use crate::route::queue;
use crate::sys;

/// The link beside the adapter.
const LINK: &str = "hcprobe5";
/// Indexes in the throw-away namespace.
const BESIDE: u32 = 106;
const TAP: u32 = 107;
/// Of the link beside the adapter.
const MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// `adapter` is the index of a link in this namespace that stands for one of a machine.
pub(super) fn examine(route: &mut Socket, netfilter: &mut Socket, adapter: u32) -> Vec<Finding> {
    let mut findings = Vec::new();
    match beside(route, adapter) {
        Some(lack) => findings.push(lack),
        None => {
            findings.extend(leaving(netfilter, adapter));
            findings.extend(arriving(netfilter));
            findings.extend(vlans(route));
        }
    }
    findings.extend(taps());
    findings.extend(proxies(netfilter));
    findings
}

fn lack(subject: &str, found: impl std::fmt::Display) -> Finding {
    Finding::new(Severity::Warning, subject, found.to_string())
}

/// Links beside an adapter.
fn beside(route: &mut Socket, adapter: u32) -> Option<Finding> {
    let mut datagram = Datagram::default();
    let note = Note { step: 0, aim: "make a link beside an adapter", lenient: Lenient::Not };
    let link = Macvlan {
        name: LINK,
        index: BESIDE,
        mac: MAC,
        mtu: None,
        uplink: adapter,
        isolated: false,
        place: Place::Group(DEVICE_GROUP),
    };
    link::push_macvlan(&mut datagram, note, link);
    let error = route.exchange(&mut datagram).err()?;
    Some(
        lack("macvlan", error)
            .costs("endpoints of Transparent networks, and SourceMacAddress, are refused")
            .remedy("load the module macvlan (CONFIG_MACVLAN)"),
    )
}

/// What is done to packets that leave by such a link.
fn leaving(netfilter: &mut Socket, adapter: u32) -> Option<Finding> {
    let guise = Guise { name: LINK.to_owned(), uplink: String::new(), mac: MAC, inet6: true };
    let error = guise::put(netfilter, &guise, adapter).err()?;
    Some(
        lack("the packet filter's hook for packets that leave (netdev, egress)", error)
            .costs(
                "policies on endpoints of Transparent networks, and SourceMacAddress, are refused",
            )
            .remedy(
                "use a kernel of version 5.16 or newer with NETFILTER_EGRESS, NF_TABLES_NETDEV and NFT_FWD_NETDEV",
            ),
    )
}

/// What is done to packets that come out of a tunnel; any link will do.
fn arriving(netfilter: &mut Socket) -> Option<Finding> {
    let error = welcome::put(netfilter, LINK).err()?;
    Some(
        lack("the packet filter's hook for packets that arrive (netdev, ingress)", error)
            .costs("networks of type Overlay are refused")
            .remedy("use a kernel with NETFILTER_INGRESS and NF_TABLES_NETDEV"),
    )
}

/// What keeps endpoints in their VLANs.
fn vlans(route: &mut Socket) -> Option<Finding> {
    let error = classify(route).err()?;
    Some(
        lack("programs for packets (BPF)", error)
            .costs("VLAN policies are refused")
            .remedy("be root outside of containers, on a kernel with BPF_SYSCALL, NET_CLS_BPF and NET_SCH_INGRESS"),
    )
}

fn classify(route: &mut Socket) -> Result<(), Error> {
    let program = program::load(Way::Enters, 1, BESIDE)?;
    let note = |aim| Note { step: 0, aim, lenient: Lenient::Not };
    let mut datagram = Datagram::default();
    queue::push_ingress(&mut datagram, note("make the hook for arriving frames"), BESIDE);
    queue::push_program(&mut datagram, note("hang a program into it"), BESIDE, &program);
    route.exchange(&mut datagram)
}

/// The doors of virtual machines.
fn taps() -> Option<Finding> {
    let error = sys::make_tap("hcprobe6", TAP).err()?;
    Some(
        lack("tap devices", format_args!("/dev/net/tun: {error}"))
            .costs("endpoints in namespaces of virtual machines (Guest) are refused")
            .remedy("load the module tun (CONFIG_TUN), and let this process open /dev/net/tun"),
    )
}

/// Sidecars.
fn proxies(netfilter: &mut Socket) -> Option<Finding> {
    let error = probe(netfilter, &Expression::Intercept { port: 0 }).err()?;
    Some(
        lack("redirection", error)
            .costs("endpoints with an L4WFPPROXY policy are refused")
            .remedy("load the module nft_redir (CONFIG_NFT_REDIR)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Protocol;
    use crate::netns::Excursion;

    /// On a thread of its own, which ends in the namespace that is thrown away.
    fn inside(test: impl FnOnce(&mut Socket, &mut Socket) + Send + 'static) {
        let run = move || {
            let stay = match Excursion::to_new() {
                Ok(stay) => stay,
                Err(error) if std::env::var_os("HOSTCOMPUTE_REQUIRE_ROOT").is_some() => {
                    panic!("root is required: {error}")
                }
                Err(error) => return println!("skipped: {error}"),
            };
            let mut route = Socket::open(Protocol::Route).expect("a socket");
            let mut netfilter = Socket::open(Protocol::Netfilter).expect("a socket");
            test(&mut route, &mut netfilter);
            drop(stay);
        };
        std::thread::spawn(run).join().expect("no panic");
    }

    #[test]
    fn an_adapter_that_carries_no_links_is_told_with_what_that_costs() {
        inside(|route, netfilter| {
            let findings = examine(route, netfilter, 4711);
            let [finding] = findings.as_slice() else { panic!("{findings:?}") };
            assert_eq!((finding.severity, &*finding.subject), (Severity::Warning, "macvlan"));
            assert!(finding.consequence.contains("Transparent"), "{finding:?}");
            assert!(finding.remedy.contains("CONFIG_MACVLAN"), "{finding:?}");
        });
    }

    #[test]
    fn what_is_there_is_not_told() {
        inside(|route, netfilter| {
            let mut datagram = Datagram::default();
            let note = Note { step: 0, aim: "make a device", lenient: Lenient::Not };
            let (name, index, group) = ("hcprobe0", 101, DEVICE_GROUP);
            let new = link::NewLink { name, index, mac: None, group, mtu: None };
            link::push_bridge(&mut datagram, note, new);
            route.exchange(&mut datagram).expect("made");
            // A bridge is Ethernet, too.
            assert_eq!(examine(route, netfilter, index), []);
        });
    }
}
