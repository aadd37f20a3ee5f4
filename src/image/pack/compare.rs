//! What the upper directory of an overlay changes of the trees below it, in Docker's terms.
//!
//! Docker compares two mounted trees (moby `pkg/archive/changes.go`); here only what the upper directory has is
//! looked at, and the answer is the same:
//!
//! - a name that the trees below lack is added, with all that it holds;
//! - a name is changed if its type, permissions, owner, device number or capabilities differ, and, unless it
//!   is a directory, its length or time of modification;
//! - a directory in which something is changed is changed;
//! - a name that is hidden, or missing in an opaque directory, is deleted; what it held is not told.
//!
//! # Mount points
//!
//! An image need not have the files and directories that every container has something mounted on. They are
//! made when it starts, lie in its upper directory, and are no change: Docker puts them in a layer of their
//! own. They are told by where they are and that they are empty.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use super::Tree;
use super::walk::{Found, NAMES, Opened, join, open_directory, raise_descriptor_limit};
use crate::image::unpack::{Owners, show};

const CAPABILITY: &str = "security.capability";
/// What every container has something mounted on, and what lies above it.
const MOUNT_DIRECTORIES: [&[u8]; 6] = [b"dev", b"dev/pts", b"dev/shm", b"etc", b"proc", b"sys"];
/// Those that are files. (moby `daemon/initlayer`)
const MOUNT_FILES: [&[u8]; 6] =
    [b".dockerenv", b"dev/console", b"etc/hostname", b"etc/hosts", b"etc/mtab", b"etc/resolv.conf"];

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It was there.
    Changed,
    /// It is gone.
    Deleted,
}

/// What an upper directory changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The names without a leading slash, a directory right before what it holds.
    pub list: Vec<(Vec<u8>, Change)>,
    /// The mount points that were only made for the container to run.
    pub mount_points: BTreeSet<Vec<u8>>,
}

/// A name as the trees below have it.
enum Below {
    Nothing,
    Directory(Vec<Opened>),
    /// Something else, as it shows in this tree.
    Other(usize, Stat),
    /// A device node that stands in a record.
    Recorded,
}

/// What is known of a name in the upper directory.
enum Item {
    Here(FileType),
    Gone,
}

struct Frame {
    path: Vec<u8>,
    upper: OwnedFd,
    below: Vec<Opened>,
    names: std::vec::IntoIter<(Vec<u8>, Item)>,
    /// Whether the directory is on the list, or need not be.
    told: bool,
    /// Whether it was only made to be mounted on.
    mount_point: bool,
    /// Whether something in it is there to be mounted on.
    holds_mount_points: bool,
    /// Whether something in it is there for another reason.
    real: bool,
}

struct Comparison<'a> {
    trees: &'a [Tree],
    owners: Owners,
    stack: Vec<Frame>,
    changes: Changes,
}

/// Tells what the first of `trees`, an upper directory, changes of the others, the topmost first. The process is
/// in the user namespace that they belong to.
pub fn changes(trees: &[Tree], owners: Owners) -> Result<Changes> {
    raise_descriptor_limit();
    let mut roots = Vec::new();
    for (at, tree) in trees.iter().enumerate() {
        let fd = open_directory(tree.root.as_fd(), b".").context("open the root directory")?;
        roots.push(Opened::new(at, fd));
    }
    let mut comparison = Comparison { trees, owners, stack: Vec::new(), changes: Changes::default() };
    let mut roots = roots.into_iter();
    let Some(upper) = roots.next() else { return Ok(Changes::default()) };
    let below = roots.collect();
    // The root itself is never told.
    comparison.enter(Vec::new(), upper, below, true, false)?;
    comparison.run()?;
    Ok(comparison.changes)
}

