//! docs/compatibility.md, held to its word. Every claim of the page is read from its tables:
//!
//! - *refused*: `refused.json` has a request for the row, which fails with a code that the row names;
//! - *stored*: `stored.json` has a request for the row, whose value is in the document that a query answers;
//! - *enforced*, *chosen*, *out*, *holds*: `enforced.txt` names tests for the row, and the documents of one of them have the member or
//!   kind of policy (`showing`); for what acts on packets, that test sends some through the kernel.
//!
//! A row without its example fails, and so does an example without a row, a row for what the schema does not know, and a type,
//! member or kind of policy of the schema that has no row. (`cargo xtask tidy` also compares the page with the published members.)

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod page;
mod showing;
#[path = "../world/mod.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hostcompute_engine::{Kind, Reply, query};
use hostcompute_schema::operation::Operation;
use hostcompute_schema::{Guid, QueryShape};
use serde_json::{Value, json};

use page::{Claim, Row};
use showing::Tests;
use world::World;

/// The objects that requests can name.
const NAT: &str = "11111111-1111-1111-1111-111111111111";
const OVERLAY: &str = "22222222-2222-2222-2222-222222222222";
const PRIVATE: &str = "33333333-3333-3333-3333-333333333333";
const ENDPOINT: &str = "44444444-4444-4444-4444-444444444444";
const NAMESPACE: &str = "55555555-5555-5555-5555-555555555555";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rows() -> Vec<Row> {
    page::rows(&std::fs::read_to_string(repository().join("docs/compatibility.md")).unwrap())
}

fn examples(text: &str) -> BTreeMap<String, Value> {
    serde_json::from_str(text).unwrap()
}

/// A host with an adapter, three networks, an endpoint and a namespace.
fn world() -> World {
    let mut world = World::on_a_wire();
    world.surroundings.uplinks[0].name = "eth0".into();
    world.surroundings.addresses = vec!["192.0.2.1".parse().unwrap()];
    world.surroundings.answers = true;
    let network = |id: &str, kind: &str, prefix: &str, policies: Value| {
        json!({"ID": id, "Name": kind, "Type": kind, "Ipams": [{"Subnets": [
            {"IpAddressPrefix": prefix, "Policies": policies}]}]})
    };
    let vsid = json!([{"Type": "VSID", "Settings": {"IsolationId": 4096}}]);
    for document in [
        network(NAT, "NAT", "10.1.0.0/24", json!([])),
        network(OVERLAY, "Overlay", "10.2.0.0/24", vsid),
        network(PRIVATE, "Private", "10.3.0.0/24", json!([])),
    ] {
        world.create(Operation::CreateNetwork, document);
    }
    let endpoint = json!({"ID": ENDPOINT, "HostComputeNetwork": NAT, "Name": "e"});
    world.create(Operation::CreateEndpoint, endpoint);
    world.create(Operation::CreateNamespace, json!({"ID": NAMESPACE}));
    world
}

/// Sends what an example says: `{"call": …, "target": …, "document": …}`.
fn send(world: &mut World, example: &Value) -> Result<Reply, hostcompute_schema::Failure> {
    let symbol = example["call"].as_str().unwrap();
    let operation = Operation::ALL.iter().find(|operation| operation.symbol() == symbol);
    let operation = *operation.unwrap_or_else(|| panic!("no operation {symbol}"));
    let target = example["target"].as_str().map(|id| id.parse::<Guid>().unwrap());
    world.call(operation, target, example["document"].clone()).map(|decision| decision.reply)
}

fn claims(rows: &[Row], claim: Claim) -> BTreeMap<&str, &Row> {
    rows.iter().filter(|row| row.claims(claim)).map(|row| (row.key.as_str(), row)).collect()
}

/// Both lists name the same rows.
#[track_caller]
fn check_complete<'a>(
    rows: &BTreeMap<&str, &Row>,
    examples: impl Iterator<Item = &'a String>,
    file: &str,
) {
    let examples: BTreeSet<&str> = examples.map(String::as_str).collect();
    let lacking: Vec<_> = rows.keys().filter(|key| !examples.contains(*key)).collect();
    assert!(
        lacking.is_empty(),
        "docs/compatibility.md claims what {file} does not show: {lacking:?}"
    );
    let idle: Vec<_> = examples.iter().filter(|key| !rows.contains_key(*key)).collect();
    assert!(idle.is_empty(), "{file} shows what docs/compatibility.md does not claim: {idle:?}");
}

#[test]
fn what_the_page_calls_refused_is_refused_with_its_code() {
    let (rows, examples) = (rows(), examples(include_str!("refused.json")));
    let claims = claims(&rows, Claim::Refused);
    check_complete(&claims, examples.keys(), "refused.json");
    for (key, example) in &examples {
        let row = claims[key.as_str()];
        let several = example.as_array().cloned().unwrap_or_else(|| vec![example.clone()]);
        for example in several {
            match send(&mut world(), &example) {
                Ok(_) => panic!("line {}: {key} is said to be refused and is not", row.line),
                Err(failure) => {
                    let code = format!("0x{:08x}", failure.hresult.0);
                    assert!(
                        row.text.contains(&code),
                        "line {}: {key} is refused with {code} ({failure}), not as said: {}",
                        row.line,
                        row.text
                    );
                }
            }
        }
    }
}

