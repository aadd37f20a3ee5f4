//! The images that a Dockerfile names: found in the store, or fetched.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::display::Display;
use crate::build::graph::Base;
use crate::build::plan::Resolved;
use crate::cli::pull::{Wanted, fetch, unpack};
use crate::cli::session::Session;
use crate::image;
use crate::oci::{Digest, Platform, Reference};
use crate::store::{MapKey, RefRecord, Store};

/// Finds images; used by several threads at once, so it keeps nothing that they could not share.
pub(super) struct Images {
    config: Option<PathBuf>,
    /// Whether registries are always asked.
    pull: bool,
    map: MapKey,
    display: Arc<Display>,
}

/// An image that says what it was made from.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) name: Reference,
    pub(super) id: Digest,
    /// What the name meant here before.
    pub(super) before: Option<RefRecord>,
}

impl Cache {
    /// Lets the name mean again what it meant: an image that was fetched to be a cache is none of the user's.
    pub(super) fn put_back(&self, store: &Store) -> Result<()> {
        let name = image::name_of(&self.name);
        let now = store.get_ref(&name)?;
        if now == self.before {
            return Ok(());
        }
        if now.is_some() {
            image::remove(store, &self.name.to_string(), true, &[])?;
        }
        if let Some(before) = &self.before
            && store.image(&before.id)?.is_some()
        {
            store.put_ref(&name, before)?;
            store.rebuild_index()?;
        }
        Ok(())
    }
}

impl Images {
    pub(super) fn new(session: &Session, pull: bool, display: Arc<Display>) -> Result<Self> {
        let map = MapKey::of(&Session::identity()?.map.text());
        Ok(Self { config: session.docker_config_dir.clone(), pull, map, display })
    }

    fn session(&self) -> Session {
        Session::new(String::new(), false, self.config.clone())
    }

    /// Finds an image for a platform.
    pub(super) fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<Resolved> {
        let step = self.display.begin(&format!("[internal] load metadata for {reference}"));
        let found = self.find(reference, platform).map_err(|error| {
            // There is no daemon between the build and its images.
            let text = format!("{error:#}");
            anyhow::anyhow!(text.strip_prefix("Error response from daemon: ").unwrap_or(&text).to_owned())
        });
        self.display.end(step, found.as_ref().err().map(|error| format!("{error:#}")));
        found
    }

    fn find(&self, reference: &Reference, platform: &Platform) -> Result<Resolved> {
        let session = self.session();
        let store = session.store()?;
        let name = reference.to_string();
        if !self.pull
            && let Ok(record) = image::resolve(store, &name)
        {
            let resolved = self.of_store(store, &session, reference, &record.id)?;
            if platform.runs(&resolved.config.platform()) {
                return Ok(resolved);
            }
        }
        let key = image::name_of(reference);
        let before = store.get_ref(&key)?;
        fetch(&session, &Wanted { reference: &name, platform: Some(platform), quiet: true })?;
        let record = image::resolve(store, &name)?;
        let resolved = self.of_store(store, &session, reference, &record.id)?;
        // What the name means here is what runs here, whatever is built for others.
        if let Some(before) = before.filter(|before| before.id != record.id)
            && !Platform::host().runs(&resolved.config.platform())
            && store.image(&before.id)?.is_some()
        {
            store.put_ref(&key, &before)?;
        }
        Ok(resolved)
    }

    fn of_store(
        &self,
        store: &Store,
        session: &Session,
        reference: &Reference,
        id: &Digest,
    ) -> Result<Resolved> {
        let found = image::open(store, id)?;
        if image::unpacked(store, &found.record, &self.map).is_none() {
            unpack(session, id, None)?;
        }
        let manifest = store.get_ref(&image::name_of(reference))?.map(|known| known.target);
        let base = Base { reference: reference.clone(), id: *id, layers: found.record.layers.clone() };
        Ok(Resolved { base, config: found.config, manifest })
    }

    /// Finds images that may say what they were made from; one that is nowhere to be had spares nothing.
    pub(super) fn caches(&self, names: &[(Reference, bool)]) -> Vec<Cache> {
        let find = |(name, asks): &(Reference, bool)| {
            let step = self.display.begin(&format!("importing cache manifest from {name}"));
            let known = self.session().store().and_then(|store| store.get_ref(&image::name_of(name)));
            let asking = Self {
                config: self.config.clone(),
                pull: *asks,
                map: self.map.clone(),
                display: self.display.clone(),
            };
            let mut found = asking.find(name, &Platform::host());
            if found.is_err() && *asks && known.as_ref().is_ok_and(Option::is_some) {
                found = self.find(name, &Platform::host());
            }
            self.display.end(step, found.as_ref().err().map(|error| format!("{error:#}")));
            let (found, before) = (found.ok()?, known.ok()?);
            Some(Cache { name: name.clone(), id: found.base.id, before })
        };
        names.iter().filter_map(find).collect()
    }

