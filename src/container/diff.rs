//! What a container has changed of its image.

use anyhow::{Context, Result};

use super::dir::ContainerDir;
use super::export::{still_there, trees};
use crate::image::Mapping;
use crate::image::pack::{self, Changes};
use crate::store::Store;

/// Tells what the container has changed. Whether it runs makes no difference. The process is in the ancestor
/// user namespace, whose mapping is `mapping`.
pub fn diff(store: &Store, dir: &ContainerDir, mapping: &Mapping) -> Result<Changes> {
    let config = dir.config()?;
    let changes = trees(store, dir, &config, mapping).and_then(|trees| pack::changes(&trees, mapping.owners));
    still_there(dir)?;
    changes.with_context(|| format!("compare container {} with its image", dir.short_id()))
}
