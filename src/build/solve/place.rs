//! Files put into the files of a step, by BuildKit's rules.
//!
//! All happens through the mounted root of the step, so what an overlay has to note of it the kernel notes. Paths are
//! resolved in that root. What is copied keeps permissions, times and attributes; owners are kept, or given, or
//! root's where the files are those of a context.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{AtFlags, FileType, Gid, Mode as Bits, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::mode;
use super::pick::{Found, Meta, Named, follow, join, look, open, real};
use crate::build::graph::Mode;
use crate::image::{Landing, OWNER, Owners, Ownership, land, pump};
use crate::runtime::root::Root;

/// The room to copy with where the kernel does not.
const BUFFER: usize = 128 << 10;
/// Files that are smaller are copied by hand: the kernel's ways cost more than they spare.
const SMALL: u64 = 64 << 10;
/// The longest attribute (xattr(7)).
const VALUE: usize = 64 << 10;
/// The length of a header of tar.
const HEADER: usize = 512;

/// Where and how files are put.
pub(super) struct Placing<'a> {
    pub(super) root: &'a Root,
    pub(super) owners: Owners,
    /// Whose everything becomes.
    pub(super) given: Option<(u32, u32)>,
    pub(super) mode: Option<&'a Mode>,
    /// The records of the file `owners`, by path.
    pub(super) recorded: BTreeMap<Vec<u8>, String>,
    links: HashMap<(u64, u64), Vec<u8>>,
    times: Vec<(Vec<u8>, Timestamps)>,
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    buffer: Vec<u8>,
}

/// Where files come from.
#[derive(Clone, Copy)]
pub(super) struct From<'a> {
    pub(super) root: &'a Root,
    /// Whether they belong to root whoever has them, and have no attributes: those of a context.
    pub(super) plain: bool,
}

impl<'a> Placing<'a> {
    pub(super) fn new(root: &'a Root, owners: Owners) -> Self {
        Self {
            root,
            owners,
            given: None,
            mode: None,
            recorded: BTreeMap::new(),
            links: HashMap::new(),
            times: Vec::new(),
            last: None,
            buffer: Vec::new(),
        }
    }

