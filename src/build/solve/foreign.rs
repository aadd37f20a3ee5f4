//! Results of steps that are not in the cache of this store: in a directory that another build has filled
//! (`--cache-to type=local`), or told of in the configuration of an image (`type=inline`), which
//! may be there for nothing else (`type=registry`).
//!
//! ```text
//! <directory>/cache.json            keys and records
//! <directory>/blobs/sha256/<hex>    the archives of layers
//! ```
//!
//! A layer is taken over when a step wants it, and believed only if its archive has the right digest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::image::{self, Configuration, Mapping, NewImage, pack};
use crate::oci::{Digest, Platform};
use crate::store::{CacheRecord, Store, read_json};

/// The key of an image's configuration that tells keys and records.
pub(super) const INLINE: &str = "coracle.cache.v1";

/// A key and what it leads to.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    key: Digest,
    record: CacheRecord,
}

/// A result that is elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Foreign {
    pub(super) record: CacheRecord,
    /// The archive of its layer; without one the layer came with an image.
    archive: Option<PathBuf>,
}

impl Foreign {
    /// Makes the layer one of the store, if it is not.
    pub(super) fn take(&self, store: &Store, mapping: &Mapping) -> Result<bool> {
        if store.layers(&mapping.key).has(&self.record.layer) {
            return Ok(true);
        }
        let Some(archive) = &self.archive else { return Ok(false) };
        let Ok(file) = File::open(archive) else { return Ok(false) };
        image::adopt(store, mapping, file, &self.record.layer)
            .with_context(|| format!("take a layer from {}", archive.display()))?;
        Ok(true)
    }
}

/// Reads what directories and images of the store tell. What cannot be read is passed over.
pub(super) fn read(store: &Store, directories: &[PathBuf], images: &[Digest]) -> BTreeMap<Digest, Foreign> {
    let mut found = BTreeMap::new();
    for directory in directories {
        let lines: Option<Vec<Line>> = read_json(&directory.join("cache.json")).unwrap_or_default();
        for Line { key, record } in lines.unwrap_or_default() {
            let archive = Some(archive(directory, &record.layer));
            found.insert(key, Foreign { record, archive });
        }
    }
    for image in images {
        let Ok(image) = image::open(store, image) else { continue };
        let Ok(config) = serde_json::from_slice::<Value>(&image.raw_config) else { continue };
        let lines = serde_json::from_value::<Vec<Line>>(config[INLINE].clone());
        for Line { key, record } in lines.unwrap_or_default() {
            found.entry(key).or_insert(Foreign { record, archive: None });
        }
    }
    found
}

fn archive(directory: &Path, layer: &Digest) -> PathBuf {
    directory.join("blobs/sha256").join(layer.hex())
}

fn lines(records: &BTreeMap<Digest, CacheRecord>) -> Vec<Line> {
    let told =
        |record: &CacheRecord| CacheRecord { boot: None, uses: 0, used: record.created, ..record.clone() };
    records.iter().map(|(key, record)| Line { key: *key, record: told(record) }).collect()
}

/// Says in an image's configuration by what keys its layers are found.
pub(super) fn inline(records: &BTreeMap<Digest, CacheRecord>, layers: &[Digest]) -> Result<Value> {
    let mut lines = lines(records);
    lines.retain(|line| layers.contains(&line.record.layer));
    serde_json::to_value(lines).context("tell the cache in the image's configuration")
}

/// Returns an image of all results, which is nothing but a cache.
pub(super) fn image(records: &BTreeMap<Digest, CacheRecord>) -> Result<NewImage> {
    let sizes: BTreeMap<Digest, u64> =
        records.values().map(|record| (record.layer, record.archive)).take(image::LAYER_LIMIT).collect();
    let layers: Vec<Digest> = sizes.keys().copied().collect();
    let host = Platform::host();
    let config = Configuration {
        created: Some("1970-01-01T00:00:00Z".to_owned()),
        architecture: host.architecture,
        os: host.os,
        variant: host.variant,
        ..Configuration::default()
    };
    Ok(NewImage {
        config,
        more: BTreeMap::from([(INLINE.to_owned(), inline(records, &layers)?)]),
        base: None,
        layers,
        sizes,
        first_new: 0,
        squash: false,
        not_after: None,
        annotations: BTreeMap::new(),
        attestations: Vec::new(),
    })
}

