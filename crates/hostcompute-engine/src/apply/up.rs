//! What must be done so that everything the files ask for is there.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    Document, EndpointPolicy, Failure, Guid, HResult, HostComputeEndpoint, HostComputeLoadBalancer,
    HostComputeNamespace, HostComputeNetwork, HostComputeRoute, NetworkMode, parse_value, v1,
};
use serde_json::{Map, Value, json};

use super::cover::{covers, first_difference};
use super::refer::{Directory, Identified, identify, network_of, reference};
use super::{
    Action, Call, Plan, PresentSystem, Refusal, Source, Task, Wish, Wishes, create_operation,
    delete_operation, membership, policies, system,
};
use crate::network::endpoint::Endpoint;
use crate::network::policy::change::canonical;
use crate::object::Kind;
use crate::state::State;

/// What brings the state, and the compute systems that are there, to what the files ask for; nothing when it is all there.
///
/// # Errors
/// A reference that leads nowhere, a malformed document, or an object that is there and differs in what cannot be changed.
pub fn up(
    wishes: &Wishes,
    sources: &[Source<'_>],
    state: &State,
    present: &[PresentSystem],
    fresh: &mut dyn FnMut() -> Guid,
) -> Result<Plan, Refusal> {
    let locate = |(source, failure): (usize, Failure)| {
        let text = sources.get(source).map_or("", |source| source.text);
        Refusal { source, failure: failure.in_document(text) }
    };
    let (directory, identified) = identify(wishes, state, &mut || Some(fresh())).map_err(locate)?;
    let planner = Planner { state, directory };
    let mut tasks = Vec::new();
    for (wish, identified) in wishes.objects.iter().zip(&identified) {
        planner
            .plan(wish, identified, &mut tasks)
            .map_err(|failure| locate((wish.origin.source, failure)))?;
    }
    let systems = system::up(wishes, sources, &planner.directory, present)?;
    Ok(Plan { tasks, systems })
}

struct Planner<'a> {
    state: &'a State,
    directory: Directory<'a>,
}

