//! Who a process is to run as, looked up in the container's own `/etc/passwd` and `/etc/group`.

use std::fs::File;
use std::io::{self, Read};

use hostcompute_supervisor::message::{Refusal, RefusalKind};

use crate::refusal::refuse;

/// Longer files are those of somebody who wants to keep us busy.
const LONGEST: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// `None` leaves them as they are.
    pub groups: Option<Vec<u32>>,
    pub home: String,
}

/// Finds the user of `name`, `name:group`, `uid`, `uid:gid`; `""` is root.
pub fn find(text: &str) -> Result<User, Refusal> {
    look_up(text, &read("/etc/passwd")?, &read("/etc/group")?)
}

fn read(path: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(refuse(RefusalKind::Failed, format!("could not read {path}: {error}"))),
    }
}

/// The same, in these files.
pub fn look_up(text: &str, passwd: &str, group: &str) -> Result<User, Refusal> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    // A name of digits is a number, unless somebody is called so.
    let entry = entries(passwd).find(|fields| fields.first() == Some(&name)).or_else(|| {
        entries(passwd).find(|fields| name.parse::<u32>().is_ok() && fields.get(2) == Some(&name))
    });
    let number =
        |place: usize| entry.as_ref().and_then(|fields| fields.get(place)?.parse::<u32>().ok());
    let uid = number(2)
        .or_else(|| name.parse().ok())
        .ok_or_else(|| refuse(RefusalKind::NotFound, format!("there is no user {name} inside")))?;
    let gid = match group_name {
        None => number(3).unwrap_or(0),
        Some(group_name) => entries(group)
            .find(|fields| fields.first() == Some(&group_name))
            .and_then(|fields| fields.get(2)?.parse().ok())
            .or_else(|| group_name.parse().ok())
            .ok_or_else(|| {
                refuse(RefusalKind::NotFound, format!("there is no group {group_name} inside"))
            })?,
    };
    let login = entry.as_ref().and_then(|fields| fields.first().copied());
    // Who names a group wants that one.
    let others = entries(group).filter(|fields| {
        let members = fields.get(3).copied().unwrap_or_default();
        group_name.is_none()
            && login.is_some_and(|login| members.split(',').any(|one| one == login))
    });
    let mut groups = vec![gid];
    groups.extend(others.filter_map(|fields| fields.get(2)?.parse::<u32>().ok()));
    groups.sort_unstable();
    groups.dedup();
    let home = entry.as_ref().and_then(|fields| fields.get(5).copied()).unwrap_or("/");
    let home = if home.is_empty() { "/" } else { home };
    Ok(User { uid, gid, groups: Some(groups), home: home.to_owned() })
}

fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\n7:x:8:9::/seven:\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\naudio:x:29:ann,bob\nwheel:x:10:bob\n";

    fn find(text: &str) -> (u32, u32, Vec<u32>, String) {
        let user = look_up(text, PASSWD, GROUP).expect("a user");
        (user.uid, user.gid, user.groups.unwrap_or_default(), user.home)
    }

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(find(""), (0, 0, vec![0], "/root".into()));
        assert_eq!(find("ann"), (1000, 100, vec![29, 100], "/home/ann".into()));
        assert_eq!(find("1000"), (1000, 100, vec![29, 100], "/home/ann".into()));
        assert_eq!(find("ann:wheel"), (1000, 10, vec![10], "/home/ann".into()));
        assert_eq!(find("5:6"), (5, 6, vec![6], "/".into()));
        assert_eq!(find("7"), (8, 9, vec![9], "/seven".into()));
    }

    #[test]
    fn unknown_names_are_refused() {
        for text in ["nobody", "ann:nobody", "-1", "99999999999"] {
            let refusal = look_up(text, PASSWD, GROUP).expect_err(text);
            assert_eq!(refusal.kind, RefusalKind::NotFound, "{text}");
        }
    }
}
