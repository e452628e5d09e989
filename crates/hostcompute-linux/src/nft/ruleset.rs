//! The fixed part of the table: chains and rules. Nothing here depends on how many objects there are; what does is in sets.
//!
//! The way of a packet through it:
//!
//! ```text
//! arrives ─ guard_raw ──────── from one of our ports: spoof4/6: is (interface, MAC, address) known? else drop
//!         ─ translate_in ───── translate4/6: service, node port, port mapping -> destination translation
//!         ─ steer ──────────── from one of our ports: steer4/6: a destination with a way of its own gets its number
//!         ┬ forward ────────── to or from our ports: pass4/6: established? access rules, isolation, then who may talk to whom
//!         │ input ──────────── from our ports to this host: arrive4/6; else to endpoints in HostDefault: present4/6
//!         ┴ output ─────────── from this host to our ports: depart4/6; else from endpoints in HostDefault: absent4/6
//!                              (translate_out: services reached from this host)
//! leaves  ─ translate_source ─ shown4/6: services that show another address than the client's; hairpin4/6 into our ports; outbound4/6 to the outside: masquerade and its exceptions
//! ```
//!
//! `nft` 1.0.6 shows the two rules of `outbound` that take ports from `nat_ports` without what they do (it knows no ports from a map there).
//!
//! Traffic that neither comes from nor goes to one of our ports is accepted untouched by every chain. Our ports are known by
//! their interface group, so a port that is attached but not yet listed in `source` sends nothing: we fail closed.

use std::sync::OnceLock;

use hostcompute_engine::plan::{DYING_GROUP, Family, PORT_GROUP, SLOT_CLASSES};
use ipnet::IpNet;

use super::rule::Load::{
    ClientSlot, DestinationAddress, DestinationPort, InName, LinkSource, OriginalDestination,
    OriginalPort, OutName, Protocol, RandomSlot, SourceAddress, SourcePort,
};
use super::rule::{ESTABLISHED, INVALID, Load, RELATED, Rule};
use super::set::Set;

/// A chain at one of the kernel's hooks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hook {
    pub chain: &'static str,
    /// "filter" or "nat".
    pub kind: &'static str,
    /// NF_INET_*.
    pub place: u32,
    pub priority: i32,
}

pub(crate) const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
pub(crate) const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

/// Chains at hooks.
pub(crate) const HOOKS: [Hook; 9] = [
    Hook { chain: "guard_raw", kind: "filter", place: PREROUTING, priority: -300 },
    Hook { chain: "translate_in", kind: "nat", place: PREROUTING, priority: -100 },
    Hook { chain: "steer", kind: "filter", place: PREROUTING, priority: -90 },
    Hook { chain: "translate_out", kind: "nat", place: OUTPUT, priority: -100 },
    Hook { chain: "translate_source", kind: "nat", place: POSTROUTING, priority: 100 },
    Hook { chain: "keep", kind: "filter", place: POSTROUTING, priority: 110 },
    Hook { chain: "forward", kind: "filter", place: FORWARD, priority: 0 },
    Hook { chain: "input", kind: "filter", place: INPUT, priority: 0 },
    Hook { chain: "output", kind: "filter", place: OUTPUT, priority: 0 },
];

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const ICMP: u8 = 1;
const ICMP_REDIRECT: u8 = 5;
const ICMPV6: u8 = 58;
const ICMPV6_REDIRECT: u8 = 137;

/// Names of the chains that the rules jump to, in an order in which they can be made.
pub(crate) fn chains() -> Vec<String> {
    let mut chains: Vec<String> = ["pass", "arrive", "depart"].map(String::from).into();
    for family in FAMILIES {
        for stem in [
            "spoof",
            "translate",
            "spread",
            "spread_client",
            "spread_node",
            "spread_node_client",
            "steer",
            "pass",
            "arrive",
            "depart",
            "present",
            "absent",
            "shown",
            "keep",
            "hairpin",
            "outbound",
        ] {
            chains.push(named(stem, family));
        }
    }
    chains
}

fn named(stem: &str, family: Family) -> String {
    format!("{stem}{}", if family == Family::V4 { 4 } else { 6 })
}

/// Every rule of the fixed part, in order within each chain.
pub(crate) fn rules() -> &'static [Rule] {
    static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
    RULES.get_or_init(|| {
        let mut rules = entrances();
        for family in FAMILIES {
            rules.extend(spoofing(family));
            rules.extend(destination_translation(family));
            rules.extend(spreading(family));
            rules.extend(steering(family));
            rules.extend(forwarding(family));
            rules.extend(arriving(family));
            rules.extend(departing(family));
            rules.extend(host_endpoints(family));
            rules.extend(source_translation(family));
        }
        rules
    })
}

