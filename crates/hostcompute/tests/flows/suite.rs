//! hcsshim's own integration tests (hcn.md 5.12), row by row: what each creates, what it reads back, and the errors by which it knows
//! what went wrong. The documents are those of `hcnutils_test.go` in our words; the network is its 192.168.100.0/24.

use hostcompute::schema::Guid;
use hostcompute::schema::operation::{Kind, Operation};
use hostcompute::{HResult, Host};
use serde_json::{Value, json};

use crate::hns;
use crate::shim::{
    self, by_id, by_name, change_namespace, change_policies, create, endpoints_of, policies,
};
use crate::virtual_machines::call;
use crate::world::{Machine, play};

const PREFIX: &str = "192.168.100.0/24";

fn network(name: &str, kind: &str) -> Value {
    let mut subnet = json!({
        "IpAddressPrefix": PREFIX,
        "Routes": [{"NextHop": "192.168.100.1", "DestinationPrefix": "0.0.0.0/0"}],
    });
    if kind == "Overlay" {
        subnet["Policies"] = json!([{"Type": "VSID", "Settings": {"IsolationId": 5000}}]);
    }
    json!({
        "Name": name,
        "Type": kind,
        "MacPool": {"Ranges": [
            {"StartMacAddress": "00-15-5D-52-C0-00", "EndMacAddress": "00-15-5D-52-CF-FF"},
        ]},
        "Ipams": [{"Type": "Static", "Subnets": [subnet]}],
    })
}

#[track_caller]
fn made(host: &Host, kind: &str) -> Value {
    create(host, Kind::Network, &network("NetworkOne", kind))
}

#[track_caller]
fn endpoint(host: &Host, network: &Value) -> Value {
    create(host, Kind::Endpoint, &json!({"Name": "E", "HostComputeNetwork": network["ID"]}))
}

#[track_caller]
fn delete(host: &Host, kind: Kind, document: &Value) {
    shim::delete(host, kind, shim::id(document));
}

#[test]
fn networks() {
    play(|_wire, [node]| {
        let host = &node.host;
        // With a subnet, and without: the service finds one.
        let bare = json!({"Name": "NetworkBare", "Type": "NAT"});
        for document in [network("NetworkOne", "NAT"), bare] {
            let name = document["Name"].as_str().unwrap();
            let network = create(host, Kind::Network, &document);
            assert_eq!(by_name(host, Kind::Network, name).unwrap(), network);
            assert_eq!(by_id(host, Kind::Network, shim::id(&network)).unwrap(), network);
            assert!(shim::list(host, Kind::Network).contains(&network));
            assert!(network["Ipams"][0]["Subnets"][0]["IpAddressPrefix"].is_string());
            delete(host, Kind::Network, &network);
            assert_eq!(by_name(host, Kind::Network, name), None);
        }
        let overlay = made(host, "Overlay");
        let id = shim::id(&overlay);
        let remote = json!({
            "DestinationPrefix": "192.168.2.0/24",
            "IsolationId": 5000,
            "ProviderAddress": "192.0.2.9",
            "DistributedRouterMacAddress": "AA-BB-CC-DD-EE-F0",
        });
        let rule = json!({
            "Protocols": "6", "Action": "Block", "Direction": "Out", "RuleType": "Switch",
            "LocalAddresses": PREFIX, "RemoteAddresses": "10.0.0.21/32", "Priority": 200,
        });
        for (kind, settings) in
            [("RemoteSubnetRoute", remote), ("HostRoute", json!({})), ("NetworkACL", rule)]
        {
            let policy = json!([{"Type": kind, "Settings": settings}]);
            let told = change_policies(host, Kind::Network, id, "Add", &policy);
            assert_eq!(policies(&told, kind).count(), 1, "{told}");
            let told = change_policies(host, Kind::Network, id, "Remove", &policy);
            assert_eq!(policies(&told, kind).count(), 0, "{told}");
        }
        delete(host, Kind::Network, &overlay);
        let mut flagged = network("NetworkOne", "NAT");
        flagged["Flags"] = 8.into();
        let flagged = create(host, Kind::Network, &flagged);
        assert_eq!(flagged["Flags"], 8);
        delete(host, Kind::Network, &flagged);
    });
}

