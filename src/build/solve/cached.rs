//! The layer of a step: found by its key, or made by a process and noted under it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail};

use super::Failure;
use super::contents::measure;
use super::key::Key;
use super::mounts::Lent;
use super::order::{Order, Place, Work};
use super::perform::{Build, lock, now};
use super::worker::{End, Stopped, Worker};
use crate::build::event::EventKind;
use crate::build::graph::{Action, Step, StepId};
use crate::image::pack;
use crate::oci::Digest;
use crate::store::{CacheRecord, LayerRecord, Mode, Staged, write_json_new};

/// How a layer is found or made.
pub(super) struct Plan {
    /// By what the step does and begins with.
    pub(super) key: Digest,
    /// The layers that it sees below.
    pub(super) below: Vec<Digest>,
    pub(super) places: BTreeMap<usize, Place>,
    /// By the contents of what it reads, which are still to be added.
    pub(super) second: Option<Key>,
}

impl Build<'_> {
    /// Keeps layers from being swept. To be called before looking for them.
    pub(super) fn pin(&self, layers: impl IntoIterator<Item = Digest>) -> Result<()> {
        let mut pin = lock(&self.pin);
        let before = pin.layers.len();
        pin.layers.extend(layers);
        if pin.layers.len() > before { self.staged.pin(self.store, &pin) } else { Ok(()) }
    }

    /// Finds the layer of a key.
    pub(super) fn find(&self, key: &Digest) -> Result<Option<Digest>> {
        let Some(mut record) = self.store.cache_record(key)? else { return self.find_elsewhere(key) };
        if record.boot.as_ref().is_some_and(|boot| *boot != self.boot) {
            self.forget(key, &record)?;
            return Ok(None);
        }
        self.pin([record.layer])?;
        if !self.store.layers(&self.mapping.key).has(&record.layer) {
            return Ok(None);
        }
        record.used = now();
        record.uses += 1;
        // How often something was used is no reason to fail.
        let _ = self.store.put_cache_record(key, &record);
        Ok(Some(self.used(key, record)))
    }

    /// Finds the layer of a key in another cache.
    fn find_elsewhere(&self, key: &Digest) -> Result<Option<Digest>> {
        let Some(foreign) = self.foreign.get(key) else { return Ok(None) };
        self.pin([foreign.record.layer])?;
        if !foreign.take(self.store, &self.mapping)? {
            return Ok(None);
        }
        let now = now();
        let record = CacheRecord { used: now, uses: 1, boot: None, ..foreign.record.clone() };
        self.store.put_cache_record(key, &record)?;
        Ok(Some(self.used(key, record)))
    }

    /// Notes what was found.
    fn used(&self, key: &Digest, record: CacheRecord) -> Digest {
        let layer = record.layer;
        let mut facts = self.facts();
        facts.used.insert(*key, record.clone());
        facts.made.entry(layer).or_insert(record);
        layer
    }

    /// Takes back what a power cut may have left half-written, unless an image has vouched for it since.
    fn forget(&self, key: &Digest, record: &CacheRecord) -> Result<()> {
        let _gc = self.store.lock("gc", Mode::Shared)?;
        let held = self.store.images()?.iter().any(|image| image.layers.contains(&record.layer));
        self.store.remove_cache_record(key)?;
        if !held {
            for layers in self.store.all_layers()? {
                let grave = self.staged.path(&crate::store::random_id());
                let _ = fs::rename(layers.dir(&record.layer), grave);
            }
        }
        Ok(())
    }

    /// Returns the layer of a step: finds it, or makes it. One of those who want it makes it.
    pub(super) fn layer(
        &self,
        id: StepId,
        step: &Step,
        plan: Plan,
        work: impl FnOnce(&Path) -> Result<(Work, Option<Lent>)>,
    ) -> Result<Digest> {
        let cached = |layer| {
            self.say(id, EventKind::Cached);
            Ok(layer)
        };
        if !step.fresh
            && let Some(layer) = self.find(&plan.key)?
        {
            return cached(layer);
        }
        let stop = &*self.inputs.stop;
        let Some(_claim) = self.store.claim(&plan.key, |_| !stop.load(Ordering::Relaxed))? else {
            return Err(Stopped.into());
        };
        if !step.fresh
            && let Some(layer) = self.find(&plan.key)?
        {
            return cached(layer);
        }
        let staged = self.store.stage()?;
        let dir = staged.path("step");
        fs::create_dir(&dir).context("make a directory for the step")?;
        let (work, lent) = work(&dir)?;
        let stack = Place::Stack(self.store.layers(&self.mapping.key).stack(&plan.below)?);
        let store = (self.store.root().to_owned(), self.store.runtime().to_owned());
        let mut order = Order::new(store, self.identity, dir, stack, plan.places, work);
        order.asks = plan.second.is_some();
        let worker = Worker::start(&order, stop)?;
        let mut keys = vec![plan.key];
        if let Some(mut second) = plan.second {
            second.digest(&worker.reads()?);
            let second = second.finish();
            if !step.fresh
                && let Some(layer) = self.find(&second)?
            {
                let record = self.facts().made.get(&layer).cloned();
                if let Some(record) = record {
                    self.store.put_cache_record(&plan.key, &record)?;
                }
                return cached(layer);
            }
            keys.push(second);
            worker.go_on()?;
        }
        let end = worker.finish(|error, bytes| {
            self.say(id, EventKind::Output { error, bytes: bytes.to_vec() });
        })?;
        drop(lent);
        if let End::Exited(code @ 1..) = end {
            let Action::Run(run) = &step.action else { bail!("the step has ended with code {code}") };
            let message = format!(
                "process {:?} did not complete successfully: exit code: {code}",
                run.arguments.join(" ")
            );
            return Err(Failure { step: id, code: Some(code), message }.into());
        }
        self.publish(&staged, &keys, &step.name)
    }

    /// Makes a layer of what a step has left.
    fn publish(&self, staged: &Staged, keys: &[Digest], description: &str) -> Result<Digest> {
        let tree = staged.path("step").join("layer/tree");
        let packed = pack::Tree::open(&tree)
            .and_then(|tree| pack::layer(&tree, self.mapping.owners, &mut io::sink()))
            .context("pack the layer")?;
        let (size, entries) = measure(&tree)?;
        write_json_new(&staged.path("step").join("layer/layer.json"), &LayerRecord { size, entries }, false)?;
        self.pin([packed.diff_id])?;
        let layers = self.store.layers(&self.mapping.key);
        layers.ready()?;
        staged.publish("step/layer", &layers.dir(&packed.diff_id))?;
        let now = now();
        let record = CacheRecord {
            layer: packed.diff_id,
            size,
            archive: packed.size,
            description: description.to_owned(),
            created: now,
            used: now,
            uses: 1,
            boot: Some(self.boot.clone()),
        };
        let mut facts = self.facts();
        for key in keys {
            self.store.put_cache_record(key, &record)?;
            facts.used.insert(*key, record.clone());
            facts.unsynced.push((*key, record.clone()));
        }
        facts.made.insert(packed.diff_id, record);
        Ok(packed.diff_id)
    }

    /// Has the disk hold all that was made, and says so in the records.
    pub(super) fn settle(&self) -> Result<()> {
        let unsynced = std::mem::take(&mut self.facts().unsynced);
        if unsynced.is_empty() {
            return Ok(());
        }
        self.staged.sync()?;
        for (key, record) in unsynced {
            self.store.put_cache_record(&key, &CacheRecord { boot: None, ..record })?;
        }
        Ok(())
    }
}
