//! Images made of layers that are in the store: what a build ends with.
//!
//! Layers that were made here have no blob: the manifest names the digest of their archive, which is made when it is
//! wanted ([`push`](super::push), [`save`](super::save)).

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::attestation;
use super::config::{Configuration, History, RootFs};
use super::import::{CONFIG, LAYER, MANIFEST};
use super::intake::{Expected, Intake, Keep, Mapping};
use super::manifest::{DOCKER_MANIFEST, LAYER_LIMIT};
use super::pack::{self, Tree};
use super::pump::pump;
use super::resolve::name_of;
use crate::oci::{Digest, Reference};
use crate::store::{ImageRecord, RefRecord, Store};

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// An image to be made.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// Its configuration but for the list of layers.
    pub config: Configuration,
    /// More of the configuration that no container reads, by keys.
    pub more: BTreeMap<String, Value>,
    /// The image whose layers come first, if there is one: its manifest tells how they are kept.
    pub base: Option<Digest>,
    /// All layers, lowest first.
    pub layers: Vec<Digest>,
    /// The sizes of the archives of layers that no manifest tells.
    pub sizes: BTreeMap<Digest, u64>,
    /// The place of the first layer that is not the base's.
    pub first_new: usize,
    /// Whether those that are not become one.
    pub squash: bool,
    /// The latest time that their files may have, in seconds since 1970.
    pub not_after: Option<i64>,
    /// What its manifest says besides.
    pub annotations: BTreeMap<String, String>,
    /// What is said of how it was made. An image of which something is said stands in an index with it.
    pub attestations: Vec<Attestation>,
}

/// What is said of how an image was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    /// The address of the form of what is said.
    pub kind: String,
    /// What is said.
    pub predicate: Value,
}

/// How manifests and indexes are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether they are of Docker's kind, and not OCI's.
    pub docker_types: bool,
    /// What an index says besides.
    pub index: BTreeMap<String, String>,
    /// What an index says of each image besides.
    pub descriptor: BTreeMap<String, String>,
}

/// Images that were made.
#[derive(Debug, Clone, Default)]
pub struct MadeImages {
    /// Their records.
    pub images: Vec<ImageRecord>,
    /// The index of all, and its size, if there are several.
    pub index: Option<(Digest, u64)>,
    /// Those that were not there before.
    pub new: Vec<Digest>,
}

/// Makes images and gives them names; several get an index, whose first image the names mean here. The layers are
/// pinned by the caller, and the process is in the ancestor user namespace.
pub fn make(
    store: &Store,
    mapping: &Mapping,
    images: &[NewImage],
    names: &[Reference],
    style: &Style,
) -> Result<MadeImages> {
    let docker_types = style.docker_types;
    let mut documents = Vec::new();
    let mut made = MadeImages::default();
    let mut listed = Vec::new();
    let mut attested = Vec::new();
    let mut intake = None;
    for image in images {
        let image = if image.squash || image.not_after.is_some() {
            let intake = match &intake {
                Some(intake) => intake,
                None => intake.insert(Intake::new(store, mapping)?),
            };
            &rework(store, mapping, intake, image)?
        } else {
            image
        };
        let (record, papers) = describe(store, image, docker_types)?;
        let platform_text = image.config.platform().to_string();
        let mut platform = json!({ "architecture": image.config.architecture, "os": image.config.os });
        if !image.config.variant.is_empty() {
            platform["variant"] = json!(image.config.variant);
        }
        let mut entry = json!({
            "mediaType": record.media_type, "digest": record.manifest, "size": record.size, "platform": platform,
        });
        if !style.descriptor.is_empty() {
            entry["annotations"] = json!(style.descriptor);
        }
        listed.push(entry);
        documents.extend(papers);
        if !image.attestations.is_empty() {
            let (entry, papers) =
                attestation::write(&record.manifest, &platform_text, names, &image.attestations)?;
            attested.push(entry);
            documents.extend(papers);
        }
        made.images.push(record);
    }
    let Some(first) = made.images.first().cloned() else { return Ok(made) };
    let mut target = first.manifest;
    if images.len() > 1 || !attested.is_empty() {
        let media_type = if docker_types { DOCKER_INDEX } else { INDEX };
        listed.extend(attested);
        let mut index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": listed });
        if !style.index.is_empty() {
            index["annotations"] = json!(style.index);
        }
        let bytes = serde_json::to_vec(&index).context("serialise the index")?;
        target = Digest::of(&bytes);
        made.index = Some((target, bytes.len() as u64));
        documents.push(bytes);
    }
    let names: Vec<_> =
        names.iter().map(|reference| (name_of(reference), RefRecord { id: first.id, target })).collect();
    if is_there(store, &made, &documents, &names)? {
        return Ok(made);
    }
    for record in &made.images {
        if store.image(&record.id)?.is_none() {
            made.new.push(record.id);
        }
    }
    let intake = match intake {
        Some(intake) => intake,
        None => Intake::new(store, mapping)?,
    };
    for bytes in &documents {
        intake.document(bytes)?;
    }
    intake.commit(&made.images, &names)?;
    for (name, record) in &names {
        super::event::note(store, "tag", &record.id.to_string(), &name.to_string(), BTreeMap::new());
    }
    Ok(made)
}

