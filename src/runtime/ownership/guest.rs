//! A thread that made a call, and the files as it sees them.
//!
//! The thread may do anything while it waits, save for the one call; others of its process, too. What is read of it
//! is read once, and what a path named a moment ago is an open descriptor from then on. The kernel walks every path:
//! this process is in the container's mount namespace and takes the thread's root directory for its own before it
//! looks, so that no path and no link has more to reach than the thread itself has.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};

use super::record::errno;
use crate::sys::notify::{self, Call};

/// The longest path, with its NUL.
const PATH_MAX: usize = 4096;
const PAGE: u64 = 4096;

/// What this process holds on to.
#[derive(Debug)]
pub(super) struct Views {
    /// `/proc` of this process's pid namespace, which is none of the container's.
    pub(super) proc: OwnedFd,
    /// `/proc/self/fd` there.
    pub(super) descriptors: OwnedFd,
    /// What this process's root directory is.
    pub(super) root: Cell<Option<RootId>>,
}

/// A directory and the mount that it is seen through.
pub(super) type RootId = (u32, u32, u64, u64);

/// A thread that waits for an answer.
#[derive(Debug)]
pub(super) struct Guest<'a> {
    pub(super) call: &'a Call,
    listener: BorrowedFd<'a>,
    views: &'a Views,
}

/// A path as a call names it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: i32,
    pub(super) path: Vec<u8>,
}

impl<'a> Guest<'a> {
    pub(super) fn new(call: &'a Call, listener: BorrowedFd<'a>, views: &'a Views) -> Self {
        Self { call, listener, views }
    }

    /// Opens a file of its directory in `/proc`. Whose that directory was, [`Self::check`] tells afterwards.
    fn part(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = format!("{}/{name}", self.call.pid);
        rustix::fs::openat(&self.views.proc, path, flags | OFlags::CLOEXEC, Mode::empty())
    }

    /// Makes sure that all that was read so far was this thread's.
    pub(super) fn check(&self) -> Result<(), Errno> {
        if notify::is_valid(self.listener, self.call.id) { Ok(()) } else { Err(Errno::SRCH) }
    }

    /// Returns an argument that is an `int`.
    pub(super) fn int(&self, at: usize) -> i32 {
        low(self.call.arguments[at]).cast_signed()
    }

    /// Returns an argument that is an `unsigned int`.
    pub(super) fn word(&self, at: usize) -> u32 {
        low(self.call.arguments[at])
    }

    /// Reads the path at an address.
    pub(super) fn path(&self, address: u64) -> Result<Vec<u8>, Errno> {
        let mut path = Vec::new();
        while path.len() < PATH_MAX {
            // No farther than the page: the next one may not be there, and need not.
            let at = address.wrapping_add(path.len() as u64);
            let length = usize::try_from(PAGE - at % PAGE).unwrap_or(1).min(PATH_MAX - path.len());
            // Most paths are short.
            let length = if path.is_empty() { length.min(256) } else { length };
            let old = path.len();
            path.resize(old + length, 0);
            notify::read_memory(self.call.pid, at, &mut path[old..]).map_err(|error| errno(&error))?;
            if let Some(end) = memchr::memchr(0, &path[old..]) {
                path.truncate(old + end);
                return Ok(path);
            }
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Reads bytes at an address.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        notify::read_memory(self.call.pid, address, buffer).map_err(|error| errno(&error))
    }

    /// Writes bytes to an address.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let memory = self.part("mem", OFlags::WRONLY)?;
        self.check()?;
        match rustix::io::pwrite(memory, bytes, address) {
            Ok(written) if written == bytes.len() => Ok(()),
            _ => Err(Errno::FAULT),
        }
    }

    /// Opens one of its descriptors, to look at and not to read.
    pub(super) fn descriptor(&self, fd: i32) -> Result<OwnedFd, Errno> {
        if fd < 0 {
            return Err(Errno::BADF);
        }
        match self.part(&format!("fd/{fd}"), OFlags::PATH) {
            Err(Errno::NOENT) => Err(Errno::BADF),
            result => result,
        }
    }

