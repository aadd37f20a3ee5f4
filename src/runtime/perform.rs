//! Performs the steps of a plan, in the new namespaces of the container.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::filesystem::Making;
use super::plan::{MountStep, Step, What};
use super::root::Root;
use super::{Tree, WindowSize, account, identity, rootfs, seed, stdio};
use crate::sys::mount::{self, Attributes, Depth};
use crate::sys::net;

/// What is known while the steps are performed.
#[derive(Debug, Default)]
pub(super) struct Stage<'a> {
    root: Option<Root>,
    /// An instance of `/proc` that no image can counterfeit.
    proc: Option<OwnedFd>,
    /// The container's own `/dev`, in which only we have made anything so far.
    dev: Option<OwnedFd>,
    /// The container's own terminals.
    devpts: Option<OwnedFd>,
    /// An empty, read-only directory to hide others with.
    nothing: Option<OwnedFd>,
    /// A copy of the host's `/dev/null` to hide files with.
    null: Option<OwnedFd>,
    /// Both ends of the terminal.
    pub(super) terminal: Option<stdio::Terminal>,
    /// How large it shall be.
    size: WindowSize,
    /// Mounts of other containers, attached nowhere yet.
    trees: &'a [Tree],
    /// The container's root, where this process is not it.
    pub(super) owner: Option<(u32, u32)>,
    /// The user's ids, where the container's root is somebody else.
    pub(super) user: Option<(u32, u32)>,
}

impl<'a> Stage<'a> {
    /// Begins with nothing mounted.
    pub(super) fn new(size: WindowSize, trees: &'a [Tree]) -> Self {
        Self { size, trees, ..Self::default() }
    }

