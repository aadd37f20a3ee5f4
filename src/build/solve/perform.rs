//! Steps performed side by side, each when what it needs is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use super::cached::Plan;
use super::contents::{Owner, Remembered, digest};
use super::foreign::{self, Foreign};
use super::key::Key;
use super::mounts::Lent;
use super::order::{Command, Place, Work};
use super::pick::{Filter, select};
use super::step::filter;
use super::types::{Exports, Inputs};
use super::worker::Stopped;
use super::{Failure, command, source};
use crate::build::event::{Event, EventKind, Report};
use crate::build::graph::{Action, Copy, Graph, MountKind, Run, Source, Step, StepId, Unpack};
use crate::idmap::Identity;
use crate::image::Mapping;
use crate::oci::Digest;
use crate::runtime::root::Root;
use crate::store::{CacheRecord, Lock, Pin, Staged, Store, sweep_staging};

/// The size of `/dev/shm` unless told otherwise, as in Docker.
const SHARED_MEMORY: u64 = 64 << 20;

/// What a step came to.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Layers of the store, lowest first.
    Layers(Vec<Digest>),
    /// A directory, and the name of the context that it is.
    Directory { path: PathBuf, ignore: Vec<String>, context: Option<String> },
}

/// A build that goes on.
pub(super) struct Build<'a> {
    pub(super) store: &'a Store,
    pub(super) identity: &'a Identity,
    pub(super) mapping: Mapping,
    pub(super) graph: &'a Graph,
    pub(super) inputs: &'a Inputs,
    pub(super) report: &'a Report,
    pub(super) boot: String,
    /// Keeps what the build counts on from being swept, and what it makes for itself.
    pub(super) staged: Staged,
    pub(super) pin: Mutex<Pin>,
    values: Mutex<Values>,
    changed: Condvar,
    remembered: BTreeMap<String, Mutex<Remembered>>,
    facts: Mutex<Facts>,
    /// The locks of directories of the cache that the build reads.
    pub(super) held: Mutex<Vec<Lock>>,
    /// What is in other caches, by the keys.
    pub(super) foreign: BTreeMap<Digest, Foreign>,
}

#[derive(Default)]
struct Values {
    known: Vec<Option<Value>>,
    failure: Option<anyhow::Error>,
}

