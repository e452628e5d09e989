//! SDN routes of endpoints of several networks: what a next hop means stays what it was when the route was made.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod world;

use hostcompute_engine::plan::{Detour, Element, Fact};
use hostcompute_schema::Guid;
use hostcompute_schema::operation::Operation;
use serde_json::json;

use world::World;

fn member(world: &mut World, prefix: &str, gateway: &str) -> Guid {
    let network = json!({"Type": "NAT", "Ipams": [{"Subnets": [{
        "IpAddressPrefix": prefix,
        "Routes": [{"NextHop": gateway, "DestinationPrefix": "0.0.0.0/0"}],
    }]}]});
    let network = world.create(Operation::CreateNetwork, network);
    world.create(Operation::CreateEndpoint, json!({"HostComputeNetwork": network.to_string()}))
}

/// Which way each source goes, and where.
fn ways(world: &World) -> Vec<String> {
    let facts = world.state.facts().into_iter();
    let of = |fact| match fact {
        Fact::Detour(Detour { via, .. }) => Some(format!("a way via {via:?}")),
        Fact::Element(Element::Steer { source, destination, .. }) => {
            Some(format!("{source} to {destination}"))
        }
        _ => None,
    };
    facts.filter_map(of).collect()
}

/// The gateway of one of the networks is this host, also when the endpoint of that network is gone and the service begins anew
/// (the world reads its records after each call).
#[test]
fn what_was_the_host_stays_the_host_without_the_network_that_said_so() {
    let mut world = World::new();
    let one = member(&mut world, "10.1.0.0/24", "10.1.0.1");
    let two = member(&mut world, "10.2.0.0/24", "10.2.0.1");
    let route = json!({
        "HostComputeEndpoints": [one.to_string(), two.to_string()],
        "Routes": [{"DestinationPrefix": "203.0.113.0/24", "NextHop": "10.1.0.1"}],
    });
    let namespace = world.create(Operation::CreateNamespace, json!({}));
    let settings = json!({"EndpointId": two.to_string()});
    let attach = json!({"ResourceType": "Endpoint", "RequestType": "Add", "Settings": settings});
    world.call(Operation::ModifyNamespace, Some(namespace), attach).unwrap();
    let route = world.create(Operation::CreateSdnRoute, route);
    let before = ways(&world);
    assert_eq!(before, ["a way via None", "10.2.0.2 to 203.0.113.0/24"]);
    world.call(Operation::DeleteEndpoint, Some(one), json!({})).unwrap();
    assert_eq!(ways(&world), before);
    let shown = world.show(Operation::QuerySdnRouteProperties, route);
    assert_eq!(shown["Routes"][0]["NextHop"], "10.1.0.1");
}

/// The gateway of a network on the wire is another machine, and so is everybody else there: it is not this host, and may be a next hop.
#[test]
fn on_a_transparent_network_the_gateway_is_a_next_hop() {
    let mut world = World::on_a_wire();
    let network = json!({"Type": "Transparent", "Ipams": [{"Subnets": [{
        "IpAddressPrefix": "192.0.2.0/24",
        "Routes": [{"NextHop": "192.0.2.254", "DestinationPrefix": "0.0.0.0/0"}],
    }]}]});
    let network = world.create(Operation::CreateNetwork, network);
    let routes = ["192.0.2.254", "192.0.2.77"].map(|hop| {
        let destination = if hop == "192.0.2.77" { "198.51.100.0/24" } else { "203.0.113.0/24" };
        let settings = json!({"DestinationPrefix": destination, "NextHop": hop});
        json!({"Type": "SDNRoute", "Settings": settings})
    });
    world.create(
        Operation::CreateEndpoint,
        json!({
            "HostComputeNetwork": network.to_string(),
            "IpConfigurations": [{"IpAddress": "192.0.2.66"}],
            "Policies": routes,
        }),
    );
    let ways = ways(&world);
    assert_eq!(ways, ["a way via Some(192.0.2.254)", "a way via Some(192.0.2.77)"]);
}
