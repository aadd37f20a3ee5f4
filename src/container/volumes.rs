//! Which containers use which volumes: read from their configurations, never remembered.
//!
//! A volume may be removed only while nobody can begin to use it. Whoever makes a container that mounts
//! volumes holds the lock `volumes` shared from the moment it makes sure of them until the container has its
//! name; whoever removes volumes holds it alone while it looks and takes them away.

use std::collections::BTreeMap;

use anyhow::Result;

use super::config::MountSource;
use super::dir::ContainerDir;
use super::name;
use crate::store::{Lock, Mode, Store};
use crate::volume;

/// A volume that a container mounts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("remove {name}: volume is in use - [{}]", users.join(", "))]
pub struct VolumeInUse {
    /// The volume's name.
    pub name: String,
    /// The ids of the containers that mount it.
    pub users: Vec<String>,
}

/// Keeps volumes from being removed, or from being put to use.
pub(super) fn lock(store: &Store, mode: Mode) -> Result<Lock> {
    store.lock("volumes", mode)
}

/// Returns the ids of the containers that mount each volume.
pub fn volume_users(store: &Store) -> Result<BTreeMap<String, Vec<String>>> {
    let mut users = BTreeMap::<String, Vec<String>>::new();
    for id in name::ids(store)? {
        let Ok(Some(config)) = ContainerDir::new(store, &id).try_config() else { continue };
        for mount in &config.mounts {
            if let MountSource::Volume { name, .. } = &mount.source {
                let of_name = users.entry(name.clone()).or_default();
                if of_name.last() != Some(&id) {
                    of_name.push(id.clone());
                }
            }
        }
    }
    Ok(users)
}

/// Removes a volume that no container mounts. Run it in the ancestor user namespace.
pub fn remove_volume(store: &Store, name: &str) -> Result<()> {
    let _lock = lock(store, Mode::Exclusive)?;
    if let Some(users) = volume_users(store)?.remove(name) {
        return Err(VolumeInUse { name: name.to_owned(), users }.into());
    }
    volume::remove(store, name)
}

/// Removes the volumes that no container mounts and that are `wanted`, and returns their names. Run it in the
/// ancestor user namespace. What cannot be removed is told to `failed`, and the others go on.
pub fn prune_volumes(
    store: &Store,
    wanted: &dyn Fn(&volume::VolumeRecord) -> bool,
    mut failed: impl FnMut(anyhow::Error),
) -> Result<Vec<String>> {
    let _lock = lock(store, Mode::Exclusive)?;
    let users = volume_users(store)?;
    let mut removed = Vec::new();
    for record in volume::list(store)? {
        if users.contains_key(&record.name) || !wanted(&record) {
            continue;
        }
        match volume::remove(store, &record.name) {
            Ok(()) => removed.push(record.name),
            Err(error) => failed(error),
        }
    }
    Ok(removed)
}
