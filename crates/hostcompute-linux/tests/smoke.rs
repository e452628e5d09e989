//! The shortest way through everything: a NAT network comes, carries traffic and goes.

mod lab;

use hostcompute_engine::host::Host;
use lab::facts::{mapping, nat};
use lab::traffic::{ping, tcp, tcp_server};
use lab::{HOST4, HOST6, Lab, OUTSIDE4, OUTSIDE6};

#[test]
fn a_nat_network_comes_carries_traffic_and_goes() {
    let Some(mut lab) = Lab::new() else { return };
    let before = lab.fingerprint();
    lab.bring(&nat(2));
    lab.check();
    let (a, b) = (lab.netns(lab::facts::guid(102)), lab.netns(lab::facts::guid(103)));
    assert!(ping(&a, "10.1.0.1"), "gateway");
    assert!(ping(&a, "10.1.0.3"), "neighbour");
    assert!(ping(&a, "fd00:1::1"), "gateway v6");
    assert!(ping(&a, "fd00:1::3"), "neighbour v6");
    assert!(ping(&a, OUTSIDE4), "outside");
    assert!(ping(&a, OUTSIDE6), "outside v6");
    let _server = tcp_server(&b, "b", "10.1.0.3:80");
    let _server6 = tcp_server(&b, "b6", "[fd00:1::3]:80");
    lab.add([mapping(6, 8080, "10.1.0.3:80"), mapping(6, 8080, "[fd00:1::3]:80")]);
    lab.check();
    let seen = tcp(&lab.outside, &format!("{HOST4}:8080")).unwrap();
    assert_eq!((seen.server.as_str(), seen.client.to_string().as_str()), ("b", OUTSIDE4));
    let seen = tcp(&lab.outside, &format!("[{HOST6}]:8080")).unwrap();
    assert_eq!((seen.server.as_str(), seen.client.to_string().as_str()), ("b6", OUTSIDE6));
    lab.bring(&[]);
    lab.linux.settle().unwrap();
    lab.check();
    lab.check_unchanged(&before);
}
