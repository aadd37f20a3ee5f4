//! Changing what a container is meant to be after it was created. `config.json` is written once, so what
//! changes stands in a file beside it and is laid over it wherever it is loaded.

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::config::{ContainerConfig, RestartPolicy};
use super::control::have_done;
use super::dir::ContainerDir;
use super::protocol::Request;
use super::status::observe_and_mend;
use super::{event, limits};
use crate::runtime::Limits;
use crate::runtime::cgroup::observe;
use crate::store::{Store, read_json, replace_json_synced};

/// The file `update.json`: what was changed; `None`: as it was created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// What happens when the process ends.
    pub restart: Option<RestartPolicy>,
    /// What it may use: all of it in the file, what changes in a request.
    pub limits: Option<Limits>,
}

impl Changes {
    /// Loads what was changed so far.
    pub(super) fn load(dir: &ContainerDir) -> Result<Option<Self>> {
        read_json(&dir.join("update.json"))
    }

    /// Lays the changes over a configuration.
    pub(super) fn apply(&self, config: &mut ContainerConfig) {
        if let Some(restart) = self.restart {
            config.restart = restart;
        }
        if let Some(limits) = &self.limits {
            config.limits.clone_from(limits);
        }
    }
}

/// Changes a container's configuration; one that runs obeys at once. Returns what the user should know.
pub fn update(store: &Store, dir: &ContainerDir, changes: &Changes) -> Result<Vec<String>> {
    let cannot = |why: &str| anyhow!("Cannot update container {}: {why}", dir.id());
    let mut changes = changes.clone();
    let mut warnings = match &mut changes.limits {
        Some(limits) => limits::check(limits, true)?,
        None => Vec::new(),
    };
    observe_and_mend(dir)?;
    let config = {
        let _lock = dir.lock()?;
        let mut config = dir.config()?;
        if config.auto_remove && changes.restart.is_some_and(|policy| policy != RestartPolicy::No) {
            return Err(cannot(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        let mut all = Changes::load(dir)?.unwrap_or_default();
        all.restart = changes.restart.or(all.restart);
        if let Some(limits) = &changes.limits {
            let mut merged =
                limits::merge(&config.limits, limits).map_err(|error| cannot(&error.to_string()))?;
            limits::check(&mut merged, true)?;
            warnings.extend(limits::lacks(&merged, &observe()));
            all.limits = Some(merged);
        }
        replace_json_synced(&dir.join("update.json"), &all)?;
        all.apply(&mut config);
        config
    };
    if dir.is_alive()?
        && let Err(error) = have_done(store, dir, &Request::Update)
        && dir.is_alive()?
    {
        return Err(error);
    }
    event::note(store, &config, "update", &[]);
    Ok(warnings)
}
