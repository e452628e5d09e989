//! VLANs by data: which one an endpoint is in, from its network or itself, over every change; `World` loads the state anew, and takes each
//! step back.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod world;

use hostcompute_engine::plan::Fact;
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use world::World;

fn vlan(number: u32) -> Value {
    json!({"Type": "VLAN", "Settings": {"IsolationId": number}})
}

fn change(how: &str, policy: Value) -> Value {
    json!({"ResourceType": "Policy", "RequestType": how, "Settings": {"Policies": [policy]}})
}

/// The VLAN and links of each station there is.
fn trunks(world: &World) -> Vec<Option<u16>> {
    let of = |fact: &Fact| match fact {
        Fact::Station(station) => {
            let trunk = station.trunk.as_ref();
            trunk.inspect(|trunk| assert_eq!(trunk.outer, format!("hv{:x}", trunk.index)));
            Some(trunk.map(|trunk| trunk.vlan))
        }
        _ => None,
    };
    world.state.facts().iter().filter_map(of).collect()
}

fn attached(world: &mut World, network: Guid, policies: Value, kind: &str) -> (Guid, Value, Guid) {
    let document = json!({"HostComputeNetwork": network.to_string(), "Policies": policies});
    let endpoint = world.create(Operation::CreateEndpoint, document);
    let namespace = world.create(Operation::CreateNamespace, json!({"Type": kind}));
    let request = json!({"ResourceType": "Endpoint", "RequestType": "Add",
        "Settings": {"EndpointId": endpoint.to_string()}});
    (endpoint, request, namespace)
}

#[test]
fn the_endpoints_own_vlan_is_before_its_networks() {
    let mut world = World::on_a_wire();
    let document = json!({"Name": "wire", "Type": "Transparent", "Ipams": [{"Subnets": [
        {"IpAddressPrefix": "192.0.2.0/24", "Policies": [vlan(5)]},
    ]}]});
    let network = world.create(Operation::CreateNetwork, document);
    let (endpoint, request, namespace) = attached(&mut world, network, json!([]), "Host");
    world.call(Operation::ModifyNamespace, Some(namespace), request.clone()).unwrap();
    assert_eq!(trunks(&world), [Some(5)]);
    for (how, policy, found) in [
        ("Add", vlan(6), Some(6)),
        ("Update", vlan(0), None),
        ("Remove", vlan(0), Some(5)),
        ("Add", json!({"Type": "PortName", "Settings": {"Name": "port"}}), Some(5)),
    ] {
        world.call(Operation::ModifyEndpoint, Some(endpoint), change(how, policy)).unwrap();
        assert_eq!(trunks(&world), [found], "{how}");
    }
    // Whatever has the host in between.
    let cap = json!({"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": 1000}});
    let refused =
        world.refuse(Operation::ModifyEndpoint, Some(endpoint), change("Add", cap.clone()));
    assert_eq!(refused.0, HResult::HCN_E_REQUEST_UNSUPPORTED);
    let (_, in_machine, machine) = attached(&mut world, network, json!([]), "Guest");
    let refused = world.refuse(Operation::ModifyNamespace, Some(machine), in_machine);
    assert_eq!(refused.0, HResult::HCN_E_REQUEST_UNSUPPORTED);
    // Out of the VLAN it may, and then not into it.
    world.call(Operation::ModifyEndpoint, Some(endpoint), change("Add", vlan(0))).unwrap();
    world.call(Operation::ModifyEndpoint, Some(endpoint), change("Add", cap)).unwrap();
    assert_eq!(trunks(&world), []);
    for (how, number) in [("Update", 7), ("Remove", 0)] {
        let request = change(how, vlan(number));
        let refused = world.refuse(Operation::ModifyEndpoint, Some(endpoint), request);
        assert_eq!(refused.0, HResult::HCN_E_REQUEST_UNSUPPORTED, "{how}");
    }
    world.call(Operation::DeleteNetwork, Some(network), json!({})).unwrap();
}
