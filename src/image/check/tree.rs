//! A layer's tree held against the archive it was unpacked from.
//!
//! # Method
//!
//! The blob is read once: its bytes are hashed, the archive inside is hashed, and each member is compared with
//! what the tree has under its name: kind, permissions, owner, time, link target, extended attributes and
//! every byte. Then the tree is walked for what no member accounts for. So a sound layer costs one reading of
//! blob and tree, no memory but a few words an entry, and no room on the disk.
//!
//! A name that stands in the archive several times is judged by its last member, as it is unpacked. Archives
//! can do stranger things: move a directory out from under earlier members, reach one place through two
//! links. Where that, or a file system that rounds times, makes this comparison complain about a sound
//! tree, it complains about a fresh one in the same words. So complaints count only once they differ from
//! those about the layer unpacked anew; the caller does that.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::image::compression::Compression;
use crate::image::unpack::{Kind, Member, Members, Owners, clean, split};
use crate::oci::{Digest, Hasher};

const OWNER: &str = "user.coracle.owner";
const OPAQUE_MARK: &str = "user.overlay.opaque";
const BUFFER: usize = 256 << 10;
/// The most complaints about one layer that are kept.
const COMPLAINTS: usize = 1000;

/// What the reading of a blob has shown.
#[derive(Debug)]
pub(super) struct Seen {
    /// The digest of the blob's bytes.
    pub(super) blob: Digest,
    /// The digest of the archive inside; `None` if it cannot be read.
    pub(super) diff_id: Option<Digest>,
    /// What is wrong with the tree, sorted.
    pub(super) complaints: Vec<String>,
}

/// Reads the blob `file` and compares the layer in `dir` with it. `owners` says how owners are kept in the tree;
/// without it they are not compared, because the ids of the tree are not this user's. `heard` is told of
/// bytes as they are read.
pub(super) fn compare(
    file: File,
    dir: &Path,
    owners: Option<Owners>,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<Seen> {
    let mut comparison = Comparison::new(dir, owners)?;
    let mut raw = Hashed { inner: file, hasher: Hasher::new(), heard };
    let archive = archive(&mut raw, &mut comparison);
    // To the very end, whatever the archive was worth.
    io::copy(&mut raw, &mut io::sink()).context("read the blob")?;
    let blob = raw.hasher.finish();
    let (diff_id, complaints) = match archive {
        Ok(diff_id) => (Some(diff_id), comparison.finish()?),
        Err(error) => (None, vec![format!("the archive cannot be read: {error:#}")]),
    };
    Ok(Seen { blob, diff_id, complaints })
}

/// Reads a stream to its end and returns its digest.
pub(super) fn digest(file: File, heard: &(dyn Fn(u64) + Sync)) -> io::Result<Digest> {
    let mut raw = Hashed { inner: file, hasher: Hasher::new(), heard };
    let mut buffer = vec![0; BUFFER];
    while raw.read(&mut buffer)? > 0 {}
    Ok(raw.hasher.finish())
}

fn archive<R: Read + Send>(raw: &mut R, comparison: &mut Comparison) -> Result<Digest> {
    let mut input = BufReader::with_capacity(BUFFER, raw);
    let compression = Compression::of(input.fill_buf()?);
    let inner = compression.decoder(input)?;
    let mut tar = Hashed { inner, hasher: Hasher::new(), heard: &|_| () };
    let mut buffered = BufReader::with_capacity(BUFFER, &mut tar);
    let mut members = Members::new(&mut buffered);
    while let Some(member) = members.next()? {
        comparison.member(&member, &mut members)?;
    }
    members.finish()?;
    io::copy(&mut buffered, &mut io::sink())?;
    Ok(tar.hasher.finish())
}

/// A reader that hashes what it hands on.
struct Hashed<'a, R> {
    inner: R,
    hasher: Hasher,
    heard: &'a (dyn Fn(u64) + Sync),
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.hasher.update(&buffer[..count]);
        (self.heard)(count as u64);
        Ok(count)
    }
}

