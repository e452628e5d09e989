//! `hc image`: images in the store of the service that runs, or else in that of the state directory.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use hostcompute::image::{
    ExportOptions, Form as Shape, Image, Images, ImportOptions, Imported, Limits, Outer, Platform,
};
use hostcompute::{Failure, HResult, Options};
use serde_json::{Value, json};

use crate::arguments::Form;
use crate::meter::{self, Meter};
use crate::print;
use crate::problem::{Done, Problem};

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Import the images of an archive (OCI or `docker save`, compressed or not) or of a directory with an OCI layout
    Import {
        /// The archive or directory; `-` is standard input
        source: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Import an image from a registry
    #[cfg(feature = "registry")]
    #[command(after_help = "Example: hc image pull docker.io/library/alpine:3.22")]
    Pull {
        /// `HOST[:PORT]/PATH[:TAG][@DIGEST]`
        reference: String,
        #[command(flatten)]
        how: How,
        #[command(flatten)]
        access: crate::pull::Access,
    },
    /// Write an image to a file or directory where nothing is; `-` is standard output
    Export {
        /// Its name, or the beginning of its id
        image: String,
        /// Where to
        target: PathBuf,
        /// As what
        #[arg(long, value_enum, default_value_t, value_name = "FORM")]
        format: Format,
        /// Compress the archive as a whole
        #[arg(long, value_enum, value_name = "HOW")]
        compress: Option<Compress>,
    },
    /// List all images
    Ls,
    /// Show one
    Show {
        /// Its name, or the beginning of its id
        image: String,
    },
    /// Give an image another name
    Tag {
        /// Its name, or the beginning of its id
        image: String,
        /// The other name
        name: String,
    },
    /// Take names away; by id, whole images. What nobody uses any more goes
    Rm {
        /// Names, or beginnings of ids
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
    },
    /// Remove what no image names and no system uses
    Prune,
}

/// How images are imported.
#[derive(Debug, Args)]
pub struct How {
    /// What it shall be called [default: what it calls itself]
    #[arg(long)]
    name: Option<String>,
    /// For which platform, where there are several [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    #[command(flatten)]
    limits: Bounds,
}

/// Bounds on what layers unpack to.
#[derive(Debug, Args)]
pub struct Bounds {
    /// Refuse a layer that unpacks to more bytes [default: 64G]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    limit_size: Option<u64>,
    /// Refuse a layer with more files [default: 4000000]
    #[arg(long, value_name = "COUNT")]
    limit_entries: Option<u64>,
}

impl Bounds {
    /// The defaults, changed by what was typed.
    pub fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            layer_bytes: self.limit_size.unwrap_or(usual.layer_bytes),
            layer_entries: self.limit_entries.unwrap_or(usual.layer_entries),
            ..usual
        }
    }
}

impl How {
    fn options(&self) -> ImportOptions {
        ImportOptions {
            name: self.name.clone(),
            platform: self.platform.clone().unwrap_or_default(),
            limits: self.limits.limits(),
        }
    }
}

/// What an image becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A tar file with an OCI layout
    #[default]
    OciArchive,
    /// A directory with an OCI layout
    Oci,
    /// What `docker load` reads
    DockerArchive,
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    Gzip,
    Zstd,
}

/// `hc image`.
///
/// # Errors
/// What the store refuses.
pub fn run(options: &Options, form: Form, verb: &ImageVerb) -> Done {
    let images = Images::auto(options)?;
    match verb {
        ImageVerb::Import { source, how } => import(&images, form, source, how),
        #[cfg(feature = "registry")]
        ImageVerb::Pull { reference, how, access } => {
            let meter = Meter::new();
            let pulled = images
                .pull(reference, &how.options(), &access.options()?, &|event| meter.hear(event))?;
            drop(meter);
            tell(form, &[pulled])
        }
        ImageVerb::Export { image, target, format, compress } => {
            export(&images, image, target, *format, *compress)
        }
        ImageVerb::Ls => list(form, &images.all()?),
        ImageVerb::Show { image } => show(form, &images.find(image)?),
        ImageVerb::Tag { image, name } => Ok(images.tag(image, name)?),
        ImageVerb::Rm { images: names } => remove(&images, form, names),
        ImageVerb::Prune => prune(&images, form),
    }
}

fn import(images: &Images, form: Form, source: &Path, how: &How) -> Done {
    let meter = Meter::new();
    let options = how.options();
    let imported = if source == Path::new("-") {
        images.import_stream(standard(std::io::stdin().as_fd())?, "stdin", &options, &|event| {
            meter.hear(event)
        })
    } else {
        images.import(source, &options, &|event| meter.hear(event))
    };
    drop(meter);
    tell(form, &imported?)
}

