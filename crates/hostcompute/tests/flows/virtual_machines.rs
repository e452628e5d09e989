//! Programs that run virtual machines (hcn.md 5.11): WSL, NanaBox, multipass, openvmm. Their documents are of version 1 or of 2, their ids
//! their own, and their queries say nothing.
//!
//! What a machine's adapter would be is a namespace here: the endpoint is plugged into it, and its packets are the guest's.

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Operation;
use hostcompute::transport::Call;
use hostcompute::{Endpoint, Failure, HResult, Host, Namespace};
use serde_json::{Value, json};

use crate::lab::Netns;
use crate::lab::traffic::{ping, tcp, tcp_server};
use crate::world::{Machine, play, stranger};

/// One function of the library, with the text that it is given.
fn call(
    host: &Host,
    operation: Operation,
    id: Option<Guid>,
    document: &str,
) -> Result<Value, Failure> {
    let body = host.call(&Call { operation, id, network: None, document })?.body;
    Ok(serde_json::from_str(&body).unwrap_or_default())
}

fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

/// The endpoint as a guest's adapter.
#[track_caller]
fn guest(node: &Machine, endpoint: Guid) -> (Namespace, Netns) {
    let (namespace, _) = Namespace::create_json(&node.host, None, "{}").unwrap();
    namespace.add(&Endpoint::open(&node.host, endpoint).unwrap()).unwrap();
    let netns = node.inside(namespace.id());
    (namespace, netns)
}

const WSL_NETWORK: &str = "b95d0c5e-57d4-412b-b571-18a81a16e005";
const WSL_ENDPOINT: &str = "7c3f3a10-8f2b-4a2c-9b0e-6d1f0a5b7c01";

