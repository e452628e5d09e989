//! A document of every type, made from the schema's own tables: no type is forgotten, and new ones are fuzzed at once.

use hostcompute_schema::schema::{EnumSchema, Kind, MapKey, MemberSchema, StructSchema, Wire};
use serde_json::{Map, Value, json};

/// How deep types may be nested in each other before members are left out.
const DEEPEST: usize = 5;

/// One document of each type, with every member given.
pub fn documents(types: &[&StructSchema]) -> Vec<String> {
    types.iter().map(|schema| document(schema, 0).to_string()).collect()
}

fn document(schema: &StructSchema, depth: usize) -> Value {
    let given = |member: &'static MemberSchema| {
        let value = value(&member.kind, member.name, depth + 1)?;
        Some((member.name.to_string(), value))
    };
    Value::Object(schema.all_members().filter_map(given).collect::<Map<_, _>>())
}

fn value(kind: &Kind, name: &str, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    Some(match kind {
        Kind::Bool => json!(true),
        Kind::Unsigned(bits) => json!(1_u64 << (bits - 1)),
        Kind::Text => text(name),
        Kind::Guid => json!("0f8fad5b-d9cb-469f-a165-70867728950e"),
        Kind::Signed(_) => json!(-1),
        Kind::Float => json!(0.5),
        Kind::Mac => json!("00-15-5D-01-02-03"),
        Kind::Time => json!("2026-01-31T12:00:00Z"),
        Kind::Bytes => json!("AAEC"),
        Kind::Any => json!({"Id": "0f8fad5b-d9cb-469f-a165-70867728950e"}),
        Kind::List(item) => Value::Array(value(item, name, depth).into_iter().collect()),
        Kind::Enum(values) => choice(values)?,
        Kind::Pair(item) => {
            let item = value(item, name, depth)?;
            json!([item, item])
        }
        Kind::Map(key, item) => {
            let key = match key {
                MapKey::Text => "primary",
                MapKey::Number(_) => "1",
                MapKey::Guid => "0f8fad5b-d9cb-469f-a165-70867728950e",
            };
            value(item, name, depth).map_or(json!({}), |item| json!({ key: item }))
        }
        Kind::Struct(schema) => document(schema, depth),
        Kind::Nested(schema) => document(schema(), depth),
    })
}

/// A text that the member's name suggests.
fn text(name: &str) -> Value {
    let name = name.to_ascii_lowercase();
    let hints = [
        ("prefix", "10.0.0.0/24"),
        ("mac", "00-15-5D-01-02-03"),
        ("ports", "80,443-445"),
        ("protocols", "6,17"),
        ("addresses", "10.0.0.0/24,10.1.0.1"),
        ("exceptions", "10.0.0.0/8"),
        ("filter", "{\"Name\":\"n\"}"),
        ("vip", "10.0.0.9"),
        ("address", "10.0.0.2"),
        ("hop", "10.0.0.1"),
        ("ip", "10.0.0.2"),
    ];
    let hint = hints.iter().find(|(part, _)| name.contains(part));
    json!(hint.map_or("n", |(_, text)| *text))
}

fn choice(values: &EnumSchema) -> Option<Value> {
    let last = values.values.last()?;
    Some(match values.wire {
        Wire::Name | Wire::NameOrBlank => json!(last.name),
        Wire::Number | Wire::Flags => last.number.map_or(json!(last.name), |number| json!(number)),
    })
}
