//! The root file system of a container as an archive.

use std::io::Write;

use anyhow::{Context, Result, ensure};

use super::FindError;
use super::config::ContainerConfig;
use super::dir::ContainerDir;
use super::event;
use crate::image::Mapping;
use crate::image::pack::{self, Tree};
use crate::store::Store;

/// Writes what the container's root file system holds, without what is mounted in it. Whether it runs makes
/// no difference: the layers are read where they lie. The process is in the ancestor user namespace, whose
/// mapping is `mapping`.
pub fn export(store: &Store, dir: &ContainerDir, mapping: &Mapping, out: impl Write) -> Result<()> {
    let config = dir.config()?;
    let written = trees(store, dir, &config, mapping).and_then(|trees| {
        let mut out = out;
        pack::merged(&trees, mapping.owners, &mut out)
    });
    still_there(dir)?;
    written.with_context(|| format!("export container {}", dir.short_id()))?;
    event::note(store, &config, "export", &[]);
    Ok(())
}

/// Opens the trees that the container's root file system is made of, the topmost, which has its changes,
/// first. The process is in the ancestor user namespace, whose mapping is `mapping`.
pub(super) fn trees(
    store: &Store,
    dir: &ContainerDir,
    config: &ContainerConfig,
    mapping: &Mapping,
) -> Result<Vec<Tree>> {
    ensure!(
        config.map == mapping.key,
        "container {} was made under another mapping of user ids, which is not in force now",
        dir.short_id()
    );
    let layers = store.layers(&config.map);
    std::iter::once(dir.join("upper"))
        .chain(layers.stack(&config.layers)?)
        .map(|path| Tree::open(&path))
        .collect()
}

/// Refuses a container that was removed: names that vanish while one runs are no error, and all of them
/// vanishing is.
pub(super) fn still_there(dir: &ContainerDir) -> Result<()> {
    if dir.exists() { Ok(()) } else { Err(FindError::NotFound(dir.id().to_owned()).into()) }
}
