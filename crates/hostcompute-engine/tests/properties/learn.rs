//! What the model learns from a success: the ids, addresses and ports that the service chose, each checked against what it
//! may choose; and whether every object's document says what the model says.

use hostcompute_engine::Reply;
use hostcompute_schema::Guid;
use ipnet::IpNet;
use serde_json::Value;

use crate::command::{
    AddressWish, BalancerWish, Command, EndpointWish, Filter, How, KINDS, Kind, MacWish,
    NetworkWish, PREFIXES, Pick, Policy, Pool, STATES, VIPS,
};
use crate::detours::Route;
use crate::drive::World;
use crate::guests::GuestService;
use crate::model::{
    Balancer, Endpoint, Mode, Model, Namespace, Network, Subnet, addresses_of, subnets_of,
};
use crate::{detours, expect, guests, policies, remotes, render, sets};

type Learned = Result<(), String>;

fn ensure(condition: bool, what: impl FnOnce() -> String) -> Learned {
    if condition { Ok(()) } else { Err(what()) }
}

/// Takes a successful command into the model.
pub fn learn(world: &mut World, command: &Command, reply: Reply) -> Learned {
    match command {
        Command::CreateNetwork(wish) => {
            let id = created(reply, render::ids(Kind::Network, wish.id))?;
            network(world, wish, id)
        }
        Command::CreateNamespace(wish) if wish.kind == 2 => {
            ensure(reply == Reply::Id(world.model.host_default), || {
                format!("HostDefault is {reply:?}")
            })
        }
        Command::CreateNamespace(wish) => {
            let id = created(reply, render::ids(Kind::Namespace, wish.id))?;
            let guest = wish.kind == 3;
            let (containers, endpoints) = (vec![], vec![]);
            world.model.namespaces.push(Namespace { id, containers, endpoints, guest });
            Ok(())
        }
        Command::CreateEndpoint(wish) => {
            let id = created(reply, render::ids(Kind::Endpoint, wish.id))?;
            endpoint(world, wish, id)
        }
        Command::CreateBalancer(wish) => {
            let id = created(reply, render::ids(Kind::Balancer, wish.id))?;
            let balancer = balancer(&world.model, wish, id);
            world.model.balancers.push(balancer);
            Ok(())
        }
        Command::ModifyBalancer(pick, wish) => {
            let id = world.model.pick(Kind::Balancer, *pick);
            let changed = balancer(&world.model, wish, id);
            let place = world.model.balancers.iter().position(|balancer| balancer.id == id);
            world.model.balancers[place.ok_or("a missing load balancer was modified")?] = changed;
            Ok(())
        }
        Command::Attach(namespace, endpoint) => {
            let namespace = world.model.pick(Kind::Namespace, *namespace);
            let endpoint = world.model.pick(Kind::Endpoint, *endpoint);
            world.model.attach(namespace, endpoint);
            Ok(())
        }
        Command::Detach(_, endpoint) => {
            let endpoint = world.model.pick(Kind::Endpoint, *endpoint);
            world.model.detach(endpoint);
            Ok(())
        }
        Command::Container { namespace, number, add } => {
            let id = world.model.pick(Kind::Namespace, *namespace);
            let found = world.model.namespaces.iter_mut().find(|namespace| namespace.id == id);
            let users = &mut found.ok_or("a container entered no namespace")?.containers;
            users.retain(|user| user != number);
            users.extend(add.then_some(*number));
            Ok(())
        }
        Command::ChangePolicies { endpoint, how, policies } => {
            change_policies(world, world.model.pick(Kind::Endpoint, *endpoint), *how, policies)
        }
        Command::Delete(kind, pick) => {
            let id = world.model.pick(*kind, *pick);
            world.model.delete(*kind, id);
            Ok(())
        }
        Command::Enumerate(kind, filter) => enumerated(&world.model, *kind, *filter, &reply),
        Command::CreateRoute(wish) => {
            let id = created(reply, render::ids(Kind::Route, wish.id))?;
            let endpoints = picked(&world.model, &wish.endpoints);
            let entries = detours::entries(&world.model, &endpoints, &wish.entries);
            world.model.routes.push(Route { id, endpoints, entries });
            Ok(())
        }
        Command::CreateGuestService(wish) => {
            let id = created(reply, render::ids(Kind::GuestService, wish.id))?;
            let service = GuestService { id, flags: wish.flags, state: "Created" };
            world.model.guest_services.push(service);
            Ok(())
        }
        Command::MoveGuestService(pick, state) => {
            let id = world.model.pick(Kind::GuestService, *pick);
            let mut services = world.model.guest_services.iter_mut();
            let service = services.find(|service| service.id == id);
            service.ok_or("a missing guest network service was moved")?.state = STATES[*state];
            Ok(())
        }
        Command::Remotes { .. }
        | Command::Sets { .. }
        | Command::NetworkRules { .. }
        | Command::HostRoute { .. } => of_network(world, command),
        Command::ModifyRoute(_) => Err("a route was modified".into()),
        Command::ChangeDns(_) | Command::Open(..) | Command::Query(..) | Command::Stats(_) => {
            Ok(())
        }
        Command::Garbage { .. } => Err("garbage was accepted".into()),
    }
}

