//! The older interface (HNSCall), as programs in Go use it through hcsshim's `internal/hns`: the same paths, methods and bodies, in the
//! order of its own tests, of flannel's host-gw and of the shim's release of a namespace (hcn.md 2.20, 5.3, 5.9, 5.10).

use hostcompute::Host;
use serde_json::{Value, json};

use crate::hns::{call, container, done, id, resource};
use crate::world::{Machine, play};

#[test]
fn hcsshims_older_calls_are_answered_as_it_reads_them() {
    play(|_wire, [node]| {
        let host = &node.host;
        let version = done(host, "GET", "/globals/version", Value::Null);
        assert_eq!(version, json!({"Major": 15, "Minor": 5}));

        // TestNetwork, TestEndpoint: docker's documents.
        let network = done(
            host,
            "POST",
            "/networks/",
            json!({
                "Name": "older", "Type": "nat",
                "Subnets": [{"AddressPrefix": "192.168.100.0/24", "GatewayAddress": "192.168.100.1"}],
                "MacPools": [{"StartMacAddress": "00-15-5D-52-C0-00", "EndMacAddress": "00-15-5D-52-CF-FF"}],
            }),
        );
        assert_eq!(network["Subnets"][0]["GatewayAddress"], "192.168.100.1");
        let endpoint = done(
            host,
            "POST",
            "/endpoints/",
            json!({
                "Name": "first", "VirtualNetwork": id(&network),
                "Policies": [{"Type": "NAT", "Protocol": "TCP", "InternalPort": 80, "ExternalPort": 0}],
            }),
        );
        let chosen = endpoint["Policies"][0]["ExternalPort"].as_u64();
        assert!(chosen.is_some_and(|port| port >= 49152), "{endpoint}");
        assert!(endpoint["IPAddress"].is_string() && endpoint["MacAddress"].is_string());

        // Lists hold documents, and are searched by whoever asked.
        for (collection, name) in [("networks", "older"), ("endpoints", "first")] {
            let listed = done(host, "GET", &format!("/{collection}/"), Value::Null);
            assert!(listed.as_array().unwrap().iter().any(|one| one["Name"] == name), "{listed}");
        }

        // CTD: statistics of what was never attached are zeros.
        let statistics =
            done(host, "GET", &format!("/endpointstats/{}", id(&endpoint)), Value::Null);
        assert_eq!(
            (&statistics["BytesReceived"], &statistics["PacketsSent"]),
            (&json!(0), &json!(0))
        );

        let namespace = places(node, &endpoint);
        policies(host, &endpoint);
        management(host);
        refusals(host);

        // The end, from the inside out; a network takes its endpoints along.
        done(host, "DELETE", &format!("/namespaces/{namespace}"), Value::Null);
        let gone =
            call(host, "GET", &format!("/namespaces/{namespace}"), &Value::Null).unwrap_err();
        assert!(gone.contains("Element not found."), "hcsshim looks for these words: {gone}");
        done(host, "DELETE", &format!("/networks/{}", id(&network)), Value::Null);
        assert_eq!(done(host, "GET", "/endpoints/", Value::Null), json!([]));
    });
}

/// Namespaces, containers and the host: where an endpoint is attached. Tells the namespace, which stays.
#[track_caller]
fn places(node: &Machine, endpoint: &Value) -> String {
    let host = &node.host;
    let path = |rest: &str| format!("/endpoints/{}{rest}", id(endpoint));
    // The namespace, as the shim and CNI use it.
    let namespace = id(&done(host, "POST", "/namespaces/", json!({})));
    let own = id(endpoint);
    resource(host, &namespace, "addresource", ("Endpoint", &own));
    let shown = done(host, "GET", &format!("/namespaces/{namespace}"), Value::Null);
    assert_eq!(shown["ResourceList"][0]["Data"]["Id"], id(endpoint).to_uppercase());
    let addresses = done(host, "GET", &format!("/endpointaddresses/{}", id(endpoint)), Value::Null);
    assert_eq!(addresses["IpConfigurations"][0]["IpAddress"], endpoint["IPAddress"]);
    done(host, "POST", &path("/refresh"), Value::Null);
    resource(host, &namespace, "removeresource", ("Endpoint", &own));

    // ContainerAttach: into the namespace that the container uses; IsAttached searches SharedContainers.
    resource(host, &namespace, "addresource", ("Container", "c1"));
    let request = container("c1");
    done(host, "POST", &path("/attach"), request.clone());
    let attached = done(host, "GET", &path(""), Value::Null);
    assert_eq!(attached["SharedContainers"], json!(["c1"]));
    let again = call(host, "POST", &path("/attach"), &request).unwrap_err();
    assert!(again.contains("already attached"), "{again}");
    done(host, "POST", &path("/detach"), request);
    assert!(call(host, "POST", &path("/attach"), &container("nobody")).is_err());
    let machine = json!({"VirtualNicName": "nic", "SystemType": "VirtualMachine"});
    assert!(call(host, "POST", &path("/attach"), &machine).is_err());
    resource(host, &namespace, "removeresource", ("Container", "c1"));

    // HostAttach, as flannel's host-gw: an address of the host's own.
    done(host, "POST", &path("/attach"), json!({"SystemType": "Host", "CompartmentId": 1}));
    let address = endpoint["IPAddress"].as_str().unwrap();
    assert!(node.netns.exec("ip -o addr").contains(address));
    done(host, "POST", &path("/detach"), json!({"SystemType": "Host"}));
    assert!(!node.netns.exec("ip -o addr").contains(address));
    namespace
}

