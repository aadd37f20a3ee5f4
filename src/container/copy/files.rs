//! The files of a container as the container sees them, whether it runs or not.
//!
//! Of a running container they are what its first process sees: its root, reached through `/proc/<pid>/root`, leads
//! into its mount namespace, with every volume and every mount made since. Of another one the same is mounted
//! for us alone ([`crate::runtime::view`]), under its lock, so that it cannot start meanwhile.
//!
//! Every path is resolved by the kernel inside that root (openat2(2), `RESOLVE_IN_ROOT`), whatever the container's
//! processes do to it at the same moment.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, StatVfsMountFlags, StatxFlags};
use rustix::io::Errno;

use super::words::{join, preserve};
use crate::container::config::ContainerConfig;
use crate::container::dir::ContainerDir;
use crate::container::event;
use crate::container::status::{Status, observe_and_mend};
use crate::container::supervise;
use crate::idmap::Identity;
use crate::image::Mapping;
use crate::store::{Lock, Store};

/// How many symbolic links are followed in a path (path_resolution(7) has 40).
const LINKS: usize = 255;

/// The files of a container.
#[derive(Debug)]
pub struct Files {
    root: OwnedFd,
    /// What the user calls the container.
    pub(super) name: String,
    pub(super) mapping: Mapping,
    store: Store,
    config: ContainerConfig,
    /// Kept while it must not start.
    _lock: Option<Lock>,
}

/// There is no such file in the container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Could not find the file {path} in container {container}")]
pub(super) struct NoSuchFile {
    path: String,
    container: String,
}

impl Files {
    /// Opens the files of a container that the user calls `name`. The process is in the ancestor user namespace,
    /// as `identity` says, and has one thread.
    pub fn open(store: &Store, dir: &ContainerDir, name: &str, identity: &Identity) -> Result<Self> {
        let config = dir.config()?;
        let mapping = Mapping::of(identity);
        ensure!(
            config.map == mapping.key,
            "container {} was made under another mapping of user ids, which is not in force now",
            dir.short_id()
        );
        let (root, lock) = loop {
            if let Some(root) = running(dir)? {
                break (root, None);
            }
            let lock = dir.lock()?;
            // Held, no supervisor can come any more. One that came before is running by now, or about to.
            if !dir.is_alive()? {
                let root = supervise::view(store, dir, &config, identity)
                    .with_context(|| format!("look into container {}", dir.short_id()))?;
                break (root, Some(lock));
            }
            drop(lock);
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        Ok(Self { root, name: name.to_owned(), mapping, store: store.clone(), config, _lock: lock })
    }

    /// Tells the journal what was done.
    pub(super) fn note(&self, action: &str) {
        event::note(&self.store, &self.config, action, &[]);
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Returns the path as the container has it, with the end that was typed.
    pub(super) fn absolute(path: &str) -> String {
        preserve(join("/", path), path)
    }

    /// Says that a path is not there.
    pub(super) fn missing(&self, path: &str) -> NoSuchFile {
        NoSuchFile { path: path.to_owned(), container: self.name.clone() }
    }

    /// Looks at an absolute path. A symbolic link at its end is not followed, unless a slash or a dot comes
    /// after it.
    pub(super) fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let fd = self.find(path.as_bytes(), OFlags::PATH | OFlags::NOFOLLOW)?;
        rustix::fs::fstat(fd)
    }

    /// Opens a directory.
    pub(super) fn directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.find(path.as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn find(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            let flags = flags | OFlags::CLOEXEC;
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                // EAGAIN: something was renamed on the way, anywhere on the machine (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Returns an absolute path without symbolic links, as far as there is something: the rest stays as it is. By
    /// the time that it is used it may have changed its meaning, which is again one inside the root.
    pub(super) fn follow(&self, path: &str) -> Result<String, Errno> {
        let mut waiting: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(part) = waiting.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = format!("{done}/{part}");
            let found = self.find(next.as_bytes(), OFlags::PATH | OFlags::NOFOLLOW);
            let link = found.and_then(|fd| rustix::fs::readlinkat(fd, "", Vec::new()));
            let Ok(target) = link else {
                done = next;
                continue;
            };
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP);
            }
            let target = target.to_string_lossy();
            if target.starts_with('/') {
                done.clear();
            }
            waiting.extend(target.split('/').rev().map(str::to_owned));
        }
        Ok(if done.is_empty() { "/".to_owned() } else { done })
    }

    /// Refuses to write into a directory that is mounted read-only, in Docker's words.
    pub(super) fn writable(&self, directory: &OwnedFd) -> Result<()> {
        let mount = |fd: &OwnedFd| {
            rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id)
        };
        if !rustix::fs::fstatvfs(directory)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Ok(());
        }
        if mount(directory)? == mount(&self.root)? {
            bail!("container rootfs is marked read-only");
        }
        bail!("mounted volume is marked read-only");
    }
}

/// Opens the root of a container that runs.
fn running(dir: &ContainerDir) -> Result<Option<OwnedFd>> {
    let Status::Running(alive) = observe_and_mend(dir)? else { return Ok(None) };
    let Some(init) = alive.init else { return Ok(None) };
    let path = format!("/proc/{}/root", init.pid);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
        Ok(root) => root,
        // It has just ended.
        Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("open {path}")),
    };
    // The number still meant that process when the root was opened.
    Ok(init.lives().then_some(root))
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn text(errno: Errno) -> &'static str {
    match errno {
        Errno::NOENT => "no such file or directory",
        Errno::NOTDIR => "not a directory",
        Errno::ACCESS => "permission denied",
        Errno::LOOP => "too many links",
        Errno::NAMETOOLONG => "file name too long",
        _ => "input/output error",
    }
}
