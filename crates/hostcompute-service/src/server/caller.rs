//! Who asks, and what that allows.

use hostcompute_schema::operation::Right;
use hostcompute_schema::{Failure, HResult};

/// The other side of a connection, as the kernel vouches for it (SO_PEERCRED, SO_PEERGROUPS).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub pid: Option<u32>,
    /// The caller lives in another user namespace than the service: its ids mean nothing here.
    pub foreign_user_namespace: bool,
}

/// Groups whose members have rights; root has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Groups {
    /// Members may look and change.
    pub manage: Option<u32>,
    /// Members may look.
    pub read: Option<u32>,
}

impl Caller {
    /// What the caller may do.
    ///
    /// # Errors
    /// E_ACCESSDENIED for a caller who may do nothing.
    pub fn right(&self, groups: &Groups) -> Result<Right, Failure> {
        if self.foreign_user_namespace {
            let why = "the caller is in another user namespace, where ids mean other users";
            return Err(Failure::new(HResult::E_ACCESSDENIED, why)
                .hint("call from the user namespace of the service"));
        }
        if self.uid == 0 || self.belongs_to(groups.manage) {
            return Ok(Right::Manage);
        }
        if self.belongs_to(groups.read) {
            return Ok(Right::Read);
        }
        let why = format!("user {} may not use this service", self.uid);
        let hint = "root and the members of the service's group may; `usermod -aG hostcompute USER` makes one, from its next login on";
        Err(Failure::new(HResult::E_ACCESSDENIED, why).hint(hint))
    }

    fn belongs_to(&self, group: Option<u32>) -> bool {
        group.is_some_and(|group| self.gid == group || self.groups.contains(&group))
    }
}

/// Whether `right` is enough for what needs `needed`.
///
/// # Errors
/// E_ACCESSDENIED.
pub(super) fn require(right: Right, needed: Right) -> Result<(), Failure> {
    if right >= needed {
        return Ok(());
    }
    Err(Failure::new(HResult::E_ACCESSDENIED, "this caller may look, not change")
        .hint("root and the members of the service's group may change"))
}

#[cfg(all(test, not(feature = "schedules")))]
mod tests {
    use super::*;

    #[test]
    fn root_and_two_groups_have_rights_and_nobody_else() {
        let groups = Groups { manage: Some(5), read: Some(6) };
        let caller = |uid, gid, groups: &[u32]| Caller {
            uid,
            gid,
            groups: groups.to_vec(),
            ..Caller::default()
        };
        assert_eq!(caller(0, 0, &[]).right(&groups), Ok(Right::Manage));
        assert_eq!(caller(7, 5, &[]).right(&groups), Ok(Right::Manage));
        assert_eq!(caller(7, 7, &[6, 5]).right(&groups), Ok(Right::Manage));
        assert_eq!(caller(7, 7, &[6]).right(&groups), Ok(Right::Read));
        for stranger in
            [caller(7, 7, &[8]), Caller { foreign_user_namespace: true, ..caller(0, 0, &[5]) }]
        {
            let refused = stranger.right(&groups).expect_err("no right");
            assert_eq!(refused.hresult, HResult::E_ACCESSDENIED);
            assert!(refused.hint.is_some());
        }
        assert_eq!(
            caller(7, 0, &[]).right(&Groups::default()).map_err(|f| f.hresult),
            Err(HResult::E_ACCESSDENIED)
        );
    }

    #[test]
    fn looking_is_not_enough_to_change() {
        assert!(require(Right::Manage, Right::Read).is_ok());
        assert!(require(Right::Read, Right::Manage).is_err());
    }
}
