//! A root file system made into an image of one layer.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::change::change;
use super::config::{Configuration, Defaults, History, RootFs};
use super::intake::{Expected, Intake, Keep, Mapping};
use super::resolve::name_of;
use crate::oci::{Digest, Platform, Reference};
use crate::store::{ImageRecord, RefRecord, Store};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What an imported image is to be.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Its name; `None` leaves it without one.
    pub reference: Option<Reference>,
    /// Dockerfile instructions to apply.
    pub changes: Vec<String>,
    /// The remark in its history.
    pub message: String,
    /// What it is for.
    pub platform: Platform,
}

/// Makes an image of the archive `input`, whatever it is compressed with, and returns the image's id.
pub fn import(store: &Store, mapping: &Mapping, input: impl Read, options: &ImportOptions) -> Result<Digest> {
    ensure!(options.platform.os == "linux", "operating system is not supported");
    let mut config = Defaults::default();
    for text in &options.changes {
        change(&mut config, text)?;
    }
    let created = jiff::Timestamp::now().to_string();
    let configuration = Configuration {
        created: Some(created.clone()),
        architecture: options.platform.architecture.clone(),
        variant: options.platform.variant.clone(),
        os: options.platform.os.clone(),
        config,
        history: vec![History {
            created: Some(created),
            comment: options.message.clone(),
            ..History::default()
        }],
        ..Configuration::default()
    };
    let id = one_layer(store, mapping, input, configuration, options.reference.as_ref())?;
    super::event::note_id(store, "import", &id);
    Ok(id)
}

/// Makes an image of one archive, with `configuration` but for its layers, and returns its id.
pub(super) fn one_layer(
    store: &Store,
    mapping: &Mapping,
    input: impl Read,
    mut configuration: Configuration,
    reference: Option<&Reference>,
) -> Result<Digest> {
    let intake = Intake::new(store, mapping)?;
    let outcome = intake
        .layer(input, Keep::Archive, true, Expected::default(), |_| ())
        .context("import the archive")?;
    configuration.rootfs = RootFs { kind: "layers".to_owned(), diff_ids: vec![outcome.diff_id] };
    let config = serde_json::to_vec(&configuration).context("serialise the image's configuration")?;
    let id = intake.document(&config)?;
    let manifest = manifest(&intake, id, config.len() as u64, &[(outcome.diff_id, outcome.archive_size)])?;
    let names: Vec<_> = reference
        .map(|reference| (name_of(reference), RefRecord { id, target: manifest.manifest }))
        .into_iter()
        .collect();
    intake.commit(&[manifest], &names)?;
    Ok(id)
}

/// Writes the manifest of an image whose layers are kept as plain archives, and returns the image's record.
pub(super) fn manifest(
    intake: &Intake<'_>,
    id: Digest,
    config_size: u64,
    layers: &[(Digest, u64)],
) -> Result<ImageRecord> {
    let listed: Vec<_> = layers
        .iter()
        .map(|(digest, size)| json!({ "mediaType": LAYER, "digest": digest, "size": size }))
        .collect();
    let bytes = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": id, "size": config_size },
        "layers": listed,
    }))
    .context("serialise the image's manifest")?;
    Ok(ImageRecord {
        id,
        manifest: intake.document(&bytes)?,
        media_type: MANIFEST.to_owned(),
        size: bytes.len() as u64,
        layers: layers.iter().map(|(digest, _)| *digest).collect(),
    })
}
