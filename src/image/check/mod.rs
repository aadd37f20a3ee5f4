//! The store held against itself: is everything there that is spoken of, and is it what it is called?
//!
//! # Theory of operation
//!
//! What is looked at is pinned first, as by a pull, so that a removal meanwhile takes nothing away from under
//! the check; no lock is held. Then:
//!
//! 1. the records of images and names are read, and the documents they lead to;
//! 2. every blob is hashed, whether an image has it or not, since the next pull would trust it;
//! 3. every unpacked layer is compared with the archive in its blob, while that is being hashed ([`tree`]);
//!    layers under another user mapping than the one in force cannot be read by everybody and are only
//!    looked for;
//! 4. the layers that containers stand on are looked for, and `index.json` and `oci-layout` compared with what
//!    they are derived from.
//!
//! What a killed command leaves (staging, half-written records, an index that lags behind) is no damage: the
//! next command cleans it up. It is counted apart.
//!
//! A repair replaces whole things by renames ([`repair`]): a blob by the same bytes from the registry that one
//! of its names leads to, a layer by its blob unpacked anew, a derived file by a new one. Since a repaired
//! manifest speaks of things that were out of sight before, the check begins anew after a repair, until
//! nothing more can be done.

mod repair;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use self::repair::tidy;
use super::config::Configuration;
use super::intake::Mapping;
use super::layer::{Save, Work, process};
use super::layers::repack;
use super::manifest::{Document, parse};
use crate::oci::{Digest, Reference};
use crate::registry::Client;
use crate::store::{Broken, Derived, ImageRecord, MapKey, Name, Pin, RefRecord, Staged, Store, sweep};

/// How often a check begins anew after a repair.
const ROUNDS: usize = 5;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about: `blob sha256:…`.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// What came of it.
    pub outcome: Outcome,
    fix: Fix,
}

/// What came of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody wanted it repaired.
    Found,
    /// It is right again; how.
    Repaired(String),
    /// It is not; why.
    Failed(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.problem)?;
        match &self.outcome {
            Outcome::Found => Ok(()),
            Outcome::Repaired(how) => write!(f, "; repaired: {how}"),
            Outcome::Failed(why) => write!(f, "; not repaired: {why}"),
        }
    }
}

/// What would make a finding right.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fix {
    /// The same bytes from elsewhere.
    Blob(Digest),
    /// The blob's removal: no image has it.
    Drop(Digest),
    /// The layer unpacked anew from this blob.
    Layer { diff_id: Digest, blob: Option<Digest>, mapping: Mapping },
    /// The removal of a name that means nothing.
    Unname(Name),
    /// An image's record made anew from its manifest, or the removal of a damaged name's.
    Record(Broken, std::path::PathBuf),
    /// `index.json` written anew.
    Index,
    /// `oci-layout` written anew.
    Layout,
    /// Nothing that could be done here.
    Nothing(&'static str),
}

/// A container, as far as layers matter to it.
#[derive(Debug, Clone)]
pub struct Stand {
    /// Its short id.
    pub container: String,
    /// The layers that it mounts.
    pub layers: Vec<Digest>,
    /// The mapping that they are unpacked under.
    pub map: MapKey,
    /// Whether it runs.
    pub running: bool,
}

/// Where a check reports how far it is. Called from several threads.
pub trait Meter: Sync {
    /// So many bytes are to be read.
    fn begin(&self, bytes: u64);
    /// So many more have been read.
    fn advance(&self, bytes: u64);
}

/// Returns a client for the registry of a reference.
pub type Connect<'a> = dyn Fn(&Reference) -> Result<Client> + 'a;

/// A check to be made.
pub struct Check<'a> {
    /// The store.
    pub store: &'a Store,
    /// The mapping in force. The process is in its user namespace.
    pub mapping: &'a Mapping,
    /// Those of containers that keep the user's ids, as far as they are known.
    pub others: &'a [Mapping],
    /// All containers.
    pub stands: &'a [Stand],
    /// Whether to believe content whose size is right.
    pub quick: bool,
    /// Where to report.
    pub meter: &'a dyn Meter,
}

impl fmt::Debug for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("store", &self.store)
            .field("quick", &self.quick)
            .finish_non_exhaustive()
    }
}

/// What a check has shown.
#[derive(Debug, Default)]
pub struct Report {
    /// What is or was wrong.
    pub findings: Vec<Finding>,
    /// What killed commands have left, in words.
    pub leftovers: Vec<String>,
    /// How many images there are.
    pub images: usize,
    /// How many blobs, and their bytes.
    pub blobs: (usize, u64),
    /// How many layers were looked at.
    pub layers: usize,
    /// How many layers could only be looked for.
    pub unread: usize,
}

