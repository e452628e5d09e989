//! What crosses the wire for the short ways to make things, member by member: the shapes that another wrapper of the same interface holds
//! itself to, so that a program may change over. None of it needs a host.
//!
//! One difference is in the writing alone: what leaving a member out means is left out (a NAT network's and a Static range's Type), as the
//! service itself does in its answers.

use hostcompute::network::{internal, nat, overlay, transparent};
use hostcompute::schema::{Document, HostComputeNetwork, IpamType, NetworkMode, parse};
use hostcompute::{Failure, HResult};
use serde_json::{Value, json};

fn sent(document: Result<HostComputeNetwork, Failure>) -> Value {
    document.expect("a document").to_value()
}

#[test]
fn an_adapter_is_named_by_a_policy_of_its_own() {
    let network = sent(transparent("overlay", "Ethernet 2", "10.200.42.0/28", "10.200.42.1"));
    assert_eq!(
        network["Policies"],
        json!([{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "Ethernet 2"}}])
    );
}

#[test]
fn a_transparent_network_says_what_it_needs_and_nothing_else() {
    let network = sent(transparent("overlay", "Ethernet", "10.200.42.0/28", "10.200.42.1"));
    assert_eq!(
        network,
        json!({
            "Name": "overlay",
            "SchemaVersion": {"Major": 2, "Minor": 0},
            "Type": "Transparent",
            "Policies": [{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "Ethernet"}}],
            "Ipams": [{"Subnets": [{
                "IpAddressPrefix": "10.200.42.0/28",
                "Routes": [{"NextHop": "10.200.42.1", "DestinationPrefix": "0.0.0.0/0"}],
            }]}],
        })
    );
}

#[test]
fn an_internal_network_is_bound_to_no_adapter_and_says_its_gateway() {
    let network = sent(internal("overlay", "10.220.99.16/28"));
    assert_eq!(
        network,
        json!({
            "Name": "overlay",
            "SchemaVersion": {"Major": 2, "Minor": 0},
            "Type": "Internal",
            "Ipams": [{"Subnets": [{
                "IpAddressPrefix": "10.220.99.16/28",
                "Routes": [{"NextHop": "10.220.99.17", "DestinationPrefix": "0.0.0.0/0"}],
            }]}],
        })
    );
    assert!(network.get("Policies").is_none(), "no adapter, no list of policies: {network}");
}

#[test]
fn what_is_sent_is_read_again_as_it_was() {
    for document in [
        nat("web", "10.200.0.0/28"),
        internal("web", "10.200.0.0/28"),
        transparent("web", "Ethernet 2", "10.200.0.0/28", "10.200.0.14"),
        overlay("web", "10.200.0.0/28", 4096),
        internal("web", "fd00:1::/64"),
    ] {
        let document = document.expect("a document");
        let read = parse::<HostComputeNetwork>(&document.to_value().to_string()).expect("read");
        assert_eq!(read.document.to_value(), document.to_value());
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
        assert_eq!(read.document.ipams[0].subnets.len(), 1);
    }
    let said = internal("web", "10.200.0.0/28").expect("a document");
    assert_eq!((said.kind, said.policies.len()), (Some(NetworkMode::Internal), 0));
    assert_eq!(said.ipams[0].kind, Some(IpamType::Static));
}

#[test]
fn gateways_are_the_first_address_of_the_prefix_whatever_address_it_is_written_with() {
    for (prefix, gateway, any) in [
        ("10.1.0.0/24", "10.1.0.1", "0.0.0.0/0"),
        ("10.1.0.77/24", "10.1.0.1", "0.0.0.0/0"),
        ("192.0.2.252/30", "192.0.2.253", "0.0.0.0/0"),
        ("128.0.0.0/1", "128.0.0.1", "0.0.0.0/0"),
        ("fd00:1::/64", "fd00:1::1", "::/0"),
        ("fd00:1::4/126", "fd00:1::5", "::/0"),
    ] {
        let network = sent(nat("web", prefix));
        let route = &network["Ipams"][0]["Subnets"][0]["Routes"][0];
        assert_eq!(*route, json!({"NextHop": gateway, "DestinationPrefix": any}), "{prefix}");
    }
    let network = sent(overlay("web", "10.1.0.0/24", 4097));
    let subnet = &network["Ipams"][0]["Subnets"][0];
    assert_eq!(subnet["Policies"], json!([{"Type": "VSID", "Settings": {"IsolationId": 4097}}]));
}

#[test]
fn prefixes_without_room_and_what_is_no_prefix_are_refused_before_anybody_is_asked() {
    for prefix in [
        "not-a-cidr",
        "",
        "/",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/31",
        "10.0.0.0/32",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0/24",
        "10.0.0.0/24/24",
        "fd00::/127",
        "fd00::/129",
        "fd00::/300",
    ] {
        for refused in [
            nat("web", prefix),
            internal("web", prefix),
            transparent("web", "eth0", prefix, "10.0.0.1"),
            overlay("web", prefix, 4096),
        ] {
            let refused = refused.expect_err(prefix);
            assert_eq!(refused.hresult, HResult::HCN_E_INVALID_PREFIX, "{refused}");
            assert!(refused.is_invalid_document());
            assert_eq!(refused.path.as_deref(), Some("Ipams[0].Subnets[0].IpAddressPrefix"));
        }
    }
}

#[test]
fn a_gateway_is_of_the_family_of_its_prefix() {
    for (prefix, gateway) in [
        ("10.0.0.0/24", "fd00::1"),
        ("fd00::/64", "10.0.0.1"),
        ("10.0.0.0/24", "gateway"),
        ("10.0.0.0/24", ""),
        ("10.0.0.0/24", "10.0.0.1/24"),
    ] {
        let refused = transparent("web", "eth0", prefix, gateway).expect_err(gateway);
        assert_eq!(refused.hresult, HResult::HCN_E_INVALID_IP, "{refused}");
        assert_eq!(refused.path.as_deref(), Some("Ipams[0].Subnets[0].Routes[0].NextHop"));
    }
}
