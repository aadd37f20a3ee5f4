//! Manifests and indexes: what an image is made of, and which image is for which machine.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::oci::{Digest, Platform};

pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const OCI_MANIFEST: &str = super::import::MANIFEST;
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// How deep indexes may lie in each other, the manifest counted.
pub(super) const INDEX_DEPTH: usize = 4;
/// The most layers an image can have: as many as overlayfs mounts.
pub const LAYER_LIMIT: usize = 500;

/// A pointer to content (OCI image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default)]
    platform: Option<ListedPlatform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ListedPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

/// A document of either kind, as it is parsed first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

/// One image.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// Several images, of which one is chosen.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) media_type: String,
    pub(super) manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone)]
pub(super) enum Document {
    Manifest(Box<Manifest>),
    Index(Index),
}

impl Descriptor {
    /// Returns the value of an annotation.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    fn platform(&self) -> Option<Platform> {
        let listed = self.platform.as_ref()?;
        Some(Platform::normal(&listed.os, &listed.architecture, listed.variant.as_deref().unwrap_or("")))
    }

    /// Tells whether it points to what builders say about another image, and not to an image.
    pub(super) fn is_attestation(&self) -> bool {
        self.annotation("vnd.docker.reference.type").is_some()
            || self.platform.as_ref().is_some_and(|platform| platform.architecture == "unknown")
    }
}

/// Parses a manifest or an index. `told` is the media type that it came with; what stands inside counts
/// more.
pub(super) fn parse(bytes: &[u8], told: &str) -> Result<Document> {
    if told.starts_with(SCHEMA_1) {
        bail!(
            "support for Docker Image Format v1 and Docker Image manifest version 2, schema 1 has been removed: \
             the image has to be pushed anew with a current tool"
        );
    }
    let raw: Raw = serde_json::from_slice(bytes).context("parse the manifest")?;
    if raw.schema_version != 2 {
        bail!("unsupported manifest schema version {}", raw.schema_version);
    }
    let media_type = if raw.media_type.is_empty() { told } else { &raw.media_type };
    let is_index = match media_type {
        OCI_INDEX | DOCKER_LIST => true,
        OCI_MANIFEST | DOCKER_MANIFEST => false,
        // A registry that does not know better, or a file.
        "" | "application/json" | "application/octet-stream" | "text/plain" => raw.manifests.is_some(),
        other => bail!("unsupported manifest media type {other}"),
    };
    if is_index {
        // A document that can be read as both is an attack (CVE-2021-41190).
        if raw.config.is_some() || raw.layers.is_some() {
            bail!("the index has the fields of a manifest");
        }
        let media_type = if media_type == DOCKER_LIST { DOCKER_LIST } else { OCI_INDEX };
        return Ok(Document::Index(Index {
            media_type: media_type.to_owned(),
            manifests: raw.manifests.unwrap_or_default(),
        }));
    }
    if raw.manifests.is_some() {
        bail!("the manifest has the fields of an index");
    }
    let config = raw.config.context("parse the manifest: it has no configuration")?;
    let layers = raw.layers.unwrap_or_default();
    check_config(&config)?;
    if layers.len() > LAYER_LIMIT {
        bail!("the image has {} layers, and at most {LAYER_LIMIT} can be mounted", layers.len());
    }
    for layer in &layers {
        check_layer(layer)?;
    }
    let media_type = match media_type {
        OCI_MANIFEST | DOCKER_MANIFEST => media_type,
        _ => OCI_MANIFEST,
    };
    Ok(Document::Manifest(Box::new(Manifest {
        bytes: bytes.to_vec(),
        media_type: media_type.to_owned(),
        config,
        layers,
    })))
}

fn check_config(config: &Descriptor) -> Result<()> {
    match config.media_type.as_str() {
        super::import::CONFIG | DOCKER_CONFIG | "application/octet-stream" | "" => Ok(()),
        "application/vnd.docker.plugin.v1+json" => {
            bail!("Encountered remote \"application/vnd.docker.plugin.v1+json\"(plugin) when fetching")
        }
        other => bail!(
            "Encountered remote \"{other}\"(unknown) when fetching: it is an artifact, not a container image"
        ),
    }
}

fn check_layer(layer: &Descriptor) -> Result<()> {
    let media_type = layer.media_type.as_str();
    if media_type.contains("foreign") || media_type.contains("nondistributable") || layer.urls.is_some() {
        bail!(
            "layer {} is kept outside of the registry ({media_type}), which is not supported",
            layer.digest
        );
    }
    let tar = media_type
        .strip_prefix("application/vnd.oci.image.layer.v1.")
        .or_else(|| media_type.strip_prefix("application/vnd.docker.image.rootfs.diff."));
    match tar {
        Some("tar" | "tar+gzip" | "tar+zstd" | "tar.gzip" | "tar.zstd") => Ok(()),
        _ if media_type == "application/octet-stream" => Ok(()),
        _ => bail!("layer {} has the unsupported media type {media_type:?}", layer.digest),
    }
}

