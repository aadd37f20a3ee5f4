//! The standard streams of a container's process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::pipe::PipeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::{Io, WindowSize};

/// The group that terminals belong to.
const TTY_GROUP: u32 = 5;

/// The pipes of a process, both ends. The caller keeps one, the process the other.
#[derive(Debug)]
pub(super) struct Pipes {
    /// The process's standard input.
    pub(super) stdin: OwnedFd,
    /// Its standard output.
    pub(super) stdout: OwnedFd,
    /// Its standard error.
    pub(super) stderr: OwnedFd,
}

impl Pipes {
    /// Makes the pipes of a process without a terminal: its ends, and the caller's.
    pub(super) fn unless(
        terminal: Option<WindowSize>,
        keep_stdin: bool,
    ) -> io::Result<(Option<Self>, Option<Io>)> {
        if terminal.is_some() {
            return Ok((None, None));
        }
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let (stdin, to_stdin) = if keep_stdin {
            let (read, write) = pipe()?;
            (read, Some(write))
        } else {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            (rustix::fs::open("/dev/null", flags, Mode::empty())?, None)
        };
        let (from_stdout, stdout) = pipe()?;
        let (from_stderr, stderr) = pipe()?;
        let io = Io::Pipes { stdin: to_stdin, stdout: from_stdout, stderr: from_stderr };
        Ok((Some(Self { stdin, stdout, stderr }), Some(io)))
    }

    /// Makes the streams of a process that nobody listens to: all of them `/dev/null`.
    pub(super) fn nowhere() -> io::Result<Self> {
        let null = || rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { stdin: null()?, stdout: null()?, stderr: null()? })
    }

    /// Makes them this process's standard streams, and lets `uid` open them again by name.
    pub(super) fn install(self, uid: u32) -> Result<()> {
        for fd in [&self.stdin, &self.stdout, &self.stderr] {
            // `/dev/null` is the host's.
            if rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
            {
                // An id that does not exist inside is refused; becoming that user then says it better.
                let _ = rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None);
            }
        }
        install(self.stdin.as_fd(), self.stdout.as_fd(), self.stderr.as_fd())
    }
}

/// A terminal of the container.
#[derive(Debug)]
pub(super) struct Terminal {
    /// The end that goes to the caller.
    pub(super) master: OwnedFd,
    /// The end of the process.
    pub(super) slave: OwnedFd,
    /// The name of the slave in its `/dev/pts`.
    pub(super) name: String,
}

impl Terminal {
    /// Opens a new terminal in the `devpts` file system.
    pub(super) fn open(devpts: BorrowedFd<'_>, size: WindowSize) -> Result<Self> {
        const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
        let kind = rustix::fs::fstatfs(devpts).context("query /dev/pts")?.f_type;
        if kind.cast_unsigned() != DEVPTS_SUPER_MAGIC {
            anyhow::bail!("no devpts file system is mounted on /dev/pts");
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master =
            rustix::fs::openat(devpts, "ptmx", flags, Mode::empty()).context("open /dev/pts/ptmx")?;
        rustix::pty::unlockpt(&master).context("unlock the terminal")?;
        let peer = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, peer).context("open the terminal's other end")?;
        let path = rustix::pty::ptsname(&master, Vec::new()).context("name the terminal")?;
        let name = path.to_string_lossy().rsplit('/').next().unwrap_or_default().to_owned();
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).context("set the terminal's size")?;
        Ok(Self { master, slave, name })
    }

    /// Makes it this process's standard streams and the controlling terminal of its session, and gives it
    /// to the user.
    pub(super) fn install(slave: &OwnedFd, uid: u32, gid: u32) -> Result<()> {
        let (uid, tty) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(TTY_GROUP)));
        // Ids that do not exist inside are refused; becoming that user then says it better.
        let _ = rustix::fs::fchown(slave, uid, tty)
            .or_else(|_| rustix::fs::fchown(slave, uid, Some(Gid::from_raw(gid))));
        rustix::process::ioctl_tiocsctty(slave).context("make the terminal the controlling one")?;
        install(slave.as_fd(), slave.as_fd(), slave.as_fd())
    }
}

fn install(stdin: BorrowedFd<'_>, stdout: BorrowedFd<'_>, stderr: BorrowedFd<'_>) -> Result<()> {
    let install = || -> rustix::io::Result<()> {
        rustix::stdio::dup2_stdin(stdin)?;
        rustix::stdio::dup2_stdout(stdout)?;
        rustix::stdio::dup2_stderr(stderr)
    };
    install().context("set the standard streams")
}
