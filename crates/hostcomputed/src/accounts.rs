//! The numbers of users and groups, by /etc/passwd and /etc/group. Those of directory services are given by their number.

use anyhow::{Context, Result, bail};

/// A user as the kernel tells one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The user that a person names.
///
/// # Errors
/// There is no such user, or one of the files cannot be read.
pub fn user(name: &str) -> Result<User> {
    let users = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let groups = std::fs::read_to_string("/etc/group").context("cannot read /etc/group")?;
    match find_user(&users, &groups, name) {
        Some(user) => Ok(user),
        None => bail!("there is no user {name:?} in /etc/passwd"),
    }
}

/// Lines are `name:password:uid:gid:…`; a name that is a number is the uid of one.
fn find_user(users: &str, groups: &str, name: &str) -> Option<User> {
    let (name, uid, gid) = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (known, uid) = (fields.next()?, fields.nth(1)?);
        let gid = fields.next()?.parse().ok()?;
        (known == name || uid == name).then_some((known, uid.parse().ok()?, gid))
    })?;
    let groups = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let number = fields.nth(2)?.parse().ok()?;
        fields.next()?.split(',').any(|member| member == name).then_some(number)
    });
    Some(User { uid, gid, groups: groups.collect() })
}

/// The group that a person names; `None` for nobody, and for the usual name where no such group exists.
///
/// # Errors
/// There is no such group, or /etc/group cannot be read.
pub fn group(name: &str, usual: &str) -> Result<Option<u32>> {
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
    fn users_come_with_their_groups() {
        let users = "root:x:0:0::/root:/bin/sh\nkim:x:1000:100::/:/bin/sh\nbroken\n";
        let groups = "root:x:0:\nusers:x:100:\nhostcompute:x:998:lee,kim\nkimono:x:5:kimono\n";
        let kim = User { uid: 1000, gid: 100, groups: vec![998] };
        assert_eq!(find_user(users, groups, "kim"), Some(kim.clone()));
        assert_eq!(find_user(users, groups, "1000"), Some(kim));
        assert_eq!(find_user(users, groups, "ki"), None);
        assert_eq!(find_user(users, groups, "broken"), None);
    }

    #[test]
    fn numbers_stand_for_themselves_and_nothing_for_nobody() {
        assert_eq!(group("77", "hostcompute").expect("a number"), Some(77));
        assert_eq!(group("", "hostcompute").expect("nobody"), None);
        assert!(group("no such group", "hostcompute").is_err());
        assert_eq!(group("no such group", "no such group").expect("missing"), None);
    }
}
