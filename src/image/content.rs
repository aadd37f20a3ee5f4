//! The bytes of a blob on their way to a registry: a file of the store, or, for a layer that has none, its unpacked
//! tree packed anew.
//!
//! A tree is packed into a file in staging when the first bytes are wanted, which is after the registry has said
//! that it lacks them, and only what has the right digest is sent: a broken upload goes on from that file. The
//! process is then in the ancestor user namespace.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};

use super::pack::{self, Tree};
use super::push::{PushProgress, PushStep};
use super::unpack::Owners;
use crate::oci::Digest;
use crate::registry::Source;

/// Where the bytes of a blob are.
#[derive(Debug)]
pub(super) enum Place {
    /// In this file.
    File(PathBuf),
    /// In a tree to be packed.
    Tree(Packing),
}

/// A layer that is packed when it is wanted.
#[derive(Debug)]
pub(super) struct Packing {
    pub(super) tree: PathBuf,
    pub(super) owners: Owners,
    /// What it must come to.
    pub(super) diff_id: Digest,
    pub(super) size: u64,
    /// The file to pack it into.
    pub(super) file: PathBuf,
    pub(super) done: OnceLock<Result<(), String>>,
}

impl Packing {
    /// Returns the packed layer.
    fn file(&self) -> io::Result<&Path> {
        let done = self.done.get_or_init(|| {
            self.pack()
                .with_context(|| format!("pack layer {}", self.diff_id))
                .map_err(|it| format!("{it:#}"))
        });
        done.as_ref().map(|()| self.file.as_path()).map_err(|why| io::Error::other(why.as_str()))
    }

    fn pack(&self) -> Result<()> {
        let file = File::create_new(&self.file).with_context(|| format!("create {}", self.file.display()))?;
        let mut out = BufWriter::with_capacity(512 << 10, file);
        let packed = Tree::open(&self.tree).and_then(|tree| pack::layer(&tree, self.owners, &mut out))?;
        out.into_inner().map_err(io::IntoInnerError::into_error).context("write the archive")?;
        ensure!(
            packed.diff_id == self.diff_id && packed.size == self.size,
            "its files are not the archive that it was made from, which is in no store: now they are {}",
            packed.diff_id
        );
        Ok(())
    }
}

/// A blob that is sent.
pub(super) struct Content<'a> {
    pub(super) place: &'a Place,
    pub(super) id: &'a str,
    pub(super) size: u64,
    pub(super) progress: Option<&'a dyn PushProgress>,
    pub(super) stop: &'a AtomicBool,
}

impl Source for Content<'_> {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let path = match self.place {
            Place::File(path) => path,
            Place::Tree(packing) => packing.file()?,
        };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(Counted { file, position: offset, content: self }))
    }
}

struct Counted<'a> {
    file: File,
    position: u64,
    content: &'a Content<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.content.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        let count = self.file.read(buffer)?;
        self.position += count as u64;
        if let Some(progress) = self.content.progress {
            progress.step(self.content.id, PushStep::Pushing(self.position, self.content.size));
        }
        Ok(count)
    }
}
