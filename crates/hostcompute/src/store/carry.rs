//! Calls about images and layers, carried out on this machine: for the process that has the store in it, and for the service, which
//! does what a client names with that client's rights.
//!
//! | what | whose rights |
//! |---|---|
//! | the store: images, their layers, registries | the service's, for whoever may ask |
//! | an archive that a client names | the client's: it is opened, or made, by a thread that is that user |
//! | a layer that a client names, with all that is read and written for it | the client's, as if there were no service |
//! | a directory with an OCI layout; the merged view of a layer | root's alone: both mix the service's files with the client's |

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hostcompute_schema::compute::ComputeOperation as O;
use hostcompute_schema::hcs::{
    ExportLayerOptions, LayerData, OsLayerOptions, RegistryAccess, parse_optional,
};
use hostcompute_schema::{Failure, HResult};
use hostcompute_storage::{
    Compression, ExportOptions, Form, ImportOptions, Imported, Limits, Outer, Store, Watch,
    archive_stem, layer,
};
use serde_json::{Value, json};

use super::StoreCall;

/// Whose rights count where a call names paths.
pub trait Caller: Sync {
    /// Does it with the caller's rights.
    ///
    /// # Errors
    /// They cannot be taken on.
    fn acting(&self, work: &mut (dyn FnMut() + Send)) -> Result<(), Failure>;

    /// Whether they are the rights of this process.
    fn is_own(&self) -> bool;
}

/// This process itself.
#[derive(Debug, Clone, Copy)]
pub struct Own;

impl Caller for Own {
    fn acting(&self, work: &mut (dyn FnMut() + Send)) -> Result<(), Failure> {
        work();
        Ok(())
    }

    fn is_own(&self) -> bool {
        true
    }
}

/// Does with the caller's rights what has an answer.
fn acting<T: Send>(
    caller: &dyn Caller,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let (mut work, mut outcome) = (Some(work), None);
    caller.acting(&mut || outcome = work.take().map(|work| work()))?;
    let nothing = || Failure::new(HResult::E_UNEXPECTED, "the work ended without an outcome");
    outcome.unwrap_or_else(|| Err(nothing()))
}

/// Carries out a call on the store of a state directory; null where there is nothing to say.
///
/// # Errors
/// What is wrong with the call, what the store or the machine refuses, E_ABORT when the watcher does not want to go on.
pub fn carry_out(
    state_dir: &Path,
    caller: &dyn Caller,
    call: StoreCall<'_>,
    watch: Watch<'_>,
) -> Result<Value, Failure> {
    let store = || Store::open(state_dir);
    match call.operation {
        O::EnumerateImages => Ok(list(store()?.images()?.iter().map(|image| image.to_value()))),
        O::GetImage => Ok(store()?.image(call.place)?.to_value()),
        O::ImportImage => import(&store()?, caller, call, watch),
        O::PullImage => pull(&store()?, &call, watch),
        O::ExportImage => export(&store()?, caller, &call, watch),
        O::GetImageArchive => {
            let options = ExportOptions { form: form(&call)?, compression: outer(&call)? };
            let (place, output) = (call.place, output(call.archive)?);
            Ok(store()?.export_stream(place, output, &options, watch)?.to_value())
        }
        O::TagImage => {
            store()?.tag(call.place, needed(&call, "name")?)?;
            Ok(Value::Null)
        }
        O::RemoveImage => {
            let store = store()?;
            let (image, gone) = store.untag(call.place)?;
            store.prune_if_idle()?;
            Ok(json!({ "Image": image.to_value(), "Gone": gone }))
        }
        O::PruneImages => Ok(serde_json::to_value(store()?.prune()?).unwrap_or_default()),
        O::EnumerateLayers => Ok(list(store()?.layers()?.iter().map(|layer| layer.to_value()))),
        _ => of_layer(caller, call, watch).map(|()| Value::Null),
    }
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::Array(values.collect())
}

fn import(
    store: &Store,
    caller: &dyn Caller,
    call: StoreCall<'_>,
    watch: Watch<'_>,
) -> Result<Value, Failure> {
    let options = import_options(&call)?;
    let imported = match (call.parameter("source"), call.archive) {
        (Some(source), _) if caller.is_own() => store.import(absolute(source)?, &options, watch)?,
        (Some(source), _) => {
            let path = absolute(source)?;
            let file = acting(caller, || open(path))?;
            store.import_stream(file, &archive_stem(path), &options, watch)?
        }
        (None, Some(archive)) => {
            let stem = call.parameters.iter().find(|(name, _)| *name == "stem");
            let stem = stem.map_or("archive", |(_, stem)| stem);
            store.import_stream(archive, stem, &options, watch)?
        }
        (None, None) => return Err(invalid("there is neither an archive nor a source")),
    };
    Ok(list(imported.iter().map(value_of)))
}

