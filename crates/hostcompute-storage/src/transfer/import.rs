//! Images into the store.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fetch::{Origin, Wanted};
use super::source::{self, Found, Members, Source};
use crate::blocks::BLOCK;
use crate::compression::{self, Compression};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::image::document::{self, Configuration, Descriptor, Manifest, Platform};
use crate::limits::{Bounded, Event, Limits, Watch, tell};
use crate::store::{self, Import, Store};

/// How images are imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// What it shall be called, instead of what it calls itself; only where there is one.
    pub name: Option<String>,
    /// For which platform, where there are several.
    pub platform: Platform,
    /// How large it may be.
    pub limits: Limits,
}

/// An image that is in the store now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Imported {
    /// The name that it got.
    pub name: Option<String>,
    /// The image.
    pub image: Image,
}

impl Store {
    /// Imports the images of a directory (OCI layout) or an archive (OCI or Docker, compressed or not).
    ///
    /// An interrupted import leaves nothing that is listed; the next one goes on after what was verified.
    ///
    /// # Errors
    /// It is no image, damaged, too large, or for another platform; the machine refuses.
    pub fn import(
        &self,
        path: &Path,
        options: &ImportOptions,
        watch: Watch<'_>,
    ) -> Result<Vec<Imported>> {
        let stem = archive_stem(path);
        if path.is_dir() {
            let source = Source::directory(path)?;
            let import = self.begin()?;
            return self.unless_full(self.import_from(&source, &stem, options, watch, import));
        }
        let file = File::open(path).map_err(|error| Error::system("open", path, error))?;
        self.import_stream(file, &stem, options, watch)
    }

    /// As [`Store::import`], from an open file or pipe, such as standard input.
    ///
    /// # Errors
    /// As [`Store::import`].
    pub fn import_stream(
        &self,
        file: File,
        stem: &str,
        options: &ImportOptions,
        watch: Watch<'_>,
    ) -> Result<Vec<Imported>> {
        self.unless_full(self.import_file(file, stem, options, watch))
    }

    fn import_file(
        &self,
        mut file: File,
        stem: &str,
        options: &ImportOptions,
        watch: Watch<'_>,
    ) -> Result<Vec<Imported>> {
        let import = self.begin()?;
        let failed = |error| Error::caused("cannot read the archive".to_owned(), error);
        let mut start = [0; 8];
        if source::is_seekable(&mut file) {
            use std::os::unix::fs::FileExt;
            let length = file.read_at(&mut start, 0).map_err(failed)?;
            if Compression::of(start.get(..length).unwrap_or_default())? == Compression::None {
                return self.import_from(&Source::archive(file)?, stem, options, watch, import);
            }
        }
        // A stream cannot be looked up in; what it says at its end is needed first.
        let spool = self.spool(file, &options.limits, watch)?;
        self.import_from(&Source::archive(spool)?, stem, options, watch, import)
    }

    /// The decompressed stream as a file that has no name, and goes with its last user.
    fn spool(&self, stream: File, limits: &Limits, watch: Watch<'_>) -> Result<File> {
        use rustix::fs::{Mode, OFlags};
        let staging = self.staging();
        let failed = |error: io::Error| Error::system("keep the archive in", &staging, error);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(&staging, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed(errno.into()))?;
        let mut file = File::from(file);
        let plain = compression::decoder(stream)?;
        let mut plain = Bounded::new(plain, limits.layer_bytes);
        tell(watch, Event::Begins { what: "archive", total: None })?;
        let mut block = vec![0; BLOCK];
        loop {
            let length = match plain.read(&mut block) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            file.write_all(block.get(..length).unwrap_or_default()).map_err(failed)?;
            tell(watch, Event::Advanced(length as u64))?;
        }
        // What was not wanted any more may look like its end.
        tell(watch, Event::Ended)?;
        io::Seek::rewind(&mut file).map_err(failed)?;
        Ok(file)
    }

