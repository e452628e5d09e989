//! Queries: which objects a filter selects, and in which shape an object is told (hcn.md 2.19, 2.20, 3.7).

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod world;

use hostcompute_engine::Reply;
use hostcompute_schema::operation::Operation as O;
use hostcompute_schema::{Guid, HResult};
use serde_json::{Value, json};
use world::World;

struct Site {
    world: World,
    web: Guid,
    back: Guid,
    attached: Guid,
    shared: Guid,
    idle: Guid,
    namespace: Guid,
    balancer: Guid,
}

fn site() -> Site {
    let mut world = World::new();
    let mut network = |name: &str, kind: &str, prefix: &str, flags: u32| {
        let document = json!({"Name": name, "Type": kind, "Flags": flags,
            "Ipams": [{"Subnets": [{"IpAddressPrefix": prefix}]}]});
        world.create(O::CreateNetwork, document)
    };
    let web = network("web", "NAT", "10.1.0.0/24", 0);
    let back = network("back", "Internal", "10.2.0.0/24", 8);
    let mut endpoint = |network: Guid, name: &str, flags: u32| {
        let document =
            json!({"Name": name, "HostComputeNetwork": network.to_string(), "Flags": flags});
        world.create(O::CreateEndpoint, document)
    };
    let (attached, shared, idle) =
        (endpoint(web, "one", 0), endpoint(back, "two", 2), endpoint(web, "Ethernet", 0));
    let namespace = world.create(O::CreateNamespace, json!({"Name": "pod"}));
    for id in [attached, shared] {
        let add = json!({"ResourceType": "Endpoint", "RequestType": "Add", "Settings": {"EndpointId": id.to_string()}});
        world.call(O::ModifyNamespace, Some(namespace), add).unwrap();
    }
    let balancer = world.create(
        O::CreateLoadBalancer,
        json!({
        "Name": "lb", "HostComputeEndpoints": [attached.to_string()], "FrontendVIPs": ["10.99.0.1"],
        "PortMappings": [{"Protocol": 6, "InternalPort": 80, "ExternalPort": 80}]}),
    );
    Site { world, web, back, attached, shared, idle, namespace, balancer }
}

impl Site {
    fn select(&mut self, operation: O, query: Value) -> Vec<Guid> {
        match self.world.call(operation, None, query).unwrap().reply {
            Reply::Ids(ids) => ids,
            other => panic!("{other:?}"),
        }
    }

    /// The endpoints that a filter selects, whatever version the query says, if any.
    #[track_caller]
    fn endpoints(&mut self, filter: Value, wanted: &[Guid]) {
        for version in
            [json!(null), json!({"Major": 1, "Minor": 0}), json!({"Major": 2, "Minor": 16})]
        {
            let query = json!({"SchemaVersion": version, "Filter": filter.to_string()});
            let found = self.select(O::EnumerateEndpoints, query);
            assert_eq!(found, wanted, "{filter} {version}");
        }
    }

