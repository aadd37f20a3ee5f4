//! An image fetched from a registry.

use std::io::Read;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail};

use super::config::Configuration;
use super::fetch::{Source, claim, take_in};
use super::intake::{Intake, Mapping};
use super::manifest::{Descriptor, Document, INDEX_DEPTH, Manifest, parse};
use super::progress::Progress;
use super::resolve::{known_as, name_of};
use crate::oci::{Digest, Platform, Reference};
use crate::registry::{Client, Error};
use crate::store::{ImageRecord, Name, RefRecord, Selector, Store};

/// The largest image configuration, in bytes.
const CONFIG_LIMIT: u64 = 4 << 20;

/// Whether a pull changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStatus {
    /// The name meant this image before.
    UpToDate,
    /// It did not.
    Downloaded,
}

/// What came of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Whether it changed anything.
    pub status: PullStatus,
    /// The digest that the registry knows the image by: of the index, if there is one.
    pub digest: Digest,
    /// The image's id.
    pub id: Digest,
}

/// Pulls `reference`, the tag `latest` if it has neither tag nor digest. Of an image for several platforms
/// it takes the one for `platform`, or for this machine.
pub fn pull(
    store: &Store,
    mapping: &Mapping,
    client: &Client,
    reference: &Reference,
    platform: Option<&Platform>,
    progress: &dyn Progress,
) -> Result<Pulled> {
    let reference = reference.clone().with_default_tag();
    let name = name_of(&reference);
    let what = match &name.selector {
        Selector::Tag(tag) => tag.clone(),
        Selector::Digest(digest) => digest.to_string(),
    };
    if let Some(pulled) = unchanged(store, mapping, client, &reference, platform)? {
        progress.message(&format!("{what}: Pulling from {}", reference.path()));
        // One that came out of an archive does not know it.
        known_as(store, &name.repository, &RefRecord { id: pulled.id, target: pulled.digest })?;
        super::event::note_transfer(store, "pull", &reference, &pulled.id);
        return Ok(pulled);
    }
    let intake = Intake::new(store, mapping)?;
    let pull = Pull { store, client, reference: &reference, intake: &intake };
    let (manifest, digest) = pull.manifest(platform, || {
        progress.message(&format!("{what}: Pulling from {}", reference.path()));
    })?;
    let config = pull.config(&manifest, progress)?;
    if let Some(wanted) = platform {
        let found = Configuration::parse(&config)?.platform();
        if !wanted.runs(&found) {
            bail!(
                "image with reference {} was found but its platform ({found}) does not match the specified \
                 platform ({wanted})",
                reference.familiar()
            );
        }
    }
    let open = |descriptor: &Descriptor| pull.blob(descriptor);
    let record = take_in(store, &intake, &manifest, &config, &open, progress)?;
    let id = record.id;
    let entry = RefRecord { id, target: digest };
    let status = if store.get_ref(&name)?.as_ref() == Some(&entry) && store.image(&id)?.is_some() {
        PullStatus::UpToDate
    } else {
        PullStatus::Downloaded
    };
    // The digest is a name too: RepoDigests, and what a later pull by digest finds.
    let by_digest = Name { repository: name.repository.clone(), selector: Selector::Digest(digest) };
    let mut names = vec![(by_digest, entry.clone())];
    if name.tag().is_some() {
        names.push((name, entry));
    }
    intake.commit(&[record], &names)?;
    super::event::note_transfer(store, "pull", &reference, &id);
    Ok(Pulled { status, digest, id })
}

/// Returns what a pull would come to that changes nothing: the registry is asked once, what the name means there.
/// `None` if that is something else, or part of the image is missing here.
fn unchanged(
    store: &Store,
    mapping: &Mapping,
    client: &Client,
    reference: &Reference,
    platform: Option<&Platform>,
) -> Result<Option<Pulled>> {
    let Some(known) = store.get_ref(&name_of(reference))? else { return Ok(None) };
    let Some(record) = store.image(&known.id)? else { return Ok(None) };
    if !is_whole(store, mapping, &known, &record, platform) {
        return Ok(None);
    }
    // Whatever else it answers comes again with the pull, and with more words.
    let now = client.head_manifest(reference).ok().flatten();
    let status = PullStatus::UpToDate;
    Ok((now == Some(known.target)).then_some(Pulled { status, digest: known.target, id: known.id }))
}

