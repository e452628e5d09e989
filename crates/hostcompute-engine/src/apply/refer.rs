//! Names in place of ids: what a host document calls a network, a namespace or an endpoint, found among the wishes and the state.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::{Failure, Guid, HResult};
use serde_json::Value;

use super::read::member;
use super::{Wish, Wishes};
use crate::object::Kind;
use crate::state::State;

/// Who is called what.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    state: &'a State,
    /// Names in the state; a name may have several bearers.
    present: BTreeMap<(Kind, String), Vec<Guid>>,
    /// Names in the files, with the id that the object has or will get.
    wished: BTreeMap<(Kind, String), Vec<Guid>>,
}

impl<'a> Directory<'a> {
    /// The names of the state.
    pub fn new(state: &'a State) -> Self {
        let mut present: BTreeMap<(Kind, String), Vec<Guid>> = BTreeMap::new();
        let mut add = |kind, name: &Option<String>, id| {
            if let Some(name) = name {
                present.entry((kind, name.clone())).or_default().push(id);
            }
        };
        state.networks().for_each(|n| add(Kind::Network, &n.document.base.name, n.id));
        state.namespaces().for_each(|n| add(Kind::Namespace, &n.document.base.name, n.id));
        state.endpoints().for_each(|e| add(Kind::Endpoint, &e.document.base.name, e.id));
        state.load_balancers().for_each(|l| add(Kind::LoadBalancer, &l.document.base.name, l.id));
        state.sdn_routes().for_each(|r| add(Kind::SdnRoute, &r.document.base.name, r.id));
        state.guest_services().for_each(|s| add(Kind::GuestService, &s.document.base.name, s.id));
        Self { state, present, wished: BTreeMap::new() }
    }

    /// The object of the state that a wish means, if there is one. `network` narrows endpoints.
    ///
    /// # Errors
    /// E_INVALIDARG when several objects bear the name.
    pub fn existing(&self, wish: &Wish, network: Option<Guid>) -> Result<Option<Guid>, Failure> {
        if wish.kind == Kind::Namespace && is_host_default(wish) {
            return Ok(Some(crate::network::namespace::HOST_DEFAULT));
        }
        if let Some(id) = wish.id {
            return Ok(Some(id).filter(|id| self.state.exists(wish.kind, *id)));
        }
        let Some(name) = &wish.name else { return Ok(None) };
        let bearers = self.present.get(&(wish.kind, name.clone()));
        let on_network = |id: &&Guid| {
            network
                .is_none_or(|network| self.state.endpoint(**id).is_ok_and(|e| e.network == network))
        };
        let found: Vec<Guid> = bearers.into_iter().flatten().filter(on_network).copied().collect();
        match found.as_slice() {
            [] => Ok(None),
            [id] => Ok(Some(*id)),
            several => {
                let why = alloc::format!("{} {}s are called '{name}'", several.len(), wish.kind);
                Err(Failure::new(HResult::E_INVALIDARG, why)
                    .at(alloc::format!("{}.Name", wish.origin.path))
                    .hint("say which one by its ID"))
            }
        }
    }

    /// Makes a wish known under its name, with the id it has or will get.
    pub fn announce(&mut self, wish: &Wish, id: Guid) {
        if let Some(name) = &wish.name {
            self.wished.entry((wish.kind, name.clone())).or_default().push(id);
        }
    }

    /// The name that the files give an object that is not there yet.
    pub fn wished_name(&self, kind: Kind, id: Guid) -> Option<String> {
        let named =
            |((other, _), ids): &(&(Kind, String), &Vec<Guid>)| *other == kind && ids.contains(&id);
        self.wished.iter().find(named).map(|((_, name), _)| name.clone())
    }

    /// The id that a reference means: a GUID, or a name of the files, or a name of the state.
    ///
    /// # Errors
    /// The kind's not-found code, E_INVALIDARG when several bear the name, HCN_E_INVALID_JSON for what is no text.
    pub fn resolve(&self, kind: Kind, reference: &Value, path: &str) -> Result<Guid, Failure> {
        let Some(text) = reference.as_str() else {
            let why = alloc::format!("the {kind} must be named by a text: its ID or its Name");
            return Err(Failure::new(HResult::HCN_E_INVALID_JSON, why).at(path));
        };
        let key = (kind, text.to_string());
        if let Some(bearers) = self.wished.get(&key).or_else(|| self.present.get(&key)) {
            return match bearers.as_slice() {
                [id] => Ok(*id),
                several => {
                    let why = alloc::format!("{} {kind}s are called '{text}'", several.len());
                    Err(Failure::new(HResult::E_INVALIDARG, why)
                        .at(path)
                        .hint("say which one by its ID"))
                }
            };
        }
        if let Ok(id) = text.parse::<Guid>() {
            return Ok(id);
        }
        if kind == Kind::Namespace && text.eq_ignore_ascii_case("HostDefault") {
            return Ok(crate::network::namespace::HOST_DEFAULT);
        }
        let why =
            alloc::format!("there is no {kind} '{text}', neither in the files nor on this host");
        Err(Failure::new(kind.not_found(), why).at(path))
    }
}

/// A member that refers to another object, unless it is absent in effect.
pub(super) fn reference<'a>(wish: &'a Wish, name: &str) -> Option<(&'a Value, String)> {
    let value = member(wish.value.as_object()?, name)?;
    let absent = value.is_null()
        || value.as_str().is_some_and(|text| {
            text.is_empty() || text.parse::<Guid>().is_ok_and(|id| id.is_zero())
        });
    (!absent).then(|| (value, alloc::format!("{}.{name}", wish.origin.path)))
}

/// HostDefault is always there, whatever id or name a file gives it.
fn is_host_default(wish: &Wish) -> bool {
    let kind =
        wish.value.as_object().and_then(|object| member(object, "Type")).and_then(Value::as_str);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("HostDefault"))
}

/// The network of a wished endpoint.
pub(super) fn network_of(wish: &Wish, directory: &Directory<'_>) -> Result<Option<Guid>, Failure> {
    reference(wish, "HostComputeNetwork")
        .map(|(value, path)| directory.resolve(Kind::Network, value, &path))
        .transpose()
}

/// Finds or gives each wish its id, in order; `fresh` makes the ids of what is not there yet.
pub(super) fn identify<'a>(
    wishes: &Wishes,
    state: &'a State,
    fresh: &mut dyn FnMut() -> Option<Guid>,
) -> Result<(Directory<'a>, Vec<Identified>), (usize, Failure)> {
    let mut directory = Directory::new(state);
    let mut identified = Vec::with_capacity(wishes.objects.len());
    for wish in &wishes.objects {
        let refuse = |failure| (wish.origin.source, failure);
        let network = match wish.kind {
            Kind::Endpoint => network_of(wish, &directory).map_err(refuse)?,
            _ => None,
        };
        let existing = directory.existing(wish, network).map_err(refuse)?;
        let id = existing.or(wish.id).or_else(&mut *fresh);
        if let Some(id) = id {
            directory.announce(wish, id);
        }
        identified.push(Identified { id, exists: existing.is_some() });
    }
    Ok((directory, identified))
}

/// A wish with its id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identified {
    /// Absent only for what does not exist and shall get no id.
    pub id: Option<Guid>,
    pub exists: bool,
}
