//! What must be done so that a network has the policies that a file asks for.
//!
//! Those that are not there are added. One that is there under the same name with other content (a set by its Id, a rule by its Id, a
//! route by its prefix) becomes what the file says. What the file does not name stays: the service adds policies of its own, and other
//! programs tell a network what is behind other hosts.

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::operation::Operation;
use hostcompute_schema::{
    Document, Failure, Guid, L4ProxyPolicySetting, NetworkAclPolicySetting, NetworkPolicy,
    NetworkPolicyType, RemoteSubnetRoutePolicySetting, SetPolicySetting, parse_value,
};
use serde_json::{Map, Value, json};

use super::cover::covers;
use super::up::refuse_difference;
use super::{Call, Task, Wish};
use crate::network::policy::of_network::is_modifiable;

/// # Errors
/// HCN_E_REQUEST_UNSUPPORTED for a policy that is fixed for the network's life.
pub(super) fn of_network(
    wish: &Wish,
    id: Guid,
    there: &[NetworkPolicy],
    wanted: &[NetworkPolicy],
) -> Result<Vec<Task>, Failure> {
    let there: Vec<Known> = there.iter().map(Known::new).collect();
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for (place, policy) in wanted.iter().enumerate() {
        let known = Known::new(policy);
        if there.iter().any(|other| covers(&other.value, &known.value)) {
            continue;
        }
        if !policy.kind.as_ref().is_some_and(is_modifiable) {
            refuse_difference(wish, Some(alloc::format!("Policies[{place}]")))?;
        }
        let named = known.name.is_some();
        match there.iter().any(|other| named && known.is_named_as(other)) {
            true => changed.push(known),
            false => added.push(known),
        }
    }
    let mut tasks = Vec::new();
    // Rules and routes are exchanged all at once, with those that come.
    let whole = |one: &Known| {
        one.kind != Some(NetworkPolicyType::SetPolicy)
            && changed.iter().any(|other| other.kind == one.kind)
    };
    let (with_changed, alone): (Vec<_>, Vec<_>) = added.into_iter().partition(whole);
    if !alone.is_empty() {
        let (call, back) = (request(id, "Add", &alone), request(id, "Remove", &alone));
        let detail = alloc::format!("Policies ({} more)", alone.len());
        tasks.push(Task::modify(wish, call, Vec::from([back]), detail));
    }
    if !changed.is_empty() {
        let detail = alloc::format!("Policies ({} others)", changed.len());
        let before: Vec<Known> =
            there.iter().filter(|one| one.belongs_to(&changed)).cloned().collect();
        let mut after = before.clone();
        for one in changed {
            let place = after.iter_mut().find(|other| one.is_named_as(other));
            if let Some(place) = place {
                *place = one;
            }
        }
        after.extend(with_changed);
        let (call, back) = (request(id, "Update", &after), request(id, "Update", &before));
        tasks.push(Task::modify(wish, call, Vec::from([back]), detail));
    }
    Ok(tasks)
}

/// A policy, by what it is known.
#[derive(Debug, Clone)]
struct Known {
    kind: Option<NetworkPolicyType>,
    /// What tells it from others of its kind, where anything does.
    name: Option<String>,
    /// In normal form.
    value: Value,
}

impl Known {
    fn new(policy: &NetworkPolicy) -> Self {
        use NetworkPolicyType as Type;
        let given = policy.settings.clone().unwrap_or(Value::Object(Map::new()));
        let (settings, name) = match &policy.kind {
            Some(Type::SetPolicy) => normal(&given, |it: &SetPolicySetting| it.id.clone()),
            Some(Type::NetworkACL) => normal(&given, |it: &NetworkAclPolicySetting| it.id.clone()),
            Some(Type::RemoteSubnetRoute) => {
                let prefix = |it: &RemoteSubnetRoutePolicySetting| it.destination_prefix.clone();
                normal(&given, prefix)
            }
            Some(Type::L4Proxy) => normal(&given, |_: &L4ProxyPolicySetting| None),
            _ => (None, None),
        };
        let policy = NetworkPolicy { settings: settings.or(Some(given)), ..policy.clone() };
        let name = name.filter(|name| !name.is_empty());
        Self { kind: policy.kind.clone(), name, value: policy.to_value() }
    }

    fn is_named_as(&self, other: &Known) -> bool {
        (&self.kind, &self.name) == (&other.kind, &other.name)
    }

    /// Whether an Update that changes these must repeat it: Update replaces one set, but all policies of other kinds.
    fn belongs_to(&self, changed: &[Known]) -> bool {
        changed.iter().any(|one| match one.kind {
            Some(NetworkPolicyType::SetPolicy) => self.is_named_as(one),
            _ => self.kind == one.kind,
        })
    }
}

/// Settings as the service keeps them, and their name; nothing where they cannot be read: the request will say why.
fn normal<T: Document>(
    given: &Value,
    name: impl FnOnce(&T) -> Option<String>,
) -> (Option<Value>, Option<String>) {
    match parse_value::<T>(given, "") {
        Ok(parsed) => (Some(Value::Object(parsed.document.write())), name(&parsed.document)),
        Err(_) => (None, None),
    }
}

fn request(id: Guid, how: &str, policies: &[Known]) -> Call {
    let policies: Vec<&Value> = policies.iter().map(|policy| &policy.value).collect();
    let settings = json!({"Policies": policies});
    let document = json!({"ResourceType": "Policy", "RequestType": how, "Settings": settings});
    Call::new(Operation::ModifyNetwork, id, &document)
}
