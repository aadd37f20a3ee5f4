//! What a container, or something in the making, needs a sweep to keep.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{read_json, replace_json};
use crate::oci::Digest;

/// The file `pin.json` in a container's directory or a staging directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pin {
    /// The image (its configuration's digest), whose record and blobs are kept from the sweep of blobs.
    pub image: Option<Digest>,
    /// Blobs.
    pub blobs: BTreeSet<Digest>,
    /// Layers, by diff-id, under every mapping.
    pub layers: BTreeSet<Digest>,
}

impl Pin {
    /// The file's name.
    pub const FILE: &str = "pin.json";

    /// Loads the pin of `dir`; an absent file pins nothing.
    pub fn load(dir: &Path) -> Result<Self> {
        Ok(read_json(&dir.join(Self::FILE))?.unwrap_or_default())
    }

    /// Writes the pin into `dir`, in place of an older one.
    pub fn save(&self, dir: &Path) -> Result<()> {
        replace_json(&dir.join(Self::FILE), self)
    }
}
