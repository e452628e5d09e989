//! Proxies with packets: L4Proxy of endpoints and networks at the port, L4WFPPROXY inside the namespace.
#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use hostcompute_schema::HResult;
use hostcompute_schema::operation::Operation;
use serde_json::{Value, json};

use lab::Netns;
use lab::pods::Pods;
use lab::traffic::{proxy, tcp, tcp_server, udp};

/// The user that the sidecar of these tests runs as.
const SIDECAR: u32 = 1337;

trait Asking {
    fn refused(&mut self, place: usize, settings: &Value) -> HResult;
    fn server(&self, from: usize, to: &str) -> Option<String>;
    fn client(&self, from: usize, to: &str) -> String;
}

impl Asking for Pods {
    fn refused(&mut self, place: usize, settings: &Value) -> HResult {
        let request = json!({"ResourceType": "Policy", "RequestType": "Add", "Settings": settings});
        let endpoint = Some(self.pods[place].1);
        self.node.call(Operation::ModifyEndpoint, endpoint, &request).unwrap_err().hresult
    }

    fn server(&self, from: usize, to: &str) -> Option<String> {
        tcp(self.pod(from), to).map(|answer| answer.server)
    }

    fn client(&self, from: usize, to: &str) -> String {
        tcp(self.pod(from), to).unwrap().client.to_canonical().to_string()
    }
}

fn l4(ip: &str, port: &str, to: &str, more: &Value) -> Value {
    let mut settings = json!({"IP": ip, "Port": port, "Protocol": 6, "Destination": to});
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    json!({"Type": "L4Proxy", "Settings": settings})
}

#[test]
fn a_proxy_at_the_port_gets_what_an_endpoint_opens() {
    let Some(mut pods) = Pods::new() else { return };
    let _proxy = tcp_server(pods.pod(2), "proxy", "[::]:8080");
    let _other = tcp_server(pods.pod(2), "proxy", "[::]:8081");
    pods.rules(
        0,
        "Add",
        &json!([
            l4(
                "10.96.0.0/16",
                "80,443",
                "10.77.0.13:8080",
                &json!({"ExceptionList": ["10.96.9.0/24"]})
            ),
            l4("10.77.0.12", "80", "10.77.0.13:8081", &json!({"OutboundNat": true})),
        ]),
    );
    pods.node.check();
    // Nobody has 10.96.1.1, and the proxy sees who asks.
    assert_eq!(pods.server(0, "10.96.1.1:443").as_deref(), Some("proxy"));
    assert_eq!(pods.client(0, "10.96.1.1:80"), "10.77.0.11");
    assert_eq!(pods.server(0, "10.77.0.12:80").as_deref(), Some("proxy"));
    // The host, under one of its addresses.
    assert!(["10.77.0.1", "192.0.2.1"].contains(&pods.client(0, "10.77.0.12:80").as_str()));
    // Exceptions, other ports, other protocols, other endpoints.
    assert_eq!(pods.server(0, "10.96.9.1:80"), None);
    assert_eq!(pods.server(0, "10.77.0.13:80").as_deref(), Some("pod13"));
    assert_eq!(udp(pods.pod(0), "10.77.0.12:53").unwrap().server, "pod12");
    assert_eq!(pods.server(2, "10.77.0.12:80").as_deref(), Some("pod12"));
    assert_eq!(pods.server(0, "[fd77::12]:80").as_deref(), Some("pod12"));
    // The proxy's own rules still say whom it lets in.
    let block = json!([{"Type": "ACL", "Settings": {"Action": "Block", "Direction": "In",
        "Priority": 9, "Protocols": "6", "LocalPorts": "8080", "RemoteAddresses": "10.77.0.11"}}]);
    pods.rules(2, "Add", &block);
    assert_eq!(pods.server(0, "10.96.1.1:443"), None);
    pods.rules(2, "Remove", &block);
    pods.node.restart();
    pods.node.check();
    pods.rules(0, "Update", &json!([{}]));
    pods.node.check();
    assert_eq!(pods.server(0, "10.77.0.12:80").as_deref(), Some("pod12"));
}

#[test]
fn a_networks_proxy_serves_all_endpoints_but_itself() {
    let Some(mut pods) = Pods::new() else { return };
    let _proxy = tcp_server(pods.pod(2), "proxy", "[::]:8080");
    let policy = json!([
        l4("", "80", "10.77.0.13:8080", &json!({})),
        l4("", "80", "[fd77::13]:8080", &json!({}))
    ]);
    pods.node.change_policies(pods.network, "Add", &policy);
    pods.node.check();
    for (from, to) in
        [(0, "10.77.0.12:80"), (1, "10.77.0.11:80"), (1, "[fd77::11]:80"), (0, "203.0.113.1:80")]
    {
        assert_eq!(pods.server(from, to).as_deref(), Some("proxy"), "{from} {to}");
    }
    // What the proxy opens itself goes where it is meant to.
    assert_eq!(pods.server(2, "10.77.0.11:80").as_deref(), Some("pod11"));
    assert_eq!(pods.server(2, "[fd77::12]:80").as_deref(), Some("pod12"));
    pods.node.change_policies(pods.network, "Remove", &policy);
    pods.node.check();
    assert_eq!(pods.server(0, "10.77.0.12:80").as_deref(), Some("pod12"));
    let invalid = HResult::HCN_E_INVALID_POLICY;
    for bad in [
        l4("", "80", "10.77.0.11:80", &json!({})),
        l4("", "80", "127.0.0.1:80", &json!({})),
        l4("", "80", "somewhere", &json!({})),
        l4("", "80", "10.77.0.12:80", &json!({"Protocol": 1})),
        l4("fd77::1", "80", "10.77.0.12:80", &json!({})),
        l4("", "http", "10.77.0.12:80", &json!({})),
    ] {
        assert_eq!(pods.refused(0, &json!({"Policies": [bad]})), invalid);
    }
}

