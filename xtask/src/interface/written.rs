//! Types as rustdoc describes them, as they would be written in a program.
//!
//! A description that is not known here is printed as it is: an ugly line is better than a missing one.

use serde_json::Value;

/// The members of a list, or none.
pub fn each<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[member].as_array().into_iter().flatten()
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

/// A type.
pub fn print(value: &Value) -> String {
    let Some((kind, inside)) = value.as_object().and_then(|object| object.iter().next()) else {
        return value.as_str().unwrap_or("_").to_owned();
    };
    match kind.as_str() {
        "resolved_path" => path(inside),
        "generic" | "primitive" => inside.as_str().unwrap_or("_").to_owned(),
        "borrowed_ref" => {
            let lifetime = inside["lifetime"].as_str().map(|name| format!("{name} "));
            let changes = if inside["is_mutable"] == true { "mut " } else { "" };
            format!("&{}{changes}{}", lifetime.unwrap_or_default(), print(&inside["type"]))
        }
        "tuple" => {
            format!("({})", joined(inside.as_array().into_iter().flatten().map(print), ", "))
        }
        "slice" => format!("[{}]", print(inside)),
        "array" => {
            format!("[{}; {}]", print(&inside["type"]), inside["len"].as_str().unwrap_or("_"))
        }
        "raw_pointer" => {
            let changes = if inside["is_mutable"] == true { "mut" } else { "const" };
            format!("*{changes} {}", print(&inside["type"]))
        }
        "impl_trait" => format!("impl {}", bounds(inside)),
        "dyn_trait" => {
            let traits = each(inside, "traits").map(|one| path(&one["trait"]));
            let lifetime = inside["lifetime"].as_str().map(str::to_owned);
            format!("dyn {}", joined(traits.chain(lifetime), " + "))
        }
        "qualified_path" => {
            let name = inside["name"].as_str().unwrap_or("_");
            let of = print(&inside["self_type"]);
            match path(&inside["trait"]).as_str() {
                "" => format!("{of}::{name}"),
                known => format!("<{of} as {known}>::{name}"),
            }
        }
        "function_pointer" => {
            let (inputs, output) = signature(&inside["sig"]);
            format!("fn({inputs}){output}")
        }
        _ => value.to_string(),
    }
}

/// A name with its arguments. Only the last part of the name: where it is from would say how rustdoc saw it, not what it is.
pub fn path(value: &Value) -> String {
    let name = value["path"].as_str().or(value["name"].as_str()).unwrap_or_default();
    let name = name.rsplit("::").next().unwrap_or_default();
    format!("{name}{}", arguments(&value["args"]))
}

fn arguments(value: &Value) -> String {
    if let Some(inside) = value.get("parenthesized") {
        let inputs = joined(each(inside, "inputs").map(print), ", ");
        let output = match &inside["output"] {
            Value::Null => String::new(),
            output => format!(" -> {}", print(output)),
        };
        return format!("({inputs}){output}");
    }
    let Some(inside) = value.get("angle_bracketed") else { return String::new() };
    let given = each(inside, "args").map(|argument| {
        let lifetime = argument["lifetime"].as_str().map(str::to_owned);
        let value = argument["const"]["expr"].as_str().map(str::to_owned);
        lifetime.or(value).unwrap_or_else(|| match argument.get("type") {
            Some(kind) => print(kind),
            None => "_".to_owned(),
        })
    });
    let bound = each(inside, "constraints").map(|constraint| {
        let name = constraint["name"].as_str().unwrap_or("_");
        match constraint["binding"].get("equality") {
            Some(equal) => format!("{name} = {}", print(equal.get("type").unwrap_or(equal))),
            None => format!("{name}: {}", bounds(&constraint["binding"]["constraint"])),
        }
    });
    match joined(given.chain(bound), ", ") {
        none if none.is_empty() => none,
        some => format!("<{some}>"),
    }
}

