//! What containers, and what belongs to them, tell the journal: the words and attributes of Docker's events.

use super::config::{ContainerConfig, Mount, MountSource};
use super::name;
use crate::network::protocol::Endpoint;
use crate::store::{Store, Subject};

/// What an event says besides what every event of its kind says.
pub(super) type More<'a> = &'a [(&'a str, String)];

/// Notes what a container, called `name`, has done or what was done to it.
pub(super) fn note_named(store: &Store, config: &ContainerConfig, name: &str, action: &str, more: More<'_>) {
    let mut attributes = config.labels.clone();
    attributes.insert("image".to_owned(), config.image_name.clone());
    attributes.insert("name".to_owned(), name.to_owned());
    attributes.extend(pairs(more));
    store.note(Subject::Container, action, &config.id, attributes);
}

/// The same, for those who do not know the container's name.
pub(super) fn note(store: &Store, config: &ContainerConfig, action: &str, more: More<'_>) {
    let name = name::of(store, &config.id).unwrap_or_default();
    note_named(store, config, &name, action, more);
}

/// Notes that a container has got into a network (`connect`) or out of it (`disconnect`).
pub(super) fn note_network(store: &Store, container: &str, endpoint: &Endpoint, action: &str) {
    let attributes = [
        ("container", container.to_owned()),
        ("name", endpoint.network.clone()),
        ("type", "bridge".to_owned()),
    ];
    store.note(Subject::Network, action, &endpoint.network_id, pairs(&attributes).collect());
}

/// Notes that the volumes of a container are mounted.
pub(super) fn note_mounts(store: &Store, config: &ContainerConfig) {
    for (mount, name) in volumes(config) {
        let attributes = [
            ("container", config.id.clone()),
            ("destination", mount.target.clone()),
            ("driver", "local".to_owned()),
            ("propagation", String::new()),
            ("read/write", (!mount.read_only).to_string()),
        ];
        store.note(Subject::Volume, "mount", name, pairs(&attributes).collect());
    }
}

/// Notes that the volumes of a container are no longer mounted.
pub(super) fn note_unmounts(store: &Store, config: &ContainerConfig) {
    for (_, name) in volumes(config) {
        let attributes = [("container", config.id.clone()), ("driver", "local".to_owned())];
        store.note(Subject::Volume, "unmount", name, pairs(&attributes).collect());
    }
}

fn volumes(config: &ContainerConfig) -> impl Iterator<Item = (&Mount, &str)> {
    config.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some((mount, name.as_str())),
        _ => None,
    })
}

fn pairs(more: More<'_>) -> impl Iterator<Item = (String, String)> {
    more.iter().map(|(key, value)| ((*key).to_owned(), value.clone()))
}