    /// Tells whether one of its descriptors was opened with `O_PATH`, which is none to change a file with.
    pub(super) fn is_only_a_path(&self, fd: i32) -> Result<bool, Errno> {
        let info = self.part(&format!("fdinfo/{fd}"), OFlags::RDONLY)?;
        let mut buffer = [0; 128];
        let length = rustix::io::read(&info, &mut buffer[..])?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).unwrap_or_default();
        Ok(OFlags::from_bits_retain(flags).contains(OFlags::PATH))
    }

    /// Opens what a path names.
    pub(super) fn open(&self, place: &Place, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        if place.path.is_empty() {
            return Err(Errno::NOENT);
        }
        self.enter_root()?;
        let flags = flags | OFlags::CLOEXEC;
        if let Some(rest) = own(&place.path) {
            self.check()?;
            return self.open_own(rest, flags, mode);
        }
        let base = self.base(place)?;
        let base = base.as_ref().map_or(CWD, AsFd::as_fd);
        self.check()?;
        match rustix::fs::openat(base, place.path.as_slice(), flags, mode) {
            Err(Errno::NOENT) if !flags.intersects(OFlags::NOFOLLOW | OFlags::EXCL) => {
                // A link to `/proc/self` leads nowhere for a process of another pid namespace.
                let link = rustix::fs::readlinkat(base, place.path.as_slice(), Vec::new());
                let link = link.map_err(|_| Errno::NOENT)?;
                let rest = Self::follow(link.into_bytes())?;
                self.open_own(&rest, flags, mode)
            }
            result => result,
        }
    }

    /// Follows links until one leads into the thread's own part of `/proc`.
    fn follow(mut link: Vec<u8>) -> Result<Vec<u8>, Errno> {
        for _ in 0..8 {
            if let Some(rest) = own(&link) {
                return Ok(rest.to_vec());
            }
            if link.first() != Some(&b'/') {
                break;
            }
            let next = rustix::fs::readlink(link.as_slice(), Vec::new()).map_err(|_| Errno::NOENT)?;
            link = next.into_bytes();
        }
        Err(Errno::NOENT)
    }

    /// Opens a path in the thread's own part of `/proc`: one of the links there, and from it on.
    fn open_own(&self, rest: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let (link, below) = own_link(rest).ok_or(Errno::NOENT)?;
        let link = std::str::from_utf8(link).map_err(|_| Errno::NOENT)?;
        if below.is_empty() {
            let path = format!("{}/{link}", self.call.pid);
            return rustix::fs::openat(&self.views.proc, path, flags, mode);
        }
        let base = self.part(link, OFlags::PATH)?;
        rustix::fs::openat(&base, below, flags, mode)
    }

    /// Opens the directory that a path starts from.
    fn base(&self, place: &Place) -> Result<Option<OwnedFd>, Errno> {
        if place.path.first() == Some(&b'/') {
            // The kernel starts from this process's root, which is the thread's by now.
            Ok(None)
        } else if place.directory == libc::AT_FDCWD {
            self.part("cwd", OFlags::PATH).map(Some)
        } else {
            self.descriptor(place.directory).map(Some)
        }
    }

    /// Opens what a call with `AT_…` flags means.
    pub(super) fn target(&self, place: &Place, flags: AtFlags) -> Result<OwnedFd, Errno> {
        if place.path.is_empty() && flags.contains(AtFlags::EMPTY_PATH) {
            let file = match place.directory {
                libc::AT_FDCWD => self.part("cwd", OFlags::PATH),
                fd => self.descriptor(fd),
            }?;
            return self.check().map(|()| file);
        }
        let link = if flags.contains(AtFlags::SYMLINK_NOFOLLOW) { OFlags::NOFOLLOW } else { OFlags::empty() };
        self.open(place, OFlags::PATH | link, Mode::empty())
    }

    /// Opens the directory in which a path would make something.
    pub(super) fn parent(&self, place: &Place) -> Result<OwnedFd, Errno> {
        let end = place.path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let path = match memchr::memrchr(b'/', &place.path[..end]) {
            Some(slash) => &place.path[..=slash],
            None => b".".as_slice(),
        };
        let above = Place { directory: place.directory, path: path.to_vec() };
        self.open(&above, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
    }

    /// Makes a directory.
    pub(super) fn make_directory(&self, place: &Place, mode: Mode) -> Result<OwnedFd, Errno> {
        self.enter_root()?;
        let base = self.base(place)?;
        let base = base.as_ref().map_or(CWD, AsFd::as_fd);
        self.check()?;
        rustix::fs::mkdirat(base, place.path.as_slice(), mode)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(base, place.path.as_slice(), flags, Mode::empty())
    }

    /// Returns the bits that it takes from the mode of new files.
    pub(super) fn mask(&self) -> Result<Mode, Errno> {
        let mask = self.status("Umask:")?;
        u32::from_str_radix(&mask, 8).map(Mode::from_raw_mode).map_err(|_| Errno::IO)
    }

    /// Tells whether it has forgone to gain anything by an exec.
    pub(super) fn has_no_new_privileges(&self) -> bool {
        self.status("NoNewPrivs:").is_ok_and(|value| value == "1")
    }

    /// Returns a line of proc_pid_status(5).
    fn status(&self, key: &str) -> Result<String, Errno> {
        let status = self.part("status", OFlags::RDONLY)?;
        let mut buffer = [0; 4096];
        let length = rustix::io::read(&status, &mut buffer[..])?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        value.map(|value| value.trim().to_owned()).ok_or(Errno::IO)
    }

    /// Takes its root directory for this process's own.
    fn enter_root(&self) -> Result<(), Errno> {
        let path = format!("{}/root", self.call.pid);
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let stat = rustix::fs::statx(&self.views.proc, path, AtFlags::empty(), wanted)?;
        let id = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino, stat.stx_mnt_id);
        if self.views.root.get() == Some(id) {
            return Ok(());
        }
        let root = self.part("root", OFlags::PATH | OFlags::DIRECTORY)?;
        self.views.root.set(None);
        rustix::process::fchdir(&root)?;
        let entered = rustix::process::chroot(".");
        rustix::process::fchdir(self.views.descriptors.as_fd())?;
        entered?;
        self.views.root.set(Some(id));
        Ok(())
    }

    /// Opens a copy of one of its sockets.
    pub(super) fn socket(&self, fd: i32) -> Result<OwnedFd, Errno> {
        let pid = i32::try_from(self.call.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        // Of a thread that is not the first of its process, Linux 6.9.
        let thread = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .or_else(|_| rustix::process::pidfd_open(pid, thread))?;
        self.check()?;
        rustix::process::pidfd_getfd(pidfd, fd, PidfdGetfdFlags::empty())
    }

    /// Returns what a process is called where it lives.
    pub(super) fn name_of(&self, pid: Pid) -> Result<i32, Errno> {
        let path = format!("{}/status", pid.as_raw_nonzero());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let status = rustix::fs::openat(&self.views.proc, path, flags, Mode::empty())?;
        let mut buffer = [0; 4096];
        let length = rustix::io::read(&status, &mut buffer[..])?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let names = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
        names.and_then(|names| names.split_ascii_whitespace().last()?.parse().ok()).ok_or(Errno::SRCH)
    }
}

