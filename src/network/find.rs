//! Networks by name, by id, or by the beginning of an id.

use std::fs;
use std::io;

use anyhow::{Context, Result};

use super::record::Network;
use crate::store::{Store, read_json};

/// A network that is no record: there is nothing to know of it but what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predefined {
    /// 64 hexadecimal digits, the same everywhere.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Docker's name of its driver.
    pub driver: &'static str,
}

/// The host's own network.
pub const HOST: Predefined = Predefined {
    id: "6b2f0a1c93de47f58c10b7a4e2d95316f07c8b3a5e61d24908fb7c5d13a9e042",
    name: "host",
    driver: "host",
};

/// No network.
pub const NONE: Predefined = Predefined {
    id: "c41e8d7f25a9063b9f4d1e6a80b3c752d6e59170fa2c84b3017d6e9845cb2fa3",
    name: "none",
    driver: "null",
};

/// What a name or an id means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A network with a record.
    Network(Box<Network>),
    /// `host` or `none`.
    Predefined(Predefined),
}

impl Found {
    /// Returns its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Network(network) => &network.id,
            Self::Predefined(predefined) => predefined.id,
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Network(network) => &network.name,
            Self::Predefined(predefined) => predefined.name,
        }
    }
}

/// Why no network was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nothing is called so.
    #[error("network {0} not found")]
    NotFound(String),
    /// Several ids begin so.
    #[error("network {0} is ambiguous ({1} matches found based on ID prefix)")]
    Ambiguous(String, usize),
}

/// Loads all records, the oldest first. One that vanishes meanwhile is left out.
pub fn list(store: &Store) -> Result<Vec<Network>> {
    let dir = store.networks();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
    };
    let mut found: Vec<Network> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("read {}", dir.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.extend(read_json(&path)?);
        }
    }
    found.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    Ok(found)
}

/// Tells whether the network `id` is still there.
pub fn exists(store: &Store, id: &str) -> bool {
    store.networks().join(format!("{id}.json")).exists()
}

/// Finds a network by its whole id, its name, or the beginning of its id, in this order, as Docker does. The
/// default network is made if it is meant and there is none yet.
pub fn find(store: &Store, text: &str) -> Result<Found> {
    let mut networks = list(store)?;
    if text == super::create::DEFAULT && !networks.iter().any(|network| network.name == text) {
        return Ok(Found::Network(Box::new(super::create::default(store)?)));
    }
    let predefined = [HOST, NONE];
    if let Some(at) = networks
        .iter()
        .position(|it| it.id == text)
        .or_else(|| networks.iter().position(|it| it.name == text))
    {
        return Ok(Found::Network(Box::new(networks.swap_remove(at))));
    }
    if let Some(known) = predefined.into_iter().find(|it| it.id == text || it.name == text) {
        return Ok(Found::Predefined(known));
    }
    let mut fits: Vec<Found> = networks
        .into_iter()
        .filter(|it| it.id.starts_with(text))
        .map(|it| Found::Network(Box::new(it)))
        .collect();
    fits.extend(predefined.into_iter().filter(|it| it.id.starts_with(text)).map(Found::Predefined));
    match fits.len() {
        _ if text.is_empty() => Err(FindError::NotFound(text.to_owned()).into()),
        0 => Err(FindError::NotFound(text.to_owned()).into()),
        1 => Ok(fits.swap_remove(0)),
        count => Err(FindError::Ambiguous(text.to_owned(), count).into()),
    }
}
