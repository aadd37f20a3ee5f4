//! Blobs: bytes named by their digest.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Store;
use crate::oci::Digest;

/// The largest manifest or configuration that is read into memory, in bytes. Registries refuse manifests
/// above 4 MiB (distribution-spec, "Pushing Manifests").
const DOCUMENT_LIMIT: u64 = 4 << 20;

impl Store {
    /// Returns where the blob lies, or would.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs/sha256").join(digest.hex())
    }

    /// Returns the blob's size in bytes, if it is there.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.blob_path(digest)).ok().map(|meta| meta.len())
    }

    /// Opens a blob; `None` if it is not there.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>> {
        match File::open(self.blob_path(digest)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("open blob {digest}")),
        }
    }

    /// Loads a manifest, index or image configuration.
    pub fn read_document(&self, digest: &Digest) -> Result<Vec<u8>> {
        let file = self.open_blob(digest)?.ok_or_else(|| self.missing(digest))?;
        let mut bytes = Vec::new();
        file.take(DOCUMENT_LIMIT + 1)
            .read_to_end(&mut bytes)
            .with_context(|| format!("read blob {digest}"))?;
        anyhow::ensure!(
            bytes.len() as u64 <= DOCUMENT_LIMIT,
            "read blob {digest}: it is too large for a document"
        );
        Ok(bytes)
    }
}
