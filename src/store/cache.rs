//! What builds have made, to be found again: records of the cache of builds.
//!
//! ```text
//! cache/build-v1/<key>.json    the result of a step: a layer of the store; may be deleted at any time
//! cache/contexts/…             what is known of files that builds have read
//! cache/mounts/…               directories that commands of builds share (`RUN --mount=type=cache`)
//! cache/web/…  cache/git/…     files and repositories from elsewhere
//! ```
//!
//! A record keeps its layer from being swept. It is written when the layer has its name; the build that wrote it has
//! the disk hold both before it ends. A record of a boot before this one that was never confirmed so is not
//! believed: it and its layer may be what a power cut has left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Store, read_json, record, replace_json};
use crate::oci::Digest;

/// The file `cache/build-v1/<key>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// The layer, by its diff-id.
    pub layer: Digest,
    /// The sum of the sizes of its files.
    pub size: u64,
    /// The number of bytes of its archive.
    #[serde(default)]
    pub archive: u64,
    /// What made it, in words.
    pub description: String,
    /// When, in seconds since 1970.
    pub created: i64,
    /// When it was last used.
    pub used: i64,
    /// How often.
    pub uses: u64,
    /// The boot in which it was written, until it is known to be on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
}

impl Store {
    /// Returns the directory of everything that builds keep.
    pub fn cache(&self) -> PathBuf {
        self.root().join("cache")
    }

    /// Returns a directory below that, made if it is missing.
    pub fn cache_dir(&self, below: &str) -> Result<PathBuf> {
        let dir = self.cache().join(below);
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(dir)
    }

    fn cache_record_path(&self, key: &Digest) -> PathBuf {
        self.cache().join("build-v1").join(format!("{}.json", key.hex()))
    }

    /// Loads the record of a key.
    pub fn cache_record(&self, key: &Digest) -> Result<Option<CacheRecord>> {
        // One that cannot be read is no loss.
        Ok(read_json(&self.cache_record_path(key)).unwrap_or_default())
    }

    /// Writes the record of a key, in place of an older one.
    pub fn put_cache_record(&self, key: &Digest, record: &CacheRecord) -> Result<()> {
        self.cache_dir("build-v1")?;
        replace_json(&self.cache_record_path(key), record)
    }

    /// Removes the record of a key; its layer goes with the next sweep.
    pub fn remove_cache_record(&self, key: &Digest) -> Result<()> {
        match fs::remove_file(self.cache_record_path(key)) {
            Err(error) if !record::absent(&error) => Err(error).context("remove a record of the cache"),
            _ => Ok(()),
        }
    }

    /// Loads all records, in no order.
    pub fn cache_records(&self) -> Result<Vec<(Digest, CacheRecord)>> {
        let dir = self.cache().join("build-v1");
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.with_context(|| format!("read {}", dir.display()))?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("read {}", dir.display()))?.path();
            if let Some(key) = key_of(&path)
                && let Ok(Some(record)) = read_json(&path)
            {
                records.push((key, record));
            }
        }
        Ok(records)
    }
}

fn key_of(path: &Path) -> Option<Digest> {
    Digest::from_hex(path.file_name()?.to_str()?.strip_suffix(".json")?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::super::{MapKey, sweep};
    use super::*;

    #[test]
    fn keeps_layers_as_long_as_records() {
        let (_dir, store) = scratch();
        let (key, layer) = (Digest::of(b"key"), Digest::of(b"layer"));
        let layers = store.layers(&MapKey::of("one"));
        fs::create_dir_all(layers.tree(&layer)).unwrap();
        let record = CacheRecord {
            layer,
            size: 5,
            archive: 1024,
            description: "RUN x".to_owned(),
            created: 1,
            used: 2,
            uses: 1,
            boot: None,
        };
        store.put_cache_record(&key, &record).unwrap();
        assert_eq!(store.cache_records().unwrap(), [(key, record)]);
        sweep(&store).unwrap();
        assert!(layers.has(&layer));
        store.remove_cache_record(&key).unwrap();
        store.remove_cache_record(&key).unwrap();
        sweep(&store).unwrap();
        assert!(!layers.has(&layer));
    }
}
