//! The documents of images: index, manifest and configuration, as OCI and Docker write them.
//!
//! Only what is used is read; the bytes themselves are kept, so that nothing is lost when an image goes out again.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The annotation that holds an image's name in an index.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same, as containerd and BuildKit write it: always the whole name.
pub(crate) const FULL_NAME: &str = "io.containerd.image.name";

/// The file that makes a directory an image layout, and its content.
pub(crate) const LAYOUT: (&str, &str) = ("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");

/// What points at a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    pub(crate) fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), INDEX | DOCKER_LIST)
    }
}

/// Several manifests: of several images, or of one image for several platforms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
}

impl Default for Index {
    fn default() -> Self {
        Self { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests: Vec::new() }
    }
}

/// One image for one platform; layers base first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    pub config: Descriptor,
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
}

/// One entry of `manifest.json` in what `docker save` writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Saved {
    pub config: String,
    #[serde(default, deserialize_with = "or_default")]
    pub repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<String>,
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, such as `linux`.
    #[serde(default)]
    pub os: String,
    /// Processor, in the words of Go: `amd64`, `arm64`.
    #[serde(default)]
    pub architecture: String,
    /// Its version, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// What is in the configuration, as far as it is used here.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Configuration {
    #[serde(flatten)]
    pub platform: Platform,
    #[serde(default)]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub config: Execution,
    #[serde(default, deserialize_with = "or_default")]
    pub rootfs: RootFs,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// What the image wants to be run with: plain data for whoever makes a container of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// The beginning of the command; what a caller types replaces `cmd`, not this.
    #[serde(default, deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// The rest of the command, or all of it.
    #[serde(default, deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// `NAME=value`.
    #[serde(default, deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// `name`, `number`, `name:group` or `number:number`; empty is root.
    #[serde(default, deserialize_with = "or_default")]
    pub user: String,
    /// Empty is `/`.
    #[serde(default, deserialize_with = "or_default")]
    pub working_dir: String,
    /// Name or number of the signal that asks it to stop; none is SIGTERM.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// `port/protocol`.
    #[serde(default, deserialize_with = "keys")]
    pub exposed_ports: Vec<String>,
    /// Directories whose content should outlive the container.
    #[serde(default, deserialize_with = "keys")]
    pub volumes: Vec<String>,
    /// Words about the image.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

impl Execution {
    /// The command when a caller typed `typed` (nothing: the image's own).
    pub fn command(&self, typed: &[String]) -> Vec<String> {
        let rest = if typed.is_empty() { &self.cmd } else { typed };
        self.entrypoint.iter().chain(rest).cloned().collect()
    }
}

impl Default for Platform {
    /// This machine's.
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl std::str::FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split('/').map(str::to_owned);
        let named = |part: Option<String>| part.filter(|part| !part.is_empty());
        match (named(parts.next()), named(parts.next()), parts.next(), parts.next()) {
            (Some(os), Some(architecture), variant, None) => Ok(Self { os, architecture, variant }),
            _ => {
                let message = format!("{text:?} is no platform (such as linux/amd64)");
                Err(Error::new(crate::Kind::Argument, message))
            }
        }
    }
}

impl Platform {
    /// Whether something made for `self` is what `wanted` asks for; a variant counts only where both name one.
    pub(crate) fn suits(&self, wanted: &Platform) -> bool {
        let variants = self.variant.as_ref().zip(wanted.variant.as_ref());
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && variants.is_none_or(|(one, other)| one == other)
    }
}

/// Reads a document; what it is goes into the message.
pub(crate) fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::invalid(format!("{what}: {error}")))
}

/// The bytes of a document.
pub(crate) fn written(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("plain structures with text keys can be written")
}

/// `null` counts as absent: Docker writes it for empty lists.
fn or_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Names that are written as the keys of an object, or as a list.
fn keys<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Keys(BTreeMap<String, serde::de::IgnoredAny>),
        List(Vec<String>),
        Nothing(()),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Keys(keys) => keys.into_keys().collect(),
        Written::List(list) => list,
        Written::Nothing(()) => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_writes_is_read() {
        let text = br#"{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z",
            "config":{"Cmd":["sh"],"Entrypoint":null,"Env":["PATH=/bin"],"ExposedPorts":{"80/tcp":{}},"User":"",
            "Volumes":null,"Labels":null,"WorkingDir":"/w","StopSignal":"SIGQUIT","ArgsEscaped":true},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[{}],"unknown":1}"#;
        let read: Configuration = read("configuration", text).unwrap();
        assert_eq!(read.platform, "linux/amd64".parse().unwrap());
        assert_eq!(read.config.exposed_ports, ["80/tcp"]);
        assert_eq!(read.config.stop_signal.as_deref(), Some("SIGQUIT"));
        assert_eq!(read.config.command(&[]), ["sh"]);
        assert_eq!(read.config.command(&["ls".to_owned()]), ["ls"]);
    }

    #[test]
    fn an_entrypoint_stays_when_a_command_is_typed() {
        let execution = Execution {
            entrypoint: vec!["/init".to_owned()],
            cmd: vec!["serve".to_owned()],
            ..Execution::default()
        };
        assert_eq!(execution.command(&[]), ["/init", "serve"]);
        assert_eq!(execution.command(&["check".to_owned()]), ["/init", "check"]);
    }

    #[test]
    fn platforms_are_compared_as_far_as_they_are_named() {
        let of = |text: &str| text.parse::<Platform>().unwrap();
        assert!(of("linux/arm/v7").suits(&of("linux/arm")));
        assert!(!of("linux/arm/v7").suits(&of("linux/arm/v6")));
        assert!(!of("windows/amd64").suits(&of("linux/amd64")));
        assert!("linux".parse::<Platform>().is_err());
        assert!("a/b/c/d".parse::<Platform>().is_err());
    }

    #[test]
    fn documents_that_are_none_are_refused() {
        for text in ["", "[]", "{}", r#"{"schemaVersion":2,"config":{"digest":"md5:00","size":1}}"#]
        {
            assert!(read::<Manifest>("manifest", text.as_bytes()).is_err(), "{text}");
        }
    }
}
