//! Mutation: how an input becomes another that is nearly right.
//!
//! JSON is changed as a tree most of the time, since flipped bytes rarely get past the parser, and as text now and then.
//! Histories are changed by line. Netlink messages are changed as bytes, with a liking for their length fields.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// Values that tend to be forgotten.
fn odd(random: &mut Random) -> Value {
    const NUMBERS: [i64; 12] =
        [0, 1, 2, 6, 17, 255, 256, 65_535, 65_536, -1, 4_294_967_295, i64::MAX];
    const TEXTS: [&str; 34] = [
        "",
        " ",
        "0",
        "6",
        "a",
        "any",
        "NAT",
        "nat",
        "Static",
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "10.0.0.255",
        "10.0.0.0/24",
        "10.0.0.1/24",
        "0.0.0.0/0",
        "::/0",
        "fd00::/64",
        "fd00::1",
        "10.0.0.0/33",
        "127.0.0.1",
        "224.0.0.1",
        "169.254.169.254",
        "00-15-5D-01-02-03",
        "01-00-5E-00-00-01",
        "ff:ff:ff:ff:ff:ff",
        "80-90",
        "90-80",
        "80,443",
        "256",
        "{00000000-0000-0000-0000-000000000000}",
        "ID",
        "\u{0}",
        "\u{1F310}\u{301}",
    ];
    match random.below(12) {
        0 => Value::Null,
        1 => json!(random.one_in(2)),
        2 => json!([]),
        3 => json!({}),
        4 => json!(1.5e300),
        5 => json!("x".repeat(random.below(400))),
        6 => json!(random.number()),
        7 | 8 => json!(random.pick(&NUMBERS)),
        _ => json!(random.pick(&TEXTS)),
    }
}

/// A document near the given one; `others` lend their parts.
pub fn document(text: &str, others: &[String], random: &mut Random) -> String {
    if random.one_in(12) {
        return garble(text, random);
    }
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return garble(text, random) };
    let edits = if random.one_in(3) { 1 + random.below(4) } else { 1 };
    for _ in 0..edits {
        let part = random.pick(others).and_then(|other| serde_json::from_str(other).ok());
        change(&mut value, part.as_ref(), random);
    }
    let spaced = random.one_in(8);
    if spaced { format!("{value:#}") } else { value.to_string() }
}

/// Changes one place of a tree.
fn change(value: &mut Value, other: Option<&Value>, random: &mut Random) {
    let places = count(value);
    let place = random.below(places);
    let donor = other.map(|other| {
        let from = random.below(count(other));
        nth(other, from).cloned().unwrap_or(Value::Null)
    });
    let Some(spot) = nth_mut(value, place) else { return };
    match random.below(8) {
        0 | 1 => *spot = odd(random),
        2 => *spot = donor.unwrap_or(Value::Null),
        3 => *spot = json!([spot.clone()]),
        _ => change_inside(spot, donor, random),
    }
}

fn change_inside(spot: &mut Value, donor: Option<Value>, random: &mut Random) {
    match spot {
        Value::Object(members) => change_members(members, donor, random),
        Value::Array(items) => match random.below(4) {
            0 => drop(items.pop()),
            1 => items.extend(items.clone().into_iter().take(8)),
            2 => items.reverse(),
            _ => items.push(donor.unwrap_or_else(|| odd(random))),
        },
        Value::String(text) => *text = change_text(text, random),
        Value::Number(number) => {
            let old = number.as_u64().unwrap_or(0);
            let new = match random.below(4) {
                0 => old.wrapping_add(1),
                1 => old.wrapping_sub(1),
                2 => old.wrapping_mul(2),
                _ => old ^ (1 << random.below(33)),
            };
            *spot = json!(new);
        }
        Value::Bool(flag) => *flag = !*flag,
        Value::Null => *spot = odd(random),
    }
}

fn change_members(members: &mut Map<String, Value>, donor: Option<Value>, random: &mut Random) {
    let names: Vec<String> = members.keys().cloned().collect();
    let name = random.pick(&names).cloned().unwrap_or_default();
    match random.below(6) {
        0 => drop(members.shift_remove(&name)),
        1 => {
            let value = members.shift_remove(&name).unwrap_or(Value::Null);
            let name = if random.one_in(2) { name.to_lowercase() } else { name.to_uppercase() };
            members.insert(name, value);
        }
        2 => drop(members.insert(format!("{name}X"), odd(random))),
        3 => {
            if let Some(Value::Object(theirs)) = donor {
                members.extend(theirs.into_iter().take(4));
            }
        }
        4 => drop(members.insert(name.to_lowercase(), odd(random))),
        _ => drop(members.insert(name, odd(random))),
    }
}

