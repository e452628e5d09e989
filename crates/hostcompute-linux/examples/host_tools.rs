//! The parts of this crate that a program uses around the engine, as small commands: what this machine lacks, a program in a
//! namespace, and an ordinary user's own host.
//!
//! `sample` makes a network with one endpoint and many published ports, compares, and takes it away again: a test of what a user
//! may do.
//!
//! `host_tools doctor | sample DIRECTORY PORTS | exec NETNS RESOLVER PROGRAM [ARGUMENT...] | rootless RUNTIME_DIR PROGRAM [ARGUMENT...] | end RUNTIME_DIR`

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hostcompute_engine::host::Host;
use hostcompute_engine::mac::Mac;
use hostcompute_engine::plan::{Anchor, Element, Fact, Family, FarEnd, Port, Step};
use hostcompute_linux::{Linux, Options, doctor, exec, rootless};
use hostcompute_schema::{Failure, Guid};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.to_string_lossy().into_owned(), rest),
        None => (String::new(), &[][..]),
    };
    let failure = match (command.as_str(), rest) {
        ("doctor", []) => {
            for finding in doctor::examine(None) {
                println!("{}: {}: {}", finding.severity, finding.subject, finding.found);
                println!("    {} -> {}", finding.consequence, finding.remedy);
            }
            return ExitCode::SUCCESS;
        }
        ("sample", [directory, ports]) => {
            let ports = ports.to_string_lossy().parse().unwrap_or(1);
            match sample(&PathBuf::from(directory), ports) {
                Err(failure) => failure,
                Ok(differences) => {
                    println!("{differences} differences");
                    return ExitCode::SUCCESS;
                }
            }
        }
        ("exec", [netns, resolver, program, arguments @ ..]) => {
            let place = exec::Place { netns: netns.into(), resolver: resolver.into() };
            place.execute(program, arguments)
        }
        ("rootless", [directory, program, arguments @ ..]) => {
            match rootless::ensure_joined(&PathBuf::from(directory)) {
                Err(failure) => failure,
                Ok(()) => {
                    let error = std::process::Command::new(program).args(arguments).exec();
                    eprintln!("{}: {error}", program.display());
                    return ExitCode::from(127);
                }
            }
        }
        ("end", [directory]) => match rootless::end_holder(&PathBuf::from(directory)) {
            Err(failure) => failure,
            Ok(()) => return ExitCode::SUCCESS,
        },
        _ => {
            eprintln!("see the head of this example for its commands");
            return ExitCode::from(2);
        }
    };
    eprintln!("{failure}");
    ExitCode::FAILURE
}

/// Makes the sample, counts what differs from it, and takes it away.
fn sample(directory: &Path, ports: u16) -> Result<usize, Failure> {
    let mut linux = Linux::open(Options {
        host_netns: None,
        netns_dir: directory.join("netns"),
        resolver_dir: directory.join("resolv"),
        saved: directory.join("saved.json"),
        resolv_conf: "/etc/resolv.conf".into(),
    })?;
    let facts = sample_facts(ports);
    let add: Vec<Step> = facts.iter().cloned().map(Step::Add).collect();
    let remove: Vec<Step> = facts.iter().rev().cloned().map(Step::Remove).collect();
    linux.perform(&add).map_err(|fault| fault.failure)?;
    let mut differences = linux.compare(&facts).map_err(|fault| fault.failure)?.len();
    linux.perform(&remove).map_err(|fault| fault.failure)?;
    linux.settle().map_err(|fault| fault.failure)?;
    differences += linux.compare(&[]).map_err(|fault| fault.failure)?.len();
    Ok(differences)
}

fn sample_facts(ports: u16) -> Vec<Fact> {
    let subnet = "10.90.0.0/24".parse().expect("a prefix");
    let gateway: IpAddr = [10, 90, 0, 1].into();
    let address: IpAddr = [10, 90, 0, 2].into();
    let netns = Guid::from_bytes([9; 16]);
    let mac = Mac([2, 0, 0, 0, 0, 2]);
    let mut facts = vec![
        Fact::Table,
        Fact::Forwarding(Family::V4),
        Fact::Anchor(Anchor {
            network: netns,
            name: "hb0".into(),
            index: 1_000_000,
            mac: Mac([2, 0, 0, 0, 0, 9]),
            gateways: vec![ipnet::IpNet::new(gateway, 24).expect("an address")],
            subnets: vec![subnet],
        }),
        Fact::Netns(netns),
        Fact::Port(Port {
            endpoint: netns,
            netns,
            name: "he0".into(),
            index: 1_000_001,
            alias: String::new(),
            far: FarEnd::Namespace,
            inner_name: "eth0".into(),
            inner_index: 2,
            mac,
            mtu: None,
            addresses: vec![ipnet::IpNet::new(address, 24).expect("an address")],
            gateways: vec![gateway],
            routes: Vec::new(),
            prefer: vec![gateway],
        }),
        Fact::Element(Element::Outbound { subnet }),
        Fact::Element(Element::Source { port: "he0".into(), mac, address }),
    ];
    facts.extend((1..=ports).map(|port| {
        let to = (address, port).into();
        Fact::Element(Element::PortMapping { vip: None, protocol: 6, port, to })
    }));
    facts
}
