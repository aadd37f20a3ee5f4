//! The digest of files that a step reads, and what is remembered of files so that they are not read again.
//!
//! A file of a context is known by its path, and is taken to be unchanged as long as size, inode, and the times of
//! modification and of change are the same. Every change of a file moves the latter, but for the grain of the
//! clock: files that have changed just now are not remembered.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rustix::fs::{FileType, OFlags};

use super::pick::{Found, Meta, Named, open};
use crate::oci::{Digest, Hasher};
use crate::runtime::root::Root;

/// What the file of remembered digests begins with.
const MAGIC: &[u8] = b"coracle contexts 1\n";
/// How long ago a file must have changed to be remembered.
const GRAIN: Duration = Duration::from_millis(100);
/// The room to read files with.
const BUFFER: usize = 128 << 10;

/// Whose the files count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Root's: those of contexts.
    Root,
    /// Those that the files have.
    Own,
    /// They are given.
    Given,
}

/// The digests of the files of one directory, by their paths.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    file: Option<PathBuf>,
    known: BTreeMap<Vec<u8>, (Mark, Digest)>,
    changed: bool,
}

/// What a file is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    fn of(meta: &Meta) -> Self {
        Self { size: meta.size, inode: meta.id.1, modified: meta.modified, changed: meta.changed }
    }
}

impl Remembered {
    /// Loads what is remembered of the directory `of`, kept in the directory `kept`.
    pub(super) fn load(kept: &Path, of: &Path) -> Self {
        let file = kept.join(Digest::of(of.as_os_str().as_bytes()).hex());
        let known = fs::read(&file).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Self { file: Some(file), known, changed: false }
    }

    /// Writes down what is new. What cannot be written is found out again.
    pub(super) fn save(&mut self) {
        let (Some(file), true) = (&self.file, self.changed) else { return };
        let mut bytes = MAGIC.to_vec();
        for (path, (mark, digest)) in &self.known {
            let Ok(length) = u32::try_from(path.len()) else { continue };
            bytes.extend(length.to_le_bytes());
            bytes.extend(path);
            for number in [mark.size, mark.inode] {
                bytes.extend(number.to_le_bytes());
            }
            for number in [mark.modified.0, mark.modified.1, mark.changed.0, mark.changed.1] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(digest.hex().as_bytes());
        }
        let new = file.with_extension(format!("new-{}", std::process::id()));
        if fs::write(&new, bytes).and_then(|()| fs::rename(&new, file)).is_err() {
            let _ = fs::remove_file(&new);
        }
        self.changed = false;
    }
}

fn parse(bytes: &[u8]) -> Option<BTreeMap<Vec<u8>, (Mark, Digest)>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut known = BTreeMap::new();
    while !rest.is_empty() {
        let mut take = |length: usize| {
            let (taken, left) = rest.split_at_checked(length)?;
            rest = left;
            Some(taken)
        };
        let length = u32::from_le_bytes(take(4)?.try_into().ok()?);
        let path = take(usize::try_from(length).ok()?)?.to_vec();
        let mut number = || Some(u64::from_le_bytes(take(8)?.try_into().ok()?));
        let (size, inode) = (number()?, number()?);
        let mut signed = || Some(number()?.cast_signed());
        let mark = Mark { size, inode, modified: (signed()?, signed()?), changed: (signed()?, signed()?) };
        let digest = Digest::from_hex(std::str::from_utf8(take(64)?).ok()?).ok()?;
        known.insert(path, (mark, digest));
    }
    Some(known)
}

/// Returns the digest of all that was named: paths below what is named, kinds, permissions, owners, targets of links,
/// bytes.
pub(super) fn digest(
    root: &Root,
    named: &[Named],
    owner: Owner,
    remembered: Option<&Mutex<Remembered>>,
) -> Result<Digest> {
    let all: Vec<&Found> = named.iter().flat_map(|named| &named.found).collect();
    let contents = files(root, &all, remembered)?;
    let mut hasher = Hasher::new();
    let mut at = 0;
    for named in named {
        let is_directory = named.is_directory();
        // The name of a file is that of the copy; the content of a directory is copied without the name.
        if !is_directory {
            let name = named.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            field(&mut hasher, b"name", name);
        }
        for found in &named.found {
            let content = contents.get(at).copied().flatten();
            at += 1;
            let meta = &found.meta;
            field(&mut hasher, b"path", &found.at);
            field(&mut hasher, b"mode", format!("{:?} {:o}", meta.kind, meta.mode).as_bytes());
            let (uid, gid) = match owner {
                Owner::Root => (0, 0),
                Owner::Own => (meta.uid, meta.gid),
                Owner::Given => (u32::MAX, u32::MAX),
            };
            field(&mut hasher, b"owner", format!("{uid}:{gid}").as_bytes());
            match meta.kind {
                FileType::Symlink => {
                    let link = open(root, &found.path, OFlags::PATH).context("open a symbolic link")?;
                    let target =
                        rustix::fs::readlinkat(link, "", Vec::new()).context("read a symbolic link")?;
                    field(&mut hasher, b"link", target.as_bytes());
                }
                FileType::CharacterDevice | FileType::BlockDevice => {
                    field(&mut hasher, b"device", meta.device.to_string().as_bytes());
                }
                _ => {}
            }
            if let Some(content) = content {
                field(&mut hasher, b"content", content.hex().as_bytes());
            }
        }
        field(&mut hasher, b"end", b"");
    }
    Ok(hasher.finish())
}

