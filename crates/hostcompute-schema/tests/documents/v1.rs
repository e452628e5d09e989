//! Documents of version 1, both ways.

use hostcompute_schema::{
    Document, EndpointFlags, HostComputeQuery, NetworkFlags, Older, QueryShape, parse,
    parse_endpoint, parse_network, v1,
};
use serde_json::{Value, json};

#[track_caller]
fn network(document: Value, expected: Value) {
    let parsed = parse_network(&document.to_string()).unwrap();
    assert_eq!(parsed.warnings, [], "{document}");
    assert_eq!(parsed.document.to_value(), expected);
}

#[track_caller]
fn endpoint(document: Value, expected: Value) {
    let parsed = parse_endpoint(&document.to_string()).unwrap();
    assert_eq!(parsed.warnings, [], "{document}");
    assert_eq!(parsed.document.to_value(), expected);
}

#[test]
fn a_network_of_the_subsystem_for_linux() {
    network(
        json!({
            "Name": "WSL", "Type": "ICS", "IsolateSwitch": true, "Flags": 9,
            "Subnets": [{
                "AddressPrefix": "172.20.0.0/20", "GatewayAddress": "172.20.0.1", "ObjectType": 5,
                "IpSubnets": [{"IpAddressPrefix": "172.20.0.0/20", "ObjectType": 6, "Flags": 3}],
            }],
            "InterfaceConstraint": {
                "InterfaceGuid": "00000000-0000-0000-0000-000000000000", "InterfaceIndex": 0,
                "InterfaceMediaType": 0, "InterfaceAlias": "",
            },
        }),
        json!({
            "Name": "WSL", "Type": "ICS",
            "Ipams": [{"Subnets": [{
                "IpAddressPrefix": "172.20.0.0/20",
                "Routes": [{"NextHop": "172.20.0.1", "DestinationPrefix": "0.0.0.0/0"}],
                "IpSubnets": [{"IpAddressPrefix": "172.20.0.0/20", "Flags": 3}],
            }]}],
            "Flags": (NetworkFlags(9) | NetworkFlags::ISOLATE_V_SWITCH).0,
        }),
    );
}