#[test]
fn what_the_page_calls_stored_is_echoed() {
    let (rows, examples) = (rows(), examples(include_str!("stored.json")));
    let claims = claims(&rows, Claim::Stored);
    check_complete(&claims, examples.keys(), "stored.json");
    for (key, example) in &examples {
        let mut world = world();
        let reply = send(&mut world, example).unwrap_or_else(|failure| panic!("{key}: {failure}"));
        let id = match reply {
            Reply::Id(id) => id,
            _ => example["target"].as_str().unwrap().parse().unwrap(),
        };
        let kinds = Kind::ALL.into_iter().filter(|kind| world.state.exists(*kind, id));
        let documents: Vec<Value> = kinds
            .filter_map(|kind| query::describe(&world.state, kind, id, QueryShape::V2).ok())
            .collect();
        let [shown] = documents.as_slice() else { panic!("{key}: {documents:?}") };
        let place = example["at"].as_str().unwrap();
        let from = example["from"].as_str().unwrap_or(place);
        let given = example["document"].pointer(from);
        assert!(given.is_some(), "{key}: the request has nothing at {from}");
        assert_eq!(shown.pointer(place), given, "{key} at {place} of {shown}");
    }
}

#[test]
fn what_the_page_calls_enforced_is_shown_by_a_test() {
    let rows = rows();
    let claims = claims(&rows, Claim::Enforced);
    let tests = Tests::read(&repository().join("crates"));
    let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in include_str!("enforced.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(pattern) = words.next() else { continue };
        lines.push((pattern, words.collect()));
    }
    let fits = |pattern: &str, key: &str| match pattern.strip_suffix('*') {
        Some(stem) => key.starts_with(stem),
        None => key == pattern,
    };
    let unknown: Vec<_> = lines.iter().flat_map(|(_, named)| named).collect();
    let unknown: Vec<_> = unknown.into_iter().filter(|test| !tests.exists(test)).collect();
    assert!(unknown.is_empty(), "enforced.txt: there are no tests called {unknown:?}");
    let is_idle = |pattern: &str| !claims.keys().any(|key| fits(pattern, key));
    let idle: Vec<_> = lines.iter().filter(|(pattern, _)| is_idle(pattern)).collect();
    assert!(idle.is_empty(), "enforced.txt has lines for no row: {idle:?}");
    let mut lacking = Vec::new();
    for key in claims.keys() {
        let named: Vec<&str> = lines
            .iter()
            .filter(|(pattern, _)| fits(pattern, key))
            .flat_map(|(_, named)| named.iter().copied())
            .collect();
        // A type without members of its own is only named.
        let word = key.split_once(['.', ':']).map(|(_, word)| word);
        let showing: Vec<&str> = named
            .iter()
            .copied()
            .filter(|test| word.is_none_or(|word| tests.shows(test, word)))
            .collect();
        if showing.is_empty() {
            lacking.push(format!("{key}: none of {named:?} has it in a document"));
        } else if acts_on_packets(key) && !showing.iter().any(|test| tests.has_packets(test)) {
            lacking.push(format!("{key}: no packets go through the kernel in {showing:?}"));
        }
    }
    assert!(lacking.is_empty(), "enforced.txt does not show: {lacking:#?}");
}

/// Whether a row promises something about packets. What only chooses, names or describes is decided before there are any.
fn acts_on_packets(key: &str) -> bool {
    let decided = ["InterfaceConstraint", "L2Driver", "Iov", "PortName"];
    let kind = key.strip_prefix("EndpointPolicy:").or(key.strip_prefix("NetworkPolicy:"));
    kind.is_some_and(|kind| !decided.contains(&kind))
}

#[test]
fn the_page_speaks_of_everything_in_the_schema_and_of_nothing_else() {
    let rows = rows();
    let keys: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let known = page::known_keys();
    let strange: Vec<_> = keys.iter().filter(|key| !known.contains(**key)).collect();
    assert!(strange.is_empty(), "rows for what no schema has: {strange:?}");
    let text = std::fs::read_to_string(repository().join("docs/compatibility.md")).unwrap();
    let mut lacking = Vec::new();
    for kind in known.iter().filter(|key| key.contains(':')) {
        if !keys.contains(kind.as_str()) {
            lacking.push(kind.clone());
        }
    }
    for schema in hostcompute_schema::hcn::listing::STRUCTS {
        let members =
            schema.members.iter().map(|member| format!("{}.{}", schema.name, member.name));
        let missing: Vec<String> = members.filter(|key| !keys.contains(key.as_str())).collect();
        let has_rows = missing.len() < schema.members.len();
        let named = text.contains(&format!("`{}`", schema.name));
        if has_rows {
            lacking.extend(missing);
        } else if !named {
            lacking.push(schema.name.to_owned());
        }
    }
    assert!(lacking.is_empty(), "the page does not speak of {lacking:?}");
    let silent: Vec<_> = rows.iter().filter(|row| row.says_nothing()).collect();
    assert!(silent.is_empty(), "rows that claim nothing: {silent:?}");
}
