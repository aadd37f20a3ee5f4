//! What of a project is there: its containers, found by their labels.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::container::{self, ContainerDir, Status, Summary};
use crate::store::Store;

/// The labels by which Docker's tools know what belongs to a project.
#[allow(missing_docs, reason = "Docker's own words")]
pub mod label {
    pub const PROJECT: &str = "com.docker.compose.project";
    pub const SERVICE: &str = "com.docker.compose.service";
    pub const NUMBER: &str = "com.docker.compose.container-number";
    pub const ONE_OFF: &str = "com.docker.compose.oneoff";
    pub const HASH: &str = "com.docker.compose.config-hash";
    pub const FILES: &str = "com.docker.compose.project.config_files";
    pub const DIRECTORY: &str = "com.docker.compose.project.working_dir";
    pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
    pub const IMAGE: &str = "com.docker.compose.image";
    pub const VERSION: &str = "com.docker.compose.version";
    pub const NETWORK: &str = "com.docker.compose.network";
    pub const VOLUME: &str = "com.docker.compose.volume";
    pub const REPLACE: &str = "com.docker.compose.replace";
}

/// A container of a project.
#[derive(Debug, Clone)]
pub struct Member {
    /// What is known of it.
    pub summary: Summary,
    /// Its service.
    pub service: String,
    /// Its number.
    pub number: u32,
    /// Whether it was made by `run`.
    pub one_off: bool,
}

impl Member {
    fn of(summary: Summary, project: &str) -> Option<Self> {
        let labels = &summary.config.labels;
        if labels.get(label::PROJECT).map(String::as_str) != Some(project) {
            return None;
        }
        let service = labels.get(label::SERVICE).cloned()?;
        let number = labels.get(label::NUMBER).and_then(|number| number.parse().ok()).unwrap_or(1);
        let one_off = labels.get(label::ONE_OFF).is_some_and(|word| word.eq_ignore_ascii_case("true"));
        Some(Self { summary, service, number, one_off })
    }

    /// Returns its id.
    pub fn id(&self) -> &str {
        &self.summary.config.id
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.summary.name
    }

    /// Returns its directory.
    pub fn dir(&self, store: &Store) -> ContainerDir {
        ContainerDir::new(store, self.id())
    }

    /// Tells whether it runs.
    pub fn is_running(&self) -> bool {
        matches!(self.summary.status, Status::Running(_))
    }

    /// Returns what its configuration is known by.
    pub fn hash(&self) -> &str {
        self.summary.config.labels.get(label::HASH).map(String::as_str).unwrap_or_default()
    }

    /// Tells whether it was on its way to be replaced by another when a command ended.
    pub(super) fn is_leftover(&self) -> bool {
        let prefix = format!("{}_", &self.id()[..12]);
        self.name().starts_with(&prefix)
    }
}

/// Returns the containers of a project, sorted by service and number.
pub fn observe(store: &Store, project: &str) -> Result<Vec<Member>> {
    let mut found: Vec<Member> =
        container::list(store)?.into_iter().filter_map(|summary| Member::of(summary, project)).collect();
    found.sort_by(|a, b| {
        (&a.service, a.one_off, a.number, a.name()).cmp(&(&b.service, b.one_off, b.number, b.name()))
    });
    Ok(found)
}

/// Returns the names of all projects that have containers, with those.
pub fn projects(store: &Store) -> Result<BTreeMap<String, Vec<Summary>>> {
    let mut found: BTreeMap<String, Vec<Summary>> = BTreeMap::new();
    for summary in container::list(store)? {
        if let Some(project) = summary.config.labels.get(label::PROJECT).cloned() {
            found.entry(project).or_default().push(summary);
        }
    }
    Ok(found)
}

/// Returns what is known of a container's health.
pub(super) fn health(store: &Store, dir: &ContainerDir) -> Option<crate::container::HealthWord> {
    container::summary(store, dir).ok().flatten().and_then(|summary| summary.health)
}
