//! Images made of [`Layer`]s: as `docker save` writes them, as an OCI archive, and for a registry.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use super::layer::Layer;

/// How layer blobs are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// An image that is being put together.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    layers: Vec<Vec<u8>>,
    config: Value,
    compression: Compression,
    architecture: String,
    media: Media,
}

/// Whose words a manifest uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Oci,
    /// Schema 2.
    Docker,
}

/// One content-addressed blob.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    pub(crate) fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), media_type: media_type.to_owned(), bytes }
    }

    pub(crate) fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// An image as its blobs.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    pub(crate) manifest: Blob,
    pub(crate) config: Blob,
    pub(crate) layers: Vec<Blob>,
}

impl Image {
    /// An image of no layers; its default command is a shell.
    pub(crate) fn scratch() -> Self {
        Self {
            layers: Vec::new(),
            config: json!({ "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["sh"] }),
            compression: Compression::Gzip,
            architecture: "amd64".to_owned(),
            media: Media::Oci,
        }
    }

    /// An image with busybox.
    pub(crate) fn busybox() -> Self {
        Self::scratch().layer(&Layer::base())
    }

    pub(crate) fn layer(self, layer: &Layer) -> Self {
        self.layer_bytes(layer.tar())
    }

    /// Adds a layer that need not be a sound tar.
    pub(crate) fn layer_bytes(mut self, bytes: Vec<u8>) -> Self {
        self.layers.push(bytes);
        self
    }

    /// Sets one key of the image's `config`: `Env`, `Cmd`, `User`, …
    pub(crate) fn config(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    pub(crate) fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    pub(crate) fn architecture(mut self, architecture: &str) -> Self {
        architecture.clone_into(&mut self.architecture);
        self
    }

    pub(crate) fn media(mut self, media: Media) -> Self {
        self.media = media;
        self
    }

    fn config_bytes(&self) -> Vec<u8> {
        let history: Vec<_> = (0..self.layers.len())
            .map(|n| json!({ "created": "2024-01-01T00:00:00Z", "created_by": format!("step {n}") }))
            .collect();
        let config = json!({
            "created": "2024-01-01T00:00:00Z",
            "architecture": self.architecture,
            "os": "linux",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": self.layers.iter().map(|l| digest(l)).collect::<Vec<_>>() },
            "history": history,
        });
        serde_json::to_vec(&config).unwrap()
    }

    /// Returns the image's id: the digest of its configuration.
    pub(crate) fn id(&self) -> String {
        digest(&self.config_bytes())
    }

    /// Returns the image as `docker save` writes it.
    pub(crate) fn docker_archive(&self, tag: &str) -> Vec<u8> {
        let mut archive = Layer::new();
        let mut names = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", &digest(layer)[7..]);
            if !names.contains(&name) {
                archive = archive.file(&name, layer);
            }
            names.push(name);
        }
        let config = self.config_bytes();
        let config_name = format!("{}.json", &digest(&config)[7..]);
        let manifest = json!([{ "Config": config_name, "RepoTags": [tag], "Layers": names }]);
        archive
            .file(&config_name, &config)
            .file("manifest.json", serde_json::to_vec(&manifest).unwrap())
            .tar()
    }

    /// Returns the image as an archive of an OCI layout.
    pub(crate) fn oci_archive(&self, tag: &str) -> Vec<u8> {
        let blobs = self.blobs();
        let mut entry = blobs.manifest.descriptor();
        entry["annotations"] =
            json!({ "org.opencontainers.image.ref.name": tag, "io.containerd.image.name": tag });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let mut archive = Layer::new()
            .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
            .file("index.json", serde_json::to_vec(&index).unwrap());
        for blob in blobs.layers.iter().chain([&blobs.config, &blobs.manifest]) {
            archive = archive.file(&format!("blobs/sha256/{}", &blob.digest[7..]), &blob.bytes);
        }
        archive.tar()
    }

    /// Returns the image as a registry holds it.
    pub(crate) fn blobs(&self) -> Blobs {
        let (config, manifest) = match self.media {
            Media::Oci => {
                ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.manifest.v1+json")
            }
            Media::Docker => (
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json",
            ),
        };
        let config = Blob::new(config, self.config_bytes());
        let layers: Vec<_> =
            self.layers.iter().map(|layer| compress(layer, self.compression, self.media)).collect();
        let text = json!({
            "schemaVersion": 2,
            "mediaType": manifest,
            "config": config.descriptor(),
            "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        Blobs { manifest: Blob::new(manifest, serde_json::to_vec(&text).unwrap()), config, layers }
    }
}

fn compress(layer: &[u8], compression: Compression, media: Media) -> Blob {
    let (base, joint) = match media {
        Media::Oci => ("application/vnd.oci.image.layer.v1.tar", "+"),
        Media::Docker => ("application/vnd.docker.image.rootfs.diff.tar", "."),
    };
    match compression {
        Compression::None => Blob::new(base, layer.to_vec()),
        Compression::Gzip => Blob::new(&format!("{base}{joint}gzip"), gzip(layer)),
        Compression::Zstd => {
            Blob::new(&format!("{base}{joint}zstd"), zstd::bulk::compress(layer, 1).unwrap())
        }
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns the content address of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    hash.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
