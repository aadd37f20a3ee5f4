//! What a registry has of an image, as `buildx imagetools inspect --format` sees it: the manifest, the configurations
//! by platform, and what builders state about it.
//!
//! Statements lie in manifests of their own in the image's index; an annotation says which image they are about.
//! Each layer of such a manifest is one statement in in-toto's form, perhaps in a signed envelope (DSSE).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::index::{Entry, Listing, is_index};
use super::remote::{Registries, Remote};
use crate::oci::Digest;

/// The annotations that say which image a statement is about, the newer first.
const ABOUT: [&str; 2] = ["com.docker.reference.digest", "vnd.docker.reference.digest"];
/// The annotation that says what kind of statement a layer is.
const KIND: &str = "in-toto.io/predicate-type";
const SPDX: &str = "https://spdx.dev/Document";
const SLSA: &str = "https://slsa.dev/provenance/";
/// The longest statement, in bytes.
const STATEMENT_LIMIT: u64 = 64 << 20;
/// How deep indexes may lie in indexes.
const DEPTH: usize = 4;

/// What is to be seen beside the manifest; all of it has to be fetched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The configurations.
    pub images: bool,
    /// The lists of what is inside.
    pub sbom: bool,
    /// How the image was made.
    pub provenance: bool,
}

/// What is found in an index.
#[derive(Default)]
struct Found {
    images: BTreeMap<String, Digest>,
    /// The manifests of statements, by what they are about.
    statements: BTreeMap<Digest, Vec<Digest>>,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(default)]
    predicate: Value,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

impl Found {
    fn add(
        &mut self,
        registries: &Registries<'_>,
        remote: &Remote,
        listing: Listing,
        depth: usize,
    ) -> Result<()> {
        if depth == 0 {
            bail!("{}: indexes lie too deep in each other", remote.reference);
        }
        for entry in listing.manifests {
            let Some(digest) = entry.digest else { continue };
            if let Some(about) = about(&entry) {
                self.statements.entry(about).or_default().push(digest);
            } else if is_index(&entry.media_type) {
                let inner = registries.get(&remote.reference.with_digest(digest))?;
                let listing = Listing::parse(&inner.bytes)?;
                self.add(registries, &inner, listing, depth - 1)?;
            } else if let Some(platform) = &entry.platform
                && platform.architecture != "unknown"
            {
                self.images.insert(platform.normal().to_string(), digest);
            }
        }
        Ok(())
    }
}

fn about(entry: &Entry) -> Option<Digest> {
    let annotations = entry.annotations.as_ref()?;
    ABOUT.iter().find_map(|key| annotations.get(*key))?.parse().ok()
}

