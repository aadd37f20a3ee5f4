//! Freeing what nobody holds.
//!
//! Runs under the exclusive `gc` lock, so that no pin can appear meanwhile. Layers and staging hold files of
//! mapped owners: the caller has entered the ancestor user namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Lock, Mode, Pin, Staged, Store, remove_trees};
use crate::oci::{Digest, image};

/// What a sweep removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// The removed layers by their diff-ids, with the sizes of their files added up.
    pub layers: BTreeMap<Digest, u64>,
    /// The number of removed blobs.
    pub blobs: u64,
    /// The sizes of removed blobs added up.
    pub bytes: u64,
}

impl Freed {
    /// Returns all that was freed, in bytes.
    pub fn total(&self) -> u64 {
        self.bytes + self.layers.values().sum::<u64>()
    }
}

/// Removes every blob, layer and staging directory that no image, container or living process holds.
pub fn sweep(store: &Store) -> Result<Freed> {
    sweep_under(store, store.lock("gc", Mode::Exclusive)?)
}

/// Does so under the exclusive lock `gc`, which the caller has taken. What is to go is moved out of sight under
/// the lock and removed after it is given up: unlinking can take seconds, and nobody else has to wait.
pub fn sweep_under(store: &Store, gc: Lock) -> Result<Freed> {
    let mut keep = Pin::default();
    // What is being made moves out of staging without this lock: looked at first, it is seen here or there.
    let (living, mut dead) = staging(store)?;
    for dir in living {
        keep_pin(store, &mut keep, &dir)?;
    }
    for image in store.images()? {
        keep_image(store, &mut keep, &image);
    }
    // The index that a name was pulled by is part of no image, and a push of the name wants it.
    let targets: BTreeSet<Digest> = store.refs()?.into_iter().map(|(_, record)| record.target).collect();
    for target in targets {
        keep_index(store, &mut keep, &target);
    }
    keep.layers.extend(store.cache_records()?.into_iter().map(|(_, record)| record.layer));
    for dir in entries(&store.containers())? {
        keep_pin(store, &mut keep, &dir)?;
    }
    // Whoever writes a record holds the lock, too: what is half-written now is nobody's.
    for path in store.records()?.leftovers {
        let _ = fs::remove_file(path);
    }
    let mut graves = Graves::new(store);
    let mut freed = Freed::default();
    for path in entries(&store.root().join("blobs/sha256"))? {
        let digest = path.file_name().and_then(|name| Digest::from_hex(name.to_str()?).ok());
        if digest.is_none_or(|digest| keep.blobs.contains(&digest)) {
            continue;
        }
        // What is borrowed takes nothing.
        let bytes = fs::symlink_metadata(&path).map_or(0, |meta| if meta.is_file() { meta.len() } else { 0 });
        if graves.bury(&path) || fs::remove_file(&path).is_ok() {
            freed.blobs += 1;
            freed.bytes += bytes;
        }
    }
    for layers in store.all_layers()? {
        for digest in layers.list()?.into_iter().filter(|digest| !keep.layers.contains(digest)) {
            let size = if layers.dir(&digest).is_symlink() {
                0
            } else {
                layers.record(&digest).ok().flatten().map_or(0, |record| record.size)
            };
            // Out of sight in one step; a crash in the middle of the removal leaves staging, not half a layer.
            if graves.bury(&layers.dir(&digest)) {
                *freed.layers.entry(digest).or_default() += size;
            }
        }
    }
    drop(gc);
    store.sweep_claims();
    // Before what they were claimed for goes, which shows that there may be some.
    if !dead.is_empty() {
        store.sweep_names()?;
    }
    dead.extend(graves.full);
    remove_trees(dead);
    Ok(freed)
}

/// Where things lie between their removal from sight and from the disk.
struct Graves<'a> {
    store: &'a Store,
    /// Held, so that nobody else takes what lies in it for left behind, and waits for its removal. Without
    /// room for a directory there is none, and things lie in staging itself.
    yard: Option<Staged>,
    full: Vec<PathBuf>,
}

impl<'a> Graves<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, yard: Staged::new_under_gc(store).ok(), full: Vec::new() }
    }

    /// Moves something out of sight; returns `false` if that cannot be done.
    fn bury(&mut self, path: &Path) -> bool {
        let name = super::staged::random_name();
        let grave = match &self.yard {
            Some(yard) => yard.path(&name),
            None => self.store.staging().join(format!("removed-{name}")),
        };
        let moved = fs::rename(path, &grave).is_ok();
        self.full.extend(moved.then_some(grave));
        moved
    }
}

/// Removes the staging directories that a killed command has left, and the names claimed for what was in them. Returns at once if there is none at all.
pub fn sweep_staging(store: &Store) -> Result<()> {
    if entries(&store.staging())?.is_empty() {
        return Ok(());
    }
    let gc = store.lock("gc", Mode::Exclusive)?;
    let (_, dead) = staging(store)?;
    drop(gc);
    store.sweep_names()?;
    // What resists is tried again by the next sweep.
    remove_trees(dead);
    Ok(())
}

