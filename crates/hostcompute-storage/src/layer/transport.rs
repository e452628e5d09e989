//! Layers in and out: the transport folder of Windows, and tar archives.
//!
//! A tree is copied by packing it in one thread and unpacking it in another: one way for everything that a layer can hold.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use hostcompute_schema::hcs::{ExportLayerOptions, LayerData};

use super::{linux_layer, missing, parents};
use crate::beneath;
use crate::blocks::blocks;
use crate::compression::{self, Compression, Encoder};
use crate::error::{Error, Kind, Result};
use crate::hold::Hold;
use crate::limits::{Bounded, Event, Limits, Watch, tell};
use crate::overlay;
use crate::pack::{Packer, Whiteouts};
use crate::store;
use crate::tar::{Reader, Writer};
use crate::unpack::{Outcome, Unpacker};

/// Holds the tree in a transport folder.
const FILES: &str = "Files";

/// Lists what a transport folder hides.
const TOMBSTONES: &str = "tombstones.txt";

/// The first line of that list, after the mark that it is UTF-8.
const VERSION: &str = "Version 1.0";

/// Read and written at once.
const BUFFER: usize = 256 << 10;

/// Makes a layer of a transport folder, or of an archive of a layer. `HcsImportLayer`.
///
/// The layer is there whole, or not at all.
///
/// # Errors
/// The source is no transport folder (Invalid) or one of Windows (WrongPlatform); something is at `layer` already; a parent is missing.
pub fn import_layer(
    layer: &Path,
    source: &Path,
    data: &LayerData,
    limits: &Limits,
    watch: Watch<'_>,
) -> Result<()> {
    let failed = |error: io::Error| Error::system("read", source, error);
    let status = fs::metadata(source).map_err(failed)?;
    if status.is_file() {
        return import_archive(layer, File::open(source).map_err(failed)?, data, limits, watch);
    }
    linux_layer(source)?;
    let files = source.join(FILES);
    if !files.is_dir() {
        let message = format!("{} is no layer on its way: it has no {FILES}", source.display());
        return Err(Error::invalid(message));
    }
    let tree = beneath::root(&files).map_err(failed)?;
    let hidden = tombstones(&source.join(TOMBSTONES), limits)?;
    make(layer, data, limits, watch, |unpacker| {
        let unpacker = unpacker.hiding(hidden);
        copy(&tree, Whiteouts::InStream, unpacker, limits)
    })
}

/// Makes a layer of a tar stream, compressed or not.
///
/// # Errors
/// As [`import_layer`].
pub fn import_archive(
    layer: &Path,
    archive: File,
    data: &LayerData,
    limits: &Limits,
    watch: Watch<'_>,
) -> Result<()> {
    make(layer, data, limits, watch, |unpacker| {
        let plain = compression::decoder(archive)?;
        unpacker.unpack(&mut Reader::new(BufReader::with_capacity(
            BUFFER,
            Bounded::new(plain, limits.layer_bytes),
        )))
    })
}

