//! Images from a registry, by the OCI distribution protocol.
//!
//! What breaks off is gone on with (`Range`), also by a later command; a tag leads by its digest to the variant for this platform; every
//! byte is checked against the digest it was asked by. HTTPS, but for this machine itself (unless it is said which certificates to trust)
//! or where plain HTTP is asked for.

mod certificates;
mod challenge;
mod connection;

use std::io::Read;

use crate::error::{Error, Kind, Result};
use crate::image::Reference;
use crate::image::document::{self, DOCKER_LIST, Descriptor, INDEX, MANIFEST, Manifest};
use crate::limits::Watch;
use crate::store::{self, Store};
use crate::transfer::{ImportOptions, Imported, Origin, Parts, Sink, checked, choose, no_variant};
use connection::Connection;

/// How a registry is reached.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Name and password, for registries that ask for them.
    pub credentials: Option<(String, String)>,
    /// Plain HTTP also for other machines.
    pub is_plain: bool,
    /// Certificates (PEM) to trust beside the system's.
    pub certificates: Option<String>,
}

impl std::fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryOptions")
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .field("is_plain", &self.is_plain)
            .field("certificates", &self.certificates.is_some())
            .finish()
    }
}

/// Tries of one blob before its import gives up; each goes on where the last one broke off.
const TRIES: usize = 5;

/// Docker's own kind of manifest.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl Store {
    /// Imports an image from the registry that its name begins with.
    ///
    /// # Errors
    /// The registry cannot be reached or refuses (Network, Denied), has no such image (NotFound) or none for this platform
    /// (WrongPlatform), sends other bytes than promised (Mismatch); the machine refuses.
    pub fn pull(
        &self,
        name: &str,
        options: &ImportOptions,
        access: &RegistryOptions,
        watch: Watch<'_>,
    ) -> Result<Imported> {
        let reference: Reference = name.parse()?;
        let Some(host) = &reference.host else {
            let message = format!("{name} does not say which registry it is in");
            return Err(Error::new(Kind::Argument, message)
                .hint("write HOST/PATH:TAG; there is no registry by default"));
        };
        let listed = match &options.name {
            Some(name) => Some(store::named(name)?),
            None => reference.name(),
        };
        let connection = Connection::new(host, &reference.path, access)?;
        let source = Remote { connection, limit: options.limits.document_bytes };
        let mut imported = self.unless_full((|| {
            let import = self.begin()?;
            let parts = source.parts(&reference, options)?;
            self.bring(&parts, &source, options, watch)?;
            self.list_all(vec![(listed, parts.descriptor)], import)
        })())?;
        imported.pop().ok_or_else(|| Error::new(Kind::NotFound, "the image was removed meanwhile"))
    }
}

/// A repository of a registry.
struct Remote {
    connection: Connection,
    limit: u64,
}

impl Remote {
    /// Manifest and configuration of the variant for a platform.
    fn parts(&self, reference: &Reference, options: &ImportOptions) -> Result<Parts> {
        let asked = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        };
        let (kind, bytes) = self.manifest(&asked)?;
        let mut descriptor = Descriptor::of(&kind, &bytes);
        if let Some(wanted) = &reference.digest {
            checked(&Descriptor::new(&kind, *wanted, 0), &bytes)?;
        }
        let mut manifest = bytes;
        if descriptor.is_index() {
            let index = document::read("index", &manifest)?;
            descriptor = choose(index, &options.platform)
                .map_err(|offered| no_variant(&options.platform, &offered))?;
            (_, manifest) = self.manifest(&descriptor.digest.to_string())?;
            checked(&descriptor, &manifest)?;
        }
        let parsed: Manifest = document::read("manifest", &manifest)?;
        let configuration = self.small_blob(&parsed.config)?;
        Ok(Parts { descriptor, manifest, configuration })
    }

    /// The kind of a manifest, and its bytes.
    fn manifest(&self, asked: &str) -> Result<(String, Vec<u8>)> {
        let kinds = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST].join(", ");
        let headers = [("Accept", kinds)];
        let answer = self.connection.get(&format!("manifests/{asked}"), &headers)?;
        let told = answer.header("Content-Type").unwrap_or_default();
        let told = told.split(';').next().unwrap_or_default().trim().to_owned();
        let digest = answer.header("Docker-Content-Digest").map(str::to_owned);
        let bytes = self.small(answer.into_reader())?;
        if let Some(digest) = digest.and_then(|digest| digest.parse().ok()) {
            checked(&Descriptor::new("", digest, 0), &bytes)?;
        }
        // The document's own word counts where it has one: it is what the digest covers.
        let own: serde_json::Value = document::read("manifest", &bytes)?;
        let own = own.get("mediaType").and_then(serde_json::Value::as_str).map(str::to_owned);
        Ok((own.unwrap_or(told), bytes))
    }

    fn small_blob(&self, wanted: &Descriptor) -> Result<Vec<u8>> {
        let answer = self.connection.get(&format!("blobs/{}", wanted.digest), &[])?;
        let bytes = self.small(answer.into_reader())?;
        checked(wanted, &bytes)?;
        Ok(bytes)
    }

    fn small(&self, input: impl Read) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = input.take(self.limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::caused("the registry's answer broke off".to_owned(), error))?;
        if bytes.len() as u64 > self.limit {
            let message = format!("the registry's answer has more than {} bytes", self.limit);
            return Err(Error::new(Kind::TooLarge, message));
        }
        Ok(bytes)
    }

    /// One try; `Ok(false)`: it broke off, and may be gone on with.
    fn part(&self, wanted: &Descriptor, sink: &mut Sink<'_>) -> Result<bool> {
        let from = sink.length();
        let range = (from > 0).then(|| ("Range", format!("bytes={from}-")));
        let headers: Vec<_> = range.into_iter().collect();
        let answer = self.connection.get(&format!("blobs/{}", wanted.digest), &headers)?;
        let is_rest = answer.status() == 206;
        if is_rest && !answer.begins_at(from) {
            let message = "the registry answers with another part than was asked for";
            return Err(Error::new(Kind::Network, message));
        }
        let mut input = answer.into_reader();
        let mut skip = if is_rest { 0 } else { from };
        let mut buffer = vec![0; 128 << 10];
        while sink.length() < wanted.size || wanted.size == 0 {
            let bytes = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => buffer.get(..length).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return Ok(false),
            };
            // A registry that knows no ranges begins anew: what is here already is passed over.
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
            skip -= passed as u64;
            sink.write(bytes.get(passed..).unwrap_or_default())?;
        }
        Ok(sink.length() >= wanted.size)
    }
}

impl Origin for Remote {
    fn blob(&self, wanted: &Descriptor, _from: u64, sink: &mut Sink<'_>) -> Result<()> {
        let mut tries = 0;
        loop {
            let before = sink.length();
            match self.part(wanted, sink) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.kind() != Kind::Network => return Err(error),
                Err(error) if tries + 1 >= TRIES => return Err(error),
                Err(_) => {}
            }
            // What moves is not given up.
            tries = if sink.length() > before { 0 } else { tries + 1 };
            if tries >= TRIES {
                let message = format!("the registry breaks off again and again at byte {before}");
                return Err(Error::new(Kind::Network, message).hint("the next try goes on there"));
            }
        }
    }
}