    /// Makes a directory and those above it, where they are missing; returns its path without symbolic links.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<Vec<u8>> {
        let (mut done, rest) = follow(self.root, path)?;
        let is_directory = look(self.root, &done)?.is_some_and(|meta| meta.is_directory());
        ensure!(is_directory, "cannot copy to non-directory: /{}", String::from_utf8_lossy(&done));
        for name in rest {
            if name == b".." {
                done.truncate(memchr::memrchr(b'/', &done).unwrap_or(0));
                continue;
            }
            let parent = self.parent(&done)?;
            done = join(&done, &name);
            let making = || format!("create /{}", String::from_utf8_lossy(&done));
            rustix::fs::mkdirat(&parent, name.as_slice(), Bits::from_raw_mode(0o755)).with_context(making)?;
            let fd = open(self.root, &done, OFlags::RDONLY | OFlags::DIRECTORY).with_context(making)?;
            let (uid, gid) = self.given.unwrap_or((0, 0));
            self.own(fd.as_fd(), uid, gid, 0o755).with_context(making)?;
        }
        Ok(done)
    }

    /// Puts one thing that was named at `destination`, as it was written.
    pub(super) fn put(&mut self, from: From<'_>, named: &Named, destination: &[u8]) -> Result<()> {
        let Some(top) = named.found.first() else { return Ok(()) };
        if top.meta.is_directory() {
            let target = self.directory(destination)?;
            return self.all(from, &named.found[1..], &target);
        }
        let target = self.target(&named.path, destination)?;
        self.one(from, top, &target)
    }

    /// Decides the path of a single file: in a directory that is there or is said to be one, or under the name.
    fn target(&mut self, source: &[u8], destination: &[u8]) -> Result<Vec<u8>> {
        let name = source.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let says_so = destination.ends_with(b"/") || destination.ends_with(b"/.") || destination == b".";
        if says_so {
            return Ok(join(&self.directory(destination)?, name));
        }
        if let Some(real) = real(self.root, destination)?
            && look(self.root, &real)?.is_some_and(|meta| meta.is_directory())
        {
            return Ok(join(&real, name));
        }
        let (above, name) = split(destination);
        ensure!(!name.is_empty(), "the destination has no name");
        Ok(join(&self.directory(above)?, name))
    }

    /// Puts one thing below `destination` under its own path, without the first `skip` parts of that.
    pub(super) fn put_with_parents(
        &mut self,
        from: From<'_>,
        named: &Named,
        destination: &[u8],
        skip: usize,
    ) -> Result<()> {
        let Some(top) = named.found.first() else { return Ok(()) };
        let parts: Vec<&[u8]> =
            named.path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        let mut target = self.directory(destination)?;
        let mut source: Vec<u8> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            source = join(&source, part);
            if at < skip || at + 1 == parts.len() {
                continue;
            }
            target = join(&target, part);
            let real = real(from.root, &source)?.context("a directory above a file is gone")?;
            let meta = look(from.root, &real)?.context("a directory above a file is gone")?;
            self.make(from, &real, &meta, &target)?;
        }
        if let Some(name) = parts.last().filter(|_| parts.len() > skip) {
            target = join(&target, name);
            self.one(from, top, &target)?;
        }
        self.all(from, &named.found[1..], &target)
    }

    /// Unpacks a file that is an archive, and tells whether it is.
    pub(super) fn unpack(&mut self, from: From<'_>, named: &Named, destination: &[u8]) -> Result<bool> {
        let Some(top) = named.found.first().filter(|top| top.meta.kind == FileType::RegularFile) else {
            return Ok(false);
        };
        let file = File::from(open(from.root, &top.path, OFlags::RDONLY).context("open the archive")?);
        let Ok(mut input) = pump::decompress(file) else { return Ok(false) };
        let mut first = Vec::with_capacity(HEADER);
        if (&mut input).take(HEADER as u64).read_to_end(&mut first).is_err() || !is_header(&first) {
            return Ok(false);
        }
        let target = self.directory(destination)?;
        let root = open(self.root, b"", OFlags::RDONLY | OFlags::DIRECTORY).context("open the root")?;
        let shown = format!("/{}", String::from_utf8_lossy(&target));
        let ownership = match self.given {
            Some((uid, gid)) => Ownership::Given(self.owners, uid, gid),
            None => Ownership::Told(self.owners),
        };
        let landing = Landing { root: root.as_fd(), directory: &target, shown: &shown, ownership };
        let chained: Box<dyn BufRead> = Box::new(first.chain(input));
        let name = String::from_utf8_lossy(&named.path).into_owned();
        land(chained, landing).with_context(|| format!("unpack {name}"))?;
        Ok(true)
    }

    fn all(&mut self, from: From<'_>, found: &[Found], target: &[u8]) -> Result<()> {
        for found in found {
            self.one(from, found, &join(target, &found.at))?;
        }
        Ok(())
    }

    fn one(&mut self, from: From<'_>, found: &Found, target: &[u8]) -> Result<()> {
        let putting = || format!("copy /{}", String::from_utf8_lossy(&found.path));
        match found.meta.kind {
            FileType::Directory => self.make(from, &found.path, &found.meta, target),
            FileType::RegularFile => self.file(from, found, target),
            FileType::Socket | FileType::Unknown => Ok(()),
            _ => self.special(from, found, target),
        }
        .with_context(putting)
    }

    /// Makes a directory as another one is.
    fn make(&mut self, from: From<'_>, source: &[u8], meta: &Meta, target: &[u8]) -> Result<()> {
        let (above, name) = split(target);
        let parent = self.parent(above)?;
        match rustix::fs::mkdirat(&parent, name, Bits::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let is_directory = look(self.root, target)?.is_some_and(|meta| meta.is_directory());
                ensure!(is_directory, "cannot copy to non-directory: /{}", String::from_utf8_lossy(target));
            }
            Err(error) => return Err(error).context("create it"),
        }
        let fd = open(self.root, target, OFlags::RDONLY | OFlags::DIRECTORY).context("open it")?;
        let old = open(from.root, source, OFlags::RDONLY | OFlags::DIRECTORY).context("open the source")?;
        let mode = self.mode_of(meta)?;
        let (uid, gid) = self.owner_of(from, meta, Some(old.as_fd()));
        self.own(fd.as_fd(), uid, gid, mode)?;
        rustix::fs::fchmod(&fd, Bits::from_raw_mode(mode)).context("set its permissions")?;
        if !from.plain {
            attributes(old.as_fd(), fd.as_fd())?;
        }
        self.times.push((target.to_vec(), times(meta)));
        self.last = Some((target.to_vec(), Rc::new(fd)));
        Ok(())
    }

    fn file(&mut self, from: From<'_>, found: &Found, target: &[u8]) -> Result<()> {
        let (above, name) = split(target);
        let parent = self.parent(above)?;
        let meta = &found.meta;
        if meta.links > 1
            && let Some(first) = self.links.get(&meta.id)
        {
            let (first_above, first_name) = split(first);
            let first_parent = open(self.root, first_above, OFlags::PATH | OFlags::DIRECTORY)?;
            clear(&parent, name)?;
            return rustix::fs::linkat(&first_parent, first_name, &parent, name, AtFlags::empty())
                .context("link it");
        }
        let old =
            open(from.root, &found.path, OFlags::RDONLY | OFlags::NONBLOCK).context("open the source")?;
        let mode = self.mode_of(meta)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let bits = Bits::from_raw_mode(mode & 0o777);
        let new = match rustix::fs::openat(&parent, name, flags, bits) {
            Err(Errno::EXIST) => {
                clear(&parent, name)?;
                rustix::fs::openat(&parent, name, flags, bits)
            }
            other => other,
        }
        .context("create it")?;
        let (old, new) = (File::from(old), File::from(new));
        copy_bytes(&old, &new, meta, &mut self.buffer)?;
        let (uid, gid) = self.owner_of(from, meta, Some(old.as_fd()));
        self.own(new.as_fd(), uid, gid, mode)?;
        // Writing and a new owner take the set-id bits away.
        if mode & 0o7000 != 0 {
            rustix::fs::fchmod(&new, Bits::from_raw_mode(mode)).context("set its permissions")?;
        }
        if !from.plain {
            attributes(old.as_fd(), new.as_fd())?;
        }
        rustix::fs::futimens(&new, &times(meta)).context("set its time")?;
        if meta.links > 1 {
            self.links.insert(meta.id, target.to_vec());
        }
        Ok(())
    }

    /// Makes a symbolic link, a pipe, or notes a device, which nobody but the machine's root makes.
    fn special(&mut self, from: From<'_>, found: &Found, target: &[u8]) -> Result<()> {
        let (above, name) = split(target);
        let parent = self.parent(above)?;
        let meta = &found.meta;
        clear(&parent, name)?;
        let (uid, gid) = self.owner_of(from, meta, None);
        let kind = match meta.kind {
            FileType::Symlink => {
                let link = open(from.root, &found.path, OFlags::PATH)?;
                let text = rustix::fs::readlinkat(link, "", Vec::new()).context("read the link")?;
                rustix::fs::symlinkat(&text, &parent, name)?;
                0o120_000
            }
            FileType::Fifo => {
                let mode = Bits::from_raw_mode(self.mode_of(meta)?);
                rustix::fs::mknodat(&parent, name, FileType::Fifo, mode, 0)?;
                0o010_000
            }
            FileType::BlockDevice | FileType::CharacterDevice => {
                let kind = if meta.kind == FileType::BlockDevice { 0o060_000 } else { 0o020_000 };
                let device = (rustix::fs::major(meta.device), rustix::fs::minor(meta.device));
                let mode = self.mode_of(meta)?;
                let text = format!("{uid}:{gid}:{:o}:{}:{}", kind | mode, device.0, device.1);
                self.recorded.insert(target.to_vec(), text);
                return Ok(());
            }
            _ => return Ok(()),
        };
        if self.owners == Owners::Mapped {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .context("set its owner")?;
        } else if (uid, gid) != (0, 0) {
            self.recorded.insert(target.to_vec(), format!("{uid}:{gid}:{:o}:0:0", kind | meta.mode));
        }
        rustix::fs::utimensat(&parent, name, &times(meta), AtFlags::SYMLINK_NOFOLLOW).context("set its time")
    }

    fn mode_of(&self, meta: &Meta) -> Result<u32> {
        match self.mode {
            Some(mode) => mode::apply(mode, meta.mode, meta.is_directory()),
            None => Ok(meta.mode),
        }
    }

    fn owner_of(&self, from: From<'_>, meta: &Meta, file: Option<BorrowedFd<'_>>) -> (u32, u32) {
        if let Some(given) = self.given {
            return given;
        }
        if from.plain {
            return (0, 0);
        }
        if self.owners == Owners::Mapped {
            return (meta.uid, meta.gid);
        }
        let mut value = [0; 64];
        let kept = file.and_then(|file| {
            let length = rustix::fs::fgetxattr(file, OWNER, &mut value).ok()?;
            let mut fields = std::str::from_utf8(&value[..length]).ok()?.split(':');
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        kept.unwrap_or((0, 0))
    }

    fn own(&self, file: BorrowedFd<'_>, uid: u32, gid: u32, mode: u32) -> Result<()> {
        if self.owners == Owners::Mapped {
            return rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .with_context(|| format!("give it to {uid}:{gid}"));
        }
        if (uid, gid) == (0, 0) {
            // A directory that was there may have had another.
            let _ = rustix::fs::fremovexattr(file, OWNER);
            return Ok(());
        }
        let text = format!("{uid}:{gid}:{mode:o}");
        rustix::fs::fsetxattr(file, OWNER, text.as_bytes(), XattrFlags::empty()).context("keep its owner")
    }

    /// Opens a directory that is there.
    fn parent(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        if let Some((known, fd)) = &self.last
            && known == path
        {
            return Ok(Rc::clone(fd));
        }
        let fd = open(self.root, path, OFlags::RDONLY | OFlags::DIRECTORY)
            .with_context(|| format!("open /{}", String::from_utf8_lossy(path)))?;
        let fd = Rc::new(fd);
        self.last = Some((path.to_vec(), Rc::clone(&fd)));
        Ok(fd)
    }

    /// Gives directories their times, now that nothing more comes into them.
    pub(super) fn finish(&mut self) -> Result<()> {
        for (path, times) in std::mem::take(&mut self.times).into_iter().rev() {
            let dir =
                open(self.root, &path, OFlags::RDONLY | OFlags::DIRECTORY).context("open a directory")?;
            rustix::fs::futimens(&dir, &times).context("set the time of a directory")?;
        }
        Ok(())
    }
}

/// Removes what is in the way of something that is no directory.
fn clear(parent: &OwnedFd, name: &[u8]) -> Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            bail!("cannot copy to directory: {}", String::from_utf8_lossy(name))
        }
        Err(error) => Err(error).context("remove what it replaces"),
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn times(meta: &Meta) -> Timestamps {
    let time = Timespec { tv_sec: meta.modified.0, tv_nsec: meta.modified.1 };
    Timestamps { last_access: time, last_modification: time }
}

