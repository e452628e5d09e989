//! What documents read and print as: one module per concern.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod compute;
mod leniency;
mod printing;
mod refusals;
mod v1;
mod validation;
