//! A directory tree being filled by names that a stranger chose.
//!
//! Every name is split into a directory and a last part. The directory is opened once, by openat2(2) with
//! `RESOLVE_IN_ROOT`: a symbolic link on the way, absolute or with `..`, means what it would mean inside the
//! container, and nothing outside the tree can be reached. The last part is then used with `*at` calls that
//! follow no link. Since archives come directory by directory, the opened directories are kept.
//!
//! # What a directory is due
//!
//! Its time changes with everything that is put into it, and a set-group-id bit would be handed down. So an
//! open directory has plain permissions, and what it is to have in the end waits beside its descriptor until
//! nobody holds that any more. Opened again, it is asked what it has by then. So nothing is remembered but for
//! the directories that are open, however many an archive has; and because they are told apart by inode, two
//! names of one directory, through a link, do not work against each other.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::{Rc, Weak};

use anyhow::{Context, Result, bail};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, fchmod,
    fchown,
};
use rustix::io::Errno;

use super::path::split;
use super::show;
use crate::store::remove_tree_at;

/// How many opened directories are kept.
const KEPT: usize = 64;
/// The most directories that an archive may imply without listing them.
const IMPLIED_LIMIT: u64 = 10_000_000;

/// An open directory of the tree. Let go of by all, it gets what it is due.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    /// The permissions that it has.
    mode: Cell<u32>,
    /// The permissions and times that it is due.
    due: RefCell<(u32, Timestamps)>,
    failed: Failed,
}

/// Why a directory did not get what it was due.
type Failed = Rc<Cell<Option<Errno>>>;

/// The tree and its opened directories.
#[derive(Debug)]
pub(super) struct Tree {
    root: Rc<Directory>,
    opened: HashMap<Vec<u8>, Rc<Directory>>,
    by_inode: HashMap<u64, Weak<Directory>>,
    /// The directory used last.
    last: (Vec<u8>, Rc<Directory>),
    implied: u64,
    /// Whom directories are given to that the archive implies, if that is somebody else than who makes them.
    owner: Option<(u32, u32)>,
    failed: Failed,
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

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Directory {
    /// Takes an open directory, and makes sure that it can be filled.
    fn new(fd: OwnedFd, failed: &Failed) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(&fd)?;
        let times = Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
        };
        let mode = stat.st_mode & 0o7777;
        let directory =
            Self { fd, mode: Cell::new(mode), due: RefCell::new((mode, times)), failed: failed.clone() };
        if mode & 0o2700 != 0o700 {
            directory.set_mode(mode & 0o777 | 0o700)?;
        }
        Ok(directory)
    }

    fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        fchmod(&self.fd, Mode::from_raw_mode(mode))?;
        self.mode.set(mode);
        Ok(())
    }

    /// Says what permissions and times it is due.
    pub(super) fn owe(&self, mode: u32, times: Timestamps) {
        self.due.replace((mode, times));
    }

    /// Says what permissions it is due; its times stay.
    pub(super) fn owe_mode(&self, mode: u32) {
        self.due.borrow_mut().0 = mode;
    }

    fn settle(&self) -> Result<(), Errno> {
        let due = self.due.borrow();
        if self.mode.get() != due.0 {
            self.set_mode(due.0)?;
        }
        rustix::fs::futimens(&self.fd, &due.1)
    }

    /// Marks it as hiding what the layers below have under its name (kernel documentation,
    /// filesystems/overlayfs, "whiteouts and opaque directories", with `userxattr`).
    pub(super) fn hide_lower(&self) -> Result<()> {
        rustix::fs::fsetxattr(&self.fd, "user.overlay.opaque", b"y", XattrFlags::empty())
            .context("set the mark of an opaque directory")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = self.settle() {
            self.failed.set(Some(error));
        }
    }
}

