//! Going through one tree, or several that lie over each other, in the order of an archive.
//!
//! A directory that several trees have is opened in each, from the topmost down to the first that is
//! opaque or no directory; its names are merged. Redirections do not occur: with `userxattr` overlayfs makes
//! and follows none (kernel documentation, filesystems/overlayfs, "User xattr").
//!
//! The way down is a list and no recursion: how deep a tree is, its maker decides.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use super::Tree;
use super::header::Header;
use super::holes;
use super::output::Output;
use super::recorded::Record;
use crate::image::unpack::{OWNER, Owners, show};

const OPAQUE: &str = "user.overlay.opaque";
const WHITEOUT: &str = "user.overlay.whiteout";
/// The room for the names of a directory, in bytes.
pub(super) const NAMES: usize = 32 << 10;
/// The largest value of an attribute (xattr(7)).
const VALUE: usize = 64 << 10;

/// What the archive is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One tree with its whiteouts.
    Layer,
    /// What is seen through all trees.
    Merged,
    /// Files that are in no layer.
    Copy {
        /// Whether the id that stands for unknown ones becomes root's.
        nobody_is_root: bool,
        /// Whether the kernel's own file systems count as empty.
        spare_kernel: bool,
        /// Whether holes stay holes.
        sparse: bool,
    },
}

/// What the kernel shows for an id that the user namespace does not map.
const NOBODY: u32 = 65534;

/// A directory of one tree.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) tree: usize,
    pub(super) fd: OwnedFd,
    /// What its mark says: `y` hides the trees below, `x` says that files in it may be whiteouts.
    mark: Option<u8>,
}

/// A directory on the way down.
#[derive(Debug)]
struct Frame {
    path: Vec<u8>,
    dirs: Vec<Opened>,
    names: std::vec::IntoIter<(Vec<u8>, Found)>,
}

/// What a name is.
#[derive(Debug)]
pub(super) enum Found {
    /// A directory, in these of the opened ones.
    Directory(Vec<usize>),
    /// Something else, in this one.
    Other(usize, FileType),
    /// A device node that only the record of this one has.
    Recorded(usize),
    /// It is hidden from here on.
    Whiteout,
}

pub(super) struct Walk<'a, W> {
    trees: &'a [Tree],
    form: Form,
    owners: Owners,
    out: Output<W>,
    /// The first names of files that have several.
    links: HashMap<(usize, u64, u64), Vec<u8>>,
    stack: Vec<Frame>,
    /// The latest time that is written.
    not_after: Option<i64>,
    /// The bytes that parts of seconds have taken.
    parts: u64,
}

impl<'a, W: Write> Walk<'a, W> {
    /// Prepares to write an archive of `trees`, the topmost first.
    pub(super) fn new(trees: &'a [Tree], form: Form, owners: Owners, sink: W) -> Self {
        let out = Output::new(sink);
        Self { trees, form, owners, out, links: HashMap::new(), stack: Vec::new(), not_after: None, parts: 0 }
    }

    /// Writes no time after this one, in seconds since 1970.
    pub(super) fn not_after(self, not_after: Option<i64>) -> Self {
        Self { not_after, ..self }
    }

    /// Tells whether a directory that hides what is below ends the search for its names.
    fn ends_at_hiding(&self) -> bool {
        self.form == Form::Merged || self.form == Form::Layer && self.trees.len() > 1
    }

    /// Writes it.
    pub(super) fn run(mut self) -> Result<()> {
        raise_descriptor_limit();
        let mut roots = Vec::new();
        for (at, tree) in self.trees.iter().enumerate() {
            // A descriptor of its own, since the place in the list of names belongs to the descriptor.
            let fd = open_directory(tree.root.as_fd(), b".").context("open the root directory")?;
            let opened = Opened::new(at, fd);
            let ends = opened.hides();
            roots.push(opened);
            if ends && self.ends_at_hiding() {
                break;
            }
        }
        self.enter(Vec::new(), roots)?;
        self.go().map(|_| ())
    }

    /// Writes what is on the way down, and the end.
    fn go(mut self) -> Result<u64> {
        while let Some(frame) = self.stack.last_mut() {
            match frame.names.next() {
                Some((name, found)) => self.name(&name, found)?,
                None => {
                    self.stack.pop();
                }
            }
        }
        self.out.finish()?;
        Ok(self.parts)
    }