/// Makes the new layers of an image anew: as one, or with other times.
fn rework(store: &Store, mapping: &Mapping, intake: &Intake<'_>, image: &NewImage) -> Result<NewImage> {
    let mut reworked = image.clone();
    let new = image.layers.get(image.first_new..).unwrap_or_default();
    reworked.layers.truncate(image.first_new);
    let layers = store.layers(&mapping.key);
    let groups: Vec<&[Digest]> = if image.squash { vec![new] } else { new.chunks(1).collect() };
    for group in groups.into_iter().filter(|group| !group.is_empty()) {
        let trees =
            group.iter().rev().map(|layer| Tree::open(&layers.tree(layer))).collect::<Result<Vec<_>>>()?;
        let (written, taken) = pump(
            |out| pack::layers(&trees, mapping.owners, image.not_after, &mut &mut *out).map(drop),
            |archive| intake.layer(archive, Keep::Nothing, true, Expected::default(), |_| ()),
        );
        let taken = taken.transpose()?;
        written?;
        let taken = taken.context("pack a layer")?;
        reworked.layers.push(taken.diff_id);
        reworked.sizes.insert(taken.diff_id, taken.archive_size);
    }
    if image.squash {
        let mut left = image.first_new;
        for entry in reworked.config.history.iter_mut().filter(|entry| !entry.empty_layer) {
            entry.empty_layer = left == 0;
            left = left.saturating_sub(1);
        }
        if !new.is_empty() {
            reworked.config.history.push(History {
                created: reworked.config.created.clone(),
                comment: "squashed".to_owned(),
                ..History::default()
            });
        }
    }
    Ok(reworked)
}

/// Takes the archive of a layer in, whose digest must be `diff_id`, and unpacks it. The caller has pinned it.
pub fn adopt(store: &Store, mapping: &Mapping, input: impl Read, diff_id: &Digest) -> Result<()> {
    let intake = Intake::new(store, mapping)?;
    intake.pin([], [*diff_id])?;
    let expected = Expected { diff_id: Some(*diff_id), ..Expected::default() };
    intake.layer(input, Keep::Nothing, true, expected, |_| ())?;
    intake.commit(&[], &[])
}

/// Tells whether all is as it shall be: a build that changes nothing writes nothing.
fn is_there(
    store: &Store,
    made: &MadeImages,
    documents: &[Vec<u8>],
    names: &[(crate::store::Name, RefRecord)],
) -> Result<bool> {
    for record in &made.images {
        if store.image(&record.id)?.as_ref() != Some(record) {
            return Ok(false);
        }
    }
    for (name, record) in names {
        if store.get_ref(name)?.as_ref() != Some(record) {
            return Ok(false);
        }
    }
    Ok(documents.iter().all(|bytes| store.blob_size(&Digest::of(bytes)).is_some()))
}

/// Returns the record of an image, its configuration and its manifest.
fn describe(store: &Store, image: &NewImage, docker_types: bool) -> Result<(ImageRecord, [Vec<u8>; 2])> {
    ensure!(
        image.layers.len() <= LAYER_LIMIT,
        "the image would have {} layers, and at most {LAYER_LIMIT} can be mounted",
        image.layers.len()
    );
    let rootfs = RootFs { kind: "layers".to_owned(), diff_ids: image.layers.clone() };
    let config = Configuration { rootfs, ..image.config.clone() };
    let mut config = serde_json::to_value(&config).context("serialise the image's configuration")?;
    for (key, value) in &image.more {
        config[key] = value.clone();
    }
    let config = serde_json::to_vec(&config).context("serialise the image's configuration")?;
    let id = Digest::of(&config);
    let known = match &image.base {
        Some(base) => known_layers(store, base)?,
        None => BTreeMap::new(),
    };
    let mut layers = Vec::new();
    for layer in &image.layers {
        let mut entry = if let Some(entry) = known.get(layer) {
            entry.clone()
        } else {
            let size = image.sizes.get(layer);
            let size = size.with_context(|| format!("the size of layer {layer} is not known"))?;
            json!({ "mediaType": LAYER, "digest": layer, "size": size })
        };
        let kind = entry["mediaType"].as_str().unwrap_or(LAYER);
        entry["mediaType"] = json!(layer_type(kind, docker_types));
        layers.push(entry);
    }
    let (media_type, config_type) =
        if docker_types { (DOCKER_MANIFEST, DOCKER_CONFIG) } else { (MANIFEST, CONFIG) };
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": { "mediaType": config_type, "digest": id, "size": config.len() },
        "layers": layers,
    });
    if !image.annotations.is_empty() {
        manifest["annotations"] = json!(image.annotations);
    }
    let manifest = serde_json::to_vec(&manifest).context("serialise the image's manifest")?;
    let record = ImageRecord {
        id,
        manifest: Digest::of(&manifest),
        media_type: media_type.to_owned(),
        size: manifest.len() as u64,
        layers: image.layers.clone(),
    };
    Ok((record, [config, manifest]))
}

