//! What a supervisor waits for.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Checks, Client, Stream, Supervisor};
use crate::sys;

/// Input that may wait for the process before clients are made to wait, in bytes.
const INPUT_WAITING: usize = 64 << 10;

/// How long nothing has to happen before the supervisor makes itself small.
const QUIET: Duration = Duration::from_millis(500);

/// Where in the list of polled descriptors those are that come and go.
#[derive(Default)]
struct Places {
    router: Option<usize>,
    memory: Option<usize>,
    pidfd: Option<usize>,
    stdout: Option<usize>,
    stderr: Option<usize>,
}

/// What is ready.
pub(super) struct Ready {
    pub(super) signals: bool,
    pub(super) router: bool,
    pub(super) memory: bool,
    pub(super) listener: bool,
    pub(super) clients: Vec<bool>,
    pub(super) exited: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

impl Supervisor {
    /// Waits until something is ready or a time has come.
    pub(super) fn wait(&mut self) -> Result<Ready> {
        let behind = self.clients.iter().any(Client::is_behind);
        let process = self.process.as_ref();
        let full = process.is_some_and(|process| process.stdio.waiting() > INPUT_WAITING);
        let mut fds = Vec::with_capacity(self.clients.len() + 6);
        fds.push(PollFd::new(&self.signals, PollFlags::IN));
        fds.push(PollFd::new(&self.listener, PollFlags::IN));
        for client in &self.clients {
            let mut events = PollFlags::empty();
            // A client that feeds is heard again when its last words are taken.
            if !(full && client.streams.stdin) {
                events |= PollFlags::IN;
            }
            if client.has_output() {
                events |= PollFlags::OUT;
            }
            fds.push(PollFd::new(&client.socket, events));
        }
        let mut at = Places::default();
        if let Some(router) = &self.router {
            at.router = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(router.as_fd(), PollFlags::IN));
        }
        if let Some(events) = self.keeper.events() {
            at.memory = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(events, PollFlags::PRI));
        }
        if let Some(process) = process {
            at.pidfd = Some(fds.len());
            fds.push(PollFd::new(&process.pidfd, PollFlags::IN));
            for (stream, place) in [(Stream::Stdout, &mut at.stdout), (Stream::Stderr, &mut at.stderr)] {
                if let Some(fd) = process.stdio.output(stream).filter(|_| !behind) {
                    *place = Some(fds.len());
                    fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
                }
            }
            if let Some(fd) = process.stdio.blocked_input() {
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::OUT));
            }
        }
        if let Some(checks) = &self.checks {
            checks.poll(&mut fds);
        }
        let left = |at: Instant| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        let timer = self.kill_at.into_iter().chain(self.next_run).chain(self.replace_at);
        let timer =
            timer.chain(self.checks.as_ref().and_then(Checks::due)).chain(self.keeper.due()).min().map(left);
        let timeout = timer.into_iter().chain(self.stirred.then_some(QUIET)).min().map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let stirred = match poll(&mut fds, timeout.as_ref()) {
            Ok(count) => count > 0,
            Err(rustix::io::Errno::INTR) => true,
            Err(error) => return Err(error).context("wait for events"),
        };
        let is_ready = |at: Option<usize>| at.is_some_and(|at| !fds[at].revents().is_empty());
        let heard = |at: usize| fds[at].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        let ready = Ready {
            signals: heard(0),
            router: is_ready(at.router),
            memory: is_ready(at.memory),
            listener: heard(1),
            clients: (0..self.clients.len()).map(|client| heard(client + 2)).collect(),
            exited: is_ready(at.pidfd),
            stdout: is_ready(at.stdout),
            stderr: is_ready(at.stderr),
        };
        if !stirred && self.stirred {
            // What it took to get here is not needed while nothing happens. A failure costs memory only.
            let _ = sys::memory::release_code();
            if let Some(log) = &mut self.log {
                log.rest();
            }
            if let Some(process) = &mut self.process {
                process.stdio.shrink();
            }
        }
        self.stirred = stirred;
        Ok(ready)
    }
}
