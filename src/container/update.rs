//! Changing what a container is meant to be after it was created. `config.json` is written once, so what
//! changes stands in a file beside it and is laid over it wherever it is loaded.

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::config::{ContainerConfig, RestartPolicy};
use super::control::have_done;
use super::dir::ContainerDir;
use super::event;
use super::protocol::Request;
use super::status::observe_and_mend;
use crate::store::{Store, read_json, replace_json_synced};

/// The file `update.json`: what was changed; `None`: as it was created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// What happens when the process ends.
    pub restart: Option<RestartPolicy>,
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
    }
}

/// Changes a container's configuration; one that runs obeys at once.
pub fn update(store: &Store, dir: &ContainerDir, changes: &Changes) -> Result<()> {
    let cannot = |why: &str| anyhow!("Cannot update container {}: {why}", dir.id());
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
    Ok(())
}
