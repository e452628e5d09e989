//! Items as rustdoc lists them: one line for each that a program can name, with everything that a program can rely on.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::written::{bounds, each, generics, path, print, signature};

/// Descriptions that are read here. Another number is looked at by a person, who adds it.
const FORMATS: std::ops::RangeInclusive<u64> = 53..=60;

/// The lines of a crate, sorted.
///
/// # Errors
/// The description is of another form than those known here.
pub fn lines(described: &Value) -> Result<BTreeSet<String>> {
    let format = described["format_version"].as_u64().context("no number of the format")?;
    if !FORMATS.contains(&format) {
        bail!("rustdoc describes crates in form {format}; known here are {FORMATS:?}");
    }
    let mut walk = Walk { index: &described["index"], lines: BTreeSet::new(), within: Vec::new() };
    let top = walk.item(&described["root"]).context("the crate itself is not described")?;
    let name = top["name"].as_str().unwrap_or_default().to_owned();
    walk.module(top, &name);
    Ok(walk.lines)
}

struct Walk<'a> {
    index: &'a Value,
    lines: BTreeSet<String>,
    /// Modules that are being walked, so that one that names itself again ends.
    within: Vec<&'a Value>,
}

impl<'a> Walk<'a> {
    fn item(&self, id: &Value) -> Option<&'a Value> {
        let key = id.as_u64().map(|number| number.to_string());
        self.index.get(key.as_deref().or(id.as_str())?)
    }

    fn line(&mut self, text: String) {
        self.lines.insert(text);
    }

    fn module(&mut self, module: &'a Value, at: &str) {
        self.within.push(&module["id"]);
        for id in each(&module["inner"]["module"], "items") {
            if let Some(item) = self.item(id) {
                self.reached(item, at);
            }
        }
        self.within.pop();
    }

    /// Something that stands in a module: itself, or by another name.
    fn reached(&mut self, item: &'a Value, at: &str) {
        if item["visibility"] != "public" || is_hidden(item) {
            return;
        }
        let Some(used) = item["inner"].get("use") else {
            let name = item["name"].as_str().unwrap_or_default();
            return self.named(item, &format!("{at}::{name}"));
        };
        let name = used["name"].as_str().unwrap_or_default();
        match self.item(&used["id"]) {
            Some(module) if used["is_glob"] == true => self.module(module, at),
            Some(meant) => self.named(meant, &format!("{at}::{name}")),
            // Of another crate: its own list says what it is.
            None => self.line(format!(
                "use {} as {at}::{name}",
                used["source"].as_str().unwrap_or_default()
            )),
        }
    }

    fn named(&mut self, item: &'a Value, at: &str) {
        let Some((kind, inside)) = item["inner"].as_object().and_then(|one| one.iter().next())
        else {
            return;
        };
        match kind.as_str() {
            "module" if self.within.contains(&&item["id"]) => {}
            "module" => {
                self.line(format!("mod {at}"));
                self.module(item, at);
            }
            "function" => self.function(inside, at),
            "struct" => self.structure(inside, at),
            "enum" => self.enumeration(inside, at, item),
            "trait" => self.interface(inside, at),
            "type_alias" => {
                let (parameters, conditions) = generics(&inside["generics"]);
                self.line(format!(
                    "type {at}{parameters} = {}{conditions}",
                    print(&inside["type"])
                ));
            }
            "constant" => self.line(format!("const {at}: {}", print(&inside["type"]))),
            "static" => self.line(format!("static {at}: {}", print(&inside["type"]))),
            "macro" => self.line(format!("macro {at}")),
            other => self.line(format!("{other} {at}")),
        }
    }

    fn function(&mut self, inside: &Value, at: &str) {
        let header = &inside["header"];
        let said = |member: &str, word: &'static str| match header[member] == true {
            true => word,
            false => "",
        };
        let words =
            [said("is_const", "const "), said("is_async", "async "), said("is_unsafe", "unsafe ")];
        let (parameters, conditions) = generics(&inside["generics"]);
        let (inputs, output) = signature(&inside["sig"]);
        self.line(format!("{}fn {at}{parameters}({inputs}){output}{conditions}", words.concat()));
    }

    fn structure(&mut self, inside: &'a Value, at: &str) {
        let (parameters, conditions) = generics(&inside["generics"]);
        let plain = &inside["kind"]["plain"];
        // A struct with members that nobody else sees cannot be written down by others.
        let whole = match plain["has_stripped_fields"] == true {
            true => " { .. }",
            false => "",
        };
        self.line(format!("struct {at}{parameters}{whole}{conditions}"));
        let tuple = each(&inside["kind"], "tuple");
        self.members(each(plain, "fields").chain(tuple), at);
        self.implementations(inside, at);
    }

    fn members(&mut self, ids: impl Iterator<Item = &'a Value>, at: &str) {
        for id in ids {
            let Some(field) = self.item(id) else { continue };
            if is_hidden(field) {
                continue;
            }
            let name = field["name"].as_str().unwrap_or_default();
            let kind = print(&field["inner"]["struct_field"]);
            self.line(format!("field {at}::{name}: {kind}"));
        }
    }

    fn enumeration(&mut self, inside: &'a Value, at: &str, item: &Value) {
        let (parameters, conditions) = generics(&inside["generics"]);
        let open = match item["attrs"].to_string().contains("non_exhaustive") {
            true => "#[non_exhaustive] ",
            false => "",
        };
        self.line(format!("{open}enum {at}{parameters}{conditions}"));
        for id in each(inside, "variants") {
            let Some(variant) = self.item(id) else { continue };
            let name = format!("{at}::{}", variant["name"].as_str().unwrap_or_default());
            let kind = &variant["inner"]["variant"]["kind"];
            self.line(format!("variant {name}"));
            self.members(each(&kind["struct"], "fields").chain(each(kind, "tuple")), &name);
        }
        self.implementations(inside, at);
    }

    fn interface(&mut self, inside: &'a Value, at: &str) {
        let (parameters, conditions) = generics(&inside["generics"]);
        let above = match bounds(&inside["bounds"]) {
            none if none.is_empty() => none,
            some => format!(": {some}"),
        };
        self.line(format!("trait {at}{parameters}{above}{conditions}"));
        self.associated(each(inside, "items"), at);
    }

    fn associated(&mut self, ids: impl Iterator<Item = &'a Value>, at: &str) {
        for id in ids {
            let Some(item) = self.item(id) else { continue };
            if is_hidden(item) {
                continue;
            }
            let name = format!("{at}::{}", item["name"].as_str().unwrap_or_default());
            let inner = &item["inner"];
            if let Some(function) = inner.get("function") {
                self.function(function, &name);
            } else if let Some(constant) = inner.get("assoc_const") {
                self.line(format!("const {name}: {}", print(&constant["type"])));
            } else if let Some(kind) = inner.get("assoc_type") {
                self.line(format!("type {name}: {}", bounds(&kind["bounds"])));
            }
        }
    }

    /// Methods, and the traits that a program may ask of the type: those that were written or derived, not those that follow.
    fn implementations(&mut self, inside: &'a Value, at: &str) {
        let mut traits = BTreeSet::new();
        for id in each(inside, "impls") {
            let Some(item) = self.item(id) else { continue };
            let done = &item["inner"]["impl"];
            if done["is_synthetic"] == true || !done["blanket_impl"].is_null() || is_hidden(item) {
                continue;
            }
            if done["trait"].is_null() {
                self.inherent(done, at);
            } else {
                traits.insert(path(&done["trait"]));
            }
        }
        // What the compiler adds to a derived comparison is nobody's promise.
        traits.remove("StructuralPartialEq");
        if !traits.is_empty() {
            let all = traits.into_iter().collect::<Vec<_>>().join(", ");
            self.line(format!("impl {all} for {at}"));
        }
    }

    fn inherent(&mut self, done: &'a Value, at: &str) {
        // Methods of one kind of a generic type say of which.
        let of = print(&done["for"]);
        let arguments = of.find('<').map_or("", |place| of.get(place..).unwrap_or_default());
        let public = each(done, "items")
            .filter(|id| self.item(id).is_some_and(|item| item["visibility"] == "public"));
        let public: Vec<&Value> = public.collect();
        self.associated(public.into_iter(), &format!("{at}{arguments}"));
    }
}