/// From the hooks to the chains of each family; what is not ours ends here.
fn entrances() -> Vec<Rule> {
    let mut rules = vec![
        Rule::on("guard_raw").in_group(DYING_GROUP).drop(),
        Rule::on("forward").in_group(PORT_GROUP).goto("pass"),
        Rule::on("forward").out_group(PORT_GROUP).goto("pass"),
        Rule::on("forward").out_group(DYING_GROUP).drop(),
        Rule::on("pass").state(ESTABLISHED | RELATED).accept(),
        // A packet that belongs to no connection and opens none would leave untranslated.
        Rule::on("pass").state(INVALID).drop(),
        Rule::on("input").in_group(PORT_GROUP).goto("arrive"),
        Rule::on("input").state(ESTABLISHED | RELATED).accept(),
        Rule::on("arrive").state(ESTABLISHED | RELATED).accept(),
        Rule::on("output").out_group(PORT_GROUP).goto("depart"),
        Rule::on("output").state(ESTABLISHED | RELATED).accept(),
        Rule::on("depart").state(ESTABLISHED).accept(),
        // A hairpin leaves by the port it came from; telling the workload to go straight would be wrong.
        Rule::on("depart").family(Family::V4).protocol(ICMP).message_type(ICMP_REDIRECT).drop(),
        Rule::on("depart").family(Family::V6).protocol(ICMPV6).message_type(ICMPV6_REDIRECT).drop(),
        Rule::on("depart").state(RELATED).accept(),
    ];
    for family in FAMILIES {
        let spoof = Rule::on("guard_raw").in_group(PORT_GROUP);
        rules.push(spoof.family(family).goto(named("spoof", family)));
        let steer = Rule::on("steer").in_group(PORT_GROUP);
        rules.push(steer.family(family).goto(named("steer", family)));
        for hook in ["translate_in", "translate_out"] {
            rules.push(Rule::on(hook).family(family).goto(named("translate", family)));
        }
        for (from, to) in [
            ("pass", "pass"),
            ("arrive", "arrive"),
            ("depart", "depart"),
            ("input", "present"),
            ("output", "absent"),
        ] {
            rules.push(Rule::on(from).family(family).goto(named(to, family)));
        }
        let shown = Rule::on("translate_source").family(family).translated();
        rules.push(shown.jump(named("shown", family)));
        let keep = Rule::on("keep").family(family).translated().there();
        rules.push(keep.goto(named("keep", family)));
        let source = Rule::on("translate_source").family(family).out_group(PORT_GROUP);
        rules.push(source.goto(named("hairpin", family)));
    }
    // This host talking to itself under one of its own addresses is nobody's outbound traffic.
    rules.push(Rule::on("translate_source").out_loopback().accept());
    for family in FAMILIES {
        rules.push(Rule::on("translate_source").family(family).goto(named("outbound", family)));
    }
    rules
}

/// What our ports may send as. This host's loopback addresses are refused because ports are set to route them.
fn spoofing(family: Family) -> Vec<Rule> {
    let chain = || Rule::on(named("spoof", family));
    vec![
        chain().address_in(family, DestinationAddress, loopback(family)).drop(),
        chain().found(family, &[InName, LinkSource, SourceAddress], Set::Source).back(),
        // Answers of those who own the virtual IP themselves: to conntrack they are the backend's.
        chain()
            .regain_source(
                family,
                &[InName, LinkSource, SourceAddress, Protocol, SourcePort],
                Set::KeptBack,
            )
            .back(),
        // Out of a tunnel, whose far end is many machines: what is sent to them goes there, too.
        chain().out_of_tunnel().answered_there().back(),
        chain().drop(),
    ]
}

fn loopback(family: Family) -> IpNet {
    let text = match family {
        Family::V4 => "127.0.0.0/8",
        Family::V6 => "::1/128",
    };
    text.parse().expect("a constant prefix")
}