fn value_of(imported: &Imported) -> Value {
    serde_json::to_value(imported).unwrap_or_default()
}

/// A file of the caller's, to be read on a thread that is the caller.
fn open(path: &Path) -> Result<File, Failure> {
    let refused = |error: std::io::Error| unreachable("open", path, &error);
    // A pipe would keep the thread until somebody writes.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(refused)?;
    let found = file.metadata().map_err(refused)?;
    if found.is_dir() {
        let why = format!("{} is a directory, and those are root's to name", path.display());
        return Err(Failure::new(HResult::E_ACCESSDENIED, why).hint("pack it as an archive"));
    }
    if !found.is_file() {
        let why = format!("{} is no file; what comes through a pipe is sent", path.display());
        return Err(Failure::new(HResult::E_INVALIDARG, why));
    }
    Ok(file)
}

#[cfg(registry)]
fn pull(store: &Store, call: &StoreCall<'_>, watch: Watch<'_>) -> Result<Value, Failure> {
    let given: RegistryAccess = parse_optional(call.document)?;
    let credentials = given.user.map(|user| (user, given.password.unwrap_or_default()));
    let access = hostcompute_storage::RegistryOptions {
        credentials,
        is_plain: given.plain_http.unwrap_or_default(),
        certificates: given.certificates,
    };
    let reference = needed(call, "reference")?;
    Ok(value_of(&store.pull(reference, &import_options(call)?, &access, watch)?))
}

#[cfg(not(registry))]
fn pull(_: &Store, call: &StoreCall<'_>, _: Watch<'_>) -> Result<Value, Failure> {
    let _: RegistryAccess = parse_optional(call.document)?;
    let why = "this program was built without registries (feature `registry`)";
    Err(Failure::new(HResult::ERROR_NOT_SUPPORTED, why))
}

fn export(
    store: &Store,
    caller: &dyn Caller,
    call: &StoreCall<'_>,
    watch: Watch<'_>,
) -> Result<Value, Failure> {
    let options = ExportOptions { form: form(call)?, compression: outer(call)? };
    let target = absolute(needed(call, "target")?)?;
    if options.form == Form::OciLayout && options.compression != Outer::None {
        return Err(invalid("a directory is not compressed"));
    }
    if caller.is_own() {
        return Ok(store.export(call.place, target, &options, watch)?.to_value());
    }
    if options.form == Form::OciLayout {
        let why = "a directory that the service writes is root's to name";
        return Err(Failure::new(HResult::E_ACCESSDENIED, why).hint("export an archive"));
    }
    let file = acting(caller, || create(target))?;
    let written = store.export_stream(call.place, file, &options, watch);
    if written.is_err() {
        // Half an archive is none; what is told is why.
        let _ = acting(caller, || Ok(std::fs::remove_file(target)));
    }
    Ok(written?.to_value())
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create_new(path).map_err(|error| unreachable("write", path, &error))
}

/// The functions of computestorage.dll, entirely with the caller's rights.
fn of_layer(caller: &dyn Caller, call: StoreCall<'_>, watch: Watch<'_>) -> Result<(), Failure> {
    let path = absolute(call.place)?;
    let document = call.document;
    match call.operation {
        O::ImportLayer => {
            let parents = match call.parameter("parents") {
                Some(text) => parse_optional::<LayerData>(text)?,
                None => LayerData::default(),
            };
            let limits = limits(&call)?;
            let source = call.parameter("source").map(absolute).transpose()?;
            let archive = call.archive;
            acting(caller, move || {
                let made = match (source, archive) {
                    (Some(source), _) => {
                        layer::import_layer(path, source, &parents, &limits, watch)
                    }
                    (None, Some(archive)) => {
                        layer::import_archive(path, archive, &parents, &limits, watch)
                    }
                    (None, None) => {
                        return Err(invalid("there is neither an archive nor a source"));
                    }
                };
                Ok(made?)
            })
        }
        O::ExportLayer => {
            let data = parse_optional::<LayerData>(document)?;
            let target = absolute(needed(&call, "target")?)?;
            let options = written(&call)?;
            acting(caller, || export_layer(path, target, &data, &options, watch))
        }
        O::GetLayerArchive => {
            let options = written(&call)?;
            let compression = match call.parameter("compression") {
                None | Some("none") => Compression::None,
                Some("gzip") => Compression::Gzip,
                Some("zstd") => Compression::Zstd,
                Some(other) => return Err(invalid(&format!("{other:?} is no compression"))),
            };
            let output = output(call.archive)?;
            acting(caller, move || {
                Ok(layer::export_archive(path, output, compression, &options, watch)?)
            })
        }
        O::DestroyLayer => acting(caller, || Ok(layer::destroy_layer(path)?)),
        O::InitializeWritableLayer => {
            let data = parse_optional::<LayerData>(document)?;
            acting(caller, || Ok(layer::initialize_writable_layer(path, &data)?))
        }
        O::SetupBaseOSLayer => {
            let options = parse_optional::<OsLayerOptions>(document)?;
            acting(caller, || Ok(layer::setup_base_os_layer(path, None, &options)?))
        }
        O::AttachLayerStorageFilter | O::DetachLayerStorageFilter if !caller.is_own() => {
            let why = "a mount that everybody on this machine sees is root's to make";
            Err(Failure::new(HResult::E_ACCESSDENIED, why))
        }
        O::AttachLayerStorageFilter => {
            Ok(layer::attach_layer_storage_filter(path, &parse_optional(document)?)?)
        }
        O::DetachLayerStorageFilter => Ok(layer::detach_layer_storage_filter(path)?),
        other => {
            let why = format!("{other} is not asked of the store");
            Err(Failure::new(HResult::E_NOTIMPL, why))
        }
    }
}

