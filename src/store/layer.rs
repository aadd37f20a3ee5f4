//! Unpacked layers.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Store, read_json};
use crate::oci::Digest;

/// The id mapping that layers are unpacked under, as a directory name: 16 hexadecimal digits of the digest
/// of the mapping's text.
///
/// A user whose subordinate ids change keeps images and blobs; layers are unpacked anew, beside the old
/// ones, when they are first needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MapKey(String);

impl MapKey {
    /// Returns the key of a mapping, given its text in the form of `/proc/pid/uid_map` (user_namespaces(7))
    /// for users, then for groups.
    pub fn of(text: &str) -> Self {
        Self(Digest::of(text.as_bytes()).hex()[..16].to_owned())
    }
}

impl fmt::Display for MapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The file `layer.json` beside a layer's `tree`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The sum of the sizes of its regular files in bytes, each hard-linked file once: what `docker
    /// history` and `docker images` add up.
    pub size: u64,
    /// The number of entries.
    pub entries: u64,
}

/// The layers unpacked under one mapping.
#[derive(Debug, Clone)]
pub struct Layers {
    dir: PathBuf,
}

impl Store {
    /// Returns the layers unpacked under `map`. The directory is made by the first to publish there.
    pub fn layers(&self, map: &MapKey) -> Layers {
        Layers { dir: self.root().join("layers").join(&map.0) }
    }

    /// Returns the layers unpacked under every mapping there is.
    pub fn all_layers(&self) -> Result<Vec<Layers>> {
        let dir = self.root().join("layers");
        fs::read_dir(&dir)
            .and_then(|entries| entries.map(|entry| Ok(Layers { dir: entry?.path() })).collect())
            .with_context(|| format!("read {}", dir.display()))
    }
}

impl Layers {
    /// Returns the mapping's key.
    pub fn map(&self) -> MapKey {
        MapKey(self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Returns the diff-ids of the layers that are here.
    pub fn list(&self) -> Result<Vec<Digest>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if super::record::absent(&error) => return Ok(Vec::new()),
            other => other.with_context(|| format!("read {}", self.dir.display()))?,
        };
        let ids = entries.flatten().filter_map(|entry| Digest::from_hex(entry.file_name().to_str()?).ok());
        Ok(ids.collect())
    }

    /// Returns the directory of one layer, whether it exists or not: `tree` and `layer.json` lie in it.
    pub fn dir(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join(diff_id.hex())
    }

    /// Returns the root of the unpacked tree: a lower directory for overlayfs.
    pub fn tree(&self, diff_id: &Digest) -> PathBuf {
        self.dir(diff_id).join("tree")
    }

    /// Returns the trees of layers that are given lowest first, topmost first, as they are mounted. A layer
    /// whose root is opaque hides all below it, which overlayfs does not look for in a root. A layer that comes
    /// several times is there once.
    pub fn stack(&self, diff_ids: &[Digest]) -> Result<Vec<PathBuf>> {
        let mut trees = Vec::with_capacity(diff_ids.len());
        for (at, diff_id) in diff_ids.iter().enumerate().rev() {
            // What a layer does it does the last time, and overlayfs takes no directory twice.
            if diff_ids[at + 1..].contains(diff_id) {
                continue;
            }
            let tree = self.tree(diff_id);
            let mut value = [0; 1];
            let opaque = rustix::fs::lgetxattr(&tree, "user.overlay.opaque", &mut value[..]);
            if opaque == Err(rustix::io::Errno::NOENT) {
                return Err(self.missing(diff_id));
            }
            trees.push(tree);
            if opaque == Ok(1) && value == *b"y" {
                break;
            }
        }
        Ok(trees)
    }

    /// Returns why a layer cannot be used, in words for people.
    fn missing(&self, diff_id: &Digest) -> anyhow::Error {
        match fs::read_link(self.dir(diff_id)) {
            Ok(lent) => anyhow::anyhow!(
                "layer {diff_id} was borrowed and is not there any more ({}): \"system check --repair\" brings it \
                 back",
                lent.display()
            ),
            Err(_) => anyhow::anyhow!("layer {diff_id} is missing: \"system check --repair\" brings it back"),
        }
    }

    /// Tells whether the layer is there. If it is, it is whole.
    pub fn has(&self, diff_id: &Digest) -> bool {
        self.dir(diff_id).exists()
    }

    /// Loads the layer's record; `None` if the layer is not there.
    pub fn record(&self, diff_id: &Digest) -> Result<Option<LayerRecord>> {
        read_json(&self.dir(diff_id).join("layer.json"))
    }

    /// Returns the directory of these layers, made if missing, to publish into.
    pub fn ready(&self) -> Result<&Path> {
        fs::create_dir_all(&self.dir).with_context(|| format!("create {}", self.dir.display()))?;
        Ok(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn stacks_a_layer_once() {
        let (_dir, store) = scratch();
        let layers = store.layers(&MapKey::of("one"));
        let [empty, other] = [b"empty", b"other"].map(|name| Digest::of(name));
        for layer in [&empty, &other] {
            fs::create_dir_all(layers.tree(layer)).unwrap();
        }
        let stack = layers.stack(&[empty, other, empty, empty]).unwrap();
        assert_eq!(stack, [layers.tree(&empty), layers.tree(&other)]);
        assert!(layers.stack(&[Digest::of(b"absent")]).is_err());
    }
}
