//! An image made of another one and what a container has changed of it: `commit`.
//!
//! The layer goes through the same intake as one that is pulled: packed, hashed, kept as a blob and unpacked in
//! one pass, and published with the image or not at all.

use std::io::Write;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::config::{Configuration, Defaults, History, RootFs};
use super::import::{CONFIG, LAYER, MANIFEST};
use super::intake::{Expected, Intake, Keep, Mapping};
use super::layers::layer_blobs;
use super::manifest::{DOCKER_MANIFEST, LAYER_LIMIT};
use super::pack::Packed;
use super::pipe::{is_abandoned, pipe};
use super::resolve::name_of;
use crate::oci::{Digest, Reference};
use crate::store::{ImageRecord, RefRecord, Store, sweep};

/// The layer of nothing: its archive is two blocks of zeros.
const EMPTY: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
/// What Docker's own manifests call a layer that is not compressed.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// What an image is made of.
#[derive(Debug, Clone)]
pub struct CommitOptions {
    /// The image below.
    pub parent: Digest,
    /// How containers of the new image start.
    pub config: Defaults,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// The command that made the changes.
    pub created_by: String,
    /// The image's name.
    pub reference: Option<Reference>,
}

/// Makes an image: `pack` writes the archive of its last layer. Returns the image's id. The process is in the
/// ancestor user namespace.
pub fn commit(
    store: &Store,
    mapping: &Mapping,
    options: &CommitOptions,
    pack: impl FnOnce(&mut dyn Write) -> Result<Packed> + Send,
) -> Result<Digest> {
    let parent = super::open(store, &options.parent)?;
    let intake = Intake::new(store, mapping)?;
    let blobs = layer_blobs(store, &parent.record)?;
    intake.pin(
        blobs.iter().map(|(blob, _)| *blob).chain([parent.record.id, parent.record.manifest]),
        parent.record.layers.iter().copied(),
    )?;
    let (diff_id, size) = layer(&intake, pack)?;
    let empty = diff_id.to_string() == EMPTY;
    let mut layers = parent.record.layers.clone();
    if !empty {
        layers.push(diff_id);
    }
    ensure!(
        layers.len() <= LAYER_LIMIT,
        "the image would have {} layers, and at most {LAYER_LIMIT} can be mounted",
        layers.len()
    );
    let config = configuration(options, &parent.config, &layers, empty);
    let config = serde_json::to_vec(&config).context("serialise the image's configuration")?;
    let id = intake.document(&config)?;
    let written = store.read_document(&parent.record.manifest)?;
    let (manifest, media_type) = manifest(&written, (id, config.len()), (!empty).then_some((diff_id, size)))?;
    let record = ImageRecord {
        id,
        manifest: intake.document(&manifest)?,
        media_type,
        size: manifest.len() as u64,
        layers,
    };
    let names: Vec<_> = options
        .reference
        .as_ref()
        .map(|reference| (name_of(reference), RefRecord { id, target: record.manifest }))
        .into_iter()
        .collect();
    intake.commit(&[record], &names)?;
    if empty {
        // The layer of nothing was taken in before it was known to be that.
        sweep(store)?;
    }
    Ok(id)
}