#[test]
fn a_network_of_docker() {
    network(
        json!({
            "Name": "n", "Type": "l2bridge", "DNSServerList": "1.1.1.1,8.8.8.8", "DNSSuffix": "",
            "NetworkAdapterName": "eth0", "SourceMac": "00-15-5D-00-00-01", "AutomaticDNS": true,
            "MacPools": [{"StartMacAddress": "00-15-5D-00-00-00", "EndMacAddress": "00-15-5D-00-0F-FF"}],
            "Subnets": [{"AddressPrefix": "fd00::/64", "GatewayAddress": "fd00::1"}],
            "Policies": [{"Type": "VLAN", "VLAN": 7}],
        }),
        json!({
            "Name": "n", "Type": "L2Bridge",
            "Policies": [
                {"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "eth0"}},
                {"Type": "SourceMacAddress", "Settings": {"SourceMacAddress": "00-15-5D-00-00-01"}},
                {"Type": "AutomaticDNS", "Settings": {"Enable": true}},
            ],
            "MacPool": {"Ranges": [
                {"StartMacAddress": "00-15-5D-00-00-00", "EndMacAddress": "00-15-5D-00-0F-FF"},
            ]},
            "Dns": {"ServerList": ["1.1.1.1", "8.8.8.8"]},
            "Ipams": [{"Subnets": [{
                "IpAddressPrefix": "fd00::/64",
                "Policies": [{"Type": "VLAN", "Settings": {"IsolationId": 7}}],
                "Routes": [{"NextHop": "fd00::1", "DestinationPrefix": "::/0"}],
            }]}],
        }),
    );
}

#[test]
fn a_network_of_docker_that_names_no_subnet() {
    let any = json!([{"AddressPrefix": "0.0.0.0/0"}]);
    network(json!({"Name": "n", "Type": "nat", "Subnets": any}), json!({"Name": "n"}));
    // A subnet of everything with a gateway is a mistake, which is told where subnets are read.
    network(
        json!({"Name": "n", "Subnets": [{"AddressPrefix": "0.0.0.0/0", "GatewayAddress": "10.0.0.1"}]}),
        json!({"Name": "n", "Ipams": [{"Subnets": [{
            "IpAddressPrefix": "0.0.0.0/0",
            "Routes": [{"NextHop": "10.0.0.1", "DestinationPrefix": "0.0.0.0/0"}],
        }]}]}),
    );
}

#[test]
fn an_endpoint_of_docker() {
    endpoint(
        json!({
            "ID": "00000000-0000-0000-0000-000000000000",
            "VirtualNetwork": "C08CB7B8-9B3C-408E-8E30-5E16A3AEB444", "VirtualNetworkName": "n",
            "IPAddress": "172.16.0.5", "PrefixLength": 16, "GatewayAddress": "172.16.0.1",
            "IPv6Address": "", "DNSDomain": "example", "EnableInternalDNS": true, "DisableICC": true,
            "IsRemoteEndpoint": false, "EncapOverhead": 50,
            "Policies": [
                {"Type": "NAT", "Protocol": "TCP", "InternalPort": 80, "ExternalPort": 8080,
                 "ExternalPortReserved": true},
                {"Type": "OutBoundNAT", "VIP": "10.0.0.1", "ExceptionList": ["10.0.0.0/8"]},
                {"Type": "PA", "PA": "192.168.1.1"},
                {"Type": "ROUTE", "DestinationPrefix": "10.0.0.0/8", "NeedEncap": true},
                {"Type": "ACL", "Action": "Block", "Direction": "In", "Protocol": 6, "LocalPort": 80},
                {"Type": "ACL", "Action": "Allow", "Direction": "Out", "Protocol": 256},
                {"Type": "QOS", "MaximumOutgoingBandwidthInBytes": 1000},
            ],
        }),
        json!({
            "HostComputeNetwork": "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444",
            "Policies": [
                {"Type": "PortMapping", "Settings":
                    {"Protocol": "TCP", "InternalPort": 80, "ExternalPort": 8080, "Flags": 4}},
                {"Type": "OutBoundNAT", "Settings":
                    {"ExceptionList": ["10.0.0.0/8"], "VirtualIP": "10.0.0.1"}},
                {"Type": "ProviderAddress", "Settings": {"ProviderAddress": "192.168.1.1"}},
                {"Type": "SDNRoute", "Settings":
                    {"DestinationPrefix": "10.0.0.0/8", "NeedEncap": true}},
                {"Type": "ACL", "Settings": {
                    "Action": "Block", "Direction": "In", "Protocols": "6", "LocalPorts": "80"}},
                {"Type": "ACL", "Settings": {"Action": "Allow", "Direction": "Out"}},
                {"Type": "QOS", "Settings": {"MaximumOutgoingBandwidthInBytes": 1000}},
                {"Type": "EncapOverhead", "Settings": {"Overhead": 50}},
            ],
            "IpConfigurations": [{"IpAddress": "172.16.0.5", "PrefixLength": 16}],
            "Dns": {"Domain": "example"},
            "Routes": [{"NextHop": "172.16.0.1", "DestinationPrefix": "0.0.0.0/0"}],
            "Flags": (EndpointFlags::DISABLE_INTER_COMPUTE_COMMUNICATION
                | EndpointFlags::OVERRIDE_DNS_SERVER_ORDER).0,
        }),
    );
}

#[test]
fn a_document_that_claims_version_two_is_left_alone() {
    let text = r#"{"SchemaVersion": {"Major": 2}, "Subnets": []}"#;
    let parsed = parse_network(text).unwrap();
    assert_eq!(parsed.warnings.len(), 1);
    assert!(parsed.document.unknown.get("Subnets").is_some());
}

#[test]
fn members_of_the_wrong_type_are_refused_after_translation() {
    for text in [
        r#"{"Subnets": 5}"#,
        r#"{"Subnets": [5]}"#,
        r#"{"Subnets": [{"AddressPrefix": 5}]}"#,
        r#"{"IsolateSwitch": true, "Flags": "Nonsense"}"#,
        r#"{"DNSServerList": 5}"#,
        r#"{"MacPools": true}"#,
        r#"{"Policies": 5, "Subnets": [{}]}"#,
    ] {
        assert!(parse_network(text).unwrap_err().is_invalid_document(), "{text}");
    }
}

#[test]
fn networks_print_as_version_one() {
    let text = json!({
        "ID": "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444", "Name": "n", "Type": "Overlay", "State": 1,
        "Flags": 40, "Dns": {"Search": ["a", "b"], "ServerList": ["1.1.1.1"]},
        "MacPool": {"Ranges": [{"StartMacAddress": "A", "EndMacAddress": "B"}]},
        "Policies": [
            {"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "eth0"}},
            {"Type": "HostRoute", "Settings": {}},
        ],
        "Ipams": [{"Subnets": [{
            "ID": "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc", "IpAddressPrefix": "10.0.0.0/24",
            "Routes": [{"NextHop": "10.0.0.1", "DestinationPrefix": "0.0.0.0/0"}],
            "Policies": [{"Type": "VSID", "Settings": {"IsolationId": 5000}}],
            "IpSubnets": [{"IpAddressPrefix": "10.0.0.0/28", "Flags": 3}],
        }]}],
    });
    let network = parse_network(&text.to_string()).unwrap().document;
    let expected = json!({
        "ID": "C08CB7B8-9B3C-408E-8E30-5E16A3AEB444", "Name": "n", "State": 1, "Type": "Overlay",
        "Flags": 40, "IsolateSwitch": true, "Policies": [{"Type": "HostRoute"}],
        "NetworkAdapterName": "eth0",
        "MacPools": [{"StartMacAddress": "A", "EndMacAddress": "B"}],
        "Subnets": [{
            "ID": "910F7D92-BA2D-4C3F-98AE-7C0AC590D2DC", "ObjectType": 5,
            "AddressPrefix": "10.0.0.0/24", "GatewayAddress": "10.0.0.1",
            "Policies": [{"Type": "VSID", "VSID": 5000}],
            "IpSubnets": [{"ObjectType": 6, "IpAddressPrefix": "10.0.0.0/28", "Flags": 3}],
        }],
        "DNSSuffix": "a,b", "DNSServerList": "1.1.1.1",
    });
    assert_eq!(v1::to_v1_network(&network), expected);
    let both = network.to_superset();
    assert_eq!(both["ID"], "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444");
    assert_eq!(both["Subnets"], expected["Subnets"]);
    assert_eq!(both["Ipams"], text["Ipams"]);
}

#[test]
fn endpoints_print_as_version_one() {
    let text = json!({
        "ID": "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc", "Name": "Ethernet",
        "HostComputeNetwork": "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444",
        "HostComputeNamespace": "c08cb7b8-9b3c-408e-8e30-5e16a3aeb445",
        "IpConfigurations": [
            {"IpAddress": "fd00::5", "PrefixLength": 64},
            {"IpAddress": "10.0.0.5", "PrefixLength": 24},
        ],
        "Routes": [
            {"NextHop": "10.0.0.1", "DestinationPrefix": "0.0.0.0/0"},
            {"NextHop": "fd00::1", "DestinationPrefix": "::/0"},
        ],
        "MacAddress": "00-15-5D-00-00-01", "Flags": 9, "State": 2,
        "Policies": [
            {"Type": "PortMapping", "Settings": {"Protocol": 17, "InternalPort": 53, "ExternalPort": 5353}},
            {"Type": "EncapOverhead", "Settings": {"Overhead": 50}},
            {"Type": "PortName", "Settings": {"Name": "port"}},
        ],
    });
    let endpoint = parse_endpoint(&text.to_string()).unwrap().document;
    assert_eq!(
        v1::to_v1_endpoint(&endpoint),
        json!({
            "ID": "910F7D92-BA2D-4C3F-98AE-7C0AC590D2DC", "Name": "Ethernet", "State": 2,
            "VirtualNetwork": "C08CB7B8-9B3C-408E-8E30-5E16A3AEB444",
            "MacAddress": "00-15-5D-00-00-01",
            "IPAddress": "10.0.0.5", "PrefixLength": 24, "GatewayAddress": "10.0.0.1",
            "IPv6Address": "fd00::5", "IPv6PrefixLength": 64, "GatewayAddressV6": "fd00::1",
            "Policies": [
                {"Type": "NAT", "Protocol": "UDP", "InternalPort": 53, "ExternalPort": 5353},
                {"Type": "EncapOverhead", "Overhead": 50},
                {"Type": "PortName", "Name": "port"},
            ],
            "Flags": 9, "IsRemoteEndpoint": true, "EnableLowMetric": true, "EncapOverhead": 50,
            "Namespace": {"ID": "C08CB7B8-9B3C-408E-8E30-5E16A3AEB445"},
            "PortFriendlyName": "port",
        })
    );
    let both = endpoint.to_superset();
    assert_eq!(both["IpConfigurations"], text["IpConfigurations"]);
    assert_eq!(both["IPConfigurations"], text["IpConfigurations"], "as zlayer-hns spells it");
}

#[test]
fn namespaces_and_load_balancers_print_as_version_one() {
    let namespace = parse::<hostcompute_schema::HostComputeNamespace>(
        r#"{"Type": "HostDefault", "NamespaceId": 1, "Resources":
            [{"Type": "Endpoint", "Data": {"Id": "A"}}]}"#,
    );
    assert_eq!(
        namespace.unwrap().document.to_v1(),
        json!({"IsDefault": true, "ResourceList": [{"Type": "Endpoint", "Data": {"Id": "A"}}],
               "CompartmentId": 1})
    );
    let balancer = parse::<hostcompute_schema::HostComputeLoadBalancer>(
        r#"{"HostComputeEndpoints": ["910F7D92-BA2D-4C3F-98AE-7C0AC590D2DC"], "Flags": 1,
            "SourceVIP": "10.0.0.1", "FrontendVIPs": ["1.1.1.2"], "PortMappings":
            [{"Protocol": 6, "InternalPort": 8080, "ExternalPort": 80, "Flags": 1}]}"#,
    );
    assert_eq!(
        balancer.unwrap().document.to_v1(),
        json!({
            "References": ["/endpoints/910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc"],
            "Policies": [{
                "Type": "ELB", "SourceVIP": "10.0.0.1", "VIPs": ["1.1.1.2"], "ILB": true,
                "IsDSR": true, "Protocol": 6, "InternalPort": 8080, "ExternalPort": 80,
            }],
        })
    );
}

