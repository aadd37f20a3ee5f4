//! Archives of images: what `docker save` writes, and OCI image layouts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::config::Configuration;
use super::fetch::{Source, take_in};
use super::import::manifest as plain_manifest;
use super::intake::{Expected, Intake, Keep, Mapping};
use super::manifest::{Descriptor, Document, INDEX_DEPTH, Index, Manifest, parse};
use super::progress::{LayerProgress, Progress};
use super::resolve::name_of;
use super::side_by_side::{Stoppable, side_by_side};
use super::spool::Contents;
use crate::oci::{Digest, Platform, Reference};
use crate::store::{ImageRecord, Name, RefRecord, Store};

/// The annotations that tell an image's name: containerd's and buildkit's, then the specification's.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// Where images are loaded from.
pub enum Input {
    /// An archive, compressed or not.
    Archive(Box<dyn Read + Send>),
    /// A directory that is an OCI image layout.
    Layout(PathBuf),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(_) => f.write_str("Archive"),
            Self::Layout(path) => f.debug_tuple("Layout").field(path).finish(),
        }
    }
}

/// One image that was loaded, as Docker tells it: `Loaded image: name` or `Loaded image ID: id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// Under this name, as people type it.
    Name(String),
    /// Without a name.
    Id(Digest),
}

/// An entry of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Loads every image of an archive or layout. Of an image for several platforms, the one for `platform`, or
/// without one that for this machine, or else the only one that is there.
pub fn load(
    store: &Store,
    mapping: &Mapping,
    input: Input,
    platform: Option<&Platform>,
    progress: &dyn Progress,
) -> Result<Vec<Loaded>> {
    let intake = Intake::new(store, mapping)?;
    let contents = match input {
        Input::Archive(reader) => Contents::spool(&intake, reader)?,
        Input::Layout(path) => Contents::Directory(path),
    };
    let mut load = Load {
        store,
        intake: &intake,
        contents,
        progress,
        images: Vec::new(),
        names: Vec::new(),
        sizes: BTreeMap::new(),
    };
    let mut loaded = Vec::new();
    // Archives of newer Dockers are both; the layout keeps manifests as they are.
    if let Some(index) = load.contents.document("index.json")? {
        loaded.extend(load.layout(&index, platform)?);
    } else if let Some(manifest) = load.contents.document("manifest.json")? {
        loaded.extend(load.docker(&manifest, platform)?);
    } else if load.contents.document("repositories")?.is_some() {
        bail!("the archive has the format of Docker before 1.10, which is not supported");
    } else {
        bail!("load the archive: it has neither index.json nor manifest.json, so it is no archive of images");
    }
    let Load { images, names, .. } = load;
    intake.commit(&images, &names)?;
    for image in &images {
        super::event::note_id(store, "load", &image.id);
    }
    Ok(loaded)
}

struct Load<'a> {
    store: &'a Store,
    intake: &'a Intake<'a>,
    contents: Contents,
    progress: &'a dyn Progress,
    images: Vec<ImageRecord>,
    names: Vec<(Name, RefRecord)>,
    /// The layers of docker-archives that are taken in, with the sizes of their archives.
    sizes: BTreeMap<Digest, u64>,
}