/// A tree under comparison.
struct Comparison {
    root: OwnedFd,
    owners: Option<Owners>,
    /// What was found at each place so far, by a hash of the directory's inode and the name: nothing wrong, or
    /// what is.
    seen: HashMap<u128, Option<String>>,
    states: (RandomState, RandomState),
    /// The layer's file `owners`: path to text. What a member accounts for is taken out.
    recorded: HashMap<Vec<u8>, String>,
    /// The directory that was opened last.
    last: Option<(Vec<u8>, OwnedFd, u64)>,
}

impl Comparison {
    fn new(dir: &Path, owners: Option<Owners>) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let tree = dir.join("tree");
        let root = rustix::fs::open(&tree, flags, Mode::empty())
            .with_context(|| format!("open {}", tree.display()))?;
        let mut recorded = HashMap::new();
        for record in std::fs::read(dir.join("owners")).unwrap_or_default().split(|&byte| byte == 0) {
            if let Some(space) = memchr::memchr(b' ', record) {
                let text = String::from_utf8_lossy(&record[..space]).into_owned();
                recorded.insert(record[space + 1..].to_vec(), text);
            }
        }
        let states = (RandomState::new(), RandomState::new());
        Ok(Self { root, owners, seen: HashMap::new(), states, recorded, last: None })
    }

    fn key(&self, dir: u64, name: &[u8]) -> u128 {
        let (low, high) = (self.states.0.hash_one((dir, name)), self.states.1.hash_one((dir, name)));
        u128::from(high) << 64 | u128::from(low)
    }

    /// Opens a directory by its name in the archive, as it would be found inside a container.
    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b".".as_slice() } else { path };
        loop {
            match rustix::fs::openat2(
                &self.root,
                path,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            ) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Opens the directory that members lie in, and tells its inode.
    fn parent(&mut self, path: &[u8]) -> Result<u64, Errno> {
        if let Some((_, _, inode)) = self.last.as_ref().filter(|last| last.0 == path) {
            return Ok(*inode);
        }
        let opened = self.open(path)?;
        let inode = rustix::fs::fstat(&opened)?.st_ino;
        self.last = Some((path.to_vec(), opened, inode));
        Ok(inode)
    }

    fn member<R: BufRead>(&mut self, member: &Member, members: &mut Members<R>) -> Result<()> {
        // A member that leaves the layer was refused when it was unpacked, or hides nothing here.
        let Ok(path) = clean(&member.path) else { return Ok(()) };
        let (above, name) = split(&path);
        let aufs = name.starts_with(b".wh..wh.") || path.starts_with(b".wh..wh.");
        if aufs && name != b".wh..wh..opq" {
            return Ok(());
        }
        let inode = match self.parent(above) {
            Ok(inode) => inode,
            Err(error) => {
                let key = self.key(0, &path);
                self.seen.insert(key, Some(format!("{}: {error}", show(&path))));
                return Ok(());
            }
        };
        // Taken out for as long as it is borrowed.
        let Some((last_path, parent, _)) = self.last.take() else { return Ok(()) };
        let (name, problem) = if name == b".wh..wh..opq" {
            let problem = (!is_opaque(&parent)).then(|| "is not marked as opaque".to_owned());
            (&b".wh..wh..opq"[..], Some(problem))
        } else if let Some(hidden) = name.strip_prefix(b".wh.") {
            (hidden, whiteout(&parent, hidden))
        } else if matches!(member.kind, Kind::Character | Kind::Block) {
            let wanted = record_text(member);
            let found = self.recorded.remove(&path);
            let same = found.as_ref() == Some(&wanted);
            (name, Some((!same).then(|| "is a device that is not noted as such".to_owned())))
        } else {
            let name = if path.is_empty() { b".".as_slice() } else { name };
            (name, Some(self.entry(&parent, &path, name, member, members)?))
        };
        if let Some(problem) = problem {
            let key = self.key(inode, name);
            self.seen.insert(key, problem.map(|problem| format!("{}: {problem}", show(&path))));
        }
        self.last = Some((last_path, parent, inode));
        Ok(())
    }

    /// Compares what the tree has at `name` with a member that is no device; returns what is wrong.
    fn entry<R: BufRead>(
        &mut self,
        parent: &OwnedFd,
        path: &[u8],
        name: &[u8],
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<Option<String>> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Some("is missing".to_owned())),
            Err(error) => return Ok(Some(error.to_string())),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if member.kind == Kind::HardLink {
            return Ok(self.hard_link(&stat, member));
        }
        let wanted = match member.kind {
            Kind::Directory => FileType::Directory,
            Kind::Symlink => FileType::Symlink,
            Kind::Fifo => FileType::Fifo,
            _ => FileType::RegularFile,
        };
        if kind != wanted {
            return Ok(Some(format!("is a {kind:?} and not a {wanted:?}")));
        }
        if let Some(problem) = self.metadata(&stat, path, member) {
            return Ok(Some(problem));
        }
        match member.kind {
            Kind::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new());
                let same = target.is_ok_and(|target| target.as_bytes() == member.link);
                Ok((!same).then(|| "leads elsewhere".to_owned()))
            }
            Kind::Fifo => Ok(None),
            _ => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let opened = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
                    Ok(opened) => opened,
                    Err(error) => return Ok(Some(error.to_string())),
                };
                if let Some(problem) = self.attributes(&opened, member) {
                    return Ok(Some(problem));
                }
                if member.kind == Kind::Directory {
                    Ok(None)
                } else {
                    content(&opened, &stat, member, members)
                }
            }
        }
    }

    fn hard_link(&self, stat: &Stat, member: &Member) -> Option<String> {
        let target = clean(&member.link).ok()?;
        let (above, base) = split(&target);
        let other =
            self.open(above).and_then(|parent| rustix::fs::statat(&parent, base, AtFlags::SYMLINK_NOFOLLOW));
        let same = other.is_ok_and(|other| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino));
        (!same).then(|| format!("is not the same file as {}", show(&target)))
    }

    fn metadata(&mut self, stat: &Stat, path: &[u8], member: &Member) -> Option<String> {
        let mode = stat.st_mode & 0o7777;
        if member.kind != Kind::Symlink && mode != member.mode {
            return Some(format!("has the permissions {mode:o} and not {:o}", member.mode));
        }
        let plain = (member.uid, member.gid) == (0, 0);
        let wanted = match self.owners {
            Some(owners @ (Owners::Mapped | Owners::Kept(_))) => Some(owners.above(member.uid, member.gid)),
            Some(Owners::Emulated) => Some((0, 0)),
            None => None,
        };
        if let Some((uid, gid)) = wanted.filter(|wanted| *wanted != (stat.st_uid, stat.st_gid)) {
            return Some(format!("belongs to {}:{} and not to {uid}:{gid}", stat.st_uid, stat.st_gid));
        }
        let noted = matches!(member.kind, Kind::Symlink | Kind::Fifo);
        if self.owners == Some(Owners::Emulated)
            && noted
            && !plain
            && self.recorded.remove(path) != Some(record_text(member))
        {
            return Some("has another owner noted than the archive tells".to_owned());
        }
        let (seconds, nanoseconds) = member.modified;
        if (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(-1)) != (seconds, nanoseconds.into()) {
            return Some("was changed later".to_owned());
        }
        None
    }

    fn attributes(&mut self, file: &OwnedFd, member: &Member) -> Option<String> {
        let found = attributes(file);
        for (name, value) in &member.attributes {
            let name = String::from_utf8_lossy(name);
            if name.starts_with("user.overlay.") || name == OWNER || name.starts_with("user.coracle.") {
                continue;
            }
            let translated = match self.owners {
                Some(Owners::Kept(kept)) => Some(kept.attribute_above(name.as_bytes(), value)),
                _ => None,
            };
            let value = translated.as_ref().unwrap_or(value);
            match found.get(name.as_ref()) {
                Some(found) if found == value => {}
                // What this file system or this user cannot keep was left out.
                None if !name.starts_with("user.") => {}
                _ => return Some(format!("has another attribute {name}")),
            }
        }
        let listed = |name: &str| member.attributes.iter().any(|(known, _)| known == name.as_bytes());
        for name in found.keys() {
            let ours = name.starts_with("user.overlay.") || name.starts_with("user.coracle.");
            if !ours && (name.starts_with("user.") || name == "security.capability") && !listed(name) {
                return Some(format!("has the attribute {name}, which the archive has not"));
            }
        }
        if self.owners == Some(Owners::Emulated) {
            let plain = (member.uid, member.gid) == (0, 0);
            let wanted = format!("{}:{}:{:o}", member.uid, member.gid, member.mode);
            let found = found.get(OWNER).map(|text| String::from_utf8_lossy(text).into_owned());
            if found != (!plain).then_some(wanted) {
                return Some("has another owner noted than the archive tells".to_owned());
            }
        }
        None
    }

    /// Walks the tree for what no member accounts for, and returns all complaints.
    fn finish(mut self) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        let mut waiting = vec![Vec::new()];
        while let Some(path) = waiting.pop() {
            let opened = self.open(&path).with_context(|| format!("open {}", show(&path)))?;
            let stat = rustix::fs::fstat(&opened)?;
            if is_opaque(&opened) && !self.accounts_for_mark(stat.st_ino, &opened) {
                complaints.push(format!("{}: is marked as opaque", show(&path)));
            }
            for entry in Dir::read_from(&opened)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let below = if path.is_empty() { name.to_vec() } else { [&path, &b"/"[..], name].concat() };
                let stat_of = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let is_directory = FileType::from_raw_mode(stat_of.st_mode) == FileType::Directory;
                match self.seen.remove(&self.key(stat.st_ino, name)) {
                    Some(problem) => complaints.extend(problem),
                    // A directory that the archive takes for granted.
                    None if is_directory && self.is_implied(&stat_of) => {}
                    None => complaints.push(format!("{}: is not in the archive", show(&below))),
                }
                if is_directory {
                    waiting.push(below);
                }
            }
            if complaints.len() > COMPLAINTS {
                break;
            }
        }
        complaints.extend(self.seen.into_values().flatten());
        complaints.extend(
            self.recorded
                .into_keys()
                .map(|path| format!("{}: is noted, and not in the archive", show(&path))),
        );
        complaints.sort();
        complaints.truncate(COMPLAINTS);
        Ok(complaints)
    }

    fn is_implied(&self, stat: &Stat) -> bool {
        stat.st_mode & 0o7777 == 0o755
            && self.owners.is_none_or(|owners| owners.above(0, 0) == (stat.st_uid, stat.st_gid))
    }

    /// Tells whether a member has marked this directory; an entry of its own stands for it.
    fn accounts_for_mark(&mut self, inode: u64, opened: &OwnedFd) -> bool {
        let by_member = self.seen.remove(&self.key(inode, b".wh..wh..opq")).is_some();
        // `x` only says that whiteouts in it are files; any other mark is the directory's own.
        by_member || attributes(opened).get(OPAQUE_MARK).is_some_and(|value| value == b"x")
    }
}

