//! Linux: the image comes from the store, and gets there from its registry.

pub use hostcompute::image::Hold;
use hostcompute::image::{ImageLayer, Images};
use hostcompute::{Failure, HResult, Host, Options};

use super::Pull;
use crate::compute::arguments::RunArguments;
use crate::compute::document::Defaults;

/// Sees to it that the image of a command is in the store. A host inside this process is opened afterwards: others wait for it as long
/// as it is open, which a download should not take from them.
///
/// # Errors
/// There is no such image, neither in the store nor, where that is asked, in its registry.
pub fn bring(options: &Options, typed: &RunArguments) -> Result<(), Failure> {
    let Some(wanted) = &typed.root.image else { return Ok(()) };
    let images = Images::auto(options)?;
    if typed.pull == Pull::Always {
        return from_registry(&images, wanted);
    }
    let missing = match images.find(wanted) {
        Err(failure) if failure.hresult == HResult::ERROR_NOT_FOUND => failure,
        found => return found.map(drop),
    };
    if typed.pull == Pull::Never {
        return Err(missing.hint("--pull missing, the default, asks the registry in its name"));
    }
    if !names_registry(wanted) {
        let hint = "`hc image import` takes what `docker save` writes; HOST/PATH:TAG is pulled";
        return Err(missing.hint(hint));
    }
    from_registry(&images, wanted)
}

/// The layers of an image, and what it says of its command; in use until the container uses them itself.
///
/// # Errors
/// There is no such image any more.
pub fn defaults(host: &Host, wanted: &str, typed: &[String]) -> Result<Defaults, Failure> {
    let (image, holds) = Images::of(host).in_use(wanted)?;
    let execution = &image.execution;
    let path = |layer: &ImageLayer| layer.path.display().to_string();
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Ok(Defaults {
        layers: image.layers.iter().map(path).collect(),
        words: execution.command(typed),
        environment: execution.env.clone(),
        workdir: text(&execution.working_dir),
        user: text(&execution.user),
        stop_signal: execution.stop_signal.as_ref().and_then(text),
        holds,
    })
}

#[cfg(feature = "registry")]
fn names_registry(wanted: &str) -> bool {
    let read = wanted.parse::<hostcompute::image::Reference>();
    read.is_ok_and(|reference| reference.host.is_some())
}

#[cfg(not(feature = "registry"))]
fn names_registry(_: &str) -> bool {
    false
}

#[cfg(feature = "registry")]
fn from_registry(images: &Images, wanted: &str) -> Result<(), Failure> {
    let meter = crate::meter::Meter::new();
    let (options, access) = Default::default();
    images.pull(wanted, &options, &access, &|event| meter.hear(event)).map(drop)
}

#[cfg(not(feature = "registry"))]
fn from_registry(_: &Images, wanted: &str) -> Result<(), Failure> {
    let why = format!("{wanted} cannot be pulled: this program was built without registries");
    Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why))
}
