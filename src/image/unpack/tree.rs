//! A directory tree being filled by names that a stranger chose.
//!
//! Every name is split into a directory and a last part. The directory is opened once, by openat2(2) with
//! `RESOLVE_IN_ROOT`: a symbolic link on the way, absolute or with `..`, means what it would mean inside the
//! container, and nothing outside the tree can be reached. The last part is then used with `*at` calls that
//! follow no link. Since archives come directory by directory, the opened directories are kept.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;

use super::path::split;
use super::show;
use crate::store::remove_tree_at;

/// How many opened directories are kept.
const KEPT: usize = 128;

/// The tree and its opened directories.
#[derive(Debug)]
pub(super) struct Tree {
    root: Rc<OwnedFd>,
    opened: HashMap<Vec<u8>, Rc<OwnedFd>>,
    /// The directory used last.
    last: (Vec<u8>, Rc<OwnedFd>),
}

/// What stood where something new is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing (any more).
    Nothing,
    Directory,
    /// The mark that hides a name of the layers below.
    Whiteout,
    /// A regular file that has only this name, with its length.
    File(u64),
    Other,
}

impl Tree {
    /// Opens the directory at `path` as the root of a tree.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let root = rustix::fs::openat(
            CWD,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .with_context(|| format!("open {}", path.display()))?;
        let root = Rc::new(root);
        Ok(Self { root: root.clone(), opened: HashMap::new(), last: (Vec::new(), root) })
    }

    /// Returns the root itself.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens the directory `dir`, making it and those above it where the archive left them out.
    pub(super) fn directory(&mut self, dir: &[u8]) -> Result<Rc<OwnedFd>> {
        if self.last.0 == dir {
            return Ok(self.last.1.clone());
        }
        let opened = match self.existing(dir) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                let (above, name) = split(dir);
                let parent = self.directory(above)?;
                Self::implied(&parent, name).with_context(|| format!("create directory {}", show(dir)))?;
                self.existing(dir).with_context(|| format!("open directory {}", show(dir)))?
            }
            Err(error) => return Err(error).with_context(|| format!("open directory {}", show(dir))),
        };
        self.last = (dir.to_vec(), opened.clone());
        Ok(opened)
    }

    /// Opens the directory `dir` if it is there.
    pub(super) fn existing(&mut self, dir: &[u8]) -> Result<Rc<OwnedFd>, Errno> {
        if dir.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(opened) = self.opened.get(dir) {
            return Ok(opened.clone());
        }
        let opened = loop {
            match rustix::fs::openat2(
                &*self.root,
                dir,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            ) {
                // EAGAIN: something was renamed on the way, anywhere on the machine (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => break Rc::new(other?),
            }
        };
        if self.opened.len() >= KEPT {
            self.opened.clear();
        }
        self.opened.insert(dir.to_vec(), opened.clone());
        Ok(opened)
    }

    /// Makes a directory that the archive implies and does not list.
    fn implied(parent: &OwnedFd, name: &[u8]) -> Result<()> {
        let mode = Mode::from_raw_mode(0o755);
        match rustix::fs::mkdirat(parent, name, mode) {
            Ok(()) => {}
            // A name that was taken out of the layers below, and now has something new under it.
            Err(Errno::EXIST) if look(parent, name)? == Found::Whiteout => {
                rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
                rustix::fs::mkdirat(parent, name, mode)?;
                opaque(parent, name)?;
            }
            Err(Errno::EXIST) => bail!("something that is no directory is in the way"),
            Err(error) => return Err(error.into()),
        }
        // The mask may have taken some away.
        Ok(rustix::fs::fchmod(open_directory(parent, name)?, mode)?)
    }

    /// Removes what stands at `name`, whatever it is, and forgets what was opened below it.
    pub(super) fn remove(&mut self, parent: &OwnedFd, name: &[u8], found: Found) -> Result<()> {
        if found == Found::Directory {
            let name = std::ffi::CString::new(name).context("remove what a later member replaces")?;
            remove_tree_at(parent.as_fd(), &name)?;
        } else {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
        }
        // A directory, or a link to one, may be behind any of these.
        self.opened.clear();
        self.last = (Vec::new(), self.root.clone());
        Ok(())
    }
}

/// Tells what stands at `name`.
pub(super) fn look(parent: &OwnedFd, name: &[u8]) -> Result<Found, Errno> {
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Found::Directory,
        FileType::CharacterDevice if stat.st_rdev == 0 => Found::Whiteout,
        FileType::RegularFile if stat.st_nlink == 1 => Found::File(u64::try_from(stat.st_size).unwrap_or(0)),
        _ => Found::Other,
    })
}

/// Opens a directory that is known to be one, to change its attributes.
pub(super) fn open_directory(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Marks a directory as hiding what the layers below have under its name (kernel documentation,
/// filesystems/overlayfs, "whiteouts and opaque directories", with `userxattr`).
pub(super) fn opaque(parent: &OwnedFd, name: &[u8]) -> Result<()> {
    let directory = if name.is_empty() { open_directory(parent, b".") } else { open_directory(parent, name) };
    rustix::fs::fsetxattr(directory?, "user.overlay.opaque", b"y", XattrFlags::empty())
        .context("set the mark of an opaque directory")
}

/// Makes the mark that hides `name` of the layers below: a character device 0/0, which needs no privilege
/// since Linux 5.8, or where that is refused an empty file with an attribute (Linux 6.7).
pub(super) fn whiteout(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Err(Errno::PERM) => {}
        other => return other,
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?;
    rustix::fs::fsetxattr(&file, "user.overlay.whiteout", b"y", XattrFlags::empty())?;
    // The kernel looks for such files only in directories that say so.
    let directory = open_directory(parent, b".")?;
    match rustix::fs::fsetxattr(&directory, "user.overlay.opaque", b"x", XattrFlags::CREATE) {
        // It is opaque already: then nothing below it needs hiding.
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}