/// Checks the store, and repairs it if `repair` says how registries are reached.
pub fn check(check: &Check<'_>, repair: Option<&Connect<'_>>) -> Result<Report> {
    let mut known: Vec<Finding> = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = Round::new(check)?;
        let (mut report, images) = round.run()?;
        let before = known.len();
        for finding in std::mem::take(&mut report.findings) {
            let same = |old: &Finding| old.object == finding.object && old.problem == finding.problem;
            if !known.iter().any(same) {
                known.push(finding);
            }
        }
        let mut repaired = false;
        if let Some(connect) = repair {
            for finding in &mut known[before..] {
                finding.outcome = match round.mend(&finding.fix, connect) {
                    Ok(how) => Outcome::Repaired(how),
                    Err(error) => Outcome::Failed(format!("{error:#}")),
                };
                repaired |= matches!(finding.outcome, Outcome::Repaired(_));
            }
            // What had to wait for another repair gets its turn in the next round.
            known.retain(|finding| {
                let waits = matches!(&finding.outcome, Outcome::Failed(why) if why.contains(repair::LATER));
                !repaired || !waits
            });
            tidy(check.store)?;
            report.leftovers.clear();
        }
        drop(round);
        if !repaired {
            // What was removed meanwhile was kept by the check alone.
            if check.store.images().is_ok_and(|left| left.len() < images) {
                sweep(check.store)?;
            }
            report.findings = known;
            return Ok(report);
        }
    }
    anyhow::bail!("repair the store: every repair brings up something new")
}

/// What is known of a blob before it is read.
#[derive(Debug, Clone, Default)]
struct Wanted {
    /// Its size, if a descriptor tells it.
    size: Option<u64>,
    /// The images that have it, and the names that lead to it.
    images: BTreeSet<Digest>,
    names: Vec<Name>,
    /// Whether a registry has it among its manifests.
    is_manifest: bool,
}

/// One blob to read, with a layer that was unpacked from it, if one was.
#[derive(Debug)]
struct Job {
    blob: Digest,
    size: u64,
    layer: Option<(Digest, Mapping)>,
}

/// One pass over the store.
struct Round<'a> {
    check: &'a Check<'a>,
    store: &'a Store,
    /// Holds the pin; absent where there is no room for it.
    _staged: Option<Staged>,
    wanted: BTreeMap<Digest, Wanted>,
    /// The blob of each layer.
    blob_of: BTreeMap<Digest, Digest>,
    refs: Vec<(Name, RefRecord)>,
    /// Whether there is an image whose blobs are not known.
    blind: bool,
    findings: Vec<Finding>,
}

impl<'a> Round<'a> {
    fn new(check: &'a Check<'a>) -> Result<Self> {
        let store = check.store;
        let mut staged = store.stage().ok();
        if let Some(held) = &staged {
            let mut pin = Pin::default();
            pin.blobs.extend(store.blobs()?.into_iter().map(|(digest, _)| digest));
            for layers in store.all_layers()? {
                pin.layers.extend(layers.list()?);
            }
            if held.pin(store, &pin).is_err() {
                staged = None;
            }
        }
        Ok(Self {
            check,
            store,
            _staged: staged,
            wanted: BTreeMap::new(),
            blob_of: BTreeMap::new(),
            refs: Vec::new(),
            blind: false,
            findings: Vec::new(),
        })
    }

    fn find(&mut self, object: String, problem: impl Into<String>, fix: Fix) {
        let problem = problem.into();
        self.findings.push(Finding { object, problem, outcome: Outcome::Found, fix });
    }

