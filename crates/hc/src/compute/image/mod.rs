//! Where `hc run --image` gets its image, and what the image says of the command.

#[cfg(windows)]
mod refusal;
#[cfg(unix)]
mod store;

use clap::ValueEnum;

#[cfg(windows)]
pub use refusal::{Hold, bring, defaults};
#[cfg(unix)]
pub use store::{Hold, bring, defaults};

/// When an image is asked of its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Pull {
    /// When it is not in the store
    #[default]
    Missing,
    /// Each time: the registry may have another one by this name
    Always,
    /// Not at all
    Never,
}
