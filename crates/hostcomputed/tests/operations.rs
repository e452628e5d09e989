//! Every operation of the API over the socket, on the real kernel: what it answers, and what it says when it cannot.

mod lab;

use std::collections::BTreeSet;

use hostcompute_schema::operation::{Operation, Verb};
use lab::{Connection, Machine, Reply};
use serde_json::{Value, json};

/// Asks by operation, and remembers which were asked for.
struct Tour {
    connection: Connection,
    seen: BTreeSet<Operation>,
}

impl Tour {
    #[track_caller]
    fn ask(&mut self, operation: Operation, id: &str, body: Value) -> Reply {
        self.ask_for(operation, id, "", body)
    }

    #[track_caller]
    fn ask_for(&mut self, operation: Operation, id: &str, parameters: &str, body: Value) -> Reply {
        self.seen.insert(operation);
        let (method, route) = operation.route().expect("a routed operation");
        let path = route.replace("{id}", id) + parameters;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.connection.ask(method.name(), &path, &body)
    }
}

#[test]
fn every_routed_operation_does_what_its_function_does() {
    use Operation as O;
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mut tour = Tour { connection: daemon.connect(), seen: BTreeSet::new() };

    let wished = "8c5bd2b5-5f7b-4d4e-9b47-7b1f0d1f3a11";
    let lan = json!({ "Name": "lan", "Type": "NAT",
        "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.9.0.0/24" }] }] });
    let made = tour.ask_for(O::CreateNetwork, "", &format!("?id={wished}"), lan);
    assert_eq!(made.header("location"), Some(&*format!("/networks/{wished}")));
    assert_eq!(made.id(), wished);
    let network = wished;
    assert_eq!(tour.ask(O::OpenNetwork, network, Value::Null).status, 204);
    assert_eq!(tour.ask(O::EnumerateNetworks, "", Value::Null).ok(), json!([network]));
    let filter = "?query=%7B%22Filter%22%3A%22%7B%5C%22Name%5C%22%3A%5C%22other%5C%22%7D%22%7D";
    assert_eq!(tour.ask_for(O::EnumerateNetworks, "", filter, Value::Null).ok(), json!([]));
    let dns = json!({ "ResourceType": "DNS", "RequestType": "Update",
        "Settings": { "Suffix": "lan.test" } });
    assert_eq!(tour.ask(O::ModifyNetwork, network, dns).status, 204);
    let shown = tour.ask(O::QueryNetworkProperties, network, Value::Null).ok();
    assert_eq!((&shown["Name"], &shown["Dns"]["Suffix"]), (&json!("lan"), &json!("lan.test")));

    let endpoint = tour.ask(O::CreateEndpoint, network, json!({ "Name": "port" })).id();
    assert_eq!(tour.ask(O::OpenEndpoint, &endpoint, Value::Null).status, 204);
    assert_eq!(tour.ask(O::EnumerateEndpoints, "", Value::Null).ok(), json!([endpoint]));
    let quota = json!({ "ResourceType": "Policy", "RequestType": "Add", "Settings": { "Policies": [
        { "Type": "ACL", "Settings": { "Action": "Allow", "Direction": "In", "Priority": 100 } }] } });
    assert_eq!(tour.ask(O::ModifyEndpoint, &endpoint, quota).status, 204);
    let shown = tour.ask(O::QueryEndpointProperties, &endpoint, Value::Null).ok();
    assert_eq!(shown["Name"], "port");
    let statistics = tour.ask(O::QueryEndpointStats, &endpoint, Value::Null).ok();
    assert_eq!(statistics["EndpointId"], endpoint);
    let addresses = tour.ask(O::QueryEndpointAddresses, &endpoint, Value::Null).ok();
    assert_eq!(addresses["IpConfigurations"], json!([]), "it is in no namespace");

    let namespace = tour.ask(O::CreateNamespace, "", json!({ "Type": "Host" })).id();
    assert_eq!(tour.ask(O::OpenNamespace, &namespace, Value::Null).status, 204);
    let attach = |verb: &str| {
        json!({ "ResourceType": "Endpoint", "RequestType": verb,
            "Settings": { "EndpointId": endpoint } })
    };
    assert_eq!(tour.ask(O::ModifyNamespace, &namespace, attach("Add")).status, 204);
    let shown = tour.ask(O::QueryNamespaceProperties, &namespace, Value::Null).ok();
    assert!(shown["Resources"].to_string().to_lowercase().contains(&endpoint), "{shown}");
    assert!(machine.output("ip", &["-o", "link"]).contains(": he"), "a port on the kernel");
    let all = tour.ask(O::EnumerateNamespaces, "", Value::Null).ok();
    assert!(all.to_string().contains(&namespace), "{all}");

    let balancer = json!({ "HostComputeEndpoints": [endpoint], "VirtualIPs": ["10.96.0.9"],
        "PortMappings": [{ "Protocol": 6, "InternalPort": 8080, "ExternalPort": 80 }] });
    let id = tour.ask(O::CreateLoadBalancer, "", balancer.clone()).id();
    assert_eq!(tour.ask(O::OpenLoadBalancer, &id, Value::Null).status, 204);
    assert_eq!(tour.ask(O::EnumerateLoadBalancers, "", Value::Null).ok(), json!([id]));
    let mut changed = balancer;
    changed["PortMappings"][0]["ExternalPort"] = json!(81);
    assert_eq!(tour.ask(O::ModifyLoadBalancer, &id, changed).status, 204);
    let shown = tour.ask(O::QueryLoadBalancerProperties, &id, Value::Null).ok();
    assert_eq!(shown["PortMappings"][0]["ExternalPort"], 81);
    assert_eq!(tour.ask(O::DeleteLoadBalancer, &id, Value::Null).status, 204);

    routes_and_guests(&mut tour, &machine, &endpoint);

    assert_eq!(tour.ask(O::ModifyNamespace, &namespace, attach("Remove")).status, 204);
    assert_eq!(tour.ask(O::DeleteNamespace, &namespace, Value::Null).status, 204);
    assert_eq!(tour.ask(O::DeleteEndpoint, &endpoint, Value::Null).status, 204);
    assert_eq!(tour.ask(O::DeleteNetwork, network, Value::Null).status, 204);
    tour.ask(O::QueryNetworkProperties, network, Value::Null)
        .refused(404, "HCN_E_NETWORK_NOT_FOUND");
    assert_eq!(tour.ask(O::OpenNetwork, network, Value::Null).status, 404);

    // What this service does not do yet says so, in every one of its routes.
    let routed = |operation: &&Operation| operation.route().is_some();
    for operation in O::ALL.iter().filter(routed).filter(|o| o.verb() != Verb::Subscribe) {
        if !tour.seen.contains(operation) {
            let answer = tour.ask(*operation, wished, json!({}));
            assert_eq!(answer.status, 501, "{operation}: {answer:?}");
        }
    }
    drop(tour);
    daemon.ask("POST", "/host/settle", "").ok();
    assert_eq!(daemon.ask("GET", "/host/check", "").ok(), json!({ "Findings": [] }));
    daemon.stop();
    machine.is_clean();
}

