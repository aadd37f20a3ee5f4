//! An archive made into a layer's tree.
//!
//! # Theory of operation
//!
//! A layer's tar is unpacked into `<dir>/tree` in the form that overlayfs mounts as a lower directory with
//! `userxattr`: a whiteout `.wh.x` becomes a character device 0/0 called `x`, an opaque mark `.wh..wh..opq`
//! becomes the attribute `user.overlay.opaque` of its directory. Beside it come `layer.json`
//! ([`LayerRecord`]) and, if it has something to say, `owners` (below).
//!
//! The process is root in the user namespace that the tree belongs to, so that every owner of the map can
//! be set and no permission bit locks it out. The archive is untrusted:
//!
//! - no name leaves the tree ([`tree`], [`path`]);
//! - what is kept in memory has limits ([`member`]);
//! - attributes that mean something to overlayfs or to coracle are never taken from the archive;
//! - device nodes, which a user namespace cannot make, are written down in `owners` only.
//!
//! A later member replaces an earlier one of the same name; only a directory on a directory keeps what it
//! holds. A whiteout never hides a member of its own layer, wherever the two stand in the archive
//! (image-spec, layer.md, "Whiteouts").
//!
//! For containers that keep the user's ids ([`Owners::Kept`]) it is the same, except that each owner is translated
//! on its way, and that what root owns has to be given to it, too.
//!
//! Permissions and times of directories are set at the end, when nothing in them changes any more.
//!
//! # Owners with a single id
//!
//! With [`Owners::Emulated`] every file belongs to the user. An owner that is not `0:0` is kept as
//! `uid:gid:mode` (mode in octal) in the attribute `user.coracle.owner` of regular files and directories.
//! Other kinds cannot have `user.*` attributes (xattr(7)); theirs stand in the file `owners`, one record
//! each: `uid:gid:mode:major:minor path`, mode with the bits of the type, ended by a NUL. Device nodes stand
//! there under either regime.

mod extract;
mod land;
mod member;
mod path;
#[cfg(test)]
mod tests;
mod tree;

use std::io::BufRead;
use std::path::Path;

use anyhow::{Context, Result};

pub use extract::OWNER;
pub use land::{Landed, Landing, Ownership, land};
pub(super) use member::{Kind, Member, Members};
pub(super) use path::{clean, split};

use crate::idmap::Kept;
use crate::store::{LayerRecord, write_json_new};

/// How many bytes of a name an error shows.
const SHOWN: usize = 256;

/// What becomes of the owners that an archive tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// They are set: the user namespace maps them.
    Mapped,
    /// They are kept in attributes: the user namespace maps one id.
    Emulated,
    /// They are set, for containers that keep the user's ids, whose ids are others than this user namespace's.
    Kept(Kept),
}

impl Owners {
    /// Returns the owner that a file gets that belongs to these ids in an archive.
    #[must_use]
    pub fn above(self, uid: u32, gid: u32) -> (u32, u32) {
        match self {
            Self::Kept(kept) => kept.above(uid, gid),
            Self::Mapped | Self::Emulated => (uid, gid),
        }
    }

    /// Returns the ids in an archive of a file that belongs to these here.
    #[must_use]
    pub fn within(self, uid: u32, gid: u32) -> (u32, u32) {
        match self {
            Self::Kept(kept) => kept.within(uid, gid),
            Self::Mapped | Self::Emulated => (uid, gid),
        }
    }

    /// Tells whether files belong to others than the root of this user namespace as soon as they are made.
    fn differ(self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

/// Unpacks the archive `input` into the new directory `dir`, reading it to its very end.
///
/// Runs in a thread of its own, whose file mode mask it changes.
pub(super) fn unpack(input: impl BufRead, dir: &Path, owners: Owners) -> Result<LayerRecord> {
    std::fs::create_dir(dir).with_context(|| format!("create {}", dir.display()))?;
    let tree = dir.join("tree");
    std::fs::create_dir(&tree).with_context(|| format!("create {}", tree.display()))?;
    let mut members = Members::new(input);
    let mut extraction = extract::Extraction::new(&tree, owners)?;
    while let Some(member) = members.next().context("read the layer's archive")? {
        extraction.member(&member, &mut members)?;
    }
    members.finish().context("read the layer's archive")?;
    let record = extraction.finish(&dir.join("owners"))?;
    write_json_new(&dir.join("layer.json"), &record, false)?;
    Ok(record)
}

/// Returns a name of an archive for an error text: fit for a terminal, and not endless.
pub(super) fn show(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(&path[..path.len().min(SHOWN)]);
    let mut shown: String =
        text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if path.len() > SHOWN {
        shown.push('…');
    }
    shown
}
