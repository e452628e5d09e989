//! JSON values printed as YAML, for `-o yaml`.
//!
//! Only printing, and only what JSON can hold: thirty lines of rules instead of a YAML crate (`serde_yaml` is archived, its forks
//! have had no release for a year and a half or more, and the one that is kept up brings a parser that nothing here needs).
//! A string is printed plain when it can be nothing else, otherwise as a JSON string, which YAML reads as it stands.

use serde_json::Value;

/// The document with a line feed at its end.
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Array(items) if !items.is_empty() => list(&mut out, items, 0),
        Value::Object(members) if !members.is_empty() => object(&mut out, members, 0),
        scalar => {
            out.push_str(&inline(scalar));
            out.push('\n');
        }
    }
    out
}

fn object(out: &mut String, members: &serde_json::Map<String, Value>, depth: usize) {
    for (name, value) in members {
        indent(out, depth);
        member(out, name, value, depth);
    }
}

fn member(out: &mut String, name: &str, value: &Value, depth: usize) {
    out.push_str(&text(name));
    out.push(':');
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(out, items, depth);
        }
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            object(out, members, depth + 1);
        }
        scalar => {
            out.push(' ');
            out.push_str(&inline(scalar));
            out.push('\n');
        }
    }
}

fn list(out: &mut String, items: &[Value], depth: usize) {
    for item in items {
        indent(out, depth);
        match item {
            Value::Object(members) if !members.is_empty() => {
                out.push_str("- ");
                for (place, (name, value)) in members.iter().enumerate() {
                    if place > 0 {
                        indent(out, depth + 1);
                    }
                    member(out, name, value, depth + 1);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                out.push_str("-\n");
                list(out, items, depth + 1);
            }
            scalar => {
                out.push_str("- ");
                out.push_str(&inline(scalar));
                out.push('\n');
            }
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        // Empty collections, numbers, booleans and null are the same in both languages.
        other => other.to_string(),
    }
}

fn text(string: &str) -> String {
    if is_plain(string) { string.to_owned() } else { Value::from(string).to_string() }
}

/// Whether YAML can read the bare text as nothing but this string.
fn is_plain(string: &str) -> bool {
    let begins = string.starts_with(|c: char| c.is_ascii_alphabetic());
    let continues = string
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' '));
    let keyword = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| string.eq_ignore_ascii_case(word));
    begins && continues && !string.ends_with(' ') && !keyword
}

#[cfg(test)]
mod tests {
    use super::print;
    use serde_json::json;

    #[test]
    fn nested_documents_read_as_people_write_them() {
        let document = json!({
            "Name": "web",
            "Flags": 0,
            "Ipams": [{ "Type": "Static", "Subnets": [{ "IpAddressPrefix": "10.0.0.0/24" }] }],
            "Lists": [[1, 2], []],
            "Empty": {},
        });
        let expected = "\
Name: web
Flags: 0
Ipams:
- Type: Static
  Subnets:
  - IpAddressPrefix: \"10.0.0.0/24\"
Lists:
-
  - 1
  - 2
- []
Empty: {}
";
        assert_eq!(print(&document), expected);
    }

    #[test]
    fn texts_that_yaml_would_misread_are_quoted() {
        for text in [
            "no",
            "1.5",
            "2020-01-01",
            "",
            " a",
            "a ",
            "a: b",
            "- a",
            "é",
            "a\nb",
            "fd00::1",
            "NULL",
        ] {
            assert_eq!(print(&json!(text)), format!("{}\n", json!(text)), "{text}");
        }
        assert_eq!(print(&json!("HostDefault")), "HostDefault\n");
    }
}