/// Tells whether these bytes are the header of a member of a tar archive: its sum is right.
fn is_header(bytes: &[u8]) -> bool {
    if bytes.len() < HEADER || bytes.iter().all(|byte| *byte == 0) {
        return false;
    }
    let text =
        bytes[148..156].iter().take_while(|byte| !matches!(byte, 0 | b' ')).copied().collect::<Vec<u8>>();
    let told = std::str::from_utf8(&text).ok().and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
    let sum: u32 = bytes
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { u32::from(b' ') } else { u32::from(*byte) })
        .sum();
    told == Some(sum)
}

/// Copies the bytes of a file: as a reference to the same blocks where the file system can, holes as holes.
fn copy_bytes(old: &File, new: &File, meta: &Meta, buffer: &mut Vec<u8>) -> Result<()> {
    if meta.size > SMALL {
        if rustix::fs::ioctl_ficlone(new, old).is_ok() {
            return Ok(());
        }
        if meta.blocks.saturating_mul(512) < meta.size && copy_regions(old, new, meta.size, buffer)? {
            return Ok(());
        }
        if copy_range(old, new, meta.size) {
            return Ok(());
        }
    }
    buffer.resize(BUFFER, 0);
    loop {
        match rustix::io::read(old, &mut *buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => write_all(new, &buffer[..count])?,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("read it"),
        }
    }
}

