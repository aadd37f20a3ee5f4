//! Things in the making.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Lock, Mode, Pin, Store, hex, remove_tree, sys_random};
use crate::oci::Digest;

/// A directory being filled in `staging/`, with a held lock that shows that somebody is at work.
///
/// What is ready leaves it by [`Staged::publish`]. Dropped, it is removed with all that is still in it;
/// left by a crash, its lock is free and the next sweep removes it.
#[derive(Debug)]
pub struct Staged {
    dir: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Makes a new staging directory.
    pub fn stage(&self) -> Result<Staged> {
        // A sweep must not see the directory before its lock is held.
        let _gc = self.lock("gc", Mode::Shared)?;
        Staged::new_under_gc(self)
    }

    /// Publishes a staged file as the blob `digest`, which the caller has verified. A blob that is there
    /// already is kept.
    pub fn publish_blob(&self, staged: &Path, digest: &Digest) -> Result<()> {
        let target = self.blob_path(digest);
        if target.exists() {
            return fs::remove_file(staged).with_context(|| format!("remove {}", staged.display()));
        }
        super::borrow::lend(staged, target.parent().unwrap_or(&target))
            .and_then(|()| fs::rename(staged, &target))
            .with_context(|| format!("publish blob {digest}"))
    }
}

impl Staged {
    /// Makes a new staging directory. The lock `gc` is held, shared or not.
    pub(super) fn new_under_gc(store: &Store) -> Result<Self> {
        let dir = store.staging().join(random_name());
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("create {}", dir.display()))?;
        let lock = Lock::try_take(&dir.join("lock"), Mode::Exclusive)
            .and_then(|lock| lock.ok_or_else(|| io::ErrorKind::WouldBlock.into()));
        match lock {
            Ok(lock) => Ok(Self { dir, _lock: lock }),
            Err(error) => {
                let _ = fs::remove_dir(&dir);
                Err(error).with_context(|| format!("lock {}", dir.display()))
            }
        }
    }

    /// Returns the path of a thing called `name` in this directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Says what must not be swept while this is at work. Call it before looking whether those things
    /// exist.
    pub fn pin(&self, store: &Store, pin: &Pin) -> Result<()> {
        let _gc = store.lock("gc", Mode::Shared)?;
        pin.save(&self.dir)
    }

    /// Moves the finished `name` to its final place. Returns `false`, and leaves it to be removed, if the
    /// place is taken.
    pub fn publish(&self, name: &str, target: &Path) -> Result<bool> {
        let from = self.dir.join(name);
        match rustix::fs::renameat_with(
            rustix::fs::CWD,
            &from,
            rustix::fs::CWD,
            target,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => Ok(false),
            // Not every file system has RENAME_NOREPLACE (NFS); a directory never replaces a filled one.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !target.exists() => {
                fs::rename(&from, target)
                    .map(|()| true)
                    .with_context(|| format!("publish {}", target.display()))
            }
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("publish {}", target.display())),
        }
    }

    /// Writes everything of the store's file system to the disk: once before the renames of a pull.
    pub fn sync(&self) -> Result<()> {
        let dir = fs::File::open(&self.dir).with_context(|| format!("open {}", self.dir.display()))?;
        rustix::fs::syncfs(&dir).context("write the new files to the disk")
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What cannot be removed here, for want of the right user namespace, falls to the next sweep.
        let _ = remove_tree(&self.dir);
    }
}

/// Returns 16 random hexadecimal digits.
pub(super) fn random_name() -> String {
    let mut bytes = [0; 8];
    sys_random(&mut bytes);
    hex(&bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn publishes_once_and_leaves_nothing() {
        let (_dir, store) = scratch();
        let target = store.root().join("layers/x");
        for expected in [true, false] {
            let staged = store.stage().unwrap();
            fs::create_dir(staged.path("thing")).unwrap();
            fs::write(staged.path("thing").join("file"), "x").unwrap();
            assert_eq!(staged.publish("thing", &target).unwrap(), expected);
        }
        assert_eq!(fs::read_dir(store.staging()).unwrap().count(), 0);
    }
}
