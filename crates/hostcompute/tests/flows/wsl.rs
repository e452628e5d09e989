//! WSL (hcn.md 5.11, 1.9): its networks in the shapes of version 1 and 2, its queries that say nothing, what it hears, and the ports that
//! it keeps for its guest.
//!
//! The mirrored network does not exist here: what WSL asks for it is refused with the documented codes, by which it falls back.

use std::net::{TcpListener, UdpSocket};

use hostcompute::guest_network_service::reservations;
use hostcompute::schema::Guid;
use hostcompute::schema::operation::Operation;
use hostcompute::schema::service::{PortAccess, PortProtocol};
use hostcompute::{Failure, GuestService, HResult, Host, Notice, Subscription, Topic};
use serde_json::{Value, json};

use crate::lab::traffic::{ping, tcp, tcp_server};
use crate::virtual_machines::{call, guest, guid};
use crate::world::{Machine, play, stranger};

const NETWORK: &str = "b95d0c5e-57d4-412b-b571-18a81a16e005";
const ENDPOINT: &str = "7c3f3a10-8f2b-4a2c-9b0e-6d1f0a5b7c01";

/// The network that WSL wants; without a subnet, any.
fn network_document(prefix: Option<(&str, &str)>) -> String {
    let mut document = json!({
        "Name": "WSL",
        "Type": "ICS",
        "IsolateSwitch": true,
        "Flags": 9,
        "InterfaceConstraint": {
            "InterfaceGuid": "00000000-0000-0000-0000-000000000000",
            "InterfaceIndex": 0, "InterfaceMediaType": 0, "InterfaceAlias": "",
        },
    });
    if let Some((prefix, gateway)) = prefix {
        document["Subnets"] = json!([{
            "AddressPrefix": prefix,
            "GatewayAddress": gateway,
            "IpSubnets": [{"IpAddressPrefix": prefix}],
        }]);
    }
    document.to_string()
}

/// Makes the network, or opens it where it is there; what cannot be had is not asked for again.
fn begin(host: &Host, wanted: (&str, &str)) -> Value {
    let id = guid(NETWORK);
    let made = call(host, Operation::CreateNetwork, Some(id), &network_document(Some(wanted)));
    match made {
        Err(failure) if failure.hresult == HResult::HCN_E_NETWORK_ALREADY_EXISTS => {
            call(host, Operation::OpenNetwork, Some(id), "").unwrap();
        }
        Err(_) => {
            drop(call(host, Operation::CreateNetwork, Some(id), &network_document(None)).unwrap())
        }
        Ok(_) => {}
    }
    let told = call(host, Operation::QueryNetworkProperties, Some(id), "").unwrap();
    assert_eq!(told["Subnets"].as_array().unwrap().len(), 1, "{told}");
    told
}

#[test]
fn translated() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let _server = tcp_server(&outside, "outside", "0.0.0.0:80");
        let told = begin(&node.host, ("InvalidRange", "InvalidRange"));
        assert!(told["Subnets"][0]["GatewayAddress"].is_string(), "the service chose one");
        call(&node.host, Operation::DeleteNetwork, Some(guid(NETWORK)), "").unwrap();
        let wanted = ("172.29.64.0/20", "172.29.64.1");
        let told = begin(&node.host, wanted);
        let subnet = |told: &Value| {
            let subnet = &told["Subnets"][0];
            (subnet["AddressPrefix"].clone(), subnet["GatewayAddress"].clone())
        };
        assert_eq!(subnet(&told), (wanted.0.into(), wanted.1.into()));
        assert_eq!(subnet(&begin(&node.host, wanted)), subnet(&told), "it was there");
        // Another's endpoint has the address that WSL had: it must go.
        let other =
            endpoint(&node.host, guid("7c3f3a10-8f2b-4a2c-9b0e-6d1f0a5b7c02"), "172.29.64.5");
        other.unwrap();
        assert!(endpoint(&node.host, guid(ENDPOINT), "172.29.64.5").is_err());
        let filter = json!({"Filter": json!({"VirtualNetwork": NETWORK}).to_string()}).to_string();
        let found = call(&node.host, Operation::EnumerateEndpoints, None, &filter).unwrap();
        for id in found.as_array().unwrap() {
            let id = guid(id.as_str().unwrap());
            call(&node.host, Operation::OpenEndpoint, Some(id), "").unwrap();
            let told = call(&node.host, Operation::QueryEndpointProperties, Some(id), "").unwrap();
            if told["IPAddress"] == "172.29.64.5" {
                call(&node.host, Operation::DeleteEndpoint, Some(id), "").unwrap();
            }
        }
        endpoint(&node.host, guid(ENDPOINT), "172.29.64.5").unwrap();
        let id = guid(ENDPOINT);
        let told = call(&node.host, Operation::QueryEndpointProperties, Some(id), "").unwrap();
        for (member, wanted) in [("IPAddress", "172.29.64.5"), ("GatewayAddress", "172.29.64.1")] {
            assert_eq!(told[member], wanted, "{told}");
        }
        assert_eq!(told["PrefixLength"], 20);
        assert!(told["MacAddress"].is_string() && told["DNSServerList"].is_string(), "{told}");
        let (namespace, netns) = guest(node, id);
        assert!(ping(&netns, "172.29.64.1"));
        assert_eq!(tcp(&netns, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.1");
        let refresh = r#"{"ResourceType":"Port","RequestType":"Refresh"}"#;
        call(&node.host, Operation::ModifyEndpoint, Some(id), refresh).unwrap();
        node.kill();
        node.start();
        assert!(tcp(&netns, "192.0.2.9:80").is_some());
        call(&node.host, Operation::DeleteEndpoint, Some(id), "").unwrap();
        namespace.delete().unwrap();
        call(&node.host, Operation::DeleteNetwork, Some(guid(NETWORK)), "").unwrap();
    });
}

