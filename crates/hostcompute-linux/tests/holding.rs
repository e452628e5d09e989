//! Ports that are held: no program of the host can have them, until they are let go.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

mod lab;

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};

use hostcompute_engine::host::{Host, Ports};
use hostcompute_schema::HResult;
use lab::Lab;

const BOTH: Ports = Ports { tcp: true, udp: true, first: 7000, last: 7099 };

#[test]
fn held_ports_are_nobody_elses_and_let_go_they_are_free() {
    let Some(mut lab) = Lab::new() else { return };
    let hold = lab.linux.hold(BOTH).unwrap();
    let taken = Some(ErrorKind::AddrInUse);
    lab.host.run(|| {
        for port in [BOTH.first, BOTH.last] {
            for address in ["0.0.0.0", "127.0.0.1", "[::]", "[::1]"] {
                let address = format!("{address}:{port}");
                let tcp = TcpListener::bind(&address).err().map(|error| error.kind());
                let udp = UdpSocket::bind(&address).err().map(|error| error.kind());
                assert_eq!((tcp, udp), (taken, taken), "{address}");
            }
        }
        assert!(TcpListener::bind("0.0.0.0:7100").is_ok());
    });
    assert_eq!(
        lab.linux.hold(BOTH).unwrap_err().failure.hresult,
        HResult::HCN_E_PORT_ALREADY_EXISTS
    );
    drop(hold);
    lab.host.run(|| assert!(TcpListener::bind("0.0.0.0:7000").is_ok()));
    assert!(lab.linux.hold(BOTH).is_ok());
}

#[test]
fn one_port_in_use_and_none_is_held() {
    let Some(mut lab) = Lab::new() else { return };
    let program = lab.host.run(|| UdpSocket::bind("127.0.0.1:7050").unwrap());
    let failure = lab.linux.hold(BOTH).unwrap_err().failure;
    assert_eq!(failure.hresult, HResult::HCN_E_PORT_ALREADY_EXISTS);
    assert!(failure.message.contains("7050/udp"), "{failure}");
    lab.host.run(|| assert!(TcpListener::bind("0.0.0.0:7000").is_ok()));
    assert!(lab.linux.hold(Ports { udp: false, ..BOTH }).is_ok(), "another protocol");
    drop(program);
    assert!(lab.linux.hold(BOTH).is_ok());
}
