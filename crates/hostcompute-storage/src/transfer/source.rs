//! Where images come from on this machine: a directory with an OCI layout, a tar archive of one, or what `docker save` writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::archive::{Archive, Section};
use super::fetch::{Origin, Sink};
use crate::beneath;
use crate::compression::Compression;
use crate::digest::{Digest, Hashed};
use crate::error::{Error, Kind, Result};
use crate::image::document::{
    self, CONFIGURATION, Configuration, Descriptor, FULL_NAME, Index, LAYER, LAYOUT, MANIFEST,
    Manifest, Platform, REF_NAME, Saved,
};
use crate::limits::Limits;

/// Files by their names, wherever they are.
pub(super) enum Source {
    Directory(OwnedFd),
    Archive(Archive),
}

/// An image that a source has.
pub(super) struct Found {
    pub name: Option<String>,
    /// Its manifest: bytes, and what points at them.
    pub manifest: (Descriptor, Vec<u8>),
    pub configuration: Vec<u8>,
    /// The layers' members; none: `blobs/sha256/DIGEST`.
    pub members: HashMap<Digest, String>,
}

/// What an index leads to.
enum Variant {
    Here(Descriptor, Vec<u8>),
    /// Only to other platforms.
    Elsewhere(Vec<Platform>),
}

/// The member that Docker's archives have.
const SAVED: &str = "manifest.json";

impl Source {
    pub(super) fn directory(path: &Path) -> Result<Self> {
        let open = beneath::root(path).map_err(|error| Error::system("open", path, error))?;
        Ok(Self::Directory(open))
    }

    /// An archive that is no compressed stream.
    pub(super) fn archive(file: File) -> Result<Self> {
        Archive::new(file).map(Self::Archive)
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(root) => beneath::file(root, name.as_bytes()).is_ok(),
            Self::Archive(archive) => archive.has(name),
        }
    }

    fn open(&self, name: &str) -> Result<Section> {
        match self {
            Self::Directory(root) => beneath::file(root, name.as_bytes())
                .and_then(Section::whole)
                .map_err(|error| Error::caused(format!("cannot open {name} of the image"), error)),
            Self::Archive(archive) => archive.open(name),
        }
    }

    fn small(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let mut section = self.open(name)?;
        if section.size() > limit {
            let message = format!("{name} has {} bytes, {limit} are read", section.size());
            return Err(Error::new(Kind::TooLarge, message));
        }
        let mut bytes = Vec::new();
        section
            .read_to_end(&mut bytes)
            .map_err(|error| Error::caused(format!("cannot read {name}"), error))?;
        Ok(bytes)
    }

    /// A small blob, checked.
    fn small_blob(&self, wanted: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        let bytes = self.small(&blob_name(&wanted.digest), limit)?;
        checked(wanted, &bytes)?;
        Ok(bytes)
    }

    /// The images for a platform; `stem` helps with names that are only a tag.
    pub(super) fn images(
        &self,
        platform: &Platform,
        limits: &Limits,
        stem: &str,
    ) -> Result<Vec<Found>> {
        if self.has(LAYOUT.0) && self.has("index.json") {
            return self.layout_images(platform, limits, stem);
        }
        if self.has(SAVED) {
            let saved = self.small(SAVED, limits.document_bytes)?;
            let saved: Vec<Saved> = document::read(SAVED, &saved)?;
            let images: Vec<Vec<Found>> =
                saved.iter().map(|saved| self.saved_image(saved, limits)).collect::<Result<_>>()?;
            return Ok(images.into_iter().flatten().collect());
        }
        Err(Error::invalid("it is no image: neither an OCI layout nor what `docker save` writes")
            .hint("a layer alone is imported by `hc layer import`"))
    }

    fn layout_images(
        &self,
        platform: &Platform,
        limits: &Limits,
        stem: &str,
    ) -> Result<Vec<Found>> {
        let index = self.small("index.json", limits.document_bytes)?;
        let index: Index = document::read("index.json", &index)?;
        let mut found = Vec::new();
        let mut others = Vec::new();
        for descriptor in index.manifests {
            let name = name_of(&descriptor, stem);
            match self.manifest_for(descriptor, platform, limits)? {
                Variant::Here(descriptor, bytes) => {
                    let parsed: Manifest = document::read("manifest", &bytes)?;
                    let manifest = (descriptor, bytes);
                    let configuration = self.small_blob(&parsed.config, limits.document_bytes)?;
                    found.push(Found { name, manifest, configuration, members: HashMap::new() });
                }
                Variant::Elsewhere(platforms) => others.extend(platforms),
            }
        }
        if found.is_empty() && !others.is_empty() {
            return Err(no_variant(platform, &others));
        }
        Ok(found)
    }

    /// The manifest for a platform; else the platforms that there are.
    fn manifest_for(
        &self,
        descriptor: Descriptor,
        platform: &Platform,
        limits: &Limits,
    ) -> Result<Variant> {
        let mut descriptor = descriptor;
        // An index in an index is allowed; one in which it goes on like that is not.
        for _ in 0..3 {
            if descriptor.platform.as_ref().is_some_and(|offered| !offered.suits(platform)) {
                return Ok(Variant::Elsewhere(descriptor.platform.into_iter().collect()));
            }
            let bytes = self.small_blob(&descriptor, limits.document_bytes)?;
            if !descriptor.is_index() {
                return Ok(Variant::Here(descriptor, bytes));
            }
            match choose(document::read("index", &bytes)?, platform) {
                Ok(chosen) => descriptor = chosen,
                Err(offered) => return Ok(Variant::Elsewhere(offered)),
            }
        }
        Err(Error::invalid("the image's index leads from index to index"))
    }

    /// One image of `docker save`, once for each of its names.
    fn saved_image(&self, saved: &Saved, limits: &Limits) -> Result<Vec<Found>> {
        let configuration = self.small(&saved.config, limits.document_bytes)?;
        let parsed: Configuration = document::read(&saved.config, &configuration)?;
        let diff_ids = &parsed.rootfs.diff_ids;
        if diff_ids.len() != saved.layers.len() {
            let message =
                format!("{} layers and {} digests of layers", saved.layers.len(), diff_ids.len());
            return Err(Error::invalid(format!("the image has {message}")));
        }
        let mut members = HashMap::new();
        let mut layers = Vec::new();
        for (member, diff_id) in saved.layers.iter().zip(diff_ids) {
            let descriptor = self.saved_layer(member, diff_id)?;
            members.insert(descriptor.digest, member.clone());
            layers.push(descriptor);
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config: Descriptor::of(CONFIGURATION, &configuration),
            layers,
        };
        let manifest = document::written(&manifest);
        let names = saved.repo_tags.iter().cloned().map(Some);
        let names: Vec<_> = if saved.repo_tags.is_empty() { vec![None] } else { names.collect() };
        let found = names.into_iter().map(|name| Found {
            name,
            manifest: (Descriptor::of(MANIFEST, &manifest), manifest.clone()),
            configuration: configuration.clone(),
            members: members.clone(),
        });
        Ok(found.collect())
    }

    /// A layer of `docker save` is the plain stream, whose digest the configuration has; a compressed one is read for its digest.
    fn saved_layer(&self, member: &str, diff_id: &Digest) -> Result<Descriptor> {
        let section = self.open(member)?;
        let failed = |error| Error::caused(format!("cannot read {member}"), error);
        let mut start = [0; 8];
        let length = section.clone().read(&mut start).map_err(failed)?;
        let suffix = match Compression::of(start.get(..length).unwrap_or_default())? {
            Compression::None => return Ok(Descriptor::new(LAYER, *diff_id, section.size())),
            Compression::Gzip => "+gzip",
            Compression::Zstd => "+zstd",
        };
        let size = section.size();
        let mut hashed = Hashed::new(section);
        std::io::copy(&mut hashed, &mut std::io::sink()).map_err(failed)?;
        Ok(Descriptor::new(&format!("{LAYER}{suffix}"), hashed.hasher.finish(), size))
    }
}

