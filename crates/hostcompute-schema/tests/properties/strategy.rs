//! Documents drawn from the tables, and JSON drawn from anywhere.

use hostcompute_schema::schema::{
    EnumSchema, Kind, MapKey, MemberSchema, Print, StructSchema, Wire,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Whether values that mean the same as leaving the member out are drawn too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Defaults {
    Drawn,
    Avoided,
    /// They are, and names and values are those of the schema, letter by letter.
    Exact,
}

/// A document of this type: any members, in any order; where names are compared leniently, under
/// any of their names, in any case.
pub fn document(schema: &'static StructSchema, defaults: Defaults) -> BoxedStrategy<Value> {
    let members: Vec<&'static MemberSchema> = schema.all_members().collect();
    if members.is_empty() {
        return Just(json!({})).boxed();
    }
    let most = members.len().min(8);
    let lenient = defaults != Defaults::Exact;
    let member = select(members).prop_flat_map(move |member| {
        let names: Vec<&str> =
            std::iter::once(member.name).chain(member.aliases.iter().copied()).collect();
        let given = member.print == Print::Given;
        let name = (select(names), 0..3_u8)
            .prop_map(move |(name, case)| spelled(name, if lenient { case } else { u8::MAX }));
        (name, value(&member.kind, defaults, given))
    });
    vec(member, 0..=most)
        .prop_map(|members| {
            let mut object = Map::new();
            for (name, value) in members {
                // One spelling of each member: which of several counts is tested elsewhere.
                if !object.keys().any(|key: &String| key.eq_ignore_ascii_case(&name)) {
                    object.insert(name, value);
                }
            }
            Value::Object(object)
        })
        .boxed()
}

fn spelled(name: &str, case: u8) -> String {
    match case {
        0 => name.to_ascii_lowercase(),
        1 => name.to_ascii_uppercase(),
        _ => name.to_owned(),
    }
}

fn value(kind: &Kind, defaults: Defaults, given: bool) -> BoxedStrategy<Value> {
    let least = u64::from(defaults == Defaults::Avoided && !given);
    let texts = if least == 0 { "[ -~é]{0,6}" } else { "[ -~é]{1,6}" };
    match *kind {
        Kind::Bool if least == 0 => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Bool => Just(Value::Bool(true)).boxed(),
        Kind::Unsigned(64) => (least..=u64::MAX).prop_map(Value::from).boxed(),
        Kind::Unsigned(bits) => (least..1_u64 << bits).prop_map(Value::from).boxed(),
        Kind::Text => texts.prop_map(Value::from).boxed(),
        Kind::Signed(32) => any::<i32>().prop_map(Value::from).boxed(),
        Kind::Signed(_) => any::<i64>().prop_map(Value::from).boxed(),
        Kind::Float => (-1e6..1e6).prop_map(Value::from).boxed(),
        Kind::Mac => {
            select(vec!["00-15-5D-01-02-03", "00:15:5d:0a:0B:0c"]).prop_map(Value::from).boxed()
        }
        Kind::Time => select(vec!["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.1234567+01:00"])
            .prop_map(Value::from)
            .boxed(),
        Kind::Guid => guid(defaults),
        Kind::Bytes => select(vec!["QQ==", "QUI=", "QUJD"]).prop_map(Value::from).boxed(),
        Kind::Any => raw(2).prop_filter("null is absent", |value| !value.is_null()).boxed(),
        Kind::List(element) => vec(value(element, defaults, given), usize::from(least == 1)..3)
            .prop_map(Value::Array)
            .boxed(),
        Kind::Enum(schema) if defaults == Defaults::Exact => {
            let names: Vec<&str> = schema.values.iter().map(|value| value.name).collect();
            select(names).prop_map(Value::from).boxed()
        }
        Kind::Enum(schema) => enumeration(schema, least == 1),
        Kind::Pair(element) => {
            vec(value(element, defaults, given), 2).prop_map(Value::Array).boxed()
        }
        Kind::Map(key, element) => map(key, value(element, defaults, given)),
        Kind::Struct(schema) => document(schema, defaults),
        // Deep enough: types that hold themselves would be drawn without an end.
        Kind::Nested(_) => Just(json!({})).boxed(),
    }
}

fn map(key: MapKey, value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let keys = match key {
        MapKey::Text => vec!["", "a", "primary", "é.[0]"],
        MapKey::Number(_) => vec!["0", "1", "10", "255"],
        MapKey::Guid => {
            vec!["00000000-0000-0000-0000-000000000000", "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc"]
        }
    };
    vec((select(keys), value), 0..3)
        .prop_map(|entries| entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
        .prop_map(Value::Object)
        .boxed()
}

fn guid(defaults: Defaults) -> BoxedStrategy<Value> {
    let least = u128::from(defaults == Defaults::Avoided);
    let guid = (least..u128::MAX)
        .prop_map(|bits| hostcompute_schema::Guid::from_bytes(bits.to_be_bytes()));
    (guid, 0..3_u8)
        .prop_map(|(guid, form)| match form {
            0 => Value::from(guid.to_string()),
            1 => Value::from(guid.to_upper()),
            _ => Value::from(format!("{{{guid}}}")),
        })
        .boxed()
}

fn enumeration(schema: &'static EnumSchema, not_first: bool) -> BoxedStrategy<Value> {
    let named = schema.values.iter().skip(usize::from(not_first)).map(|value| value.name);
    let mut names: Vec<String> = named.map(String::from).collect();
    match schema.wire {
        Wire::Name | Wire::NameOrBlank => {
            names.push("SomethingElse".into());
            (select(names), 0..3_u8).prop_map(|(name, case)| spelled(&name, case).into()).boxed()
        }
        Wire::Number | Wire::Flags => {
            let least = u32::from(not_first);
            let numbers = (least..=u32::MAX).prop_map(Value::from);
            prop_oneof![numbers, select(names).prop_map(Value::from)].boxed()
        }
    }
}

/// Any JSON; the names are those that documents of either version use.
pub fn raw(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        (0..70_000_u32).prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from),
        select(WORDS.to_vec()).prop_map(Value::from),
    ];
    let name = prop_oneof![4 => select(WORDS.to_vec()).prop_map(String::from), 1 => "[ -~é]{0,5}"];
    leaf.prop_recursive(depth, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Names and values that lead somewhere.
const WORDS: &[&str] = &[
    "ID",
    "Name",
    "Type",
    "Flags",
    "SchemaVersion",
    "Major",
    "Policies",
    "Settings",
    "Data",
    "Ipams",
    "Subnets",
    "IpSubnets",
    "Routes",
    "NextHop",
    "AddressPrefix",
    "GatewayAddress",
    "MacPools",
    "DNSSuffix",
    "DNSServerList",
    "NetworkAdapterName",
    "InterfaceConstraint",
    "IsolateSwitch",
    "AutomaticDNS",
    "VirtualNetwork",
    "IPAddress",
    "PrefixLength",
    "IPv6Address",
    "DisableICC",
    "EncapOverhead",
    "Dns",
    "Health",
    "Extra",
    "PortMappings",
    "FrontendVIPs",
    "HostComputeEndpoints",
    "HostComputeNetwork",
    "ResourceType",
    "RequestType",
    "Filter",
    "Networks",
    "Endpoints",
    "NAT",
    "ACL",
    "VLAN",
    "VSID",
    "PA",
    "ROUTE",
    "PROXY",
    "OutBoundNAT",
    "PortMapping",
    "QOS",
    "Protocol",
    "Protocols",
    "InternalPort",
    "ExternalPortReserved",
    "VIP",
    "TCP",
    "HostDefault",
    "Static",
    "00000000-0000-0000-0000-000000000000",
    "910f7d92-ba2d-4c3f-98ae-7c0ac590d2dc",
    "10.0.0.0/8",
    "fd00::1",
    "",
];