    /// Writes the name `name` of the tree's root under the name `top`, or the root itself.
    pub(super) fn run_one(mut self, name: Option<&[u8]>, top: &[u8]) -> Result<u64> {
        raise_descriptor_limit();
        let Some(tree) = self.trees.first() else { return Ok(0) };
        let root = open_directory(tree.root.as_fd(), b".").context("open the directory")?;
        match name {
            None => self.enter(top.to_vec(), vec![Opened { tree: 0, fd: root, mark: None }])?,
            Some(name) => {
                let packing = || format!("pack {}", show(top));
                let stat =
                    rustix::fs::statat(&root, name, AtFlags::SYMLINK_NOFOLLOW).with_context(packing)?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => {
                        let fd = open_directory(root.as_fd(), name).with_context(packing)?;
                        self.enter(top.to_vec(), vec![Opened { tree: 0, fd, mark: None }])?;
                    }
                    kind => {
                        let dirs = vec![Opened { tree: 0, fd: root, mark: None }];
                        let names = Vec::new().into_iter();
                        self.stack.push(Frame { path: Vec::new(), dirs, names });
                        self.other(0, name, top, kind).with_context(packing)?;
                    }
                }
            }
        }
        self.go()
    }

    /// Writes a directory and lists what is to be written next: its names.
    fn enter(&mut self, path: Vec<u8>, dirs: Vec<Opened>) -> Result<()> {
        let Some(top) = dirs.first() else { return Ok(()) };
        let writing = || format!("pack {}", show(&path));
        let stat = rustix::fs::fstat(&top.fd).with_context(writing)?;
        let attributes = attributes(top.fd.as_fd(), self.owners).with_context(writing)?;
        let (uid, gid) = self.owner(top.tree, &path, &stat, Some(top.fd.as_fd()));
        let plain = stat.st_mode & 0o7777 == 0o755 && (uid, gid) == (0, 0) && attributes.is_empty();
        let name = match path.as_slice() {
            b"" => b"./".to_vec(),
            b"/" => b"/".to_vec(),
            path => [path, b"/"].concat(),
        };
        if !(path.is_empty() && plain) {
            self.header(&Header {
                path: &name,
                kind: b'5',
                mode: stat.st_mode,
                uid,
                gid,
                modified: self.modified(&stat),
                attributes: &attributes,
                ..Header::default()
            })?;
        }
        if self.form == Form::Layer && dirs.iter().any(Opened::hides) {
            self.mark(&path, b".wh..opq")?;
        }
        let spared = matches!(self.form, Form::Copy { spare_kernel: true, .. }) && is_kernels(&top.fd);
        let names = if spared { Vec::new() } else { self.list(&path, &dirs).with_context(writing)? };
        self.stack.push(Frame { path, dirs, names: names.into_iter() });
        Ok(())
    }

    /// Lists the names in a directory, sorted.
    fn list(&self, path: &[u8], dirs: &[Opened]) -> Result<Vec<(Vec<u8>, Found)>> {
        // Each name with what it is, and whether the trees below can still add to it.
        let mut names: BTreeMap<Vec<u8>, (Found, bool)> = BTreeMap::new();
        let mut room = vec![MaybeUninit::uninit(); NAMES];
        for (at, opened) in dirs.iter().enumerate() {
            let mut entries = RawDir::new(&opened.fd, &mut room);
            while let Some(entry) = entries.next() {
                let entry = entry.context("read the directory")?;
                let name = entry.file_name().to_bytes();
                let left_out = &self.trees[opened.tree].left_out;
                if matches!(name, b"." | b"..")
                    || !left_out.is_empty() && left_out.contains(&join(path, name))
                {
                    continue;
                }
                let Some(found) = opened.look(at, name, entry.file_type())? else { continue };
                match names.get_mut(name) {
                    None => {
                        let open = matches!(found, Found::Directory(_));
                        names.insert(name.to_vec(), (found, open));
                    }
                    Some((Found::Directory(parts), open @ true)) => match found {
                        Found::Directory(_) => parts.push(at),
                        _ => *open = false,
                    },
                    Some(_) => {}
                }
            }
            for name in self.trees[opened.tree].recorded.devices(path) {
                let (_, open) = names.entry(name.to_vec()).or_insert((Found::Recorded(at), false));
                *open = false;
            }
        }
        Ok(names.into_iter().map(|(name, (found, _))| (name, found)).collect())
    }

    /// Writes one name of the directory at the top of the stack.
    fn name(&mut self, name: &[u8], found: Found) -> Result<()> {
        let Some(frame) = self.stack.last() else { return Ok(()) };
        let path = join(&frame.path, name);
        match found {
            Found::Directory(parts) => {
                let mut dirs = Vec::new();
                for at in parts {
                    let above = &frame.dirs[at];
                    match open_directory(above.fd.as_fd(), name) {
                        Ok(fd) if self.is_copy() => dirs.push(Opened { tree: above.tree, fd, mark: None }),
                        Ok(fd) => dirs.push(Opened::new(above.tree, fd)),
                        // It went while we came.
                        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                        Err(error) => return Err(error).with_context(|| format!("open {}", show(&path))),
                    }
                    if self.ends_at_hiding() && dirs.last().is_some_and(Opened::hides) {
                        break;
                    }
                }
                self.enter(path, dirs)
            }
            Found::Other(at, kind) => {
                self.other(at, name, &path, kind).with_context(|| format!("pack {}", show(&path)))
            }
            Found::Recorded(at) => {
                let tree = frame.dirs[at].tree;
                match self.trees[tree].recorded.find(&frame.path, name) {
                    Some(record) => self.recorded(&path, record),
                    None => Ok(()),
                }
            }
            Found::Whiteout if self.is_copy() => self
                .other(0, name, &path, FileType::CharacterDevice)
                .with_context(|| format!("pack {}", show(&path))),
            Found::Whiteout if self.form == Form::Layer => {
                let dir = frame.path.clone();
                self.mark(&dir, name)
            }
            Found::Whiteout => Ok(()),
        }
    }

    /// Writes what is no directory.
    fn other(&mut self, at: usize, name: &[u8], path: &[u8], kind: FileType) -> Result<()> {
        let Some(frame) = self.stack.last() else { return Ok(()) };
        let (dir, tree) = (frame.dirs[at].fd.as_fd(), frame.dirs[at].tree);
        let mut file = None;
        let mut link = Vec::new();
        let looked = match kind {
            FileType::RegularFile => {
                // What is no regular file any more must not make us wait.
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                rustix::fs::openat(dir, name, flags, Mode::empty()).and_then(|opened| {
                    let stat = rustix::fs::fstat(&opened)?;
                    file = Some(opened);
                    Ok(stat)
                })
            }
            FileType::Symlink => rustix::fs::readlinkat(dir, name, Vec::new()).and_then(|target| {
                link = target.into_bytes();
                rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
            }),
            _ => rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW),
        };
        let stat = match looked {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == kind => stat,
            // It went, or became something else, while we came.
            Ok(_) | Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::INVAL) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let kind = match kind {
            FileType::RegularFile => b'0',
            FileType::Symlink => b'2',
            FileType::CharacterDevice => b'3',
            FileType::BlockDevice => b'4',
            FileType::Fifo => b'6',
            _ => return Ok(()),
        };
        let attributes =
            file.as_ref().map_or_else(|| Ok(Vec::new()), |file| attributes(file.as_fd(), self.owners))?;
        let (uid, gid) = self.owner(tree, path, &stat, file.as_ref().map(AsFd::as_fd));
        let mut header = Header {
            path,
            link: &link,
            kind,
            mode: stat.st_mode,
            uid,
            gid,
            modified: self.modified(&stat),
            attributes: &attributes,
            ..Header::default()
        };
        if matches!(kind, b'3' | b'4') {
            header.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        }
        let counts = self.is_copy();
        if stat.st_nlink > 1 {
            let key = (tree, stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                let again = Header { kind: b'1', link: first, attributes: &[], ..header };
                if counts {
                    self.parts += again.parts();
                }
                return self.out.header(&again);
            }
            self.links.insert(key, path.to_vec());
        }
        if let Some(file) = &file {
            header.size = u64::try_from(stat.st_size).unwrap_or(0);
            if matches!(self.form, Form::Copy { sparse: true, .. })
                && let Some(regions) = holes::regions(file, &stat)
            {
                return self.sparse(&header, file, &regions);
            }
            self.header(&header)?;
            self.out.file(file.as_fd(), header.size)?;
            return Ok(());
        }
        self.header(&header)
    }

    fn header(&mut self, header: &Header<'_>) -> Result<()> {
        if self.is_copy() {
            self.parts += header.parts();
        }
        self.out.header(header)
    }

    /// Writes a file that has holes, in the form 1.0 of GNU tar: a map of its data comes first.
    fn sparse(&mut self, header: &Header<'_>, file: &OwnedFd, regions: &[(u64, u64)]) -> Result<()> {
        let map = holes::map(regions);
        let data: u64 = regions.iter().map(|(_, length)| length).sum();
        let size = map.len() as u64 + data;
        self.header(&Header { sparse: Some(header.size), size, ..header.clone() })?;
        self.out.write_all(&map).context("write the archive")?;
        for (offset, length) in regions {
            rustix::fs::seek(file, rustix::fs::SeekFrom::Start(*offset)).context("read it")?;
            self.out.part(file.as_fd(), *length)?;
        }
        self.out.pad(size)
    }

    fn is_copy(&self) -> bool {
        matches!(self.form, Form::Copy { .. })
    }

    /// Returns the time of modification that is written.
    fn modified(&self, stat: &Stat) -> (i64, u32) {
        if let Some(latest) = self.not_after.filter(|latest| stat.st_mtime >= *latest) {
            return (latest, 0);
        }
        // Docker's archives of copies have no parts of seconds, nor have ours that others read.
        let is_shown = matches!(self.form, Form::Copy { sparse: false, .. });
        let parts = if is_shown { 0 } else { stat.st_mtime_nsec };
        (stat.st_mtime, u32::try_from(parts).unwrap_or(0))
    }

    /// Writes a device node that stands in a record only.
    fn recorded(&mut self, path: &[u8], record: Record) -> Result<()> {
        let kind = if record.mode & 0o170_000 == 0o060_000 { b'4' } else { b'3' };
        self.out.header(&Header {
            path,
            kind,
            mode: record.mode,
            uid: record.uid,
            gid: record.gid,
            device: record.device,
            ..Header::default()
        })
    }

    /// Writes the empty file that says that `name` of the layers below is hidden.
    fn mark(&mut self, dir: &[u8], name: &[u8]) -> Result<()> {
        let path = join(dir, &[b".wh.", name].concat());
        self.out.header(&Header { path: &path, kind: b'0', ..Header::default() })
    }

    /// Returns the owner of what lies at `path` in a tree.
    fn owner(&self, tree: usize, path: &[u8], stat: &Stat, file: Option<BorrowedFd<'_>>) -> (u32, u32) {
        let (uid, gid) = self.trees[tree].owner(self.owners, path, stat, file);
        let known = |id, found| match self.form {
            Form::Copy { nobody_is_root: true, .. } if found == NOBODY => 0,
            _ => id,
        };
        (known(uid, stat.st_uid), known(gid, stat.st_gid))
    }
}

