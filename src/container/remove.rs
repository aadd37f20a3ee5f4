//! Removing containers, with everything that is only theirs.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::config::{ContainerConfig, MountSource};
use super::dir::ContainerDir;
use super::event;
use super::name::{self, FindError};
use super::protocol::{Request, receive};
use super::start::{connect, send_request};
use super::status::{Status, observe, observe_and_mend};
use super::volumes::VolumeInUse;
use crate::idmap::{self, Ancestor};
use crate::store::{Store, remove_tree};

/// How to remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Kill a running container first.
    pub force: bool,
    /// Remove the volumes that were made for it without a name.
    pub volumes: bool,
}

/// A container that is running and was not to be forced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot remove container \"{name}\": container is {state}{}", if *state == "paused" { " and must be unpaused first" } else { ": stop the container before removing or force remove" }
)]
pub struct StillActive {
    /// The name as the user gave it.
    pub name: String,
    /// Docker's word for its state.
    pub state: &'static str,
}

/// Removes containers. It joins the user's ancestor namespace when it first has to, since a container's files may
/// belong to mapped ids, and a process can join it only once.
#[derive(Debug)]
pub struct Remover<'a> {
    store: &'a Store,
    ancestor: Option<Ancestor>,
}

impl<'a> Remover<'a> {
    /// Makes one. The process must have one thread.
    pub fn new(store: &'a Store) -> Self {
        Self { store, ancestor: None }
    }

    /// Makes one in a process that is in the ancestor namespace already.
    pub fn within(store: &'a Store, ancestor: Ancestor) -> Self {
        Self { store, ancestor: Some(ancestor) }
    }

    /// Removes a container.
    pub fn remove(&mut self, dir: &ContainerDir, named: &str, options: RemoveOptions) -> Result<()> {
        let active = |state| StillActive { name: format!("/{}", named.trim_start_matches('/')), state };
        let status = observe_and_mend(dir)?;
        if status.is_active() {
            if !options.force {
                return Err(active(status.word()).into());
            }
            kill_and_wait(self.store, dir)?;
        }
        // One whose configuration is damaged has no volumes to tell of, and can still be removed.
        let config = dir.try_config().ok().flatten();
        self.enter()?;
        let _lock = match dir.lock() {
            Ok(lock) => lock,
            // It removed itself.
            Err(error) if error.is::<FindError>() => return Ok(()),
            Err(error) => return Err(error),
        };
        // Held, no supervisor can come any more. One that is just starting says nothing yet, so it is waited for.
        let patience = Instant::now() + Duration::from_secs(10);
        let _alive = loop {
            match dir.take_alive() {
                Ok(Some(alive)) => break alive,
                Err(error) if error.is::<FindError>() => return Ok(()),
                Err(error) => return Err(error),
                Ok(None) if options.force => kill_and_wait(self.store, dir)?,
                Ok(None) if observe(dir)?.is_active() || Instant::now() > patience => {
                    return Err(active("running").into());
                }
                Ok(None) => {}
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        remove_runtime_dir(self.store, dir);
        match config {
            Some(config) => tear_down(self.store, dir, &config, options.volumes),
            None => bury(self.store, dir, None),
        }
    }

    /// Removes a container that was to be removed at its end, if its supervisor could not do it. Tells whether
    /// it did.
    pub(super) fn reclaim(&mut self, dir: &ContainerDir) -> bool {
        let Ok(Some(config)) = dir.try_config() else { return false };
        if !config.auto_remove || self.enter().is_err() {
            return false;
        }
        let Ok(_lock) = dir.lock() else { return false };
        // Its supervisor holds the other lock until it has removed it.
        match (observe(dir), dir.take_alive()) {
            (Ok(Status::Exited(_)), Ok(Some(_alive))) => tear_down(self.store, dir, &config, true).is_ok(),
            _ => false,
        }
    }

    fn enter(&mut self) -> Result<()> {
        if self.ancestor.is_none() {
            let identity = idmap::observe()?;
            self.ancestor = Some(Ancestor::enter(&self.store.root().join("locks"), &identity)?);
        }
        Ok(())
    }
}

fn kill_and_wait(store: &Store, dir: &ContainerDir) -> Result<()> {
    let socket = match connect(store, dir) {
        Ok(socket) => socket,
        Err(_) if !dir.is_alive()? => return Ok(()),
        Err(error) => return Err(error),
    };
    send_request(&socket, &Request::Signal { number: libc::SIGKILL })?;
    while receive(&socket).context("listen to the supervisor")?.is_some() {}
    Ok(())
}

/// Takes a container away: name, directory, and with `volumes` those made for it without a name. Goes on past
/// what fails; the first failure is returned.
pub(super) fn tear_down(
    store: &Store,
    dir: &ContainerDir,
    config: &ContainerConfig,
    volumes: bool,
) -> Result<()> {
    let buried = bury(store, dir, Some(config));
    let mut removed = Ok(());
    if volumes {
        for mount in &config.mounts {
            if let MountSource::Volume { name, anonymous: true, .. } = &mount.source
                && removed.is_ok()
            {
                removed = match super::remove_volume(store, name) {
                    // It goes with the last one that has it.
                    Err(error) if error.is::<VolumeInUse>() => Ok(()),
                    result => result,
                };
            }
        }
    }
    buried.and(removed)
}

/// Moves the directory out of sight in one step, gives up the name, and removes what was moved.
fn bury(store: &Store, dir: &ContainerDir, config: Option<&ContainerConfig>) -> Result<()> {
    let staged = store.stage()?;
    // Once the container is out of sight, others may give its name up.
    let name = name::of(store, dir.id());
    let grave = staged.path("grave");
    match fs::rename(dir.path(), &grave) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("remove container {}", dir.short_id())),
    }
    if let Some(name) = &name {
        name::release(store, name, dir.id());
    }
    if let Some(config) = config {
        event::note_named(store, config, &name.unwrap_or_default(), "destroy", &[]);
    }
    remove_tree(&grave).with_context(|| format!("remove the files of container {}", dir.short_id()))
}

/// Removes the container's socket and its directory.
pub(super) fn remove_runtime_dir(store: &Store, dir: &ContainerDir) {
    let runtime = store.runtime().join("containers").join(dir.id());
    let _ = fs::remove_file(runtime.join("attach.sock"));
    let _ = fs::remove_dir(runtime);
}
