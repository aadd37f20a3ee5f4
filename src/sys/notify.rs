//! System calls of another process, decided here: `seccomp_unotify(2)`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A system call that waits for an answer (`struct seccomp_notif`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Call {
    /// The number of this waiting, for the answer.
    pub id: u64,
    /// The thread that made it, as the reader's pid namespace numbers it.
    pub pid: u32,
    flags: u32,
    /// The number of the call.
    pub number: i32,
    /// `AUDIT_ARCH_…`, which says how the number is meant.
    pub architecture: u32,
    instruction: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

const fn ioc(direction: u64, number: u64, size: usize) -> u64 {
    direction << 30 | (size as u64) << 16 | 0x21 << 8 | number
}

const RECEIVE: u64 = ioc(3, 0, size_of::<Call>());
const SEND: u64 = ioc(3, 1, size_of::<Answer>());
const IS_VALID: u64 = ioc(1, 2, 8);
const ADD_FD: u64 = ioc(1, 3, size_of::<AddFd>());
const SET_FLAGS: u64 = ioc(1, 4, 8);

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: libc::c_ulong = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, Linux 5.19.
const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, Linux 6.6.
const SYNC_WAKE_UP: u64 = 1;
/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`.
const CONTINUE: u32 = 1;
/// `SECCOMP_ADDFD_FLAG_SEND`, Linux 5.14.
const ADD_AND_SEND: u32 = 2;

/// Installs `filter` like [`install`](super::seccomp::install), and returns the descriptor from which the calls are
/// read that it leaves to somebody else.
///
/// Where the kernel can do so, a call that has been read waits for its answer whatever signal arrives, except a
/// deadly one: a program that is interrupted often would otherwise begin the call anew without end.
pub fn install(filter: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    match install_with(filter, NEW_LISTENER | WAIT_KILLABLE) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install_with(filter, NEW_LISTENER),
        result => result,
    }
}

fn install_with(filter: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<OwnedFd> {
    let length = libc::c_ushort::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: seccomp(2) reads `len` instructions, which the slice holds, and changes nothing of ours.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&program))
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just given us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn ioctl<T>(listener: BorrowedFd<'_>, request: u64, argument: *mut T) -> io::Result<i32> {
    // SAFETY: callers give a pointer to a structure of their own of the size that the request's number names, which
    // is all that the kernel reads and writes.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), request as _, argument) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Asks that the two processes wake each other on one processor: a call then costs two switches and no more.
pub fn stay_together(listener: BorrowedFd<'_>) -> io::Result<()> {
    // The flags are the argument itself and no pointer.
    ioctl(
        listener,
        SET_FLAGS,
        std::ptr::without_provenance_mut::<u8>(usize::try_from(SYNC_WAKE_UP).unwrap_or(1)),
    )
    .map(drop)
}

/// Reads a call. `ENOENT` if the one that made it is gone already.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Call> {
    let mut call = Call::default();
    ioctl(listener, RECEIVE, &raw mut call)?;
    Ok(call)
}

/// Tells whether the call still waits. What was read of its thread before is then that thread's.
pub fn is_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    let mut id = id;
    ioctl(listener, IS_VALID, &raw mut id).is_ok()
}

/// Has the call return `value`.
pub fn answer(listener: BorrowedFd<'_>, id: u64, value: i64) -> io::Result<()> {
    let mut answer = Answer { id, value, error: 0, flags: 0 };
    ioctl(listener, SEND, &raw mut answer).map(drop)
}

/// Has the call fail with `errno`.
pub fn refuse(listener: BorrowedFd<'_>, id: u64, errno: i32) -> io::Result<()> {
    let mut answer = Answer { id, value: 0, error: -errno, flags: 0 };
    ioctl(listener, SEND, &raw mut answer).map(drop)
}

/// Has the kernel make the call after all.
pub fn let_through(listener: BorrowedFd<'_>, id: u64) -> io::Result<()> {
    let mut answer = Answer { id, value: 0, error: 0, flags: CONTINUE };
    ioctl(listener, SEND, &raw mut answer).map(drop)
}

/// Has the call return a new descriptor of its process, a copy of `fd` (Linux 5.9).
pub fn answer_with(
    listener: BorrowedFd<'_>,
    id: u64,
    fd: BorrowedFd<'_>,
    close_on_exec: bool,
) -> io::Result<()> {
    let mut add = AddFd {
        id,
        flags: ADD_AND_SEND,
        source: fd.as_raw_fd().cast_unsigned(),
        target: 0,
        target_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
    };
    match ioctl(listener, ADD_FD, &raw mut add) {
        // Before Linux 5.14 it takes two steps.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            add.flags = 0;
            let made = ioctl(listener, ADD_FD, &raw mut add)?;
            answer(listener, id, made.into())
        }
        result => result.map(drop),
    }
}

/// Reads memory of thread `pid` from `address` on, until the end of `buffer`. Nothing less will do.
pub fn read_memory(pid: u32, address: u64, buffer: &mut [u8]) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let address = usize::try_from(address).map_err(|_| io::ErrorKind::InvalidInput)?;
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: buffer.len() };
    // SAFETY: process_vm_readv(2) writes at most `iov_len` bytes to our buffer; the other address is not ours.
    let read = unsafe {
        libc::process_vm_readv(pid, std::ptr::from_ref(&local), 1, std::ptr::from_ref(&remote), 1, 0)
    };
    match usize::try_from(read) {
        Ok(read) if read == buffer.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Returns the soft limit of `resource` of thread `pid`'s process.
pub fn soft_limit(pid: u32, resource: u32) -> io::Result<u64> {
    limit(pid, resource, None).map(|limit| limit.rlim_cur)
}

/// Sets the soft limit of `resource` of thread `pid`'s process.
pub fn set_soft_limit(pid: u32, resource: u32, soft: u64) -> io::Result<()> {
    let hard = limit(pid, resource, None)?.rlim_max;
    limit(pid, resource, Some(libc::rlimit64 { rlim_cur: soft, rlim_max: hard })).map(drop)
}

fn limit(pid: u32, resource: u32, new: Option<libc::rlimit64>) -> io::Result<libc::rlimit64> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: prlimit64(2) reads one structure, or none where the pointer is null, and writes the other; both are ours.
    let result = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new, &raw mut old) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(old) }
}

/// Returns what fstat(2) says about `fd`, as the kernel lays it out, with another owner.
pub fn stat_of(fd: BorrowedFd<'_>, owner: (u32, u32)) -> io::Result<Vec<u8>> {
    // SAFETY: `struct stat` is made of integers, for which zero is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: fstat(2) writes one structure, ours.
    let result = unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    (stat.st_uid, stat.st_gid) = owner;
    // SAFETY: it was zeroed, padding included, so every byte of it is initialized.
    Ok(unsafe { std::slice::from_raw_parts((&raw const stat).cast::<u8>(), size_of::<libc::stat>()) }
        .to_vec())
}

/// Returns what statx(2) says about `fd`, with another owner.
pub fn statx_of(fd: BorrowedFd<'_>, flags: i32, mask: u32, owner: (u32, u32)) -> io::Result<Vec<u8>> {
    // SAFETY: `struct statx` is made of integers, for which zero is a value.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    let flags = flags | libc::AT_EMPTY_PATH;
    // SAFETY: statx(2) reads an empty string and writes one structure, ours.
    let result = unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), flags, mask, &raw mut stat) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    (stat.stx_uid, stat.stx_gid) = owner;
    // SAFETY: it was zeroed, padding included, so every byte of it is initialized.
    Ok(unsafe { std::slice::from_raw_parts((&raw const stat).cast::<u8>(), size_of::<libc::statx>()) }
        .to_vec())
}