/// Returns what there is to see of `remote`, which was asked for as `name`.
pub fn view(registries: &Registries<'_>, name: &str, remote: &Remote, wanted: Wanted) -> Result<Value> {
    let config = |remote: &Remote| -> Result<Value> {
        serde_json::from_slice(&registries.config(remote)?).context("parse the image's configuration")
    };
    let digest = json!(remote.entry.digest);
    if !is_index(&remote.entry.media_type) {
        let manifest =
            json!({ "mediaType": remote.entry.media_type, "digest": digest, "size": remote.entry.size });
        let mut view = json!({ "name": name, "manifest": manifest });
        if wanted.images {
            view["image"] = config(remote)?;
        }
        if wanted.sbom {
            view["SBOM"] = json!({});
        }
        if wanted.provenance {
            view["Provenance"] = json!({});
        }
        return Ok(view);
    }
    let mut manifest: Value = serde_json::from_slice(&remote.bytes).context("parse the index")?;
    manifest["digest"] = digest;
    manifest["size"] = remote.entry.size.into();
    let mut found = Found::default();
    found.add(registries, remote, Listing::parse(&remote.bytes)?, DEPTH)?;
    let (mut images, mut sboms, mut provenances) = (Map::new(), Map::new(), Map::new());
    for (platform, image) in &found.images {
        if wanted.images {
            let inner = registries.get(&remote.reference.with_digest(*image))?;
            images.insert(platform.clone(), config(&inner)?);
        }
        let (mut sbom, mut provenance) = (Map::new(), Map::new());
        if wanted.sbom || wanted.provenance {
            for manifest in found.statements.get(image).into_iter().flatten() {
                let manifest = registries.get(&remote.reference.with_digest(*manifest))?;
                collect(registries, &manifest, wanted, &mut sbom, &mut provenance)?;
            }
        }
        for (all, one) in [(&mut sboms, sbom), (&mut provenances, provenance)] {
            if !one.is_empty() {
                all.insert(platform.clone(), one.into());
            }
        }
    }
    // Of one platform the image stands for itself.
    let several = found.images.len() > 1;
    let plain = |all: Map<String, Value>| {
        if several { Value::Object(all) } else { all.into_iter().next().map_or(json!({}), |(_, one)| one) }
    };
    let mut view = json!({ "name": name, "manifest": manifest, "image": plain(images) });
    if wanted.sbom {
        view["SBOM"] = plain(sboms);
    }
    if wanted.provenance {
        view["Provenance"] = plain(provenances);
    }
    Ok(view)
}

/// Adds the statements of a manifest of them.
fn collect(
    registries: &Registries<'_>,
    manifest: &Remote,
    wanted: Wanted,
    sbom: &mut Map<String, Value>,
    provenance: &mut Map<String, Value>,
) -> Result<()> {
    for layer in registries.layers(manifest)? {
        let kind = layer.annotations.as_ref().and_then(|all| all.get(KIND)).map_or("", String::as_str);
        let enveloped =
            layer.media_type.starts_with("application/vnd.in-toto.") && layer.media_type.ends_with("+dsse");
        if !enveloped && layer.media_type != "application/vnd.in-toto+json" {
            continue;
        }
        let is_sbom = kind == SPDX && wanted.sbom;
        let is_provenance = kind.starts_with(SLSA) && wanted.provenance;
        if !is_sbom && !is_provenance {
            continue;
        }
        let bytes = registries.blob(manifest, &layer, STATEMENT_LIMIT, "statement about the image")?;
        let predicate = predicate(&bytes, enveloped)?;
        if is_provenance {
            provenance.entry("SLSA").or_insert(predicate);
        } else if let Some(more) = sbom.get("SPDX").is_some().then(|| sbom.entry("AdditionalSPDXs")) {
            if let Some(more) = more.or_insert_with(|| json!([])).as_array_mut() {
                more.push(predicate);
            }
        } else {
            sbom.insert("SPDX".to_owned(), predicate);
        }
    }
    Ok(())
}

/// Returns what a statement says.
fn predicate(bytes: &[u8], enveloped: bool) -> Result<Value> {
    let parse = |bytes: &[u8]| -> Result<Statement> {
        serde_json::from_slice(bytes).context("parse a statement about the image")
    };
    if !enveloped {
        return Ok(parse(bytes)?.predicate);
    }
    let envelope: Envelope =
        serde_json::from_slice(bytes).context("parse the envelope of a statement about the image")?;
    let bytes = STANDARD.decode(envelope.payload).context("decode a statement about the image")?;
    Ok(parse(&bytes)?.predicate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_envelopes() {
        let plain = br#"{"_type":"x","predicate":{"name":"n"}}"#;
        assert_eq!(predicate(plain, false).unwrap(), json!({"name": "n"}));
        let envelope = json!({"payloadType": "x", "payload": STANDARD.encode(plain), "signatures": []});
        assert_eq!(predicate(envelope.to_string().as_bytes(), true).unwrap(), json!({"name": "n"}));
        assert!(predicate(plain, true).is_err());
        assert!(predicate(br#"{"payload":"?"}"#, true).is_err());
    }
}