    /// Checks everything, and tells how many images there were.
    fn run(&mut self) -> Result<(Report, usize)> {
        let mut report = Report::default();
        let records = self.store.records()?;
        let damaged: BTreeSet<Digest> = records
            .broken
            .iter()
            .filter_map(|(what, ..)| match what {
                Broken::Image(id) => Some(*id),
                Broken::Ref(_) => None,
            })
            .collect();
        for (what, path, problem) in records.broken {
            let object = match &what {
                Broken::Image(id) => format!("image {}", id.short()),
                Broken::Ref(name) => format!("name {name}"),
            };
            self.blind |= matches!(what, Broken::Image(_));
            self.find(object, problem, Fix::Record(what, path));
        }
        // A name of an image whose record is damaged means it again once that is repaired.
        for (name, record) in records.refs.iter().filter(|(_, record)| !damaged.contains(&record.id)) {
            self.name(name, record, &records.images);
        }
        self.refs = records.refs;
        for image in &records.images {
            self.image(image);
        }
        report.images = records.images.len();
        report.blobs = self.blobs(&mut report)?;
        self.stands();
        self.derived(&mut report);
        let dead = self.store.dead_staging()?.len();
        for (count, what) in [
            (dead, "in staging"),
            (records.leftovers.len(), "records half-written"),
            (self.store.dangling_names()?.len(), "names of containers that never came to be"),
        ] {
            if count > 0 {
                report.leftovers.push(format!("{count} {what}"));
            }
        }
        report.findings = std::mem::take(&mut self.findings);
        Ok((report, records.images.len()))
    }

    fn want(&mut self, blob: Digest, size: Option<u64>, image: Option<Digest>) -> &mut Wanted {
        let wanted = self.wanted.entry(blob).or_default();
        wanted.size = wanted.size.or(size);
        wanted.images.extend(image);
        wanted
    }

    fn name(&mut self, name: &Name, record: &RefRecord, images: &[ImageRecord]) {
        let Some(image) = images.iter().find(|image| image.id == record.id) else {
            let problem = format!("means image {}, which is not here", record.id.short());
            return self.find(format!("name {name}"), problem, Fix::Unname(name.clone()));
        };
        let size = (image.manifest == record.target).then_some(image.size);
        let wanted = self.want(record.target, size, Some(record.id));
        wanted.is_manifest = true;
        wanted.names.push(name.clone());
    }

    /// Follows an image's documents down to its layers.
    fn image(&mut self, image: &ImageRecord) {
        let id = Some(image.id);
        self.want(image.id, None, id);
        self.want(image.manifest, Some(image.size), id).is_manifest = true;
        let object = format!("image {}", image.id.short());
        // A document that is missing or damaged is found with the blobs.
        let Some(bytes) = self.sound(&image.manifest) else {
            self.blind = true;
            return;
        };
        let manifest = match parse(&bytes, &image.media_type) {
            Ok(Document::Manifest(manifest)) => manifest,
            Ok(Document::Index(_)) => {
                return self.find(object, "has an index for a manifest", Fix::Nothing("pull it again"));
            }
            Err(error) => return self.find(object, format!("{error:#}"), Fix::Nothing("pull it again")),
        };
        if manifest.config.digest != image.id {
            let problem = format!("has the manifest of image {}", manifest.config.digest.short());
            return self.find(object, problem, Fix::Nothing("pull it again"));
        }
        self.want(image.id, Some(manifest.config.size), id);
        if manifest.layers.len() != image.layers.len() {
            let problem = "has another number of layers than its manifest";
            return self.find(object, problem, Fix::Nothing("pull it again"));
        }
        for (layer, diff_id) in manifest.layers.iter().zip(&image.layers) {
            self.want(layer.digest, Some(layer.size), id);
            self.blob_of.insert(*diff_id, layer.digest);
        }
        let Some(bytes) = self.sound(&image.id) else { return };
        match Configuration::parse(&bytes) {
            Ok(config) if config.rootfs.diff_ids == image.layers => {}
            Ok(_) => self.find(
                object,
                "is recorded with other layers than its configuration has",
                Fix::Nothing("remove it and pull it again"),
            ),
            Err(error) => self.find(object, format!("{error:#}"), Fix::Nothing("pull it again")),
        }
    }

    /// Loads a document if it is what its digest says.
    fn sound(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.store.read_document(digest).ok().filter(|bytes| Digest::of(bytes) == *digest)
    }

