//! What subscribers are told of a command, worked out from what the model held before and after it: every thing that came, went or
//! moved, once, with its data, in an order in which nothing is told of what is not there any more (hcn.md 1.8).

use std::collections::BTreeMap;

use hostcompute_engine::{Event, EventKind as Kind};
use hostcompute_schema::Guid;
use serde_json::{Value, json};

use crate::model::Model;

/// One notification as the model expects it: kind, object, flags, network whose subscribers hear it, and what is said beside.
type Expected = (Kind, Guid, u32, Option<Guid>, Option<Value>);

/// Compares what was told of a command that succeeded.
pub fn check(before: &Model, after: &Model, told: &[Event]) -> Result<(), String> {
    let heard = told.iter().map(|event| {
        (event.kind, event.id, event.flags, event.network, event.data().get("Data").cloned())
    });
    let mut heard: Vec<Expected> = heard.collect();
    order(&heard)?;
    let mut wanted = expected(before, after);
    let by = |a: &Expected| (a.0 as u32, a.1, a.2);
    heard.sort_by_key(by);
    wanted.sort_by_key(by);
    if heard != wanted {
        return Err(format!("told {heard:?}, and what happened is {wanted:?}"));
    }
    for event in told {
        let data = event.data();
        let flags = data.get("Flags").and_then(Value::as_u64).unwrap_or_default();
        if data["ID"] != event.id.to_string() || flags != u64::from(event.flags) {
            return Err(format!("{event:?} has the data {data}"));
        }
    }
    Ok(())
}

fn expected(before: &Model, after: &Model) -> Vec<Expected> {
    let networks = |model: &Model| -> BTreeMap<Guid, u32> {
        model.networks.iter().map(|network| (network.id, network.flags)).collect()
    };
    let (old, new) = (networks(before), networks(after));
    let mut events = Vec::new();
    for (id, flags) in new.iter().filter(|(id, _)| !old.contains_key(id)) {
        for kind in [Kind::NetworkPreCreate, Kind::NetworkCreate] {
            events.push((kind, *id, *flags, Some(*id), None));
        }
    }
    for (id, flags) in old.iter().filter(|(id, _)| !new.contains_key(id)) {
        for kind in [Kind::NetworkPreDelete, Kind::NetworkDelete] {
            events.push((kind, *id, *flags, Some(*id), None));
        }
    }
    let namespaces =
        |model: &Model| -> Vec<Guid> { model.namespaces.iter().map(|one| one.id).collect() };
    let (old, new) = (namespaces(before), namespaces(after));
    let came = new.iter().filter(|id| !old.contains(id));
    events.extend(came.map(|id| (Kind::NamespaceCreate, *id, 0, None, None)));
    let went = old.iter().filter(|id| !new.contains(id));
    events.extend(went.map(|id| (Kind::NamespaceDelete, *id, 0, None, None)));
    let places = |model: &Model| -> BTreeMap<(Guid, Guid), Guid> {
        let placed = model.endpoints.iter().filter_map(|endpoint| {
            endpoint.place.map(|place| ((endpoint.id, place), endpoint.network))
        });
        placed.collect()
    };
    let (old, new) = (places(before), places(after));
    for (kind, those, others) in
        [(Kind::NetworkEndpointAttached, &new, &old), (Kind::NetworkEndpointDetached, &old, &new)]
    {
        let moved = those.iter().filter(|(key, _)| !others.contains_key(key));
        events.extend(moved.map(|((id, _), network)| (kind, *id, 0, Some(*network), None)));
    }
    events.extend(of_guest_services(before, after));
    events
}

/// A guest network service that comes is Created without a word about its state; one that goes is Destroyed first.
fn of_guest_services(before: &Model, after: &Model) -> Vec<Expected> {
    let states = |model: &Model| -> BTreeMap<Guid, &'static str> {
        model.guest_services.iter().map(|service| (service.id, service.state)).collect()
    };
    let (old, new) = (states(before), states(after));
    let moved = |id: &Guid, state: &str| {
        let data = json!({"State": state});
        (Kind::GuestNetworkServiceStateChanged, *id, 0, None, Some(data))
    };
    let mut events = Vec::new();
    for (id, state) in &new {
        match old.get(id) {
            None => events.push((Kind::GuestNetworkServiceCreate, *id, 0, None, None)),
            Some(earlier) if earlier != state => events.push(moved(id, state)),
            Some(_) => {}
        }
    }
    for id in old.keys().filter(|id| !new.contains_key(id)) {
        events.push(moved(id, "Destroyed"));
        events.push((Kind::GuestNetworkServiceDelete, *id, 0, None, None));
    }
    events
}

/// A network is announced before it is there and before anything of it goes, and nothing is told of it after its end.
fn order(heard: &[Expected]) -> Result<(), String> {
    for (place, (kind, id, _, network, _)) in heard.iter().enumerate() {
        let earlier = |wanted: Kind| heard.iter().take(place).any(|e| (e.0, e.1) == (wanted, *id));
        let right = match kind {
            Kind::NetworkCreate => earlier(Kind::NetworkPreCreate),
            Kind::NetworkDelete => earlier(Kind::NetworkPreDelete) && place + 1 == heard.len(),
            Kind::GuestNetworkServiceDelete => earlier(Kind::GuestNetworkServiceStateChanged),
            Kind::NetworkEndpointDetached => {
                heard.iter().all(|e| e.0 != Kind::NetworkPreDelete || Some(e.1) != *network)
                    || heard
                        .iter()
                        .take(place)
                        .any(|e| e.0 == Kind::NetworkPreDelete && Some(e.1) == *network)
            }
            _ => true,
        };
        if !right {
            return Err(format!("told in this order: {heard:?}"));
        }
    }
    Ok(())
}