/// What was imported: names, or ids where there are none.
fn tell(form: Form, imported: &[Imported]) -> Done {
    match form {
        Form::Json | Form::Yaml => {
            let all = imported.iter().map(|imported| imported.image.to_value());
            documents(form, &Value::Array(all.collect()))
        }
        Form::Id => imported.iter().try_for_each(|one| print::line(&one.image.id.to_string())),
        Form::Table => imported.iter().try_for_each(|Imported { name, image }| {
            print::line(name.as_deref().unwrap_or(&image.id.to_string()))
        }),
    }
}

fn export(
    images: &Images,
    image: &str,
    target: &Path,
    format: Format,
    compress: Option<Compress>,
) -> Done {
    let shape = match format {
        Format::OciArchive => Shape::OciArchive,
        Format::Oci => Shape::OciLayout,
        Format::DockerArchive => Shape::DockerArchive,
    };
    let compression = match compress {
        None => Outer::None,
        Some(Compress::Gzip) => Outer::Gzip,
        Some(Compress::Zstd) => Outer::Zstd,
    };
    if shape == Shape::OciLayout && compress.is_some() {
        let message = "a directory is not compressed";
        return Err(Failure::new(HResult::E_INVALIDARG, message).into());
    }
    let options = ExportOptions { form: shape, compression };
    let meter = Meter::new();
    let watch = |event: hostcompute::image::Event<'_>| meter.hear(event);
    if target == Path::new("-") {
        images.export_stream(image, standard(std::io::stdout().as_fd())?, &options, &watch)?;
    } else {
        images.export(image, target, &options, &watch)?;
    }
    Ok(())
}

fn list(form: Form, images: &[Image]) -> Done {
    match form {
        Form::Json | Form::Yaml => {
            documents(form, &Value::Array(images.iter().map(Image::to_value).collect()))
        }
        Form::Id => images.iter().try_for_each(|image| print::line(&image.id.to_string())),
        Form::Table => {
            let mut rows = Vec::new();
            for image in images {
                // One line for each name, as people look for names.
                let names = image.names.iter().map(String::as_str);
                let nameless = image.names.is_empty().then_some("");
                rows.extend(names.chain(nameless).map(|name| row(name, image)));
            }
            print::text(&print::table(&["NAME", "ID", "PLATFORM", "LAYERS", "SIZE"], rows))
        }
    }
}

fn row(name: &str, image: &Image) -> Vec<String> {
    vec![
        name.to_owned(),
        image.id.hex().chars().take(12).collect(),
        image.platform.to_string(),
        image.layers.len().to_string(),
        meter::size(image.unpacked),
    ]
}

fn show(form: Form, image: &Image) -> Done {
    match form {
        Form::Id => print::line(&image.id.to_string()),
        Form::Table => print::yaml(&image.to_value()),
        Form::Json | Form::Yaml => documents(form, &image.to_value()),
    }
}

fn remove(images: &Images, form: Form, names: &[String]) -> Done {
    let mut problems = Vec::new();
    for name in names {
        match images.remove(name) {
            Ok((image, true)) if form == Form::Id => print::line(&image.id.to_string())?,
            Ok(_) => {}
            Err(failure) => problems.push(Problem::from(failure)),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Problem::Several(problems)) }
}

fn prune(images: &Images, form: Form) -> Done {
    let collected = images.prune()?;
    match form {
        Form::Json | Form::Yaml => documents(
            form,
            &json!({
                "Layers": collected.layers, "LayerBytes": collected.layer_bytes,
                "Blobs": collected.blobs, "BlobBytes": collected.blob_bytes, "InUse": collected.in_use,
            }),
        ),
        Form::Id => Ok(()),
        Form::Table => print::line(&format!(
            "removed {} layers and {} blobs ({}); {} unnamed layers are in use",
            collected.layers,
            collected.blobs,
            meter::size(collected.layer_bytes + collected.blob_bytes),
            collected.in_use
        )),
    }
}

/// A document in the form that was asked for.
pub fn documents(form: Form, value: &Value) -> Done {
    if form == Form::Yaml { print::yaml(value) } else { print::json(value) }
}

/// Standard input or output as a file.
pub fn standard(stream: std::os::fd::BorrowedFd<'_>) -> Result<File, Failure> {
    let copy: std::io::Result<OwnedFd> = stream.try_clone_to_owned();
    copy.map(File::from).map_err(|error| {
        Failure::new(HResult::E_INVALIDARG, format!("cannot use standard input or output: {error}"))
    })
}

fn platform(text: &str) -> Result<Platform, String> {
    text.parse().map_err(|error: hostcompute::image::Error| error.to_string())
}

/// Bytes, with K, M, G or T for powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.chars().last().map(|last| last.to_ascii_uppercase()) {
        Some('K') => (&text[..text.len() - 1], 10),
        Some('M') => (&text[..text.len() - 1], 20),
        Some('G') => (&text[..text.len() - 1], 30),
        Some('T') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text} is no number of bytes"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("10").unwrap(), 10);
        assert_eq!(bytes("64G").unwrap(), 64 << 30);
        assert_eq!(bytes("1k").unwrap(), 1024);
        for text in ["", "G", "1X", "-1", "99999999999T", "é"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