/// Returns how the manifest of an image in the store describes its layers, by their diff-ids.
fn known_layers(store: &Store, id: &Digest) -> Result<BTreeMap<Digest, Value>> {
    let record = store.image(id)?.with_context(|| format!("the image {id} to build upon is gone"))?;
    let bytes = store.read_document(&record.manifest)?;
    let manifest: Value = serde_json::from_slice(&bytes).context("parse the manifest of the image below")?;
    let listed = manifest["layers"].as_array().cloned().unwrap_or_default();
    Ok(record.layers.into_iter().zip(listed).collect())
}

/// Returns the word for a layer in a manifest of Docker's kind, or of OCI's.
fn layer_type(word: &str, docker: bool) -> String {
    let packed = if word.ends_with("gzip") {
        "gzip"
    } else if word.ends_with("zstd") {
        "zstd"
    } else {
        ""
    };
    match (docker, packed) {
        (true, "") => DOCKER_LAYER.to_owned(),
        (true, packed) => format!("{DOCKER_LAYER}.{packed}"),
        (false, "") => LAYER.to_owned(),
        (false, packed) => format!("{LAYER}+{packed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Owners, hello, open, resolve};
    use crate::store::tests::scratch;
    use crate::store::{MapKey, sweep};

    #[test]
    fn makes_images_of_layers_and_nothing_twice() {
        let (_dir, store) = scratch();
        let mapping = Mapping { key: MapKey::of("one"), owners: Owners::Emulated };
        let base = hello(&store, &mapping).unwrap();
        let below = open(&store, &base).unwrap();
        let layer = Digest::of(b"layer");
        std::fs::create_dir_all(store.layers(&mapping.key).tree(&layer)).unwrap();
        let new = NewImage {
            config: below.config.clone(),
            more: BTreeMap::new(),
            base: Some(base),
            layers: [below.record.layers.clone(), vec![layer]].concat(),
            sizes: [(layer, 1024)].into(),
            first_new: 1,
            squash: false,
            not_after: None,
            annotations: BTreeMap::new(),
            attestations: Vec::new(),
        };
        let style = |docker_types| Style { docker_types, ..Style::default() };
        let name = Reference::parse("made").unwrap().with_default_tag();
        for docker in [true, false, false] {
            let made = make(
                &store,
                &mapping,
                std::slice::from_ref(&new),
                std::slice::from_ref(&name),
                &style(docker),
            )
            .unwrap();
            let image = open(&store, &resolve(&store, "made").unwrap().id).unwrap();
            assert_eq!(made.images, std::slice::from_ref(&image.record));
            assert_eq!(image.config.rootfs.diff_ids, new.layers);
            let manifest: Value =
                serde_json::from_slice(&store.read_document(&image.record.manifest).unwrap()).unwrap();
            assert_eq!(manifest["layers"][1]["size"], 1024);
            let kind = if docker { DOCKER_LAYER } else { LAYER };
            assert_eq!(manifest["layers"][1]["mediaType"], kind);
        }
        sweep(&store).unwrap();
        assert!(store.layers(&mapping.key).has(&layer));
        let names = [name];
        let made = make(&store, &mapping, &[new.clone(), new.clone()], &names, &style(false)).unwrap();
        assert!(store.blob_size(&made.index.unwrap().0).is_some());
        let lacking = NewImage { sizes: BTreeMap::new(), ..new.clone() };
        assert!(make(&store, &mapping, &[lacking], &[], &style(false)).is_err());
        let said = Attestation { kind: "https://x/y".to_owned(), predicate: json!({ "a": 1 }) };
        let annotations = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let new = NewImage { annotations: annotations.clone(), attestations: vec![said], ..new };
        let made =
            make(&store, &mapping, &[new], &names, &Style { index: annotations, ..style(false) }).unwrap();
        let read = |digest: &Digest| -> Value {
            serde_json::from_slice(&store.read_document(digest).unwrap()).unwrap()
        };
        let index = read(&made.index.unwrap().0);
        assert_eq!(index["annotations"]["k"], "v");
        assert_eq!(read(&made.images[0].manifest)["annotations"]["k"], "v");
        sweep(&store).unwrap();
        let entry = &index["manifests"][1];
        assert_eq!(entry["annotations"]["vnd.docker.reference.digest"], made.images[0].manifest.to_string());
        let manifest = read(&entry["digest"].as_str().unwrap().parse().unwrap());
        let statement = read(&manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap());
        assert_eq!(statement["subject"][0]["digest"]["sha256"], made.images[0].manifest.hex());
        assert!(
            statement["subject"][0]["name"].as_str().unwrap().starts_with("pkg:docker/made@latest?platform=")
        );
    }

    #[test]
    fn translates_the_words_for_layers() {
        let gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        assert_eq!(layer_type(gzip, false), "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(layer_type("application/vnd.oci.image.layer.v1.tar+gzip", true), gzip);
        assert_eq!(layer_type(LAYER, true), DOCKER_LAYER);
    }
}