fn endpoint(host: &Host, id: Guid, address: &str) -> Result<Value, Failure> {
    let document = json!({
        "SchemaVersion": {"Major": 2, "Minor": 16},
        "HostComputeNetwork": NETWORK,
        "Policies": [{"Type": "PortName", "Settings": {"Name": ""}}],
        "IpConfigurations": [{"IpAddress": address}],
    });
    call(host, Operation::CreateEndpoint, Some(id), &document.to_string())
}

const MACHINE: &str = "2f3d1c0a-7e55-4c1e-9d3a-0b6f4f1f9a10";

/// The next notification, with what it is about.
#[track_caller]
fn heard(from: &mut Subscription) -> (String, Value) {
    match from.next().expect("it goes on").unwrap() {
        Notice::Event(event) => (event.name, event.data),
        Notice::Missed(count) => panic!("{count} were missed"),
    }
}

/// The service of the guest's agent, as WSL makes it.
#[track_caller]
fn guest_service(host: &Host) -> GuestService {
    let document = json!({
        "SchemaVersion": {"Major": 2, "Minor": 0},
        "VirtualMachineId": MACHINE,
        "MirrorHostNetworking": true,
        "GnsRpcServerInformation": {
            "EndpointType": "LRpc",
            "ObjectUuid": "3a1f4c52-0d6b-4a6c-8f0e-0c1d2e3f4a5b",
        },
        "Flags": 3,
    });
    let made = call(
        host,
        Operation::CreateGuestNetworkService,
        Some(guid(MACHINE)),
        &document.to_string(),
    );
    made.unwrap();
    GuestService::open(host, guid(MACHINE)).unwrap()
}

#[track_caller]
fn set_state(host: &Host, state: &str) {
    let request = json!({
        "RequestType": "Update", "ResourceType": "State", "Settings": {"State": state},
    });
    let id = Some(guid(MACHINE));
    call(host, Operation::ModifyGuestNetworkService, id, &request.to_string()).unwrap();
}

#[test]
fn mirrored() {
    play(|_wire, [node]| {
        let host = &node.host;
        // It listens before it looks.
        let mut everything = host.subscribe(Topic::All, None).unwrap();
        for flags in [72, 328] {
            let filter = json!({"Filter": json!({"Flags": flags}).to_string()}).to_string();
            let found = call(host, Operation::EnumerateNetworks, None, &filter).unwrap();
            assert_eq!(found, json!([]), "nothing is mirrored");
        }
        for (document, code) in [
            (
                json!({"Name": "m", "Type": "Mirrored", "Flags": 72}),
                HResult::HCN_E_INVALID_NETWORK_TYPE,
            ),
            (json!({"Name": "m", "Type": "ICS", "Flags": 72}), HResult::HCN_E_REQUEST_UNSUPPORTED),
        ] {
            let document = document.to_string();
            let refused = call(host, Operation::CreateNetwork, None, &document).unwrap_err();
            assert_eq!(refused.hresult, code, "{refused}");
        }
        let service = guest_service(host);
        assert_eq!(heard(&mut everything).0, "GuestNetworkServiceCreate");
        let mut own = service.subscribe().unwrap();
        for state in ["Bootstrapping", "Synchronized"] {
            set_state(host, state);
            let (name, data) = heard(&mut own);
            assert_eq!(name, "GuestNetworkServiceStateChanged");
            assert_eq!(data["Data"]["State"], state);
        }
        guest_ports(node, &service);
        // It is deleted while it is open, and what it still held is free.
        let last = service.reserve_port(PortProtocol::Tcp, PortAccess::Exclusive, 9003).unwrap();
        call(host, Operation::DeleteGuestNetworkService, Some(guid(MACHINE)), "").unwrap();
        assert_eq!(reservations(host).unwrap(), []);
        assert!(node.netns.run(|| TcpListener::bind("0.0.0.0:9003")).is_ok());
        assert_eq!(last.release().unwrap_err().hresult, HResult::E_HANDLE);
        assert_eq!(heard(&mut own).1["Data"]["State"], "Destroyed");
        // The next guest is another one with the same id.
        guest_service(host);
        call(host, Operation::DeleteGuestNetworkService, Some(guid(MACHINE)), "").unwrap();
    });
}

