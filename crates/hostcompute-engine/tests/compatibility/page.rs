//! Reading docs/compatibility.md: each row of its tables is a key (`Type.Member`, `NetworkPolicy:Kind`, `EndpointPolicy:Kind`, or a type)
//! and what is claimed of it.

use std::collections::BTreeSet;

use hostcompute_schema::hcn::listing;

/// What a row says, as far as a program can hold it to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Refused,
    Stored,
    Enforced,
}

/// A row about one thing.
#[derive(Debug, Clone)]
pub struct Row {
    pub key: String,
    pub line: usize,
    pub text: String,
    /// The cell that says the state.
    state: String,
}

impl Row {
    pub fn claims(&self, claim: Claim) -> bool {
        // Policies are rows of their own.
        if self.text.contains("| see below |") {
            return false;
        }
        let words = match claim {
            Claim::Refused => ["refused"].as_slice(),
            Claim::Stored => &["stored"],
            Claim::Enforced => &["enforced", "chosen", "out", "holds", "hold"],
        };
        let mut said = self.state.split(|c: char| !c.is_alphanumeric());
        said.any(|word| words.contains(&word))
    }

    pub fn says_nothing(&self) -> bool {
        let all = [Claim::Refused, Claim::Stored, Claim::Enforced];
        let exempt = ["see below", "schema only", "0x"];
        !all.iter().any(|claim| self.claims(*claim))
            && !exempt.iter().any(|word| self.text.contains(word))
    }
}

/// Where a table stands, and what its columns are.
#[derive(Default)]
struct Place {
    section: String,
    /// Types that the heading names.
    types: Vec<String>,
    columns: Vec<String>,
    /// The type of the row before, where rows leave it out.
    settings: String,
}

/// All rows about types, members and kinds of policies.
pub fn rows(page: &str) -> Vec<Row> {
    let mut place = Place::default();
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(page.lines()) {
        if text.starts_with('#') {
            let types = if text.starts_with("### ") { quoted(text) } else { Vec::new() };
            let section = text.trim_start_matches('#').trim().to_owned();
            place = Place { section, types, ..Place::default() };
            continue;
        }
        let Some(inner) = text.strip_prefix('|').and_then(|text| text.trim_end().strip_suffix('|'))
        else {
            place.columns.clear();
            continue;
        };
        let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
        if place.columns.is_empty() {
            place.columns = cells;
        } else if !cells.iter().all(|cell| cell.chars().all(|c| c == '-')) {
            let state = place.columns.iter().position(|column| column == "state");
            let state = state.and_then(|column| cells.get(column)).cloned().unwrap_or_default();
            for key in keys(&mut place, &cells) {
                rows.push(Row { key, line, text: text.to_owned(), state: state.clone() });
            }
        }
    }
    rows
}

fn keys(place: &mut Place, cells: &[String]) -> Vec<String> {
    let first = cells.first().cloned().unwrap_or_default();
    match place.columns.first().map(String::as_str) {
        Some("member") => {
            let of = |member: String| {
                let has = |name: &&String| has_member(name, &member);
                let types: Vec<&String> = place.types.iter().filter(has).collect();
                match types.is_empty() {
                    true => vec![format!("{}.{member}", place.section)],
                    false => types.iter().map(|name| format!("{name}.{member}")).collect(),
                }
            };
            quoted(&first).into_iter().flat_map(of).collect()
        }
        Some("settings") => {
            if let Some(name) = quoted(&first).into_iter().next() {
                place.settings = name;
            }
            let members = quoted(cells.get(1).map_or("", String::as_str));
            let of_type = |member: &String| format!("{}.{member}", place.settings);
            match members.is_empty() {
                true => vec![place.settings.clone()],
                false => members.iter().map(of_type).collect(),
            }
        }
        Some("type") => {
            let prefix = match place.section.as_str() {
                "Network policies" => "NetworkPolicy:",
                "Endpoint policies" => "EndpointPolicy:",
                _ => return quoted(&first),
            };
            let plain = first.split('(').next().unwrap_or_default();
            plain.split(',').map(|name| format!("{prefix}{}", name.trim())).collect()
        }
        _ => Vec::new(),
    }
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn has_member(name: &str, member: &str) -> bool {
    let types = listing::STRUCTS.iter().filter(|schema| schema.name == name);
    types.flat_map(|schema| schema.members).any(|known| known.name == member)
}

/// Every key that a row may have.
pub fn known_keys() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for schema in listing::STRUCTS {
        known.insert(schema.name.to_owned());
        known.extend(schema.all_members().map(|m| format!("{}.{}", schema.name, m.name)));
    }
    for (name, prefix) in
        [("NetworkPolicyType", "NetworkPolicy:"), ("EndpointPolicyType", "EndpointPolicy:")]
    {
        let kinds = listing::ENUMS.iter().filter(|kinds| kinds.name == name);
        known.extend(kinds.flat_map(|kinds| kinds.values).map(|v| format!("{prefix}{}", v.name)));
    }
    known
}
