//! How much disk a container takes.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;

use super::config::ContainerConfig;
use super::dir::ContainerDir;
use crate::store::Store;

/// Returns the bytes of what the container has written, and of that with its image.
pub fn measure(store: &Store, dir: &ContainerDir, config: &ContainerConfig) -> Result<(u64, u64)> {
    let written = tree(&dir.join("upper"));
    let layers = store.layers(&config.map);
    let mut image = 0;
    for layer in &config.layers {
        image += layers.record(layer)?.map_or(0, |record| record.size);
    }
    Ok((written, image + written))
}

/// Adds up the sizes of the regular files below `root`, each hard-linked one once. What cannot be read, for
/// belonging to a mapped id, is left out.
pub fn tree(root: &Path) -> u64 {
    let mut seen = HashSet::new();
    let mut waiting = vec![root.to_owned()];
    let mut total = 0;
    while let Some(dir) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                waiting.push(entry.path());
            } else if meta.is_file() && (meta.nlink() == 1 || seen.insert((meta.dev(), meta.ino()))) {
                total += meta.len();
            }
        }
    }
    total
}
