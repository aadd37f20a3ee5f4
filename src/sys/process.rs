//! Making processes, naming them, and the state a new one starts from.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

/// The two sides of a [`clone`].
#[derive(Debug)]
pub enum Cloned {
    /// In the caller: the new process.
    Parent {
        /// As the caller's pid namespace numbers it.
        pid: Pid,
        /// The handle that can never come to mean another process.
        pidfd: OwnedFd,
    },
    /// In the new process.
    Child,
}

/// Who is the parent of the process that [`clone`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The caller.
    Caller,
    /// The caller's own parent (`CLONE_PARENT`).
    Parent,
}

/// Makes a copy of this process in the new namespaces that `flags` (`CLONE_NEW…`) names (clone3(2),
/// Linux 5.3).
///
/// The copy owns everything this process owns, so each side drops what is the other's. This process must
/// have one thread: the copy would find every lock that another thread holds locked for ever.
pub fn clone(flags: libc::c_int, parent: Parent) -> io::Result<Cloned> {
    debug_assert!(is_single_threaded(), "clone with several threads");
    let mut pidfd: RawFd = -1;
    let mut flags = u64::from(flags.cast_unsigned());
    let exit_signal = match parent {
        Parent::Caller => libc::SIGCHLD.cast_unsigned().into(),
        Parent::Parent => {
            flags |= u64::from(libc::CLONE_PARENT.cast_unsigned());
            0
        }
    };
    let arguments = libc::clone_args {
        flags: flags | u64::from(libc::CLONE_PIDFD.cast_unsigned()),
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    // SAFETY: clone3(2) without CLONE_VM gives the child a copy of this address space, of which this one
    // thread is the only one; the arguments are read, and `pidfd` written, before the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_ref(&arguments), size_of::<libc::clone_args>())
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        number => {
            let pid = i32::try_from(number).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
            // SAFETY: the kernel has just written this descriptor for us; nothing else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}

/// Ends this process at once, without running what `main` or the standard library do at the end.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Opens a handle on process `pid` that can never come to mean another process.
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends `signal` (any number up to `SIGRTMAX`) to the process that `pidfd` names.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: pidfd_send_signal(2) with a null siginfo reads no memory of ours.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Returns the code a shell would report: 128 and the signal's number.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// Waits for the child that `pidfd` names to end, and collects it.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Exit> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    (None, None) => Exit::Code(255),
                });
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Collects the child that `pidfd` names if it has ended; `None` if it has not.
pub fn try_reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::PidFd(pidfd), options)?;
    Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(255),
    }))
}

/// Returns when process `pid` started, in clock ticks since boot (proc_pid_stat(5), field 22). With the
/// number it names one process for as long as the machine is up.
pub fn start_time(pid: i32) -> io::Result<u64> {
    parse_start_time(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Finds the start time in the text of `/proc/<pid>/stat`. The name, in parentheses, may hold anything.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Tells whether this process has one thread only, as far as that can be seen: a `/proc` of a pid namespace
/// that it is not in does not show it.
pub fn is_single_threaded() -> bool {
    // A directory has two links and one more for each directory in it: one a thread.
    fs::metadata("/proc/self/task").map_or(true, |task| task.nlink() == 3)
}

/// Closes every descriptor from 3 on except `keep`.
pub fn close_others(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> =
        keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut next = 3;
    for fd in keep {
        if fd > next {
            close_range(next, fd - 1, 0)?;
        }
        next = fd + 1;
    }
    close_range(next, u32::MAX, 0)
}

/// Marks every descriptor from 3 on to be closed by exec.
pub fn close_others_on_exec() -> io::Result<()> {
    close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: close_range(2) takes integers. Callers own the descriptors that they close: they are in a
    // fresh copy of a process and never come back to the owners in the original.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives every signal its default action and blocks none: handlers do not survive exec, but ignored and
/// blocked signals do.
pub fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: signal(2) with SIG_DFL installs no function; it refuses SIGKILL, SIGSTOP and the two
        // that the C library keeps to itself, which is as well.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // An empty set is always a valid argument.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// Replaces this process by the program in `program`, an open file. Returns only if that failed.
pub fn exec_fd(program: BorrowedFd<'_>, args: &[&CStr], env: &[&CStr]) -> io::Result<Infallible> {
    nix::unistd::fexecve(program, args, env).map_err(io::Error::from)
}

/// Leaves the session keyring of the user for a new, empty one. The kernel has a quota of keys a user, so
/// this may fail, and the caller may go on: possession of keys needs keyctl(2), which the default seccomp
/// filter refuses.
pub fn new_session_keyring() -> io::Result<()> {
    // SAFETY: KEYCTL_JOIN_SESSION_KEYRING with a null name reads no memory.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_start_time_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 5 6";
        assert_eq!(parse_start_time(stat), Some(4242));
        assert_eq!(parse_start_time("7 (a"), None);
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(start_time(own).unwrap() > 0);
    }

    #[test]
    fn names_exits_like_a_shell() {
        assert_eq!(Exit::Code(3).code(), 3);
        assert_eq!(Exit::Signal(9).code(), 137);
    }
}
