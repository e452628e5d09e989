//! Handles: numbers that look like pointers. They stand in a table and are never followed, so one that was closed, was made up, or
//! is of another kind is refused and does no harm. A number is given once in the life of a process.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use hostcompute::{Failure, HResult};

use crate::compute::{Operation, Process, System};
use crate::network::{Entity, Listening, Reserved};

/// A handle as C programs have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Handle(usize);

/// What a handle stands for.
#[derive(Debug, Clone)]
pub enum Object {
    Entity(Arc<Entity>),
    Listening(Arc<Listening>),
    Reserved(Arc<Reserved>),
    Operation(Arc<Operation>),
    System(Arc<System>),
    Process(Arc<Process>),
    /// Of the older functions: their callbacks have handles.
    #[cfg(windows)]
    Registered(Arc<crate::compute::Registered>),
}

#[derive(Debug, Default)]
struct Table {
    objects: BTreeMap<usize, Object>,
    last: usize,
}

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

/// Between two handles: they look like addresses, and small integers are none.
const STEP: usize = 16;

/// The number before the first.
const BEFORE: usize = 0x1000;

/// More open handles than this are a program that forgets to close them.
const MOST: usize = 1 << 20;

impl Handle {
    pub const NULL: Handle = Handle(0);
}

/// A new handle.
///
/// # Errors
/// E_OUTOFMEMORY for a program that never closes any.
pub fn add(object: Object) -> Result<Handle, Failure> {
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    if table.objects.len() >= MOST {
        let why = format!("this process has {MOST} open handles");
        return Err(Failure::new(HResult::E_OUTOFMEMORY, why).hint("close those not needed"));
    }
    table.last += STEP;
    let number = BEFORE + table.last;
    table.objects.insert(number, object);
    Ok(Handle(number))
}

/// What a handle stands for, as the kind that `pick` picks.
///
/// # Errors
/// E_INVALIDARG for NULL, E_HANDLE for one that was closed, is of another kind, or never was.
pub fn find<T>(handle: Handle, pick: impl Fn(&Object) -> Option<T>) -> Result<T, Failure> {
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    table.objects.get(&handle.0).and_then(pick).ok_or_else(|| refusal(handle))
}

/// As [`find`]; the handle is none from then on.
///
/// # Errors
/// As [`find`].
pub fn remove<T>(handle: Handle, pick: impl Fn(&Object) -> Option<T>) -> Result<T, Failure> {
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    let number = handle.0;
    let picked = table.objects.get(&number).and_then(pick).ok_or_else(|| refusal(handle))?;
    let removed = table.objects.remove(&number);
    // What it held may take its time to go: others need not wait.
    drop(table);
    drop(removed);
    Ok(picked)
}

fn refusal(handle: Handle) -> Failure {
    match handle {
        Handle::NULL => Failure::new(HResult::E_INVALIDARG, "the handle is NULL"),
        _ => Failure::new(HResult::E_HANDLE, "there is no open handle of this kind and number"),
    }
}