impl Load<'_> {
    /// Takes in an OCI image layout.
    fn layout(&mut self, index: &[u8], platform: Option<&Platform>) -> Result<Vec<Loaded>> {
        let Document::Index(Index { manifests, .. }) = parse(index, "").context("read index.json")? else {
            bail!("index.json is no index");
        };
        let mut loaded = Vec::new();
        for entry in manifests.iter().filter(|entry| !entry.is_attestation()) {
            let (manifest, target) = self.choose(entry, platform)?;
            let config = self.blob(&manifest.config)?;
            check_platform(&config, platform)?;
            let open = |descriptor: &Descriptor| self.open(descriptor);
            let record = take_in(self.store, self.intake, &manifest, &config, &open, self.progress)?;
            let reference = NAMES.iter().find_map(|key| {
                // A mere tag names nothing.
                let text = entry.annotation(key).filter(|text| text.contains(['/', ':']))?;
                Reference::parse(text).ok()
            });
            let reference = reference.map(Reference::with_default_tag).filter(|it| it.digest().is_none());
            loaded.extend(self.add(record, target, reference.into_iter().collect())?);
        }
        Ok(loaded)
    }

    /// Returns the manifest that an entry of the index means, with the digest that it is known by.
    fn choose(&self, entry: &Descriptor, platform: Option<&Platform>) -> Result<(Box<Manifest>, Digest)> {
        let host = Platform::host();
        let mut current = entry.clone();
        for _ in 0..INDEX_DEPTH {
            let bytes = self.blob(&current)?;
            let index = match parse(&bytes, &current.media_type)? {
                Document::Manifest(manifest) => return Ok((manifest, entry.digest)),
                Document::Index(index) => index,
            };
            if current.digest == entry.digest {
                self.intake.document(&bytes)?;
            }
            // An archive of one platform has the whole index, and of its images only one.
            let wanted = platform.unwrap_or(&host);
            current = index.choose_present(wanted, platform.is_some(), |entry| {
                self.contents.find(&blob_name(&entry.digest)).is_some()
            })?;
        }
        bail!("indexes lie too deep in each other")
    }

    /// Loads a small blob of the layout.
    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let name = blob_name(&descriptor.digest);
        let bytes =
            self.contents.document(&name)?.with_context(|| format!("{name} is not in the archive"))?;
        if Digest::of(&bytes) != descriptor.digest {
            bail!("{name} does not have the digest that it is named after");
        }
        Ok(bytes)
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Source<'static>> {
        let name = blob_name(&descriptor.digest);
        match self.contents.find(&name) {
            Some((path, Some(digest))) if digest == descriptor.digest => Ok(Source::Staged(path)),
            Some((_, Some(_))) => bail!("{name} does not have the digest that it is named after"),
            Some((path, None)) => {
                let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
                Ok(Source::Stream(Box::new(file)))
            }
            None => bail!("{name} is not in the archive"),
        }
    }

    /// Takes in what `docker save` writes.
    fn docker(&mut self, manifest: &[u8], platform: Option<&Platform>) -> Result<Vec<Loaded>> {
        let entries: Vec<Entry> = serde_json::from_slice(manifest).context("parse manifest.json")?;
        let mut loaded = Vec::new();
        for entry in entries {
            let config = self
                .contents
                .document(&entry.config)?
                .with_context(|| format!("{} is not in the archive", entry.config))?;
            let configuration = Configuration::parse(&config)?;
            check_platform(&config, platform)?;
            let diff_ids = &configuration.rootfs.diff_ids;
            let layers = entry.layers.unwrap_or_default();
            if diff_ids.len() != layers.len() {
                bail!(
                    "invalid manifest, layers length mismatch: expected {}, got {}",
                    layers.len(),
                    diff_ids.len()
                );
            }
            self.intake.pin(diff_ids.iter().copied(), diff_ids.iter().copied())?;
            let sizes = self.docker_layers(&layers, diff_ids)?;
            let id = self.intake.document(&config)?;
            let record = plain_manifest(self.intake, id, config.len() as u64, &sizes)?;
            let references: Vec<Reference> = entry
                .repo_tags
                .unwrap_or_default()
                .iter()
                .map(|tag| Reference::parse(tag).with_context(|| format!("invalid tag {tag:?}")))
                .collect::<Result<_>>()?;
            let target = record.manifest;
            loaded.extend(self.add(record, target, references)?);
        }
        Ok(loaded)
    }

    /// Takes in the layers of one image, and returns them with the sizes of their archives.
    fn docker_layers(&mut self, names: &[String], diff_ids: &[Digest]) -> Result<Vec<(Digest, u64)>> {
        let mut seen = BTreeSet::new();
        let work: Vec<_> = names
            .iter()
            .zip(diff_ids)
            .filter(|(_, diff_id)| !self.sizes.contains_key(diff_id) && seen.insert(*diff_id))
            .collect();
        let made = Mutex::new(Vec::new());
        let this = &*self;
        side_by_side(&work, |(name, diff_id), stop| {
            let size = this
                .docker_layer(name, diff_id, stop)
                .with_context(|| format!("load layer {}", diff_id.short()))?;
            made.lock().unwrap_or_else(PoisonError::into_inner).push((**diff_id, size));
            Ok(())
        })?;
        self.sizes.extend(made.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(diff_ids.iter().map(|diff_id| (*diff_id, self.sizes[diff_id])).collect())
    }

    /// Takes in one layer, and returns the size of its archive. It is kept without compression, as the
    /// configuration knows it.
    fn docker_layer(&self, name: &str, diff_id: &Digest, stop: &AtomicBool) -> Result<u64> {
        let short = diff_id.short();
        if let Some(size) = self.store.blob_size(diff_id).filter(|_| self.intake.has_layer(diff_id)) {
            self.progress.layer(&short, LayerProgress::AlreadyExists);
            return Ok(size);
        }
        let (path, digest) =
            self.contents.find(name).with_context(|| format!("{name} is not in the archive"))?;
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let total = file.metadata().map_or(0, |meta| meta.len());
        // A plain archive of ours is published as it lies there.
        let keep = if digest == Some(*diff_id) { Keep::Nothing } else { Keep::Archive };
        let expected = Expected { diff_id: Some(*diff_id), ..Expected::default() };
        let unpack = !self.intake.has_layer(diff_id);
        let outcome = self.intake.layer(Stoppable::new(file, stop), keep, unpack, expected, |read| {
            if let Some(read) = read {
                self.progress.layer(&short, LayerProgress::Extracting(read, total));
            }
        })?;
        if keep == Keep::Nothing {
            self.intake.file(path, *diff_id);
        }
        self.progress.layer(&short, LayerProgress::PullComplete);
        Ok(outcome.archive_size)
    }

    /// Notes an image and its names, and tells of names that move.
    fn add(&mut self, image: ImageRecord, target: Digest, references: Vec<Reference>) -> Result<Vec<Loaded>> {
        let id = image.id;
        let mut loaded = Vec::new();
        for reference in references {
            let reference = reference.with_default_tag();
            let name = name_of(&reference);
            if let Some(old) = self.store.get_ref(&name)?.filter(|old| old.id != id) {
                self.progress.message(&format!(
                    "The image {} already exists, renaming the old one with ID {} to empty string",
                    reference.familiar(),
                    old.id
                ));
            }
            self.names.push((name, RefRecord { id, target }));
            loaded.push(Loaded::Name(reference.familiar()));
        }
        if loaded.is_empty() {
            loaded.push(Loaded::Id(id));
        }
        self.images.push(image);
        Ok(loaded)
    }
}

/// Returns where a layout has a blob.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Refuses an image that is not for the platform that was asked for.
fn check_platform(config: &[u8], platform: Option<&Platform>) -> Result<()> {
    let found = Configuration::parse(config)?.platform();
    match platform {
        Some(wanted) if !wanted.runs(&found) => {
            bail!("requested platform ({wanted}) not found: the image is for {found}")
        }
        _ => Ok(()),
    }
}
