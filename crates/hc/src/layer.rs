//! `hc layer`: directories that containers are made of, and the merged view upon them.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hostcompute::image::Images;
use hostcompute::layer::{self, Compression};
use hostcompute::schema::hcs::{ExportLayerOptions, Layer, LayerData};
use hostcompute::{Failure, HResult, Options};
use serde_json::{Value, json};

use crate::arguments::Form;
use crate::image::{Bounds, documents, standard};
use crate::meter::{self, Meter};
use crate::print;
use crate::problem::{Done, Problem};

/// What can be done with layers.
#[derive(Debug, Subcommand)]
pub enum LayerVerb {
    /// Make a layer of an archive (tar, compressed or not; `-` is standard input) or of a transport folder
    Import {
        layer: PathBuf,
        source: PathBuf,
        #[command(flatten)]
        parents: Parents,
        #[command(flatten)]
        bounds: Bounds,
    },
    /// Write a layer as an archive (.tar, .tar.gz, .tar.zst, `-`), or as a transport folder
    Export {
        layer: PathBuf,
        target: PathBuf,
        /// What was written into a writable layer
        #[arg(long)]
        writable: bool,
    },
    /// Remove layers that nobody uses
    Destroy {
        #[arg(required = true, value_name = "LAYER")]
        layers: Vec<PathBuf>,
    },
    /// Prepare a directory as a writable layer
    Init {
        layer: PathBuf,
        #[command(flatten)]
        parents: Parents,
    },
    /// Mount the merged view of a writable layer and its parents upon its directory
    Attach {
        layer: PathBuf,
        #[command(flatten)]
        parents: Parents,
    },
    /// Unmount the merged view
    Detach { layer: PathBuf },
    /// List the layers of all images
    Ls,
}

/// The layers below.
#[derive(Debug, Args)]
pub struct Parents {
    /// A layer below this one; several, the topmost first
    #[arg(long = "parent", value_name = "LAYER")]
    parents: Vec<PathBuf>,
    /// The layers of an image, below those
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

/// `hc layer`.
///
/// # Errors
/// What is refused.
pub fn run(options: &Options, form: Form, verb: &LayerVerb) -> Done {
    match verb {
        LayerVerb::Import { layer: path, source, parents, bounds } => {
            let data = parents.data(options)?;
            import(path, source, &data, bounds)?;
            told(form, path)
        }
        LayerVerb::Export { layer: path, target, writable } => export(path, target, *writable),
        LayerVerb::Destroy { layers } => destroy(layers),
        LayerVerb::Init { layer: path, parents } => {
            layer::initialize_writable(path, &parents.data(options)?)?;
            told(form, path)
        }
        LayerVerb::Attach { layer: path, parents } => {
            Ok(layer::attach(path, &parents.data(options)?)?)
        }
        LayerVerb::Detach { layer: path } => Ok(layer::detach(path)?),
        LayerVerb::Ls => list(options, form),
    }
}

impl Parents {
    fn data(&self, options: &Options) -> Result<LayerData, Failure> {
        let named = |path: &PathBuf| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            Layer {
                id: Some(layer::id(&path)),
                path: Some(path.to_string_lossy().into_owned()),
                ..Layer::default()
            }
        };
        let mut layers: Vec<Layer> = self.parents.iter().map(named).collect();
        if let Some(image) = &self.image {
            layers.extend(Images::open(options)?.find(image)?.layer_documents());
        }
        Ok(LayerData { layers: Some(layers), ..LayerData::default() })
    }
}

/// What was made: its id where ids are asked for, its document where documents are.
fn told(form: Form, path: &Path) -> Done {
    let id = layer::id(path).to_string();
    match form {
        Form::Table => Ok(()),
        Form::Id => print::line(&id),
        Form::Json | Form::Yaml => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            documents(form, &json!({ "Id": id, "Path": path.to_string_lossy() }))
        }
    }
}

fn import(path: &Path, source: &Path, data: &LayerData, bounds: &Bounds) -> Result<(), Failure> {
    let meter = Meter::new();
    let watch = |event: layer::Event<'_>| meter.hear(event);
    let limits = bounds.limits();
    if source == Path::new("-") {
        let archive = standard(std::io::stdin().as_fd())?;
        return layer::import_archive(path, archive, data, &limits, &watch);
    }
    layer::import(path, source, data, &limits, &watch)
}

fn export(path: &Path, target: &Path, writable: bool) -> Done {
    let meter = Meter::new();
    let watch = |event: layer::Event<'_>| meter.hear(event);
    let options =
        ExportLayerOptions { is_writable_layer: Some(writable), ..ExportLayerOptions::default() };
    let name = target.to_string_lossy();
    let compression = match name.as_ref() {
        "-" => Some(Compression::None),
        name if name.ends_with(".tar") => Some(Compression::None),
        name if name.ends_with(".gz") || name.ends_with(".tgz") => Some(Compression::Gzip),
        name if name.ends_with(".zst") => Some(Compression::Zstd),
        _ => None,
    };
    let Some(compression) = compression else {
        return Ok(layer::export(path, target, &LayerData::default(), &options, &watch)?);
    };
    if name == "-" {
        let output = standard(std::io::stdout().as_fd())?;
        return Ok(layer::export_archive(path, output, compression, &options, &watch)?);
    }
    let output = File::create_new(target).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::AlreadyExists => HResult::ERROR_ALREADY_EXISTS,
            std::io::ErrorKind::PermissionDenied => HResult::E_ACCESSDENIED,
            _ => HResult::ERROR_PATH_NOT_FOUND,
        };
        Failure::new(code, format!("cannot write {}: {error}", target.display()))
    })?;
    layer::export_archive(path, output, compression, &options, &watch).map_err(|failure| {
        let _ = std::fs::remove_file(target);
        Problem::from(failure)
    })
}

fn destroy(layers: &[PathBuf]) -> Done {
    let failed = layers.iter().filter_map(|path| layer::destroy(path).err());
    let problems: Vec<Problem> = failed.map(Problem::from).collect();
    if problems.is_empty() { Ok(()) } else { Err(Problem::Several(problems)) }
}

fn list(options: &Options, form: Form) -> Done {
    let layers = Images::open(options)?.layers()?;
    match form {
        Form::Json | Form::Yaml => {
            let all: Vec<Value> =
                layers.iter().map(hostcompute::image::StoredLayer::to_value).collect();
            documents(form, &Value::Array(all))
        }
        Form::Id => layers.iter().try_for_each(|layer| print::line(&layer.id.to_string())),
        Form::Table => {
            let rows = layers.iter().map(|layer| {
                let name = layer.path.file_name().unwrap_or_default().to_string_lossy();
                vec![
                    name.chars().take(12).collect(),
                    meter::size(layer.bytes),
                    layer.entries.to_string(),
                    if layer.is_in_use { "yes" } else { "no" }.to_owned(),
                    layer.images.join(", "),
                ]
            });
            let heading = ["LAYER", "SIZE", "ENTRIES", "IN USE", "IMAGES"];
            print::text(&print::table(&heading, rows.collect()))
        }
    }
}