/// Has the kernel copy; tells whether it did. If it did not, both files are at their beginning.
fn copy_range(old: &File, new: &File, size: u64) -> bool {
    let mut done = 0_u64;
    while done < size {
        let left = usize::try_from(size - done).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(old, None, new, None, left) {
            Ok(0) => break,
            Ok(count) => done += count as u64,
            Err(Errno::INTR) => {}
            Err(_) => {
                return (&*old).rewind().is_err() || (&*new).rewind().is_err();
            }
        }
    }
    done > 0
}

/// Copies the regions of a file that have data; tells whether the file system tells them.
fn copy_regions(mut old: &File, mut new: &File, size: u64, buffer: &mut Vec<u8>) -> Result<bool> {
    buffer.resize(BUFFER, 0);
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(old, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            Err(_) if at == 0 => {
                old.rewind().context("read it")?;
                return Ok(false);
            }
            Err(error) => return Err(error).context("read it"),
        };
        let end = rustix::fs::seek(old, rustix::fs::SeekFrom::Hole(start)).context("read it")?;
        old.seek(SeekFrom::Start(start)).context("read it")?;
        new.seek(SeekFrom::Start(start)).context("write it")?;
        let mut left = end - start;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
            let count = old.read(&mut buffer[..room]).context("read it")?;
            if count == 0 {
                break;
            }
            write_all(new, &buffer[..count])?;
            left -= count as u64;
        }
        at = end;
    }
    new.set_len(size).context("write it")?;
    Ok(true)
}

