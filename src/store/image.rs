//! Image records: which images exist.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::record::{absent, is_full, replace};
use super::{Store, read_json, replace_json_synced};
use crate::oci::Digest;

/// The file `images/<id>.json`. The image's id is the digest of its configuration, as `docker images`
/// shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The configuration's digest: the image's id.
    pub id: Digest,
    /// The manifest that lists the configuration and the layers.
    pub manifest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's size in bytes.
    pub size: u64,
    /// The diff-ids of the layers, lowest first: what a container mounts.
    pub layers: Vec<Digest>,
}

impl Store {
    fn image_path(&self, id: &Digest) -> PathBuf {
        self.root().join("images").join(format!("{}.json", id.hex()))
    }

    /// Loads an image's record; `None` if there is no such image.
    pub fn image(&self, id: &Digest) -> Result<Option<ImageRecord>> {
        read_json(&self.image_path(id))
    }

    /// Loads the records of all images, in no order.
    pub fn images(&self) -> Result<Vec<ImageRecord>> {
        let dir = self.root().join("images");
        let mut records = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
            let path = entry.with_context(|| format!("read {}", dir.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                records.extend(read_json(&path)?);
            }
        }
        Ok(records)
    }

    /// Publishes an image: from here on it exists. Its blobs and layers must be there.
    pub fn put_image(&self, record: &ImageRecord) -> Result<()> {
        replace_json_synced(&self.image_path(&record.id), record)?;
        self.rebuild_index().map(drop)
    }

    /// Removes an image's record. Its names are removed first, its content by the next sweep. Call
    /// [`Store::rebuild_index`] after the last change of a command.
    pub fn remove_image(&self, id: &Digest) -> Result<()> {
        match fs::remove_file(self.image_path(id)) {
            Ok(()) => Ok(()),
            Err(error) if absent(&error) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("remove the record of image {id}")),
        }
    }

    /// Writes `index.json` anew from the image records and the names: the view that other tools have of
    /// the store (OCI image-layout). Never read by coracle itself. Where the disk has no room for it, it stays as it
    /// was: what a command has done holds all the same, and the next one writes it. Returns whether it is written.
    pub fn rebuild_index(&self) -> Result<bool> {
        let _lock = self.lock("index", super::Mode::Exclusive)?;
        match replace(&self.root().join("index.json"), &self.index()?, false) {
            Ok(()) => Ok(true),
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns what `index.json` is to hold. The lock `index` is held.
    pub(super) fn index(&self) -> Result<Vec<u8>> {
        let names = self.refs()?;
        let mut manifests = Vec::new();
        let mut images = self.images()?;
        images.sort_by_key(|image| image.id);
        for image in images {
            let descriptor = |name: Option<String>| {
                let mut entry = serde_json::json!({
                    "mediaType": image.media_type, "digest": image.manifest, "size": image.size,
                });
                if let Some(name) = name {
                    entry["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": name });
                }
                entry
            };
            let before = manifests.len();
            for (name, record) in &names {
                if record.id == image.id && name.tag().is_some() {
                    manifests.push(descriptor(Some(name.to_string())));
                }
            }
            if manifests.len() == before {
                manifests.push(descriptor(None));
            }
        }
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        Ok(serde_json::to_vec(&index)?)
    }
}