fn routes_and_guests(tour: &mut Tour, machine: &Machine, endpoint: &str) {
    use Operation as O;
    let route = json!({ "HostComputeEndpoints": [endpoint],
        "Routes": [{ "DestinationPrefix": "203.0.113.0/24", "NeedEncap": true }] });
    let id = tour.ask(O::CreateSdnRoute, "", route).id();
    assert_eq!(tour.ask(O::OpenSdnRoute, &id, Value::Null).status, 204);
    assert_eq!(tour.ask(O::EnumerateSdnRoutes, "", Value::Null).ok(), json!([id]));
    let shown = tour.ask(O::QuerySdnRouteProperties, &id, Value::Null).ok();
    assert_eq!(shown["Routes"][0]["DestinationPrefix"], "203.0.113.0/24");
    assert!(machine.output("ip", &["rule"]).contains("fwmark"), "a way in the kernel");
    tour.ask(O::ModifySdnRoute, &id, json!({})).refused(501, "E_NOTIMPL");
    assert_eq!(tour.ask(O::DeleteSdnRoute, &id, Value::Null).status, 204);

    let machine_id = "0f1f9aa5-9f6f-4b8e-8b60-0e5b5c1e9d01";
    let guest = json!({ "VirtualMachineId": machine_id, "MirrorHostNetworking": true, "Flags": 3 });
    let id = tour.ask(O::CreateGuestNetworkService, "", guest).id();
    assert_eq!(tour.ask(O::OpenGuestNetworkService, &id, Value::Null).status, 204);
    assert_eq!(tour.ask(O::EnumerateGuestNetworkServices, "", Value::Null).ok(), json!([id]));
    let state = json!({ "RequestType": "Update", "ResourceType": "State",
        "Settings": { "State": "Synchronized" } });
    assert_eq!(tour.ask(O::ModifyGuestNetworkService, &id, state).status, 204);
    let shown = tour.ask(O::QueryGuestNetworkServiceProperties, &id, Value::Null).ok();
    assert_eq!((&shown["State"], &shown["VirtualMachineId"]), (&json!(3), &json!(machine_id)));
    assert_eq!(tour.ask(O::DeleteGuestNetworkService, &id, Value::Null).status, 204);
}

