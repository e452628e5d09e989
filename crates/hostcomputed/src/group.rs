//! The numbers of groups, by /etc/group. Groups of directory services are given by their number.

use anyhow::{Context, Result, bail};

/// The group that a person names; `None` for nobody, and for the usual name where no such group exists.
///
/// # Errors
/// There is no such group, or /etc/group cannot be read.
pub fn number(name: &str, usual: &str) -> Result<Option<u32>> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let table = std::fs::read_to_string("/etc/group").context("cannot read /etc/group")?;
    match find(&table, name) {
        None if name == usual => Ok(None),
        None => bail!("there is no group {name:?}; name one of /etc/group, or give its number"),
        found => Ok(found),
    }
}

/// Lines are `name:password:number:members`.
fn find(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_their_whole_name() {
        let table = "root:x:0:\nhostcompute-x:x:8:\nhostcompute:x:998:kim,lee\nbroken\n";
        assert_eq!(find(table, "hostcompute"), Some(998));
        assert_eq!(find(table, "host"), None);
        assert_eq!(find(table, "broken"), None);
    }

    #[test]
    fn numbers_stand_for_themselves_and_nothing_for_nobody() {
        assert_eq!(number("77", "hostcompute").expect("a number"), Some(77));
        assert_eq!(number("", "hostcompute").expect("nobody"), None);
        assert!(number("no such group", "hostcompute").is_err());
        assert_eq!(number("no such group", "no such group").expect("missing"), None);
    }
}
