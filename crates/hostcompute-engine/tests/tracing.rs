//! Every obstacle that a trace can name, each made by documents: its kind, the member that is to blame, and a word of what to do.
//!
//! That the walk is right is the property tests' business (`properties/agree.rs`); here it is told rightly.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod world;

use hostcompute_engine::Kind as Object;
use hostcompute_engine::host::{Surroundings, Uplink};
use hostcompute_engine::trace::trace;
use hostcompute_schema::operation::Operation;
use hostcompute_schema::service::{
    Trace, TraceObstacle, TraceObstacleKind as Kind, TraceReceiver, TraceRequest,
};
use hostcompute_schema::{Failure, Guid, HResult, ProtocolType};
use serde_json::{Value, json};

use world::World;

const OUTSIDE: &str = "203.0.113.9";

/// A world with two networks, "web" (NAT) and "back" (Internal).
struct Site(World);

impl Site {
    fn new() -> Self {
        let uplink = Uplink {
            name: "up0".into(),
            index: 2,
            mtu: 1500,
            up: true,
            addresses: vec!["198.51.100.1/24".parse().unwrap()],
            default_route: true,
            ..Uplink::default()
        };
        let mut site = Self(World::new());
        site.0.surroundings = Surroundings {
            prefixes: vec!["198.51.100.0/24".parse().unwrap()],
            addresses: ["127.0.0.1", "198.51.100.1"].map(|text| text.parse().unwrap()).into(),
            uplink_mtu: Some(1500),
            uplinks: vec![uplink],
            ..Surroundings::default()
        };
        site.network("web", "NAT", "10.1.0.0/24", json!([]));
        site.network("back", "Internal", "10.2.0.0/24", json!([]));
        site
    }

    fn network(&mut self, name: &str, kind: &str, prefix: &str, policies: Value) -> Guid {
        let gateway = prefix.replace(".0/24", ".1");
        let document = json!({"Name": name, "Type": kind, "Policies": policies, "Ipams": [{"Subnets": [
            {"IpAddressPrefix": prefix, "Routes": [{"NextHop": gateway, "DestinationPrefix": "0.0.0.0/0"}]},
        ]}]});
        self.0.create(Operation::CreateNetwork, document)
    }

    fn id(&self, kind: Object, name: &str) -> Guid {
        self.0.state.resolve(kind, name).unwrap()
    }

    /// An endpoint in a namespace of its own.
    fn endpoint(&mut self, name: &str, network: &str, more: Value) -> Guid {
        let id = self.unattached(name, network, more);
        let namespace = self.0.create(Operation::CreateNamespace, json!({"Name": name}));
        let add = json!({"ResourceType": "Endpoint", "RequestType": "Add", "Settings": {"EndpointId": id.to_string()}});
        self.0.call(Operation::ModifyNamespace, Some(namespace), add).unwrap();
        id
    }

    fn unattached(&mut self, name: &str, network: &str, more: Value) -> Guid {
        let network = self.id(Object::Network, network);
        let mut document = json!({"Name": name, "HostComputeNetwork": network.to_string()});
        let members = document.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        self.0.create(Operation::CreateEndpoint, document)
    }

    fn balancer(&mut self, name: &str, vip: Option<&str>, port: u16, backends: &[Guid]) -> Guid {
        let backends: Vec<String> = backends.iter().map(Guid::to_string).collect();
        let vips: Vec<&str> = vip.into_iter().collect();
        let document = json!({"Name": name, "HostComputeEndpoints": backends, "FrontendVIPs": vips,
            "PortMappings": [{"Protocol": 6, "InternalPort": 80, "ExternalPort": port}]});
        self.0.create(Operation::CreateLoadBalancer, document)
    }

    fn ask(&self, from: &str, to: &str, port: u16) -> Result<Trace, Failure> {
        let request = TraceRequest {
            from: Some(from.into()),
            to: Some(to.into()),
            port: Some(port),
            ..TraceRequest::default()
        };
        trace(&self.0.state, &self.0.surroundings, &request)
    }

