//! Proxies inside of namespaces (L4WFPPROXY, hcn.md 2.10): documents, and whose connections they take.

use std::net::IpAddr;

use hostcompute_schema::HResult;
use serde_json::{Map, Value, json};

use crate::command::{PORT_LISTS, PROTOCOL_LISTS, Policy, REMOTES, Sidecar};
use crate::expect::Expected;
use crate::model::{Endpoint, Model};
use crate::rules::{Packet, contains, in_list};

/// The settings in the normal form in which they come back.
pub fn settings(sidecar: &Sidecar) -> Value {
    let mut settings = Map::new();
    let exceptions = |sidecar: &Sidecar| {
        let mut exceptions = Map::new();
        if let Some(peer) = sidecar.peer {
            exceptions.insert("IpAddressExceptions".into(), json!([REMOTES[peer]]));
        }
        if let Some(ports) = sidecar.ports {
            exceptions.insert("PortExceptions".into(), json!([PORT_LISTS[ports]]));
        }
        Value::Object(exceptions)
    };
    let mut tuple = Map::new();
    if !PROTOCOL_LISTS[sidecar.protocols].is_empty() {
        tuple.insert("Protocols".into(), PROTOCOL_LISTS[sidecar.protocols].into());
    }
    if let Some(remote) = sidecar.remote {
        tuple.insert("RemoteAddresses".into(), REMOTES[remote].into());
    }
    if sidecar.priority != 0 {
        tuple.insert("Priority".into(), sidecar.priority.into());
    }
    settings.insert("FilterTuple".into(), tuple.into());
    for (side, port) in [("Inbound", sidecar.inbound), ("Outbound", sidecar.outbound)] {
        let Some(port) = port else { continue };
        settings.insert(format!("{side}ProxyPort"), port.to_string().into());
        settings.insert(format!("{side}Exceptions"), exceptions(sidecar));
    }
    if sidecar.user {
        settings.insert("UserSID".into(), "S-1-22-1-1337".into());
    }
    Value::Object(settings)
}

/// Only connections of protocols with ports can be taken, to a port that there is.
pub fn expect(e: &mut Expected, sidecar: &Sidecar) {
    let protocols = PROTOCOL_LISTS[sidecar.protocols];
    let ported = protocols.is_empty() || protocols.split(',').all(|one| ["6", "17"].contains(&one));
    let nowhere = [sidecar.inbound, sidecar.outbound].iter().all(Option::is_none);
    if !ported || nowhere || [sidecar.inbound, sidecar.outbound].contains(&Some(0)) {
        e.wrong([HResult::HCN_E_INVALID_POLICY]);
    }
}

/// Who takes a connection that an endpoint's namespace opens, or that is opened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Nobody,
    Port(u16),
    /// There are several interfaces, and which of them the packet takes is not for this model to say.
    Unsure,
}

pub fn taken(model: &Model, endpoint: &Endpoint, inbound: bool, packet: &Packet) -> Taken {
    let Some(place) = endpoint.place else { return Taken::Nobody };
    let residents = model.residents(place).iter().filter_map(|id| model.endpoint(*id));
    let residents: Vec<&Endpoint> = residents.collect();
    let proxies = |endpoint: &Endpoint| -> Vec<Sidecar> {
        let mut found: Vec<Sidecar> = endpoint
            .policies
            .iter()
            .filter_map(|policy| match policy {
                Policy::Sidecar(sidecar) => Some(sidecar.clone()),
                _ => None,
            })
            .collect();
        found.sort_by_key(|sidecar| sidecar.priority);
        found
    };
    if residents.iter().all(|resident| proxies(resident).is_empty()) {
        return Taken::Nobody;
    }
    if residents.len() > 1 {
        return Taken::Unsure;
    }
    let peer = if inbound { packet.source } else { packet.destination };
    let port =
        proxies(endpoint).into_iter().find_map(|sidecar| takes(&sidecar, inbound, packet, peer));
    port.map_or(Taken::Nobody, Taken::Port)
}

fn takes(sidecar: &Sidecar, inbound: bool, packet: &Packet, peer: IpAddr) -> Option<u16> {
    let port = if inbound { sidecar.inbound } else { sidecar.outbound }?;
    let protocols = match PROTOCOL_LISTS[sidecar.protocols] {
        "" => "6",
        some => some,
    };
    let meant = protocols.split(',').any(|one| one == packet.protocol.to_string())
        && sidecar.remote.is_none_or(|remote| contains(REMOTES[remote], peer));
    let left_alone = sidecar.peer.is_some_and(|which| contains(REMOTES[which], peer))
        || sidecar.ports.is_some_and(|which| in_list(PORT_LISTS[which], packet.port));
    (meant && !left_alone).then_some(port)
}
