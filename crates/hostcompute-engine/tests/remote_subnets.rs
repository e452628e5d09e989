//! Subnets behind other hosts: what is told of them one by one, and what an earlier version has stored in one piece.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod world;

use hostcompute_engine::{Kind, Record, State};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};

use world::World;

fn network() -> Value {
    json!({
        "Name": "n",
        "Type": "Overlay",
        "Ipams": [{"Subnets": [{
            "IpAddressPrefix": "10.1.0.0/24",
            "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 4096}}],
        }]}],
    })
}

fn route(number: u8) -> Value {
    json!({"Type": "RemoteSubnetRoute", "Settings": {
        "DestinationPrefix": format!("10.2.{number}.0/24"),
        "IsolationId": 4096,
        "ProviderAddress": format!("192.0.2.{number}"),
        "DistributedRouterMacAddress": format!("02:00:00:00:00:{number:02x}"),
    }})
}

fn request(how: &str, policies: &[Value]) -> Value {
    json!({"ResourceType": "Policy", "RequestType": how, "Settings": {"Policies": policies}})
}

/// The prefixes that clients see.
fn told(world: &mut World, id: Guid) -> Vec<String> {
    let document = world.show(Operation::QueryNetworkProperties, id);
    let policies = document["Policies"].as_array().cloned().unwrap_or_default();
    let routes = policies.iter().filter(|policy| policy["Type"] == "RemoteSubnetRoute");
    routes.map(|r| r["Settings"]["DestinationPrefix"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_is_changed_by_itself() {
    let mut world = World::on_a_wire();
    let id = world.create(Operation::CreateNetwork, network());
    let change = |world: &mut World, how: &str, routes: &[Value]| {
        world.call(Operation::ModifyNetwork, Some(id), request(how, routes))
    };
    let made = change(&mut world, "Add", &[route(9), route(8)]).unwrap();
    assert_eq!(made.changes.len(), 2, "the network itself is not written");
    assert_eq!(change(&mut world, "Add", &[route(9)]).unwrap().changes.len(), 0);
    // A subnet within another, a MAC behind two hosts, and what is not there.
    let mut within = route(9);
    within["Settings"]["DestinationPrefix"] = "10.2.9.128/25".into();
    let mut moved = route(7);
    moved["Settings"]["DistributedRouterMacAddress"] = "02-00-00-00-00-09".into();
    for (how, routes, code) in [
        ("Add", vec![within.clone()], HResult::HCN_E_INVALID_POLICY),
        ("Add", vec![route(7), moved.clone()], HResult::HCN_E_INVALID_POLICY),
        ("Add", vec![moved], HResult::HCN_E_INVALID_POLICY),
        ("Remove", vec![route(8), route(8)], HResult::HCN_E_POLICY_NOT_FOUND),
        ("Remove", vec![within], HResult::HCN_E_POLICY_NOT_FOUND),
    ] {
        assert_eq!(change(&mut world, how, &routes).unwrap_err().hresult, code);
    }
    change(&mut world, "Update", &[route(8), route(7)]).unwrap();
    assert_eq!(told(&mut world, id), ["10.2.8.0/24", "10.2.7.0/24"]);
    // However the MAC is written.
    let mut spelled = route(8);
    spelled["Settings"]["DistributedRouterMacAddress"] = "02-00-00-00-00-08".into();
    world.call(Operation::ModifyNetwork, Some(id), request("Remove", &[spelled])).unwrap();
    assert_eq!(told(&mut world, id), ["10.2.7.0/24"]);
    world.call(Operation::DeleteNetwork, Some(id), json!({})).unwrap();
    assert!(world.state.is_empty() && world.state.count(Kind::RemoteSubnet) == 0);
}

#[test]
fn what_an_earlier_version_has_stored_is_kept() {
    let mut world = World::on_a_wire();
    let mut document = network();
    document["Policies"] = json!([route(9), route(8), route(7)]);
    let id = world.create(Operation::CreateNetwork, document);
    // As it was stored: everything in the network's own document.
    let whole = world.show(Operation::QueryNetworkProperties, id);
    let facts = world.state.facts();
    let records = world.state.objects().map(|object| object.record());
    let networks: Vec<Record> = records.filter(|record| record.kind == Kind::Network).collect();
    let mut body: Value = serde_json::from_str(&networks[0].body).unwrap();
    body["Document"] = whole;
    let record = Record { body: body.to_string(), ..networks[0].clone() };
    world.state = State::load([record]).unwrap();
    assert_eq!(world.state.facts(), facts);
    assert_eq!(told(&mut world, id).len(), 3);
    // The first change stores them one by one; a state that is loaded then has what it should.
    world.call(Operation::ModifyNetwork, Some(id), request("Remove", &[route(8)])).unwrap();
    let records: Vec<Record> = world.state.objects().map(|object| object.record()).collect();
    world.state = State::load(records).unwrap();
    assert_eq!(told(&mut world, id), ["10.2.9.0/24", "10.2.7.0/24"]);
}
