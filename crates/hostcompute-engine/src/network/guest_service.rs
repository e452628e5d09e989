//! Guest network services: HcnCreateGuestNetworkService and its kin (hcn.md 1.9, 2.21).
//!
//! ```text
//!   create ──► Created ──► Bootstrapping ──► Synchronized ◄──► Paused, Desynchronized, Degraded ──► (deleted) Destroyed
//! ```
//! The networking agent of a virtual machine as the host sees it: a record, whose state its owner moves and subscribers hear of.
//! What it keeps from the host are ports; those are held by the session that reserved them (`hostcompute-service`). No interface
//! is mirrored, so none is listed.

use alloc::string::String;

use hostcompute_schema::{
    Document, Failure, GuestNetworkService, GuestNetworkServiceFlags,
    GuestNetworkServiceNotificationData, GuestNetworkServiceResourceType, GuestNetworkServiceState,
    GuestNetworkServiceStateRequest, Guid, HResult, ModifyGuestNetworkServiceSettingRequest,
    ModifyRequestType, Version,
};
use serde_json::{Map, Value};

use crate::decide::Draft;
use crate::network::network::unsupported_modification;
use crate::object::{Change, Kind, Object, Parts};
use crate::request::{Event, EventKind};

/// A guest network service.
#[derive(Debug, Clone)]
pub struct GuestService {
    pub id: Guid,
    /// As clients see it, without its state.
    pub document: GuestNetworkService,
    pub(crate) sequence: u64,
    pub state: GuestNetworkServiceState,
}

impl GuestService {
    pub(crate) fn chosen(&self) -> Map<String, Value> {
        let mut chosen = Map::new();
        chosen.insert("Sequence".into(), self.sequence.into());
        chosen.insert("State".into(), self.state.name().into());
        chosen
    }

    pub(crate) fn revive(id: Guid, parts: Parts) -> Result<GuestService, Failure> {
        let document = hostcompute_schema::parse_value(&parts.document, "")?.document;
        let sequence = parts.chosen.number("Sequence").unwrap_or_default();
        let state = parts.chosen.0.get("State").and_then(Value::as_str).unwrap_or_default();
        let state = GuestNetworkServiceState::from_name(state);
        Ok(GuestService { id, document, sequence, state })
    }

    /// The document with its state, as a number.
    pub fn describe(&self) -> GuestNetworkService {
        let mut document = self.document.clone();
        let place = GuestNetworkServiceState::KNOWN.iter().position(|known| *known == self.state);
        document.base.state = place.and_then(|place| u16::try_from(place).ok());
        document
    }
}

/// HcnCreateGuestNetworkService.
pub(crate) fn create(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let mut document: GuestNetworkService = draft.settings(hostcompute_schema::parse)?;
    let id = draft.new_id(Kind::GuestService, document.base.id)?;
    let known = GuestNetworkServiceFlags::IS_FLOWSTEERED.0
        | GuestNetworkServiceFlags::IS_FLOWSTEERED_SELF_MANAGED.0;
    let flags = document.flags.map_or(0, |flags| flags.0);
    if flags & !known != 0 {
        let why = alloc::format!("{:#x} are not flags of a guest network service", flags & !known);
        return Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why).at("Flags"));
    }
    document.base.id = Some(id);
    document.base.schema_version.get_or_insert(Version::new(2, 0));
    // Output only.
    document.mirrored_interfaces.clear();
    let sequence = draft.next_sequence();
    let state = GuestNetworkServiceState::Created;
    let service = GuestService { id, document, sequence, state };
    draft.put(Object::GuestService(service.into()));
    draft.events.push(Event::about(EventKind::GuestNetworkServiceCreate, id));
    draft.created(id);
    Ok(())
}

/// HcnModifyGuestNetworkService: moves it to another state.
pub(crate) fn modify(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    let present = draft.state.guest_service(id)?.clone();
    let request: ModifyGuestNetworkServiceSettingRequest =
        draft.settings(hostcompute_schema::parse)?;
    use {GuestNetworkServiceResourceType as Resource, ModifyRequestType as Request};
    match (&request.resource_type, &request.request_type) {
        (Some(Resource::State), Some(Request::Update)) => {}
        (resource, kind) => {
            return Err(unsupported_modification(
                "guest network service",
                resource.as_ref().map(|resource| resource.name()),
                kind.as_ref().map(|kind| kind.name()),
            ));
        }
    }
    let settings = request.settings.unwrap_or(Value::Object(Map::new()));
    let asked: GuestNetworkServiceStateRequest = draft.part(&settings, "Settings")?;
    let state = asked.state.filter(is_settable).ok_or_else(|| {
        let why = "a guest network service cannot be put into this state";
        Failure::new(HResult::E_INVALIDARG, why)
            .at("Settings.State")
            .hint("use Bootstrapping, Synchronized, Paused, Desynchronized or Degraded")
    })?;
    if state == present.state {
        return Ok(());
    }
    let changed = GuestService { state: state.clone(), ..(*present).clone() };
    draft.put(Object::GuestService(changed.into()));
    draft.events.push(changed_state(id, state));
    Ok(())
}

/// States that the owner moves it to; the others are the service's own.
fn is_settable(state: &GuestNetworkServiceState) -> bool {
    use GuestNetworkServiceState as State;
    matches!(
        state,
        State::Bootstrapping
            | State::Synchronized
            | State::Paused
            | State::Desynchronized
            | State::Degraded
    )
}

fn changed_state(id: Guid, state: GuestNetworkServiceState) -> Event {
    let data = GuestNetworkServiceNotificationData {
        state: Some(state),
        ..GuestNetworkServiceNotificationData::default()
    };
    let event = Event::about(EventKind::GuestNetworkServiceStateChanged, id);
    Event { more: Some(data.to_value()), ..event }
}

/// HcnDeleteGuestNetworkService. Those who listen to it hear that it is destroyed.
pub(crate) fn delete(draft: &mut Draft<'_, '_>) -> Result<(), Failure> {
    let id = draft.target()?;
    draft.state.guest_service(id)?;
    draft.changes.push(Change::Delete(Kind::GuestService, id));
    draft.events.push(changed_state(id, GuestNetworkServiceState::Destroyed));
    draft.events.push(Event::about(EventKind::GuestNetworkServiceDelete, id));
    Ok(())
}