/// A new tree at `layer`, filled by `fill`.
fn make(
    layer: &Path,
    data: &LayerData,
    limits: &Limits,
    watch: Watch<'_>,
    fill: impl FnOnce(Unpacker<'_>) -> Result<Outcome>,
) -> Result<()> {
    let parents = parents(data)?;
    let opened = parents
        .iter()
        .map(|parent| beneath::root(parent).map_err(|error| Error::system("open", parent, error)));
    let opened = opened.collect::<Result<Vec<_>>>()?;
    let staged = Staged::beside(layer)?;
    let marks = store::marks(&staged.path)?;
    let root = beneath::root(&staged.path).map_err(|error| Error::system("open", layer, error))?;
    let what = format!("layer {}", layer.display());
    tell(watch, Event::Begins { what: &what, total: None })?;
    let outcome = fill(Unpacker::new(&root, &opened, marks, *limits))?;
    tell(watch, Event::Advanced(outcome.bytes))?;
    if let Some(lost) = outcome.lost.told() {
        tell(watch, Event::Note(&lost))?;
    }
    staged.name(layer)?;
    tell(watch, Event::Ended)
}

/// Writes a layer into a transport folder, which is made. `HcsExportLayer`.
///
/// # Errors
/// There is no such layer, something is in the folder, or the machine refuses.
pub fn export_layer(
    layer: &Path,
    folder: &Path,
    data: &LayerData,
    options: &ExportLayerOptions,
    watch: Watch<'_>,
) -> Result<()> {
    parents(data)?;
    let (tree, _hold) = exported(layer, options)?;
    let staged = Staged::beside(folder)?;
    let failed = |error: io::Error| Error::system("write", folder, error);
    let files = staged.path.join(FILES);
    fs::create_dir(&files).map_err(failed)?;
    let root = beneath::root(&files).map_err(failed)?;
    let what = format!("layer {}", layer.display());
    tell(watch, Event::Begins { what: &what, total: None })?;
    let mut hidden = Vec::new();
    let limits = Limits { layer_bytes: u64::MAX, layer_entries: u64::MAX, ..Limits::default() };
    let unpacker = Unpacker::new(&root, &[], store::marks(&files)?, limits);
    let outcome = copy(&tree, Whiteouts::Listed(&mut hidden), unpacker, &limits)?;
    tell(watch, Event::Advanced(outcome.bytes))?;
    if !hidden.is_empty() {
        write_tombstones(&staged.path.join(TOMBSTONES), &hidden).map_err(failed)?;
    }
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&staged.path, open).map_err(failed)?;
    staged.name(folder)?;
    tell(watch, Event::Ended)
}

/// As [`export_layer`] of a writable layer, in the older form that names its mount point too.
///
/// # Errors
/// As [`export_layer`].
pub fn export_legacy_writable_layer(
    mount_path: &Path,
    layer: &Path,
    folder: &Path,
    data: &LayerData,
    watch: Watch<'_>,
) -> Result<()> {
    if !mount_path.is_dir() {
        return Err(missing(mount_path));
    }
    let options =
        ExportLayerOptions { is_writable_layer: Some(true), ..ExportLayerOptions::default() };
    export_layer(layer, folder, data, &options, watch)
}

/// Writes a layer as a tar stream, as OCI has them: the same tree gives the same bytes.
///
/// # Errors
/// There is no such layer, or the output cannot be written.
pub fn export_archive(
    layer: &Path,
    output: File,
    compression: Compression,
    options: &ExportLayerOptions,
    watch: Watch<'_>,
) -> Result<()> {
    let failed = |error| Error::caused("cannot write the layer".to_owned(), error);
    let (tree, _hold) = exported(layer, options)?;
    let what = format!("layer {}", layer.display());
    tell(watch, Event::Begins { what: &what, total: None })?;
    let output = BufWriter::with_capacity(BUFFER, output);
    let mut writer = Writer::new(Encoder::new(output, compression).map_err(failed)?);
    let packed = Packer::new(&tree, &mut writer, Whiteouts::InStream).pack()?;
    writer.finish()?.finish().and_then(|mut output| output.flush()).map_err(failed)?;
    if packed.sockets > 0 {
        tell(watch, Event::Note(&format!("{} sockets were left out", packed.sockets)))?;
    }
    tell(watch, Event::Ended)
}

/// The tree that goes out, in use meanwhile.
fn exported(layer: &Path, options: &ExportLayerOptions) -> Result<(OwnedFd, Hold)> {
    linux_layer(layer)?;
    let failed = |error: io::Error| Error::system("read", layer, error);
    let hold = Hold::shared(layer).map_err(failed)?;
    if options.is_writable_layer != Some(true) {
        return Ok((beneath::root(layer).map_err(failed)?, hold));
    }
    if overlay::is_mounted_at(layer) {
        let message = format!("{} is attached, and hides what was written", layer.display());
        return Err(Error::new(Kind::InUse, message).hint("detach it first"));
    }
    let upper = layer.join(overlay::UPPER);
    if !upper.is_dir() {
        return Err(Error::invalid(format!("{} is no writable layer", layer.display())));
    }
    Ok((beneath::root(&upper).map_err(failed)?, hold))
}

