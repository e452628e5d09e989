//! Whether what is there says at least what a file says.
//!
//! Both sides are documents in their normal form. Every member that the file gives must be there with an equal value; members that
//! the file leaves out may hold anything. Lists are compared place by place. Texts that spell one identifier, address, prefix or
//! MAC address in two ways are equal.

use alloc::string::String;
use core::net::IpAddr;

use hostcompute_schema::Guid;
use ipnet::IpNet;
use serde_json::{Map, Value};

use super::read::member;
use crate::mac::Mac;

/// Members that identify or describe an object and are no part of what it is to be.
const NOT_COMPARED: [&str; 6] = ["ID", "SchemaVersion", "Version", "Health", "State", "Telemetry"];

/// The first member (as a path) in which `there` falls short of `wanted`, leaving out `apart`, which is compared elsewhere.
pub(super) fn first_difference(
    there: &Map<String, Value>,
    wanted: &Map<String, Value>,
    apart: &[&str],
) -> Option<String> {
    wanted.iter().find_map(|(name, value)| {
        let skipped = |list: &[&str]| list.iter().any(|other| other.eq_ignore_ascii_case(name));
        if skipped(&NOT_COMPARED) || skipped(apart) {
            return None;
        }
        member_differs(there, name, value)
    })
}

/// Where a member falls short. The service adds the gateway's route to routes that name none, so their order says nothing.
fn member_differs(there: &Map<String, Value>, name: &str, wanted: &Value) -> Option<String> {
    // Members that no schema knows may differ in case only.
    let inner = match there.get(name).or_else(|| member(there, name)) {
        Some(Value::Array(there)) if name.eq_ignore_ascii_case("Routes") => lacks(there, wanted),
        there => differs(there, wanted),
    };
    inner.map(|inner| join(name, &inner))
}

/// Which of the wanted items is nowhere in a list to which the service may have added some.
fn lacks(there: &[Value], wanted: &Value) -> Option<String> {
    let wanted = wanted.as_array()?;
    let place = wanted.iter().position(|item| !there.iter().any(|other| covers(other, item)))?;
    Some(alloc::format!("[{place}]"))
}

/// Where a value falls short: `Some("")` for the value itself, else the path below it.
fn differs(there: Option<&Value>, wanted: &Value) -> Option<String> {
    match (there, wanted) {
        (None, wanted) if is_blank(wanted) => None,
        (None, _) => Some(String::new()),
        (Some(Value::Object(there)), Value::Object(wanted)) => {
            wanted.iter().find_map(|(name, value)| {
                if name.eq_ignore_ascii_case("ID") && member(there, name).is_none() {
                    return Some(name.clone());
                }
                member_differs(there, name, value)
            })
        }
        (Some(Value::Array(there)), Value::Array(wanted)) => {
            if there.len() != wanted.len() {
                return Some(String::new());
            }
            there.iter().zip(wanted).enumerate().find_map(|(index, (there, wanted))| {
                differs(Some(there), wanted).map(|inner| join(&alloc::format!("[{index}]"), &inner))
            })
        }
        (Some(Value::String(there)), Value::String(wanted)) => {
            (!same_text(there, wanted)).then(String::new)
        }
        (Some(there), wanted) => (there != wanted).then(String::new),
    }
}

/// Whether a value means the same as leaving its member out.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_blank),
    }
}

fn same_text(a: &str, b: &str) -> bool {
    fn as_one<T: core::str::FromStr + PartialEq>(a: &str, b: &str) -> bool {
        matches!((a.parse::<T>(), b.parse::<T>()), (Ok(a), Ok(b)) if a == b)
    }
    a == b
        || as_one::<Guid>(a, b)
        || as_one::<IpAddr>(a, b)
        || as_one::<IpNet>(a, b)
        || as_one::<Mac>(a, b)
}

/// Whether two whole values say the same.
pub(super) fn covers(there: &Value, wanted: &Value) -> bool {
    differs(Some(there), wanted).is_none()
}

fn join(outer: &str, inner: &str) -> String {
    match inner {
        "" => outer.into(),
        inner if inner.starts_with('[') => [outer, inner].concat(),
        inner => [outer, ".", inner].concat(),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(there: Value, wanted: Value, expected: Option<&str>) {
        let (Value::Object(there), Value::Object(wanted)) = (there, wanted) else {
            panic!("objects")
        };
        assert_eq!(first_difference(&there, &wanted, &["Policies"]).as_deref(), expected);
    }

    #[test]
    fn what_is_left_out_is_not_compared() {
        check(json!({ "Name": "a", "Flags": 8 }), json!({ "Name": "a" }), None);
        check(json!({ "Name": "a" }), json!({ "Name": "b" }), Some("Name"));
        check(json!({ "ID": "x" }), json!({ "ID": "y", "Policies": [1], "State": 3 }), None);
        check(json!({}), json!({ "Flags": 0, "Dns": { "Search": [] } }), None);
    }

    #[test]
    fn a_difference_is_named_by_its_path() {
        let there =
            json!({ "Ipams": [{ "Subnets": [{ "IpAddressPrefix": "10.0.0.0/24", "ID": "1" }] }] });
        let wanted =
            |prefix: &str| json!({ "Ipams": [{ "Subnets": [{ "IpAddressPrefix": prefix }] }] });
        check(there.clone(), wanted("10.0.0.0/24"), None);
        check(there.clone(), wanted("10.0.1.0/24"), Some("Ipams[0].Subnets[0].IpAddressPrefix"));
        check(there, json!({ "Ipams": [] }), Some("Ipams"));
    }

    #[test]
    fn spellings_of_one_thing_are_equal() {
        check(
            json!({ "MacAddress": "00-15-5D-00-00-01" }),
            json!({ "macaddress": "00:15:5d:00:00:01" }),
            None,
        );
        check(json!({ "A": "fd00::1" }), json!({ "A": "fd00:0::1" }), None);
        check(json!({ "A": "name" }), json!({ "A": "Name" }), Some("A"));
    }
}
