//! The root directory of a container, and paths inside it.
//!
//! An image may hold any symbolic link. Paths are therefore resolved by the kernel as the container itself
//! would resolve them (openat2(2), `RESOLVE_IN_ROOT`): an absolute link starts at the container's root, and
//! `..` does not lead out of it. Links of `/proc` that lead to other places (`/proc/self/root`) are refused.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

/// How many links are followed while missing directories are made, as in path_resolution(7).
const MAX_LINKS: usize = 40;

/// An open directory that its paths cannot leave.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// Whom that is given to that is made in it, if that is somebody else than who makes it.
    owner: Option<(u32, u32)>,
}

impl Root {
    /// Takes an open directory as a root.
    pub fn new(directory: OwnedFd) -> Self {
        Self { directory, owner: None }
    }

    /// Opens the directory at `path` as a root.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::new(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// Has what is made in it given to this user and group.
    #[must_use]
    pub fn owned_by(self, owner: Option<(u32, u32)>) -> Self {
        Self { owner, ..self }
    }

    /// Opens `path` only to name it.
    pub fn find(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::PATH, ResolveFlags::empty())
    }

    /// Opens `path` only to name it, and refuses symbolic links on the way.
    pub fn find_plain(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::PATH, ResolveFlags::NO_SYMLINKS)
    }

    /// Opens `path` with `flags`.
    pub fn open_with(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_at(path, flags, ResolveFlags::empty())
    }

    /// Reads the file at `path`; nothing if no file is there. At most `limit` bytes, since it is the image's.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let fd = match self.open_at(
            path,
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
            ResolveFlags::empty(),
        ) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode).is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        File::from(fd).take(limit).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// Makes the directory at `path` and those above it, where missing, and opens it only to name it.
    pub fn make_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.find(path) {
            Ok(fd) => return Ok(fd),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let mut path = path.to_owned();
        let mut links = 0;
        'again: loop {
            let parts: Vec<Component<'_>> = path
                .components()
                .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
                .collect();
            let mut done = PathBuf::new();
            for (index, part) in parts.iter().enumerate() {
                let parent = self.find(&done)?;
                done.push(part);
                match self.find(&done) {
                    Ok(_) => continue,
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
                match rustix::fs::mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(0o755)) {
                    Ok(()) => self.give(&parent, part.as_os_str())?,
                    // It is there and it is not: a link to nowhere. Make what it points to.
                    Err(Errno::EXIST) if links < MAX_LINKS => {
                        links += 1;
                        let target = rustix::fs::readlinkat(&parent, part.as_os_str(), Vec::new())?;
                        done.pop();
                        let mut next = done.join(OsStr::from_bytes(target.as_bytes()));
                        next.extend(&parts[index + 1..]);
                        path = next;
                        continue 'again;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            return Ok(self.find(&path)?);
        }
    }

    /// Makes an empty file at `path` and the directories above it, where missing, and opens it only to name
    /// it.
    pub fn make_file(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.find(path) {
            Ok(fd) => return Ok(fd),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(parent) = path.parent() {
            self.make_directory(parent)?;
        }
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let made =
            rustix::fs::openat2(&self.directory, relative(path), flags, Mode::from_raw_mode(0o755), IN_ROOT)?;
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(self.find(path)?)
    }

    fn give(&self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn open_at(&self, path: &Path, flags: OFlags, more: ResolveFlags) -> Result<OwnedFd, Errno> {
        rustix::io::retry_on_intr(|| {
            rustix::fs::openat2(
                &self.directory,
                relative(path),
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                IN_ROOT | more,
            )
        })
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// The empty path means nothing to openat2(2).
fn relative(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn stays_inside() {
        let outside = tempfile::tempdir().unwrap();
        let dir = outside.path().join("root");
        fs::create_dir_all(dir.join("etc")).unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        symlink("/secret", dir.join("absolute")).unwrap();
        symlink("../../../secret", dir.join("upwards")).unwrap();
        symlink("/etc/new/deep", dir.join("dangling")).unwrap();
        symlink(outside.path(), dir.join("away")).unwrap();
        let root = Root::open(&dir).unwrap();
        assert_eq!(root.read(Path::new("/absolute"), 9).unwrap(), None);
        assert_eq!(root.read(Path::new("upwards"), 9).unwrap(), None);
        root.make_directory(Path::new("/dangling/x")).unwrap();
        assert!(dir.join("etc/new/deep/x").is_dir());
        root.make_file(Path::new("/away/file")).unwrap();
        assert!(!outside.path().join("file").exists());
        assert!(dir.join(outside.path().strip_prefix("/").unwrap()).join("file").is_file());
        root.make_file(Path::new("/absolute")).unwrap();
        assert!(dir.join("secret").is_file());
    }

    #[test]
    fn gives_up_on_circles() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert!(root.make_directory(Path::new("/a/c")).is_err());
        assert!(root.make_file(Path::new("/a")).is_err());
        assert!(root.find_plain(Path::new("/a")).is_err());
    }
}
