//! SDN routes: HcnCreateSdnRoute, HcnDeleteSdnRoute (hcn.md 1.7, 2.18, 3.11). They cannot be modified.
//!
//! A route is the policy SDNRoute of several endpoints as an object of its own; what it does is in `detour`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::{Failure, Guid, HResult, HostComputeRoute, Version};
use serde_json::{Map, Value};

use crate::decide::Draft;
use crate::network::detour::{self, Entry};
use crate::network::load_balancer::referenced;
use crate::network::namespace::HOST_DEFAULT;
use crate::network::station;
use crate::object::{Change, Kind, Object, Parts};
use crate::state::State;

pub use crate::network::detour::Hop;

/// An SDN route.
#[derive(Debug, Clone)]
pub struct SdnRoute {
    pub id: Guid,
    /// As clients see it, filled in.
    pub document: HostComputeRoute,
    pub(crate) sequence: u64,
    /// In the document's order, without repetitions.
    pub endpoints: Vec<Guid>,
    pub entries: Vec<Entry>,
    /// The numbers of the ways.
    pub(crate) hops: BTreeMap<Hop, u32>,
}

impl SdnRoute {
    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Sequence".into(), self.sequence.into());
        chosen.insert("Hops".into(), detour::written(&self.hops));
        chosen
    }

    pub(crate) fn revive(state: &State, id: Guid, parts: Parts) -> Result<SdnRoute, Failure> {
        let document = hostcompute_schema::parse_value(&parts.document, "")?.document;
        let sequence = parts.chosen.number("Sequence").unwrap_or_default();
        let hops = detour::revive(&parts.chosen);
        let mut route = SdnRoute { hops, ..understand(state, id, document, sequence)? };
        // What was this host to an endpoint that is gone since: the way has the number of the host's own.
        let hops = &route.hops;
        let strange = route.entries.iter_mut().filter(|entry| !hops.contains_key(&entry.hop()));
        strange.for_each(|entry| entry.next_hop = None);
        Ok(route)
    }

    /// The route without an endpoint.
    pub(crate) fn without(&self, endpoint: Guid) -> SdnRoute {
        let mut shorter = self.clone();
        shorter.endpoints.retain(|other| *other != endpoint);
        shorter.document.host_compute_endpoints =
            shorter.endpoints.iter().map(Guid::to_upper).collect();
        shorter
    }
}

/// HcnCreateSdnRoute.
pub(crate) fn create(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let mut document: HostComputeRoute = draft.settings(hostcompute_schema::parse_route)?;
    let id = draft.new_id(Kind::SdnRoute, document.base.id)?;
    let sequence = draft.next_sequence();
    document.base.id = Some(id);
    document.base.schema_version.get_or_insert(Version::new(2, 0));
    let mut route = understand(draft.state, id, document, sequence)?;
    detour::refuse_inner_hops(draft.state, &route.entries).map_err(|f| f.at("Routes"))?;
    route.hops = detour::numbers(draft.state, &route.entries).map_err(|f| f.at("Routes"))?;
    draft.put(Object::SdnRoute(route.into()));
    draft.created(id);
    Ok(())
}

fn understand(
    state: &State,
    id: Guid,
    mut document: HostComputeRoute,
    sequence: u64,
) -> Result<SdnRoute, Failure> {
    let endpoints = referenced(state, &document.host_compute_endpoints, "a route")?;
    document.host_compute_endpoints = endpoints.iter().map(Guid::to_upper).collect();
    if document.routes.is_empty() {
        let why = "a route needs at least one destination";
        return Err(Failure::new(HResult::HCN_E_INVALID_POLICY, why).at("Routes"));
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (i, id) in endpoints.iter().enumerate() {
        let endpoint = state.endpoint(*id)?;
        station::check_member(state, endpoint)?;
        let at = |failure: Failure| failure.at(alloc::format!("HostComputeEndpoints[{i}]"));
        if endpoint.remote.is_some() {
            let why = alloc::format!("endpoint {id} lives on another host, which routes for it");
            let code = HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION;
            return Err(at(Failure::new(code, why)));
        }
        if endpoint.attachment.as_ref().is_some_and(|a| a.namespace == HOST_DEFAULT) {
            return Err(at(on_host()));
        }
        let network = state.network(endpoint.network)?;
        for (j, setting) in document.routes.iter().enumerate() {
            let place = |failure: Failure| {
                let member = failure.path.clone().unwrap_or_default();
                let path = alloc::format!("Routes[{j}].{member}");
                failure.at(path.trim_end_matches('.'))
            };
            let entry = detour::read(setting, network).map_err(place)?;
            match entries.get_mut(j) {
                // What is the gateway of one of the networks is this host for all of them.
                Some(known) if entry.next_hop.is_none() => known.next_hop = None,
                Some(_) => {}
                None => entries.push(entry),
            }
        }
    }
    Ok(SdnRoute { id, document, sequence, endpoints, entries, hops: BTreeMap::new() })
}

/// Why endpoints of the host's own namespace have no routes of their own.
pub(crate) fn on_host() -> Failure {
    let why = "in namespace HostDefault an endpoint is an address of the host, whose own routes count, \
         so an SDN route cannot be carried out";
    Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
}

/// HcnModifySdnRoute: nobody has described what it takes (hcn.md 1.7, 6.8).
pub(crate) fn modify(draft: &Draft<'_, '_>) -> Result<(), Failure> {
    draft.state.sdn_route(draft.target()?)?;
    let why = "an SDN route cannot be modified";
    Err(Failure::new(HResult::E_NOTIMPL, why).hint("delete it and create it under the same id"))
}

/// HcnDeleteSdnRoute: the endpoints stay.
pub(crate) fn delete(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    draft.state.sdn_route(id)?;
    draft.changes.push(Change::Delete(Kind::SdnRoute, id));
    Ok(())
}

/// Takes an endpoint out of the routes that list it; one without endpoints goes.
pub(crate) fn forget_endpoint(draft: &mut Draft<'_, '_>, endpoint: Guid) {
    let routes: Vec<_> = draft.state.routes_of(endpoint).cloned().collect();
    for route in routes {
        let subject = (Kind::SdnRoute, route.id);
        // A cascade may have shortened this route already.
        let latest = draft.changes.iter().rposition(|change| change.subject() == subject);
        let present = match latest.map(|place| draft.changes.remove(place)) {
            Some(Change::Put(Object::SdnRoute(shortened))) => shortened,
            Some(gone) => {
                draft.changes.push(gone);
                continue;
            }
            None => route,
        };
        let shorter = present.without(endpoint);
        match shorter.endpoints.is_empty() {
            true => draft.changes.push(Change::Delete(Kind::SdnRoute, shorter.id)),
            false => draft.put(Object::SdnRoute(shorter.into())),
        }
    }
}
