//! Fills an empty volume with what the image has at the path where it is mounted, as Docker does.
//!
//! The copy is made in a directory beside the volume's and renamed over it when it is complete, under a
//! lock: another container that starts with the same volume at the same time waits, and then finds it full. A directory
//! of the host that is a volume is filled in place, since it may be nobody's to replace.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::Seed;
use super::root::Root;
use crate::sys::lock::{self, Lock};

/// Fills the volume, if it is empty and the image has a directory there.
pub(super) fn fill(seed: &Seed, root: &Root) -> Result<()> {
    let source = match root.open_with(&seed.path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(source) => source,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !is_empty(&seed.volume)? {
        return Ok(());
    }
    let parent = seed.volume.parent().context("the volume is the root")?;
    let lock = parent.join(".seed.lock");
    let _lock =
        Lock::take(&lock, lock::Mode::Exclusive).with_context(|| format!("lock {}", lock.display()))?;
    if !is_empty(&seed.volume)? {
        return Ok(());
    }
    if seed.volume.is_symlink() {
        // A directory of the host, which stays the one that it is.
        return copy_root(&source, &seed.volume);
    }
    let half = parent.join(".seed");
    match fs::remove_dir_all(&half) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", half.display()));
        }
        _ => {}
    }
    fs::create_dir(&half).with_context(|| format!("create {}", half.display()))?;
    let copied = copy_root(&source, &half);
    let published = copied
        .and_then(|()| fs::rename(&half, &seed.volume).with_context(|| format!("rename {}", half.display())));
    if published.is_err() {
        // A later attempt removes it first.
        let _ = fs::remove_dir_all(&half);
    }
    published
}

fn is_empty(path: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    Ok(entries.next().is_none())
}

fn copy_root(source: &OwnedFd, half: &Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let target = rustix::fs::openat(CWD, half, flags, Mode::empty())?;
    let mut copy = Copy { top: target.try_clone()?, links: HashMap::new() };
    copy.directory(source, &target, Path::new(""))?;
    rustix::fs::syncfs(&target)?;
    Ok(())
}

struct Copy {
    top: OwnedFd,
    /// The first copy, by path, of files that have several names.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copy {
    fn directory(&mut self, source: &OwnedFd, target: &OwnedFd, path: &Path) -> Result<()> {
        let mut names = Vec::new();
        for entry in Dir::read_from(source)? {
            let name = entry?.file_name().to_owned();
            if name.as_bytes() != b"." && name.as_bytes() != b".." {
                names.push(name);
            }
        }
        for name in names {
            let path = path.join(OsStr::from_bytes(name.as_bytes()));
            self.entry(source, target, &name, &path).with_context(|| format!("copy {}", path.display()))?;
        }
        let stat = rustix::fs::fstat(source)?;
        attributes(source.as_fd(), target.as_fd(), &stat)
    }

