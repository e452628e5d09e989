//! The engine's own walk of a packet against the simulator's: who gets it, or what stops it, must be the same.
//!
//! The two share facts and nothing else. Traces speak of documents, so their obstacles are translated to the simulator's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hostcompute_engine::State;
use hostcompute_engine::host::Surroundings;
use hostcompute_engine::plan::Direction;
use hostcompute_engine::sim::{Connection, Lost, Origin, Outcome, Reach, Receiver};
use hostcompute_engine::trace::trace;
use hostcompute_schema::ProtocolType;
use hostcompute_schema::service::{
    TraceObstacleKind as Kind, TracePath, TraceReceiver, TraceRequest,
};

use crate::promise::{HOST, STRANGER};

/// Enough to walk each pair of a small world, not of a large one.
const MOST: usize = 4;
const SOURCE_PORT: u16 = 50_000;

/// Compares the walks between endpoints, the host and the outside, to addresses, services and published ports.
pub fn check(state: &State, reach: &Reach<'_>, surroundings: &Surroundings) -> Result<(), String> {
    let stranger: IpAddr = STRANGER.parse().expect("the constant is an address");
    let mut origins =
        vec![("host".to_owned(), Origin::Host), (STRANGER.to_owned(), Origin::Outside(stranger))];
    let endpoints = || state.endpoints().filter(|endpoint| endpoint.remote.is_none()).take(MOST);
    origins.extend(endpoints().map(|e| (e.id.to_string(), Origin::Endpoint(e.id))));
    let mut targets: BTreeSet<(IpAddr, u8, u16)> = BTreeSet::new();
    targets.insert((stranger, 6, 443));
    for endpoint in endpoints() {
        for address in endpoint.addresses.iter().map(ipnet::IpNet::addr) {
            targets.extend([(address, 6, 80), (address, 17, 53), (address, 1, 0)]);
        }
        let host: IpAddr = HOST.parse().expect("the constant is an address");
        for mapping in endpoint.policies.port_mappings.iter().filter(|m| m.is_ipv4()) {
            targets.insert((mapping.vip.unwrap_or(host), mapping.protocol, mapping.external));
        }
    }
    // What the host serves there, and what it does not.
    for subnet in state.networks().take(MOST).flat_map(|network| &network.subnets) {
        let ports = [(17, 53), (6, 53), (6, 443)];
        let gateway = subnet.gateway.into_iter();
        targets.extend(gateway.flat_map(|it| ports.map(|(protocol, port)| (it, protocol, port))));
    }
    for balancer in state.load_balancers().take(MOST) {
        let frontends = balancer.services.iter().map(|service| service.frontend);
        targets
            .extend(frontends.filter_map(|(_, vip, protocol, port)| Some((vip?, protocol, port))));
    }
    for (from, origin) in &origins {
        for (to, protocol, port) in &targets {
            let connection = Connection {
                origin: *origin,
                to: *to,
                protocol: *protocol,
                source_port: if *port == 0 { 0 } else { SOURCE_PORT },
                port: *port,
                draw: 0,
            };
            let what = || format!("{from} -> {to} protocol {protocol} port {port}");
            one(state, reach, surroundings, from, &connection)
                .map_err(|why| format!("{}: {why}", what()))?;
        }
    }
    Ok(())
}

fn one(
    state: &State,
    reach: &Reach<'_>,
    surroundings: &Surroundings,
    from: &str,
    connection: &Connection,
) -> Result<(), String> {
    let request = TraceRequest {
        from: Some(from.to_owned()),
        to: Some(connection.to.to_string()),
        protocol: Some(ProtocolType(connection.protocol.into())),
        port: Some(connection.port),
        ..TraceRequest::default()
    };
    let traced = match trace(state, surroundings, &request) {
        Ok(traced) => traced,
        // Ends without a family in common have no packet to walk.
        Err(failure) if failure.path.as_deref() == Some("To") => return Ok(()),
        Err(failure) => return Err(failure.to_string()),
    };
    let walked = reach.connect(connection);
    let told: Vec<Told> = traced.paths.iter().map(told).collect::<Result<_, _>>()?;
    let agree = match told.as_slice() {
        [only] => same(only, &walked),
        several => several.iter().any(|path| same(path, &walked)),
    };
    let receivers: BTreeSet<Receiver> = told.iter().filter_map(|told| told.clone().ok()).collect();
    let others = reach.receivers(connection);
    let known = others.iter().all(|receiver| receivers.contains(receiver));
    if agree && known {
        return Ok(());
    }
    Err(format!("the simulator says {walked:?} (of {others:?}), the trace {:#?}", traced.paths))
}

/// What a path says, in the simulator's words: a receiver, or the places where it may be lost.
type Told = Result<Receiver, Vec<Lost>>;

fn same(told: &Told, walked: &Outcome) -> bool {
    match (told, walked) {
        (Ok(receiver), Ok(delivery)) => *receiver == delivery.receiver,
        (Err(possible), Err(lost)) => possible.contains(lost),
        _ => false,
    }
}

fn told(path: &TracePath) -> Result<Told, String> {
    if let Some(obstacle) = &path.obstacle {
        return Ok(Err(match obstacle.kind.as_ref().ok_or("an obstacle of no kind")? {
            Kind::NotAttached => vec![Lost::NoSource, Lost::Unreachable],
            Kind::NoAddress => vec![Lost::NoSource, Lost::NoRoute],
            Kind::NoRoute => vec![Lost::NoRoute],
            Kind::Spoofed => vec![Lost::Spoofed],
            Kind::SenderRule => vec![Lost::AccessRule(Direction::Out)],
            Kind::ReceiverRule => vec![Lost::AccessRule(Direction::In)],
            Kind::NobodyThere | Kind::NoBackend => vec![Lost::Unreachable],
            Kind::NotForwarding => vec![Lost::NotForwarding],
            Kind::Isolated | Kind::OtherNetwork | Kind::NoWayOut | Kind::NotPublished => {
                vec![Lost::Filtered]
            }
            Kind::Private | Kind::NoHostRoute => vec![Lost::Hidden],
            Kind::Constrained => vec![Lost::Filtered, Lost::Hidden],
            Kind::NoWayBack => vec![Lost::NoWayBack],
            other => return Err(format!("{other:?} without an endpoint that was named")),
        }));
    }
    Ok(Ok(match path.receiver.as_ref().ok_or("nobody gets it, and nothing is in the way")? {
        TraceReceiver::Endpoint => Receiver::Endpoint(path.endpoint.unwrap_or_default()),
        TraceReceiver::Host => Receiver::Host,
        TraceReceiver::Outside => Receiver::Outside,
        _ => {
            let host = path.host.as_deref().and_then(|host| host.parse().ok());
            Receiver::Beyond(host.ok_or("another host without an address")?)
        }
    }))
}