/// Ports of the host that the guest binds to.
#[track_caller]
fn guest_ports(node: &Machine, service: &GuestService) {
    use PortAccess::{Exclusive, Shared};
    use PortProtocol::{Tcp, Udp};
    let tcp = |port: u16| node.netns.run(|| TcpListener::bind(("0.0.0.0", port)));
    let udp = |port: u16| node.netns.run(|| UdpSocket::bind(("0.0.0.0", port)));
    // The row of ports that the guest draws from.
    let range = service.reserve_range(4095).unwrap();
    let (first, last) = (*range.ports().start(), *range.ports().end());
    assert_eq!(last - first, 4095);
    for port in [first, first + 2000, last] {
        assert!(tcp(port).is_err() && udp(port).is_err(), "{port}");
    }
    // What the guest binds to, it alone has, and only of that protocol.
    let web = service.reserve_port(Tcp, Exclusive, 9001).unwrap();
    assert!(tcp(9001).is_err() && udp(9001).is_ok());
    for access in [Exclusive, Shared] {
        let refused = service.reserve_port(Tcp, access, 9001).unwrap_err();
        assert_eq!(refused.hresult, HResult::HCN_E_PORT_ALREADY_EXISTS);
    }
    let program = tcp(9002).unwrap();
    let refused = service.reserve_port(Tcp, Exclusive, 9002).unwrap_err();
    assert_eq!(refused.hresult, HResult::HCN_E_PORT_ALREADY_EXISTS);
    drop(program);
    // Multicast is everybody's.
    let names = [(), ()].map(|()| service.reserve_port(Udp, Shared, 5353).unwrap());
    assert!(service.reserve_port(Udp, Exclusive, 5353).is_err());
    assert!(
        service
            .reserve_port(Tcp, Exclusive, 0)
            .is_err_and(|why| why.hresult == HResult::E_INVALIDARG)
    );
    let listed = reservations(&node.host).unwrap();
    let held = |port: u16| listed.iter().filter(|one| one.starting_port == Some(port)).count();
    assert_eq!([held(first), held(9001), held(5353)], [1, 1, 2]);
    web.release().unwrap();
    range.release().unwrap();
    assert!(tcp(9001).is_ok() && tcp(first).is_ok());
    for one in names {
        one.release().unwrap();
    }
    assert_eq!(reservations(&node.host).unwrap(), []);
}

#[test]
fn bridged() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let _server = tcp_server(&outside, "outside", "0.0.0.0:80");
        let host = &node.host;
        // The switch that the user has named, which is a network to whoever asks.
        let switch = json!({"Name": "the switch", "Type": "Transparent", "Policies": [
            {"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "up0"}},
        ]});
        call(host, Operation::CreateNetwork, None, &switch.to_string()).unwrap();
        let all = call(host, Operation::EnumerateNetworks, None, "").unwrap();
        let mut ids = all.as_array().unwrap().iter().map(|id| guid(id.as_str().unwrap()));
        let chosen = ids.find(|id| {
            call(host, Operation::OpenNetwork, Some(*id), "").unwrap();
            let told = call(host, Operation::QueryNetworkProperties, Some(*id), "").unwrap();
            told["Name"] == "the switch"
        });
        let (chosen, id) = (chosen.expect("the switch"), guid(ENDPOINT));
        let document = json!({
            "SchemaVersion": {"Major": 2, "Minor": 16},
            "HostComputeNetwork": chosen.to_string(),
            "Policies": [{"Type": "PortName", "Settings": {"Name": ""}}],
            "IpConfigurations": [],
        });
        call(host, Operation::CreateEndpoint, Some(id), &document.to_string()).unwrap();
        let (namespace, netns) = guest(node, id);
        // The guest finds its address on the wire.
        netns.exec("ip addr add 192.0.2.88/24 dev eth0");
        assert_eq!(tcp(&netns, "192.0.2.9:80").unwrap().client.to_string(), "192.0.2.88");
        let told = call(host, Operation::QueryEndpointProperties, Some(id), "").unwrap();
        let mac = told["MacAddress"].as_str().unwrap().replace('-', ":").to_lowercase();
        assert!(outside.exec("ip neigh show 192.0.2.88").contains(&mac));
        call(host, Operation::DeleteEndpoint, Some(id), "").unwrap();
        namespace.delete().unwrap();
        call(host, Operation::DeleteNetwork, Some(chosen), "").unwrap();
    });
}
