//! After a crash or a reboot: what is dropped, and how the host is made to agree with the state again.

use alloc::string::ToString;
use alloc::vec::Vec;

use hostcompute_schema::Guid;

use crate::host::Difference;
use crate::object::{Change, Kind, Object};
use crate::plan::Step;
use crate::state::State;

/// What a reboot takes away (hcn.md 3.13): networks that do not persist with their endpoints, every namespace, every
/// attachment, guest network services. Load balancers and routes stay with the endpoints that are left.
pub fn after_reboot(state: &State) -> Vec<Change> {
    let mut changes = Vec::new();
    for balancer in state.load_balancers() {
        let mut shorter = (**balancer).clone();
        shorter.endpoints.retain(|id| stays(state, *id));
        if shorter.endpoints.is_empty() {
            changes.push(Change::Delete(Kind::LoadBalancer, balancer.id));
        } else if shorter.endpoints.len() < balancer.endpoints.len() {
            shorter.document.host_compute_endpoints =
                shorter.endpoints.iter().map(Guid::to_string).collect();
            changes.push(Change::Put(Object::LoadBalancer(shorter.into())));
        }
    }
    for route in state.sdn_routes() {
        let gone = route.endpoints.iter().filter(|id| !stays(state, **id));
        let shorter = gone.fold((**route).clone(), |route, id| route.without(*id));
        if shorter.endpoints.is_empty() {
            changes.push(Change::Delete(Kind::SdnRoute, route.id));
        } else if shorter.endpoints.len() < route.endpoints.len() {
            changes.push(Change::Put(Object::SdnRoute(shorter.into())));
        }
    }
    // Their machines are gone.
    let services = state.guest_services().map(|service| service.id);
    changes.extend(services.map(|id| Change::Delete(Kind::GuestService, id)));
    for endpoint in state.endpoints() {
        if !stays(state, endpoint.id) {
            changes.push(Change::Delete(Kind::Endpoint, endpoint.id));
        } else if endpoint.attachment.is_some() {
            changes.push(Change::Put(Object::Endpoint(endpoint.detached(state).into())));
        }
    }
    changes
        .extend(state.namespaces().map(|namespace| Change::Delete(Kind::Namespace, namespace.id)));
    let stays = |network: &Guid| state.network(*network).is_ok_and(|network| network.persistent());
    let sets = state.sets.iter().filter(|set| !stays(&set.network));
    changes.extend(sets.map(|set| Change::Delete(Kind::Set, set.id)));
    let routes = state.remote_subnets.iter().filter(|route| !stays(&route.network));
    changes.extend(routes.map(|route| Change::Delete(Kind::RemoteSubnet, route.id)));
    let gone = state.networks().filter(|network| !network.persistent());
    changes.extend(gone.map(|network| Change::Delete(Kind::Network, network.id)));
    changes
}

fn stays(state: &State, endpoint: Guid) -> bool {
    let network = state.endpoint(endpoint).and_then(|endpoint| state.network(endpoint.network));
    network.is_ok_and(|network| network.persistent())
}

/// Whether a reboot keeps the object: if so, it must be on disk before the client hears of it.
pub fn survives_reboot(state: &State, object: &Object) -> bool {
    match object {
        Object::Network(network) => network.persistent(),
        Object::Set(set) => state.network(set.network).is_ok_and(|network| network.persistent()),
        Object::RemoteSubnet(route) => {
            state.network(route.network).is_ok_and(|network| network.persistent())
        }
        Object::Namespace(_) | Object::GuestService(_) => false,
        Object::Endpoint(endpoint) => {
            state.network(endpoint.network).is_ok_and(|network| network.persistent())
        }
        Object::LoadBalancer(balancer) => balancer.endpoints.iter().any(|id| stays(state, *id)),
        Object::SdnRoute(route) => route.endpoints.iter().any(|id| stays(state, *id)),
    }
}

/// The steps that make the host agree with the state, given how it differs.
///
/// Strays go first: they may hold names and addresses that missing things need.
pub fn reconcile(differences: &[Difference]) -> Vec<Step> {
    let mut strays = Vec::new();
    let mut wrong = Vec::new();
    let mut missing = Vec::new();
    for difference in differences {
        match difference {
            Difference::Stray(stray) => strays.push(Step::Sweep(stray.clone())),
            Difference::Different { wanted, .. } => {
                wrong.push(wanted.clone());
                missing.push(wanted.clone());
            }
            Difference::Missing(fact) => missing.push(fact.clone()),
        }
    }
    wrong.sort();
    missing.sort();
    let removals = wrong.into_iter().rev().map(Step::Remove);
    strays.into_iter().chain(removals).chain(missing.into_iter().map(Step::Add)).collect()
}