fn is_opaque(dir: &OwnedFd) -> bool {
    attributes(dir).contains_key(OPAQUE_MARK)
}

/// Looks for the mark that hides `name`; `None` if something of the layer itself stands there.
#[allow(clippy::option_option, reason = "no verdict, none that is bad, a bad one")]
fn whiteout(parent: &OwnedFd, name: &[u8]) -> Option<Option<String>> {
    let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
        return Some(Some("does not hide what lies below".to_owned()));
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if stat.st_rdev == 0 => Some(None),
        FileType::RegularFile if stat.st_size == 0 => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(parent, name, flags, Mode::empty()).ok()?;
            attributes(&file).contains_key("user.overlay.whiteout").then_some(None)
        }
        _ => None,
    }
}

/// Returns the extended attributes of an open file or directory.
fn attributes(file: &OwnedFd) -> HashMap<String, Vec<u8>> {
    let mut found = HashMap::new();
    let mut names = vec![0; 1024];
    let length = loop {
        match rustix::fs::flistxattr(file, &mut names[..]) {
            Err(Errno::RANGE) if names.len() < 1 << 17 => names.resize(names.len() * 4, 0),
            other => break other.unwrap_or(0),
        }
    };
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 1024];
        let length = loop {
            match rustix::fs::fgetxattr(file, name, &mut value[..]) {
                Err(Errno::RANGE) if value.len() < 1 << 17 => value.resize(value.len() * 4, 0),
                other => break other,
            }
        };
        if let Ok(length) = length {
            value.truncate(length);
            found.insert(String::from_utf8_lossy(name).into_owned(), value);
        }
    }
    found
}