impl Comparison<'_> {
    fn run(&mut self) -> Result<()> {
        while let Some(frame) = self.stack.last_mut() {
            if let Some((name, item)) = frame.names.next() {
                let path = join(&frame.path, &name);
                self.name(&name, &path, &item).with_context(|| format!("compare {}", show(&path)))?;
            } else if let Some(frame) = self.stack.pop() {
                self.left(frame);
            }
        }
        Ok(())
    }

    /// Deals with a directory when all in it is compared.
    fn left(&mut self, frame: Frame) {
        // One that has nothing else than what is mounted on was copied up for that alone.
        if !frame.told && !frame.real && (frame.mount_point || frame.holds_mount_points) {
            self.changes.mount_points.insert(frame.path);
            if let Some(parent) = self.stack.last_mut() {
                parent.holds_mount_points = true;
            }
        } else if let Some(parent) = self.stack.last_mut() {
            parent.real = true;
        }
    }

    /// Lists what is to be compared in a directory.
    fn enter(
        &mut self,
        path: Vec<u8>,
        upper: Opened,
        below: Vec<Opened>,
        told: bool,
        mount_point: bool,
    ) -> Result<()> {
        let mut names = BTreeMap::new();
        let mut room = vec![MaybeUninit::uninit(); NAMES];
        let mut entries = RawDir::new(&upper.fd, &mut room);
        while let Some(entry) = entries.next() {
            let entry = entry.context("read the directory")?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let item = match upper.look(0, name, entry.file_type())? {
                None => continue,
                Some(Found::Whiteout) => Item::Gone,
                Some(Found::Directory(_)) => Item::Here(FileType::Directory),
                Some(Found::Other(_, kind)) => Item::Here(kind),
                Some(Found::Recorded(_)) => continue,
            };
            names.insert(name.to_vec(), item);
        }
        if upper.hides() {
            for name in self.names_below(&path, &below)? {
                names.entry(name).or_insert(Item::Gone);
            }
        }
        let names: Vec<_> = names.into_iter().collect();
        let names = names.into_iter();
        let (holds_mount_points, real) = (false, false);
        let upper = upper.fd;
        self.stack.push(Frame { path, upper, below, names, told, mount_point, holds_mount_points, real });
        Ok(())
    }

    /// Lists the names that the trees below have in a directory, hidden ones among them.
    fn names_below(&self, path: &[u8], below: &[Opened]) -> Result<BTreeSet<Vec<u8>>> {
        let mut names = BTreeSet::new();
        let mut room = vec![MaybeUninit::uninit(); NAMES];
        for opened in below {
            let mut entries = RawDir::new(&opened.fd, &mut room);
            while let Some(entry) = entries.next() {
                let entry = entry.context("read the directory")?;
                let name = entry.file_name().to_bytes();
                if !matches!(name, b"." | b"..") {
                    names.insert(name.to_vec());
                }
            }
            names.extend(self.trees[opened.tree].recorded.devices(path).map(<[u8]>::to_vec));
        }
        Ok(names)
    }

    fn name(&mut self, name: &[u8], path: &[u8], item: &Item) -> Result<()> {
        let Some(frame) = self.stack.last() else { return Ok(()) };
        let below = self.below(frame, name)?;
        match item {
            Item::Gone => {
                if let Some(frame) = self.stack.last_mut() {
                    frame.real = true;
                }
                if !matches!(below, Below::Nothing) {
                    self.tell(path, Change::Deleted);
                }
                Ok(())
            }
            Item::Here(FileType::Directory) => {
                let fd = match open_directory(frame.upper.as_fd(), name) {
                    Ok(fd) => fd,
                    // It went while we came.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                    Err(error) => return Err(error.into()),
                };
                self.directory(path, fd, below)
            }
            Item::Here(kind) => self.other(name, path, *kind, &below),
        }
    }

    fn directory(&mut self, path: &[u8], fd: OwnedFd, below: Below) -> Result<()> {
        let upper = Opened::new(0, fd);
        let (told, mount_point, below) = match below {
            Below::Nothing if MOUNT_DIRECTORIES.contains(&path) => (false, true, Vec::new()),
            Below::Nothing => {
                self.tell(path, Change::Added);
                (true, false, Vec::new())
            }
            Below::Directory(below) => {
                let differs = match below.first() {
                    Some(lower) => {
                        let (new, old) = (rustix::fs::fstat(&upper.fd)?, rustix::fs::fstat(&lower.fd)?);
                        let owner = |tree: usize, stat: &Stat, fd: &OwnedFd| {
                            self.trees[tree].owner(self.owners, path, stat, Some(fd.as_fd()))
                        };
                        new.st_mode != old.st_mode
                            || owner(0, &new, &upper.fd) != owner(lower.tree, &old, &lower.fd)
                    }
                    None => false,
                };
                if differs {
                    self.tell(path, Change::Changed);
                }
                (differs, false, below)
            }
            Below::Other(..) | Below::Recorded => {
                self.tell(path, Change::Changed);
                (true, false, Vec::new())
            }
        };
        self.enter(path.to_vec(), upper, below, told, mount_point)
    }

    fn other(&mut self, name: &[u8], path: &[u8], kind: FileType, below: &Below) -> Result<()> {
        let Some(frame) = self.stack.last() else { return Ok(()) };
        let stat = match rustix::fs::statat(&frame.upper, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let change = match below {
            Below::Nothing => {
                if MOUNT_FILES.contains(&path) && kind == FileType::RegularFile && stat.st_size == 0 {
                    self.changes.mount_points.insert(path.to_vec());
                    if let Some(frame) = self.stack.last_mut() {
                        frame.holds_mount_points = true;
                    }
                    return Ok(());
                }
                Some(Change::Added)
            }
            Below::Directory(_) | Below::Recorded => Some(Change::Changed),
            Below::Other(at, old) => {
                let lower = &frame.below[*at];
                let new_file = open_file(&frame.upper, name, &stat);
                let old_file = open_file(&lower.fd, name, old);
                let owner = |tree: usize, stat: &Stat, file: &Option<OwnedFd>| {
                    self.trees[tree].owner(self.owners, path, stat, file.as_ref().map(AsFd::as_fd))
                };
                let differs = stat.st_mode != old.st_mode
                    || stat.st_rdev != old.st_rdev
                    || stat.st_size != old.st_size
                    || !same_time(&stat, old)
                    || owner(0, &stat, &new_file) != owner(lower.tree, old, &old_file)
                    || capability(new_file.as_ref()) != capability(old_file.as_ref());
                differs.then_some(Change::Changed)
            }
        };
        if let Some(change) = change {
            self.tell(path, change);
        }
        if let Some(frame) = self.stack.last_mut() {
            frame.real = true;
        }
        Ok(())
    }

    /// Puts a name on the list, after the directories that it is in.
    fn tell(&mut self, path: &[u8], change: Change) {
        for frame in &mut self.stack {
            if !frame.told {
                frame.told = true;
                self.changes.list.push((frame.path.clone(), Change::Changed));
            }
        }
        self.changes.list.push((path.to_vec(), change));
    }

    /// Finds out what the trees below show under a name of a directory.
    fn below(&self, frame: &Frame, name: &[u8]) -> Result<Below> {
        let mut parts = Vec::new();
        for (at, opened) in frame.below.iter().enumerate() {
            let stat = match rustix::fs::statat(&opened.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => {
                    let record = self.trees[opened.tree].recorded.find(&frame.path, name);
                    if record.is_none_or(|record| !record.is_device()) {
                        continue;
                    }
                    if parts.is_empty() {
                        return Ok(Below::Recorded);
                    }
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            match opened.look(at, name, FileType::from_raw_mode(stat.st_mode))? {
                Some(Found::Directory(_)) => {
                    let fd = open_directory(opened.fd.as_fd(), name)?;
                    let opened = Opened::new(opened.tree, fd);
                    let last = opened.hides();
                    parts.push(opened);
                    if last {
                        break;
                    }
                }
                Some(Found::Other(..)) if parts.is_empty() => return Ok(Below::Other(at, stat)),
                _ => break,
            }
        }
        Ok(if parts.is_empty() { Below::Nothing } else { Below::Directory(parts) })
    }
}

/// Opens a regular file to read its attributes.
fn open_file(dir: &OwnedFd, name: &[u8], stat: &Stat) -> Option<OwnedFd> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).ok()
}

