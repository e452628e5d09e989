//! Every rtnetlink message that we write, read by a foreign decoder (`netlink-packet-route`).
//!
//! The decoder must understand all of it: an attribute that it cannot name would show as `Other`. Then its words are compared
//! with those kept here. A change of a message, or of the decoder, shows as a difference to be looked at.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use expect_test::{Expect, expect};
use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{
    Anchor, Diversion, FarEnd, HOST_END_MAC, HostAddress, Lane, Port, PortRoute, Shaper, VipRoute,
};
use hostcompute_schema::Guid;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;

use crate::netlink::message::Note;
use crate::netlink::{Datagram, Lenient, messages};
use crate::port::Pair;
use crate::{anchor, port, shaper};

/// What the decoder says of each message: its name, header and attributes.
fn decoded(datagram: &mut Datagram) -> Vec<String> {
    let last = datagram.count() - 1;
    let bytes = datagram.seal(1, last).to_vec();
    let lengths: Vec<usize> = messages(&bytes).map(|message| message.body.len() + 16).collect();
    let mut rest = bytes.as_slice();
    lengths
        .into_iter()
        .map(|length| {
            let (one, others) = rest.split_at(length.next_multiple_of(4));
            rest = others;
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(one).unwrap();
            let NetlinkPayload::InnerMessage(inner) = message.payload else { panic!("no request") };
            let text = format!("{:04x} {inner:?}", message.header.flags);
            // The origin of our routes is a number of our own.
            let text = text.replace("protocol: Other(104)", "protocol: ours");
            assert!(!text.contains("Other("), "not understood: {text}");
            text
        })
        .collect()
}

#[track_caller]
fn check(build: impl FnOnce(&mut Datagram), expected: &Expect) {
    let mut datagram = Datagram::default();
    build(&mut datagram);
    expected.assert_eq(&decoded(&mut datagram).join("\n"));
}

const NOTE: Note = Note { step: 0, aim: "test", lenient: Lenient::Not };

fn sample() -> Port {
    let gateway = |text: &str| text.parse::<IpAddr>().unwrap();
    Port {
        endpoint: Guid::default(),
        netns: Guid::default(),
        name: "he12".to_owned(),
        index: 1012,
        alias: "web".to_owned(),
        far: FarEnd::Namespace,
        inner_name: "eth0".to_owned(),
        inner_index: 12,
        mac: Mac([2, 0, 0, 0, 0, 12]),
        mtu: Some(1400),
        addresses: vec!["10.1.0.2/24".parse().unwrap(), "fd00::2/64".parse().unwrap()],
        gateways: vec![gateway("10.1.0.1"), gateway("fd00::1")],
        routes: vec![
            PortRoute {
                destination: "0.0.0.0/0".parse().unwrap(),
                next_hop: Some(gateway("10.1.0.1")),
                metric: 0,
            },
            PortRoute {
                destination: "fd01::/16".parse().unwrap(),
                next_hop: Some(gateway("fd00::1")),
                metric: 5,
            },
            PortRoute { destination: "10.9.0.0/16".parse().unwrap(), next_hop: None, metric: 7 },
        ],
        prefer: vec![gateway("10.1.0.1"), gateway("fd00::1")],
    }
}

#[test]
fn the_number_of_a_namespace() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let mut datagram = Datagram::default();
    super::numbering::Numbering::new().push(&mut datagram, NOTE, file.as_fd());
    let text = decoded(&mut datagram).join("\n");
    for part in ["NewNsId(", &format!("Fd({})", file.as_raw_fd()), "Id("] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_link_of_a_port() {
    // The descriptor's number is in the message: only its place is checked.
    let file = std::fs::File::open("/dev/null").unwrap();
    let mut datagram = Datagram::default();
    port::push_link(&mut datagram, 0, &sample(), file.as_fd());
    let text = decoded(&mut datagram).join("\n");
    for part in ["IfName(\"he12\")", "IfName(\"eth0\")", "Kind(Veth)", "Mtu(1400)", "NetNsFd("] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let macs = [HOST_END_MAC, sample().mac].map(|mac| format!("Address({:?})", mac.0));
    assert!(macs.iter().all(|mac| text.contains(mac)), "{text}");
    assert!(text.contains("index: 1012") && text.contains("index: 12"), "{text}");
}