/// The network that WSL wants; without a subnet, any.
fn wsl_network(prefix: Option<(&str, &str)>) -> String {
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
fn wsl_begin(host: &Host, wanted: (&str, &str)) -> Value {
    let id = guid(WSL_NETWORK);
    let made = call(host, Operation::CreateNetwork, Some(id), &wsl_network(Some(wanted)));
    match made {
        Err(failure) if failure.hresult == HResult::HCN_E_NETWORK_ALREADY_EXISTS => {
            call(host, Operation::OpenNetwork, Some(id), "").unwrap();
        }
        Err(_) => drop(call(host, Operation::CreateNetwork, Some(id), &wsl_network(None)).unwrap()),
        Ok(_) => {}
    }
    let told = call(host, Operation::QueryNetworkProperties, Some(id), "").unwrap();
    assert_eq!(told["Subnets"].as_array().unwrap().len(), 1, "{told}");
    told
}

#[test]
fn wsl() {
    play(|wire, [node]| {
        let outside = stranger(wire, 9);
        let _server = tcp_server(&outside, "outside", "0.0.0.0:80");
        let told = wsl_begin(&node.host, ("InvalidRange", "InvalidRange"));
        assert!(told["Subnets"][0]["GatewayAddress"].is_string(), "the service chose one");
        call(&node.host, Operation::DeleteNetwork, Some(guid(WSL_NETWORK)), "").unwrap();
        let wanted = ("172.29.64.0/20", "172.29.64.1");
        let told = wsl_begin(&node.host, wanted);
        let subnet = |told: &Value| {
            let subnet = &told["Subnets"][0];
            (subnet["AddressPrefix"].clone(), subnet["GatewayAddress"].clone())
        };
        assert_eq!(subnet(&told), (wanted.0.into(), wanted.1.into()));
        assert_eq!(subnet(&wsl_begin(&node.host, wanted)), subnet(&told), "it was there");
        // Another's endpoint has the address that WSL had: it must go.
        let other =
            endpoint(&node.host, guid("7c3f3a10-8f2b-4a2c-9b0e-6d1f0a5b7c02"), "172.29.64.5");
        other.unwrap();
        assert!(endpoint(&node.host, guid(WSL_ENDPOINT), "172.29.64.5").is_err());
        let filter =
            json!({"Filter": json!({"VirtualNetwork": WSL_NETWORK}).to_string()}).to_string();
        let found = call(&node.host, Operation::EnumerateEndpoints, None, &filter).unwrap();
        for id in found.as_array().unwrap() {
            let id = guid(id.as_str().unwrap());
            call(&node.host, Operation::OpenEndpoint, Some(id), "").unwrap();
            let told = call(&node.host, Operation::QueryEndpointProperties, Some(id), "").unwrap();
            if told["IPAddress"] == "172.29.64.5" {
                call(&node.host, Operation::DeleteEndpoint, Some(id), "").unwrap();
            }
        }
        endpoint(&node.host, guid(WSL_ENDPOINT), "172.29.64.5").unwrap();
        let id = guid(WSL_ENDPOINT);
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
        call(&node.host, Operation::DeleteNetwork, Some(guid(WSL_NETWORK)), "").unwrap();
    });
}

fn endpoint(host: &Host, id: Guid, address: &str) -> Result<Value, Failure> {
    let document = json!({
        "SchemaVersion": {"Major": 2, "Minor": 16},
        "HostComputeNetwork": WSL_NETWORK,
        "Policies": [{"Type": "PortName", "Settings": {"Name": ""}}],
        "IpConfigurations": [{"IpAddress": address}],
    });
    call(host, Operation::CreateEndpoint, Some(id), &document.to_string())
}

#[test]
fn nanabox() {
    play(|_wire, [node]| {
        let id = guid("85c8668e-36fe-447f-aae0-ba159a0142a7");
        let document = json!({
            "Name": "NanaBox",
            "Type": "ICS",
            "IsolateSwitch": true,
            "Flags": 11,
            "Subnets": [{
                "ObjectType": 5,
                "AddressPrefix": "192.168.77.0/24",
                "GatewayAddress": "192.168.77.1",
                "IpSubnets": [{"ObjectType": 6, "Flags": 3, "IpAddressPrefix": "192.168.77.0/24"}],
            }],
        });
        let document = document.to_string();
        call(&node.host, Operation::CreateNetwork, Some(id), &document).unwrap();
        let again = call(&node.host, Operation::CreateNetwork, Some(id), &document).unwrap_err();
        assert_eq!(again.hresult, HResult::HCN_E_NETWORK_ALREADY_EXISTS);
        call(&node.host, Operation::OpenNetwork, Some(id), "").unwrap();
        let adapter = guid("85c8668e-36fe-447f-aae0-ba159a0142a8");
        let settings = json!({
            "SchemaVersion": {"Major": 2, "Minor": 0},
            "Owner": "NanaBox",
            "HostComputeNetwork": id.to_string(),
            "MacAddress": "02-15-5D-00-00-01",
        });
        call(&node.host, Operation::CreateEndpoint, Some(adapter), &settings.to_string()).unwrap();
        let told = call(&node.host, Operation::QueryEndpointProperties, Some(adapter), "").unwrap();
        assert_eq!(told["MacAddress"], "02-15-5D-00-00-01");
        let (namespace, netns) = guest(node, adapter);
        assert!(ping(&netns, "192.168.77.1"));
        call(&node.host, Operation::DeleteEndpoint, Some(adapter), "").unwrap();
        assert!(call(&node.host, Operation::DeleteEndpoint, Some(adapter), "").is_err());
        namespace.delete().unwrap();
        call(&node.host, Operation::DeleteNetwork, Some(id), "").unwrap();
    });
}

#[test]
fn multipass_and_openvmm() {
    play(|_wire, [node]| {
        let id = guid("b70c479d-f808-4053-aafa-705bc15b6d68");
        let document = json!({
            "SchemaVersion": {"Major": 2, "Minor": 2},
            "Name": "multipass",
            "Type": "ICS",
            "Ipams": [{"Type": "Static", "Subnets": [{"IpAddressPrefix": "172.50.224.0/20"}]}],
            "Flags": 0,
            "Policies": [],
        });
        call(&node.host, Operation::CreateNetwork, Some(id), &document.to_string()).unwrap();
        let all = call(&node.host, Operation::EnumerateNetworks, None, "{}").unwrap();
        assert_eq!(all, json!([id.to_string().to_lowercase()]));
        let told = call(&node.host, Operation::QueryNetworkProperties, Some(id), "{}").unwrap();
        assert_eq!((&told["Name"], &told["Type"]), (&json!("multipass"), &json!("ICS")));
        // Before each start the machine's endpoint is made anew.
        let adapter = guid("b70c479d-f808-4053-aafa-705bc15b6d70");
        let settings = json!({
            "SchemaVersion": {"Major": 2, "Minor": 16},
            "HostComputeNetwork": id.to_string(),
            "Policies": [],
            "MacAddress": null,
        });
        for _ in 0..2 {
            let _ = call(&node.host, Operation::DeleteEndpoint, Some(adapter), "");
            call(&node.host, Operation::CreateEndpoint, Some(adapter), &settings.to_string())
                .unwrap();
        }
        // The machine goes: what was plugged into it is looked for, and nothing is.
        let machine = json!({"VirtualMachine": "b70c479d-f808-4053-aafa-705bc15b6d71"});
        let filter = json!({"Filter": machine.to_string()}).to_string();
        let found = call(&node.host, Operation::EnumerateEndpoints, None, &filter).unwrap();
        assert_eq!(found, json!([]));
        // openvmm asks nothing at all, and holds what it has opened.
        let all = call(&node.host, Operation::EnumerateNetworks, None, "").unwrap();
        let chosen = guid(all[0].as_str().unwrap());
        call(&node.host, Operation::OpenNetwork, Some(chosen), "").unwrap();
        let zero = call(&node.host, Operation::OpenNetwork, Some(Guid::default()), "");
        assert!(zero.is_err(), "the zero GUID is nothing");
        call(&node.host, Operation::DeleteNetwork, Some(id), "").unwrap();
        assert_eq!(call(&node.host, Operation::EnumerateEndpoints, None, "{}").unwrap(), json!([]));
    });
}
