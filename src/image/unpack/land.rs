//! An archive unpacked among files that are there: `cp`.
//!
//! It lands in a directory of a living tree, so the rules are other than those of a layer, and those of
//! Docker's `cp` (moby `pkg/archive`, `Untar`): `.wh.` means nothing, what stands in the way of something
//! that is no directory is removed first, and a directory never takes the place of something else or the other
//! way round. Nothing is done to directories that are not named.
//!
//! Names are resolved in the root of the tree, as whoever lives in it would ([`super::tree`] has the theory): a
//! symbolic link that is there, or comes to be there meanwhile, means what it means inside, and leads nowhere
//! else.

use std::collections::HashMap;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use nix::sched::CloneFlags;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::extract::{OWNER, attributes, chown, times, write_all, write_regions};
use super::{Kind, Member, Members, Owners, path, show};

/// How many opened directories are kept.
const KEPT: usize = 64;

/// Where an archive lands.
#[derive(Debug, Clone, Copy)]
pub struct Landing<'a> {
    /// The root of the tree.
    pub root: BorrowedFd<'a>,
    /// The directory in it, without slashes at its ends.
    pub directory: &'a [u8],
    /// What an error calls that directory.
    pub shown: &'a str,
    /// Whose the files become.
    pub ownership: Ownership,
}

/// Whose files are that land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Those of whoever unpacks.
    Own,
    /// The tree's root's, who is whoever unpacks.
    Root,
    /// Those that the archive says.
    Told(Owners),
    /// This user's and group's.
    Given(Owners, u32, u32),
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Landed {
    /// How many device nodes were left out: nobody but the machine's root makes them.
    pub devices: u64,
}

/// An open directory, and whether it hands its group down.
#[derive(Debug)]
struct Dir {
    fd: OwnedFd,
    hands_down: bool,
}

struct Land<'a> {
    to: Landing<'a>,
    opened: HashMap<Vec<u8>, Rc<Dir>>,
    last: Option<(Vec<u8>, Rc<Dir>)>,
    /// The times that directories get when all is in them.
    due: Vec<(Vec<u8>, Timestamps)>,
    /// Whether new files get exactly the permissions they are made with.
    unmasked: bool,
    landed: Landed,
}

/// Unpacks an archive, and reads it to its very end. Changes the file mode mask of this thread.
pub fn land(input: impl BufRead, to: Landing<'_>) -> Result<Landed> {
    let unmasked = nix::sched::unshare(CloneFlags::CLONE_FS).is_ok();
    if unmasked {
        nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    }
    let mut land =
        Land { to, opened: HashMap::new(), last: None, due: Vec::new(), unmasked, landed: Landed::default() };
    let mut members = Members::new(input);
    while let Some(member) = members.next().context("read the archive")? {
        land.member(&member, &mut members)?;
    }
    members.finish().context("read the archive")?;
    land.settle()?;
    Ok(land.landed)
}

