//! zlayer-hns at work: an Internal network, two containers' endpoints with the three policies of its overlay, what is listed and counted,
//! and everything taken away again.

use std::net::IpAddr;

use windows::core::GUID;
use zlayer_hns::attach::{EndpointAttachment, list_owned_endpoints};
use zlayer_hns::endpoint::Endpoint;
use zlayer_hns::namespace::Namespace;
use zlayer_hns::network::{self, Network};

const OWNER: &str = "wine-test";

fn main() {
    let id = GUID::new().expect("a GUID");
    let network = Network::create_internal(id, "wine-test", "10.200.42.0/28").expect("a network");
    assert_eq!(network.id(), id);
    assert!(network::list("{}").expect("networks").contains(&id));
    assert_eq!(network.query("{}").expect("its document").name, "wine-test");

    let attach = |container: &str, last: u8| {
        let ip = IpAddr::from([10, 200, 42, last]);
        let dns = Some(IpAddr::from([10, 200, 42, 1]));
        EndpointAttachment::create_overlay(
            id,
            OWNER,
            container,
            ip,
            28,
            "10.200.0.0/16",
            dns,
            Some("overlay.example"),
        )
        .expect("attached")
    };
    let (one, two) = (attach("one", 2), attach("two", 3));
    assert_eq!(one.ip(), Some("10.200.42.2"));
    let owned = list_owned_endpoints(OWNER).expect("endpoints");
    assert_eq!(owned.len(), 2, "{owned:?}");
    assert!(
        owned
            .iter()
            .any(|(endpoint, name)| { *endpoint == two.endpoint_id() && name == "wine-test-two" })
    );

    let endpoint = Endpoint::open(one.endpoint_id()).expect("opened");
    let address = endpoint.primary_ip().expect("answered").map(|address| address.to_string());
    assert_eq!(address.as_deref(), Some("10.200.42.2"));
    let document = endpoint.query_properties("{}").expect("its document");
    assert!(document.policies.len() >= 3, "{document:?}");
    let statistics = endpoint.query_stats("{}").expect("its numbers");
    println!("statistics: {statistics:?}");
    let namespace = Namespace::open(one.namespace_id()).expect("opened");
    assert_eq!(namespace.list_endpoints().expect("endpoints").len(), 1);
    drop((endpoint, namespace));

    one.teardown().expect("taken away");
    two.teardown().expect("taken away");
    assert!(list_owned_endpoints(OWNER).expect("endpoints").is_empty());
    drop(network);
    Network::delete(id).expect("deleted");
    assert!(!network::list("{}").expect("networks").contains(&id));
    assert!(Network::open(id).is_err());
    println!("hns: done");
}
