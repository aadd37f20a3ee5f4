//! Starting a container: a supervisor for it, and the words with which starts fail.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::attach::{self, AttachOptions, Outcome};
use super::dir::ContainerDir;
use super::protocol::{Event, Kind, Request, Streams, receive, send};
use super::status::{Status, observe_and_mend};
use super::supervise;
use crate::runtime;
use crate::store::Store;

/// Why a container, or a process in it, could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// The exit code for it: 125, 126 (cannot be executed) or 127 (not found).
    pub code: i32,
    /// What went wrong.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// Turns the runtime's reason into Docker's words and exit code.
pub(super) fn explain(error: runtime::StartError) -> anyhow::Error {
    let refused = |code, message: String| {
        anyhow::Error::from(StartError {
            code,
            message: format!(
                "failed to create task for container: failed to create shim task: OCI runtime create failed: \
                 unable to start container process: {message}"
            ),
            hint: None,
        })
    };
    match error {
        runtime::StartError::NotFound(message) => refused(127, message),
        runtime::StartError::NotExecutable(message) => refused(126, message),
        runtime::StartError::UnknownUser(message) => StartError { code: 125, message, hint: None }.into(),
        runtime::StartError::Other(error) => error,
    }
}

/// Starts a container that does not run; one that runs is left alone. With `attach`, carries its streams
/// until it ends or the user detaches.
pub fn start(store: &Store, dir: &ContainerDir, attach: Option<&AttachOptions>) -> Result<Outcome> {
    let status = observe_and_mend(dir)?;
    anyhow::ensure!(!status.is_paused(), "cannot start a paused container, try unpause instead");
    if status.is_active() {
        return match attach {
            Some(options) => attach::attach(store, dir, options),
            None => Ok(Outcome::Started),
        };
    }
    let control = spawn_supervisor(store, dir, attach.map(attach::streams))?;
    match attach {
        Some(options) => attach::carry(store, dir, control, options),
        None => match wait_started(&control)? {
            Some(()) => Ok(Outcome::Started),
            None => lost(store, dir),
        },
    }
}

/// Executes this program again as the supervisor of the container.
fn spawn_supervisor(store: &Store, dir: &ContainerDir, attach: Option<Streams>) -> Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair().context("make the control socket")?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(supervise::ROLE)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_clear();
    // What the id mapping and the search for newuidmap depend on, and where the user's systemd is.
    for key in ["PATH", "USER", "LOGNAME", "XDG_RUNTIME_DIR"] {
        if let Some(value) = std::env::var_os(key) {
            command.env(key, value);
        }
    }
    command.spawn().context("start the supervisor")?;
    drop(command);
    let request = Request::Supervise {
        root: absolute(store.root())?,
        runtime: absolute(store.runtime())?,
        id: dir.id().to_owned(),
        attach,
    };
    send(&ours, Kind::Request, &request).context("tell the supervisor what to start")?;
    Ok(ours)
}

fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf> {
    std::path::absolute(path).with_context(|| format!("resolve {}", path.display()))
}

/// Waits for the word that the process runs; `None` if the supervisor dies first.
fn wait_started(control: &UnixStream) -> Result<Option<()>> {
    while let Some((kind, bytes)) = receive(control).context("listen to the supervisor")? {
        if kind != Kind::Event {
            continue;
        }
        match serde_json::from_slice(&bytes).context("listen to the supervisor")? {
            Event::Started | Event::Exited { .. } => return Ok(Some(())),
            event @ Event::Failed { .. } => return failed(event).map(Some),
            Event::Done => {}
        }
    }
    Ok(None)
}

/// Turns the word of a failure into an error; that it runs already is none.
pub(super) fn failed(event: Event) -> Result<()> {
    match event {
        Event::Failed { code: 0, .. } => Ok(()),
        Event::Failed { code, message, hint } => Err(StartError { code, message, hint }.into()),
        Event::Started | Event::Done | Event::Exited { .. } => Ok(()),
    }
}

/// The supervisor was killed under us: says what became of the container.
pub(super) fn lost(store: &Store, dir: &ContainerDir) -> Result<Outcome> {
    let gone = || StartError {
        code: 125,
        message: format!("the supervisor of container {} was killed", dir.short_id()),
        hint: None,
    };
    if !dir.exists() {
        return Err(gone().into());
    }
    match observe_and_mend(dir)? {
        Status::Exited(record) => {
            super::remove::Remover::new(store).reclaim(dir);
            Ok(Outcome::Exited(record.code))
        }
        _ => Err(gone().into()),
    }
}

/// Sends a request to a supervisor.
pub(super) fn send_request(socket: &UnixStream, request: &Request) -> Result<()> {
    send(socket, Kind::Request, request).context("speak to the supervisor")
}

/// Connects to the supervisor of a running container.
pub(super) fn connect(store: &Store, dir: &ContainerDir) -> Result<UnixStream> {
    let mut asked = false;
    for _ in 0..200 {
        let connected = dir.socket(store).and_then(|socket| Ok(UnixStream::connect(socket.path())?));
        match connected {
            Ok(socket) => return Ok(socket),
            Err(error) => {
                if !dir.is_alive()? {
                    return Err(error)
                        .with_context(|| format!("reach the supervisor of container {}", dir.short_id()));
                }
                // It lives, so the runtime directory was taken from under it, or it is just starting: have it
                // make a new socket, once.
                if !std::mem::replace(&mut asked, true)
                    && let Some(alive) = dir.alive()?
                    && alive.supervisor.lives()
                {
                    let pid = nix::unistd::Pid::from_raw(alive.supervisor.pid);
                    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1);
                }
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(io::Error::from(io::ErrorKind::TimedOut))
        .with_context(|| format!("reach the supervisor of container {}", dir.short_id()))
}
