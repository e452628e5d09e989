//! The handles of one session: numbers that stand for objects.
//!
//! A handle owns nothing: objects outlive it, and it outlives its object. It remembers which incarnation of the object it was opened
//! on, so that it stays stale when the id is used again.

use std::collections::BTreeMap;

use hostcompute_engine::{Kind, State};
use hostcompute_schema::{Failure, Guid, HResult};

use super::limits::{Limits, exceeded};

/// A handle of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);

#[derive(Debug, Default)]
pub(super) struct Handles {
    open: BTreeMap<Handle, Target>,
    last: u64,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    kind: Kind,
    id: Guid,
    incarnation: u64,
}

impl Handles {
    pub fn open(
        &mut self,
        state: &State,
        kind: Kind,
        id: Guid,
        limits: &Limits,
    ) -> Result<Handle, Failure> {
        let incarnation = state.incarnation(kind, id).ok_or_else(|| kind.missing(id))?;
        if self.open.len() >= limits.handles {
            let what = format!("this session has {} handles", self.open.len());
            return Err(exceeded(&what, limits.handles, "handles", "close some"));
        }
        self.last += 1;
        let handle = Handle(self.last);
        self.open.insert(handle, Target { kind, id, incarnation });
        Ok(handle)
    }

    pub fn close(&mut self, handle: Handle) -> Result<(), Failure> {
        self.open.remove(&handle).map(drop).ok_or_else(|| unknown(handle))
    }

    pub fn object(&self, state: &State, handle: Handle) -> Result<(Kind, Guid), Failure> {
        let Target { kind, id, incarnation } =
            *self.open.get(&handle).ok_or_else(|| unknown(handle))?;
        if state.incarnation(kind, id) == Some(incarnation) {
            return Ok((kind, id));
        }
        let why = format!("the {kind} {id} was deleted after handle {} was opened", handle.0);
        Err(Failure::new(HResult::HCN_E_OBJECT_USED_AFTER_UNLOAD, why).hint("close the handle"))
    }

    pub fn all(&self) -> Vec<(Handle, Kind, Guid)> {
        self.open.iter().map(|(handle, target)| (*handle, target.kind, target.id)).collect()
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }
}

fn unknown(handle: Handle) -> Failure {
    Failure::new(HResult::E_HANDLE, format!("this session has no handle {}", handle.0))
}
