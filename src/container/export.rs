//! The root file system of a container as an archive.

use std::io::Write;

use anyhow::{Context, Result, ensure};

use super::FindError;
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
    ensure!(
        config.map == mapping.key,
        "container {} was made under another mapping of user ids, which is not in force now",
        dir.short_id()
    );
    let layers = store.layers(&config.map);
    let trees = std::iter::once(dir.join("upper"))
        .chain(layers.stack(&config.layers)?)
        .map(|path| Tree::open(&path))
        .collect::<Result<Vec<_>>>();
    let written = trees.and_then(|trees| {
        let mut out = out;
        pack::merged(&trees, mapping.owners, &mut out)
    });
    // Names that vanish while a container runs are no error; all of them vanishing is.
    if !dir.exists() {
        return Err(FindError::NotFound(dir.id().to_owned()).into());
    }
    written.with_context(|| format!("export container {}", dir.short_id()))?;
    event::note(store, &config, "export", &[]);
    Ok(())
}
