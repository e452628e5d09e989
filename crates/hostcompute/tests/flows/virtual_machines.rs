//! Programs that run virtual machines (hcn.md 5.11): NanaBox, multipass, openvmm; WSL is a file of its own. Their documents are of version 1 or of 2, their ids
//! their own, and their queries say nothing.
//!
//! What a machine's adapter would be is a namespace here: the endpoint is plugged into it, and its packets are the guest's.

use hostcompute::schema::Guid;
use hostcompute::schema::operation::Operation;
use hostcompute::transport::Call;
use hostcompute::{Endpoint, Failure, HResult, Host, Namespace};
use serde_json::{Value, json};

use crate::lab::Netns;
use crate::lab::traffic::ping;
use crate::world::{Machine, play};

/// One function of the library, with the text that it is given.
pub fn call(
    host: &Host,
    operation: Operation,
    id: Option<Guid>,
    document: &str,
) -> Result<Value, Failure> {
    let body = host.call(&Call { operation, id, network: None, document })?.body;
    Ok(serde_json::from_str(&body).unwrap_or_default())
}

/// A GUID that a program has in its text.
pub fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

/// The endpoint as a guest's adapter.
#[track_caller]
pub fn guest(node: &Machine, endpoint: Guid) -> (Namespace, Netns) {
    let (namespace, _) = Namespace::create_json(&node.host, None, "{}").unwrap();
    namespace.add(&Endpoint::open(&node.host, endpoint).unwrap()).unwrap();
    let netns = node.inside(namespace.id());
    (namespace, netns)
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