/// The decoder takes the IPv4 settings of a request for the list of numbers that an answer has; `ip netconf` reads them in the
/// tests of ports.
#[test]
fn the_host_half_of_a_port() {
    check(
        |datagram| port::push_host(datagram, 0, &sample(), Pair::New),
        &expect![[r#"
        0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1012, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [IfAlias("web"), AfSpecUnspec([Inet6([AddrGenMode(None)]), Inet([DevConf(InetDevConf { forwarding: 65544, mc_forwarding: 1, proxy_arp: 1703944, accept_redirects: 1, secure_redirects: 0, send_redirects: 0, shared_media: 0, rp_filter: 0, accept_source_route: 0, bootp_relay: 0, log_martians: 0, tag: 0, arpfilter: 0, medium_id: 0, noxfrm: 0, nopolicy: 0, force_igmp_version: 0, arp_announce: 0, arp_ignore: 0, promote_secondaries: 0, arp_accept: 0, arp_notify: 0, accept_local: 0, src_vmark: 0, proxy_arp_pvlan: 0, route_localnet: 0, igmpv2_unsolicited_report_interval: 0, igmpv3_unsolicited_report_interval: 0, ignore_routes_with_linkdown: 0, drop_unicast_in_l2_multicast: 0, drop_gratuitous_arp: 0, bc_forwarding: 0, arp_evict_nocarrier: 0 })])])] })
        0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1012, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [] })
        0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 32, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.1.0.2)), Oif(1012), PrefSource(Inet(10.1.0.1))] })
        0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 128, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet6(fd00::2)), Oif(1012), PrefSource(Inet6(fd00::1))] })
        0501 NewNeighbour(NeighbourMessage { header: NeighbourHeader { family: Inet, ifindex: 1012, state: Permanent, flags: NeighbourFlags(0x0), kind: Unspec }, attributes: [Destination(Inet(10.1.0.2)), LinkLayerAddress([2, 0, 0, 0, 0, 12])] })
        0505 NewNeighbour(NeighbourMessage { header: NeighbourHeader { family: Inet6, ifindex: 1012, state: Permanent, flags: NeighbourFlags(0x0), kind: Unspec }, attributes: [Destination(Inet6(fd00::2)), LinkLayerAddress([2, 0, 0, 0, 0, 12])] })"#]],
    );
}

#[test]
fn the_inner_half_of_a_port() {
    check(
        |datagram| port::push_inside(datagram, 0, &sample(), Pair::New),
        &expect![[r#"
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 12, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [AfSpecUnspec([Inet6([AddrGenMode(None)])])] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 12, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [] })
            0601 NewAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 24, flags: AddressHeaderFlags(0x0), scope: Universe, index: 12 }, attributes: [Flags(AddressFlags(Noprefixroute)), Local(10.1.0.2), Address(10.1.0.2)] })
            0601 NewAddress(AddressMessage { header: AddressHeader { family: Inet6, prefix_len: 64, flags: AddressHeaderFlags(0x0), scope: Universe, index: 12 }, attributes: [Flags(AddressFlags(Nodad | Noprefixroute)), Local(fd00::2), Address(fd00::2)] })
            0501 NewNeighbour(NeighbourMessage { header: NeighbourHeader { family: Inet, ifindex: 12, state: Permanent, flags: NeighbourFlags(0x0), kind: Unspec }, attributes: [Destination(Inet(10.1.0.1)), LinkLayerAddress([2, 104, 99, 0, 0, 1])] })
            0501 NewNeighbour(NeighbourMessage { header: NeighbourHeader { family: Inet6, ifindex: 12, state: Permanent, flags: NeighbourFlags(0x0), kind: Unspec }, attributes: [Destination(Inet6(fd00::1)), LinkLayerAddress([2, 104, 99, 0, 0, 1])] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 128, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet6(fd00::1)), Oif(12), Priority(1)] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 0, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(Onlink) }, attributes: [Destination(Inet(0.0.0.0)), Gateway(Inet(10.1.0.1)), Oif(12)] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 16, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(Onlink) }, attributes: [Destination(Inet6(fd01::)), Gateway(Inet6(fd00::1)), Oif(12), Priority(5)] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 16, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.9.0.0)), Oif(12), Priority(7)] })
            0005 DelRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 128, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet6(fd00::1)), Oif(12), Priority(1)] })"#]],
    );
}

