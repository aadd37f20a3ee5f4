//! The root file system: an overlay of layers or a directory, mounted aside from everything else.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};

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
