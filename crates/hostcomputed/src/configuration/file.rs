//! The configuration file: TOML, read strictly, since a mistyped key that is passed over looks like one that is obeyed.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::Configuration;
use super::keys::{KEYS, Key, Scalar};

/// What is wrong with a file, and on which line.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    line: usize,
    what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

impl Mistake {
    fn at(text: &str, place: Range<usize>, what: impl Into<String>) -> Self {
        let before = text.get(..place.start).unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, what: what.into() }
    }
}

/// Takes over what the text sets; keys whose variable `set_outside` knows stay as the environment has them.
pub fn read(
    configuration: &mut Configuration,
    text: &str,
    set_outside: impl Fn(&str) -> bool,
) -> Result<(), Mistake> {
    let table = DeTable::parse(text)
        .map_err(|error| Mistake::at(text, error.span().unwrap_or(0..0), error.message()))?;
    let mut found = Vec::new();
    flatten("", table.get_ref(), &mut found);
    for (name, place, value) in found {
        let mistake = |what: String| Mistake::at(text, place.clone(), what);
        let key = KEYS
            .iter()
            .find(|key| key.name == name)
            .ok_or_else(|| mistake(format!("there is no key {name}")))?;
        let value = scalar(value)
            .ok_or_else(|| mistake(format!("{name}: must be a text, a number or true or false")))?;
        // Checked even where the environment goes before it.
        let mut tried = configuration.clone();
        (key.set)(&mut tried, value).map_err(|what| mistake(format!("{name}: {what}")))?;
        if !key.variable.is_some_and(&set_outside) {
            *configuration = tried;
        }
    }
    Ok(())
}

type Found<'a> = (String, Range<usize>, &'a DeValue<'a>);

/// Keys with the tables they stand in, such as `limits.connections`.
fn flatten<'a>(prefix: &str, table: &'a DeTable<'a>, found: &mut Vec<Found<'a>>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&format!("{name}."), inner, found),
            other => found.push((name, key.span(), other)),
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Option<Scalar> {
    match value {
        DeValue::String(text) => Some(Scalar::Text(text.clone().into_owned())),
        DeValue::Boolean(switch) => Some(Scalar::Switch(*switch)),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).ok().map(Scalar::Number)
        }
        _ => None,
    }
}

/// The whole configuration as a file that would bring it about.
pub fn print(configuration: &Configuration) -> String {
    let mut text = String::from("# hostcomputed: every key, with what it means.\n");
    let mut table = "";
    for key in KEYS {
        let (of, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if of != table {
            text.push_str(&format!("\n[{of}]"));
            table = of;
        }
        text.push_str(&format!(
            "\n{}{name} = {}\n",
            remarks(key),
            printed(&(key.get)(configuration))
        ));
    }
    text
}

fn remarks(key: &Key) -> String {
    let mut remarks: String = key.doc.lines().map(|line| format!("# {}\n", line.trim())).collect();
    if let Some(variable) = key.variable {
        remarks.push_str(&format!("# The environment's {variable} goes before it.\n"));
    }
    remarks
}

fn printed(value: &Scalar) -> String {
    match value {
        // The escapes of JSON texts are those of TOML, too.
        Scalar::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Switch(switch) => switch.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Form;

    fn read_alone(text: &str) -> Result<Configuration, String> {
        let mut configuration = Configuration::from_environment();
        read(&mut configuration, text, |_| false).map_err(|mistake| mistake.to_string())?;
        Ok(configuration)
    }

    #[test]
    fn what_is_printed_reads_back() {
        let configuration = read_alone(
            "state-dir = \"/a \\\"b\\\"\"\nmanage-group = \"7\"\n[limits]\nburst = 9\n[log]\nform = \"json\"\n",
        )
        .expect("read");
        assert_eq!(configuration.options.state_dir.to_str(), Some("/a \"b\""));
        assert_eq!((configuration.limits.burst, configuration.log.form), (9, Form::Json));
        let printed = configuration.print();
        assert_eq!(read_alone(&printed).expect("its own print").print(), printed);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, told) in [
            ("\nstate-dri = \"/a\"", "2: there is no key state-dri"),
            ("[limits]\nhandles = \"many\"", "2: limits.handles: must be a number from 1 to"),
            ("[limits]\nhandles = 0", "2: limits.handles: must be a number from 1 to"),
            ("socket = \"here\"", "1: socket: must be an absolute path"),
            ("socket = [1]", "1: socket: must be a text, a number or true or false"),
            ("a\n=", "1: "),
        ] {
            let mistake = read_alone(text).expect_err(text);
            assert!(mistake.starts_with(told), "{mistake}");
        }
    }

    #[test]
    fn the_environment_goes_before_the_file_which_is_read_all_the_same() {
        let mut configuration = Configuration::from_environment();
        let before = configuration.socket.clone();
        let outside = |variable: &str| variable == "HOSTCOMPUTE_SOCKET";
        read(&mut configuration, "socket = \"/other\"", outside).expect("read");
        assert_eq!(configuration.socket, before);
        assert!(read(&mut configuration, "socket = 1", outside).is_err());
    }
}
