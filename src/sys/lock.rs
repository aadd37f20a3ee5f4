//! Locks that die with their holder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// Whether others may hold the lock too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With other shared holders.
    Shared,
    /// Alone.
    Exclusive,
}

/// A held open-file-description lock (fcntl(2), `F_OFD_SETLK`, Linux 3.15).
///
/// It belongs to the open file, so it ends when the last descriptor of it closes, however the process
/// ends. A forked child that keeps the descriptor keeps the lock: roles that fork close it first.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock on the file at `path`, made if missing, waiting for other holders.
    pub fn take(path: &Path, mode: Mode) -> io::Result<Self> {
        let file = open(path)?;
        loop {
            match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLKW(&whole(mode))) {
                Ok(_) => return Ok(Self(file)),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the lock if nobody is in the way; returns `None` if somebody is.
    pub fn try_take(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole(mode))) {
            Ok(_) => Ok(Some(Self(file))),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells whether somebody holds an exclusive lock on the file at `path`. An absent file is not held.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        match File::open(path) {
            Ok(file) => Self::is_file_held(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells whether another description than `file`'s own holds an exclusive lock on it.
    pub fn is_file_held(file: &File) -> io::Result<bool> {
        let mut probe = whole(Mode::Shared);
        fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut probe))?;
        Ok(i32::from(probe.l_type) != libc::F_UNLCK)
    }

    /// Returns the locked file, whose content is then the holder's to write.
    pub fn file(&self) -> &File {
        &self.0
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn whole(mode: Mode) -> libc::flock {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    };
    // The constants are small; the field is a short.
    let l_type = libc::c_short::try_from(kind).unwrap_or(0);
    libc::flock { l_type, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_and_can_be_queried() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!Lock::is_held(&path).unwrap());
        let held = Lock::take(&path, Mode::Exclusive).unwrap();
        assert!(Lock::is_held(&path).unwrap());
        assert!(Lock::try_take(&path, Mode::Shared).unwrap().is_none());
        drop(held);
        assert!(!Lock::is_held(&path).unwrap());
        let _one = Lock::take(&path, Mode::Shared).unwrap();
        let _two = Lock::try_take(&path, Mode::Shared).unwrap().unwrap();
        assert!(Lock::try_take(&path, Mode::Exclusive).unwrap().is_none());
    }
}
