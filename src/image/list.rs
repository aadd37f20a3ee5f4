//! What is known about the images of the store: for `images`, `image inspect` and `history`.

use std::collections::HashMap;
use std::time::SystemTime;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::layers::layer_blobs;
use super::{Image, open, unpacked};
use crate::oci::{Digest, familiar_repository};
use crate::store::{ImageRecord, MapKey, Name, Selector, Store};

/// What Go prints for a time that nobody has told.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// One image as `images` lists it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The image.
    pub image: Image,
    /// Its names with tags, sorted.
    pub tags: Vec<Name>,
    /// Its names with digests, sorted.
    pub digests: Vec<Name>,
    /// The sum of its layers, as they are unpacked.
    pub size: u64,
}

/// One step of an image, as `history` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The image's id for the last step; steps before have none.
    pub id: Option<Digest>,
    /// RFC 3339; empty if nobody has told.
    pub created: String,
    /// The instruction.
    pub created_by: String,
    /// The size of its layer; 0 if it made none.
    pub size: u64,
    /// A remark.
    pub comment: String,
    /// The image's names, for the last step.
    pub tags: Vec<String>,
}

/// Returns a name as people type it.
pub fn familiar(name: &Name) -> String {
    let repository = familiar_repository(&name.repository);
    match &name.selector {
        Selector::Tag(tag) => format!("{repository}:{tag}"),
        Selector::Digest(digest) => format!("{repository}@{digest}"),
    }
}

/// Lists all images, the newest first.
pub fn list(store: &Store) -> Result<Vec<Summary>> {
    let mut names: HashMap<Digest, (Vec<Name>, Vec<Name>)> = HashMap::new();
    for (name, record) in store.all_refs()? {
        let (tags, digests) = names.entry(record.id).or_default();
        if name.tag().is_some() { tags } else { digests }.push(name);
    }
    let mut sizes = Sizes::new(store);
    let mut summaries = Vec::new();
    for record in store.images()? {
        let id = record.id;
        let size = sizes.of(&record);
        // An image that is removed meanwhile is no error of the list, nor is one whose configuration is lost.
        let Ok(image) = open(store, &id) else { continue };
        let (tags, digests) = names.remove(&id).unwrap_or_default();
        summaries.push(Summary { image, tags, digests, size });
    }
    summaries.sort_by_cached_key(|summary| (std::cmp::Reverse(moment_of(summary)), summary.image.record.id));
    Ok(summaries)
}

/// Lists all images, with those of stores to borrow from, the newest first.
pub fn list_all(store: &Store) -> Result<Vec<Summary>> {
    let mut summaries = list(store)?;
    for lender in store.additional() {
        for lent in list(&lender).unwrap_or_default() {
            let id = lent.image.record.id;
            if !summaries.iter().any(|known| known.image.record.id == id) {
                summaries.push(lent);
            }
        }
    }
    summaries.sort_by_cached_key(|summary| (std::cmp::Reverse(moment_of(summary)), summary.image.record.id));
    Ok(summaries)
}

fn moment_of(summary: &Summary) -> Option<jiff::Timestamp> {
    summary.image.config.created.as_deref()?.parse().ok()
}

/// Returns the image's size: the sum of its layers, as they are unpacked under any mapping.
pub fn size(store: &Store, image: &ImageRecord) -> u64 {
    Sizes::new(store).of(image)
}

/// The sizes of layers, each read once.
struct Sizes<'a> {
    store: &'a Store,
    layers: Vec<crate::store::Layers>,
    known: HashMap<Digest, u64>,
}

impl<'a> Sizes<'a> {
    fn new(store: &'a Store) -> Self {
        // Those of others are closed to this user, as a rule.
        let mut layers = Vec::new();
        for store in store.additional().chain([store.clone()]) {
            layers.extend(store.all_layers().unwrap_or_default());
        }
        Self { store, layers, known: HashMap::new() }
    }

    fn of(&mut self, image: &ImageRecord) -> u64 {
        image.layers.iter().map(|diff_id| self.layer(image, diff_id)).sum()
    }

    /// Returns the size of one layer of `image`. Of one that is unpacked nowhere, or where this user cannot look,
    /// only the compressed size is known.
    fn layer(&mut self, image: &ImageRecord, diff_id: &Digest) -> u64 {
        if let Some(size) = self.known.get(diff_id) {
            return *size;
        }
        let unpacked = self.layers.iter().find_map(|layers| layers.record(diff_id).ok().flatten());
        let size = unpacked.map(|record| record.size).or_else(|| {
            let blobs = layer_blobs(self.store, image).ok()?;
            image.layers.iter().zip(blobs).find(|(layer, _)| *layer == diff_id).map(|(_, (_, size))| size)
        });
        let size = size.unwrap_or(0);
        self.known.insert(*diff_id, size);
        size
    }
}