fn change_text(text: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let place = random.below(chars.len().max(1));
    match random.below(7) {
        0 => chars.truncate(place),
        1 => chars.insert(
            place.min(chars.len()),
            random
                .pick(&['0', '9', '.', ':', '/', '-', ',', ' ', 'é', '\u{0}'])
                .copied()
                .unwrap_or('0'),
        ),
        2 => return text.to_uppercase(),
        3 => return text.to_lowercase(),
        4 => return [text, ",", text].concat(),
        5 => {
            if let Some(spot) = chars.get_mut(place) {
                *spot = random.pick(&['0', '1', '2', '5', '9', 'f']).copied().unwrap_or('0');
            }
        }
        _ => return format!("{{{text}}}"),
    }
    chars.into_iter().collect()
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

/// The n-th value of a tree, the root being number 0.
fn nth(value: &Value, place: usize) -> Option<&Value> {
    if place == 0 {
        return Some(value);
    }
    let mut left = place - 1;
    for child in children(value) {
        let size = count(child);
        if left < size {
            return nth(child, left);
        }
        left -= size;
    }
    None
}

fn nth_mut(value: &mut Value, place: usize) -> Option<&mut Value> {
    if place == 0 {
        return Some(value);
    }
    let mut left = place - 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => return None,
    };
    for child in children {
        let size = count(child);
        if left < size {
            return nth_mut(child, left);
        }
        left -= size;
    }
    None
}

/// A text changed without regard to what it says.
fn garble(text: &str, random: &mut Random) -> String {
    let bytes = bytes(text.as_bytes(), random);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Bytes near the given ones.
pub fn bytes(input: &[u8], random: &mut Random) -> Vec<u8> {
    let mut output = input.to_vec();
    for _ in 0..=random.below(4) {
        let place = random.below(output.len());
        let length = random.below(output.len().saturating_sub(place).min(40));
        match random.below(7) {
            0 => output.truncate(place),
            1 => drop(output.drain(place..place + length)),
            2 => {
                let copy: Vec<u8> = output.iter().skip(place).take(length).copied().collect();
                output.splice(place..place, copy);
            }
            3 => output.insert(place.min(output.len()), random.number() as u8),
            4 => {
                // A 16-bit number at an even place: netlink's lengths and types.
                let number = [0, 1, 3, 4, 5, 8, 0x7fff, 0x8000, 0xffff][random.below(9)];
                let even = place & !1;
                if let Some(spot) = output.get_mut(even..even + 2) {
                    spot.copy_from_slice(&u16::to_ne_bytes(number));
                }
            }
            _ => {
                if let Some(byte) = output.get_mut(place) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    output
}

/// A history near the given one: lines go, come twice, change places, are borrowed or changed.
pub fn history(text: &str, others: &[String], random: &mut Random) -> String {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let edits = if random.one_in(2) { 1 + random.below(4) } else { 1 };
    for _ in 0..edits {
        let (place, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(8) {
            0 if lines.len() > 1 => drop(lines.remove(place)),
            1 if !lines.is_empty() => lines.insert(other, lines[place].clone()),
            2 if !lines.is_empty() => lines.swap(place, other),
            3 => {
                let theirs = random.pick(others).map(String::as_str).unwrap_or_default();
                let theirs: Vec<&str> = theirs.lines().collect();
                lines.extend(random.pick(&theirs).map(|line| line.to_string()));
            }
            _ => {
                if let Some(line) = lines.get_mut(place) {
                    *line = change_line(line, random);
                }
            }
        }
    }
    lines.join("\n")
}

/// A line of a history: operation, id, network, document.
fn change_line(line: &str, random: &mut Random) -> String {
    let mut words: Vec<String> = line.splitn(4, ' ').map(String::from).collect();
    words.resize(4, String::new());
    match random.below(8) {
        0 => words[0] = random.below(24).to_string(),
        1 => words[1] = random.below(9).to_string(),
        2 => words[2] = random.below(9).to_string(),
        _ => {
            let given = if words[3].trim().is_empty() { "{}" } else { words[3].as_str() };
            words[3] = document(given, &[], random).replace('\n', " ");
        }
    }
    words.join(" ")
}