impl Land<'_> {
    fn member<R: BufRead>(&mut self, member: &Member, members: &mut Members<R>) -> Result<()> {
        let Ok(path) = path::clean(&member.path) else {
            bail!("{:?} is outside of {:?}", show(&member.path), self.to.shown);
        };
        if path.is_empty() {
            // The directory itself is there, and stays what it is.
            return Ok(());
        }
        let (above, name) = path::split(&path);
        let parent = self.directory(above)?;
        if member.kind == Kind::File
            && let Ok(file) = create(&parent, name, member)
        {
            // Nothing was in its way, as nearly always.
            let filled = self.fill(&file, &parent, &path, member, members);
            return filled.with_context(|| format!("write {}", self.shown(&path)));
        }
        let found = match rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error).with_context(|| format!("look at {}", self.shown(&path))),
        };
        let is_directory = found.as_ref().is_some_and(|stat| kind(stat) == FileType::Directory);
        if is_directory && member.kind != Kind::Directory {
            let (path, to) = (self.shown(&path), self.to.shown);
            bail!("cannot overwrite directory {path:?} with non-directory {to:?}");
        }
        if found.is_some() && !is_directory && member.kind == Kind::Directory {
            let (path, to) = (self.shown(&path), self.to.shown);
            bail!("cannot overwrite non-directory {path:?} with directory {to:?}");
        }
        let done = match member.kind {
            Kind::Directory => self.make_directory(&parent, &path, name, member, is_directory),
            Kind::File => self.file(&parent, &path, name, member, members, found.as_ref()),
            Kind::HardLink => self.hard_link(&parent, name, member, found.as_ref()),
            Kind::Symlink | Kind::Fifo => self.special(&parent, &path, name, member, found.as_ref()),
            Kind::Character | Kind::Block => {
                self.landed.devices += 1;
                Ok(())
            }
        };
        done.with_context(|| format!("write {}", self.shown(&path)))
    }

    fn make_directory(
        &mut self,
        parent: &Dir,
        path: &[u8],
        name: &[u8],
        member: &Member,
        known: bool,
    ) -> Result<()> {
        let mode = Mode::from_raw_mode(member.mode & 0o7777);
        if !known {
            rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(member.mode & 0o777))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent.fd, name, flags, Mode::empty()).context("open it")?;
        self.own(fd.as_fd(), path, member, known || parent.hands_down)?;
        attributes(fd.as_fd(), member, self.owners())?;
        if known || parent.hands_down || member.mode & 0o7000 != 0 || !self.unmasked {
            rustix::fs::fchmod(&fd, mode).context("set its permissions")?;
        }
        self.due.push((path.to_vec(), times(member)));
        self.last = Some((path.to_vec(), self.keep(path, fd)?));
        Ok(())
    }

    fn file<R: BufRead>(
        &mut self,
        parent: &Dir,
        path: &[u8],
        name: &[u8],
        member: &Member,
        members: &mut Members<R>,
        found: Option<&Stat>,
    ) -> Result<()> {
        let file = match make_room(parent, name, found) {
            // It can be written, and not replaced.
            Err(Errno::BUSY) if found.is_some_and(|stat| kind(stat) == FileType::RegularFile) => {
                let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let flags = flags | OFlags::TRUNC | OFlags::NONBLOCK;
                rustix::fs::openat(&parent.fd, name, flags, Mode::empty())?
            }
            other => {
                other.context("remove what it replaces")?;
                create(parent, name, member)?
            }
        };
        self.fill(&file, parent, path, member, members)
    }

    /// Writes a file that has just been made or emptied, and gives it all that the archive says of it.
    fn fill<R: BufRead>(
        &self,
        file: &OwnedFd,
        parent: &Dir,
        path: &[u8],
        member: &Member,
        members: &mut Members<R>,
    ) -> Result<()> {
        match &member.regions {
            None => members.data(|chunk| write_all(file, chunk))?,
            Some(regions) => write_regions(file, regions, member.size, members)?,
        }
        self.own(file.as_fd(), path, member, parent.hands_down)?;
        // Changing the owner and writing take the set-id bits away, so they come after both.
        if member.mode & 0o7000 != 0 || !self.unmasked {
            rustix::fs::fchmod(file, Mode::from_raw_mode(member.mode)).context("set its permissions")?;
        }
        attributes(file.as_fd(), member, self.owners())?;
        rustix::fs::futimens(file, &times(member)).context("set its time")
    }

    fn hard_link(&mut self, parent: &Dir, name: &[u8], member: &Member, found: Option<&Stat>) -> Result<()> {
        let invalid = || format!("invalid hardlink {:?} -> {:?}", show(&member.path), show(&member.link));
        let Ok(target) = path::clean(&member.link) else { bail!(invalid()) };
        let (above, base) = path::split(&target);
        if base.is_empty() {
            bail!(invalid());
        }
        let linking = || format!("link it to {}", show(&target));
        let from = self.directory(above).with_context(linking)?;
        let stat = rustix::fs::statat(&from.fd, base, AtFlags::SYMLINK_NOFOLLOW).with_context(linking)?;
        if found.is_some_and(|found| (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        make_room(parent, name, found).context("remove what it replaces")?;
        rustix::fs::linkat(&from.fd, base, &parent.fd, name, AtFlags::empty()).with_context(linking)
    }

    /// Makes a symbolic link or a named pipe.
    fn special(
        &mut self,
        parent: &Dir,
        path: &[u8],
        name: &[u8],
        member: &Member,
        found: Option<&Stat>,
    ) -> Result<()> {
        make_room(parent, name, found).context("remove what it replaces")?;
        let mode = Mode::from_raw_mode(member.mode & 0o777);
        match member.kind {
            Kind::Symlink => rustix::fs::symlinkat(member.link.as_slice(), &parent.fd, name)?,
            _ => rustix::fs::mknodat(&parent.fd, name, FileType::Fifo, mode, 0)?,
        }
        match self.to.ownership {
            Ownership::Told(owners) if owners != Owners::Emulated => {
                chown(parent.fd.as_fd(), name, owners, (member.uid, member.gid), path)?;
            }
            Ownership::Given(owners, uid, gid) if owners != Owners::Emulated => {
                chown(parent.fd.as_fd(), name, owners, (uid, gid), path)?;
            }
            Ownership::Root if parent.hands_down => {
                chown(parent.fd.as_fd(), name, Owners::Mapped, (0, 0), path)?;
            }
            // Nothing that is no file or directory can say whose it should be (xattr(7)).
            _ => {}
        }
        rustix::fs::utimensat(&parent.fd, name, &times(member), AtFlags::SYMLINK_NOFOLLOW)
            .context("set its time")
    }

    /// Returns how owners are said in the archive.
    fn owners(&self) -> Owners {
        match self.to.ownership {
            Ownership::Told(owners) | Ownership::Given(owners, ..) => owners,
            Ownership::Own | Ownership::Root => Owners::Mapped,
        }
    }

    /// Gives an open file or directory its owner. `known` if it may have another one than whoever makes files.
    fn own(&self, file: BorrowedFd<'_>, path: &[u8], member: &Member, known: bool) -> Result<()> {
        let (owners, uid, gid) = match self.to.ownership {
            Ownership::Root if known => return chown(file, b"", Owners::Mapped, (0, 0), path),
            Ownership::Own | Ownership::Root => return Ok(()),
            Ownership::Told(owners) => (owners, member.uid, member.gid),
            Ownership::Given(owners, uid, gid) => (owners, uid, gid),
        };
        if owners != Owners::Emulated {
            return chown(file, b"", owners, (uid, gid), path);
        }
        if (uid, gid) == (0, 0) {
            let _ = rustix::fs::fremovexattr(file, OWNER);
            return Ok(());
        }
        let text = format!("{uid}:{gid}:{:o}", member.mode);
        match rustix::fs::fsetxattr(file, OWNER, text.as_bytes(), XattrFlags::empty()) {
            // A file system without such attributes: there is only one user to belong to.
            Err(Errno::OPNOTSUPP) => Ok(()),
            other => other.context("keep its owner"),
        }
    }

    /// Gives directories their times, inner ones first.
    fn settle(&mut self) -> Result<()> {
        for (path, times) in std::mem::take(&mut self.due).into_iter().rev() {
            let dir = self.directory(&path)?;
            rustix::fs::futimens(&dir.fd, &times)
                .with_context(|| format!("set the time of {}", self.shown(&path)))?;
        }
        Ok(())
    }

    /// Opens a directory of the archive, making it and those above it where they are missing.
    fn directory(&mut self, path: &[u8]) -> Result<Rc<Dir>> {
        if let Some((known, dir)) = &self.last
            && known == path
        {
            return Ok(dir.clone());
        }
        let dir = if let Some(dir) = self.opened.get(path) {
            dir.clone()
        } else {
            let fd = match self.open(path) {
                Err(Errno::NOENT) if !path.is_empty() => {
                    let (above, name) = path::split(path);
                    let parent = self.directory(above)?;
                    let made = rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(0o755))
                        .and_then(|()| self.open(path))
                        .with_context(|| format!("create directory {}", self.shown(path)))?;
                    if self.owners().differ() {
                        chown(made.as_fd(), b"", self.owners(), (0, 0), path)?;
                    }
                    made
                }
                other => other.with_context(|| format!("open directory {}", self.shown(path)))?,
            };
            self.keep(path, fd)?
        };
        self.last = Some((path.to_vec(), dir.clone()));
        Ok(dir)
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut full = self.to.directory.to_vec();
        if !path.is_empty() {
            if !full.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(path);
        }
        if full.is_empty() {
            full.push(b'.');
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(self.to.root, full.as_slice(), flags, Mode::empty(), resolve) {
                // EAGAIN: something was renamed on the way, anywhere on the machine (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn keep(&mut self, path: &[u8], fd: OwnedFd) -> Result<Rc<Dir>, Errno> {
        if self.opened.len() >= KEPT {
            self.opened.clear();
        }
        let hands_down = rustix::fs::fstat(&fd)?.st_mode & 0o2000 != 0;
        let dir = Rc::new(Dir { fd, hands_down });
        self.opened.insert(path.to_vec(), dir.clone());
        Ok(dir)
    }

    fn shown(&self, path: &[u8]) -> String {
        format!("{}/{}", self.to.shown.trim_end_matches('/'), show(path))
    }
}

/// Makes a file where nothing is.
fn create(parent: &Dir, name: &[u8], member: &Member) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
    rustix::fs::openat(&parent.fd, name, flags, Mode::from_raw_mode(member.mode & 0o777))
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Removes what was found at `name`, which is no directory. What something is mounted on is busy.
fn make_room(parent: &Dir, name: &[u8], found: Option<&Stat>) -> Result<(), Errno> {
    if found.is_none() {
        return Ok(());
    }
    // A mount of another mount namespace would not keep the name from being removed, and go with it.
    let mount = |name: &[u8], flags| {
        rustix::fs::statx(&parent.fd, name, flags, StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id)
    };
    if mount(name, AtFlags::SYMLINK_NOFOLLOW)? != mount(b"", AtFlags::EMPTY_PATH)? {
        return Err(Errno::BUSY);
    }
    match rustix::fs::unlinkat(&parent.fd, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    fn archive(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        fill(&mut builder);
        builder.into_inner().unwrap()
    }

    fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, link: &str, data: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(if kind == tar::EntryType::Directory { 0o750 } else { 0o640 });
        header.set_mtime(1_700_000_000);
        // What `set_path` refuses is what a stranger would send.
        header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_ustar_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }

    fn send(root: &Path, directory: &str, bytes: &[u8]) -> Result<Landed> {
        let fd = fs::File::open(root).unwrap();
        let shown = format!("/{directory}");
        let directory = directory.as_bytes();
        land(bytes, Landing { root: fd.as_fd(), directory, shown: &shown, ownership: Ownership::Own })
    }

    #[test]
    fn lands_among_what_is_there() {
        use tar::EntryType::{Char, Directory, Link, Regular, Symlink};
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to");
        fs::create_dir_all(to.join("d")).unwrap();
        fs::write(to.join("d/old"), "old").unwrap();
        symlink("/outside", to.join("d/link")).unwrap();
        let bytes = archive(|builder| {
            add(builder, "./", Directory, "", b"");
            add(builder, "d/", Directory, "", b"");
            add(builder, "d/link", Regular, "", b"new");
            add(builder, "d/.wh.old", Regular, "", b"");
            add(builder, "d/again", Link, "d/link", b"");
            add(builder, "implied/deep/file", Regular, "", b"x");
            add(builder, "/absolute", Regular, "", b"x");
            add(builder, "s", Symlink, "../../x", b"");
            add(builder, "null", Char, "", b"");
        });
        assert_eq!(send(dir.path(), "to", &bytes).unwrap(), Landed { devices: 1 });
        assert_eq!(fs::read_to_string(to.join("d/link")).unwrap(), "new", "a link is replaced");
        assert_eq!(fs::read_to_string(to.join("d/old")).unwrap(), "old");
        assert!(to.join("d/.wh.old").is_file(), "the name means nothing here");
        let meta = fs::metadata(to.join("d/again")).unwrap();
        assert_eq!((meta.nlink(), meta.mode() & 0o7777, meta.mtime()), (2, 0o640, 1_700_000_000));
        let meta = fs::metadata(to.join("d")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o750, 1_700_000_000));
        assert_eq!(fs::metadata(to.join("implied/deep")).unwrap().mode() & 0o777, 0o755);
        assert!(to.join("absolute").is_file() && !to.join("null").exists());
        assert_ne!(fs::metadata(&to).unwrap().mtime(), 1_700_000_000, "the directory itself stays");
    }

    #[test]
    fn never_leaves_the_root() {
        use tar::EntryType::{Directory, Link, Regular, Symlink};
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("to")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        symlink(dir.path(), root.join("to/away")).unwrap();
        symlink("..", root.join("to/up")).unwrap();
        for (name, expected) in [
            ("../x", "\"../x\" is outside of \"/to\""),
            ("a/../../x", "is outside of"),
            ("away/x", "create directory /to/away"),
        ] {
            let bytes = archive(|builder| add(builder, name, Regular, "", b"x"));
            let error = format!("{:#}", send(&root, "to", &bytes).unwrap_err());
            assert!(error.contains(expected), "{name}: {error}");
        }
        let bytes = archive(|builder| add(builder, "up/x", Regular, "", b"x"));
        send(&root, "to", &bytes).unwrap();
        assert!(root.join("x").is_file(), "a link that is there means what it means inside");
        for link in ["../secret", "away/secret", "../../secret"] {
            let bytes = archive(|builder| add(builder, "stolen", Link, link, b""));
            send(&root, "to", &bytes).unwrap_err();
        }
        // A link of the archive's own leads nowhere either.
        let bytes = archive(|builder| {
            add(builder, "l", Symlink, dir.path().to_str().unwrap(), b"");
            add(builder, "l/x", Regular, "", b"x");
        });
        send(&root, "to", &bytes).unwrap_err();
        let bytes = archive(|builder| {
            add(builder, "l", Symlink, "../../..", b"");
            add(builder, "l/y", Regular, "", b"x");
        });
        send(&root, "to", &bytes).unwrap();
        assert!(root.join("y").is_file());
        let bytes = archive(|builder| add(builder, "to", Directory, "", b""));
        send(&root, "", &bytes).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is outside");
    }

    #[test]
    fn keeps_directories_and_other_things_apart() {
        use tar::EntryType::{Directory, Regular};
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("f"), "f").unwrap();
        let error = send(dir.path(), "", &archive(|b| add(b, "d", Regular, "", b"x"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot overwrite directory \"/d\" with non-directory \"/\"");
        let error = send(dir.path(), "", &archive(|b| add(b, "f/", Directory, "", b""))).unwrap_err();
        assert_eq!(error.to_string(), "cannot overwrite non-directory \"/f\" with directory \"/\"");
        fs::set_permissions(dir.path().join("d"), fs::Permissions::from_mode(0o500)).unwrap();
        send(dir.path(), "", &archive(|b| add(b, "d/", Directory, "", b""))).unwrap();
        assert_eq!(fs::metadata(dir.path().join("d")).unwrap().mode() & 0o777, 0o750);
    }
}