    fn stopped(&self, from: &str, to: &str, port: u16) -> TraceObstacle {
        let trace = self.ask(from, to, port).unwrap();
        assert_eq!(trace.reaches, Some(false), "{trace:#?}");
        let [path] = trace.paths.as_slice() else { panic!("{trace:#?}") };
        path.obstacle.clone().unwrap_or_else(|| panic!("{trace:#?}"))
    }

    fn reaches(&self, from: &str, to: &str, port: u16) -> Trace {
        let trace = self.ask(from, to, port).unwrap();
        assert_eq!(trace.reaches, Some(true), "{trace:#?}");
        trace
    }
}

/// The kind, whose document, and which member of it.
fn check(obstacle: &TraceObstacle, kind: Kind, id: Option<Guid>, path: Option<&str>) {
    let found = (obstacle.kind.clone(), obstacle.id, obstacle.path.as_deref());
    assert_eq!(found, (Some(kind), id, path), "{obstacle:#?}");
    assert!(obstacle.hint.as_ref().is_some_and(|hint| !hint.is_empty()), "{obstacle:#?}");
}

fn acl(action: &str, direction: &str, priority: u16, remote: &str) -> Value {
    json!({"Type": "ACL", "Settings": {"Action": action, "Direction": direction, "Priority": priority,
        "RemoteAddresses": remote, "Protocols": "6"}})
}

#[test]
fn neighbours_the_host_and_the_outside_are_reached() {
    let mut site = Site::new();
    let a = site.endpoint("a", "web", json!({}));
    let b = site.endpoint("b", "web", json!({}));
    let trace = site.reaches("a", "b", 80);
    assert_eq!(trace.paths[0].endpoint, Some(b));
    assert_eq!(trace.from.as_deref(), Some("endpoint 'a'"));
    site.reaches("a", "b", 0);
    let host = site.reaches("a", "host", 53);
    assert_eq!(host.paths[0].receiver, Some(TraceReceiver::Host));
    let outside = site.reaches("a", OUTSIDE, 443);
    assert_eq!(outside.paths[0].receiver, Some(TraceReceiver::Outside));
    assert_eq!(outside.paths[0].seen_as.as_deref(), Some("198.51.100.1"));
    // By address, by id, by the beginning of an id.
    let by_id = site.reaches(&a.to_string(), &b.to_string()[..8], 80);
    assert_eq!(by_id.paths, trace.paths);
}

#[test]
fn rules_are_named_by_the_policy_that_says_them() {
    let mut site = Site::new();
    site.endpoint("a", "web", json!({}));
    let open = acl("Allow", "In", 200, "");
    let policies = json!([
        {"Type": "PortName", "Settings": {"Name": "x"}},
        open,
        acl("Block", "In", 100, "10.1.0.2/32"),
        acl("Allow", "Out", 100, "10.1.0.0/24"),
    ]);
    let b = site.endpoint("b", "web", json!({"Policies": policies}));
    check(&site.stopped("a", "b", 80), Kind::ReceiverRule, Some(b), Some("Policies[2]"));
    site.reaches("host", "b", 80);
    // What no rule of the direction allows is blocked, too.
    let obstacle = site.stopped("b", OUTSIDE, 443);
    check(&obstacle, Kind::SenderRule, Some(b), Some("Policies"));
    assert!(obstacle.message.unwrap().contains("no access rule"));
    site.reaches("b", "a", 80);
}