#[test]
fn a_mistake_is_told_with_its_place_and_a_hint() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mut client = daemon.connect();
    let wrong = "{ \"Name\": \"lan\",\n  \"Ipams\": [ { \"Subnets\": [ { \"IpAddressPrefix\": \"10.9.0.0/33\" } ] } ] }";
    let problem = client.ask("POST", "/networks", wrong).refused(400, "HCN_E_INVALID_PREFIX");
    assert_eq!(problem["path"], "Ipams[0].Subnets[0].IpAddressPrefix");
    assert_eq!(problem["line"], 2);
    assert!(problem["column"].is_u64() && problem["hresult"] == "0x803b0030", "{problem}");
    let lan = r#"{"Name":"lan"}"#;
    client.ask("POST", "/networks", lan).id();
    let problem = client.ask("POST", "/networks", lan).refused(409, "HCN_E_NETWORK_ALREADY_EXISTS");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("lan")));
    client.ask("POST", "/networks", "{").refused(400, "HCN_E_INVALID_JSON");
    client.ask("GET", "/networks/nobody", "").refused(400, "HCN_E_GUID_CONVERSION_FAILURE");
    let problem = client.ask("GET", "/networks?qurey=%7B%7D", "").refused(400, "E_INVALIDARG");
    assert_eq!(problem["hint"], "there are: query, strict");
    client.ask("GET", "/nothing", "").refused(404, "ERROR_NOT_FOUND");
    client.ask("PUT", "/networks", "{}").refused(405, "HCN_E_REQUEST_UNSUPPORTED");
    daemon.stop();
}

#[test]
fn what_is_tolerated_is_told_and_refused_when_asked_to() {
    let Some(machine) = Machine::new() else { return };
    let daemon = machine.daemon();
    let mut client = daemon.connect();
    let odd = "{ \"Name\": \"lan\", \"Col\u{f6}r\": 1 }";
    client.ask("POST", "/networks?strict", odd).refused(400, "HCN_E_INVALID_JSON");
    let made = client.ask("POST", "/networks", odd);
    let warnings = made.header("hostcompute-warnings").expect("a warning").to_owned();
    assert!(warnings.is_ascii(), "{warnings}");
    let warnings: Value = serde_json::from_str(&warnings).expect("JSON");
    assert_eq!(warnings[0]["path"], "Col\u{f6}r", "{warnings}");
    made.id();
    daemon.stop();
}
