//! An image sent to a registry.
//!
//! What is sent is what the store has, byte for byte, so that digests stay: blobs are kept as they were pulled and
//! go from the file to the connection, without a second hash. A layer that has no blob, but is known by the digest of
//! its archive, is packed ([`content`](super::content)). Everything that a manifest names goes before it, and it
//! goes before its name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::config::Configuration;
use super::content::{Content, Packing, Place};
use super::intake::Mapping;
use super::manifest::{Document, parse};
use super::resolve::{known_as, name_of, resolve};
use crate::oci::{Digest, Platform, Reference};
use crate::registry::{Client, Upload, Uploaded};
use crate::store::{Pin, RefRecord, Staged, Store};

/// How many blobs are sent side by side: Docker's number for uploads.
const PARALLEL: usize = 5;
/// How deep indexes may lie in each other.
const DEPTH: usize = 4;
/// How many repositories a blob is asked of before it is sent.
const SOURCES: usize = 3;

/// Where one layer is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushStep<'a> {
    /// Known of.
    Preparing,
    /// Others come first.
    Waiting,
    /// So many bytes of so many have gone.
    Pushing(u64, u64),
    /// All have gone.
    Pushed,
    /// The registry had it.
    AlreadyExists,
    /// The registry took it from this repository of its own.
    MountedFrom(&'a str),
}