/// Compares a file's bytes with the member's.
fn content<R: BufRead>(
    file: &OwnedFd,
    stat: &Stat,
    member: &Member,
    members: &mut Members<R>,
) -> Result<Option<String>> {
    if u64::try_from(stat.st_size).ok() != Some(member.size) {
        return Ok(Some(format!("has {} bytes and not {}", stat.st_size, member.size)));
    }
    let whole = [(0, member.size)];
    let regions = member.regions.as_deref().unwrap_or(&whole);
    let mut buffer = vec![0; BUFFER];
    let mut same = true;
    let mut regions = regions.iter().copied().filter(|(_, length)| *length > 0);
    let (mut offset, mut left) = regions.next().unwrap_or((0, 0));
    let mut end = 0;
    members.data(|mut chunk| {
        while !chunk.is_empty() && same {
            if left == 0 {
                (offset, left) = regions.next().context("find the place of its data")?;
            }
            same = same && (offset <= end || is_zero(file, end, offset, &mut buffer)?);
            let length = chunk.len().min(buffer.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut buffer[..length], offset))?;
            same = same && got > 0 && buffer[..got] == chunk[..got];
            chunk = &chunk[got..];
            offset += got as u64;
            left -= got as u64;
            end = offset;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    same = same && is_zero(file, end, member.size, &mut buffer)?;
    Ok((!same).then(|| "has other bytes than the archive".to_owned()))
}

/// Tells whether a file holds nothing but zeros in a range; holes are passed over.
fn is_zero(file: &OwnedFd, mut from: u64, to: u64, buffer: &mut [u8]) -> Result<bool> {
    while from < to {
        from = match rustix::fs::seek(file.as_fd(), rustix::fs::SeekFrom::Data(from)) {
            Ok(data) if data >= to => return Ok(true),
            Ok(data) => data,
            Err(Errno::NXIO) => return Ok(true),
            // A file system that knows no holes.
            Err(_) => from,
        };
        let length = buffer.len().min(usize::try_from(to - from).unwrap_or(usize::MAX));
        let got = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut buffer[..length], from))?;
        if got == 0 || buffer[..got].iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        from += got as u64;
    }
    Ok(true)
}

/// Returns what the file `owners` has for a member that cannot keep its owner itself (`unpack`, "Owners with a
/// single id").
fn record_text(member: &Member) -> String {
    let kind = match member.kind {
        Kind::File | Kind::HardLink => 0o100_000,
        Kind::Directory => 0o040_000,
        Kind::Symlink => 0o120_000,
        Kind::Character => 0o020_000,
        Kind::Block => 0o060_000,
        Kind::Fifo => 0o010_000,
    };
    let (major, minor) = member.device;
    format!("{}:{}:{:o}:{major}:{minor}", member.uid, member.gid, kind | member.mode)
}

/// Returns a path of an archive fit for a terminal.
fn show(path: &[u8]) -> String {
    format!("/{}", crate::image::unpack::show(path))
}
