//! Images out of the store: as a directory, or as an archive that other tools load.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::beneath;
use crate::compression::{self, Compression, Encoder};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::image::document::{self, Descriptor, Index, LAYOUT, Manifest, REF_NAME, Saved};
use crate::limits::{Event, Limits, Watch, tell};
use crate::store::{self, Documents, Store};
use crate::tar::{Entry, Kind as Member, Writer};

/// What an image becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// A directory with an OCI image layout.
    OciLayout,
    /// The same as one tar file.
    #[default]
    OciArchive,
    /// What `docker save` writes and `docker load` reads: layers uncompressed.
    DockerArchive,
}

/// How an image is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportOptions {
    /// What it becomes.
    pub form: Form,
    /// How an archive is compressed.
    pub compression: Outer,
}

/// How an archive is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outer {
    /// Not at all: its layers are already.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Store {
    /// Writes an image to a path where nothing is; it is there whole or not at all.
    ///
    /// # Errors
    /// There is no such image, something is there already, or the machine refuses.
    pub fn export(
        &self,
        wanted: &str,
        target: &Path,
        options: &ExportOptions,
        watch: Watch<'_>,
    ) -> Result<Image> {
        let (image, _holds) = self.image_in_use(wanted)?;
        if fs::symlink_metadata(target).is_ok() {
            return Err(Error::new(Kind::Exists, format!("{} is there already", target.display())));
        }
        let staged = beneath::beside(target, "hostcompute-export")
            .map_err(|error| Error::system("write", target, error))?;
        let _ = beneath::remove_tree(&staged);
        let outgoing = self.outgoing(&image, wanted)?;
        let written = match options.form {
            Form::OciLayout => self.write_layout(&outgoing, &staged, watch),
            _ => File::create_new(&staged)
                .map_err(|error| Error::system("write", &staged, error))
                .and_then(|file| self.write_archive(&outgoing, file, options, watch)),
        };
        let named = written.and_then(|()| {
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            let (cwd, staged) = (rustix::fs::CWD, &staged);
            rustix::fs::renameat_with(cwd, staged, cwd, target, flags)
                .map_err(|errno| Error::system("name", target, errno))
        });
        if named.is_err() {
            let _ = beneath::remove_tree(&staged);
        }
        named.map(|()| image)
    }

    /// Writes an archive to an open file or pipe.
    ///
    /// # Errors
    /// There is no such image, or the output cannot be written.
    pub fn export_stream(
        &self,
        wanted: &str,
        output: File,
        options: &ExportOptions,
        watch: Watch<'_>,
    ) -> Result<Image> {
        let (image, _holds) = self.image_in_use(wanted)?;
        if options.form == Form::OciLayout {
            let message = "a directory cannot be written to a stream";
            return Err(Error::new(Kind::Argument, message));
        }
        self.write_archive(&self.outgoing(&image, wanted)?, output, options, watch)?;
        Ok(image)
    }

    fn outgoing(&self, image: &Image, wanted: &str) -> Result<Outgoing> {
        let index = self.index()?;
        let listed = index.manifests.into_iter().find(|listed| listed.digest == image.manifest);
        let descriptor = listed.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("there is no image {wanted} any more"))
        })?;
        let documents = self.documents(descriptor)?;
        // Asked for by a name, it goes by that name; by its id, with all it has.
        let asked = store::named(wanted).ok().filter(|name| image.names.contains(name));
        let names = asked.map_or_else(|| image.names.clone(), |name| vec![name]);
        Ok(Outgoing { documents, names })
    }

    fn write_layout(&self, image: &Outgoing, target: &Path, watch: Watch<'_>) -> Result<()> {
        let blobs = target.join("blobs/sha256");
        let failed = |error| Error::system("write", target, error);
        DirBuilder::new().recursive(true).mode(0o755).create(&blobs).map_err(failed)?;
        fs::write(target.join(LAYOUT.0), LAYOUT.1).map_err(failed)?;
        fs::write(target.join("index.json"), image.index()).map_err(failed)?;
        for blob in image.blobs() {
            let what = format!("blob {}", blob.digest);
            tell(watch, Event::Begins { what: &what, total: Some(blob.size) })?;
            let copy = || {
                let mut file = File::create_new(blobs.join(blob.digest.hex()))?;
                io::copy(&mut File::open(self.blob_path(&blob.digest))?, &mut file)
            };
            let bytes = copy().map_err(failed)?;
            tell(watch, Event::Advanced(bytes))?;
            tell(watch, Event::Ended)?;
        }
        Ok(())
    }

    fn write_archive(
        &self,
        image: &Outgoing,
        file: File,
        options: &ExportOptions,
        watch: Watch<'_>,
    ) -> Result<()> {
        let failed = |error| Error::caused("cannot write the archive".to_owned(), error);
        let compression = match options.compression {
            Outer::None => Compression::None,
            Outer::Gzip => Compression::Gzip,
            Outer::Zstd => Compression::Zstd,
        };
        let output = io::BufWriter::with_capacity(256 << 10, file);
        let mut writer = Writer::new(Encoder::new(output, compression).map_err(failed)?);
        match options.form {
            Form::DockerArchive => self.write_saved(image, &mut writer, watch)?,
            _ => self.write_layout_members(image, &mut writer, watch)?,
        }
        let encoder = writer.finish()?;
        encoder.finish().and_then(|mut output| output.flush()).map_err(failed)
    }

    fn write_layout_members<W: Write>(
        &self,
        image: &Outgoing,
        writer: &mut Writer<W>,
        watch: Watch<'_>,
    ) -> Result<()> {
        for directory in ["blobs/", "blobs/sha256/"] {
            writer.append(&Entry::new(Member::Directory, directory), &mut io::empty())?;
        }
        let mut blobs: Vec<Descriptor> = image.blobs().cloned().collect();
        blobs.sort_by_key(|blob| blob.digest);
        blobs.dedup_by_key(|blob| blob.digest);
        for blob in blobs {
            let name = format!("blobs/sha256/{}", blob.digest.hex());
            self.append_blob(writer, &blob, &name, watch)?;
        }
        append(writer, "index.json", &image.index())?;
        append(writer, LAYOUT.0, LAYOUT.1.as_bytes())
    }

    fn write_saved<W: Write>(
        &self,
        image: &Outgoing,
        writer: &mut Writer<W>,
        watch: Watch<'_>,
    ) -> Result<()> {
        let Manifest { config, layers, .. } = &image.documents.manifest;
        let configuration = self.small_blob(&config.digest, Limits::default().document_bytes)?;
        let mut members = Vec::new();
        for (layer, key) in layers.iter().zip(image.documents.keys()) {
            let name = format!("{}.tar", key.diff.hex());
            if !members.contains(&name) {
                self.append_plain(writer, layer, &name, watch)?;
            }
            members.push(name);
        }
        let name = format!("{}.json", config.digest.hex());
        append(writer, &name, &configuration)?;
        let saved = Saved { config: name, repo_tags: image.names.clone(), layers: members };
        append(writer, "manifest.json", &document::written(&vec![saved]))
    }

    /// A blob as it is.
    fn append_blob<W: Write>(
        &self,
        writer: &mut Writer<W>,
        blob: &Descriptor,
        name: &str,
        watch: Watch<'_>,
    ) -> Result<()> {
        let what = format!("blob {}", blob.digest);
        tell(watch, Event::Begins { what: &what, total: Some(blob.size) })?;
        let mut entry = Entry::new(Member::File, name);
        entry.size = blob.size;
        writer.append(&entry, &mut self.blob(&blob.digest)?)?;
        tell(watch, Event::Advanced(blob.size))?;
        tell(watch, Event::Ended)
    }

    /// A layer's blob as the plain stream; its length stands in front of it, and is counted if it is not known.
    fn append_plain<W: Write>(
        &self,
        writer: &mut Writer<W>,
        blob: &Descriptor,
        name: &str,
        watch: Watch<'_>,
    ) -> Result<()> {
        let what = format!("blob {}", blob.digest);
        let plain = || compression::decoder(self.blob(&blob.digest)?);
        let counted = io::copy(&mut plain()?, &mut io::sink())
            .map_err(|error| Error::caused(format!("cannot read {what}"), error))?;
        tell(watch, Event::Begins { what: &what, total: Some(counted) })?;
        let mut entry = Entry::new(Member::File, name);
        entry.size = counted;
        writer.append(&entry, &mut plain()?)?;
        tell(watch, Event::Advanced(counted))?;
        tell(watch, Event::Ended)
    }
}

/// An image that goes out.
struct Outgoing {
    documents: Documents,
    names: Vec<String>,
}

impl Outgoing {
    /// Manifest, configuration, layers.
    fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let Documents { descriptor, manifest, .. } = &self.documents;
        [descriptor, &manifest.config].into_iter().chain(&manifest.layers)
    }

    fn index(&self) -> Vec<u8> {
        let mut index = Index::default();
        let bare =
            Descriptor { annotations: Default::default(), ..self.documents.descriptor.clone() };
        let named = self.names.iter().map(|name| {
            let annotations = [(REF_NAME.to_owned(), name.clone())].into();
            Descriptor { annotations, ..bare.clone() }
        });
        index.manifests.extend(named);
        if index.manifests.is_empty() {
            index.manifests.push(bare.clone());
        }
        document::written(&index)
    }
}

fn append<W: Write>(writer: &mut Writer<W>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut entry = Entry::new(Member::File, name);
    entry.size = bytes.len() as u64;
    writer.append(&entry, &mut bytes.take(u64::MAX))
}
