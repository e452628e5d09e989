//! SDN routes: which way packets of endpoints leave, and under which address.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::Netns;
use lab::node::{Node, Wire, seclude};
use lab::traffic::{tcp, tcp_refused, tcp_server};

/// A machine behind both routers.
const FAR: &str = "203.0.113.1";

/// A router of the wire; both are the way to one far address, so who answers tells who was asked. They know the way back to the
/// endpoints' networks.
fn router(wire: &Wire, number: u8) -> Node {
    let node = wire.node(number);
    node.host.exec("ip route del default");
    node.host.exec(&format!("ip addr add {FAR}/32 dev lo"));
    for back in ["10.5.0.0/24", "10.6.0.0/24"] {
        node.host.exec(&format!("ip route add {back} via 192.0.2.1"));
    }
    node
}

fn network(kind: &str) -> Value {
    let subnet = match kind {
        "NAT" => json!({"IpAddressPrefix": "10.5.0.0/24"}),
        "Overlay" => json!({
            "IpAddressPrefix": "10.6.0.0/24",
            "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 4097}}],
        }),
        _ => json!({
            "IpAddressPrefix": "192.0.2.0/24",
            "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}],
        }),
    };
    json!({"Name": kind, "Type": kind, "Ipams": [{"Subnets": [subnet]}]})
}

fn route(
    endpoints: &[hostcompute_schema::Guid],
    destination: &str,
    hop: &str,
    encap: bool,
) -> Value {
    let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
    json!({
        "HostComputeEndpoints": endpoints,
        "Routes": [{"DestinationPrefix": destination, "NextHop": hop, "NeedEncap": encap}],
    })
}

/// Who answers, and whom it saw.
fn who(from: &Netns) -> (String, String) {
    let answer = tcp(from, &format!("{FAR}:80")).unwrap();
    (answer.server, answer.client.to_string())
}

fn seen(server: &str, client: &str) -> (String, String) {
    (server.to_owned(), client.to_owned())
}

#[test]
fn a_route_takes_what_its_endpoints_send_to_the_next_hop_and_no_more() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, usual, other) = (wire.node(1), router(&wire, 254), router(&wire, 7));
    let nat = host.create(Operation::CreateNetwork, &network("NAT"));
    let (a, endpoint) = host.container_and_endpoint(nat, "10.5.0.5", &json!({}));
    let (b, bystander) = host.container_and_endpoint(nat, "10.5.0.6", &json!({}));
    let far = format!("{FAR}:80");
    let _servers = [
        tcp_server(&usual.host, "usual", &far),
        tcp_server(&other.host, "other", &far),
        tcp_server(&b, "b", "10.5.0.6:80"),
    ];
    assert_eq!(who(&a), seen("usual", "192.0.2.1"));
    // As all that leaves the network.
    let masked = route(&[endpoint], "203.0.113.0/24", "192.0.2.7", true);
    let first = host.create(Operation::CreateSdnRoute, &masked);
    host.check();
    assert_eq!(who(&a), seen("other", "192.0.2.1"));
    assert_eq!(who(&b), seen("usual", "192.0.2.1"));
    // The more specific destination counts; without encapsulation the endpoint's own address is seen.
    let both = route(&[endpoint, bystander], &format!("{FAR}/32"), "192.0.2.254", false);
    let second = host.create(Operation::CreateSdnRoute, &both);
    host.check();
    assert_eq!(who(&a), seen("usual", "10.5.0.5"));
    assert_eq!(who(&b), seen("usual", "10.5.0.6"));
    // Neighbours on this host are found whatever routes say.
    let everything = route(&[endpoint], "0.0.0.0/0", "192.0.2.7", true);
    let third = host.create(Operation::CreateSdnRoute, &everything);
    assert_eq!(tcp(&a, "10.5.0.6:80").unwrap().server, "b");
    host.check();
    host.restart();
    host.check();
    host.delete(Operation::DeleteSdnRoute, second);
    assert_eq!(who(&a), seen("other", "192.0.2.1"));
    host.delete(Operation::DeleteSdnRoute, first);
    assert_eq!(who(&a), seen("other", "192.0.2.1"), "by the third");
    host.delete(Operation::DeleteSdnRoute, third);
    assert_eq!(who(&a), seen("usual", "192.0.2.1"));
    host.check();
    assert!(!host.host.exec("ip rule").contains("fwmark"), "nothing is left");
    let unreachable = route(&[endpoint], "203.0.113.0/24", "198.51.100.9", true);
    let refused = host.call(Operation::CreateSdnRoute, None, &unreachable).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_INVALID_POLICY);
    host.check();
}

#[test]
fn a_next_hop_that_is_gone_takes_packets_nowhere() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, usual, other) = (wire.node(1), router(&wire, 254), router(&wire, 7));
    let nat = host.create(Operation::CreateNetwork, &network("NAT"));
    let (a, endpoint) = host.container_and_endpoint(nat, "10.5.0.5", &json!({}));
    let far = format!("{FAR}:80");
    let _server = tcp_server(&usual.host, "usual", &far);
    // A second adapter, behind which the next hop is.
    wire.plug(&host.host, "up1", "198.51.100.1/24", 101);
    other.host.exec("ip addr add 198.51.100.7/24 dev up0");
    let masked = route(&[endpoint], "203.0.113.0/24", "198.51.100.7", true);
    host.create(Operation::CreateSdnRoute, &masked);
    host.check();
    host.host.exec("ip link del up1");
    assert!(tcp_refused(&a, &far), "not by the usual way");
}

