//! What must be done so that nothing the files name is there any more, and nothing else is touched.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::{Failure, Guid, HResult};

use super::refer::{Directory, network_of};
use super::{Action, Call, Refusal, Source, Task, Wish, Wishes, delete_operation};
use crate::network::namespace::HOST_DEFAULT;
use crate::object::Kind;
use crate::state::State;

/// The tasks that delete what the files name, dependents first; what is gone already needs none.
///
/// # Errors
/// HCN_E_ENTITY_HAS_REFERENCES when an object that the files do not name would go, or change, with one that they do.
pub fn down(wishes: &Wishes, sources: &[Source<'_>], state: &State) -> Result<Vec<Task>, Refusal> {
    let mut directory = Directory::new(state);
    let mut doomed: Vec<(&Wish, Guid)> = Vec::new();
    for wish in &wishes.objects {
        if let Some(id) =
            existing(wish, &directory).map_err(|failure| locate(wish, failure, sources))?
        {
            directory.announce(wish, id);
            if id != HOST_DEFAULT {
                doomed.push((wish, id));
            }
        }
    }
    let named: BTreeSet<(Kind, Guid)> = doomed.iter().map(|(wish, id)| (wish.kind, *id)).collect();
    for (wish, id) in &doomed {
        refuse_bystanders(wish, *id, state, &named)
            .map_err(|failure| locate(wish, failure, sources))?;
    }
    Ok(doomed.into_iter().rev().map(|(wish, id)| delete(wish, id)).collect())
}

fn locate(wish: &Wish, failure: Failure, sources: &[Source<'_>]) -> Refusal {
    let text = sources.get(wish.origin.source).map_or("", |source| source.text);
    Refusal { source: wish.origin.source, failure: failure.in_document(text) }
}

fn existing(wish: &Wish, directory: &Directory<'_>) -> Result<Option<Guid>, Failure> {
    let network = match wish.kind {
        // An endpoint of a network that is gone went with it.
        Kind::Endpoint => match network_of(wish, directory) {
            Err(failure) if failure.is_not_found() => return Ok(None),
            network => network?,
        },
        _ => None,
    };
    directory.existing(wish, network)
}

/// Deleting takes along what depends on an object: all of that must be named, too.
fn refuse_bystanders(
    wish: &Wish,
    id: Guid,
    state: &State,
    named: &BTreeSet<(Kind, Guid)>,
) -> Result<(), Failure> {
    let refuse = |kind: Kind, id: Guid, name: Option<&String>| {
        let who = name.map_or_else(|| alloc::format!("{id}"), Clone::clone);
        let why = alloc::format!(
            "the {} '{}' is in use by the {kind} '{who}', which the file does not name",
            wish.kind,
            wish.label()
        );
        Err(Failure::new(HResult::HCN_E_ENTITY_HAS_REFERENCES, why)
            .at(wish.origin.path.clone())
            .hint(alloc::format!("delete it first: hc {} delete {id}", kind.as_str())))
    };
    let endpoints: Vec<_> = match wish.kind {
        Kind::Network => state.members(id).collect(),
        Kind::Namespace => state.attached(id).collect(),
        Kind::Endpoint
        | Kind::LoadBalancer
        | Kind::Set
        | Kind::RemoteSubnet
        | Kind::SdnRoute
        | Kind::GuestService => Vec::new(),
    };
    for endpoint in endpoints {
        if !named.contains(&(Kind::Endpoint, endpoint.id)) {
            return refuse(Kind::Endpoint, endpoint.id, endpoint.document.base.name.as_ref());
        }
    }
    if wish.kind == Kind::Endpoint {
        for balancer in state.balancers_of(id) {
            if !named.contains(&(Kind::LoadBalancer, balancer)) {
                let balancer = state.load_balancer(balancer)?;
                return refuse(
                    Kind::LoadBalancer,
                    balancer.id,
                    balancer.document.base.name.as_ref(),
                );
            }
        }
        for route in state.routes_of(id) {
            if !named.contains(&(Kind::SdnRoute, route.id)) {
                return refuse(Kind::SdnRoute, route.id, route.document.base.name.as_ref());
            }
        }
    }
    Ok(())
}

fn delete(wish: &Wish, id: Guid) -> Task {
    Task {
        action: Action::Delete,
        kind: wish.kind,
        id,
        name: wish.label(),
        origin: wish.origin.clone(),
        call: Call::bare(delete_operation(wish.kind), id),
        back: Vec::new(),
        detail: String::new(),
    }
}
