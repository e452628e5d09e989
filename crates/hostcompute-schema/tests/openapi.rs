//! The OpenAPI documents: committed and current, whole for every version, faithful to the
//! definitions that Microsoft's overview of the API prints.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeSet;
use std::path::Path;

use hostcompute_schema::hcn::listing::{ENUMS, STRUCTS};
use hostcompute_schema::openapi::{Api, openapi3, service, swagger2, to_text};
use hostcompute_schema::operation::Right;
use hostcompute_schema::schema::{EnumSchema, Kind, StructSchema};
use hostcompute_schema::{ComputeOperation, Operation, SchemaVersion, ServiceOperation, hcs};
use serde_json::{Value, json};

/// Compares with the committed file; `HOSTCOMPUTE_BLESS=1` rewrites it.
#[track_caller]
fn current(file: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api").join(file);
    let text = to_text(document);
    if std::env::var_os("HOSTCOMPUTE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "docs/api/{file} is not current: run with HOSTCOMPUTE_BLESS=1");
}

#[test]
fn the_committed_documents_are_current() {
    current("hcn.swagger.json", &swagger2(Api::Hcn, None));
    current("hcn.openapi.json", &openapi3(Api::Hcn, None));
    current("hcs.swagger.json", &swagger2(Api::Hcs, None));
    current("hcs.openapi.json", &openapi3(Api::Hcs, None));
    current("service.openapi.json", &service());
}

/// The published schema has 741 values and members; the tables have those and no others with a
/// version, but for the types of the first edition and the statistics.
#[test]
fn the_tables_hold_the_published_schema() {
    let values = ENUMS.iter().flat_map(|schema| schema.values).filter(|row| row.since.is_some());
    let ours = ["EndpointStats", "PolicySettings", "VlanPolicy"];
    let published = STRUCTS.iter().filter(|schema| !ours.contains(&schema.name));
    let members = published.flat_map(|schema| schema.all_members());
    assert_eq!(values.count() + members.filter(|row| row.since.is_some()).count(), 741);
}

/// The published schema of the compute service has 1141 values and members, none newer than 2.6.
/// What else has a version is known from clients.
#[test]
fn the_tables_hold_the_published_schema_of_the_compute_service() {
    let newest = SchemaVersion { major: 2, minor: 6 };
    let published = |since: Option<SchemaVersion>| since.is_some_and(|since| since <= newest);
    let values = hcs::listing::ENUMS.iter().flat_map(|schema| schema.values);
    let members = hcs::listing::STRUCTS.iter().flat_map(|schema| schema.members);
    let values = values.filter(|row| published(row.since)).count();
    assert_eq!(values + members.filter(|row| published(row.since)).count(), 1141);
}

#[test]
fn the_listings_hold_every_type_that_a_member_refers_to() {
    fn check(kind: &Kind, structs: &[&StructSchema], enums: &[&EnumSchema]) {
        match kind {
            Kind::List(element) | Kind::Map(_, element) => check(element, structs, enums),
            Kind::Enum(schema) => assert!(enums.iter().any(|listed| listed.name == schema.name)),
            Kind::Struct(schema) => {
                assert!(structs.iter().any(|listed| listed.name == schema.name));
            }
            _ => {}
        }
    }
    for (structs, enums) in [(STRUCTS, ENUMS), (hcs::listing::STRUCTS, hcs::listing::ENUMS)] {
        let rows = structs.iter().flat_map(|schema| schema.all_members());
        rows.for_each(|row| check(&row.kind, structs, enums));
    }
}

/// Two types of one name would be one in the documents.
#[test]
fn names_of_types_are_distinct() {
    for (structs, enums) in [(STRUCTS, ENUMS), (hcs::listing::STRUCTS, hcs::listing::ENUMS)] {
        let structs = structs.iter().map(|schema| schema.name);
        let names: Vec<&str> = structs.chain(enums.iter().map(|schema| schema.name)).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}

/// Every `$ref` inside a document.
fn references(node: &Value, found: &mut BTreeSet<String>) {
    match node {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(target) if name == "$ref" => drop(found.insert(target.clone())),
                    value => references(value, found),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn no_reference_leads_nowhere_in_any_version() {
    let versions = (0..=16).map(|minor| Some(SchemaVersion { major: 2, minor }));
    let of_version = |version| {
        let of = |api| [swagger2(api, version), openapi3(api, version)];
        of(Api::Hcn).into_iter().chain(of(Api::Hcs))
    };
    for document in versions.chain([None]).flat_map(of_version).chain([service()]) {
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target} in {}", document["info"]);
        }
    }
}

/// Everything that can be asked over HTTP is in the service's document, once, with its right.
#[test]
fn the_services_document_holds_all_tables() {
    let document = service();
    let routed = Operation::ALL.iter().filter_map(|operation| {
        operation.route().map(|route| (operation.name(), operation.right(), route))
    });
    let own = ServiceOperation::ALL
        .iter()
        .map(|operation| (operation.name(), operation.right(), operation.route()));
    let mut count = 0;
    for (name, right, (method, path)) in routed.chain(own) {
        let described = &document["paths"][path][method.name().to_ascii_lowercase()];
        assert_eq!(described["operationId"], name);
        let word = if right == Right::Manage { "manage" } else { "read" };
        assert_eq!(described["x-right"], word, "{name}");
        count += 1;
    }
    for operation in ComputeOperation::ALL {
        let Some((method, path)) = operation.route() else { continue };
        let described = &document["paths"][path][method.name().to_ascii_lowercase()];
        assert_eq!(described["operationId"], operation.name());
        count += 1;
    }
    let paths = document["paths"].as_object().unwrap().values();
    let methods = paths.flat_map(|item| item.as_object().unwrap().keys());
    assert_eq!(methods.filter(|name| *name != "parameters").count(), count);
}

/// A list that an answer always has is one that readers may rely on.
#[test]
fn members_that_are_always_there_are_required() {
    let document = service();
    assert_eq!(document["components"]["schemas"]["Findings"]["required"], json!(["Findings"]));
    let steps = &document["components"]["schemas"]["Steps"];
    assert_eq!(steps["required"], json!(["Steps"]), "warnings may be left out");
}

#[test]
fn older_versions_leave_out_what_is_newer() {
    let of =
        |version: &str| swagger2(Api::Hcn, Some(version.parse().unwrap()))["definitions"].take();
    let oldest = of("2.0");
    for newer in ["TierAclPolicySetting", "FiveTuple", "AuthenticationMethod", "IPSubnetFlags"] {
        assert!(oldest.get(newer).is_none(), "{newer}");
    }
    assert!(oldest["HostComputeLoadBalancer"]["properties"].get("HostComputeNetwork").is_none());
    assert!(of("2.5")["HostComputeLoadBalancer"]["properties"].get("HostComputeNetwork").is_some());
    assert_eq!(oldest["ActionType"]["enum"], json!(["Allow", "Block"]));
    assert_eq!(of("2.10")["ActionType"]["enum"], json!(["Allow", "Block", "Pass"]));
    let latest = of("2.16");
    assert_eq!(
        latest.as_object().unwrap().len(),
        swagger2(Api::Hcn, None)["definitions"].as_object().unwrap().len(),
        "every type is as old as the latest version"
    );
}

/// The definitions that the overview prints, type by type: member and JSON type.
#[test]
fn the_definitions_of_the_overview_are_covered() {
    let definitions = swagger2(Api::Hcn, None)["definitions"].take();
    for (name, members) in [
        ("Ipam", &[("Type", "string"), ("Subnets", "array")][..]),
        (
            "Subnet",
            &[
                ("ID", "string"),
                ("IpAddressPrefix", "string"),
                ("Policies", "array"),
                ("Routes", "array"),
            ],
        ),
        ("SubnetPolicy", &[("Type", "string"), ("Data", "object"), ("Settings", "object")]),
        ("PolicySettings", &[("Name", "string")]),
        ("VlanPolicy", &[("Name", "string"), ("IsolationId", "integer")]),
        ("Route", &[("NextHop", "string"), ("DestinationPrefix", "string"), ("Metric", "integer")]),
        ("HostComputeLoadBalancer", &[("VirtualIPs", "array"), ("FrontendVIPs", "array")]),
    ] {
        for (member, kind) in members {
            let mut property = &definitions[name]["properties"][member];
            if let Some(target) = property.pointer("/allOf/0/$ref").and_then(Value::as_str) {
                property = &definitions[target.rsplit('/').next().unwrap()];
            }
            assert_eq!(property["type"], *kind, "{name}.{member}");
        }
    }
    assert_eq!(definitions["SubnetPolicyType"]["enum"], json!(["VLAN", "VSID"]));
    assert_eq!(definitions["IpamType"]["enum"], json!(["Static", "Dhcp"]));
}

/// A type of the compute service took the place of one of the service's own with the same name.
#[test]
fn no_type_of_the_service_takes_the_place_of_another() {
    let description = service();
    let schemas = &description["components"]["schemas"];
    assert!(schemas["HostFiles"]["properties"]["Files"].is_object(), "files to carry out");
    assert!(schemas["HcsHostFiles"]["properties"]["file"].is_object(), "files of a silo");
}