/// Blobs of one image of a source.
pub(super) struct Members<'a> {
    pub source: &'a Source,
    pub members: &'a HashMap<Digest, String>,
}

impl Origin for Members<'_> {
    fn blob(&self, wanted: &Descriptor, from: u64, sink: &mut Sink<'_>) -> Result<()> {
        let member = self.members.get(&wanted.digest).cloned();
        let mut section = self.source.open(&member.unwrap_or_else(|| blob_name(&wanted.digest)))?;
        section.skip(from);
        sink.pour(&mut section)
    }
}

/// The one of an index for a platform; else those that there are.
pub(crate) fn choose(
    index: Index,
    platform: &Platform,
) -> std::result::Result<Descriptor, Vec<Platform>> {
    let suits = |descriptor: &&Descriptor| {
        descriptor.platform.as_ref().is_none_or(|offered| offered.suits(platform))
    };
    match index.manifests.iter().find(suits) {
        Some(chosen) => Ok(chosen.clone()),
        None => Err(index.manifests.into_iter().filter_map(|other| other.platform).collect()),
    }
}

/// There is none for this platform.
pub(crate) fn no_variant(platform: &Platform, offered: &[Platform]) -> Error {
    let offered: Vec<String> = offered.iter().map(Platform::to_string).collect();
    let message = format!("the image is not for {platform}, but for {}", offered.join(", "));
    Error::new(Kind::WrongPlatform, message)
}

/// Fails unless these are the bytes that a descriptor promises.
pub(crate) fn checked(wanted: &Descriptor, bytes: &[u8]) -> Result<()> {
    let found = Digest::of(bytes);
    if found != wanted.digest {
        let message = format!("{} was promised, {found} came", wanted.digest);
        return Err(Error::new(Kind::Mismatch, message));
    }
    Ok(())
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The name that an index gives; where it is only a tag, the file's name goes before it.
fn name_of(descriptor: &Descriptor, stem: &str) -> Option<String> {
    let annotations = &descriptor.annotations;
    let name = annotations.get(FULL_NAME).or_else(|| annotations.get(REF_NAME))?;
    let is_tag = !name.contains(['/', ':']);
    Some(if is_tag { format!("{stem}:{name}") } else { name.clone() })
}

/// Whether a file can be read anywhere, not only from its beginning on.
pub(super) fn is_seekable(file: &mut File) -> bool {
    file.metadata().is_ok_and(|status| status.is_file()) && file.seek(SeekFrom::Start(0)).is_ok()
}