/// Services first, then ports of addresses, then ports of the whole host.
fn destination_translation(family: Family) -> Vec<Rule> {
    let chain = || Rule::on(named("translate", family));
    let frontend = [DestinationAddress, Protocol, DestinationPort];
    let port = [Protocol, DestinationPort];
    let mut rules = vec![
        // Proxies of whoever sends.
        chain().decide(family, &[SourceAddress], Set::Proxied),
        // Services that are not for whoever sent this.
        chain().not_in_group(PORT_GROUP).found(family, &frontend, Set::Inside).back(),
        chain()
            .leaving()
            .found(family, &frontend, Set::Inside)
            .not_found(family, &frontend, Set::Local)
            .back(),
        chain().found(family, &frontend, Set::Service).goto(named("spread", family)),
        chain().found(family, &frontend, Set::ServiceClient).goto(named("spread_client", family)),
        chain().send_to(family, &frontend, Set::PortMapVip),
        chain().not_to_local().back(),
    ];
    if family == Family::V6 {
        // The kernel has no `route_localnet` for IPv6: an answer to ::1 that arrives at a port is lost. A refusal at once lets
        // programs that try all addresses of "localhost" go on to 127.0.0.1, which works.
        rules.push(chain().address_in(family, DestinationAddress, loopback(family)).back());
    }
    rules.extend([
        chain().not_in_group(PORT_GROUP).found(family, &port, Set::InsideNode).back(),
        chain()
            .leaving()
            .found(family, &port, Set::InsideNode)
            .not_found(family, &port, Set::LocalNode)
            .back(),
        chain().found(family, &port, Set::NodePort).goto(named("spread_node", family)),
        chain().found(family, &port, Set::NodePortClient).goto(named("spread_node_client", family)),
        chain().send_to(family, &port, Set::PortMap),
    ]);
    rules
}

/// Draws a slot and sends the connection to its backend. A service is in one size class; the others have no such slot.
fn spreading(family: Family) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (class, size) in (0_u8..).zip(SLOT_CLASSES) {
        let size = size as u32;
        for (chain, slot) in [("spread", RandomSlot(size)), ("spread_client", ClientSlot(size))] {
            let key = [DestinationAddress, Protocol, DestinationPort, slot];
            rules.push(Rule::on(named(chain, family)).send_to(family, &key, Set::Slot(class)));
        }
        let ways = [("spread_node", RandomSlot(size)), ("spread_node_client", ClientSlot(size))];
        for (chain, slot) in ways {
            let key = [Protocol, DestinationPort, slot];
            rules.push(Rule::on(named(chain, family)).send_to(family, &key, Set::NodeSlot(class)));
        }
    }
    rules
}

/// Every packet of a flow is numbered, after its destination is known for good.
fn steering(family: Family) -> Vec<Rule> {
    let both = [SourceAddress, DestinationAddress];
    vec![Rule::on(named("steer", family)).number_by(family, &both, Set::Steer)]
}

/// Who may open connections through us. Access rules see translated addresses, as network policies of Kubernetes expect.
fn forwarding(family: Family) -> Vec<Rule> {
    let chain = || Rule::on(named("pass", family));
    let both = [SourceAddress, DestinationAddress];
    vec![
        chain().decide_by_list(family, &[SourceAddress], Set::AclOut),
        chain().decide_by_list(family, &[DestinationAddress], Set::AclIn),
        // A Private network is closed both ways, translated or not.
        chain()
            .found(family, &[SourceAddress], Set::Hidden)
            .not_found(family, &both, Set::Intra)
            .drop(),
        chain()
            .found(family, &[DestinationAddress], Set::Hidden)
            .not_found(family, &both, Set::Intra)
            .drop(),
        // A fenced network reaches nothing that is near the host, also where a translation would lead it there.
        chain()
            .in_group(PORT_GROUP)
            .out_group(PORT_GROUP)
            .found(family, &[SourceAddress], Set::Fenced)
            .not_found(family, &both, Set::Intra)
            .drop(),
        chain().found(family, &both, Set::Barred).not_found(family, &both, Set::Intra).drop(),
        // Published ports and services lead into networks that are open to the outside from anywhere, into others from
        // within.
        chain().translated().found(family, &[DestinationAddress], Set::Outbound).accept(),
        chain().translated().found(family, &[DestinationAddress], Set::Published).accept(),
        chain().translated().found(family, &both, Set::Intra).accept(),
        chain().translated().out_group(PORT_GROUP).into_tunnel().accept(),
        chain()
            .in_group(PORT_GROUP)
            .out_group(PORT_GROUP)
            .found(family, &[SourceAddress], Set::Isolated)
            .drop(),
        chain()
            .in_group(PORT_GROUP)
            .out_group(PORT_GROUP)
            .found(family, &[DestinationAddress], Set::Isolated)
            .drop(),
        chain().found(family, &both, Set::Intra).accept(),
        // What is behind a tunnel is of the same virtual subnet as this host's part of it.
        chain().found(family, &[OutName, SourceAddress], Set::Joined).accept(),
        chain().found(family, &[InName, DestinationAddress], Set::Joined).accept(),
        chain()
            .in_group(PORT_GROUP)
            .not_out_group(PORT_GROUP)
            .not_out_group(DYING_GROUP)
            .found(family, &[SourceAddress], Set::Outbound)
            .accept(),
        // What has a way of its own may take it.
        chain()
            .in_group(PORT_GROUP)
            .not_out_group(PORT_GROUP)
            .not_out_group(DYING_GROUP)
            .numbered()
            .accept(),
        // Where a way of its own leads, others may come from.
        chain()
            .not_in_group(PORT_GROUP)
            .found(family, &[DestinationAddress, SourceAddress], Set::Admit)
            .accept(),
        // Bridged networks are part of the outside.
        chain()
            .in_group(PORT_GROUP)
            .not_out_group(PORT_GROUP)
            .not_out_group(DYING_GROUP)
            .found(family, &[SourceAddress], Set::Bridged)
            .accept(),
        chain()
            .not_in_group(PORT_GROUP)
            .found(family, &[DestinationAddress], Set::Bridged)
            .accept(),
        chain().drop(),
    ]
}