#[test]
fn an_endpoints_own_route_opens_a_way_out_of_an_overlay() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, usual) = (wire.node(1), router(&wire, 254));
    let overlay = host.create(Operation::CreateNetwork, &network("Overlay"));
    let nat = host.create(Operation::CreateNetwork, &network("NAT"));
    let policies = |destination: &str| {
        json!({"Policies": [{
            "Type": "SDNRoute",
            "Settings": {"DestinationPrefix": destination, "NeedEncap": true},
        }]})
    };
    let open = host.container(overlay, "10.6.0.5", &policies("203.0.113.0/24"));
    let closed = host.container(overlay, "10.6.0.6", &policies("203.0.114.0/24"));
    let everywhere = host.container(overlay, "10.6.0.7", &policies("0.0.0.0/0"));
    let neighbour = host.container(nat, "10.5.0.5", &json!({}));
    let far = format!("{FAR}:80");
    let _servers = [
        tcp_server(&usual.host, "usual", &far),
        tcp_server(&neighbour, "neighbour", "10.5.0.5:80"),
    ];
    host.check();
    assert_eq!(who(&open), seen("usual", "10.6.0.5"), "overlays do not translate");
    assert!(tcp_refused(&closed, &far));
    assert_eq!(who(&everywhere).0, "usual");
    // A way outside is no way into another network.
    assert!(tcp_refused(&everywhere, "10.5.0.5:80"));
}

#[test]
fn on_a_bridged_network_the_hosts_own_routes_can_be_chosen() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let (mut host, usual, other) = (wire.node(1), router(&wire, 254), router(&wire, 7));
    // As flannel's host-gw does for the containers of other hosts.
    host.host.exec("ip route add 203.0.113.0/24 via 192.0.2.7");
    let bridged = host.create(Operation::CreateNetwork, &network("L2Bridge"));
    let (a, endpoint) = host.container_and_endpoint(bridged, "192.0.2.50", &json!({}));
    let far = format!("{FAR}:80");
    let _servers = [tcp_server(&usual.host, "usual", &far), tcp_server(&other.host, "other", &far)];
    assert_eq!(who(&a), seen("usual", "192.0.2.50"));
    let id =
        host.create(Operation::CreateSdnRoute, &route(&[endpoint], "203.0.113.0/24", "", true));
    host.check();
    assert_eq!(who(&a), seen("other", "192.0.2.50"));
    host.delete(Operation::DeleteSdnRoute, id);
    assert_eq!(who(&a), seen("usual", "192.0.2.50"));
    host.check();
}

#[test]
fn what_makes_no_sense_is_refused_and_routes_go_with_their_endpoints() {
    if !seclude() {
        return;
    }
    let wire = Wire::new();
    let mut host = wire.node(1);
    let nat = host.create(Operation::CreateNetwork, &network("NAT"));
    let private = host.create(Operation::CreateNetwork, &json!({
        "Type": "Private", "Name": "p", "Ipams": [{"Subnets": [{"IpAddressPrefix": "10.7.0.0/24"}]}],
    }));
    let (_a, endpoint) = host.container_and_endpoint(nat, "10.5.0.5", &json!({}));
    let (_b, inner) = host.container_and_endpoint(private, "10.7.0.5", &json!({}));
    let mut refused = |document: &Value| {
        host.call(Operation::CreateSdnRoute, None, document).unwrap_err().hresult
    };
    let missing = hostcompute_schema::Guid::from_bytes([9; 16]);
    let far = "203.0.113.0/24";
    assert_eq!(refused(&route(&[], far, "", true)), HResult::HCN_E_INVALID_JSON_REFERENCE);
    assert_eq!(refused(&route(&[missing], far, "", true)), HResult::HCN_E_INVALID_JSON_REFERENCE);
    assert_eq!(refused(&route(&[inner], far, "", true)), HResult::HCN_E_MAPPING_NOT_SUPPORTED);
    assert_eq!(refused(&route(&[endpoint], "x", "", true)), HResult::HCN_E_INVALID_PREFIX);
    let neighbour = route(&[endpoint], far, "10.5.0.9", true);
    assert_eq!(refused(&neighbour), HResult::HCN_E_REQUEST_UNSUPPORTED);
    // What hcsshim's tests send: host bits, and a next hop that is the host itself.
    let id = host.create(
        Operation::CreateSdnRoute,
        &route(&[endpoint], "169.254.169.254/24", "127.10.0.34", false),
    );
    host.check();
    let modified = host.call(Operation::ModifySdnRoute, Some(id), &json!({})).unwrap_err();
    assert_eq!(modified.hresult, HResult::E_NOTIMPL);
    host.delete(Operation::DeleteEndpoint, endpoint);
    let gone = host.call(Operation::OpenSdnRoute, Some(id), &json!({})).unwrap_err();
    assert_eq!(gone.hresult, HResult::ERROR_NOT_FOUND);
    host.check();
}