    fn show(&mut self, operation: O, id: Guid, query: Value) -> Value {
        match self.world.call(operation, Some(id), query).unwrap().reply {
            Reply::Document(document) => document,
            Reply::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn filters_select_by_the_names_of_both_versions() {
    let mut site = site();
    let Site { web, back, attached, shared, idle, .. } = site;
    let text = |id: Guid| id.to_string();
    site.endpoints(json!({}), &[attached, shared, idle]);
    site.endpoints(json!({"Name": "one"}), &[attached]);
    site.endpoints(json!({"name": "one"}), &[attached]);
    site.endpoints(json!({"Name": "ONE"}), &[]);
    site.endpoints(json!({"ID": text(idle).to_uppercase()}), &[idle]);
    site.endpoints(json!({"Id": format!("{{{}}}", text(idle))}), &[idle]);
    site.endpoints(json!({"ID": ""}), &[]);
    site.endpoints(json!({"ID": text(web)}), &[]);
    site.endpoints(json!({"VirtualNetwork": text(web).to_uppercase()}), &[attached, idle]);
    site.endpoints(json!({"HostComputeNetwork": text(back)}), &[shared]);
    site.endpoints(json!({"VirtualNetworkName": "back"}), &[shared]);
    site.endpoints(json!({"State": 3}), &[attached, shared]);
    site.endpoints(json!({"State": 1.0}), &[idle]);
    site.endpoints(json!({"Flags": 2}), &[shared]);
    site.endpoints(json!({"Flags": 0}), &[attached, idle]);
    site.endpoints(json!({"VirtualMachine": text(web)}), &[]);
    // All of them must hold.
    site.endpoints(json!({"VirtualNetwork": text(web), "State": 3}), &[attached]);
    site.endpoints(json!({"Name": "one", "Flags": 2}), &[]);
    site.endpoints(json!({"IsBlue": true}), &[]);
}

#[test]
fn filters_select_objects_of_every_kind() {
    let mut site = site();
    let Site { web, back, namespace, balancer, .. } = site;
    let filter = |filter: Value| json!({"Filter": filter.to_string()});
    assert_eq!(site.select(O::EnumerateNetworks, filter(json!({"Flags": 8}))), [back]);
    assert_eq!(site.select(O::EnumerateNetworks, filter(json!({"Flags": 72}))), []);
    assert_eq!(site.select(O::EnumerateNetworks, filter(json!({"Type": "NAT"}))), [web]);
    assert_eq!(site.select(O::EnumerateNetworks, filter(json!({"State": 1}))), [web, back]);
    assert_eq!(site.select(O::EnumerateNamespaces, filter(json!({"Name": "pod"}))), [namespace]);
    let host = site.select(O::EnumerateNamespaces, filter(json!({"Type": "HostDefault"})));
    assert_eq!(host.len(), 1, "{host:?}");
    assert_eq!(site.select(O::EnumerateLoadBalancers, filter(json!({"Name": "lb"}))), [balancer]);
    assert_eq!(site.select(O::EnumerateLoadBalancers, filter(json!({"State": 2}))), [balancer]);
    assert_eq!(site.select(O::EnumerateSdnRoutes, filter(json!({"Name": "lb"}))), []);
    assert_eq!(site.select(O::EnumerateNetworks, json!({"Flags": 1, "Filter": ""})), [web, back]);
    assert_eq!(site.select(O::EnumerateNetworks, json!({"Flags": "Detailed"})), [web, back]);
    let refused =
        |site: &mut Site, query: Value| site.world.refuse(O::EnumerateNetworks, None, query);
    let at_filter = (HResult::HCN_E_INVALID_JSON, "Filter".to_owned());
    for broken in ["{", "[]", "7", "\"Name\""] {
        assert_eq!(refused(&mut site, json!({"Filter": broken})), at_filter, "{broken}");
    }
    let version = refused(&mut site, json!({"Flags": []}));
    assert_eq!(version, (HResult::HCN_E_INVALID_JSON, "Flags".to_owned()));
}

#[test]
fn an_object_is_told_in_the_shape_that_is_asked_for() {
    let mut site = site();
    let Site { web, attached, balancer, .. } = site;
    let has = |document: &Value, names: &[&str]| -> Vec<bool> {
        names.iter().map(|name| document.get(name).is_some()).collect()
    };
    let (one, two) = (json!({"Major": 1, "Minor": 0}), json!({"Major": 2, "Minor": 0}));
    for (query, older, newer) in [
        (json!({"SchemaVersion": one}), true, false),
        (json!({"SchemaVersion": two}), false, true),
        (json!({}), true, true),
        (json!({"SchemaVersion": {"Major": 0, "Minor": 0}}), true, true),
        // Another filter than the object's own is no reason to tell less.
        (json!({"SchemaVersion": two, "Filter": "{\"Name\":\"other\"}", "Flags": 1}), false, true),
    ] {
        let network = site.show(O::QueryNetworkProperties, web, query.clone());
        assert_eq!(has(&network, &["Subnets", "Ipams"]), [older, newer], "{query}");
        let endpoint = site.show(O::QueryEndpointProperties, attached, query.clone());
        let names = ["IPAddress", "VirtualNetworkName", "IpConfigurations", "HostComputeNetwork"];
        assert_eq!(has(&endpoint, &names), [older, older, newer, newer], "{query}");
        let list = site.show(O::QueryLoadBalancerProperties, balancer, query.clone());
        assert_eq!(has(&list, &["References", "FrontendVIPs"]), [older, newer], "{query}");
        assert!(network.get("Error").is_none(), "readers take it for a failure");
    }
    let addresses = site.show(O::QueryEndpointAddresses, attached, json!({}));
    assert_eq!(addresses["IpConfigurations"][0]["PrefixLength"], 24);
    let malformed = json!({"Filter": "{"});
    let refused = site.world.refuse(O::QueryNetworkProperties, Some(web), malformed);
    assert_eq!(refused.0, HResult::HCN_E_INVALID_JSON);
}

#[test]
fn what_only_the_service_says_is_said() {
    let mut site = site();
    let namespace = site.namespace;
    let shown = site.show(O::QueryNamespaceProperties, namespace, json!({}));
    let guid = shown["NamespaceGuid"].as_str().unwrap().to_lowercase();
    assert_eq!(guid, namespace.to_string());
    let machine = site.world.create(O::CreateGuestNetworkService, json!({}));
    let shown = site.show(O::QueryGuestNetworkServiceProperties, machine, json!({}));
    assert!(shown.get("MirroredInterfaces").is_none(), "{shown}");
}
