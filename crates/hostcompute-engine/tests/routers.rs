//! Who routes for endpoints of bridged networks: the network's gateway, and the host where a route names it.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod world;

use hostcompute_engine::plan::{Element, Fact};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use world::World;

/// A subnet of pods whose gateway nobody is, as flannel's host-gw makes it (hcn.md 5.3).
fn network(world: &mut World, kind: &str) -> Guid {
    let document = json!({"Name": "cbr0", "Type": kind, "Ipams": [{"Subnets": [{
        "IpAddressPrefix": "10.244.1.0/24",
        "Routes": [{"NextHop": "10.244.1.1", "DestinationPrefix": "0.0.0.0/0"}],
    }]}]});
    world.create(Operation::CreateNetwork, document)
}

fn pod(network: Guid, last: u8, hop: &str, to: &str) -> Value {
    json!({
        "HostComputeNetwork": network.to_string(),
        "IpConfigurations": [{"IpAddress": format!("10.244.1.{last}")}],
        "Routes": [{"NextHop": hop, "DestinationPrefix": to}],
    })
}

fn attach(world: &mut World, namespace: Option<Guid>, endpoint: Guid) {
    let namespace =
        namespace.unwrap_or_else(|| world.create(Operation::CreateNamespace, json!({})));
    let request = json!({"ResourceType": "Endpoint", "RequestType": "Add",
        "Settings": {"EndpointId": endpoint.to_string()}});
    world.call(Operation::ModifyNamespace, Some(namespace), request).unwrap();
}

/// The destinations for which the host's own routes decide in place of the network's gateway.
fn steered(world: &World) -> Vec<String> {
    let facts = world.state.facts();
    let steer = |fact: &Fact| match fact {
        Fact::Element(Element::Steer { source, destination, .. }) => {
            Some(format!("{source} {destination}"))
        }
        _ => None,
    };
    facts.iter().filter_map(steer).collect()
}

#[test]
fn the_host_routes_where_it_has_an_address_of_the_network() {
    let mut world = World::on_a_wire();
    let id = network(&mut world, "L2Bridge");
    let everything = pod(id, 7, "10.244.1.2", "0.0.0.0/0");
    let refused = (HResult::HCN_E_REQUEST_UNSUPPORTED, "Routes[0].NextHop".to_owned());
    assert_eq!(world.refuse(Operation::CreateEndpoint, None, everything.clone()), refused);
    let bridge = json!({"HostComputeNetwork": id.to_string(),
        "IpConfigurations": [{"IpAddress": "10.244.1.2"}]});
    let bridge = world.create(Operation::CreateEndpoint, bridge);
    // An endpoint that is nowhere routes for nobody.
    assert_eq!(world.refuse(Operation::CreateEndpoint, None, everything.clone()), refused);
    let host = world.create(Operation::CreateNamespace, json!({"Type": "HostDefault"}));
    attach(&mut world, Some(host), bridge);
    let endpoint = world.create(Operation::CreateEndpoint, everything.clone());
    assert_eq!(steered(&world), Vec::<String>::new());
    attach(&mut world, None, endpoint);
    assert_eq!(steered(&world), ["10.244.1.7 0.0.0.0/0"]);
    // What else is said of the endpoint leaves its routes alone.
    let nat = json!({"ResourceType": "Policy", "RequestType": "Update", "Settings": {"Policies": [
        {"Type": "OutBoundNAT", "Settings": {"Exceptions": ["10.244.0.0/16"]}},
    ]}});
    world.call(Operation::ModifyEndpoint, Some(endpoint), nat).unwrap();
    assert_eq!(steered(&world), ["10.244.1.7 0.0.0.0/0"]);
    // Another endpoint in between would be passed by.
    assert_eq!(
        world.refuse(Operation::CreateEndpoint, None, pod(id, 8, "10.244.1.7", "0.0.0.0/0")),
        refused
    );
    // The host's own address at the adapter is the host, too; and the rest goes to the gateway.
    let document = pod(id, 8, "192.0.2.1", "203.0.113.0/24");
    let other = world.create(Operation::CreateEndpoint, document);
    attach(&mut world, None, other);
    assert_eq!(steered(&world), ["10.244.1.7 0.0.0.0/0", "10.244.1.8 203.0.113.0/24"]);
}

#[test]
fn on_l2tunnel_networks_everything_goes_to_the_gateway() {
    let mut world = World::on_a_wire();
    let id = network(&mut world, "L2Tunnel");
    let refused =
        world.refuse(Operation::CreateEndpoint, None, pod(id, 7, "192.0.2.1", "0.0.0.0/0"));
    assert_eq!(refused.0, HResult::HCN_E_REQUEST_UNSUPPORTED);
}