#[test]
fn rules_of_networks_tiers_and_sets_are_named_too() {
    let mut site = Site::new();
    let block = json!({"Action": "Block", "Direction": "In", "Priority": 10, "RemoteAddresses": "10.4.0.2/32"});
    let set = json!({"Type": "SetPolicy", "Settings": {"Id": "bad", "Name": "bad", "PolicyType": "IPSET", "Values": "10.4.0.3"}});
    let shared = site.network(
        "ruled",
        "NAT",
        "10.4.0.0/24",
        json!([set, {"Type": "NetworkACL", "Settings": block}]),
    );
    site.endpoint("a", "ruled", json!({}));
    site.endpoint("b", "ruled", json!({}));
    let tier = json!({"Type": "TierAcl", "Settings": {"Direction": "In", "Order": 5, "TierAclRules": [
        {"Id": "1", "Protocols": "6", "TierAclRuleAction": "Block", "RemoteAddresses": "198.51.100.0/24", "Priority": 1},
    ]}});
    // Where rules name sets, Local is the source of the packet (hcn.md 2.13).
    let by_set = json!({"Type": "ACL", "Settings": {"Action": "Block", "Direction": "In", "Priority": 20, "LocalAddresses": "bad"}});
    let all =
        json!({"Type": "ACL", "Settings": {"Action": "Allow", "Direction": "In", "Priority": 30}});
    let c = site.endpoint("c", "ruled", json!({"Policies": [tier, all, by_set]}));
    check(&site.stopped("a", "c", 80), Kind::ReceiverRule, Some(shared), Some("Policies[0]"));
    check(&site.stopped("b", "c", 80), Kind::ReceiverRule, Some(c), Some("Policies[2]"));
    // Whoever has no rules of its own is under those of the network.
    check(&site.stopped("host", "a", 80), Kind::ReceiverRule, Some(shared), Some("Policies"));
    site.reaches("host", "c", 80);
}

#[test]
fn flags_types_and_networks_are_named() {
    let mut site = Site::new();
    site.network("alone", "Private", "10.3.0.0/24", json!([]));
    site.endpoint("a", "web", json!({}));
    let lonely = site.endpoint("lonely", "web", json!({"Flags": 2}));
    let inner = site.endpoint("inner", "back", json!({}));
    site.endpoint("hidden", "alone", json!({}));
    let network = |name: &str| Some(site.id(Object::Network, name));
    check(&site.stopped("a", "lonely", 80), Kind::Isolated, Some(lonely), Some("Flags"));
    check(&site.stopped("lonely", "a", 80), Kind::Isolated, Some(lonely), Some("Flags"));
    check(&site.stopped("a", "inner", 80), Kind::OtherNetwork, network("back"), None);
    check(&site.stopped("inner", OUTSIDE, 80), Kind::NoWayOut, network("back"), Some("Type"));
    check(&site.stopped(OUTSIDE, "inner", 80), Kind::NotPublished, Some(inner), Some("Policies"));
    check(&site.stopped("host", "hidden", 80), Kind::Private, network("alone"), Some("Type"));
    check(&site.stopped("a", "hidden", 80), Kind::Private, network("alone"), Some("Type"));
}

#[test]
fn what_is_missing_is_named() {
    let mut site = Site::new();
    site.endpoint("a", "web", json!({}));
    let idle = site.unattached("idle", "web", json!({}));
    let stuck = site.endpoint(
        "stuck",
        "web",
        json!({"Routes": [{"NextHop": "10.1.0.1", "DestinationPrefix": "192.0.2.0/24"}]}),
    );
    let web = Some(site.id(Object::Network, "web"));
    let place = Some("HostComputeNamespace");
    check(&site.stopped("a", "idle", 80), Kind::NotAttached, Some(idle), place);
    check(&site.stopped("idle", "a", 80), Kind::NotAttached, Some(idle), place);
    check(&site.stopped("a", "10.1.0.77", 80), Kind::NobodyThere, web, None);
    check(&site.stopped("stuck", OUTSIDE, 80), Kind::NoRoute, Some(stuck), Some("Routes"));
    site.0.surroundings.uplinks[0].default_route = false;
    check(&site.stopped("a", OUTSIDE, 80), Kind::NobodyThere, None, None);
    site.reaches("a", "198.51.100.77", 80);
}