#[test]
fn endpoints() {
    play(|_wire, [node]| {
        let host = &node.host;
        let network = made(host, "NAT");
        let first = endpoint(host, &network);
        let id = shim::id(&first);
        assert_eq!(by_id(host, Kind::Endpoint, id).unwrap(), first);
        assert_eq!(by_name(host, Kind::Endpoint, "E").unwrap(), first);
        assert_eq!(endpoints_of(host, shim::id(&network)), [first]);
        let namespace = create(host, Kind::Namespace, &json!({"NamespaceId": 5, "Type": "Host"}));
        let namespace = shim::id(&namespace);
        change_namespace(host, namespace, "Add", id);
        let told = by_id(host, Kind::Endpoint, id).unwrap();
        assert_eq!(told["HostComputeNamespace"], namespace.to_string());
        change_namespace(host, namespace, "Remove", id);
        let told = by_id(host, Kind::Endpoint, id).unwrap();
        assert!(told["HostComputeNamespace"].is_null(), "{told}");
        shim::delete(host, Kind::Namespace, namespace);
        // TestApplyPolicyOnEndpoint, TestModifyEndpointSettings, TestAddL4WfpProxyPolicyOnEndpoint.
        let rule = |direction: &str| {
            json!({"Type": "ACL", "Settings": {
                "Protocols": "6", "Action": "Allow", "Direction": direction, "RuleType": "Switch",
                "LocalAddresses": "192.168.100.0/24,10.0.0.21",
                "RemoteAddresses": "192.168.100.0/24,10.0.0.21",
                "LocalPorts": "80,8080", "RemotePorts": "80,8080", "Priority": 200,
            }})
        };
        let rules = json!([rule("In"), rule("Out")]);
        for _ in 0..2 {
            let told = change_policies(host, Kind::Endpoint, id, "Update", &rules);
            assert_eq!(policies(&told, "ACL").count(), 2, "{told}");
        }
        let proxy = json!([{"Type": "L4WFPPROXY", "Settings": {
            "OutboundProxyPort": "80",
            "FilterTuple": {"Protocols": "6", "RemotePorts": "80"},
            "UserSID": "S-1-5-18",
            "OutboundExceptions": {"IpAddressExceptions": ["10.0.0.0/8"], "PortExceptions": ["81"]},
        }}]);
        let told = change_policies(host, Kind::Endpoint, id, "Add", &proxy);
        assert_eq!(policies(&told, "L4WFPPROXY").count(), 1, "{told}");
        shim::delete(host, Kind::Endpoint, id);
        assert_eq!(endpoints_of(host, shim::id(&network)), [] as [Value; 0]);
        delete(host, Kind::Network, &network);
        // TestApplyTierAclPolicyOnEndpoint.
        let bridge = made(host, "L2Bridge");
        let bridged = shim::id(&endpoint(host, &bridge));
        let tier = json!([{"Type": "TierAcl", "Settings": {
            "Name": "TierAcl", "Direction": "In", "Order": 1,
            "TierAclRules": [
                {"Id": "1", "Protocols": "6", "TierAclRuleAction": "Block", "LocalPorts": "80", "Priority": 2000},
                {"Id": "2", "TierAclRuleAction": "Pass", "Priority": 2001},
            ],
        }}]);
        let told = change_policies(host, Kind::Endpoint, bridged, "Update", &tier);
        assert_eq!(policies(&told, "TierAcl").count(), 1, "{told}");
        delete(host, Kind::Network, &bridge);
        assert_eq!(by_id(host, Kind::Endpoint, bridged), None, "it went with its network");
    });
}

#[test]
fn namespaces() {
    play(|_wire, [node]| {
        let host = &node.host;
        for kind in ["Host", "HostDefault", "Guest", "GuestDefault"] {
            let wish = json!({"NamespaceId": 5, "Type": kind});
            let namespace = create(host, Kind::Namespace, &wish);
            let id = shim::id(&namespace);
            assert!(by_id(host, Kind::Namespace, id).is_some(), "{kind}");
            shim::delete(host, Kind::Namespace, id);
        }
        let network = made(host, "NAT");
        let id = shim::id(&endpoint(host, &network));
        for kind in ["Host", "HostDefault"] {
            let namespace = create(host, Kind::Namespace, &json!({"NamespaceId": 5, "Type": kind}));
            let namespace = shim::id(&namespace);
            let told = change_namespace(host, namespace, "Add", id);
            let held: Vec<&Value> = resources(&told, "Endpoint").collect();
            assert_eq!(held, [&json!(id.to_string().to_uppercase())]);
            // GetNamespaceContainerIds: there are none.
            assert_eq!(resources(&told, "Container").count(), 0);
            let told = change_namespace(host, namespace, "Remove", id);
            assert_eq!(resources(&told, "Endpoint").count(), 0);
            shim::delete(host, Kind::Namespace, namespace);
        }
        delete(host, Kind::Network, &network);
    });
}

