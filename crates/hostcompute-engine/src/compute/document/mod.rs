//! What the documents of the API mean for a container on Linux. Each file reads one of them; all mistakes are collected, each with
//! its JSON path.

mod command_line;
mod container;
mod devices;
mod limits;
mod modify;
mod networking;
mod options;
mod path;
mod process;
mod storage;

pub use container::{Meaning, Policy, Wanted, read_system};
pub use modify::{Change, read_modify};
pub use networking::{Resolver, WantedNetwork};
pub use options::{Shutdown, check_pause, check_start, read_shutdown};
pub use process::{ProcessChange, read_process, read_process_modify, read_signal};

use alloc::string::String;
use alloc::vec::Vec;

use hostcompute_schema::{Failure, HResult, Warning, first_of};

/// Reading goes on after a mistake, so that the author of a document learns of all of them at once.
#[derive(Debug, Default)]
struct Notes {
    mistakes: Vec<Failure>,
    warnings: Vec<Warning>,
}

impl Notes {
    fn refuse(&mut self, code: HResult, path: impl Into<String>, why: impl Into<String>) {
        self.mistakes.push(Failure::new(code, why).at(path));
    }

    /// The parameter is understood and wrong.
    fn invalid(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.refuse(HResult::E_INVALIDARG, path, why);
    }

    /// The setting is understood, and Linux has no such thing.
    fn unsupported(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.refuse(HResult::ERROR_NOT_SUPPORTED, path, why);
    }

    /// The setting is left out, and the caller should know.
    fn ignore(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.warnings.push(Warning { path: path.into(), message: why.into(), position: None });
    }

    /// What was read, unless there was a mistake: the first, and how many there are more. Places are those in `text`.
    fn finish<T>(self, read: Option<T>, text: &str) -> Result<(T, Vec<Warning>), Failure> {
        if !self.mistakes.is_empty() {
            return Err(first_of(self.mistakes).in_document(text));
        }
        let nothing = || Failure::new(HResult::E_UNEXPECTED, "a refusal without a reason");
        let mut warnings = self.warnings;
        for warning in &mut warnings {
            warning.position = hostcompute_schema::locate(text, &warning.path);
        }
        Ok((read.ok_or_else(nothing)?, warnings))
    }
}