fn field(hasher: &mut Hasher, key: &[u8], value: &[u8]) {
    hasher.update(key);
    hasher.update(&(value.len() as u64).to_le_bytes());
    hasher.update(value);
}

/// Returns the digests of the bytes of files, `None` for what is no file; reads those that are not remembered, side
/// by side.
fn files(root: &Root, all: &[&Found], remembered: Option<&Mutex<Remembered>>) -> Result<Vec<Option<Digest>>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut digests: Vec<Option<Digest>> = vec![None; all.len()];
    let mut unknown = Vec::new();
    {
        let known = remembered.map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
        for (at, found) in all.iter().enumerate() {
            if found.meta.kind != FileType::RegularFile {
                continue;
            }
            let kept = known.as_ref().and_then(|known| known.known.get(&found.path));
            match kept {
                Some((mark, digest)) if *mark == Mark::of(&found.meta) => digests[at] = Some(*digest),
                _ => unknown.push(at),
            }
        }
    }
    if unknown.is_empty() {
        return Ok(digests);
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Digest)>> {
        let mut made = Vec::new();
        let mut buffer = vec![0; BUFFER];
        while let Some(&at) = unknown.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = &all[at].path;
            let read = || format!("read /{}", String::from_utf8_lossy(path));
            let file = open(root, path, OFlags::RDONLY | OFlags::NONBLOCK).with_context(read)?;
            made.push((at, hash(&file, &mut buffer).with_context(read)?));
        }
        Ok(made)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8).min(unknown.len() / 64 + 1);
    let made = thread::scope(|scope| {
        let others: Vec<_> =
            (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let mut all = vec![work()];
        all.extend(
            others.into_iter().map(|it| it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
        );
        all
    });
    let mut known = remembered.map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
    for made in made {
        for (at, digest) in made? {
            digests[at] = Some(digest);
            let meta = &all[at].meta;
            let (seconds, parts) = meta.changed;
            let changed =
                Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(parts).unwrap_or(0));
            if let Some(known) = &mut known
                && changed + GRAIN < now
            {
                known.known.insert(all[at].path.clone(), (Mark::of(meta), digest));
                known.changed = true;
            }
        }
    }
    Ok(digests)
}

fn hash(file: &OwnedFd, buffer: &mut [u8]) -> Result<Digest> {
    let mut hasher = Hasher::new();
    loop {
        match rustix::io::read(file.as_fd(), &mut *buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Adds up the files that lie in a tree, each with several names once, and counts what is there.
pub(in crate::build) fn measure(tree: &Path) -> Result<(u64, u64)> {
    let mut waiting = vec![tree.to_owned()];
    let mut seen = std::collections::HashSet::new();
    let (mut size, mut entries) = (0, 0);
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))? {
            let entry = entry.with_context(|| format!("read {}", dir.display()))?;
            entries += 1;
            let kind = entry.file_type().with_context(|| format!("look into {}", dir.display()))?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() {
                use std::os::unix::fs::MetadataExt as _;
                let meta = entry.metadata().with_context(|| format!("look into {}", dir.display()))?;
                if meta.nlink() == 1 || seen.insert((meta.dev(), meta.ino())) {
                    size += meta.len();
                }
            }
        }
    }
    Ok((size, entries))
}

/// Returns a path as the operating system has it.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests {
    use super::super::pick::select;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn counts_all_but_times_and_reads_what_changed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/one"), "1").unwrap();
        fs::write(at("d/two"), "2").unwrap();
        let root = Root::open(dir.path()).unwrap();
        let of = || {
            let remembered = Mutex::new(Remembered::load(kept.path(), dir.path()));
            let digest =
                digest(&root, &select(&root, "d", None, None).unwrap(), Owner::Root, Some(&remembered))
                    .unwrap();
            remembered.lock().unwrap().save();
            digest
        };
        let first = of();
        let old = fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(5));
        fs::File::options().write(true).open(at("d/one")).unwrap().set_times(old).unwrap();
        assert_eq!(of(), first, "times do not count");
        fs::rename(at("d"), at("e")).unwrap();
        let renamed = select(&root, "e", None, None).unwrap();
        assert_eq!(digest(&root, &renamed, Owner::Root, None).unwrap(), first, "nor the directory's name");
        fs::rename(at("e"), at("d")).unwrap();
        fs::set_permissions(at("d/one"), fs::Permissions::from_mode(0o755)).unwrap();
        let second = of();
        assert_ne!(second, first);
        fs::write(at("d/one"), "x").unwrap();
        let third = of();
        assert_ne!(third, second);
        fs::rename(at("d/two"), at("d/three")).unwrap();
        assert_ne!(of(), third);
        thread::sleep(GRAIN * 2);
        let fourth = of();
        let mut remembered = Remembered::load(kept.path(), dir.path());
        assert_eq!(remembered.known.len(), 2, "by now they are");
        // What is remembered is believed.
        remembered.known.values_mut().for_each(|(_, digest)| *digest = Digest::of(b"other"));
        remembered.changed = true;
        remembered.save();
        assert_ne!(of(), fourth);
        fs::write(at("d/one"), "y").unwrap();
        fs::write(at("d/three"), "2").unwrap();
        let fifth = of();
        fs::write(at("d/one"), "x").unwrap();
        assert_ne!(of(), fifth);
    }
}
