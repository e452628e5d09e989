//! What `hc trace` takes and shows.

use hostcompute::schema::parse;
use hostcompute::schema::service::Trace;

use super::{Asked, gets_there, service, svg, text};

#[test]
fn ports_and_protocols_are_read_in_either_order() {
    let check = |text: &str, protocol: Option<u32>, port: Option<u16>| {
        assert_eq!(service(text), Ok(Asked { protocol, port }), "{text}");
    };
    check("443", None, Some(443));
    check("53/udp", Some(17), Some(53));
    check("TCP/80", Some(6), Some(80));
    check("icmp", Some(1), None);
    for wrong in ["", "0", "65536", "80/81", "tcp/udp", "80/http", "-1"] {
        assert!(service(wrong).is_err(), "{wrong}");
    }
}

fn trace() -> Trace {
    let hop = |what: &str| serde_json::json!({ "Place": "Routing", "What": what, "Source": "10.0.0.2", "Destination": "10.0.0.9:80" });
    let document = serde_json::json!({
        "From": "endpoint 'a'", "To": "load balancer '<b>'", "Destination": "10.0.0.9:80", "Protocol": 6,
        "Reaches": false,
        "Paths": [
            { "Reaches": true, "Hops": [hop("one way"), hop("to the first")] },
            { "Reaches": false, "Hops": [hop("one way")], "Obstacle": {
                "Kind": "ReceiverRule", "Message": "policy 1 blocks it", "Object": "endpoint",
                "ID": "6f0e7a3c-1111-2222-3333-444455556666", "Path": "Policies[1]", "Hint": "remove it" } },
        ],
    });
    parse::<Trace>(&document.to_string()).expect("a document").document
}

#[test]
fn shared_hops_are_told_once_and_obstacles_with_their_place() {
    let told = text::draw(&trace());
    assert_eq!(told.matches("one way").count(), 1, "{told}");
    for part in ["STOPPED", "Policies[1]", "to do: remove it", "1 of 2 backends", "backend 2 of 2"]
    {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(!gets_there(&trace()));
}

#[test]
fn pictures_hold_the_same_and_escape_names() {
    let drawn = svg::draw(&trace());
    assert_eq!(drawn.matches("one way").count(), 1);
    for part in ["stopped", "Policies[1]", "To do: remove it", "&lt;b&gt;"] {
        assert!(drawn.contains(part), "{part} is missing in {drawn}");
    }
    assert!(!drawn.contains("<b>"));
}
