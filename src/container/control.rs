//! Words to a running container: stop, kill, restart, wait.

use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};

use super::dir::ContainerDir;
use super::event;
use super::protocol::{Event, Kind, Request, receive};
use super::signal;
use super::start::{connect, failed, send_request, start};
use super::status::{Status, observe_and_mend};
use crate::store::Store;

/// Stops a container: its stop signal, a time to obey, SIGKILL. One that does not run is left alone. What is
/// `None` is the container's own setting.
pub fn stop(store: &Store, dir: &ContainerDir, signal: Option<&str>, seconds: Option<i64>) -> Result<()> {
    let signal = signal.map(signal::parse).transpose()?;
    if observe_and_mend(dir)?.is_active() {
        ask(store, dir, &Request::Stop { signal, seconds }, |event| matches!(event, Event::Exited { .. }))?;
    }
    Ok(())
}

/// Sends a signal to a running container.
pub fn kill(store: &Store, dir: &ContainerDir, signal: &str) -> Result<()> {
    let number = signal::parse(signal)?;
    match observe_and_mend(dir)? {
        Status::Running(_) => {}
        _ => bail!("container {} is not running", dir.id()),
    }
    let socket = connect(store, dir)?;
    send_request(&socket, &Request::Signal { number })?;
    if number == libc::SIGKILL {
        // As Docker: after `kill` with SIGKILL, it is dead.
        wait_for(&socket, |event| matches!(event, Event::Exited { .. }))?;
    } else {
        // A word that needs an answer tells that the one before it was heard.
        send_request(&socket, &Request::Attach(super::protocol::Streams::default()))?;
        wait_for(&socket, |_| true)?;
    }
    Ok(())
}

/// Stops a container, if it runs, and starts it.
pub fn restart(store: &Store, dir: &ContainerDir, signal: Option<&str>, seconds: Option<i64>) -> Result<()> {
    let signal = signal.map(signal::parse).transpose()?;
    if !observe_and_mend(dir)?.is_active() {
        start(store, dir, None)?;
        event::note(store, &dir.config()?, "restart", &[]);
        return Ok(());
    }
    ask(store, dir, &Request::Restart { signal, seconds }, |event| matches!(event, Event::Started))
}

/// Waits until a container has ended, and returns its exit code.
pub fn wait(store: &Store, dir: &ContainerDir) -> Result<i32> {
    loop {
        match observe_and_mend(dir)? {
            Status::Created(Some(record)) | Status::Exited(record) => return Ok(record.code),
            Status::Created(None) | Status::Lost(_) => return Ok(0),
            Status::Running(_) | Status::Restarting(_) => {}
        }
        let Ok(socket) = connect(store, dir) else { continue };
        if send_request(&socket, &Request::Wait).is_err() {
            continue;
        }
        let mut code = None;
        wait_for(&socket, |event| match event {
            Event::Exited { code: ended } => {
                code = Some(*ended);
                true
            }
            _ => false,
        })?;
        if let Some(code) = code {
            return Ok(code);
        }
    }
}

/// Stops all processes of a container.
pub fn pause(store: &Store, dir: &ContainerDir) -> Result<()> {
    if must_run(dir)?.is_paused() {
        bail!("Container {} is already paused", dir.id());
    }
    have_done(store, dir, &Request::Pause)
}

/// Lets the processes of a paused container go on.
pub fn unpause(store: &Store, dir: &ContainerDir) -> Result<()> {
    if !observe_and_mend(dir)?.is_paused() {
        bail!("Container {} is not paused", dir.id());
    }
    have_done(store, dir, &Request::Unpause)
}

/// Observes a container that has to be running for what is asked.
pub(super) fn must_run(dir: &ContainerDir) -> Result<Status> {
    match observe_and_mend(dir)? {
        status @ Status::Running(_) => Ok(status),
        Status::Restarting(_) => {
            bail!("Container {} is restarting, wait until the container is running", dir.id())
        }
        _ => bail!("container {} is not running", dir.id()),
    }
}

/// Has the supervisor do something to its running container.
pub(super) fn have_done(store: &Store, dir: &ContainerDir, request: &Request) -> Result<()> {
    let socket = connect(store, dir)?;
    send_request(&socket, request)?;
    let mut done = false;
    wait_for(&socket, |event| {
        done |= matches!(event, Event::Done);
        done || matches!(event, Event::Exited { .. })
    })?;
    anyhow::ensure!(done, "container {} has ended", dir.id());
    Ok(())
}

/// Has the supervisor stop all processes of its container, until the connection that is returned ends; nothing if
/// it has ended meanwhile.
pub(super) fn hold(store: &Store, dir: &ContainerDir) -> Result<Option<UnixStream>> {
    let socket = match connect(store, dir) {
        Ok(socket) => socket,
        Err(_) if !dir.is_alive()? => return Ok(None),
        Err(error) => return Err(error),
    };
    send_request(&socket, &Request::Hold)?;
    let mut held = false;
    wait_for(&socket, |event| {
        held |= matches!(event, Event::Done);
        held
    })?;
    Ok(held.then_some(socket))
}

/// Sends a request and waits for the event that answers it, then, with `--rm`, for the end of the connection.
fn ask(
    store: &Store,
    dir: &ContainerDir,
    request: &Request,
    is_answer: impl FnMut(&Event) -> bool,
) -> Result<()> {
    let socket = match connect(store, dir) {
        Ok(socket) => socket,
        // It has ended meanwhile.
        Err(_) if !dir.is_alive()? => return Ok(()),
        Err(error) => return Err(error),
    };
    send_request(&socket, request)?;
    wait_for(&socket, is_answer)
}

/// Listens until an event is the answer or the connection ends.
fn wait_for(socket: &UnixStream, mut is_answer: impl FnMut(&Event) -> bool) -> Result<()> {
    let mut answered = false;
    while let Some((kind, bytes)) = receive(socket).context("listen to the supervisor")? {
        if kind != Kind::Event {
            continue;
        }
        let event: Event = serde_json::from_slice(&bytes).context("listen to the supervisor")?;
        answered |= is_answer(&event);
        match event {
            Event::Failed { .. } => return failed(event),
            // After the end, the connection stays until a `--rm` container is removed.
            Event::Exited { .. } => {}
            Event::Started | Event::Done if answered => break,
            Event::Started | Event::Done => {}
        }
    }
    Ok(())
}