/// Tells whether the image that a name means is the one for the platform, and all of it is here.
fn is_whole(
    store: &Store,
    mapping: &Mapping,
    known: &RefRecord,
    record: &ImageRecord,
    platform: Option<&Platform>,
) -> bool {
    let document = |digest: &Digest| store.read_document(digest).ok();
    let manifest = |bytes: &[u8]| match parse(bytes, "") {
        Ok(Document::Manifest(manifest)) => Some(manifest),
        _ => None,
    };
    let Some(manifest) = document(&record.manifest).and_then(|bytes| manifest(&bytes)) else { return false };
    let Some(config) = document(&record.id).and_then(|bytes| Configuration::parse(&bytes).ok()) else {
        return false;
    };
    let is_chosen = if known.target == record.manifest {
        platform.is_none_or(|platform| platform.runs(&config.platform()))
    } else {
        let host = Platform::host();
        match document(&known.target).and_then(|bytes| parse(&bytes, "").ok()) {
            Some(Document::Index(index)) => {
                let chosen = index.choose(platform.unwrap_or(&host));
                chosen.is_ok_and(|chosen| chosen.digest == record.manifest)
            }
            _ => false,
        }
    };
    is_chosen
        && manifest.layers.iter().all(|layer| store.blob_size(&layer.digest) == Some(layer.size))
        && record.layers.iter().all(|layer| store.layers(&mapping.key).has(layer))
}

struct Pull<'a> {
    store: &'a Store,
    client: &'a Client,
    reference: &'a Reference,
    intake: &'a Intake<'a>,
}

impl Pull<'_> {
    /// Fetches the manifest of the image to take, and returns it with the digest that the name stands for.
    fn manifest(&self, platform: Option<&Platform>, found: impl FnOnce()) -> Result<(Box<Manifest>, Digest)> {
        let fetched = self.client.manifest(self.reference).map_err(|error| self.failed(&error))?;
        found();
        self.intake.pin([fetched.digest], [])?;
        let host = Platform::host();
        let (digest, mut current) = (fetched.digest, fetched);
        for _ in 0..INDEX_DEPTH {
            let index = match parse(&current.bytes, &current.media_type)? {
                Document::Manifest(manifest) => return Ok((manifest, digest)),
                Document::Index(index) => index,
            };
            if current.digest == digest {
                self.intake.document(&current.bytes)?;
            }
            let chosen = index.choose(platform.unwrap_or(&host))?;
            current = self
                .client
                .manifest(&self.reference.with_digest(chosen.digest))
                .map_err(|error| self.failed(&error))?;
        }
        bail!("indexes lie too deep in each other")
    }

    /// Returns the image's configuration, from the store if it is there.
    fn config(&self, manifest: &Manifest, progress: &dyn Progress) -> Result<Vec<u8>> {
        let Descriptor { digest, size, .. } = manifest.config;
        self.intake.pin([digest], [])?;
        if self.store.borrow_document(&digest)? {
            return self.store.read_document(&digest);
        }
        if size > CONFIG_LIMIT {
            bail!("the image's configuration of {size} bytes is too large");
        }
        // Those who pull the same image meet here, and the first does the work for all.
        let claim = claim(self.store, &digest, progress, &AtomicBool::new(false))?;
        if self.intake.has_blob(&digest) {
            return self.store.read_document(&digest);
        }
        let mut bytes = Vec::new();
        self.client
            .blob(self.reference, digest, size, 0)
            .map_err(|error| self.failed(&error))?
            .read_to_end(&mut bytes)
            .context("read the image's configuration")?;
        if Digest::of(&bytes) == digest {
            self.intake.document(&bytes)?;
            self.intake.finished(claim, digest, None);
        }
        Ok(bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Source<'static>> {
        let blob = self.client.blob(self.reference, descriptor.digest, descriptor.size, 0);
        Ok(Source::Stream(Box::new(blob.map_err(|error| self.failed(&error))?)))
    }

    fn failed(&self, error: &Error) -> anyhow::Error {
        anyhow!(error.of_pull(self.reference))
    }
}