fn resources<'a>(namespace: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = namespace["Resources"].as_array().into_iter().flatten();
    all.filter(move |resource| resource["Type"] == kind).map(|resource| {
        let data = resource["Data"].as_object().unwrap();
        data.iter().find(|(name, _)| name.eq_ignore_ascii_case("Id")).unwrap().1
    })
}

fn balancer(endpoints: &[Guid], flags: (u32, u32)) -> Value {
    json!({
        "HostComputeEndpoints": endpoints.iter().map(Guid::to_string).collect::<Vec<_>>(),
        "SourceVIP": "10.0.0.1",
        "PortMappings": [
            {"Protocol": 6, "InternalPort": 8080, "ExternalPort": 8090, "Flags": flags.1},
        ],
        "FrontendVIPs": ["1.1.1.2", "1.1.1.3"],
        "Flags": flags.0,
    })
}

#[test]
fn load_balancers() {
    play(|_wire, [node]| {
        let host = &node.host;
        let network = made(host, "NAT");
        let both = [endpoint(host, &network), endpoint(host, &network)];
        let both = [shim::id(&both[0]), shim::id(&both[1])];
        // Plain, DSR with the destination preserved, and internal; what was asked for is read back.
        for (flags, name) in [((0, 0), "plain"), ((1, 8), "DSR"), ((0, 1), "ILB")] {
            let made = create(host, Kind::LoadBalancer, &balancer(&both[..1], flags));
            let told = by_id(host, Kind::LoadBalancer, shim::id(&made)).unwrap();
            assert_eq!(told["Flags"].as_u64().unwrap_or_default(), u64::from(flags.0), "{name}");
            let mapped = told["PortMappings"][0]["Flags"].as_u64().unwrap_or_default();
            assert_eq!(mapped, u64::from(flags.1), "{name}");
            assert!(shim::list(host, Kind::LoadBalancer).contains(&told));
            delete(host, Kind::LoadBalancer, &made);
        }
        // In place, with the whole document; and as older clients do it, by a new one under the old id.
        let one = shim::id(&create(host, Kind::LoadBalancer, &balancer(&both[..1], (0, 0))));
        let told = shim::modify(host, Kind::LoadBalancer, one, &balancer(&both, (0, 0)));
        assert_eq!(told["HostComputeEndpoints"].as_array().unwrap().len(), 2);
        for endpoints in [&both[..], &both[1..]] {
            let mut document = balancer(endpoints, (0, 0));
            document["ID"] = one.to_string().into();
            shim::delete(host, Kind::LoadBalancer, one);
            let told = create(host, Kind::LoadBalancer, &document);
            assert_eq!(shim::id(&told), one);
            assert_eq!(told["HostComputeEndpoints"].as_array().unwrap().len(), endpoints.len());
        }
        shim::delete(host, Kind::LoadBalancer, one);
        // Routes, whose prefix may have bits of the host set.
        let route = |endpoints: &[Guid]| {
            json!({
                "HostComputeEndpoints": endpoints.iter().map(Guid::to_string).collect::<Vec<_>>(),
                "Setting": [{
                    "DestinationPrefix": "169.254.169.254/24",
                    "NextHop": "127.10.0.34",
                    "NeedEncap": false,
                }],
            })
        };
        let told = create(host, Kind::SdnRoute, &route(&both[..1]));
        let id = shim::id(&told);
        assert_eq!(by_id(host, Kind::SdnRoute, id).unwrap(), told);
        let mut document = route(&both);
        document["ID"] = id.to_string().into();
        shim::delete(host, Kind::SdnRoute, id);
        let told = create(host, Kind::SdnRoute, &document);
        assert_eq!(told["HostComputeEndpoints"].as_array().unwrap().len(), 2);
        assert_eq!(shim::list(host, Kind::SdnRoute).len(), 1);
        shim::delete(host, Kind::SdnRoute, id);
        delete(host, Kind::Network, &network);
    });
}