/// What a type must be.
pub fn bounds(list: &Value) -> String {
    let parts = list.as_array().into_iter().flatten().filter_map(|bound| {
        if let Some(inside) = bound.get("trait_bound") {
            let maybe = if inside["modifier"] == "maybe" { "?" } else { "" };
            return Some(format!("{maybe}{}", path(&inside["trait"])));
        }
        // What a returned type captures is no promise that anybody writes down.
        bound["outlives"].as_str().map(str::to_owned)
    });
    joined(parts, " + ")
}

/// Inputs and, with its arrow, the output.
pub fn signature(value: &Value) -> (String, String) {
    let inputs = each(value, "inputs").map(|input| {
        let (name, kind) = (input[0].as_str().unwrap_or("_"), print(&input[1]));
        match (name, kind.as_str()) {
            ("self", "Self") => "self".to_owned(),
            ("self", "&Self") => "&self".to_owned(),
            ("self", "&mut Self") => "&mut self".to_owned(),
            _ => format!("{name}: {kind}"),
        }
    });
    let output = match &value["output"] {
        Value::Null => String::new(),
        output => format!(" -> {}", print(output)),
    };
    (joined(inputs, ", "), output)
}

/// Parameters in their brackets, and the conditions on them.
pub fn generics(value: &Value) -> (String, String) {
    let parameters = each(value, "params").filter_map(|parameter| {
        let name = parameter["name"].as_str().unwrap_or("_");
        let kind = &parameter["kind"];
        if kind["type"]["is_synthetic"] == true {
            return None;
        }
        if let Some(constant) = kind.get("const") {
            return Some(format!("const {name}: {}", print(&constant["type"])));
        }
        match bounds(&kind["type"]["bounds"]) {
            none if none.is_empty() => Some(name.to_owned()),
            some => Some(format!("{name}: {some}")),
        }
    });
    let parameters = match joined(parameters, ", ") {
        none if none.is_empty() => none,
        some => format!("<{some}>"),
    };
    let conditions = each(value, "where_predicates").filter_map(|predicate| {
        let bound = predicate.get("bound_predicate")?;
        Some(format!("{}: {}", print(&bound["type"]), bounds(&bound["bounds"])))
    });
    let conditions = match joined(conditions, ", ") {
        none if none.is_empty() => none,
        some => format!(" where {some}"),
    };
    (parameters, conditions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_read_as_they_are_written() {
        let text = json!({"borrowed_ref": {"lifetime": null, "is_mutable": false, "type": {"primitive": "str"}}});
        assert_eq!(print(&text), "&str");
        let list = json!({"resolved_path": {"path": "alloc::vec::Vec", "args": {"angle_bracketed": {
            "args": [{"type": {"generic": "T"}}], "constraints": []}}}});
        assert_eq!(print(&list), "Vec<T>");
        let call = json!({"impl_trait": [
            {"trait_bound": {"modifier": "none", "trait": {"path": "FnOnce", "args": {"parenthesized": {
                "inputs": [text], "output": {"tuple": []}}}}}},
            {"outlives": "'static"},
        ]});
        assert_eq!(print(&call), "impl FnOnce(&str) -> () + 'static");
        assert_eq!(print(&json!({"newer": 1})), r#"{"newer":1}"#);
    }

    #[test]
    fn signatures_have_receivers_inputs_and_outputs() {
        let receiver = json!({"borrowed_ref": {"lifetime": null, "is_mutable": true, "type": {"generic": "Self"}}});
        let described = json!({"inputs": [["self", receiver], ["count", {"primitive": "u16"}]], "output": null});
        assert_eq!(signature(&described), ("&mut self, count: u16".to_owned(), String::new()));
        let parameters = json!({"params": [{"name": "T", "kind": {"type": {"bounds": [
            {"trait_bound": {"modifier": "maybe", "trait": {"path": "Sized", "args": null}}}]}}}], "where_predicates": []});
        assert_eq!(generics(&parameters), ("<T: ?Sized>".to_owned(), String::new()));
    }
}