impl Planner<'_> {
    fn plan(
        &self,
        wish: &Wish,
        identified: &Identified,
        tasks: &mut Vec<Task>,
    ) -> Result<(), Failure> {
        let Some(id) = identified.id else { return Ok(()) };
        match (wish.kind, identified.exists) {
            (Kind::Network, true) => self.compare_network(wish, id, tasks),
            (Kind::Namespace, true) => self.compare_namespace(wish, id),
            // Sets are policies of their network.
            (Kind::Set | Kind::RemoteSubnet, _) => Ok(()),
            (Kind::Network | Kind::Namespace | Kind::GuestService, false) => {
                tasks.push(create(wish, id, None, wish.value.clone()));
                Ok(())
            }
            (Kind::Endpoint, exists) => self.endpoint(wish, id, exists, tasks),
            (Kind::LoadBalancer, exists) => self.load_balancer(wish, id, exists, tasks),
            (Kind::SdnRoute, exists) => self.route(wish, id, exists, tasks),
            // No list of a host document holds them.
            (Kind::GuestService, true) => Ok(()),
        }
    }

    fn compare_network(&self, wish: &Wish, id: Guid, tasks: &mut Vec<Task>) -> Result<(), Failure> {
        let there = &self.state.network(id)?.describe(self.state);
        let value = match v1::is_v1_network(&wish.value) {
            true => v1::network_from_v1(wish.value.clone()),
            false => wish.value.clone(),
        };
        let wanted = parse_value::<HostComputeNetwork>(&value, &wish.origin.path)?.document;
        // NAT is the default and therefore not part of a document's normal form.
        let kind =
            |document: &HostComputeNetwork| document.kind.clone().unwrap_or(NetworkMode::NAT);
        if wanted.kind.is_some() && kind(&wanted) != kind(there) {
            return refuse_difference(wish, Some("Type".into()));
        }
        refuse_difference(wish, first_difference(&there.write(), &wanted.write(), &["Policies"]))?;
        tasks.extend(policies::of_network(wish, id, &there.policies, &wanted.policies)?);
        Ok(())
    }

    fn compare_namespace(&self, wish: &Wish, id: Guid) -> Result<(), Failure> {
        let there = crate::network::namespace::describe(self.state, id)?.write();
        let wanted =
            parse_value::<HostComputeNamespace>(&wish.value, &wish.origin.path)?.document.write();
        // The service fills these in, whatever is asked for.
        refuse_difference(
            wish,
            first_difference(&there, &wanted, &["NamespaceId", "NamespaceGuid", "Resources"]),
        )
    }

    fn endpoint(
        &self,
        wish: &Wish,
        id: Guid,
        exists: bool,
        tasks: &mut Vec<Task>,
    ) -> Result<(), Failure> {
        let network = network_of(wish, &self.directory)?;
        let namespace = reference(wish, "HostComputeNamespace")
            .map(|(value, path)| self.directory.resolve(Kind::Namespace, value, &path))
            .transpose()?;
        let value = without(&wish.value, &["HostComputeNamespace", "HostComputeNetwork"]);
        let mut attached = None;
        if exists {
            let endpoint = self.state.endpoint(id)?;
            self.compare_endpoint(wish, endpoint, network, &value, tasks)?;
            attached = endpoint.attachment.as_ref().map(|attachment| attachment.namespace);
        } else {
            let Some(network) = network else {
                let why = "the endpoint does not say which network it is on";
                return Err(Failure::new(HResult::E_INVALIDARG, why)
                    .at(alloc::format!("{}.HostComputeNetwork", wish.origin.path))
                    .hint("name the network by its Name or ID"));
            };
            tasks.push(create(wish, id, Some(network), value));
        }
        if let Some(namespace) = namespace.filter(|namespace| attached != Some(*namespace)) {
            tasks.extend(attached.map(|old| self.move_task(wish, id, Action::Detach, old)));
            tasks.push(self.move_task(wish, id, Action::Attach, namespace));
        }
        Ok(())
    }

    fn compare_endpoint(
        &self,
        wish: &Wish,
        endpoint: &Endpoint,
        network: Option<Guid>,
        value: &Value,
        tasks: &mut Vec<Task>,
    ) -> Result<(), Failure> {
        if network.is_some_and(|network| network != endpoint.network) {
            return refuse_difference(wish, Some("HostComputeNetwork".into()));
        }
        let value = match v1::is_v1_endpoint(value) {
            true => &v1::endpoint_from_v1(value.clone()),
            false => value,
        };
        let wanted = parse_value::<HostComputeEndpoint>(value, &wish.origin.path)?.document;
        let there = endpoint.document.write();
        refuse_difference(wish, first_difference(&there, &wanted.write(), &["Policies"]))?;
        self.compare_policies(wish, endpoint, &wanted.policies, tasks);
        Ok(())
    }

    /// Policies can be changed in place: those of each type that differs are replaced, those of types that are gone removed.
    fn compare_policies(
        &self,
        wish: &Wish,
        endpoint: &Endpoint,
        wanted: &[EndpointPolicy],
        tasks: &mut Vec<Task>,
    ) {
        let present = &endpoint.document.policies;
        let differing = |policy: &&EndpointPolicy| !same_policies(present, wanted, policy);
        let gone: Vec<&EndpointPolicy> = present
            .iter()
            .filter(|policy| !wanted.iter().any(|other| other.kind == policy.kind))
            .collect();
        if !gone.is_empty() {
            let back = policy_call(endpoint.id, "Add", &gone);
            tasks.push(modify(
                wish,
                policy_call(endpoint.id, "Remove", &gone),
                Vec::from([back]),
                &gone,
            ));
        }
        let changed: Vec<&EndpointPolicy> = wanted.iter().filter(differing).collect();
        if !changed.is_empty() {
            let of_changed =
                |policy: &&EndpointPolicy| changed.iter().any(|other| other.kind == policy.kind);
            let before: Vec<&EndpointPolicy> = present.iter().filter(of_changed).collect();
            let added: Vec<&EndpointPolicy> = changed
                .iter()
                .filter(|policy| !before.iter().any(|other| other.kind == policy.kind))
                .copied()
                .collect();
            let mut back = Vec::new();
            if !before.is_empty() {
                back.push(policy_call(endpoint.id, "Update", &before));
            }
            if !added.is_empty() {
                back.push(policy_call(endpoint.id, "Remove", &added));
            }
            tasks.push(modify(wish, policy_call(endpoint.id, "Update", &changed), back, &changed));
        }
    }

    fn move_task(&self, wish: &Wish, endpoint: Guid, action: Action, namespace: Guid) -> Task {
        let name = crate::network::namespace::describe(self.state, namespace)
            .ok()
            .and_then(|document| document.base.name)
            .or_else(|| self.directory.wished_name(Kind::Namespace, namespace))
            .unwrap_or_else(|| namespace.to_string());
        let (request, inverse) = match action {
            Action::Attach => ("Add", "Remove"),
            _ => ("Remove", "Add"),
        };
        Task {
            action,
            kind: Kind::Endpoint,
            id: endpoint,
            name: wish.label(),
            origin: wish.origin.clone(),
            call: membership(request, namespace, endpoint),
            back: Vec::from([membership(inverse, namespace, endpoint)]),
            detail: alloc::format!("namespace {name}"),
        }
    }

    fn load_balancer(
        &self,
        wish: &Wish,
        id: Guid,
        exists: bool,
        tasks: &mut Vec<Task>,
    ) -> Result<(), Failure> {
        let value = self.with_ids(wish)?;
        if !exists {
            tasks.push(create(wish, id, None, value));
            return Ok(());
        }
        let there = self.state.load_balancer(id)?.document.write();
        let wanted =
            parse_value::<HostComputeLoadBalancer>(&value, &wish.origin.path)?.document.write();
        let Some(difference) = first_difference(&there, &wanted, &[]) else { return Ok(()) };
        let back = Call::new(Operation::ModifyLoadBalancer, id, &Value::Object(there));
        let call = Call::new(Operation::ModifyLoadBalancer, id, &value);
        tasks.push(Task::modify(wish, call, Vec::from([back]), difference));
        Ok(())
    }

    /// A route cannot be modified, so one that differs is made anew under its id.
    fn route(
        &self,
        wish: &Wish,
        id: Guid,
        exists: bool,
        tasks: &mut Vec<Task>,
    ) -> Result<(), Failure> {
        let value = self.with_ids(wish)?;
        if exists {
            let there = self.state.sdn_route(id)?.document.write();
            let wanted = parse_value::<HostComputeRoute>(&value, &wish.origin.path)?.document;
            let Some(difference) = first_difference(&there, &wanted.write(), &["Setting"]) else {
                return Ok(());
            };
            let back = Call::new(Operation::CreateSdnRoute, id, &Value::Object(there));
            tasks.push(Task {
                action: Action::Delete,
                kind: wish.kind,
                id,
                name: wish.label(),
                origin: wish.origin.clone(),
                call: Call::bare(Operation::DeleteSdnRoute, id),
                back: Vec::from([back]),
                detail: difference,
            });
        }
        tasks.push(create(wish, id, None, value));
        Ok(())
    }

    /// A document with ids in place of names.
    fn with_ids(&self, wish: &Wish) -> Result<Value, Failure> {
        let mut value = wish.value.clone();
        let Some(object) = value.as_object_mut() else { return Ok(value) };
        for (name, member) in object.iter_mut() {
            let path = alloc::format!("{}.{name}", wish.origin.path);
            if name.eq_ignore_ascii_case("HostComputeNetwork") && reference(wish, name).is_some() {
                *member = self.directory.resolve(Kind::Network, member, &path)?.to_string().into();
            }
            if name.eq_ignore_ascii_case("HostComputeEndpoints")
                && let Some(endpoints) = member.as_array_mut()
            {
                for (index, endpoint) in endpoints.iter_mut().enumerate() {
                    let path = alloc::format!("{path}[{index}]");
                    *endpoint =
                        self.directory.resolve(Kind::Endpoint, endpoint, &path)?.to_string().into();
                }
                once_each(endpoints);
            }
        }
        Ok(value)
    }
}

