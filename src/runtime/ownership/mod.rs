//! Many users where the kernel knows one: ownership at the privilege level `single`.
//!
//! # Theory of operation
//!
//! Without subordinate ids a container's user namespace maps one user and one group. To the kernel every file and
//! every process in it is the same person's; chown(2), setuid(2) and setgroups(2) to anybody else fail. Programs that
//! install or serve something want more: a package's files belong to its user, a server gives up root, a database
//! refuses to run as root. So at this level, and no other, the calls in which ids occur are answered by a process of
//! ours, the *steward*:
//!
//! ```text
//! init ── filter.rs: RET_USER_NOTIF for chown, stat, set*id, get*id, mkdir, open(O_CREAT) ──▶ exec
//!   │ listener, over the handshake's socket
//!   ▼
//! whoever made init ── forks ──▶ steward: serve.rs ◀── calls of every process of the container
//!                                  │ credentials.rs, table.rs: who is who
//!                                  │ guest.rs: paths and memory of the one who asks
//!                                  └ record.rs: whose is what
//! ```
//!
//! - A process's ids are what it has set them to. The kernel itself keeps track of which process has which
//!   ([`table`]).
//! - A file's owner stands in the attribute `user.coracle.owner`, the same that unpacking a layer writes and packing one
//!   reads. So layers of `build` and `commit` have the owners that they have at other levels.
//! - What a process makes while it is not root belongs to it: for it the steward makes the file. What root makes has no
//!   record, save in a directory with the setgid bit.
//!
//! # The steward
//!
//! One for each first process of a container and for each `exec`, single-threaded, a child of nobody that
//! waits. It is in the container's user and mount namespaces and so has no more files to reach than the container
//! has; it is in the pid namespace outside, where no process of the container can see it, signal it or trace it. It
//! ends when no process of its filter is left or the container's first process is gone. If it is killed, the
//! calls fail with `ENOSYS`. All that it holds is what it cannot ask for again: owners of files that cannot have
//! attributes.
//!
//! # What it is not
//!
//! No border between the container's users: to the kernel they are one. Permission bits are checked by the kernel, for
//! the user to whom everything belongs, so that one emulated user can read another's `0600` file. The border is
//! the one around the container, and the steward is inside of it; a process that tricks it gains what it had.
//!
//! # Limits
//!
//! - The owner of a symbolic link, a socket, a pipe or a device is remembered while the container runs and goes into no
//!   layer. A change of the owner of such a file always succeeds for root.
//! - A file on the host that is bind mounted gets the attribute, too, and belongs to the user as before.
//! - There is one such filter for a process. A program in the container that installs another gets `EBUSY`, and within a
//!   container of this kind containers of this kind have one id and no emulation of their own.
//! - A file system in user space (FUSE) that is served from within the container waits for its own server.
//! - A signal whose handler does not restart calls can interrupt one of these before the steward has read it; it then
//!   fails with `EINTR`, as calls do that wait.
//! - `/proc` shows the kernel's ids. A process cannot limit its time under real-time scheduling.
//! - Programs of another architecture (x86 on `x86_64`) and calls through `io_uring` see the kernel's owners.

mod credentials;
mod filter;
mod guest;
mod identify;
mod record;
mod serve;
mod table;

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::thread::ThreadNameSpaceType;
use serde::{Deserialize, Serialize};

pub(super) use credentials::Credentials;

use crate::sys::process::{self, Cloned, Parent};
use crate::sys::{memory, notify};
use guest::Views;

/// The resource limit that carries which credentials a process has, `RLIMIT_RTTIME`.
const CARRIER: u32 = 15;

const CAP_CHOWN: u64 = 1 << 0;
const CAP_DAC_OVERRIDE: u64 = 1 << 1;
const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

/// How long the steward waits until it may enter the container, in steps of a millisecond.
const PATIENCE: u32 = 10_000;

/// What the first process of a filter is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Beginning {
    /// Who it believes to be.
    pub(super) credentials: Credentials,
    /// What root may do in its container, as bits of capabilities.
    pub(super) powers: u64,
}

/// Has every call of this process, and of all that come from it, in which owners and ids occur wait for the answer of
/// whoever reads the returned descriptor.
pub(super) fn install() -> Result<OwnedFd> {
    notify::install(&filter::filter()?).context("install the filter of ownership")
}

/// Tells whether [`install`] failed because such filters cannot be had here.
pub(super) fn is_unavailable(error: &anyhow::Error) -> bool {
    let errno = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    matches!(errno, Some(libc::EBUSY | libc::EINVAL | libc::ENOSYS))
}

/// Makes the steward of a listener. `inside` is a process of the container that has its files, `first` the
/// container's first process. Returns the end of a pipe that is closed when the steward is gone.
///
/// The caller has one thread and power over the container's user namespace.
pub(super) fn attend(
    listener: OwnedFd,
    beginning: Beginning,
    inside: BorrowedFd<'_>,
    first: BorrowedFd<'_>,
) -> Result<OwnedFd> {
    let (gone, held) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("make a pipe")?;
    // Its parent shall be one that collects it: nobody here waits for it.
    match process::clone(0, Parent::Caller).context("make the steward")? {
        Cloned::Parent { pidfd, .. } => {
            drop((listener, held));
            process::reap(pidfd.as_fd()).context("wait for the process between")?;
            Ok(gone)
        }
        Cloned::Child => {
            if let Ok(Cloned::Child) = process::clone(0, Parent::Caller) {
                let _ = serve(listener, &held, beginning, inside, first);
            }
            process::exit_now(0)
        }
    }
}

fn serve(
    listener: OwnedFd,
    held: &OwnedFd,
    beginning: Beginning,
    inside: BorrowedFd<'_>,
    first: BorrowedFd<'_>,
) -> Result<()> {
    let keep = [listener.as_raw_fd(), held.as_raw_fd(), inside.as_raw_fd(), first.as_raw_fd()];
    process::close_others(&keep).context("close descriptors")?;
    process::reset_signals();
    rustix::process::setsid().context("start a session")?;
    rustix::thread::set_name(c"coracle-steward").context("take a name")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).context("open /proc")?;
    let descriptors =
        rustix::fs::openat(&proc, "self/fd", flags, Mode::empty()).context("open /proc/self/fd")?;
    let end = first.try_clone_to_owned().context("keep the container's first process")?;
    // It mostly waits. A failure costs memory only.
    let _ = memory::release_code();
    enter(inside)?;
    rustix::process::fchdir(&descriptors).context("enter /proc/self/fd")?;
    serve::Steward::new(listener, Views { proc, descriptors, root: Cell::new(None) }, beginning).serve(&end);
    Ok(())
}

/// Enters the user and mount namespaces of a process. As long as it hides from others, which ends when it executes the
/// program, that is refused.
fn enter(inside: BorrowedFd<'_>) -> Result<()> {
    let kinds = ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT;
    let mut left = PATIENCE;
    while let Err(error) = rustix::thread::move_into_thread_name_spaces(inside, kinds) {
        left = left
            .checked_sub(1)
            .filter(|_| error == rustix::io::Errno::PERM)
            .context("enter the container")?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