    /// Reads every blob, with the layers unpacked from them. Returns how many there are and their bytes.
    fn blobs(&mut self, report: &mut Report) -> Result<(usize, u64)> {
        let present: BTreeMap<Digest, u64> = self.store.blobs()?.into_iter().collect();
        for (digest, wanted) in self.wanted.clone() {
            let object = format!("blob {digest}");
            match (present.get(&digest), wanted.size) {
                (None, _) if self.store.blob_size(&digest).is_some() => {}
                // A layer that a build made is packed when its blob is wanted.
                (None, _) if self.store.all_layers()?.iter().any(|layers| layers.has(&digest)) => {}
                (None, _) => self.find(object, "is missing", Fix::Blob(digest)),
                (Some(found), Some(size)) if *found != size => {
                    self.find(object, format!("has {found} bytes and not {size}"), Fix::Blob(digest));
                }
                _ => {}
            }
        }
        let layers = self.layers(report)?;
        let mut jobs: Vec<Job> = Vec::new();
        let mut compared = BTreeSet::new();
        for (blob, size) in &present {
            if self.wanted.get(blob).and_then(|wanted| wanted.size).is_some_and(|wanted| wanted != *size) {
                continue;
            }
            // Two layers from one blob cannot be: its content is one archive.
            let mut found: Vec<(Digest, Mapping)> = Vec::new();
            for (layer, mapping) in &layers {
                let other = found.iter().all(|(_, known)| known != mapping);
                if other && self.blob_of.get(layer) == Some(blob) {
                    found.push((*layer, mapping.clone()));
                }
            }
            compared.extend(found.iter().map(|(layer, mapping)| (*layer, mapping.key.clone())));
            if found.is_empty() {
                jobs.push(Job { blob: *blob, size: *size, layer: None });
            }
            jobs.extend(found.into_iter().map(|of| Job { blob: *blob, size: *size, layer: Some(of) }));
        }
        report.layers = layers.len();
        report.unread += layers.len() - compared.len();
        if !self.check.quick {
            self.read(jobs)?;
        }
        let size = present.values().sum();
        Ok((present.len(), size))
    }