/// To a file, by what its name ends in, or else to a transport folder.
fn export_layer(
    path: &Path,
    target: &Path,
    data: &LayerData,
    options: &ExportLayerOptions,
    watch: Watch<'_>,
) -> Result<(), Failure> {
    let name = target.to_string_lossy();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let compression = match () {
        () if ends(&[".tar"]) => Compression::None,
        () if ends(&[".gz", ".tgz"]) => Compression::Gzip,
        () if ends(&[".zst"]) => Compression::Zstd,
        () => return Ok(layer::export_layer(path, target, data, options, watch)?),
    };
    let output = create(target)?;
    layer::export_archive(path, output, compression, options, watch).map_err(|error| {
        let _ = std::fs::remove_file(target);
        error.into()
    })
}

fn import_options(call: &StoreCall<'_>) -> Result<ImportOptions, Failure> {
    let platform = call.parameter("platform").map(str::parse).transpose()?;
    Ok(ImportOptions {
        name: call.parameter("name").map(str::to_owned),
        platform: platform.unwrap_or_default(),
        limits: limits(call)?,
    })
}

fn limits(call: &StoreCall<'_>) -> Result<Limits, Failure> {
    let number = |name: &str, usual: u64| match call.parameter(name) {
        None => Ok(usual),
        Some(text) => text.parse().map_err(|_| invalid(&format!("{name}={text} is no number"))),
    };
    let usual = Limits::default();
    Ok(Limits {
        layer_bytes: number("limit-size", usual.layer_bytes)?,
        layer_entries: number("limit-entries", usual.layer_entries)?,
        ..usual
    })
}

fn form(call: &StoreCall<'_>) -> Result<Form, Failure> {
    match call.parameter("form") {
        None | Some("oci-archive") => Ok(Form::OciArchive),
        Some("oci") => Ok(Form::OciLayout),
        Some("docker-archive") => Ok(Form::DockerArchive),
        Some(other) => Err(invalid(&format!("{other:?} is no form of an image"))),
    }
}

fn outer(call: &StoreCall<'_>) -> Result<Outer, Failure> {
    match call.parameter("compression") {
        None | Some("none") => Ok(Outer::None),
        Some("gzip") => Ok(Outer::Gzip),
        Some("zstd") => Ok(Outer::Zstd),
        Some(other) => Err(invalid(&format!("{other:?} is no compression"))),
    }
}

fn written(call: &StoreCall<'_>) -> Result<ExportLayerOptions, Failure> {
    let is_writable_layer = match call.parameter("writable") {
        None | Some("false" | "0") => false,
        Some("" | "true" | "1") => true,
        Some(_) => return Err(invalid("the parameter writable is true or false")),
    };
    Ok(ExportLayerOptions {
        is_writable_layer: Some(is_writable_layer),
        ..ExportLayerOptions::default()
    })
}

fn needed<'a>(call: &StoreCall<'a>, name: &str) -> Result<&'a str, Failure> {
    let given = call.parameter(name).filter(|value| !value.is_empty());
    given.ok_or_else(|| invalid(&format!("the parameter {name} is missing")))
}

fn output(archive: Option<File>) -> Result<File, Failure> {
    archive.ok_or_else(|| invalid("there is nowhere to write the archive"))
}

/// A path that means the same to everybody.
fn absolute(text: &str) -> Result<&Path, Failure> {
    let path = Path::new(text);
    if path.is_absolute() && !text.contains('\0') {
        return Ok(path);
    }
    Err(invalid(&format!("{text:?} is no absolute path")))
}

fn unreachable(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    let code = match error.kind() {
        std::io::ErrorKind::AlreadyExists => HResult::ERROR_ALREADY_EXISTS,
        std::io::ErrorKind::PermissionDenied => HResult::E_ACCESSDENIED,
        _ => HResult::ERROR_PATH_NOT_FOUND,
    };
    Failure::new(code, format!("cannot {doing} {}", path.display())).because(error)
}

fn invalid(why: &str) -> Failure {
    Failure::new(HResult::E_INVALIDARG, why)
}
