//! The picture says everything and nothing of it lies on top of anything else, whatever the number of endpoints.

use super::model::{Balancer, Endpoint, Network, Topology};
use super::{draw_svg, draw_text};

fn endpoint(number: usize) -> Endpoint {
    Endpoint {
        name: format!("worker-{number}"),
        addresses: vec![format!("10.0.0.{number}"), format!("fd00:1:2:3::{number:x}")],
        namespace: (!number.is_multiple_of(4)).then(|| format!("pod-{number}")),
        ports: vec![format!("tcp {} → 80", 8000 + number); number % 3],
        policies: vec!["3 ACL".to_owned(), "QOS 1.0 MB/s".to_owned()],
        balancers: (0..7).filter(|balancer| (number + balancer).is_multiple_of(3)).collect(),
    }
}

fn topology(endpoints: usize) -> Topology {
    let network = |name: &str, kind: &str, endpoints: usize| Network {
        name: name.to_owned(),
        kind: kind.to_owned(),
        subnets: vec!["10.0.0.0/24".to_owned(), "fd00:1:2:3::/64".to_owned()],
        gateways: vec!["10.0.0.1".to_owned()],
        endpoints: (0..endpoints).map(endpoint).collect(),
    };
    let balancer = |number: usize| Balancer {
        name: format!("service-{number}"),
        frontends: vec![format!("10.96.0.{number} tcp 80 → 8080")],
        backends: vec!["worker-3".to_owned()],
    };
    Topology {
        networks: vec![network("web", "NAT", endpoints), network("safe", "Private", 1)],
        balancers: (0..7).map(balancer).collect(),
        idle: vec!["spare".to_owned()],
    }
}

/// Left, top, right and lower edge of every rectangle with this fill.
fn boxes(svg: &str, fill: &str) -> Vec<[f32; 4]> {
    let attribute = |element: &str, name: &str| -> f32 {
        let value =
            element.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.expect("an attribute").parse().expect("a number")
    };
    svg.lines()
        .filter(|line| line.starts_with("<rect x=") && line.contains(&format!("fill=\"{fill}\"")))
        .map(|line| {
            let [x, y, width, height] =
                ["x", "y", "width", "height"].map(|name| attribute(line, name));
            [x, y, x + width, y + height]
        })
        .collect()
}

/// The fill of endpoint cards, of load balancers and of networks.
const FILLS: [&str; 3] = ["#f7f9fc", "#fffdf8", "#ffffff"];

#[test]
fn cards_lie_beside_each_other_inside_the_picture() {
    for endpoints in [0, 1, 2, 5, 6, 60, 300] {
        let svg = draw_svg(&topology(endpoints));
        let size = |name: &str| -> f32 {
            let rest = svg.split(&format!(" {name}=\"")).nth(1).expect("the size");
            rest.split('"').next().expect("closed").parse().expect("a number")
        };
        let (width, height) = (size("width"), size("height"));
        assert_eq!(boxes(&svg, FILLS[0]).len(), endpoints + 1);
        for fill in &FILLS[..2] {
            let boxes = boxes(&svg, fill);
            for (place, [left, top, right, bottom]) in boxes.iter().enumerate() {
                assert!(*left >= 0.0 && *top >= 0.0 && *right <= width && *bottom <= height);
                for [l, t, r, b] in &boxes[..place] {
                    assert!(
                        right <= l || r <= left || bottom <= t || b <= top,
                        "{endpoints}: overlap"
                    );
                }
            }
        }
    }
}

#[test]
fn everything_is_named_in_both_drawings() {
    let topology = topology(60);
    let (svg, text) = (draw_svg(&topology), draw_text(&topology));
    let endpoints =
        topology.networks.iter().flat_map(|network| &network.endpoints).map(|e| &e.name);
    let networks = topology.networks.iter().map(|network| &network.name);
    let balancers = topology.balancers.iter().map(|balancer| &balancer.name);
    for name in endpoints.chain(networks).chain(balancers).chain(&topology.idle) {
        assert!(svg.contains(name.as_str()) && text.contains(name.as_str()), "{name}");
    }
}

#[test]
fn an_empty_host_is_a_picture_too() {
    let svg = draw_svg(&Topology::default());
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("No networks yet")
    );
}

#[test]
fn the_same_topology_gives_the_same_bytes() {
    assert_eq!(draw_svg(&topology(60)), draw_svg(&topology(60)));
}