/// From our ports to this host.
fn arriving(family: Family) -> Vec<Rule> {
    let chain = || Rule::on(named("arrive", family));
    let frontend = [DestinationAddress, Protocol, DestinationPort];
    let (both, here) = ([SourceAddress, DestinationAddress], [DestinationAddress; 2]);
    let fenced = || chain().found(family, &[SourceAddress], Set::Fenced);
    let mut rules = vec![
        chain().found(family, &frontend, Set::Answered).accept(),
        // Of a fenced network's own, endpoints in namespace HostDefault alone are here.
        fenced().not_found(family, &here, Set::Loop).drop(),
        fenced().not_found(family, &both, Set::Intra).drop(),
    ];
    let ends = Ends { far: SourceAddress, near: DestinationAddress, device: InName };
    let mut usual = at_host(&named("arrive", family), family, ends);
    // An endpoint of a Private network that is in the host's own namespace is none of the other networks' business. Behind the
    // access rules, before what lets translated packets through.
    let private = chain()
        .found(family, &[DestinationAddress], Set::Hidden)
        .not_found(family, &both, Set::Intra)
        .drop();
    usual.insert(2, private);
    rules.extend(usual);
    rules
}

/// From this host to our ports.
fn departing(family: Family) -> Vec<Rule> {
    let ends = Ends { far: DestinationAddress, near: SourceAddress, device: OutName };
    at_host(&named("depart", family), family, ends)
}

/// This host is `near`; a port or a tunnel, `device`, is `far`.
#[derive(Clone, Copy)]
struct Ends {
    far: Load,
    near: Load,
    device: Load,
}

/// Between this host and a port. An address of this host that stands in `loop` is an endpoint in namespace HostDefault.
fn at_host(chain: &str, family: Family, Ends { far, near, device }: Ends) -> Vec<Rule> {
    let chain = || Rule::on(chain);
    let both = [SourceAddress, DestinationAddress];
    let aloof = || chain().found(family, &[device], Set::Aloof);
    vec![
        chain().decide_by_list(family, &[SourceAddress], Set::AclOut),
        chain().decide_by_list(family, &[DestinationAddress], Set::AclIn),
        chain()
            .found(family, &[far], Set::Hidden)
            .not_found(family, &[SourceAddress, DestinationAddress], Set::Intra)
            .drop(),
        chain().translated().back(),
        chain().found(family, &[near], Set::Isolated).drop(),
        chain().found(family, &[far], Set::Isolated).found(family, &[near, near], Set::Loop).drop(),
        // Only endpoints of this host's own namespace see the others, and only those of their virtual subnet.
        aloof().not_found(family, &[near, near], Set::Loop).drop(),
        chain().found(family, &[device, near], Set::Joined).back(),
        aloof().drop(),
        chain()
            .found(family, &[far], Set::Apart)
            .not_found(family, &[near, near], Set::Loop)
            .drop(),
        chain().found(family, &[far], Set::Apart).not_found(family, &both, Set::Intra).drop(),
        chain().found(family, &[near], Set::Apart).not_found(family, &both, Set::Intra).drop(),
    ]
}

