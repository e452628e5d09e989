//! Wakes a task for what comes from a thread: the service calls, the task looks.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

/// Whom to wake.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Mutex<Option<Waker>>>);

impl Bell {
    /// Wakes the listener, if there is one.
    pub fn ring(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next ring wakes this task. Listen first and look then: what comes in between wakes.
    pub fn listen(&self, context: &Context<'_>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
    }
}