impl Tree {
    /// Opens the directory at `path` as the root of a tree. What is made in it and in no archive is given to `owner`.
    pub(super) fn open(path: &Path, owner: Option<(u32, u32)>) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = Failed::default();
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .and_then(|fd| Directory::new(fd, &failed))
            .map(Rc::new)
            .with_context(|| format!("open {}", path.display()))?;
        let inode = rustix::fs::fstat(&root.fd)?.st_ino;
        Ok(Self {
            by_inode: HashMap::from([(inode, Rc::downgrade(&root))]),
            opened: HashMap::new(),
            last: (Vec::new(), root.clone()),
            root,
            implied: 0,
            owner,
            failed,
        })
    }

    /// Gives all directories what they are due.
    pub(super) fn finish(self) -> Result<(), Errno> {
        let failed = self.failed.clone();
        drop(self);
        failed.get().map_or(Ok(()), Err)
    }

    /// Returns the root itself.
    pub(super) fn root(&self) -> Rc<Directory> {
        self.root.clone()
    }

    /// Opens the directory `dir`, making it and those above it where the archive left them out.
    pub(super) fn directory(&mut self, dir: &[u8]) -> Result<Rc<Directory>> {
        if self.last.0 == dir {
            return Ok(self.last.1.clone());
        }
        let opened = match self.existing(dir) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                let (above, name) = split(dir);
                let parent = self.directory(above)?;
                self.imply(&parent, name).with_context(|| format!("create directory {}", show(dir)))?;
                self.existing(dir).with_context(|| format!("open directory {}", show(dir)))?
            }
            Err(error) => return Err(error).with_context(|| format!("open directory {}", show(dir))),
        };
        self.last = (dir.to_vec(), opened.clone());
        Ok(opened)
    }

    /// Opens the directory `dir` if it is there.
    pub(super) fn existing(&mut self, dir: &[u8]) -> Result<Rc<Directory>, Errno> {
        if dir.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(opened) = self.opened.get(dir) {
            return Ok(opened.clone());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let opened = loop {
            match rustix::fs::openat2(&self.root.fd, dir, flags, Mode::empty(), resolve) {
                // EAGAIN: something was renamed on the way, anywhere on the machine (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => break other?,
            }
        };
        self.keep(dir, opened)
    }

    /// Opens the directory `name` in `parent`, which is called `path` and is known to be one.
    pub(super) fn enter(
        &mut self,
        parent: &Directory,
        name: &[u8],
        path: &[u8],
    ) -> Result<Rc<Directory>, Errno> {
        if let Some(opened) = self.opened.get(path) {
            return Ok(opened.clone());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        self.keep(path, opened)
    }

    fn keep(&mut self, path: &[u8], fd: OwnedFd) -> Result<Rc<Directory>, Errno> {
        if self.opened.len() >= KEPT {
            self.forget();
            self.by_inode.retain(|_, directory| directory.strong_count() > 0);
        }
        let inode = rustix::fs::fstat(&fd)?.st_ino;
        let directory = match self.by_inode.get(&inode).and_then(Weak::upgrade) {
            Some(known) => known,
            None => Rc::new(Directory::new(fd, &self.failed)?),
        };
        self.by_inode.insert(inode, Rc::downgrade(&directory));
        self.opened.insert(path.to_vec(), directory.clone());
        Ok(directory)
    }

    /// Lets go of all opened directories.
    fn forget(&mut self) {
        self.opened.clear();
        self.last = (Vec::new(), self.root.clone());
    }

    /// Makes a directory that the archive implies and does not list.
    fn imply(&mut self, parent: &Directory, name: &[u8]) -> Result<()> {
        self.implied += 1;
        if self.implied > IMPLIED_LIMIT {
            bail!("the archive implies more than {IMPLIED_LIMIT} directories");
        }
        let mode = Mode::from_raw_mode(0o755);
        let mut hides = false;
        match rustix::fs::mkdirat(parent, name, mode) {
            Ok(()) => {}
            // A name that was taken out of the layers below, and now has something new under it.
            Err(Errno::EXIST) if look(parent, name)? == Found::Whiteout => {
                rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
                rustix::fs::mkdirat(parent, name, mode)?;
                hides = true;
            }
            Err(Errno::EXIST) => bail!("something that is no directory is in the way"),
            Err(error) => return Err(error.into()),
        }
        let directory = open_directory(parent, name)?;
        if hides {
            opaque(&directory)?;
        }
        if let Some((uid, gid)) = self.owner {
            fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        // The mask may have taken some away.
        Ok(fchmod(&directory, mode)?)
    }

    /// Removes what stands at `name`, whatever it is, and forgets what was opened below it.
    pub(super) fn remove(&mut self, parent: &Directory, name: &[u8], found: Found) -> Result<()> {
        match found {
            Found::Directory => {
                let name = std::ffi::CString::new(name).context("remove what a later member replaces")?;
                remove_tree_at(parent.as_fd(), &name)?;
            }
            _ => rustix::fs::unlinkat(parent, name, AtFlags::empty())?,
        }
        // A directory was behind this name, or behind names that lead through it.
        if matches!(found, Found::Directory | Found::Other) {
            self.forget();
        }
        Ok(())
    }
}

fn time(seconds: i64, nanoseconds: impl TryInto<i64>) -> Timespec {
    Timespec { tv_sec: seconds, tv_nsec: nanoseconds.try_into().unwrap_or(0) }
}

/// Tells what stands at `name`.
pub(super) fn look(parent: &Directory, name: &[u8]) -> Result<Found, Errno> {
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

/// Opens a directory that is known to be one, for a moment.
fn open_directory(parent: &Directory, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn opaque(directory: &OwnedFd) -> Result<()> {
    rustix::fs::fsetxattr(directory, "user.overlay.opaque", b"y", XattrFlags::empty())
        .context("set the mark of an opaque directory")
}

/// Makes the mark that hides `name` of the layers below: a character device 0/0, which needs no privilege
/// since Linux 5.8, or where that is refused an empty file with an attribute (Linux 6.7).
pub(super) fn whiteout(parent: &Directory, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Err(Errno::PERM) => {}
        other => return other,
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?;
    rustix::fs::fsetxattr(&file, "user.overlay.whiteout", b"y", XattrFlags::empty())?;
    // The kernel looks for such files only in directories that say so.
    match rustix::fs::fsetxattr(parent, "user.overlay.opaque", b"x", XattrFlags::CREATE) {
        // It is opaque already: then nothing below it needs hiding.
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}