/// A change of a network's policies.
fn of_network(world: &mut World, command: &Command) -> Learned {
    match command {
        Command::Remotes { network, how, remotes } => {
            let network = modified(&mut world.model, *network)?;
            let left = remotes::combine(&network.remotes, *how, remotes);
            network.remotes = left.ok_or("a missing remote subnet was removed")?;
        }
        Command::Sets { network, how, sets } => {
            let network = modified(&mut world.model, *network)?;
            let left = sets::combine(&network.sets, *how, sets);
            network.sets = left.ok_or("the sets cannot be changed so")?;
        }
        Command::NetworkRules { network, how, rules } => {
            let network = modified(&mut world.model, *network)?;
            let left = policies::combine_rules(&network.rules, *how, rules);
            network.rules = left.ok_or("a missing rule was removed")?;
        }
        Command::HostRoute { network, add } => {
            modified(&mut world.model, *network)?.host_route = *add;
        }
        _ => {}
    }
    Ok(())
}

fn modified(model: &mut Model, pick: Pick) -> Result<&mut Network, String> {
    let id = model.pick(Kind::Network, pick);
    model.network_mut(id).ok_or("a missing network was modified".into())
}

/// The endpoints that are meant, each once.
fn picked(model: &Model, picks: &[Pick]) -> Vec<Guid> {
    let mut endpoints: Vec<Guid> = Vec::new();
    for pick in picks {
        let endpoint = model.pick(Kind::Endpoint, *pick);
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

/// The id of a new object: the parameter, else the document's, else any new one.
fn created(
    reply: Reply,
    (parameter, member): (Option<Guid>, Option<Guid>),
) -> Result<Guid, String> {
    let Reply::Id(id) = reply else { return Err(format!("creation answered {reply:?}")) };
    let wanted = parameter.or(member);
    ensure(!id.is_zero() && wanted.is_none_or(|wanted| wanted == id), || {
        format!("the object is {id}, not {wanted:?}")
    })?;
    Ok(id)
}

/// ConstrainedICS in the list of types.
const FENCED: usize = 10;

fn network(world: &mut World, wish: &NetworkWish, id: Guid) -> Learned {
    let document = world.document(Kind::Network, id)?;
    let mode = expect::mode(wish.kind).ok_or("a network of an unknown type was made")?;
    let kind = document["Type"].as_str().map(str::to_lowercase);
    let wanted = match mode {
        Mode::Nat if wish.kind == 9 => Some("ics"),
        Mode::Nat if wish.kind == FENCED => Some("constrainedics"),
        Mode::Nat => None,
        Mode::Internal => Some("internal"),
        Mode::Private => Some("private"),
        Mode::Overlay => Some("overlay"),
        Mode::Bridged => Some("l2bridge"),
        Mode::Transparent => Some("transparent"),
    };
    ensure(kind.as_deref() == wanted, || format!("the network's Type is {kind:?}"))?;
    let found = subnets_of(&document);
    let asked: Vec<&str> = wish.subnets.iter().map(|subnet| PREFIXES[subnet.prefix]).collect();
    let prefixes: Vec<String> = found.iter().map(|(prefix, _)| prefix.to_string()).collect();
    if asked.is_empty() && !matches!(mode, Mode::Private | Mode::Transparent) {
        ensure(prefixes.len() == 1, || format!("the service chose {prefixes:?}"))?;
        let foreign = crate::drive::surroundings().prefixes;
        let others = world.model.networks.iter().flat_map(Network::prefixes).chain(foreign);
        let chosen = found[0].0;
        let clash = others.into_iter().find(|net| net.contains(&chosen) || chosen.contains(net));
        ensure(clash.is_none(), || format!("{chosen} overlaps {clash:?}"))?;
    } else {
        ensure(prefixes == asked, || format!("the subnets are {prefixes:?}, not {asked:?}"))?;
    }
    let subnets = found.iter().enumerate().map(|(i, (prefix, gateway))| {
        let given = wish.subnets.get(i).and_then(render::gateway);
        Subnet { prefix: *prefix, gateway: *gateway, declared: given.is_some() }
    });
    let subnets: Vec<Subnet> = subnets.collect();
    for (subnet, wish) in subnets.iter().zip(&wish.subnets) {
        let given = render::gateway(wish);
        let found = subnet.gateway.map(|gateway| gateway.to_string());
        ensure(given.is_none() || found == given, || format!("gateway {found:?}, not {given:?}"))?;
    }
    ensure(document["MacPool"]["Ranges"][0]["StartMacAddress"].is_string(), || {
        "no MacPool".into()
    })?;
    let pool = match wish.pool {
        Pool::Small(size) => Some(size),
        _ => None,
    };
    let name = wish.name.map(render::name);
    let flags = wish.flags;
    let (remotes, host_route) = (Vec::new(), false);
    let fenced = wish.kind == FENCED;
    let (sets, rules) = (Vec::new(), Vec::new());
    world.model.networks.push(Network {
        id,
        name,
        mode,
        flags,
        subnets,
        pool,
        remotes,
        host_route,
        sets,
        rules,
        fenced,
        source_mac: render::source_mac(wish),
    });
    Ok(())
}

fn endpoint(world: &mut World, wish: &EndpointWish, id: Guid) -> Learned {
    let document = world.document(Kind::Endpoint, id)?;
    let network = world.model.pick(Kind::Network, wish.network);
    let network = world.model.network(network).ok_or("an endpoint of no network was made")?.clone();
    // Where a network has no subnet, endpoints find their addresses on the wire.
    let wild = network.mode == Mode::Transparent && network.subnets.is_empty();
    let addresses = addresses_of(&document).or_else(|| wild.then(Vec::new));
    let addresses = addresses.ok_or("the addresses cannot be read")?;
    if wish.remote.is_none() && !(wild && addresses.is_empty()) {
        chosen_addresses(&world.model, &network, wish, &addresses)?;
    }
    let mac = document["MacAddress"].as_str().unwrap_or_default().to_string();
    match render::mac(wish.mac) {
        Some(given) => ensure(mac == given, || format!("MAC {mac}, not {given}"))?,
        None => {
            let twin =
                world.model.endpoints.iter().find(|e| e.network == network.id && e.mac == mac);
            let dashed = mac.len() == 17
                && mac.bytes().all(|b| b == b'-' || b.is_ascii_digit() || b.is_ascii_uppercase());
            let pooled = network.pool.is_none() || mac.starts_with("00-15-5D-AA-00-0");
            ensure(dashed && pooled && twin.is_none(), || format!("the service chose MAC {mac}"))?;
        }
    }
    let routes = document["Routes"].as_array().cloned().unwrap_or_default();
    for address in addresses.iter().filter(|_| wish.remote.is_none()) {
        let Some(gateway) = network.gateway_of(address.addr()) else { continue };
        let leads = |route: &Value| route["NextHop"].as_str() == Some(&gateway.to_string());
        ensure(routes.iter().any(leads), || format!("no route through {gateway}: {routes:?}"))?;
    }
    let policies = match wish.remote {
        Some(_) => Vec::new(),
        None => resolve_ports(&wish.policies, &document)?,
    };
    world.model.endpoints.push(Endpoint {
        id,
        name: wish.name.map_or("Ethernet".into(), render::name),
        network: network.id,
        addresses,
        mac,
        from_pool: matches!(wish.mac, MacWish::Service),
        flags: wish.flags,
        policies,
        place: None,
        was_attached: false,
        remote: wish.remote,
    });
    Ok(())
}

/// Whether the service chose addresses that it may choose, and gave those that were asked for.
fn chosen_addresses(
    model: &Model,
    network: &Network,
    wish: &EndpointWish,
    found: &[IpNet],
) -> Learned {
    for (i, net) in found.iter().enumerate() {
        let address = net.addr();
        let twice = found[..i].iter().any(|other| other.addr() == address);
        ensure(model.may_have(network, address) && !twice, || format!("{address} may not be had"))?;
        let home = network.prefixes().into_iter().find(|prefix| prefix.contains(&address));
        let natural = home.map_or(0, |prefix| prefix.prefix_len());
        let asked = wish.addresses.get(i).copied().unwrap_or(AddressWish::Any);
        let length = match asked {
            AddressWish::AnyWithLength(length) => length,
            _ => natural,
        };
        ensure(net.prefix_len() == length, || format!("{net} should have length {length}"))?;
        if let AddressWish::Offset(..) = asked {
            let wanted = render::explicit(asked, &network.prefixes());
            ensure(address == wanted, || format!("{address}, not {wanted}"))?;
        }
    }
    let wanted = wish.addresses.len();
    if wanted == 0 {
        ensure(!found.is_empty(), || "no address was given".into())
    } else {
        ensure(found.len() == wanted, || format!("{} addresses, not {wanted}", found.len()))
    }
}

/// The policies with the ports that the service chose; everything else must be as it was said.
fn resolve_ports(wished: &[Policy], document: &Value) -> Result<Vec<Policy>, String> {
    let empty = Vec::new();
    let found = document["Policies"].as_array().unwrap_or(&empty);
    ensure(found.len() == wished.len(), || format!("policies {found:?} for {wished:?}"))?;
    let mut policies = wished.to_vec();
    for (policy, found) in policies.iter_mut().zip(found) {
        if let Policy::Mapping { external: external @ 0, .. } = policy {
            let port = found["Settings"]["ExternalPort"].as_u64().unwrap_or(0);
            *external = u16::try_from(port).unwrap_or(0);
            ensure(*external != 0, || format!("no port was chosen: {found}"))?;
        }
        let wanted = render::policy(policy);
        ensure(says(found, &wanted), || format!("policy {found}, not {wanted}"))?;
    }
    Ok(policies)
}

/// Whether a policy's document says what is wanted: no more, and defaults left out.
fn says(found: &Value, wanted: &Value) -> bool {
    found["Type"] == wanted["Type"] && said(&found["Settings"], &wanted["Settings"])
}

/// Whether two documents say the same when what is default is left out, at any depth.
fn said(found: &Value, wanted: &Value) -> bool {
    plain(found) == plain(wanted)
}

fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let lasting = |value: &Value| {
                let empty = value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(serde_json::Map::is_empty);
                !(value.is_null() || value == 0 || value == "" || value == false || empty)
            };
            let members = members.iter().map(|(name, value)| (name.clone(), plain(value)));
            members.filter(|(_, value)| lasting(value)).collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn change_policies(world: &mut World, id: Guid, how: How, asked: &[Policy]) -> Learned {
    let present = world.model.endpoint(id).ok_or("a missing endpoint was modified")?;
    if present.remote.is_some() {
        let unchanged = asked.is_empty() || how == How::Refresh;
        return ensure(unchanged, || format!("an endpoint elsewhere took {asked:?}"));
    }
    let together =
        policies::combine(&present.policies, how, asked).ok_or("a missing policy was removed")?;
    let document = world.document(Kind::Endpoint, id)?;
    let policies = resolve_ports(&together, &document)?;
    if let Some(endpoint) = world.model.endpoint_mut(id) {
        endpoint.policies = policies;
    }
    Ok(())
}

fn balancer(model: &Model, wish: &BalancerWish, id: Guid) -> Balancer {
    let endpoints = picked(model, &wish.endpoints);
    let vips = wish.vips.iter().filter_map(|which| VIPS[*which].parse().ok()).collect();
    Balancer { id, endpoints, vips, mappings: wish.mappings.clone(), extra: wish.extra }
}

/// The object that a filter speaks of.
pub fn subject(model: &Model, kind: Kind, filter: Filter) -> Guid {
    match filter {
        Filter::Id(pick) => model.pick(kind, pick),
        Filter::Network(pick, _) | Filter::NetworkAndState(pick, _) => {
            model.pick(Kind::Network, pick)
        }
        _ => Guid::default(),
    }
}

/// What enumeration with a filter lists (hcn.md 2.19); `None` where the rules do not say.
fn listed(model: &Model, kind: Kind, filter: Filter) -> Option<Vec<Guid>> {
    let about = subject(model, kind, filter);
    let endpoints = |condition: &dyn Fn(&Endpoint) -> bool| {
        let found = model.endpoints.iter().filter(|endpoint| condition(endpoint));
        Some(found.map(|endpoint| endpoint.id).collect())
    };
    let networks = |condition: &dyn Fn(&Network) -> bool| {
        let found = model.networks.iter().filter(|network| condition(network));
        Some(found.map(|network| network.id).collect())
    };
    match (filter, kind) {
        (Filter::None, _) => Some(model.ids(kind)),
        (Filter::Id(_), _) => Some(model.ids(kind).into_iter().filter(|id| *id == about).collect()),
        (Filter::Name(number), Kind::Network) => {
            networks(&|network| network.name == Some(render::name(number)))
        }
        (Filter::Name(number), Kind::Endpoint) => {
            endpoints(&|endpoint| endpoint.name == render::name(number))
        }
        (Filter::Network(..), Kind::Endpoint) => endpoints(&|endpoint| endpoint.network == about),
        (Filter::State(state), Kind::Endpoint) => {
            endpoints(&|endpoint| model.state_of(endpoint) == state)
        }
        (Filter::NameAndFlags(number, flags), Kind::Network) => {
            let name = Some(render::name(number));
            networks(&|network| network.flags == flags && network.name == name)
        }
        (Filter::NetworkAndState(_, state), Kind::Endpoint) => {
            endpoints(&|endpoint| endpoint.network == about && model.state_of(endpoint) == state)
        }
        (Filter::Flags(flags), Kind::Network) => networks(&|network| network.flags == flags),
        (Filter::Name(_) | Filter::UnknownMember | Filter::EmptyId, _) => Some(Vec::new()),
        _ => None,
    }
}

fn enumerated(model: &Model, kind: Kind, filter: Filter, reply: &Reply) -> Learned {
    let Reply::Ids(found) = reply else { return Err(format!("enumeration answered {reply:?}")) };
    let wanted = listed(model, kind, filter);
    ensure(wanted.as_ref().is_none_or(|wanted| wanted == found), || {
        format!("listed {found:?}, not {wanted:?}")
    })
}

/// Whether every object is listed and its document says what the model says.
pub fn compare_documents(world: &mut World) -> Learned {
    for kind in KINDS {
        let (found, wanted) = (world.list(kind, "")?, world.model.ids(kind));
        ensure(found == wanted, || format!("{kind:?}: listed {found:?}, not {wanted:?}"))?;
        for id in wanted {
            let document = world.document(kind, id)?;
            ensure(document["ID"] == id.to_string(), || format!("ID is {}", document["ID"]))?;
            ensure(document.get("Error").is_none(), || "a member named Error".into())?;
            match kind {
                Kind::Network => compare_network(&world.model, id, &document)?,
                Kind::Namespace => compare_namespace(&world.model, id, &document)?,
                Kind::Endpoint => compare_endpoint(&world.model, id, &document)?,
                Kind::Balancer => compare_balancer(&world.model, id, &document)?,
                Kind::Route => compare_route(&world.model, id, &document)?,
                Kind::GuestService => guests::compare(&world.model, id, &document)?,
            }
        }
    }
    Ok(())
}

fn compare_network(model: &Model, id: Guid, document: &Value) -> Learned {
    let network = model.network(id).ok_or("no such network")?;
    let flags = document["Flags"].as_u64().unwrap_or(0);
    ensure(flags == u64::from(network.flags), || format!("Flags {flags}"))?;
    let name = document["Name"].as_str();
    ensure(network.name.is_none() || name == network.name.as_deref(), || format!("Name {name:?}"))?;
    let said = |kind: &str| -> Vec<Value> {
        let policies = document["Policies"].as_array().into_iter().flatten();
        policies.filter(|policy| policy["Type"] == kind).cloned().collect()
    };
    let same = |found: &[Value], wanted: &[Value]| {
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| says(a, b))
    };
    let rules: Vec<Value> = network.rules.iter().map(render::network_rule).collect();
    let found = said("NetworkACL");
    ensure(same(&found, &rules), || format!("rules {found:?}, not {rules:?}"))?;
    let sets: Vec<Value> = network.sets.iter().map(sets::policy_of).collect();
    let found = said("SetPolicy");
    ensure(same(&found, &sets), || format!("sets {found:?}, not {sets:?}"))?;
    let found = said("RemoteSubnetRoute").len();
    ensure(found == network.remotes.len(), || format!("{found} remote subnets"))?;
    let subnets: Vec<IpNet> = subnets_of(document).into_iter().map(|(prefix, _)| prefix).collect();
    ensure(subnets == network.prefixes(), || format!("subnets {subnets:?}"))
}

fn compare_namespace(model: &Model, id: Guid, document: &Value) -> Learned {
    let resources = document["Resources"].as_array().cloned().unwrap_or_default();
    let of_kind = |kind: &str| -> Vec<String> {
        let found = resources.iter().filter(|resource| resource["Type"] == kind);
        found.filter_map(|resource| resource["Data"]["Id"].as_str().map(String::from)).collect()
    };
    let endpoints: Vec<String> = model.residents(id).iter().map(Guid::to_upper).collect();
    let found = of_kind("Endpoint");
    ensure(found == endpoints, || format!("namespace {id} holds {found:?}, not {endpoints:?}"))?;
    let mut containers = of_kind("Container");
    let users = model.namespace(id).map_or(&[][..], |namespace| &namespace.containers);
    let mut wanted: Vec<String> = users.iter().map(|number| format!("c{number}")).collect();
    containers.sort();
    wanted.sort();
    ensure(containers == wanted, || format!("containers {containers:?}, not {wanted:?}"))?;
    let kind = document["Type"].as_str().unwrap_or("Host");
    let guest = model.namespace(id).is_some_and(|namespace| namespace.guest);
    let wanted = match (id == model.host_default, guest) {
        (true, _) => "HostDefault",
        (false, true) => "Guest",
        (false, false) => "Host",
    };
    ensure(kind == wanted, || format!("namespace {id} has Type {kind}"))
}

fn compare_endpoint(model: &Model, id: Guid, document: &Value) -> Learned {
    let endpoint = model.endpoint(id).ok_or("no such endpoint")?;
    let state = document["State"].as_u64();
    let wanted = u64::from(model.state_of(endpoint));
    ensure(state == Some(wanted), || format!("endpoint {id} has State {state:?}, not {wanted}"))?;
    let place = document["HostComputeNamespace"].as_str().map(String::from);
    let wanted = endpoint.place.map(|place| place.to_string());
    ensure(place == wanted, || format!("endpoint {id} is in {place:?}, not {wanted:?}"))?;
    let network = document["HostComputeNetwork"].as_str() == Some(&endpoint.network.to_string());
    let name = document["Name"] == endpoint.name.as_str();
    let mac = document["MacAddress"] == endpoint.mac.as_str();
    ensure(network && name && mac, || format!("endpoint {id} reads {document}"))?;
    let addresses = addresses_of(document);
    let same = addresses.as_deref().unwrap_or_default() == endpoint.addresses;
    ensure(same, || format!("addresses {addresses:?}"))?;
    match endpoint.remote {
        Some(host) => {
            let wanted = serde_json::json!([render::provider_policy(host)]);
            ensure(document["Policies"] == wanted, || format!("policies {}", document["Policies"]))
        }
        None => resolve_ports(&endpoint.policies, document).map(drop),
    }
}

fn compare_route(model: &Model, id: Guid, document: &Value) -> Learned {
    let route = model.routes.iter().find(|other| other.id == id).ok_or("no such route")?;
    let found = document["HostComputeEndpoints"].as_array().into_iter().flatten();
    let found: Vec<&str> = found.filter_map(Value::as_str).collect();
    let wanted: Vec<String> = route.endpoints.iter().map(Guid::to_upper).collect();
    ensure(found == wanted, || format!("route {id} has {found:?}, not {wanted:?}"))?;
    // Under both names by which it is known (hcn.md 2.18).
    for name in ["Routes", "Setting"] {
        let found = document[name].as_array().cloned().unwrap_or_default();
        let wanted: Vec<Value> =
            route.entries.iter().map(|(entry, _)| detours::settings(entry)).collect();
        let same = found.len() == wanted.len()
            && found.iter().zip(&wanted).all(|(found, wanted)| said(found, wanted));
        ensure(same, || format!("route {id} reads {found:?}, not {wanted:?}"))?;
    }
    Ok(())
}

fn compare_balancer(model: &Model, id: Guid, document: &Value) -> Learned {
    let balancer = model.balancers.iter().find(|other| other.id == id).ok_or("no such balancer")?;
    let mut found: Vec<&str> = Vec::new();
    for id in document["HostComputeEndpoints"].as_array().into_iter().flatten() {
        let id = id.as_str().unwrap_or_default();
        if !found.contains(&id) {
            found.push(id);
        }
    }
    let wanted: Vec<String> = balancer.endpoints.iter().map(Guid::to_string).collect();
    ensure(found == wanted, || format!("load balancer {id} has {found:?}, not {wanted:?}"))?;
    let mappings = document["PortMappings"].as_array().map_or(0, Vec::len);
    ensure(mappings == balancer.mappings.len(), || format!("{mappings} port mappings"))
}