fn low(argument: u64) -> u32 {
    u32::try_from(argument & u64::from(u32::MAX)).unwrap_or_default()
}

/// Returns what a path names in the own part of `/proc` of whoever walks it.
fn own(path: &[u8]) -> Option<&[u8]> {
    match path {
        b"/dev/stdin" => Some(b"fd/0"),
        b"/dev/stdout" => Some(b"fd/1"),
        b"/dev/stderr" => Some(b"fd/2"),
        _ => path
            .strip_prefix(b"/proc/self/".as_slice())
            .or_else(|| path.strip_prefix(b"/proc/thread-self/".as_slice()))
            .or_else(|| path.strip_prefix(b"/dev/".as_slice()).filter(|rest| rest.starts_with(b"fd/"))),
    }
}

/// Splits a path in the own part of `/proc` into a link there and the rest. Nothing else of it is opened by name: `..`
/// would lead to processes that are not the container's.
fn own_link(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = |rest: &[u8]| rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length = match rest {
        _ if rest.starts_with(b"fd/") => match digits(&rest[3..]) {
            0 => return None,
            count => 3 + count,
        },
        _ if rest.starts_with(b"cwd") => 3,
        _ if rest.starts_with(b"root") => 4,
        _ => return None,
    };
    let (link, below) = rest.split_at(length);
    match below {
        [] => Some((link, below)),
        [b'/', ..] => {
            let slashes = below.iter().take_while(|byte| **byte == b'/').count();
            Some((link, &below[slashes..]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_the_own_part_are_opened() {
        assert_eq!(own(b"/proc/self/fd/3"), Some(b"fd/3".as_slice()));
        assert_eq!(own(b"/dev/fd/3"), Some(b"fd/3".as_slice()));
        assert_eq!(own(b"/dev/fdx"), None);
        assert_eq!(own(b"/proc/selfish"), None);
        assert_eq!(own_link(b"fd/3"), Some((b"fd/3".as_slice(), b"".as_slice())));
        assert_eq!(own_link(b"cwd//a/../b"), Some((b"cwd".as_slice(), b"a/../b".as_slice())));
        for escape in [
            &b"../1/root"[..],
            b"fd/../../1/root",
            b"fd/",
            b"fd/3x",
            b"cwd.",
            b"rootx",
            b"task/../../1",
            b"status",
            b"",
        ] {
            assert_eq!(own_link(escape), None, "{}", String::from_utf8_lossy(escape));
        }
    }
}