/// Writes results into a directory.
pub(super) fn write(
    store: &Store,
    mapping: &Mapping,
    records: &BTreeMap<Digest, CacheRecord>,
    directory: &Path,
) -> Result<()> {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("create {}", blobs.display()))?;
    let layers = store.layers(&mapping.key);
    for record in records.values() {
        let path = archive(directory, &record.layer);
        if path.exists() {
            continue;
        }
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let file = File::create(&new).with_context(|| format!("create {}", new.display()))?;
        let mut out = BufWriter::with_capacity(512 << 10, file);
        let tree = pack::Tree::open(&layers.tree(&record.layer))?;
        let packed = pack::layer(&tree, mapping.owners, &mut out).context("pack a layer")?;
        out.flush().context("write a layer")?;
        ensure!(packed.diff_id == record.layer, "the files of layer {} have changed", record.layer);
        fs::rename(&new, &path).with_context(|| format!("write {}", path.display()))?;
    }
    let bytes = serde_json::to_vec(&lines(records)).context("write the keys")?;
    let new = directory.join(format!("cache.json.new-{}", std::process::id()));
    let place = directory.join("cache.json");
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, &place))
        .with_context(|| format!("write {}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Owners;
    use crate::store::MapKey;

    #[test]
    fn goes_to_another_store_and_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&dir.path().join(name), &dir.path().join("run")).unwrap();
        let (one, two) = (open("one"), open("two"));
        let mapping = Mapping { key: MapKey::of("one"), owners: Owners::Emulated };
        let made = dir.path().join("made");
        fs::create_dir(&made).unwrap();
        fs::write(made.join("file"), "text").unwrap();
        let tree = pack::Tree::open(&made).unwrap();
        let packed = pack::layer(&tree, mapping.owners, &mut std::io::sink()).unwrap();
        let place = one.layers(&mapping.key).dir(&packed.diff_id);
        fs::create_dir_all(&place).unwrap();
        fs::rename(&made, place.join("tree")).unwrap();
        let record = CacheRecord {
            layer: packed.diff_id,
            size: 4,
            archive: packed.size,
            description: "RUN x".to_owned(),
            created: 7,
            used: 9,
            uses: 3,
            boot: Some("b".to_owned()),
        };
        let key = Digest::of(b"key");
        let records = BTreeMap::from([(key, record)]);
        let kept = dir.path().join("kept");
        write(&one, &mapping, &records, &kept).unwrap();
        write(&one, &mapping, &records, &kept).unwrap();
        let found = read(&two, std::slice::from_ref(&kept), &[]);
        assert_eq!((found[&key].record.used, found[&key].record.boot.as_ref()), (7, None));
        assert!(found[&key].take(&two, &mapping).unwrap());
        let taken = two.layers(&mapping.key).tree(&packed.diff_id).join("file");
        assert_eq!(fs::read_to_string(taken).unwrap(), "text");
        assert!(found[&key].take(&two, &mapping).unwrap(), "it is there");
        let three = open("three");
        let archive = archive(&kept, &packed.diff_id);
        let mut bytes = fs::read(&archive).unwrap();
        let at = bytes.windows(4).position(|window| window == b"text").unwrap();
        bytes[at] = b'n';
        fs::write(&archive, bytes).unwrap();
        assert!(found[&key].take(&three, &mapping).is_err());
        assert!(read(&two, &[dir.path().join("absent")], &[]).is_empty());
        let told = inline(&records, &[packed.diff_id]).unwrap();
        assert_eq!(told[0]["record"]["layer"], packed.diff_id.to_string());
        assert_eq!(inline(&records, &[]).unwrap().as_array().unwrap().len(), 0);
    }
}