#[test]
fn changes_and_the_end_of_a_port() {
    let changed = Port { mtu: None, alias: "other".to_owned(), ..sample() };
    check(
        |datagram| {
            port::push_change(datagram, 0, &sample(), &changed);
            port::push_change_inside(datagram, 0, &sample(), &changed);
            port::push_retire(datagram, 0, &sample());
            super::link::push_delete(datagram, NOTE, 7);
            super::link::push_delete_group(datagram, NOTE, 9);
        },
        &expect![[r#"
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1012, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [Mtu(1500)] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1012, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [IfAlias("other")] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 12, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [Mtu(1500)] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1012, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [Group(1751318529)] })
            0001 DelRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 32, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.1.0.2)), Oif(1012), PrefSource(Inet(10.1.0.1))] })
            0001 DelRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 128, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet6(fd00::2)), Oif(1012), PrefSource(Inet6(fd00::1))] })
            0001 DelLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 7, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [] })
            0005 DelLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 0, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [Group(9)] })"#]],
    );
}

#[test]
fn anchors_and_what_hangs_on_them() {
    let anchor = Anchor {
        network: Guid::default(),
        name: "hb1".to_owned(),
        index: 1001,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        gateways: vec!["10.1.0.1/24".parse().unwrap(), "fd00::1/64".parse().unwrap()],
        subnets: vec!["10.1.0.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()],
    };
    let host = HostAddress {
        endpoint: Guid::default(),
        device: "hb1".to_owned(),
        index: 1001,
        address: "10.1.0.9".parse().unwrap(),
    };
    let vip =
        VipRoute { address: "10.2.0.1".parse().unwrap(), device: "hb1".to_owned(), index: 1001 };
    check(
        |datagram| {
            anchor::push_add(datagram, 0, &anchor);
            anchor::push_add_host_address(datagram, 0, &host);
            anchor::push_add_vip(datagram, 0, &vip);
            anchor::push_remove_vip(datagram, 0, &vip);
            anchor::push_remove_host_address(datagram, 0, &host);
            anchor::push_retire(datagram, 0, &anchor);
        },
        &expect![[r#"
            0601 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1001, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [IfName("hb1"), Group(1751318530), Address([2, 0, 0, 0, 0, 1]), NumTxQueues(1), NumRxQueues(1), LinkInfo([Kind(Bridge), Data(Bridge([MulticastSnooping(false)]))])] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1001, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [AfSpecUnspec([Inet6([AddrGenMode(None)])])] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1001, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [] })
            0601 NewAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 24, flags: AddressHeaderFlags(0x0), scope: Universe, index: 1001 }, attributes: [Flags(AddressFlags(Noprefixroute)), Local(10.1.0.1), Address(10.1.0.1)] })
            0601 NewAddress(AddressMessage { header: AddressHeader { family: Inet6, prefix_len: 64, flags: AddressHeaderFlags(0x0), scope: Universe, index: 1001 }, attributes: [Flags(AddressFlags(Nodad | Noprefixroute)), Local(fd00::1), Address(fd00::1)] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 24, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unreachable, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.1.0.0))] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 64, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unreachable, flags: RouteFlags(0x0) }, attributes: [Destination(Inet6(fd00::))] })
            0601 NewAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 32, flags: AddressHeaderFlags(0x0), scope: Universe, index: 1001 }, attributes: [Flags(AddressFlags(Noprefixroute)), Local(10.1.0.9), Address(10.1.0.9)] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 32, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.2.0.1)), Oif(1001)] })
            0001 DelRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 32, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.2.0.1)), Oif(1001)] })
            0001 DelAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 32, flags: AddressHeaderFlags(0x0), scope: Universe, index: 1001 }, attributes: [Local(10.1.0.9), Address(10.1.0.9)] })
            0001 DelRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 24, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unreachable, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.1.0.0))] })
            0001 DelRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 64, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unreachable, flags: RouteFlags(0x0) }, attributes: [Destination(Inet6(fd00::))] })
            0001 DelAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 24, flags: AddressHeaderFlags(0x0), scope: Universe, index: 1001 }, attributes: [Local(10.1.0.1), Address(10.1.0.1)] })
            0001 DelAddress(AddressMessage { header: AddressHeader { family: Inet6, prefix_len: 64, flags: AddressHeaderFlags(0x0), scope: Universe, index: 1001 }, attributes: [Local(fd00::1), Address(fd00::1)] })
            0005 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1001, link_layer_type: Netrom, flags: LinkFlags(0x0), change_mask: LinkFlags(0x0) }, attributes: [Group(1751318529)] })"#]],
    );
}

