//! `hc layer`: directories that containers are made of, and the merged view upon them.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hostcompute::image::Images;
use hostcompute::layer::{self, Compression, Layers};
use hostcompute::schema::hcs::{ExportLayerOptions, Layer, LayerData};
use hostcompute::{Failure, Options};
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
        /// The directory that becomes the layer
        layer: PathBuf,
        /// The archive or folder
        source: PathBuf,
        #[command(flatten)]
        parents: Parents,
        #[command(flatten)]
        bounds: Bounds,
    },
    /// Write a layer as an archive (.tar, .tar.gz, .tar.zst, `-`), or as a transport folder
    Export {
        /// Its directory
        layer: PathBuf,
        /// The archive or folder that is written
        target: PathBuf,
        /// What was written into a writable layer
        #[arg(long)]
        writable: bool,
    },
    /// Remove layers that nobody uses
    Destroy {
        /// Their directories
        #[arg(required = true, value_name = "LAYER")]
        layers: Vec<PathBuf>,
    },
    /// Prepare a directory as a writable layer
    Init {
        /// Its directory
        layer: PathBuf,
        #[command(flatten)]
        parents: Parents,
    },
    /// Mount the merged view of a writable layer and its parents upon its directory
    Attach {
        /// Its directory
        layer: PathBuf,
        #[command(flatten)]
        parents: Parents,
    },
    /// Unmount the merged view
    Detach {
        /// Its directory
        layer: PathBuf,
    },
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
    let layers = &Layers::auto(options)?;
    match verb {
        LayerVerb::Import { layer: path, source, parents, bounds } => {
            let data = parents.data(options)?;
            import(layers, path, source, &data, bounds)?;
            told(form, path)
        }
        LayerVerb::Export { layer: path, target, writable } => {
            export(layers, path, target, *writable)
        }
        LayerVerb::Destroy { layers: paths } => destroy(layers, paths),
        LayerVerb::Init { layer: path, parents } => {
            layers.initialize_writable(path, &parents.data(options)?)?;
            told(form, path)
        }
        LayerVerb::Attach { layer: path, parents } => {
            Ok(layers.attach(path, &parents.data(options)?)?)
        }
        LayerVerb::Detach { layer: path } => Ok(layers.detach(path)?),
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
            layers.extend(Images::auto(options)?.find(image)?.layer_documents());
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

fn import(
    layers: &Layers,
    path: &Path,
    source: &Path,
    data: &LayerData,
    bounds: &Bounds,
) -> Result<(), Failure> {
    let meter = Meter::new();
    let watch = |event: layer::Event<'_>| meter.hear(event);
    let limits = bounds.limits();
    if source == Path::new("-") {
        let archive = standard(std::io::stdin().as_fd())?;
        return layers.import_archive(path, archive, data, &limits, &watch);
    }
    layers.import(path, source, data, &limits, &watch)
}

fn export(layers: &Layers, path: &Path, target: &Path, writable: bool) -> Done {
    let meter = Meter::new();
    let watch = |event: layer::Event<'_>| meter.hear(event);
    let options =
        ExportLayerOptions { is_writable_layer: Some(writable), ..ExportLayerOptions::default() };
    if target == Path::new("-") {
        let output = standard(std::io::stdout().as_fd())?;
        let plain = Compression::None;
        return Ok(layers.export_archive(path, output, plain, &options, &watch)?);
    }
    Ok(layers.export(path, target, &LayerData::default(), &options, &watch)?)
}

fn destroy(layers: &Layers, paths: &[PathBuf]) -> Done {
    let failed = paths.iter().filter_map(|path| layers.destroy(path).err());
    let problems: Vec<Problem> = failed.map(Problem::from).collect();
    if problems.is_empty() { Ok(()) } else { Err(Problem::Several(problems)) }
}

fn list(options: &Options, form: Form) -> Done {
    let layers = Images::auto(options)?.layers()?;
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