/// Endpoints in namespace HostDefault are addresses of this host; what reaches them past our ports meets their rules here.
fn host_endpoints(family: Family) -> Vec<Rule> {
    let present = || Rule::on(named("present", family));
    let both = [SourceAddress, DestinationAddress];
    let served = [DestinationAddress, Protocol, DestinationPort];
    vec![
        // What is answered to endpoints is asked by ports, where no source lies, and by this host. An adapter believes any.
        present().not_in_loopback().found(family, &served, Set::Answered).drop(),
        present().decide_by_list(family, &[DestinationAddress], Set::AclIn),
        present()
            .found(family, &[DestinationAddress], Set::Hidden)
            .not_found(family, &both, Set::Intra)
            .drop(),
        Rule::on(named("absent", family)).decide_by_list(family, &[SourceAddress], Set::AclOut),
    ]
}

/// Source translation: what enters a port in a roundabout way, and what leaves for the outside.
fn source_translation(family: Family) -> Vec<Rule> {
    let hairpin = || Rule::on(named("hairpin", family));
    let outbound = || Rule::on(named("outbound", family));
    let both = [SourceAddress, DestinationAddress];
    let flow = [SourceAddress, DestinationAddress, Protocol, DestinationPort];
    let frontend = [OriginalDestination, Protocol, OriginalPort];
    let to_backend = [OriginalDestination, Protocol, OriginalPort, DestinationAddress];
    let shown = || Rule::on(named("shown", family));
    let mut rules = vec![
        // What backends see in place of the client; a node port is what no virtual IP has.
        shown().appear_as(family, &to_backend, Set::Shown),
        shown()
            .not_found(family, &frontend, Set::Service)
            .not_found(family, &frontend, Set::ServiceClient)
            .appear_as(family, &[Protocol, OriginalPort, DestinationAddress], Set::ShownNode),
        // Other hosts of an overlay take nothing from strangers; answers come back by the host's own address.
        shown().into_tunnel().not_found(family, &[OutName, SourceAddress], Set::Joined).appear_as(
            family,
            &[OutName],
            Set::SeenAs,
        ),
        Rule::on(named("keep", family))
            .found(family, &to_backend, Set::Kept)
            .restore_destination(family),
        hairpin().translated().found(family, &flow, Set::Masked).masquerade(),
        // Back to the sender: the answer must come through us to be translated back.
        hairpin().translated().found(family, &both, Set::Loop).masquerade(),
    ];
    if family == Family::V4 {
        let source = hairpin().address_in(family, SourceAddress, loopback(family));
        rules.push(source.masquerade());
    }
    rules.extend([
        outbound().translated().found(family, &flow, Set::Masked).masquerade(),
        outbound().found(family, &both, Set::NatExempt).back(),
        outbound()
            .found(family, &[SourceAddress], Set::NatLimited)
            .not_found(family, &both, Set::NatLimit)
            .back(),
        outbound().appear_within(family, Set::NatAs, Set::NatPorts),
        outbound().appear_as(family, &[SourceAddress], Set::NatAs),
        outbound()
            .found(family, &[SourceAddress], Set::Outbound)
            .masquerade_within(family, Set::NatPorts),
        outbound().found(family, &[SourceAddress], Set::Outbound).masquerade(),
    ]);
    rules
}

/// FNV-1a, since the hash must be the same in every build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that changes with the fixed part, kept as the table's comment: tells a table of another version from ours.
pub(crate) fn signature() -> &'static str {
    static SIGNATURE: OnceLock<String> = OnceLock::new();
    SIGNATURE.get_or_init(|| {
        let mut bytes = Vec::new();
        let mut body = crate::netlink::Body::new(&mut bytes);
        for (number, (set, family)) in (0..).zip(Set::all()) {
            super::set::write_declaration(&mut body, set, family, number);
        }
        for rule in rules() {
            rule.write(&mut body);
        }
        for hook in HOOKS {
            body.put_text(1, hook.chain).put_text(2, hook.kind).put_u32(3, hook.place);
            body.put(4, &hook.priority.to_be_bytes());
        }
        let mut hash = Hash::default();
        hash.add(&bytes);
        format!("managed by hostcompute, rules {hash}")
    })
}

/// The end of an access rule or of its chain.
pub(crate) fn conclude(rule: Rule, verdict: &hostcompute_engine::plan::Verdict) -> Rule {
    use hostcompute_engine::plan::Verdict as Access;
    match verdict {
        Access::Allow => rule.back(),
        Access::Block => rule.drop(),
        Access::Goto(chain) => rule.goto(chain.clone()),
        Access::Redirect(to) => rule.translate_to(*to),
        Access::Intercept(port) => rule.intercept(*port),
    }
}
