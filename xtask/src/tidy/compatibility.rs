//! docs/compatibility.md says of every type of the published schema, and of every member of the types that documents are made
//! of, what happens to it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{File, Finding, Tree};

const PAGE: &str = "docs/compatibility.md";
const SCHEMA: &str = "docs/api/hcn.swagger.json";

/// Types and members that the page does not name.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let (Some(page), Some(schema)) = (tree.file(PAGE), tree.file(SCHEMA)) else {
        return Vec::new();
    };
    let Ok(schema) = serde_json::from_str::<Value>(&schema.text) else {
        return vec![page.finding(0, format!("{SCHEMA} is not JSON"))];
    };
    let Some(types) = schema.get("definitions").and_then(Value::as_object) else {
        return vec![page.finding(0, format!("{SCHEMA} has no definitions"))];
    };
    let base: BTreeSet<&str> = types.get("Base").into_iter().flat_map(members).collect();
    let mut found = Vec::new();
    for (name, definition) in types {
        if definition.get("enum").is_some() {
            continue;
        }
        if !page.text.contains(&format!("`{name}`")) {
            found.push(page.finding(0, format!("does not name the type `{name}`")));
        }
        let Some((line, section)) = section(page, name) else { continue };
        let inherited = |member: &&str| name != "Base" && base.contains(member);
        for member in members(definition).filter(|member| !inherited(member)) {
            if !section.contains(&format!("| `{member}` |")) {
                found.push(page.finding(line, format!("`{name}` has no row `{member}`")));
            }
        }
    }
    found
}

fn members(definition: &Value) -> impl Iterator<Item = &str> {
    let own = definition.get("properties").and_then(Value::as_object);
    let parts = definition.get("allOf").and_then(Value::as_array);
    let inner = parts.into_iter().flatten().filter_map(|part| part.get("properties")?.as_object());
    // Another spelling of a member is no member of its own.
    let named = own.into_iter().chain(inner).flatten();
    named.filter(|(_, member)| member.get("x-alias-of").is_none()).map(|(name, _)| name.as_str())
}

/// The section headed by this type: its line and its text.
fn section<'a>(page: &'a File, name: &str) -> Option<(usize, &'a str)> {
    let quoted = format!("`{name}`");
    let (line, heading) =
        page.lines().find(|(_, line)| line.starts_with("### ") && line.contains(&quoted))?;
    let start = page.text.find(heading)? + heading.len();
    let rest = page.text.get(start..)?;
    Some((line, rest.split("\n#").next().unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_types_and_members_are_found() {
        let schema = r#"{"definitions": {
            "Base": {"properties": {"ID": {}}},
            "Kind": {"enum": ["A"]},
            "One": {"allOf": [{"properties": {"ID": {}, "Here": {}, "Lost": {}, "Old": {"x-alias-of": "Here"}}}]},
            "Two": {"properties": {"Any": {}}}, "Three": {}}}"#;
        let page =
            "### `Base`\n| `ID` | stored |\n### `One`\n| `Here` | stored |\n## Rest\n`Two`\n";
        let found: Vec<String> = check(&Tree::of(&[(PAGE, page), (SCHEMA, schema)]))
            .into_iter()
            .map(|finding| finding.message)
            .collect();
        assert_eq!(found, ["`One` has no row `Lost`", "does not name the type `Three`"]);
    }
}