/// What is learned of layers on the way.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The records of layers that steps made, by the layers.
    pub(super) made: BTreeMap<Digest, CacheRecord>,
    /// The keys by which layers were found or made.
    pub(super) used: BTreeMap<Digest, CacheRecord>,
    /// The keys of records that may not be on the disk yet.
    pub(super) unsynced: Vec<(Digest, CacheRecord)>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a thread has written before it panicked is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl<'a> Build<'a> {
    pub(super) fn new(
        store: &'a Store,
        identity: &'a Identity,
        graph: &'a Graph,
        inputs: &'a Inputs,
        exports: &Exports,
        report: &'a Report,
    ) -> Result<Self> {
        // What killed builds have left.
        sweep_staging(store)?;
        let kept = store.cache_dir("contexts")?;
        let remembered = inputs
            .contexts
            .iter()
            .map(|(name, context)| (name.clone(), Mutex::new(Remembered::load(&kept, &context.directory))))
            .collect();
        Ok(Self {
            store,
            identity,
            mapping: Mapping::of(identity),
            graph,
            inputs,
            report,
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
            staged: store.stage()?,
            pin: Mutex::default(),
            values: Mutex::new(Values { known: vec![None; graph.steps.len()], failure: None }),
            changed: Condvar::new(),
            remembered,
            facts: Mutex::default(),
            held: Mutex::default(),
            foreign: foreign::read(store, &exports.cache_from, &exports.cache_images),
        })
    }

    /// Keeps a directory of the cache from being pruned while the build goes on, and notes that it is used.
    pub(super) fn hold(&self, dir: &Path) -> Result<()> {
        let held = Lock::take(&dir.join("lock"), crate::store::Mode::Shared)
            .context("lock a directory of the cache")?;
        lock(&self.held).push(held);
        // When it was used is no reason to fail.
        let _ = fs::File::open(dir).and_then(|dir| dir.set_modified(SystemTime::now()));
        Ok(())
    }

    pub(super) fn say(&self, step: StepId, kind: EventKind) {
        (self.report)(Event { step, time: SystemTime::now(), kind });
    }

    /// Performs all steps. The first failure stops the others.
    pub(super) fn perform(&self) -> Result<()> {
        thread::scope(|scope| {
            for (at, step) in self.graph.steps.iter().enumerate() {
                let spawned = thread::Builder::new().spawn_scoped(scope, move || self.step(StepId(at), step));
                if let Err(error) = spawned {
                    self.fail(anyhow::Error::from(error).context("start a thread"));
                    break;
                }
            }
        });
        for remembered in self.remembered.values() {
            lock(remembered).save();
        }
        match lock(&self.values).failure.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn fail(&self, error: anyhow::Error) {
        let mut values = lock(&self.values);
        // Those that are stopped because of a failure say nothing new.
        if values.failure.is_none() {
            values.failure = Some(error);
        }
        self.inputs.stop.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn step(&self, id: StepId, step: &Step) {
        let mut values = lock(&self.values);
        let needs = needs(&step.action);
        while needs.iter().any(|need| values.known[need.0].is_none()) {
            if values.failure.is_some() {
                return;
            }
            // Whoever wants the build to stop only sets a mark.
            values = match self.changed.wait_timeout(values, std::time::Duration::from_millis(100)) {
                Ok((values, _)) => values,
                Err(poisoned) => poisoned.into_inner().0,
            };
            if self.inputs.stop.load(Ordering::Relaxed) {
                drop(values);
                return self.fail(Stopped.into());
            }
        }
        drop(values);
        self.say(id, EventKind::Started(step.name.clone()));
        match self.value(id, step) {
            Ok(value) => {
                lock(&self.values).known[id.0] = Some(value);
                self.changed.notify_all();
                self.say(id, EventKind::Done);
            }
            Err(error) => {
                self.say(id, EventKind::Failed(format!("{error:#}")));
                let error = if error.is::<Failure>() || error.is::<Stopped>() {
                    error
                } else {
                    Failure { step: id, code: None, message: format!("{error:#}") }.into()
                };
                self.fail(error);
            }
        }
    }

    /// Returns what a step that is done came to.
    pub(super) fn known(&self, id: StepId) -> Result<Value> {
        lock(&self.values).known.get(id.0).cloned().flatten().context("a step is missing")
    }

    /// Returns the layers that a step which is done came to.
    pub(super) fn layers(&self, id: StepId) -> Result<Vec<Digest>> {
        match self.known(id)? {
            Value::Layers(layers) => Ok(layers),
            Value::Directory { .. } => bail!("a directory is no file system to build upon"),
        }
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    fn value(&self, id: StepId, step: &Step) -> Result<Value> {
        match &step.action {
            Action::Scratch => Ok(Value::Layers(Vec::new())),
            Action::Image(base) => {
                self.pin(base.layers.iter().copied())?;
                let layers = self.store.layers(&self.mapping.key);
                if let Some(missing) = base.layers.iter().find(|layer| !layers.has(layer)) {
                    bail!("{}: layer {missing} is missing", base.reference.familiar());
                }
                Ok(Value::Layers(base.layers.clone()))
            }
            Action::Source(Source::Context { name }) => {
                let context =
                    self.inputs.contexts.get(name).with_context(|| format!("there is no context {name}"))?;
                Ok(Value::Directory {
                    path: context.directory.clone(),
                    ignore: context.ignore.clone(),
                    context: Some(name.clone()),
                })
            }
            Action::Source(source) => {
                let path = source::bring(self, id, source)?;
                Ok(Value::Directory { path, ignore: Vec::new(), context: None })
            }
            Action::Directory { base, path, owner } => {
                let below = self.layers(*base)?;
                let mut key = Key::new("directory", &step.platform);
                key.layers(&below);
                key.text(&path.to_string_lossy());
                key.text(owner);
                let work = Work::Directory { path: path.clone(), owner: owner.clone() };
                let plan =
                    Plan { key: key.finish(), below: below.clone(), places: BTreeMap::new(), second: None };
                self.layer(id, step, plan, |_| Ok((work, None))).map(|layer| stacked(below, layer))
            }
            Action::Copy(copy) => self.copy(id, step, copy),
            Action::Run(run) => self.run(id, step, run),
        }
    }

    fn copy(&self, id: StepId, step: &Step, copy: &Copy) -> Result<Value> {
        let base = self.layers(copy.base)?;
        let named_owner = copy.owner.as_deref().is_some_and(|owner| {
            owner.split(':').any(|part| !part.is_empty() && part.parse::<u32>().is_err())
        });
        let below = if copy.link && !named_owner { Vec::new() } else { base.clone() };
        let mut definition = copy.clone();
        definition.base = StepId(0);
        definition.sources.iter_mut().enumerate().for_each(|(at, pick)| pick.from = StepId(at));
        let mut key = Key::new("copy", &step.platform);
        key.definition(&definition);
        key.layers(&below);
        let mut second = None;
        let mut places = BTreeMap::new();
        for pick in &copy.sources {
            let value = self.known(pick.from)?;
            match &value {
                Value::Layers(layers) => {
                    key.layers(layers);
                    second = Some(());
                }
                Value::Directory { .. } => {
                    let owner = if copy.owner.is_some() { Owner::Given } else { Owner::Root };
                    for path in &pick.paths {
                        key.digest(&self.digest(&value, path, &copy.exclude, owner)?);
                    }
                }
            }
            places.insert(pick.from.0, self.place(&value)?);
        }
        let second = second.map(|()| {
            let mut key = Key::new("copy by content", &step.platform);
            key.definition(&definition);
            key.layers(&below);
            key
        });
        let plan = Plan { key: key.finish(), below, places, second };
        let unpacked = self.unpacked(copy);
        let work = Work::Copy(Box::new(copy.clone()), unpacked);
        let layer = self.layer(id, step, plan, |_| Ok((work, None)))?;
        Ok(stacked(base, layer))
    }

    /// Returns the sources of a copy whose archives are unpacked.
    fn unpacked(&self, copy: &Copy) -> BTreeSet<usize> {
        let unpacks = |id: &StepId| match (&self.graph.steps[id.0].action, copy.unpack) {
            (Action::Source(Source::Context { .. }), Unpack::Local | Unpack::Always) => true,
            (Action::Source(Source::Web { .. }), unpack) => unpack == Unpack::Always,
            _ => false,
        };
        copy.sources.iter().map(|pick| pick.from).filter(unpacks).map(|id| id.0).collect()
    }

    /// Returns the digest of what a path names in a directory.
    fn digest(&self, value: &Value, path: &str, exclude: &[String], owner: Owner) -> Result<Digest> {
        let Value::Directory { path: directory, ignore, context } = value else {
            bail!("layers are not read like this");
        };
        let root = Root::open(directory).with_context(|| format!("open {}", directory.display()))?;
        let (ignore, exclude) = (filter(ignore)?, filter(exclude)?);
        let named = select(
            &root,
            path,
            ignore.as_ref().map(|it| it as &dyn Filter),
            exclude.as_ref().map(|it| it as &dyn Filter),
        )
        .context("failed to compute cache key: failed to calculate checksum")?;
        let remembered = context.as_ref().and_then(|name| self.remembered.get(name));
        digest(&root, &named, owner, remembered)
    }

    fn run(&self, id: StepId, step: &Step, run: &Run) -> Result<Value> {
        let below = self.layers(run.base)?;
        let mut definition = run.clone();
        definition.base = StepId(0);
        definition.transient.clear();
        for (at, mount) in definition.mounts.iter_mut().enumerate() {
            if let MountKind::Bind { from, .. } | MountKind::Cache { from: Some((from, _)), .. } =
                &mut mount.kind
            {
                *from = StepId(at);
            }
        }
        let inputs = self.inputs;
        let ulimits: Vec<_> =
            inputs.ulimits.iter().map(|limit| (limit.name.clone(), limit.soft, limit.hard)).collect();
        let shm_size = inputs.shm_size.unwrap_or(SHARED_MEMORY);
        let begin = |kind: &str| {
            let mut key = Key::new(kind, &step.platform);
            key.definition(&definition);
            key.definition(&(&inputs.hosts, &ulimits, shm_size));
            key.layers(&below);
            key
        };
        let mut key = begin("run");
        let mut second = None;
        let mut places = BTreeMap::new();
        for mount in &run.mounts {
            let (MountKind::Bind { from, source } | MountKind::Cache { from: Some((from, source)), .. }) =
                &mount.kind
            else {
                continue;
            };
            let value = self.known(*from)?;
            match &value {
                Value::Layers(layers) => {
                    key.layers(layers);
                    second = Some(begin("run by content"));
                }
                Value::Directory { .. } => {
                    key.digest(&self.digest(&value, &command::pattern_of(source), &[], Owner::Root)?);
                }
            }
            places.insert(from.0, self.place(&value)?);
        }
        let mut secrets = BTreeMap::new();
        for mount in &run.mounts {
            let (MountKind::Secret { id, required, .. } | MountKind::Ssh { id, required, .. }) = &mount.kind
            else {
                continue;
            };
            let found = match &mount.kind {
                MountKind::Secret { .. } => match inputs.secrets.get(id) {
                    Some(secret) => {
                        secrets.insert(id.clone(), secret.clone());
                        true
                    }
                    None => false,
                },
                _ => inputs.ssh.contains_key(id),
            };
            if *required && !found {
                bail!(
                    "{}: not found",
                    if matches!(mount.kind, MountKind::Ssh { .. }) {
                        format!("unset ssh forward key {id}")
                    } else {
                        format!("secret {id}")
                    }
                );
            }
        }
        let plan = Plan { key: key.finish(), below: below.clone(), places, second };
        let layer = self.layer(id, step, plan, |dir| {
            let lent = Lent::take(self, run, dir)?;
            let command = Command {
                run: run.clone(),
                secrets: secrets.clone(),
                ssh: lent.ssh.clone(),
                caches: lent.caches.clone(),
                hosts: inputs.hosts.clone(),
                shm_size,
                ulimits: ulimits.clone(),
            };
            Ok((Work::Run(Box::new(command)), Some(lent)))
        })?;
        Ok(stacked(below, layer))
    }

    /// Returns where the files of a value are.
    pub(super) fn place(&self, value: &Value) -> Result<Place> {
        Ok(match value {
            Value::Layers(layers) => Place::Stack(self.store.layers(&self.mapping.key).stack(layers)?),
            Value::Directory { path, ignore, .. } => {
                Place::Directory { path: path.clone(), ignore: ignore.clone() }
            }
        })
    }
}

fn stacked(mut below: Vec<Digest>, layer: Digest) -> Value {
    below.push(layer);
    Value::Layers(below)
}

/// Returns the steps that an action needs.
fn needs(action: &Action) -> BTreeSet<StepId> {
    match action {
        Action::Scratch | Action::Image(_) | Action::Source(_) => BTreeSet::new(),
        Action::Directory { base, .. } => [*base].into(),
        Action::Copy(copy) => copy.sources.iter().map(|pick| pick.from).chain([copy.base]).collect(),
        Action::Run(run) => {
            let mounted = run.mounts.iter().filter_map(|mount| match &mount.kind {
                MountKind::Bind { from, .. } | MountKind::Cache { from: Some((from, _)), .. } => Some(*from),
                _ => None,
            });
            mounted.chain([run.base]).collect()
        }
    }
}