    fn import_from(
        &self,
        source: &Source,
        stem: &str,
        options: &ImportOptions,
        watch: Watch<'_>,
        import: Import,
    ) -> Result<Vec<Imported>> {
        let mut found = source.images(&options.platform, &options.limits, stem)?;
        if let Some(name) = &options.name {
            found.dedup_by(|one, other| one.manifest.0.digest == other.manifest.0.digest);
            match found.as_mut_slice() {
                [only] => only.name = Some(name.clone()),
                all => {
                    let message = format!("there are {} images: one name is not enough", all.len());
                    return Err(Error::new(Kind::Argument, message));
                }
            }
        }
        if found.is_empty() {
            return Err(Error::invalid("there is no image in it"));
        }
        let mut images = Vec::new();
        for Found { name, manifest: (descriptor, manifest), configuration, members } in found {
            let origin = Members { source, members: &members };
            let parts = Parts { descriptor, manifest, configuration };
            // A name that is none here (of another tool's making) is left out, rather than the image.
            let name = match &options.name {
                Some(name) => Some(store::named(name)?),
                None => name.and_then(|name| store::named(&name).ok()),
            };
            self.bring(&parts, &origin, options, watch)?;
            images.push((name, parts.descriptor));
        }
        self.list_all(images, import)
    }

    /// Brings an image's layers, and keeps its documents.
    pub(crate) fn bring(
        &self,
        parts: &Parts,
        origin: &dyn Origin,
        options: &ImportOptions,
        watch: Watch<'_>,
    ) -> Result<()> {
        let manifest: Manifest = document::read("manifest", &parts.manifest)?;
        let configuration: Configuration = document::read("configuration", &parts.configuration)?;
        fits(&manifest, &configuration, options)?;
        let mut below: Vec<PathBuf> = Vec::new();
        let keys = store::keys(&configuration.rootfs.diff_ids);
        for (key, blob) in keys.into_iter().zip(&manifest.layers) {
            let tree =
                self.fetch(&Wanted { key, blob, below: &below, origin }, &options.limits, watch)?;
            below.insert(0, tree);
        }
        self.keep(&parts.configuration)?;
        self.keep(&parts.manifest)?;
        Ok(())
    }

    /// Puts images on the list, after all they are made of is on disk.
    pub(crate) fn list_all(
        &self,
        images: Vec<(Option<String>, Descriptor)>,
        import: Import,
    ) -> Result<Vec<Imported>> {
        self.sync()?;
        self.settle_others()?;
        let mut imported = Vec::new();
        for (name, descriptor) in images {
            let digest = descriptor.digest;
            let listed = Descriptor::new(&descriptor.media_type, digest, descriptor.size);
            self.list(listed, name.clone())?;
            imported.push((name, digest));
        }
        import.settled();
        let image = |(name, digest): (Option<String>, crate::Digest)| {
            let image = self.image(&format!("sha256:{}", digest.hex()))?;
            Ok(Imported { name, image })
        };
        imported.into_iter().map(image).collect()
    }
}

/// The documents of an image that is being brought.
pub(crate) struct Parts {
    pub descriptor: Descriptor,
    pub manifest: Vec<u8>,
    pub configuration: Vec<u8>,
}

/// Kinds of configuration that images have; other things in registries have others.
const CONFIGURATIONS: [&str; 3] =
    ["", document::CONFIGURATION, "application/vnd.docker.container.image.v1+json"];

/// Fails for what is no image that this machine can run.
fn fits(manifest: &Manifest, configuration: &Configuration, options: &ImportOptions) -> Result<()> {
    let kind = &manifest.config.media_type;
    if !CONFIGURATIONS.contains(&kind.as_str()) {
        return Err(Error::invalid(format!("it is no image of a container, but {kind}")));
    }
    let offered = &configuration.platform;
    let is_told = !offered.os.is_empty() && !offered.architecture.is_empty();
    if is_told && !offered.suits(&options.platform) {
        return Err(source::no_variant(&options.platform, std::slice::from_ref(offered)));
    }
    let (layers, digests) = (manifest.layers.len(), configuration.rootfs.diff_ids.len());
    if layers != digests {
        let message = format!("the image has {layers} layers and {digests} digests of layers");
        return Err(Error::invalid(message));
    }
    if layers > options.limits.layers {
        let message = format!("the image has {layers} layers, {} are taken", options.limits.layers);
        return Err(Error::new(Kind::TooLarge, message));
    }
    Ok(())
}

/// A file's name without what it ends in, as the beginning of an image's name.
pub fn archive_stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut stem = name.as_str();
    for ending in [".gz", ".zst", ".tgz", ".tar", ".oci"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    stem.to_owned()
}
