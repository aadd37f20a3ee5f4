//! The room that is left on the disk, looked at before it is filled.

use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, Mode, OFlags};

/// How many bytes are written before the disk is asked again, at least.
const STEP: u64 = 64 << 20;

/// The room of one file system.
///
/// What does not fit is refused before it is written, so that a small archive that is huge inside does not
/// fill the disk of everybody else first.
#[derive(Debug)]
pub(super) struct Room {
    dir: OwnedFd,
    /// How many bytes may be taken before the next look.
    left: u64,
}

impl Room {
    /// Looks at the file system of the directory `dir`.
    pub(super) fn of(dir: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, dir, flags, Mode::empty())
            .with_context(|| format!("open {}", dir.display()))?;
        Ok(Self { dir, left: 0 })
    }

    /// Takes `bytes` of the room for `what`, or says that there is not so much.
    pub(super) fn take(&mut self, bytes: u64, what: &str) -> Result<()> {
        if bytes > self.left {
            let free = self.free()?;
            if bytes > free {
                bail!("{what} has {bytes} bytes, and the disk has room for {free}: no space left on device");
            }
            self.left = free.min(bytes.max(STEP));
        }
        self.left -= bytes;
        Ok(())
    }

    fn free(&self) -> Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.dir).context("ask the disk how much room is left")?;
        // A file system that does not tell.
        if stat.f_blocks == 0 {
            return Ok(u64::MAX);
        }
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_no_more_than_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut room = Room::of(dir.path()).unwrap();
        room.take(1, "a file").unwrap();
        assert!(room.left < STEP);
        let error = room.take(u64::MAX, "a file").unwrap_err();
        assert!(error.to_string().contains("a file has 18446744073709551615 bytes"), "{error}");
        room.take(0, "an empty file").unwrap();
    }
}
