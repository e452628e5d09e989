//! What stops a packet, in the words of documents: which object, which member of it, and what to do.

use alloc::format;
use alloc::string::{String, ToString};
use core::net::IpAddr;

use hostcompute_schema::Guid;
use hostcompute_schema::service::{TraceObstacle, TraceObstacleKind as Kind};

use super::question::holder;
use super::view::Denied;
use super::walk::{Origin, Receiver, Stop};
use super::words::{Words, network_of};
use super::{Packet, Question};
use crate::network::endpoint::Endpoint;
use crate::network::network::{Mode, Network};
use crate::network::policy::acl::Access;
use crate::network::policy::{self, of_network};
use crate::plan::{AclRule, Direction, Fact, Family};

/// What explaining takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cause<'a> {
    pub words: Words<'a>,
    pub question: &'a Question,
}

/// An obstacle without an object.
fn obstacle(kind: Kind, message: impl Into<String>) -> TraceObstacle {
    TraceObstacle::default().kind(kind).message(message.into())
}

/// Whose document is to blame.
trait Blame {
    fn on(self, object: &str, id: Guid) -> Self;
}

impl Blame for TraceObstacle {
    fn on(self, object: &str, id: Guid) -> Self {
        self.object(object).id(id)
    }
}

impl Cause<'_> {
    pub fn of(self, stop: &Stop) -> TraceObstacle {
        match stop {
            Stop::NotAttached(id) => self.not_attached(*id),
            Stop::NoAddress(endpoint, family) => self.no_address(*endpoint, *family),
            Stop::NoRoute(id, to) => self.no_route(*id, *to),
            Stop::Spoofed(source) => obstacle(
                Kind::Spoofed,
                format!("the interface that the routes name may not send from {source}"),
            )
            .hint("hc check --repair"),
            Stop::Rule(direction, address, denied) => self.rule(*direction, *address, denied),
            Stop::Nobody(to) => self.nobody(*to),
            Stop::NotForwarding(family) => {
                let which = family_name(*family);
                obstacle(Kind::NotForwarding, format!("this host does not forward {which}"))
                    .hint("hc check --repair turns it on where a network needs it")
            }
            Stop::Isolated(address) => self.isolated(*address),
            Stop::Closed { packet, to_ours } => self.closed(packet, *to_ours),
            Stop::Private(address) => self.of_network(
                *address,
                Kind::Private,
                |name| format!("network '{name}' is Private: only its own endpoints see each other"),
                "Type",
                "use an Internal network for what the host shall see, NAT for what shall be published",
            ),
            Stop::Apart(address) => self.of_network(
                *address,
                Kind::NoHostRoute,
                |name| format!("network '{name}' has no policy HostRoute: its endpoints and the host do not see each other"),
                "Policies",
                "add policy HostRoute to the network",
            ),
            Stop::Fenced(address) => self.of_network(
                *address,
                Kind::Constrained,
                |name| format!("network '{name}' is ConstrainedICS: it reaches the outside, and nothing that is near the host"),
                "Type",
                "use a network of type ICS or NAT",
            ),
            Stop::Served(address) => self.of_network(
                *address,
                Kind::NotPublished,
                |name| format!("network '{name}' answers for names at {address} to its endpoints and this host only"),
                "Ipams",
                "ask from an endpoint of the network",
            ),
            Stop::NoWayBack(id, source) => self.no_way_back(*id, *source),
            Stop::SomebodyElse(receiver, wanted) => self.somebody_else(*receiver, *wanted),
        }
    }

    fn not_attached(self, id: Guid) -> TraceObstacle {
        let name = self.words.endpoint(id);
        obstacle(Kind::NotAttached, format!("{name} is in no namespace, so it has no interface"))
            .on("endpoint", id)
            .path("HostComputeNamespace")
            .hint(format!("hc namespace add NAMESPACE {id}"))
    }

    fn no_address(self, endpoint: Option<Guid>, family: Family) -> TraceObstacle {
        let which = family_name(family);
        match endpoint {
            Some(id) => {
                let name = self.words.endpoint(id);
                obstacle(Kind::NoAddress, format!("{name} has no {which} address"))
                    .on("endpoint", id)
                    .path("IpConfigurations")
            }
            None => {
                obstacle(Kind::NoAddress, format!("this host has no {which} address to send from"))
            }
        }
    }

    fn no_route(self, id: Guid, to: IpAddr) -> TraceObstacle {
        let name = self.words.endpoint(id);
        let gateway = self.network_of_endpoint(id).and_then(|network| {
            let mut subnets = network.subnets.iter();
            subnets.find_map(|subnet| subnet.gateway.filter(|g| g.is_ipv4() == to.is_ipv4()))
        });
        let hint = match gateway {
            Some(gateway) => format!(
                "give it one: \"Routes\": [{{\"NextHop\": \"{gateway}\", \"DestinationPrefix\": \"{}\"}}]",
                default_route(to)
            ),
            None => "endpoints of this network reach their network only; it has no gateway".into(),
        };
        obstacle(Kind::NoRoute, format!("no route of {name} leads to {to}"))
            .on("endpoint", id)
            .path("Routes")
            .hint(hint)
    }

    fn rule(self, direction: Direction, address: IpAddr, denied: &Denied) -> TraceObstacle {
        let (kind, way) = match direction {
            Direction::Out => (Kind::SenderRule, "Out"),
            Direction::In => (Kind::ReceiverRule, "In"),
        };
        let Some(id) = self.words.view.owner(address) else {
            return obstacle(kind, format!("chain {} of the table drops it", denied.chain));
        };
        let name = self.words.endpoint(id);
        let Some(rule) = &denied.rule else {
            let why = format!(
                "no access rule of {name} allows it, and what no rule of direction {way} allows is blocked"
            );
            let (object, id) = self.ruler(id);
            return obstacle(kind, why).on(object, id).path("Policies").hint(format!(
                "add an ACL policy with Action Allow and Direction {way} that it fits"
            ));
        };
        let hint = "remove the policy, narrow it, or allow this with a smaller Priority";
        match self.policy_of(id, direction, rule) {
            Some((object, id, place)) => {
                let whose = match object {
                    "network" => self.words.network(id),
                    _ => name,
                };
                obstacle(kind, format!("policy {place} of {whose} blocks it"))
                    .on(object, id)
                    .path(format!("Policies[{place}]"))
                    .hint(hint)
            }
            None => obstacle(kind, format!("an access rule of {name} blocks it"))
                .on("endpoint", id)
                .path("Policies")
                .hint(hint),
        }
    }

    /// Whose rules are the endpoint's: its own, or those of its network where it has none.
    fn ruler(self, id: Guid) -> (&'static str, Guid) {
        let endpoint = self.words.state.endpoints.get(id);
        match endpoint.filter(|endpoint| endpoint.policies.access.is_empty()) {
            Some(endpoint) => ("network", endpoint.network),
            None => ("endpoint", id),
        }
    }

    /// The policy that a rule of a chain is made from: the one that alone makes the same rule.
    fn policy_of(
        self,
        id: Guid,
        direction: Direction,
        rule: &AclRule,
    ) -> Option<(&'static str, Guid, usize)> {
        let endpoint = self.words.state.endpoints.get(id)?;
        let network = self.words.state.networks.get(endpoint.network)?;
        // Rules alone, without those that the network has for everybody.
        let bare = Network { access: Access::default(), ..(**network).clone() };
        let makes = |access: &Access| self.makes(access, &bare, direction, rule);
        let own = endpoint.document.policies.iter().position(|document| {
            let alone = policy::read(core::slice::from_ref(document), &bare, &endpoint.addresses);
            alone.is_ok_and(|policies| makes(&policies.access))
        });
        if let Some(place) = own {
            return Some(("endpoint", id, place));
        }
        let shared = network.document.policies.iter().position(|document| {
            let alone = of_network::read(network.mode, core::slice::from_ref(document));
            alone.is_ok_and(|policies| makes(&policies.access))
        });
        shared.map(|place| ("network", network.id, place))
    }

    fn makes(
        self,
        access: &Access,
        network: &Network,
        direction: Direction,
        rule: &AclRule,
    ) -> bool {
        let mut facts = alloc::vec::Vec::new();
        access.chain_facts((self.words.state, network), &mut facts);
        facts.iter().any(|fact| match fact {
            Fact::AclChain(chain) => chain.direction == direction && chain.rules.contains(rule),
            _ => false,
        })
    }

    fn nobody(self, to: IpAddr) -> TraceObstacle {
        let state = self.words.state;
        if let Some(endpoint) = holder(state, to).filter(|endpoint| endpoint.attachment.is_none()) {
            return self.not_attached(endpoint.id);
        }
        if let Some(balancers) = state.index.vips.get(&to) {
            return self.no_frontend(to, balancers.first().copied());
        }
        match network_of(state, to) {
            Some(network) => {
                let why =
                    format!("no endpoint of network '{}' has the address {to}", network.name());
                obstacle(Kind::NobodyThere, why).on("network", network.id).hint(format!(
                    "hc endpoint ls --filter '{{\"VirtualNetwork\":\"{}\"}}'",
                    network.id
                ))
            }
            None => obstacle(Kind::NobodyThere, format!("this host has no route to {to}"))
                .hint("give the host a route, such as a default route through its uplink"),
        }
    }

    /// A virtual IP that was not translated.
    fn no_frontend(self, vip: IpAddr, balancer: Option<Guid>) -> TraceObstacle {
        let Question { protocol, port, .. } = *self.question;
        let frontend = (Family::of(&vip), Some(vip), protocol, port);
        if let Some(id) = self.words.state.index.services.get(&frontend) {
            let name = self.words.balancer_by_id(*id);
            return obstacle(Kind::NoBackend, format!("{name} has no backend for {vip}"))
                .on("loadbalancer", *id)
                .path("HostComputeEndpoints")
                .hint(format!("hc loadbalancer modify {id} FILE, with endpoints in it"));
        }
        let why = format!(
            "{vip} is a virtual IP, and protocol {protocol}, port {port}, is none of its frontends"
        );
        let found = obstacle(Kind::NobodyThere, why).path("PortMappings");
        match balancer {
            Some(id) => found.on("loadbalancer", id).hint(format!("hc loadbalancer show {id}")),
            None => found,
        }
    }

    fn isolated(self, address: IpAddr) -> TraceObstacle {
        let found = obstacle(
            Kind::Isolated,
            format!("{} has flag DisableInterComputeCommunication", self.words.owner(address)),
        );
        match self.words.view.owner(address) {
            Some(id) => found.on("endpoint", id).path("Flags").hint(
                "flags are for good: delete the endpoint and make it without flag 2, or reach it through a load balancer",
            ),
            None => found,
        }
    }

    /// No rule allowed the packet, so the last one dropped it.
    fn closed(self, packet: &Packet, to_ours: bool) -> TraceObstacle {
        let state = self.words.state;
        let (source, destination) = (packet.source, packet.destination);
        let (near, far) = (network_of(state, source), network_of(state, destination));
        match (packet.from_ours, to_ours, near, far) {
            (true, true, Some(near), Some(far)) if near.id == far.id => obstacle(
                Kind::OtherNetwork,
                format!("{source} and {destination} are in different virtual subnets of network '{}'", near.name()),
            )
            .on("network", near.id)
            .path("Ipams")
            .hint("give both subnets one VSID, or put an endpoint of each into the namespace"),
            (true, true, Some(near), Some(far)) => obstacle(
                Kind::OtherNetwork,
                format!("networks '{}' and '{}' do not see each other", near.name(), far.name()),
            )
            .on("network", far.id)
            .hint(format!(
                "put an endpoint of network '{}' into the sender's namespace, or publish the port with PortMapping or a load balancer",
                far.name()
            )),
            (true, false, Some(near), _) => self.no_way_out(near),
            (false, _, _, Some(far)) => self.not_published(packet, far),
            _ => obstacle(Kind::OtherNetwork, "no network lets it through"),
        }
    }

    fn no_way_out(self, network: &Network) -> TraceObstacle {
        let kind = network.document.kind.as_ref().map_or("NAT", |kind| kind.name());
        let why =
            format!("network '{}' is of type {kind}, which has no way outside", network.name());
        let found = obstacle(Kind::NoWayOut, why).on("network", network.id).path("Type");
        match (network.mode, self.question.origin) {
            (Mode::Overlay, Origin::Endpoint(id)) => found
                .on("endpoint", id)
                .path("Policies")
                .hint("add an OutBoundNAT policy to the endpoint"),
            _ => found.hint("use a NAT network, or put an endpoint of one into the namespace"),
        }
    }

    fn not_published(self, packet: &Packet, network: &Network) -> TraceObstacle {
        let name = network.name();
        if packet.translated {
            let why = format!(
                "network '{name}' is not open to what comes from outside, published or not"
            );
            return obstacle(Kind::NotPublished, why)
                .on("network", network.id)
                .path("Type")
                .hint("ports of NAT networks can be published");
        }
        let why = format!("from outside nobody reaches network '{name}', only what it publishes");
        let found = obstacle(Kind::NotPublished, why).on("network", network.id);
        let Some(endpoint) = self.words.view.owner(packet.destination) else { return found };
        let found = found.on("endpoint", endpoint).path("Policies");
        let mappings =
            self.words.state.endpoints.get(endpoint).map(|e| published(e)).unwrap_or_default();
        match mappings.is_empty() {
            true => found.hint("publish the port with policy PortMapping, or with a load balancer"),
            false => found.hint(format!("published are ports of the host: {mappings}")),
        }
    }

    fn of_network(
        self,
        address: IpAddr,
        kind: Kind,
        why: impl Fn(&str) -> String,
        path: &str,
        hint: &str,
    ) -> TraceObstacle {
        match network_of(self.words.state, address) {
            Some(network) => {
                obstacle(kind, why(&network.name())).on("network", network.id).path(path).hint(hint)
            }
            None => obstacle(kind, why(&address.to_string())),
        }
    }

    fn no_way_back(self, id: Guid, source: IpAddr) -> TraceObstacle {
        let name = self.words.endpoint(id);
        obstacle(
            Kind::NoWayBack,
            format!("it would arrive at {name}, whose namespace has no way to answer {source}"),
        )
        .on("endpoint", id)
        .path("Routes")
        .hint("give the endpoint a route to the sender through its gateway")
    }

    fn somebody_else(self, receiver: Receiver, wanted: Guid) -> TraceObstacle {
        let (got, name) = (self.words.receiver(receiver), self.words.endpoint(wanted));
        let state = self.words.state;
        let Question { to, protocol, port, .. } = *self.question;
        let frontend = (Family::of(&to), Some(to), protocol, port);
        if let (Receiver::Host, false) = (receiver, self.words.attached(wanted)) {
            return self.not_attached(wanted);
        }
        let found = obstacle(Kind::SomebodyElse, format!("{got} gets it, not {name}"));
        match state.index.services.get(&frontend) {
            Some(id) => TraceObstacle {
                message: Some(format!(
                    "{} has the same address and port, and comes before what {name} publishes: {got} gets it",
                    self.words.balancer_by_id(*id)
                )),
                ..found
            }
            .on("loadbalancer", *id)
            .path("PortMappings")
            .hint("give one of the two another port"),
            None => found.on("endpoint", wanted),
        }
    }

    fn network_of_endpoint(self, id: Guid) -> Option<alloc::sync::Arc<Network>> {
        let endpoint = self.words.state.endpoints.get(id)?;
        self.words.state.networks.get(endpoint.network).cloned()
    }
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn default_route(to: IpAddr) -> &'static str {
    if to.is_ipv4() { "0.0.0.0/0" } else { "::/0" }
}

/// The ports of the host that lead to an endpoint.
fn published(endpoint: &Endpoint) -> String {
    let mappings = endpoint.policies.port_mappings.iter();
    let texts = mappings.map(|mapping| format!("{} to {}", mapping.external, mapping.internal));
    texts.collect::<alloc::vec::Vec<_>>().join(", ")
}
