//! All containers at a glance.

use anyhow::Result;

use super::config::{Attachment, ContainerConfig};
use super::dir::ContainerDir;
use super::health::{self, Word};
use super::name;
use super::remove::Remover;
use super::status::{Status, observe_and_mend};
use crate::store::Store;

/// One container as `ps` sees it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its configuration.
    pub config: ContainerConfig,
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub status: Status,
    /// What is known of its health, if it has a check.
    pub health: Option<Word>,
    /// The networks that it is meant to be in.
    pub networks: Vec<Attachment>,
}

/// Returns one container; `None` if it is gone.
pub fn summary(store: &Store, dir: &ContainerDir) -> Result<Option<Summary>> {
    let Some(config) = dir.try_config()? else { return Ok(None) };
    let status = observe_and_mend(dir)?;
    let networks = dir.attachments(&config).unwrap_or_default();
    let checked = config.healthcheck.is_some();
    let health = checked.then(|| health::observe(dir, &status)).flatten().map(|health| health.status);
    let name = name::of(store, dir.id()).unwrap_or_default();
    Ok(Some(Summary { config, name, status, health, networks }))
}

/// Returns all containers, newest first. One that vanishes meanwhile is left out, and so is one whose record
/// cannot be read: `inspect` and `rm` tell of it.
pub fn list(store: &Store) -> Result<Vec<Summary>> {
    let mut names = name::by_id(store)?;
    let mut found = Vec::new();
    let mut remover = Remover::new(store);
    for id in name::ids(store)? {
        let dir = ContainerDir::new(store, &id);
        let Ok(Some(config)) = dir.try_config() else { continue };
        let status = match observe_and_mend(&dir) {
            Ok(status) => status,
            Err(_) if !dir.exists() => continue,
            Err(error) => return Err(error),
        };
        // Its supervisor was killed before it could remove it.
        if matches!(status, Status::Exited(_)) && config.auto_remove && remover.reclaim(&dir) {
            continue;
        }
        let name = names.remove(&id).unwrap_or_default();
        let networks = dir.attachments(&config).unwrap_or_default();
        let checked = config.healthcheck.is_some();
        let health = checked.then(|| health::observe(&dir, &status)).flatten().map(|health| health.status);
        found.push(Summary { config, name, status, health, networks });
    }
    found.sort_by(|a, b| b.config.created.cmp(&a.config.created));
    Ok(found)
}