/// Returns everything about an image, under Docker's keys. `map` is the mapping whose layers are shown.
pub fn inspect(store: &Store, record: &ImageRecord, map: &MapKey) -> Result<Value> {
    let Image { config, raw_config, .. } = open(store, &record.id)?;
    let names: Vec<Name> = store
        .all_refs()?
        .into_iter()
        .filter(|(_, target)| target.id == record.id)
        .map(|(name, _)| name)
        .collect();
    let (tags, digests): (Vec<&Name>, Vec<&Name>) = names.iter().partition(|name| name.tag().is_some());
    let last_tag = tags.iter().filter_map(|name| store.ref_time(name)).max();
    let comment = match config.history.last() {
        Some(last) if config.comment.is_empty() => &last.comment,
        _ => &config.comment,
    };
    let mut value = json!({
        "Id": record.id,
        "RepoTags": tags.into_iter().map(familiar).collect::<Vec<_>>(),
        "RepoDigests": digests.into_iter().map(familiar).collect::<Vec<_>>(),
        "Parent": "",
        "Comment": comment,
        "Created": config.created.as_deref().unwrap_or(NO_TIME),
        "DockerVersion": config.docker_version,
        "Author": config.author,
        "Config": config_value(&raw_config),
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": size(store, record),
        "GraphDriver": graph_driver(store, record, map),
        "RootFS": { "Type": "layers", "Layers": record.layers },
        "Metadata": { "LastTagTime": last_tag.map_or_else(|| NO_TIME.to_owned(), moment) },
        "Descriptor": { "mediaType": record.media_type, "digest": record.manifest, "size": record.size },
    });
    if !config.variant.is_empty() {
        value["Variant"] = config.variant.into();
    }
    Ok(value)
}

fn moment(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| NO_TIME.to_owned(), |time| time.to_string())
}

/// Returns the configuration's defaults for containers as they stand, with the keys that Docker always has.
fn config_value(raw: &[u8]) -> Value {
    let raw: Value = serde_json::from_slice(raw).unwrap_or_default();
    let mut config = Map::new();
    for key in ["Hostname", "Domainname", "User", "Image", "WorkingDir"] {
        config.insert(key.to_owned(), "".into());
    }
    for key in ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"] {
        config.insert(key.to_owned(), false.into());
    }
    for key in ["Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"] {
        config.insert(key.to_owned(), Value::Null);
    }
    if let Some(told) = raw.get("config").and_then(Value::as_object) {
        config.extend(told.clone());
    }
    Value::Object(config)
}

fn graph_driver(store: &Store, record: &ImageRecord, map: &MapKey) -> Value {
    let trees = unpacked(store, record, map).unwrap_or_default();
    let mut data = Map::new();
    let mut paths = trees.iter().rev().map(|path| path.display().to_string());
    if let Some(upper) = paths.next() {
        data.insert("UpperDir".to_owned(), upper.into());
        let lower: Vec<String> = paths.collect();
        if !lower.is_empty() {
            data.insert("LowerDir".to_owned(), lower.join(":").into());
        }
    }
    json!({ "Name": "overlay2", "Data": data })
}

/// Lists the steps of an image, the last first.
pub fn history(store: &Store, record: &ImageRecord) -> Result<Vec<Row>> {
    let image = open(store, &record.id)?;
    let mut sizes = Sizes::new(store);
    let mut layers = record.layers.iter();
    let mut rows = Vec::new();
    for step in image.config.history {
        let layer = if step.empty_layer { None } else { layers.next() };
        let size = layer.map_or(0, |diff_id| sizes.layer(record, diff_id));
        rows.push(Row {
            id: None,
            created: step.created.unwrap_or_default(),
            created_by: step.created_by,
            size,
            comment: step.comment,
            tags: Vec::new(),
        });
    }
    if let Some(last) = rows.last_mut() {
        last.id = Some(record.id);
        last.tags = store
            .all_refs()?
            .iter()
            .filter(|(name, target)| target.id == record.id && name.tag().is_some())
            .map(|(name, _)| familiar(name))
            .collect();
    }
    rows.reverse();
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Mapping, Owners, hello, tag};
    use crate::store::tests::scratch;

    #[test]
    fn tells_about_an_image() {
        let (_dir, store) = scratch();
        let mapping = Mapping { key: MapKey::of("x"), owners: Owners::Emulated };
        let id = hello(&store, &mapping).unwrap();
        tag(&store, "hello-world", "localhost:5000/a:1").unwrap();
        let record = store.image(&id).unwrap().unwrap();
        let listed = list(&store).unwrap();
        assert_eq!(listed.len(), 1);
        let names: Vec<_> = listed[0].tags.iter().map(familiar).collect();
        assert_eq!(names, ["hello-world:latest", "localhost:5000/a:1"]);
        let program = super::super::hello_program::HELLO.len() as u64;
        assert_eq!(listed[0].size, program);

        let value = inspect(&store, &record, &mapping.key).unwrap();
        assert_eq!(value["Id"], id.to_string());
        assert_eq!(value["RepoTags"], json!(["hello-world:latest", "localhost:5000/a:1"]));
        assert_eq!(value["Config"]["Cmd"], json!(["/hello"]));
        assert_eq!(value["Config"]["Labels"], Value::Null);
        assert_eq!(value["Size"], program);
        assert_eq!(value["RootFS"]["Layers"].as_array().unwrap().len(), 1);
        assert_ne!(value["Metadata"]["LastTagTime"], NO_TIME);

        let rows = history(&store, &record).unwrap();
        assert_eq!((rows.len(), rows[0].id, rows[1].id), (2, Some(id), None));
        assert_eq!((rows[0].size, rows[1].size), (0, program));
        assert!(rows[0].created_by.contains("CMD"));
    }
}
