//! Which images there are: the list, and finding one by its name or the beginning of its id.

use std::collections::BTreeMap;
use std::fs;

use rustix::fs::FlockOperation;

use super::layer::Key;
use super::{Store, write_whole};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::hold::Hold;
use crate::image::document::{
    self, Configuration, Descriptor, Index, MANIFEST, Manifest, REF_NAME,
};
use crate::image::{Image, ImageLayer, Reference};
use crate::limits::Limits;

/// Shortest beginning of an id that may stand for it.
const SHORTEST_PREFIX: usize = 4;

/// The documents of one image.
#[derive(Debug)]
pub(crate) struct Documents {
    pub descriptor: Descriptor,
    pub manifest: Manifest,
    pub configuration: Configuration,
}

impl Documents {
    /// The trees' names, base first.
    pub(crate) fn keys(&self) -> Vec<Key> {
        keys(&self.configuration.rootfs.diff_ids)
    }
}

/// What each layer is called, alone and with everything below it; base first.
pub(crate) fn keys(diff_ids: &[Digest]) -> Vec<Key> {
    let mut below: Option<Digest> = None;
    let key = |diff: &Digest| {
        let chain = below.map_or(*diff, |below| below.chained(diff));
        below = Some(chain);
        Key { diff: *diff, chain }
    };
    diff_ids.iter().map(key).collect()
}