#[test]
fn the_links_of_shapers() {
    let shaper = Shaper {
        port: "he12".to_owned(),
        name: "hv12".to_owned(),
        index: 3012,
        bytes_per_second: 1_000_000,
    };
    let mut datagram = Datagram::default();
    let lane = |sources| Lane { place: 0, sources, shaper: 3012 };
    let sources = vec!["10.0.0.2".parse().expect("an address")];
    let lanes = vec![lane(sources), Lane { place: 1, ..lane(Vec::new()) }];
    let diversion = Diversion { port: "he12".to_owned(), index: 1012, lanes };
    shaper::push_add(&mut datagram, 0, &shaper);
    shaper::push_divert(&mut datagram, 0, &diversion);
    shaper::push_rate(&mut datagram, 0, &shaper);
    shaper::push_retire(&mut datagram, 0, &shaper);
    let last = datagram.count() - 1;
    let bytes = datagram.seal(1, last).to_vec();
    // The decoder does not know the options of token buckets; `tc` reads them in the tests of shaping.
    let kinds: Vec<u16> = messages(&bytes).map(|message| message.kind).collect();
    assert_eq!(kinds, [16, 16, 36, 16, 37, 36, 44, 44, 36, 16]);
}

#[test]
fn what_a_pair_of_the_pool_still_needs() {
    check(
        |datagram| {
            port::push_host(datagram, 0, &sample(), Pair::Ready);
            port::push_inside(datagram, 0, &sample(), Pair::Ready);
        },
        &expect![[r#"
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1012, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [Mtu(1400), Group(1751318528), IfAlias("web")] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 32, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.1.0.2)), Oif(1012), PrefSource(Inet(10.1.0.1))] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 128, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet6(fd00::2)), Oif(1012), PrefSource(Inet6(fd00::1))] })
            0501 NewNeighbour(NeighbourMessage { header: NeighbourHeader { family: Inet, ifindex: 1012, state: Permanent, flags: NeighbourFlags(0x0), kind: Unspec }, attributes: [Destination(Inet(10.1.0.2)), LinkLayerAddress([2, 0, 0, 0, 0, 12])] })
            0501 NewNeighbour(NeighbourMessage { header: NeighbourHeader { family: Inet6, ifindex: 1012, state: Permanent, flags: NeighbourFlags(0x0), kind: Unspec }, attributes: [Destination(Inet6(fd00::2)), LinkLayerAddress([2, 0, 0, 0, 0, 12])] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 1, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [] })
            0001 NewLink(LinkMessage { header: LinkHeader { interface_family: Unspec, index: 12, link_layer_type: Netrom, flags: LinkFlags(Up), change_mask: LinkFlags(Up) }, attributes: [IfName("eth0"), Address([2, 0, 0, 0, 0, 12]), Mtu(1400)] })
            0601 NewAddress(AddressMessage { header: AddressHeader { family: Inet, prefix_len: 24, flags: AddressHeaderFlags(0x0), scope: Universe, index: 12 }, attributes: [Flags(AddressFlags(Noprefixroute)), Local(10.1.0.2), Address(10.1.0.2)] })
            0601 NewAddress(AddressMessage { header: AddressHeader { family: Inet6, prefix_len: 64, flags: AddressHeaderFlags(0x0), scope: Universe, index: 12 }, attributes: [Flags(AddressFlags(Nodad | Noprefixroute)), Local(fd00::2), Address(fd00::2)] })
            0501 NewNeighbour(NeighbourMessage { header: NeighbourHeader { family: Inet, ifindex: 12, state: Permanent, flags: NeighbourFlags(0x0), kind: Unspec }, attributes: [Destination(Inet(10.1.0.1)), LinkLayerAddress([2, 104, 99, 0, 0, 1])] })
            0501 NewNeighbour(NeighbourMessage { header: NeighbourHeader { family: Inet6, ifindex: 12, state: Permanent, flags: NeighbourFlags(0x0), kind: Unspec }, attributes: [Destination(Inet6(fd00::1)), LinkLayerAddress([2, 104, 99, 0, 0, 1])] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 0, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(Onlink) }, attributes: [Destination(Inet(0.0.0.0)), Gateway(Inet(10.1.0.1)), Oif(12)] })
            0601 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet6, destination_prefix_length: 16, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Universe, kind: Unicast, flags: RouteFlags(Onlink) }, attributes: [Destination(Inet6(fd01::)), Gateway(Inet6(fd00::1)), Oif(12), Priority(5)] })
            0605 NewRoute(RouteMessage { header: RouteHeader { address_family: Inet, destination_prefix_length: 16, source_prefix_length: 0, tos: 0, table: 254, protocol: ours, scope: Link, kind: Unicast, flags: RouteFlags(0x0) }, attributes: [Destination(Inet(10.9.0.0)), Oif(12), Priority(7)] })"#]],
    );
}
