//! Which files an archive of images is made of.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::{Format, Piece, Saving};
use crate::image::list::familiar;
use crate::image::manifest::{Document, Manifest, parse};
use crate::image::resolve::{ResolveError, name_of, resolve};
use crate::oci::{Digest, Platform, Reference, familiar_repository};
use crate::store::{ImageRecord, Name, Pin, Store};

/// A name, and the digest that the registry knows it by.
type Named = (Name, Digest);

/// One image to be saved, under these names.
struct Picked {
    image: ImageRecord,
    names: Vec<Named>,
}

/// A document that an index points to.
struct Target {
    digest: Digest,
    media_type: String,
    size: u64,
}

/// Chooses what `names` mean: a name with a tag is that image, a name without one all tags of its repository,
/// an id an image without a name. With `platforms`, images for other platforms are an error.
pub fn choose<'a>(
    store: &'a Store,
    names: &[String],
    platforms: &[Platform],
    format: Format,
) -> Result<Saving<'a>> {
    gather(store, pick(store, names, platforms)?, platforms, format)
}

/// Chooses images by their ids, whatever they are called in the store. The first is saved under `names`, which mean
/// it, or the index `whole` that it is in.
pub fn choose_by_id<'a>(
    store: &'a Store,
    ids: &[Digest],
    names: &[Reference],
    whole: Option<Digest>,
    format: Format,
) -> Result<Saving<'a>> {
    let mut picked = Vec::new();
    for id in ids {
        let image = super::super::open(store, id)?.record;
        let target = whole.unwrap_or(image.manifest);
        let names = if picked.is_empty() { names } else { &[] };
        picked.push(Picked { names: names.iter().map(|name| (name_of(name), target)).collect(), image });
    }
    gather(store, picked, &[], format)
}

/// Gathers what images that are chosen are made of.
fn gather<'a>(
    store: &'a Store,
    picked: Vec<Picked>,
    platforms: &[Platform],
    format: Format,
) -> Result<Saving<'a>> {
    ensure!(
        format != Format::DockerDirectory || picked.len() == 1,
        "the format docker-dir holds one image, and {} are to be saved",
        picked.len()
    );
    let staged = store.stage()?;
    let mut choice = Choice { store, format, pieces: BTreeMap::new(), pin: Pin::default() };
    let mut index = Vec::new();
    let mut list = Vec::new();
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for Picked { image, names } in &picked {
        let bytes = store.read_document(&image.manifest)?;
        let Document::Manifest(manifest) = parse(&bytes, &image.media_type)? else {
            bail!("manifest {} is an index", image.manifest);
        };
        let layers = choice.content(image, &manifest)?;
        if format == Format::DockerDirectory {
            choice.pieces.insert("manifest.json".to_owned(), Piece::Bytes(bytes));
            continue;
        }
        choice.blob(image.manifest, Piece::Bytes(bytes));
        let plain =
            || Target { digest: image.manifest, media_type: image.media_type.clone(), size: image.size };
        if names.is_empty() {
            index.push(entry(&plain(), None));
        }
        for (name, target) in names {
            let target = if platforms.is_empty() { choice.whole(image, target)? } else { None };
            let said = (name, format == Format::DockerArchive);
            index.push(entry(&target.unwrap_or_else(plain), Some(said)));
            if let (Some(tag), Some(top)) = (name.tag(), image.layers.last()) {
                let repository = familiar_repository(&name.repository).to_owned();
                repositories.entry(repository).or_default().insert(tag.to_owned(), top.hex());
            }
        }
        let tags: Vec<String> =
            names.iter().filter(|(name, _)| name.tag().is_some()).map(|(name, _)| familiar(name)).collect();
        list.push(json!({
            "Config": choice.name(&image.id),
            "RepoTags": if tags.is_empty() { Value::Null } else { tags.into() },
            "Layers": layers,
        }));
    }
    // What is pinned is only now looked for.
    staged.pin(store, &choice.pin)?;
    choice.check()?;
    if format == Format::DockerDirectory {
        choice.text("version", "Directory Transport Version: 1.1\n".to_owned());
    } else {
        choice.text("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string());
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": index,
        });
        choice.text("index.json", index.to_string());
    }
    if format == Format::DockerArchive {
        choice.text("manifest.json", Value::Array(list).to_string());
        if !repositories.is_empty() {
            choice.text("repositories", json!(repositories).to_string());
        }
    }
    let images = picked.iter().map(|it| it.image.id).collect();
    Ok(Saving { store, _pin: staged, pieces: choice.pieces, images })
}

/// Finds the images, each once, in the order in which they are named.
fn pick(store: &Store, names: &[String], platforms: &[Platform]) -> Result<Vec<Picked>> {
    let mut picked: Vec<Picked> = Vec::new();
    let mut add = |image: ImageRecord, name: Option<Named>| {
        let at = picked.iter().position(|known| known.image.id == image.id).unwrap_or_else(|| {
            picked.push(Picked { image, names: Vec::new() });
            picked.len() - 1
        });
        if let Some(name) = name.filter(|name| !picked[at].names.contains(name)) {
            picked[at].names.push(name);
        }
    };
    for text in names {
        let found = meant(store, text)?;
        for (image, name) in found {
            let platform = super::super::open(store, &image.id)?.config.platform();
            if let Some(wanted) = platforms.first()
                && !platforms.iter().any(|wanted| wanted.runs(&platform))
            {
                bail!(
                    "image with reference {text} was found but does not provide the specified platform ({wanted})"
                );
            }
            add(image, name);
        }
    }
    Ok(picked)
}

