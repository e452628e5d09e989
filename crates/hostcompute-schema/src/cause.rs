//! What lies behind a failure: what the kernel, a file or a connection said, as texts that can travel.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::error::Error;
use core::fmt;

/// An error behind a failure, and the one behind that: the chain that [`core::error::Error::source`] walks.
///
/// It is text, not the error itself, so that it is the same whether the service is inside the process or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    text: String,
    behind: Option<Box<Cause>>,
}

impl Cause {
    /// An error with everything behind it.
    pub fn of(error: &dyn Error) -> Cause {
        let behind = error.source().map(|source| Box::new(Cause::of(source)));
        Cause { text: error.to_string(), behind }
    }

    /// A chain from its texts, the nearest first; nothing where there are none.
    pub fn chain(texts: impl DoubleEndedIterator<Item = String>) -> Option<Box<Cause>> {
        texts.rev().fold(None, |behind, text| Some(Box::new(Cause { text, behind })))
    }

    /// The texts, the nearest first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        core::iter::successors(Some(self), |cause| cause.behind.as_deref())
            .map(|cause| cause.text.as_str())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.behind.as_deref().map(|cause| cause as _)
    }
}
