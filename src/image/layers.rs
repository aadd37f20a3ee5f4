//! The unpacked layers of an image, as a container mounts them.
//!
//! Under a mapping that is missing them they are unpacked from their blobs. A layer that was made here has none: it
//! is packed from its tree under the mapping that it was made under, which gives the archive that its diff-id is of,
//! and unpacked from that stream.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};

use super::fetch::claim;
use super::intake::{Expected, Intake, Keep, Mapping};
use super::layer::Outcome;
use super::pack::{self, Tree};
use super::progress::Quiet;
use super::pump::pump;
use super::side_by_side::{Stoppable, side_by_side};
use crate::oci::{Digest, image::ImageManifest};
use crate::store::{ImageRecord, MapKey, Store};

/// Returns the trees of the image's layers, lowest first, if all are unpacked under `map`.
pub fn unpacked(store: &Store, image: &ImageRecord, map: &MapKey) -> Option<Vec<PathBuf>> {
    let layers = store.layers(map);
    image.layers.iter().map(|diff_id| layers.has(diff_id).then(|| layers.tree(diff_id))).collect()
}

/// Returns the trees of the image's layers, lowest first, after unpacking those that are missing under
/// this mapping from their blobs, or those that have none from their trees under `other`. Only then need this process
/// be in the ancestor user namespace: [`unpacked`] tells.
pub fn ensure_layers(
    store: &Store,
    image: &ImageRecord,
    mapping: &Mapping,
    other: Option<&Mapping>,
) -> Result<Vec<PathBuf>> {
    if let Some(trees) = unpacked(store, image, &mapping.key) {
        return Ok(trees);
    }
    // Of many who start containers of this image, one unpacks it.
    let _claim = claim(store, &image.id, &Quiet, &AtomicBool::new(false))?;
    let intake = Intake::new(store, mapping)?;
    let blobs = layer_blobs(store, image)?;
    intake.pin(blobs.iter().map(|(blob, _)| *blob), image.layers.iter().copied())?;
    let mut seen = BTreeSet::new();
    let mut work: Vec<_> = blobs
        .iter()
        .zip(&image.layers)
        .filter(|(_, diff_id)| !intake.has_layer(diff_id) && seen.insert(*diff_id))
        .collect();
    work.sort_by_key(|((_, size), _)| Reverse(*size));
    side_by_side(&work, |((blob, size), diff_id), stop| {
        store.borrow_blob(blob, *size);
        let expected = Expected { blob: Some(*blob), size: None, diff_id: Some(**diff_id) };
        let unpacked = match (store.open_blob(blob)?, other) {
            (Some(file), _) => {
                intake.layer(Stoppable::new(file, stop), Keep::Nothing, true, expected, |_| ())
            }
            (None, Some(other)) if blob == *diff_id && has_tree(store, other, diff_id) => {
                repack(store, other, diff_id, |input| {
                    intake.layer(Stoppable::new(input, stop), Keep::Nothing, true, expected, |_| ())
                })
            }
            (None, _) => return Err(store.missing(blob)),
        };
        unpacked.map(drop).with_context(|| match std::fs::read_link(store.blob_path(blob)) {
            Ok(lent) => format!("unpack layer {diff_id}, which is borrowed ({})", lent.display()),
            Err(_) => format!("unpack layer {diff_id}"),
        })
    })?;
    intake.commit(&[], &[])?;
    unpacked(store, image, &mapping.key).context("unpack the image's layers: one is missing again")
}

/// Tells whether a layer is unpacked under a mapping, here or where it can be borrowed from.
fn has_tree(store: &Store, mapping: &Mapping, diff_id: &Digest) -> bool {
    let layers = store.layers(&mapping.key);
    layers.has(diff_id) || store.borrow_layer(&mapping.key, diff_id)
}

/// Packs a layer from its tree under another mapping for `take`, which reads the archive meanwhile.
pub(super) fn repack(
    store: &Store,
    other: &Mapping,
    diff_id: &Digest,
    take: impl FnOnce(Box<dyn Read + '_>) -> Result<Outcome>,
) -> Result<Outcome> {
    let tree = Tree::open(&store.layers(&other.key).tree(diff_id))?;
    let (packed, taken) =
        pump(|mut out| pack::layer(&tree, other.owners, &mut out).map(drop), |input| take(Box::new(input)));
    match (packed, taken) {
        (Ok(()), Some(taken)) => taken,
        (Err(error), _) => Err(error).context("pack it from its files"),
        (Ok(()), None) => bail!("pack it from its files: nobody has read the archive"),
    }
}

/// Returns the digests and sizes of the blobs of the image's layers, lowest first.
pub(super) fn layer_blobs(store: &Store, image: &ImageRecord) -> Result<Vec<(Digest, u64)>> {
    let bytes = store.read_document(&image.manifest)?;
    let manifest: ImageManifest =
        serde_json::from_slice(&bytes).with_context(|| format!("parse manifest {}", image.manifest))?;
    let blobs: Vec<(Digest, u64)> = manifest
        .layers()
        .iter()
        .map(|layer| Ok::<_, anyhow::Error>((layer.digest().to_string().parse()?, layer.size())))
        .collect::<Result<_, _>>()
        .with_context(|| format!("parse manifest {}", image.manifest))?;
    anyhow::ensure!(
        blobs.len() == image.layers.len(),
        "manifest {} has {} layers, and the image has {}",
        image.manifest,
        blobs.len(),
        image.layers.len()
    );
    Ok(blobs)
}