fn capability(file: Option<&OwnedFd>) -> Option<Vec<u8>> {
    let mut value = vec![0; 64];
    let length = rustix::fs::fgetxattr(file?, CAPABILITY, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

/// Tells whether two times of modification are the same, as far as an archive can keep them.
fn same_time(one: &Stat, other: &Stat) -> bool {
    one.st_mtime == other.st_mtime
        && (one.st_mtime_nsec == other.st_mtime_nsec || one.st_mtime_nsec == 0 || other.st_mtime_nsec == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// Makes trees out of lists of names; those that end in a slash are directories.
    fn trees(dir: &Path, lists: &[&[&str]]) -> Vec<Tree> {
        let mut trees = Vec::new();
        for (at, names) in lists.iter().enumerate() {
            let root = dir.join(at.to_string()).join("tree");
            fs::create_dir_all(&root).unwrap();
            for name in *names {
                if let Some(name) = name.strip_suffix("/!") {
                    fs::create_dir_all(root.join(name)).unwrap();
                    let path = root.join(name);
                    rustix::fs::setxattr(&path, "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
                        .unwrap();
                } else if name.ends_with('/') {
                    fs::create_dir_all(root.join(name)).unwrap();
                } else if let Some(name) = name.strip_prefix('-') {
                    let parent = root.join(name);
                    fs::create_dir_all(parent.parent().unwrap()).unwrap();
                    rustix::fs::mknodat(
                        rustix::fs::CWD,
                        root.join(name),
                        FileType::CharacterDevice,
                        Mode::empty(),
                        0,
                    )
                    .unwrap();
                } else {
                    fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
                    let file = fs::File::create(root.join(name)).unwrap();
                    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
                }
            }
            trees.push(Tree::open(&root).unwrap());
        }
        trees
    }

    fn told(trees: &[Tree]) -> Vec<String> {
        let changes = changes(trees, Owners::Mapped).unwrap();
        let line =
            |(path, change): &(Vec<u8>, Change)| format!("{change:?} {}", String::from_utf8_lossy(path));
        changes.list.iter().map(line).collect()
    }

    #[test]
    fn tells_additions_changes_and_deletions() {
        let dir = tempfile::tempdir().unwrap();
        let trees = trees(
            dir.path(),
            &[
                &["a/new", "a/same", "b/", "-c/gone", "-c/never", "d/!", "d/kept", "e", "f/deep/x", "z/y/x"],
                &["a/same", "-a/old", "c/gone", "c/more", "d/"],
                &["a/old", "a/same", "b/", "c/", "d/kept", "d/lost/x", "e/x", "f"],
            ],
        );
        let root = dir.path().join("0/tree");
        fs::set_permissions(root.join("b"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(
            told(&trees),
            [
                "Changed a",
                "Added a/new",
                "Changed b",
                "Changed c",
                "Deleted c/gone",
                "Changed d",
                "Deleted d/lost",
                "Changed e",
                "Changed f",
                "Added f/deep",
                "Added f/deep/x",
                "Added z",
                "Added z/y",
                "Added z/y/x",
            ]
        );
    }

    #[test]
    fn looks_at_metadata() {
        let dir = tempfile::tempdir().unwrap();
        let names: &[&str] = &["d/mode", "d/time", "d/size", "d/same", "e/same"];
        let trees = trees(dir.path(), &[names, names]);
        let d = dir.path().join("0/tree/d");
        fs::set_permissions(d.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::File::open(d.join("time")).unwrap().set_modified(SystemTime::now()).unwrap();
        fs::write(d.join("size"), "x").unwrap();
        let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        fs::File::open(d.join("size")).unwrap().set_modified(epoch).unwrap();
        // The time of a directory says nothing.
        assert_eq!(told(&trees), ["Changed d", "Changed d/mode", "Changed d/size", "Changed d/time"]);
    }

    #[test]
    fn leaves_out_directories_that_only_hold_mount_points() {
        let dir = tempfile::tempdir().unwrap();
        let lists: [&[&str]; 2] = [&["etc/hosts", "a/etc/hosts", "b/"], &["etc/passwd", "a/etc/x", "b/"]];
        let trees = trees(dir.path(), &lists);
        let changes = changes(&trees, Owners::Mapped).unwrap();
        let names: Vec<_> = changes.mount_points.iter().map(Vec::as_slice).collect();
        assert_eq!(names, [&b"etc"[..], b"etc/hosts"]);
        assert_eq!(told(&trees), ["Changed a", "Changed a/etc", "Added a/etc/hosts"]);
    }

    #[test]
    fn leaves_out_what_is_made_to_be_mounted_on() {
        let dir = tempfile::tempdir().unwrap();
        let trees = trees(
            dir.path(),
            &[&["dev/", "proc/", "sys/", "etc/hosts", "etc/resolv.conf", "data/"], &["bin/sh"]],
        );
        assert_eq!(told(&trees), ["Added data"]);
        let found = changes(&trees, Owners::Mapped).unwrap().mount_points;
        let found: Vec<_> = found.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        assert_eq!(found, ["dev", "etc", "etc/hosts", "etc/resolv.conf", "proc", "sys"]);
        symlink("x", dir.path().join("0/tree/etc/link")).unwrap();
        assert_eq!(told(&trees), ["Added data", "Changed etc", "Added etc/link"]);
        fs::write(dir.path().join("0/tree/etc/hosts"), "x").unwrap();
        assert_eq!(told(&trees), ["Added data", "Changed etc", "Added etc/hosts", "Added etc/link"]);
    }
}