    /// Looks at every unpacked layer from outside, and returns those whose content can be compared.
    fn layers(&mut self, report: &mut Report) -> Result<Vec<(Digest, Mapping)>> {
        let mut found = Vec::new();
        for layers in self.store.all_layers()? {
            let mapping = self.mapping_of(&layers.map());
            for diff_id in layers.list()? {
                let whole = match layers.record(&diff_id) {
                    Ok(Some(_)) if layers.tree(&diff_id).is_dir() => Ok(()),
                    Ok(_) => Err("is not whole".to_owned()),
                    Err(error) => Err(format!("{error:#}")),
                };
                match (whole, &mapping) {
                    (Ok(()), Some(mapping)) => found.push((diff_id, mapping.clone())),
                    (Ok(()), None) => report.unread += 1,
                    (Err(problem), Some(mapping)) => {
                        let blob = self.blob_of.get(&diff_id).copied();
                        let fix = Fix::Layer { diff_id, blob, mapping: mapping.clone() };
                        self.find(format!("layer {diff_id}"), problem, fix);
                    }
                    (Err(problem), None) => {
                        let why = "it belongs to another user mapping";
                        self.find(format!("layer {diff_id}"), problem, Fix::Nothing(why));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Reads blobs on all processors, the largest first.
    fn read(&mut self, mut jobs: Vec<Job>) -> Result<()> {
        jobs.sort_by_key(|job| std::cmp::Reverse(job.size));
        self.check.meter.begin(jobs.iter().map(|job| job.size).sum());
        let width = thread::available_parallelism().map_or(1, std::num::NonZero::get).min(jobs.len().max(1));
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let this = &*self;
        let work = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = this.job(job);
                found.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
            }
        };
        thread::scope(|scope| {
            for _ in 1..width {
                // One thread less only takes longer.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        for outcome in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.findings.extend(outcome?);
        }
        self.findings.sort_by(|a, b| a.object.cmp(&b.object));
        Ok(())
    }

    /// Reads one blob, and compares the layer with it.
    fn job(&self, job: &Job) -> Result<Vec<Finding>> {
        let Some(file) = self.store.open_blob(&job.blob)? else { return Ok(Vec::new()) };
        let meter = |bytes| self.check.meter.advance(bytes);
        let finding =
            |object: String, problem: String, fix| Finding { object, problem, outcome: Outcome::Found, fix };
        let wrong_blob = |problem: String| {
            let known = self.wanted.contains_key(&job.blob);
            let fix = if known { Fix::Blob(job.blob) } else { Fix::Drop(job.blob) };
            finding(format!("blob {}", job.blob), problem, fix)
        };
        let Some((diff_id, mapping)) = &job.layer else {
            return Ok(match tree::digest(file, &meter) {
                Ok(digest) if digest == job.blob => Vec::new(),
                Ok(digest) => vec![wrong_blob(format!("has the digest {digest}"))],
                Err(error) => vec![wrong_blob(format!("cannot be read: {error}"))],
            });
        };
        let diff_id = *diff_id;
        let layers = self.store.layers(&mapping.key);
        let compared = tree::compare(file, &layers.dir(&diff_id), Some(mapping.owners), &meter);
        let object = || format!("layer {diff_id}");
        let fix = || Fix::Layer { diff_id, blob: Some(job.blob), mapping: mapping.clone() };
        let seen = match compared {
            Ok(seen) => seen,
            Err(error) => return Ok(vec![finding(object(), format!("{error:#}"), fix())]),
        };
        if seen.blob != job.blob {
            return Ok(vec![wrong_blob(format!("has the digest {}", seen.blob))]);
        }
        if seen.diff_id.is_some_and(|found| found != diff_id) {
            let why = "its image is wrong: remove it and pull it again";
            return Ok(vec![finding(
                object(),
                "is not the archive in its blob".to_owned(),
                Fix::Nothing(why),
            )]);
        }
        if seen.complaints.is_empty() {
            return Ok(Vec::new());
        }
        // The archive may be one that this comparison does not understand: then a fresh tree looks the same.
        let complaints = match self.fresh(&job.blob, &diff_id, mapping) {
            Ok((fresh, staged)) => {
                let again = self.store.open_blob(&job.blob)?.context("open the blob again")?;
                let usual = tree::compare(again, &fresh, Some(mapping.owners), &|_| ())?.complaints;
                drop(staged);
                seen.complaints.into_iter().filter(|complaint| !usual.contains(complaint)).collect()
            }
            // There is no room for it, say.
            Err(_) => seen.complaints,
        };
        Ok(match complaints.as_slice() {
            [] => Vec::new(),
            [only] => vec![finding(object(), only.clone(), fix())],
            [first, rest @ ..] => {
                vec![finding(object(), format!("{first} (and {} more)", rest.len()), fix())]
            }
        })
    }

    /// Returns the mapping of a key, if it is known.
    fn mapping_of(&self, key: &MapKey) -> Option<Mapping> {
        let mut known = std::iter::once(self.check.mapping).chain(self.check.others);
        known.find(|mapping| mapping.key == *key).cloned()
    }

    /// Unpacks a layer anew into staging.
    fn fresh(
        &self,
        blob: &Digest,
        diff_id: &Digest,
        mapping: &Mapping,
    ) -> Result<(std::path::PathBuf, Staged)> {
        let staged = self.store.stage()?;
        let dir = staged.path("layer");
        let work = Work { save: Save::Nothing, unpack: Some(dir.clone()), owners: mapping.owners };
        let outcome = match self.store.open_blob(blob)? {
            Some(file) => process(file, &work, |_| ()),
            None if self.can_repack(blob, diff_id, mapping) => {
                repack(self.store, self.check.mapping, diff_id, |input| process(input, &work, |_| ()))
            }
            None => anyhow::bail!("blob {blob} is missing"),
        };
        let outcome = outcome.with_context(|| format!("unpack layer {diff_id}"))?;
        anyhow::ensure!(
            outcome.blob == *blob && outcome.diff_id == *diff_id,
            "blob {blob} holds another archive than layer {diff_id}"
        );
        Ok((dir, staged))
    }

    /// Tells whether a layer that has no blob can be made of its tree under the mapping in force.
    fn can_repack(&self, blob: &Digest, diff_id: &Digest, mapping: &Mapping) -> bool {
        let tree = self.store.layers(&self.check.mapping.key).tree(diff_id);
        blob == diff_id && mapping != self.check.mapping && tree.is_dir()
    }

    /// Looks for the layers that containers stand on.
    fn stands(&mut self) {
        for stand in self.check.stands {
            let layers = self.store.layers(&stand.map);
            for diff_id in stand.layers.iter().filter(|diff_id| !layers.has(diff_id)) {
                let fix = match self.mapping_of(&stand.map) {
                    Some(mapping) => {
                        let blob = self.blob_of.get(diff_id).copied();
                        Fix::Layer { diff_id: *diff_id, blob, mapping }
                    }
                    None => Fix::Nothing("it belongs to another user mapping"),
                };
                let problem = format!("stands on layer {diff_id}, which is not here");
                self.find(format!("container {}", stand.container), problem, fix);
            }
        }
    }

    fn derived(&mut self, report: &mut Report) {
        if self.store.layout_state() != Derived::Current {
            self.find("oci-layout".to_owned(), "is missing or damaged", Fix::Layout);
        }
        // Without sound records there is nothing to compare it with.
        match self.store.index_state() {
            Ok(Derived::Current) | Err(_) => {}
            Ok(Derived::Stale) => report.leftovers.push("index.json, which lags behind".to_owned()),
            Ok(Derived::Broken) => {
                self.find("index.json".to_owned(), "is missing or damaged", Fix::Index);
            }
        }
    }
}
