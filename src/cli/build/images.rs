//! The images that a Dockerfile names: found in the store, or fetched.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use super::display::Display;
use crate::build::graph::Base;
use crate::build::plan::Resolved;
use crate::cli::pull::{Wanted, fetch, unpack};
use crate::cli::session::Session;
use crate::image;
use crate::oci::{Digest, Platform, Reference};
use crate::store::{MapKey, Store};

/// Finds images; used by several threads at once, so it keeps nothing that they could not share.
pub(super) struct Images {
    config: Option<PathBuf>,
    /// Whether registries are always asked.
    pull: bool,
    map: MapKey,
    display: Arc<Display>,
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
            unpack(session, id)?;
        }
        let manifest = store.get_ref(&image::name_of(reference))?.map(|known| known.target);
        let base = Base { reference: reference.clone(), id: *id, layers: found.record.layers.clone() };
        Ok(Resolved { base, config: found.config, manifest })
    }

    /// Finds images that may say what they were made from; one that is nowhere to be had spares nothing.
    pub(super) fn caches(&self, names: &[Reference]) -> Vec<Digest> {
        let find = |name: &Reference| {
            let step = self.display.begin(&format!("importing cache manifest from {name}"));
            let found = self.find(name, &Platform::host());
            self.display.end(step, found.as_ref().err().map(|error| format!("{error:#}")));
            found.ok().map(|found| found.base.id)
        };
        names.iter().filter_map(find).collect()
    }

    /// Finds an image by its id.
    pub(super) fn by_id(&self, id: &str) -> Result<Resolved> {
        let session = self.session();
        let store = session.store()?;
        let record = image::resolve(store, id)?;
        let reference = Reference::parse("image").map(Reference::with_default_tag)?;
        self.of_store(store, &session, &reference, &record.id)
    }

    /// Takes in the image of an OCI layout: `directory[:tag][@digest]`.
    pub(super) fn layout(&self, text: &str) -> Result<Resolved> {
        let path = text.split('@').next().unwrap_or(text);
        let path = match path.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => path,
            _ => path,
        };
        let session = self.session();
        let store = session.store()?;
        ensure!(Path::new(path).is_dir(), "load the OCI layout {path}: no such directory");
        // Another process takes it in: this one enters the namespace for that later, and once.
        let output = Command::new("/proc/self/exe")
            .args(["load", "-i", path])
            .output()
            .context("start the process that loads the layout")?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some(name) =
            told.lines().next_back().and_then(|line| line.split_once(": ")).map(|(_, name)| name)
        else {
            anyhow::bail!("load the OCI layout {path}: {}", String::from_utf8_lossy(&output.stderr).trim());
        };
        let record = image::resolve(store, name)?;
        let reference = Reference::parse("oci-layout").map(Reference::with_default_tag)?;
        self.of_store(store, &session, &reference, &record.id)
    }
}
