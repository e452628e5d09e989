//! Windows: there is no store of images.

use hostcompute::{Failure, HResult, Host, Options};

use crate::compute::arguments::RunArguments;
use crate::compute::document::Defaults;

/// What keeps layers of an image from being removed: nothing has to.
pub type Hold = std::convert::Infallible;

/// Refuses images.
///
/// # Errors
/// ERROR_NOT_SUPPORTED where one is wished.
pub fn bring(_: &Options, typed: &RunArguments) -> Result<(), Failure> {
    typed.root.image.as_deref().map_or(Ok(()), |wanted| Err(refused(wanted)))
}

/// Refuses images.
///
/// # Errors
/// ERROR_NOT_SUPPORTED.
pub fn defaults(_: &Host, wanted: &str, _: &[String]) -> Result<Defaults, Failure> {
    Err(refused(wanted))
}

fn refused(wanted: &str) -> Failure {
    let why = format!("there is no store of images on Windows, so {wanted} is not in it");
    Failure::new(HResult::ERROR_NOT_SUPPORTED, why)
        .hint("--rootfs names a directory; hc system create takes a document that names layers")
}
