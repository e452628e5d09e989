//! Blobs: files named by the digest of their bytes. What has the name has the bytes.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::{Store, stage};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Kind, Result};
use crate::image::document::Descriptor;

/// A blob in the making.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    file: File,
    staged: PathBuf,
    target: PathBuf,
    wanted: Descriptor,
    hasher: Hasher,
}

impl Store {
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Opens a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|error| Error::system("open", &path, error))
    }

    /// A small blob's bytes.
    pub(crate) fn small_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let path = self.blob_path(digest);
        let read = self.blob(digest)?.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::system("read", &path, error))?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(
                Kind::TooLarge,
                format!("{digest} has more than {limit} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// Begins a blob; `None` when it is there already. Another writer of the same blob is waited for.
    pub(crate) fn blob_writer(&self, wanted: &Descriptor) -> Result<Option<BlobWriter>> {
        let target = self.blob_path(&wanted.digest);
        let staged = self.staged_blob(&wanted.digest);
        loop {
            if target.exists() {
                return Ok(None);
            }
            let Some(file) = stage::claim_file(&staged)? else { continue };
            if target.exists() {
                let _ = fs::remove_file(&staged);
                return Ok(None);
            }
            let (file, wanted, hasher) = (File::from(file), wanted.clone(), Hasher::default());
            return Ok(Some(BlobWriter { file, staged, target, wanted, hasher }));
        }
    }

    /// Forgets what came of a blob so far: it was wrong.
    pub(crate) fn drop_partial(&self, digest: &Digest) {
        let _ = fs::remove_file(self.staged_blob(digest));
    }

    fn staged_blob(&self, digest: &Digest) -> PathBuf {
        self.staging().join(format!("blob-{}", digest.hex()))
    }

    /// Keeps a small blob.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<Descriptor> {
        let descriptor = Descriptor::of("", bytes);
        if let Some(mut writer) = self.blob_writer(&descriptor)? {
            writer.resume(&mut |_| Ok(()))?;
            let from = usize::try_from(writer.length()).unwrap_or(usize::MAX);
            writer.write(bytes.get(from..).unwrap_or_default())?;
            writer.finish()?;
        }
        Ok(descriptor)
    }
}

impl BlobWriter {
    /// Goes on after what an earlier writer left; tells of its bytes.
    pub(crate) fn resume(&mut self, told: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let failed = |error| Error::system("read", &self.staged, error);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = self.file.read(&mut buffer).map_err(failed)?;
            let bytes = buffer.get(..length).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            if self.hasher.length() + bytes.len() as u64 > self.wanted.size {
                // More than there ever can be: begin anew, the digest would be wrong anyway.
                self.hasher = Hasher::default();
                let cleared =
                    self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
                return cleared.map(drop).map_err(failed);
            }
            self.hasher.update(bytes);
            told(bytes)?;
        }
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.hasher.length()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.length().saturating_add(bytes.len() as u64) > self.wanted.size {
            let message = format!(
                "{} has more than the {} bytes that were promised",
                self.wanted.digest, self.wanted.size
            );
            return Err(Error::new(Kind::Mismatch, message));
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|error| Error::system("write", &self.staged, error))
    }

    /// Gives the blob its name, if its bytes are the right ones; else nothing is left of it.
    pub(crate) fn finish(self) -> Result<()> {
        let Descriptor { digest, size, .. } = &self.wanted;
        let (length, found) = (self.hasher.length(), self.hasher.clone().finish());
        if length != *size || found != *digest {
            let _ = fs::remove_file(&self.staged);
            let message =
                format!("{digest} of {size} bytes was promised, {found} of {length} bytes came");
            return Err(Error::new(Kind::Mismatch, message));
        }
        fs::rename(&self.staged, &self.target)
            .map_err(|error| Error::system("name", &self.target, error))
    }
}