impl Index {
    /// Returns the entry for `platform` among those that `present` says are there; if none is there for it and
    /// the platform was not `asked` for, the only image that is.
    pub(super) fn choose_present(
        &self,
        platform: &Platform,
        asked: bool,
        present: impl Fn(&Descriptor) -> bool,
    ) -> Result<Descriptor> {
        let manifests = self.manifests.iter().filter(|entry| present(entry)).cloned().collect();
        let here = Self { media_type: self.media_type.clone(), manifests };
        match here.choose(platform) {
            Ok(chosen) => return Ok(chosen.clone()),
            Err(error) if asked => return Err(error),
            Err(_) => {}
        }
        let mut images = here.manifests.into_iter().filter(|entry| !entry.is_attestation());
        match (images.next(), images.next()) {
            (Some(only), None) => Ok(only),
            _ => self.choose(platform).cloned(),
        }
    }

    /// Returns the entry that suits `platform` best.
    pub(super) fn choose(&self, platform: &Platform) -> Result<&Descriptor> {
        let images = || self.manifests.iter().filter(|entry| !entry.is_attestation());
        images()
            .filter_map(|entry| Some((entry, entry.platform()?)))
            .filter(|(_, listed)| platform.runs(listed))
            // The same architecture before its older kin, and the newest variant that runs; the first of
            // equals, as everybody else takes it.
            .min_by_key(|(_, listed)| {
                let stranger = listed.architecture != platform.architecture;
                (stranger, std::cmp::Reverse(listed.variant.clone()))
            })
            .map(|(entry, _)| entry)
            // An entry that does not say what it is for, if there is only one.
            .or_else(|| {
                let mut silent = images().filter(|entry| entry.platform.is_none());
                silent.next().filter(|_| silent.next().is_none())
            })
            .with_context(|| format!("no matching manifest for {platform} in the manifest list entries"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn index(platforms: &[serde_json::Value]) -> Index {
        let manifests: Vec<_> = platforms
            .iter()
            .enumerate()
            .map(|(at, platform)| {
                let digest = Digest::of(&[u8::try_from(at).unwrap()]);
                let mut entry = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1});
                if !platform.is_null() {
                    entry["platform"] = platform.clone();
                }
                entry
            })
            .collect();
        let bytes = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": manifests})).unwrap();
        match parse(&bytes, OCI_INDEX).unwrap() {
            Document::Index(index) => index,
            Document::Manifest(_) => panic!("it is an index"),
        }
    }

    #[test]
    fn chooses_the_platform() {
        let listed =
            |arch: &str, variant: &str| json!({"os": "linux", "architecture": arch, "variant": variant});
        let all = index(&[
            listed("386", ""),
            listed("unknown", ""),
            listed("arm", "v5"),
            listed("arm", "v7"),
            listed("arm64", "v8"),
            listed("amd64", ""),
        ]);
        let chosen = |index: &Index, platform: &str| {
            let digest = index.choose(&platform.parse().unwrap()).map(|entry| entry.digest);
            digest.ok().map(|digest| (0..9u8).position(|at| Digest::of(&[at]) == digest).unwrap())
        };
        assert_eq!(chosen(&all, "linux/amd64"), Some(5));
        assert_eq!(chosen(&all, "linux/arm64"), Some(4));
        assert_eq!(chosen(&all, "linux/arm/v6"), Some(2));
        assert_eq!(chosen(&all, "linux/arm"), Some(3));
        assert_eq!(chosen(&index(&[listed("386", "")]), "linux/amd64"), Some(0));
        assert_eq!(chosen(&index(&[json!(null)]), "linux/amd64"), Some(0));
        assert_eq!(chosen(&index(&[json!(null), json!(null)]), "linux/amd64"), None);
        let error = all.choose(&"linux/s390x".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "no matching manifest for linux/s390x in the manifest list entries");
    }

    #[test]
    fn refuses_what_is_no_image() {
        let descriptor = |media: &str| json!({"mediaType": media, "digest": Digest::of(b""), "size": 1});
        let config = || descriptor(super::super::import::CONFIG);
        let layer =
            |media: &str| json!({"schemaVersion": 2, "config": config(), "layers": [descriptor(media)]});
        for (document, media, expected) in [
            (
                json!({"schemaVersion": 1}),
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                "schema 1",
            ),
            (json!({"schemaVersion": 1}), "", "schema version 1"),
            (json!({"schemaVersion": 2, "layers": []}), OCI_MANIFEST, "no configuration"),
            (json!({"schemaVersion": 2, "manifests": [], "layers": []}), OCI_INDEX, "fields of a manifest"),
            (
                json!({"schemaVersion": 2, "manifests": [], "config": config()}),
                OCI_MANIFEST,
                "fields of an index",
            ),
            (json!({"schemaVersion": 2}), "text/html", "unsupported manifest media type"),
            (
                json!({"schemaVersion": 2, "config": descriptor("application/vnd.cncf.helm.config.v1+json")}),
                OCI_MANIFEST,
                "(unknown) when fetching",
            ),
            (
                layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
                "",
                "outside of the registry",
            ),
            (layer("application/vnd.oci.image.layer.v1.tar+encrypted"), "", "unsupported media type"),
        ] {
            let error = parse(document.to_string().as_bytes(), media).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        for media in [
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ] {
            assert!(parse(layer(media).to_string().as_bytes(), "").is_ok());
        }
    }
}
