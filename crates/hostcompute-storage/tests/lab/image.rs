//! Images made by hand, in the forms that other tools write.

use std::fs;
use std::io::Write;
use std::path::Path;

use hostcompute_storage::{Compression, Digest};

use super::{Member, tar};

/// An image in the making.
#[derive(Clone)]
pub struct Built {
    /// Blob and digest of the plain stream of each layer, base first.
    pub layers: Vec<(Vec<u8>, Digest)>,
    pub configuration: Vec<u8>,
    pub manifest: Vec<u8>,
}

pub fn compressed(stream: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => stream.to_vec(),
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(stream).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(stream, 1).unwrap(),
    }
}

impl Built {
    /// Of these streams, base first.
    pub fn new(streams: &[(Vec<u8>, Compression)]) -> Self {
        Self::for_architecture(streams, "amd64")
    }

    pub fn for_architecture(streams: &[(Vec<u8>, Compression)], architecture: &str) -> Self {
        let layers: Vec<_> = streams
            .iter()
            .map(|(stream, how)| (compressed(stream, *how), Digest::of(stream)))
            .collect();
        let diff_ids: Vec<_> = layers.iter().map(|(_, diff)| diff.to_string()).collect();
        let configuration = serde_json::json!({
            "architecture": architecture, "os": "linux", "created": "2026-01-02T03:04:05Z",
            "config": {"Entrypoint": ["/bin/hello"], "Cmd": ["world"], "Env": ["PATH=/bin"], "User": "7:8",
                "WorkingDir": "/work", "StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let configuration = configuration.to_string().into_bytes();
        let mut built = Self { layers, configuration, manifest: Vec::new() };
        built.manifest = built.make_manifest().to_string().into_bytes();
        built
    }

    fn make_manifest(&self) -> serde_json::Value {
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|(blob, _)| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", blob))
            .collect();
        serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &self.configuration),
            "layers": layers,
        })
    }

    /// Every blob.
    pub fn blobs(&self) -> Vec<&[u8]> {
        let layers = self.layers.iter().map(|(blob, _)| blob.as_slice());
        [self.manifest.as_slice(), self.configuration.as_slice()]
            .into_iter()
            .chain(layers)
            .collect()
    }

    pub fn manifest_digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// As a directory with an OCI layout.
    pub fn write_layout(&self, path: &Path, name: &str) {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        fs::write(path.join("index.json"), self.index(name)).unwrap();
        for blob in self.blobs() {
            fs::write(path.join("blobs/sha256").join(Digest::of(blob).hex()), blob).unwrap();
        }
    }

    fn index(&self, name: &str) -> String {
        let mut entry = descriptor(MANIFEST, &self.manifest);
        entry["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": name });
        serde_json::json!({ "schemaVersion": 2, "manifests": [entry] }).to_string()
    }

    /// As one tar file with an OCI layout; the index last, as streams have it.
    pub fn layout_archive(&self, name: &str) -> Vec<u8> {
        let index = self.index(name);
        let names: Vec<String> = self
            .blobs()
            .iter()
            .map(|blob| format!("blobs/sha256/{}", Digest::of(blob).hex()))
            .collect();
        let mut members: Vec<Member<'_>> =
            names.iter().zip(self.blobs()).map(|(name, blob)| Member::file(name, blob)).collect();
        members.push(Member::file("oci-layout", b"{}"));
        members.push(Member::file("index.json", index.as_bytes()));
        tar(&members)
    }

    /// As `docker save` writes it: a directory for each layer, links for those that are the same.
    pub fn docker_archive(&self, names: &[&str]) -> Vec<u8> {
        let paths: Vec<String> =
            (0..self.layers.len()).map(|place| format!("layer{place}/layer.tar")).collect();
        let saved =
            serde_json::json!([{ "Config": "config.json", "RepoTags": names, "Layers": paths }]);
        let saved = saved.to_string();
        let mut members = Vec::new();
        for (place, ((blob, _), path)) in self.layers.iter().zip(&paths).enumerate() {
            match self.layers[..place].iter().position(|(earlier, _)| earlier == blob) {
                Some(0) => members.push(Member::symlink(path, "../layer0/layer.tar")),
                _ => members.push(Member::file(path, blob)),
            }
        }
        members.push(Member::file("config.json", &self.configuration));
        members.push(Member::file("manifest.json", saved.as_bytes()));
        tar(&members)
    }
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What points at a blob.
pub fn descriptor(kind: &str, blob: &[u8]) -> serde_json::Value {
    let digest = Digest::of(blob).to_string();
    serde_json::json!({ "mediaType": kind, "digest": digest, "size": blob.len() })
}
