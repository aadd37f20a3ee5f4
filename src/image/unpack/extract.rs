//! What each kind of member becomes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use nix::sched::CloneFlags;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::tree::{Directory, Found, Tree, look, whiteout};
use super::{Kind, Member, Members, Owners, path, show};
use crate::image::room::Room;
use crate::store::LayerRecord;

/// The attribute that keeps an owner that cannot be set.
pub use crate::idmap::OWNER;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Files of aufs itself, which old layers contain.
const AUFS: &[u8] = b".wh..wh.";
/// The most bytes that the file `owners` may have: it is made in memory.
const OWNERS_LIMIT: usize = 32 << 20;

/// A tree being filled from an archive.
#[derive(Debug)]
pub(super) struct Extraction {
    tree: Tree,
    owners: Owners,
    /// Whether new files get exactly the permissions they are made with.
    unmasked: bool,
    /// The records of the file `owners`, by path, and how many bytes they are.
    recorded: BTreeMap<Vec<u8>, String>,
    recorded_size: usize,
    room: Room,
    record: LayerRecord,
}

impl Extraction {
    /// Starts to fill the empty directory `tree`.
    pub(super) fn new(tree: &Path, owners: Owners) -> Result<Self> {
        let room = Room::of(tree)?;
        let owner = owners.differ().then(|| owners.above(0, 0));
        let tree = Tree::open(tree, owner)?;
        let root = tree.root();
        // What the store's own directories hand down must not get into the layer: default access control
        // lists, and the group of a set-group-id directory.
        let _ = rustix::fs::fremovexattr(&*root, "system.posix_acl_default");
        let _ = rustix::fs::fremovexattr(&*root, "system.posix_acl_access");
        if owners != Owners::Emulated {
            chown(root.as_fd(), b"", owners, (0, 0), &[])?;
        }
        root.owe_mode(0o755);
        // The mask belongs to the process, but a thread can have its own (unshare(2), CLONE_FS).
        let unmasked = nix::sched::unshare(CloneFlags::CLONE_FS).is_ok();
        if unmasked {
            nix::sys::stat::umask(nix::sys::stat::Mode::empty());
        }
        Ok(Self {
            tree,
            owners,
            unmasked,
            recorded: BTreeMap::new(),
            recorded_size: 0,
            room,
            record: LayerRecord::default(),
        })
    }

