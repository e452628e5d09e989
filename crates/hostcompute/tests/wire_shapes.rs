//! What crosses the wire for the short ways to make things, member by member: the shapes that another wrapper of the same interface holds
//! itself to, so that a program may change over. None of it needs a host.
//!
//! What the tests of zlayer-hns 0.12.7's `network` module assert, and where it is held here:
//!
//! | its test | asserts | here |
//! |---|---|---|
//! | `net_adapter_name_policy_shape_matches_hcsshim` | `{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": ..}}` | [`an_adapter_is_named_by_a_policy_of_its_own`] |
//! | `transparent_settings_wire_format` | Name, Type, the range's Type Static, its prefix, the policy, version 2.0 | [`a_transparent_network_says_what_it_needs_and_nothing_else`], `sent` |
//! | `transparent_settings_round_trip_preserves_shape` | name, type, one range, its prefix, one policy and its Type, read again | [`what_is_sent_is_read_again_as_it_was`] |
//! | `internal_settings_wire_format_has_no_physical_binding` | Name, Type Internal, no `Policies`, the range's Type Static, its prefix, NextHop the first address, DestinationPrefix, version 2 | [`an_internal_network_is_bound_to_no_adapter_and_says_its_gateway`], `sent` |
//! | `internal_settings_rejects_bad_cidr` | `not-a-cidr` and a `/31` are refused | [`prefixes_without_room_and_what_is_no_prefix_are_refused_before_anybody_is_asked`] |
//! | `internal_settings_round_trip_preserves_shape` | name, type, no policies, the prefix, read again | [`what_is_sent_is_read_again_as_it_was`] |
//! | none; `first_host_address`, of which both make their documents | no gateway, and so an error, for IPv6, `/31` and `/32`; else the first address | [`ipv6_is_refused_where_the_other_wrapper_refuses_it`], [`gateways_are_the_first_address_of_the_prefix_whatever_address_it_is_written_with`] |
//!
//! The documents that these functions return leave out what leaving it out means (a NAT network's and a Static range's Type), as the
//! service does in its answers; what the calls send says it (`sent`).

use hostcompute::network::{internal, nat, overlay, transparent};
use hostcompute::schema::{
    Document, HostComputeNetwork, Ipam, IpamType, NetworkMode, Route, Subnet, parse,
};
use hostcompute::{Failure, HResult};
use serde_json::{Value, json};

#[cfg(all(unix, feature = "socket"))]
#[allow(dead_code, reason = "what other tests look at")]
mod scripted;

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
        nat("web", "fd00:1::/64"),
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
    let said = transparent("zlayer-overlay", "Ethernet 2", "10.200.0.0/28", "10.200.0.1");
    let text = sent(said).to_string();
    let read = parse::<HostComputeNetwork>(&text).expect("read").document;
    assert_eq!(read.base.name.as_deref(), Some("zlayer-overlay"));
    assert_eq!((read.kind, read.ipams.len()), (Some(NetworkMode::Transparent), 1));
    assert_eq!(read.ipams[0].subnets[0].ip_address_prefix.as_deref(), Some("10.200.0.0/28"));
    assert_eq!(read.policies.len(), 1);
    assert_eq!(read.policies[0].to_value()["Type"], "NetAdapterName");
}

#[test]
fn ipv6_is_refused_where_the_other_wrapper_refuses_it() {
    for refused in [
        internal("web", "fd00:1::/64"),
        transparent("web", "eth0", "fd00:1::/64", "fd00:1::1"),
        transparent("web", "eth0", "fd00:1::/64", "10.0.0.1"),
    ] {
        let refused = refused.expect_err("of IPv6");
        assert_eq!(refused.hresult, HResult::HCN_E_INVALID_PREFIX, "{refused}");
        assert_eq!(refused.path.as_deref(), Some("Ipams[0].Subnets[0].IpAddressPrefix"));
        assert!(refused.hint.is_some_and(|hint| hint.contains("Network::create ")));
    }
    // What the hint names takes it.
    let gateway = Route::default().next_hop("fd00:1::1").destination_prefix("::/0");
    let subnet = Subnet::default().ip_address_prefix("fd00:1::/64").routes([gateway]);
    let document = HostComputeNetwork::default()
        .name("web")
        .kind(NetworkMode::Internal)
        .ipams([Ipam::default().subnets([subnet])]);
    assert_eq!(
        document.to_value()["Ipams"],
        json!([{"Subnets": [{
            "IpAddressPrefix": "fd00:1::/64",
            "Routes": [{"NextHop": "fd00:1::1", "DestinationPrefix": "::/0"}],
        }]}])
    );
}

/// What the service is asked, not only what the functions return.
#[cfg(all(unix, feature = "socket"))]
mod sent {
    use hostcompute::{Host, Network};
    use serde_json::{Value, json};

    use super::scripted::{Says, Scripted};

    const ID: &str = "\"0f8fad5b-d9cb-469f-a165-70867728950e\"";

    /// The one document that a call sends.
    fn by(make: impl FnOnce(&Host)) -> Value {
        let made = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{ID}", ID.len());
        let service = Scripted::new(move |_| Says::This(made.clone()));
        let host = Host::connect(service.socket()).expect("connected");
        make(&host);
        let seen = service.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].line, "POST /networks");
        serde_json::from_str(&seen[0].body).expect("a document")
    }

    fn expected(kind: &str, subnet: &Value) -> Value {
        json!({
            "Name": "zlayer-overlay",
            "Type": kind,
            "Ipams": [{"Type": "Static", "Subnets": [subnet]}],
            "SchemaVersion": {"Major": 2, "Minor": 0},
        })
    }

    fn subnet() -> Value {
        json!({
            "IpAddressPrefix": "10.220.99.16/28",
            "Routes": [{"NextHop": "10.220.99.17", "DestinationPrefix": "0.0.0.0/0"}],
        })
    }

    #[test]
    fn a_network_of_one_call_says_its_type_and_that_of_its_range() {
        const PREFIX: &str = "10.220.99.16/28";
        let name = "zlayer-overlay";
        let told = by(|host| drop(Network::create_internal(host, name, PREFIX).expect("made")));
        assert_eq!(told, expected("Internal", &subnet()));
        let told = by(|host| drop(Network::create_nat(host, name, PREFIX).expect("made")));
        assert_eq!(told, expected("NAT", &subnet()));
        let told =
            by(|host| drop(Network::create_overlay(host, name, PREFIX, 4096).expect("made")));
        let mut overlay = expected("Overlay", &subnet());
        overlay["Ipams"][0]["Subnets"][0]["Policies"] =
            json!([{"Type": "VSID", "Settings": {"IsolationId": 4096}}]);
        assert_eq!(told, overlay);
        let told = by(|host| {
            let gateway = "10.220.99.17";
            let made = Network::create_transparent(host, name, "Ethernet", PREFIX, gateway);
            drop(made.expect("made"));
        });
        let mut transparent = expected("Transparent", &subnet());
        transparent["Policies"] =
            json!([{"Type": "NetAdapterName", "Settings": {"NetworkAdapterName": "Ethernet"}}]);
        assert_eq!(told, transparent);
    }
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
        ("10.0.0.0/24", "gateway"),
        ("10.0.0.0/24", ""),
        ("10.0.0.0/24", "10.0.0.1/24"),
    ] {
        let refused = transparent("web", "eth0", prefix, gateway).expect_err(gateway);
        assert_eq!(refused.hresult, HResult::HCN_E_INVALID_IP, "{refused}");
        assert_eq!(refused.path.as_deref(), Some("Ipams[0].Subnets[0].Routes[0].NextHop"));
    }
}