/// Where a push reports to. Called from several threads.
pub trait PushProgress: Sync {
    /// Takes the state of the layer with this short id.
    fn step(&self, id: &str, step: PushStep<'_>);
}

impl PushProgress for super::Quiet {
    fn step(&self, _id: &str, _step: PushStep<'_>) {}
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What the name means in the registry now.
    pub digest: Digest,
    /// The size of that manifest or index, in bytes.
    pub size: u64,
    /// The index that the name means here, if only one of its images is here and was sent.
    pub part_of: Option<Digest>,
}

/// As much of a manifest or an index as sending it takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    config: Option<Listing>,
    #[serde(default)]
    layers: Vec<Listing>,
    #[serde(default)]
    manifests: Option<Vec<Listing>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Listing {
    digest: Digest,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

/// A manifest or an index that is to be put.
struct Paper {
    digest: Digest,
    media_type: String,
    bytes: Vec<u8>,
}

/// Everything that is sent for one name.
#[derive(Default)]
struct Cargo {
    /// With what tells a layer from a configuration, which is not reported.
    blobs: Vec<(Listing, bool)>,
    /// What is named comes before what names it.
    papers: Vec<Paper>,
}

/// Returns the tags of the repository of `reference` that the store knows, sorted.
pub fn tags(store: &Store, reference: &Reference) -> Result<Vec<String>> {
    let names = store.all_refs()?.into_iter().map(|(name, _)| name);
    let here = names.filter(|name| name.repository == reference.repository());
    Ok(here.filter_map(|name| name.tag().map(str::to_owned)).collect())
}

/// Pushes what `reference`, which has a tag, means in the store. Of an image for several platforms, the store may
/// have them all: then all go. Else, or with a `platform`, one goes. `enter` takes the process into the ancestor user
/// namespace; it is called, before there are threads, if a layer has to be packed.
pub fn push(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platform: Option<&Platform>,
    enter: &dyn Fn() -> Result<Mapping>,
    progress: &dyn PushProgress,
) -> Result<Pushed> {
    let name = name_of(reference);
    if store.get_ref(&name)?.is_none() && store.find_ref(&name)?.is_some() {
        resolve(store, &name.to_string())?;
    }
    let record =
        store.find_ref(&name)?.with_context(|| format!("tag does not exist: {}", reference.familiar()))?;
    let staged = store.stage()?;
    let (cargo, part_of) = choose(store, &record, reference, platform)?;
    let blobs = cargo.blobs.iter().map(|(blob, _)| blob.digest);
    let papers = cargo.papers.iter().map(|paper| paper.digest);
    let layers = cargo.blobs.iter().filter(|(_, is_layer)| *is_layer).map(|(blob, _)| blob.digest);
    let pin = Pin { blobs: blobs.chain(papers).collect(), layers: layers.collect(), ..Pin::default() };
    staged.pin(store, &pin)?;
    let places = places(store, &staged, reference, &cargo, enter)?;
    send(store, client, reference, &cargo.blobs, &places, progress)?;
    let (last, before) = cargo.papers.split_last().context("nothing is to be sent")?;
    for paper in before {
        client.put_manifest(&reference.with_digest(paper.digest), &paper.media_type, &paper.bytes)?;
    }
    client.put_manifest(reference, &last.media_type, &last.bytes)?;
    // The registry knows the image by this digest from now on.
    if platform.is_none() {
        known_as(store, &name.repository, &RefRecord { id: record.id, target: last.digest })?;
    }
    super::event::note_transfer(store, "push", reference, &record.id);
    Ok(Pushed { digest: last.digest, size: last.bytes.len() as u64, part_of })
}

/// Finds where the bytes of all blobs are.
fn places(
    store: &Store,
    staged: &Staged,
    reference: &Reference,
    cargo: &Cargo,
    enter: &dyn Fn() -> Result<Mapping>,
) -> Result<BTreeMap<Digest, Place>> {
    let mut mapping = None;
    let mut places = BTreeMap::new();
    for (blob, is_layer) in &cargo.blobs {
        let place = if is_here(store, blob) {
            Place::File(store.blob_path(&blob.digest))
        } else {
            if !*is_layer || !is_unpacked(store, &blob.digest)? {
                return Err(store.missing(&blob.digest).context(format!("push {}", reference.familiar())));
            }
            let Mapping { key, owners } = match mapping.clone() {
                Some(mapping) => mapping,
                None => mapping.insert(enter()?).clone(),
            };
            let layers = store.layers(&key);
            if !layers.has(&blob.digest) {
                bail!("pack layer {}: it is unpacked under another mapping of user ids", blob.digest);
            }
            Place::Tree(Packing {
                tree: layers.tree(&blob.digest),
                owners,
                diff_id: blob.digest,
                size: blob.size,
                file: staged.path(&blob.digest.hex()),
                done: OnceLock::new(),
            })
        };
        places.insert(blob.digest, place);
    }
    Ok(places)
}

/// Decides what goes.
fn choose(
    store: &Store,
    record: &RefRecord,
    reference: &Reference,
    platform: Option<&Platform>,
) -> Result<(Cargo, Option<Digest>)> {
    let image = store.image(&record.id)?;
    let image = image.with_context(|| format!("tag does not exist: {}", reference.familiar()))?;
    let lacks = |platform: &Platform| {
        format!(
            "image with reference {} was found but does not provide the specified platform ({platform})",
            reference.familiar()
        )
    };
    let mut cargo = Cargo::default();
    let Some(platform) = platform else {
        if collect(store, record.target, &image.media_type, 0, &mut cargo)? {
            return Ok((cargo, None));
        }
        let mut cargo = Cargo::default();
        collect(store, image.manifest, &image.media_type, 0, &mut cargo)?;
        return Ok((cargo, Some(record.target).filter(|target| *target != image.manifest)));
    };
    if let Ok(bytes) = store.read_document(&record.target)
        && let Document::Index(index) = parse(&bytes, "")?
    {
        let chosen = index.choose(platform).ok().with_context(|| lacks(platform))?;
        if !collect(store, chosen.digest, &chosen.media_type, 0, &mut cargo)? {
            bail!(lacks(platform));
        }
        return Ok((cargo, None));
    }
    let config = Configuration::parse(&store.read_document(&record.id)?)?;
    if !platform.runs(&config.platform()) {
        bail!(lacks(platform));
    }
    collect(store, image.manifest, &image.media_type, 0, &mut cargo)?;
    Ok((cargo, None))
}

/// Adds a manifest or an index with all that it names; tells whether all of it is here.
fn collect(store: &Store, digest: Digest, told: &str, depth: usize, cargo: &mut Cargo) -> Result<bool> {
    if store.blob_size(&digest).is_none() || depth > DEPTH {
        return Ok(false);
    }
    let bytes = store.read_document(&digest)?;
    let listed: Listed =
        serde_json::from_slice(&bytes).with_context(|| format!("parse manifest {digest}"))?;
    let mut whole = true;
    let is_index = listed.manifests.is_some();
    for inner in listed.manifests.into_iter().flatten() {
        whole &= collect(store, inner.digest, "", depth + 1, cargo)?;
    }
    for layer in listed.layers {
        // What its maker keeps elsewhere is not ours to send.
        if layer.urls.is_empty() {
            whole &= is_here(store, &layer) || is_unpacked(store, &layer.digest)?;
            cargo.blobs.push((layer, true));
        }
    }
    if let Some(config) = listed.config {
        whole &= is_here(store, &config);
        cargo.blobs.push((config, false));
    }
    let media_type = match (listed.media_type.as_str(), told) {
        ("", "") if is_index => "application/vnd.oci.image.index.v1+json",
        ("", "") => super::import::MANIFEST,
        ("", told) => told,
        (own, _) => own,
    };
    let media_type = media_type.to_owned();
    cargo.papers.push(Paper { digest, media_type, bytes });
    Ok(whole)
}

fn is_here(store: &Store, blob: &Listing) -> bool {
    store.blob_size(&blob.digest) == Some(blob.size)
}

/// Tells whether a layer is known by the digest of its archive, and unpacked: then its blob can be made.
fn is_unpacked(store: &Store, digest: &Digest) -> Result<bool> {
    Ok(store.all_layers()?.iter().any(|layers| layers.has(digest)))
}

/// Returns the repositories of the same registry that it is known to have blobs in: what was pulled from there,
/// or pushed there, has a name with a digest.
fn sources(store: &Store, reference: &Reference) -> Result<BTreeMap<Digest, Vec<String>>> {
    let mut found: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    let domain = format!("{}/", reference.domain());
    for (name, record) in store.refs()? {
        let Some(path) = name.repository.strip_prefix(&domain) else { continue };
        if name.tag().is_some() || path == reference.path() {
            continue;
        }
        let mut cargo = Cargo::default();
        let Some(image) = store.image(&record.id)? else { continue };
        // A document that cannot be read names nothing.
        if collect(store, image.manifest, "", 0, &mut cargo).is_err() {
            continue;
        }
        for (blob, _) in cargo.blobs {
            let known = found.entry(blob.digest).or_default();
            if known.len() < SOURCES && !known.iter().any(|known| known == path) {
                known.push(path.to_owned());
            }
        }
    }
    Ok(found)
}

/// Sends blobs, a few at once; the first error stops all.
fn send(
    store: &Store,
    client: &Client,
    reference: &Reference,
    blobs: &[(Listing, bool)],
    places: &BTreeMap<Digest, Place>,
    progress: &dyn PushProgress,
) -> Result<()> {
    let sources = sources(store, reference)?;
    // A layer can stand in an image twice: empty ones do.
    let mut seen = BTreeSet::new();
    let mut work: Vec<_> = blobs.iter().filter(|(blob, _)| seen.insert(blob.digest)).collect();
    for (blob, _) in work.iter().filter(|(_, is_layer)| *is_layer) {
        progress.step(&blob.digest.short(), PushStep::Preparing);
    }
    for (blob, _) in work.iter().filter(|(_, is_layer)| *is_layer).skip(PARALLEL) {
        progress.step(&blob.digest.short(), PushStep::Waiting);
    }
    // The largest first, so that none is left alone at the end.
    work.sort_by_key(|(blob, _)| std::cmp::Reverse(blob.size));
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let worker = || {
        while !stop.load(Ordering::Relaxed) {
            let Some((blob, is_layer)) = work.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let progress = is_layer.then_some(progress);
            let from = sources.get(&blob.digest).map_or(&[][..], Vec::as_slice);
            let place = &places[&blob.digest];
            if let Err(error) = one(place, client, reference, blob, from, progress, &stop) {
                stop.store(true, Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..PARALLEL.min(work.len()) {
            thread::Builder::new().spawn_scoped(scope, worker).context("start a thread")?;
        }
        worker();
        Ok::<_, anyhow::Error>(())
    })?;
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn one(
    place: &Place,
    client: &Client,
    reference: &Reference,
    blob: &Listing,
    from: &[String],
    progress: Option<&dyn PushProgress>,
    stop: &AtomicBool,
) -> Result<()> {
    let id = blob.digest.short();
    let source = Content { place, id: &id, size: blob.size, progress, stop };
    let upload = Upload { digest: blob.digest, size: blob.size, source: &source, from };
    let uploaded = client.upload_blob(reference, &upload)?;
    if let Some(progress) = progress {
        let step = match &uploaded {
            Uploaded::Existed => PushStep::AlreadyExists,
            Uploaded::Mounted(from) => PushStep::MountedFrom(from),
            Uploaded::Sent => PushStep::Pushed,
        };
        progress.step(&id, step);
    }
    Ok(())
}