    /// Extracts one member; `members` has its data.
    pub(super) fn member<R: BufRead>(&mut self, member: &Member, members: &mut Members<R>) -> Result<()> {
        let Ok(path) = path::clean(&member.path) else {
            bail!("{:?} is outside of the layer", show(&member.path));
        };
        self.record.entries += 1;
        let (above, name) = path::split(&path);
        if name == OPAQUE {
            return self.tree.directory(above)?.hide_lower().with_context(|| extracting(&path));
        }
        if path.starts_with(AUFS) || name.starts_with(AUFS) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.whiteout(above, hidden).with_context(|| extracting(&path));
        }
        if path.is_empty() {
            if member.kind != Kind::Directory {
                bail!("extract {:?}: the root of a layer can only be a directory", show(&member.path));
            }
            let root = self.tree.root();
            return self.existing_directory(&root, b"", member).context("extract the root directory");
        }
        let parent = self.tree.directory(above)?;
        match member.kind {
            Kind::File => self.file(&parent, &path, name, member, members),
            Kind::Directory => self.directory(&parent, &path, name, member),
            Kind::HardLink => self.hard_link(&parent, &path, name, member),
            Kind::Symlink | Kind::Fifo => self.special(&parent, &path, name, member),
            Kind::Character | Kind::Block => self.device(&parent, &path, name, member),
        }
        .with_context(|| extracting(&path))
    }

    /// Sets what waited for the end, and writes the file `owners` if there is something to write.
    pub(super) fn finish(self, owners: &Path) -> Result<LayerRecord> {
        self.tree.finish().context("set the permissions and the time of a directory")?;
        if !self.recorded.is_empty() {
            let mut bytes = Vec::with_capacity(self.recorded_size);
            for (path, text) in &self.recorded {
                bytes.extend_from_slice(text.as_bytes());
                bytes.push(b' ');
                bytes.extend_from_slice(path);
                bytes.push(0);
            }
            std::fs::write(owners, bytes).with_context(|| format!("write {}", owners.display()))?;
        }
        Ok(self.record)
    }

    fn file<R: BufRead>(
        &mut self,
        parent: &Directory,
        path: &[u8],
        name: &[u8],
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<()> {
        // What a sparse file claims to have counts, though its holes take no room: it would when copied.
        self.room.take(member.size, "it")?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(member.mode & 0o777);
        let file = self.place(parent, path, name, || rustix::fs::openat(parent, name, flags, mode))?;
        match &member.regions {
            None => members.data(|chunk| write_all(&file, chunk))?,
            Some(regions) => write_regions(&file, regions, member.size, members)?,
        }
        self.record.size = self.record.size.saturating_add(member.size);
        self.owner_of_open(file.as_fd(), path, member, false)?;
        // Changing the owner and writing take the set-id bits away, so they come after both.
        if member.mode & 0o7000 != 0 || !self.unmasked {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(member.mode)).context("set its permissions")?;
        }
        attributes(file.as_fd(), member, self.owners)?;
        rustix::fs::futimens(&file, &times(member)).context("set its time")
    }

    fn directory(&mut self, parent: &Directory, path: &[u8], name: &[u8], member: &Member) -> Result<()> {
        let make = || rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(member.mode & 0o777 | 0o700));
        let mut known = false;
        let mut hides = false;
        match make() {
            Err(Errno::EXIST) => match look(parent, name)? {
                Found::Directory => known = true,
                found => {
                    self.clear(parent, path, name, found)?;
                    make()?;
                    hides = found == Found::Whiteout;
                }
            },
            other => other?,
        }
        let directory = self.tree.enter(parent, name, path).context("open it")?;
        if hides {
            directory.hide_lower()?;
        }
        let plain = (member.uid, member.gid) == (0, 0) && !self.owners.differ();
        if known || !plain || !member.attributes.is_empty() {
            return self.existing_directory(&directory, path, member);
        }
        directory.owe(member.mode, times(member));
        Ok(())
    }

    /// Gives a directory that may be filled already what a member says of it.
    fn existing_directory(&mut self, directory: &Rc<Directory>, path: &[u8], member: &Member) -> Result<()> {
        self.owner_of_open(directory.as_fd(), path, member, true)?;
        attributes(directory.as_fd(), member, self.owners)?;
        if member.attributes.iter().any(|(name, _)| name == b"system.posix_acl_default") {
            // From here on files may be made with fewer permissions than they are asked for.
            self.unmasked = false;
        }
        directory.owe(member.mode, times(member));
        Ok(())
    }

    fn hard_link(&mut self, parent: &Directory, path: &[u8], name: &[u8], member: &Member) -> Result<()> {
        let Ok(target) = path::clean(&member.link) else {
            bail!("invalid hardlink {:?} -> {:?}", show(&member.path), show(&member.link));
        };
        let (above, base) = path::split(&target);
        if base.is_empty() {
            bail!("invalid hardlink {:?} -> {:?}", show(&member.path), show(&member.link));
        }
        let linking = || format!("link it to {}", show(&target));
        let from = self.tree.existing(above).with_context(linking)?;
        let link = || rustix::fs::linkat(&*from, base, parent, name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) => {
                let stat = |dir: &Directory, name| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
                let (old, new) = (stat(&from, base).with_context(linking)?, stat(parent, name)?);
                if (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino) {
                    return Ok(());
                }
                let found = look(parent, name)?;
                self.clear(parent, path, name, found)?;
                link().with_context(linking)?;
            }
            other => other.with_context(linking)?,
        }
        if let Some(text) = self.recorded.get(&target).cloned() {
            self.record_owner(path, text)?;
        }
        Ok(())
    }

    /// Makes a symbolic link or a named pipe.
    fn special(&mut self, parent: &Directory, path: &[u8], name: &[u8], member: &Member) -> Result<()> {
        let mode = Mode::from_raw_mode(member.mode & 0o777);
        self.place(parent, path, name, || match member.kind {
            Kind::Symlink => rustix::fs::symlinkat(member.link.as_slice(), parent, name),
            _ => rustix::fs::mknodat(parent, name, FileType::Fifo, mode, 0),
        })?;
        let owner = (member.uid, member.gid);
        if owner != (0, 0) || self.owners.differ() {
            match self.owners {
                Owners::Emulated => self.note(path, member)?,
                owners => chown(parent.as_fd(), name, owners, owner, path)?,
            }
        }
        if member.kind == Kind::Fifo && !self.unmasked {
            // Nobody else writes here, so this is the pipe that was made above.
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
        }
        rustix::fs::utimensat(parent, name, &times(member), AtFlags::SYMLINK_NOFOLLOW).context("set its time")
    }

    fn device(&mut self, parent: &Directory, path: &[u8], name: &[u8], member: &Member) -> Result<()> {
        let found = look(parent, name)?;
        if found != Found::Nothing {
            self.clear(parent, path, name, found)?;
        }
        self.note(path, member)
    }

    fn whiteout(&mut self, above: &[u8], hidden: &[u8]) -> Result<()> {
        if matches!(hidden, b"" | b"." | b"..") {
            bail!("it hides no name");
        }
        let parent = self.tree.directory(above)?;
        match whiteout(&parent, hidden) {
            // It hides what the layers below have under this name, not what this layer has.
            Err(Errno::EXIST) if look(&parent, hidden)? == Found::Directory => {
                let below = [above, b"/", hidden].concat();
                let below = if above.is_empty() { hidden } else { &below };
                self.tree.enter(&parent, hidden, below).context("open it")?.hide_lower()
            }
            Err(Errno::EXIST) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Makes something new at `name`, after removing what stands there.
    fn place<T>(
        &mut self,
        parent: &Directory,
        path: &[u8],
        name: &[u8],
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                let found = look(parent, name)?;
                self.clear(parent, path, name, found)?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
    }

    fn clear(&mut self, parent: &Directory, path: &[u8], name: &[u8], found: Found) -> Result<()> {
        self.tree.remove(parent, name, found).context("remove what a later member replaces")?;
        if let Found::File(size) = found {
            self.record.size = self.record.size.saturating_sub(size);
        }
        self.forget(path);
        Ok(())
    }

    /// Sets or keeps the owner of an open file or directory. `known` if it may have another already.
    fn owner_of_open(
        &mut self,
        file: BorrowedFd<'_>,
        path: &[u8],
        member: &Member,
        known: bool,
    ) -> Result<()> {
        let plain = (member.uid, member.gid) == (0, 0);
        match self.owners {
            Owners::Mapped if plain && !known => Ok(()),
            Owners::Mapped | Owners::Kept(_) => chown(file, b"", self.owners, (member.uid, member.gid), path),
            Owners::Emulated if plain => {
                self.recorded.remove(path);
                if known {
                    let _ = rustix::fs::fremovexattr(file, OWNER);
                }
                Ok(())
            }
            Owners::Emulated => {
                let text = format!("{}:{}:{:o}", member.uid, member.gid, member.mode);
                match rustix::fs::fsetxattr(file, OWNER, text.as_bytes(), XattrFlags::empty()) {
                    // A file system without such attributes.
                    Err(Errno::OPNOTSUPP) => self.note(path, member),
                    other => other.context("keep its owner"),
                }
            }
        }
    }

    /// Writes a member down for the file `owners`.
    fn note(&mut self, path: &[u8], member: &Member) -> Result<()> {
        let kind = match member.kind {
            Kind::File | Kind::HardLink => 0o100_000,
            Kind::Directory => 0o040_000,
            Kind::Symlink => 0o120_000,
            Kind::Character => 0o020_000,
            Kind::Block => 0o060_000,
            Kind::Fifo => 0o010_000,
        };
        let (major, minor) = member.device;
        let mut text = String::new();
        let _ = write!(text, "{}:{}:{:o}:{major}:{minor}", member.uid, member.gid, kind | member.mode);
        self.record_owner(path, text)
    }

    fn record_owner(&mut self, path: &[u8], text: String) -> Result<()> {
        self.recorded_size += path.len() + text.len() + 2;
        if self.recorded_size > OWNERS_LIMIT {
            bail!("the layer has too many device nodes and links of others than root");
        }
        self.recorded.insert(path.to_vec(), text);
        Ok(())
    }

    /// Takes `path` and everything below it out of the records.
    fn forget(&mut self, path: &[u8]) {
        self.recorded.remove(path);
        let (mut from, mut to) = (path.to_vec(), path.to_vec());
        from.push(b'/');
        // The byte after the slash.
        to.push(b'0');
        let below: Vec<_> = self.recorded.range(from..to).map(|(known, _)| known.clone()).collect();
        for known in below {
            self.recorded.remove(&known);
        }
    }
}

fn extracting(path: &[u8]) -> String {
    format!("extract {}", show(path))
}

pub(super) fn times(member: &Member) -> Timestamps {
    let (seconds, nanoseconds) = member.modified;
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Changes the owner of `name` in `dir`, or with an empty name of `dir` itself, to what an archive says.
pub(super) fn chown(
    dir: BorrowedFd<'_>,
    name: &[u8],
    owners: Owners,
    (uid, gid): (u32, u32),
    path: &[u8],
) -> Result<()> {
    if uid == u32::MAX || gid == u32::MAX {
        bail!("it belongs to {uid}:{gid}, which is no owner");
    }
    let (of_file, group_of_file) = owners.above(uid, gid);
    let owner = (Some(Uid::from_raw(of_file)), Some(Gid::from_raw(group_of_file)));
    let done = if name.is_empty() {
        rustix::fs::fchown(dir, owner.0, owner.1)
    } else {
        rustix::fs::chownat(dir, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
    };
    match done {
        // The kernel's word for an id that the user namespace does not map (user_namespaces(7)).
        Err(Errno::INVAL) => bail!(
            "{} belongs to {uid}:{gid}, and these ids reach beyond this user's subordinate ids; \
             an administrator can assign more in /etc/subuid and /etc/subgid",
            if path.is_empty() { "/".to_owned() } else { show(path) }
        ),
        other => other.with_context(|| format!("change its owner to {uid}:{gid}")),
    }
}

/// Sets the extended attributes that an archive may set.
pub(super) fn attributes(file: BorrowedFd<'_>, member: &Member, owners: Owners) -> Result<()> {
    for (name, value) in &member.attributes {
        let reserved: [&[u8]; 3] = [b"user.overlay.", b"trusted.overlay.", b"user.coracle."];
        if reserved.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let translated = match owners {
            Owners::Kept(kept) => Some(kept.attribute_above(name, value)),
            Owners::Mapped | Owners::Emulated => None,
        };
        let value = translated.as_ref().unwrap_or(value);
        match rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
            // What this file system or this user cannot keep (`trusted.*`, labels of the host's security
            // module) is left out, as Docker does.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => {}
            Err(error) => return Err(error).with_context(|| format!("set its attribute {}", show(name))),
        }
    }
    Ok(())
}

pub(super) fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("write its content"),
        }
    }
    Ok(())
}

/// Writes the data regions of a sparse file where they belong.
pub(super) fn write_regions<R: BufRead>(
    file: &OwnedFd,
    regions: &[(u64, u64)],
    size: u64,
    members: &mut Members<R>,
) -> Result<()> {
    rustix::fs::ftruncate(file, size).context("set its length")?;
    let mut regions = regions.iter().copied().filter(|(_, length)| *length > 0);
    let (mut offset, mut left) = regions.next().unwrap_or((0, 0));
    members.data(|mut chunk| {
        while !chunk.is_empty() {
            if left == 0 {
                (offset, left) = regions.next().context("find the place of its data")?;
            }
            let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match rustix::io::pwrite(file, &chunk[..length], offset) {
                Ok(written) => {
                    chunk = &chunk[written..];
                    offset += written as u64;
                    left -= written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("write its content"),
            }
        }
        Ok::<_, anyhow::Error>(())
    })
}