    /// Returns what a name means that will be a cache's for a while.
    pub(super) fn before(&self, name: &Reference) -> Result<Cache> {
        let before = self.session().store()?.get_ref(&image::name_of(name))?;
        Ok(Cache { name: name.clone(), id: Digest::of(b""), before })
    }

    /// Finds an image by its id.
    pub(super) fn by_id(&self, id: &str) -> Result<Resolved> {
        let session = self.session();
        let store = session.store()?;
        let record = image::resolve(store, id)?;
        let reference = Reference::parse("image").map(Reference::with_default_tag)?;
        self.of_store(store, &session, &reference, &record.id)
    }

    /// Takes in an image of an OCI layout: `directory[:tag][@digest]`.
    pub(super) fn layout(&self, text: &str) -> Result<Resolved> {
        let layout = Layout::parse(text);
        let path = layout.path;
        ensure!(Path::new(path).is_dir(), "load the OCI layout {path}: no such directory");
        let manifest = layout.manifest().with_context(|| format!("load the OCI layout {path}"))?;
        let session = self.session();
        let store = session.store()?;
        // Another process takes it in: this one enters the namespace for that later, and once.
        let output = Command::new("/proc/self/exe")
            .args(["load", "-q", "-i", path])
            .output()
            .context("start the process that loads the layout")?;
        let found = store.images()?.into_iter().find(|record| record.manifest == manifest);
        let Some(record) = found else {
            anyhow::bail!("load the OCI layout {path}: {}", String::from_utf8_lossy(&output.stderr).trim());
        };
        let reference = Reference::parse("oci-layout").map(Reference::with_default_tag)?;
        self.of_store(store, &session, &reference, &record.id)
    }
}

/// What names an image in an OCI layout.
#[derive(Debug, PartialEq, Eq)]
struct Layout<'a> {
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Layout<'a> {
    fn parse(text: &'a str) -> Self {
        let (text, digest) = match text.split_once('@') {
            Some((text, digest)) => (text, Some(digest)),
            None => (text, None),
        };
        match text.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => Self { path, tag: Some(tag), digest },
            _ => Self { path: text, tag: None, digest },
        }
    }

    /// Returns the digest of the manifest that is meant.
    fn manifest(&self) -> Result<Digest> {
        let index: Value = self.document("index.json")?;
        let entries = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
        let tagged = |entry: &&Value, tag: &str| {
            let annotations = &entry["annotations"];
            let own = annotations["org.opencontainers.image.ref.name"].as_str();
            let named = annotations["io.containerd.image.name"].as_str();
            own == Some(tag)
                || [own, named].into_iter().flatten().any(|name| name.ends_with(&format!(":{tag}")))
        };
        let named = |name: &str| entries.iter().find(|entry| tagged(entry, name));
        let mut entry = match (self.digest, self.tag, entries) {
            (Some(digest), ..) => entries.iter().find(|entry| entry["digest"] == digest),
            (None, Some(tag), _) => named(tag).or_else(|| named(&format!("{tag}:latest"))),
            (None, None, [only]) => Some(only),
            (None, None, _) => named("latest"),
        };
        let lower: Value;
        let wanted = self.digest.or(self.tag).unwrap_or("latest");
        let lacks = || format!("{wanted} is not in the layout");
        let is_index = |entry: &Value| entry["mediaType"].as_str().is_some_and(image::index::is_index);
        if let Some(index) = entry.filter(|entry| is_index(entry)) {
            let digest: Digest = index["digest"].as_str().unwrap_or_default().parse()?;
            lower = self.document(&format!("blobs/sha256/{}", digest.hex()))?;
            let host = Platform::host();
            let runs = |entry: &&Value| {
                let platform = serde_json::from_value::<Platform>(entry["platform"].clone());
                platform.is_ok_and(|platform| host.runs(&platform))
            };
            entry = lower["manifests"].as_array().into_iter().flatten().find(runs);
        }
        let digest = entry.and_then(|entry| entry["digest"].as_str()).with_context(lacks)?;
        digest.parse().with_context(|| format!("parse digest {digest:?}"))
    }

    fn document(&self, name: &str) -> Result<Value> {
        let path = Path::new(self.path).join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_images_of_layouts() {
        let layout = |path, tag, digest| Layout { path, tag, digest };
        assert_eq!(Layout::parse("a/b"), layout("a/b", None, None));
        assert_eq!(Layout::parse("a:1/b:2@sha256:3"), layout("a:1/b", Some("2"), Some("sha256:3")));
        assert_eq!(Layout::parse("a:1/b@sha256:3"), layout("a:1/b", None, Some("sha256:3")));
    }
}
