//! Types as JSON schemas, in the dialects of the two forms.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use super::Api;
use crate::document::Document;
use crate::hcn::{EndpointPolicyType, NetworkPolicyType, Version};
use crate::schema::{
    EnumSchema, Family, Kind, MemberSchema, Print, SchemaVersion, StructSchema, ValueSchema, Wire,
};
use crate::{hcn, hcs};

/// What a GUID looks like; braces are accepted beyond that.
pub(super) const GUID_PATTERN: &str = "^[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$";

/// The JSON schema dialect of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Swagger2,
    OpenApi3,
}

/// Which part of the schema is described, and how.
pub(super) struct Selection {
    dialect: Dialect,
    version: Option<SchemaVersion>,
    /// Names that other types have in the same document.
    taken: Vec<&'static str>,
}

impl Selection {
    pub fn new(dialect: Dialect, version: Option<SchemaVersion>) -> Selection {
        Selection { dialect, version, taken: Vec::new() }
    }

    /// The same for types of the compute service that stand beside these in one document.
    pub fn beside(
        &self,
        structs: &[&'static StructSchema],
        enums: &[&'static EnumSchema],
    ) -> Selection {
        let structs = structs.iter().map(|schema| schema.name);
        // The one type that both services share.
        let structs = structs.filter(|name| *name != Version::SCHEMA.name);
        let taken = structs.chain(enums.iter().map(|schema| schema.name)).collect();
        Selection { dialect: self.dialect, version: self.version, taken }
    }

    /// Whether everything is described, whatever brought it.
    pub fn is_whole(&self) -> bool {
        self.version.is_none() && self.dialect == Dialect::OpenApi3
    }

    /// Whether the types stand beside those of the network service, in the document of the service itself.
    pub fn is_of_service(&self) -> bool {
        !self.taken.is_empty()
    }

    /// What a type is called in the document.
    fn called(&self, name: &str) -> String {
        if self.taken.contains(&name) { format!("Hcs{name}") } else { name.into() }
    }

    /// Whether something belongs in: everything without a version, else what is as old.
    pub fn includes(&self, since: Option<SchemaVersion>) -> bool {
        self.version.is_none_or(|version| since.is_some_and(|since| since <= version))
    }

    /// Every type of an API that belongs in.
    pub fn definitions(&self, api: Api) -> Map<String, Value> {
        let mut definitions = Map::new();
        let (structs, enums) = match api {
            Api::Hcn => (hcn::listing::STRUCTS, hcn::listing::ENUMS),
            Api::Hcs => (hcs::listing::STRUCTS, hcs::listing::ENUMS),
        };
        self.describe(structs, enums, &mut definitions);
        definitions.sort_keys();
        definitions
    }

    /// Adds those of these types that belong in.
    pub fn describe(
        &self,
        structs: &[&StructSchema],
        enums: &[&EnumSchema],
        definitions: &mut Map<String, Value>,
    ) {
        for schema in structs.iter().filter(|schema| self.includes(schema.since())) {
            definitions.insert(self.called(schema.name), self.object(schema));
        }
        for schema in enums.iter().filter(|schema| self.includes(schema.since())) {
            definitions.insert(self.called(schema.name), self.enumeration(schema));
        }
    }

    pub fn reference(&self, name: &str) -> Value {
        let place = match self.dialect {
            Dialect::Swagger2 => "definitions",
            Dialect::OpenApi3 => "components/schemas",
        };
        json!({ "$ref": format!("#/{place}/{}", self.called(name)) })
    }

    fn object(&self, schema: &StructSchema) -> Value {
        let mut properties = Map::new();
        for member in schema.all_members().filter(|member| self.includes(member.since)) {
            properties.insert(member.name.into(), self.property(schema, member));
            for alias in member.aliases {
                properties.insert((*alias).into(), self.alias(member));
            }
        }
        let mut object = json!({ "type": "object", "description": schema.doc.trim() });
        if !properties.is_empty() {
            put(&mut object, "properties", Value::Object(properties));
        }
        let always = schema.all_members().filter(|member| member.print == Print::Always);
        let always: Vec<&str> = always.map(|member| member.name).collect();
        if !always.is_empty() {
            put(&mut object, "required", always);
        }
        if let Some(since) = schema.since() {
            put(&mut object, "x-new-in", since.to_string());
        }
        object
    }

    fn property(&self, owner: &StructSchema, member: &MemberSchema) -> Value {
        let mut property = self.kind(&member.kind, Some(member.doc));
        if let Some(since) = member.since {
            put(&mut property, "x-new-in", since.to_string());
        }
        let given = matches!(member.print, Print::Given | Print::Always);
        if owner.family == Family::Network && !given {
            put(&mut property, "x-omit-empty", true);
        }
        if member.name == "Settings" {
            let types = self.settings(owner);
            if !types.is_empty() {
                put(&mut property, "x-settings", Value::Object(types));
            }
        }
        property
    }

    /// Another spelling of a member.
    fn alias(&self, member: &MemberSchema) -> Value {
        let doc = format!("Another name of {}.", member.name);
        let mut property = self.kind(&member.kind, Some(&doc));
        put(&mut property, "x-alias-of", member.name);
        if self.dialect == Dialect::OpenApi3 {
            put(&mut property, "deprecated", true);
        }
        property
    }

    /// The type of a policy's settings for each type of policy.
    fn settings(&self, owner: &StructSchema) -> Map<String, Value> {
        let network = NetworkPolicyType::KNOWN.iter().map(|kind| (kind.name(), kind.settings()));
        let endpoint = EndpointPolicyType::KNOWN.iter().map(|kind| (kind.name(), kind.settings()));
        let kinds: Vec<(&str, Option<&StructSchema>)> = match owner.name {
            "NetworkPolicy" => network.collect(),
            "EndpointPolicy" => endpoint.collect(),
            _ => Vec::new(),
        };
        let known = kinds.into_iter().filter_map(|(kind, schema)| Some((kind, schema?)));
        let included = known.filter(|(_, schema)| self.includes(schema.since()));
        included.map(|(kind, schema)| (kind.into(), Value::from(schema.name))).collect()
    }

    pub fn kind(&self, kind: &Kind, doc: Option<&str>) -> Value {
        let mut schema = match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Unsigned(bits) => {
                json!({ "type": "integer", "format": format!("uint{bits}"), "minimum": 0 })
            }
            Kind::Signed(bits) => json!({ "type": "integer", "format": format!("int{bits}") }),
            Kind::Float => json!({ "type": "number", "format": "double" }),
            Kind::Text => json!({ "type": "string" }),
            Kind::Guid => json!({ "type": "string", "pattern": GUID_PATTERN }),
            Kind::Bytes => json!({ "type": "string", "format": "byte" }),
            Kind::Mac => json!({ "type": "string", "format": "mac-address" }),
            Kind::Time => json!({ "type": "string", "format": "date-time" }),
            Kind::Any => json!({ "type": "object" }),
            Kind::List(element) => json!({ "type": "array", "items": self.kind(element, None) }),
            Kind::Enum(schema) => self.member_reference(schema.name, doc),
            Kind::Pair(element) => json!({
                "type": "array", "items": self.kind(element, None), "minItems": 2, "maxItems": 2,
            }),
            Kind::Map(_, element) => {
                json!({ "type": "object", "additionalProperties": self.kind(element, None) })
            }
            Kind::Struct(schema) => self.member_reference(schema.name, doc),
            Kind::Nested(schema) => self.member_reference(schema().name, doc),
        };
        if let Some(doc) = doc {
            put(&mut schema, "description", doc.trim());
        }
        schema
    }

    /// A reference that can stand beside a description: Swagger 2.0 ignores what stands beside a
    /// plain one.
    fn member_reference(&self, name: &str, doc: Option<&str>) -> Value {
        match (self.dialect, doc) {
            (Dialect::Swagger2, Some(_)) => json!({ "allOf": [self.reference(name)] }),
            _ => self.reference(name),
        }
    }

    fn enumeration(&self, schema: &EnumSchema) -> Value {
        let values: Vec<&ValueSchema> =
            schema.values.iter().filter(|value| self.includes(value.since)).collect();
        let names: Vec<&str> = values.iter().map(|value| value.name).collect();
        let by_number = match (schema.wire, self.dialect) {
            (Wire::Name | Wire::NameOrBlank, _) => false,
            (Wire::Number | Wire::Flags, Dialect::OpenApi3) => true,
            // Swagger 2.0 has no alternatives: the names stand, as in the published schema.
            (Wire::Number | Wire::Flags, Dialect::Swagger2) => false,
        };
        let mut enumeration = if by_number {
            let named = match schema.wire {
                Wire::Flags => json!({ "type": "string", "examples": names }),
                _ => json!({ "type": "string", "enum": names }),
            };
            json!({ "anyOf": [{ "type": "integer", "format": "uint32", "minimum": 0 }, named] })
        } else {
            json!({ "type": "string", "enum": names })
        };
        let travels = match schema.wire {
            Wire::Name => "",
            Wire::NameOrBlank => " The first one travels as an empty text.",
            Wire::Number => " Travels as its number; the name is accepted.",
            Wire::Flags => " Travels as a sum of numbers; names joined by commas are accepted.",
        };
        put(&mut enumeration, "description", format!("{}{travels}", schema.doc.trim()));
        let of_values = |value: fn(&ValueSchema) -> Option<Value>| -> Value {
            let told = values.iter().filter_map(|row| Some((row.name.into(), value(row)?)));
            Value::Object(told.collect())
        };
        let since = of_values(|row| row.since.map(|since| Value::from(since.to_string())));
        put(&mut enumeration, "x-enum-new-in", since);
        let docs = of_values(|row| Some(Value::from(row.doc.trim())));
        put(&mut enumeration, "x-enum-descriptions", docs);
        let numbers = of_values(|row| row.number.map(Value::from));
        if numbers.as_object().is_some_and(|numbers| !numbers.is_empty()) {
            put(&mut enumeration, "x-enum-numbers", numbers);
        }
        enumeration
    }
}

/// Adds a member to an object that was just made.
pub(super) fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(members) = object {
        members.insert(name.into(), value.into());
    }
}