impl Store {
    /// All images, sorted by their names.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn images(&self) -> Result<Vec<Image>> {
        let index = self.index()?;
        let mut names: BTreeMap<Digest, (Descriptor, Vec<String>)> = BTreeMap::new();
        for descriptor in index.manifests {
            let name = descriptor.annotations.get(REF_NAME).cloned();
            names.entry(descriptor.digest).or_insert((descriptor, Vec::new())).1.extend(name);
        }
        let images = names.into_values().map(|(descriptor, mut names)| {
            names.sort_unstable();
            names.dedup();
            self.image_of(descriptor, names)
        });
        let mut images = images.collect::<Result<Vec<_>>>()?;
        images.sort_by(|one, other| (&one.names, one.id).cmp(&(&other.names, other.id)));
        Ok(images)
    }

    /// One image, by a name, by its digest or by the unique beginning of its id.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn image(&self, wanted: &str) -> Result<Image> {
        let mut images = self.images()?;
        let place = pick(&images, wanted)?;
        Ok(images.swap_remove(place))
    }

    /// An image whose layers nobody removes until the holds are dropped: whoever uses them takes holds of its own meanwhile.
    ///
    /// # Errors
    /// As [`Store::image`]; the layers are being removed.
    pub fn image_in_use(&self, wanted: &str) -> Result<(Image, Vec<Hold>)> {
        let image = self.image(wanted)?;
        let hold = |layer: &ImageLayer| {
            Hold::shared(&layer.path).map_err(|error| Error::system("use", &layer.path, error))
        };
        let holds = image.layers.iter().map(hold).collect::<Result<_>>()?;
        Ok((image, holds))
    }

    /// Gives an image a name; the name leaves the image that had it.
    ///
    /// # Errors
    /// There is no such image, or that is no name.
    pub fn tag(&self, wanted: &str, name: &str) -> Result<()> {
        let name = named(name)?;
        let image = self.image(wanted)?;
        let size = self.blob(&image.manifest)?.metadata().map(|status| status.len());
        let path = self.blob_path(&image.manifest);
        let size = size.map_err(|error| Error::system("read", &path, error))?;
        self.list(Descriptor::new(MANIFEST, image.manifest, size), Some(name))
    }

    /// Takes a name away, or, by id, all names; layers and blobs go with [`Store::prune`].
    ///
    /// Answers with the names that are gone, and whether the image is.
    ///
    /// # Errors
    /// There is no such image.
    pub fn untag(&self, wanted: &str) -> Result<(Image, bool)> {
        self.change(|index| {
            let image = self.image(wanted)?;
            let name = wanted.parse::<Reference>().ok().and_then(|reference| reference.name());
            let name = name.filter(|name| image.names.contains(name));
            index.manifests.retain(|descriptor| {
                let other = name.is_some() && descriptor.annotations.get(REF_NAME) != name.as_ref();
                descriptor.digest != image.manifest || other
            });
            let gone = !index.manifests.iter().any(|left| left.digest == image.manifest);
            Ok((image, gone))
        })
    }

    /// Puts an image on the list.
    pub(crate) fn list(&self, mut descriptor: Descriptor, name: Option<String>) -> Result<()> {
        self.change(|index| {
            let known = |listed: &Descriptor| listed.digest == descriptor.digest;
            match name {
                Some(name) => {
                    // A name has one image; an image that gets one is not nameless any more.
                    index.manifests.retain(|listed| {
                        let named = listed.annotations.get(REF_NAME);
                        named != Some(&name) && !(known(listed) && named.is_none())
                    });
                    descriptor.annotations.insert(REF_NAME.to_owned(), name);
                }
                None if index.manifests.iter().any(known) => return Ok(()),
                None => {}
            }
            index.manifests.push(descriptor);
            Ok(())
        })
    }

    pub(crate) fn index(&self) -> Result<Index> {
        let path = self.root.join("index.json");
        match fs::read(&path) {
            Ok(bytes) => document::read(&path.display().to_string(), &bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(Error::system("read", &path, error)),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        let _alone = self.lock("index.lock", FlockOperation::LockExclusive)?;
        let mut index = self.index()?;
        let answer = change(&mut index)?;
        // Beside the list: `staging` is cleaned by writers, who do not have this lock.
        let by = self.root.join(".index.json");
        write_whole(&by, &self.root.join("index.json"), &document::written(&index))?;
        Ok(answer)
    }

    /// Manifest and configuration of a listed image.
    pub(crate) fn documents(&self, descriptor: Descriptor) -> Result<Documents> {
        let limit = Limits::default().document_bytes;
        let manifest = self.small_blob(&descriptor.digest, limit)?;
        let manifest: Manifest = document::read("manifest", &manifest)?;
        let configuration = self.small_blob(&manifest.config.digest, limit)?;
        let configuration = document::read("configuration", &configuration)?;
        Ok(Documents { descriptor, manifest, configuration })
    }

    fn image_of(&self, descriptor: Descriptor, names: Vec<String>) -> Result<Image> {
        let documents = self.documents(descriptor)?;
        let keys = documents.keys();
        let Documents { descriptor, manifest, configuration } = documents;
        let mut layers = Vec::new();
        let mut unpacked = 0;
        for (key, layer) in keys.iter().zip(&manifest.layers).rev() {
            let path = self.tree(key).unwrap_or_else(|| self.layers_dir().join(key.diff.hex()));
            unpacked += self.record(&path).map_or(0, |record| record.bytes);
            let (digest, size) = (layer.digest, layer.size);
            layers.push(ImageLayer { digest, diff_id: key.diff, size, path });
        }
        Ok(Image {
            id: manifest.config.digest,
            manifest: descriptor.digest,
            names,
            platform: configuration.platform,
            created: configuration.created,
            size: manifest.layers.iter().map(|layer| layer.size).sum(),
            unpacked,
            layers,
            execution: configuration.config,
        })
    }
}

/// A name as the list has it.
pub(crate) fn named(text: &str) -> Result<String> {
    text.parse::<Reference>()?.name().ok_or_else(|| {
        Error::new(Kind::Argument, format!("{text} has a digest, and no tag to be called by"))
    })
}

/// The image that is meant.
fn pick(images: &[Image], wanted: &str) -> Result<usize> {
    if let Ok(reference) = wanted.parse::<Reference>() {
        let name = reference.name();
        let named = |image: &Image| match (&name, reference.digest) {
            (Some(name), None) => image.names.contains(name),
            (_, Some(digest)) => image.manifest == digest || image.id == digest,
            (None, None) => false,
        };
        if let Some(place) = images.iter().position(named) {
            return Ok(place);
        }
    }
    let prefix = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let digits = prefix.len() >= SHORTEST_PREFIX && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    let begins = |image: &Image| {
        let prefix = prefix.to_ascii_lowercase();
        digits && (image.id.hex().starts_with(&prefix) || image.manifest.hex().starts_with(&prefix))
    };
    let mut found = images.iter().enumerate().filter(|(_, image)| begins(image));
    match (found.next(), found.next()) {
        (Some((place, _)), None) => Ok(place),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Argument, format!("several images begin with {wanted}")))
        }
        (None, _) => Err(Error::new(Kind::NotFound, format!("there is no image {wanted}"))
            .hint("`hc image ls` shows those that are here")),
    }
}