/// As the sidecar's user: a child that only connects and prints what it gets.
fn tcp_as_sidecar(netns: &Netns, to: &str) -> String {
    let program = format!(
        "exec 3<>/dev/tcp/{}/{}; echo ? >&3; head -1 <&3",
        to.rsplit_once(':').unwrap().0,
        to.rsplit_once(':').unwrap().1
    );
    netns.run(|| {
        let output = std::process::Command::new("setpriv")
            .args(["--reuid", &SIDECAR.to_string(), "--clear-groups", "timeout", "5", "bash", "-c"])
            .arg(&program)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// What the transparent proxy says: its name, and what it was asked for.
fn asked(netns: &Netns, to: &str) -> Option<String> {
    let to: SocketAddr = to.parse().unwrap();
    let patience = Duration::from_millis(2500);
    let mut stream = netns.run(|| TcpStream::connect_timeout(&to, patience)).ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    let _ = stream.write_all(b"?\n");
    let mut buffer = [0; 128];
    let length = stream.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
}

#[test]
fn a_sidecar_gets_what_its_namespace_opens_and_is_sent() {
    let Some(mut pods) = Pods::new() else { return };
    let _outbound = proxy(pods.pod(0), "out", "127.0.0.1:15001");
    let _outbound6 = proxy(pods.pod(0), "out", "[::1]:15001");
    let _inbound = proxy(pods.pod(0), "in", "0.0.0.0:15006");
    let sidecar = json!([{"Type": "L4WFPPROXY", "Settings": {
        "OutboundProxyPort": "15001",
        "InboundProxyPort": "15006",
        "UserSID": format!("S-1-22-1-{SIDECAR}"),
        "FilterTuple": {"Protocols": "6"},
        "OutboundExceptions": {"IpAddressExceptions": ["10.77.0.13", "fd77::13"], "PortExceptions": ["81-90"]},
        "InboundExceptions": {"IpAddressExceptions": ["10.77.0.13"]},
    }}]);
    pods.rules(0, "Add", &sidecar);
    pods.node.check();
    // The proxy learns what was asked for.
    assert_eq!(asked(pods.pod(0), "10.77.0.12:80").as_deref(), Some("out 10.77.0.12"));
    assert_eq!(asked(pods.pod(0), "203.0.113.7:443").as_deref(), Some("out 203.0.113.7"));
    assert_eq!(asked(pods.pod(0), "[fd77::12]:80").as_deref(), Some("out fd77::12"));
    // What it opens itself goes out.
    assert_eq!(tcp_as_sidecar(pods.pod(0), "10.77.0.12:80"), "pod12 ::ffff:10.77.0.11");
    assert_eq!(pods.server(0, "10.77.0.13:80").as_deref(), Some("pod13"));
    assert_eq!(pods.server(0, "[fd77::13]:80").as_deref(), Some("pod13"));
    assert_eq!(udp(pods.pod(0), "10.77.0.12:53").unwrap().server, "pod12");
    // What comes in, but for exceptions; what stays inside is nobody's business.
    assert_eq!(asked(pods.pod(1), "10.77.0.11:80").as_deref(), Some("in 10.77.0.11"));
    assert_eq!(pods.server(2, "10.77.0.11:80").as_deref(), Some("pod11"));
    assert_eq!(pods.server(0, "10.77.0.11:80").as_deref(), Some("pod11"));

    pods.node.restart();
    pods.node.check();
    pods.pod(0).exec("nft delete table inet hostcompute");
    pods.node.repair();
    pods.node.check();
    assert_eq!(asked(pods.pod(0), "10.77.0.12:80").as_deref(), Some("out 10.77.0.12"));
    pods.rules(0, "Remove", &sidecar);
    pods.node.check();
    assert_eq!(pods.server(0, "10.77.0.12:80").as_deref(), Some("pod12"));
    assert_eq!(pods.pod(0).exec("nft list tables").trim(), "");
    let bad = |settings: Value| json!({"Policies": [{"Type": "L4WFPPROXY", "Settings": settings}]});
    for settings in [
        json!({}),
        json!({"OutboundProxyPort": "proxy"}),
        json!({"OutboundProxyPort": "80", "UserSID": "S-1-5-32-556"}),
        json!({"OutboundProxyPort": "80", "FilterTuple": {"Protocols": "1"}}),
        json!({"OutboundProxyPort": "80", "FilterTuple": {"RemoteAddresses": "set"}}),
        json!({"OutboundProxyPort": "80", "OutboundExceptions": {"IpAddressExceptions": ["x"]}}),
    ] {
        assert_eq!(pods.refused(0, &bad(settings)), HResult::HCN_E_INVALID_POLICY);
    }
}