    /// Performs one step.
    pub(super) fn perform(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Root(rootfs) => {
                self.root = Some(rootfs::mount(rootfs)?.owned_by(self.owner));
                Ok(())
            }
            Step::Account(account) => account::add(self.root()?, account),
            Step::Seed(seed) => seed::fill(seed, self.root()?)
                .with_context(|| format!("copy {} of the image", seed.path.display())),
            Step::Mount(step) => self.mount(step).with_context(|| format!("mount {}", step.target.display())),
            Step::Device(path) => {
                self.device(path).with_context(|| format!("show device {}", path.display()))
            }
            Step::Link { path, target } => {
                self.link(path, target).with_context(|| format!("make the link {}", path.display()))
            }
            Step::Console => self.console().context("open a terminal"),
            Step::Sysctl { name, value } => {
                self.sysctl(name, value).with_context(|| format!("set sysctl {name} to {value:?}"))
            }
            Step::WorkingDirectory(path) => {
                let made = self.root()?.make_directory(path);
                made.with_context(|| format!("make the working directory {}", path.display()))?;
                Ok(())
            }
            Step::Mask(path) => self.mask(path).with_context(|| format!("hide {}", path.display())),
            Step::ReadOnly(path) => {
                self.read_only(path).with_context(|| format!("make {} read-only", path.display()))
            }
            Step::RootAttributes(attributes, depth) => {
                let set = mount::set_attributes(self.root()?.as_fd(), *attributes, *depth);
                set.context("set the attributes of the root file system")
            }
            // What is to be said is said by who performs the steps.
            Step::Mounted => Ok(()),
            Step::Pivot => self.pivot().context("make the container's root the root"),
            Step::Hostname(name) => rustix::system::sethostname(name.as_bytes()).context("set the host name"),
            Step::Domainname(name) => {
                rustix::system::setdomainname(name.as_bytes()).context("set the domain name")
            }
            Step::Loopback => net::loopback_up().context("switch the loopback device on"),
        }
    }

    /// Returns the root. The plan mounts it first.
    pub(super) fn root(&self) -> Result<&Root> {
        self.root.as_ref().context("the root file system is not mounted")
    }

    fn mount(&mut self, step: &MountStep) -> Result<()> {
        let tree = match &step.what {
            What::Bind { source, depth } => self.bind(source, *depth)?,
            What::Tree { at } => self.tree(*at)?,
            What::Layers { layers, below } => rootfs::show(layers, below)?,
            What::FileSystem { kind, source, data } => file_system(kind, source, data, step.one.set)?,
        };
        let root = self.root()?;
        let is_directory = kind_of(&tree)? == FileType::Directory;
        let target = match &step.what {
            // What is written below these shall reach the kernel, and no file of the image.
            What::FileSystem { kind, .. } if kind == "proc" || kind == "sysfs" => {
                match root.find_plain(&step.target) {
                    Err(Errno::NOENT) => root.make_directory(&step.target)?,
                    Err(Errno::LOOP) => bail!("there is a symbolic link in the image"),
                    found => found?,
                }
            }
            _ if is_directory => root.make_directory(&step.target)?,
            _ => root.make_file(&step.target)?,
        };
        let target_is_directory = kind_of(&target)? == FileType::Directory;
        if is_directory != target_is_directory {
            bail!(
                "are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host \
                 path exists and is the expected type: not a directory"
            );
        }
        if is_on_proc(&target) && !PROC_FILES.iter().any(|file| step.target == Path::new(file)) {
            bail!("\"{}\" cannot be mounted because it is inside /proc", step.target.display());
        }
        if matches!(step.what, What::Bind { .. } | What::Tree { .. } | What::Layers { .. }) {
            for (attributes, depth) in [(step.one, Depth::One), (step.tree, Depth::Tree)] {
                set(&tree, attributes, depth)?;
            }
        }
        attach(&tree, &target)?;
        if matches!(step.what, What::FileSystem { .. }) {
            for (attributes, depth) in [(step.one, Depth::One), (step.tree, Depth::Tree)] {
                if attributes.propagation != 0 {
                    set(
                        &tree,
                        Attributes { propagation: attributes.propagation, ..Attributes::default() },
                        depth,
                    )?;
                }
            }
        }
        match &step.what {
            What::FileSystem { kind, .. } if kind == "proc" => self.proc = Some(tree),
            What::FileSystem { kind, .. } if kind == "devpts" => self.devpts = Some(tree),
            What::FileSystem { kind, .. } if kind == "tmpfs" && step.target == Path::new("/dev") => {
                self.dev = Some(tree);
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns a copy, attached nowhere, of what the user binds. Some file systems let only the user in, and not the
    /// container's root, whoever that is.
    fn bind(&self, source: &Path, depth: Depth) -> Result<OwnedFd> {
        let bound = clone_tree(source, depth);
        match (self.user, &bound) {
            (Some(user), Err(error)) if error.downcast_ref() == Some(&Errno::ACCESS) => {
                identity::reach_as(user, || clone_tree(source, depth))
            }
            _ => bound,
        }
    }

    /// Takes a mount that was brought from another container.
    fn tree(&self, at: usize) -> Result<OwnedFd> {
        let tree = self.trees.get(at).context("the mount was not brought along")?;
        tree.mount.try_clone().context("copy its descriptor")
    }

    fn device(&self, path: &Path) -> Result<()> {
        let tree = clone_device(path)?;
        let Some((dev, name)) = self.in_dev(path) else {
            return attach(&tree, &self.root()?.make_file(path)?);
        };
        match rustix::fs::mknodat(dev, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // A link that may have come to be there is not followed.
        rustix::mount::move_mount(&tree, "", dev, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .context("attach the mount")
    }

    /// Returns the container's own `/dev` and what `path` is called in it, if it is directly there.
    fn in_dev<'b>(&'b self, path: &'b Path) -> Option<(&'b OwnedFd, &'b OsStr)> {
        let dev = self.dev.as_ref()?;
        (path.parent() == Some(Path::new("/dev"))).then_some((dev, path.file_name()?))
    }

    fn link(&self, path: &Path, target: &str) -> Result<()> {
        let made = if let Some((dev, name)) = self.in_dev(path) {
            rustix::fs::symlinkat(target, dev, name)
        } else {
            let parent = self.root()?.make_directory(path.parent().unwrap_or(Path::new("/")))?;
            rustix::fs::symlinkat(target, &parent, path.file_name().unwrap_or(OsStr::new(".")))
        };
        match made {
            // Something else is mounted there.
            Err(Errno::EXIST) => Ok(()),
            result => Ok(result?),
        }
    }

    fn console(&mut self) -> Result<()> {
        let devpts = match &self.devpts {
            Some(devpts) => devpts.try_clone()?,
            None => self.root()?.find(Path::new("/dev/pts"))?,
        };
        let terminal = stdio::Terminal::open(devpts.as_fd(), self.size)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = rustix::mount::open_tree(&devpts, terminal.name.as_str(), flags)?;
        let target = self.root()?.make_file(Path::new("/dev/console"))?;
        attach(&tree, &target)?;
        self.terminal = Some(terminal);
        Ok(())
    }

    fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        if name.split(['.', '/']).any(|part| part.is_empty() || part == "..") {
            bail!("no such parameter");
        }
        // Dots separate, except that a slash may take their place where a name holds dots (sysctl(8)).
        let path = match name.find(['.', '/']).map(|at| name.as_bytes()[at]) {
            Some(b'/') => name.to_owned(),
            _ => name.replace('/', "\u{0}").replace('.', "/").replace('\u{0}', "."),
        };
        let path = format!("sys/{path}");
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = match &self.proc {
            Some(proc) => rustix::fs::openat(proc, &path, flags, Mode::empty())?,
            None => rustix::fs::openat(CWD, format!("/proc/{path}"), flags, Mode::empty())?,
        };
        rustix::io::write(file, value.as_bytes())?;
        Ok(())
    }

    fn mask(&mut self, path: &Path) -> Result<()> {
        let target = match self.root()?.find(path) {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if kind_of(&target)? != FileType::Directory {
            if let Some(null) = &self.null {
                return attach(&copy_of(null)?, &target);
            }
            let null = clone_device(Path::new("/dev/null"))?;
            attach(&null, &target)?;
            self.null = Some(null);
            return Ok(());
        }
        if let Some(nothing) = &self.nothing {
            return attach(&copy_of(nothing)?, &target);
        }
        let data = [("nr_blocks".to_owned(), Some("1".to_owned()))];
        let nothing = file_system("tmpfs", "tmpfs", &data, libc::MOUNT_ATTR_RDONLY)?;
        attach(&nothing, &target)?;
        self.nothing = Some(nothing);
        Ok(())
    }

    fn read_only(&self, path: &Path) -> Result<()> {
        let target = match self.root()?.find(path) {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE;
        let tree = rustix::mount::open_tree(&target, "", flags)?;
        set(&tree, Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() }, Depth::Tree)?;
        attach(&tree, &target)
    }

    fn pivot(&mut self) -> Result<()> {
        rustix::process::fchdir(self.root()?.as_fd())?;
        // With both names the same the old root comes to lie on the new one, and is taken off it again:
        // no directory for it is needed inside (pivot_root(2), "pivot_root(".", ".")").
        rustix::process::pivot_root(".", ".")?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        Ok(())
    }
}

/// What of `/proc` may be covered: figures of the machine, which lxcfs replaces by those of a container. The
/// rest is what programs, and we, believe of the kernel.
const PROC_FILES: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
];

fn is_on_proc(fd: &OwnedFd) -> bool {
    rustix::fs::fstatfs(fd).is_ok_and(|fs| fs.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

fn kind_of(fd: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

/// Returns a copy, attached nowhere, of the mounts at `source`.
fn clone_tree(source: &Path, depth: Depth) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if depth == Depth::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    match rustix::mount::open_tree(CWD, source, flags) {
        Err(Errno::INVAL) if depth == Depth::One => Err(anyhow!(
            "bind {} without the mounts below it: the kernel lets nobody but root look under them; bind it \
             recursively",
            source.display()
        )),
        result => result.with_context(|| format!("bind {}", source.display())),
    }
}

/// Returns a copy, attached nowhere, of a device of the host. What is written goes to the device all the
/// same, but its mode and owner cannot be changed, which are the host's, too.
fn clone_device(path: &Path) -> Result<OwnedFd> {
    let tree = clone_tree(path, Depth::One)?;
    set(&tree, Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() }, Depth::One)?;
    Ok(tree)
}

/// Returns one more copy of a single mount, or of the file that `fd` names.
fn copy_of(fd: &OwnedFd) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(rustix::mount::open_tree(fd, "", flags)?)
}

/// Makes a new instance of a file system, attached nowhere, with `MOUNT_ATTR_…` bits.
fn file_system(
    kind: &str,
    source: &str,
    data: &[(String, Option<String>)],
    attributes: u64,
) -> Result<OwnedFd> {
    let making = Making::begin(kind, source)?;
    for (key, value) in data {
        making.set(key, value.as_deref())?;
    }
    making.finish(attributes)
}

fn set(tree: &OwnedFd, attributes: Attributes, depth: Depth) -> Result<()> {
    if attributes != Attributes::default() {
        mount::set_attributes(tree.as_fd(), attributes, depth).context("set the attributes of the mount")?;
    }
    Ok(())
}

fn attach(tree: &OwnedFd, target: &OwnedFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags).context("attach the mount")
}

/// Tells whether the host has one hierarchy of control groups (cgroups(7), version 2).
pub(super) fn has_unified_cgroups() -> bool {
    const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
    rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|fs| fs.f_type.cast_unsigned() == CGROUP2_SUPER_MAGIC)
}

/// Sets how likely this process is to be killed when memory is short. Only root of the machine may lower it.
pub(super) fn set_oom_score_adj(score: i32) -> Result<()> {
    let path = "/proc/self/oom_score_adj";
    match fs::write(path, score.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let own = fs::read_to_string(path).unwrap_or_default();
            bail!(
                "set the OOM score to {score}: only root may lower it below this user's own, {}",
                own.trim()
            )
        }
        result => result.with_context(|| format!("write {path}")),
    }
}