#[test]
fn a_query_chooses_the_shape() {
    for (text, shape) in [
        ("", QueryShape::Superset),
        ("{}", QueryShape::Superset),
        (r#"{"Filter": "{}"}"#, QueryShape::Superset),
        (r#"{"SchemaVersion": {"Major": 0, "Minor": 0}}"#, QueryShape::Superset),
        (r#"{"SchemaVersion": {"Major": 1, "Minor": 0}}"#, QueryShape::V1),
        (r#"{"SchemaVersion": {"Major": 2, "Minor": 16}}"#, QueryShape::V2),
    ] {
        let query: HostComputeQuery = hostcompute_schema::parse_query(text).unwrap().document;
        assert_eq!(QueryShape::of(&query), shape, "{text}");
    }
}

#[test]
fn policy_lists_are_load_balancers_and_routes() {
    let list = json!({
        "ID": "910F7D92-BA2D-4C3F-98AE-7C0AC590D2DC",
        "References": ["/endpoints/910f7d92-ba2d-4c3f-98ae-7c0ac590d2dd"],
        "Policies": [
            {"Type": "ELB", "SourceVIP": "10.0.0.1", "VIPs": ["1.1.1.2"], "ILB": true, "IsDSR": true,
             "Protocol": 6, "InternalPort": 8080, "ExternalPort": 80},
            {"Type": "ELB", "SourceVIP": "10.0.0.1", "VIPs": ["1.1.1.2"], "IsDSR": true,
             "Protocol": 17, "InternalPort": 53, "ExternalPort": 53},
        ],
    });
    let read = hostcompute_schema::parse_load_balancer(&list.to_string()).unwrap();
    assert_eq!(read.warnings, []);
    // There and back.
    assert_eq!(read.document.to_v1(), list);
    let list = json!({
        "References": ["/endpoints/910f7d92-ba2d-4c3f-98ae-7c0ac590d2dd"],
        "Policies": [{"Type": "ROUTE", "DestinationPrefix": "10.9.0.0/16", "NextHop": "10.0.0.9", "NeedEncap": true}],
    });
    let read = hostcompute_schema::parse_route(&list.to_string()).unwrap();
    assert_eq!(read.document.to_v1()["Policies"][0]["NextHop"], "10.0.0.9");
    assert_eq!(read.document.host_compute_endpoints.len(), 1);
}
