//! To whom a file belongs: what was written down about it.
//!
//! Regular files and directories carry it in the attribute [`OWNER`], as unpacking layers leaves it: `uid:gid:mode`.
//! Symbolic links, sockets, pipes and devices cannot have such attributes (xattr(7)), and some file systems have none
//! at all; theirs are remembered for as long as the steward lives. A file without any record belongs to root, if the
//! kernel says that it is the user's.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, Stat, StatVfsMountFlags, StatxFlags, XattrFlags};
use rustix::io::Errno;

use crate::idmap::OWNER;

/// The most files that are remembered.
const LIMIT: usize = 1 << 18;

/// A file, told from a later one of the same number by the time it was made.
type Key = (u32, u32, u64, i64, u32);

/// The records.
#[derive(Debug)]
pub(super) struct Records {
    /// The ids that the kernel shows for the user: those that the container's user namespace maps.
    own: (u32, u32),
    remembered: HashMap<Key, (u32, u32)>,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) ids: (u32, u32),
    /// Whether the kernel says the same.
    pub(super) is_real: bool,
}

impl Records {
    pub(super) fn new(own: (u32, u32)) -> Self {
        Self { own, remembered: HashMap::new() }
    }

    /// Finds the owner of an open file. The current directory is `/proc/self/fd` of this process's own pid namespace.
    pub(super) fn owner(&self, file: BorrowedFd<'_>, stat: &Stat) -> Owner {
        let real = (stat.st_uid, stat.st_gid);
        let kept = if carries(stat) { attribute(file) } else { None };
        let kept = kept.or_else(|| {
            if self.remembered.is_empty() { None } else { self.remembered.get(&key(file)?).copied() }
        });
        let ids = kept.unwrap_or_else(|| self.unrecorded(file, stat));
        Owner { ids, is_real: ids == real }
    }

    fn unrecorded(&self, file: BorrowedFd<'_>, stat: &Stat) -> (u32, u32) {
        let real = (stat.st_uid, stat.st_gid);
        let kind = FileType::from_raw_mode(stat.st_mode);
        let has_maker = !carries(stat) && kind != FileType::Symlink;
        if self.own == (0, 0) || has_maker || real.0 != self.own.0 || is_kernels(file) {
            return real;
        }
        (0, if real.1 == self.own.1 { 0 } else { real.1 })
    }

    /// Writes down that an open file belongs to `ids`.
    pub(super) fn set(&mut self, file: BorrowedFd<'_>, stat: &Stat, ids: (u32, u32)) -> Result<(), Errno> {
        if rustix::fs::fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(Errno::ROFS);
        }
        if carries(stat) {
            let path = file.as_raw_fd().to_string();
            let result = if ids == (0, 0) {
                match rustix::fs::removexattr(&path, OWNER) {
                    Err(Errno::NODATA) => Ok(()),
                    result => result,
                }
            } else {
                let text = format!("{}:{}:{:o}", ids.0, ids.1, stat.st_mode & 0o7777);
                rustix::fs::setxattr(&path, OWNER, text.as_bytes(), XattrFlags::empty())
            };
            match result {
                Err(Errno::OPNOTSUPP) => {}
                // Somebody else's file on the host, which not even the container's root may give away.
                Err(Errno::ACCESS) => return Err(Errno::PERM),
                result => {
                    result?;
                    return strip(file, stat);
                }
            }
        }
        let key = key(file).ok_or(Errno::PERM)?;
        if self.unrecorded(file, stat) == ids {
            self.remembered.remove(&key);
        } else if self.remembered.len() < LIMIT {
            self.remembered.insert(key, ids);
        }
        Ok(())
    }
}

/// Takes the bits from a program that a change of owner takes (chown(2)).
fn strip(file: BorrowedFd<'_>, stat: &Stat) -> Result<(), Errno> {
    let group = stat.st_mode & 0o2010 == 0o2010;
    let left = stat.st_mode & 0o7777 & !(0o4000 | if group { 0o2000 } else { 0 });
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || left == stat.st_mode & 0o7777 {
        return Ok(());
    }
    rustix::fs::chmod(file.as_raw_fd().to_string(), Mode::from_raw_mode(left))
}

fn carries(stat: &Stat) -> bool {
    matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory)
}

fn attribute(file: BorrowedFd<'_>) -> Option<(u32, u32)> {
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(file.as_raw_fd().to_string(), OWNER, &mut value[..]).ok()?;
    parse(&value[..length])
}

fn parse(value: &[u8]) -> Option<(u32, u32)> {
    let mut fields = std::str::from_utf8(value).ok()?.split(':');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn key(file: impl AsFd) -> Option<Key> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let stat = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, wanted).ok()?;
    Some((
        stat.stx_dev_major,
        stat.stx_dev_minor,
        stat.stx_ino,
        stat.stx_btime.tv_sec,
        stat.stx_btime.tv_nsec,
    ))
}

/// Tells whether a file shows the kernel: its owner is a process's, and means that one.
fn is_kernels(file: BorrowedFd<'_>) -> bool {
    // proc, sysfs, cgroup2, devpts, mqueue, pipefs, sockfs
    const KINDS: [u64; 7] = [0x9fa0, 0x6265_6572, 0x6367_7270, 0x1cd1, 0x1980_0202, 0x5049_5045, 0x534f_434b];
    rustix::fs::fstatfs(file).is_ok_and(|fs| KINDS.contains(&fs.f_type.cast_unsigned()))
}

/// Says that a call of ours failed, as another process is told.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_unpacking_writes() {
        assert_eq!(parse(b"33:42:4755"), Some((33, 42)));
        assert_eq!(parse(b"33"), None);
        assert_eq!(parse(b"x:1:644"), None);
    }
}