/// Returns the staging directories that somebody is at work in, then those of nobody. The exclusive `gc`
/// lock is held.
fn staging(store: &Store) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    // A plain file is of a store that is being laid out, which takes no lock, or a blob that was being removed.
    let is_grave =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("removed-"));
    let dirs = entries(&store.staging())?.into_iter().filter(|path| path.is_dir() || is_grave(path));
    Ok(dirs.partition(|dir| Lock::is_held(&dir.join("lock")).unwrap_or(false)))
}

fn keep_image(store: &Store, keep: &mut Pin, record: &super::ImageRecord) {
    keep.blobs.insert(record.id);
    keep.blobs.insert(record.manifest);
    keep.layers.extend(&record.layers);
    // A manifest that cannot be read keeps its image listed and removable; its blobs are lost already.
    let Ok(bytes) = store.read_document(&record.manifest) else { return };
    let Ok(manifest) = serde_json::from_slice::<image::ImageManifest>(&bytes) else { return };
    keep.blobs.extend(
        manifest.layers().iter().filter_map(|layer| layer.digest().to_string().parse::<Digest>().ok()),
    );
}

/// Keeps what a name means, if that is an index, and what it says of how its images were made.
fn keep_index(store: &Store, keep: &mut Pin, target: &Digest) {
    // It may be a manifest, which is an image's; one that cannot be read keeps nothing more.
    keep.blobs.insert(*target);
    let Ok(bytes) = store.read_document(target) else { return };
    let Ok(index) = serde_json::from_slice::<image::ImageIndex>(&bytes) else { return };
    for entry in index.manifests() {
        let annotations = entry.annotations().as_ref();
        let kind = annotations.and_then(|all| all.get("vnd.docker.reference.type")).map(String::as_str);
        let Ok(digest) = entry.digest().to_string().parse::<Digest>() else { continue };
        if kind != Some("attestation-manifest") {
            continue;
        }
        keep.blobs.insert(digest);
        let Ok(bytes) = store.read_document(&digest) else { continue };
        let Ok(manifest) = serde_json::from_slice::<image::ImageManifest>(&bytes) else { continue };
        let blobs = manifest.layers().iter().chain([manifest.config()]);
        keep.blobs.extend(blobs.filter_map(|blob| blob.digest().to_string().parse::<Digest>().ok()));
    }
}

fn keep_pin(store: &Store, keep: &mut Pin, dir: &Path) -> Result<()> {
    let pin = Pin::load(dir)?;
    if let Some(image) = pin.image {
        keep.blobs.insert(image);
        if let Some(record) = store.image(&image)? {
            keep_image(store, keep, &record);
        }
    }
    keep.blobs.extend(pin.blobs);
    keep.layers.extend(pin.layers);
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(dir) {
        Ok(read) => read,
        Err(error) if super::record::absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
    };
    read.map(|entry| Ok(entry.with_context(|| format!("read {}", dir.display()))?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::super::{ImageRecord, MapKey};
    use super::*;

    fn blob(store: &Store, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        fs::write(store.blob_path(&digest), bytes).unwrap();
        digest
    }

    #[test]
    fn keeps_images_pins_and_the_living() {
        let (_dir, store) = scratch();
        let layers = store.layers(&MapKey::of("0 1000 1"));
        let layer = |bytes: &[u8]| {
            let digest = Digest::of(bytes);
            fs::create_dir_all(layers.tree(&digest)).unwrap();
            digest
        };
        let config = blob(&store, b"config");
        let data = blob(&store, b"data");
        let manifest = serde_json::json!({"schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 6},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": data, "size": 4}]});
        let manifest = blob(&store, manifest.to_string().as_bytes());
        let used = layer(b"used");
        let record =
            ImageRecord { id: config, manifest, media_type: "m".into(), size: 1, layers: vec![used] };
        store.put_image(&record).unwrap();
        let (wanted, pinned) = (blob(&store, b"wanted"), layer(b"pinned"));
        let (_, stray) = (blob(&store, b"stray"), layer(b"stray"));
        let staged = store.stage().unwrap();
        staged.pin(&store, &Pin { blobs: [wanted].into(), ..Pin::default() }).unwrap();
        let container = store.containers().join("c");
        fs::create_dir(&container).unwrap();
        Pin { layers: [pinned].into(), ..Pin::default() }.save(&container).unwrap();
        fs::create_dir(store.staging().join("dead")).unwrap();

        let freed = sweep(&store).unwrap();
        assert_eq!((freed.blobs, freed.layers), (1, [(stray, 0)].into()));
        assert!(layers.has(&used) && layers.has(&pinned) && store.blob_size(&wanted).is_some());
        fs::create_dir(store.staging().join("dead")).unwrap();
        sweep_staging(&store).unwrap();
        assert_eq!(fs::read_dir(store.staging()).unwrap().count(), 1, "the living stay");
        drop(staged);
        store.remove_image(&config).unwrap();
        assert_eq!(sweep(&store).unwrap().blobs, 4);
        assert_eq!(fs::read_dir(store.staging()).unwrap().count(), 0);
    }
}
