//! Networks, endpoints and the other objects: what the functions of all kinds do, once.

use std::sync::Arc;

use hostcompute::schema::operation::{Kind, Operation};
use hostcompute::transport::Call;
use hostcompute::{Failure, Guid, HResult, Host};

use crate::boundary::{GuidIn, Out, Text, TextOut};
use crate::handle::{self, Handle, Object};
use crate::service;

/// What a handle of an object stands for. Its service stays open as long.
#[derive(Debug)]
pub struct Entity {
    pub host: Arc<Host>,
    pub kind: Kind,
    pub id: Guid,
}

/// The object that a handle of this kind stands for.
///
/// # Errors
/// E_INVALIDARG for NULL, E_HANDLE for no handle of this kind.
pub fn find(handle: Handle, kind: Kind) -> Result<Arc<Entity>, Failure> {
    handle::find(handle, pick(kind))
}

fn pick(kind: Kind) -> impl Fn(&Object) -> Option<Arc<Entity>> {
    move |object| match object {
        Object::Entity(entity) if entity.kind == kind => Some(entity.clone()),
        _ => None,
    }
}

/// Hcn...Enumerate...: the ids that a query selects.
pub fn enumerate(operation: Operation, query: Text, list: TextOut) -> Result<(), Failure> {
    list.clear();
    list.demand("list")?;
    let document = query.read_or_empty()?;
    let call = Call { operation, id: None, network: None, document: &document };
    list.hand_out(&service::host()?.call(&call)?.body)
}

/// Hcn...Create...: a new object and its handle.
pub fn create(
    operation: Operation,
    network: Option<&Entity>,
    (id, settings): (GuidIn, Text),
    out: Out<Handle>,
) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("handle")?;
    let document = settings.read("document")?;
    let host = match network {
        Some(network) => network.host.clone(),
        None => service::host()?,
    };
    let network = network.map(|network| network.id);
    let call = Call { operation, id: id.read_if_given(), network, document: &document };
    let made = host.call(&call)?.body;
    let id = made.trim_matches('"').parse().map_err(|_| {
        let why = format!("the service answers {made:?} instead of an id");
        Failure::new(HResult::E_UNEXPECTED, why)
    })?;
    hand_out(host, operation, id, out)
}

/// Hcn...Open...: a handle of an object that exists.
pub fn open(operation: Operation, id: GuidIn, out: Out<Handle>) -> Result<(), Failure> {
    out.put(Handle::NULL);
    out.demand("handle")?;
    let id = id.read()?;
    let host = service::host()?;
    host.call(&Call::on(operation, id, ""))?;
    hand_out(host, operation, id, out)
}

fn hand_out(
    host: Arc<Host>,
    operation: Operation,
    id: Guid,
    out: Out<Handle>,
) -> Result<(), Failure> {
    let entity = Entity { host, kind: operation.subject(), id };
    out.put(handle::add(Object::Entity(Arc::new(entity)))?);
    Ok(())
}

/// Hcn...Modify...: changes an object.
pub fn modify(operation: Operation, handle: Handle, settings: Text) -> Result<(), Failure> {
    let entity = find(handle, operation.subject())?;
    let document = settings.read("document")?;
    entity.host.call(&Call::on(operation, entity.id, &document)).map(drop)
}

/// Hcn...Query...: what is known of an object.
pub fn query(
    operation: Operation,
    handle: Handle,
    query: Text,
    properties: TextOut,
) -> Result<(), Failure> {
    properties.clear();
    properties.demand("document")?;
    let entity = find(handle, operation.subject())?;
    let document = query.read_or_empty()?;
    let answer = entity.host.call(&Call::on(operation, entity.id, &document))?;
    properties.hand_out(&answer.body)
}

/// Hcn...Delete...: an object goes; its handles stay, to be closed.
pub fn delete(operation: Operation, id: GuidIn) -> Result<(), Failure> {
    let id = id.read()?;
    service::host()?.call(&Call::on(operation, id, "")).map(drop)
}

/// Hcn...Close...: a handle goes; its object stays.
pub fn close(kind: Kind, handle: Handle) -> Result<(), Failure> {
    handle::remove(handle, pick(kind)).map(drop)
}