/// Leaves out what was there before: a backend named twice is one backend.
fn once_each(values: &mut Vec<Value>) {
    let mut place = 0;
    while place < values.len() {
        let (before, rest) = values.split_at(place);
        match rest.first() {
            Some(value) if before.contains(value) => drop(values.remove(place)),
            _ => place += 1,
        }
    }
}

fn create(wish: &Wish, id: Guid, network: Option<Guid>, value: Value) -> Task {
    let mut call = Call::new(create_operation(wish.kind), id, &value);
    call.network = network;
    Task {
        action: Action::Create,
        kind: wish.kind,
        id,
        name: wish.label(),
        origin: wish.origin.clone(),
        call,
        back: Vec::from([Call::bare(delete_operation(wish.kind), id)]),
        detail: String::new(),
    }
}

fn modify(wish: &Wish, call: Call, back: Vec<Call>, policies: &[&EndpointPolicy]) -> Task {
    let mut kinds: Vec<String> = policies
        .iter()
        .filter_map(|policy| policy.kind.as_ref())
        .map(|kind| kind.name().to_string())
        .collect();
    kinds.dedup();
    let detail = alloc::format!("Policies ({})", kinds.join(", "));
    Task::modify(wish, call, back, detail)
}

/// Whether the policies of one type are the same on both sides, in order.
fn same_policies(
    present: &[EndpointPolicy],
    wanted: &[EndpointPolicy],
    of: &EndpointPolicy,
) -> bool {
    let select = |policies: &[EndpointPolicy]| -> Vec<Value> {
        let same = policies.iter().filter(|policy| policy.kind == of.kind);
        same.map(|policy| Value::Object(canonical(policy))).collect()
    };
    let (there, wanted) = (select(present), select(wanted));
    there.len() == wanted.len()
        && there.iter().zip(&wanted).all(|(there, wanted)| covers(there, wanted))
}

fn policy_call(endpoint: Guid, request: &str, policies: &[&EndpointPolicy]) -> Call {
    let policies: Vec<Value> = policies.iter().map(|policy| policy.to_value()).collect();
    let document = json!({
        "ResourceType": "Policy",
        "RequestType": request,
        "Settings": { "Policies": policies },
    });
    Call::new(Operation::ModifyEndpoint, endpoint, &document)
}

fn without(value: &Value, names: &[&str]) -> Value {
    let keep = |name: &str| !names.iter().any(|other| other.eq_ignore_ascii_case(name));
    let members = value.as_object().into_iter().flatten();
    Value::Object(
        members
            .filter(|(name, _)| keep(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect::<Map<_, _>>(),
    )
}

pub(super) fn refuse_difference(wish: &Wish, difference: Option<String>) -> Result<(), Failure> {
    let Some(member) = difference else { return Ok(()) };
    let why = alloc::format!(
        "the {} '{}' exists with another {member}, which cannot be changed in place",
        wish.kind,
        wish.label()
    );
    Err(Failure::new(HResult::HCN_E_REQUEST_UNSUPPORTED, why)
        .at(alloc::format!("{}.{member}", wish.origin.path))
        .hint("take it down first (hc down), or give the new one another Name"))
}