/// Returns the images that one word means, with the names it means them by.
fn meant(store: &Store, text: &str) -> Result<Vec<(ImageRecord, Option<Named>)>> {
    let Ok(reference) = Reference::parse(text) else { return Ok(vec![(resolve(store, text)?, None)]) };
    if reference.tag().is_some() || reference.digest().is_some() {
        let name = name_of(&reference);
        let image = resolve(store, text)?;
        let target = store.find_ref(&name)?.map(|record| record.target);
        return Ok(vec![(image, target.map(|target| (name, target)))]);
    }
    let mut found = Vec::new();
    for (name, record) in store.all_refs()? {
        if name.repository == reference.repository() && name.tag().is_some() {
            // A name of this store without its image means nothing; one of another store brings it here.
            match resolve(store, &name.to_string()) {
                Ok(image) => found.push((image, Some((name, record.target)))),
                Err(error) if error.is::<ResolveError>() => {}
                Err(error) => return Err(error),
            }
        }
    }
    if found.is_empty() {
        // Docker names what it has looked for, which is every tag.
        let missing = |error: anyhow::Error| match error.downcast_ref() {
            Some(ResolveError::NotFound(_)) => ResolveError::NotFound(text.to_owned()).into(),
            _ => error,
        };
        found.push((resolve(store, text).map_err(missing)?, None));
    }
    Ok(found)
}

struct Choice<'a> {
    store: &'a Store,
    format: Format,
    pieces: BTreeMap<String, Piece>,
    pin: Pin,
}

impl Choice<'_> {
    /// Returns where a blob is put.
    fn name(&self, digest: &Digest) -> String {
        match self.format {
            Format::DockerDirectory => digest.hex(),
            _ => format!("blobs/sha256/{}", digest.hex()),
        }
    }

    fn blob(&mut self, digest: Digest, piece: Piece) {
        self.pieces.insert(self.name(&digest), piece);
    }

    fn text(&mut self, name: &str, text: String) {
        self.pieces.insert(name.to_owned(), Piece::Bytes(text.into_bytes()));
    }

    /// Adds the configuration and the layers of an image, and returns where the layers are put.
    fn content(&mut self, image: &ImageRecord, manifest: &Manifest) -> Result<Vec<String>> {
        ensure!(
            manifest.layers.len() == image.layers.len(),
            "manifest {} does not have the layers of its image",
            image.manifest
        );
        self.pin.blobs.extend([image.id, image.manifest]);
        self.blob(image.id, Piece::Blob(image.id));
        let mut names = Vec::new();
        for (layer, diff_id) in manifest.layers.iter().zip(&image.layers) {
            self.pin.blobs.insert(layer.digest);
            self.pin.layers.insert(*diff_id);
            let name = self.name(&layer.digest);
            // A layer that was made here is known by the digest of its archive, whether that is kept or not.
            let piece = if layer.digest == *diff_id {
                Piece::Layer(*diff_id, layer.size)
            } else {
                Piece::Blob(layer.digest)
            };
            self.pieces.insert(name.clone(), piece);
            names.push(name);
        }
        Ok(names)
    }

    /// Looks for the blobs. What is there is copied; only what is not has to be packed.
    fn check(&mut self) -> Result<()> {
        for piece in self.pieces.values_mut() {
            match piece {
                Piece::Layer(digest, _) if self.store.blob_size(digest).is_some() => {
                    *piece = Piece::Blob(*digest);
                }
                Piece::Blob(digest) if self.store.blob_size(digest).is_none() => {
                    return Err(self.store.missing(digest));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds the index that a name was pulled by, if other tools will find this image in it: it keeps the
    /// digest that the registry knows.
    fn whole(&mut self, image: &ImageRecord, target: &Digest) -> Result<Option<Target>> {
        if *target == image.manifest || self.store.blob_size(target).is_none() {
            return Ok(None);
        }
        let bytes = self.store.read_document(target)?;
        let Ok(Document::Index(index)) = parse(&bytes, "") else { return Ok(None) };
        if index.choose(&Platform::host()).is_ok_and(|chosen| chosen.digest == image.manifest) {
            let size = bytes.len() as u64;
            let media_type = index.media_type;
            self.pin.blobs.insert(*target);
            self.blob(*target, Piece::Bytes(bytes));
            return Ok(Some(Target { digest: *target, media_type, size }));
        }
        Ok(None)
    }
}

/// Returns an entry of `index.json`. `name` says also whether the short form of Docker is wanted, in which a
/// name is but a tag.
fn entry(target: &Target, name: Option<(&Name, bool)>) -> Value {
    let mut entry = json!({
        "mediaType": target.media_type, "digest": target.digest, "size": target.size,
    });
    if let Some((name, short)) = name {
        let full = name.to_string();
        let said = name.tag().filter(|_| short).unwrap_or(&full);
        entry["annotations"] = json!({
            "io.containerd.image.name": full,
            "org.opencontainers.image.ref.name": said,
        });
    }
    entry
}