#[test]
fn errors() {
    play(|_wire, [node]| {
        let host = &node.host;
        let nothing: Guid = "5f0b1190-63be-4e0c-b974-bd0f55675a42".parse().unwrap();
        for kind in [Kind::Network, Kind::Endpoint, Kind::Namespace, Kind::LoadBalancer] {
            assert_eq!(by_id(host, kind, nothing), None, "{}", kind.name());
            assert_eq!(by_name(host, kind, "Not found name"), None);
        }
        for (operation, code) in [
            (Operation::OpenNamespace, HResult::ERROR_NOT_FOUND),
            (Operation::OpenNetwork, HResult::HCN_E_NETWORK_NOT_FOUND),
            (Operation::OpenEndpoint, HResult::HCN_E_ENDPOINT_NOT_FOUND),
        ] {
            let refused = call(host, operation, Some(nothing), "").unwrap_err();
            assert_eq!(refused.hresult, code, "{operation:?}");
        }
        // TestEndpointAlreadyExistsError: the same port on the host twice.
        let overlay = made(host, "Overlay");
        let published = json!({
            "Name": "E", "HostComputeNetwork": overlay["ID"],
            "Policies": [{"Type": "PortMapping", "Settings": {
                "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080,
            }}],
        });
        create(host, Kind::Endpoint, &published);
        let refused = shim::try_create(host, Kind::Endpoint, &published).unwrap_err();
        assert_eq!(refused.hresult, HResult::HCN_E_PORT_ALREADY_EXISTS);
        delete(host, Kind::Network, &overlay);
        let refused = hns::call(
            host,
            "GET",
            "/namespaces/5f0b1190-63be-4e0c-b974-bd0f55675a42",
            &Value::Null,
        );
        assert!(refused.unwrap_err().contains("Element not found."));
    });
}

#[test]
fn documents_of_version_1_through_functions_of_version_2() {
    play(|_wire, [node]| {
        let host = &node.host;
        let document = json!({
            "Name": "NetworkV1", "Type": "NAT",
            "MacPools": [{"StartMacAddress": "00-15-5D-52-C0-00", "EndMacAddress": "00-15-5D-52-CF-FF"}],
            "Subnets": [{"AddressPrefix": PREFIX, "GatewayAddress": "192.168.100.1"}],
        });
        call(host, Operation::CreateNetwork, None, &document.to_string()).unwrap();
        let network = by_name(host, Kind::Network, "NetworkV1").unwrap();
        assert_eq!(network["Ipams"][0]["Subnets"][0]["IpAddressPrefix"], PREFIX);
        let document = json!({"Name": "EndpointV1", "VirtualNetwork": network["ID"]});
        call(host, Operation::CreateEndpoint, None, &document.to_string()).unwrap();
        let endpoint = by_name(host, Kind::Endpoint, "EndpointV1").unwrap();
        assert_eq!(endpoint["HostComputeNetwork"], network["ID"]);
        delete(host, Kind::Endpoint, &endpoint);
        delete(host, Kind::Network, &network);
        older_interface(node);
    });
}

/// TestNetwork, TestEndpoint, TestEndpointStatsAll, and the version by which features are known.
#[track_caller]
fn older_interface(node: &Machine) {
    let host = &node.host;
    let version = hns::done(host, "GET", "/globals/version", Value::Null);
    let version = (version["Major"].as_u64().unwrap(), version["Minor"].as_u64().unwrap());
    assert!(version >= (15, 5), "load balancers change in place: {version:?}");
    let document = json!({"Name": "NetworkV1", "Type": "nat",
        "Subnets": [{"AddressPrefix": PREFIX, "GatewayAddress": "192.168.100.1"}]});
    let network = hns::create(host, "networks", document);
    let document = json!({"Name": "EndpointV1", "VirtualNetwork": network["ID"]});
    let endpoint = hns::create(host, "endpoints", document);
    let path = format!("/endpointstats/{}", hns::id(&endpoint));
    let told = hns::done(host, "GET", &path, Value::Null);
    assert_eq!(
        told["EndpointId"].as_str().unwrap().to_lowercase(),
        hns::id(&endpoint).to_lowercase()
    );
    // A network takes its endpoints along.
    hns::delete(host, "networks", &network);
    assert_eq!(hns::by_name(host, "endpoints", "EndpointV1"), None);
}
