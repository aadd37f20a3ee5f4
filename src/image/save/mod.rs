//! Images written as archives or directories, for other tools and for [`load`](super::load).
//!
//! Everything leaves as it lies in the store, so that digests survive the way to another machine and back,
//! and most of the work is the kernel's copying. Only a layer that was made here, and has no blob, is packed
//! ([`pack`](super::pack)).
//!
//! First all is chosen and pinned ([`choose`]), then written in the order of the names ([`Saving`]): the same
//! images make the same bytes.

mod choose;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

pub use choose::{choose, choose_by_id};

use super::intake::Mapping;
use super::pack::{self, Header, Output, Tree};
use crate::oci::Digest;
use crate::store::{Staged, Store};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What `docker save` writes today: an OCI image layout that older tools can read too.
    DockerArchive,
    /// An OCI image layout as an archive.
    OciArchive,
    /// An OCI image layout.
    OciDirectory,
    /// What other tools call `dir`: one image, its manifest and its blobs side by side.
    DockerDirectory,
}

impl FromStr for Format {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "docker-archive" => Self::DockerArchive,
            "oci-archive" => Self::OciArchive,
            "oci-dir" => Self::OciDirectory,
            "docker-dir" => Self::DockerDirectory,
            _ => bail!("unknown format {text:?}: want docker-archive, oci-archive, oci-dir or docker-dir"),
        })
    }
}

impl Format {
    /// Tells whether it is a directory rather than a stream.
    pub fn is_directory(self) -> bool {
        matches!(self, Self::OciDirectory | Self::DockerDirectory)
    }
}

/// The content of one file of an archive.
#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// A blob of the store.
    Blob(Digest),
    /// A layer that has no blob, with the size that its manifest tells.
    Layer(Digest, u64),
}

/// Images that are chosen, pinned and ready to be written.
#[derive(Debug)]
pub struct Saving<'a> {
    store: &'a Store,
    /// Keeps what is to be written from being swept.
    _pin: Staged,
    pieces: BTreeMap<String, Piece>,
    images: Vec<Digest>,
}

impl Saving<'_> {
    /// Tells whether layers have to be packed: then the process must be in the ancestor user namespace.
    pub fn packs(&self) -> bool {
        self.pieces.values().any(|piece| matches!(piece, Piece::Layer(..)))
    }

    /// Writes an archive. `mapping` says where the layers are that have to be packed.
    pub fn archive(&self, mapping: Option<&Mapping>, out: impl Write) -> Result<()> {
        let mut out = Output::new(out);
        let mut dirs = Vec::new();
        for (name, piece) in &self.pieces {
            let parents = name.match_indices('/').map(|(at, _)| &name[..=at]);
            for dir in parents {
                if !dirs.contains(&dir) {
                    dirs.push(dir);
                    out.header(&Header {
                        path: dir.as_bytes(),
                        kind: b'5',
                        mode: 0o755,
                        ..Header::default()
                    })?;
                }
            }
            let header = Header { path: name.as_bytes(), kind: b'0', mode: 0o644, ..Header::default() };
            match piece {
                Piece::Bytes(bytes) => {
                    out.header(&Header { size: bytes.len() as u64, ..header })?;
                    out.content(bytes)?;
                }
                Piece::Blob(digest) => {
                    let (file, size) = self.blob(digest)?;
                    out.header(&Header { size, ..header })?;
                    out.copy(&file, size).with_context(|| format!("save blob {digest}"))?;
                }
                Piece::Layer(diff_id, size) => {
                    out.header(&Header { size: *size, ..header })?;
                    self.layer(mapping, diff_id, *size, &mut out)?;
                    out.pad(*size)?;
                }
            }
        }
        out.finish()?;
        self.note();
        Ok(())
    }

    fn note(&self) {
        for image in &self.images {
            super::event::note_id(self.store, "save", image);
        }
    }

    /// Writes the files into a new directory.
    pub fn directory(&self, mapping: Option<&Mapping>, dir: &Path) -> Result<()> {
        for (name, piece) in &self.pieces {
            let path = dir.join(name);
            let write = || -> Result<()> {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                let mut file = File::create_new(&path)?;
                match piece {
                    Piece::Bytes(bytes) => file.write_all(bytes)?,
                    Piece::Blob(digest) => {
                        let (blob, size) = self.blob(digest)?;
                        io::copy(&mut blob.take(size), &mut file)?;
                    }
                    Piece::Layer(diff_id, size) => self.layer(mapping, diff_id, *size, &mut file)?,
                }
                Ok(())
            };
            write().with_context(|| format!("write {}", path.display()))?;
        }
        self.note();
        Ok(())
    }

    fn blob(&self, digest: &Digest) -> Result<(File, u64)> {
        let file = self.store.open_blob(digest)?.ok_or_else(|| self.store.missing(digest))?;
        let size = file.metadata().with_context(|| format!("look at blob {digest}"))?.len();
        Ok((file, size))
    }

    /// Packs a layer, whose digest and size its manifest has told.
    fn layer(
        &self,
        mapping: Option<&Mapping>,
        diff_id: &Digest,
        size: u64,
        out: &mut impl Write,
    ) -> Result<()> {
        let mapping = mapping.context("pack a layer: there is no id mapping")?;
        let tree = self.store.layers(&mapping.key).tree(diff_id);
        let packed = Tree::open(&tree)
            .and_then(|tree| pack::layer(&tree, mapping.owners, out))
            .with_context(|| format!("pack layer {diff_id}"))?;
        ensure!(
            packed.diff_id == *diff_id && packed.size == size,
            "pack layer {diff_id}: its files have changed, now they are {}",
            packed.diff_id
        );
        Ok(())
    }
}