#[test]
fn load_balancers_are_followed_to_each_backend() {
    let mut site = Site::new();
    site.endpoint("a", "web", json!({}));
    let b = site.endpoint("b", "web", json!({}));
    let c =
        site.endpoint("c", "web", json!({"Policies": [acl("Block", "In", 100, "10.1.0.0/24")]}));
    let idle = site.unattached("idle", "web", json!({}));
    // Who is not plugged in gets no connections.
    let shop = site.balancer("shop", Some("10.99.0.1"), 443, &[b, c, idle]);
    let trace = site.ask("a", "shop", 0).unwrap();
    assert_eq!((trace.reaches, trace.destination.as_deref()), (Some(false), Some("10.99.0.1:443")));
    let mut ends: Vec<_> = trace
        .paths
        .iter()
        .map(|path| {
            (path.endpoint, path.obstacle.as_ref().and_then(|o| Some((o.kind.clone()?, o.id?))))
        })
        .collect();
    ends.sort_by_key(|(reached, stopped)| (reached.is_none(), stopped.clone().map(|s| s.1)));
    assert_eq!(ends[0], (Some(b), None));
    assert!(ends.contains(&(None, Some((Kind::ReceiverRule, c)))), "{ends:?}");
    assert_eq!(ends.len(), 2, "{ends:?}");
    // Another port of the virtual IP leads nowhere.
    let obstacle = site.stopped("a", "10.99.0.1", 80);
    check(&obstacle, Kind::NobodyThere, Some(shop), Some("PortMappings"));
    // From the host, by a node port; and who asks for a port alone gets the frontend of that number.
    site.balancer("node", None, 30000, &[b]);
    assert_eq!(site.reaches("host", "node", 0).paths[0].endpoint, Some(b));
    assert_eq!(site.reaches(OUTSIDE, "node", 30000).paths[0].endpoint, Some(b));
}

#[test]
fn published_ports_are_followed_and_who_takes_them_is_named() {
    let mut site = Site::new();
    let published = |external: u16| {
        json!({"Policies": [{"Type": "PortMapping",
            "Settings": {"Protocol": 6, "InternalPort": 80, "ExternalPort": external}}]})
    };
    let a = site.endpoint("a", "web", published(8080));
    let b = site.endpoint("b", "web", json!({}));
    assert_eq!(site.reaches(OUTSIDE, "a", 8080).destination.as_deref(), Some("198.51.100.1:8080"));
    assert_eq!(site.reaches(OUTSIDE, "host", 8080).paths[0].endpoint, Some(a));
    let direct = site.stopped(OUTSIDE, "a", 80);
    check(&direct, Kind::NotPublished, Some(a), Some("Policies"));
    assert!(direct.hint.unwrap().contains("8080 to 80"));
    // A virtual IP that is the host's own address comes before what is published on all of them.
    let thief = site.balancer("thief", Some("198.51.100.1"), 8080, &[b]);
    check(&site.stopped(OUTSIDE, "a", 8080), Kind::SomebodyElse, Some(thief), Some("PortMappings"));
    // Who publishes and is in no namespace publishes nothing.
    let idle = site.unattached("idle", "web", published(9090));
    check(
        &site.stopped(OUTSIDE, "idle", 9090),
        Kind::NotAttached,
        Some(idle),
        Some("HostComputeNamespace"),
    );
}

#[test]
fn requests_that_name_no_packet_are_refused_at_their_member() {
    let mut site = Site::new();
    site.endpoint("a", "web", json!({}));
    site.endpoint("Ethernet", "web", json!({}));
    site.endpoint("Ethernet", "web", json!({}));
    let refused = |from: &str, to: &str, protocol: u32, port: u16| {
        let request = TraceRequest {
            from: Some(from.into()),
            to: Some(to.into()),
            protocol: Some(ProtocolType(protocol)),
            port: Some(port),
            ..TraceRequest::default()
        };
        let failure = trace(&site.0.state, &site.0.surroundings, &request).unwrap_err();
        (failure.hresult, failure.path.unwrap_or_default())
    };
    let at = |member: &str| (HResult::E_INVALIDARG, member.to_owned());
    assert_eq!(refused("", "a", 6, 80), at("From"));
    assert_eq!(refused("a", "a", 6, 0), at("Port"));
    assert_eq!(refused("a", "a", 1, 80), at("Port"));
    assert_eq!(refused("a", "a", 300, 0), at("Protocol"));
    assert_eq!(refused("Ethernet", "a", 6, 80), at("From"));
    assert_eq!(refused("a", "Ethernet", 6, 80), at("To"));
    let nobody = |member: &str| (HResult::HCN_E_ENDPOINT_NOT_FOUND, member.to_owned());
    assert_eq!(refused("nobody", "a", 6, 80), nobody("From"));
    assert_eq!(refused("a", "nobody", 6, 80), nobody("To"));
    assert_eq!(refused("a", "127.0.0.1", 6, 80), at("To"));
}