    fn entry(&mut self, source: &OwnedFd, target: &OwnedFd, name: &CStr, path: &Path) -> Result<()> {
        let stat = rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                rustix::fs::linkat(&self.top, first, target, name, AtFlags::empty())?;
                return Ok(());
            }
            self.links.insert(key, path.to_owned());
        }
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match kind {
            FileType::Directory => {
                rustix::fs::mkdirat(target, name, Mode::RWXU)?;
                let from = rustix::fs::openat(source, name, read | OFlags::DIRECTORY, Mode::empty())?;
                let to = rustix::fs::openat(target, name, read | OFlags::DIRECTORY, Mode::empty())?;
                self.directory(&from, &to, path)
            }
            FileType::RegularFile => {
                let mut from = File::from(rustix::fs::openat(source, name, read, Mode::empty())?);
                let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let mut to = File::from(rustix::fs::openat(target, name, write, Mode::RUSR | Mode::WUSR)?);
                io::copy(&mut from, &mut to)?;
                attributes(from.as_fd(), to.as_fd(), &stat)
            }
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(source, name, Vec::new())?;
                rustix::fs::symlinkat(&link, target, name)?;
                let (uid, gid) = owner(&stat);
                rustix::fs::chownat(target, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(rustix::fs::utimensat(target, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?)
            }
            FileType::Fifo | FileType::Socket => {
                rustix::fs::mknodat(target, name, kind, Mode::RUSR | Mode::WUSR, 0)?;
                let (uid, gid) = owner(&stat);
                rustix::fs::chownat(target, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
                let mode = Mode::from_raw_mode(stat.st_mode);
                rustix::fs::chmodat(target, name, mode, AtFlags::empty())?;
                Ok(rustix::fs::utimensat(target, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?)
            }
            // Nobody but root makes device nodes, and so no image has one here.
            _ => Ok(()),
        }
    }
}

/// Gives `to` the owner, mode, extended attributes and times of `from`.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> Result<()> {
    let (uid, gid) = owner(stat);
    // A change of owner takes setuid bits and capabilities away, so they come after it.
    rustix::fs::fchown(to, uid, gid).context("set the owner")?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode)).context("set the mode")?;
    let mut names = vec![0_u8; 64 << 10];
    let length = match rustix::fs::flistxattr(from, &mut names) {
        Err(Errno::NOTSUP) => 0,
        length => length.context("list the extended attributes")?,
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 64 << 10];
        let length = rustix::fs::fgetxattr(from, name, &mut value).context("read an extended attribute")?;
        match rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            // What the volume's file system cannot hold, or only root may set, Docker leaves out, too.
            Err(Errno::NOTSUP | Errno::PERM) => {}
            result => result.context("set an extended attribute")?,
        }
    }
    rustix::fs::futimens(to, &times(stat)).context("set the times")
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn image() -> tempfile::TempDir {
        let image = tempfile::tempdir().unwrap();
        let data = image.path().join("data");
        fs::create_dir_all(data.join("sub")).unwrap();
        fs::write(data.join("sub/file"), "content").unwrap();
        fs::hard_link(data.join("sub/file"), data.join("again")).unwrap();
        symlink("sub/file", data.join("link")).unwrap();
        fs::set_permissions(data.join("sub/file"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o1777)).unwrap();
        image
    }

    fn fill_from(image: &Path, volume: &Path) {
        let seed = Seed { path: "/data".into(), volume: volume.to_owned() };
        fill(&seed, &Root::open(image).unwrap()).unwrap();
    }

    #[test]
    fn copies_everything_once() {
        let (image, volumes) = (image(), tempfile::tempdir().unwrap());
        let volume = volumes.path().join("_data");
        fs::create_dir(&volume).unwrap();
        fill_from(image.path(), &volume);
        assert_eq!(fs::metadata(&volume).unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(fs::read_to_string(volume.join("link")).unwrap(), "content");
        let (file, again) =
            (fs::metadata(volume.join("sub/file")).unwrap(), fs::metadata(volume.join("again")).unwrap());
        assert_eq!((file.mode() & 0o7777, file.ino(), file.nlink()), (0o640, again.ino(), 2));
        assert!(!volumes.path().join(".seed").exists());
    }

    #[test]
    fn leaves_full_volumes_alone() {
        let (image, volumes) = (image(), tempfile::tempdir().unwrap());
        let volume = volumes.path().join("_data");
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("mine"), "").unwrap();
        fill_from(image.path(), &volume);
        assert_eq!(fs::read_dir(&volume).unwrap().count(), 1);
    }

    #[test]
    fn fills_a_directory_of_the_host_in_place() {
        let (image, volumes, host) = (image(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = volumes.path().join("_data");
        symlink(host.path(), &volume).unwrap();
        let before = fs::metadata(host.path()).unwrap().ino();
        fill_from(image.path(), &volume);
        assert_eq!(fs::read_to_string(host.path().join("sub/file")).unwrap(), "content");
        assert_eq!(fs::metadata(host.path()).unwrap().ino(), before);
        assert!(volume.is_symlink());
    }

    #[test]
    fn begins_anew_after_a_crash() {
        let (image, volumes) = (image(), tempfile::tempdir().unwrap());
        let volume = volumes.path().join("_data");
        fs::create_dir(&volume).unwrap();
        fs::create_dir_all(volumes.path().join(".seed/half")).unwrap();
        fill_from(image.path(), &volume);
        assert!(volume.join("again").exists() && !volume.join("half").exists());
    }
}
