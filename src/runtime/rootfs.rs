//! The root file system: an overlay of layers or a directory, mounted aside from everything else.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::RootFs;
use super::filesystem::Making;
use super::root::Root;
use crate::sys::mount::{self, Attributes, Depth};

/// Mounts the root file system and returns it open.
///
/// It is mounted on a directory of its own that nobody else looks at: in this mount namespace it must be
/// attached somewhere, so that more can be mounted inside it and it can become the root.
pub(super) fn mount(rootfs: &RootFs) -> Result<Root> {
    let (mounted, place) = match rootfs {
        RootFs::Overlay { lower, upper, work, scratch } => {
            if *scratch {
                forget_volatility(work)?;
            }
            (overlay(lower, upper, work, *scratch).context("mount overlay")?, upper)
        }
        RootFs::Directory(path) => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_RECURSIVE;
            let tree = rustix::mount::open_tree(CWD, path, flags)
                .with_context(|| format!("open {}", path.display()))?;
            let private = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
            mount::set_attributes(tree.as_fd(), private, Depth::Tree).context("make the mounts private")?;
            (Mounted::Aside(tree), path)
        }
    };
    match mounted {
        Mounted::Aside(tree) => {
            rustix::mount::move_mount(&tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                .with_context(|| format!("mount the root file system on {}", place.display()))?;
            Ok(Root::new(tree))
        }
        Mounted::On(directory) => {
            Root::open(&directory).with_context(|| format!("open {}", directory.display()))
        }
    }
}

/// Returns layers, the top one first, as one tree that nobody changes, or what is at a path in it; attached nowhere.
pub(super) fn show(layers: &[PathBuf], below: &Path) -> Result<OwnedFd> {
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let top = layers.first().context("the image has no files")?;
    let tree = match layers {
        // The kernel makes no overlay of one.
        [only] => {
            rustix::mount::open_tree(CWD, only, clone).with_context(|| format!("open {}", only.display()))?
        }
        layers => overlay_of(layers).context("mount overlay")?,
    };
    if below.as_os_str().is_empty() {
        return Ok(tree);
    }
    // Part of a mount can be copied only where that is attached. What it covers meanwhile is not looked at.
    rustix::mount::move_mount(&tree, "", CWD, top, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .with_context(|| format!("mount the image on {}", top.display()))?;
    let part = Root::new(tree)
        .find(below)
        .and_then(|place| rustix::mount::open_tree(place, "", clone | OpenTreeFlags::AT_EMPTY_PATH));
    rustix::mount::unmount(top, UnmountFlags::DETACH)
        .with_context(|| format!("unmount {}", top.display()))?;
    part.with_context(|| format!("find {} in the image", below.display()))
}

/// Makes an overlay that nothing can be written to, attached nowhere.
fn overlay_of(layers: &[PathBuf]) -> Result<OwnedFd> {
    let open = |path: &PathBuf| {
        rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("open {}", path.display()))
    };
    let layers = layers.iter().map(open).collect::<Result<Vec<OwnedFd>>>()?;
    let names: Vec<String> = layers.iter().map(name).collect();
    let making = Making::begin("overlay", "overlay")?;
    for (at, name) in names.iter().enumerate() {
        match making.try_set("lowerdir+", Some(name)) {
            // Before Linux 6.5 there is no such option, and what stands in one is short.
            Err(Errno::INVAL) if at == 0 => {
                making.set("lowerdir", Some(&names.join(":")))?;
                break;
            }
            result => result.context("add a layer")?,
        }
    }
    making.set("userxattr", None)?;
    making.finish(0)
}

/// Takes away the mark that the kernel leaves in the work directory of a volatile overlay, to refuse it after
/// a crash of the machine: what such an overlay holds is wanted for as long as it is there, and no longer.
fn forget_volatility(work: &Path) -> Result<()> {
    let mark = work.join("work/incompat");
    match fs::remove_dir_all(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", mark.display()))
        }
        _ => Ok(()),
    }
}

/// Where a mount is.
enum Mounted {
    /// Nowhere yet.
    Aside(OwnedFd),
    /// On this directory.
    On(PathBuf),
}

/// Makes the overlay. Layers are named by descriptor: that is short whatever their paths are, and no
/// character in a path needs care.
fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, volatile: bool) -> Result<Mounted> {
    let open = |path: &PathBuf| {
        rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("open {}", path.display()))
    };
    let layers = lower.iter().map(open).collect::<Result<Vec<OwnedFd>>>()?;
    let (upper_fd, work_fd) = (open(&upper.to_owned())?, open(&work.to_owned())?);
    stack(&layers, &upper_fd, &work_fd, volatile, upper).map_err(|error| match unsuitable(&upper_fd) {
        Some(kind) => error.context(format!(
            "{} is on {kind}, which cannot hold the changes of an overlay; choose a directory on a local disk, on a \
             volume, or in memory (/dev/shm) with CORACLE_ROOT",
            upper.display()
        )),
        None => error,
    })
}

/// Stacks what is open.
fn stack(
    layers: &[OwnedFd],
    upper: &OwnedFd,
    work: &OwnedFd,
    volatile: bool,
    place: &Path,
) -> Result<Mounted> {
    let making = Making::begin("overlay", "overlay")?;
    let mut layers_left = layers.iter().map(name);
    if let Some(top) = layers_left.next() {
        match making.try_set("lowerdir+", Some(&top)) {
            // Before Linux 6.5 there is no such option.
            Err(Errno::INVAL) => {
                overlay_at_once(layers, upper, work, volatile, place)?;
                return Ok(Mounted::On(place.to_owned()));
            }
            result => result.context("add the top layer")?,
        }
    }
    for layer in layers_left {
        making.set("lowerdir+", Some(&layer))?;
    }
    making.set("upperdir", Some(&name(upper)))?;
    making.set("workdir", Some(&name(work)))?;
    making.set("userxattr", None)?;
    if volatile {
        making.set("volatile", None)?;
    }
    Ok(Mounted::Aside(making.finish(0)?))
}

/// Names the file system that `directory` is on, if it is one of those known not to do for an upper directory.
fn unsuitable(directory: &OwnedFd) -> Option<&'static str> {
    // statfs(2) lists them.
    Some(match rustix::fs::fstatfs(directory).ok()?.f_type.cast_unsigned() {
        0x6969 => "NFS",
        0x0bd0_0bd0 => "Lustre",
        0x794c_7630 => "another overlay",
        0xff53_4d42 | 0xfe53_4d42 => "a Windows share",
        0x6573_5546 => "a FUSE file system",
        0xf15f => "eCryptfs",
        0x5346_414f | 0x6b41_4653 => "AFS",
        _ => return None,
    })
}

fn name(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Mounts with mount(2), whose options must fit one page: layers are named by their numbers, relative to
/// the directory of descriptors.
fn overlay_at_once(
    layers: &[OwnedFd],
    upper: &OwnedFd,
    work: &OwnedFd,
    volatile: bool,
    place: &Path,
) -> io::Result<()> {
    let numbers: Vec<String> = layers.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr{}",
        numbers.join(":"),
        upper.as_raw_fd(),
        work.as_raw_fd(),
        if volatile { ",volatile" } else { "" }
    );
    let before = rustix::fs::openat(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::chdir("/proc/self/fd")?;
    let data = CString::new(options)?;
    let result =
        rustix::mount::mount("overlay", place, "overlay", MountFlags::empty(), Some(data.as_c_str()));
    rustix::process::fchdir(before)?;
    Ok(result?)
}