impl Tree {
    /// Returns the owner of what lies at `path`, which is open as `file` if it is a file or a directory.
    pub(super) fn owner(
        &self,
        owners: Owners,
        path: &[u8],
        stat: &Stat,
        file: Option<BorrowedFd<'_>>,
    ) -> (u32, u32) {
        if owners != Owners::Emulated {
            return owners.within(stat.st_uid, stat.st_gid);
        }
        let mut value = [0; 64];
        let kept = file.and_then(|file| {
            let length = rustix::fs::fgetxattr(file, OWNER, &mut value).ok()?;
            let mut fields = std::str::from_utf8(&value[..length]).ok()?.split(':');
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        let (dir, name) = crate::image::unpack::split(path);
        kept.or_else(|| self.recorded.find(dir, name).map(|record| (record.uid, record.gid)))
            .unwrap_or((0, 0))
    }
}

impl Opened {
    /// Takes an open directory of a tree.
    pub(super) fn new(tree: usize, fd: OwnedFd) -> Self {
        let mut value = [0; 1];
        let mark = match rustix::fs::fgetxattr(&fd, OPAQUE, &mut value) {
            Ok(1) => Some(value[0]),
            _ => None,
        };
        Self { tree, fd, mark }
    }

    /// Tells whether it hides what the trees below have under its name.
    pub(super) fn hides(&self) -> bool {
        self.mark == Some(b'y')
    }

    /// Tells what `name` in it is; nothing if it went meanwhile. `at` is this directory's own place.
    pub(super) fn look(&self, at: usize, name: &[u8], listed: FileType) -> Result<Option<Found>> {
        let doubtful = match listed {
            FileType::Unknown | FileType::CharacterDevice => true,
            FileType::RegularFile => self.mark == Some(b'x'),
            _ => false,
        };
        let mut kind = listed;
        if doubtful {
            let stat = match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(error).with_context(|| format!("look at {}", show(name))),
            };
            kind = FileType::from_raw_mode(stat.st_mode);
            if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
                return Ok(Some(Found::Whiteout));
            }
            if kind == FileType::RegularFile && self.mark == Some(b'x') && stat.st_size == 0 {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let hides = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
                    .and_then(|file| rustix::fs::fgetxattr(file, WHITEOUT, &mut [0u8; 8][..]));
                if hides.is_ok() {
                    return Ok(Some(Found::Whiteout));
                }
            }
        }
        Ok(Some(match kind {
            FileType::Directory => Found::Directory(vec![at]),
            kind => Found::Other(at, kind),
        }))
    }
}

