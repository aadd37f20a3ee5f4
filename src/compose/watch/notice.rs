//! Which files change, as inotify(7) tells.
//!
//! A watch of the kernel is about one directory, so there is one for each directory below the paths that are
//! watched, and for the one that a watched file is in. New directories are walked when they appear, since
//! something may have been put into them before they were watched; directories that go are forgotten. When the
//! kernel has dropped notices, everything counts as changed.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// A batch is over when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(500);

/// The longest batch.
const LONGEST: Duration = Duration::from_secs(5);

/// Files and directories that are watched.
pub struct Notices<'a> {
    fd: OwnedFd,
    paths: HashMap<i32, PathBuf>,
    roots: Vec<PathBuf>,
    leaves_out: &'a (dyn Fn(&Path) -> bool + Sync),
}

impl std::fmt::Debug for Notices<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Notices").field("roots", &self.roots).finish_non_exhaustive()
    }
}

impl<'a> Notices<'a> {
    /// Watches paths and what is below them, but for what is left out.
    pub fn new(roots: &[PathBuf], leaves_out: &'a (dyn Fn(&Path) -> bool + Sync)) -> Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let fd = inotify::init(flags).context("watch files")?;
        let mut notices = Self { fd, paths: HashMap::new(), roots: roots.to_vec(), leaves_out };
        for root in roots {
            if root.is_dir() {
                notices.add(root, &mut BTreeSet::new())?;
            } else {
                // A file is often replaced by another of its name, and one that is not there may come.
                let above = root.ancestors().skip(1).find(|above| above.is_dir());
                notices.watch(above.unwrap_or(Path::new("/")))?;
            }
        }
        Ok(notices)
    }

    fn watch(&mut self, dir: &Path) -> Result<()> {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        match inotify::add_watch(&self.fd, dir, flags) {
            Ok(wd) => {
                self.paths.insert(wd, dir.to_owned());
                Ok(())
            }
            // It has gone meanwhile, or is nobody's to read.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(()),
            Err(Errno::NOSPC) => Err(io::Error::from(Errno::NOSPC)).with_context(|| {
                format!(
                    "watch {}: more directories than fs.inotify.max_user_watches allows; ignore some",
                    dir.display()
                )
            }),
            Err(error) => Err(error).with_context(|| format!("watch {}", dir.display())),
        }
    }

    /// Watches a directory and those below it, and collects what is in them.
    fn add(&mut self, dir: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
        if (self.leaves_out)(dir) {
            return Ok(());
        }
        self.watch(dir)?;
        let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&path, found)?;
            } else if !(self.leaves_out)(&path) {
                found.insert(path);
            }
        }
        Ok(())
    }

    /// Waits for changes, and returns a batch of them; nothing once `stop` can be read.
    pub fn wait(&mut self, stop: Option<BorrowedFd<'_>>) -> Result<Option<BTreeSet<PathBuf>>> {
        let mut changed = BTreeSet::new();
        let mut begun: Option<Instant> = None;
        loop {
            let patience = begun.map(|begun| QUIET.min(LONGEST.saturating_sub(begun.elapsed())));
            let timeout = patience.map(|patience| Timespec {
                tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: patience.subsec_nanos().into(),
            });
            let mut fds = vec![PollFd::new(&self.fd, PollFlags::IN)];
            fds.extend(stop.as_ref().map(|stop| PollFd::new(stop, PollFlags::IN)));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) if !changed.is_empty() => return Ok(Some(changed)),
                // What changed was left out.
                Ok(0) => begun = None,
                Ok(_) if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) => return Ok(None),
                Ok(_) => {
                    self.read(&mut changed)?;
                    begun = begun.or_else(|| Some(Instant::now()));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for changes"),
            }
        }
    }

    fn read(&mut self, changed: &mut BTreeSet<PathBuf>) -> Result<()> {
        let mut seen: Vec<(i32, ReadFlags, PathBuf)> = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name =
                        event.file_name().map(|name| PathBuf::from(OsStr::from_bytes(name.to_bytes())));
                    seen.push((event.wd(), event.events(), name.unwrap_or_default()));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("read changes"),
            }
        }
        for (wd, flags, name) in seen {
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                for root in self.roots.clone() {
                    self.add(&root, changed)?;
                }
                continue;
            }
            if flags.contains(ReadFlags::IGNORED) {
                self.paths.remove(&wd);
                continue;
            }
            let Some(dir) = self.paths.get(&wd) else { continue };
            let path = dir.join(name);
            let is_directory = flags.contains(ReadFlags::ISDIR);
            if is_directory && flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                let meant = |root: &PathBuf| path.starts_with(root) || root.starts_with(&path);
                if self.roots.iter().any(meant) {
                    self.add(&path, changed)?;
                }
            } else if is_directory && flags.contains(ReadFlags::MOVED_FROM) {
                self.forget(&path);
            }
            let is_meant = self.roots.iter().any(|root| path.starts_with(root));
            if is_meant && !(self.leaves_out)(&path) {
                changed.insert(path);
            }
        }
        Ok(())
    }

    /// Watches a directory that is somewhere else now, and those below it, no more.
    fn forget(&mut self, dir: &Path) {
        let gone: Vec<i32> =
            self.paths.iter().filter(|(_, path)| path.starts_with(dir)).map(|(wd, _)| *wd).collect();
        for wd in gone {
            let _ = inotify::remove_watch(&self.fd, wd);
            self.paths.remove(&wd);
        }
    }
}

/// Returns all files at a path or below it, but for what is left out.
pub fn walk(path: &Path, leaves_out: &dyn Fn(&Path) -> bool) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        if leaves_out(&path) {
            continue;
        }
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else {
            found.insert(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_changes_until_they_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        fs::create_dir_all(root.join("a/skipped")).unwrap();
        let leaves_out = |path: &Path| path.ends_with("skipped");
        let mut notices = Notices::new(std::slice::from_ref(&root), &leaves_out).unwrap();
        fs::write(root.join("a/x"), "1").unwrap();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::write(root.join("b/c/y"), "1").unwrap();
        fs::write(root.join("a/skipped/z"), "1").unwrap();
        let batch = notices.wait(None).unwrap().unwrap();
        assert!(batch.contains(&root.join("a/x")) && batch.contains(&root.join("b/c/y")), "{batch:?}");
        assert!(!batch.iter().any(|path| path.ends_with("z")), "{batch:?}");
        // A directory that was moved is known by its new name alone.
        fs::rename(root.join("b"), root.join("d")).unwrap();
        fs::write(root.join("d/c/y"), "2").unwrap();
        fs::remove_file(root.join("a/x")).unwrap();
        let batch = notices.wait(None).unwrap().unwrap();
        for name in ["b", "d/c/y", "a/x"] {
            assert!(batch.contains(&root.join(name)), "{name}: {batch:?}");
        }
        assert!(!batch.contains(&root.join("b/c/y")), "{batch:?}");
        assert_eq!(walk(&root, &leaves_out).len(), 1);
    }

    #[test]
    fn watches_one_file_and_ends_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let mut notices = Notices::new(std::slice::from_ref(&file), &|_| false).unwrap();
        fs::write(dir.path().join("other"), "1").unwrap();
        fs::write(dir.path().join("new"), "1").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        assert_eq!(notices.wait(None).unwrap().unwrap(), [file].into());
        let (stop, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"x").unwrap();
        let stop = std::os::fd::AsFd::as_fd(&stop);
        assert!(notices.wait(Some(stop)).unwrap().is_none());
    }
}