fn is_hidden(item: &Value) -> bool {
    item["attrs"].to_string().contains("doc(hidden)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn described() -> Value {
        let item = |id: u32, name: &str, inner: Value| json!({"id": id, "name": name, "visibility": "public", "attrs": [], "inner": inner});
        let mut hidden = item(4, "secret", json!({"module": {"items": []}}));
        hidden["attrs"] = json!([{"other": "#[doc(hidden)]"}]);
        json!({"format_version": 57, "root": 1, "index": {
            "1": item(1, "it", json!({"module": {"items": [2, 3, 4, 5]}})),
            "2": item(2, "Thing", json!({"struct": {
                "kind": {"plain": {"fields": [6], "has_stripped_fields": true}},
                "generics": {"params": [], "where_predicates": []}, "impls": [],
            }})),
            "3": item(3, "", json!({"use": {"source": "other::Kind", "name": "Sort", "id": 99, "is_glob": false}})),
            "4": hidden,
            "5": item(5, "make", json!({"function": {
                "sig": {"inputs": [], "output": {"primitive": "u8"}},
                "generics": {"params": [], "where_predicates": []},
                "header": {"is_const": false, "is_async": true, "is_unsafe": false},
            }})),
            "6": item(6, "size", json!({"struct_field": {"primitive": "u16"}})),
        }})
    }

    #[test]
    fn every_item_that_can_be_named_has_a_line() {
        let lines: Vec<String> = lines(&described()).unwrap().into_iter().collect();
        assert_eq!(
            lines,
            [
                "async fn it::make() -> u8",
                "field it::Thing::size: u16",
                "struct it::Thing { .. }",
                "use other::Kind as it::Sort",
            ]
        );
    }

    #[test]
    fn a_description_of_an_unknown_form_is_refused() {
        let mut unknown = described();
        unknown["format_version"] = json!(1000);
        assert!(lines(&unknown).unwrap_err().to_string().contains("1000"));
    }
}