/// From one tree into another.
fn copy(
    from: &OwnedFd,
    whiteouts: Whiteouts<'_>,
    unpacker: Unpacker<'_>,
    limits: &Limits,
) -> Result<Outcome> {
    let failed = |error| Error::caused("cannot copy the layer".to_owned(), error);
    let (writer, reader) = blocks();
    thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut writer = Writer::new(BufWriter::with_capacity(BUFFER, writer));
            Packer::new(from, &mut writer, whiteouts).pack()?;
            writer.finish()?.flush().map_err(failed)
        });
        let input = Bounded::new(reader, limits.layer_bytes);
        // The reader goes with the unpacking: who packs is told that nobody listens.
        let unpacked = {
            let mut reader = Reader::new(input);
            unpacker.unpack(&mut reader).and_then(|outcome| reader.drain().map(|()| outcome))
        };
        let packed = packing.join().map_err(|_| Error::invalid("packing ended unexpectedly"))?;
        match (unpacked, packed) {
            (Ok(outcome), Ok(())) => Ok(outcome),
            (Err(error), Ok(())) => Err(error),
            // Each side may have failed because of the other: who was not listened to is not to blame.
            (Ok(_), Err(error)) => Err(error),
            (Err(unpacked), Err(packed)) => {
                let broken = io::ErrorKind::BrokenPipe;
                Err(if packed.is_io(broken) { unpacked } else { packed })
            }
        }
    })
}

/// Names in the list of what is hidden.
fn tombstones(path: &Path, limits: &Limits) -> Result<Vec<Vec<u8>>> {
    let failed = |error| Error::system("read", path, error);
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(limits.document_bytes).read_to_string(&mut text).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let names = lines.filter(|line| *line != VERSION);
    Ok(names.map(|line| line.trim_start_matches('\\').replace('\\', "/").into_bytes()).collect())
}

fn write_tombstones(path: &Path, hidden: &[Vec<u8>]) -> io::Result<()> {
    let mut text = format!("\u{feff}{VERSION}\n").into_bytes();
    for name in hidden {
        text.push(b'\\');
        text.extend(name.iter().map(|byte| if *byte == b'/' { b'\\' } else { *byte }));
        text.push(b'\n');
    }
    fs::write(path, text)
}

/// A directory that becomes another one in one step, or goes.
struct Staged {
    path: PathBuf,
    hold: Option<Hold>,
}

impl Staged {
    /// A new directory beside `target`, where nothing, or an empty directory, is.
    fn beside(target: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::system("make", target, error);
        match beneath::root(target).and_then(beneath::names) {
            Ok(names) if names.is_empty() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() != io::ErrorKind::NotADirectory => {
                return Err(failed(error));
            }
            _ => {
                let message = format!("something is in {} already", target.display());
                return Err(Error::new(Kind::Exists, message));
            }
        }
        let path = beneath::beside(target, "hostcompute-new").map_err(failed)?;
        loop {
            // What a killed maker left is emptied; one that lives is waited for.
            if let Some(hold) = store::claim_directory(&path)? {
                store::empty(&path)?;
                return Ok(Self { path, hold: Some(hold) });
            }
        }
    }

    /// Gives it its name.
    fn name(mut self, target: &Path) -> Result<()> {
        beneath::rename_directory(&self.path, target).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => {
                Error::new(Kind::Exists, format!("something is in {} already", target.display()))
            }
            _ => Error::system("name", target, error),
        })?;
        self.hold = None;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.hold.take().is_some() {
            let _ = beneath::remove_tree(&self.path);
        }
    }
}
