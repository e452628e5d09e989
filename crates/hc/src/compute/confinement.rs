//! What can be typed about how a container is kept from the host: by its document, or by what is said beside it.

use clap::{Args, ValueEnum};
use hostcompute::schema::hcs::{Container, Storage};

/// The value of IsolationType for processes of the host.
const HOST_PROCESS: &str = "HostProcess";

/// How it is kept apart.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "How it is kept apart")]
pub struct Confinement {
    /// A container, or processes of the host that are kept together by a control group
    #[arg(long, value_enum, default_value_t)]
    pub isolation: Isolation,
    /// Where processes of the host see the file system that is given to them
    #[arg(long, value_name = "DIR")]
    pub root_at: Option<String>,
    /// Let nobody write to its file system; volumes say for themselves
    #[arg(long)]
    pub read_only: bool,
    /// Who makes it: builtin, or an OCI runtime's program such as crun [default: as the service is set up]
    #[arg(long, value_name = "PROGRAM")]
    pub runtime: Option<String>,
    /// Which users of the host those inside are: `host`, or INSIDE:HOST:COUNT [default: as the service is set up]
    #[arg(long = "users", value_name = "RANGE", value_delimiter = ',')]
    pub users: Vec<String>,
    /// The same for groups [default: as the users]
    #[arg(long = "groups", value_name = "RANGE", value_delimiter = ',', requires = "users")]
    pub groups: Vec<String>,
    /// What root inside may do beyond what is usual, such as NET_ADMIN
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub cap_add: Vec<String>,
    /// What root inside may not do, such as CHOWN, or ALL; these are dropped before others are added
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub cap_drop: Vec<String>,
    /// Which system calls are let through: those that containers need, or all
    #[arg(long, value_enum, default_value_t)]
    pub seccomp: Filter,
}

/// The kinds of isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Isolation {
    #[default]
    Container,
    HostProcess,
}

/// The filters of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Filter {
    #[default]
    Default,
    None,
}

impl Confinement {
    /// Says in a document what documents can say.
    pub fn write(&self, container: &mut Container) {
        if self.isolation == Isolation::HostProcess {
            container.isolation_type = Some(HOST_PROCESS.to_owned());
        }
        if self.root_at.is_some() {
            let storage = container.storage.get_or_insert_with(Storage::default);
            storage.privileged_container_root_path.clone_from(&self.root_at);
        }
    }

    /// The rest, as parameters of the call.
    pub fn terms(&self) -> Vec<(&'static str, String)> {
        let mut terms = Vec::new();
        terms.extend(self.runtime.clone().map(|runtime| ("runtime", runtime)));
        let lists = [("users", &self.users), ("groups", &self.groups)];
        let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
        terms.extend(given.map(|(name, list)| (name, list.join(","))));
        let dropped = self.cap_drop.iter().map(|name| format!("-{name}"));
        let added = self.cap_add.iter().map(|name| format!("+{name}"));
        let capabilities: Vec<String> = dropped.chain(added).collect();
        if !capabilities.is_empty() {
            terms.push(("capabilities", capabilities.join(",")));
        }
        let switches =
            [("unfiltered", self.seccomp == Filter::None), ("read-only", self.read_only)];
        terms.extend(
            switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| (name, true.to_string())),
        );
        terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_said_in_the_document_or_beside_it() {
        let typed = Confinement {
            isolation: Isolation::HostProcess,
            root_at: Some("/mnt".to_owned()),
            read_only: true,
            runtime: Some("crun".to_owned()),
            users: vec!["0:1:2".to_owned(), "2:3:4".to_owned()],
            cap_add: vec!["SYSLOG".to_owned()],
            cap_drop: vec!["ALL".to_owned()],
            seccomp: Filter::None,
            ..Confinement::default()
        };
        let mut container = Container::default();
        typed.write(&mut container);
        assert_eq!(container.isolation_type.as_deref(), Some("HostProcess"));
        let terms = typed.terms();
        let terms: Vec<(&str, &str)> =
            terms.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(
            terms,
            [
                ("runtime", "crun"),
                ("users", "0:1:2,2:3:4"),
                ("capabilities", "-ALL,+SYSLOG"),
                ("unfiltered", "true"),
                ("read-only", "true"),
            ]
        );
        container = Container::default();
        Confinement::default().write(&mut container);
        assert_eq!((container, Confinement::default().terms()), (Container::default(), Vec::new()));
    }
}
