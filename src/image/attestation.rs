//! What is said of how an image was made, as BuildKit writes it: statements of in-toto as the layers of a manifest of
//! their own, which stands in the index beside the image's.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::import::{CONFIG, MANIFEST};
use super::make::Attestation;
use crate::oci::{Digest, Reference};

const STATEMENT: &str = "https://in-toto.io/Statement/v0.1";
const LAYER: &str = "application/vnd.in-toto+json";

/// Returns the index's entry of the statements of an image with this manifest, and all documents.
pub(super) fn write(
    image: &Digest,
    platform: &str,
    names: &[Reference],
    attestations: &[Attestation],
) -> Result<(Value, Vec<Vec<u8>>)> {
    let digest = json!({ "sha256": image.hex() });
    let mut subjects: Vec<Value> =
        names.iter().map(|name| json!({ "name": purl(name, platform), "digest": digest })).collect();
    if subjects.is_empty() {
        subjects.push(json!({ "name": "_", "digest": digest }));
    }
    let (mut documents, mut layers, mut diff_ids) = (Vec::new(), Vec::new(), Vec::new());
    for attestation in attestations {
        let statement = json!({
            "_type": STATEMENT,
            "predicateType": attestation.kind,
            "subject": subjects,
            "predicate": attestation.predicate,
        });
        let bytes = serde_json::to_vec(&statement).context("serialise a statement")?;
        let digest = Digest::of(&bytes);
        layers.push(json!({
            "mediaType": LAYER,
            "digest": digest,
            "size": bytes.len(),
            "annotations": { "in-toto.io/predicate-type": attestation.kind },
        }));
        diff_ids.push(digest);
        documents.push(bytes);
    }
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = serde_json::to_vec(&config).context("serialise the configuration of statements")?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": Digest::of(&config), "size": config.len() },
        "layers": layers,
    });
    let manifest = serde_json::to_vec(&manifest).context("serialise the manifest of statements")?;
    let entry = json!({
        "mediaType": MANIFEST,
        "digest": Digest::of(&manifest),
        "size": manifest.len(),
        "annotations": {
            "vnd.docker.reference.digest": image,
            "vnd.docker.reference.type": "attestation-manifest",
        },
        "platform": { "architecture": "unknown", "os": "unknown" },
    });
    documents.extend([config, manifest]);
    Ok((entry, documents))
}

/// Returns the address of an image as package URLs have it.
pub fn purl(name: &Reference, platform: &str) -> String {
    let familiar = name.familiar();
    let version = name.digest().map(|digest| digest.to_string()).or_else(|| name.tag().map(str::to_owned));
    let bare = version.as_ref().map_or(familiar.as_str(), |version| {
        familiar
            .strip_suffix(version.as_str())
            .map_or(familiar.as_str(), |bare| bare.trim_end_matches([':', '@']))
    });
    let version = version.map(|version| format!("@{version}")).unwrap_or_default();
    format!("pkg:docker/{bare}{version}?platform={}", platform.replace('/', "%2F"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_images_as_packages() {
        let name = |text: &str| purl(&Reference::parse(text).unwrap().with_default_tag(), "linux/amd64");
        assert_eq!(name("alpine:3.14"), "pkg:docker/alpine@3.14?platform=linux%2Famd64");
        assert_eq!(name("localhost:5000/a/b"), "pkg:docker/localhost:5000/a/b@latest?platform=linux%2Famd64");
    }
}
