//! The programs that systems of the model can run, by the first argument. All others run until they are ended.

/// Ends at once, with code 0.
pub const TRUE: &str = "true";
/// Does not exist.
pub const MISSING: &str = "missing";
/// Takes no notice of signals but SIGKILL.
pub const STUBBORN: &str = "stubborn";
/// Ends, with code 0, when its input is closed.
pub const CAT: &str = "cat";
