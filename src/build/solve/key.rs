//! Keys of the cache: digests of what a step does and of what it begins with.

use serde::Serialize;

use crate::oci::{Digest, Hasher, Platform};

/// What all keys of this form of the cache begin with.
const FORM: &str = "coracle build 1";

/// A key in the making.
pub(super) struct Key(Hasher);

impl Key {
    /// Begins with what kind of step it is, and for which machines.
    pub(super) fn new(kind: &str, platform: &Platform) -> Self {
        let mut key = Self(Hasher::new());
        key.text(FORM);
        key.text(kind);
        key.text(&platform.to_string());
        key
    }

    /// Adds a word.
    pub(super) fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// Adds a definition.
    pub(super) fn definition(&mut self, definition: &impl Serialize) {
        // Text and numbers only, so it can be written.
        let bytes = serde_json::to_vec(definition).unwrap_or_default();
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(&bytes);
    }

    /// Adds a list of layers.
    pub(super) fn layers(&mut self, layers: &[Digest]) {
        self.text(&format!("{} layers", layers.len()));
        for layer in layers {
            self.digest(layer);
        }
    }

    /// Adds a digest.
    pub(super) fn digest(&mut self, digest: &Digest) {
        self.text(&digest.hex());
    }

    /// Returns the key.
    pub(super) fn finish(self) -> Digest {
        self.0.finish()
    }
}
