//! The build's side of a process that carries out a step.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::order::{GoOn, Order, Said, hear, say};
use super::step::ROLE;
use crate::oci::Digest;
use crate::sys::socket;

/// How often it is looked whether the build is to stop, in nanoseconds.
const LOOK: i64 = 50_000_000;
/// How long a process may take to end when nobody listens to it any more.
const PATIENCE: Duration = Duration::from_secs(3);

/// A process that carries out a step; it ends with this.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    socket: Option<OwnedFd>,
    child: Child,
    stop: &'a AtomicBool,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// Its command, with this code.
    Exited(i32),
}

/// The build has been stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("context canceled")]
pub struct Stopped;

impl<'a> Worker<'a> {
    /// Starts one.
    pub(super) fn start(order: &Order, stop: &'a AtomicBool) -> Result<Self> {
        let (ours, theirs) = socket::pair().context("make a socket")?;
        let mut command = Command::new("/proc/self/exe");
        command.arg(ROLE).stdin(Stdio::from(theirs)).stdout(Stdio::null()).env_clear();
        // The way out where there is no router is a program of the host.
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let child = command.spawn().context("start a process for the step")?;
        let worker = Self { socket: Some(ours), child, stop };
        order.give(worker.socket()?)?;
        Ok(worker)
    }

    fn socket(&self) -> Result<&OwnedFd> {
        self.socket.as_ref().context("the process of the step is gone")
    }

    /// Waits until one of these is ready to be read, but for the first only while `streams` are empty.
    fn wait(&self, streams: &[Option<OwnedFd>]) -> Result<(bool, Vec<bool>)> {
        let mut places = Vec::new();
        let mut fds = vec![PollFd::new(self.socket()?, PollFlags::IN)];
        for stream in streams {
            places.push(stream.as_ref().map(|stream| {
                fds.push(PollFd::new(stream, PollFlags::IN));
                fds.len() - 1
            }));
        }
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Stopped.into());
            }
            let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK };
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(error) => return Err(error).context("wait for the step"),
            }
        }
        let is = |at: usize| !fds[at].revents().is_empty();
        Ok((is(0), places.into_iter().map(|place| place.is_some_and(is)).collect()))
    }

    fn hear(&self) -> Result<(Said, Vec<OwnedFd>)> {
        match hear::<Said>(self.socket()?)? {
            Some((Said::Failed(why), _)) => bail!(why),
            Some(heard) => Ok(heard),
            None => bail!("the process of the step has ended early"),
        }
    }

    /// Waits for the digest of what the step reads.
    pub(super) fn reads(&self) -> Result<Digest> {
        self.wait(&[])?;
        match self.hear()? {
            (Said::Reads(digest), _) => Ok(digest),
            (other, _) => bail!("the process of the step says {other:?} out of turn"),
        }
    }

    /// Tells it to go on after that.
    pub(super) fn go_on(&self) -> Result<()> {
        say(self.socket()?, &GoOn, &[])
    }

    /// Waits for its end. `heard` takes what the command writes, and whether that is an error.
    pub(super) fn finish(mut self, mut heard: impl FnMut(bool, &[u8])) -> Result<End> {
        let mut streams: [Option<OwnedFd>; 2] = [None, None];
        let mut buffer = vec![0; 32 << 10];
        let end = loop {
            let (said, ready) = self.wait(&streams)?;
            read(&mut streams, &ready, &mut buffer, &mut heard);
            if !said {
                continue;
            }
            match self.hear()? {
                (Said::Runs, fds) => {
                    let mut fds = fds.into_iter();
                    streams = [fds.next(), fds.next()];
                }
                (Said::Done, _) => break End::Done,
                (Said::Exited(code), _) => break End::Exited(code),
                (other, _) => bail!("the process of the step says {other:?} out of turn"),
            }
        };
        // All who could still write have ended with the command.
        for (at, stream) in streams.iter().enumerate() {
            let Some(stream) = stream else { continue };
            while let Ok(count @ 1..) = rustix::io::read(stream.as_fd(), &mut buffer) {
                heard(at == 1, &buffer[..count]);
            }
        }
        self.socket = None;
        self.child.wait().context("wait for the process of the step")?;
        Ok(end)
    }
}

fn read(
    streams: &mut [Option<OwnedFd>; 2],
    ready: &[bool],
    buffer: &mut [u8],
    heard: &mut impl FnMut(bool, &[u8]),
) {
    for (at, stream) in streams.iter_mut().enumerate() {
        if !ready.get(at).copied().unwrap_or(false) {
            continue;
        }
        let Some(open) = stream else { continue };
        match rustix::io::read(open.as_fd(), &mut *buffer) {
            Ok(0) => *stream = None,
            Ok(count) => heard(at == 1, &buffer[..count]),
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::Interrupted => {}
            Err(_) => *stream = None,
        }
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        // It sees that nobody listens, and ends what it has started.
        self.socket = None;
        let until = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