/// Policies of an endpoint, and lists of policies.
#[track_caller]
fn policies(host: &Host, endpoint: &Value) {
    let path = |rest: &str| format!("/endpoints/{}{rest}", id(endpoint));
    // ApplyACLPolicy: the whole document with more policies; then with none of them.
    let mut document = done(host, "GET", &path(""), Value::Null);
    let rule = json!({"Type": "ACL", "Action": "Block", "Direction": "In", "Priority": 100, "RuleType": "Switch"});
    document["Policies"].as_array_mut().unwrap().push(rule);
    let changed = done(host, "POST", &path(""), document.clone());
    let kinds = |document: &Value| -> Vec<String> {
        let policies = document["Policies"].as_array().into_iter().flatten();
        policies.map(|policy| policy["Type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&changed), ["NAT", "ACL"]);
    document["Policies"].as_array_mut().unwrap().pop();
    assert_eq!(kinds(&done(host, "POST", &path(""), document)), ["NAT"]);

    // Policy lists: references to endpoints.
    let list = done(
        host,
        "POST",
        "/policylists/",
        json!({
            "References": [format!("/endpoints/{}", id(endpoint))],
            "Policies": [{"Type": "ELB", "InternalPort": 80, "ExternalPort": 8080, "Protocol": 6, "VIPs": ["10.96.0.1"]}],
        }),
    );
    let wanted = format!("/endpoints/{}", id(endpoint).to_lowercase());
    assert_eq!(list["References"], json!([wanted]));
    assert_eq!(list["Policies"][0]["Type"], "ELB");
    done(host, "DELETE", &format!("/policylists/{}", id(&list)), Value::Null);

    // Routes are policy lists, too.
    let route = done(
        host,
        "POST",
        "/policylists/",
        json!({
            "References": [format!("/endpoints/{}", id(endpoint))],
            "Policies": [{"Type": "ROUTE", "DestinationPrefix": "10.44.0.0/16", "NextHop": "192.0.2.9", "NeedEncap": false}],
        }),
    );
    let path = format!("/policylists/{}", id(&route));
    assert_eq!(done(host, "GET", &path, Value::Null)["Policies"][0]["Type"], "ROUTE");
    assert_eq!(done(host, "GET", "/policylists/", Value::Null).as_array().unwrap().len(), 1);
    done(host, "DELETE", &path, Value::Null);
}

/// TestAccelnetNnvManagementMacAddresses: the list is kept, and told in the same words.
#[track_caller]
fn management(host: &Host) {
    let list = json!({"MacAddressList": [
        {"MacAddress": "00-15-5D-0A-B7-C6"}, {"MacAddress": "00-15-5D-38-01-00"},
    ]});
    assert_eq!(done(host, "GET", "/accelnet/", Value::Null), json!({}));
    assert_eq!(done(host, "POST", "/accelnet/", list.clone()), list);
    assert_eq!(done(host, "GET", "/accelnet/", Value::Null), list);
    assert_eq!(done(host, "DELETE", "/accelnet/", Value::Null), json!({}));
    assert_eq!(done(host, "GET", "/accelnet/", Value::Null), json!({}));
}

/// What is refused, and how.
#[track_caller]
fn refusals(host: &Host) {
    let nothing = "0f8fad5b-d9cb-469f-a165-70867728950e";
    for (method, path, body, code) in [
        ("GET", format!("/networks/{nothing}"), "", 0x803b_0001_u32),
        ("DELETE", format!("/endpoints/{nothing}"), "", 0x803b_0002),
        ("DELETE", format!("/networks/{nothing}"), "", 0x803b_0001),
        ("DELETE", format!("/namespaces/{nothing}"), "", 0x8007_0490),
        ("GET", "/networks/nonsense".to_owned(), "", 0x803b_0019),
        ("POST", "/networks/".to_owned(), "{", 0x803b_001b),
        ("POST", "/networks/".to_owned(), r#"{"Name":"older","Type":"nat"}"#, 0x803b_0010),
        ("GET", "/portpools/".to_owned(), "", 0x8000_4001),
        ("PATCH", "/endpoints/".to_owned(), "", 0x8000_4001),
        ("GET", String::new(), "", 0x8000_4001),
        (
            "POST",
            "/accelnet/".to_owned(),
            r#"{"MacAddressList":[{"MacAddress":"00-15"}]}"#,
            0x8007_0057,
        ),
        ("PATCH", "/accelnet/".to_owned(), "", 0x8000_4001),
    ] {
        let answer = host.hns_call(method, &path, body);
        assert_eq!(answer["Success"], false, "{method} {path}: {answer}");
        assert_eq!(answer["ErrorCode"], code, "{method} {path}: {answer}");
    }
}
