//! Files between a container and the host.
//!
//! # Theory of operation
//!
//! Everything goes as a tar archive from one thread, which packs, to another, which unpacks, so that a stream of
//! the user's is only one more end of the same pipe:
//!
//! ```text
//! host, container ─pack::entry─▶ │ ─land─▶ container, host
//!                 standard input ▶       ▶ standard output
//! ```
//!
//! The two sides see each other's names only through the archive. What the container's side is, [`files`] says:
//! its paths never leave the container's root, though its processes may change everything at any time. On the
//! host's side nothing but the directory that the user named is written to, and no symbolic link in it is
//! followed.
//!
//! The rules of what goes where, and the texts, are Docker's ([`words`], [`host`]). Files become those of the
//! container's root; with `archive` they keep their owners. Out of it they become the user's.
//!
//! Nothing is kept anywhere while it goes on. Killed, it leaves what it has copied so far, like cp(1).

mod files;
mod host;
mod words;

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

pub use files::Files;
pub use host::{absolute as absolute_path, check_destination};
pub use words::split_argument;

use self::files::{kind, text};
use self::words::{Source, Target, clean, plan, rebase, split};
use crate::image::pack::{self, Entry};
use crate::image::{Landed, Landing, Owners, Ownership, land, pump};

/// How to copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Follow a symbolic link that the source is.
    pub follow: bool,
    /// Keep owners.
    pub archive: bool,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Where to, as it turned out.
    pub path: String,
    /// The bytes of the archive that it went as.
    pub size: u64,
    /// How many device nodes were left out.
    pub devices: u64,
}

/// An error of the host's side, which Docker's client tells without its daemon.
#[derive(Debug)]
pub struct HostError(anyhow::Error);

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for HostError {}

fn of_host(error: impl Into<anyhow::Error>) -> anyhow::Error {
    HostError(error.into()).into()
}

/// Something to pack: an open directory and a name in it, or the directory itself.
struct Found {
    directory: OwnedFd,
    name: Option<String>,
    /// What it is called in an archive, unless it is to be called otherwise.
    top: String,
}

/// Makes sure that there is something to copy into a container, before it is looked for.
pub fn check_source(path: &str, follow: bool) -> Result<()> {
    host::source(path, follow).map(drop).map_err(of_host)
}

/// Copies out of a container to a path of the host. `heard` is told how many bytes have gone.
pub fn copy_out(
    files: &Files,
    path: &str,
    options: CopyOptions,
    to: &str,
    heard: &dyn Fn(u64),
) -> Result<Copied> {
    let (source, found) = find(files, path, options.follow)?;
    let target = host::target(to).map_err(of_host)?;
    let (directory, top) = plan(&source, &target).map_err(of_host)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, directory.as_str(), flags, Mode::empty())
        .with_context(|| format!("open {directory}"))
        .map_err(of_host)?;
    let entry = Entry { top: top.as_bytes(), sparse: true, ..entry(&found, files.mapping.owners) };
    let shown = clean(&directory);
    let landing = Landing { root: root.as_fd(), directory: b"", shown: &shown, ownership: Ownership::Own };
    let (packed, landed, size) = transfer(&entry, landing, heard);
    packed?;
    files.note("archive-path");
    let Landed { devices } = landed.map_err(of_host)?;
    Ok(Copied { path: to.to_owned(), size, devices })
}

/// Writes something out of a container as an archive.
pub fn stream_out(files: &Files, path: &str, options: CopyOptions, mut out: impl Write) -> Result<()> {
    let (source, found) = find(files, path, options.follow)?;
    let top = source.name.unwrap_or_else(|| found.top.clone());
    let entry = Entry { top: top.as_bytes(), ..entry(&found, files.mapping.owners) };
    pack::entry(&entry, &mut out)?;
    files.note("archive-path");
    Ok(())
}

/// Copies a path of the host into a container.
pub fn copy_in(
    files: &Files,
    path: &str,
    options: CopyOptions,
    to: &str,
    heard: &dyn Fn(u64),
) -> Result<Copied> {
    let target = target(files, to)?;
    let source = host::source(path, options.follow).map_err(of_host)?;
    let (directory, top) = plan(&source, &target).map_err(of_host)?;
    let (dir, base) = split(&source.path);
    let open = |path: &str| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty())
            .with_context(|| format!("open {path}"))
            .map_err(of_host)
    };
    let found = match base.as_str() {
        "." | "/" => Found { directory: open(&dir)?, name: None, top: base },
        _ => Found { directory: open(&dir)?, name: Some(base.clone()), top: base },
    };
    // The user's own files are the user's inside, too.
    let of_host_files = match files.mapping.owners {
        owners @ Owners::Kept(_) => owners,
        Owners::Mapped | Owners::Emulated => Owners::Mapped,
    };
    let entry = Entry {
        top: top.as_bytes(),
        nobody_is_root: true,
        spare_kernel: false,
        sparse: true,
        ..entry(&found, of_host_files)
    };
    let ownership = match (files.mapping.owners, options.archive) {
        (owners, true) => Ownership::Told(owners),
        // Whoever unpacks is not the container's root.
        (owners @ Owners::Kept(_), false) => Ownership::Given(owners, 0, 0),
        (Owners::Mapped | Owners::Emulated, false) => Ownership::Root,
    };
    let (real, prefix, root) = landing_place(files, &directory)?;
    let landing = Landing { root: root.as_fd(), directory: prefix.as_bytes(), shown: &real, ownership };
    let (packed, landed, size) = transfer(&entry, landing, heard);
    packed.map_err(of_host)?;
    let Landed { devices } = landed?;
    files.note("extract-to-dir");
    Ok(Copied { path: target.path, size, devices })
}

