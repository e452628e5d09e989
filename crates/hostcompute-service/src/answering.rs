//! Telling who asked, exactly once, whatever becomes of the request.

use hostcompute_schema::{Failure, HResult};

/// The answer to a request that somebody else carries out: when it is dropped untold, the asker is told that the service broke down.
pub(crate) struct Answering<T>(Option<Done<T>>);

type Done<T> = Box<dyn FnOnce(Result<T, Failure>) + Send>;

impl<T> Answering<T> {
    pub fn new(done: impl FnOnce(Result<T, Failure>) + Send + 'static) -> Self {
        Self(Some(Box::new(done)))
    }

    pub fn tell(mut self, result: Result<T, Failure>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl<T> Drop for Answering<T> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(broke_down()));
        }
    }
}

/// What the client of a request is told that made the service panic.
pub(crate) fn broke_down() -> Failure {
    Failure::new(HResult::E_UNEXPECTED, "the request failed inside the service and was taken back")
        .hint("this is a bug; the log of the service says where")
}