fn write_all(file: &File, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("write it"),
        }
    }
    Ok(())
}

/// Copies the attributes that go into layers.
fn attributes(old: BorrowedFd<'_>, new: BorrowedFd<'_>) -> Result<()> {
    let mut names = vec![0; 1024];
    let length = match rustix::fs::flistxattr(old, &mut names) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(Errno::RANGE) => {
            names = vec![0; VALUE];
            rustix::fs::flistxattr(old, &mut names).context("list its attributes")?
        }
        other => other.context("list its attributes")?,
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let own: [&[u8]; 2] = [b"user.overlay.", b"user.coracle."];
        let belongs = name == b"security.capability"
            || name.starts_with(b"user.") && !own.iter().any(|prefix| name.starts_with(prefix));
        if !belongs {
            continue;
        }
        let mut value = vec![0; VALUE];
        let Ok(length) = rustix::fs::fgetxattr(old, name, &mut value) else { continue };
        match rustix::fs::fsetxattr(new, name, &value[..length], XattrFlags::empty()) {
            // A capability that nobody here may give.
            Err(Errno::PERM | Errno::OPNOTSUPP) => {}
            other => other.context("set an attribute")?,
        }
    }
    Ok(())
}

/// Returns a path's bytes without slashes at its beginning.
pub(super) fn relative(path: &Path) -> Vec<u8> {
    let bytes = OsStr::as_bytes(path.as_os_str());
    let start = bytes.iter().position(|byte| *byte != b'/').unwrap_or(bytes.len());
    bytes[start..].to_vec()
}
