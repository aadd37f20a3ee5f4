//! A directory tree made into an archive.
//!
//! # Theory of operation
//!
//! One writer serves everything that leaves the store as tar: a layer without a blob that is saved or
//! pushed, the upper directory of an overlay that becomes a layer, the root file system of a container.
//! It undoes what [`unpack`](super::unpack) does, so that a tree packed and unpacked again is the same, and
//! an archive of its own unpacked and packed again has the same bytes:
//!
//! - members are sorted by name (a whiteout by the name it hides), a directory right before what it holds;
//! - headers follow fixed rules ([`header`]), and nothing of the machine, the time or the user gets in;
//! - of the names of one file the first has its content, the others are hard links to that;
//! - the mark that hides a name (a character device 0/0, or an empty file with `user.overlay.whiteout`)
//!   becomes an empty `.wh.name`, and `user.overlay.opaque` an empty `.wh..wh..opq` in its directory;
//! - owners come from the tree, or at the level of a single id from the attribute `user.coracle.owner` and
//!   the file `owners` ([`recorded`]), which also has the device nodes: the archive is the same at either;
//! - of the attributes go in `user.*`, without overlayfs's and our own, and `security.capability`; access
//!   control lists and labels belong to the machine;
//! - the root stands in the archive only if it is not what an unpacker makes of itself (mode 0755, owner
//!   0:0, no attributes);
//! - sockets stay out, as everywhere; sparse files are written in full.
//!
//! The process is root in the user namespace that the tree belongs to, so that it sees the ids of the map
//! and may read everything. Trees may be hostile, and change while they are read: each step goes through a
//! directory descriptor and follows no link.

mod compare;
mod entry;
mod header;
mod holes;
mod output;
mod recorded;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags};

pub use compare::{Change, Changes, changes};
pub use entry::{Entry, entry};
pub(super) use header::Header;
pub(super) use output::Output;

use self::output::Hashing;
use self::recorded::Recorded;
use self::walk::{Form, Walk};
use super::unpack::Owners;
use crate::oci::Digest;

/// An unpacked layer, or the upper directory of an overlay.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    recorded: Recorded,
    /// Names that stay out of archives.
    left_out: BTreeSet<Vec<u8>>,
}

impl Tree {
    /// Opens the tree at `path`, with the file `owners` beside it if there is one.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .with_context(|| format!("open {}", path.display()))?;
        let recorded = Recorded::load(&path.with_file_name("owners"))?;
        Ok(Self { root, recorded, left_out: BTreeSet::new() })
    }

    /// Leaves names, and what lies below them, out of archives.
    pub fn leave_out(&mut self, names: BTreeSet<Vec<u8>>) {
        self.left_out = names;
    }
}

/// What an archive turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// The digest of its bytes: the layer's diff-id.
    pub diff_id: Digest,
    /// Their number.
    pub size: u64,
}

/// Writes a tree as a layer: whiteouts and opaque directories are said as the image specification says
/// them (layer.md, "Whiteouts").
pub fn layer(tree: &Tree, owners: Owners, out: &mut impl Write) -> Result<Packed> {
    let mut hashing = Hashing::new(out);
    Walk::new(std::slice::from_ref(tree), Form::Layer, owners, &mut hashing).run()?;
    let (diff_id, size) = hashing.done();
    Ok(Packed { diff_id, size })
}

/// Writes several trees, the topmost first, as one layer that does what they do one after the other. No file in it is
/// younger than `not_after`, in seconds since 1970.
pub fn layers(
    trees: &[Tree],
    owners: Owners,
    not_after: Option<i64>,
    out: &mut impl Write,
) -> Result<Packed> {
    let mut hashing = Hashing::new(out);
    Walk::new(trees, Form::Layer, owners, &mut hashing).not_after(not_after).run()?;
    let (diff_id, size) = hashing.done();
    Ok(Packed { diff_id, size })
}

/// Writes what an overlay of `trees` shows, the topmost first. Nothing is mounted for it, so it is the same
/// whether a container has the overlay mounted or not.
pub fn merged(trees: &[Tree], owners: Owners, out: &mut impl Write) -> Result<()> {
    Walk::new(trees, Form::Merged, owners, out).run()
}
