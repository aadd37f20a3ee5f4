//! An image made of a container.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use serde_json::Value;

use super::config::{ContainerConfig, MountSource};
use super::control::hold;
use super::dir::ContainerDir;
use super::event;
use super::export::{still_there, trees};
use super::status::{Status, observe_and_mend};
use crate::image::{self, CommitOptions, Defaults, Mapping, pack};
use crate::oci::{Digest, Reference};
use crate::store::Store;

/// What the image shall be.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// Who makes it.
    pub author: String,
    /// Instructions of a Dockerfile that change its configuration.
    pub changes: Vec<String>,
    /// A remark.
    pub message: String,
    /// Its name.
    pub reference: Option<Reference>,
}

/// A container whose processes stand still, if it runs. They go on when this is dropped, or this process ends.
#[derive(Debug)]
pub struct Held(#[allow(dead_code, reason = "the connection is all there is to it")] Option<UnixStream>);

/// Stops the processes of a container, if it runs.
pub fn halt(store: &Store, dir: &ContainerDir) -> Result<Held> {
    Ok(Held(match observe_and_mend(dir)? {
        Status::Running(_) => hold(store, dir)?,
        _ => None,
    }))
}

/// Makes an image of what the container has changed, and returns its id. What is mounted in it is no part of it.
/// The process is in the ancestor user namespace, whose mapping is `mapping`. The container goes on as soon as
/// its files are read.
pub fn commit(
    store: &Store,
    dir: &ContainerDir,
    mapping: &Mapping,
    request: CommitRequest,
    held: Option<Held>,
) -> Result<Digest> {
    let config = dir.config()?;
    let options = CommitOptions {
        parent: config.image,
        config: defaults(store, &config, &request.changes)?,
        author: request.author,
        comment: request.message,
        created_by: config.process.cmd.clone().unwrap_or_default().join(" "),
        reference: request.reference,
    };
    let mut trees = trees(store, dir, &config, mapping)?;
    let changes = pack::changes(&trees, mapping.owners)?;
    // Only the first of them is packed.
    trees.truncate(1);
    let pack = |out: &mut dyn Write| {
        let mut tree = trees.pop().context("there is nothing to pack")?;
        tree.leave_out(changes.mount_points);
        let packed = pack::layer(&tree, mapping.owners, &mut &mut *out);
        drop(held);
        still_there(dir)?;
        packed
    };
    let id = image::commit(store, mapping, &options, pack)
        .with_context(|| format!("commit container {}", dir.short_id()))?;
    let name = options.reference.as_ref().map(Reference::familiar).unwrap_or_default();
    let told = [("comment", options.comment), ("imageID", id.to_string()), ("imageRef", name)];
    event::note(store, &config, "commit", &told);
    Ok(id)
}

/// Returns the configuration of the image: the container's own, changed by instructions.
fn defaults(store: &Store, config: &ContainerConfig, changes: &[String]) -> Result<Defaults> {
    let below = image::open(store, &config.image)?.config.config;
    let mut made = of_container(config, &below);
    let mut has_command = false;
    for text in changes {
        let word = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        match word.as_str() {
            "CMD" => has_command = true,
            // As in a Dockerfile: a command is meant for the entry point that it was given with.
            "ENTRYPOINT" if !has_command => made.cmd = None,
            _ => {}
        }
        image::change(&mut made, text)?;
    }
    Ok(made)
}

/// Returns who runs the image's containers: as in the container, unless there it was the user because of
/// `--userns keep-id` alone, whose ids mean nothing to others.
fn user(config: &ContainerConfig, below: &Defaults) -> String {
    match &config.sharing.keep_id {
        Some(keep) if below.user.is_empty() && keep.user() == config.process.user => String::new(),
        _ => config.process.user.clone(),
    }
}

/// Returns what the container was made with, as far as an image can say it.
fn of_container(config: &ContainerConfig, below: &Defaults) -> Defaults {
    let empty = || Value::Object(serde_json::Map::new());
    let anonymous = config.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { anonymous: true, .. } => Some(mount.target.clone()),
        _ => None,
    });
    let volumes: BTreeMap<_, _> =
        config.image_volumes.iter().cloned().chain(anonymous).map(|path| (path, empty())).collect();
    Defaults {
        args_escaped: false,
        user: user(config, below),
        exposed_ports: config.exposed_ports.iter().map(|port| (port.clone(), empty())).collect(),
        env: config.process.env.clone(),
        entrypoint: config.process.entrypoint.clone(),
        cmd: config.process.cmd.clone(),
        healthcheck: config.healthcheck.clone(),
        volumes,
        working_dir: config.process.working_dir.clone(),
        on_build: Vec::new(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: below.stop_timeout,
        shell: below.shell.clone(),
    }
}
