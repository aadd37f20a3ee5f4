//! What images take on the disk, and what of it they share.
//!
//! An image's pieces are its blobs (configuration, manifest, index, compressed layers) and its unpacked layers,
//! under every mapping they are unpacked under. A piece that several images have is there once: it counts in
//! the size of each, in the shared size of each, and in the total once. What could be freed is the total
//! less the pieces of images that containers were made from, which is what removing all others would free.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::layers::layer_blobs;
use super::list::{Summary, list};
use crate::oci::Digest;
use crate::store::{ImageRecord, Store};

/// One image's share of the disk.
#[derive(Debug, Clone)]
pub struct ImageUsage {
    /// The image.
    pub summary: Summary,
    /// The bytes of all its pieces.
    pub size: u64,
    /// The bytes of those that other images have too.
    pub shared: u64,
    /// The bytes of its blobs.
    pub content: u64,
}

/// All images' share of the disk.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// The images, the newest first.
    pub images: Vec<ImageUsage>,
    /// The bytes of all pieces there are, each once.
    pub total: u64,
    /// The bytes of those that no image in use has.
    pub reclaimable: u64,
}

/// A piece of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Blob(Digest),
    Layer(Digest),
}

/// Measures all images. `used` are those that containers were made from, `held` the layers that containers stand
/// on, whatever became of their images.
pub fn usage(store: &Store, used: &BTreeSet<Digest>, held: &BTreeSet<Digest>) -> Result<Usage> {
    let mut sizes: BTreeMap<Piece, u64> = BTreeMap::new();
    for (digest, size) in store.blobs()? {
        // What other stores lend takes nothing here.
        let size = if store.blob_path(&digest).is_symlink() { 0 } else { size };
        sizes.insert(Piece::Blob(digest), size);
    }
    for layers in store.all_layers()? {
        for diff_id in layers.list()?.into_iter().filter(|diff_id| !layers.dir(diff_id).is_symlink()) {
            let size = layers.record(&diff_id).ok().flatten().map_or(0, |record| record.size);
            *sizes.entry(Piece::Layer(diff_id)).or_default() += size;
        }
    }
    let refs = store.refs()?;
    let mut owners: BTreeMap<Piece, u32> = BTreeMap::new();
    let mut images = Vec::new();
    for summary in list(store)? {
        let record = &summary.image.record;
        let mut pieces = pieces(store, record);
        let targets = refs.iter().filter(|(_, named)| named.id == record.id);
        pieces.extend(targets.map(|(_, named)| Piece::Blob(named.target)));
        for piece in &pieces {
            *owners.entry(*piece).or_default() += 1;
        }
        images.push((summary, pieces));
    }
    let size = |piece: &Piece| sizes.get(piece).copied().unwrap_or(0);
    // A container keeps its image's configuration, too.
    let mut kept: BTreeSet<Piece> = held.iter().map(|layer| Piece::Layer(*layer)).collect();
    kept.extend(used.iter().map(|id| Piece::Blob(*id)));
    let mut usage = Usage { total: sizes.values().sum(), ..Usage::default() };
    for (summary, pieces) in images {
        if used.contains(&summary.image.record.id) {
            kept.extend(&pieces);
        }
        let is_shared = |piece: &&Piece| owners.get(piece).is_some_and(|owners| *owners > 1);
        let is_blob = |piece: &&Piece| matches!(piece, Piece::Blob(_));
        usage.images.push(ImageUsage {
            summary,
            size: pieces.iter().map(size).sum(),
            shared: pieces.iter().filter(is_shared).map(size).sum(),
            content: pieces.iter().filter(is_blob).map(size).sum(),
        });
    }
    usage.reclaimable = usage.total - kept.iter().map(size).sum::<u64>();
    Ok(usage)
}

/// Returns an image's pieces. Of one whose manifest is lost, the blobs of its layers are not known.
fn pieces(store: &Store, record: &ImageRecord) -> BTreeSet<Piece> {
    let mut pieces: BTreeSet<Piece> = record.layers.iter().map(|layer| Piece::Layer(*layer)).collect();
    pieces.extend([record.id, record.manifest].map(Piece::Blob));
    pieces.extend(
        layer_blobs(store, record).unwrap_or_default().into_iter().map(|(blob, _)| Piece::Blob(blob)),
    );
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImportOptions, Mapping, Owners, import};
    use crate::oci::{Platform, Reference};
    use crate::store::MapKey;
    use crate::store::tests::scratch;

    #[test]
    fn counts_shared_pieces_once() {
        let (_dir, store) = scratch();
        let mapping = Mapping { key: MapKey::of("x"), owners: Owners::Emulated };
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1000);
        header.set_mode(0o644);
        builder.append_data(&mut header, "file", &[7; 1000][..]).unwrap();
        let archive = builder.into_inner().unwrap();
        let add = |name: &str, message: &str| {
            let options = ImportOptions {
                reference: Some(Reference::parse(name).unwrap()),
                changes: Vec::new(),
                message: message.to_owned(),
                platform: Platform::host(),
            };
            import(&store, &mapping, &archive[..], &options).unwrap()
        };
        let (one, two) = (add("one", "first"), add("two", "second"));
        let nothing = BTreeSet::new();
        let all = usage(&store, &nothing, &nothing).unwrap();
        let layer = 1000 + archive.len() as u64;
        assert_eq!(all.images.len(), 2);
        assert!(all.images.iter().all(|image| image.shared == layer && image.size > layer));
        assert!(all.images.iter().all(|image| image.size - image.content == 1000));
        let own: u64 = all.images.iter().map(|image| image.size - image.shared).sum();
        assert_eq!(all.total, layer + own);
        assert_eq!(all.reclaimable, all.total);
        let first = all.images.iter().find(|image| image.summary.image.record.id == one).unwrap();
        let used = usage(&store, &[one].into(), &nothing).unwrap();
        assert_eq!(used.reclaimable, all.total - first.size);
        assert_eq!(usage(&store, &[one, two].into(), &nothing).unwrap().reclaimable, 0);
        let held = first.summary.image.record.layers.iter().copied().collect();
        assert_eq!(usage(&store, &nothing, &held).unwrap().reclaimable, all.total - 1000);
    }
}
