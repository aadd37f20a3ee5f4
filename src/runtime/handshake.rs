//! What a new process tells the one that made it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context as _, anyhow};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::ownership::{self, Beginning};
use super::{StartError, guest, lookup};
use crate::sys::socket;

/// The longest message: a chain of errors with two paths in it fits.
const LIMIT: usize = 16 * 1024;

/// What the new process says, in the only order it may.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromInit {
    /// The network namespace comes with this, before anything else and unasked.
    Network,
    /// All is mounted and the root not yet changed. It waits to be told to go on.
    Mounted,
    /// The master of the terminal comes with this.
    Terminal,
    /// The listener of the filter of ownership comes with this.
    Ownership(Beginning),
    /// All is done but the exec of this program. What follows is the socket's end, or the `errno` of the
    /// failed exec, which the guest program `launch` sends as four bytes.
    Executing(String),
    /// The user's program is not there.
    NotFound(String),
    /// The user's program cannot be executed.
    NotExecutable(String),
    /// The user or a group is not there.
    UnknownUser(String),
    /// Something else went wrong.
    Failed(String),
}

impl FromInit {
    /// Sends this to the process that waits in [`listen`].
    pub(super) fn send(&self, to: BorrowedFd<'_>, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.truncate(LIMIT);
        socket::send(to, &text, fds)
    }
}

/// Takes the network namespace that a hidden process hands over.
pub(super) fn take_network(from: &OwnedFd) -> anyhow::Result<OwnedFd> {
    let mut buffer = vec![0; LIMIT];
    let (length, fds) =
        socket::receive(from.as_fd(), &mut buffer).context("listen to the container's process")?;
    let message = buffer.get(..length).filter(|message| !message.is_empty());
    let message = message.context("the container's process ended before it was set up")?;
    match serde_json::from_slice(message).context("understand the container's process")? {
        FromInit::Network => fds.into_iter().next().context("the container's network namespace is missing"),
        FromInit::Failed(text) => Err(anyhow!(text)),
        other => Err(anyhow!("the container's process says {other:?} too early")),
    }
}

/// What the new process has handed over.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// The master of its terminal, if it has one.
    pub(super) terminal: Option<OwnedFd>,
    /// What is closed when the steward of its ownership is gone, if it has one.
    pub(super) steward: Option<OwnedFd>,
}

/// Listens until the new process, which is `inside` of the container whose first process is `first`, has executed the
/// user's program or has failed. `mounted` is done when it says that all is mounted.
pub(super) fn listen(
    from: &OwnedFd,
    inside: BorrowedFd<'_>,
    first: BorrowedFd<'_>,
    mounted: impl Fn() -> anyhow::Result<()>,
) -> Result<Received, StartError> {
    let mut buffer = vec![0; LIMIT];
    let (mut received, mut executing) = (Received::default(), None::<String>);
    loop {
        let (length, fds) =
            socket::receive(from.as_fd(), &mut buffer).context("listen to the container's process")?;
        let message = &buffer[..length];
        match (&executing, message) {
            (Some(_), []) => return Ok(received),
            (None, []) => return Err(anyhow!("the container's process ended before it was set up").into()),
            _ => {}
        }
        if let Some(program) = &executing
            && let Some(errno) = guest::launch_errno(message).as_ref().and_then(Errno::from_io_error)
        {
            return Err(lookup::refused(program, errno));
        }
        match serde_json::from_slice(message).context("understand the container's process")? {
            FromInit::Network => return Err(anyhow!("the container's process repeats itself").into()),
            FromInit::Mounted => {
                mounted()?;
                socket::send(from.as_fd(), b"on", &[]).context("let the container's process go on")?;
            }
            FromInit::Terminal => received.terminal = fds.into_iter().next(),
            FromInit::Ownership(beginning) => {
                let listener = fds.into_iter().next().context("the filter of ownership has no listener")?;
                received.steward = Some(ownership::attend(listener, beginning, inside, first)?);
            }
            FromInit::Executing(program) => executing = Some(program),
            FromInit::NotFound(text) => return Err(StartError::NotFound(text)),
            FromInit::NotExecutable(text) => return Err(StartError::NotExecutable(text)),
            FromInit::UnknownUser(text) => return Err(StartError::UnknownUser(text)),
            FromInit::Failed(text) => return Err(anyhow!(text).into()),
        }
    }
}
