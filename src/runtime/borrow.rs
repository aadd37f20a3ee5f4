//! Mounts of a running container, for another one to show.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rustix::mount::OpenTreeFlags;
use rustix::process::DumpableBehavior;
use rustix::thread::ThreadNameSpaceType;

use super::root::Root;
use crate::sys::process::{self, Cloned, Parent};
use crate::sys::socket;

/// Brings the mount at `path` inside a running container, whose first process is `pidfd`.
///
/// A mount can be copied only by somebody in its mount namespace, and who has entered one cannot come back
/// (setns(2)): a child enters, and hands out the copy, which is attached nowhere and can be attached in any
/// namespace. The caller is root of the ancestor user namespace and has one thread.
pub fn borrow(pidfd: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let (ours, theirs) = socket::pair().context("make a socket")?;
    match process::clone(0, Parent::Caller)? {
        Cloned::Parent { pidfd: child, .. } => {
            drop(theirs);
            let mut buffer = [0; 1024];
            let answer = socket::receive(&ours, &mut buffer);
            process::reap(child.as_fd()).context("wait for the one who fetches a mount")?;
            let (length, fds) = answer.context("listen to the one who fetches a mount")?;
            let why = String::from_utf8_lossy(&buffer[..length]).into_owned();
            fds.into_iter().next().ok_or_else(|| anyhow!(why))
        }
        Cloned::Child => {
            drop(ours);
            // Nobody need listen any more; then nothing is to be told.
            let _ = match enter_and_copy(pidfd, path) {
                Ok(tree) => socket::send(&theirs, b"here", &[tree.as_fd()]),
                Err(error) => socket::send(&theirs, format!("{error:#}").as_bytes(), &[]),
            };
            process::exit_now(0)
        }
    }
}

fn enter_and_copy(pidfd: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    // From the moment we are inside, processes there might look into us.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).context("hide")?;
    let kinds = ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT;
    rustix::thread::move_into_thread_name_spaces(pidfd, kinds).context("enter the container")?;
    let root = Root::open(Path::new("/")).context("open the container's root")?;
    let place = root.find(path).with_context(|| format!("open {}", path.display()))?;
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(place, "", flags).with_context(|| format!("copy the mount {}", path.display()))
}
