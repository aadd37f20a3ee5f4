//! A process of `exec -d`: somebody has to be its parent, to read what its terminal says and to write down how it
//! ends. That is a copy of the command, which starts it, reports, and goes on when the command has answered.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use anyhow::{Context, Result, anyhow};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use crate::container::attach::Outcome;
use crate::container::start::StartError;
use crate::runtime::{Io, Process};
use crate::sys::process::{Cloned, Parent, clone, close_others, exit_now, reap};

/// What the copy says of the start: nothing, or why there was none.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Report {
    failed: Option<Failure>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    /// The exit code, where the runtime has one for it.
    code: Option<i32>,
    message: String,
    hint: Option<String>,
}

/// Starts a process in a copy of this one, which must have one thread, and returns when it runs. `ended` is
/// told in the copy how it ended, or why it did not start.
pub(super) fn run(
    start: impl FnOnce() -> Result<Process>,
    ended: impl Fn(Result<i32, &anyhow::Error>),
) -> Result<Outcome> {
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC).context("make a pipe")?;
    match clone(0, Parent::Caller).context("start a process")? {
        Cloned::Parent { .. } => {
            drop(ours);
            listen(theirs)
        }
        Cloned::Child => {
            drop(theirs);
            watch(start, ours, ended);
            exit_now(0)
        }
    }
}

/// Waits for the copy's report.
fn listen(from: OwnedFd) -> Result<Outcome> {
    let mut text = Vec::new();
    File::from(from).read_to_end(&mut text).context("listen to the process's parent")?;
    let report: Report = serde_json::from_slice(&text).context("listen to the process's parent")?;
    match report.failed {
        None => Ok(Outcome::Started),
        Some(Failure { code: Some(code), message, hint }) => Err(StartError { code, message, hint }.into()),
        Some(Failure { message, .. }) => Err(anyhow!(message)),
    }
}

/// What the copy does.
fn watch(start: impl FnOnce() -> Result<Process>, to: OwnedFd, ended: impl Fn(Result<i32, &anyhow::Error>)) {
    let _ = rustix::process::setsid();
    let started = start();
    let failed = started.as_ref().err().map(|error| match error.downcast_ref::<StartError>() {
        Some(start) => {
            Failure { code: Some(start.code), message: start.message.clone(), hint: start.hint.clone() }
        }
        None => Failure { code: None, message: format!("{error:#}"), hint: None },
    });
    // From here on nothing of the command's is held open: whoever waits for its output to end shall not wait.
    let _ = std::env::set_current_dir("/");
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    let mut kept = vec![0, 1, 2, to.as_raw_fd()];
    if let Ok(process) = &started {
        kept.push(process.pidfd.as_raw_fd());
        if let Io::Terminal(master) = &process.io {
            kept.push(master.as_raw_fd());
        }
    }
    let _ = close_others(&kept);
    // Nobody is left to tell that nobody listens.
    let _ = serde_json::to_writer(File::from(to), &Report { failed });
    match started {
        Err(error) => ended(Err(&error)),
        Ok(process) => {
            if let Io::Terminal(master) = &process.io {
                drain(master, &process.pidfd);
            }
            if let Ok(exit) = reap(process.pidfd.as_fd()) {
                ended(Ok(exit.code()));
            }
        }
    }
}

/// Reads what a terminal says until the process ends, so that it never has to wait. One whose other side is
/// closed gives EIO.
fn drain(master: &OwnedFd, pidfd: &OwnedFd) {
    let mut buffer = [0; 4096];
    loop {
        let mut fds = [PollFd::new(master, PollFlags::IN), PollFd::new(pidfd, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        if !fds[0].revents().is_empty()
            && !matches!(rustix::io::read(master, &mut buffer), Ok(count) if count > 0)
        {
            return;
        }
    }
}