/// Allows as many open files as this process may: each directory on the way down is open in each tree.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where this fails, the old limit is enough for most trees.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Tells whether a directory shows the kernel and no files.
fn is_kernels(fd: &OwnedFd) -> bool {
    // statfs(2) lists them: proc, sysfs, cgroup2, cgroup, devpts, mqueue, debugfs, tracefs, bpf, securityfs.
    const KINDS: [u64; 10] = [
        0x9fa0,
        0x6265_6572,
        0x6367_7270,
        0x27_e0eb,
        0x1cd1,
        0x1980_0202,
        0x6462_6720,
        0x7472_6163,
        0xcafe_4a11,
        0x7363_6673,
    ];
    rustix::fs::fstatfs(fd).is_ok_and(|fs| KINDS.contains(&fs.f_type.cast_unsigned()))
}

pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir {
        b"" => name.to_vec(),
        b"/" => [dir, name].concat(),
        dir => [dir, b"/", name].concat(),
    }
}

/// Returns the attributes that go into an archive, sorted by name.
fn attributes(file: BorrowedFd<'_>, owners: Owners) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut names = [0; 1024];
    let listed = match rustix::fs::flistxattr(file, &mut names) {
        // A file system without attributes.
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(found),
        Ok(length) => names[..length].to_vec(),
        Err(Errno::RANGE) => {
            let mut names = vec![0; VALUE];
            let length = rustix::fs::flistxattr(file, &mut names).context("list its attributes")?;
            names.truncate(length);
            names
        }
        Err(error) => return Err(error).context("list its attributes"),
    };
    for name in listed.split(|byte| *byte == 0).filter(|name| belongs(name)) {
        let mut value = vec![0; VALUE];
        match rustix::fs::fgetxattr(file, name, &mut value) {
            Ok(length) => {
                value.truncate(length);
                if let Owners::Kept(kept) = owners {
                    value = kept.attribute_within(name, value);
                }
                found.push((name.to_vec(), value));
            }
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error).with_context(|| format!("read its attribute {}", show(name))),
        }
    }
    found.sort();
    Ok(found)
}

/// Tells whether an attribute goes into an archive. A PAX header has no way to write a name with `=`.
fn belongs(name: &[u8]) -> bool {
    if name == b"security.capability" {
        return true;
    }
    let own: [&[u8]; 2] = [b"user.overlay.", b"user.coracle."];
    name.starts_with(b"user.") && !own.iter().any(|prefix| name.starts_with(prefix)) && !name.contains(&b'=')
}
