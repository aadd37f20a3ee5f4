//! The layers of one image, brought in side by side.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::config::Configuration;
use super::intake::{Expected, Intake, Keep};
use super::manifest::{Descriptor, Manifest};
use super::progress::{LayerProgress, Progress};
use super::side_by_side::{Stoppable, side_by_side, width};
use crate::oci::Digest;
use crate::store::{Claim, ImageRecord, Store};

/// The content of a blob that is not in the store.
pub(super) enum Source<'a> {
    /// A stream, which is saved as it is read.
    Stream(Box<dyn Read + Send + 'a>),
    /// A file in staging whose digest is verified.
    Staged(PathBuf),
}

/// How often it is looked whether another process waits for what is finished here.
const LOOK: Duration = Duration::from_millis(100);

/// Where blobs that are not in the store come from.
pub(super) type Open<'a> = dyn Fn(&Descriptor) -> Result<Source<'a>> + Sync + 'a;

/// One layer's two names.
struct Layer<'a> {
    descriptor: &'a Descriptor,
    diff_id: Digest,
}

/// Brings in everything of one image but its name, and returns the record to publish it with.
pub(super) fn take_in(
    store: &Store,
    intake: &Intake<'_>,
    manifest: &Manifest,
    config: &[u8],
    open: &Open<'_>,
    progress: &dyn Progress,
) -> Result<ImageRecord> {
    if Digest::of(config) != manifest.config.digest {
        bail!("image config verification failed for digest {}", manifest.config.digest);
    }
    let configuration = Configuration::parse(config)?;
    let diff_ids = &configuration.rootfs.diff_ids;
    if !matches!(configuration.os.as_str(), "" | "linux") {
        bail!("operating system is not supported: the image is for {}", configuration.os);
    }
    if diff_ids.len() != manifest.layers.len() {
        bail!(
            "invalid manifest, layers length mismatch: expected {}, got {}",
            diff_ids.len(),
            manifest.layers.len()
        );
    }
    let layers: Vec<Layer<'_>> = manifest
        .layers
        .iter()
        .zip(diff_ids)
        .map(|(descriptor, diff_id)| Layer { descriptor, diff_id: *diff_id })
        .collect();
    intake.pin(layers.iter().map(|layer| layer.descriptor.digest), diff_ids.iter().copied())?;
    take_in_layers(store, intake, layers, open, progress)?;
    intake.document(config)?;
    let digest = intake.document(&manifest.bytes)?;
    Ok(ImageRecord {
        id: manifest.config.digest,
        manifest: digest,
        media_type: manifest.media_type.clone(),
        size: manifest.bytes.len() as u64,
        layers: diff_ids.clone(),
    })
}

/// Works at the layers that are not there.
fn take_in_layers(
    store: &Store,
    intake: &Intake<'_>,
    mut layers: Vec<Layer<'_>>,
    open: &Open<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    // A layer can stand in an image twice: empty ones do.
    let mut seen = BTreeSet::new();
    layers.retain(|layer| seen.insert((layer.descriptor.digest, layer.diff_id)));
    let mut trees = BTreeSet::new();
    let mut work = Vec::new();
    for layer in &layers {
        let unpack = !intake.has_layer(&layer.diff_id) && trees.insert(layer.diff_id);
        store.borrow_blob(&layer.descriptor.digest, layer.descriptor.size);
        if unpack || !intake.has_blob(&layer.descriptor.digest) {
            progress.layer(&layer.descriptor.digest.short(), LayerProgress::PullingFsLayer);
            work.push((layer, unpack));
        } else {
            progress.layer(&layer.descriptor.digest.short(), LayerProgress::AlreadyExists);
        }
    }
    // The biggest first, so that none of them is begun when all others are done.
    work.sort_by_key(|(layer, _)| std::cmp::Reverse(layer.descriptor.size));
    for (layer, _) in work.iter().skip(width()) {
        progress.layer(&layer.descriptor.digest.short(), LayerProgress::Waiting);
    }
    let missing = work.iter().map(|(layer, _)| layer.descriptor).filter(|it| !intake.has_blob(&it.digest));
    intake.room(missing.fold(0u64, |sum, it| sum.saturating_add(it.size)))?;
    if work.is_empty() {
        return Ok(());
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let publisher = thread::Builder::new().spawn_scoped(scope, || {
            while !over.load(Ordering::Relaxed) {
                thread::park_timeout(LOOK);
                intake.publish_wanted()?;
            }
            Ok(())
        });
        let publisher = publisher.context("start a thread")?;
        let done = side_by_side(&work, |(layer, unpack), stop| {
            one(store, intake, layer, *unpack, open, progress, stop)
                .with_context(|| format!("take in layer {}", layer.descriptor.digest.short()))
        });
        over.store(true, Ordering::Relaxed);
        publisher.thread().unpark();
        let published = publisher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.and(published)
    })
}

/// Takes the claim on a blob, and says whom it waits for if that takes time. `stop` ends the waiting.
pub(super) fn claim(
    store: &Store,
    blob: &Digest,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<Claim> {
    let mut told = false;
    let claim = store.claim(blob, |holder| {
        if let Some(holder) = holder.filter(|_| !told) {
            progress.message(&format!("{}: Waiting for process {holder}, which is at it", blob.short()));
            told = true;
        }
        !stop.load(Ordering::Relaxed)
    })?;
    claim.context("another layer failed")
}

fn one(
    store: &Store,
    intake: &Intake<'_>,
    layer: &Layer<'_>,
    unpack: bool,
    open: &Open<'_>,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<()> {
    let descriptor = layer.descriptor;
    let (digest, total) = (descriptor.digest, descriptor.size);
    let short = digest.short();
    let claim = claim(store, &digest, progress, stop)?;
    // Whoever had the claim before may have done it.
    let unpack = unpack && !intake.has_layer(&layer.diff_id);
    if !unpack && intake.has_blob(&digest) {
        progress.layer(&short, LayerProgress::PullComplete);
        return Ok(());
    }
    let expected = Expected { blob: Some(digest), size: Some(total), diff_id: Some(layer.diff_id) };
    let take = |input: Box<dyn Read + Send + '_>, keep: Keep| {
        let local = keep == Keep::Nothing;
        intake.layer(Stoppable::new(input, stop), keep, unpack, expected, |read| match read {
            Some(read) if local => progress.layer(&short, LayerProgress::Extracting(read, total)),
            Some(read) => progress.layer(&short, LayerProgress::Downloading(read, total)),
            None if local => {}
            None => {
                progress.layer(&short, LayerProgress::VerifyingChecksum);
                progress.layer(&short, LayerProgress::DownloadComplete);
                progress.layer(&short, LayerProgress::Extracting(total, total));
            }
        })
    };
    let here = match store.open_blob(&digest)? {
        None => false,
        Some(file) => match take(Box::new(file), Keep::Nothing) {
            Ok(_) => true,
            // What others lend may be damaged: then it is fetched like what nobody lends.
            Err(_) if !stop.load(Ordering::Relaxed) && store.give_back(&digest) => {
                progress.message(&format!("{short}: What another store lends is damaged"));
                false
            }
            Err(error) => return Err(error),
        },
    };
    if !here {
        match open(descriptor)? {
            Source::Stream(stream) => take(stream, Keep::AsRead)?,
            Source::Staged(path) => {
                let file = std::fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
                intake.file(path, digest);
                take(Box::new(file), Keep::Nothing)?
            }
        };
    }
    intake.finished(claim, digest, unpack.then_some(layer.diff_id));
    progress.layer(&short, LayerProgress::PullComplete);
    Ok(())
}