/// Takes the layer in, and returns its digest and size.
fn layer(
    intake: &Intake<'_>,
    pack: impl FnOnce(&mut dyn Write) -> Result<Packed> + Send,
) -> Result<(Digest, u64)> {
    let (writer, reader) = pipe();
    thread::scope(|scope| {
        let packing = thread::Builder::new()
            .spawn_scoped(scope, move || -> Result<Packed> {
                let mut out = writer.into_write();
                let packed = pack(&mut out)?;
                out.finish().context("pack the layer")?;
                Ok(packed)
            })
            .context("start a thread")?;
        let taken = intake.layer(reader, Keep::Archive, true, Expected::default(), |_| ());
        let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (packed, taken) {
            (Ok(packed), Ok(outcome)) => {
                ensure!(packed.diff_id == outcome.diff_id, "the layer changed on its way into the store");
                Ok((outcome.diff_id, outcome.archive_size))
            }
            // One of them has failed of itself; the other only saw it go.
            (Err(error), Err(other)) if is_abandoned(&error) => Err(other),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    })
}

/// Says what the new image is.
fn configuration(
    options: &CommitOptions,
    parent: &Configuration,
    layers: &[Digest],
    empty: bool,
) -> Configuration {
    let created = Some(jiff::Timestamp::now().to_string());
    let mut history = parent.history.clone();
    history.push(History {
        created: created.clone(),
        author: options.author.clone(),
        created_by: options.created_by.clone(),
        comment: options.comment.clone(),
        empty_layer: empty,
    });
    Configuration {
        created,
        author: options.author.clone(),
        architecture: parent.architecture.clone(),
        variant: parent.variant.clone(),
        os: parent.os.clone(),
        config: options.config.clone(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: layers.to_vec() },
        history,
        ..Configuration::default()
    }
}

/// Returns the manifest of the parent with another configuration and one layer more, and its media type. It stays
/// of its kind: Docker's and OCI's do not mix.
fn manifest(
    parent: &[u8],
    (id, config_size): (Digest, usize),
    layer: Option<(Digest, u64)>,
) -> Result<(Vec<u8>, String)> {
    let parent: Value = serde_json::from_slice(parent).context("parse the manifest of the image below")?;
    let of_docker = parent["mediaType"] == DOCKER_MANIFEST;
    let config_type = parent["config"]["mediaType"].as_str().unwrap_or(CONFIG);
    let mut layers = parent["layers"].as_array().cloned().unwrap_or_default();
    if let Some((digest, size)) = layer {
        let media_type = if of_docker { DOCKER_LAYER } else { LAYER };
        layers.push(json!({ "mediaType": media_type, "digest": digest, "size": size }));
    }
    let media_type = if of_docker { DOCKER_MANIFEST } else { MANIFEST };
    let bytes = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": { "mediaType": config_type, "digest": id, "size": config_size },
        "layers": layers,
    }))
    .context("serialise the image's manifest")?;
    Ok((bytes, media_type.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Owners, hello, open, resolve};
    use crate::store::MapKey;
    use crate::store::tests::scratch;

    #[test]
    fn adds_a_layer_and_a_line_of_history() {
        let (dir, store) = scratch();
        let mapping = Mapping { key: MapKey::of("one"), owners: Owners::Emulated };
        let parent = hello(&store, &mapping).unwrap();
        let upper = dir.path().join("upper");
        std::fs::create_dir(&upper).unwrap();
        let below = open(&store, &parent).unwrap();
        let steps = below.config.history.len();
        let mut options = CommitOptions {
            parent,
            config: below.config.config.clone(),
            author: "me".to_owned(),
            comment: "why".to_owned(),
            created_by: "sh -c x".to_owned(),
            reference: Some(Reference::parse("new").unwrap().with_default_tag()),
        };
        let pack = |out: &mut dyn Write| {
            let tree = crate::image::pack::Tree::open(&upper)?;
            crate::image::pack::layer(&tree, Owners::Emulated, &mut &mut *out)
        };
        let id = commit(&store, &mapping, &options, pack).unwrap();
        let empty = open(&store, &id).unwrap();
        assert_eq!(empty.record.layers, below.record.layers, "nothing was changed");
        let last = empty.config.history.last().unwrap();
        assert_eq!((last.created_by.as_str(), last.comment.as_str()), ("sh -c x", "why"));
        assert!(last.empty_layer);

        std::fs::write(upper.join("file"), "text").unwrap();
        options.reference = Some(Reference::parse("new:2").unwrap());
        let id = commit(&store, &mapping, &options, pack).unwrap();
        let image = open(&store, &resolve(&store, "new:2").unwrap().id).unwrap();
        assert_eq!((image.record.id, image.record.layers.len()), (id, 2));
        assert_eq!(image.config.rootfs.diff_ids, image.record.layers);
        assert_eq!((image.config.author.as_str(), image.config.history.len()), ("me", steps + 1));
        let tree = store.layers(&mapping.key).tree(&image.record.layers[1]);
        assert_eq!(std::fs::read_to_string(tree.join("file")).unwrap(), "text");
        let bytes = store.read_document(&image.record.manifest).unwrap();
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(manifest["layers"][1]["digest"], image.record.layers[1].to_string());
        assert_eq!(sweep(&store).unwrap(), crate::store::Freed::default());

        let failed = commit(&store, &mapping, &options, |_| anyhow::bail!("no"));
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(std::fs::read_dir(store.staging()).unwrap().count(), 0);
    }

    #[test]
    fn stays_with_the_kind_of_the_manifest_below() {
        let id = Digest::of(b"id");
        let docker = format!(
            r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","config":{{"mediaType":"c","size":1}},
            "layers":[{{"mediaType":"l"}}],"annotations":{{"a":"b"}}}}"#
        );
        let (bytes, media_type) = manifest(docker.as_bytes(), (id, 5), Some((id, 7))).unwrap();
        assert_eq!(media_type, DOCKER_MANIFEST);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["layers"][1]["mediaType"], DOCKER_LAYER);
        assert_eq!(value["config"]["mediaType"], "c");
        assert_eq!(value["annotations"], Value::Null);
        let (_, media_type) = manifest(br#"{"layers":[]}"#, (id, 5), None).unwrap();
        assert_eq!(media_type, MANIFEST);
    }
}
