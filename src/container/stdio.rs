//! Our ends of a process's standard streams, for whoever carries them: the supervisor, and `exec`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::termios::Winsize;

use super::log::Stream;
use crate::runtime::Io;

/// The other ends of a process's standard streams, and the input that it has not taken yet.
#[derive(Debug)]
pub(super) struct Stdio {
    /// Where input goes; `None` once closed. A terminal has both directions in `stdout`.
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    terminal: bool,
    pending: Vec<u8>,
    /// Whether input is to be closed after what is pending.
    closing: bool,
    /// How often output has filled all the room there was, without a pause; [`GROWN`] once the pipe is larger.
    full: [u8; 2],
}

/// How often a pipe is found full before it is made larger, and the mark of one that has been.
const OFTEN: u8 = 4;
const GROWN: u8 = u8::MAX;
/// How large a pipe is at first, and while much is written: a writer that is not stopped at every turn loses less
/// time. A user has 64 MiB in all, which the network's pipes share, so that it is not larger all the time.
const PIPE: usize = 64 << 10;
const LARGE_PIPE: usize = 256 << 10;

impl Stdio {
    /// Takes the streams over; from here on they do not block.
    pub(super) fn new(io: Io) -> Result<Self> {
        let (stdin, stdout, stderr, terminal) = match io {
            Io::Terminal(master) => (None, Some(master), None, true),
            Io::Nowhere => (None, None, None, false),
            Io::Pipes { stdin, stdout, stderr } => (stdin, Some(stdout), Some(stderr), false),
        };
        for fd in [&stdin, &stdout, &stderr].into_iter().flatten() {
            rustix::io::ioctl_fionbio(fd, true).context("set a stream to non-blocking")?;
        }
        Ok(Self { stdin, stdout, stderr, terminal, pending: Vec::new(), closing: false, full: [0; 2] })
    }

    /// Returns what to poll for output of `stream`, while there may be some.
    pub(super) fn output(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
        .as_ref()
        .map(AsFd::as_fd)
    }

    /// Returns what to poll for room, while input waits for it.
    pub(super) fn blocked_input(&self) -> Option<BorrowedFd<'_>> {
        self.input().filter(|_| !self.pending.is_empty())
    }

    /// Returns how many bytes of input wait.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    fn input(&self) -> Option<BorrowedFd<'_>> {
        let fd = if self.terminal { &self.stdout } else { &self.stdin };
        fd.as_ref().map(AsFd::as_fd)
    }

    /// Takes in input.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.closing && self.input().is_some() {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// Ends the input of a process that has a pipe for it; a terminal stays open.
    pub(super) fn close_input(&mut self) {
        self.closing |= !self.terminal;
    }

    /// Hands the process what it takes of its input.
    pub(super) fn feed(&mut self) {
        while !self.pending.is_empty() {
            let written = match self.input() {
                Some(fd) => rustix::io::write(fd, &self.pending),
                None => Err(Errno::PIPE),
            };
            match written {
                Ok(count) => {
                    self.pending.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody will read it.
                Err(_) => {
                    self.pending.clear();
                    self.closing |= !self.terminal;
                }
            }
        }
        // A burst's memory is not kept for the container's life.
        self.pending.shrink_to(4096);
        if self.closing {
            self.stdin = None;
        }
    }

    /// Reads output once: how many bytes came, or `None` if there are none now.
    pub(super) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Option<usize> {
        let source = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        loop {
            match rustix::io::read(source.as_ref()?, &mut *buffer) {
                Ok(count) if count > 0 => {
                    self.fit_pipe(stream, count);
                    return Some(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                // The end: of a terminal, EIO.
                Ok(_) | Err(_) => {
                    *source = None;
                    return None;
                }
            }
        }
    }

    /// Makes the pipe of a stream larger that has been found full several times in a row.
    fn fit_pipe(&mut self, stream: Stream, count: usize) {
        let full = &mut self.full[stream as usize];
        match *full {
            GROWN => {}
            _ if count < PIPE => *full = 0,
            OFTEN => {
                *full = GROWN;
                // Where there may be none so large, or it is a terminal, it stays as it is.
                if let Some(fd) = self.output(stream) {
                    let _ = rustix::pipe::fcntl_setpipe_size(fd, LARGE_PIPE);
                }
            }
            _ => *full += 1,
        }
    }

    /// Makes pipes as small again as they were, when nothing is written.
    pub(super) fn shrink(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if std::mem::take(&mut self.full[stream as usize]) == GROWN
                && let Some(fd) = self.output(stream)
            {
                let _ = rustix::pipe::fcntl_setpipe_size(fd, PIPE);
            }
        }
    }

    /// Tells the process's terminal, if it has one, how large the user's is.
    pub(super) fn resize(&self, rows: u16, columns: u16) {
        if let (true, Some(master)) = (self.terminal, &self.stdout) {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // The only failure is that the process is gone.
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }

    /// Tells whether the streams are a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;

    #[test]
    fn a_pipe_that_is_full_all_the_time_grows_and_shrinks_again() {
        let (stdout, out) = pipe().unwrap();
        let (stderr, _err) = pipe().unwrap();
        let size = || rustix::pipe::fcntl_getpipe_size(&out).unwrap();
        let mut stdio = Stdio::new(Io::Pipes { stdin: None, stdout, stderr }).unwrap();
        let mut buffer = vec![0; PIPE];
        let mut turn = |count: usize| {
            rustix::io::write(&out, &vec![b'x'; count]).unwrap();
            assert_eq!(stdio.read(Stream::Stdout, &mut buffer), Some(count));
        };
        for count in [PIPE, PIPE, PIPE, PIPE, 1, PIPE] {
            turn(count);
        }
        assert_eq!(size(), PIPE);
        for _ in 0..OFTEN {
            turn(PIPE);
        }
        assert_eq!(size(), LARGE_PIPE);
        stdio.shrink();
        assert_eq!(size(), PIPE);
    }

    #[test]
    fn feeds_reads_and_ends() {
        let (theirs, ours) = pipe().unwrap();
        let (stdout, out) = pipe().unwrap();
        let (stderr, _err) = pipe().unwrap();
        let mut stdio = Stdio::new(Io::Pipes { stdin: Some(ours), stdout, stderr }).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(stdio.read(Stream::Stdout, &mut buffer), None);
        rustix::io::write(&out, b"out").unwrap();
        assert_eq!(stdio.read(Stream::Stdout, &mut buffer), Some(3));
        drop(out);
        assert_eq!(stdio.read(Stream::Stdout, &mut buffer), None);
        assert!(stdio.output(Stream::Stdout).is_none() && stdio.output(Stream::Stderr).is_some());

        let large = vec![b'x'; 1 << 20];
        stdio.push(&large);
        stdio.close_input();
        stdio.push(b"too late");
        stdio.feed();
        assert!(stdio.blocked_input().is_some() && stdio.waiting() < large.len());
        let mut taken = 0;
        while taken < large.len() {
            let mut piece = vec![0; 1 << 16];
            taken += rustix::io::read(&theirs, &mut piece[..]).unwrap();
            stdio.feed();
        }
        assert_eq!((stdio.waiting(), rustix::io::read(&theirs, &mut buffer).unwrap()), (0, 0));
    }
}