/// Unpacks an archive, which may be compressed, in a directory of a container. Owners are those that it tells, as
/// in Docker.
pub fn stream_in(
    files: &Files,
    to: &str,
    input: impl io::Read + Send,
    heard: &dyn Fn(u64),
) -> Result<Copied> {
    let target = target(files, to)?;
    if !target.is_directory {
        return Err(of_host(anyhow!("destination \"{}:{to}\" must be a directory", files.name)));
    }
    let (real, prefix, root) = landing_place(files, &target.path)?;
    let ownership = Ownership::Told(files.mapping.owners);
    let landing = Landing { root: root.as_fd(), directory: prefix.as_bytes(), shown: &real, ownership };
    let size = Cell::new(0);
    let input = Counted { input: pump::decompress(input)?, size: &size, heard };
    let Landed { devices } = land(input, landing)?;
    files.note("extract-to-dir");
    Ok(Copied { path: target.path, size: size.get(), devices })
}

fn entry(found: &Found, owners: Owners) -> Entry<'_> {
    Entry {
        directory: found.directory.as_fd(),
        name: found.name.as_deref().map(str::as_bytes),
        top: found.top.as_bytes(),
        owners,
        nobody_is_root: false,
        spare_kernel: true,
        sparse: false,
    }
}

/// Packs in another thread what is unpacked in this one. Returns what came of either; one that only saw the other
/// fail is silent.
fn transfer(entry: &Entry<'_>, to: Landing<'_>, heard: &dyn Fn(u64)) -> (Result<()>, Result<Landed>, u64) {
    let size = Cell::new(0);
    // What is told is the size of an archive like Docker's, which has whole seconds.
    let parts = AtomicU64::new(0);
    let (packed, landed) = pump::pump(
        |mut out| pack::entry(entry, &mut out).map(|bytes| parts.store(bytes, Ordering::Relaxed)),
        |input| land(Counted { input, size: &size, heard }, to),
    );
    let size = size.get().saturating_sub(parts.into_inner());
    (packed, landed.unwrap_or_else(|| Ok(Landed::default())), size)
}

/// Finds something in a container that is to be copied.
fn find(files: &Files, path: &str, follow: bool) -> Result<(Source, Found)> {
    if path.is_empty() {
        bail!("bad parameter: path cannot be empty");
    }
    let mut path = path.to_owned();
    let mut name = None;
    if follow
        && let Ok(stat) = files.stat(&Files::absolute(&path))
        && kind(&stat) == FileType::Symlink
    {
        let target = files.follow(&Files::absolute(&path)).map_err(|errno| anyhow!("{}", text(errno)))?;
        (path, name) = rebase(&path, target);
    }
    let absolute = Files::absolute(&path);
    let failed = |errno| match errno {
        Errno::NOENT => anyhow::Error::from(files.missing(&path)),
        errno => anyhow!("lstat {absolute}: {}", text(errno)),
    };
    let stat = files.stat(&absolute).map_err(failed)?;
    let source = Source { path: absolute.clone(), is_directory: kind(&stat) == FileType::Directory, name };
    let (dir, base) = split(&absolute);
    // What a slash or a dot follows is a directory, or a link to one.
    let whole = absolute.ends_with('/') || base == ".";
    let found = if whole {
        Found { directory: files.directory(&absolute).map_err(failed)?, name: None, top: base }
    } else {
        let directory = files.directory(&dir).map_err(failed)?;
        Found { directory, name: Some(base.clone()), top: base }
    };
    Ok((source, found))
}

/// Finds out what is in a container where something is to be copied to.
fn target(files: &Files, path: &str) -> Result<Target> {
    let missing = |path: &str| Target { path: path.to_owned(), exists: false, is_directory: false };
    if path.is_empty() {
        return Ok(missing(path));
    }
    let absolute = Files::absolute(path);
    let Ok(mut stat) = files.stat(&absolute) else { return Ok(missing(path)) };
    let mut end = path.to_owned();
    if kind(&stat) == FileType::Symlink {
        end = files.follow(&absolute).map_err(|errno| anyhow!("{}", text(errno)))?;
        match files.stat(&end) {
            Ok(found) => stat = found,
            Err(_) => return Ok(missing(&end)),
        }
    }
    if matches!(kind(&stat), FileType::CharacterDevice | FileType::BlockDevice) {
        return Err(of_host(anyhow!(
            "destination \"{}:{path}\" must be a directory or a regular file: got a device",
            files.name
        )));
    }
    Ok(Target { path: end, exists: true, is_directory: kind(&stat) == FileType::Directory })
}

/// Finds the directory of a container that an archive lands in: its path without links, the same without the
/// first slash, and the root.
fn landing_place(files: &Files, directory: &str) -> Result<(String, String, OwnedFd)> {
    let real = files.follow(&Files::absolute(directory)).map_err(|errno| anyhow!("{}", text(errno)))?;
    let stat = match files.stat(&real) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Err(files.missing(directory).into()),
        Err(errno) => bail!("lstat {real}: {}", text(errno)),
    };
    if kind(&stat) != FileType::Directory {
        bail!("extraction point is not a directory");
    }
    let open = files.directory(&real).with_context(|| format!("open {real}"))?;
    files.writable(&open)?;
    let prefix = real.trim_start_matches('/').to_owned();
    let root = files.root().try_clone_to_owned().context("keep the container's root")?;
    Ok((real, prefix, root))
}

/// A reader that counts what is read, and tells it each time that it may have to wait.
struct Counted<'a, R> {
    input: R,
    size: &'a Cell<u64>,
    heard: &'a dyn Fn(u64),
}

impl<R: BufRead> io::Read for Counted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        self.size.set(self.size.get() + count as u64);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        (self.heard)(self.size.get());
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.size.set(self.size.get() + count as u64);
        self.input.consume(count);
    }
}
